"""Sessions of visitors that name none (contract §3.3): gaps, merges, campaign splits and walls, in log order."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from tests.oracle.kept import Kept

if TYPE_CHECKING:
    from tests.oracle.read import Event
    from tests.oracle.world import World


def uuid_of(*parts: str | None) -> str:
    array = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return str(uuid5(NAMESPACE_URL, f"projector/{array}"))


@dataclass(eq=False)
class Visit:
    kept: Kept
    left_wall: int | None

    def distance(self, time: int) -> int:
        return max(self.kept.first() - time, time - self.kept.last(), 0)


@dataclass
class Visitor:
    """One (customerIdType, customerId, type)."""

    customer_id_type: str | None
    customer_id: str
    type: str
    visits: list[Visit] = field(default_factory=list)
    walls: list[int] = field(default_factory=list)

    def held(self, world: World, clock: int | None) -> list[Visit]:
        alive = [visit for visit in self.visits if visit.kept.merged_into is None]
        return [visit for visit in alive if world.is_held(visit.kept, clock)]

    def knows(self, event: Event, world: World, clock: int | None) -> bool:
        return any(visit.kept.has(event) for visit in self.held(world, clock))

    def near(self, time: int, world: World, clock: int | None) -> list[Visit]:
        """Visits on the same side of every wall, within the timeout."""
        timeout = world.settings.timeout_of(self.type)
        assert timeout is not None
        same_side = [visit for visit in self.held(world, clock) if visit.left_wall == self.wall_before(time)]
        return [visit for visit in same_side if visit.distance(time) <= timeout]

    def wall_before(self, time: int) -> int | None:
        return max((wall for wall in self.walls if wall <= time), default=None)

    def place(self, event: Event, world: World, partition: int, clock: int | None) -> bool:
        """Keeps the event in one of the visits, opening, merging or splitting; False: it is too late."""
        near = self.near(event.time, world, clock)
        if not near and world.is_late(event.time, clock):
            return False
        if self.splits(event, near, world):
            self.build_wall(event.time)
            near = self.near(event.time, world, clock)  # What is left of the wall is out of reach now.
            self.merged([*near, self.opened(event, world, partition, clock)], world)
        elif near:
            self.merged(near, world).events.append(event)
        else:
            self.opened(event, world, partition, clock)
        self.bound(world, clock)
        return True

    def opened(self, event: Event, world: World, partition: int, clock: int | None) -> Visit:
        opener = event.id if event.id is not None else f"heartbeat:{event.time}"
        session_id = uuid_of(self.customer_id_type, self.customer_id, self.type, opener)
        visit = Visit(world.held_or_opened(session_id, partition, clock), self.wall_before(event.time))
        visit.kept.events.append(event)
        self.visits.append(visit)
        return visit

    def splits(self, event: Event, near: list[Visit], world: World) -> bool:
        """A campaign that is new to the visit before it; within a visit's span nothing splits."""
        campaign = event.payload.get("mktCampaign")
        before = [visit for visit in near if visit.kept.last() < event.time]
        within = [visit for visit in near if visit.distance(event.time) == 0]
        if not world.settings.campaign_split or campaign is None or within or not before:
            return False
        together = Kept(id="", partition=0, events=[event for visit in before for event in visit.kept.events])
        return bool(campaign != together.campaign())

    def build_wall(self, time: int) -> None:
        side = self.wall_before(time)
        for visit in self.visits:
            if visit.left_wall == side and visit.kept.first() >= time:
                visit.left_wall = time
        self.walls.append(time)

    def merged(self, near: list[Visit], world: World) -> Kept:
        """All of them in the one with the earlier first activity; a tie: the one opened first."""
        first, *others = sorted(near, key=lambda visit: (visit.kept.first(), self.visits.index(visit)))
        for visit in others:
            first.kept.absorb(visit.kept)
        return first.kept

    def bound(self, world: World, clock: int | None) -> None:
        """Tells every visit that is held the wall that ends it."""
        for visit in self.held(world, clock):
            after = [wall for wall in self.walls if visit.left_wall is None or wall > visit.left_wall]
            visit.kept.wall = min(after, default=None)
