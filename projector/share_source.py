"""Where a worker of a replay gets its records from: blocks of lines, handed out by the one who reads the files.

A block comes in two steps, because a record can only be judged by its partition's clock, which moves with the records
of all workers: first its lines are read, and what they hold is told; once the clocks are known, they are folded.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from msgspec import Struct

from projector import share_messages as messages
from projector.adapters.embedded import EmbeddedStore
from projector.adapters.file import END_UNKNOWN, Line
from projector.enrich.event import Places
from projector.ledger import Mark, total
from projector.life import Life
from projector.ports import NO_CLOCK, Batch, Committed, Offset, Partition, Span
from projector.reading import Reading, read
from projector.route import TrackKey, named_track
from projector.rules import Rules
from projector.share_messages import Block, End, Facts, Given, Go, Numbers, Passed, Refusals
from projector.shares import FIRST, Shares
from projector.track import Due, Incoming, decode_track, next_due


class Task(Struct):
    """What a worker is started with."""

    number: int
    workers: int
    files: tuple[str, ...]
    rules: Rules
    places: Places | None
    started_at: int
    as_of: int | None
    wants_rejects: bool
    is_private: bool


class _Read(Struct):
    """A block that was read and waits for its clocks."""

    partition: Partition
    batch: Batch
    mark: Mark
    """Its ledger counts the block alone."""
    reading: Reading
    events: list[Incoming]
    """In the order of `Facts`."""


class ShareSource:
    """The `Source` of a worker, its turns' reader, and where its rejects go."""

    topic = "files"

    def __init__(
        self,
        task: Task,
        store: EmbeddedStore,
        message: Callable[[], messages.ToWorker],
        send: Callable[[messages.FromWorker], None],
    ) -> None:
        self._task, self._store, self.message, self._send = task, store, message, send
        self._shares = Shares(task.workers)
        self._waiting: deque[_Read] = deque()
        self._ready: _Read | None = None
        """The block of the turn that is under way."""
        self._number = -1
        """Of that block."""
        self._refused: list[tuple[int, bytes]] = []
        self._has_begun = self._has_ended = False
        self.life: Callable[[], Life]

    def poll(self) -> Batch:
        self._tell_rejects()
        nothing = Batch([], assigned=self.partitions(), generation=1)
        if not self._has_begun:
            return nothing
        self._ready = None
        while not self._has_ended:
            match self.message():
                case Block() as block:
                    self._look(block)
                case Go() as go:
                    return self._prepare(go)
                case End():
                    self._has_ended = True
                case Numbers():
                    raise AssertionError("short ids are given out once all is folded")
        nothing.at_end = frozenset(self.partitions())
        return nothing

    def partitions(self) -> tuple[Partition, ...]:
        return tuple(range(len(self._task.files)))

    def committed(self, partitions: Iterable[Partition]) -> Mapping[Partition, Committed]:  # noqa: ARG002 - of the port
        return {}

    def spans(self, partitions: Iterable[Partition]) -> Mapping[Partition, Span]:
        return dict.fromkeys(partitions, Span(0, END_UNKNOWN))

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> Mapping[Partition, Offset]:  # noqa: ARG002
        return dict.fromkeys(partitions, 0)

    def begin_at(self, positions: Mapping[Partition, Offset]) -> None:
        assert not any(positions.values()), "a replay begins at the beginning"
        self._has_begun = True

    def close(self) -> None:
        self._has_ended = True

    # First step: what do the lines hold?

    def _look(self, block: Block) -> None:
        offsets = messages.unpacked(block.offsets)
        lines = list(map(Line, [block.partition] * len(offsets), offsets, block.values))
        for line in lines if block.sizes else ():
            line.size = block.sizes.get(line.offset, 0)
        batch = Batch(lines, {block.partition: block.next}, frozenset(block.at_end), self.partitions(), 1)
        mark = Mark(clock=NO_CLOCK)
        reading = self._read(lines, mark)
        events = [one for incoming in chain(reading.work.values(), reading.visits.values()) for one in incoming]
        gathered, visits = self._shares.found(reading.work)
        read_one = _Read(block.partition, batch, mark, reading, events)
        times = [NO_CLOCK if one.event.clamped else one.event.at for one in events]
        facts = Facts(
            block.number,
            messages.packed([one.offset for one in events]),
            messages.packed(times),
            self._passed(read_one),
            gathered,
            visits,
        )
        self._waiting.append(read_one)
        self._send(facts)

    def _read(self, lines: Sequence[Line], mark: Mark) -> Reading:
        task = self._task
        marks = {lines[0].partition: mark} if lines else {}
        batch = Batch(lines)
        return read(batch, marks, {}, rules=task.rules, places=task.places, started_at=task.started_at)

    def _passed(self, block: _Read) -> list[Passed]:
        """Take out of a block what is another's."""
        own, owner_of, others = self._task.number, self._shares.owner_of, dict[TrackKey, list[Incoming]]()
        for work in (block.reading.work, block.reading.visits):
            others |= {key: work.pop(key) for key in [key for key in work if owner_of(key) != own]}
        if not others:
            return []
        lines = {line.offset: line for line in block.batch.records}
        passed = []
        for key, incoming in others.items():
            for one in incoming:
                _take_back(block, one)
                line = lines[one.offset]
                passed.append(Passed(key, line.offset, line.value, line.size, one.clock))
        return passed

    # Second step: the clocks are known.

    def _prepare(self, go: Go) -> Batch:
        block = self._waiting.popleft()
        for one, clock in zip(block.events, messages.unpacked(go.clocks), strict=True):
            one.clock = clock
        self._shares.gather(go.gathered, visits=go.visits)
        if self._task.number != FIRST and self._shares.is_gathering:
            self._send(Given(go.number, self._handed_over(go), self._passed(block)))
        self._take_over(go.tracks)
        again = self._clamped(block) if block.mark.ledger.clamped else []
        lines = [Line(block.partition, one.offset, one.value, one.size) for one in go.lines]
        block.batch.records = [*block.batch.records, *lines]
        self._read_again(block, [*again, *zip(lines, (one.clock for one in go.lines), strict=True)])
        block.mark.clock = None if go.clock == NO_CLOCK else go.clock
        self._ready, self._number = block, go.number
        return block.batch

    def _handed_over(self, go: Go) -> list[tuple[str, bytes]]:
        """Tracks that are the first worker's from this block on."""
        if go.visits:
            keys = [key for key in self._store.all_keys() if self._shares.owner_of(key) == FIRST]
        else:
            keys = [named_track(one) for one in go.gathered]
        life = self.life()
        for key in keys:
            life.cache.pop(key, None)
            life.due.pop(key, None)
        return [(key, record) for key, record in self._store.hand_over(keys)]

    def _take_over(self, tracks: Iterable[tuple[str, bytes]]) -> None:
        taken = []
        for key, record in tracks:
            track = decode_track(record)
            keeper, at = track.home if track.home is not None else track.keeper, next_due(track, self._task.rules)
            due = None if keeper is None or at is None else Due(keeper, at)
            self.life().cache.pop(TrackKey(key), None)
            taken.append((TrackKey(key), record, due))
        if taken:
            self._store.take_over(taken)

    def _clamped(self, block: _Read) -> list[tuple[Line, int]]:
        """Take out what lies in the future: it gets its time from the clock, which was not known yet."""
        clamped: dict[Offset, int] = {}
        for work in (block.reading.work, block.reading.visits):
            for key, incoming in list(work.items()):
                for one in incoming:
                    if one.event.clamped:
                        clamped[one.offset] = one.clock
                        _take_back(block, one)
                work[key] = [one for one in incoming if not one.event.clamped]
                if not work[key]:
                    del work[key]
        return [(line, clamped[line.offset]) for line in block.batch.records if line.offset in clamped]

    def _read_again(self, block: _Read, lines: Sequence[tuple[Line, int]]) -> None:
        """Read lines with the clock that each is to be judged by, and put them to the others."""
        for line, clock in lines:
            mark = Mark(clock=None if clock == NO_CLOCK else clock)
            again = self._read([line], mark)
            block.mark.ledger = total([block.mark.ledger, mark.ledger])
            block.reading.refused += again.refused
            for work, some in ((block.reading.work, again.work), (block.reading.visits, again.visits)):
                for key, incoming in some.items():
                    work[key] = sorted([*work.get(key, []), *incoming], key=lambda one: one.offset)
        if lines:
            block.reading.work, block.reading.visits = _in_order(block.reading.work), _in_order(block.reading.visits)

    def reading(
        self, _batch: Batch, marks: Mapping[Partition, Mark], _committed: Mapping[Partition, Offset], **_: Any
    ) -> Reading:
        """What the turn under way is to fold; moves the marks."""
        block = self._ready
        if block is None:
            return Reading()
        mark = marks[block.partition]
        mark.clock, mark.ledger = block.mark.clock, total([mark.ledger, block.mark.ledger])
        return block.reading

    # Rejects.

    def refuse(self, lines: Sequence[tuple[Partition, Offset, bytes]]) -> None:
        self._refused += [(offset, line) for _, offset, line in lines]

    def _tell_rejects(self) -> None:
        if self._refused:
            self._send(Refusals(self._number, self._refused))
            self._refused = []


def _take_back(block: _Read, one: Incoming) -> None:
    """As if the record had not been read."""
    block.mark.ledger.read -= 1
    block.mark.ledger.clamped -= one.event.clamped


def _in_order(work: dict[TrackKey, list[Incoming]]) -> dict[TrackKey, list[Incoming]]:
    """A turn folds tracks in the order of their first records."""
    return dict(sorted(work.items(), key=lambda item: item[1][0].offset))
