"""Steps 2 and 3 of a turn: load what takes part, fold it, follow links, bring it to its end clock (design §3).

What comes out is a `Draft`: tracks changed in memory, nothing written. Where the store refuses it because somebody else
wrote one of them in between, the tracks concerned are loaded and folded again.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from projector.deadlines import is_to_publish
from projector.draft import UNWRITTEN, Draft
from projector.join import absorb
from projector.life import Life
from projector.ports import NO_CLOCK, Batch, Conflict, Partition, Store, Stored
from projector.route import TrackKey, is_visitor, named_track, session_of, visitor_of
from projector.rules import Rules
from projector.session import Session, is_held, is_published, last_activity, new_session
from projector.sessionize import forget_visits
from projector.short_ids import ShortIds, is_live
from projector.track import (
    SWEEP_SLACK,
    Alias,
    Incoming,
    Outcome,
    Track,
    find,
    fold,
    is_swept,
    link,
    links_of,
    next_due,
    settle,
    visit_ids,
)
from projector.visitor import fold_visits, foresee


class Drafting:
    """Makes the draft of a turn in one life's cache."""

    def __init__(self, life: Life, store: Store, rules: Rules) -> None:
        self._life, self._store, self._rules = life, store, rules
        self._short_ids = ShortIds(life, store, rules)

    def draft(self, batch: Batch, work: dict[TrackKey, list[Incoming]], now: int) -> Draft:
        """Load and fold what takes part; `now` is the wall clock (ms)."""
        life = self._life
        for key in life.noted:
            life.cache.pop(key, None)  # Somebody else wrote it.
        draft = Draft(
            work,
            self._end_clocks(batch, now),
            {one: max(batch.next.get(one, 0), life.read[one]) for one in life.partitions},
            life.due,
            life.noted,
            dict.fromkeys((*work, *life.noted, *life.due)),
        )
        self._load(draft.touched)
        self._fold_all(draft, list(draft.touched))
        return draft

    def again(self, draft: Draft, conflict: Conflict) -> None:
        """Fold again, from what is stored now, the tracks that others wrote; and with them those they depend on."""
        draft.claimed.clear()  # What is folded again asks again, and gets the same.
        keys = dict.fromkeys(conflict.tracks)
        for key, stored in conflict.tracks.items():
            self._life.cache[key] = stored if stored is not None else Stored(UNWRITTEN, Track())
        while more := [key for key in self._bound_to(draft, keys) if key not in keys]:
            keys |= dict.fromkeys(more)
            for key in more:
                self._life.cache.pop(key, None)
            self._load(more)
        records = [record for key in keys for record in self._taken_back(draft, key)]
        for record in sorted(records, key=lambda one: (one.partition, one.offset)):
            draft.work.setdefault(record.key, []).append(record)
        self._fold_all(draft, list(keys))

    def _bound_to(self, draft: Draft, keys: Iterable[TrackKey]) -> Iterable[TrackKey]:
        """Tracks that are done again with these: a visitor's, and those of ids that lead to its visits."""
        for key in list(keys):
            track = self._track(key)
            if track.alias is not None and track.alias.key in draft.touched:
                yield track.alias.key
            yield from draft.adopted.pop(key, ())
            yield from (named for one in visit_ids(track) if (named := named_track(one)) in draft.touched)
        for visitor, adopted in list(draft.adopted.items()):
            if not set(adopted).isdisjoint(keys):
                yield visitor

    def _taken_back(self, draft: Draft, key: TrackKey) -> list[Incoming]:
        """A track's records, as if nothing had become of them yet."""
        records = {(one.partition, one.offset): one for one in draft.work.pop(key, ())}
        records |= {(one.partition, one.offset): one for one, _ in draft.accounts.pop(key, ())}
        draft.changed.discard(key)
        return list(records.values())

    # Load.

    def _load(self, keys: Iterable[TrackKey]) -> None:
        cache = self._life.cache
        missing: list[TrackKey] = []
        for key in keys:
            stored = cache.pop(key, None)
            if stored is None:
                missing.append(key)
            else:
                cache[key] = stored  # The latest used stands last.
        if missing:
            for key, stored in self._store.load(missing).items():
                cache[key] = stored if stored is not None else Stored(UNWRITTEN, Track())

    def _track(self, key: TrackKey) -> Track:
        return self._life.cache[key].track

    def _end_clocks(self, batch: Batch, now: int) -> dict[Partition, int]:
        """By partition the partition clock, or the wall clock where that is later and all is read (contract §1)."""
        clocks = {}
        for partition in self._life.partitions:
            clock = self._life.marks[partition].clock
            clocks[partition] = NO_CLOCK if clock is None else clock
            if partition in batch.at_end:
                clocks[partition] = max(clocks[partition], now)
        return clocks

    # Fold.

    def _fold_all(self, draft: Draft, keys: list[TrackKey]) -> None:
        for key in keys:
            self._before(draft, key)
        self._redirect(draft, keys)
        self._lead_back(draft, keys)
        visitors = [key for key in draft.work if is_visitor(key) and key not in draft.accounts]
        self._foresee(visitors, draft.work)
        for key in visitors:
            self._fold_visitor(draft, key)
        for key in [key for key in draft.work if key not in draft.accounts]:
            self._fold_named(draft, key, draft.work[key])
        self._follow_links(draft)
        self._settle(draft)
        self._short_ids.claim(draft)
        self._short_ids.retire(draft)

    def _before(self, draft: Draft, key: TrackKey) -> None:
        """Remember how a track stood before this turn."""
        track = self._track(key)
        draft.calls[key] = next_due(track, self._rules)
        for session in track.sessions:
            if is_live(session, self._rules) and key not in draft.noted:  # Who left a note may have revived it.
                draft.live_before.add(session.id)
            else:
                draft.live_before.discard(session.id)

    def _join(self, draft: Draft, key: TrackKey) -> Track:
        """Make a track take part that did not so far; it is loaded."""
        if key not in draft.touched:
            draft.touched[key] = None
            self._before(draft, key)
        return self._track(key)

    def _fold_named(self, draft: Draft, key: TrackKey, incoming: list[Incoming]) -> None:
        track = self._join(draft, key)
        accounts = fold(
            track, session_of(key), incoming, committed=self._life.committed, rules=self._rules, cuts=draft.cuts
        )
        draft.accounts.setdefault(key, []).extend(accounts)
        if any(outcome is not Outcome.REDELIVERED for _, outcome in accounts):
            draft.changed.add(key)

    def _fold_visitor(self, draft: Draft, key: TrackKey) -> None:
        done = fold_visits(
            self._join(draft, key),
            visitor_of(key),
            draft.work[key],
            committed=self._life.committed,
            adopt=partial(self._adopt, draft, key),
            rules=self._rules,
            cuts=draft.cuts,
        )
        draft.accounts[key] = done.accounts
        draft.shown |= done.shown
        draft.withdrawn.setdefault(key, set()).update(done.withdrawn)
        if any(outcome is not Outcome.REDELIVERED for _, outcome in done.accounts):
            draft.changed.add(key)

    # Ids of visits (contract §3, rule 1): they lead to the visitor's track.

    def _redirect(self, draft: Draft, keys: Iterable[TrackKey]) -> None:
        """Hand records that name a visit to its visitor's track."""
        led = {key: alias.key for key in keys if (alias := self._track(key).alias) is not None}
        for visitor in filter(is_visitor, keys):  # Its ids may not lead to it yet: they are written after it.
            named = (named_track(one) for one in visit_ids(self._track(visitor)))
            led |= {key: visitor for key in named if key in draft.work}
        self._load(key for key in dict.fromkeys(led.values()) if key not in draft.touched)
        for key, to in led.items():
            visit = self._visit(draft, to, session_of(key))
            if key in draft.due:
                self._keep_alias(draft, key, visit)
            if key not in draft.work:
                continue
            if visit is None:
                self._track(key).alias = None  # The visit is gone, and its id starts anew.
                continue
            records = [*draft.work.pop(to, []), *draft.work.pop(key)]
            draft.work[to] = sorted(records, key=lambda one: (one.partition, one.offset))
            if key not in draft.due and key not in draft.noted:
                draft.touched.pop(key, None)

    def _lead_back(self, draft: Draft, keys: Iterable[TrackKey]) -> None:
        """Make ids lead to their visits again that were taken, by one who knew nothing of the visit, for others."""
        for visitor in filter(is_visitor, keys):
            for one in visit_ids(self._track(visitor)):
                named, visit = named_track(one), find(self._track(visitor), one)
                if visit is not None and named in draft.touched and self._track(named).alias is None:
                    self._adopt(draft, visitor, visit, one, None)

    def _visit(self, draft: Draft, visitor: TrackKey, named: str) -> Session | None:
        """The visit that an id leads to; that there is none is compared too, for our copy may be out of date."""
        draft.consulted.add(visitor)
        return find(self._join(draft, visitor), named)

    def _keep_alias(self, draft: Draft, key: TrackKey, visit: Session | None) -> None:
        track = self._track(key)
        assert track.alias is not None
        if visit is not None and last_activity(visit) > track.alias.seen_last:
            track.alias = Alias(track.alias.key, last_activity(visit))
            draft.changed.add(key)

    def _foresee(self, visitors: list[TrackKey], work: Mapping[TrackKey, list[Incoming]]) -> None:
        self._load(key for key in visitors if key not in self._life.cache)
        ids = [one for key in visitors for one in foresee(self._track(key), visitor_of(key), work[key], self._rules)]
        self._load(named_track(one) for one in ids)

    def _adopt(
        self, draft: Draft, visitor: TrackKey, session: Session, named: str, opener: Incoming | None
    ) -> list[Incoming]:
        """Join into a visit what is kept under an id of it, and lead the id to the visitor's track."""
        key, later = named_track(named), list[Incoming]()
        if key not in self._life.cache:
            self._load([key])
        track = self._track(key)
        if track.alias is not None and track.alias.key == visitor and not track.sessions:
            return []
        self._join(draft, key)
        if opener is not None and key in draft.work:
            incoming = draft.work.pop(key)
            later = [one for one in incoming if one.partition == opener.partition and one.offset > opener.offset]
            self._fold_named(draft, key, [one for one in incoming if one not in later])
        if track.sessions and (opener is None or is_held(track.sessions[0], opener.clock, self._rules)):
            absorb(session, track.sessions[0], self._rules, draft.cuts)
            session.short_id = session.short_id or track.sessions[0].short_id
            for partition, offset in track.applied.items():
                session.positions[partition] = max(session.positions.get(partition, 0), offset)
            draft.changed.add(visitor)
        track.sessions, track.alias = [], Alias(visitor, last_activity(session))
        if track.keeper is None:
            track.keeper = opener.partition if opener is not None else self._track(visitor).home
        track.home = None  # Its visitor's home publishes it.
        draft.adopted.setdefault(visitor, []).append(key)
        draft.changed.add(key)
        draft.linked = True
        return later

    # Links of conversations (contract §3, rule 4).

    def _follow_links(self, draft: Draft) -> None:
        """Join what conversations say into the sessions that they name, also where their records were skipped."""
        sources = [(key, found) for key in draft.touched if (found := links_of(self._track(key)))]
        if not sources:
            return
        draft.linked = True
        named = [named_track(one) for _, found in sources for _, one in found]
        self._load(key for key in dict.fromkeys(named) if key not in draft.touched)
        aliases = [alias.key for key in named if (alias := self._track(key).alias) is not None]
        self._load(key for key in dict.fromkeys(aliases) if key not in draft.touched)
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
            draft.changed.add(key)
            if track.keeper is None:
                track.keeper = next((one for one in at if one in life.partitions), None)

    # The clock.

    def _settle(self, draft: Draft) -> None:
        """Bring the tracks whose home is here to their end clock."""
        for key in draft.touched:
            track = self._track(key)
            clock = self._end_clock_of(draft, key, track)
            if clock is None:
                continue
            ended = settle(track, clock, self._rules)
            draft.shown |= {session.id for session in ended}
            draft.ends += len(ended)
            if ended or (key in draft.due and self._let_go(track)):
                draft.changed.add(key)

    def _let_go(self, track: Track) -> bool:
        """Visits that are no longer held leave the track of a visitor who has others that are."""
        assert track.home is not None
        clock = self._life.marks[track.home].clock
        if track.visits is None or clock is None or is_swept(track, clock, self._rules):
            return False
        before = len(track.sessions)
        forget_visits(track.sessions, track.visits, clock - SWEEP_SLACK, self._rules)
        return len(track.sessions) < before

    def _end_clock_of(self, draft: Draft, key: TrackKey, track: Track) -> int | None:
        """None where the track's home is somebody else's, or its shard has not caught up."""
        life = self._life
        if track.home not in life.marks or self._store.shard_of(key) in life.behind:
            return None
        clock = draft.end_clocks[track.home]
        # What had ended for readers before the store lost it does not come back for a moment.
        return max(clock, life.floors.get(track.home, NO_CLOCK)) if key in draft.noted else clock

    # What of it is published.

    def shown(self, draft: Draft, key: TrackKey) -> list[Session]:
        """The sessions of a track whose home is here that are to be published."""
        track = self._track(key)
        due = draft.due.get(key)
        is_only_due = due is not None and key not in draft.accounts and key not in draft.noted
        everything = not is_only_due and (track.visits is None or key in draft.noted)
        return [
            session
            for session in track.sessions
            if is_published(session)
            and (
                everything
                or session.id in draft.shown
                or (due is not None and is_to_publish(session, due, self._rules))
            )
        ]
