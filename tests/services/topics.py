"""The broker as a test sees it: makes topics, writes records, reads back all that is there.

Law: `read` gives exactly what a reader of committed records finds up to the end that the topic has when it is called.
"""

# mypy: disable-error-code="no-untyped-call"
# The Kafka client has annotations in part only.

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource
from kafka.errors import RetriableError

from tests.services.process import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

READ_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Topics:
    """`bootstrap` is what a client's bootstrap_servers takes, one or more host:port with commas between."""

    bootstrap: str

    def create(self, name: str, *, partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        """Makes the topic, waits until it has leaders, and gives its name."""
        options = {"num_partitions": partitions, "replication_factor": -1, "configs": dict(configs or {})}
        with self.admin() as admin:
            admin.create_topics({name: options}, wait_for_metadata=True)
        return name

    def delete(self, name: str) -> None:
        """Deletes the topic, and waits until the broker tells of it no more: else who asks for it may still be told."""
        with self.admin() as admin:
            admin.delete_topics([name])
            gone = wait_for(lambda: name not in admin.list_topics(), timeout_s=READ_TIMEOUT_S)
        assert gone, f"{name} is still there"

    def add_partitions(self, name: str, total: int) -> None:
        with self.admin() as admin:
            admin.create_partitions({name: total})

    def configure(self, name: str, configs: Mapping[str, str]) -> None:
        """Sets these of the topic's settings, and waits until the broker goes by them."""
        topic = ConfigResource("TOPIC", name)
        with self.admin() as admin:
            admin.alter_configs([ConfigResource("TOPIC", name, configs=dict(configs))])

            def are_set() -> bool:
                now = admin.describe_configs([topic], config_filter="all")["topic"][name]
                return all(str(now[key]["value"]) == value for key, value in configs.items())

            assert wait_for(are_set, timeout_s=READ_TIMEOUT_S), f"{name} did not take {configs}"

    def names(self) -> set[str]:
        with self.admin() as admin:
            return set(admin.list_topics())

    def send(
        self,
        topic: str,
        records: Iterable[tuple[str | None, bytes | None]],
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Writes (key, value) records in order and waits until the broker has them all."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5)
        try:
            sent = [
                producer.send(
                    topic,
                    key=None if key is None else key.encode(),
                    value=value,
                    partition=partition,
                    timestamp_ms=timestamp_ms,
                )
                for key, value in records
            ]
            producer.flush(timeout=READ_TIMEOUT_S)
            for future in sent:
                future.get(timeout=READ_TIMEOUT_S)  # flush() does not raise for a record that failed.
        finally:
            producer.close()

    def read(self, topic: str, *, isolation_level: str = "read_committed") -> list[Any]:
        """Every record of the topic, kafka-python's `ConsumerRecord`, in order within each partition."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level=isolation_level, enable_auto_commit=False
        )
        try:
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            assert partitions, f"there is no topic {topic}"
            ends = consumer.end_offsets(partitions)
            consumer.assign(partitions)
            consumer.seek_to_beginning()
            return sorted(_poll_to(consumer, ends), key=lambda record: (record.partition, record.offset))
        finally:
            consumer.close()

    def committed(self, group: str) -> dict[Any, Any]:
        """What the group has committed: topic and partition → offset and metadata."""
        found: dict[Any, Any] = {}

        def asked() -> bool:
            try:
                found.update(admin.list_group_offsets([group])[group])
            except RetriableError:  # The first to ask for any group makes the broker create the topic for it.
                return False
            return True

        with self.admin() as admin:
            assert wait_for(asked, timeout_s=READ_TIMEOUT_S), f"no coordinator for {group} in {READ_TIMEOUT_S:g} s"
        return found

    def admin(self) -> AbstractContextManager[Any]:
        client: AbstractContextManager[Any] = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        return client


def _poll_to(consumer: KafkaConsumer, ends: Mapping[TopicPartition, int]) -> Iterator[Any]:
    deadline = time.monotonic() + READ_TIMEOUT_S
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        assert time.monotonic() < deadline, f"the topic was not read to {ends} within {READ_TIMEOUT_S:g} s"
        for partition, records in consumer.poll(timeout_ms=500).items():
            yield from (record for record in records if record.offset < ends[partition])
