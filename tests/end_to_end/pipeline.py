"""One pipeline of a test's own: its three topics, group and namespace, what goes in and what has come out.

Law: records go in and snapshots come out through `kcat`; the service runs as the command that users have.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from projector.adapters.kafka import KafkaTopics
from projector.config import Config, load
from projector.ledger import Mark, mark_of
from projector.service import check, kafka_settings, store
from projector.session import is_published
from projector.snapshot import snapshot_of
from tests import cli
from tests.end_to_end import kcat
from tests.oracle.replay import Record, Result, fold
from tests.oracle.settings import Settings
from tests.services.process import Process
from tests.services.topics import Topics

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Pipeline:
    """`settings` are the environment of every command that is run for it."""

    settings: Mapping[str, str]
    home: Path
    partitions: int

    @cached_property
    def config(self) -> Config:
        return load(environment=self.settings)

    @property
    def _bootstrap(self) -> str:
        return self.config.kafka_bootstrap_servers

    def create_topics(self) -> None:
        with KafkaTopics(kafka_settings(self.config)) as topics:
            topics.create(input_partitions=self.partitions)

    def feed(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Key and value of each; a key's records go to one partition."""
        kcat.write(self._bootstrap, self.config.input_topic, records)

    def feed_unkeyed(self, records: Sequence[tuple[str, bytes]]) -> None:
        """In turns over the partitions, so that the records of one session are in all of them."""
        for partition in range(self.partitions):
            share = [(None, value) for _, value in records[partition :: self.partitions]]
            kcat.write(self._bootstrap, self.config.input_topic, share, partition=partition)

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """`projector run --until-end`, which has to succeed."""
        return cli.projector("run", "--until-end", *words, environment=self.settings)

    @contextmanager
    def started(self, *words: str, **settings: str) -> Iterator[Process]:
        """`projector run` with these settings besides, until it is told to stop; its log is in the test's folder."""
        own = {f"PROJECTOR_{name.upper()}": value for name, value in settings.items()}
        process = Process("projector", cli.command("run", *words), self.home, env={**self.settings, **own})
        process.start()
        try:
            yield process
        finally:
            process.kill()

    def replay(self) -> list[bytes]:
        """The sessions, a line each, of `projector replay --from-topic`; the wall clock stands at now."""
        now = datetime.now(UTC).isoformat()
        replayed = cli.projector("replay", "--from-topic", "--as-of", now, environment=self.settings)
        return replayed.stdout.splitlines()

    def expected(self) -> Result:
        """What the oracle makes of the input topic; the wall clock stands at now."""
        log = kcat.read(self._bootstrap, self.config.input_topic)
        records = [Record(one.topic, one.partition, one.offset, one.value, one.timestamp) for one in log]
        config = self.config
        settings = Settings(timeout_web=config.timeout_web, timeout_app=config.timeout_app)
        return fold(records, settings=settings, as_of=time.time_ns() // 1_000_000, topics=[config.input_topic])

    def published(self) -> list[kcat.Message]:
        """Everything in the snapshots topic, older snapshots too."""
        return kcat.read(self._bootstrap, self.config.output_topic)

    def newest(self) -> dict[str, kcat.Message]:
        """By session id the newest snapshot; without those that were withdrawn."""
        return newest_of(self.in_order(self.published()))

    @property
    def is_exactly_once(self) -> bool:
        return self.config.delivery == "exactly-once"

    def in_order(self, published: list[kcat.Message]) -> list[kcat.Message]:
        """As its readers have to take it: as it stands; at least once an old one may come late, and the revision tells."""
        return published if self.is_exactly_once else sorted(published, key=lambda message: message.revision)

    def wait_for(self, count: int) -> None:
        """Waits until so many snapshots have been published, tombstones included."""
        kcat.read_first(self._bootstrap, self.config.output_topic, count)

    def rejected(self) -> list[kcat.Message]:
        return kcat.read(self._bootstrap, self.config.rejects_topic)

    def marks(self) -> dict[int, Mark]:
        """By partition what is committed beside its offset."""
        committed = Topics(self._bootstrap).committed(self.config.group_id)
        return {partition.partition: mark_of(at.metadata) for partition, at in committed.items()}

    def committed(self) -> dict[int, int]:
        """By partition the offset that is committed."""
        committed = Topics(self._bootstrap).committed(self.config.group_id)
        return {partition.partition: at.offset for partition, at in committed.items()}

    def stored(self) -> dict[str, bytes]:
        """By session id the snapshot of what Redis holds."""
        rules = self.config.rules()
        with closing(store(self.config, check(self.config))) as redis:
            held = [session for _, track in redis.sessions() for session in track.sessions if is_published(session)]
        return {session.id: snapshot_of(session, rules) for session in held}

    def stored_positions(self) -> list[dict[int, int]]:
        """By shard and partition the next offset."""
        with closing(store(self.config, check(self.config))) as redis:
            return [{one: at.offset for one, at in shard.items()} for shard in redis.positions()]


def newest_of(published: Iterable[kcat.Message]) -> dict[str, kcat.Message]:
    """By session id the last snapshot; without those that were withdrawn."""
    last = {message.key or "": message for message in published}
    return {key: message for key, message in last.items() if message.value is not None}
