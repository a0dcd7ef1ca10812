"""Raw visits: the same events with their visits and parts to be found out, against the plain path.

All enrichment is on: page, referrer, campaign, user agent, and the place by a database of the generator's addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from tests.bench.ours import projector
from tests.bench.results import Result, in_rounds, ratio

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.options import Options
    from tests.bench.world import World


def bench(world: World, options: Options) -> Result:
    plain = world.topic_with(options.work)
    raw = world.topic_with(msgspec.structs.replace(options.work, is_raw=True))
    geo = str(_places(world.home / "places.mmdb"))
    rows = in_rounds(
        options.rounds,
        {
            "plain": lambda: projector(world, world.pipeline(plain), options.events),
            "raw": lambda: projector(world, world.pipeline(raw, geo_databases=geo), options.events),
        },
    )
    ratios = {
        "CPU an event, raw to plain": ratio(rows[1], rows[0], "cpu_us"),
        "events/s, raw to plain": ratio(rows[1], rows[0], "events_per_s"),
    }
    return Result("raw", "sessionizing and enrichment against the plain path", rows, ratios)


def _places(path: Path) -> Path:
    """A database in which each 10.n.0.0/16, from which the generator takes its addresses, lies elsewhere."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True)
    for number in range(256):
        place = {
            "country": {"iso_code": "DE", "names": {"en": "Germany"}},
            "city": {"names": {"en": f"Town {number}"}},
            "location": {"latitude": 47 + number / 40, "longitude": 6 + number / 30, "time_zone": "Europe/Berlin"},
            "postal": {"code": f"{10_000 + number}"},
            "subdivisions": [{"iso_code": "BE", "names": {"en": "Berlin"}}],
            "autonomous_system_organization": f"Network {number}",
        }
        writer.insert_network(IPSet([f"10.{number}.0.0/16"]), place)
    writer.to_db_file(str(path))
    return path
