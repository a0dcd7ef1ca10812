"""A batch's records one by one: times in the future, partition clocks, rejects beside good records (contract §2, §4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from projector.decode import decode
from projector.ledger import Mark
from projector.ports import Batch
from projector.reading import Reading, read
from projector.route import named_track
from projector.rules import Rules
from tests.given import DAY, MINUTE, SECOND, T0, Json, custom, line, talk, text_of, web
from tests.memory import MemoryRecord

RULES = Rules()
KEY = named_track("s-1")


def records(events: Sequence[Json | bytes | None], timestamp: int | None, partition: int = 0) -> list[MemoryRecord]:
    values = [line(event) if isinstance(event, dict) else event for event in events]
    return [MemoryRecord(partition, offset, value, timestamp) for offset, value in enumerate(values)]


def reading_of(
    *events: Json | bytes | None,
    timestamp: int | None = T0,
    started: int = T0,
    committed: int = 0,
    rules: Rules = RULES,
) -> tuple[Reading, Mark]:
    mark = Mark()
    batch = Batch(records=records(events, timestamp))
    return read(batch, {0: mark}, {0: committed}, rules=rules, places=None, started_at=started), mark


def times_of(reading: Reading) -> list[int]:
    """After `T0`, ms."""
    return [one.event.at - T0 for one in reading.work[KEY]]


# Times in the future.


@pytest.mark.parametrize(
    ("ms", "counts_as"), [(-DAY, -DAY), (0, 0), (5 * MINUTE, 5 * MINUTE), (5 * MINUTE + 1, 0), (900 * DAY, 0)]
)
def test_a_time_later_than_its_kafka_records_by_more_than_the_tolerance_counts_as_that(ms: int, counts_as: int) -> None:
    reading, mark = reading_of(custom("a", ms))

    assert times_of(reading) == [counts_as]
    assert mark.ledger.clamped == (ms != counts_as)


def test_the_tolerance_is_a_setting() -> None:
    reading, _ = reading_of(custom("a", 1), custom("b", 0), rules=Rules(future_tolerance=0))

    assert times_of(reading) == [0, 0]


def test_a_clamped_event_does_not_move_the_partition_clock() -> None:
    reading, mark = reading_of(custom("a", -MINUTE), custom("b", 9 * MINUTE), custom("c", -2 * MINUTE))

    assert mark.clock == T0 - MINUTE
    assert [one.clock - T0 for one in reading.work[KEY]] == [-MINUTE] * 3


def test_the_first_event_of_a_partition_may_be_clamped() -> None:
    reading, mark = reading_of(custom("a", 9 * MINUTE))

    assert mark.clock is None
    assert (times_of(reading), reading.work[KEY][0].clock) == ([0], T0)


def test_the_id_of_a_conversation_event_is_that_of_the_time_that_it_says() -> None:
    clamped, _ = reading_of(talk("acd.end", 9 * MINUTE, conversation="s-1"))
    as_it_is, _ = reading_of(talk("acd.end", 9 * MINUTE, conversation="s-1"), timestamp=T0 + DAY)

    assert clamped.work[KEY][0].event.id == as_it_is.work[KEY][0].event.id
    assert times_of(clamped) != times_of(as_it_is)


@pytest.mark.parametrize("timestamp", [None, -1])
@pytest.mark.parametrize(("ms", "counts_as"), [(5 * MINUTE, 5 * MINUTE), (5 * MINUTE + 1, SECOND)])
def test_in_a_file_a_time_later_than_the_wall_clock_counts_as_the_newest_read_so_far(
    timestamp: int | None, ms: int, counts_as: int
) -> None:
    reading, mark = reading_of(custom("a", SECOND), custom("b", -DAY), custom("c", ms), timestamp=timestamp)

    assert times_of(reading) == [SECOND, -DAY, counts_as]
    assert mark.ledger.clamped == (ms != counts_as)
    assert mark.clock == T0 + max(SECOND, counts_as)


def test_in_a_file_where_none_is_read_yet_it_is_no_event() -> None:
    reading, mark = reading_of(custom("a", 5 * MINUTE + 1), custom("b"), timestamp=None)

    (refused,) = reading.refused
    assert (refused.reason, refused.record.offset) == ("not-an-event", 0)
    assert refused.detail == (
        f"its time, {text_of(5 * MINUTE + 1)}, is in the future, and no event before it gives another"
    )
    assert (mark.ledger.clamped, times_of(reading)) == (0, [0])


# Partition clocks.


def test_a_clock_is_its_partitions_own() -> None:
    marks = {0: Mark(), 1: Mark()}
    batch = Batch(records=[*records([custom("a", 5)], None, 0), *records([custom("b", 9)], None, 1)])

    read(batch, marks, {}, rules=RULES, places=None, started_at=T0)

    assert [marks[one].clock for one in (0, 1)] == [T0 + 5, T0 + 9]


def test_a_clock_goes_on_from_where_it_was() -> None:
    marks = {0: Mark(clock=T0 + DAY)}

    reading = read(Batch(records=records([custom("a")], T0)), marks, {}, rules=RULES, places=None, started_at=T0)

    assert (marks[0].clock, reading.work[KEY][0].clock) == (T0 + DAY, T0 + DAY)


@pytest.mark.parametrize(
    "event",
    [
        web("n", MINUTE, about={"session": None}),
        web("n", MINUTE, attributes={"a": "x" * 8193}),
        web("n", MINUTE, page={}, browser=5),
        custom("n", MINUTE, about={"eventType": "x"}),
    ],
)
def test_a_reject_moves_no_clock(event: Json) -> None:
    reading, mark = reading_of(custom("a"), event)

    assert mark.clock == T0
    assert len(reading.refused) == 1


# Rejects beside good records, and what becomes of each.


def test_one_bad_record_loses_none_beside_it() -> None:
    bad: list[Json | bytes | None] = [
        b"{",
        b"\xff",
        b"[" * 200_000,
        b"{}",
        None,
        b"",
        web("n", about={"session": None}),
    ]
    mixed: list[Json | bytes | None] = [custom("first")]
    for number, one in enumerate(bad):
        mixed += [one, custom(f"e-{number}")]

    reading, mark = reading_of(*mixed)

    assert [one.event.id for one in reading.work[KEY]] == ["first", *(f"e-{number}" for number in range(len(bad)))]
    assert [one.record.offset for one in reading.refused] == [1, 3, 5, 7, 13]
    assert (mark.ledger.read, mark.ledger.tombstones) == (len(mixed), 2)
    assert mark.ledger.rejected == {"not-json": 3, "not-an-event": 1, "no-identity": 1}


def test_a_record_that_makes_our_own_code_fail_is_a_reject_and_loses_none_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decode_but_one(value: bytes | None) -> Any:
        if value == b"bad":
            raise KeyError("of nobody")
        return decode(value)

    monkeypatch.setattr("projector.reading.decode", decode_but_one)
    reading, mark = reading_of(custom("a"), b"bad", custom("b"))

    assert [(one.record.offset, one.reason) for one in reading.refused] == [(1, "not-an-event")]
    assert "KeyError" in reading.refused[0].detail
    assert "of nobody" not in reading.refused[0].detail
    assert mark.ledger.balance() == 2  # The two that are still to be folded.


def test_of_several_reasons_the_first_of_the_list_is_given() -> None:
    many = {str(name): 1 for name in range(201)}
    nobody = {"session": None}

    reading, _ = reading_of(
        b"x" * ((1 << 20) + 1),
        line(web("n", attributes=many, about=nobody | {"id": ""}))[:-1],
        web("", attributes=many, about=nobody | {"eventType": "x"}),
        web("n", attributes=many, about=nobody | {"eventType": "x"}),
        web("n", attributes=many, about=nobody),
        web("n", -90 * DAY, attributes=many),
    )

    assert [one.reason for one in reading.refused] == [
        *("too-large", "not-json", "not-an-event", "unknown-type", "no-identity", "too-large")
    ]


def test_what_is_below_the_committed_offset_was_accounted_for_whatever_it_is() -> None:
    reading, mark = reading_of(b"{", None, b"{}", custom("a"), b"{", None, committed=4)

    assert [one.record.offset for one in reading.refused] == [4]
    assert (mark.ledger.redelivered, mark.ledger.tombstones, mark.ledger.read) == (3, 1, 6)
    assert len(reading.work[KEY]) == 1  # What becomes of it the fold says.


def test_events_of_one_track_stay_in_the_order_of_the_log() -> None:
    reading, _ = reading_of(
        custom("b", 5), web("x", about={"session": {"id": "other"}}), custom("a", 1), custom("c", 3)
    )

    assert [(one.offset, one.event.id) for one in reading.work[KEY]] == [(0, "b"), (2, "a"), (3, "c")]


def test_too_many_attributes_are_seen_in_the_shortest_record_that_can_hold_them() -> None:
    names = ["", *(chr(one) for one in range(32, 128) if chr(one) not in '"\\')]
    names += [a + b for a in "abcdefghijk" for b in "0123456789"]
    members = ",".join(f'"{name}":1' for name in names[:201])
    shortest = (
        f'{{"id":"a","eventType":"AppEvent","createdDate":"{text_of(0)}","session":{{"id":"s"}},'
        f'"appEvent":{{"eventName":"","attributes":{{{members}}}}}}}'
    ).encode()

    reading, _ = reading_of(shortest)

    assert [refused.reason for refused in reading.refused] == ["too-large"]
