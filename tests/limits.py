"""`python -m tests.limits`: whether a worker stays within its memory, with what is large in number and in size.

It makes the work on a broker and a Redis of its own, has `projector run` fold it, and prints the most memory that the
worker had, beside its bound: `cache_mb_max` and what the README says a worker takes besides. Exit code 1 if it had more.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from redis import Redis

from projector.dates import format_time
from projector.decode import VALUE_BYTES_MAX
from tests.end_to_end import kcat
from tests.end_to_end.pipeline import Pipeline
from tests.end_to_end.serving import child_of, memory_mb
from tests.services import machine
from tests.services.process import Process
from tests.services.run import Run
from tests.services.topics import Topics

BESIDES_MB = 300
"""What a worker takes besides its cache (README, "Limits")."""
CACHE_MB = 128
FED_AT_ONCE = 50_000
PARTITIONS = 4
START_MS = 1_750_000_000_000
Records = Iterable[tuple[str, bytes]]


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    machine.install()
    chosen = list(WORK) if options.work == "all" else [options.work]
    print(
        f"{'work':10} {'records':>10} {'s':>6} {'a second':>9} {'peak MB':>8} {'bound MB':>8} {'Redis MB':>9}",
        flush=True,
    )
    fits = [_measure(name, options.count) for name in chosen]
    return 0 if all(fits) else 1


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.limits", description=__doc__.partition("\n")[0])
    parser.add_argument("work", choices=(*WORK, "all"), nargs="?", default="all")
    parser.add_argument("--count", type=int, default=1_000_000, help="sessions, or events of a session")
    return parser.parse_args(argv)


def _measure(name: str, count: int) -> bool:
    """One line of the table; tells whether the worker stayed within its bound."""
    total, records, is_slow = WORK[name](count)
    with _pipeline(name) as pipeline:
        _feed(pipeline, records)
        with pipeline.started() as projector:
            began = time.monotonic()
            worker = child_of(projector)
            peak = _fold(pipeline, projector, worker, total, is_slow=is_slow)
            took = time.monotonic() - began
            projector.stop()
        used = Redis.from_url(pipeline.config.redis_url).info("memory")["used_memory"] / 1e6
    bound = CACHE_MB + BESIDES_MB
    print(f"{name:10} {total:10,} {took:6.0f} {total / took:9,.0f} {peak:8.0f} {bound:8} {used:9.0f}", flush=True)
    return peak <= bound


@contextmanager
def _pipeline(name: str) -> Iterator[Pipeline]:
    home = Path(tempfile.mkdtemp(prefix="projector-limits-"))
    with closing(Run({})) as run:
        settings = {
            "kafka_bootstrap_servers": run.kafka_bootstrap,
            "redis_url": run.redis_url,
            "group_id": f"limits-{name}",
            "cache_mb_max": str(CACHE_MB),
            "cache_tracks_max": "10000000",
            "retention": "0",
        }
        pipeline = Pipeline({f"PROJECTOR_{key.upper()}": value for key, value in settings.items()}, home, PARTITIONS)
        pipeline.create_topics()
        Topics(run.kafka_bootstrap).configure(
            pipeline.config.input_topic, {"max.message.bytes": str(2 * VALUE_BYTES_MAX)}
        )
        yield pipeline
    shutil.rmtree(home)


def _feed(pipeline: Pipeline, records: Records) -> None:
    config, rest = pipeline.config, iter(records)
    while some := list(islice(rest, FED_AT_ONCE)):
        kcat.write(config.kafka_bootstrap_servers, config.input_topic, some)


def _fold(pipeline: Pipeline, projector: Process, worker: int, total: int, *, is_slow: bool) -> float:
    """Until all is committed; gives the peak of the worker's memory, MB. Slow: Redis stands still, over and over."""
    peak = 0.0
    with closing(Redis.from_url(pipeline.config.redis_url)) as redis:
        while sum(pipeline.committed().values()) < total:
            assert projector.is_alive()
            peak = max(peak, memory_mb(worker))
            if is_slow:
                redis.client_pause(1500)
            time.sleep(2)
    return max(peak, memory_mb(worker))


# ---- the work -----------------------------------------------------------------------------------------------------


def sessions(count: int) -> tuple[int, Records, bool]:
    """So many live sessions of an event each, and then a second event of every tenth."""
    firsts = (_event(f"s-{i}", i, 0) for i in range(count))
    seconds = (_event(f"s-{i}", count + i, 1) for i in range(0, count, 10))
    return count + len(range(0, count, 10)), chain(firsts, seconds), False


def session(count: int) -> tuple[int, Records, bool]:
    """One session of so many events."""
    return count, (_event("s", i, i) for i in range(count)), False


def large(count: int) -> tuple[int, Records, bool]:
    """Events of nearly 1 MiB, a thousandth of the count, of which each session keeps 400 KB."""
    few = max(1, count // 1000)
    return few, (_event(f"s-{i % 300}", i, i, size=990_000) for i in range(few)), False


def slow(count: int) -> tuple[int, Records, bool]:
    """A Redis that stands still most of the time, while there is always more to read."""
    some = max(1, count // 20)
    return some, (_event(f"s-{i % 1000}", i, i, size=4000) for i in range(some)), True


WORK = {"sessions": sessions, "session": session, "large": large, "slow": slow}


def _event(session_id: str, number: int, second: int, *, size: int = 0) -> tuple[str, bytes]:
    """`size`: about so many bytes, half of them in attributes that change."""
    url = f"https://shop.example.com/products/{number % 1000}?q=shoes"
    event: dict[str, Any] = {"eventName": "page_viewed", "page": {"url": url, "title": "Shoes"}}
    if size:
        some = min(size // 2, 400_000)
        event["attributes"] = {f"a{i}": f"{number}-{i}".ljust(8000, "x") for i in range(max(1, some // 8000))}
    told = {
        "id": f"event-{number}",
        "eventType": "WebEvent",
        "createdDate": format_time(START_MS + second * 100),
        "session": {"id": session_id, "type": "web"},
        "customerId": f"customer-{session_id}",
        "customerIdType": "cookie",
        "webEvent": event,
    }
    text = json.dumps(told).encode()
    if len(text) < size:
        text = text[:-1] + b', "unread": "%b"}' % (b"x" * (size - len(text)))
    return session_id, text


if __name__ == "__main__":
    sys.exit(main())
