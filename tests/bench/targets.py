"""`python -m tests.bench.targets [FILE [BENCH]]`: the newest figure of each benchmark against what it is to reach.

Absolute figures are those of the machine that the targets were set on, ratios hold anywhere; exit 1 if one is missed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from tests.services import machine


class Target(Struct):
    bench: str
    row: str | None
    """None: a ratio."""
    figure: str
    """A number of the row or, of a ratio, how its name begins."""
    least: float | None = None
    most: float | None = None


TARGETS = [
    Target("floor", None, "events/s, projector to the bare loop", least=0.45),
    Target("cpu", "exactly-once", "cpu_us", most=18),
    Target("cpu", "exactly-once", "redis_cpu_us", most=5),
    Target("cpu", None, "CPU an event, at least once to exactly once", most=1.0),
    Target("workers", None, "CPU an event, two workers to one", most=1.1),
    Target("scale", None, "events/s, 1,000,000 live sessions", least=0.85),
    Target("scale", None, "events/s, cold cache to warm", least=0.6),
    Target("scale", None, "Redis bytes a session", most=1.2),
    Target("replay", "plain", "events_per_core_s", least=80_000),
    Target("replay", None, "events/s a core, gz to plain", least=0.75),
    Target("replay", None, "events/s a core, zst to plain", least=0.75),
    Target("latency", "half of", "median_ms", most=40),
    Target("latency", "half of", "p99_ms", most=150),
    Target("raw", None, "CPU an event, raw to plain", most=1.6),
    Target("recovery", "rebalance", "join_pause_s", most=3),
    Target("recovery", "rebalance", "stop_pause_s", most=3),
    Target("recovery", "rebalance", "kill_moved_s", most=3),
    Target("recovery", None, "events/s, rebuilt to live", least=1.0),
    Target("peer", None, "CPU an event with Redis's, to Kafka Streams, every change", most=1.0),
    Target("peer", None, "events/s, projector to Kafka Streams, every change", least=1.0),
]


def main(argv: list[str]) -> int:
    results = newest(Path(argv[0]) if argv else machine.WORK / "bench" / "results.jsonl")
    table = Table("target", "least", "most", "figure", "")
    missed = 0
    for target in [one for one in TARGETS if one.bench in argv[1:2] or not argv[1:]]:
        figure = figure_of(target, results.get(target.bench))
        is_held = figure is not None and _is_within(target, figure)
        missed += not is_held
        name = f"{target.bench}: {target.row + ', ' if target.row else ''}{target.figure}"
        shown = "not measured" if figure is None else f"{figure:,.2f}"
        table.add_row(name, _shown(target.least), _shown(target.most), shown, "held" if is_held else "missed")
    Console(width=140).print(table)
    return 1 if missed else 0


def newest(path: Path) -> dict[str, Any]:
    """The last result of each benchmark in a file of them."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {result["bench"]: result for result in map(json.loads, lines)}


def figure_of(target: Target, result: Any) -> float | None:
    if result is None:
        return None
    if target.row is None:
        return next((one for name, one in result["ratios"].items() if name.startswith(target.figure)), None)
    rows = (numbers for name, numbers in result["median"].items() if name.startswith(target.row or ""))
    return next((numbers.get(target.figure) for numbers in rows), None)


def _is_within(target: Target, figure: float) -> bool:
    return (target.least is None or figure >= target.least) and (target.most is None or figure <= target.most)


def _shown(bound: float | None) -> str:
    return "" if bound is None else f"{bound:,g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
