"""Seed after seed on all cores, from where the last soak stopped; every one that fails is printed with how to see it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from pathlib import Path

from tests.simulation.run import run

LAST_SEED = Path(".work/soak/last-seed")
REPORT_S = 10
CHUNK = 20


def soak(seeds: int, processes: int | None = None) -> int:
    """Run so many, on all cores or in so many processes; the exit code: 1 if any failed. Stopped in between, the next one goes on from what was done."""
    first, processes = _last_seed() + 1, processes or os.cpu_count()
    failed, done, told, began = 0, 0, time.monotonic(), time.monotonic()
    print(f"seeds {first} to {first + seeds - 1} in {processes} processes", flush=True)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for seed, violations in pool.imap(_outcome, range(first, first + seeds), chunksize=CHUNK):
            done += 1
            if violations:
                failed += 1
                print(
                    f"seed {seed}: {violations[0]}\n    see it: {sys.executable} -m tests.simulation --seed {seed}",
                    flush=True,
                )
            if done % CHUNK == 0 or done == seeds:
                _keep(seed)
            if time.monotonic() - told > REPORT_S:
                told = time.monotonic()
                print(f"{done} seeds, {failed} failed, {done / (told - began):.0f} a second", flush=True)
    print(f"{done} seeds, {failed} failed")
    return 1 if failed else 0


def _outcome(seed: int) -> tuple[int, list[str]]:
    try:
        return seed, run(seed).violations
    except Exception as error:  # noqa: BLE001 - a seed that breaks the simulation is one that failed
        return seed, [f"{type(error).__name__}: {error}"]


def _last_seed() -> int:
    """-1 before the first soak."""
    return int(LAST_SEED.read_text()) if LAST_SEED.exists() else -1


def _keep(seed: int) -> None:
    LAST_SEED.parent.mkdir(parents=True, exist_ok=True)
    LAST_SEED.write_text(f"{seed}\n")
