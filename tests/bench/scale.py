"""Scale: a million live sessions against ten thousand, a cold cache against a warm one, and what a session takes.

The state is built first, untimed; each round then adds events to the same sessions. `--events` below half a million
keep fewer sessions alive, two an event, so that a short run is short.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.ours import outcome, projector
from tests.bench.results import Result, in_rounds, ratio
from tests.bench.world import Work

if TYPE_CHECKING:
    from tests.bench.options import Options
    from tests.bench.results import Numbers, Row
    from tests.bench.world import World

FEW, MANY = 10_000, 1_000_000
CACHED_SESSIONS = 50_000  # As many as the cache holds by default.


def bench(world: World, options: Options) -> Result:
    many = min(MANY, 2 * options.events)
    few_rows = _on_live(world, options, FEW, {"": {}})
    many_rows = _on_live(world, options, many, {"": {}})
    cached = _on_live(world, options, min(CACHED_SESSIONS, many), {", warm cache": {}, ", cold cache": _NO_CACHE})
    warm, cold = cached
    ratios = {
        f"events/s, {many:,} live sessions to {FEW:,}": ratio(many_rows[0], few_rows[0], "events_per_s"),
        f"CPU an event, {many:,} live sessions to {FEW:,}": ratio(many_rows[0], few_rows[0], "cpu_us"),
        "events/s, cold cache to warm": ratio(cold, warm, "events_per_s"),
        "Redis bytes a session to bytes of its snapshot": _size_ratio(many_rows[0]),
    }
    return Result("scale", "many live sessions, a cold cache", [*few_rows, *many_rows, *cached], ratios)


_NO_CACHE = {"PROJECTOR_CACHE_TRACKS_MAX": "1"}


def _on_live(world: World, options: Options, sessions: int, ways: dict[str, dict[str, str]]) -> list[Row]:
    """Builds the state of so many sessions, then measures each way on it."""
    topic = world.new_topic()
    pipeline = world.pipeline(topic)
    before = world.redis_bytes()
    world.feed(topic, Work(sessions, sessions, options.seed).records())
    projector(world, pipeline, sessions)
    sizes = {
        "redis_bytes_a_session": (world.redis_bytes() - before) / sessions,
        "snapshot_bytes": outcome(world.bootstrap, pipeline.config.output_topic).bytes_mean,
    }
    feeds = iter(range(1, 100))
    work = Work(options.events, sessions, options.seed)

    def run(settings: dict[str, str]) -> Numbers:
        world.feed(topic, work.records(next(feeds)))
        began = time.time()
        changed = pipeline.with_settings(settings)
        numbers = projector(world, changed, options.events, is_checked=False)
        pipeline.snapshots = changed.snapshots
        _check_times(began)
        return numbers | sizes

    runs = {f"{sessions:,} sessions{name}": partial(run, settings) for name, settings in ways.items()}
    return in_rounds(options.rounds, runs)


def _check_times(began: float) -> None:
    """Visits end half an hour after their last event; a machine so slow would measure their ends too."""
    assert time.time() - began < 1500, "the run took so long that sessions ended by the clock"


def _size_ratio(row: Row) -> float:
    return row.median["redis_bytes_a_session"] / row.median["snapshot_bytes"]
