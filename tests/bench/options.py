"""What a benchmark is asked for."""

from __future__ import annotations

from msgspec import Struct

from tests.bench.world import Work


class Options(Struct, frozen=True):
    """With fewer events over as many sessions an event costs more: a session's first is the dearest."""

    events: int = 600_000
    sessions: int = 50_000
    rounds: int = 3
    seed: int = 1

    @property
    def work(self) -> Work:
        return Work(self.events, self.sessions, self.seed)
