"""Steps 2 and 3 of a turn: load what takes part, fold it, follow links, bring it to its end clock (design §3).

What comes out is a `Draft`: tracks changed in memory, nothing written. Where the store refuses it because somebody else
wrote one of them in between, the tracks concerned are loaded and folded again.

Nearly all tracks of a turn are usual: one session that goes on, named by its events, whose home is here. Each of them
is done in one go; the others are only folded, and settled once facts have gone from track to track.
"""

from collections.abc import Iterable
from itertools import chain

from projector import slots
from projector.cache import Cached, is_live, timed_of
from projector.crossing import Crossing, Work
from projector.deadlines import is_to_publish
from projector.draft import Draft
from projector.life import Life
from projector.ports import NO_CLOCK, Batch, Change, Conflict, Partition, Store
from projector.reading import Reading
from projector.route import TrackKey, is_visitor, named_track, visitor_of
from projector.rules import Rules
from projector.session import is_published
from projector.sessionize import are_too_many, forget_visits
from projector.short_ids import ShortIds
from projector.snapshot import told_of
from projector.taking import Taking
from projector.track import SWEEP_SLACK, Due, Incoming, Track, fold, is_swept, next_due, positions_of, settle, visit_ids
from projector.values import encode_json
from projector.visitor import fold_going_on


class Drafting:
    """Makes the draft of a turn in one life's cache."""

    def __init__(self, life: Life, store: Store, rules: Rules, *, sweeps: bool = True, publishes: bool = True) -> None:
        """Without `sweeps` nothing is let go: a replay shows every session. `publishes`: somebody wants snapshots."""
        self._life, self._rules, self._sweeps, self._publishes = life, rules, sweeps, publishes
        self._taking = Taking(life, store, rules)
        self._crossing = Crossing(life, self._taking, rules)
        self._short_ids = ShortIds(life, store, rules)
        self._timeouts: dict[bytes | None, int] = {
            encode_json(named): timeout for named in ("web", "app") if (timeout := rules.timeout_of(named)) is not None
        }
        """By session type as sessions keep it."""
        self._sweep = rules.retention + SWEEP_SLACK if rules.retention else None
        """Where a type has none."""

    def draft(self, batch: Batch, reading: Reading, now: int) -> Draft:
        """Load and fold what takes part; `now` is the wall clock (ms)."""
        life = self._life
        for key in life.noted:
            life.cache.pop(key, None)  # Somebody else wrote it.
        draft = Draft(
            self._end_clocks(batch, now),
            {one: max(batch.next.get(one, 0), life.read[one]) for one in life.partitions},
            life.due,
            life.noted,
        )
        self._fold_all(draft, (*life.noted, *life.due), reading.work, reading.visits)
        return draft

    def again(self, draft: Draft, conflict: Conflict) -> None:
        """Fold again, from what is stored now, the tracks that others wrote; and with them those they depend on."""
        keys = dict.fromkeys(conflict.tracks)
        for key, stored in conflict.tracks.items():
            self._taking.put(key, stored)
        while more := [key for key in self._bound_to(draft, keys) if key not in keys]:
            keys |= dict.fromkeys(more)
            for key in more:
                self._life.cache.pop(key, None)
            self._taking.load(more)
        records = [record for key in keys for record in self._taken_back(draft, key)]
        named, visits = Work(), Work()
        for record in sorted(records, key=lambda one: (one.partition, one.offset)):
            work = visits if is_visitor(record.key) else named
            work.setdefault(record.key, []).append(record)
        self._fold_all(draft, keys, named, visits)

    def _bound_to(self, draft: Draft, keys: Iterable[TrackKey]) -> Iterable[TrackKey]:
        """Tracks that are done again with these: a visitor's, and those of ids that lead to its visits."""
        for key in list(keys):
            track = self._taking.track(key)
            if track.alias is not None and track.alias.key in draft.touched:
                yield track.alias.key
            yield from draft.adopted.pop(key, ())
            yield from (named for one in visit_ids(track) if (named := named_track(one)) in draft.touched)
        for visitor, adopted in list(draft.adopted.items()):
            if not set(adopted).isdisjoint(keys):
                yield visitor

    def _taken_back(self, draft: Draft, key: TrackKey) -> list[Incoming]:
        """A track's records, as if nothing had become of them, nor of it, yet."""
        for said in (draft.odd, draft.calls, draft.left, draft.ended):
            said.pop(key, None)
        return draft.records.pop(key, [])

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

    def _fold_all(self, draft: Draft, keys: Iterable[TrackKey], named: Work, visits: Work) -> None:
        """Fold records, of tracks and of visitors; `keys` take part whether they have some or not."""
        draft.unsettled = dict.fromkeys(keys)
        self._taking.load(chain(visits, draft.unsettled))
        visits = self._fold_visitors(draft, visits, named)
        peculiar = self._taking.take(draft, chain(visits, draft.unsettled))
        for key in draft.noted.keys() & draft.unsettled.keys():
            draft.touched[key].live = ()  # Who left a note may have revived it.
        if peculiar or visits:
            peculiar += self._taking.take(draft, named)
            self._crossing.fold_visits(draft, peculiar, named, visits)
        led = {key: named.pop(key) for key in self._fold_named(draft, named)}
        if led:
            self._crossing.fold_visits(draft, list(led), led, {})
            self._fold_named(draft, led)  # What is left: their visits are gone.
        draft.records |= named | led
        self._crossing.follow_links(draft)
        for key in draft.unsettled:
            if key in draft.touched:  # Else its records went to a visitor's.
                self._settle(draft, draft.touched[key])
        self._short_ids.claim(draft)
        self._short_ids.retire(draft)

    def _fold_visitors(self, draft: Draft, visits: Work, named: Work) -> Work:
        """Fold what visitors did whose one visit simply goes on, and settle it at once as below; gives the others."""
        others = Work()
        for key, records in visits.items():
            cached, odd = self._life.cache[key], None
            track = cached.passing()
            ids = [named_track(session.id) for session in track.sessions]
            # What is said of a visit by its id comes in between.
            if key not in draft.unsettled and not any(one in named or one in draft.unsettled for one in ids):
                odd = fold_going_on(track, visitor_of(key), records, self._rules, draft.cuts)
            if odd is None:
                others[key] = records
                cached.keep(track, held=True)
                continue
            cached.is_used = cached.is_changed = True
            draft.touched[key], draft.records[key] = cached, records
            if odd:
                draft.odd[key] = odd
            is_shown = len(odd) < len(records)
            if is_shown:
                draft.shown.add(track.sessions[0].id)
            if not (is_shown and self._goes_on(draft, cached, track)):
                draft.unsettled[key] = None
                cached.keep(track, held=True)
        return others

    def _fold_named(self, draft: Draft, named: Work) -> list[TrackKey]:
        """Fold what events name; of a usual track, settle at once what follows from it: here it is at hand.

        Gives the keys that lead to visits: their records are not folded.
        """
        rules, committed, cuts, unsettled = self._rules, self._life.committed, draft.cuts, draft.unsettled
        cache, touched = self._life.cache, draft.touched
        led, missing = list[TrackKey](), Work()
        for key, records in named.items():
            cached = cache.get(key)
            if cached is None:
                missing[key] = records
                continue
            touched[key], cached.is_used, track = cached, True, cached.passing()
            if track.alias is not None:
                led.append(key)
                continue
            odd = fold(track, key, records, committed, rules, cuts)
            if odd:
                draft.enter(cached, records, odd)
            else:
                cached.is_changed = True
            if (unsettled and key in unsettled) or not self._goes_on(draft, cached, track):
                unsettled[key] = None
                cached.keep(track, held=True)
        if missing:
            self._taking.load(missing)
            led += self._fold_named(draft, missing)
        return led

    def _goes_on(self, draft: Draft, cached: Cached, track: Track) -> bool:
        """What follows from a usual track: one session that goes on at the end clock of its home, which is here.

        False, and nothing is done, where it is not usual. Where its shard has not caught up, it is noted for its home
        and not told of. All that is to be written of one that is is made here, while its parts are in the processor's
        caches: between two visits to a session come thousands of others, and to fetch its parts from memory takes as
        long as to work them out.
        """
        session, home, clocks = track.sessions[0] if track.sessions else None, track.home, draft.end_clocks
        if (
            (session is None or session.last is None or not session.events)
            or (session.expired or session.talks or session.ends or session.split_at is not None)
            or (home is None or home not in clocks)
            or (wait := self._timeouts.get(session.values[slots.TYPE], self._sweep)) is None
            or (call := session.last + wait) < clocks[home]
        ):
            return False
        if cached.is_changed:
            before = cached.call
            begins = session.id not in cached.timed and session.values[slots.TYPE] in self._timeouts
            if begins or before is None or call < before or track.keeper != home or before < clocks[home]:
                cached.timed = timed_of(track, (session.id,), self._rules)
                self._call(draft, cached, track, call, begins=begins)
            cached.call = call
        is_silent = cached.shard in self._life.behind
        if is_silent:
            draft.left[cached.key] = home
        if session.id not in cached.live:
            cached.live = (session.id,)
            draft.wanted.append((cached, session))
            cached.keep(track, held=True)  # Its short id is still to come.
            return True
        cached.keep(track, held=False)
        if self._publishes and not is_silent:
            own = track.applied if track.visits is None else session.positions
            revision = 2 * positions_of(own, session.linked)
            cached.change = Change(session.id, revision, told_of(session, self._rules))
        return True

    # What follows from a track.

    def _settle(self, draft: Draft, cached: Cached) -> None:
        """Bring a track whose home is here to its end clock, and work out what follows from it."""
        key, track, cached.change = cached.key, cached.track, None
        if not (cached.token or track.sessions or track.alias or key in draft.consulted):
            del draft.touched[key], self._life.cache[key]  # It was swept, or all its records came too late.
            return
        draft.left.pop(key, None)
        clock = self._end_clock_of(draft, cached)
        if clock is not None:
            ended = settle(track, clock, self._rules)
            draft.shown |= {session.id for session in ended}
            draft.ends += len(ended)
            let_go = self._sweeps and track.visits is not None and self._let_go(draft, cached)
            if ended or let_go:
                cached.is_changed = True
        elif track.home is not None:
            draft.left[key] = track.home
        self._stand(draft, cached)
        if cached.is_changed:
            call, timed = next_due(track, self._rules), timed_of(track, cached.live, self._rules)
            self._call(draft, cached, track, call, begins=not set(timed).issubset(cached.timed))
            cached.call, cached.timed = call, timed

    def _stand(self, draft: Draft, cached: Cached) -> None:
        """Which of its sessions go on, and need a short id for that; and which have one and need it no longer."""
        is_new = cached.is_changed or cached.key in draft.noted
        is_home = cached.track.home in self._life.marks
        live, before = list[str](), set(cached.live)
        draft.ended.pop(cached.key, None)
        for session in cached.track.sessions:
            if is_live(session, self._rules):
                live.append(session.id)
                if is_new and is_home and session.id not in before:
                    draft.wanted.append((cached, session))
            elif is_home and session.short_id is not None and is_published(session):
                draft.ended.setdefault(cached.key, []).append((session.id, session.short_id))
        cached.live = tuple(live)

    def _call(self, draft: Draft, cached: Cached, track: Track, at: int | None, *, begins: bool) -> None:
        """Set the track's deadline where the one that the store has is missing, too late, or another partition's.

        Where one that ends by time `begins`, the deadline was for a sweep, and may have been put off by `dealt_with`.
        """
        before = cached.call
        keeper = track.home if track.home is not None else track.keeper
        if at is None or keeper is None:
            return
        # One that has passed is not there any more where nothing is swept.
        is_of_use = before is not None and draft.end_clocks.get(keeper, NO_CLOCK) <= before <= at
        if begins or not is_of_use or track.keeper != keeper:
            gone, _ = draft.calls.get(cached.key, (None, None))
            if track.keeper is not None and track.keeper != keeper:
                gone = Due(track.keeper, before or 0)
            draft.calls[cached.key] = (gone, Due(keeper, at))
        track.keeper = keeper

    def _let_go(self, draft: Draft, cached: Cached) -> bool:
        """Visits that are no longer held leave the track of a visitor who has others that are.

        Not in the turn that publishes their end, nor in one that finds a note: it may be the first to publish them.
        """
        key, track = cached.key, cached.track
        assert track.home is not None
        assert track.visits is not None
        clock = self._life.marks[track.home].clock
        is_asked = (key in draft.due and key not in draft.noted) or are_too_many(track.sessions)
        if not is_asked or clock is None or is_swept(track, clock, self._rules):
            return False
        before, due, past = len(track.sessions), draft.due.get(key), cached.past
        ending = {
            one.id
            for one in track.sessions
            if due is not None and one.id in past and is_to_publish(one, due, self._rules)
        }
        forget_visits(track.sessions, track.visits, clock - SWEEP_SLACK, self._rules, staying=draft.shown | ending)
        return len(track.sessions) < before

    def _end_clock_of(self, draft: Draft, cached: Cached) -> int | None:
        """None where the track's home is somebody else's, or its shard has not caught up."""
        life, home = self._life, cached.track.home
        if home not in life.marks or cached.shard in life.behind:
            return None
        clock = draft.end_clocks[home]
        # What had ended for readers before the store lost it does not come back for a moment.
        return max(clock, life.floors.get(home, NO_CLOCK)) if cached.key in draft.noted else clock
