"""Which track an event belongs to, as far as the event alone says it, and why it belongs nowhere (contract §3)."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from projector.decode import Rejected
from projector.route import derived_id, is_visitor, named_track, route, session_of, visitor_of
from tests.given import Json, app, custom, ended, heartbeat, outcome, read, segment, talk, web

CUSTOMER: Json = {"customerId": "c", "customerIdType": "cookie"}
ODD_IDS = ["quo\"te'", "new\nline", "\u0000", "ä", "\U0001f600", "x" * 10_000, "s:v:", "{}"]


def track_of(event: Json) -> str:
    key = route(read(event))
    assert not isinstance(key, Rejected), key
    return key


def refusal(event: Json) -> str:
    refused = route(read(event))
    assert isinstance(refused, Rejected), refused
    assert refused.reason.value == "no-identity"
    return refused.detail


def uuid_of(json_array: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"projector/{json_array}"))


@pytest.mark.parametrize(
    "event", [web("a"), app("a"), custom("a"), heartbeat(), ended("e"), outcome("o"), segment("s")]
)
def test_an_event_that_names_its_session_belongs_to_it(event: Json) -> None:
    assert track_of(event) == named_track("s-1")


def test_a_named_session_goes_before_customer_and_external_id() -> None:
    assert track_of(
        custom("a", externalId="x", about={**CUSTOMER, "session": {"id": "s", "type": "t"}})
    ) == named_track("s")


def test_a_conversation_event_belongs_to_the_conversations_session() -> None:
    assert track_of(talk("acd.end", conversation="c-9")) == named_track("c-9")


@pytest.mark.parametrize("session_id", ODD_IDS)
def test_a_session_id_may_be_any_text(session_id: str) -> None:
    key = route(read(web("a", about={"session": {"id": session_id}})))

    assert not isinstance(key, Rejected)
    assert session_of(key) == session_id
    assert not is_visitor(key)


def test_a_custom_event_belongs_to_the_session_of_its_type_and_external_id() -> None:
    event = custom("a", externalId="P-1001", about={**CUSTOMER, "session": {"type": "delivery"}})

    assert track_of(event) == named_track(uuid_of('["delivery","P-1001"]'))


@pytest.mark.parametrize(
    ("external_id", "text"),
    [
        ('quo"te', '"quo\\"te"'),
        ("back\\slash", '"back\\\\slash"'),
        ("new\nline", '"new\\nline"'),
        ("ä/é", '"ä/é"'),
        ("\U0001f600", '"\U0001f600"'),
        ("\u0001", '"\\u0001"'),
        ("\u007f", '"\u007f"'),
    ],
)
def test_what_is_hashed_is_json_with_nothing_escaped_but_what_has_to_be(external_id: str, text: str) -> None:
    event = custom("a", externalId=external_id, about={"session": {"type": "t"}})

    assert track_of(event) == named_track(uuid_of(f'["t",{text}]'))


def test_null_is_hashed_as_null() -> None:
    assert derived_id([None, "c", "web", "a"]) == uuid_of('[null,"c","web","a"]')


@pytest.mark.parametrize(
    ("event", "visitor"),
    [
        (web("a", about={"session": None, **CUSTOMER}), ("cookie", "c", "web")),
        (web("a", about={"session": {"type": "app"}, **CUSTOMER}), ("cookie", "c", "web")),
        (app("a", about={"session": {"type": "web"}, **CUSTOMER}), ("cookie", "c", "app")),
        (heartbeat(session=None, **CUSTOMER), ("cookie", "c", "web")),
        (heartbeat(session={"type": "web"}, **CUSTOMER), ("cookie", "c", "web")),
        (heartbeat(session={"type": "app"}, **CUSTOMER), ("cookie", "c", "app")),
        (web("a", about={"session": None, "customerId": "c", "customerIdType": ""}), (None, "c", "web")),
    ],
)
def test_an_event_without_session_belongs_to_its_visitor(event: Json, visitor: tuple[str | None, str, str]) -> None:
    key = route(read(event))

    assert not isinstance(key, Rejected)
    assert is_visitor(key)
    found = visitor_of(key)
    assert (found.customer_id_type, found.customer_id, found.type) == visitor


@pytest.mark.parametrize("customer_id", ODD_IDS)
def test_a_customer_id_may_be_any_text(customer_id: str) -> None:
    key = route(read(web("a", about={"session": None, "customerId": customer_id})))

    assert not isinstance(key, Rejected)
    assert visitor_of(key).customer_id == customer_id


def nowhere(**session: Any) -> Json:
    return {"session": session or None, **CUSTOMER}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (web("a", about={"session": None}), "neither `session.id` nor `customerId` is given"),
        (app("a", about={"session": {"id": ""}, "customerId": ""}), "neither `session.id` nor `customerId` is given"),
        (heartbeat(session=None), "neither `session.id` nor `customerId` is given"),
        (heartbeat(**nowhere(type="delivery")), "a heartbeat without `session.id` needs a `session.type` of web or app"),
        (custom("a", externalId="x", about=nowhere()), "a custom event needs `session.id`, or `session.type` and `customEvent.externalId`"),
        (custom("a", about=nowhere(type="delivery")), "a custom event needs `session.id`, or `session.type` and `customEvent.externalId`"),
        (custom("a", externalId="", about=nowhere(type="t")), "a custom event needs `session.id`, or `session.type` and `customEvent.externalId`"),
        (outcome("o", **nowhere(type="web")), "an event of this type needs `session.id`"),
        (segment("s") | nowhere(), "an event of this type needs `session.id`"),
        (ended("e", **nowhere(type="web")), "an event of this type needs `session.id`"),
    ],
)  # fmt: skip
def test_an_event_that_belongs_nowhere_says_what_it_lacks(event: Json, said: str) -> None:
    assert refusal(event) == said


def test_a_topic_that_has_no_conversation_in_it_gives_none() -> None:
    assert refusal(talk("acd.end", conversation="")) == "an event of this type needs `session.id`"
