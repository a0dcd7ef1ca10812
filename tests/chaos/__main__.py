"""`python -m tests.chaos`: breaks everything for ten minutes and says whether the laws held."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from typing import TYPE_CHECKING

from tests.chaos.faults import KILLS, OTHERS
from tests.chaos.run import Options, Run
from tests.chaos.world import world
from tests.services import machine
from tests.services.process import ServiceError

if TYPE_CHECKING:
    from tests.chaos.report import Report

HOME = machine.WORK / "chaos"
DELIVERIES = ("exactly-once", "at-least-once")
_EPILOG = f"""
faults: {", ".join([*KILLS, *OTHERS])}

examples:
  python -m tests.chaos --seconds 60 --faults 'worker killed' 'Redis cut back'
  python -m tests.chaos --seed 7 --unkeyed
  make chaos CHAOS_OPTIONS='--delivery at-least-once'
"""


def main() -> int:
    options = _options()
    home = HOME / f"{time.strftime('%m%d-%H%M%S')}-{options.seed}"
    home.mkdir(parents=True)
    print(
        f"{options.seconds:g} s with {options.workers} workers, {options.delivery}, seed {options.seed}; logs in {home}",
        flush=True,
    )
    try:
        with world(home, workers=options.workers, delivery=options.delivery) as made:
            report = Run(made, options, lambda line: print(line, flush=True)).run()
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    _print(report)
    print(f"logs: {home}\nagain: {_again(options)}")
    return 1 if report.breaches else 0


def _print(report: Report) -> None:
    print(*report.table(), report.facts, sep="\n")
    if report.breaches:
        print("BREACHED:", *report.breaches, sep="\n  ")
    else:
        print("all promises held")


def _again(options: Options) -> str:
    words = ["--seconds", f"{options.seconds:g}", "--workers", options.workers, "--seed", options.seed]
    words += ["--rate", options.rate, "--delivery", options.delivery, *([] if options.keyed else ["--unkeyed"])]
    if options.faults != Options().faults:
        words += ["--faults", *sorted(options.faults)]
    return shlex.join([sys.executable, "-m", "tests.chaos", *map(str, words)])


def _options() -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Options()
    add = parser.add_argument
    add("--seconds", type=float, default=default.seconds, help="so long things are broken (default %(default)g)")
    add("--workers", type=int, default=default.workers, help="services of one worker each (default %(default)s)")
    add(
        "--seed",
        type=int,
        default=int(time.time()) % 100_000,
        help="decides load and faults (default: another each time)",
    )
    add("--rate", type=int, default=default.rate, help="records a second (default %(default)s)")
    add("--unkeyed", action="store_true", help="records go to any partition")
    add("--delivery", choices=DELIVERIES, default=default.delivery, help="how (default %(default)s)")
    add("--faults", nargs="+", choices=sorted(default.faults), metavar="FAULT", help="only these (default: all)")
    asked = parser.parse_args()
    faults = frozenset(asked.faults) if asked.faults else default.faults
    return Options(asked.seconds, asked.workers, asked.seed, asked.rate, not asked.unkeyed, asked.delivery, faults)


if __name__ == "__main__":
    sys.exit(main())
