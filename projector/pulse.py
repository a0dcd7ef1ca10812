"""What a worker shows its supervisor: that its turn goes on, how far it is and, when it is asked, where it stands.

Law: the worker writes and the supervisor reads; neither ever waits for the other. A worker shows a beat whenever it
comes back from a call to Kafka or Redis, so one that is slow is told from one that hangs.
"""

import faulthandler
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable
from functools import wraps
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any

from projector import exits

# What is shown, by place in an array that both processes have.
BEATS, TURNS, QUIET, COVERED, NUMBERS = 0, 1, 2, 3, 4

WHERE_SIGNAL = signal.SIGUSR1
"""Asks a worker where it stands; answered also where the interpreter is stuck in a call that never returns."""
WHERE_S = 0.5
"""How long that answer is waited for; a stopped process gives none."""
FRAMES_MAX = 4


class Pulse:
    """A worker's side of it."""

    def __init__(self, numbers: Any) -> None:
        self._numbers = numbers
        self._at = time.monotonic()

    def beat(self) -> None:
        self._numbers[BEATS] += 1
        self._at = time.monotonic()

    def silent_s(self) -> float:
        """How long the call that is under way has been."""
        return time.monotonic() - self._at

    def feel(self, port: object, *calls: str) -> None:
        """From now on each of these calls of a port is a beat when it comes back."""
        for name in calls:
            setattr(port, name, self._beating(getattr(port, name)))

    def _beating(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def felt(*values: Any, **named: Any) -> Any:
            try:
                return call(*values, **named)
            finally:
                self.beat()

        return felt


def answer_where(pipe: Connection) -> None:
    """In the worker: write the stacks of all threads to the pipe when `WHERE_SIGNAL` comes."""
    faulthandler.register(WHERE_SIGNAL, file=pipe.fileno(), all_threads=True)


def ask_where(pid: int, pipe: Connection) -> list[str]:
    """In the supervisor: where the worker's main thread stands, the innermost call first; empty if it does not say."""
    os.kill(pid, WHERE_SIGNAL)
    told, patience = b"", WHERE_S
    while wait([pipe], patience) and (some := os.read(pipe.fileno(), 1 << 16)):
        told, patience = told + some, WHERE_S / 10
    # The main thread is the oldest, and the last to be told of.
    frames = re.split(r"(?m)^\w*? ?[Tt]hread ", told.decode(errors="replace"))[-1].splitlines()
    return [frame.strip().removeprefix("File ").replace('"', "") for frame in frames[1 : FRAMES_MAX + 1]]


def leave_with_supervisor(grace_s: float) -> None:
    """End this process when its supervisor has been gone for so long: nobody else would, if it hangs by then."""
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return

    def leave() -> None:
        wait([supervisor.sentinel])
        time.sleep(grace_s)
        os._exit(exits.FAILED)

    Thread(target=leave, name="leaves with the supervisor", daemon=True).start()
