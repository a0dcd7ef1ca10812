"""One record's bytes to an event, a tombstone, or the reason why it is neither (contract §2)."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import NAMESPACE_URL, uuid5

from tests.oracle.enrich import enriched
from tests.oracle.shapes import CONVERSATION, CONVERSATION_TAILS, ENVELOPE, PAYLOADS, NotAnEventError, conform, require
from tests.oracle.times import checked_ms

VALUE_MAX_BYTES = 1 << 20
ATTRIBUTES_MAX = 200
ATTRIBUTE_VALUE_MAX_BYTES = 8 << 10
SESSIONS_TOPIC = re.compile(
    r"v2\.journey\.sessions\.(.+)\.(?:web|app|action|outcome)\.events|v2\.journey\.sessions\.([^.]+)\..+"
)
CONTACTS_TOPIC = re.compile(r"v2\.externalcontacts\.contacts\.(.+)\.journey\.segments")
CONVERSATION_TOPIC = re.compile(
    rf"v2\.detail\.events\.conversation\.(.+?)\.({'|'.join(map(re.escape, CONVERSATION_TAILS))})"
)
KINDS = {
    "WebEvent": "web",
    "AppEvent": "app",
    "CustomEvent": "custom",
    "Heartbeat": "heartbeat",
    "SessionEnded": "ended",
}


@dataclass(frozen=True)
class Event:
    """`kind` is web, app, custom, conversation, heartbeat, ended or annotation."""

    kind: str
    type: str  # the event type without its prefix, or `conversation`
    name: str  # eventName; of a conversation event its topic's tail
    id: str | None  # None: a heartbeat without id
    time: int
    session_id: str | None
    session_type: str | None
    customer_id: str | None = None
    customer_id_type: str | None = None
    external_contact: dict[str, str] | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    type_named: str | None = None  # what it says its session's type is
    seq: int = 0  # the place in the order of reading

    @property
    def is_visitor_event(self) -> bool:
        return self.kind in ("web", "app", "custom", "conversation")

    @property
    def is_activity(self) -> bool:
        return self.is_visitor_event or self.kind == "heartbeat"

    @property
    def stamp(self) -> tuple[int, bytes]:
        return self.time, (self.id or "").encode()


@dataclass(frozen=True)
class Tombstone:
    pass


@dataclass(frozen=True)
class Rejected:
    reason: str


class Integer(int):
    """An integer that remembers how it was written."""

    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text


def read(value: bytes | None) -> Event | Tombstone | Rejected:
    """The first reason that holds is the one that is given; lateness and far futures are not seen here."""
    if value is None:
        return Tombstone()
    if len(value) > VALUE_MAX_BYTES:
        return Rejected("too-large")
    text = value.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
    if text in (b"", b"null"):
        return Tombstone()
    try:
        return event_or_reason(parsed(text))
    except NotAnEventError:
        return Rejected("not-an-event")
    except (ValueError, RecursionError):
        return Rejected("not-json")


def parsed(text: bytes) -> Any:
    document = json.loads(text.decode(), parse_int=Integer, parse_float=finite, parse_constant=finite)
    json.dumps(document, ensure_ascii=False).encode()  # a lone surrogate raises
    return document


def finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def event_or_reason(document: Any) -> Event | Tombstone | Rejected:
    require(isinstance(document, dict))
    if document.get("topicName") is None and document.get("eventBody") is None:
        return journey_event(document, session_id=None, contact_id=None)
    return notification(document)


def notification(document: dict[str, Any]) -> Event | Tombstone | Rejected:
    topic, body = document.get("topicName"), document.get("eventBody")
    require(isinstance(topic, str))
    assert isinstance(topic, str)
    if topic == "channel.metadata":
        return Tombstone()
    require(isinstance(body, dict))
    assert isinstance(body, dict)
    if found := CONVERSATION_TOPIC.fullmatch(topic):
        return conversation_event(topic, found[1], found[2], body)
    if found := SESSIONS_TOPIC.fullmatch(topic):
        return journey_event(body, session_id=found[1] or found[2], contact_id=None)
    if found := CONTACTS_TOPIC.fullmatch(topic):
        return journey_event(body, session_id=None, contact_id=found[1])
    return Rejected("unknown-type")


def conversation_event(topic: str, conversation: str, tail: str, body: dict[str, Any]) -> Event:
    payload = conform(CONVERSATION, body) or {}
    require("eventTime" in payload)
    try:
        time = checked_ms(int(payload["eventTime"]))
    except ValueError as exc:
        raise NotAnEventError from exc
    parts = (topic, str(time), payload.get("participantId", ""), payload.get("sessionId", ""))
    contacts = payload.get("conversationExternalContactIds", [])
    contact = payload.get("externalContactId") or (contacts[0] if len(contacts) == 1 else None)
    return Event(
        kind="conversation",
        type="conversation",
        name=tail,
        id=str(uuid5(NAMESPACE_URL, "\n".join(parts))),
        time=time,
        session_id=conversation,
        session_type=None,
        external_contact={"id": contact} if contact else None,
        payload=payload,
    )


def journey_event(document: dict[str, Any], session_id: str | None, contact_id: str | None) -> Event | Rejected:
    envelope = conform(ENVELOPE, document) or {}
    require("eventType" in envelope and "createdDate" in envelope)
    event_type = envelope["eventType"].removeprefix("com.genesys.journey.")
    require("id" in envelope or event_type == "Heartbeat")
    if event_type not in (*PAYLOADS, "Heartbeat", "SessionEnded"):
        return Rejected("unknown-type")
    session = envelope.get("session", {})
    contact = envelope.get("externalContact", {})
    if "id" not in contact:
        contact = {"id": contact_id, **contact} if contact_id else {}
    kind = KINDS.get(event_type, "annotation")
    payload = payload_of(event_type, document)
    event = Event(
        kind=kind,
        type=event_type,
        name=payload.get("eventName", ""),
        id=envelope.get("id"),
        time=envelope["createdDate"],
        session_id=session.get("id") or session_id,
        session_type=session.get("type"),
        customer_id=envelope.get("customerId"),
        customer_id_type=envelope.get("customerIdType"),
        external_contact=contact or None,
        payload=payload,
        type_named=session.get("type") or (kind if kind in ("web", "app") else None),
    )
    if not is_identified(event):
        return Rejected("no-identity")
    return Rejected("too-large") if is_oversized(payload.get("attributes", {})) else event


def payload_of(event_type: str, document: dict[str, Any]) -> dict[str, Any]:
    if event_type not in PAYLOADS:
        return {}
    member = event_type[0].lower() + event_type[1:]
    given = document.get(member)
    if given is None and event_type == "OutcomeAttributionEvent":
        given = document.get(f"{member}Message")
    require(isinstance(given, dict) and any(value is not None for value in given.values()))
    payload: dict[str, Any] = conform(PAYLOADS[event_type], given) or {}
    require("eventName" in payload or event_type not in ("WebEvent", "AppEvent", "CustomEvent"))
    require("page" not in payload or "url" in payload["page"])
    require("id" in payload.get("outcome", {}) or event_type != "OutcomeAchievedEvent")
    require("id" in payload.get("segment", {}) or event_type != "SegmentAssignmentEvent")
    return enriched(payload) if event_type in ("WebEvent", "AppEvent") else payload


def is_identified(event: Event) -> bool:
    """Whether contract §3 says which session it belongs to."""
    if event.session_id is not None:
        return True
    if event.kind == "custom":
        return event.session_type is not None and "externalId" in event.payload
    if event.kind == "heartbeat" and event.session_type not in (None, "web", "app"):
        return False
    return event.kind in ("web", "app", "heartbeat") and event.customer_id is not None


def is_oversized(attributes: dict[str, dict[str, str]]) -> bool:
    longest = max((len(attribute["value"].encode()) for attribute in attributes.values()), default=0)
    return len(attributes) > ATTRIBUTES_MAX or longest > ATTRIBUTE_VALUE_MAX_BYTES
