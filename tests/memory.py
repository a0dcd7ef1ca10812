"""A log, its reader and a topic in memory, so that a test says which records come when; the store is the product's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from projector.adapters.embedded import EmbeddedStore
from projector.ports import Batch, Change, Committed, Offset, Partition, Refused, Span
from projector.rules import Rules
from projector.session import Session
from projector.worker import Worker, World


class MemoryRecord(Struct):
    partition: int
    offset: int
    value: bytes | None
    timestamp: int | None = None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class StillClock:
    """A wall clock that a test sets; before every time until then."""

    def __init__(self, ms: int = -(2**62)) -> None:
        self.ms = ms

    def now(self) -> int:
        return self.ms


class MemorySource:
    """Reads the partitions of `log` in turns, as many records a poll as the next of `sizes` says; after them 100."""

    topic = "memory"

    def __init__(self, log: Mapping[Partition, Sequence[MemoryRecord]], sizes: Iterable[int] = ()) -> None:
        self.log, self.sizes = log, iter(sizes)
        self.at: dict[Partition, Offset] = {}
        self.commits: dict[Partition, Committed] = {}

    def poll(self) -> Batch:
        batch = Batch(records=[], assigned=self.partitions(), generation=1)
        if not self.at:
            return batch
        records: list[MemoryRecord] = []
        for partition in self.log:
            start = self.at[partition]
            records += self.log[partition][start : start + next(self.sizes, 100)]
            self.at[partition] = batch.next[partition] = start + sum(one.partition == partition for one in records)
        batch.records = records
        batch.at_end = frozenset(one for one, held in self.log.items() if self.at[one] == len(held))
        return batch

    def partitions(self) -> tuple[Partition, ...]:
        return tuple(self.log)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:
        return {one: self.commits[one] for one in partitions if one in self.commits}

    def spans(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        return {one: Span(0, len(self.log[one])) for one in partitions}

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> dict[Partition, Offset]:
        raise AssertionError("no test asks a log in memory for offsets by time")

    def begin_at(self, positions: Mapping[Partition, Offset]) -> None:
        self.at = dict(positions)

    def close(self) -> None:
        pass


class MemoryPublisher:
    """What was published: the newest value and revision by session id, every change in order, and rejects."""

    def __init__(self, source: MemorySource) -> None:
        self.source = source
        self.values: dict[str, bytes] = {}
        self.revisions: dict[str, list[int]] = {}
        self.sessions: dict[str, Session] = {}
        self.rejects: list[Refused] = []
        self.merged: dict[str, str] = {}
        """Withdrawn ids, to the id that their tombstone names."""

    def publish(
        self,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],
        group: Any,
    ) -> None:
        for change in changes:
            if change.told is None:
                self.values.pop(change.session_id, None)
                self.merged[change.session_id] = change.merged_into or ""
            else:
                self.values[change.session_id] = change.told.text
            self.revisions.setdefault(change.session_id, []).append(change.revision)
        self.rejects += rejects
        self.source.commits.update(positions)

    def renew(self) -> None:
        pass

    def close(self) -> None:
        pass


class Played(Struct):
    """What a log came to."""

    values: dict[str, bytes]
    revisions: dict[str, list[int]]
    rejects: list[Refused]
    merged: dict[str, str]
    worker: Worker


def play(
    log: Mapping[Partition, Sequence[MemoryRecord]], rules: Rules, *, sizes: Iterable[int] = (), as_of: int
) -> Played:
    """Run the product's own turns over a log until nothing is left to do at the wall clock `as_of`."""
    clock = StillClock()
    source = MemorySource(log, sizes)
    publisher = MemoryPublisher(source)
    worker = Worker(World(source, EmbeddedStore(), publisher, clock, rules, sweeps=False, started_at=as_of))
    worker.step()
    while any(source.at[one] < len(held) for one, held in log.items()):
        worker.step()
    clock.ms = as_of
    worker.step()
    while worker.life is None or not worker.life.is_quiet:
        worker.step()
    return Played(publisher.values, publisher.revisions, publisher.rejects, publisher.merged, worker)
