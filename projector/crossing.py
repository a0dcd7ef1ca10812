"""Facts that go from one track to another: ids lead to visits, and conversations tell of sessions (contract §3).

Law: what goes over is joined, so it may go twice; the track that it goes to takes part in the turn, is compared and
published like one with records. No other code touches two tracks at once.
"""

from collections.abc import Iterable
from functools import partial

from projector.draft import Draft
from projector.join import absorb
from projector.life import Life
from projector.ports import NO_CLOCK
from projector.route import TrackKey, named_track, session_of, visitor_of
from projector.rules import Rules
from projector.session import Session, is_held, last_activity, new_session
from projector.taking import Taking
from projector.track import Alias, Incoming, Outcome, Track, find, fold, link, links_of, visit_ids
from projector.visitor import fold_visits, foresee

Work = dict[TrackKey, list[Incoming]]
"""By track its records, each partition's in order."""


class Crossing:
    """Leads what belongs elsewhere to where it belongs, in the drafts of one life."""

    def __init__(self, life: Life, taking: Taking, rules: Rules) -> None:
        self._life, self._taking, self._rules = life, taking, rules
        self._track, self._join, self._load = taking.track, taking.join, taking.load

    # Visits (contract §3, rules 1 and 3): their ids lead to the visitor's track.

    def fold_visits(self, draft: Draft, peculiar: list[TrackKey], named: Work, visits: Work) -> None:
        """Fold what visitors did, and with it the records in `named` that name a visit: they are taken out of it.

        `peculiar` are the tracks among those of the draft that have to do with visits.
        """
        self._redirect(draft, peculiar, named, visits)
        self._lead_back(draft, peculiar)
        self._foresee(visits)
        for key in list(visits):
            self._fold_visitor(draft, key, named, visits[key])

    def _redirect(self, draft: Draft, peculiar: Iterable[TrackKey], named: Work, visits: Work) -> None:
        """Hand records that name a visit to its visitor's track."""
        led = {key: alias.key for key in peculiar if (alias := self._track(key).alias) is not None}
        for visitor in peculiar:  # Its ids may not lead to it yet: they are written after it.
            if self._track(visitor).visits is not None:
                ids = (named_track(one) for one in visit_ids(self._track(visitor)))
                led |= {key: visitor for key in ids if key in named}
        self._load(key for key in led.values() if key not in draft.touched)
        for key, to in led.items():
            visit = self._visit(draft, to, session_of(key))
            if key in draft.due:
                self._keep_alias(draft, key, visit)
            if key not in named:
                continue
            if visit is None:
                self._begin_anew(draft, key, to)
                continue
            records = [*visits.pop(to, []), *named.pop(key)]
            visits[to] = sorted(records, key=lambda one: (one.partition, one.offset))
            if key not in draft.due and key not in draft.noted:
                draft.touched.pop(key, None)

    def _begin_anew(self, draft: Draft, key: TrackKey, visitor: TrackKey) -> None:
        """The visit is gone: its id is that of a session of its own from now on.

        Written after the visitor's track: were it there first, the visit would seem to have been taken.
        """
        self._track(key).alias = None
        track, named = self._track(visitor), session_of(key)
        if track.visits is not None and named in visit_ids(track):
            track.visits.merged.pop(named, None)
            track.sessions = [session for session in track.sessions if session.id != named]
            draft.touched[visitor].is_changed = True
            draft.adopted.setdefault(visitor, []).append(key)
            draft.linked = True

    def _lead_back(self, draft: Draft, peculiar: Iterable[TrackKey]) -> None:
        """Make ids lead to their visits again that were taken, by one who knew nothing of the visit, for others."""
        for visitor in peculiar:
            if self._track(visitor).visits is None:
                continue
            for one in visit_ids(self._track(visitor)):
                named, visit = named_track(one), find(self._track(visitor), one)
                if visit is not None and named in draft.touched and self._track(named).alias is None:
                    self._adopt(draft, {}, visitor, visit, one, None)

    def _visit(self, draft: Draft, visitor: TrackKey, named: str) -> Session | None:
        """The visit that an id leads to; that there is none is compared too, for our copy may be out of date."""
        draft.consulted.add(visitor)
        return find(self._join(draft, visitor), named)

    def _keep_alias(self, draft: Draft, key: TrackKey, visit: Session | None) -> None:
        track = self._track(key)
        if visit is not None and track.alias is not None and last_activity(visit) > track.alias.seen_last:
            track.alias = Alias(track.alias.key, last_activity(visit))
            draft.touched[key].is_changed = True

    def _foresee(self, visits: Work) -> None:
        self._load(visits)
        ids = [
            one
            for key, records in visits.items()
            for one in foresee(self._track(key), visitor_of(key), records, self._rules)
        ]
        self._load(named_track(one) for one in ids)

    def _fold_visitor(self, draft: Draft, key: TrackKey, named: Work, records: list[Incoming]) -> None:
        done = fold_visits(
            self._join(draft, key),
            visitor_of(key),
            records,
            committed=self._life.committed,
            adopt=partial(self._adopt, draft, named, key),
            rules=self._rules,
            cuts=draft.cuts,
        )
        draft.records[key] = [record for record, _ in done.accounts]
        draft.odd[key] = [account for account in done.accounts if account[1] is not Outcome.FOLDED]
        draft.shown |= done.shown
        draft.withdrawn.setdefault(key, set()).update(done.withdrawn)
        if any(outcome is not Outcome.REDELIVERED for _, outcome in done.accounts):
            draft.touched[key].is_changed = True
        for one, strayed in done.strayed.items():
            self._join(draft, named_track(one))
            self._begin_anew(draft, named_track(one), key)
            named[named_track(one)] = strayed

    def _adopt(
        self, draft: Draft, work: Work, visitor: TrackKey, session: Session, named: str, opener: Incoming | None
    ) -> list[Incoming]:
        """Join into a visit what is kept under an id of it, and lead the id to the visitor's track."""
        key, later = named_track(named), list[Incoming]()
        self._load([key])
        track = self._track(key)
        if track.alias is not None and track.alias.key == visitor and not track.sessions:
            return []
        if opener is None and track.sessions and not self._is_of(session, track.sessions[0]):
            return []
        self._join(draft, key)
        if opener is not None and key in work:
            incoming = work.pop(key)
            later = [one for one in incoming if one.partition == opener.partition and one.offset > opener.offset]
            self._fold_before(draft, key, [one for one in incoming if one not in later])
        if track.sessions and (opener is None or is_held(track.sessions[0], opener.clock, self._rules)):
            self._take_over(draft, session, track)
            draft.touched[visitor].is_changed = True
        track.sessions, track.alias = [], Alias(visitor, last_activity(session))
        if track.keeper is None:
            track.keeper = opener.partition if opener is not None else self._track(visitor).home
        track.home = None  # Its visitor's home publishes it.
        draft.adopted.setdefault(visitor, []).append(key)
        draft.touched[key].is_changed = True
        draft.linked = True
        return later

    def _is_of(self, visit: Session, named: Session) -> bool:
        """What is kept under its id is no session that took the id after the visit's retention."""
        first = named.created if named.created is not None else last_activity(named)
        return is_held(visit, first, self._rules)

    def _fold_before(self, draft: Draft, key: TrackKey, records: list[Incoming]) -> None:
        """Fold what named a visit before the visit was opened."""
        odd = fold(self._track(key), key, records, self._life.committed, self._rules, draft.cuts)
        draft.enter(draft.touched[key], records, odd)
        draft.records.setdefault(key, []).extend(records)

    def _take_over(self, draft: Draft, session: Session, track: Track) -> None:
        other = track.sessions[0]
        absorb(session, other, self._rules, draft.cuts)
        session.short_id = session.short_id or other.short_id
        for partition, offset in track.applied.items():
            session.positions[partition] = max(session.positions.get(partition, 0), offset)

    # Links of conversations (contract §3, rule 4).

    def follow_links(self, draft: Draft) -> None:
        """Join what conversations say into the sessions that they name, also where their records were skipped."""
        keys = dict.fromkeys((*draft.talking, *draft.unsettled))
        sources = [(key, found) for key in keys if key in draft.touched and (found := links_of(self._track(key)))]
        if not sources:
            return
        draft.talking = {key: None for key, _ in sources}
        draft.linked = True
        named = [named_track(one) for _, found in sources for _, one in found]
        self._load(key for key in named if key not in draft.touched)
        aliases = [alias.key for key in named if (alias := self._track(key).alias) is not None]
        self._load(key for key in aliases if key not in draft.touched)
        for source, found in sources:
            for conversation, one in found:
                self._link(draft, source, conversation, one)

    def _link(self, draft: Draft, source: TrackKey, conversation: Session, named: str) -> None:
        life, key = self._life, named_track(named)
        alias = self._track(key).alias
        if alias is not None and self._visit(draft, alias.key, named) is not None:
            key = alias.key
        track, at = self._join(draft, key), self._track(source).applied
        session = find(track, named)
        if session is None:
            session = new_session(named)
            track.sessions, track.alias = [session], None
        # What is held goes by the partition clock; the wall clock may be years past it (contract §1).
        clocks = [life.marks[one].clock for one in at if one in life.marks]
        clock = max((one for one in clocks if one is not None), default=NO_CLOCK)
        draft.shown.add(session.id)
        if link(session, conversation, at=at, clock=clock, rules=self._rules):
            draft.touched[key].is_changed = True
            if track.keeper is None:
                track.keeper = next((one for one in at if one in life.partitions), None)
