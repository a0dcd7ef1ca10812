"""Floor: everything, exactly once, with one worker, against a bare loop that only polls the same topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.bare import bare
from tests.bench.ours import projector
from tests.bench.results import Result, in_rounds, ratio

if TYPE_CHECKING:
    from tests.bench.options import Options
    from tests.bench.world import World


def bench(world: World, options: Options) -> Result:
    topic = world.topic_with(options.work)
    rows = in_rounds(
        options.rounds,
        {
            "projector, exactly once": lambda: projector(world, world.pipeline(topic), options.events),
            "kafka-python, polls only": lambda: bare(world, topic, options.events),
        },
    )
    ours, floor = rows
    ratios = {
        "events/s, projector to the bare loop": ratio(ours, floor, "events_per_s"),
        "CPU an event, projector to the bare loop": ratio(ours, floor, "cpu_us"),
    }
    return Result("floor", "end to end against a loop that only polls", rows, ratios)
