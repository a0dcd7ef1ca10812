"""One life of a worker: what it believes between two doubts, and the start rule that a life begins with (design §3).

A life ends at any doubt; nothing of it is carried over but what the store and the log say.
"""

from collections.abc import Iterable, Mapping

import structlog
from msgspec import Struct

from projector.cache import Cached
from projector.errors import WrongInput
from projector.ledger import Mark, mark_of
from projector.ports import (
    NO_CLOCK,
    Committed,
    Kept,
    Log,
    Offset,
    Partition,
    Position,
    Source,
    Span,
    Store,
    Token,
)
from projector.route import TrackKey
from projector.track import Due

log = structlog.get_logger()

GENERATION_OFFSETS = 1 << 40
"""So many offsets a topic may have. Where it is made anew the offsets of the next generation follow them, so that
positions and revisions rise (design §2). Stored, as part of every position: a change is a migration."""


class Life(Struct):
    """What a worker believes; every part is dropped at a doubt."""

    partitions: tuple[Partition, ...]
    """Those that are this worker's."""
    generation: int
    """Of the assignment that this life stands on."""
    read: dict[Partition, Offset]
    """The next offset to be read; moves only when a turn is committed."""
    marks: dict[Partition, Mark]
    """Clock and ledger at that offset."""
    committed: dict[Partition, Offset]
    """What is committed: never committed below, and not counted or rejected twice below."""
    shards: list[dict[Partition, Position]]
    """By shard the stored positions, as last read or written."""
    targets: dict[Partition, Offset]
    """By partition of the topic the offset up to which it catches up silently."""
    behind: set[int]
    """Shards that have not caught up: what their tracks publish is only noted."""
    cache: dict[TrackKey, Cached]
    """Tracks as stored, about the least recently used first."""
    clocks_committed: dict[Partition, int | None] = {}
    """The partition clocks at the committed offsets, while reading again below them."""
    floors: dict[Partition, int] = {}
    """The end clocks that readers have seen already: what was noted before this life or while catching up had ended by
    them, and does not come back for a moment."""
    noted: dict[TrackKey, Partition] = {}
    """Tracks that somebody changed and left for this worker to publish."""
    due: dict[TrackKey, Due] = {}
    """Tracks whose deadline has passed."""
    published_notes: list[tuple[Partition, TrackKey, Token]] = []
    """Notes dealt with, to be removed with the next write."""
    published_due: list[tuple[TrackKey, Token, Due, Due | None]] = []
    """Deadlines dealt with, to be moved with the next write."""
    swept: list[tuple[TrackKey, Token]] = []
    """Tracks no longer held, to be deleted with the next write."""
    swept_ids: list[tuple[TrackKey, tuple[str, str]]] = []
    """Session and short ids of them, to be given back after that."""
    told: dict[tuple[int, Partition], int] = {}
    """By shard and home the number of the newest note that was left while catching up; gone once all are published."""
    has_spoken: bool = False
    """All that was noted while catching up is published, which the next commit is to say."""

    @property
    def caught_up(self) -> bool:
        return not self.behind

    @property
    def is_quiet(self) -> bool:
        """Nothing is left to do without a new record or a later clock."""
        waiting = self.noted or self.due or self.published_notes or self.published_due or self.swept
        return not (self.behind or waiting or self.has_spoken)


class Start(Struct, frozen=True):
    """Where a namespace that has never been used begins, and what to do where the log has a gap."""

    at: str | int = "beginning"
    """`beginning`, `end`, or ms since the epoch."""
    on_gap: str = "stop"
    """`stop`, or `skip`: go on behind a gap in the log, counted in the ledger."""
    generation: int = 0
    """How often the topic has been made anew since state was first folded from one of its name."""

    @property
    def first(self) -> Offset:
        """Where the topic's offsets begin; what is below them was of an earlier topic."""
        return self.generation * GENERATION_OFFSETS


def begin(source: Source, store: Store, partitions: tuple[Partition, ...], generation: int, start: Start) -> Life:
    """Begin a life for these partitions: find where each is to be read from, and have the source read from there.

    Raises:
        WrongInput: the log no longer reaches back to where state begins, or was made anew.
    """
    life = foresee(source, store, partitions, generation, start)
    source.begin_at(life.read)
    _tell(life)
    for partition, mark in life.marks.items():
        mark.silent_from = (life.read[partition], mark.clock) if _skips_silently(life, partition) else None
    return life


def foresee(source: Log, store: Kept, partitions: tuple[Partition, ...], generation: int, start: Start) -> Life:
    """The life that begins for these partitions; nothing is read, and nothing changed but origins that the store keeps.

    Raises `WrongInput` as `begin` does.
    """
    everywhere = source.partitions()
    committed = {one: at for one, at in source.committed(everywhere).items() if _is_of_topic(at, start)}
    shards = store.positions()
    marks = {partition: mark_of(at.metadata) for partition, at in committed.items() if partition in partitions}
    spans = source.spans(partitions)
    origins = _origins(source, store, partitions, everywhere, committed, shards, marks, spans, start)
    targets = {one: _known_up_to(one, committed, shards) for one in everywhere}
    life = Life(partitions, generation, {}, {}, {}, shards, targets, set(range(store.shards)), {})
    for partition in partitions:
        _place(life, partition, committed.get(partition), marks.get(partition), origins[partition], start.first)
        _check_span(life, partition, spans[partition], start)
    catch_up(life, life.read)
    return life


def _skips_silently(life: Life, partition: Partition) -> bool:
    """Whether records are read in silence that a shard has already: see `Mark.silent_from`.

    Of the others the notes come with new positions: a store that loses them shows it, and the next life goes on from
    the positions. So a store that lost everything is not filled again from the beginning by every life.
    """
    had = [positions[partition].offset for positions in life.shards if partition in positions]
    return bool(life.behind) and life.read[partition] < max(had, default=0)


def _is_of_topic(committed: Committed, start: Start) -> bool:
    """A position of an earlier topic of the name says nothing; brokers forget it with the topic, but not at once."""
    return not start.generation or mark_of(committed.metadata).origin >= start.first


def _tell(life: Life) -> None:
    for partition, committed in life.committed.items():
        at = life.read[partition]
        if at >= committed:
            continue
        if not any(partition in positions for positions in life.shards):
            log.warning(
                "the store has nothing of a partition, which is folded again from the log",
                partition=partition,
                start=at,
                committed=committed,
            )
        else:
            log.warning("reads again what is committed", partition=partition, start=at, committed=committed)


def catch_up(life: Life, read: Mapping[Partition, Offset]) -> None:
    """Leave behind the silence in every shard that has all partitions up to their targets (U of design §3)."""
    for shard in list(life.behind):
        positions = life.shards[shard]
        if all(_reached(life, read, positions, one) >= target for one, target in life.targets.items()):
            life.behind.discard(shard)


def _reached(
    life: Life, read: Mapping[Partition, Offset], positions: Mapping[Partition, Position], partition: Partition
) -> Offset:
    if partition in life.partitions:
        return read.get(partition, life.read[partition])
    stored = positions.get(partition)
    return 0 if stored is None else stored.offset


def _known_up_to(
    partition: Partition, committed: Mapping[Partition, Committed], shards: Iterable[Mapping[Partition, Position]]
) -> Offset:
    offsets = [positions[partition].offset for positions in shards if partition in positions]
    if partition in committed:
        offsets.append(committed[partition].offset)
    return max(offsets, default=0)


def _origins(
    source: Log,
    store: Kept,
    partitions: tuple[Partition, ...],
    everywhere: tuple[Partition, ...],
    committed: Mapping[Partition, Committed],
    shards: list[dict[Partition, Position]],
    marks: Mapping[Partition, Mark],
    spans: Mapping[Partition, Span],
    start: Start,
) -> dict[Partition, Offset]:
    """Where the namespace began: as committed, else as recorded, else what `start` says of one never used.

    The first life says it for all partitions: to the second the namespace is one in use.
    """
    used = any(shards) or bool(committed)
    at = "beginning" if used else start.at
    wanted = partitions if used or at == "beginning" else everywhere
    fresh: Mapping[Partition, Offset]
    if isinstance(at, int):
        fresh = source.offsets_at(wanted, at)
    elif at == "end":
        fresh = {one: span.end for one, span in source.spans(wanted).items()}
    else:
        fresh = {one: span.begin for one, span in spans.items()}
    proposed = {one: marks[one].origin if one in marks else fresh[one] for one in wanted}
    recorded = store.origins(proposed)
    return {one: recorded[one] if recorded[one] >= start.first else proposed[one] for one in partitions}


def _place(
    life: Life, partition: Partition, committed: Committed | None, mark: Mark | None, origin: Offset, first: Offset
) -> None:
    """The start rule for one partition: from the least of what is committed, what every shard has, what is silent."""
    stored = [_of_topic(positions.get(partition), first) for positions in life.shards]
    least = min((position.offset if position is not None else origin for position in stored), default=origin)
    at = origin if committed is None else min(committed.offset, max(least, origin))
    mark = Mark(origin=origin) if mark is None else mark
    clocks = [position.clock for position in stored if position is not None and position.offset == at]
    if mark.silent_from is not None and mark.silent_from[0] <= at:
        at, clock_there = mark.silent_from
        clocks = [] if clock_there is None else [clock_there]
    is_again = committed is not None and at < committed.offset
    if is_again:
        life.clocks_committed[partition] = mark.clock
    if is_again or (committed is None and any(stored)):
        clock = max(clocks, default=NO_CLOCK)
        mark.clock = None if clock == NO_CLOCK else clock
    elif committed is None:
        mark.clock = _clock_before(life, partition)
    if mark.end_clock is not None:
        life.floors[partition] = mark.end_clock
    life.read[partition] = at
    life.marks[partition] = mark
    if committed is not None:
        life.committed[partition] = committed.offset


def _of_topic(position: Position | None, first: Offset) -> Position | None:
    return position if position is not None and position.offset >= first else None


def _clock_before(life: Life, partition: Partition) -> int | None:
    """The clock goes on from where an earlier topic of the name has brought it."""
    clock = max((at[partition].clock for at in life.shards if partition in at), default=NO_CLOCK)
    return None if clock == NO_CLOCK else clock


def _check_span(life: Life, partition: Partition, span: Span, start: Start) -> None:
    at, target, first = life.read[partition], life.targets[partition], start.first
    if target > span.end:
        raise WrongInput(
            f"partition {partition} ends at offset {span.end - first}, but was read up to {target - first} before: the"
            " topic was made anew, or lost its end."
            f"\nSet topic_generation = {start.generation + 1}: sessions stay, revisions go on; what the topic holds is"
            " folded. Or restore the topic"
        )
    if at >= span.begin:
        return
    if start.on_gap != "skip":
        raise WrongInput(
            f"partition {partition} begins at offset {span.begin - first}, but state needs it from {at - first} on:"
            f" {span.begin - at} records are gone."
            '\nSet on_gap = "skip" to go on without them, counted in the ledger, or another namespace and'
            " group_id to begin anew"
        )
    life.marks[partition].ledger.skipped += span.begin - at
    life.read[partition] = span.begin
