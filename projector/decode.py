"""Bytes to an `Event`, to `Rejected(reason, detail)`, or to None for a tombstone (contract §2); never raises on data.

Where several reasons hold the first of the closed list is given, so the checks stand in that order. What needs more
than the record itself, `no-identity`, `too-late` and the limits on attributes, is judged by `route` and the fold.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

import msgspec
from msgspec import Raw, Struct

from projector import complaints, events
from projector.complaints import short
from projector.dates import GREATEST, LEAST, parse_time
from projector.events import (
    Attribute,
    AttributeValue,
    ConversationEvent,
    Envelope,
    Event,
    JourneyEvent,
    Page,
    Payload,
    Reference,
)

VALUE_BYTES_MAX = 1 << 20
ATTRIBUTES_MAX = 200
ATTRIBUTE_BYTES_MAX = 8 << 10

T = TypeVar("T")


class Reason(StrEnum):
    """Why a record cannot be folded: a closed list, whose names are published (contract §2)."""

    TOO_LARGE = "too-large"
    NOT_JSON = "not-json"
    NOT_AN_EVENT = "not-an-event"
    UNKNOWN_TYPE = "unknown-type"
    NO_IDENTITY = "no-identity"
    TOO_LATE = "too-late"


class Rejected(Struct, gc=False):
    """A record that cannot be folded; `detail` says what is wrong where, for a person."""

    reason: Reason
    detail: str


class NotAnEventError(Exception):
    """It is JSON, but not an event; the message says which member, where, and what was expected."""


def decode(value: bytes | None) -> Event | Rejected | None:
    """The event a record's value holds, why it holds none, or None for a tombstone."""
    if value is None:
        return None
    if len(value) > VALUE_BYTES_MAX:
        return Rejected(Reason.TOO_LARGE, f"the value has {len(value)} bytes, the most is {VALUE_BYTES_MAX}")
    if value[:1] != b"{":
        value = value.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
        if value in (b"", b"null"):
            return None
    try:
        return _event_of(_parse(_ENVELOPE, value, at=""))
    except NotAnEventError as wrong:
        return Rejected(Reason.NOT_AN_EVENT, str(wrong))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as broken:
        return Rejected(Reason.NOT_JSON, complaints.not_json(broken, value))
    except _UnknownTypeError as unknown:
        return Rejected(Reason.UNKNOWN_TYPE, str(unknown))


def attributes_too_large(event: Event) -> Rejected | None:
    """Contract §2, the second `too-large`: judged after the identity, so it is a check of its own."""
    attributes = getattr(event.payload, "attributes", None)
    if not attributes:
        return None
    if len(attributes) > ATTRIBUTES_MAX:
        return Rejected(Reason.TOO_LARGE, f"{len(attributes)} attributes, the most is {ATTRIBUTES_MAX}")
    for name, attribute in attributes.items():
        text = attribute.value
        # A character has at most 4 bytes, so short texts need not be encoded to be measured.
        if len(text) > ATTRIBUTE_BYTES_MAX // 4 and (size := len(text.encode())) > ATTRIBUTE_BYTES_MAX:
            return Rejected(
                Reason.TOO_LARGE, f"attribute {short(name)} has {size} bytes, the most is {ATTRIBUTE_BYTES_MAX}"
            )
    return None


# Parsing: msgspec judges types; what it says is turned into the contract's two kinds of wrong.

_ENVELOPE = msgspec.json.Decoder(Envelope)
_JOURNEY_EVENT = msgspec.json.Decoder(JourneyEvent)
_CONVERSATION_EVENT = msgspec.json.Decoder(ConversationEvent)


class _Nothing(Struct):
    """No member is read: decoding into it checks that the text is JSON and nothing else."""


_SYNTAX = msgspec.json.Decoder(_Nothing | list[Raw] | str | float | bool | None)


class _UnknownTypeError(Exception):
    pass


def _parse(decoder: "msgspec.json.Decoder[T]", value: bytes | Raw, *, at: str) -> T:
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as wrong:
        said = complaints.located(str(wrong), at)
        if complaints.is_beyond_double(wrong, value):
            raise msgspec.DecodeError(said) from None
        _SYNTAX.decode(value)  # Broken JSON behind the member of the wrong type is reported first.
        raise NotAnEventError(complaints.named(said, value)) from None


# Envelopes.


def _event_of(envelope: Envelope) -> Event | None:
    body = envelope.event_body
    has_body = bytes(body) not in (b"", b"null")
    if envelope.topic_name is None and not has_body:
        return _journey_event(envelope, at="")
    topic = _required(envelope.topic_name, "$.topicName")
    if topic == _IGNORED_TOPIC:
        return None
    if not has_body:
        raise NotAnEventError("`$.eventBody` is missing: an object is required")
    return _notified(topic, body)


def _journey_event(envelope: JourneyEvent, *, at: str) -> Event:
    event_type = _required(envelope.event_type, f"${at}.eventType")
    kind = event_type.removeprefix("com.genesys.journey.")
    event_id = envelope.id or None
    if event_id is None and kind != "Heartbeat":
        raise NotAnEventError(f"`${at}.id` is missing: a non-empty string is required")
    created = _time(_required(envelope.created_date, f"${at}.createdDate"), f"${at}.createdDate")
    take = _PAYLOADS.get(kind)
    if take is None:
        raise _UnknownTypeError(f"event type {short(event_type)} is not known")
    name, payload = take(envelope, at)
    session, contact = envelope.session, envelope.external_contact
    return Event(
        event_id or "",
        created,
        name,
        (session and session.id) or None,
        (session and session.type) or None,
        envelope.customer_id or None,
        envelope.customer_id_type or None,
        contact if contact is not None and contact.id else None,
        payload,
    )


def _required(text: str | None, where: str) -> str:
    if text is None:
        raise NotAnEventError(f"`{where}` is missing: a string is required")
    return text


def _time(text: str, where: str) -> int:
    ms = parse_time(text)
    if ms is None:
        raise NotAnEventError(
            f"`{where}` is {short(text)}: an RFC 3339 time with an offset, such as 2025-06-10T08:00:05.120Z,"
            " is required"
        )
    return ms


# Payloads, by event type.

Taken = tuple[str, Payload]
"""The `eventName`, empty where the type has none, and the payload."""


def _web(envelope: JourneyEvent, at: str) -> Taken:
    payload = _present(envelope.web_event, f"${at}.webEvent")
    payload.page = _page(payload.page, f"${at}.webEvent.page")
    payload.attributes = _texts(payload.attributes)
    return _required(payload.event_name, f"${at}.webEvent.eventName"), payload


def _app(envelope: JourneyEvent, at: str) -> Taken:
    payload = _present(envelope.app_event, f"${at}.appEvent")
    payload.page = _page(payload.page, f"${at}.appEvent.page")
    payload.attributes = _texts(payload.attributes)
    return _required(payload.event_name, f"${at}.appEvent.eventName"), payload


def _custom(envelope: JourneyEvent, at: str) -> Taken:
    payload = _present(envelope.custom_event, f"${at}.customEvent")
    payload.attributes = _texts(payload.attributes)
    return _required(payload.event_name, f"${at}.customEvent.eventName"), payload


def _outcome_achieved(envelope: JourneyEvent, at: str) -> Taken:
    payload = _present(envelope.outcome_achieved_event, f"${at}.outcomeAchievedEvent")
    if payload.outcome is None or not payload.outcome.id:
        raise NotAnEventError(f"`${at}.outcomeAchievedEvent.outcome.id` is missing: a non-empty string is required")
    return "", payload


def _segment_assignment(envelope: JourneyEvent, at: str) -> Taken:
    payload = _present(envelope.segment_assignment_event, f"${at}.segmentAssignmentEvent")
    if payload.segment is None or not payload.segment.id:
        raise NotAnEventError(f"`${at}.segmentAssignmentEvent.segment.id` is missing: a non-empty string is required")
    if payload.date_assigned is not None:
        _time(payload.date_assigned, f"${at}.segmentAssignmentEvent.dateAssigned")
    return "", payload


def _web_action(envelope: JourneyEvent, at: str) -> Taken:
    return "", _present(envelope.web_action_event, f"${at}.webActionEvent")


def _blocked_offer(envelope: JourneyEvent, at: str) -> Taken:
    return "", _present(envelope.blocked_web_action_offer_event, f"${at}.blockedWebActionOfferEvent")


def _outcome_attribution(envelope: JourneyEvent, at: str) -> Taken:
    payload = envelope.outcome_attribution_event_message or envelope.outcome_attribution_event
    return "", _present(payload, f"${at}.outcomeAttributionEventMessage")


_HEARTBEAT, _SESSION_ENDED = events.Heartbeat(), events.SessionEnded()

_PAYLOADS: Mapping[str, Callable[[JourneyEvent, str], Taken]] = {
    "WebEvent": _web,
    "AppEvent": _app,
    "CustomEvent": _custom,
    "Heartbeat": lambda _envelope, _at: ("", _HEARTBEAT),
    "SessionEnded": lambda _envelope, _at: ("", _SESSION_ENDED),
    "OutcomeAchievedEvent": _outcome_achieved,
    "SegmentAssignmentEvent": _segment_assignment,
    "WebActionEvent": _web_action,
    "BlockedWebActionOfferEvent": _blocked_offer,
    "OutcomeAttributionEvent": _outcome_attribution,
}


def _present(payload: T | None, where: str) -> T:
    if payload is None:
        raise NotAnEventError(f"`{where}` is missing: an object is required")
    return payload


_NO_PAGE = Page()


def _page(page: Page | None, where: str) -> Page | None:
    """A page with an address; an empty list or a null in one is absent like any other null."""
    if page is None:
        return None
    if page.breadcrumb is not None:
        page.breadcrumb = [crumb for crumb in page.breadcrumb if crumb is not None] or None
    if page.url is not None:
        return page
    if page == _NO_PAGE:  # An object with no non-null member carries nothing.
        return None
    raise NotAnEventError(f"`{where}.url` is missing: a page is known by its address")


def _texts(attributes: dict[str, AttributeValue] | None) -> Any:
    """Attributes with their values as text and their data types named, by name; those that are null left out."""
    if not attributes:
        return None
    for attribute in attributes.values():
        if type(attribute) is not Attribute or type(attribute.value) is not str or not attribute.data_type:
            return {name: text for name, value in attributes.items() if (text := _text(value)) is not None} or None
    return attributes


def _text(value: AttributeValue) -> Attribute | None:
    data_type, plain = (value.data_type, value.value) if isinstance(value, Attribute) else (None, value)
    match plain:
        case None:
            return None
        case bool():
            return Attribute(data_type or "BOOLEAN", "true" if plain else "false")
        case str():
            return Attribute(data_type or "STRING", plain)
        case int() if -(2**1024) < plain < 2**1024:
            return Attribute(data_type or "NUMBER", str(plain))
        case float():
            return Attribute(data_type or "NUMBER", repr(plain))
    raise msgspec.DecodeError("an attribute is a number outside a double")


# Notifications.

_SESSIONS, _CONTACTS, _CONVERSATIONS = (
    "v2.journey.sessions.",
    "v2.externalcontacts.contacts.",
    "v2.detail.events.conversation.",
)
_SESSION_TAILS = (".web.events", ".app.events", ".action.events", ".outcome.events")
CONVERSATION_TAILS = frozenset(
    [
        "customer.start",
        "customer.end",
        "acd.start",
        "acd.end",
        "user.start",
        "user.end",
        "wrapup",
        "acw",
        "contact",
        "attributes",
        "flow.start",
        "flow.end",
        "flow.outcome",
        "outbound",
        "voicemail.start",
        "voicemail.end",
    ]
)
_IGNORED_TOPIC = "channel.metadata"


def _notified(topic: str, body: Raw) -> Event:
    if topic.startswith(_CONVERSATIONS):
        return _conversation_event(topic, body)
    if topic.startswith(_SESSIONS):
        return _in_session(topic, body)
    if topic.startswith(_CONTACTS) and topic.endswith(".journey.segments"):
        event = _journey_event(_parse(_JOURNEY_EVENT, body, at=".eventBody"), at=".eventBody")
        contact = topic[len(_CONTACTS) : -len(".journey.segments")]
        if event.external_contact is None and contact:
            event.external_contact = Reference(contact)
        return event
    _parse(_OBJECT, body, at=".eventBody")
    raise _UnknownTypeError(f"topic {short(topic)} is not known")


_OBJECT = msgspec.json.Decoder(_Nothing)


def _in_session(topic: str, body: Raw) -> Event:
    rest = topic[len(_SESSIONS) :]
    tail = next((tail for tail in _SESSION_TAILS if rest.endswith(tail)), None)
    session_id = rest[: -len(tail)] if tail else rest.partition(".")[0]
    event = _journey_event(_parse(_JOURNEY_EVENT, body, at=".eventBody"), at=".eventBody")
    event.session_id = event.session_id or session_id or None
    return event


def _conversation_event(topic: str, body: Raw) -> Event:
    rest = topic[len(_CONVERSATIONS) :]
    what = next((tail for tail in CONVERSATION_TAILS if rest.endswith("." + tail)), None)
    payload = _parse(_CONVERSATION_EVENT, body, at=".eventBody")
    if what is None:
        raise _UnknownTypeError(f"topic {short(topic)} is not known")
    at = _event_time(payload.event_time)
    names = (topic, str(at), payload.participant_id or "", payload.session_id or "")
    event_id = str(uuid5(NAMESPACE_URL, "\n".join(names)))
    conversation = rest[: -len(what) - 1] or None
    contact = payload.external_contact_id or _only(payload.conversation_external_contact_ids)
    return Event(
        event_id, at, what, conversation, "conversation", None, None, Reference(contact) if contact else None, payload
    )


def _event_time(ms: float | None) -> int:
    if ms is None:
        raise NotAnEventError("`$.eventBody.eventTime` is missing: ms since the epoch are required")
    if not LEAST <= ms <= GREATEST or ms != int(ms):
        raise NotAnEventError(
            f"`$.eventBody.eventTime` is {ms}: whole ms since the epoch, years 1 to 9999, are required"
        )
    return int(ms)


def _only(ids: list[str | None] | None) -> str | None:
    named = [one for one in ids or () if one]
    return named[0] if len(named) == 1 else None
