"""One turn of a worker, steps 1 to 6 of the protocol (design §3); the order of effects is written here, once.

    poll -> read -> load -> fold -> save -> publish -> commit

State is saved before its snapshot is published, and positions move only with the transaction that publishes. A turn
that raises `Doubt` leaves a life that must not be used again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from projector import deadlines
from projector.decode import Rejected
from projector.errors import Doubt
from projector.ledger import Mark
from projector.life import Life, catch_up
from projector.ports import (
    NO_CLOCK,
    Batch,
    Change,
    Clock,
    Committed,
    Conflict,
    Offset,
    Overtaken,
    Partition,
    Position,
    Publisher,
    Refused,
    Saved,
    Store,
    Stored,
    Token,
    Write,
)
from projector.reading import Reading, read
from projector.rules import Rules
from projector.session import Session, ended_at, is_published
from projector.track import (
    Due,
    Incoming,
    Outcome,
    Track,
    TrackKey,
    fold,
    link,
    links_of,
    named_track,
    next_due,
    revision_of,
    settle,
)

UNWRITTEN = Token(b"")
"""The token of a track that the store has not seen yet."""


class Done(Struct):
    """What a turn did, for those who watch."""

    records: int = 0
    snapshots: int = 0
    rejects: int = 0
    ends: int = 0
    conflicts: int = 0
    without_short_id: int = 0
    cuts: Counter[str] = msgspec.field(default_factory=Counter)


class Draft(Struct):
    """A turn in the making."""

    work: Mapping[TrackKey, list[Incoming]]
    end_clocks: dict[Partition, int]
    next: dict[Partition, Offset]
    touched: dict[TrackKey, None] = {}
    """Tracks that take part, in order: with records, by a link, noted, or due."""
    changed: set[TrackKey] = set()
    """Those that differ from what is stored."""
    calls: dict[TrackKey, int | None] = {}
    """When the store was to call for each, as it was before the turn (ms)."""
    outcomes: dict[TrackKey, list[Outcome | Rejected]] = {}
    live_before: dict[str, bool] = {}
    """By session id: had it a right to a short id before the turn?"""
    due: dict[TrackKey, Due] = {}
    """Those that take part because their deadline has passed."""
    noted: dict[TrackKey, Partition] = {}
    """Those that take part because somebody left a note."""
    left: set[TrackKey] = set()
    """Those that were noted for their home, or for later, and so are not published now."""
    saved: dict[int, Saved] = {}
    """By shard the answer of its last write."""
    linked: bool = False
    """Facts went from one track to another: positions are written once all shards have them."""


class Turn:
    """The turns of one life."""

    def __init__(
        self,
        *,
        life: Life,
        store: Store,
        publisher: Publisher,
        clock: Clock,
        rules: Rules,
        started_at: int,
        cache_max: int,
        sweeps: bool = True,
    ) -> None:
        self._life, self._store, self._publisher, self._clock = life, store, publisher, clock
        self._rules, self._started_at, self._cache_max, self._sweeps = rules, started_at, cache_max, sweeps

    def run(self, batch: Batch) -> Done:
        """Take one batch through all steps; returns when it is committed.

        Raises:
            Doubt: an effect's outcome is unknown, or somebody else has overtaken this worker. Begin a new life.
        """
        life = self._life
        done = Done(records=len(batch.records))
        reading = read(batch, life.marks, life.committed, self._rules, self._started_at)
        draft = self._draft(batch, reading)
        self._load(draft.touched)
        self._fold(draft, draft.touched, done)
        self._follow_links(draft, done)
        self._settle(draft, done)
        self._claim(draft, done)
        self._save(draft, done)
        reading.refused += self._account(draft, batch)
        self._publish(draft, reading.refused, batch, done)
        self._forget(draft)
        return done

    # Step 1: what takes part.

    def _draft(self, batch: Batch, reading: Reading) -> Draft:
        life = self._life
        next_offsets = {one: max(batch.next.get(one, 0), life.read[one]) for one in life.partitions}
        draft = Draft(reading.work, self._end_clocks(batch), next_offsets, due=life.due, noted=life.noted)
        for key in life.noted:
            life.cache.pop(key, None)  # Somebody else wrote it.
        draft.touched = dict.fromkeys((*reading.work, *life.noted, *life.due))
        return draft

    def _end_clocks(self, batch: Batch) -> dict[Partition, int]:
        """By partition the partition clock, or the wall clock where that is later and all is read (contract §1)."""
        now = self._clock.now()
        clocks = {}
        for partition in self._life.partitions:
            clock = self._life.marks[partition].clock
            clocks[partition] = NO_CLOCK if clock is None else clock
            if partition in batch.at_end:
                clocks[partition] = max(clocks[partition], now)
        return clocks

    # Step 2: load.

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

    # Step 3: fold.

    def _fold(self, draft: Draft, keys: Iterable[TrackKey], done: Done) -> None:
        rules, committed = self._rules, self._life.committed
        for key in keys:
            track = self._life.cache[key].track
            self._before(draft, key, track)
            incoming = draft.work.get(key)
            if incoming is None:
                continue
            draft.outcomes[key] = fold(track, key[2:], incoming, committed=committed, rules=rules, cuts=done.cuts)
            if any(outcome is not Outcome.REDELIVERED for outcome in draft.outcomes[key]) and track.sessions:
                draft.changed.add(key)

    def _before(self, draft: Draft, key: TrackKey, track: Track) -> None:
        draft.calls[key] = next_due(track, self._rules)
        for session in track.sessions:
            draft.live_before[session.id] = self._is_live(session)

    def _is_live(self, session: Session) -> bool:
        return is_published(session) and ended_at(session, self._rules) is None

    def _follow_links(self, draft: Draft, done: Done) -> None:
        """Join what conversations say into the sessions that they name, also where their records were skipped."""
        sources = [(key, found) for key in draft.touched if (found := links_of(self._life.cache[key].track))]
        if not sources:
            return
        targets = {named_track(named): None for _, found in sources for _, named in found}
        fresh = [key for key in targets if key not in draft.touched]
        self._load(fresh)
        self._fold(draft, fresh, done)
        draft.touched.update(dict.fromkeys(fresh))
        draft.linked = True
        for source, found in sources:
            for session, named in found:
                self._link(draft, source, session, named)

    def _link(self, draft: Draft, source: TrackKey, session: Session, named: str) -> None:
        life, key = self._life, named_track(named)
        partitions = life.cache[source].track.applied
        clock = max((draft.end_clocks.get(one, NO_CLOCK) for one in partitions), default=NO_CLOCK)
        track = life.cache[key].track
        if link(track, named, session, at=partitions, clock=clock, rules=self._rules):
            draft.changed.add(key)
            if track.keeper is None:
                track.keeper = next((one for one in partitions if one in life.partitions), None)

    def _settle(self, draft: Draft, done: Done) -> None:
        """Bring the tracks whose home is here to their end clock."""
        for key in draft.touched:
            track = self._life.cache[key].track
            clock = self._end_clock_of(draft, key, track)
            if clock is not None and settle(track, clock, self._rules):
                draft.changed.add(key)
                done.ends += 1

    def _end_clock_of(self, draft: Draft, key: TrackKey, track: Track) -> int | None:
        """None where the track's home is somebody else's, or its shard has not caught up."""
        life = self._life
        if track.home not in life.marks or self._store.shard_of(key) in life.behind:
            return None
        clock = draft.end_clocks[track.home]
        # What had ended for readers before the store lost it does not come back for a moment.
        return max(clock, life.floors.get(track.home, NO_CLOCK)) if key in draft.noted else clock

    def _claim(self, draft: Draft, done: Done) -> None:
        """Short ids for sessions that now have a right to one, before they are saved (design §2)."""
        wanted: list[tuple[TrackKey, Session]] = []
        for key in draft.changed:
            track = self._life.cache[key].track
            if track.home in self._life.marks:
                wanted += [
                    (key, session)
                    for session in track.sessions
                    if self._is_live(session) and not draft.live_before.get(session.id, False)
                ]
        if not wanted:
            return
        asked = [(session.id, session.short_id) for _, session in wanted]
        claimed = self._store.claim_short_ids(asked, self._rules.short_id_digits)
        for (_, session), short_id in zip(wanted, claimed, strict=True):
            session.short_id = short_id
            draft.live_before[session.id] = True
            done.without_short_id += short_id is None

    # Step 4: save.

    def _save(self, draft: Draft, done: Done) -> None:
        """Every shard, touched or not, each all or nothing; again where others wrote in between."""
        for key in [key for key in draft.touched if not self._life.cache[key].track.sessions]:
            del draft.touched[key], self._life.cache[key]  # Nothing of it is kept: swept, or all its records too late.
        at_once = self._store.shards == 1 or not draft.linked
        waiting = set(range(self._store.shards))
        while waiting:
            for shard in sorted(waiting):
                result = self._store.save(shard, self._write(draft, shard, with_positions=at_once))
                if isinstance(result, Conflict):
                    self._fold_again(draft, result, done)
                    continue
                self._saved(shard, self._accepted(shard, result), draft)
                waiting.discard(shard)
            if draft.changed:
                waiting |= {self._store.shard_of(key) for key in draft.changed}
        if not at_once:
            for shard in range(self._store.shards):
                write = Write(self._expected(shard), positions=self._positions(draft), clocks=draft.end_clocks)
                self._saved(shard, self._accepted(shard, self._store.save(shard, write)), draft)

    def _write(self, draft: Draft, shard: int, *, with_positions: bool) -> Write:
        life, shard_of = self._life, self._store.shard_of
        write = Write(self._expected(shard), clocks=draft.end_clocks)
        if with_positions:
            write.positions = self._positions(draft)
        for key in draft.touched:
            if shard_of(key) != shard:
                continue
            stored = life.cache[key]
            changed = key in draft.changed
            write.tracks.append((key, stored.token or None, stored.track if changed else None))
            if changed:
                self._call(draft, write, key, stored.track)
            home = stored.track.home
            if home is not None and (shard in life.behind or home not in life.marks):
                write.notes.append((home, key))
                draft.left.add(key)
        write.clear_notes = [note for note in life.published_notes if shard_of(note[1]) == shard]
        write.move_due = [moved for moved in life.published_due if shard_of(moved[0]) == shard]
        write.sweep = [swept for swept in life.swept if shard_of(swept[0]) == shard]
        return write

    def _call(self, draft: Draft, write: Write, key: TrackKey, track: Track) -> None:
        """Set the track's deadline where the one that the store has is missing, too late, or another partition's."""
        keeper = track.home if track.home is not None else track.keeper
        at, before = next_due(track, self._rules), draft.calls.get(key)
        if at is None or keeper is None:
            return
        moved = track.keeper is not None and track.keeper != keeper
        if before is None or at < before or moved or track.keeper is None:
            old = Due(track.keeper, before or 0) if moved and track.keeper is not None else None
            write.due.append((key, old, Due(keeper, at)))
        track.keeper = keeper

    def _expected(self, shard: int) -> dict[Partition, Offset | None]:
        stored = self._life.shards[shard]
        return {one: stored[one].offset if one in stored else None for one in self._life.partitions}

    def _positions(self, draft: Draft) -> dict[Partition, Position]:
        marks = self._life.marks
        clocks = {one: marks[one].clock for one in self._life.partitions}
        return {one: Position(draft.next[one], NO_CLOCK if clock is None else clock) for one, clock in clocks.items()}

    def _accepted(self, shard: int, result: Saved | Conflict | Overtaken) -> Saved:
        """The result of a write that was made; the store may not have gone back at any partition."""
        if isinstance(result, Saved):
            before = self._life.shards[shard]
            if all(one in result.positions and result.positions[one].offset >= at.offset for one, at in before.items()):
                return result
        raise Doubt(f"shard {shard} is not as this worker left it: it lost writes, or somebody else owns a partition")

    def _saved(self, shard: int, saved: Saved, draft: Draft) -> None:
        life = self._life
        life.shards[shard] = saved.positions
        draft.saved[shard] = saved
        for key, token in saved.tokens.items():
            life.cache[key] = Stored(token, life.cache[key].track)
            draft.changed.discard(key)

    def _fold_again(self, draft: Draft, conflict: Conflict, done: Done) -> None:
        done.conflicts += 1
        for key, stored in conflict.tracks.items():
            self._life.cache[key] = stored if stored is not None else Stored(UNWRITTEN, Track())
            draft.changed.discard(key)
        self._fold(draft, conflict.tracks, done)
        self._follow_links(draft, done)
        self._settle(draft, done)
        self._claim(draft, done)

    # Steps 5 and 6: publish and commit, one transaction.

    def _account(self, draft: Draft, batch: Batch) -> list[Refused]:
        """Enter into the ledger what became of the events; gives those that were too late."""
        life = self._life
        late: dict[tuple[Partition, Offset], Rejected] = {}
        for key, outcomes in draft.outcomes.items():
            for incoming, outcome in zip(draft.work[key], outcomes, strict=True):
                ledger = life.marks[incoming.partition].ledger
                if outcome is Outcome.REDELIVERED or incoming.offset < life.committed.get(incoming.partition, 0):
                    ledger.redelivered += 1
                elif outcome is Outcome.FOLDED:
                    ledger.folded += 1
                elif outcome is Outcome.DUPLICATE:
                    ledger.duplicates += 1
                else:
                    assert isinstance(outcome, Rejected)
                    ledger.reject(outcome.reason)
                    late[incoming.partition, incoming.offset] = outcome
        if not late:
            return []
        records = ((record, late.get((record.partition, record.offset))) for record in batch.records)
        return [Refused(record, why.reason.value, why.detail) for record, why in records if why is not None]

    def _publish(self, draft: Draft, refused: list[Refused], batch: Batch, done: Done) -> None:
        life = self._life
        changes = self._changes(draft)
        refused.sort(key=lambda one: (one.record.partition, one.record.offset))
        moved = any(draft.next[one] > life.read[one] or one not in life.committed for one in life.partitions)
        if changes or refused or moved:
            self._publisher.publish(changes, refused, self._commits(draft), batch.group)
            life.committed = {one: max(draft.next[one], life.committed.get(one, 0)) for one in life.partitions}
        done.snapshots, done.rejects = len(changes), len(refused)
        life.read = draft.next

    def _changes(self, draft: Draft) -> list[Change]:
        """Every session touched whose home is here, also where all records were skipped: that heals a lost publish."""
        changes = []
        for key in draft.touched:
            track = self._life.cache[key].track
            if key in draft.left or track.home is None:
                continue
            only_due = draft.due.get(key) if key not in draft.work and key not in draft.noted else None
            for session in track.sessions:
                if is_published(session) and deadlines.is_to_publish(session, only_due, self._rules):
                    changes.append(Change(session.id, revision_of(track, session, self._rules), session))
        return changes

    def _commits(self, draft: Draft) -> dict[Partition, Committed]:
        """Offsets with their marks; never below what is committed, and then with the clock that belongs there."""
        life, commits = self._life, {}
        for partition in life.partitions:
            mark, offset, committed = life.marks[partition], draft.next[partition], life.committed.get(partition, 0)
            if draft.end_clocks[partition] != NO_CLOCK:
                mark.end_clock = max(draft.end_clocks[partition], mark.end_clock or NO_CLOCK)
            if offset < committed:
                there = Mark(life.clocks_committed.get(partition), mark.ledger, mark.origin, mark.end_clock)
                commits[partition] = Committed(committed, there.encode())
            else:
                commits[partition] = Committed(offset, mark.encode())
        return commits

    # Afterwards: what the next turn has to do, and what need not be remembered.

    def _forget(self, draft: Draft) -> None:
        life, rules, releases = self._life, self._rules, []
        catch_up(life, life.read)
        caught_up = [saved for shard, saved in draft.saved.items() if shard not in life.behind]
        life.published_notes = self._notes_dealt_with(draft)
        life.published_due, life.swept = deadlines.dealt_with(
            life, draft.due, draft.end_clocks, rules, sweeps=self._sweeps
        )
        gone = {key for key, _ in life.swept}
        for key in gone:
            life.cache.pop(key, None)
        taken = draft.touched.keys() - draft.left
        life.noted = {key: one for saved in caught_up for key, one in saved.notes.items() if key not in taken}
        life.due = {key: due for saved in caught_up for key, due in saved.due.items() if key not in draft.touched}
        if not life.behind and not life.noted:
            life.floors = {}
        for key in draft.touched:
            for session in life.cache[key].track.sessions if key in life.cache and key not in draft.left else ():
                if session.short_id is not None and ended_at(session, rules) is not None:
                    releases.append((session.id, session.short_id))
        if releases:
            self._store.release_short_ids(releases)
        while len(life.cache) > self._cache_max:
            del life.cache[next(iter(life.cache))]

    def _notes_dealt_with(self, draft: Draft) -> list[tuple[Partition, TrackKey, Token]]:
        cache = self._life.cache
        return [
            (home, key, cache[key].token if key in cache else UNWRITTEN)
            for key, home in draft.noted.items()
            if key not in draft.left
        ]
