"""What we ask of the world: `Source`, `Store`, `Publisher`, `Clock`; four small Protocols and the values they exchange.

Adapters translate their client's exceptions into `errors`: `Doubt` for an effect whose outcome is unknown or that
somebody else has overtaken, `Unavailable` for what does not answer. `turn` and `life` say in which order calls are
made.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NewType, Protocol

from msgspec import Struct

from projector.route import TrackKey
from projector.snapshot import Told
from projector.track import Due, Track

Partition = int
Offset = int
Token = NewType("Token", bytes)
"""New at every write of a track; equal tokens mean that nobody wrote it in between."""


class Record(Protocol):
    """A record as the source has it; kafka-python's `ConsumerRecord` is one."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int | None:
        """Of the record, ms since the epoch; None or negative if it has none."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Batch(Struct):
    """What one poll brought."""

    records: Sequence[Any]
    """`Record`s; those of a partition in the order of their offsets."""
    next: dict[Partition, Offset] = {}
    """For each partition with records, or that was read past control records: the offset after the last."""
    at_end: frozenset[Partition] = frozenset()
    """Partitions of which everything that could be read has been read, this batch included."""
    assigned: tuple[Partition, ...] = ()
    """The partitions that are this worker's, ascending."""
    generation: int = 0
    """Changes whenever the assignment does: a new one begins a new life."""
    group: Any = None
    """The group's metadata, taken right after the poll: fences the commit of this batch."""


class Committed(Struct, frozen=True):
    """A committed position: the next offset and the metadata that was committed with it."""

    offset: Offset
    metadata: str


class Span(Struct, frozen=True):
    """What a partition's log holds: offsets from `begin` up to, and without, `end`."""

    begin: Offset
    end: Offset


class Log(Protocol):
    """What can be seen of a topic without reading it."""

    def partitions(self) -> tuple[Partition, ...]:
        """All partitions of the topic, ascending."""

    def committed(self, partitions: Iterable[Partition]) -> Mapping[Partition, Committed]:
        """Positions of stable commits, waiting for pending transactions; a partition without one is left out."""

    def spans(self, partitions: Iterable[Partition]) -> Mapping[Partition, Span]: ...

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> Mapping[Partition, Offset]:
        """The first offset whose record's timestamp is at or after `ms`, the end where there is none."""


class Source(Log, Protocol):
    """Where records come from: a consumer group's member, or files."""

    topic: str

    def poll(self) -> Batch:
        """Wait a short while for records; partitions of a new generation bring none before `begin_at` was called."""

    def begin_at(self, positions: Mapping[Partition, Offset]) -> None:
        """Read these partitions from these offsets on."""

    def close(self) -> None: ...


NO_CLOCK = -(2**62)
"""The clock of a partition that has shown no event yet: before every time."""


class Position(Struct, frozen=True, array_like=True):
    """How far a shard has a partition's records: the next offset, and its clock there (ms, or `NO_CLOCK`)."""

    offset: Offset
    clock: int


class Stored(Struct, frozen=True):
    """A track as the store has it."""

    token: Token
    track: Track
    record: bytes
    """The same, encoded."""


class Write(Struct):
    """One shard's part of a turn, written all or not at all."""

    expected: dict[Partition, Offset | None]
    """For every partition of this worker the stored position's offset as last read or written; None: there was none."""
    positions: dict[Partition, Position] = {}
    """New positions; never lowered. Empty while another shard of this turn may still be written again."""
    tracks: list[tuple[TrackKey, Token | None, bytes | None]] = []
    """Key, the token it was folded from (None: it was not there), and the new track, encoded; None: compare only."""
    due: list[tuple[TrackKey, Due | None, Due | None]] = []
    """Deadlines that come with the tracks above: key, the entry that goes (where it was another partition's), and the
    one that is set. An earlier one that is there stays: what ended by it may not be published yet."""
    notes: list[tuple[Partition, TrackKey]] = []
    """Tracks that the owner of their home partition is to publish."""
    clear_notes: list[tuple[Partition, TrackKey, Token]] = []
    """Notes that were published: removed if the track still has this token."""
    move_due: list[tuple[TrackKey, Token, Due, Due | None]] = []
    """Deadlines that were dealt with: key, token, the entry that fired, and the one that takes its place (None: none).
    Done only if the track still has this token and the entry still fires by then; what came in between stays."""
    sweep: list[tuple[TrackKey, Token]] = []
    """Tracks no longer held: deleted, with their deadline and note, if they still have this token."""
    clocks: dict[Partition, int] = {}
    """For each partition of this worker the end clock up to which, and not including it, deadlines are asked for."""
    asks: frozenset[Partition] = frozenset()
    """Partitions, anybody's, of which it is asked which notes wait after this write."""


class Saved(Struct):
    """The write was made."""

    positions: dict[Partition, Position]
    """All positions of the shard after it."""
    tokens: dict[TrackKey, Token]
    """The new tokens of the tracks that were written."""
    notes: dict[TrackKey, Partition]
    """Tracks noted for partitions of this worker."""
    due: dict[TrackKey, Due]
    """Tracks whose deadline has passed, the earliest thousand."""
    waiting: dict[Partition, tuple[int, int]] = {}
    """By partition that was asked for, the numbers of its oldest and its newest note; without notes it is left out.

    A partition's notes are numbered upwards, those of one write alike; one that is left again gets a new number. No
    number comes again, also where all notes were gone: who waits for its own would else wait for those of others.
    """


class Conflict(Struct):
    """Nothing was written: others wrote these tracks in between. What is stored now; None: not there any more."""

    tracks: dict[TrackKey, Stored | None]


class Overtaken(Struct):
    """Nothing was written: a position is not as expected; the store lost writes, or somebody else owns a partition."""

    positions: dict[Partition, Position]


class Kept(Protocol):
    """How far a store is."""

    shards: int

    def positions(self) -> list[dict[Partition, Position]]:
        """By shard; a shard that has none of a partition leaves it out."""

    def origins(self, proposed: Mapping[Partition, Offset]) -> dict[Partition, Offset]:
        """Where this namespace begins to read each partition: recorded once, what is recorded stays (HSETNX)."""


class Store(Kept, Protocol):
    """Where tracks, positions, deadlines and notes are kept, by shard."""

    def shard_of(self, key: TrackKey) -> int: ...

    def load(self, keys: Sequence[TrackKey]) -> dict[TrackKey, Stored | None]:
        """What is stored of each key. The caller owns the tracks and may change them."""

    def save(self, shard: int, write: Write) -> Saved | Conflict | Overtaken:
        """One atomic write, never sent twice: a lost answer is a `Doubt`."""

    def claim_short_ids(self, wanted: Sequence[tuple[str, str | None]], digits: int) -> list[str | None]:
        """A short id for each (session id, the one it had before), unique among those claimed; None: all are taken.

        A session that holds one already gets it again, so that a claim whose answer was lost is not lost.
        """

    def retire_short_ids(self, held: Sequence[tuple[str, str]]) -> None:
        """Announce that each (session id, short id) will be given back; a claim takes the announcement away."""

    def release_short_ids(self, held: Sequence[tuple[str, str]]) -> None:
        """Give back each (session id, short id) that is still that session's, and that this worker retired last.

        A worker that stood still in between can so not take the id from a session that others revived meanwhile.
        """

    def close(self) -> None: ...


class Change(Struct, gc=False):
    """A session to be published, or withdrawn."""

    session_id: str
    revision: int
    told: Told | None
    """The snapshot; None: a tombstone."""
    merged_into: str | None = None
    """For a tombstone of a merge: the survivor's id."""


class Refused(Struct):
    """A record for the rejects topic, as it came."""

    record: Any
    reason: str
    detail: str


class Publisher(Protocol):
    """The way out: snapshots and rejects, together with the input positions that they stand for."""

    def publish(
        self,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],
        group: Any,
    ) -> None:
        """All of it or nothing, in one transaction. Any failure is a `Doubt`: the outcome may be either."""

    def renew(self) -> None:
        """Begin a new life: drop what an earlier transaction may have left."""

    def close(self) -> None: ...


class Clock(Protocol):
    def now(self) -> int:
        """The wall clock, ms since the epoch."""
