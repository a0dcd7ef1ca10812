"""What save.lua is asked to do: a `Write` in the shape that a script walks through.

Law: every stored key that the script touches can be told from the request, before it runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
from msgspec import Struct

from projector.adapters.redis_confirmed import Confirmed
from projector.adapters.redis_records import TOKEN_BYTES
from projector.ports import Partition, Position, Token, Write
from projector.route import TrackKey
from projector.track import Due

ABSENT = "-" * TOKEN_BYTES
"""No token: they are made of Base64's letters."""
_NONE = Token(ABSENT.encode())


class Request(Struct):
    """What save.lua is asked to do; lists that it walks in steps are flat."""

    expected: list[int]
    """Partition, offset or -1."""
    seen: list[int]
    """Partition, offset: other workers' positions, which may not have gone down."""
    token: str
    """Of this write."""
    by: str
    """The token of the last write that changed a track of the shard, if this worker knows of no later one."""
    written: int
    """How many tracks are written; those that are only compared come after them."""
    tokens: str
    """Of all tracks that take part one behind the other, `absent` for one that is not there."""
    unsure: list[int]
    """Which have to be compared even if nobody wrote since `by`; from 1 on."""
    positions: list[int]
    """Partition, offset, clock."""
    due_gone: list[tuple[Partition, list[str]]]
    due_set: list[tuple[Partition, list[int | str]]]
    """By partition: ms, track, ms, track."""
    notes: list[tuple[Partition, list[str]]]
    clear_notes: list[int | str]
    """Partition, track, token."""
    move_due: list[tuple[Any, ...]]
    """Track, token, partition, ms, and where it goes: partition, ms."""
    sweep: list[str]
    """Track, token."""
    clocks: list[int]
    """Partition, end clock."""
    asks: list[Partition]
    absent: str = ABSENT


def request_of(
    write: Write,
    token: Token,
    tracks: Sequence[tuple[TrackKey, Token | None]],
    confirmed: Confirmed,
    seen: Mapping[Partition, Position],
) -> Request:
    """`tracks`: those to write, then those to compare; `seen` are the shard's positions as last read or written."""
    expected = write.expected
    return Request(
        expected=[n for one, offset in expected.items() for n in (one, -1 if offset is None else offset)],
        seen=[n for one, at in seen.items() if one not in expected for n in (one, at.offset)],
        token=ascii_of(token),
        by=confirmed.by,
        written=sum(record is not None for _, _, record in write.tracks),
        tokens=b"".join([_NONE if was is None else was for _, was in tracks]).decode("ascii"),
        unsure=confirmed.unsure(tracks),
        positions=[n for one, at in write.positions.items() for n in (one, at.offset, at.clock)],
        due_gone=_grouped(
            (gone.partition, key)
            for key, gone, comes in write.due
            if gone is not None and (comes is None or comes.partition != gone.partition)
        ),
        due_set=_grouped(
            (comes.partition, part) for key, _, comes in write.due if comes is not None for part in (comes.at, key)
        ),
        notes=_grouped(write.notes),
        clear_notes=[part for one, key, token in write.clear_notes for part in (one, key, ascii_of(token))],
        move_due=[
            (key, ascii_of(token), *_both(fired), *(() if moved is None else _both(moved)))
            for key, token, fired, moved in write.move_due
        ],
        sweep=[part for key, token in write.sweep for part in (key, ascii_of(token))],
        clocks=[n for one in write.clocks.items() for n in one],
        asks=list(write.asks),
    )


def further_keys(request: Request, base: str) -> list[str]:
    """What the script may look at or change beside the records that take part; `base` is `ns:{shard}:`.

    A cluster's node refuses a script one of whose keys it is giving away, before any of it ran; at a key that it was
    not told of it would stop in the midst.
    """
    partitions: Iterable[Iterable[Any]] = (
        request.expected[::2],
        request.seen[::2],
        request.clocks[::2],
        request.asks,
        (grouped[0] for grouped in (*request.due_gone, *request.due_set, *request.notes)),
        request.clear_notes[::3],
        (moved[2] for moved in request.move_due),
        (moved[4] for moved in request.move_due if len(moved) > 4),
    )
    tracks: Iterable[Iterable[Any]] = (
        request.clear_notes[1::3],
        (moved[0] for moved in request.move_due),
        request.sweep[::2],
    )
    keys = [f"{base}by", f"{base}noted"]
    keys += [f"{base}{what}:{one}" for one in set(chain.from_iterable(partitions)) for what in ("due", "note")]
    return keys + [f"{base}t:{one}" for one in set(chain.from_iterable(tracks))]


def ascii_of(token: Token | None) -> str:
    return "" if token is None else token.decode("ascii")


def _both(due: Due) -> tuple[Partition, int]:
    return due.partition, due.at


def _grouped(pairs: Iterable[tuple[Partition, Any]]) -> list[tuple[Partition, list[Any]]]:
    grouped: dict[Partition, list[Any]] = {}
    for partition, part in pairs:
        grouped.setdefault(partition, []).append(part)
    return list(grouped.items())


encode = msgspec.msgpack.Encoder().encode
