"""How long until all is well again: from the moment a fault is healed until every partition has committed a record that
was appended after it."""

# mypy: disable-error-code="no-untyped-call"
# The Kafka client has annotations in part only.

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

if TYPE_CHECKING:
    from tests.end_to_end.pipeline import Pipeline

EVERY_S = 0.15
_OPTIONS = {
    "request_timeout_ms": 2000,
    "bootstrap_timeout_ms": 2000,
    "reconnect_backoff_max_ms": 500,
}

Offsets = dict[int, int]


@dataclass
class Recovery:
    """What became of one fault; `healed_at` by the monotonic clock."""

    fault: str
    healed_at: float
    ends: Offsets = field(default_factory=dict)
    """Where the partitions ended just after."""
    took_s: float | None = None
    is_done: threading.Event = field(default_factory=threading.Event)


class Watch:
    """Looks at the group's commits while there is a fault to recover from."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._bootstrap = pipeline.config.kafka_bootstrap_servers
        self._group = pipeline.config.group_id
        self._partitions = [TopicPartition(pipeline.config.input_topic, one) for one in range(pipeline.partitions)]
        self._admin: KafkaAdminClient | None = None
        self._open: list[Recovery] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self.recoveries: list[Recovery] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._give_up_client()

    def healed(self, fault: str) -> Recovery:
        """A fault was healed just now."""
        recovery = Recovery(fault, time.monotonic())
        self.recoveries.append(recovery)
        self._open.append(recovery)
        return recovery

    def lag(self) -> int:
        """Records that are not committed yet; raises KafkaError where the broker does not answer."""
        committed, ends = self._committed(), self._ends()
        return sum(end - committed.get(partition, 0) for partition, end in ends.items())

    def _look(self) -> None:
        while not self._stopping.wait(EVERY_S):
            waiting = list(self._open)
            if not waiting:
                continue
            try:
                if any(not one.ends for one in waiting):
                    ends = self._ends()
                    for one in waiting:
                        one.ends = one.ends or ends
                committed = self._committed()
            except (KafkaError, OSError):
                self._give_up_client()
                continue
            for one in waiting:
                if all(committed.get(partition, -1) > end for partition, end in one.ends.items()):
                    one.took_s = time.monotonic() - one.healed_at
                    self._open.remove(one)
                    one.is_done.set()

    def _client(self) -> KafkaAdminClient:
        if self._admin is None:
            self._admin = KafkaAdminClient(bootstrap_servers=self._bootstrap, **_OPTIONS)
        return self._admin

    def _give_up_client(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(KafkaError, OSError):
                admin.close()

    def _ends(self) -> Offsets:
        found = self._client().list_partition_offsets(dict.fromkeys(self._partitions, OffsetSpec.LATEST))
        return {partition.partition: at.offset for partition, at in found.items()}

    def _committed(self) -> Offsets:
        found = self._client().list_group_offsets([self._group])[self._group]
        return {partition.partition: at.offset for partition, at in found.items()}
