"""Two workers: as cheap an event as one, within a tenth, and how much faster."""

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

    def run(workers: int) -> Numbers:
        return projector(world, world.pipeline(topic), options.events, workers=workers)

    rows = in_rounds(options.rounds, {"1 worker": lambda: run(1), "2 workers": lambda: run(2)})
    ratios = {
        "CPU an event, two workers to one": ratio(rows[1], rows[0], "cpu_us"),
        "events/s, two workers to one": ratio(rows[1], rows[0], "events_per_s"),
    }
    return Result("workers", "what a second worker costs and gains", rows, ratios)
