"""Step 4 of a turn: one write a shard, for every shard, touched or not, each all or nothing (design §3).

And what goes before the first turn of a life: each shard knows of each partition.
"""

from collections.abc import Collection

from projector.cache import Cached
from projector.draft import Draft
from projector.drafting import Drafting
from projector.errors import Doubt
from projector.life import Life
from projector.ports import NO_CLOCK, Conflict, Offset, Overtaken, Partition, Position, Saved, Store, Write
from projector.route import TrackKey


class Saving:
    """Writes the drafts of one life."""

    def __init__(self, life: Life, store: Store, drafting: Drafting) -> None:
        self._life, self._store, self._drafting = life, store, drafting
        self._is_placed = False

    def take_place(self) -> None:
        """Before the life's first turn: note where a partition begins, in shards that have nothing of it yet.

        So it shows when a shard loses what is written into it first. Where the log has a gap at its beginning this is
        before it, so that it is found again until it has been counted.
        """
        if self._is_placed:
            return
        life = self._life
        for shard in range(self._store.shards):
            expected = self._expected(shard)
            places = {
                one: _position(min(life.read[one], life.marks[one].origin), life.marks[one].clock)
                for one, stored in expected.items()
                if stored is None or stored < life.marks[one].origin  # Of an earlier topic of the name.
            }
            if places:
                self._require(shard, self._store.save(shard, Write(expected, positions=places)))
        self._is_placed = True

    def save(self, draft: Draft) -> int:
        """Write the draft; gives how many writes were refused because others wrote a track in between.

        Positions go with the tracks, unless facts went from one track to another in another shard: then they are
        written last, so that no shard's position is past a record whose facts another shard does not have yet.

        Raises:
            Doubt: a store's position is not where this life left it.
        """
        if self._store.shards == 1 or not draft.linked:
            return self._write_all(draft, frozenset(), with_positions=True)
        # Visits before the ids that lead to them: a visit whose id leads nowhere yet loses nothing.
        adopted = {key for keys in draft.adopted.values() for key in keys}
        refused = self._write_all(draft, adopted, with_positions=False)
        refused += self._write_all(draft, frozenset(), with_positions=False)
        for shard in range(self._store.shards):
            write = Write(self._expected(shard), positions=self._positions(draft), clocks=draft.end_clocks)
            self._accept(draft, shard, write, self._store.save(shard, write))
        return refused

    def _write_all(self, draft: Draft, without: Collection[TrackKey], *, with_positions: bool) -> int:
        """Write all but the tracks `without`."""
        refused, waiting = 0, set(range(self._store.shards))
        by_shard = self._by_shard(draft, without)
        while waiting:
            for shard in sorted(waiting):
                write = self._write(draft, shard, by_shard.get(shard, []), with_positions=with_positions)
                result = self._store.save(shard, write)
                if isinstance(result, Conflict):
                    refused += 1
                    self._drafting.again(draft, result)
                    by_shard = self._by_shard(draft, without)
                    continue
                self._accept(draft, shard, write, result)
                waiting.discard(shard)
            if refused:  # What was folded again may have changed tracks of shards that had been written.
                waiting |= {shard for shard, tracks in by_shard.items() if any(one.is_changed for one in tracks)}
        return refused

    def _by_shard(self, draft: Draft, without: Collection[TrackKey]) -> dict[int, list[Cached]]:
        if self._store.shards == 1 and not without:
            return {0: list(draft.touched.values())}
        by_shard: dict[int, list[Cached]] = {}
        for key, cached in draft.touched.items():
            if key not in without:
                by_shard.setdefault(cached.shard, []).append(cached)
        return by_shard

    def _write(self, draft: Draft, shard: int, tracks: list[Cached], *, with_positions: bool) -> Write:
        """Tracks are written if they are changed, else only compared; noted if not to be published here and now."""
        life, shard_of = self._life, self._store.shard_of
        write = Write(self._expected(shard), clocks=draft.end_clocks)
        if with_positions:
            write.positions = self._positions(draft)
        write.tracks = [(one.key, one.token or None, one.encoded() if one.is_changed else None) for one in tracks]
        if draft.calls:
            calls, changed = draft.calls, [one.key for one in tracks if one.is_changed and one.key in draft.calls]
            write.due = [(key, *calls[key]) for key in changed]
        if draft.left:
            write.notes = [(draft.left[one.key], one.key) for one in tracks if one.key in draft.left]
        write.clear_notes = [note for note in life.published_notes if shard_of(note[1]) == shard]
        write.move_due = [moved for moved in life.published_due if shard_of(moved[0]) == shard]
        write.sweep = [swept for swept in life.swept if shard_of(swept[0]) == shard]
        write.asks = frozenset(home for at, home in life.told if at == shard)
        if shard in life.behind:
            write.asks |= {home for home, _ in write.notes}
        return write

    def _expected(self, shard: int) -> dict[Partition, Offset | None]:
        stored = self._life.shards[shard]
        return {one: stored[one].offset if one in stored else None for one in self._life.partitions}

    def _positions(self, draft: Draft) -> dict[Partition, Position]:
        marks = self._life.marks
        return {one: _position(draft.next[one], marks[one].clock) for one in self._life.partitions}

    def _accept(self, draft: Draft, shard: int, write: Write, result: Saved | Conflict | Overtaken) -> None:
        """Take over the tokens and positions of a write that was made."""
        saved = self._require(shard, result)
        draft.saved[shard] = saved
        self._wait_for_notes(shard, write, saved)
        touched = draft.touched
        for key, token in saved.tokens.items():
            cached = touched[key]
            cached.token, cached.is_changed = token, False

    def _require(self, shard: int, result: Saved | Conflict | Overtaken) -> Saved:
        """It was made, and the store has not gone back anywhere."""
        before = self._life.shards[shard]
        if not isinstance(result, Saved) or any(
            one not in result.positions or result.positions[one].offset < at.offset for one, at in before.items()
        ):
            raise Doubt(f"shard {shard} is not as this worker left it: it lost writes, or others own a partition of it")
        self._life.shards[shard] = result.positions
        return result

    def _wait_for_notes(self, shard: int, write: Write, saved: Saved) -> None:
        """Keep in mind which notes have to be gone before a new life may read on from what is committed."""
        told = self._life.told
        left = {home for home, _ in write.notes} if shard in self._life.behind else set()
        for home in write.asks:
            oldest, newest = saved.waiting.get(home, (None, 0))
            if oldest is None or oldest > told.get((shard, home), 0):
                told.pop((shard, home), None)
            if home in left:
                told[shard, home] = newest


def _position(offset: Offset, clock: int | None) -> Position:
    return Position(offset, NO_CLOCK if clock is None else clock)
