"""Who folds what: the guess from a record's bytes, and what is brought together at the first worker."""

from __future__ import annotations

import json
from typing import Any

import pytest

from projector.ledger import Mark
from projector.ports import Batch
from projector.reading import Reading, read
from projector.route import TrackKey, named_track
from projector.rules import Rules
from projector.shares import FIRST, Shares
from tests.given import custom, web
from tests.memory import MemoryRecord

WORKERS = 64
"""So many that two answers are hardly equal by chance."""
VISIT = "6fa459ea-ee8a-5ca4-894e-db77e160355e"


def read_of(*events: dict[str, Any]) -> Reading:
    records = [MemoryRecord(0, offset, json.dumps(event).encode()) for offset, event in enumerate(events)]
    return read(Batch(records), {0: Mark()}, {}, rules=Rules(), places=None, started_at=2**45)


def key_of(event: dict[str, Any]) -> TrackKey:
    reading = read_of(event)
    (key,) = reading.work | reading.visits
    return key


def talk(conversation: str, **context: Any) -> dict[str, Any]:
    topic = f"v2.detail.events.conversation.{conversation}.customer.start"
    return {"topicName": topic, "eventBody": {"eventTime": 1_749_718_800_000, "journeyContext": context}}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize(
    "event",
    [
        custom("a", about={"session": {"id": "session-1"}}),
        custom("a", about={"session": {"type": "ticket", "id": "session-2"}}),
        web("a", about={"session": None, "customerId": "customer-1", "customerIdType": "cookie"}),
        {
            "topicName": "v2.journey.sessions.session-3.web.events",
            "eventBody": {key: value for key, value in web("a").items() if key != "session"},
        },
        talk("conversation-1"),
    ],
    ids=["by its session", "by its session, behind a type", "by its visitor", "by a topic", "by a conversation"],
)
def test_the_guess_is_right_where_a_record_says_plainly_whose_it_is(
    event: dict[str, Any], separators: tuple[str, str]
) -> None:
    shares = Shares(WORKERS)

    assert shares.guess(json.dumps(event, separators=separators).encode()) == shares.owner_of(key_of(event))


@pytest.mark.parametrize("line", [b"", b"{", b"null", b'"session":{"id":"', b"\xff" * 100, b'{"customerId":1}'])
def test_of_any_bytes_somebody_takes_them(line: bytes) -> None:
    assert 0 <= Shares(WORKERS).guess(line) < WORKERS


def test_a_conversation_and_the_sessions_it_names_are_gathered() -> None:
    shares = Shares(WORKERS)
    event = talk("conversation-1", sessionId="one", customerSession={"id": "two"})

    ids, visits = shares.found(read_of(event).work)
    shares.gather(ids, visits=visits)

    assert sorted(ids) == ["conversation-1", "one", "two"]
    assert not visits
    assert {shares.owner_of(named_track(one)) for one in ids} == {FIRST}
    assert shares.guess(b'{"session":{"id":"one"}}') == FIRST
    assert shares.found(read_of(event).work) == ([], False)


def test_a_conversation_that_names_no_session_stays_where_it_is() -> None:
    assert Shares(WORKERS).found(read_of(talk("conversation-1", sessionId="")).work) == ([], False)


def test_visits_are_gathered_once_a_record_names_what_may_be_one() -> None:
    shares = Shares(WORKERS)
    visitor = web("a", about={"session": None, "customerId": "customer-1", "customerIdType": "cookie"})
    named = custom("b", about={"session": {"id": VISIT}})

    assert shares.found(read_of(visitor).work) == ([], False)
    assert shares.found(read_of(named).work) == ([], True)
    shares.gather([], visits=True)

    assert shares.owner_of(key_of(visitor)) == FIRST
    assert shares.owner_of(named_track(VISIT)) == FIRST
    assert shares.guess(json.dumps(visitor).encode()) == FIRST
    assert shares.guess(json.dumps(named, separators=(",", ":")).encode()) == FIRST
    assert shares.found(read_of(named).work) == ([], False)


def test_an_id_that_is_derived_and_not_named_gathers_nothing() -> None:
    parcel = custom("a", about={"session": {"type": "delivery"}})
    parcel["customEvent"]["externalId"] = "P-1"

    assert Shares(WORKERS).found(read_of(parcel).work) == ([], False)
    assert key_of(parcel)[16] == "5"
