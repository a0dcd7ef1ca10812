"""Short ids: claimed before a session that needs one is saved, given back after its end is published (design §2).

The revision knows nothing of them, so they may differ between the service and a replay.
"""

from projector.draft import Draft
from projector.life import Life
from projector.ports import Store
from projector.rules import Rules


class ShortIds:
    """The short ids of one life's drafts."""

    def __init__(self, life: Life, store: Store, rules: Rules) -> None:
        self._life, self._store, self._rules = life, store, rules

    def claim(self, draft: Draft) -> None:
        """Short ids for sessions that now have a right to one, before they are saved (design §2)."""
        wanted, draft.wanted = draft.wanted, []
        if not wanted:
            return
        asked = [(session.id, session.short_id) for _, session in wanted]
        claimed = self._store.claim_short_ids(asked, self._rules.short_id_digits)
        for (cached, session), short_id in zip(wanted, claimed, strict=True):
            if session.short_id != short_id:
                session.short_id = short_id
                cached.is_changed = True
            draft.without_short_id += short_id is None

    def retire(self, draft: Draft) -> None:
        """Short ids that are to be given back: of sessions that have ended, merged visits, and what was swept."""
        life = self._life
        held = [(key, *pair) for key, pairs in draft.ended.items() for pair in pairs]
        for key, lost in draft.withdrawn.items():
            visits = draft.touched[key].track.visits if key in draft.touched else None
            if visits is not None and draft.touched[key].track.home in life.marks:
                ids = [(one, visits.merged[one][2]) for one in sorted(lost & visits.merged.keys())]
                held += [(key, one, short_id) for one, short_id in ids if short_id is not None]
        held += [(key, *pair) for key, pair in life.swept_ids if key not in draft.touched]
        draft.retired = held
        if held:
            self._store.retire_short_ids([(session_id, short_id) for _, session_id, short_id in held])

    def release(self, draft: Draft) -> None:
        """Give back what the draft retired: the end, the withdrawal or the sweep of its sessions is done."""
        held = [(session_id, short_id) for key, session_id, short_id in draft.retired if key not in draft.left]
        if held:
            self._store.release_short_ids(held)
