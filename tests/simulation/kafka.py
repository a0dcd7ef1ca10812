"""One worker's `Source`, `Publisher` and `Clock` over the simulated broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from projector.dates import parse_time
from projector.errors import Doubt, Fenced
from projector.ports import NO_CLOCK, Batch, Change, Committed, Offset, Partition, Refused, Span
from projector.rules import Rules
from projector.session import Session
from projector.snapshot import snapshot_of
from tests.simulation.broker import Broker, Published, PublishedReject, State, Transaction
from tests.simulation.wire import Trouble, Wire

PATIENCE = 3
"""So many times a new owner asks again before a pending transaction times out."""


class SimTime:
    """The time of the world, ms; it goes on when the scheduler says so."""

    def __init__(self, ms: int) -> None:
        self.ms = ms


class SimClock:
    """The `Clock` of one worker."""

    def __init__(self, time: SimTime, source: SimSource) -> None:
        self._time, self._source = time, source

    def now(self) -> int:
        self._source.looks_at_the_clock(self._time.ms)
        return self._time.ms


class SimSource:
    topic = "simulated"

    def __init__(self, broker: Broker, wire: Wire, dice: Random, batch_max: int) -> None:
        self._broker, self._wire, self._dice, self._batch_max = broker, wire, dice, batch_max
        self.generation = 0
        self.at: dict[Partition, Offset] = {}
        self.at_end: frozenset[Partition] = frozenset()

    def poll(self) -> Batch:
        self._wire.question("poll")
        broker, name = self._broker, self._wire.actor.name
        if name not in broker.assignment and name not in broker.joining:
            broker.joining.append(name)
        assigned = broker.assignment.get(name, ())
        if broker.generation != self.generation:
            self.generation, self.at = broker.generation, {}
        batch = Batch(records=(), assigned=assigned, generation=self.generation, group=(name, self.generation))
        if self.at:
            self._read(batch)
        return batch

    def _read(self, batch: Batch) -> None:
        records: list[Any] = []
        for partition in self.at:
            held, start = self._broker.log[partition], self.at[partition]
            some = held[start : start + self._dice.randint(0, self._batch_max)]
            records += some
            if some:
                self.at[partition] = batch.next[partition] = start + len(some)
        batch.records = records
        batch.at_end = frozenset(one for one, at in self.at.items() if at == len(self._broker.log[one]))
        self.at_end = batch.at_end

    def partitions(self) -> tuple[Partition, ...]:
        self._wire.question("partitions")
        return tuple(range(len(self._broker.log)))

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:
        found = {}
        for partition in partitions:
            self._wire.question(f"committed {partition}")
            for _ in range(PATIENCE):
                if self._broker.pending_for([partition]):
                    self._wire.boundary(f"waits for a transaction on {partition}")
            self._broker.time_out(self._broker.pending_for([partition]))
            if partition in self._broker.committed:
                found[partition] = self._broker.committed[partition]
        return found

    def spans(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        self._wire.question("spans")
        return {one: Span(0, len(self._broker.log[one])) for one in partitions}

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> dict[Partition, Offset]:
        raise AssertionError("the simulation begins at the beginning")

    def begin_at(self, positions: Mapping[Partition, Offset]) -> None:
        self._wire.boundary(f"begins at {dict(positions)}")
        if self._broker.generation != self.generation and not set(positions) <= set(
            self._broker.assignment.get(self._wire.actor.name, ())
        ):
            raise Doubt("not ours any more")
        self.at = dict(positions)

    def close(self) -> None:
        pass

    def looks_at_the_clock(self, now: int) -> None:
        """Note how far the end clock of each partition is, the wall clock being at `now` (ms)."""
        broker = self._broker
        for partition, at in self.at.items():
            clocks = [broker.end_clocks[partition], *broker.clocks[partition][:at][-1:]]
            broker.end_clocks[partition] = max([*clocks, *([now] if partition in self.at_end else [])])


class SimPublisher:
    """Exactly once in a transaction; or at least once, every record seen at once and positions after them."""

    def __init__(self, broker: Broker, wire: Wire, source: SimSource, rules: Rules, transactional_id: str) -> None:
        self._broker, self._wire, self._source, self._rules = broker, wire, source, rules
        self._id = transactional_id
        self._epoch = -1
        self.is_transactional = True

    def renew(self) -> None:
        self._wire.boundary("renew")
        self._epoch = self._broker.renew(self._id)

    def publish(
        self,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],
        group: Any,
    ) -> None:
        deliver = self._in_a_transaction if self.is_transactional else self._in_turn
        deliver(changes, rejects, positions, group)

    def _in_a_transaction(
        self,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],
        group: Any,
    ) -> None:
        broker = self._broker
        self._wire.boundary("produce")
        self._require(None)
        transaction = broker.begin(self._id)
        self._send(transaction, changes, rejects)
        self._wire.boundary("send offsets")
        self._require(transaction)
        if not broker.is_current(group):
            broker.abort(transaction)
            raise Fenced("another generation")
        transaction.offsets = dict(positions)
        with self._wire.effect("commit") as trouble:
            self._require(transaction)
            broker.commit(transaction, hangs=trouble is Trouble.HANGS)

    def _in_turn(
        self,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],
        group: Any,
    ) -> None:
        broker = self._broker
        with self._wire.effect("produce"):
            self._send(Transaction(State.COMMITTED), changes, rejects)
        with self._wire.effect("commit"):
            if not broker.is_current(group):
                raise Fenced("another generation")
            broker.committed.update(positions)

    def _require(self, transaction: Transaction | None) -> None:
        if self._broker.epochs.get(self._id) != self._epoch:
            raise Fenced("a newer producer")
        if transaction is not None and transaction.state is not State.OPEN:
            raise Doubt("the transaction has timed out")

    def _send(self, transaction: Transaction, changes: Sequence[Change], rejects: Sequence[Refused]) -> None:
        broker = self._broker
        clock = max((broker.end_clocks[one] for one in self._source.at), default=NO_CLOCK)
        published = [self._published(transaction, change, clock) for change in changes]
        broker.output += published
        for one in published:
            self._wire.note(f"publishes {one.session_id} {one.revision} ended {one.is_ended} {one.value!r}")
        broker.rejects += [
            PublishedReject(transaction, one.record.partition, one.record.offset, one.reason) for one in rejects
        ]

    def close(self) -> None:
        pass

    def _published(self, transaction: Transaction, change: Change, end_clock: int) -> Published:
        if change.told is None:
            return Published(transaction, change.session_id, change.revision, None, None, False, False)
        shown = msgspec.json.decode(change.told.text)
        ended, away = _ms(shown.get("endedDate")), _ms(shown.get("awayDate"))
        timeout = self._rules.timeout_of(shown["type"])
        is_by_time = away is not None and timeout is not None and ended == away - self._rules.away_after + timeout
        return Published(
            transaction,
            change.session_id,
            change.revision,
            _content(shown),
            shown.get("shortId"),
            is_too_early=is_by_time and ended is not None and end_clock <= ended and not self._is_told_to_end(ended),
            is_ended=ended is not None,
        )

    def _is_told_to_end(self, ms: int) -> bool:
        """Whether a `SessionEnded` or a campaign of this moment is in the log: then no clock has to have reached it."""
        told = (record.value for records in self._broker.log for record in records)
        ends = (one for one in told if one is not None and (b'"SessionEnded"' in one or b"?utm_source=" in one))
        return any(parse_time(msgspec.json.decode(one)["createdDate"]) == ms for one in ends)


def _ms(text: str | None) -> int | None:
    return None if text is None else parse_time(text)


def content_of(session: Session, rules: Rules) -> bytes:
    """The snapshot, short id apart, as `_published` has it."""
    return _content(msgspec.json.decode(snapshot_of(session, rules)))


def _content(shown: dict[str, Any]) -> bytes:
    return msgspec.json.encode({name: value for name, value in shown.items() if name != "shortId"})
