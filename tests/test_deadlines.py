"""Ends that the clock brings, on their ms, and the sweep of what is no longer held (contract §4, design §3 step 7)."""

from __future__ import annotations

import pytest

from projector.rules import Rules
from projector.track import SWEEP_SLACK
from tests.given import DAY, MINUTE, SECOND, Json, app, custom, ended, heartbeat, outcome, talk, text_of, visit, web
from tests.group import Group

WEEK = 7 * DAY


def other(ms: int) -> Json:
    """An event of another session, which moves the partition clock to `ms`."""
    return custom(f"clock-{ms}", ms, about={"session": {"id": "other"}})


def end_of(group: Group, session: str = "s-1") -> str | None:
    end: str | None = group.sessions()[session].get("endedDate")
    return end


# The clocks.


@pytest.mark.parametrize("event", [web("a"), app("a")])
def test_with_no_further_event_the_wall_clock_ends_a_session_whose_partition_is_read(event: Json) -> None:
    group = Group()
    group.tell(event)
    group.settle(at=30 * MINUTE)
    assert end_of(group) is None

    group.settle(at=30 * MINUTE + 1)

    assert end_of(group) == text_of(30 * MINUTE)
    assert group.newest_revisions()["s-1"] == 3


def test_the_partition_clock_ends_a_session_too() -> None:
    group = Group()
    group.tell(web("a"), other(30 * MINUTE))
    assert end_of(group.settle()) is None

    group.tell(other(30 * MINUTE + 1))

    assert end_of(group.settle()) == text_of(30 * MINUTE)


def test_the_wall_clock_ends_nothing_while_its_partition_has_unread_records() -> None:
    group = Group(size=1)
    group.tell(web("a"), web("b", 29 * MINUTE), web("c", 58 * MINUTE))

    group.settle(at=59 * MINUTE)

    assert end_of(group) is None
    assert all(revision % 2 == 0 for revision in group.revisions["s-1"])


def test_the_clock_of_another_partition_ends_nothing() -> None:
    group = Group(partitions=2)
    group.tell(web("a"), partition=0)
    group.tell(other(DAY), partition=1)

    assert end_of(group.settle()) is None


def test_a_session_ends_by_the_clock_of_its_home_whoever_else_has_its_events() -> None:
    group = Group(partitions=2, workers=2)
    group.tell(web("a"), partition=0)
    group.settle()
    group.tell(web("b", MINUTE), other(DAY), partition=1)
    assert end_of(group.settle()) is None

    group.tell(other(31 * MINUTE + 1), partition=0)

    assert end_of(group.settle()) == text_of(31 * MINUTE)


# Extended, revived, ended otherwise.


def test_a_session_that_was_extended_ends_later() -> None:
    group = Group()
    group.tell(web("a"))
    group.settle(at=MINUTE)
    group.tell(heartbeat(20 * MINUTE))

    assert end_of(group.settle(at=50 * MINUTE)) is None
    assert end_of(group.settle(at=50 * MINUTE + 1)) == text_of(50 * MINUTE)


def test_a_revived_session_ends_again() -> None:
    group = Group()
    group.tell(web("a"))
    group.settle(at=DAY)
    group.tell(web("b", DAY))
    assert end_of(group.settle()) is None

    assert end_of(group.settle(at=DAY + 30 * MINUTE + 1)) == text_of(DAY + 30 * MINUTE)


def test_a_session_that_was_ended_by_an_event_keeps_that_end() -> None:
    group = Group()
    group.tell(web("a"), ended("e", SECOND))
    group.settle(at=DAY)

    assert end_of(group) == text_of(SECOND)


def test_custom_sessions_and_conversations_never_end_by_time() -> None:
    group = Group()
    group.tell(custom("a"), talk("acd.start", conversation="c"))
    group.settle(at=90 * DAY)

    assert end_of(group) is end_of(group, "c") is None


def test_a_session_that_is_not_published_yet_ends_when_it_is() -> None:
    group = Group()
    group.tell(outcome("o", session={"id": "s-1", "type": "web"}))
    group.settle(at=DAY)
    assert group.sessions() == {}

    group.tell(web("a", MINUTE))

    assert end_of(group.settle()) == text_of(31 * MINUTE)


def test_an_end_is_published_once() -> None:
    group = Group()
    group.tell(web("a"))
    group.settle(at=DAY)
    published = list(group.revisions["s-1"])

    group.settle(at=2 * DAY)
    group.settle(at=5 * DAY)

    assert group.revisions["s-1"] == published


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("is_the_store", [True, False])
def test_an_end_whose_save_or_publish_fails_comes_all_the_same(is_the_store: bool, before: bool) -> None:
    group = Group()
    group.tell(web("a"))
    group.settle(at=0)
    group.fail(group.store.failing if is_the_store else group.publishing, after=0, before=before)

    group.settle(at=DAY)

    assert end_of(group) == text_of(30 * MINUTE)
    assert group.newest_revisions()["s-1"] == 3


def test_a_thousand_deadlines_and_more_fire_in_one_go() -> None:
    group = Group(size=2000)
    group.tell(*(web(f"e-{number}", number, about={"session": {"id": f"s-{number}"}}) for number in range(1500)))
    group.settle(at=0)

    group.settle(at=31 * MINUTE)

    assert all("endedDate" in session for session in group.sessions().values())


# The sweep.


def test_what_is_no_longer_held_goes_an_hour_of_the_log_later_and_its_snapshot_stays() -> None:
    group = Group()
    group.tell(web("a"), other(WEEK + SWEEP_SLACK))
    assert "s-1" in group.settle().stored()

    group.tell(other(WEEK + SWEEP_SLACK + 1))

    assert "s-1" not in group.settle().stored()
    assert group.sessions()["s-1"]["eventCount"] == 1


def test_the_wall_clock_sweeps_nothing() -> None:
    group = Group()
    group.tell(web("a"))

    assert "s-1" in group.settle(at=90 * DAY).stored()


def test_a_replay_keeps_what_it_no_longer_holds() -> None:
    group = Group(sweeps=False)
    group.tell(web("a"), other(80 * DAY))

    assert "s-1" in group.settle().stored()


def test_without_retention_nothing_is_swept() -> None:
    group = Group(rules=Rules(retention=0))
    group.tell(custom("a"), other(80 * DAY))

    assert "s-1" in group.settle(at=90 * DAY).stored()


def test_a_session_that_was_active_again_before_the_sweep_stays() -> None:
    group = Group()
    group.tell(custom("a"))
    group.settle()
    group.tell(custom("b", WEEK), other(WEEK + SWEEP_SLACK + 1))

    assert "s-1" in group.settle().stored()


def test_an_id_that_comes_back_after_the_sweep_has_a_higher_revision() -> None:
    group = Group()
    group.tell(custom("a"), other(8 * DAY))
    group.settle()
    assert "s-1" not in group.stored()
    before = group.newest_revisions()["s-1"]

    group.tell(custom("a", 8 * DAY))

    assert group.settle().newest_revisions()["s-1"] > before
    assert group.sessions()["s-1"]["createdDate"] == text_of(8 * DAY)


def silence_begins(group: Group) -> None:
    """What is told next is read again in silence, two records a turn: one shard has a position that the other has not."""
    group.fail(group.store.failing, after=5, before=True)
    group.workers[0].step()
    assert group.workers[0].life is None
    group.members[0].size = 2
    group.workers[0].step()
    life = group.workers[0].life
    assert life is not None
    assert life.marks[0].silent_from is not None


@pytest.mark.parametrize("publishes", range(5))
def test_nothing_is_swept_that_a_new_life_would_read_again_in_part(publishes: int) -> None:
    group = Group(size=4, shards=2, rules=Rules(retention=60 * MINUTE))
    group.tell(*(web(str(number), about={"session": {"id": f"web-{number}", "type": "web"}}) for number in range(3)))
    group.tell(web("first"))
    group.settle()
    linked = talk("acd.start", 31 * MINUTE, conversation="c", journeyContext={"sessionId": "web-1"})
    group.tell(web("second", 30 * MINUTE), linked, other(300 * MINUTE), other(360 * MINUTE))
    silence_begins(group)

    group.fail(group.publishing, after=publishes, before=True)
    group.settle()

    assert group.sessions()["s-1"]["eventCount"] == 2

    group.publishing.at = None
    group.tell(other(30 * DAY))
    group.settle()
    assert set(group.stored()) == {"other"}


def test_a_track_that_has_no_session_left_is_swept_after_the_silence() -> None:
    group = Group(size=4, shards=2, rules=Rules(retention=60 * MINUTE))
    group.tell(visit("a", 0))
    (named,) = group.settle().sessions()
    group.tell(other(32 * MINUTE))
    group.settle()
    group.tell(web("x", 100 * MINUTE, about={"session": {"id": named, "type": "web"}}))
    group.settle()
    assert any(not track.sessions for _, track in group.store.sessions())  # The visitor's.
    group.tell(other(110 * MINUTE), other(130 * MINUTE))
    group.fail(group.store.failing, after=1, before=True)
    group.workers[0].step()

    group.settle()
    for days in (10, 20):
        group.tell(other(days * DAY))
        group.settle()

    assert list(group.stored()) == ["other"]
    assert len(group.store.all_keys()) == 1


@pytest.mark.parametrize("first", [web("a"), custom("a"), talk("acd.start", conversation="s-1")])
def test_a_session_that_begins_anew_ends_in_time_though_its_sweep_was_put_off(first: Json) -> None:
    group = Group(size=1, rules=Rules(retention=45 * MINUTE))
    group.tell(first)
    group.settle(at=110 * MINUTE)  # The wall clock has passed the sweep, the log has not: asked again an hour later.

    group.tell(web("b", 100 * MINUTE), other(100 * MINUTE))
    group.settle(at=120 * MINUTE)
    assert end_of(group) is None
    group.settle(at=130 * MINUTE + 1)

    assert end_of(group) == text_of(130 * MINUTE)
