"""A service of a test's own while it runs: its log, its worker, its metrics, how far it has read."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cli import environment_of
from tests.services.process import Process, wait_for
from tests.services.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.end_to_end.pipeline import Pipeline

IN_TIME_S = 180.0


@contextmanager
def service(pipeline: Pipeline, module: str, *words: str, **environment: str) -> Iterator[Process]:
    """`projector run` as a module of these tests has it, until it is told to stop."""
    argv = [sys.executable, "-m", f"tests.end_to_end.{module}", "run", *words]
    process = Process("projector", argv, pipeline.home, env=environment_of({**pipeline.settings, **environment}))
    process.start()
    try:
        yield process
    finally:
        print(process.log.read_text())  # Shown where something fails.
        process.kill()


def logged(projector: Process) -> list[dict[str, Any]]:
    lines = projector.log.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]


def hangs(projector: Process) -> list[dict[str, Any]]:
    return [line for line in logged(projector) if line["event"] == "a worker hangs and is killed"]


def events(projector: Process) -> list[str]:
    return [line["event"] for line in logged(projector)]


def metric(port: int, name: str) -> float | None:
    """Of the worker that serves metrics on this port, a metric without labels; None while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.split()[0] == name), None)


def memory_mb(pid: int, what: str = "VmHWM") -> float:
    """Of a process, the most that it ever had resident, or has now (`VmRSS`)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def is_alive(pid: int) -> bool:
    """Whether the process runs or stands still; one that nobody has buried yet does neither."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def child_of(projector: Process) -> int:
    """The worker, when it is there; the other child is what multiprocessing tracks its resources with."""
    asked = ["pgrep", "-P", str(projector.pid), "-f", "spawn_main"]
    found: list[int] = []

    def is_there() -> bool:
        told = subprocess.run(asked, capture_output=True, check=False).stdout
        found.extend(int(pid) for pid in told.split())
        return bool(found)

    assert wait_for(is_there, timeout_s=IN_TIME_S)
    return found[0]


def wait_until_read(pipeline: Pipeline, projector: Process, count: int) -> None:
    """Every record of this many is folded, published and committed."""
    read = pipeline.committed
    wait_for(lambda: sum(read().values()) == count or not projector.is_alive(), timeout_s=IN_TIME_S)
    assert sum(read().values()) == count


def wait_until(projector: Process, holds: Callable[[], bool], *, timeout_s: float = IN_TIME_S) -> None:
    wait_for(lambda: holds() or not projector.is_alive(), timeout_s=timeout_s)
    assert holds()


def wait_until_left(pipeline: Pipeline) -> None:
    """The group has given up the member that fell silent."""
    config = pipeline.config
    with Topics(config.kafka_bootstrap_servers).admin() as admin:
        members = partial(admin.describe_groups, [config.group_id])
        assert wait_for(lambda: not members()[config.group_id]["members"], timeout_s=IN_TIME_S)
