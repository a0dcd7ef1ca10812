"""The oracle against the worked examples, and the places where it was easy to get wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.oracle.replay import Record, Result, fold, replay
from tests.oracle.settings import Settings, attribute_rules
from tests.oracle.times import parse_ms
from tests.strategies import END, named_events, raw_events, told_again, without_ids
from tests.strategies import lines_of as lines_of_events

EXAMPLES = Path(__file__).parent / "examples"
CASES = json.loads((EXAMPLES / "cases.json").read_text())


def lines_of(name: str) -> list[bytes]:
    return (EXAMPLES / name).read_bytes().splitlines()


def replayed(case: dict[str, Any]) -> Result:
    settings = Settings(attribute_rules=attribute_rules(case["settings"].get("attribute_rules", [])))
    file = f"{case['name']}.events.jsonl"
    return replay((file, lines_of(file)), settings=settings, as_of=parse_ms(case["as_of"]) if case["as_of"] else None)


def text_with_free_attribute_order(session: dict[str, Any]) -> str:
    """Equal texts: equal values in the order of the tables."""
    free = {name: dict(sorted(session[name].items())) for name in ("attributes", "attributeLists") if name in session}
    return json.dumps({**session, **free})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_an_example_gives_its_sessions_in_order(case: dict[str, Any]) -> None:
    expected = [json.loads(line) for line in lines_of(f"{case['name']}.expected.jsonl")]

    sessions = replayed(case).sessions

    assert sessions == expected
    assert [*map(text_with_free_attribute_order, sessions)] == [*map(text_with_free_attribute_order, expected)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_an_example_gives_its_rejects_and_ledger(case: dict[str, Any]) -> None:
    rejects_file = EXAMPLES / f"{case['name']}.rejects.jsonl"
    expected = [json.loads(line) for line in rejects_file.read_bytes().splitlines()] if rejects_file.exists() else []

    result = replayed(case)

    assert result.rejects == expected
    ledger = {**result.ledger, "rejected": sum(result.ledger["rejected"].values())}
    assert {name: ledger[name] for name in case["ledger"]} == case["ledger"]
    assert ledger["redelivered"] == ledger["clamped"] == 0


def web(event_id: str, at: str, *, session: str | None = None, customer: str = "c", **payload: Any) -> dict[str, Any]:
    event = {"id": event_id, "eventType": "WebEvent", "createdDate": f"2025-06-12T{at}Z", "customerId": customer}
    named = {"session": {"id": session, "type": "web"}} if session else {}
    return {**event, **named, "webEvent": {"eventName": "page_viewed", **payload}}


def sessions_of(*events: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    lines = [json.dumps(event).encode() for event in events]
    return replay(("log", lines), **options).sessions


def spans(sessions: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [
        (session["createdDate"][11:19], session.get("endedDate", "")[11:19], session["eventCount"])
        for session in sessions
    ]


def campaign(source: str) -> dict[str, Any]:
    return {"mktCampaign": {"source": source}}


def test_a_late_event_that_splits_takes_over_what_stands_right_of_its_wall() -> None:
    in_order = [web("a", "10:00:00", **campaign("A")), web("b", "10:20:00", **campaign("B")), web("c", "10:40:00")]

    assert sessions_of(in_order[0], in_order[2], in_order[1]) == sessions_of(*in_order)
    assert spans(sessions_of(*in_order)) == [("10:00:00", "10:20:00", 1), ("10:20:00", "", 2)]


def test_a_merge_does_not_cross_a_wall() -> None:
    log = [web("a", "10:00:00"), web("b", "10:20:00", **campaign("B")), web("c", "10:10:00"), web("d", "10:30:00")]

    assert spans(sessions_of(*log)) == [("10:00:00", "10:20:00", 2), ("10:20:00", "", 2)]


def test_an_id_merged_away_leads_to_its_survivor() -> None:
    log = [web("a", "10:00:00"), web("b", "10:40:00")]
    away = next(session["id"] for session in sessions_of(*log) if session["createdDate"][11:16] == "10:40")

    merged = sessions_of(*log, web("m", "10:20:00"), web("n", "10:21:00", session=away))

    assert spans(merged) == [("10:00:00", "", 4)]


def test_an_id_that_comes_back_after_retention_starts_anew() -> None:
    old, new = web("a", "10:00:00", session="s"), web("a", "10:00:00", session="s")
    new["createdDate"] = "2025-06-19T10:00:00.001Z"

    assert [(session["createdDate"], session["eventCount"]) for session in sessions_of(old, new)] == [
        ("2025-06-19T10:00:00.001Z", 1)
    ]


def test_an_event_later_than_the_wall_clock_counts_as_the_newest_read() -> None:
    started = parse_ms("2025-06-12T11:00:00Z")
    log = [web("a", "10:00:00", session="s"), web("b", "11:05:00.001", session="s"), web("c", "10:10:00", session="s")]

    result = replay(("log", [json.dumps(event).encode() for event in log]), started=started)

    assert [session["durationInSeconds"] for session in result.sessions] == [600]
    assert result.ledger["clamped"] == 1


def test_a_link_works_in_either_order() -> None:
    topic = "v2.detail.events.conversation.conv."
    start = {"topicName": f"{topic}customer.start", "eventBody": {"eventTime": 1749722400000, "direction": "INBOUND"}}
    named = {"eventTime": 1749722401000, "journeyContext": {"customerSession": {"id": "s"}}}
    link = {"topicName": f"{topic}contact", "eventBody": named}
    page = web("a", "10:00:00", session="s")

    results = [sessions_of(*log) for log in ((start, link, page), (page, link, start), (link, start, page))]

    assert results[0] == results[1] == results[2]
    assert [session["originatingDirection"] for session in results[0]] == ["Inbound", "Inbound"]


def test_a_kafka_record_is_clamped_to_its_timestamp() -> None:
    at = parse_ms("2025-06-12T10:00:00Z")
    event = json.dumps(web("a", "10:05:00.001", session="s")).encode()

    result = fold([Record(topic="t", partition=0, offset=0, value=event, timestamp=at)])

    assert [session["createdDate"] for session in result.sessions] == ["2025-06-12T10:00:00.000Z"]


@hypothesis_settings(deadline=None)  # Wall time is no promise of these tests.
@given(data=st.data())
def test_named_events_give_the_same_sessions_in_any_order(data: st.DataObject) -> None:
    events = data.draw(named_events())
    again = data.draw(told_again(events))

    one, other = (replay(("log", lines_of_events(log)), as_of=END) for log in (events, again))

    assert one.sessions == other.sessions
    assert one.rejects == other.rejects == []


@hypothesis_settings(deadline=None)  # Wall time is no promise of these tests.
@given(data=st.data())
def test_raw_events_give_the_same_sessions_but_for_their_ids_in_any_order(data: st.DataObject) -> None:
    events = data.draw(raw_events())
    again = data.draw(told_again(events))
    settings = Settings(campaign_split=False)

    one, other = (replay(("log", lines_of_events(log)), as_of=END, settings=settings) for log in (events, again))

    assert without_ids(one.sessions) == without_ids(other.sessions)
    assert one.rejects == other.rejects == []


@hypothesis_settings(deadline=None)  # Wall time is no promise of these tests.
@given(data=st.data())
def test_the_ledger_balances(data: st.DataObject) -> None:
    events = data.draw(st.one_of(named_events(), raw_events()))

    ledger = replay(("log", [*lines_of_events(data.draw(told_again(events))), b"", b"{"])).ledger

    assert (
        ledger["read"]
        == ledger["folded"] + ledger["duplicates"] + sum(ledger["rejected"].values()) + ledger["tombstones"]
    )
    assert ledger["tombstones"] == 1
