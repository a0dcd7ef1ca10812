"""Progress on long work: on a terminal how far it is, records a second and time left; nothing in a pipe."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def progress(position: Callable[[], tuple[int, int | None]]) -> Iterator[Callable[[int], None]]:
    """Gives what is to be told how many records each step read; `position` says how far it is, and of how much."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[records]:,} records, {task.fields[rate]:,.0f}/s"),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reads", total=None, records=0, rate=0.0)
        records, began = 0, time.monotonic()

        def advance(count: int) -> None:
            nonlocal records
            records += count
            at, total = position()
            rate = records / max(time.monotonic() - began, 1e-3)
            bar.update(task, completed=at, total=total, records=records, rate=rate)

        yield advance
