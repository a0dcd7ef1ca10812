"""A member of the consumer group as a `Source`.

Law: records come only from partitions that `begin_at` has placed since they were assigned or since the last doubt; the
client's own positions and commits are never used to begin from.
"""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import FencedInstanceIdError, KafkaError, KafkaTimeoutError
from kafka.future import Future
from kafka.structs import MemberState

from projector.adapters.kafka.abandoned import end_abandoned
from projector.adapters.kafka.extent import offsets_at, partitions_of, spans_of
from projector.adapters.kafka.reading import ends_of
from projector.adapters.kafka.settings import TRANSACTION_TIMEOUT_MS, KafkaSettings, group_options
from projector.adapters.kafka.trouble import asking, effects, made, reading
from projector.errors import Doubt, Fenced, WrongInput
from projector.ports import Batch, Committed, Offset, Partition, Span

log = structlog.get_logger()

COMPANY_MS = 10
"""How long records that lay in the client wait for others that are on their way."""
LONE_MAX, LONE_BYTES_MAX = 1000, 1 << 20
"""More records, or bytes of them, do not wait."""
POLL_MS = 100
"""So long a poll waits for records: deadlines and signals are seen at least this often."""

JOIN_MS = 1000
"""So long a poll waits for the other members during a rebalance, in which there is nothing else to do."""

BATCH_BYTES_MAX = 32 * 1024 * 1024
"""About as much as the values of one batch may have: so many records are taken as had that much last time."""

FIRST_RECORDS_MAX = 250
"""Of a life's first batch, which shows how large things are."""

PENDING_MS = 5000
"""A transaction that is committed is pending for some milliseconds: what takes longer may have been left, or the broker
is slow."""

COMMITTED_TIMEOUT_MS = TRANSACTION_TIMEOUT_MS + 15_000
"""A dead producer's transaction is aborted by the broker, which looks for them every 10 s by default."""


class KafkaSource:
    """Reads the input topic with the other members of the group, by range, eagerly: a rebalance begins a new life."""

    def __init__(self, settings: KafkaSettings, *, topic_id: str = "") -> None:
        """`topic_id`: of the topic that is meant; empty where the broker has none."""
        self._settings = settings
        self.topic, self._topic_id = settings.input_topic, topic_id
        self._where = settings.bootstrap_servers
        options = group_options(settings) | {"partition_assignment_strategy": [RangePartitionAssignor()]}
        self._consumer = made(KafkaConsumer, options, "read as a member of a group", self._where)
        self._ends = ends_of(self._consumer, self.topic)
        self._membership = _Membership(self._consumer)
        self._records_most: int = options["max_poll_records"]
        self._records_sized = FIRST_RECORDS_MAX
        """How many records are about `BATCH_BYTES_MAX`, going by the last batch; at most twice as many as it had."""
        self._generation = 0
        self._looked = 0
        """The generation that has looked for what dead workers left."""
        self._can_look = False
        """The broker tells of it, as far as this call for positions has seen."""
        self._next: dict[Partition, Offset] = {}
        """Where `begin_at` placed us, and how far we have read since; empty from a new assignment or a doubt on."""
        self.records_max: int = self._records_most
        """Of a batch; whoever works on them may set it."""
        self._joining: Future | None = None
        """Done when the rebalance is that is under way."""
        try:
            with asking("subscribe", self._where):
                self._consumer.subscribe(topics=[self.topic], listener=self._membership)
                # Fetches metadata: the first to join would else assign without any, and a second rebalance follow.
                self._consumer.topics()
        except BaseException:
            self._consumer.close(autocommit=False)
            raise

    def poll(self) -> Batch:
        """Waits `POLL_MS`, in a rebalance `JOIN_MS`. After whatever it raises, `begin_at` has to be called again.

        Raises `Doubt` where the log moved under us or the group no longer counts us in.
        """
        try:
            with reading(self.topic):
                is_new = self._is_joining() or self._membership.changes != self._generation
                polled = {} if is_new else self._polled(self._records_now())
            self._require_topic()
            if self._membership.changes != self._generation:
                self._generation = self._membership.changes
                self._next = {}
            if not self._next:
                return Batch(records=(), assigned=self._membership.assigned, generation=self._generation)
            return self._batch(polled)
        except BaseException:
            self._hold()
            raise

    def partitions(self) -> tuple[Partition, ...]:
        with asking(f"look up the partitions of {self.topic}", self._where):
            found = partitions_of(self._consumer, self.topic)
        self._require_topic()
        return found

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:
        """With require_stable, which read_committed implies: waits `COMMITTED_TIMEOUT_MS` for pending transactions.

        Those of workers that are gone are aborted: at each new assignment, for they hold back what readers of the
        output see, and while one is waited for.
        """
        self._can_look = self._settings.delivery == "exactly-once"
        if self._generation != self._looked:
            self._look()
            self._looked = self._generation
        found = {}
        with asking(f"read the committed positions of {self.topic}", self._where):
            for partition in partitions:
                stored = self._committed(TopicPartition(self.topic, partition))
                if stored is not None:
                    found[partition] = Committed(stored.offset, stored.metadata or "")
        return found

    def spans(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        with asking(f"ask how far {self.topic} goes", self._where):
            return spans_of(self._consumer, self.topic, partitions)

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> dict[Partition, Offset]:
        with asking(f"look for a time in {self.topic}", self._where):
            return offsets_at(self._consumer, self.topic, partitions, ms)

    def begin_at(self, positions: Mapping[Partition, Offset]) -> None:
        """`Doubt` where one of them is not ours any more."""
        placed = {TopicPartition(self.topic, partition): offset for partition, offset in positions.items()}
        if not placed.keys() <= self._consumer.assignment() or not positions.keys() <= set(self._membership.assigned):
            raise Doubt(f"not all of {sorted(positions)} of {self.topic} are assigned to us")
        for partition, offset in placed.items():
            self._consumer.seek(partition, offset)
        self._ends.begin(positions)
        self._next |= positions
        self._consumer.resume(*placed)

    def commit(self, positions: Mapping[Partition, Committed], group: Any) -> None:
        """For delivery at least once, which has no transaction that could carry the positions."""
        with effects("committing positions"):
            if self._consumer.group_metadata() != group:
                raise Fenced("the group has changed since the batch was polled")
            self._consumer.commit(offsets_of(self.topic, positions), timeout_ms=TRANSACTION_TIMEOUT_MS)

    def close(self) -> None:
        """Leaves the group, if the broker can be told: else the others wait for the session to time out.

        The client would not leave for a member with a name of its own: it cannot know that nobody comes in its place.
        """
        self._consumer._coordinator.is_dynamic_member = lambda: True  # type: ignore[method-assign]  # noqa: SLF001
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=5000)

    def _committed(self, place: TopicPartition) -> Any:
        """An answer that came too late for an earlier call is forgotten: the client would give it now, however old."""
        self._consumer._coordinator._offset_fetch_futures.clear()  # noqa: SLF001
        deadline = time.monotonic() + COMMITTED_TIMEOUT_MS / 1000
        while True:
            try:
                return self._consumer.committed(place, metadata=True, timeout_ms=PENDING_MS)
            except KafkaTimeoutError:
                if time.monotonic() >= deadline:
                    raise
            self._look()

    def _look(self) -> None:
        self._can_look = self._can_look and end_abandoned(self._settings)

    def _polled(self, records_max: int) -> dict[TopicPartition, list[Any]]:
        """What the client has, and what has come since.

        What an earlier answer left in the client may be as old as the turn before: without asking again each record
        would wait for a turn of others. Not where it is much: a batch is to be no larger than one fetch. What the
        broker has only just given is all there is: records do not wait for others that may never come.
        """
        began = time.monotonic()
        polled: dict[TopicPartition, list[Any]] = self._consumer.poll(timeout_ms=POLL_MS, max_records=records_max)
        if self._ends.answered_since(began):
            return polled
        count = sum(map(len, polled.values()))
        if 0 < count < min(records_max, LONE_MAX) and _bytes_of(chain(*polled.values())) < LONE_BYTES_MAX:
            for place, records in self._consumer.poll(COMPANY_MS, max_records=records_max - count).items():
                polled.setdefault(place, []).extend(records)
        return polled

    def _batch(self, polled: Mapping[TopicPartition, list[Any]]) -> Batch:
        group = self._consumer.group_metadata()
        require_member(group)
        with reading(self.topic):
            positions = {
                partition: self._consumer.position(TopicPartition(self.topic, partition), timeout_ms=0)
                for partition in self._next
            }
            at_end = self._ends.reached(positions)
        records = list(chain.from_iterable(polled.values()))
        self._note_size(records)
        moved = {partition: offset for partition, offset in positions.items() if offset != self._next[partition]}
        self._next |= moved
        return Batch(
            records=records,
            next=moved,
            at_end=at_end,
            assigned=self._membership.assigned,
            generation=self._generation,
            group=group,
        )

    def _records_now(self) -> int:
        return max(1, min(self._records_most, self._records_sized, self.records_max))

    def _note_size(self, records: list[Any]) -> None:
        if records:
            fitting = BATCH_BYTES_MAX * len(records) // (_bytes_of(records) + 1)
            self._records_sized = min(2 * max(len(records), FIRST_RECORDS_MAX), fitting)

    def _require_topic(self) -> None:
        """The client reads on at the same offset where the topic is made anew under its name, whatever is there."""
        now = self._consumer._manager.cluster.topic_id(self.topic)  # noqa: SLF001
        if self._topic_id and now is not None and now.int and str(now) != self._topic_id:
            raise WrongInput(f"topic {self.topic} was made anew; start again to be told what can be done")

    def _is_joining(self) -> bool:
        """Whether a rebalance keeps us from reading; begins to join where that is due, and waits `JOIN_MS` for it.

        The join goes on by itself on the client's thread. The client would tie it to its polls: what comes between two
        of them is thrown away and joined for again, by the leader with another rebalance; and one that began because
        the topic's metadata had changed is forgotten as soon as the leader has assigned by it, which leaves the member
        outside of the group, without a heartbeat, for ever. And one whose heartbeat is fenced, as somebody else has its
        name, or the broker when it came back took it for an earlier one, would send no more and believe in its
        partitions for ever; one that is fenced when it joins would ask the same for ever: both join anew.
        """
        coordinator, manager = self._consumer._coordinator, self._consumer._manager  # noqa: SLF001
        if self._joining is None:
            if coordinator.state is MemberState.STABLE and not coordinator._heartbeat_enabled:  # noqa: SLF001
                self._join_anew()
            if not (coordinator.rejoining or coordinator.need_rejoin()):
                return False
            coordinator.request_rejoin()
            self._membership.on_partitions_revoked(())
            self._joining = manager.call_soon(coordinator.ensure_active_group_async, None)
        try:
            with suppress(KafkaTimeoutError):
                manager.run(manager.wait_for, self._joining, JOIN_MS)
        except FencedInstanceIdError:
            self._join_anew()
            return True
        finally:
            if self._joining.is_done:
                self._joining = None
        return self._joining is not None

    def _join_anew(self) -> None:
        coordinator = self._consumer._coordinator  # noqa: SLF001
        log.warning("another member came under this one's name, joins again", member=coordinator.group_instance_id)
        coordinator.reset_generation()

    def _hold(self) -> None:
        """Nothing is read until `begin_at`: what this poll had taken from the client is lost to us."""
        self._next = {}
        self._records_sized = FIRST_RECORDS_MAX
        self._consumer.pause(*self._consumer.assignment())


_value = attrgetter("value")


def _bytes_of(records: Iterable[Any]) -> int:
    """Of their values."""
    return sum(map(len, filter(None, map(_value, records))))


class _Membership(ConsumerRebalanceListener):
    """Notes what the group gives and takes; runs on the client's thread while `poll` waits, and only notes.

    New partitions are held and given a placeholder position: without one the client would fetch positions by itself,
    and raise where there are none.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self.changes = 0
        self.assigned: tuple[Partition, ...] = ()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        partitions = list(assigned)
        self._consumer.pause(*partitions)
        for partition in partitions:
            self._consumer.seek(partition, 0)
        self._note(tuple(sorted(partition.partition for partition in partitions)))

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002
        self._note(())

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:  # noqa: ARG002
        self._note(())

    def _note(self, assigned: tuple[Partition, ...]) -> None:
        self.assigned = assigned
        self.changes += 1


def require_member(group: Any) -> None:
    """Raises `Doubt` where a commit with this metadata would not be fenced.

    Brokers do not check a generation of -1 or an empty member id.
    """
    if group is None or group.generation_id < 0 or not group.member_id or group.state != MemberState.STABLE:
        raise Doubt(f"we are no settled member of the group: {group}")


def offsets_of(topic: str, positions: Mapping[Partition, Committed]) -> dict[TopicPartition, OffsetAndMetadata]:
    return {
        TopicPartition(topic, partition): OffsetAndMetadata(position.offset, position.metadata, -1)
        for partition, position in positions.items()
    }
