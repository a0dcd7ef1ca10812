"""The 42 fields, each worked out on its own from the sorted events of a session (contract §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.attributes import attribute_fields
from tests.oracle.conversations import conversation_fields, conversation_of, reference
from tests.oracle.enrich import search_terms_of
from tests.oracle.times import format_ms

if TYPE_CHECKING:
    from tests.oracle.kept import Kept
    from tests.oracle.read import Event
    from tests.oracle.settings import Settings

SEARCH_TERMS_MAX = 100
OUTCOMES_MAX = 500
SEGMENTS_MAX = 500


def snapshot(kept: Kept, settings: Settings, end_clock: int) -> dict[str, Any] | None:
    """The session as it is published, `shortId` left out; None before its first visitor event."""
    events, visitor_events = kept.in_order(), kept.visitor_events()
    if not visitor_events:
        return None
    session_type = type_of(events)
    attributes, attribute_lists = attribute_fields(visitor_events, settings)
    fields = {
        "id": kept.id,
        **customer(events),
        "type": session_type,
        "externalId": latest([event for event in events if event.kind == "custom"], "externalId"),
        "externalUrl": latest([event for event in events if event.kind == "custom"], "externalUrl"),
        "outcomeAchievements": outcomes(events),
        "segmentAssignments": segments(events),
        "attributes": attributes,
        "attributeLists": attribute_lists,
        **{name: latest(visitor_events, name) for name in ("browser", "device", "geolocation")},
        **{name: latest(visitor_events, name) for name in ("ipAddress", "ipOrganization")},
        "lastPage": latest([event for event in visitor_events if event.kind == "web"], "page"),
        "mktCampaign": kept.campaign(),
        "referrer": first(visitor_events, "referrer"),
        "searchTerms": search_terms(visitor_events, settings),
        "userAgentString": latest(visitor_events, "userAgentString"),
        "durationInSeconds": (kept.last() - kept.first()) // 1000,
        "eventCount": len(visitor_events),
        **views(visitor_events, session_type, settings),
        "lastEvent": last_event(visitor_events[-1]),
        **conversation_fields(kept),
        "authenticated": any(event.payload.get("authenticated") is True for event in visitor_events),
        "selfUri": f"/api/v2/journey/sessions/{kept.id}",
        "createdDate": format_ms(kept.first()),
        "endedDate": date(ended(kept, session_type, settings, end_clock)),
        "externalContact": external_contact(kept),
        **away_and_idle(kept.last(), session_type, settings),
        "conversation": conversation_of(kept),
    }
    return {name: value for name, value in fields.items() if value is not None and value not in ({}, [])}


def date(ms: int | None) -> str | None:
    return None if ms is None else format_ms(ms)


def first(events: list[Event], member: str) -> Any:
    return next((event.payload[member] for event in events if member in event.payload), None)


def latest(events: list[Event], member: str) -> Any:
    return first(events[::-1], member)


def customer(events: list[Event]) -> dict[str, Any]:
    """Rows 2 and 3: a pair."""
    named = [event for event in events if event.customer_id is not None]
    return {"customerId": named[0].customer_id, "customerIdType": named[0].customer_id_type} if named else {}


def type_of(events: list[Event]) -> str:
    """§3: a conversation whatever else names it, else what the least event says that says anything."""
    if any(event.kind == "conversation" for event in events):
        return "conversation"
    return next((event.type_named for event in events if event.type_named is not None), "custom")


def outcomes(events: list[Event]) -> list[dict[str, Any]]:
    achieved = [event for event in events if event.type == "OutcomeAchievedEvent"]
    return [
        {
            "outcome": reference("/api/v2/journey/outcomes/", event.payload["outcome"]["id"])
            | event.payload["outcome"],
            "achievedDate": format_ms(event.time),
        }
        for event in achieved[:OUTCOMES_MAX]
    ]


def segments(events: list[Event]) -> list[dict[str, Any]]:
    """Per segment the latest state."""
    states: dict[str, Event] = {}
    for event in events:
        if event.type == "SegmentAssignmentEvent":
            states[event.payload["segment"]["id"]] = event
    assigned = [
        (event.payload.get("dateAssigned", event.time), segment_id.encode(), event.payload["segment"])
        for segment_id, event in states.items()
        if event.payload.get("assignmentState") != "Unassigned"
    ]
    return [
        {
            "segment": reference("/api/v2/journey/segments/", segment["id"]) | segment,
            "assignedDate": format_ms(assigned_at),
        }
        for assigned_at, _, segment in sorted(assigned, key=lambda row: row[:2])[:SEGMENTS_MAX]
    ]


def search_terms(visitor_events: list[Event], settings: Settings) -> list[str]:
    distinct: dict[str, None] = {}
    for event in visitor_events:
        if event.kind in ("web", "app"):
            distinct |= dict.fromkeys(search_terms_of(event.payload, settings.search_parameters))
    return list(distinct)[:SEARCH_TERMS_MAX]


def views(visitor_events: list[Event], session_type: str, settings: Settings) -> dict[str, int]:
    """Rows 24 and 25: always on sessions of their own type, elsewhere when there are any."""
    pages = [event for event in visitor_events if event.kind == "web" and event.name in settings.pageview_events]
    screens = [event for event in visitor_events if event.kind == "app" and event.name in settings.screenview_events]
    counts = {}
    if session_type == "web" or pages:
        counts["pageviewCount"] = len(pages)
    if session_type == "app" or screens:
        counts["screenviewCount"] = len(screens)
    return counts


def last_event(event: Event) -> dict[str, str | None]:
    return {"id": event.id, "eventName": event.name, "createdDate": format_ms(event.time)}


def ended(kept: Kept, session_type: str, settings: Settings, end_clock: int) -> int | None:
    """Row 38: the earliest that holds (contract §4)."""
    last = kept.last()
    moments = [event.time for event in kept.in_order() if event.kind == "ended" and event.time >= last]
    if kept.wall is not None and kept.wall >= last:
        moments.append(kept.wall)
    timeout = settings.timeout_of(session_type)
    if timeout is not None and end_clock > last + timeout:
        moments.append(last + timeout)
    talk = [event for event in kept.in_order() if event.kind == "conversation"]
    hung_up = max((event.time for event in talk if event.name == "customer.end"), default=None)
    if hung_up is not None and not any(event.name == "customer.start" and event.time > hung_up for event in talk):
        moments.append(hung_up)
    return min(moments, default=None)


def external_contact(kept: Kept) -> dict[str, str] | None:
    """Row 39: of any event, those of linked conversations too."""
    own = [event for event in kept.in_order() if event.kind != "conversation"]
    events = own + [event for events in kept.conversations() for event in events]
    named = [event for event in events if event.external_contact is not None]
    if not named:
        return None
    contact = max(named, key=lambda event: event.stamp).external_contact
    assert contact is not None
    return reference("/api/v2/externalcontacts/contacts/", contact["id"]) | contact


def away_and_idle(last: int, session_type: str, settings: Settings) -> dict[str, str]:
    if settings.timeout_of(session_type) is None:
        return {}
    return {"awayDate": format_ms(last + settings.away_after), "idleDate": format_ms(last + settings.idle_after)}
