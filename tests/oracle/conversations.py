"""What conversation events tell a session (contract §5 rows 27 to 34, 42), each worked out from the sorted list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.oracle.kept import Kept
    from tests.oracle.read import Event

CHANNELS_MAX = 100
QUEUES = "/api/v2/routing/queues/"
USERS = "/api/v2/users/"
CONVERSATIONS = "/api/v2/conversations/"

PASCAL = {
    "direction": "UNKNOWN INBOUND OUTBOUND",
    "acdOutcome": "UNKNOWN ABANDON ANSWERED FLOW_OUT",
    "disconnectType": (
        "UNKNOWN ENDPOINT CLIENT SYSTEM TRANSFER ERROR PEER OTHER SPAM TIMEOUT UNCALLABLE TRANSPORT_FAILURE "
        "CONFERENCE_TRANSFER CONSULT_TRANSFER FORWARD_TRANSFER NO_ANSWER_TRANSFER NOT_AVAILABLE_TRANSFER "
        "SESSION_EXPIRED TAKEOVER"
    ),
    "mediaType": "UNKNOWN VOICE CHAT EMAIL CALLBACK COBROWSE VIDEO SCREENSHARE MESSAGE",
    "messageType": "UNKNOWN SMS TWITTER FACEBOOK LINE OPEN INSTAGRAM APPLE",
}
IRREGULAR = {
    ("disconnectType", "DND_ENDPOINT"): "DoNotDisturbEndpoint",
    ("disconnectType", "DND_TRANSFER"): "DoNotDisturbTransfer",
    ("disconnectType", "INACTIVITY"): "Other",
    ("mediaType", "INTERNALMESSAGE"): "InternalMessage",
    ("messageType", "WHATSAPP"): "WhatsApp",
    ("messageType", "WEBMESSAGING"): "WebMessaging",
}


def spelled(member: str, value: str) -> str:
    """The Session's spelling (journey-domain §2.10); others stay as they came."""
    if value in PASCAL[member].split():
        return "".join(word.capitalize() for word in re.split("_", value))
    return IRREGULAR.get((member, value), value)


def reference(path: str, identity: str) -> dict[str, str]:
    return {"id": identity, "selfUri": path + identity}


def conversation_fields(kept: Kept) -> dict[str, Any]:
    """Rows 27 to 34; several conversations count as the union of their events."""
    events = in_order(event for events in kept.conversations() for event in events)
    return {
        "lastConnectedQueue": last_queue(events),
        "lastConnectedUser": last_user(events),
        "lastUserDisposition": last_disposition(kept.conversations()),
        "conversationChannels": channels(events),
        "originatingDirection": next(iter(values(events, "direction")), None),
        "conversationSubject": last_of(values(events, "subject")),
        "lastUserDisconnectType": last_disconnect_type(events),
        "lastAcdOutcome": last_of(values([event for event in events if event.name == "acd.end"], "acdOutcome")),
    }


def conversation_of(kept: Kept) -> dict[str, str] | None:
    """Row 42: on the conversation session its own id, else the one with the latest event."""
    conversations = kept.conversations()
    if not conversations:
        return None
    own = [event for event in kept.events if event.kind == "conversation"]
    latest = max(conversations, key=lambda events: events[-1].stamp)
    identity = kept.id if own else latest[-1].session_id
    assert identity is not None
    return reference(CONVERSATIONS, identity)


def in_order(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: event.stamp)


def last_of(found: list[Any]) -> Any:
    return found[-1] if found else None


def values(events: list[Event], member: str) -> list[str]:
    given = [event.payload[member] for event in events if member in event.payload]
    return [spelled(member, value) if member in PASCAL else value for value in given]


def talked(event: Event) -> bool:
    return event.name == "user.end" and event.payload.get("interactingDurationMs", 0) > 0


def last_queue(events: list[Event]) -> dict[str, str] | None:
    answered = [
        event
        for event in events
        if event.name == "user.start"
        or talked(event)
        or (event.name == "acd.end" and event.payload.get("acdOutcome") == "ANSWERED")
    ]
    queue = last_of(values(answered, "queueId"))
    return reference(QUEUES, queue) if queue else None


def last_user(events: list[Event]) -> dict[str, str] | None:
    users = []
    for event in events:
        if event.name == "acd.end":
            users += values([event], "answeredUserId")
        elif event.name == "user.start" or talked(event):
            users += values([event], "userId")
    return reference(USERS, users[-1]) if users else None


def last_disposition(conversations: list[list[Event]]) -> dict[str, Any] | None:
    """Row 29: the latest whose user is known; in one ms an acw goes before a wrapup."""
    shown = []
    for events in conversations:
        for event in events:
            if event.name in ("acw", "wrapup") and "wrapupCode" in event.payload:
                disposition = disposition_of(event, events)
                if disposition is not None:
                    shown.append(((event.time, event.name == "acw", event.stamp), disposition))
    return max(shown, key=lambda pair: pair[0])[1] if shown else None


def disposition_of(event: Event, conversation: list[Event]) -> dict[str, Any] | None:
    own = event.payload.get("userId") if event.name == "acw" else None
    user = reference(USERS, own) if own else last_user([other for other in conversation if other.time <= event.time])
    if user is None:
        return None
    notes = event.payload.get("wrapupNotes")
    return {"code": event.payload["wrapupCode"], **({} if notes is None else {"notes": notes}), "user": user}


def channels(events: list[Event]) -> list[dict[str, str]]:
    distinct: list[dict[str, str]] = []
    for event in events:
        parts = {
            "type": last_of(values([event], "mediaType")),
            "messageType": last_of(values([event], "messageType")),
            "platform": event.payload.get("provider"),
        }
        channel = {name: part for name, part in parts.items() if part is not None}
        if "type" in channel and channel not in distinct:
            distinct.append(channel)
    return distinct[:CHANNELS_MAX]


def last_disconnect_type(events: list[Event]) -> str | None:
    ended = [event for event in events if event.name == "user.end"]
    connected = values([event for event in ended if talked(event)], "disconnectType")
    found: str | None = last_of(connected or values(ended, "disconnectType"))
    return found
