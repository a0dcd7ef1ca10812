"""The envelope of journey events, REST and notification, named and raw (contract §2, journey-domain §2.1 and 2.2)."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.journeys.draft import Draft, Json, Moment, Spelling

if TYPE_CHECKING:
    from tests.journeys.dice import Dice
    from tests.journeys.draft import Story

_MEMBERS = {
    "WebEvent": "webEvent",
    "AppEvent": "appEvent",
    "CustomEvent": "customEvent",
    "OutcomeAchievedEvent": "outcomeAchievedEvent",
    "SegmentAssignmentEvent": "segmentAssignmentEvent",
    "WebActionEvent": "webActionEvent",
    "BlockedWebActionOfferEvent": "blockedWebActionOfferEvent",
    "OutcomeAttributionEvent": "outcomeAttributionEventMessage",
}
_TOPICS = {
    "WebEvent": "web",
    "AppEvent": "app",
    "OutcomeAchievedEvent": "outcome",
    "SegmentAssignmentEvent": "web",
    "WebActionEvent": "action",
    "BlockedWebActionOfferEvent": "action",
    "OutcomeAttributionEvent": "outcome",
}
_SESSIONIZED = ("WebEvent", "AppEvent", "Heartbeat")
_RARE_SPELLINGS: tuple[Spelling, ...] = ("micros", "nanos", "east", "west", "lower", "blank")


@dataclass(frozen=True, slots=True)
class Journey:
    """The session that events belong to, and whose it is."""

    session_id: str
    type: str
    customer_id: str
    customer_id_type: str
    contact: str | None = None
    raw: bool = False
    """Web and app events and heartbeats do not name the session: it has yet to be found (contract §3.3)."""

    @property
    def key(self) -> str:
        """The record key: all events of a session come together, raw ones all of a visitor."""
        return self.customer_id if self.raw else self.session_id


def hashed_id(*parts: str) -> str:
    """The id the projector gives a session that its events do not name (contract §3.2 and 3)."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"projector/{text}"))


def say(
    story: Story,
    journey: Journey,
    offset_ms: int,
    event_type: str,
    payload: Json | None,
    *,
    event_id: str | None = None,
    delay_ms: int | None = None,
    as_notification: bool | None = None,
) -> None:
    """Tells one event of a journey; mostly in REST form, unless `as_notification` says."""
    dice = story.dice
    body: Json = {
        "id": event_id or dice.uuid(),
        "correlationId": dice.uuid(),
        "eventType": f"com.genesys.journey.{event_type}" if dice.chance(0.03) else event_type,
        "createdDate": _created(dice, event_type),
        **_whose(dice, journey, event_type),
    }
    if payload is not None:
        body[_MEMBERS[event_type]] = payload
    if as_notification is None:
        as_notification = dice.chance(0.12)
    topic = _topic(dice, journey, event_type) if as_notification else None
    story.tell(Draft(journey.key, offset_ms, body), topic=topic, delay_ms=delay_ms)


def heartbeat(story: Story, journey: Journey, offset_ms: int) -> None:
    """A sign of life; half of them have no id, and such a one is never sent twice, for it would count as another."""
    dice = story.dice
    body: Json = {"eventType": "Heartbeat", "createdDate": Moment(), **_whose(dice, journey, "Heartbeat")}
    named = dice.chance(0.5)
    if named:
        body = {"id": dice.uuid(), **body}
    story.tell(Draft(journey.key, offset_ms, body), repeats=named)


def _created(dice: Dice, event_type: str) -> Moment:
    """Mostly the usual spelling; one that cuts off the ms only where no order hangs on them."""
    if event_type == "WebEvent" and dice.chance(0.03):
        return Moment(spelling="seconds")
    return Moment(spelling=dice.pick(_RARE_SPELLINGS) if dice.chance(0.1) else "millis")


def _whose(dice: Dice, journey: Journey, event_type: str) -> Json:
    whose: Json = {**_session(journey, event_type)}
    if event_type != "CustomEvent" or dice.chance(0.75):
        whose |= {"customerId": journey.customer_id, "customerIdType": journey.customer_id_type}
    if journey.contact is not None and dice.chance(0.5):
        whose["externalContact"] = {"id": journey.contact}
        if dice.chance(0.5):
            whose["externalContact"]["selfUri"] = f"/api/v2/externalcontacts/contacts/{journey.contact}"
    return whose


def _session(journey: Journey, event_type: str) -> Json:
    if event_type == "CustomEvent":
        return {"session": {"type": journey.type}}  # Known by its external id (contract §3.2).
    if journey.raw and event_type in _SESSIONIZED:
        # A heartbeat has no payload to tell its type by.
        return {"session": {"type": "app"}} if (event_type, journey.type) == ("Heartbeat", "app") else {}
    uri = f"/api/v2/journey/sessions/{journey.session_id}"
    return {"session": {"id": journey.session_id, "selfUri": uri, "type": journey.type}}


def _topic(dice: Dice, journey: Journey, event_type: str) -> str | None:
    """The topic that events of this type are notified in; None where there is none or an event is raw."""
    if event_type not in _TOPICS or (journey.raw and event_type in _SESSIONIZED):
        return None
    if event_type == "SegmentAssignmentEvent" and journey.contact is not None and dice.chance(0.5):
        return f"v2.externalcontacts.contacts.{journey.contact}.journey.segments"
    return f"v2.journey.sessions.{journey.session_id}.{_TOPICS[event_type]}.events"


def attribute(dice: Dice, value: str | float) -> Any:
    """An attribute in one of the forms that contract §2 accepts: plain, or an object with its type, or without."""
    kind = "BOOLEAN" if isinstance(value, bool) else "STRING" if isinstance(value, str) else "NUMBER"
    text = value if isinstance(value, str) else json.dumps(value)
    match dice.below(6):
        case 0:
            return value
        case 1:
            return {"value": value}
        case 2:
            return {"dataType": kind.lower(), "value": text}
        case 3:
            return {"dataType": kind, "value": value}
        case _:
            return {"dataType": kind, "value": text}


def attributes(dice: Dice, **values: str | float) -> Json:
    return {name: attribute(dice, value) for name, value in values.items()}
