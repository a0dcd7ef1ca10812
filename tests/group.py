"""Workers of one group over one log, one store and one output in memory; any call of a port can be made to fail once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from projector.adapters.embedded import EmbeddedStore
from projector.errors import Doubt
from projector.ledger import Ledger, mark_of, total
from projector.life import Start
from projector.ports import Batch, Change, Committed, Conflict, Offset, Overtaken, Partition, Refused, Saved, Write
from projector.rules import Rules
from projector.worker import Worker, World
from tests.given import DAY, T0, Json, line
from tests.memory import MemoryPublisher, MemoryRecord, MemorySource, StillClock

STEPS_MAX = 500
"""Of one worker, until all is at rest: far more than any of these logs needs."""


class Member(MemorySource):
    """Reads the partitions that it is given, as many records a poll as `size` says."""

    def __init__(self, log: Mapping[Partition, Sequence[MemoryRecord]], size: int) -> None:
        super().__init__(log)
        self.mine: tuple[Partition, ...] = ()
        self.generation, self.size = 0, size

    def poll(self) -> Batch:
        batch = Batch(records=[], assigned=self.mine, generation=self.generation)
        if set(self.at) != set(self.mine):
            return batch  # Not placed since the last assignment.
        records: list[MemoryRecord] = []
        for one in self.mine:
            part = self.log[one][self.at[one] : self.at[one] + self.size]
            records += part
            self.at[one] = batch.next[one] = self.at[one] + len(part)
        batch.records = records
        batch.at_end = frozenset(one for one in self.mine if self.at[one] == len(self.log[one]))
        return batch


class Failing:
    """Says when a call fails: the nth of its kind, before or after its effect."""

    def __init__(self) -> None:
        self.calls = 0
        self.at: int | None = None
        self.is_before = True

    def __call__(self, *, before: bool) -> None:
        self.calls += before
        if self.at == self.calls and self.is_before is before:
            self.at = None
            raise Doubt("a call that a test lets fail")


class FailingStore(EmbeddedStore):
    """Gives copies, as Redis does."""

    def __init__(self, *, shards: int) -> None:
        super().__init__(shards=shards)
        self.failing = Failing()

    def save(self, shard: int, write: Write) -> Saved | Conflict | Overtaken:
        self.failing(before=True)
        saved = super().save(shard, write)
        self.failing(before=False)
        return saved


class FailingPublisher(MemoryPublisher):
    def __init__(self, source: MemorySource, failing: Failing) -> None:
        super().__init__(source)
        self.failing = failing

    def publish(
        self,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],
        group: Any,
    ) -> None:
        self.failing(before=True)
        super().publish(changes, rejects, positions, group)
        self.failing(before=False)


class Group:
    """`partitions` of a log; all workers share what is committed, stored and published."""

    def __init__(
        self,
        *,
        partitions: int = 1,
        workers: int = 1,
        shards: int = 1,
        size: int = 100,
        rules: Rules | None = None,
        start: Start | None = None,
        now: int = T0 + 90 * DAY,
        sweeps: bool = True,
    ) -> None:
        self.log: dict[Partition, list[MemoryRecord]] = {one: [] for one in range(partitions)}
        self.rules = rules or Rules()
        self.clock, self.store = StillClock(), FailingStore(shards=shards)
        self.commits: dict[Partition, Committed] = {}
        self.publishing = Failing()
        self.values: dict[str, bytes] = {}
        self.revisions: dict[str, list[int]] = {}
        self.rejects: list[Refused] = []
        self.members = [Member(self.log, size) for _ in range(workers)]
        self.workers = [
            Worker(
                World(
                    member,
                    self.store,
                    self._publisher(member),
                    self.clock,
                    self.rules,
                    start or Start(),
                    sweeps=sweeps,
                    started_at=now,
                )
            )
            for member in self.members
        ]
        self.assign(*(tuple(range(partitions))[first::workers] for first in range(workers)))

    def _publisher(self, member: Member) -> FailingPublisher:
        publisher = FailingPublisher(member, self.publishing)
        publisher.values, publisher.revisions, publisher.rejects = self.values, self.revisions, self.rejects
        member.commits = self.commits
        return publisher

    def after_a_wipe(self) -> Group:
        """The same log and commits, read as before by one worker whose store has lost everything."""
        again = Group(partitions=len(self.log), size=self.members[0].size, rules=self.rules)
        again.log, again.commits = self.log, self.commits
        again.members[0].log, again.members[0].commits = self.log, self.commits
        return again

    def assign(self, *parts: tuple[Partition, ...]) -> None:
        """Give each worker these partitions, as a rebalance does."""
        for member, mine in zip(self.members, parts, strict=True):
            member.mine, member.at = mine, {}
            member.generation += 1

    def tell(self, *events: Json | bytes | None, partition: Partition = 0, timestamp: int | None = None) -> None:
        """Append to the log."""
        held = self.log[partition]
        for event in events:
            value = line(event) if isinstance(event, dict) else event
            held.append(MemoryRecord(partition, len(held), value, timestamp))

    def settle(self, *, at: int | None = None) -> Group:
        """Let the workers take turns until nothing is left to do; `at` is the wall clock from now on, ms after `T0`."""
        if at is not None:
            self.clock.ms = T0 + at
        rested = 0
        for _ in range(STEPS_MAX):
            done = [worker.step() for worker in self.workers]
            rested = rested + 1 if all(done) and self._is_quiet() else 0
            if rested > 1:  # A note may have been left in the first of the two.
                return self
        raise AssertionError(f"not at rest after {STEPS_MAX} steps")

    def _is_quiet(self) -> bool:
        lives = [worker.life for worker, member in zip(self.workers, self.members, strict=True) if member.mine]
        return all(
            life is not None and life.is_quiet and all(life.read[one] == len(self.log[one]) for one in life.partitions)
            for life in lives
        )

    def fail(self, what: Failing, *, after: int, before: bool) -> None:
        """The call after so many more of its kind fails, before or after its effect."""
        what.at, what.is_before = what.calls + after + 1, before

    def sessions(self) -> dict[str, Json]:
        """What a reader sees, by id; without short ids."""
        found: dict[str, Json] = {one: json.loads(value) for one, value in self.values.items()}
        for session in found.values():
            session.pop("shortId", None)
        return found

    def short_ids(self) -> dict[str, str]:
        found = ((one, json.loads(value).get("shortId")) for one, value in self.values.items())
        return {one: short_id for one, short_id in found if short_id is not None}

    def newest_revisions(self) -> dict[str, int]:
        return {one: revisions[-1] for one, revisions in self.revisions.items()}

    def reasons(self) -> list[tuple[Partition, Offset, str]]:
        return [(one.record.partition, one.record.offset, one.reason) for one in self.rejects]

    def ledger(self) -> Ledger:
        """As committed, of all partitions."""
        return total([mark_of(committed.metadata).ledger for committed in self.commits.values()])

    def stored(self) -> Iterable[str]:
        """Ids of the sessions that the store has."""
        return [session.id for _, track in self.store.sessions() for session in track.sessions]
