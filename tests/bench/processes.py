"""What processes have used, from the system's books: CPU time and peak memory of a process and all below it.

Law: a child that has ended is counted with the parent that waited for it, so that nothing which ran below is free.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/stat, counted from the one after the command's closing parenthesis.
_PARENT, _CPU, _STARTED = 1, slice(11, 15), 19


def cpu_by_process(root: int) -> dict[int, float]:
    """Pid → CPU seconds of it and of its ended children; of `root` and every process below that lives."""
    return {pid: sum(int(ticks) for ticks in fields[_CPU]) / _TICKS_PER_S for pid, fields in _tree(root)}


def cpu_s(root: int) -> float:
    """CPU seconds of a process and everything below it."""
    return sum(cpu_by_process(root).values())


def spawned(root: int) -> list[int]:
    """The processes below `root` that Python's multiprocessing spawned, in the order in which they were."""
    found = [(int(fields[_STARTED]), pid) for pid, fields in _tree(root) if b"spawn_main(" in _read(pid, "cmdline")]
    return [pid for _, pid in sorted(found)]


def peak_bytes(root: int) -> int:
    """Sum of the most memory that each process below, and `root`, has held (VmHWM); shared pages count each time."""
    return sum(_peak(pid) for pid, _ in _tree(root))


def _tree(root: int) -> Iterator[tuple[int, list[bytes]]]:
    stats = {int(entry.name): _fields(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit()}
    children: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        if fields:
            children.setdefault(int(fields[_PARENT]), []).append(pid)
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        if stats.get(pid):
            yield pid, stats[pid]


def _fields(pid: int) -> list[bytes]:
    return _read(pid, "stat").rpartition(b")")[2].split()


def _peak(pid: int) -> int:
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(pid: int, name: str) -> bytes:
    """Empty where the process is gone."""
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
