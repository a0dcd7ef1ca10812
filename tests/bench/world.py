"""The broker and the Redis that a benchmark has for itself, and the events that are put before it.

Law: both are started here, always, so that their CPU can be read; events are of now, so that no visit ends by the wall
clock while it is measured.
"""

# mypy: disable-error-code="no-untyped-call"
# The Kafka client has annotations in part only.

from __future__ import annotations

import itertools
import shutil
import subprocess
import time
import uuid
from typing import TYPE_CHECKING, Any, Self

import redis
from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from msgspec import Struct

from projector.adapters.kafka import KafkaTopics
from projector.config import Config, load
from projector.service import kafka_settings
from tests import cli
from tests.bench.processes import cpu_s
from tests.bench.raw_events import as_raw
from tests.journeys.bench import bench_events
from tests.services.kafka import Kafka
from tests.services.process import Process
from tests.services.redis import RedisServer
from tests.services.run import KAFKA_VARIABLE, REDIS_VARIABLE, Run
from tests.services.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PARTITIONS = 4
BEFORE_MS, SPAN_MS = 60_000, 300_000
"""Events begin so long ago and go on so long: to 4 min from now, below the tolerance of 5 min for times to come."""
FRESH_S = 900.0
"""A topic is fed anew after so long: its visits end half an hour after their last event."""
_CHUNK = 1000


class Work(Struct, frozen=True):
    """The events of one topic: the generator's `--shape bench`."""

    events: int
    sessions: int
    seed: int
    is_raw: bool = False

    def records(self, feed: int = 0) -> Iterator[tuple[str, bytes]]:
        """Key and value. Later feeds hold other events of the same sessions: their ids begin with another letter."""
        start_ms = time.time_ns() // 1_000_000 - BEFORE_MS
        records = bench_events(self.events, self.sessions, self.seed, start_ms=start_ms, span_ms=SPAN_MS)
        if self.is_raw:
            return as_raw(records)
        return _with_other_ids(records, feed) if feed else records


class Pipeline:
    """A projector's settings, as the environment of its processes, and a folder for their logs."""

    def __init__(self, settings: Mapping[str, str], home: Path) -> None:
        self.settings, self._home = settings, home
        self.config: Config = load(environment=settings)
        self.snapshots = 0
        """In the output topic after the last measured run."""
        self._started = 0

    def with_settings(self, settings: Mapping[str, str]) -> Pipeline:
        """The same topics, group and namespace."""
        other = Pipeline({**self.settings, **settings}, self._home / f"with-{uuid.uuid4().hex[:6]}")
        other.snapshots = self.snapshots
        return other

    def create_topics(self) -> None:
        with KafkaTopics(kafka_settings(self.config)) as topics:
            topics.create(input_partitions=PARTITIONS)

    def start(self, *words: str) -> Process:
        """`projector run`, in a process of its own with a log of its own."""
        self._started += 1
        process = Process(f"projector-{self._started}", cli.command("run", *words), self._home, env=self.settings)
        process.start()
        return process


class World:
    """Use as a context."""

    def __init__(self) -> None:
        self._run = Run({})
        self.home = self._run.home
        self.broker = Kafka(self.home / "kafka")
        # As deploy/compose.yaml has it.
        self.store = RedisServer(
            self.home / "redis", append_only=True, append_fsync="everysec", options=("--rdbcompression", "no")
        )
        self._fed: dict[Work, tuple[str, float]] = {}

    def __enter__(self) -> Self:
        self.broker.start()
        self.store.start()
        self.topics = Topics(self.broker.bootstrap)
        self.redis: Any = redis.Redis.from_url(self.store.url)
        self._admin = KafkaAdminClient(bootstrap_servers=self.broker.bootstrap)
        return self

    def __exit__(self, *_: object) -> None:
        self._admin.close()
        self.redis.close()
        self.store.kill()
        self.broker.kill()
        self._run.close()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def bootstrap(self) -> str:
        return self.broker.bootstrap

    def topic_with(self, work: Work) -> str:
        """A topic that holds this work; fed when it is first asked for, and again once its events are too old."""
        topic, fed_at = self._fed.get(work, ("", -FRESH_S))
        if time.monotonic() - fed_at >= FRESH_S:
            topic = self.new_topic()
            self.feed(topic, work.records())
            self._fed[work] = topic, time.monotonic()
        return topic

    def new_topic(self, **configs: str) -> str:
        named = {name.replace("_", "."): value for name, value in configs.items()}
        return self.topics.create(f"events-{uuid.uuid4().hex[:8]}", partitions=PARTITIONS, configs=named)

    def feed(self, topic: str, records: Iterable[tuple[str, bytes]]) -> None:
        """By key to where Kafka's own clients would put them, in large batches; returns when the broker has all."""
        with subprocess.Popen(feeder(self.bootstrap, topic), stdin=subprocess.PIPE) as kcat:
            assert kcat.stdin is not None
            lines = (b"%b\t%b\n" % (key.encode(), value) for key, value in records)
            while chunk := b"".join(itertools.islice(lines, _CHUNK)):
                kcat.stdin.write(chunk)
        assert kcat.returncode == 0, "kcat could not feed the topic"

    def pipeline(self, input_topic: str, **settings: str) -> Pipeline:
        """A projector's settings, with output topics, group and namespace that nobody has used; Redis is emptied."""
        self.redis.flushall()
        name = f"bench-{uuid.uuid4().hex[:8]}"
        environment = {
            KAFKA_VARIABLE: self.bootstrap,
            REDIS_VARIABLE: self.store.url,
            "PROJECTOR_INPUT_TOPIC": input_topic,
            "PROJECTOR_OUTPUT_TOPIC": f"{name}-sessions",
            "PROJECTOR_REJECTS_TOPIC": f"{name}-rejects",
            "PROJECTOR_GROUP_ID": name,
            "PROJECTOR_LOG_FORMAT": "json",
            **{f"PROJECTOR_{name.upper()}": value for name, value in settings.items()},
        }
        pipeline = Pipeline(environment, self.home / name)
        pipeline.create_topics()
        return pipeline

    def committed(self, group: str) -> dict[int, int]:
        """By partition what the group has committed; a group that nobody has seen has nothing."""
        try:
            offsets = self._admin.list_group_offsets([group])[group]
        except KafkaError:  # The first question makes the broker create the topic that holds the answer.
            return {}
        return {partition.partition: at.offset for partition, at in offsets.items() if at.offset >= 0}

    def members(self, group: str) -> int:
        """How many the group counts in."""
        return len(self._admin.describe_groups([group])[group]["members"])

    def redis_cpu_s(self) -> float:
        """With its threads, and the children that rewrite its file; by its own account, finer than the system's."""
        return float(sum(value for name, value in self.redis.info("cpu").items() if "main_thread" not in name))

    def broker_cpu_s(self) -> float:
        return sum(cpu_s(node.pid) for node in self.broker.nodes)

    def redis_bytes(self) -> int:
        return int(self.redis.info("memory")["used_memory"])


def feeder(bootstrap: str, topic: str) -> list[str]:
    """The command that writes lines of key, tab, value."""
    tuned = ("partitioner=murmur2_random", "linger.ms=20", "batch.num.messages=2000")
    options = [word for setting in tuned for word in ("-X", setting)]
    return ["kcat", "-P", "-b", bootstrap, "-t", topic, "-K", "\t", *options]


_ID_AT = len(b'{"eventType":"WebEvent","id":"')


def _with_other_ids(records: Iterator[tuple[str, bytes]], feed: int) -> Iterator[tuple[str, bytes]]:
    """The first digit of a generated id is decimal; a letter in its place makes another id of the same kind."""
    letter = b"abcdef"[(feed - 1) % 6 : (feed - 1) % 6 + 1]
    for key, value in records:
        yield key, b"%b%b%b" % (value[:_ID_AT], letter, value[_ID_AT + 1 :])
