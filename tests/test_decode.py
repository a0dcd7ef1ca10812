"""Both shapes of the input, every event type, every reject reason with what is wrong where; no bytes raise (contract §2)."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector import events
from projector.dates import GREATEST, LEAST
from projector.decode import (
    ATTRIBUTE_BYTES_MAX,
    ATTRIBUTES_MAX,
    CONVERSATION_TAILS,
    VALUE_BYTES_MAX,
    Reason,
    Rejected,
    attributes_too_large,
    decode,
)
from projector.events import Event
from projector.models import Reference
from tests import given as say
from tests.given import T0, Json, envelope, line, talk, web
from tests.strategies import conversation_event, external_event, journey_event, raw_event

VALUE = line(web("e-1"))
BOM = b"\xef\xbb\xbf"


def event_of(value: bytes | Json) -> Event:
    decoded = decode(value if isinstance(value, bytes) else line(value))
    assert isinstance(decoded, Event), decoded
    return decoded


def rejected(value: bytes | Json) -> tuple[str, str]:
    decoded = decode(value if isinstance(value, bytes) else line(value))
    assert isinstance(decoded, Rejected), decoded
    return decoded.reason.value, decoded.detail


def web_with(raw: str) -> bytes:
    """A web event whose attributes, or what else stands there, are this JSON text."""
    return VALUE.replace(b'"page_viewed"', b'"page_viewed", "attributes": ' + raw.encode("utf-8", "surrogatepass"))


def attributes_of(raw: str) -> dict[str, tuple[str, str]]:
    attributes = event_of(web_with(raw)).payload.attributes or {}
    return {name: (attribute.data_type, attribute.value) for name, attribute in attributes.items()}


# What is no event but no reject either.


@pytest.mark.parametrize("value", [None, b"", b" ", b"\r", b"\t \r\n", b"null", b" null\r\n", BOM, BOM + b"null"])
def test_a_null_value_a_blank_line_and_null_are_tombstones(value: bytes | None) -> None:
    assert decode(value) is None


@pytest.mark.parametrize("body", [{}, {"eventBody": {"message": "WebSocket Heartbeat"}}, {"eventBody": 3}])
def test_the_heartbeat_of_a_notification_channel_is_ignored_like_a_tombstone(body: Json) -> None:
    assert decode(line({"topicName": "channel.metadata", **body})) is None


def test_a_byte_order_mark_before_a_value_and_a_carriage_return_after_it_are_taken_off() -> None:
    assert event_of(BOM + VALUE + b"\r") == event_of(VALUE + b"\r\n") == event_of(VALUE)


# Journey events.

PAYLOADS: list[tuple[str, str, Json, type]] = [
    ("WebEvent", "webEvent", {"eventName": "page_viewed"}, events.WebEvent),
    ("AppEvent", "appEvent", {"eventName": "screen_viewed"}, events.AppEvent),
    ("CustomEvent", "customEvent", {"eventName": "opened"}, events.CustomEvent),
    ("OutcomeAchievedEvent", "outcomeAchievedEvent", {"outcome": {"id": "o"}}, events.OutcomeAchievedEvent),
    ("SegmentAssignmentEvent", "segmentAssignmentEvent", {"segment": {"id": "s"}}, events.SegmentAssignmentEvent),
    ("WebActionEvent", "webActionEvent", {"action": {"id": "a", "state": "offered"}}, events.WebActionEvent),
    ("BlockedWebActionOfferEvent", "blockedWebActionOfferEvent", {"blockingReason": "Unknown"}, events.BlockedWebActionOfferEvent),
    ("OutcomeAttributionEvent", "outcomeAttributionEventMessage", {"outcome": {"id": "o"}}, events.OutcomeAttributionEvent),
    ("OutcomeAttributionEvent", "outcomeAttributionEvent", {"outcome": {"id": "o"}}, events.OutcomeAttributionEvent),
]  # fmt: skip
BARE: list[tuple[str, type]] = [("Heartbeat", events.Heartbeat), ("SessionEnded", events.SessionEnded)]


@pytest.mark.parametrize("prefix", ["", "com.genesys.journey."])
@pytest.mark.parametrize(("event_type", "member", "payload", "kind"), PAYLOADS)
def test_every_event_type_is_read_with_its_payload(
    prefix: str, event_type: str, member: str, payload: Json, kind: type
) -> None:
    event = event_of(envelope(prefix + event_type, "e-1", 5, **{member: payload}))

    assert type(event.payload) is kind
    assert (event.id, event.at, event.session_id) == ("e-1", T0 + 5, "s-1")
    assert event.name == payload.get("eventName", "")


@pytest.mark.parametrize(("event_type", "kind"), BARE)
def test_a_heartbeat_and_an_end_have_no_payload(event_type: str, kind: type) -> None:
    assert type(event_of(envelope(event_type, "e-1", 0)).payload) is kind


def test_only_a_heartbeat_may_lack_its_id() -> None:
    assert event_of(say.heartbeat()).id == ""
    assert rejected(envelope("SessionEnded", None, 0)) == (
        "not-an-event",
        "`$.id` is missing: a non-empty string is required",
    )


def test_the_envelope_says_who_and_where() -> None:
    contact = {"id": "contact-1", "selfUri": "/given"}
    about = {"customerId": "c", "customerIdType": "email", "session": {"id": "s", "type": "web", "selfUri": "/x"}}

    event = event_of(web("e-1", about={**about, "externalContact": contact, "correlationId": "x"}))

    assert (event.customer_id, event.customer_id_type) == ("c", "email")
    assert (event.session_id, event.session_type) == ("s", "web")
    assert event.external_contact == Reference("contact-1", "/given")


@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_an_empty_id_are_absent(nothing: str | None) -> None:
    about = {
        "customerId": nothing,
        "customerIdType": nothing,
        "session": {"id": nothing, "type": nothing},
        "externalContact": {"id": nothing},
    }
    event = event_of(web("e-1", about=about))

    assert (event.customer_id, event.customer_id_type, event.session_id, event.session_type) == (None,) * 4
    assert event.external_contact is None
    assert rejected(web("e-1", about={"id": nothing}))[0] == "not-an-event"


def test_unknown_members_are_ignored_and_unknown_words_kept() -> None:
    event = event_of(web("e-1", device={"category": "fridge", "smell": 3}, colour=[1], about={"x": {"y": None}}))

    assert event.payload.device == b'{"category":"fridge"}'


@pytest.mark.parametrize("member", ["browser", "device", "geolocation"])
@pytest.mark.parametrize("nothing", [None, {}, {"type": None, "smell": 3}])
def test_a_browser_device_or_place_that_says_nothing_is_none(member: str, nothing: Any) -> None:
    assert getattr(event_of(web("e-1", **{member: nothing})).payload, member) is None


def test_what_is_wrong_inside_a_browser_comes_before_what_is_wrong_with_the_event() -> None:
    broken = {"family": 1}

    for about in ({"eventType": "PageEvent"}, {"id": None}, {"createdDate": "yesterday"}):
        assert "$.webEvent.browser.family" in rejected(web("e-1", browser=broken, about=about))[1]


def test_a_page_without_a_member_that_says_something_is_none() -> None:
    assert event_of(web("e-1", page={"title": None, "breadcrumb": [None]})).payload.page is None


# Notifications.


@pytest.mark.parametrize("tail", ["web.events", "app.events", "action.events", "outcome.events", "later.kind"])
def test_a_body_of_a_sessions_topic_is_a_journey_event(tail: str) -> None:
    body = {name: value for name, value in web("e-1").items() if name != "session"}

    event = event_of({"topicName": f"v2.journey.sessions.from-topic.{tail}", "version": "2", "eventBody": body})

    assert (event.id, event.session_id) == ("e-1", "from-topic")


def test_a_body_that_names_its_session_is_believed_before_its_topic() -> None:
    assert event_of({"topicName": "v2.journey.sessions.x.web.events", "eventBody": web("e-1")}).session_id == "s-1"


def test_the_id_in_a_sessions_topic_may_have_dots() -> None:
    body = web("e-1", about={"session": None})

    assert event_of({"topicName": "v2.journey.sessions.a.b.web.events", "eventBody": body}).session_id == "a.b"


@pytest.mark.parametrize(("given_id", "taken"), [(None, "from-topic"), ("", "from-topic"), ("own", "own")])
def test_the_id_in_a_contacts_topic_stands_for_a_missing_contact(given_id: str | None, taken: str) -> None:
    body = say.segment("e-1") | {"externalContact": {"id": given_id}}

    event = event_of({"topicName": "v2.externalcontacts.contacts.from-topic.journey.segments", "eventBody": body})

    assert event.external_contact == Reference(taken)


@pytest.mark.parametrize("what", sorted(CONVERSATION_TAILS))
def test_every_kind_of_conversation_event_is_read(what: str) -> None:
    event = event_of(talk(what, 7, conversation="c.1"))

    assert (event.name, event.session_id, event.session_type, event.at) == (what, "c.1", "conversation", T0 + 7)
    assert type(event.payload) is events.ConversationEvent


def test_the_conversation_is_that_of_the_topic_whatever_the_body_says() -> None:
    assert event_of(talk("acd.end", conversationId="other")).session_id == "c-1"


def test_the_id_of_a_conversation_event_follows_from_what_it_says() -> None:
    topic = "v2.detail.events.conversation.c-1.acd.end"
    whole = event_of(talk("acd.end", participantId="p", sessionId="comm", mediaType="VOICE"))
    bare = event_of(talk("acd.end", participantId=None, sessionId=""))

    assert whole.id == str(uuid5(NAMESPACE_URL, f"{topic}\n{T0}\np\ncomm"))
    assert bare.id == str(uuid5(NAMESPACE_URL, f"{topic}\n{T0}\n\n"))


@pytest.mark.parametrize(
    ("members", "contact"),
    [
        ({"externalContactId": "a", "conversationExternalContactIds": ["b"]}, "a"),
        ({"externalContactId": "", "conversationExternalContactIds": ["b"]}, "b"),
        ({"conversationExternalContactIds": [None, "b", ""]}, "b"),
        ({"conversationExternalContactIds": ["b", "c"]}, None),
        ({"conversationExternalContactIds": []}, None),
        ({}, None),
    ],
)
def test_a_conversation_events_contact_is_its_own_or_the_only_one_of_the_conversation(
    members: Json, contact: str | None
) -> None:
    assert event_of(talk("contact", **members)).external_contact == (Reference(contact) if contact else None)


@pytest.mark.parametrize("ms", [LEAST, -1, 0, -0.0, 1749542405120.0, GREATEST])
def test_an_event_time_is_whole_ms(ms: float) -> None:
    assert event_of(talk("acd.end", eventTime=ms)).at == int(ms)


@pytest.mark.parametrize("ms", [LEAST - 1, 1.5, 1e300, GREATEST + 1, 2**63, -(2**70)])
def test_an_event_time_outside_the_years_or_between_ms_is_none(ms: float) -> None:
    reason, detail = rejected(talk("acd.end", eventTime=ms))

    assert reason == "not-an-event"
    assert "`$.eventBody.eventTime`" in detail


# Attributes.


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ('{"a": "x"}', ("STRING", "x")),
        ('{"a": ""}', ("STRING", "")),
        ('{"a": 15.99}', ("NUMBER", "15.99")),
        ('{"a": 1.0}', ("NUMBER", "1.0")),
        ('{"a": 2.50}', ("NUMBER", "2.5")),
        ('{"a": -0.0}', ("NUMBER", "-0.0")),
        ('{"a": 1e5}', ("NUMBER", "100000.0")),
        ('{"a": 5e-324}', ("NUMBER", "5e-324")),
        ('{"a": 0.1000000000000000055}', ("NUMBER", "0.1")),
        ('{"a": 41}', ("NUMBER", "41")),
        ('{"a": 18446744073709551616}', ("NUMBER", "18446744073709551616")),
        ('{"a": -9223372036854775809}', ("NUMBER", "-9223372036854775809")),
        ('{"a": 123456789012345678901234567890}', ("NUMBER", "123456789012345678901234567890")),
        ('{"a": true}', ("BOOLEAN", "true")),
        ('{"a": false}', ("BOOLEAN", "false")),
        ('{"a": {"value": 12, "dataType": "integer"}}', ("integer", "12")),
        ('{"a": {"value": "12", "dataType": null}}', ("STRING", "12")),
        ('{"a": {"value": true, "more": [1]}}', ("BOOLEAN", "true")),
    ],
)
def test_an_attributes_value_becomes_text(raw: str, kept: tuple[str, str]) -> None:
    assert attributes_of(raw) == {"a": kept}


@pytest.mark.parametrize(
    "raw", ["{}", "null", '{"a": null}', '{"a": {"value": null, "dataType": "STRING"}}', '{"a": {}}']
)
def test_an_attribute_without_a_value_is_absent(raw: str) -> None:
    assert attributes_of(raw) == {}


def test_an_attribute_may_have_any_name() -> None:
    names = ["", "ä", "a.b", 'quo"te', "new\nline", "\u0000", "\U0001f600", "n" * 10_000]

    assert list(attributes_of(json.dumps(dict.fromkeys(names, 1)))) == names


def test_of_members_given_twice_the_last_counts() -> None:
    assert attributes_of('{"a": 1, "a": 2}') == {"a": ("NUMBER", "2")}
    assert event_of(VALUE.replace(b'{"id"', b'{"id": "first", "id"')).id == "e-1"


def test_too_many_attributes_are_too_large() -> None:
    most = event_of(web("e-1", attributes=dict.fromkeys(map(str, range(ATTRIBUTES_MAX)), 1)))
    more = event_of(web("e-1", attributes=dict.fromkeys(map(str, range(ATTRIBUTES_MAX + 1)), 1)))

    assert attributes_too_large(most, 1) is None
    assert attributes_too_large(more, 1) == Rejected(Reason.TOO_LARGE, "201 attributes, the most is 200")


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600"])
def test_an_attribute_is_measured_in_bytes(letter: str) -> None:
    fits = ATTRIBUTE_BYTES_MAX // len(letter.encode())

    assert attributes_too_large(event_of(web("e-1", attributes={"a": letter * fits})), 1 << 20) is None
    found = attributes_too_large(event_of(web("e-1", attributes={"a": letter * fits + "x"})), 1 << 20)
    assert found == Rejected(Reason.TOO_LARGE, f"attribute 'a' has {ATTRIBUTE_BYTES_MAX + 1} bytes, the most is 8192")


# Rejects: the reason, and what is wrong where.


def test_a_value_of_a_mib_is_read_and_one_byte_more_is_too_large() -> None:
    padding = b" " * (VALUE_BYTES_MAX - len(VALUE))

    assert event_of(VALUE + padding).id == "e-1"
    assert rejected(VALUE + padding + b" ") == ("too-large", "the value has 1048577 bytes, the most is 1048576")


def test_too_large_goes_before_everything_that_is_wrong_inside() -> None:
    assert rejected(b"\xff" * (VALUE_BYTES_MAX + 1))[0] == "too-large"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (VALUE[:-1], "truncated"),
        (VALUE + b"}", "trailing characters"),
        (b"{}{}", "trailing characters"),
        (b"nul", "truncated"),
        (b"\x00", "invalid character (byte 0)"),
        (VALUE.replace(b'"e-1"', b"'e-1'"), "invalid character (byte 7)"),
        (BOM + BOM + VALUE, "invalid character"),
        (VALUE.decode().encode("utf-16"), "JSON is malformed"),
        (web_with("NaN"), "invalid character"),
        (web_with('{"a": NaN}'), "invalid character"),
        (web_with('{"a": -Infinity}'), "invalid character"),
        (web_with('{"a": 01}'), "invalid number"),
        (web_with('{"a": 1e400}'), "Number out of range - at `$.webEvent.attributes"),
        (web_with('{"a": -1e400}'), "Number out of range - at `$.webEvent.attributes"),
        (web_with('{"a": ' + "9" * 400 + "}"), "a number outside a double"),
        (web_with('{"a": ' + "9" * 5000 + "}"), "out of range - at `$.webEvent.attributes"),
        (line({"topicName": "v2.journey.sessions.x.web.events", "eventBody": 0}).replace(b"0", b'{"webEvent": {"geolocation": {"latitude": 1e400}}}'), "out of range - at `$.eventBody.webEvent.geolocation.latitude`"),
        (line(talk("acd.end")).replace(str(T0).encode(), b"9" * 400), "at `$.eventBody.eventTime`"),
        (web_with('{"a": "\\ud800"}'), "half of a surrogate pair"),
        (web_with('{"a": "\\ud800", "b": "and so on"}'), "surrogate"),
        (web_with('{"a": "\\udc00\\ud800"}'), "surrogate"),
        (web_with('{"a": "\ud800"}'), "bad UTF-8"),
        (web_with('{"a": "x"}').replace(b'"x"', b'"\xff"'), "bad UTF-8: invalid start byte (byte 0xff)"),
        (VALUE.replace(b"e-1", b"\xc3"), "bad UTF-8"),
        (VALUE.replace(b"page_viewed", b"page\x01viewed"), "invalid character"),
        (VALUE.replace(b'"WebEvent"', b'"Web\xffEvent"'), "bad UTF-8"),
        (b"[" * 500_000, "nested too deeply"),
        (b'{"x":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"id": 1, "x": tru}', "JSON is malformed"),
    ],
)  # fmt: skip
def test_what_is_no_json_says_why(value: bytes, said: str) -> None:
    reason, detail = rejected(value)

    assert reason == "not-json"
    assert said in detail


@pytest.mark.parametrize("levels", [1, 100])
def test_a_hundred_levels_of_nesting_in_what_is_not_read_are_fine(levels: int) -> None:
    deep = b'{"x": ' + b'{"y":[' * (levels // 2) + b"1" + b"]}" * (levels // 2) + b", "

    assert event_of(VALUE.replace(b"{", deep, 1)).id == "e-1"


@pytest.mark.parametrize("unread", ["1e400", '"\\ud83d\\ude00"', "9" * 5000, '"\xff"', "-0", '{"": [{}]}'])
def test_what_is_not_read_may_be_what_it_likes(unread: str) -> None:
    value = VALUE.replace(b"{", b'{"unread": ' + unread.encode("latin-1") + b", ", 1)

    assert event_of(value) == event_of(VALUE)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"{}", "`$.eventType` is missing: a string is required"),
        (b"[]", "Expected `object`, got `array` - at `$`"),
        (b"7", "Expected `object`, got `int` - at `$`"),
        (b'"x"', "Expected `object`, got `str` - at `$`"),
        (web("", 0), "`$.id` is missing: a non-empty string is required"),
        (web("e-1", about={"id": 5}), "Expected `str | null`, got `int` - at `$.id`"),
        (web("e-1", about={"createdDate": None}), "`$.createdDate` is missing: a string is required"),
        (web("e-1", about={"createdDate": 5}), "Expected `str | null`, got `int` - at `$.createdDate`"),
        (web("e-1", about={"createdDate": "2025-06-10T08:00:60Z"}), "`$.createdDate` is '2025-06-10T08:00:60Z': an RFC 3339 time with an offset, such as 2025-06-10T08:00:05.120Z, is required"),
        (web("e-1", about={"createdDate": "x" * 1000}), f"`$.createdDate` is '{'x' * 77}...': an RFC 3339 time with an offset, such as 2025-06-10T08:00:05.120Z, is required"),
        (web("e-1", about={"session": "s-1"}), "Expected `object | null`, got `str` - at `$.session`"),
        (web("e-1", about={"webEvent": None}), "`$.webEvent` is missing: an object is required"),
        (web("e-1", about={"webEvent": {}}), "`$.webEvent.eventName` is missing: a string is required"),
        (web("e-1", about={"webEvent": [1]}), "Expected `object | null`, got `array` - at `$.webEvent`"),
        (web("e-1", page={"title": "no address"}), "`$.webEvent.page.url` is missing: a page is known by its address"),
        (web("e-1", page={"url": 5}), "Expected `str | null`, got `int` - at `$.webEvent.page.url`"),
        (web("e-1", page={"url": "/", "breadcrumb": ["a", 1]}), "Expected `str | null`, got `int` - at `$.webEvent.page.breadcrumb[1]`"),
        (web("e-1", authenticated="yes"), "Expected `bool | null`, got `str` - at `$.webEvent.authenticated`"),
        (web("e-1", browser={"viewHeight": 2**63}), "Expected `int` <= 9223372036854775807 - at `$.webEvent.browser.viewHeight`"),
        (web("e-1", browser={"viewHeight": 1.5}), "Expected `int | null`, got `float` - at `$.webEvent.browser.viewHeight`"),
        (web("e-1", attributes=[1]), "Expected `object | null`, got `array` - at `$.webEvent.attributes`"),
        (web("e-1", attributes={"a": 1, "sizes": [41]}), "Expected `bool | int | float | str | object | null`, got `array` - at `$.webEvent.attributes['sizes']`"),
        (web("e-1", attributes={"a": {"value": "x", "dataType": 1}}), "Expected `str | null`, got `int` - at `$.webEvent.attributes['a'].dataType`"),
        (web("e-1", traits={"t": {"value": {}}}), "Expected `bool | int | float | str | null`, got `object` - at `$.webEvent.traits['t'].value`"),
        (say.app("e-1", name=None), "`$.appEvent.eventName` is missing: a string is required"),
        (say.custom("e-1", name=None), "`$.customEvent.eventName` is missing: a string is required"),
        (say.outcome("e-1", outcome_id=""), "`$.outcomeAchievedEvent.outcome.id` is missing: a non-empty string is required"),
        (say.segment("e-1", segment_id=""), "`$.segmentAssignmentEvent.segment.id` is missing: a non-empty string is required"),
        (say.segment("e-1", dateAssigned="soon"), "`$.segmentAssignmentEvent.dateAssigned` is 'soon': an RFC 3339 time with an offset, such as 2025-06-10T08:00:05.120Z, is required"),
        ({"topicName": "v2.journey.sessions.x.web.events"}, "`$.eventBody` is missing: an object is required"),
        ({"eventBody": {}}, "`$.topicName` is missing: a string is required"),
        ({"topicName": 3, "eventBody": {}}, "Expected `str | null`, got `int` - at `$.topicName`"),
        ({"topicName": "v2.journey.sessions.x.web.events", "eventBody": [1]}, "Expected `object`, got `array` - at `$.eventBody`"),
        ({"topicName": "v2.journey.sessions.x.web.events", "eventBody": {"id": 1}}, "Expected `str | null`, got `int` - at `$.eventBody.id`"),
        ({"topicName": "v2.journey.sessions.x.web.events", "eventBody": web("e-1", attributes={"a": []})}, "Expected `bool | int | float | str | object | null`, got `array` - at `$.eventBody.webEvent.attributes['a']`"),
        (talk("acd.end", eventTime=None), "`$.eventBody.eventTime` is missing: ms since the epoch are required"),
        (talk("acd.end", eventTime="1"), "Expected `int | float | null`, got `str` - at `$.eventBody.eventTime`"),
        (talk("acd.end", queueId=1), "Expected `str | null`, got `int` - at `$.eventBody.queueId`"),
        (b'{"id": 5, "id": "e-1"}', "Expected `str | null`, got `int` - at `$.id`"),
        (b'{"webEvent": {"traits": {"a": []}, "traits": -1}}', "Expected `bool | int | float | str | object | null`, got `array` - at `$.webEvent.traits[...]`"),
        (b'{"webEvent": {"traits": {"a": []}, "traits": "x"}}', "Expected `bool | int | float | str | object | null`, got `array` - at `$.webEvent.traits[...]`"),
        (b'{"webEvent": {"traits": {"a": []}}, "webEvent": 5}', "Expected `bool | int | float | str | object | null`, got `array` - at `$.webEvent.traits[...]`"),
        (b'{"webEvent": {"traits": {"a": []}}, "webEvent": [1]}', "Expected `bool | int | float | str | object | null`, got `array` - at `$.webEvent.traits[...]`"),
        (b'{"x": "\xff", "webEvent": {"traits": {"a": []}}}', "Expected `bool | int | float | str | object | null`, got `array` - at `$.webEvent.traits[...]`"),
    ],
)  # fmt: skip
def test_what_is_no_event_says_which_member_where_and_what_was_expected(value: bytes | Json, said: str) -> None:
    assert rejected(value) == ("not-an-event", said)


@pytest.mark.parametrize(
    ("event_type", "member"), [(row[0], row[1]) for row in PAYLOADS if row[1] != "outcomeAttributionEvent"]
)
def test_a_missing_payload_is_named(event_type: str, member: str) -> None:
    assert rejected(envelope(event_type, "e-1", 0)) == (
        "not-an-event",
        f"`$.{member}` is missing: an object is required",
    )


@pytest.mark.parametrize(
    "event_type", ["PageEvent", "", "webEvent", "com.genesys.journey.com.genesys.journey.WebEvent"]
)
def test_an_event_type_that_nobody_knows_is_named(event_type: str) -> None:
    assert rejected(envelope(event_type, "e-1", 0)) == ("unknown-type", f"event type '{event_type}' is not known")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "v2.users.u1.presence",
        "v2.detail.events.conversation.c-1",
        "v2.detail.events.conversation.c-1.acd.begin",
        "v2.detail.events.conversation.acd.end",
        "v2.externalcontacts.contacts.c.journey.sessions",
        "channel.metadata.more",
    ],
)
def test_a_topic_that_nobody_knows_is_named(topic: str) -> None:
    body = {"topicName": topic, "eventBody": {"eventTime": 0}}

    assert rejected(body) == ("unknown-type", f"topic '{topic}' is not known")


@pytest.mark.parametrize(
    "value",
    [
        line(envelope("PageEvent", "e-1", 0, createdDate="soon")),
        line(envelope("PageEvent", None, 0)),
        line({"topicName": "v2.users.u1.presence"}),
        line({"topicName": "v2.users.u1.presence", "eventBody": [1]}),
    ],
)
def test_not_an_event_goes_before_a_type_that_nobody_knows(value: bytes) -> None:
    assert rejected(value)[0] == "not-an-event"


# Nothing raises.

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.one_of(journey_event(), conversation_event(), external_event(), raw_event())


def test_the_fuzzed_events_are_events_as_they_are() -> None:
    found: list[Event | Rejected | None] = []

    @given(EVENTS)
    def collect(event: Json) -> None:
        found.append(decode(line(event)))

    collect()
    assert sum(isinstance(one, Event) for one in found) > len(found) // 2


@given(st.binary(max_size=200))
def test_no_bytes_raise(value: bytes) -> None:
    assert isinstance(decode(value), Event | Rejected | None)


@given(ANY)
def test_no_json_raises(value: Any) -> None:
    assert isinstance(decode(json.dumps(value).encode()), Event | Rejected | None)


@given(EVENTS, st.data())
def test_no_event_with_anything_in_place_of_a_member_raises(event: Json, data: st.DataObject) -> None:
    event = deepcopy(event)  # What is drawn may be drawn again.
    place = event
    while True:
        member = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[member], dict) or not place[member] or data.draw(st.booleans()):
            break
        place = place[member]
    place[member] = data.draw(ANY)

    decoded = decode(json.dumps(event).encode())

    assert isinstance(decoded, Event | Rejected | None)
    assert not isinstance(decoded, Rejected) or decoded.detail


@given(EVENTS, st.data())
def test_no_event_with_flipped_added_or_missing_bytes_raises(event: Json, data: st.DataObject) -> None:
    value = bytearray(line(event))
    first = data.draw(st.integers(0, len(value)))
    value[first : first + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))

    assert isinstance(decode(bytes(value)), Event | Rejected | None)


@given(EVENTS)
def test_attributes_of_any_event_can_be_measured(event: Json) -> None:
    decoded = decode(line(event))

    assert not isinstance(decoded, Event) or attributes_too_large(decoded, 1 << 20) is None
