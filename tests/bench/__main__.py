"""`python -m tests.bench`: runs benchmarks and prints what they found, as a table and as JSON."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.bench.options import Options
from tests.bench.results import as_json, show, where_and_when
from tests.bench.world import World
from tests.services import machine
from tests.services.process import ServiceError

ALL = ("floor", "cpu", "workers", "scale", "replay", "latency", "raw", "recovery")
"""In this order by `all`; those that need more than this project's own parts are asked for by name."""
NAMES = (*ALL, "peer", "turn", "trade")
JSON = machine.WORK / "bench" / "results.jsonl"

_EPILOG = """
floor     end to end, exactly once, against a loop that only polls
cpu       CPU an event, exactly once and at least once
workers   two workers against one
scale     many live sessions against few, a cold cache against a warm one, Redis bytes a session
replay    files through the embedded store: plain, gz, zst
latency   from an event's append to its snapshot in a reader's hands, at half of the top rate
raw       sessionizing and enrichment against the plain path
recovery  partitions that move, a Redis that was wiped
peer      the same work on Kafka Streams (Maven builds it)
turn      where the microseconds of one worker go
trade     what settings that trade latency for throughput do to both
"""


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    for name in [name for name in os.environ if name.startswith("PROJECTOR_")]:
        del os.environ[name]  # A developer's settings are not to change what is measured.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        machine.install()
        _run(ALL if options.bench == "all" else (options.bench,), options)
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures the projector beside a reference, on a broker and a Redis of its own.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    usual = Options()
    parser.add_argument("bench", choices=(*NAMES, "all"))
    parser.add_argument("--events", type=int, default=usual.events, help="default %(default)s")
    parser.add_argument("--sessions", type=int, default=usual.sessions, help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="default %(default)s; shown is the median")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of the generator, default %(default)s")
    parser.add_argument("--json", type=Path, default=JSON, metavar="FILE", help="a line a benchmark is added to it")
    return parser


def _run(names: tuple[str, ...], given: argparse.Namespace) -> None:
    options = Options(given.events, given.sessions, given.rounds, given.seed)
    console, where = Console(width=max(Console().width, 160)), where_and_when()
    given.json.parent.mkdir(parents=True, exist_ok=True)
    with World() as world, given.json.open("ab") as lines:
        for name in names:
            began = time.monotonic()
            result = importlib.import_module(f"tests.bench.{name}").bench(world, options)
            show(result, console)
            console.print(f"  {given.events:,} events, {given.rounds} rounds, {time.monotonic() - began:.0f} s\n")
            lines.write(as_json(result, {**where, "events": given.events, "sessions": given.sessions}))
            lines.flush()
    console.print(f"As JSON in {given.json}", style="dim")


if __name__ == "__main__":
    sys.exit(main())
