"""Workers that run a stretch at a time: each in a thread of its own, but never two at once.

A stretch is a number of boundaries, one before and one after each call of a port. Who runs next, and for how long, is the
scheduler's choice alone, so a seed gives the same run every time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Crash(BaseException):
    """The process is gone: nothing of the product may catch it."""


class Actor:
    """One process: `body` runs in `advance`, until the boundaries are used up; then it stands still until the next."""

    def __init__(self, name: str, body: Callable[[Actor], None]) -> None:
        self.name = name
        self.boundaries = 0
        """How many it has passed."""
        self.where = "start"
        """The boundary it stands at."""
        self.failure: BaseException | None = None
        """What ended it, if that was no crash."""
        self.is_over = False
        self._body, self._budget, self._is_killed = body, 0, False
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def advance(self, boundaries: int) -> None:
        """Let it run so far; returns when it stands still again, or is over."""
        if not self.is_over:
            self._budget = boundaries
            self._go.release()
            self._back.acquire()

    def kill(self) -> None:
        """It dies where it stands: the call before it was made, the call after it was not."""
        if not self.is_over:
            self._is_killed = True
            self.advance(1)
            self._thread.join()

    def boundary(self, where: str) -> None:
        """Called in the actor's thread, before and after each call of a port."""
        self.where = where
        self.boundaries += 1
        self._budget -= 1
        if self._budget <= 0:
            self._back.release()
            self._stand_still()

    def _stand_still(self) -> None:
        self._go.acquire()
        if self._is_killed:
            raise Crash

    def _run(self) -> None:
        try:
            self._stand_still()
            self._body(self)
        except Crash:
            pass
        except BaseException as failure:  # noqa: BLE001 - it is the scheduler's to judge
            self.failure = failure
        self.is_over = True
        self._back.release()
