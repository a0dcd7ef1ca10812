"""Recovery: how long partitions stand still when a worker comes, goes or dies; a wiped Redis, built again from the log.

A pause is the longest time in which a partition's committed offset does not move while events keep coming. After a kill
it begins with the time that the group takes to notice, which is the session time-out; partitions are moved only then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

from tests.bench.ours import projector, reads
from tests.bench.results import Numbers, Result, Row, in_rounds, ratio
from tests.bench.world import PARTITIONS, feeder
from tests.services.process import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.options import Options
    from tests.bench.world import Pipeline, World
    from tests.services.process import Process

RATE = 500
"""Events a second: every partition gets some in every turn, and nobody is busy."""
AFTER_S = 3.0
"""So long after all partitions flow again it is still looked for pauses."""


def bench(world: World, options: Options) -> Result:
    moved = Row("rebalance", [_rebalances(world, options) for _ in range(options.rounds)])
    topic = world.topic_with(options.work)
    kept: dict[str, Pipeline] = {}

    def live() -> Numbers:
        kept["pipeline"] = world.pipeline(topic)
        return projector(world, kept["pipeline"], options.events)

    def rebuilt() -> Numbers:
        world.redis.flushall()
        group = kept["pipeline"].config.group_id
        return projector(world, kept["pipeline"], options.events, done=lambda: _stored(world, group))

    rows = in_rounds(options.rounds, {"live": live, "Redis wiped, rebuilt": rebuilt})
    ratios = {"events/s, rebuilt to live": ratio(rows[1], rows[0], "events_per_s")}
    return Result("recovery", "partitions that move, a Redis that was wiped", [moved, *rows], ratios)


def _stored(world: World, namespace: str) -> int:
    """Sum of the offsets up to which the store has everything."""
    positions = world.redis.hgetall(f"{namespace}:{{0}}:pos")
    return sum(int(value.split()[0]) for value in positions.values())


def _rebalances(world: World, options: Options) -> Numbers:
    """Pauses when a second worker joins, is stopped, joins again and is killed."""
    topic = world.new_topic()
    pipeline = world.pipeline(topic)
    feed = _Feed(world, topic, options)
    first = pipeline.start()
    try:
        with _Pauses(world, pipeline) as pauses:
            pauses.flows_again()
            numbers: Numbers = {}
            second = _join(pipeline, pauses, numbers)
            pauses.begin()
            second.stop()
            numbers["stop_pause_s"] = pauses.flows_again()
            second = _join(pipeline, pauses, {})
            pauses.begin()
            # The supervisor alone would be outlived by its worker long enough for that to leave the group in order.
            os.killpg(second.pid, signal.SIGKILL)
            second.wait()
            noticed_s = _noticed_s(world, pipeline)
            numbers["kill_pause_s"] = pauses.flows_again()
            numbers["kill_noticed_s"] = noticed_s
            numbers["kill_moved_s"] = numbers["kill_pause_s"] - noticed_s
            numbers["kill_left_transactions"] = first.log.read_text().count("ended the transaction of a worker")
    finally:
        first.stop()
        feed.end()
    return numbers


def _join(pipeline: Pipeline, pauses: _Pauses, numbers: Numbers) -> Process:
    pauses.begin()
    process = pipeline.start()
    process.wait_until(lambda: bool(reads(process.log.read_text())), timeout_s=60)
    numbers["join_pause_s"] = pauses.flows_again()
    return process


def _noticed_s(world: World, pipeline: Pipeline) -> float:
    """How long the group still counts in a member that was just killed: until its session has timed out."""
    killed = time.monotonic()
    assert wait_for(lambda: world.members(pipeline.config.group_id) == 1, timeout_s=60), "nobody notices the kill"
    return time.monotonic() - killed


class _Feed:
    """Events of now, at a steady rate, until it is ended."""

    def __init__(self, world: World, topic: str, options: Options) -> None:
        words = ["--shape", "bench", "--keys", "--follow", "--rate", str(RATE), "--sessions", str(options.sessions)]
        self._made = subprocess.Popen([sys.executable, "-m", "tests.generate", *words], stdout=subprocess.PIPE)
        self._sent = subprocess.Popen(feeder(world.bootstrap, topic), stdin=self._made.stdout)

    def end(self) -> None:
        self._made.terminate()
        self._made.wait()
        self._sent.wait()


class _Pauses:
    """Watches the committed offsets of a group, in a thread; use as a context."""

    def __init__(self, world: World, pipeline: Pipeline) -> None:
        self._committed: Callable[[], dict[int, int]] = lambda: world.committed(pipeline.config.group_id)
        self._moved: dict[int, float] = {}
        """Partition → when its offset was last seen to move."""
        self._offsets: dict[int, int] = {}
        self._longest = 0.0
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def begin(self) -> None:
        self._longest, self._began = 0.0, time.monotonic()

    def flows_again(self) -> float:
        """Waits until every partition has moved lately, and has gone on to; gives the longest pause since `begin`."""
        deadline = time.monotonic() + 120
        while True:
            assert wait_for(self._flows, timeout_s=120), "partitions stand still"
            if not wait_for(lambda: not self._flows(), timeout_s=AFTER_S):
                return self._longest
            assert time.monotonic() < deadline, "partitions do not come to flow"

    def _flows(self) -> bool:
        now = time.monotonic()
        return len(self._moved) == PARTITIONS and all(at > max(now - 1, self._began) for at in self._moved.values())

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            offsets, now = self._committed(), time.monotonic()
            for partition, offset in offsets.items():
                if offset != self._offsets.get(partition):
                    since = max(self._moved.get(partition, now), self._began)
                    self._longest = max(self._longest, now - since)
                    self._moved[partition] = now
            self._offsets = offsets or self._offsets
