"""The events of one session as they were read, and the simple questions that are asked of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.oracle.read import Event


@dataclass(eq=False)
class Kept:
    id: str
    partition: int  # home: that of its first own event
    events: list[Event] = field(default_factory=list)
    linked: list[Kept] = field(default_factory=list)  # conversations that named this session
    wall: int | None = None  # the campaign split that ends it
    merged_into: Kept | None = None

    def has(self, event: Event) -> bool:
        return event.id is not None and any(event.id == known.id for known in self.events)

    def in_order(self) -> list[Event]:
        """Distinct events by (time, id); of two with one id the first read counts (contract §5)."""
        distinct: dict[Any, Event] = {}
        for event in sorted(self.events, key=lambda event: event.seq):
            distinct.setdefault(event.seq if event.id is None else event.id, event)
        return sorted(distinct.values(), key=lambda event: event.stamp)

    def activities(self) -> list[Event]:
        return [event for event in self.in_order() if event.is_activity]

    def visitor_events(self) -> list[Event]:
        return [event for event in self.in_order() if event.is_visitor_event]

    def conversations(self) -> list[list[Event]]:
        """Conversation events by conversation: its own and the linked ones'."""
        everything = [self, *(kept for kept in self.linked if kept is not self)]
        found = [[event for event in kept.in_order() if event.kind == "conversation"] for kept in everything]
        return [events for events in found if events]

    def first(self) -> int:
        """Least activity; before any, the least event time (contract §4). Linked events stand in where it has none."""
        linked = [event for events in self.conversations() for event in events]
        return min(event.time for event in self.activities() or self.in_order() or linked)

    def last(self) -> int:
        activities = self.activities()
        return activities[-1].time if activities else self.first()

    def campaign(self) -> dict[str, str] | None:
        """Field 18, as far as it was read."""
        given = [event.payload["mktCampaign"] for event in self.visitor_events() if "mktCampaign" in event.payload]
        return given[0] if given else None

    def is_held(self, clock: int | None, retention: int) -> bool:
        return retention == 0 or clock is None or self.last() + retention >= clock

    def absorb(self, other: Kept) -> None:
        """Takes over all that a session has which was merged away."""
        self.events += other.events
        self.linked += [kept for kept in other.linked if kept not in self.linked]
        other.merged_into = self
