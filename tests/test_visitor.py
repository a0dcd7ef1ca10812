"""Visits of a visitor who comes back after the retention: none is lost, however the log is cut into batches."""

from __future__ import annotations

import json
from random import Random

import pytest

from projector import sessionize
from projector.adapters.embedded import EmbeddedStore
from projector.replay import Replay
from projector.rules import Rules
from projector.session import is_published
from tests.given import DAY, HOUR, MINUTE, T0, Json, line, text_of, visit, web
from tests.group import Group
from tests.memory import MemoryPublisher, MemoryRecord, MemorySource

SIZES = pytest.mark.parametrize("size", [1, 2, 100])


def told(size: int, *events: Json, sweeps: bool = True) -> Group:
    group = Group(size=size, sweeps=sweeps)
    group.tell(*events)
    return group.settle(at=90 * DAY)


def spans(sessions: dict[str, Json]) -> list[tuple[str, str | None]]:
    """First activity and end of each."""
    return sorted((one["createdDate"], one.get("endedDate")) for one in sessions.values())


@SIZES
def test_every_visit_of_a_backlog_is_published_and_ended(size: int) -> None:
    first, second, third = visit("a", 0), visit("b", 8 * DAY), visit("c", 16 * DAY)

    group = told(size, first, second, third)

    assert [end is not None for _, end in spans(group.sessions())] == [True, True, True]
    assert group.ledger().folded == 3


@SIZES
def test_a_replay_shows_every_visit_and_its_end_though_the_log_is_longer_than_the_retention(size: int) -> None:
    events = [visit("a", 0), visit("b", 8 * DAY), visit("x", 8 * DAY + 2 * HOUR, "d"), visit("c", 8 * DAY + 4 * HOUR)]
    log = {0: [MemoryRecord(0, offset, line(event)) for offset, event in enumerate(events)]}
    source, rules = MemorySource(log, [size] * len(events)), Rules()
    again = Replay(
        source=source,
        store=EmbeddedStore(),
        publisher=MemoryPublisher(source),
        rules=rules,
        places=None,
        started_at=T0 + 90 * DAY,
    )
    again.run(as_of=T0 + 9 * DAY, on_progress=lambda _: None)

    shown = {session["id"]: session for session in map(json.loads, again.sessions())}

    assert [end is not None for _, end in spans(shown)] == [True, True, True, True]
    assert spans(shown) == spans(told(size, *events).sessions())


@SIZES
def test_the_withdrawal_of_a_merged_visit_is_published_though_its_visitor_comes_back_much_later(size: int) -> None:
    apart = [visit("a", 0), visit("b", 50 * MINUTE)]
    group = told(size, *apart)
    left, right = sorted(group.sessions(), key=lambda one: group.sessions()[one]["createdDate"])

    group.tell(visit("between", 25 * MINUTE), visit("c", 8 * DAY))
    group.settle()

    assert right not in group.sessions()
    assert group.sessions()[left]["eventCount"] == 3
    assert len(group.sessions()) == 2


@SIZES
def test_events_that_name_a_visit_come_in_the_order_of_the_log_with_those_that_do_not(size: int) -> None:
    group = told(size, visit("a", 0))
    (session_id,) = group.sessions()
    about = {"session": {"id": session_id, "type": "web"}}

    group.tell(visit("x", 1 * MINUTE), web("n", 2 * MINUTE, about=about), visit("y", 3 * MINUTE))
    group.settle()

    assert group.sessions()[session_id]["eventCount"] == 4
    assert group.ledger().folded == 4


@SIZES
def test_events_that_name_a_visit_that_was_merged_come_in_the_order_of_the_log_too(size: int) -> None:
    group = told(size, visit("a", 0), visit("b", 50 * MINUTE))
    left, right = sorted(group.sessions(), key=lambda one: group.sessions()[one]["createdDate"])
    group.tell(visit("between", 25 * MINUTE))
    group.settle()
    about = {"session": {"id": right, "type": "web"}}

    group.tell(visit("x", 51 * MINUTE), web("n", 52 * MINUTE, about=about), visit("y", 53 * MINUTE))
    group.settle()

    assert {one: shown["eventCount"] for one, shown in group.sessions().items()} == {left: 6}
    assert group.ledger().folded == 6


@SIZES
@pytest.mark.parametrize("opener", ["a", "b"])
def test_an_event_that_opened_a_visit_is_known_by_its_id_for_ever(size: int, opener: str) -> None:
    group = Group(size=size, rules=Rules(event_ids_max=2))  # What comes later than two others is forgotten.
    group.tell(visit("a", 100 * MINUTE), visit("b", 60 * MINUTE), visit("joins a to b", 80 * MINUTE))
    group.tell(visit("c", 101 * MINUTE), visit("d", 102 * MINUTE))
    group.settle()
    (session_id,) = group.sessions()

    group.tell(visit(opener, 20 * MINUTE), visit("joins what it would open", 45 * MINUTE))
    group.settle()

    assert {one: shown["eventCount"] for one, shown in group.sessions().items()} == {session_id: 6}
    assert group.ledger().duplicates == 1


@SIZES
def test_an_event_comes_to_no_visit_that_is_not_held(size: int) -> None:
    """It is not too late, and within the timeout of one that has just been forgotten."""
    group = told(size, visit("a", 0), visit("x", 7 * DAY + MINUTE, "d"), visit("b", 2 * MINUTE))

    assert [one["eventCount"] for one in group.sessions().values()] == [1, 1, 1]


@SIZES
def test_a_visit_that_is_named_again_after_the_retention_starts_anew(size: int) -> None:
    group = told(size, visit("a", 0))
    (named,) = group.sessions()

    group.tell(visit("b", 8 * DAY), web("n", 8 * DAY + MINUTE, about={"session": {"id": named}}))
    group.settle()

    assert sorted(one["eventCount"] for one in group.sessions().values()) == [1, 1]
    assert group.sessions()[named]["lastEvent"]["id"] == "n"
    assert group.revisions[named] == sorted(group.revisions[named])


@SIZES
def test_what_a_visitor_does_next_does_not_join_a_session_that_took_the_id_of_a_past_visit(size: int) -> None:
    (named,) = told(1, visit("a", 0)).sessions()

    group = told(size, visit("a", 0), web("n", 8 * DAY, about={"session": {"id": named}}), visit("b", 8 * DAY + MINUTE))

    assert sorted(one["lastEvent"]["id"] for one in group.sessions().values()) == ["b", "n"]
    assert group.sessions()[named]["lastEvent"]["id"] == "n"


def test_a_visit_ends_in_time_though_an_older_one_of_its_visitor_waits_for_its_sweep() -> None:
    group = Group()
    group.tell(visit("a", 0))
    group.settle(at=31 * MINUTE)

    group.tell(visit("b", 7 * DAY + 50 * MINUTE))
    for minute in (51, 65, 81):  # The sweep is due at 60, by the partition clock only.
        group.settle(at=7 * DAY + minute * MINUTE)

    assert [end is not None for _, end in spans(group.sessions())] == [True, True]


@pytest.mark.parametrize("sweeps", [True, False], ids=["live", "replay"])
def test_a_visitor_whose_only_visit_gave_its_id_away_comes_to_rest(sweeps: bool) -> None:
    group = Group(sweeps=sweeps)
    group.tell(visit("a", 0))
    (named,) = group.settle().sessions()

    group.tell(web("x", 8 * DAY, about={"session": {"id": named}}), web("y", 9 * DAY))

    assert group.settle(at=90 * DAY).sessions()[named]["eventCount"] == 1


def test_what_is_kept_of_a_visitor_is_bounded_whatever_the_retention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessionize, "VISITS_MAX", 20)
    campaigns = [f"https://shop.example.com/?utm_source={n}" for n in range(100)]
    group = told(10, *(visit(f"e-{n}", n, page={"url": url}) for n, url in enumerate(campaigns)))

    kept = [session for _, track in group.store.sessions() for session in track.sessions if is_published(session)]

    assert [end is not None for _, end in spans(group.sessions())] == [True] * len(campaigns)
    assert 10 <= len(kept) <= 30


@SIZES
def test_a_session_that_comes_back_after_its_sweep_was_due_ends_in_a_replay_too(size: int) -> None:
    others = [web(f"o-{n}", 9 * DAY + n * MINUTE, about={"session": {"id": "other"}}) for n in range(3)]
    events = [web("a"), *others, web("b", 9 * DAY + 5 * MINUTE)]

    group = told(size, *events, sweeps=False)

    assert group.sessions()["s-1"]["lastEvent"]["id"] == "b"
    assert "endedDate" in group.sessions()["s-1"]


def test_a_visit_that_opens_ends_in_time_though_the_sweep_of_the_one_before_was_put_off() -> None:
    group = Group(size=1, rules=Rules(retention=45 * MINUTE))
    group.tell(visit("a", 0))
    group.settle(at=110 * MINUTE)  # The wall clock has passed the sweep, the log has not: asked again an hour later.

    group.tell(visit("b", 100 * MINUTE), visit("x", 100 * MINUTE, "d"))
    group.settle(at=120 * MINUTE)
    group.settle(at=130 * MINUTE + 1)

    assert [end for _, end in spans(group.sessions())] == [text_of(at * MINUTE) for at in (30, 130, 130)]


@SIZES
def test_a_wall_stands_though_the_visit_before_it_is_let_go(size: int) -> None:
    split = visit("b", 20 * MINUTE, mktCampaign={"source": "mail"})
    pages = [visit(f"page-{number}", number * 20 * MINUTE) for number in range(2, 16)]
    group = Group(size=size, rules=Rules(retention=3 * HOUR))
    group.tell(visit("a", 0), split, *pages)
    group.settle(at=300 * MINUTE)
    assert len(list(group.stored())) == 1

    group.tell(visit("late", 15 * MINUTE))
    group.settle(at=300 * MINUTE)

    assert group.reasons() == [(0, 16, "too-late")]
    assert sorted(one["eventCount"] for one in group.sessions().values()) == [1, 15]


@pytest.mark.parametrize("seed", range(60))
def test_a_visit_that_simply_goes_on_comes_out_as_any_other(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done for it at once is compared with the way that all others go, batch by batch, doubts among them."""
    dice, at, told_before = Random(seed), 0, list[Json]()
    many, size, rules = dice.choice([1, 1, 2]), dice.choice([2, 4]), Rules(retention=2 * HOUR, event_ids_max=8)
    quick, usual = (Group(size=size, partitions=many, workers=many, shards=many, rules=rules) for _ in range(2))
    pace = dice.choice([1, 10])
    for number in range(40):
        at += dice.choice([31 * MINUTE, 3 * HOUR]) if dice.random() < 0.04 else pace * dice.choice([0, MINUTE, MINUTE])
        events = [_of_a_visitor(f"{number}-{one}", at, dice, list(quick.values)) for one in range(dice.randint(1, 5))]
        told_before += events
        events += dice.sample(told_before, dice.choice([0, 0, 1]))
        partitions = [dice.randrange(many) for _ in events]
        fails, after, before = dice.choice(["", "", "store", "publisher"]), dice.randrange(3), dice.random() < 0.5
        for group in (quick, usual):
            with monkeypatch.context() as patch:
                if group is usual:
                    patch.setattr("projector.drafting.fold_going_on", lambda *_: None)
                for event, partition in zip(events, partitions, strict=True):
                    group.tell(event, partition=partition)
                if fails:
                    failing = group.store.failing if fails == "store" else group.publishing
                    group.fail(failing, after=after, before=before)
                group.settle(at=at)

        assert quick.values == usual.values
        assert quick.revisions == usual.revisions
        assert quick.ledger() == usual.ledger()
        assert quick.reasons() == usual.reasons()
        assert dict(quick.store.sessions()) == dict(usual.store.sessions())


def _of_a_visitor(event_id: str, at: int, dice: Random, sessions: list[str]) -> Json:
    at -= dice.choice([0, 0, 0, 0, MINUTE, 25 * MINUTE, 45 * MINUTE, 3 * HOUR])
    if sessions and dice.random() < 0.15:
        return web(event_id, at, about={"session": {"id": dice.choice(sessions), "type": "web"}})
    campaign = {"mktCampaign": {"source": dice.choice("ab")}} if dice.random() < 0.05 else {}
    return visit(event_id, at, dice.choice("cd"), **campaign)
