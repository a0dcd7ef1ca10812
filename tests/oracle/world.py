"""All sessions while a log is read: which are held, which an id leads to (contract §3.1, §4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.oracle.kept import Kept

if TYPE_CHECKING:
    from tests.oracle.settings import Settings


@dataclass
class World:
    settings: Settings
    everything: list[Kept] = field(default_factory=list)  # in the order they were opened, ended incarnations too
    current: dict[str, Kept] = field(default_factory=dict)

    def held(self, session_id: str, clock: int | None) -> Kept | None:
        """The held session of an id; one merged away leads to its survivor while that is held."""
        kept = self.current.get(session_id)
        while kept is not None and kept.merged_into is not None:
            kept = kept.merged_into
        return kept if kept is not None and self.is_held(kept, clock) else None

    def is_held(self, kept: Kept, clock: int | None) -> bool:
        return kept.is_held(clock, self.settings.retention)

    def is_late(self, time: int, clock: int | None) -> bool:
        return self.settings.retention != 0 and clock is not None and time < clock - self.settings.retention

    def held_or_opened(self, session_id: str, partition: int, clock: int | None) -> Kept:
        """An id that comes back after more than retention starts anew."""
        kept = self.held(session_id, clock)
        if kept is None:
            kept = Kept(session_id, partition)
            self.current[session_id] = kept
            self.everything.append(kept)
        return kept
