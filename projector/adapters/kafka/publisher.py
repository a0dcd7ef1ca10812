"""The way out: snapshots, rejects and input positions in one Kafka transaction, or each in its turn.

Law: after anything but success the producer is thrown away, for kafka-python's may carry positions of an aborted
transaction into the next one; `renew` makes another, which fences the old.
"""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, UnknownError

from projector.adapters.kafka.fitting import Cut, Limits
from projector.adapters.kafka.lasting import keep_requests
from projector.adapters.kafka.outgoing import partitioner, reject_record
from projector.adapters.kafka.settings import DELIVERY_TIMEOUT_MS, MAKE_TOPICS, KafkaSettings, producer_options
from projector.adapters.kafka.source import offsets_of, require_member
from projector.adapters.kafka.topics import KafkaTopics
from projector.adapters.kafka.trouble import TOO_LARGE, asking, effects, made
from projector.adapters.kafka.writing import Writer, compress_of, writer_of
from projector.errors import Doubt, Unavailable
from projector.ports import Change, Committed, Partition, Refused

Commit = Callable[[Mapping[Partition, Committed], Any], None]

FLUSH_TIMEOUT_S = DELIVERY_TIMEOUT_MS / 1000 + 5


class KafkaPublisher:
    """Delivers as the settings say.

    The transactional id is to be the same for every life of one worker and no other's at the same time. `commit` is the
    source's, for delivery at least once. Calls of a transaction may wait without limit: a watchdog has to stand behind.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        transactional_id: str,
        commit: Commit | None = None,
        hide_rejects: bool = False,
        told: Callable[[Cut], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._limits = Limits(settings, told)
        self._transactional_id = transactional_id
        self._commit = commit
        self._hide_rejects = hide_rejects
        self._transactional = settings.delivery == "exactly-once"
        self._producer: KafkaProducer | None = None
        """None from a doubt until `renew`."""
        self._used = False
        self._failed_on: set[str] = set()
        """Topics that were written to when publishing last failed, until there is another producer."""
        self._writer: Writer | None = None
        """The producer's."""
        self.renew()

    def renew(self) -> None:
        """A new producer; one of the same transactional id is fenced, and what it left open aborted.

        One that has not been used since it was made is kept: it has left nothing. Where publishing has failed, and one
        of its topics lacks replicas in sync, there is none until it has them: it would fail again, and only late.
        """
        if self._producer is not None and not self._used:
            return
        self._drop()
        if self._failed_on:
            with KafkaTopics(self._settings) as topics:
                topics.require_taken(self._failed_on)
        where = self._settings.bootstrap_servers
        producer = made(KafkaProducer, producer_options(self._settings, self._transactional_id), "publish", where)
        try:
            self._limits.ask_if_needed()
            with asking("begin to publish", where):
                partition_of = partitioner(_partitions(producer, self._settings.output_topic))
                _partitions(producer, self._settings.rejects_topic)
                if self._transactional:
                    keep_requests(producer)
                    producer.init_transactions()
        except BaseException:
            _throw_away(producer)
            raise
        self._writer = writer_of(producer, self._settings.output_topic, partition_of, self._limits)
        self._producer, self._used, self._failed_on = producer, False, set()

    def publish(
        self,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],
        group: Any,
    ) -> None:
        """All of it or nothing (exactly once), or records before positions (at least once). Raises `Doubt`.

        A record that its topic does not take is published smaller, and `told`: the first time after a `Doubt`, when
        the broker has said so.
        """
        if not (changes or rejects or positions):
            return
        if self._producer is None:
            raise Doubt("the producer was given up after a doubt; a new life has to renew it")
        if positions:
            require_member(group)
        self._used = True
        try:
            with effects(f"publishing {len(changes)} snapshots and {len(rejects)} rejects"):
                deliver = self._deliver_transaction if self._transactional else self._deliver_in_turn
                deliver(self._producer, changes, rejects, positions, group)
        except BaseException as error:
            self._drop()
            written = ((self._settings.output_topic, changes), (self._settings.rejects_topic, rejects))
            self._failed_on = {topic for topic, records in written if records}
            if isinstance(error.__cause__, TOO_LARGE):
                self._limits.refused()
            raise
        with suppress(Unavailable):
            self._limits.ask_if_needed()

    def close(self) -> None:
        self._drop()

    def _deliver_transaction(
        self,
        producer: KafkaProducer,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],
        group: Any,
    ) -> None:
        producer.begin_transaction()
        self._send(producer, changes, rejects)
        if positions:
            producer.send_offsets_to_transaction(offsets_of(self._settings.input_topic, positions), group)
        producer.commit_transaction()

    def _deliver_in_turn(
        self,
        producer: KafkaProducer,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],
        group: Any,
    ) -> None:
        self._send(producer, changes, rejects)
        if positions:
            assert self._commit is not None, "delivery at least once needs the source's commit"
            self._commit(positions, group)

    def _send(self, producer: KafkaProducer, changes: Sequence[Change], rejects: Sequence[Refused]) -> None:
        """Returns when the broker has acknowledged every record.

        Each future is asked for its outcome: neither `flush` nor the commit fails for a record that was given up.
        Flushed before the commit, which else would switch lingering off for good.
        """
        assert self._writer is not None, "a producer has its writer"
        sent = self._writer.write(changes)
        for refused in rejects:
            record = reject_record(refused, self._settings.input_topic, hidden=self._hide_rejects)
            key, value, headers = self._limits.fit_reject(*record, compress_of(producer))
            sent.append(producer.send(self._settings.rejects_topic, value=value, key=key, headers=headers))
        if not sent:
            return
        with suppress(UnknownError):  # Of a batch that the client has split: the flush did not wait for its parts.
            producer.flush(timeout=FLUSH_TIMEOUT_S)
        for future in sent:
            if not future.succeeded():
                future.get(timeout=FLUSH_TIMEOUT_S)

    def _drop(self) -> None:
        producer, self._producer, self._writer = self._producer, None, None
        if producer is not None:
            _throw_away(producer)


def _partitions(producer: KafkaProducer, topic: str) -> int:
    try:
        return len(producer.partitions_for(topic))
    except KafkaTimeoutError as error:
        hint = f"if it does not exist, {MAKE_TOPICS}"
        raise Unavailable(f"the broker does not tell of a topic {topic} ({error}); {hint}") from error


def _throw_away(producer: KafkaProducer) -> None:
    """Without waiting for anything it still has to send."""
    with suppress(KafkaError):
        producer._sender.force_close()  # noqa: SLF001 What is left in it must not be flushed.
        producer.close(timeout=1)
