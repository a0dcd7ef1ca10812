"""Bytes to an `Event`, to `Rejected(reason, detail)`, or to None for a tombstone (contract §2); never raises on data.

Where several reasons hold the first of the closed list is given, so the checks stand in that order. What needs more
than the record itself, `no-identity`, `too-late` and the limits on attributes, is judged by `route` and the fold.
"""

from enum import StrEnum
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

import msgspec
from msgspec import Raw, Struct

from projector import complaints, strict
from projector.complaints import short
from projector.dates import GREATEST, LEAST, parse_time
from projector.events import ConversationEvent, Envelope, Event, JourneyEvent
from projector.models import Reference
from projector.payloads import PAYLOADS, NotAnEventError, heartbeat, required, time_of

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
        envelope = _ENVELOPE.decode(value)
        if envelope.topic_name is None and len(envelope.event_body) == 0:
            return _journey_event(envelope, at="")  # Nearly all: `_event_of` without two calls an event.
        return _event_of(envelope)
    except (*_WRONG, *_BROKEN):
        return _judged(value)


def _judged(value: bytes) -> Event | Rejected | None:
    """What is wrong with a value: first of all the types of everything in it, then what is missing."""
    try:
        _parse(_STRICT_ENVELOPE, value, at="")
        return _event_of(_ENVELOPE.decode(value), is_strict=True)
    except NotAnEventError as wrong:
        return Rejected(Reason.NOT_AN_EVENT, str(wrong))
    except _UnknownTypeError as unknown:
        return Rejected(Reason.UNKNOWN_TYPE, str(unknown))
    except _BROKEN as broken:
        return Rejected(Reason.NOT_JSON, complaints.not_json(broken, value))


def attributes_too_large(event: Event, size: int) -> Rejected | None:
    """Contract §2, the second `too-large`: judged after the identity, so it is a check of its own.

    A record of `size` bytes holds no value that is larger than itself, so most need not be looked through.
    """
    attributes = getattr(event.payload, "attributes", None)
    if not attributes or (size <= ATTRIBUTE_BYTES_MAX and len(attributes) <= ATTRIBUTES_MAX):
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
_STRICT_ENVELOPE: msgspec.json.Decoder[Any] = msgspec.json.Decoder(strict.Envelope)
_STRICT_JOURNEY_EVENT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(strict.JourneyEvent)
_CONVERSATION_EVENT = msgspec.json.Decoder(ConversationEvent)


class _Nothing(Struct):
    """No member is read: decoding into it checks that the text is JSON and nothing else."""


_SYNTAX = msgspec.json.Decoder(_Nothing | list[Raw] | str | float | bool | None)


class _UnknownTypeError(Exception):
    pass


_WRONG = NotAnEventError, _UnknownTypeError
_BROKEN = msgspec.MsgspecError, UnicodeDecodeError, RecursionError


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


def _event_of(envelope: Envelope, *, is_strict: bool = False) -> Event | None:
    topic, body = envelope.topic_name, envelope.event_body
    has_body = len(body) > 0 and bytes(body) != b"null"
    if topic is None and not has_body:
        return _journey_event(envelope, at="")
    topic = required(topic, "", ".topicName")
    if topic == _IGNORED_TOPIC:
        return None
    if not has_body:
        raise NotAnEventError("`$.eventBody` is missing: an object is required")
    return _notified(topic, body, is_strict=is_strict)


def _journey_event(envelope: JourneyEvent, *, at: str) -> Event:
    event_type, event_id = envelope.event_type, envelope.id
    take = PAYLOADS.get(event_type or "")
    if take is None:
        kind = required(event_type, at, ".eventType").removeprefix("com.genesys.journey.")
        take = PAYLOADS.get(kind)
    if not event_id and take is not heartbeat:
        raise NotAnEventError(f"`${at}.id` is missing: a non-empty string is required")
    created = envelope.created_date
    ms = parse_time(created) if created is not None else None
    if ms is None:
        ms = time_of(required(created, at, ".createdDate"), at, ".createdDate")
    if take is None:
        raise _UnknownTypeError(f"event type {short(event_type or '')} is not known")
    name, payload = take(envelope, at)
    session, contact = envelope.session, envelope.external_contact
    return Event(
        event_id or "",
        ms,
        name,
        session.id or None if session is not None else None,
        session.type or None if session is not None else None,
        envelope.customer_id or None,
        envelope.customer_id_type or None,
        contact if contact is not None and contact.id else None,
        payload,
    )


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


def _notified(topic: str, body: Raw, *, is_strict: bool) -> Event:
    if topic.startswith(_CONVERSATIONS):
        return _conversation_event(topic, body)
    if topic.startswith(_SESSIONS):
        return _in_session(topic, body, is_strict=is_strict)
    if topic.startswith(_CONTACTS) and topic.endswith(".journey.segments"):
        event = _in_body(body, is_strict=is_strict)
        contact = topic[len(_CONTACTS) : -len(".journey.segments")]
        if event.external_contact is None and contact:
            event.external_contact = Reference(contact)
        return event
    _parse(_OBJECT, body, at=".eventBody")
    raise _UnknownTypeError(f"topic {short(topic)} is not known")


_OBJECT = msgspec.json.Decoder(_Nothing)


def _in_session(topic: str, body: Raw, *, is_strict: bool) -> Event:
    rest = topic[len(_SESSIONS) :]
    tail = next((tail for tail in _SESSION_TAILS if rest.endswith(tail)), None)
    session_id = rest[: -len(tail)] if tail else rest.partition(".")[0]
    event = _in_body(body, is_strict=is_strict)
    event.session_id = event.session_id or session_id or None
    return event


def _in_body(body: Raw, *, is_strict: bool) -> Event:
    if is_strict:
        _parse(_STRICT_JOURNEY_EVENT, body, at=".eventBody")
    return _journey_event(_JOURNEY_EVENT.decode(body), at=".eventBody")


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
