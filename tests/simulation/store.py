"""A simulated store: shards on nodes that can lose their last writes, or all of them; what save.lua does, in few words.

Everything is kept as values that nobody can change: tracks as bytes, so nothing is shared with a worker by reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import xxhash
from msgspec import Struct

from projector.errors import Doubt
from projector.ports import Conflict, Offset, Overtaken, Partition, Position, Saved, Stored, Token, Write
from projector.route import TrackKey
from projector.track import Due, Track, decode_track
from tests.simulation.wire import Wire

HISTORY_MAX = 12
"""So many writes of a node can be lost."""


class Shard(Struct):
    tracks: dict[TrackKey, tuple[Token, bytes]] = {}
    positions: dict[Partition, Position] = {}
    due: dict[tuple[Partition, TrackKey], int] = {}
    notes: dict[tuple[Partition, TrackKey], int] = {}
    numbers: dict[Partition, int] = {}

    def copy(self) -> Shard:
        return Shard(
            dict(self.tracks), dict(self.positions), dict(self.due), dict(self.notes), numbers=dict(self.numbers)
        )


class Shared(Struct):
    """What is not by shard."""

    origins: dict[Partition, Offset] = {}
    holder_of: dict[str, str] = {}
    short_id_of: dict[str, str] = {}
    retired_by: dict[str, str] = {}
    """By session id who is about to give its short id back."""

    def copy(self) -> Shared:
        return Shared(dict(self.origins), dict(self.holder_of), dict(self.short_id_of), dict(self.retired_by))


class Node:
    """One Redis: the shards that it holds, what it held before, and a run id that is new after every restart."""

    def __init__(self, shards: Sequence[int]) -> None:
        self.run_id = 0
        self.shards = {shard: Shard() for shard in shards}
        self.shared = Shared()
        self._history: list[tuple[dict[int, Shard], Shared]] = []

    def keep(self) -> None:
        """Called before each write."""
        self._history.append(({one: shard.copy() for one, shard in self.shards.items()}, self.shared.copy()))
        del self._history[:-HISTORY_MAX]

    def lose(self, writes: int) -> int:
        """A restart that lost so many of the last writes, or as many as are known; gives their number."""
        self.run_id += 1
        writes = min(writes, len(self._history))
        if writes:
            self.shards, self.shared = self._history[-writes]
            del self._history[-writes:]
        return writes

    def wipe(self, *, restarts: bool) -> None:
        self.run_id += restarts
        self.shards, self.shared = {one: Shard() for one in self.shards}, Shared()
        self._history = []


class Nodes:
    """The whole store, as the world has it."""

    def __init__(self, shards: int, *, clustered: bool) -> None:
        self.shards = shards
        self.nodes = [Node([one]) for one in range(shards)] if clustered else [Node(range(shards))]
        self.tokens = 0
        self.compares_tokens = True
        """False: a deliberate break."""

    def node_of(self, shard: int) -> Node:
        return self.nodes[shard % len(self.nodes)]

    def shard(self, shard: int) -> Shard:
        return self.node_of(shard).shards[shard]

    @property
    def shared(self) -> Shared:
        return self.nodes[0].shared

    def shard_of(self, key: TrackKey) -> int:
        return xxhash.xxh3_64_intdigest(key.encode()) % self.shards

    def tracks(self) -> Iterator[tuple[TrackKey, Track]]:
        for shard in range(self.shards):
            yield from ((key, decode_track(stored)) for key, (_, stored) in self.shard(shard).tracks.items())

    def save(self, shard: int, write: Write, seen: Mapping[Partition, Position]) -> Saved | Conflict | Overtaken:
        at = self.shard(shard)
        if _is_overtaken(at, write, seen):
            return Overtaken(dict(at.positions))
        others = [key for key, was, _ in write.tracks if not self._has(at, key, was)]
        if others:
            return Conflict({key: _stored(at, key) for key in others})
        self.node_of(shard).keep()
        self._clear(at, write)
        tokens = self._put(at, write)
        _call(at, write)
        for partition, new in write.positions.items():
            old = at.positions.get(partition, new)
            at.positions[partition] = Position(max(old.offset, new.offset), max(old.clock, new.clock))
        self._sweep(at, write)
        notes = {key: one for one, key in at.notes if one in write.clocks}
        due = {key: Due(one, ms) for (one, key), ms in at.due.items() if one in write.clocks and ms < write.clocks[one]}
        return Saved(dict(at.positions), tokens, notes, due, waiting=_waiting(at, write.asks))

    def _has(self, at: Shard, key: TrackKey, token: Token | None) -> bool:
        stored = at.tracks.get(key)
        return not self.compares_tokens or (stored[0] if stored is not None else b"") == (token or b"")

    def _clear(self, at: Shard, write: Write) -> None:
        """What was published, while the tracks still are as they were then."""
        for partition, key, token in write.clear_notes:
            if self._has(at, key, token):
                at.notes.pop((partition, key), None)
        for key, token, fired, moved in write.move_due:
            fires = at.due.get((fired.partition, key))
            if fires is not None and fires <= fired.at and self._has(at, key, token):
                del at.due[fired.partition, key]
                if moved is not None:
                    at.due[moved.partition, key] = moved.at

    def _put(self, at: Shard, write: Write) -> dict[TrackKey, Token]:
        self.tokens += 1
        token = Token(b"%012d" % self.tokens)
        tokens = {}
        for key, _, record in write.tracks:
            if record is not None:
                at.tracks[key] = (token, record)
                tokens[key] = token
        return tokens

    def _sweep(self, at: Shard, write: Write) -> None:
        for key, token in write.sweep:
            if key in at.tracks and self._has(at, key, token):
                del at.tracks[key]
                for one in {partition for partition, _ in (*at.due, *at.notes)}:
                    at.due.pop((one, key), None)
                    at.notes.pop((one, key), None)


def _is_overtaken(at: Shard, write: Write, seen: Mapping[Partition, Position]) -> bool:
    stored = {one: position.offset for one, position in at.positions.items()}
    return any(stored.get(one) != offset for one, offset in write.expected.items()) or any(
        stored.get(one, -1) < position.offset for one, position in seen.items() if one not in write.expected
    )


def _stored(at: Shard, key: TrackKey) -> Stored | None:
    stored = at.tracks.get(key)
    return None if stored is None else Stored(stored[0], decode_track(stored[1]), stored[1])


def _call(at: Shard, write: Write) -> None:
    for key, gone, comes in write.due:
        if gone is not None and (comes is None or comes.partition != gone.partition):
            at.due.pop((gone.partition, key), None)
        if comes is not None:
            place = (comes.partition, key)
            at.due[place] = min(comes.at, at.due.get(place, comes.at))
    at.numbers |= {home: at.numbers.get(home, 0) + 1 for home in {home for home, _ in write.notes}}
    at.notes.update({(home, key): at.numbers[home] for home, key in write.notes})


def _waiting(at: Shard, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
    numbers = {one: [number for (home, _), number in at.notes.items() if home == one] for one in partitions}
    return {one: (min(found), at.numbers[one]) for one, found in numbers.items() if found}


class SimStore:
    """One worker's client: the `Store` of the product's ports."""

    def __init__(self, nodes: Nodes, wire: Wire) -> None:
        self.shards = nodes.shards
        self._nodes, self._wire = nodes, wire
        self._run_ids: dict[int, int] = {}
        self._seen: list[dict[Partition, Position]] = [{} for _ in range(nodes.shards)]

    def shard_of(self, key: TrackKey) -> int:
        return self._nodes.shard_of(key)

    def positions(self) -> list[dict[Partition, Position]]:
        self._run_ids = {}
        found = []
        for shard in range(self.shards):
            self._asked(f"positions {shard}", shard)
            found.append(dict(self._nodes.shard(shard).positions))
        self._seen = [dict(one) for one in found]
        return found

    def load(self, keys: Sequence[TrackKey]) -> dict[TrackKey, Stored | None]:
        loaded: dict[TrackKey, Stored | None] = {}
        for shard in sorted({self.shard_of(key) for key in keys}):
            self._asked(f"load {shard}", shard)
            mine = [key for key in keys if self.shard_of(key) == shard]
            loaded.update((key, _stored(self._nodes.shard(shard), key)) for key in mine)
        return loaded

    def save(self, shard: int, write: Write) -> Saved | Conflict | Overtaken:
        with self._wire.effect(f"save {shard}"):
            self._check_run_id(shard)
            result = self._nodes.save(shard, write, self._seen[shard])
            self._wire.note(_told(write, result))
        if isinstance(result, Saved):
            self._seen[shard] = dict(result.positions)
        return result

    def origins(self, proposed: Mapping[Partition, Offset]) -> dict[Partition, Offset]:
        self._asked("origins", 0)
        self._nodes.nodes[0].keep()
        origins = self._nodes.shared.origins
        return {partition: origins.setdefault(partition, offset) for partition, offset in proposed.items()}

    def claim_short_ids(self, wanted: Sequence[tuple[str, str | None]], digits: int) -> list[str | None]:
        self._asked("claim", 0)
        self._nodes.nodes[0].keep()
        claimed = [_claim(self._nodes.shared, session_id, had, digits) for session_id, had in wanted]
        self._wire.boundary(f"claimed {dict(zip((one for one, _ in wanted), claimed, strict=True))}")
        return claimed

    def retire_short_ids(self, held: Sequence[tuple[str, str]]) -> None:
        self._asked(f"retire {held}", 0)
        self._nodes.nodes[0].keep()
        shared = self._nodes.shared
        for session_id, short_id in held:
            if shared.holder_of.get(short_id) == session_id:
                shared.retired_by[session_id] = self._wire.actor.name
        self._wire.boundary("retired")

    def release_short_ids(self, held: Sequence[tuple[str, str]]) -> None:
        self._asked(f"release {held}", 0)
        self._nodes.nodes[0].keep()
        shared = self._nodes.shared
        for session_id, short_id in held:
            is_mine = shared.retired_by.get(session_id) == self._wire.actor.name
            if is_mine and shared.holder_of.get(short_id) == session_id:
                del shared.holder_of[short_id], shared.short_id_of[session_id], shared.retired_by[session_id]

    def close(self) -> None:
        pass

    def _asked(self, what: str, shard: int) -> None:
        self._wire.boundary(what)
        self._check_run_id(shard)

    def _check_run_id(self, shard: int) -> None:
        """A restart since this life began is seen on the new connection, before the command is sent."""
        place = shard % len(self._nodes.nodes)
        run_id = self._nodes.nodes[place].run_id
        if self._run_ids.setdefault(place, run_id) != run_id:
            raise Doubt("the store was restarted")


def _claim(shared: Shared, session_id: str, had: str | None, digits: int) -> str | None:
    held = shared.short_id_of.get(session_id)
    shared.retired_by.pop(session_id, None)
    if held is not None:
        return held
    free = (f"{number:0{digits}}" for number in range(10**digits))
    found = had if had is not None and had not in shared.holder_of else None
    found = found or next((one for one in free if one not in shared.holder_of), None)
    if found is not None:
        shared.holder_of[found], shared.short_id_of[session_id] = session_id, found
    return found


def _told(write: Write, result: Saved | Conflict | Overtaken) -> str:
    """What a write was to do and what came of it, in one line of the trace."""
    tracks = [f"{key}{'' if track else ' compared'}" for key, _, track in write.tracks]
    parts = {
        "": tracks,
        "at": {one: at.offset for one, at in write.positions.items()},
        "due": [(key, gone and gone.partition, comes) for key, gone, comes in write.due],
        "notes": write.notes,
        "clears": [note[1] for note in write.clear_notes],
        "moves": [(moved[0], moved[3]) for moved in write.move_due],
        "sweeps": [one[0] for one in write.sweep],
    }
    told = "; ".join(f"{name} {what}" for name, what in parts.items() if what)
    if isinstance(result, Saved):
        return f"{told} -> noted {result.notes}, due {result.due}"
    return f"{told} -> {type(result).__name__}"
