"""What lies between a worker and the world: every call of a port passes here, and may be the last, or lose its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

from projector.errors import Doubt, Unavailable
from tests.simulation.actors import Actor


class Trouble(Enum):
    """What happens to the next call that changes something; the caller cannot tell one from the other."""

    NOT_DONE = auto()
    ANSWER_LOST = auto()
    HANGS = auto()
    """A commit is decided, and seen by others a while later; any other call is done, its answer lost."""


class Wire:
    def __init__(self, actor: Actor, trace: list[str]) -> None:
        self.actor, self._trace = actor, trace
        self.trouble: Trouble | None = None
        self.is_deaf = False
        """The next question is not answered."""

    def boundary(self, where: str) -> None:
        self._trace.append(f"{self.actor.name}: {where}")
        self.actor.boundary(where)

    def note(self, what: str) -> None:
        self._trace.append(f"   {what}")

    def question(self, where: str) -> None:
        """A call that changes nothing."""
        self.boundary(where)
        if self.is_deaf:
            self.is_deaf = False
            self._trace.append(f"{self.actor.name}: no answer")
            raise Unavailable("no answer")

    @contextmanager
    def effect(self, where: str) -> Iterator[Trouble | None]:
        """A call that changes something; what is inside is done, or not."""
        self.boundary(where)
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            self._trace.append(f"{self.actor.name}: {trouble.name}")
        if trouble is Trouble.NOT_DONE:
            raise Doubt(f"{where}: no answer")
        yield trouble
        if trouble is not None:
            raise Doubt(f"{where}: no answer")
        self.boundary(f"{where} done")
