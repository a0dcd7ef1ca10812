"""CPU: what an event costs exactly once and at least once; the second has to be no worse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.ours import projector
from tests.bench.results import Result, in_rounds, ratio

if TYPE_CHECKING:
    from tests.bench.options import Options
    from tests.bench.results import Numbers
    from tests.bench.world import World


def bench(world: World, options: Options) -> Result:
    topic = world.topic_with(options.work)

    def run(delivery: str) -> Numbers:
        return projector(world, world.pipeline(topic, delivery=delivery), options.events)

    rows = in_rounds(
        options.rounds, {"exactly-once": lambda: run("exactly-once"), "at-least-once": lambda: run("at-least-once")}
    )
    ratios = {
        "CPU an event, at least once to exactly once": ratio(rows[1], rows[0], "cpu_us"),
        "events/s, at least once to exactly once": ratio(rows[1], rows[0], "events_per_s"),
    }
    return Result("cpu", "CPU an event, of the projector and of Redis", rows, ratios)
