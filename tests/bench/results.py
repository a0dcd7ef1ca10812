"""What a benchmark found: rows of numbers, a median of their rounds, ratios; as a table and as a line of JSON.

Law: a number's name ends with its unit, and the same numbers are in the table and in the JSON.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sysconfig
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from tests.services import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Numbers = dict[str, float]
"""By name, unit last, such as `events_per_s`."""


class Row(Struct):
    """One engine, or one way to run it: the numbers of each round."""

    name: str
    rounds: list[Numbers]

    @property
    def median(self) -> Numbers:
        names = dict.fromkeys(name for numbers in self.rounds for name in numbers)
        return {name: median(numbers[name] for numbers in self.rounds if name in numbers) for name in names}


class Result(Struct):
    """One benchmark; ratios are of medians."""

    bench: str
    question: str
    rows: list[Row]
    ratios: dict[str, float] = {}
    histogram: dict[str, int] = {}
    """Upper edge with its unit → how many."""


def in_rounds(rounds: int, ways: Mapping[str, Callable[[], Numbers]]) -> list[Row]:
    """Each way once a round, in turns, so that what the machine does meanwhile hits all of them alike."""
    rows = [Row(name, []) for name in ways]
    for number in range(rounds):
        for row, run in zip(rows, ways.values(), strict=True):
            Console(stderr=True).print(f"  round {number + 1} of {rounds}: {row.name}", style="dim")
            row.rounds.append(run())
    return rows


def ratio(above: Row, below: Row, name: str) -> float:
    return above.median[name] / max(below.median[name], 1e-9)


def show(result: Result, console: Console) -> None:
    """The table, its longer side down; then the ratios and the histogram."""
    medians = {row.name: row.median for row in result.rows}
    names = list(dict.fromkeys(name for numbers in medians.values() for name in numbers))
    table = Table(title=f"{result.bench}: {result.question}", title_justify="left")
    table.add_column("")
    if len(names) > len(medians):
        for way in medians:
            table.add_column(way, justify="right")
        for name in names:
            table.add_row(_heading(name), *[_shown(numbers.get(name)) for numbers in medians.values()])
    else:
        for name in names:
            table.add_column(_heading(name), justify="right")
        for way, numbers in medians.items():
            table.add_row(way, *[_shown(numbers.get(name)) for name in names])
    console.print(table)
    for what, value in result.ratios.items():
        console.print(f"  {what}: [bold]{value:.2f}[/bold]")
    _show_histogram(result.histogram, console)


def as_json(result: Result, machine_is: Mapping[str, Any]) -> bytes:
    """One line."""
    medians = {row.name: row.median for row in result.rows}
    return msgspec.json.encode({**machine_is, **msgspec.to_builtins(result), "median": medians}) + b"\n"


def where_and_when() -> dict[str, Any]:
    """The machine, the date and the versions that numbers belong to."""
    packages = ("kafka-python", "redis", "hiredis", "msgspec", "session-projector")
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.platform(),
            "load_at_start": os.getloadavg()[0],
        },
        "versions": {
            "python": platform.python_version(),
            "python is optimised": "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""),
            "broker": machine.kafka_version(),
            "redis-server": _first_line("redis-server", "--version"),
            "commit": _first_line("git", "-C", str(machine.ROOT), "describe", "--always", "--dirty"),
            **{name: importlib.metadata.version(name) for name in packages},
        },
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _first_line(*command: str) -> str:
    try:
        said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10).stdout
    except OSError:
        return ""
    return said.partition("\n")[0]


def _heading(name: str) -> str:
    return name.replace("_per_", "/").replace("_us", " µs").replace("_", " ")


def _shown(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 or number == int(number) else f"{number:.3g}"


def _show_histogram(histogram: Mapping[str, int], console: Console) -> None:
    most = max(histogram.values(), default=0)
    for edge, count in histogram.items():
        console.print(f"  {edge:>10} {'█' * round(50 * count / max(most, 1))} {count:,}")
