"""One process of ours with its log and its pid file: started, stopped, killed, paused.

Law: a pid file is locked by the process that it names for as long as that lives, so a pid that the system has given to
somebody else is never signalled, and a service whose starter died is found again.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

POLL_S = 0.05


class ServiceError(Exception):
    """A service that could not be had, or did not do what it was told; the message is one line and says what to do."""


@dataclass
class Process:
    """A command that runs until it is told to end. Times out loudly: no call here waits without bound."""

    name: str
    argv: Sequence[str]
    home: Path  # Where its log and its pid file are.
    env: Mapping[str, str] = field(default_factory=dict)
    _child: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.home / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        return self.home / f"{self.name}.pid"

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> None:
        """Starts it in a session of its own: Ctrl-C in the terminal is for its starter, who then stops it in order."""
        assert not self.is_alive(), f"{self.name} is running"
        self.home.mkdir(parents=True, exist_ok=True)
        with self.pid_file.open("w") as pid_file, self.log.open("ab") as log:
            fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[pid_file.fileno()],
                start_new_session=True,
                env={**os.environ, **self.env},
            )
            pid_file.write(str(self._child.pid))

    def is_alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def send_signal(self, signum: int) -> None:
        os.kill(self._running().pid, signum)

    def pause(self) -> None:
        """Stops it in the middle of what it does, connections open; `resume` lets it go on as if nothing had been."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power cut ends it: no goodbye, nothing flushed by it. Does nothing where it does not run."""
        if self.is_alive():
            self.send_signal(signal.SIGKILL)
            self.wait()

    def end(self) -> None:
        """Tells it to end, paused or not, without waiting for it; nothing where it has ended."""
        if self.is_alive():
            self.send_signal(signal.SIGTERM)
            self.send_signal(signal.SIGCONT)

    def stop(self, *, timeout_s: float = 30.0) -> None:
        """As an operator ends it. One that does not end in time is killed, and that is an error."""
        if not self.is_alive():
            return
        self.end()
        try:
            self._running().wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServiceError(f"{self.name} did not end within {timeout_s:g} s of SIGTERM, see {self.log}") from None

    def wait(self, *, timeout_s: float = 30.0) -> int:
        """Waits for its end; gives its exit code, minus the signal's number where one ended it."""
        assert self._child is not None, f"{self.name} was never started"
        try:
            return self._child.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ServiceError(f"{self.name} is still running after {timeout_s:g} s, see {self.log}") from None

    def wait_until(self, is_ready: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
        """Waits until is_ready() holds; a process that ends meanwhile is an error that quotes its log."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if not self._lives_on(POLL_S):
                raise ServiceError(f"{self.name} ended while it was starting: {self.last_words()} (see {self.log})")
            if time.monotonic() > deadline:
                self.kill()
                raise ServiceError(f"{self.name} was not ready within {timeout_s:g} s, see {self.log}")

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _lives_on(self, seconds: float) -> bool:
        try:
            self._running().wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._child is not None, f"{self.name} was never started"
        return self._child


@dataclass
class ContainerProcess(Process):
    """The same for a command that is the first process of a container: argv is the `docker run` that stays attached.

    Signals that the attached command cannot pass on go through the engine; from outside also 9 and 19 reach it.
    """

    container: str = ""

    def start(self) -> None:
        """The engine may still be clearing away the one of that name which has just ended."""
        subprocess.run(["docker", "rm", "--force", self.container], check=False, capture_output=True, timeout=60)
        super().start()

    def send_signal(self, signum: int) -> None:
        command = ["docker", "kill", f"--signal={signum}", self.container]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)


def stop_recorded(pid_file: Path, *, timeout_s: float = 40.0) -> bool:
    """Stops the process that has pid_file locked, whoever started it; false where there is none.

    A process of ours ends by SIGTERM; one that has not after timeout_s is killed.
    """
    with pid_file.open("r+") as file:
        if (running := not _lock(file.fileno())) and (pid := int(file.read())):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)
            if not wait_for(lambda: _lock(file.fileno()), timeout_s=timeout_s):
                os.kill(pid, signal.SIGKILL)
                wait_for(lambda: _lock(file.fileno()), timeout_s=timeout_s)
    pid_file.unlink()
    return running


def is_recorded_alive(pid_file: Path) -> bool:
    """Whether the process that pid_file names still lives."""
    if not pid_file.exists():
        return False
    with pid_file.open("r+") as file:
        return not _lock(file.fileno())


def wait_for(holds: Callable[[], bool], *, timeout_s: float) -> bool:
    """Waits until holds() is true, at most timeout_s; gives whether it came true."""
    deadline, pause = time.monotonic() + timeout_s, threading.Event()
    while not (held := holds()) and time.monotonic() < deadline:
        pause.wait(POLL_S)
    return held


def free_port() -> int:
    """A port that nobody listens on, below the range that systems give to outgoing connections.

    In that range a server that is down for a moment could find its port taken by a client's connection, and a client
    that keeps trying to reach it could by chance connect to itself.
    """
    while True:
        port = random.randint(20_000, 29_999)
        if port in _given:  # Its server may be down for a moment, or not be up yet.
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


_given: set[int] = set()


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _lock(fd: int) -> bool:
    """Takes the lock if nobody has it; it goes again when the file is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
