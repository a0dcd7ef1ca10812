"""Latency: from when the broker appended an event to when a reader of committed records has a snapshot that counts it.

Events come at a steady half of the rate that one worker has just reached on a preloaded topic; and then, on the broker
that has warmed up by that, so few that hardly one meets another. The snapshot that counts an event is known by its
revision, which is twice the offset after the newest event in it (the topic is keyed by session). Appends are stamped by
the broker, snapshots when kcat hands them over: the same clock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from typing import TYPE_CHECKING

from tests.bench.ours import projector, reads
from tests.bench.results import Result, Row
from tests.bench.world import feeder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.options import Options
    from tests.bench.results import Numbers
    from tests.bench.world import Pipeline, World

SECONDS = 20
SETTLE_S = 25
"""Before that nothing counts: code is cold, above all that of the broker, which compiles itself while it runs."""
FEW_PER_S, FEW_SETTLE_S = 8, 5
EDGES_MS = (5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 500, 1000, 2000, 5000, 10**9)


def bench(world: World, options: Options) -> Result:
    topic = world.topic_with(options.work)
    top = projector(world, world.pipeline(topic), options.events)["events_per_s"]
    half, few, every = Row(f"half of {top:,.0f} events/s", []), Row("few", []), []
    for _ in range(options.rounds):
        numbers, latencies = at_rate(world, options, int(top / 2))
        half.rounds.append(numbers)
        every += latencies
        few.rounds.append(at_rate(world, options, FEW_PER_S, settle_s=FEW_SETTLE_S)[0])
    counts = [sum(low <= one < high for one in every) for low, high in zip((0, *EDGES_MS), EDGES_MS, strict=False)]
    histogram = {
        f"< {edge:,} ms" if edge < 10**9 else "more": count for edge, count in zip(EDGES_MS, counts, strict=True)
    }
    while histogram and not next(reversed(histogram.values())):
        histogram.popitem()
    title = "event appended to snapshot readable; the histogram is of the half"
    return Result("latency", title, [half, few], histogram=histogram)


def at_rate(
    world: World, options: Options, rate: int, settings: Mapping[str, str] | None = None, *, settle_s: int = SETTLE_S
) -> tuple[Numbers, list[float]]:
    """The numbers at so many events/s, and the latencies of all events that count (ms)."""
    topic = world.new_topic(message_timestamp_type="LogAppendTime")
    pipeline = world.pipeline(topic, **(settings or {}))
    process = pipeline.start()
    try:
        process.wait_until(lambda: bool(reads(process.log.read_text())), timeout_s=60)
        reader = _Reader(world.bootstrap, pipeline.config.output_topic)
        events = rate * (settle_s + SECONDS)
        _feed_at(world, topic, rate, events, options)
        _wait_until_read(world, pipeline, events)
        seen = reader.end()
    finally:
        process.stop()
    appended = _appended(world.bootstrap, topic)
    first_ms = min(at for _, _, at, _ in appended)
    latencies = sorted(_latencies([one for one in appended if one[2] >= first_ms + settle_s * 1000], seen))
    counted = len(latencies)
    numbers = {
        "rate_per_s": rate,
        "median_ms": latencies[counted // 2],
        "p90_ms": latencies[counted * 9 // 10],
        "p99_ms": latencies[counted * 99 // 100],
        "most_ms": latencies[-1],
    }
    return numbers, latencies


def _feed_at(world: World, topic: str, rate: int, events: int, options: Options) -> None:
    words = ["--shape", "bench", "--keys", "--follow", "--rate", str(rate), "--events", str(events)]
    words += ["--sessions", str(options.sessions), "--seed", str(options.seed)]
    made = subprocess.Popen([sys.executable, "-m", "tests.generate", *words], stdout=subprocess.PIPE)
    # What waits in the feeder is no part of what is measured. It asks once a partition where Kafka's own producer asks
    # once a broker: by its 20 ms the broker has as many requests as with that one's 5.
    subprocess.run(feeder(world.bootstrap, topic), stdin=made.stdout, check=True)
    assert made.wait() == 0, "the generator failed"


def _wait_until_read(world: World, pipeline: Pipeline, events: int) -> None:
    deadline = time.monotonic() + 60
    while sum(world.committed(pipeline.config.group_id).values()) < events:
        assert time.monotonic() < deadline, "the projector does not keep up with half of its own rate"
        time.sleep(0.1)


class _Reader:
    """Reads snapshots as they become readable: kcat, in a thread that stamps each chunk of its output."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        options = ["-X", "isolation.level=read_committed", "-o", "beginning", "-q", "-u"]
        self._kcat = subprocess.Popen(
            ["kcat", "-C", "-b", bootstrap, "-t", topic, *options, "-f", "%k %h\n"], stdout=subprocess.PIPE
        )
        self._chunks: list[tuple[float, bytes]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._kcat.stdout is not None
        while chunk := os.read(self._kcat.stdout.fileno(), 1 << 20):
            self._chunks.append((time.time() * 1000, chunk))

    def end(self) -> dict[bytes, tuple[list[int], list[float]]]:
        """By session the revisions that were seen, ascending, and when (ms)."""
        time.sleep(1)  # The last of them are committed and on their way.
        self._kcat.terminate()
        self._thread.join()
        self._kcat.wait()
        return self._parsed()

    def _parsed(self) -> dict[bytes, tuple[list[int], list[float]]]:
        seen: dict[bytes, tuple[list[int], list[float]]] = {}
        rest = b""
        for at, chunk in self._chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                key, _, headers = line.partition(b" ")
                revision = int(headers.partition(b"projector.revision=")[2].partition(b",")[0])
                revisions, times = seen.setdefault(key, ([], []))
                if not revisions or revision > revisions[-1]:
                    revisions.append(revision)
                    times.append(at)
        return seen


def _appended(bootstrap: str, topic: str) -> list[tuple[bytes, int, int, int]]:
    """Session, offset, when it was appended (ms), partition; of every event."""
    command = ["kcat", "-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%k %o %T %p\n"]
    lines = subprocess.run(command, check=True, capture_output=True).stdout.splitlines()
    return [(key, int(offset), int(at), int(part)) for key, offset, at, part in (line.split() for line in lines)]


def _latencies(
    appended: list[tuple[bytes, int, int, int]], seen: dict[bytes, tuple[list[int], list[float]]]
) -> list[float]:
    latencies = []
    for key, offset, at, _ in appended:
        revisions, times = seen[key]
        # The first revision with an offset above this event's, which is at least twice (offset + 1).
        place = bisect_right(revisions, 2 * offset + 1)
        assert place < len(revisions), f"no snapshot counts the event at offset {offset} of {key.decode()}"
        latencies.append(max(0.0, times[place] - at))
    return latencies
