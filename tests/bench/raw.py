"""Raw visits: the same events with their visits and parts to be found out, against the plain path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tests.bench.ours import projector
from tests.bench.results import Result, in_rounds, ratio

if TYPE_CHECKING:
    from tests.bench.options import Options
    from tests.bench.world import World


def bench(world: World, options: Options) -> Result:
    plain = world.topic_with(options.work)
    raw = world.topic_with(msgspec.structs.replace(options.work, is_raw=True))
    rows = in_rounds(
        options.rounds,
        {
            "plain": lambda: projector(world, world.pipeline(plain), options.events),
            "raw": lambda: projector(world, world.pipeline(raw), options.events),
        },
    )
    ratios = {
        "CPU an event, raw to plain": ratio(rows[1], rows[0], "cpu_us"),
        "events/s, raw to plain": ratio(rows[1], rows[0], "events_per_s"),
    }
    return Result("raw", "sessionizing and enrichment against the plain path", rows, ratios)
