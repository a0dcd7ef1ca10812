"""The journeys that other tests and measurements rest on: the same every time, and all that the contract knows."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from tests.generate import PAUSE_MIN_S, bench_events, demo_events, live_events, main, paced
from tests.journeys.dice import Dice
from tests.journeys.draft import Moment, milliseconds
from tests.journeys.envelope import hashed_id
from tests.journeys.flaws import FLAWED_KEY, TOMBSTONES
from tests.oracle.replay import Result, replay
from tests.oracle.settings import Settings, attribute_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Json = dict[str, Any]

EVENT_TYPES = {
    *("WebEvent", "AppEvent", "CustomEvent", "Heartbeat", "OutcomeAchievedEvent", "SegmentAssignmentEvent"),
    *("WebActionEvent", "BlockedWebActionOfferEvent", "OutcomeAttributionEvent", "SessionEnded"),
}
CONVERSATION_EVENTS = {
    *("customer.start", "customer.end", "acd.start", "acd.end", "user.start", "user.end", "wrapup", "acw", "contact"),
    *("attributes", "flow.start", "flow.end", "flow.outcome", "outbound", "voicemail.start", "voicemail.end"),
}
# All 42 but the short id, which the projector draws.
SESSION_FIELDS = {
    *("id", "customerId", "customerIdType", "type", "externalId", "externalUrl", "outcomeAchievements"),
    *("segmentAssignments", "attributes", "attributeLists", "browser", "device", "geolocation", "ipAddress"),
    *("ipOrganization", "lastPage", "mktCampaign", "referrer", "searchTerms", "userAgentString", "durationInSeconds"),
    *("eventCount", "pageviewCount", "screenviewCount", "lastEvent", "lastConnectedQueue", "lastConnectedUser"),
    *("lastUserDisposition", "conversationChannels", "originatingDirection", "conversationSubject"),
    *("lastUserDisconnectType", "lastAcdOutcome", "authenticated", "selfUri", "createdDate", "endedDate"),
    *("externalContact", "awayDate", "idleDate", "conversation"),
}
REASONS = ("not-json", "not-an-event", "unknown-type", "no-identity", "too-large", "too-late")
CART_ITEMS = attribute_rules([{"match": "cart_item", "to": "Cart items", "list": True}, {"match": "*"}])


def parsed(records: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, Json]]:
    """Key and event of each record that is one, out of its notification."""
    for key, value in records:
        if key == FLAWED_KEY:
            continue
        event = json.loads(value)
        yield key, event.get("eventBody", event) | {"topicName": event.get("topicName", "")}


def kind_of(event: Json) -> str:
    """Event type, or what a conversation event tells (`acd.end`)."""
    if "eventTime" in event:
        return ".".join(event["topicName"].split(".")[5:])
    return str(event["eventType"]).removeprefix("com.genesys.journey.")


def digest(records: Iterable[tuple[str, bytes]]) -> str:
    lines = hashlib.sha256()
    for key, value in records:
        lines.update(b"%b\t%b\n" % (key.encode(), value))
    return lines.hexdigest()


@pytest.fixture(scope="module")
def demo() -> list[tuple[str, bytes]]:
    return list(demo_events(200, 1))


@pytest.fixture(scope="module")
def folded(demo: list[tuple[str, bytes]]) -> Result:
    """What a naive reading of the contract makes of the demo."""
    return replay(("demo", [value for _, value in demo]), settings=Settings(attribute_rules=CART_ITEMS))


@pytest.fixture(scope="module")
def raw() -> list[tuple[str, bytes]]:
    return list(demo_events(200, 1, raw=True))


def test_the_same_seed_tells_the_same_journeys(demo: list[tuple[str, bytes]]) -> None:
    assert digest(demo_events(200, 1)) == digest(demo)
    assert digest(bench_events(2_000, 100, 1)) == digest(bench_events(2_000, 100, 1))


def test_another_seed_tells_others(demo: list[tuple[str, bytes]]) -> None:
    assert digest(demo_events(200, 2)) != digest(demo)


def test_the_bytes_of_a_seed_are_these_on_every_release_of_python() -> None:
    assert digest(demo_events(20, 7)) == "8e70fb341b52e0f91a8b8442550ec1e26b3af9ae25d0c3ff63be4ccf6d182c46"
    assert digest(bench_events(500, 50, 7)) == "ffe0291ac21982a550f2d765429c592fdee838a4344b93a9b2367e6a10abac43"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_event_type_and_conversation_event_occurs(seed: int) -> None:
    kinds = {kind_of(event) for _, event in parsed(demo_events(200, seed))}

    assert kinds == EVENT_TYPES | CONVERSATION_EVENTS


def test_every_session_field_is_shown_and_there_are_as_many_sessions_as_asked_for(folded: Result) -> None:
    assert {name for session in folded.sessions for name in session} == SESSION_FIELDS
    assert len(folded.sessions) == 200


def test_bad_records_are_planted_once_for_each_reason_and_tombstones_too(folded: Result) -> None:
    assert folded.ledger["rejected"] == dict.fromkeys(REASONS, 1)
    assert folded.ledger["tombstones"] == TOMBSTONES


def test_bad_records_are_left_out_where_asked() -> None:
    result = replay(("clean", [value for _, value in demo_events(40, 1, flaws=False)]))

    assert (result.rejects, result.ledger["tombstones"]) == ([], 0)


def test_the_keys_are_the_session_ids(demo: list[tuple[str, bytes]], folded: Result) -> None:
    assert {session["id"] for session in folded.sessions} == {key for key, _ in demo} - {FLAWED_KEY}


def test_every_record_but_the_planted_ones_is_an_event_with_an_id_a_type_and_a_time(
    demo: list[tuple[str, bytes]],
) -> None:
    for _, event in parsed(demo):
        assert event.get("eventTime") or milliseconds(event["createdDate"].upper())
        assert kind_of(event) in CONVERSATION_EVENTS | {"Heartbeat"} or event["id"]


def test_each_event_has_the_key_of_its_session(demo: list[tuple[str, bytes]]) -> None:
    for key, event in parsed(demo):
        kind = kind_of(event)
        if kind in CONVERSATION_EVENTS:
            assert key == event["conversationId"]
        elif kind == "CustomEvent":
            assert key == hashed_id(event["session"]["type"], event["customEvent"]["externalId"])
        elif "session" in event and event["createdDate"] > "2025-06":  # The one that is too late has another's key.
            assert key == event["session"]["id"]


def test_raw_events_name_no_session_and_bring_nothing_that_is_derived(raw: list[tuple[str, bytes]]) -> None:
    payloads = [
        event["webEvent"] for key, event in parsed(raw) if kind_of(event) == "WebEvent" and "session" not in event
    ]

    assert len(payloads) > 500
    assert not {"browser", "device", "geolocation", "mktCampaign", "referrer"} & {
        name for part in payloads for name in part
    }
    assert {name for part in payloads for name in part["page"]} == {"url"}
    assert any("referrerUrl" in part for part in payloads)


def test_annotations_of_raw_visits_name_the_session_that_the_first_event_opens(raw: list[tuple[str, bytes]]) -> None:
    events = list(parsed(raw))
    opened = {hashed_id("cookie", key, "web", event["id"]) for key, event in events if kind_of(event) == "WebEvent"}
    named = {
        event["session"]["id"] for _, event in events if kind_of(event) == "OutcomeAchievedEvent" and "session" in event
    }

    assert named
    assert named <= opened


def test_events_come_late_out_of_order_and_twice(demo: list[tuple[str, bytes]]) -> None:
    times = [milliseconds(event["createdDate"].upper()) for _, event in parsed(demo) if "createdDate" in event]
    ids = Counter(event["id"] for _, event in parsed(demo) if "id" in event)

    newest = times[0]
    behind = []
    for event_ms in times:
        newest = max(newest, event_ms)
        behind.append(newest - event_ms)
    assert sum(1_000 < late < 60_000 for late in behind) > 50
    assert sum(late > 3_600_000 for late in behind) > 5
    assert max(ids.values()) == 2


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        ("millis", "2025-06-02T08:00:00.007Z"),
        ("micros", "2025-06-02T08:00:00.007417Z"),
        ("east", "2025-06-02T10:00:00.007+02:00"),
        ("west", "2025-06-02T04:30:00.007-03:30"),
        ("lower", "2025-06-02t08:00:00.007z"),
        ("blank", "2025-06-02 08:00:00.007Z"),
    ],
)
def test_every_spelling_of_a_time_means_the_same_ms(spelling: Any, text: str) -> None:
    event_ms = milliseconds("2025-06-02T08:00:00.007Z")

    assert Moment(spelling=spelling).written(event_ms) == text
    assert milliseconds(text.upper()) == event_ms


def test_bench_events_are_of_the_promised_size_and_shape() -> None:
    records = list(bench_events(6_000, 500, 1))

    assert 1_150 <= sum(len(value) for _, value in records) / len(records) <= 1_250
    assert set(Counter(key for key, _ in records).values()) == {12}
    assert len({json.loads(value)["id"] for _, value in records}) == 6_000
    for key, value in records[:100]:
        event = json.loads(value)
        assert event["session"] == {"id": key, "type": "web"}
        members = {"page", "browser", "device", "geolocation", "attributes", "userAgentString", "ipAddress"}
        assert members <= set(event["webEvent"])


def test_bench_times_grow_and_no_session_can_end_in_between() -> None:
    times = [milliseconds(json.loads(value)["createdDate"]) for _, value in bench_events(6_000, 500, 1)]

    assert times == sorted(times)
    assert times[-1] - times[0] < 30 * 60_000


def test_a_live_event_is_of_the_moment_it_is_asked_for() -> None:
    now_ms = milliseconds("2026-01-01T00:00:00Z")
    feed = live_events(1, clock_ms=lambda: now_ms, flaws=False)

    for _ in range(300):
        _, event = next(parsed(feed))
        event_ms = event.get("eventTime") or milliseconds(event["createdDate"].upper())
        assert now_ms - 4 * 3_600_000 < event_ms <= now_ms
        now_ms += 20


def test_compressed_output_holds_the_same_lines_and_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    plain, packed, squeezed = (tmp_path / f"demo.jsonl{suffix}" for suffix in ("", ".gz", ".zst"))
    for file in (plain, packed, squeezed):
        assert main(["--sessions", "10", "--output", str(file)]) == 0
    again = tmp_path / "again.gz"
    main(["--sessions", "10", "--output", str(again)])

    lines = plain.read_bytes()
    assert lines.count(b"\n") > 50
    assert gzip.decompress(packed.read_bytes()) == lines
    assert zstandard.ZstdDecompressor().decompressobj().decompress(squeezed.read_bytes()) == lines
    assert again.read_bytes() == packed.read_bytes()


def test_keys_come_before_a_tab(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    main(["--shape", "bench", "--events", "20", "--sessions", "5", "--keys"])

    lines = capfdbinary.readouterr().out.splitlines()
    assert len(lines) == 20
    for line in lines:
        key, _, value = line.partition(b"\t")
        assert json.loads(value)["session"]["id"].encode() == key


def test_a_reader_that_goes_away_stops_it_quietly() -> None:
    command = [sys.executable, "-m", "tests.generate", "--follow", "--rate", "500", "--seed", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as feed:
        assert feed.stdout is not None
        assert feed.stderr is not None
        first = json.loads(feed.stdout.readline())
        feed.stdout.close()
        complaint = feed.stderr.read()

    assert feed.returncode == 0
    assert complaint == b""
    assert abs(milliseconds(first["createdDate"].upper()) - time.time() * 1000) < 60_000


def test_a_wrong_option_is_refused_before_anything_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--start", "yesterday"], ["--sessions", "0"], ["--shape", "bench", "--raw"]):
        with pytest.raises(SystemExit) as refusal:
            main(wrong)
        assert refusal.value.code == 2
    assert "2025-06-02T08:00:00Z" in capsys.readouterr().err


def test_chance_is_fair_enough_and_stays_in_its_bounds() -> None:
    dice = Dice(1)

    assert {dice.between(1, 6) for _ in range(200)} == {1, 2, 3, 4, 5, 6}
    assert all(10 <= dice.skewed(10, 100) < 100 for _ in range(200))
    things = list(range(50))
    dice.shuffle(things)
    assert things != sorted(things) == list(range(50))


@pytest.mark.parametrize("rate", [50, 1_000, 20_000])
def test_records_come_at_their_rate_up_to_a_pause_ahead_and_are_on_their_way_before_each(rate: int) -> None:
    seconds, written, arrived = 0.0, 0, io.BytesIO()
    out = io.BufferedWriter(arrived, 1 << 20)

    def sleep(pause: float) -> None:
        nonlocal seconds
        assert len(arrived.getvalue()) == written
        seconds += pause

    for number, _ in enumerate(paced(iter([("", b"")] * 3 * rate), rate, out, now=lambda: seconds, sleep=sleep)):
        written += out.write(b"x")
        assert -1e-9 <= number / rate - seconds <= PAUSE_MIN_S + 1e-9
