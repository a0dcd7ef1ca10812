"""Latency against throughput: what the settings that trade one for the other do to both.

Each is measured at its top rate on a preloaded topic, and at a steady half of the top rate that the defaults reach.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench.latency import at_rate
from tests.bench.ours import projector
from tests.bench.results import Result, in_rounds

if TYPE_CHECKING:
    from tests.bench.options import Options
    from tests.bench.results import Numbers, Row
    from tests.bench.world import World

WAYS: dict[str, dict[str, str]] = {
    "as it comes": {},
    "fetch_min_bytes = 65536": {"kafka_fetch_min_bytes": "65536"},
    "max_poll_records = 500": {"kafka_max_poll_records": "500"},
    "max_poll_records = 16000": {"kafka_max_poll_records": "16000"},
    "delivery = at-least-once": {"delivery": "at-least-once"},
}
SHOWN = ("events_per_s", "cpu_us", "median_ms", "p99_ms")


def bench(world: World, options: Options) -> Result:
    topic = world.topic_with(options.work)

    def top(settings: dict[str, str]) -> Numbers:
        numbers = projector(world, world.pipeline(topic, **settings), options.events)
        return {name: numbers[name] for name in SHOWN if name in numbers}

    rows = in_rounds(options.rounds, {name: partial(top, settings) for name, settings in WAYS.items()})
    rate = int(rows[0].median["events_per_s"] / 2)

    def steady(settings: dict[str, str]) -> Numbers:
        numbers, _ = at_rate(world, options, rate, settings)
        return {name: numbers[name] for name in SHOWN if name in numbers}

    waits = in_rounds(options.rounds, {name: partial(steady, settings) for name, settings in WAYS.items()})
    return Result("trade", f"top rate, and latency at {rate:,} events/s", list(map(_both, rows, waits)))


def _both(row: Row, other: Row) -> Row:
    row.rounds = [one | two for one, two in zip(row.rounds, other.rounds, strict=True)]
    return row
