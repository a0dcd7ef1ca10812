"""The workers: services of one worker each, that are killed, paused, and started again at once where they have ended."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from projector import exits
from tests import cli
from tests.bench.processes import spawned
from tests.services.process import Process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WATCH_S = 0.2


class Service:
    """`projector run`: a supervisor and its worker process."""

    def __init__(self, number: int, home: Path, settings: Mapping[str, str]) -> None:
        self.process = Process(f"projector-{number}", cli.command("run"), home, env=cli.environment_of(settings))
        self.ends: list[int] = []
        """Exit codes, of those that were not killed here."""
        self._lock = threading.Lock()
        self._killed = self._ending = False

    def start(self) -> None:
        with self._lock:
            self.process.start()

    def kill(self) -> None:
        """Supervisor and worker at once, as a machine dies; the next is another process with another name."""
        with self._lock:
            self._killed = True
            self._signal_all(signal.SIGKILL)
            self.process.wait()
        self.keep_going()

    def kill_worker(self) -> None:
        """The supervisor starts it again. Where there is none at the moment, this is nothing more than its restart."""
        with suppress(ProcessLookupError):
            for pid in spawned(self.process.pid):
                os.kill(pid, signal.SIGKILL)

    def pause(self) -> None:
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def keep_going(self) -> None:
        """Start it where it has ended."""
        with self._lock:
            if self._ending or self.process.is_alive():
                return
            if not self._killed:
                self.ends.append(self.process.wait())
            self._killed = False
            self._signal_all(signal.SIGKILL)  # What a service that was killed has left behind.
            self.process.start()

    def stop(self) -> int:
        """As an operator does; its exit code."""
        with self._lock:
            self._ending = True
        self.resume()
        self.process.stop(timeout_s=90)
        return self.process.wait()

    def close(self) -> None:
        with self._lock:
            self._ending = True
            self._signal_all(signal.SIGKILL)
            self.process.kill()

    def _signal_all(self, signum: int) -> None:
        """Its processes are a session of their own."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signum)


class Fleet:
    """All services; from `start` to `stop` what has ended is started again."""

    def __init__(self, services: list[Service]) -> None:
        self.services = services
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fleet", daemon=True)

    def start(self) -> None:
        for service in self.services:
            service.start()
        self._thread.start()

    def stop(self) -> list[str]:
        """In order; gives what was wrong with an end, now or before: a service may find things gone, not give up."""
        self._stopping.set()
        self._thread.join()
        codes = {service.process.name: [*service.ends, service.stop()] for service in self.services}
        return [
            f"{name} ended with exit code {code}, see its log"
            for name, ended in codes.items()
            for code in ended
            if code not in (exits.DONE, exits.FAILED)
        ]

    def close(self) -> None:
        self._stopping.set()
        for service in self.services:
            service.close()

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_S):
            for service in self.services:
                service.keep_going()
