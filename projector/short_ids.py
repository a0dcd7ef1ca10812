"""Short ids: claimed before a session that needs one is saved, given back after its end is published (design §2).

The revision knows nothing of them, so they may differ between the service and a replay.
"""

from projector.draft import Draft
from projector.life import Life
from projector.ports import Store
from projector.rules import Rules
from projector.session import Session, ended_at, is_published


def is_live(session: Session, rules: Rules) -> bool:
    """Published and not ended: it has a right to a short id."""
    return is_published(session) and ended_at(session, rules) is None


class ShortIds:
    """The short ids of one life's drafts."""

    def __init__(self, life: Life, store: Store, rules: Rules) -> None:
        self._life, self._store, self._rules = life, store, rules

    def claim(self, draft: Draft) -> None:
        """Short ids for sessions that now have a right to one, before they are saved (design §2)."""
        wanted = [
            (key, session)
            for key in draft.touched
            if (key in draft.changed or key in draft.noted)
            and (track := self._life.cache[key].track).home in self._life.marks
            for session in track.sessions
            if is_live(session, self._rules) and session.id not in draft.live_before and session.id not in draft.claimed
        ]
        if not wanted:
            return
        asked = [(session.id, session.short_id) for _, session in wanted]
        claimed = self._store.claim_short_ids(asked, self._rules.short_id_digits)
        for (key, session), short_id in zip(wanted, claimed, strict=True):
            if session.short_id != short_id:
                session.short_id = short_id
                draft.changed.add(key)
            draft.claimed.add(session.id)
            draft.without_short_id += short_id is None

    def retire(self, draft: Draft) -> None:
        """Short ids that are to be given back: of sessions that have ended, merged visits, and what was swept."""
        held = [
            (key, session.id, session.short_id)
            for key in draft.touched
            for session in self._life.cache[key].track.sessions
            if is_published(session) and ended_at(session, self._rules) is not None
        ]
        for key, lost in draft.withdrawn.items():
            visits = self._life.cache[key].track.visits
            merged = visits.merged if visits is not None else {}
            held += [(key, one, merged[one][2]) for one in sorted(lost & merged.keys())]
        held += [(key, *pair) for key, pair in self._life.swept_ids if key not in draft.touched]
        homes = self._life.marks
        draft.retired = [
            (key, session_id, short_id)
            for key, session_id, short_id in held
            if short_id is not None and (key not in draft.touched or self._life.cache[key].track.home in homes)
        ]
        if draft.retired:
            self._store.retire_short_ids([(session_id, short_id) for _, session_id, short_id in draft.retired])

    def release(self, draft: Draft) -> None:
        """Give back what the draft retired: the end, the withdrawal or the sweep of its sessions is done."""
        held = [(session_id, short_id) for key, session_id, short_id in draft.retired if key not in draft.left]
        if held:
            self._store.release_short_ids(held)
