"""Custom sessions: tickets, deliveries and visits to a cash machine, known by type and external id (contract §3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.journeys.draft import HOUR, MINUTE, SECOND, Json
from tests.journeys.envelope import Journey, attributes, hashed_id, say

if TYPE_CHECKING:
    from tests.journeys.dice import Dice
    from tests.journeys.draft import Story


@dataclass(frozen=True, slots=True)
class Course:
    """How a session of a type goes: its events in order, each up to `pause_ms` after the one before."""

    type: str
    prefix: str
    address: str | None
    event_names: tuple[str, ...]
    pause_ms: int


COURSES = (
    Course("ticket", "T", "https://desk.example.com/tickets/",
           ("ticket_opened", "ticket_answered", "ticket_answered", "ticket_solved"), 8 * HOUR),
    Course("delivery", "P", "https://parcels.example.com/",
           ("parcel_packed", "parcel_handed_over", "parcel_arrived", "parcel_delivered"), 16 * HOUR),
    Course("atm", "ATM", None, ("card_inserted", "pin_entered", "cash_withdrawn", "card_returned"), 40 * SECOND),
)  # fmt: skip


def follow_course(story: Story, course: Course, customer: tuple[str, str], at_ms: int) -> None:
    """Tells one custom session of a customer (id type, id), whom some events do not name: they play no part."""
    dice = story.dice
    external_id = f"{course.prefix}-{dice.digits(7)}"
    id_type, customer_id = customer
    journey = Journey(hashed_id(course.type, external_id), course.type, customer_id, id_type)
    for event_name in course.event_names:
        payload: Json = {"eventName": event_name, "externalId": external_id, "authenticated": course.type == "atm"}
        payload |= {"attributes": _attributes(dice, course.type), "traits": {}}
        if course.address is not None:
            payload["externalUrl"] = f"{course.address}{external_id}"
        say(story, journey, at_ms, "CustomEvent", payload)
        at_ms += dice.between(course.pause_ms // 20, course.pause_ms)
        at_ms += dice.below(MINUTE) if course.pause_ms > HOUR else 0


def _attributes(dice: Dice, session_type: str) -> Json:
    match session_type:
        case "ticket":
            return attributes(dice, priority=dice.pick(("low", "normal", "high")), reopened=dice.chance(0.2))
        case "delivery":
            return attributes(dice, carrier="Example Parcels", weight_kg=dice.between(2, 90) / 10)
        case _:
            return attributes(dice, machine=f"ATM-{dice.between(1, 40)}", amount=dice.between(1, 25) * 20)
