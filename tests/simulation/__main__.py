"""`python -m tests.simulation --seed N` shows one seed; `--soak` goes on with new ones on all cores."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.run import run
from tests.simulation.soak import soak

SOAK_SEEDS = 20_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="run this seed and say what is wrong")
    what.add_argument("--soak", action="store_true", help="go on from the last seed that was done")
    parser.add_argument("--seeds", type=int, default=SOAK_SEEDS, help="how many to soak (default %(default)s)")
    parser.add_argument("--processes", type=int, help="with --soak: how many side by side (default: one a core)")
    parser.add_argument("--verbose", action="store_true", help="with --seed: show everything that happened")
    asked = parser.parse_args()
    return soak(asked.seeds, asked.processes) if asked.soak else _show(asked.seed, verbose=asked.verbose)


def _show(seed: int, *, verbose: bool) -> int:
    verdict = run(seed)
    print(f"seed {seed}: {verdict.plan}")
    if verbose:
        print(*verdict.trace, sep="\n")
    print(*(verdict.violations or ["all laws hold"]), sep="\n")
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
