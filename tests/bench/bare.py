"""The floor: a stock kafka-python consumer that polls a topic to its end and does nothing with what it gets.

Run as a process of its own, `python -m tests.bench.bare BOOTSTRAP TOPIC EVENTS`; prints one JSON object.
"""

# mypy: disable-error-code="no-untyped-call"
# The Kafka client has annotations in part only.

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition

if TYPE_CHECKING:
    from tests.bench.results import Numbers
    from tests.bench.world import World

# As large as helps it: with the client's own default of 500 records a poll it takes twice the CPU.
_SETTINGS: dict[str, Any] = {
    "max_poll_records": 4000,
    "fetch_min_bytes": 65_536,
    "fetch_max_wait_ms": 100,
    "max_partition_fetch_bytes": 4 << 20,
    "fetch_max_bytes": 32 << 20,
    "receive_buffer_bytes": 2 << 20,
}


def bare(world: World, topic: str, events: int) -> Numbers:
    """The numbers of one run."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.bare", world.bootstrap, topic, str(events)]
    before_s = world.broker_cpu_s()
    done = subprocess.run(command, check=True, capture_output=True, timeout=600)
    numbers: Numbers = json.loads(done.stdout)
    return {**numbers, "broker_cpu_us": (world.broker_cpu_s() - before_s) / events * 1e6}


def poll(bootstrap: str, topic: str, events: int) -> Numbers:
    """Counted from the first poll, as the projector is from when it begins to read."""
    sys.setswitchinterval(0.0005)  # The stock client reads by small pieces: at the default it takes far longer.
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, **_SETTINGS)
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    began_at, began_s, seen = time.perf_counter(), time.process_time(), 0
    while seen < events:
        for records in consumer.poll(timeout_ms=500).values():
            seen += len(records)
    seconds, cpu_s = time.perf_counter() - began_at, time.process_time() - began_s
    consumer.close()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"events_per_s": seen / seconds, "cpu_us": cpu_s / seen * 1e6, "peak_mb": peak_mb}


if __name__ == "__main__":
    print(json.dumps(poll(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
