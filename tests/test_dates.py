"""Times are read as RFC 3339 says, cut off toward the past, and written in one form (contract §1, §2, §6)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector import dates
from projector.dates import GREATEST, LEAST, format_time, format_time_json, parse_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ms_of(*parts: int) -> int:
    return (datetime(*parts, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2025-06-10T08:00:05.120Z", ms_of(2025, 6, 10, 8, 0, 5) + 120),
        ("2025-06-10T08:00:05Z", ms_of(2025, 6, 10, 8, 0, 5)),
        ("2025-06-10t08:00:05z", ms_of(2025, 6, 10, 8, 0, 5)),
        ("2025-06-10 08:00:05.120Z", ms_of(2025, 6, 10, 8, 0, 5) + 120),
        ("2025-06-10T08:00:05.1Z", ms_of(2025, 6, 10, 8, 0, 5) + 100),
        ("2025-06-10T10:00:05+02:00", ms_of(2025, 6, 10, 8, 0, 5)),
        ("2025-06-10T00:30:00-23:59", ms_of(2025, 6, 11, 0, 29)),
        ("2025-06-10T08:00:05-00:00", ms_of(2025, 6, 10, 8, 0, 5)),
        ("2024-02-29T00:00:00Z", ms_of(2024, 2, 29)),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_a_time_is_read_in_every_form_that_rfc_3339_has(text: str, ms: int) -> None:
    assert parse_time(text) == ms


@pytest.mark.parametrize("digits", ["7509", "750", "7509999999", "750000000000000000000000000001"])
def test_what_is_finer_than_a_ms_is_cut_off_toward_the_past(digits: str) -> None:
    assert parse_time(f"1970-01-01T00:00:00.{digits}Z") == 750
    assert parse_time(f"1969-12-31T23:59:59.{digits}Z") == -250


@pytest.mark.parametrize(
    "text",
    [
        "2025-06-10T08:00:60Z",
        "2025-06-10T08:00:60.000Z",
        "2025-06-10T24:00:00Z",
        "2025-06-10T24:00:00.000Z",
        "2025-06-10T08:60:00Z",
        "2025-02-29T08:00:00Z",
        "2025-13-01T08:00:00.000Z",
        "2025-00-01T08:00:00Z",
        "0000-01-01T00:00:00Z",
        "0000-01-01T00:00:00.000Z",
        "10000-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "2025-06-10T08:00:05",
        "2025-06-10T08:00:05.120",
        "2025-06-10",
        "2025-06-10T08:00Z",
        "20250610T080005Z",
        "2025-06-10T08:00:05.Z",
        "2025-06-10T08:00:05,120Z",
        "2025-06-10T08:00:05+0200",
        "2025-06-10T08:00:05+24:00",
        "2025-06-10T08:00:05+02:60",
        "2025-06-10T08:00:05.120Z ",
        " 2025-06-10T08:00:05.120Z",
        "2025-06-10T08:00:05.120Z\n",
        "2025-06-10  08:00:05Z",
        "２025-06-10T08:00:05.120Z",
        "2025-06-10T08:00:05.１20Z",
        "2025-06-10T08:00:0x.120Z",
        "2025-06-10T08:00:05.-12Z",
        "2025-W24-2T08:00:05Z",
        "now",
        "",
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    assert parse_time(text) is None


def test_the_years_1_and_9999_are_read_to_their_last_ms_and_no_further() -> None:
    assert parse_time("0001-01-01T00:00:00.000Z") == LEAST
    assert parse_time("9999-12-31T23:59:59.999999Z") == GREATEST
    assert parse_time("0001-01-01T01:00:00+01:00") == LEAST
    assert parse_time("9999-12-31T22:59:59.999-01:00") == GREATEST
    assert parse_time("0001-01-01T00:00:00+00:01") is None
    assert parse_time("9999-12-31T23:59:00-00:01") is None


@given(st.integers(LEAST, GREATEST))
def test_what_is_written_is_read_as_the_same(ms: int) -> None:
    text = format_time(ms)

    assert len(text) == 24
    assert parse_time(text) == ms


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (LEAST, "0001-01-01T00:00:00.000Z"),
        (GREATEST, "9999-12-31T23:59:59.999Z"),
        (LEAST - 1, "0001-01-01T00:00:00.000Z"),
        (GREATEST + 45_000, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_beyond_the_years_is_shown_as_the_nearest_within(ms: int, text: str) -> None:
    assert format_time(ms) == text
    assert format_time_json(ms) == f'"{text}"'.encode()


def test_more_minutes_than_are_remembered_are_written_all_the_same() -> None:
    minutes = range(dates.MINUTES_REMEMBERED + 10)

    texts = {format_time(minute * 60_000) for minute in minutes}

    assert len(texts) == len(minutes)
    assert len(dates.MINUTES) <= dates.MINUTES_REMEMBERED
    assert format_time(61_001) == "1970-01-01T00:01:01.001Z"


@given(st.text(max_size=40))
def test_no_text_raises(text: str) -> None:
    assert parse_time(text) is None or LEAST <= (parse_time(text) or 0) <= GREATEST
