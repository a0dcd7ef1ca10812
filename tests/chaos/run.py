"""One run: load, faults for so many seconds, everything drained, the promises checked."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING

from kafka.errors import KafkaError

from tests.chaos.checks import check, keep_topics
from tests.chaos.faults import KILLS, NEED_PROXIES, OTHERS, hold
from tests.chaos.load import Load
from tests.chaos.plan import kills, others
from tests.chaos.recovery import Recovery, Watch
from tests.chaos.report import Report
from tests.chaos.world import World
from tests.services.process import ServiceError, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.chaos.plan import Step

RECOVER_S = 180.0
"""A fault that is not recovered from in so long is a breach; workers are killed meanwhile."""
OPEN_KILLS_MAX = 2
"""So many kills may wait for their recovery at the same time, or a machine on which a worker takes longer to start than
it is left to live would never get anywhere."""
DRAIN_S = 120.0
LOSES_WRITES = {"Redis cut back", "Redis flushed"}


@dataclass(frozen=True)
class Options:
    seconds: float = 600.0
    workers: int = 3
    seed: int = 1
    rate: int = 80
    """Records a second."""
    keyed: bool = True
    delivery: str = "exactly-once"
    faults: frozenset[str] = field(default_factory=lambda: frozenset([*KILLS, *OTHERS]))


class NotRecoveredError(Exception):
    """A fault is healed, and still not all goes on."""


class Run:
    """`tell` gets a line for every fault."""

    def __init__(self, world: World, options: Options, tell: Callable[[str], None]) -> None:
        self._world, self._options, self._tell = world, options, tell
        self._load = Load(
            world.pipeline, world.home / "load.log", rate=options.rate, seed=options.seed, keyed=options.keyed
        )
        self._watch = Watch(world.pipeline)
        self._report = Report(self._watch.recoveries)
        self._began = time.monotonic()
        self._over = threading.Event()

    def run(self) -> Report:
        try:
            self._world.fleet.start()
            self._load.start()
            self._watch.start()
            self._await(self._watch.healed("start"))
            self._break_things()
            self._drain()
        except (ServiceError, NotRecoveredError, AssertionError, TimeoutExpired) as error:
            self._report.breaches.append(str(error))
        finally:
            self._over.set()
            self._load.kill()
            self._watch.stop()
        if not self._report.breaches:
            self._check()
        return self._report

    def _break_things(self) -> None:
        """For so long as was asked, and until each of the faults that come one after another has been there."""
        options = self._options
        self._began = time.monotonic()
        names = options.faults if self._world.kafka_proxies else options.faults - NEED_PROXIES
        killer = threading.Thread(target=self._keep_killing, args=(kills(options.seed, names),), name="killer")
        killer.start()
        try:
            awaited = set(OTHERS) & names
            for step in others(options.seed, names):
                if self._is_over() and not awaited:
                    break
                self._await(self._do(step))
                awaited.discard(step.name)
                self._over.wait(step.pause_s)
            self._over.wait(max(0.0, self._began + options.seconds - time.monotonic()))
        finally:
            self._over.set()
            killer.join()

    def _keep_killing(self, steps: Iterator[Step]) -> None:
        open_ones: list[Recovery] = []
        try:
            for step in steps:
                if self._over.wait(step.pause_s):
                    return
                while len(open_ones) >= OPEN_KILLS_MAX and not self._over.wait(0.2):
                    open_ones = [one for one in open_ones if not one.is_done.is_set()]
                open_ones.append(self._do(step))
        except ServiceError as error:
            self._report.breaches.append(str(error))
            self._over.set()

    def _do(self, step: Step) -> Recovery:
        self._say(f"{step.name} …")
        step.fault(self._world, step.random)
        return self._watch.healed(step.name)

    def _await(self, recovery: Recovery) -> None:
        wait_for(lambda: recovery.is_done.is_set() or not self._load.is_alive(), timeout_s=RECOVER_S)
        if recovery.took_s is not None:
            self._say(f"{recovery.fault}: recovered in {recovery.took_s:.1f} s")
        elif not self._load.is_alive():
            raise ServiceError("the load's producer has ended, see load.log")
        else:
            raise NotRecoveredError(
                f"{recovery.fault}: not every partition moved on within {RECOVER_S:g} s of its healing"
            )

    def _is_over(self) -> bool:
        return self._over.is_set() or time.monotonic() - self._began >= self._options.seconds

    def _drain(self) -> None:
        """Until everything is committed, what ends by the clock has ended, and the services have stopped in order."""
        for recovery in [one for one in self._watch.recoveries if not one.is_done.is_set()]:
            self._await(recovery)
        self._load.stop()
        self._say("drains")
        if not wait_for(self._is_read, timeout_s=DRAIN_S):
            self._report.breaches.append(f"the log was not read to its end within {DRAIN_S:g} s after the last fault")
        hold(self._world.timeout_s + 1)
        self._report.breaches += self._world.fleet.stop()
        self._world.pipeline.run("--workers", "2")

    def _is_read(self) -> bool:
        try:
            return self._watch.lag() == 0
        except KafkaError:
            return False

    def _check(self) -> None:
        self._say("checks")
        lost_writes = any(one.fault in LOSES_WRITES for one in self._watch.recoveries)
        found = check(self._world.pipeline, sent=self._load.sent, keyed=self._options.keyed, lost_writes=lost_writes)
        self._report.breaches += [f"{promise}: {how}" for promise, how in found.items() if how is not None]
        held = [promise for promise, how in found.items() if how is None]
        self._report.facts = f"{self._load.sent} records; held: {'; '.join(held) or 'nothing'}"
        if self._report.breaches:
            keep_topics(self._world.pipeline)

    def _say(self, what: str) -> None:
        self._tell(f"[{time.monotonic() - self._began:6.1f} s, {self._load.sent} records] {what}")
