"""State in this process: tracks in memory, the least recently used ones on disk, gone when it is closed.

Means the same as Redis does, with one owner: nothing of it is ever lost, so no position can go down behind our back.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import xxhash

from projector.adapters.short_id_pool import ShortIdPool
from projector.errors import Unavailable
from projector.ports import Conflict, Offset, Overtaken, Partition, Position, Saved, Stored, Token, Write
from projector.route import TrackKey
from projector.track import Due, Track, decode_track

_Kept = tuple[Token, bytes]
"""A track, encoded, with the token of its last write."""

ANSWER_MAX = 1000
"""Notes and deadlines given back at once, of a partition; as in save.lua."""
ASKED_MAX = 500
"""Keys asked for in one statement: SQLite takes 999 everywhere."""


class EmbeddedStore:
    """The `Store` of a replay; without `short_ids` no session gets one."""

    def __init__(self, *, memory_tracks_max: int = 200_000, shards: int = 1, short_ids: bool = True) -> None:
        self.shards = shards
        self._tracks: OrderedDict[TrackKey, _Kept] = OrderedDict()
        """In memory, the least recently used first; what the disk has of the same key is older."""
        self._tracks_max = memory_tracks_max
        self._disk = _Disk()
        self._positions: list[dict[Partition, Position]] = [{} for _ in range(shards)]
        self._notes: list[dict[Partition, dict[TrackKey, int]]] = [{} for _ in range(shards)]
        """By shard and partition the tracks that are noted, each with its number, ascending."""
        self._numbers: list[dict[Partition, int]] = [{} for _ in range(shards)]
        """By shard and partition the number of the newest note that was left."""
        self._origins: dict[Partition, Offset] = {}
        self._short_ids = ShortIdPool() if short_ids else None
        self._writes = 0

    def shard_of(self, key: TrackKey) -> int:
        return xxhash.xxh3_64_intdigest(key.encode()) % self.shards if self.shards > 1 else 0

    def positions(self) -> list[dict[Partition, Position]]:
        return [dict(one) for one in self._positions]

    def load(self, keys: Sequence[TrackKey]) -> dict[TrackKey, Stored | None]:
        self._fetch(keys)
        loaded = {key: self._stored(key) for key in keys}
        self._spill()
        return loaded

    def save(self, shard: int, write: Write) -> Saved | Conflict | Overtaken:
        positions = self._positions[shard]
        for partition, offset in write.expected.items():
            stored = positions.get(partition)
            if (None if stored is None else stored.offset) != offset:
                return Overtaken(dict(positions))
        others = self._others(write)
        if others:
            return Conflict({key: self._stored(key) for key in others})
        self._clear(shard, write)
        tokens = self._put(write)
        self._call(shard, write)
        self._advance(shard, write.positions)
        self._sweep(shard, write.sweep)
        self._spill()
        noted, due = self._noted(shard, write.clocks), self._due(shard, write.clocks)
        return Saved(dict(positions), tokens, noted, due, waiting=self._waiting(shard, write.asks))

    def origins(self, proposed: Mapping[Partition, Offset]) -> dict[Partition, Offset]:
        return {partition: self._origins.setdefault(partition, offset) for partition, offset in proposed.items()}

    def claim_short_ids(self, wanted: Sequence[tuple[str, str | None]], digits: int) -> list[str | None]:
        if self._short_ids is None:
            return [None] * len(wanted)
        return [self._short_ids.claim(session_id, had, digits) for session_id, had in wanted]

    def retire_short_ids(self, held: Sequence[tuple[str, str]]) -> None:
        if self._short_ids is not None:
            self._short_ids.retire(held)

    def release_short_ids(self, held: Sequence[tuple[str, str]]) -> None:
        if self._short_ids is not None:
            self._short_ids.release(held)

    def short_ids_taken(self) -> int:
        return 0 if self._short_ids is None else len(self._short_ids)

    def sessions(self) -> Iterator[tuple[TrackKey, Track]]:
        """All tracks, in no order; nothing may be loaded or saved until the last has been taken."""
        yield from ((key, decode_track(record)) for key, (_, record) in self._tracks.items())
        for key, record in self._disk.tracks():
            if key not in self._tracks:
                yield key, decode_track(record)

    def all_keys(self) -> list[TrackKey]:
        return [*self._tracks, *(key for key in self._disk.all_keys() if key not in self._tracks)]

    def hand_over(self, keys: Iterable[TrackKey]) -> list[tuple[TrackKey, bytes]]:
        """Take these tracks out, with all that belongs to them, for a store that takes them over."""
        wanted = list(keys)
        self._fetch(wanted)
        tracks = [(key, self._tracks[key][1]) for key in wanted if key in self._tracks]
        for shard in range(self.shards):
            self._drop(shard, [key for key, _ in tracks])
        return tracks

    def take_over(self, tracks: Sequence[tuple[TrackKey, bytes, Due | None]]) -> None:
        """Put in tracks that another store handed over, each with the deadline at which it calls."""
        write = Write({}, tracks=[(key, None, record) for key, record, _ in tracks])
        self._put(write)
        for key, _, due in tracks:
            if due is not None:
                self._disk.set_due([(due.partition, key, due.at, self.shard_of(key))])
        self._spill()

    def close(self) -> None:
        self._disk.close()

    # Tracks, in memory and on disk.

    def _fetch(self, keys: Iterable[TrackKey]) -> None:
        """Bring those of them that exist into memory, as the latest used."""
        tracks, missing = self._tracks, []
        for key in keys:
            if key in tracks:
                tracks.move_to_end(key)
            else:
                missing.append(key)
        for key, token, record in self._disk.find(missing):
            tracks[key] = token, record

    def _others(self, write: Write) -> list[TrackKey]:
        """Tracks of the write that somebody else wrote in between; all of them are in memory then, the latest used."""
        tracks, missing, others = self._tracks, [], []
        for key, was, _ in write.tracks:
            stored = tracks.get(key)
            if stored is None:
                missing.append((key, was))
            else:
                tracks.move_to_end(key)
                if stored[0] != was:
                    others.append(key)
        if missing:
            self._fetch([key for key, _ in missing])
            others += [key for key, was in missing if not self._has(key, was)]
        return others

    def _has(self, key: TrackKey, token: Token | None) -> bool:
        stored = self._tracks.get(key)
        return not token if stored is None else stored[0] == token

    def _stored(self, key: TrackKey) -> Stored | None:
        kept = self._tracks.get(key)
        return None if kept is None else Stored(kept[0], decode_track(kept[1]), kept[1])

    def _put(self, write: Write) -> dict[TrackKey, Token]:
        """One token for all tracks of a write: tokens are compared track by track."""
        self._writes += 1
        token, tracks = Token(self._writes.to_bytes(12, "big")), self._tracks
        changed = {key: (token, record) for key, _, record in write.tracks if record is not None}
        tracks.update(changed)
        return dict.fromkeys(changed, token)

    def _spill(self) -> None:
        """Move the least recently used to disk, a sixteenth at a time: one by one would be slow."""
        excess = len(self._tracks) - self._tracks_max
        if excess > 0:
            count = min(len(self._tracks), excess + (self._tracks_max >> 4))
            moved = [self._tracks.popitem(last=False) for _ in range(count)]
            self._disk.put((key, *kept) for key, kept in moved)

    def _sweep(self, shard: int, swept: Iterable[tuple[TrackKey, Token]]) -> None:
        self._fetch([key for key, _ in swept])
        self._drop(shard, list({key: None for key, token in swept if key in self._tracks and self._has(key, token)}))

    def _drop(self, shard: int, gone: Sequence[TrackKey]) -> None:
        for key in gone:
            self._tracks.pop(key, None)
            for noted in self._notes[shard].values():
                noted.pop(key, None)
        self._disk.forget(gone)

    # Deadlines, notes and positions.

    def _clear(self, shard: int, write: Write) -> None:
        """What was published, while the tracks still are as they were then."""
        self._fetch([note[1] for note in write.clear_notes])
        for partition, key, token in write.clear_notes:
            if self._has(key, token):
                self._notes[shard].get(partition, {}).pop(key, None)
        self._fetch([moved[0] for moved in write.move_due])
        for key, token, fired, moved in write.move_due:
            at = self._disk.due_at(fired.partition, key)
            if at is not None and at <= fired.at and self._has(key, token):
                self._disk.drop_due([(fired.partition, key)])
                if moved is not None:
                    self._disk.set_due([(moved.partition, key, moved.at, shard)])

    def _call(self, shard: int, write: Write) -> None:
        if write.due:
            self._disk.drop_due(
                (gone.partition, key)
                for key, gone, comes in write.due
                if gone is not None and (comes is None or comes.partition != gone.partition)
            )
            self._disk.set_due(
                (comes.partition, key, comes.at, shard) for key, _, comes in write.due if comes is not None
            )
        numbers = self._numbers[shard]
        numbers |= {one: numbers.get(one, 0) + 1 for one in {one for one, _ in write.notes}}
        for partition, key in write.notes:
            notes = self._notes[shard].setdefault(partition, {})
            notes.pop(key, None)
            notes[key] = numbers[partition]

    def _advance(self, shard: int, positions: Mapping[Partition, Position]) -> None:
        """Never back."""
        stored = self._positions[shard]
        for partition, new in positions.items():
            old = stored.get(partition, new)
            stored[partition] = Position(max(old.offset, new.offset), max(old.clock, new.clock))

    def _noted(self, shard: int, partitions: Iterable[Partition]) -> dict[TrackKey, Partition]:
        notes = self._notes[shard]
        return {key: one for one in partitions for key in islice(notes.get(one, ()), ANSWER_MAX)}

    def _waiting(self, shard: int, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        waiting = {one: notes.values() for one in partitions if (notes := self._notes[shard].get(one))}
        return {one: (next(iter(found)), self._numbers[shard][one]) for one, found in waiting.items()}

    def _due(self, shard: int, clocks: Mapping[Partition, int]) -> dict[TrackKey, Due]:
        return {
            key: Due(partition, at)
            for partition, clock in clocks.items()
            for key, at in self._disk.due_before(shard, partition, clock)
        }


class _Disk:
    """What memory does not hold: spilled tracks, and all deadlines, whose number no bound of memory limits.

    An unnamed SQLite database: a file in the folder for temporary files that has no name, and goes with the process. It
    stays in SQLite's page cache while it is small.
    """

    def __init__(self) -> None:
        with _reported():
            self._base = sqlite3.connect("", isolation_level=None)
            self._base.executescript("""
                PRAGMA journal_mode = OFF;
                PRAGMA cache_size = -65536;
                CREATE TABLE track (key TEXT PRIMARY KEY, token BLOB, record BLOB);
                CREATE TABLE due (partition INTEGER, key TEXT, at INTEGER, shard INTEGER, PRIMARY KEY (partition, key))
                    WITHOUT ROWID;
                CREATE INDEX due_at ON due (shard, partition, at, key);
                BEGIN;  -- And never an end: nobody else reads it.
            """)
        self._is_used = False
        """Has a track ever been put here? While not, nothing needs to be looked for."""

    def put(self, tracks: Iterable[tuple[TrackKey, Token, bytes]]) -> None:
        self._is_used = True
        self._all("INSERT OR REPLACE INTO track VALUES (?, ?, ?)", tracks)

    def find(self, keys: Sequence[TrackKey]) -> Iterator[tuple[TrackKey, Token, bytes]]:
        if not self._is_used:
            return
        for first in range(0, len(keys), ASKED_MAX):
            some = keys[first : first + ASKED_MAX]
            marks = ",".join("?" * len(some))
            yield from self._ask(f"SELECT key, token, record FROM track WHERE key IN ({marks})", some)  # noqa: S608 - question marks

    def tracks(self) -> Iterator[tuple[TrackKey, bytes]]:
        yield from self._ask("SELECT key, record FROM track")

    def all_keys(self) -> Iterator[TrackKey]:
        yield from (key for (key,) in self._ask("SELECT key FROM track"))

    def forget(self, keys: Sequence[TrackKey]) -> None:
        if keys:
            self._all("DELETE FROM track WHERE key = ?", [(key,) for key in keys])
            self._all("DELETE FROM due WHERE key = ?", [(key,) for key in keys])

    def set_due(self, entries: Iterable[tuple[Partition, TrackKey, int, int]]) -> None:
        """The earlier of what is there and what comes."""
        self._all(
            "INSERT INTO due VALUES (?, ?, ?, ?) ON CONFLICT (partition, key) DO UPDATE SET at = min(at, excluded.at)",
            entries,
        )

    def drop_due(self, entries: Iterable[tuple[Partition, TrackKey]]) -> None:
        self._all("DELETE FROM due WHERE partition = ? AND key = ?", entries)

    def due_at(self, partition: Partition, key: TrackKey) -> int | None:
        found = self._ask("SELECT at FROM due WHERE partition = ? AND key = ?", (partition, key)).fetchone()
        return None if found is None else found[0]

    def due_before(self, shard: int, partition: Partition, clock: int) -> Iterator[tuple[TrackKey, int]]:
        query = "SELECT key, at FROM due WHERE shard = ? AND partition = ? AND at < ? ORDER BY at, key LIMIT ?"
        yield from self._ask(query, (shard, partition, clock, ANSWER_MAX))

    def close(self) -> None:
        self._base.close()

    def _ask(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        with _reported():
            return self._base.execute(query, values)

    def _all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with _reported():
            self._base.executemany(statement, rows)


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(
            f"the folder for temporary files cannot take what memory does not hold: {error}"
            "\nMake room, or name another folder with TMPDIR"
        ) from error
