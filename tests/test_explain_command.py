"""`projector explain`: what each record of a log did to one session, through the command line."""

import json
from pathlib import Path
from typing import Any

from tests.cli import projector

EXAMPLES = Path(__file__).parent / "examples"
RULES = next(
    case["settings"]["attribute_rules"]
    for case in json.loads((EXAMPLES / "cases.json").read_text())
    if case["name"] == "09-attribute-rules"
)


def steps(session_id: str, log: str, **settings: str) -> list[dict[str, Any]]:
    done = projector("explain", session_id, log, "--json", cwd=EXAMPLES, environment=settings)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_duplicate_is_told_from_an_event_that_counts() -> None:
    told = [(step["event_id"], step["outcome"]) for step in steps("8f2b6c1e-web", "01-web-session.events.jsonl")]

    assert told == [
        ("w-3", "folded"),
        ("w-1", "folded"),
        ("w-4", "folded"),
        ("w-2", "folded"),
        ("w-3", "duplicate"),
        ("w-1", "duplicate"),
    ]


def test_a_merge_shows_in_the_visit_that_stays() -> None:
    visit = "a5c214e2-bb9a-5234-878f-23103b5c4755"

    merging = next(step for step in steps(visit, "04-raw-visits.events.jsonl") if step["event_id"] == "m-3")

    assert merging["effects"] == ["revived", "counted"]
    assert merging["fields"]["eventCount"] == [1, 3]
    assert "outcomeAchievements" in merging["fields"]


def test_a_conversation_shows_what_it_set_on_the_session_that_it_names() -> None:
    told = steps("web-6", "06-conversation.events.jsonl")

    assert sum("lastConnectedUser" in step["fields"] for step in told) == 2
    assert told[-1]["event_type"] == "ConversationEvent"


def test_each_attribute_shows_the_rule_that_decided_about_it() -> None:
    first = steps("web-9", "09-attribute-rules.events.jsonl", PROJECTOR_ATTRIBUTE_RULES=json.dumps(RULES))[0]

    assert first["rules"] == {
        "cart_item": "into the list Cart items by rule 2 (cart_item)",
        "order_no": "to shop.order_no by rule 3 (order_*)",
        "debug_id": "dropped by rule 1 (*debug*)",
        "colour": "dropped: no rule matches",
    }


def test_a_rejected_record_of_the_session_says_why() -> None:
    late = next(step for step in steps("web-old", "08-rejects.events.jsonl") if step["event_id"] == "r-15")

    assert late["outcome"] == "rejected: too-late"
    assert "retention" in late["detail"]


def test_a_session_that_the_log_does_not_know_is_said_so() -> None:
    done = projector("explain", "nobody", "01-web-session.events.jsonl", cwd=EXAMPLES, code=2)

    assert done.stderr.decode() == "projector: no record of the log is of session nobody\n"


def test_in_words_each_record_is_a_line_with_what_it_changed_below() -> None:
    done = projector("explain", "ended-by-an-event", "02-idle-away-duration.events.jsonl", cwd=EXAMPLES)

    lines = done.stdout.decode().splitlines()
    assert lines[0].endswith("WebEvent u-1: folded, published")
    assert "SessionEnded u-2: folded, ended" in done.stdout.decode()
