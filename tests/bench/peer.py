"""The peer: the same work on Kafka Streams, built by Maven from `peer/`, beside ours in one run.

It keeps its state in RocksDB with a changelog topic, so what Redis does for us it does within its own process: compare
its CPU with the projector's and Redis's together. Every run has an application id of its own; a virtual machine warms
up for some fifteen seconds, which the second half of a long run no longer has in it.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.ours import Begin, course, outcome, projector
from tests.bench.results import Numbers, Result, in_rounds
from tests.services import machine
from tests.services.process import Process, ServiceError

if TYPE_CHECKING:
    from tests.bench.options import Options
    from tests.bench.results import Row
    from tests.bench.world import World

SOURCES = Path(__file__).with_name("peer")
BUILT = machine.WORK / "bench" / "peer"


def bench(world: World, options: Options) -> Result:
    build()
    topic = world.topic_with(options.work)

    def ours(delivery: str) -> Numbers:
        return _with_total(projector(world, world.pipeline(topic, delivery=delivery), options.events))

    def theirs(*, exactly_once: bool, coalesces: bool) -> Numbers:
        return _with_total(streams(world, topic, options.events, exactly_once=exactly_once, coalesces=coalesces))

    rows = in_rounds(
        options.rounds,
        {
            "projector, exactly once": lambda: ours("exactly-once"),
            "Kafka Streams, exactly once, every change": lambda: theirs(exactly_once=True, coalesces=False),
            "Kafka Streams, exactly once, record cache": lambda: theirs(exactly_once=True, coalesces=True),
            "projector, at least once": lambda: ours("at-least-once"),
            "Kafka Streams, at least once, record cache": lambda: theirs(exactly_once=False, coalesces=True),
        },
    )
    return Result("peer", "the same work on Kafka Streams", rows, _ratios(rows))


def build() -> None:
    """Compiles the sources, once for each state of them."""
    stamp = max(path.stat().st_mtime_ns for path in SOURCES.rglob("*") if path.is_file())
    done = BUILT / f"built-{stamp}"
    if done.exists():
        return
    shutil.rmtree(BUILT, ignore_errors=True)
    shutil.copytree(SOURCES, BUILT)
    goals = ["compile", "dependency:copy-dependencies", "-DoutputDirectory=target/libs", "-DincludeScope=runtime"]
    command = ["mvn", "--batch-mode", "--quiet", "-Dstyle.color=never", "--file", str(BUILT / "pom.xml"), *goals]
    if subprocess.run(command, check=False).returncode:
        raise ServiceError(
            "Maven could not build the peer; it needs a Java 17 with a compiler (openjdk-17-jdk-headless)"
        )
    done.touch()


def streams(world: World, topic: str, events: int, *, exactly_once: bool, coalesces: bool) -> Numbers:
    """The numbers of one run of the peer."""
    name = f"streams-{uuid.uuid4().hex[:8]}"
    output = world.topics.create(f"{name}-sessions", partitions=4)
    settings = {
        "BOOT": world.bootstrap,
        "IN": topic,
        "OUT": output,
        "APP": name,
        "DIR": str(world.home / name),
        "CACHE": str(int(coalesces)),
        "EOS": str(int(exactly_once)),
        "THREADS": "1",
    }
    options = ["-Xms1g", "-Xmx1g", "-XX:+UseParallelGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    classes = f"{BUILT / 'target' / 'classes'}:{BUILT / 'target' / 'libs'}/*"
    process = Process(name, ["java", *options, "-cp", classes, "bench.App"], world.home / name, env=settings)
    process.start()
    try:
        numbers = course(world, process, events, lambda: sum(world.committed(name).values()), _first)
    finally:
        process.stop()
    found = outcome(world.bootstrap, output)
    if found.events != events:
        raise ServiceError(f"{events} events went in, but the peer's last snapshots count {found.events}")
    return numbers | {"snapshots": found.snapshots}


def _first(log: str) -> dict[int, Begin]:
    """It says itself when the first record came, and what it had used until then."""
    for line in log.splitlines():
        if line.startswith("FIRST "):
            _, at, cpu_s = line.split()
            return {0: Begin(float(at), float(cpu_s))}
    return {}


def _with_total(numbers: Numbers) -> Numbers:
    return numbers | {"with_redis_cpu_us": numbers["cpu_us"] + numbers["redis_cpu_us"]}


def _ratios(rows: list[Row]) -> Numbers:
    ours, every, cached, ours_alo, cached_alo = (row.median for row in rows)
    pairs = {"every change": (ours, every), "record cache": (ours, cached), "at least once": (ours_alo, cached_alo)}
    ratios = {}
    for name, (mine, its) in pairs.items():
        ratios[f"events/s, projector to Kafka Streams, {name}"] = mine["events_per_s"] / its["events_per_s"]
        ratios[f"CPU an event, projector to Kafka Streams, {name}"] = mine["cpu_us"] / its["cpu_us"]
        ratios[f"CPU an event with Redis's, to Kafka Streams, {name}"] = mine["with_redis_cpu_us"] / its["cpu_us"]
    return ratios
