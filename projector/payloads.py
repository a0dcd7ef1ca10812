"""Payloads by event type: what each requires, and what is made plain in it (contract §2)."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from projector import events
from projector.complaints import short
from projector.dates import parse_time
from projector.events import AppEvent, JourneyEvent, Payload, WebEvent
from projector.models import Attribute, AttributeValue, Browser, Device, Geolocation, Page
from projector.remembers import remembers

T = TypeVar("T")


class NotAnEventError(Exception):
    """It is JSON, but not an event; the message says which member, where, and what was expected."""


def required(text: str | None, at: str, member: str) -> str:
    """The text of a member that has to be there; `at` is the path of the object that it is in."""
    if text is None:
        raise NotAnEventError(f"`${at}{member}` is missing: a string is required")
    return text


def time_of(text: str, at: str, member: str) -> int:
    ms = parse_time(text)
    if ms is None:
        raise NotAnEventError(
            f"`${at}{member}` is {short(text)}: an RFC 3339 time with an offset, such as 2025-06-10T08:00:05.120Z,"
            " is required"
        )
    return ms


Taken = tuple[str, Payload]
"""The `eventName`, empty where the type has none, and the payload."""


def _web(envelope: JourneyEvent, at: str) -> Taken:
    payload = envelope.web_event
    if payload is None:
        payload = _present(payload, at, ".webEvent")
    name = payload.event_name
    _visited(payload, at, ".webEvent.page")
    return required(name, at, ".webEvent.eventName") if name is None else name, payload


def _app(envelope: JourneyEvent, at: str) -> Taken:
    payload = _present(envelope.app_event, at, ".appEvent")
    _visited(payload, at, ".appEvent.page")
    return required(payload.event_name, at, ".appEvent.eventName"), payload


def _visited(payload: WebEvent | AppEvent, at: str, page: str) -> None:
    """Make plain, in place, what web and app events have in common."""
    browser, device, geolocation, shown = payload.browser, payload.device, payload.geolocation, payload.page
    # To add it to nothing makes bytes of what the decoder left in half of the time that `bytes` takes.
    if browser is not None:
        payload.browser = _browser(b"" + browser)
    if device is not None:
        payload.device = _device(b"" + device)
    if geolocation is not None:
        payload.geolocation = _geolocation(b"" + geolocation)
    if shown is not None:
        payload.page = there = _page(b"" + shown)  # type: ignore[operator]
        if there is not None and there.url is None:
            raise NotAnEventError(f"`${at}{page}.url` is missing: a page is known by its address")
    if payload.attributes is not None:
        payload.attributes = _attributes(b"" + payload.attributes)  # type: ignore[operator]


def _custom(envelope: JourneyEvent, at: str) -> Taken:
    payload = _present(envelope.custom_event, at, ".customEvent")
    payload.attributes = _texts(payload.attributes)
    return required(payload.event_name, at, ".customEvent.eventName"), payload


def _outcome_achieved(envelope: JourneyEvent, at: str) -> Taken:
    payload = _present(envelope.outcome_achieved_event, at, ".outcomeAchievedEvent")
    if payload.outcome is None or not payload.outcome.id:
        raise NotAnEventError(f"`${at}.outcomeAchievedEvent.outcome.id` is missing: a non-empty string is required")
    return "", payload


def _segment_assignment(envelope: JourneyEvent, at: str) -> Taken:
    payload = _present(envelope.segment_assignment_event, at, ".segmentAssignmentEvent")
    if payload.segment is None or not payload.segment.id:
        raise NotAnEventError(f"`${at}.segmentAssignmentEvent.segment.id` is missing: a non-empty string is required")
    if payload.date_assigned is not None:
        time_of(payload.date_assigned, at, ".segmentAssignmentEvent.dateAssigned")
    return "", payload


def _web_action(envelope: JourneyEvent, at: str) -> Taken:
    return "", _present(envelope.web_action_event, at, ".webActionEvent")


def _blocked_offer(envelope: JourneyEvent, at: str) -> Taken:
    return "", _present(envelope.blocked_web_action_offer_event, at, ".blockedWebActionOfferEvent")


def _outcome_attribution(envelope: JourneyEvent, at: str) -> Taken:
    payload = envelope.outcome_attribution_event_message or envelope.outcome_attribution_event
    return "", _present(payload, at, ".outcomeAttributionEventMessage")


def heartbeat(_envelope: JourneyEvent, _at: str) -> Taken:
    return "", _HEARTBEAT


_HEARTBEAT, _SESSION_ENDED = events.Heartbeat(), events.SessionEnded()

PAYLOADS: Mapping[str, Callable[[JourneyEvent, str], Taken]] = {
    "WebEvent": _web,
    "AppEvent": _app,
    "CustomEvent": _custom,
    "Heartbeat": heartbeat,
    "SessionEnded": lambda _envelope, _at: ("", _SESSION_ENDED),
    "OutcomeAchievedEvent": _outcome_achieved,
    "SegmentAssignmentEvent": _segment_assignment,
    "WebActionEvent": _web_action,
    "BlockedWebActionOfferEvent": _blocked_offer,
    "OutcomeAttributionEvent": _outcome_attribution,
}


def _present(payload: T | None, at: str, member: str) -> T:
    if payload is None:
        raise NotAnEventError(f"`${at}{member}` is missing: an object is required")
    return payload


def _plain(kind: type[Struct]) -> Callable[[bytes], bytes | None]:
    """Makes what an event says of a browser or the like the text that is published, None if it carries nothing.

    A visitor says the same with every event, and many visitors say the same: what was read once is remembered, and all
    sessions share one text.
    """
    decode, encode = msgspec.json.Decoder(kind | None).decode, msgspec.json.Encoder().encode

    def read(said: bytes) -> bytes | None:
        told = decode(said)
        text = encode(told)
        return None if told is None or text == b"{}" else text

    return remembers(16_384)(read)


_browser, _device, _geolocation = _plain(Browser), _plain(Device), _plain(Geolocation)

_NO_PAGE = Page()


@remembers(16_384)
def _page(said: bytes) -> Page | None:
    """A page, None where nothing is said; an empty list or a null in one is absent like any other null.

    What it returns is shared: many visitors see the same page.
    """
    page = _decode_page(said)
    if page is None:
        return None
    if page.breadcrumb is not None:
        page.breadcrumb = [crumb for crumb in page.breadcrumb if crumb is not None] or None
    return None if page == _NO_PAGE else page  # An object with no non-null member carries nothing.


_decode_page = msgspec.json.Decoder(Page | None).decode


@remembers(16_384)
def _attributes(said: bytes) -> Any:
    """As `_texts`; what it returns is shared: much of it is said of the page, or with every event of a visitor."""
    return _texts(_decode_attributes(said))


_decode_attributes = msgspec.json.Decoder(dict[str, AttributeValue] | None).decode


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
