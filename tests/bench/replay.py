"""Replay: a log file through the embedded store, as a user runs it: plain, gz and zst, and several workers.

What the command costs on an empty file is taken off: it starts, imports and ends in a third of a second.
"""

from __future__ import annotations

import os
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

import zstandard

from tests import cli
from tests.bench.results import Result, in_rounds, ratio
from tests.services.process import ServiceError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.options import Options
    from tests.bench.results import Numbers
    from tests.bench.world import World

WORKERS = 2  # Processes that fold; the one that reads and hands out comes to them.


def bench(world: World, options: Options) -> Result:
    home = world.home / "replay"
    home.mkdir(exist_ok=True)
    plain = _write(home, options)
    idle = _run([_empty(home)], home)

    def run(*words: str | Path) -> Numbers:
        return _numbers(_run(list(words), home), idle, options.events)

    ways = {name: partial(run, path) for name, path in _packed(plain).items()}
    ways[f"plain, {WORKERS} workers"] = partial(run, "--workers", str(WORKERS), plain)
    rows = in_rounds(options.rounds, ways)
    ratios = {f"events/s a core, {row.name} to plain": ratio(row, rows[0], "events_per_core_s") for row in rows[1:]}
    ratios[f"events/s, {WORKERS} workers to 1"] = ratio(rows[-1], rows[0], "events_per_s")
    return Result("replay", "files through the embedded store", rows, ratios)


def _write(home: Path, options: Options) -> Path:
    path = home / "events.jsonl"
    with path.open("wb") as file:
        file.writelines(value + b"\n" for _, value in options.work.records())
    return path


def _packed(plain: Path) -> dict[str, Path]:
    packed, squeezed = plain.with_suffix(".jsonl.gz"), plain.with_suffix(".jsonl.zst")
    with packed.open("wb") as out:
        subprocess.run(["gzip", "-6", "-c", str(plain)], check=True, stdout=out)
    with plain.open("rb") as source, squeezed.open("wb") as target:
        zstandard.ZstdCompressor(level=3).copy_stream(source, target)
    return {"plain": plain, "gz": packed, "zst": squeezed}


def _empty(home: Path) -> Path:
    path = home / "empty.jsonl"
    path.write_bytes(b"")
    return path


def _run(words: list[str | Path], home: Path) -> Numbers:
    """Seconds, CPU seconds with its children's, and peak memory of one replay."""
    out, log = home / "sessions.jsonl", home / "replay.log"
    command = cli.command("replay", *map(str, words), "--output", str(out))
    began = time.perf_counter()
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=cli.environment_of())
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ServiceError(f"projector replay ended with {process.returncode}: {log.read_text()[-500:]}")
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss * 1024 / 1e6}


def _numbers(used: Numbers, idle: Numbers, events: int) -> Numbers:
    seconds, cpu_s = used["seconds"] - idle["seconds"], used["cpu_s"] - idle["cpu_s"]
    return {
        "events_per_s": events / seconds,
        "events_per_core_s": events / cpu_s,
        "cpu_us": cpu_s / events * 1e6,
        "peak_mb": used["peak_mb"],
    }
