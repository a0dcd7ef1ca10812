"""A real public access log as raw web events, out of order: through `kcat`, the service, and `kcat` again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.end_to_end.promises import (
    assert_end_is_right,
    assert_ledger_balances,
    assert_live_equals_replay,
    without_lists,
)

if TYPE_CHECKING:
    from tests.end_to_end.pipeline import Pipeline

LOG = Path(__file__).parents[1] / "data" / "access-log.jsonl.gz"
EVENTS = 4590


def test_each_record_of_a_raw_log_is_accounted_for(pipeline: Pipeline) -> None:
    events = read_log()
    pipeline.feed((event["customerId"], json.dumps(event).encode()) for event in events)

    pipeline.run("--workers", "2")

    ledgers = [mark.ledger for mark in pipeline.marks().values()]
    assert sum(ledger.read for ledger in ledgers) == EVENTS == len(events)
    assert [ledger.balance() for ledger in ledgers] == [0] * len(ledgers)
    assert len(pipeline.rejected()) == sum(sum(ledger.rejected.values()) for ledger in ledgers)
    assert_live_equals_replay(pipeline)


def test_all_of_it_is_folded_with_the_customer_for_a_session(pipeline: Pipeline) -> None:
    events = [with_session(event) for event in read_log()]
    pipeline.feed((event["session"]["id"], json.dumps(event).encode()) for event in events)

    pipeline.run("--workers", "2")

    expected = assert_end_is_right(pipeline, compared=without_lists)
    assert_live_equals_replay(pipeline)
    book = assert_ledger_balances(pipeline, expected)
    assert (book.read, book.folded, book.rejected) == (EVENTS, EVENTS, {})
    sessions = [json.loads(message.value or b"") for message in pipeline.newest().values()]
    assert sum(session["eventCount"] for session in sessions) == EVENTS
    assert {session["id"] for session in sessions} == {event["customerId"] for event in events}


def read_log() -> list[dict[str, Any]]:
    with gzip.open(LOG) as lines:
        return [json.loads(line) for line in lines]


def with_session(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "session": {"id": event["customerId"], "type": "web"}}
