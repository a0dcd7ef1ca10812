"""The unit that is stored: positions, lateness on its ms, what comes back after retention, revisions (contract §4, §6)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given

from projector.decode import Rejected
from projector.route import named_track
from projector.rules import Rules
from projector.session import is_published, new_session
from projector.track import (
    FORMAT,
    SWEEP_SLACK,
    Incoming,
    NewerFormatError,
    Outcome,
    Track,
    decode_track,
    encode_track,
    fold,
    is_swept,
    next_due,
    revision_of,
    settle,
)
from tests.given import DAY, HOUR, MINUTE, T0, Json, custom, ended, folded, outcome, read, snapshot, talk, web
from tests.group import Group
from tests.strategies import lines_of, named_events

RULES = Rules()
WEEK = 7 * DAY


def incoming(event: Json, offset: int, *, clock: int | None = None, partition: int = 0) -> Incoming:
    """`clock` after `T0`, without one the event's own time."""
    read_event = read(event)
    at = read_event.at if clock is None else T0 + clock
    return Incoming(partition, offset, named_track("s-1"), read_event, at)


def told(
    track: Track, *records: Incoming, committed: Mapping[int, int] | None = None, rules: Rules = RULES
) -> list[Outcome | str]:
    """What became of each record: an outcome, or a reject's reason."""
    odd = fold(track, named_track("s-1"), records, committed=committed or {}, rules=rules, cuts=Counter())
    became = {record.offset: outcome for record, outcome in odd}
    outcomes = [became.get(record.offset, Outcome.FOLDED) for record in records]
    return [outcome.reason.value if isinstance(outcome, Rejected) else outcome for outcome in outcomes]


def revision(track: Track) -> int:
    return revision_of(track, track.sessions[0], RULES)


# Positions.


def test_records_below_the_applied_position_are_skipped() -> None:
    track = Track()
    records = [incoming(custom("a"), 3), incoming(custom("b", 1), 7)]

    assert told(track, *records) == [Outcome.FOLDED] * 2
    assert track.applied == {0: 8}
    assert told(track, *records, incoming(custom("c"), 8)) == [*[Outcome.REDELIVERED] * 2, Outcome.FOLDED]
    assert snapshot(track.sessions[0])["eventCount"] == 3


def test_a_position_is_its_partitions_own() -> None:
    track = Track()

    assert told(track, incoming(custom("a"), 9), incoming(custom("b"), 0, partition=1)) == [Outcome.FOLDED] * 2
    assert track.applied == {0: 10, 1: 1}
    assert track.home == 0


def test_a_duplicate_moves_the_position_and_the_revision() -> None:
    track = Track()
    told(track, incoming(custom("a"), 0))
    before = revision(track)

    assert told(track, incoming(custom("a"), 5)) == [Outcome.DUPLICATE]
    assert (track.applied, revision(track)) == ({0: 6}, before + 10)


# Lateness.


@pytest.mark.parametrize(("behind", "became"), [(WEEK, Outcome.FOLDED), (WEEK + 1, "too-late")])
def test_an_event_that_belongs_to_no_session_is_too_late_beyond_the_retention(
    behind: int, became: Outcome | str
) -> None:
    assert told(Track(), incoming(custom("a"), 0, clock=behind)) == [became]


def test_a_held_session_takes_an_event_of_any_time() -> None:
    track = Track()
    told(track, incoming(custom("a", 0), 0))

    assert told(track, incoming(custom("b", -90 * DAY), 1, clock=WEEK)) == [Outcome.FOLDED]
    assert told(track, incoming(custom("c", -90 * DAY), 2, clock=WEEK + 1)) == ["too-late"]


def test_without_retention_nothing_is_too_late_and_nothing_starts_anew() -> None:
    track, rules = Track(), Rules(retention=0)

    became = told(track, incoming(custom("a"), 0), incoming(custom("b", 1), 1, clock=9999 * DAY), rules=rules)

    assert became == [Outcome.FOLDED] * 2
    assert snapshot(track.sessions[0])["eventCount"] == 2
    assert next_due(track, rules) is None


def test_a_reject_says_how_late_the_event_is() -> None:
    record = incoming(custom("a"), 0, clock=WEEK + 5)
    ((_, refused),) = fold(Track(), named_track("s-1"), [record], committed={}, rules=RULES, cuts=Counter())

    assert isinstance(refused, Rejected)
    assert refused.detail == (
        f"the event is {WEEK + 5} ms behind its partition's clock, the retention is {WEEK} ms,"
        " and no session of it is kept"
    )


def test_what_was_too_late_is_so_again_until_that_is_published() -> None:
    track = Track()
    record = incoming(custom("late", -8 * DAY), 1, clock=8 * DAY)
    told(track, incoming(custom("a"), 0))
    assert told(track, record) == ["too-late"]
    told(track, incoming(custom("b", 8 * DAY), 2))  # The id starts anew; now the late one would be taken.

    assert told(track, record, committed={0: 1}) == ["too-late"]
    assert told(track, record, committed={0: 2}) == [Outcome.REDELIVERED]
    assert track.late == []


def test_a_late_record_that_is_delivered_again_is_published_as_a_reject_once() -> None:
    group = Group()
    group.tell(custom("a"), custom("clock", 8 * DAY, about={"session": {"id": "other"}}), custom("late", -1))
    group.fail(group.publishing, after=0, before=True)

    group.settle()

    assert group.reasons() == [(0, 2, "too-late")]
    ledger = group.ledger()
    assert (ledger.rejected, ledger.redelivered, ledger.balance()) == ({"too-late": 1}, 2, 0)


# After retention.


def test_an_id_that_comes_back_after_the_retention_starts_anew_with_a_higher_revision() -> None:
    track = Track()
    told(track, incoming(custom("a"), 0), incoming(custom("b", 1), 1))
    before = revision(track)
    track.sessions[0].short_id = "123456"

    assert told(track, incoming(custom("a", WEEK + 2), 2)) == [Outcome.FOLDED]

    published = snapshot(track.sessions[0])
    assert (published["eventCount"], published["lastEvent"]["id"]) == (1, "a")
    assert published["shortId"] == "123456"
    assert revision(track) > before


@pytest.mark.parametrize(("at", "events"), [(WEEK, 2), (WEEK + 1, 1)])
def test_exactly_the_retention_after_its_last_activity_a_session_goes_on(at: int, events: int) -> None:
    track = Track()
    told(track, incoming(custom("a"), 0), incoming(custom("b", at), 1))

    assert snapshot(track.sessions[0])["eventCount"] == events


def test_an_id_that_returns_is_published_anew_and_the_replay_shows_the_newer() -> None:
    group = Group()
    group.tell(custom("a"), custom("b", WEEK + 1))

    session = group.settle().sessions()["s-1"]

    assert (session["eventCount"], session["lastEvent"]["id"]) == (1, "b")
    assert group.ledger().folded == 2


# Revisions and the end.


def test_a_revision_is_twice_the_positions_and_one_more_once_it_has_ended() -> None:
    track = Track()
    told(track, incoming(web("a"), 4), incoming(web("b", 1), 0, partition=1))

    assert revision(track) == 2 * (5 + 1)
    assert settle(track, T0 + 30 * MINUTE + 1, RULES) == []
    assert settle(track, T0 + 30 * MINUTE + 2, RULES) == track.sessions
    assert revision(track) == 2 * (5 + 1) + 1


def test_a_session_that_is_revived_has_a_higher_revision_than_its_end() -> None:
    track = Track()
    told(track, incoming(web("a"), 0))
    settle(track, T0 + DAY, RULES)
    at_its_end = revision(track)

    told(track, incoming(web("b", DAY), 1))

    assert revision(track) > at_its_end


# What the store is told.


def test_the_store_calls_at_the_end_by_time_and_then_for_the_sweep() -> None:
    track = Track()
    told(track, incoming(web("a"), 0))

    assert next_due(track, RULES) == T0 + 30 * MINUTE
    settle(track, T0 + DAY, RULES)
    assert next_due(track, RULES) == T0 + WEEK + SWEEP_SLACK


@pytest.mark.parametrize("event", [custom("a"), outcome("o"), talk("acd.start", conversation="s-1")])
def test_a_session_that_never_ends_by_time_is_called_for_the_sweep_only(event: Json) -> None:
    track = Track()
    told(track, incoming(event, 0))

    assert next_due(track, RULES) == T0 + WEEK + SWEEP_SLACK


def test_a_track_is_swept_an_hour_after_it_is_no_longer_held() -> None:
    track = Track()
    told(track, incoming(custom("a"), 0))

    assert SWEEP_SLACK == HOUR
    assert not is_swept(track, T0 + WEEK + HOUR, RULES)
    assert is_swept(track, T0 + WEEK + HOUR + 1, RULES)


# Stored.


@given(named_events())
def test_a_track_comes_back_from_the_store_as_it_was(events: list[Json]) -> None:
    session = folded(json.loads(one) for one in lines_of(events))
    session.short_id, session.linked = "000001", {3: 2**40}
    track = Track(applied={0: 5, 17: 2**62}, home=17, sessions=[session, new_session('ä\n"')], late=[(0, 3)])

    again = decode_track(encode_track(track))

    assert again == track
    assert is_published(again.sessions[0]) == is_published(session)


def test_what_a_later_version_wrote_is_refused() -> None:
    stored = bytes([FORMAT[0] + 1]) + encode_track(Track())[1:]

    with pytest.raises(NewerFormatError, match="a stored session has format 2, this version reads 1"):
        decode_track(stored)


def test_session_ended_alone_is_kept_for_the_session_to_come() -> None:
    track = Track()
    told(track, incoming(ended("e", 5), 0))
    assert not is_published(track.sessions[0])

    told(track, incoming(web("a", 2), 1))

    assert snapshot(track.sessions[0])["endedDate"].endswith("00:00.005Z")
