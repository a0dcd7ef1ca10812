"""A session as it is published: the members in their order, what is left out, references, headers (contract §5, §6)."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.dates import GREATEST, LEAST, format_time
from projector.rules import Rules
from projector.session import expire
from projector.snapshot import Snapshot, headers_of, snapshot_of, told_of
from tests.given import (
    DAY,
    MINUTE,
    SECOND,
    T0,
    Json,
    app,
    custom,
    ended,
    folded,
    heartbeat,
    outcome,
    segment,
    session_of,
    talk,
    text_of,
    web,
)
from tests.strategies import lines_of, named_events

RULES = Rules()
ORDER = [field.encode_name for field in msgspec.structs.fields(Snapshot)]
PAGE = {"url": "https://shop.example.com/?q=boots&utm_source=mail#top", "title": "Boots", "breadcrumb": ["a"]}
EVERYTHING = [
    web(
        "a",
        page=PAGE,
        browser={"family": "Firefox", "version": "128"},
        device={"category": "desktop", "manufacturer": "X", "screenDensity": 2},
        geolocation={"country": "AU", "latitude": -37.5},
        ipAddress="192.0.2.1",
        ipOrganization="Net",
        referrer={"url": "https://news.example.net/"},
        userAgentString="u",
        attributes={"x": 1},
        authenticated=True,
        about={"customerId": "c", "customerIdType": "cookie", "session": {"id": "s-1", "type": "kiosk"}},
    ),
    app("b", 1),
    custom("c", 2, externalId="E", externalUrl="/E"),
    outcome("o", 3, externalContact={"id": "contact"}),
    segment("s", 4),
    talk("acd.end", 5, conversation="s-1", queueId="q", acdOutcome="ANSWERED", answeredUserId="u", mediaType="VOICE"),
    talk("acw", 6, conversation="s-1", wrapupCode="w", wrapupNotes="n", direction="INBOUND", subject="Hello"),
    talk("user.end", 7, conversation="s-1", disconnectType="CLIENT"),
    ended("e", 8),
]


def test_members_stand_in_the_order_of_the_contracts_table() -> None:
    session = folded(EVERYTHING)
    session.short_id = "012345"

    members = list(json.loads(snapshot_of(session, RULES)))

    assert members == [name for name in ORDER if name in members]
    assert set(ORDER) - set(members) == {
        "attributeLists",
        "awayDate",
        "idleDate",
    }  # Of a list rule, and of web and app.


def test_what_is_always_there_is_there_and_nothing_else_of_an_event_that_says_nothing() -> None:
    assert session_of(custom("a")) == {
        "id": "s-1",
        "type": "custom",
        "durationInSeconds": 0,
        "eventCount": 1,
        "lastEvent": {"id": "a", "eventName": "opened", "createdDate": text_of(0)},
        "authenticated": False,
        "selfUri": "/api/v2/journey/sessions/s-1",
        "createdDate": text_of(0),
    }


def test_nested_objects_carry_their_members_in_the_order_of_the_domain() -> None:
    given_backwards = {"screenDensity": 3, "osVersion": "17", "isMobile": True, "category": "mobile", "type": "iPhone"}

    device = session_of(web("a", device=given_backwards))["device"]

    assert list(device) == ["category", "type", "isMobile", "osVersion", "screenDensity"]


@given(named_events())
def test_every_snapshot_is_one_of_the_model_as_the_encoder_would_write_it(events: list[Json]) -> None:
    session = folded(json.loads(line) for line in lines_of(events))
    if session.events == 0:
        return
    written = snapshot_of(session, RULES)

    assert json.loads(msgspec.json.encode(msgspec.json.decode(written, type=Snapshot))) == json.loads(written)
    assert b"null" not in written


@pytest.mark.parametrize(
    "odd", ["quo\"te'", "new\nline", "\u0000", "ä", "\U0001f600", "\u2028", "</script>", "x" * 10_000]
)
def test_any_text_comes_out_as_it_came_in(odd: str) -> None:
    about = {"session": {"id": "s-1", "type": odd}, "customerId": odd, "externalContact": {"id": odd}}
    events = [
        web(odd, name=odd, attributes={odd: odd}, ipAddress=odd, searchQuery=f"x{odd}x", about=about),
        custom("c", -1, externalId=odd),
        outcome(odd + "o", 1, outcome_id=odd),
        segment(odd + "s", 1, segment_id=odd),
    ]

    session = session_of(*events)

    assert (session["type"], session["customerId"], session["externalId"]) == (odd, odd, odd)
    assert session["externalContact"] == {"id": odd, "selfUri": f"/api/v2/externalcontacts/contacts/{odd}"}
    assert session["attributes"] == {odd: {"dataType": "STRING", "value": odd}}
    assert (session["lastEvent"]["id"], session["lastEvent"]["eventName"]) == (odd, odd)
    assert session["outcomeAchievements"][0]["outcome"]["id"] == odd
    assert session["segmentAssignments"][0]["segment"]["id"] == odd
    assert session["searchTerms"] == [f"x{odd}x"]


def test_a_self_uri_that_is_given_is_kept() -> None:
    given_uri = {"id": "order", "selfUri": "/given"}
    event = outcome("o") | {"outcomeAchievedEvent": {"outcome": given_uri}}

    assert session_of(web("a"), event)["outcomeAchievements"][0]["outcome"] == given_uri


@pytest.mark.parametrize("ms", [LEAST, GREATEST])
def test_dates_at_the_edges_of_the_years_are_written(ms: int) -> None:
    session = folded([web("a", ms - T0)])
    expire(session, ms + DAY, RULES)

    written = json.loads(snapshot_of(session, RULES))

    assert written["createdDate"] == format_time(ms)
    assert written["idleDate"] == format_time(min(ms + 45 * SECOND, GREATEST))
    assert written["endedDate"] == format_time(min(ms + 30 * MINUTE, GREATEST))
    assert headers_of("s", 1, told_of(session, RULES))


def test_a_session_from_the_first_ms_to_the_last_has_a_duration() -> None:
    session = session_of(web("a", LEAST - T0), web("b", GREATEST - T0))

    assert session["durationInSeconds"] == (GREATEST - LEAST) // 1000


def test_headers_say_revision_schema_and_cloud_event() -> None:
    headers = dict(headers_of("s-1", 42, told_of(folded([web("a")]), RULES)))

    assert headers["projector.revision"] == b"42"
    assert headers["content-type"] == b"application/json"
    assert headers["ce_id"] == b"s-1/42"
    assert headers["ce_time"] == text_of(0).encode()
    assert headers["ce_specversion"] == b"1.0"
    assert headers.keys() >= {"projector.schema", "ce_source", "ce_type"}


def test_a_heartbeat_without_id_and_a_heartbeat_with_one_say_the_same_of_dates() -> None:
    assert session_of(web("a"), heartbeat(5)) == session_of(web("a"), heartbeat(5, event_id="h"))


@given(st.floats(-90, 90, allow_nan=False))
def test_a_latitude_comes_out_as_the_double_that_it_is(latitude: float) -> None:
    assert session_of(web("a", geolocation={"latitude": latitude}))["geolocation"]["latitude"] == latitude
