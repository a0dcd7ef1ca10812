"""The service as a whole: workers as processes of one consumer group, watched and started again; signals; the end.

Law: a worker whose call to Kafka or Redis has not come back for `turn_timeout` is killed, and one that has died, in
whatever way, is started again. Workers are spawned, never forked: the clients do not survive a fork.
"""

import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType

import structlog

from projector import exits
from projector.adapters.kafka import TopicReader
from projector.config import Config
from projector.ports import Offset, Partition
from projector.pulse import BEATS, COVERED, NUMBERS, QUIET, TURNS, ask_where
from projector.service import Task, kafka_settings, start_of, work
from projector.start_checks import check_start

log = structlog.get_logger()

RESTART_MAX_S = 30.0
"""A worker that keeps dying is started again after 1, 2, 4 ... and at most so many seconds."""
WATCH_S = 0.05
"""How often the supervisor looks."""
LOOK_MAX_S = 1.0
"""The most silence that one look can find: if the supervisor itself stood still, so may the workers have."""
KILLED_S = 1.0
"""So long a process may take to go when it is killed before the others are looked at again."""
BEGIN_S = 60.0
"""A new process has at least so long for its first beat: it loads what it needs and finds Kafka and Redis before."""

_CONTEXT = multiprocessing.get_context("spawn")


class Slot:
    """The place of one worker: its process, whether that goes on, and when the next is started."""

    def __init__(self, number: int, turn_timeout_s: float) -> None:
        self.number = number
        self.numbers = _CONTEXT.Array("d", NUMBERS, lock=False)
        self.process: BaseProcess | None = None
        self.starts = 0
        self._turn_timeout_s = turn_timeout_s
        self._where: Connection | None = None
        """What the process writes when it is asked where it stands."""
        self._deaths = 0
        """Since it last finished a turn."""
        self._start_at = 0.0
        self._beats = self._silent_s = 0.0
        """The beats that were last seen, and for how long there has been no other while we looked."""
        self._looked_at = 0.0

    def start(self, task: Task) -> None:
        """When it is due."""
        if time.monotonic() < self._start_at:
            return
        self.starts += 1
        self.numbers[:] = [0.0] * NUMBERS
        self._beats = self._silent_s = 0.0
        self._looked_at = time.monotonic()
        task.starts = self.starts
        self._where, theirs = _CONTEXT.Pipe(duplex=False)
        name = f"worker {self.number}"
        self.process = _CONTEXT.Process(target=work, args=(task, self.numbers, theirs), name=name)
        self.process.start()
        theirs.close()

    def look(self) -> int | None:
        """Kill it if it hangs; once it has ended, its exit code."""
        assert self.process is not None
        if self.process.exitcode is not None:
            return self.process.exitcode
        now = time.monotonic()
        self._silent_s += min(now - self._looked_at, LOOK_MAX_S)
        self._looked_at = now
        if self.numbers[BEATS] != self._beats:
            self._beats, self._silent_s = self.numbers[BEATS], 0.0
        if self._silent_s > (self._turn_timeout_s if self._beats else max(self._turn_timeout_s, BEGIN_S)):
            self._end_hang()
        elif self.numbers[TURNS] > 0:
            self._deaths = 0
        return None

    def _end_hang(self) -> None:
        """By SIGKILL: SIGTERM would ask it to finish the turn that it does not finish."""
        process = self.process
        assert process is not None
        assert process.pid is not None
        assert self._where is not None
        at = ask_where(process.pid, self._where)
        log.error("a worker hangs and is killed", worker=self.number, silent_s=round(self._silent_s, 1), at=at)
        process.kill()
        process.join(KILLED_S)
        self._silent_s = 0.0

    def bury(self, code: int) -> None:
        """It has ended with this exit code: another is to be started, at once if it died alone."""
        assert self._where is not None
        self._where.close()
        self.process = None
        wait_s = min(2.0**self._deaths - 1, RESTART_MAX_S)
        self._deaths += 1
        self._start_at = time.monotonic() + wait_s
        log.error("a worker died and is started again", worker=self.number, code=code, in_s=wait_s)


class Supervisor:
    """Starts workers, watches them, and stops them in order."""

    def __init__(self, config: Config, instance: str, *, until_end: bool) -> None:
        self._config, self._instance = config, instance
        self._identity = check_start(config).identity
        self._until = _ends(config) if until_end else None
        self._slots = [Slot(number, config.turn_timeout / 1000) for number in range(config.workers)]
        self._stopping = False
        self._settled: list[float] | None = None
        """While everything is read and quiet: the turns that each worker had taken when that was first seen."""

    def run(self) -> int:
        """Serve until a signal, or until everything is done; gives the exit code."""
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, self._stop)
        while not self._stopping:
            for slot in self._slots:
                code = self._watch(slot)
                if code is not None:
                    self._end()
                    return code
            if self._until is not None and self._is_done():
                break
            time.sleep(WATCH_S)
        return self._end()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _watch(self, slot: Slot) -> int | None:
        """Start the worker if it is not there, kill it if it hangs; an exit code if the service cannot go on."""
        if slot.process is None:
            slot.start(Task(self._config, self._identity, slot.number, self._instance, self._until))
            return None
        code = slot.look()
        if code == exits.WRONG:
            return code
        if code is not None:
            slot.bury(code)
        return None

    def _is_done(self) -> bool:
        """Every partition is covered by a worker that has read it to its end and has nothing left to do.

        Seen once is not enough: a note that a worker left in its last turn may be waiting for another. So each must
        have begun and finished a turn since, and still be quiet.
        """
        assert self._until is not None
        quiet = all(slot.numbers[QUIET] for slot in self._slots)
        if not quiet or sum(slot.numbers[COVERED] for slot in self._slots) != len(self._until):
            self._settled = None
            return False
        turns = [float(slot.numbers[TURNS]) for slot in self._slots]
        if self._settled is None:
            self._settled = turns
        return all(now >= then + 2 for now, then in zip(turns, self._settled, strict=True))

    def _end(self) -> int:
        """Let each worker finish its turn; one that does not is killed."""
        processes = [slot.process for slot in self._slots if slot.process is not None]
        for process in processes:
            process.terminate()
        until = time.monotonic() + self._config.turn_timeout / 1000
        code = exits.DONE
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.exitcode is None:
                log.error("a worker did not stop and is killed", pid=process.pid)
                process.kill()
                process.join()
                code = exits.FAILED
        return code


def _ends(config: Config) -> dict[Partition, Offset]:
    reader, first = TopicReader(kafka_settings(config)), start_of(config).first
    try:
        return {partition: span.end + first for partition, span in reader.spans(reader.partitions()).items()}
    finally:
        reader.close()
