"""Step 4 of a turn: one write a shard, for every shard, touched or not, each all or nothing (design §3)."""

from collections.abc import Callable

from projector.draft import Draft
from projector.drafting import Drafting
from projector.errors import Doubt
from projector.life import Life
from projector.ports import NO_CLOCK, Conflict, Offset, Overtaken, Partition, Position, Saved, Store, Stored, Write
from projector.route import TrackKey
from projector.rules import Rules
from projector.track import Due, Track, next_due


class Saving:
    """Writes the drafts of one life."""

    def __init__(self, life: Life, store: Store, rules: Rules, drafting: Drafting) -> None:
        self._life, self._store, self._rules, self._drafting = life, store, rules, drafting

    def save(self, draft: Draft) -> int:
        """Write the draft; gives how many writes were refused because others wrote a track in between.

        Positions go with the tracks, unless facts went from one track to another in another shard: then they are
        written last, so that no shard's position is past a record whose facts another shard does not have yet.

        Raises:
            Doubt: a store's position is not where this life left it.
        """
        if self._store.shards == 1 or not draft.linked:
            return self._write_all(draft, lambda _key: True, with_positions=True)
        # Visits before the ids that lead to them: a visit whose id leads nowhere yet loses nothing.
        adopted = {key for keys in draft.adopted.values() for key in keys}
        refused = self._write_all(draft, lambda key: key not in adopted, with_positions=False)
        refused += self._write_all(draft, lambda _key: True, with_positions=False)
        for shard in range(self._store.shards):
            write = Write(self._expected(shard), positions=self._positions(draft), clocks=draft.end_clocks)
            self._accept(draft, shard, self._store.save(shard, write))
        return refused

    def _write_all(self, draft: Draft, is_meant: Callable[[TrackKey], bool], *, with_positions: bool) -> int:
        refused, waiting = 0, set(range(self._store.shards))
        while waiting:
            for shard in sorted(waiting):
                self._drop_empty(draft)
                result = self._store.save(shard, self._write(draft, shard, is_meant, with_positions=with_positions))
                if isinstance(result, Conflict):
                    refused += 1
                    self._drafting.again(draft, result)
                    continue
                self._accept(draft, shard, result)
                waiting.discard(shard)
            waiting |= {self._store.shard_of(key) for key in draft.changed if is_meant(key)}
        return refused

    def _drop_empty(self, draft: Draft) -> None:
        """Tracks of which nothing is kept: they were swept, or all their records came too late."""
        for key in list(draft.touched):
            track = self._life.cache[key].track
            if not track.sessions and track.alias is None and key not in draft.consulted:
                del draft.touched[key], self._life.cache[key]
                draft.changed.discard(key)

    def _write(self, draft: Draft, shard: int, is_meant: Callable[[TrackKey], bool], *, with_positions: bool) -> Write:
        life, shard_of = self._life, self._store.shard_of
        write = Write(self._expected(shard), clocks=draft.end_clocks)
        if with_positions:
            write.positions = self._positions(draft)
        for key in draft.touched:
            if shard_of(key) == shard and is_meant(key):
                self._put(draft, write, key, shard)
        write.clear_notes = [note for note in life.published_notes if shard_of(note[1]) == shard]
        write.move_due = [moved for moved in life.published_due if shard_of(moved[0]) == shard]
        write.sweep = [swept for swept in life.swept if shard_of(swept[0]) == shard]
        return write

    def _put(self, draft: Draft, write: Write, key: TrackKey, shard: int) -> None:
        """One track: written if it is changed, else only compared; noted if it is not to be published here and now."""
        life, stored = self._life, self._life.cache[key]
        changed, home = key in draft.changed, stored.track.home
        write.tracks.append((key, stored.token or None, stored.track if changed else None))
        if changed:
            self._call(draft, write, key, stored.track)
        if home is not None and (shard in life.behind or home not in life.marks):
            write.notes.append((home, key))
            draft.left.add(key)

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

    def _accept(self, draft: Draft, shard: int, result: Saved | Conflict | Overtaken) -> None:
        """Take over the tokens and positions of a write that was made; the store may not have gone back anywhere."""
        life = self._life
        before = life.shards[shard]
        if not isinstance(result, Saved) or any(
            one not in result.positions or result.positions[one].offset < at.offset for one, at in before.items()
        ):
            raise Doubt(f"shard {shard} is not as this worker left it: it lost writes, or others own a partition of it")
        life.shards[shard] = result.positions
        draft.saved[shard] = result
        for key, token in result.tokens.items():
            life.cache[key] = Stored(token, life.cache[key].track)
            draft.changed.discard(key)
