"""What a replay and its workers say to each other: a block of lines goes through four of these.

`Block` -> `Facts` -> (`Given` ->) `Go`: the lines, what each worker found in its own, what it hands to the first worker
where tracks are gathered, and with what it may fold them. Then `End` -> `Done` -> `Numbers` -> `Snapshots`.
"""

from array import array
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from projector.ledger import Ledger

Int64s = bytes
"""Numbers of 64 bits side by side, as this machine has them."""


class Passed(Struct, array_like=True, gc=False):
    """A line on its way from the worker that read it to the one whose it is."""

    key: str
    """The track that it belongs to."""
    offset: int
    value: bytes
    size: int
    clock: int
    """Its partition's clock there, as far as it is known (ms)."""


# To a worker.


class Block(Struct, tag=True, array_like=True):
    """A worker's lines of a block; all of one partition, in order."""

    number: int
    partition: int
    next: int
    """The offset after the block's last line, whosever that is."""
    at_end: list[int]
    offsets: Int64s
    values: list[bytes]
    sizes: dict[int, int]
    """By offset the size of each line of which only the beginning was kept."""


class Go(Struct, tag=True, array_like=True):
    """Everything that a block's records need to be folded."""

    number: int
    clock: int
    """The partition's clock at the block's end (ms)."""
    clocks: Int64s
    """The clocks at the events of `Facts`."""
    lines: list[Passed] = []
    """Lines that others read and that are this worker's."""
    gathered: list[str] = []
    visits: bool = False
    """Both: what is the first worker's from this block on."""
    tracks: list[tuple[str, bytes]] = []
    """To the first worker: tracks that come with it."""


class End(Struct, tag=True, array_like=True):
    """There are no more lines."""


class Numbers(Struct, tag=True, array_like=True):
    """The short ids of a worker's sessions, in the order of `Done`."""

    short_ids: list[str | None]


# From a worker.


class Facts(Struct, tag=True, array_like=True):
    """What a worker found in its lines of a block."""

    number: int
    offsets: Int64s
    times: Int64s
    """Of the lines that hold an event: offset, and the time that moves the clock (ms); `NO_CLOCK` for one that does
    not."""
    lines: list[Passed]
    """Lines that are others'."""
    gathered: list[str]
    visits: bool


class Given(Struct, tag=True, array_like=True):
    """What goes to the first worker with a block, once tracks are gathered there."""

    number: int
    tracks: list[tuple[str, bytes]]
    lines: list[Passed]


class Refusals(Struct, tag=True, array_like=True):
    """Rejects of a block: offset, and the JSON line to be written."""

    number: int
    lines: list[tuple[int, bytes]]


class Done(Struct, tag=True, array_like=True):
    """Everything is folded: createdDate, id and endedDate of each session in order, and the ledgers by partition."""

    shown: list[tuple[int, str, int | None]]
    ledgers: dict[int, Ledger]


class Snapshots(Struct, tag=True, array_like=True):
    """Some snapshots, in the order of `Done`."""

    lines: list[bytes]


class Failed(Struct, tag=True, array_like=True):
    """The worker cannot go on; `is_wrong`: because of what it was given."""

    why: str
    is_wrong: bool


ToWorker = Block | Go | End | Numbers
FromWorker = Facts | Given | Refusals | Done | Snapshots | Failed

encode = msgspec.msgpack.Encoder().encode
_TO_WORKER: "msgspec.msgpack.Decoder[ToWorker]" = msgspec.msgpack.Decoder(ToWorker)
_FROM_WORKER: "msgspec.msgpack.Decoder[FromWorker]" = msgspec.msgpack.Decoder(FromWorker)
decode_to_worker, decode_from_worker = _TO_WORKER.decode, _FROM_WORKER.decode


def packed(numbers: Iterable[int]) -> Int64s:
    return array("q", numbers).tobytes()


def unpacked(numbers: Int64s) -> Sequence[int]:
    unpacked = array("q")
    unpacked.frombytes(numbers)
    return unpacked
