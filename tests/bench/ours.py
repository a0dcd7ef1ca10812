"""One measured run of the projector, or of another engine that commits as a group: `projector`, `course`.

What is counted: from the moment when a worker logs that it reads (after it joined, found its positions and said so; the
first fetch is still to come) to the moment when the group's committed offsets are at the end of the input, which with
this projector means: folded, stored, published and committed. CPU is the process tree's, without what each process had
used when it began to read; so neither imports nor the shut-down count, on either side. The moment is looked for every
50 ms, so a run may seem that much longer than it was.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import time
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from tests.bench import processes
from tests.services.process import Process, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.bench.results import Numbers
    from tests.bench.world import Pipeline, World

LOOK_S, SAMPLE_S = 0.01, 0.05
STALL_S = 120.0
"""Without any progress for so long, something is wrong."""


class Begin(Struct, frozen=True):
    """A worker began to read: when (s since the epoch), and its CPU seconds until then, where it says so itself."""

    at: float
    cpu_s: float | None = None


class Sample(Struct, frozen=True):
    """CPU seconds since the begin, of the engine, of Redis, of the broker; records done."""

    at: float
    done: int
    own_s: float
    redis_s: float
    broker_s: float


class Outcome(Struct, frozen=True):
    """What an output topic holds for readers of committed records."""

    snapshots: int
    sessions: int
    events: int
    """Sum of `eventCount` of the last snapshot of each session."""
    bytes_mean: float


def projector(
    world: World,
    pipeline: Pipeline,
    events: int,
    *,
    workers: int = 1,
    done: Callable[[], int] | None = None,
    is_checked: bool = True,
) -> Numbers:
    """`projector run --until-end` over what is in its input; `events` are new. `done` counts other progress."""
    group = pipeline.config.group_id
    before = sum(world.committed(group).values())
    process = pipeline.start("--until-end", "--workers", str(workers))
    progress = done or (lambda: sum(world.committed(group).values()) - before)
    numbers = course(world, process, events, progress, reads)
    code, ended_at = process.wait(timeout_s=STALL_S), time.time()
    if code:
        raise ServiceError(f"projector run ended with {code}: {process.last_words()}")
    numbers["ended_after_s"] = ended_at - min(begin.at for begin in reads(process.log.read_text()).values())
    found = outcome(world.bootstrap, pipeline.config.output_topic)
    if is_checked and found.events != events:
        raise ServiceError(f"{events} events went in, but the last snapshots count {found.events}")
    new, pipeline.snapshots = found.snapshots - pipeline.snapshots, found.snapshots
    return numbers | {"snapshots": new, "redis_mb": world.redis_bytes() / 1e6}


def reads(log: str) -> dict[int, Begin]:
    """By worker when it first began to read, from the projector's log."""
    found: dict[int, Begin] = {}
    for line in log.splitlines():
        if '"reads"' in line:
            said = msgspec.json.decode(line)
            at = dt.datetime.fromisoformat(said["timestamp"]).timestamp()
            found.setdefault(said.get("worker", 0), Begin(at))
    return found


def course(
    world: World, process: Process, events: int, done: Callable[[], int], begins: Callable[[str], Mapping[int, Begin]]
) -> Numbers:
    """Follows an engine to the end of its input; the process is left running, or ending by itself."""
    meter = _Meter(world, process, begins)
    samples = [meter.begin()]
    while samples[-1].done < events:
        meter.wait(SAMPLE_S)
        samples.append(meter.sample(done()))
        moved_at = next(sample.at for sample in samples if sample.done == samples[-1].done)
        if samples[-1].at - moved_at > STALL_S:
            process.kill()
            raise ServiceError(f"{process.name} stands at {samples[-1].done} of {events}, see {process.log}")
    return _numbers(samples, events) | {"peak_mb": processes.peak_bytes(process.pid) / 1e6}


def outcome(bootstrap: str, topic: str) -> Outcome:
    """Reads the topic with kcat, which shares no code with any engine."""
    options = ["-X", "isolation.level=read_committed", "-o", "beginning", "-e", "-q", "-f", "%k\t%s\n"]
    last: dict[bytes, bytes] = {}
    snapshots = size = 0
    with subprocess.Popen(["kcat", "-C", "-b", bootstrap, "-t", topic, *options], stdout=subprocess.PIPE) as kcat:
        assert kcat.stdout is not None
        for line in kcat.stdout:
            key, _, value = line.rstrip(b"\n").partition(b"\t")
            last[key] = value
            snapshots += 1
            size += len(value)
    assert kcat.returncode == 0, f"kcat could not read {topic}"
    events = sum(msgspec.json.decode(value)["eventCount"] for value in last.values() if value)
    return Outcome(snapshots, len(last), events, size / max(snapshots, 1))


class _Meter:
    """Reads the books of one run; CPU of a process counts from when its worker began to read."""

    def __init__(self, world: World, process: Process, begins: Callable[[str], Mapping[int, Begin]]) -> None:
        self._world, self._process, self._begins = world, process, begins
        self._begun: dict[int, Begin] = {}
        self._before: dict[int, float] = {}
        """Pid → CPU seconds that do not count."""
        self._redis_s = self._broker_s = 0.0

    def begin(self) -> Sample:
        """Waits for the first worker to read."""
        self._process.wait_until(self._has_begun, timeout_s=STALL_S)
        self._redis_s, self._broker_s = self._world.redis_cpu_s(), self._world.broker_cpu_s()
        return Sample(min(begin.at for begin in self._begun.values()), 0, 0.0, 0.0, 0.0)

    def wait(self, seconds: float) -> None:
        """Looking out for further workers that begin."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(LOOK_S)
            self._look()

    def sample(self, done: int) -> Sample:
        if not self._process.is_alive() and self._process.wait() != 0:
            raise ServiceError(f"{self._process.name} ended: {self._process.last_words()}")
        used = processes.cpu_by_process(self._process.pid)
        waiting = processes.spawned(self._process.pid)[len(self._begun) :] if self._is_ours else []
        own_s = sum(cpu - self._before.get(pid, 0.0) for pid, cpu in used.items() if pid not in waiting)
        redis_s, broker_s = self._world.redis_cpu_s() - self._redis_s, self._world.broker_cpu_s() - self._broker_s
        return Sample(time.time(), done, own_s, redis_s, broker_s)

    def _has_begun(self) -> bool:
        self._look()
        return bool(self._begun)

    @property
    def _is_ours(self) -> bool:
        return all(begin.cpu_s is None for begin in self._begun.values())

    def _look(self) -> None:
        found = self._begins(self._process.log.read_text(errors="replace"))
        new = {slot: begin for slot, begin in found.items() if slot not in self._begun}
        if not new:
            return
        root = self._process.pid
        used, workers = processes.cpu_by_process(root), processes.spawned(root)
        if not self._begun:
            self._before = {pid: cpu for pid, cpu in used.items() if pid not in workers}
        for slot, begin in new.items():
            pid = workers[slot] if begin.cpu_s is None else root
            self._before[pid] = used[pid] if begin.cpu_s is None else begin.cpu_s
        self._begun |= new


def _numbers(samples: list[Sample], events: int) -> Numbers:
    """Of the whole, and of its second half, by when a virtual machine is warm."""
    first, last = samples[0], samples[-1]
    half = next(sample for sample in samples if 2 * sample.done >= events)
    numbers = {
        "events_per_s": events / (last.at - first.at),
        "cpu_us": last.own_s / events * 1e6,
        "redis_cpu_us": last.redis_s / events * 1e6,
        "broker_cpu_us": last.broker_s / events * 1e6,
    }
    if half.done < last.done:
        rest = last.done - half.done
        numbers["2nd_half_events_per_s"] = rest / (last.at - half.at)
        numbers["2nd_half_cpu_us"] = (last.own_s - half.own_s) / rest * 1e6
    return numbers
