"""A turn's order of effects: whatever call fails, nothing is lost, counts twice, or is published twice (contract §8)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from projector.ledger import mark_of
from projector.route import named_track
from projector.rules import Rules
from tests.given import DAY, MINUTE, Json, custom, ended, heartbeat, outcome, talk, text_of, visit, web
from tests.group import Failing, Group

Pick = Callable[[Group], Failing]

STORE: Pick = lambda group: group.store.failing  # noqa: E731 - a name for a row of the tables below
TOPIC: Pick = lambda group: group.publishing  # noqa: E731
WHERE = [(STORE, True), (STORE, False), (TOPIC, True), (TOPIC, False)]


def of(session: str, **about: object) -> Json:
    return {"session": {"id": session}, **about}


LINKED = {"journeyContext": {"sessionId": "web-1"}}
JOURNEY: list[Json | bytes | None] = [
    web("a", about=of("web-1"), attributes={"x": 1}),
    web("b", MINUTE, about=of("web-2")),
    b"{",
    web("a", about=of("web-1"), attributes={"x": 1}),
    None,
    talk("customer.start", 2 * MINUTE, conversation="conv-1", **LINKED),
    talk("acd.end", 3 * MINUTE, conversation="conv-1", queueId="q", acdOutcome="ANSWERED", mediaType="VOICE"),
    custom("c", 4 * MINUTE, externalId="P-1", about={"session": {"type": "delivery"}}),
    custom("late", -8 * DAY, about=of("long-gone")),
    outcome("o", 5 * MINUTE, **of("web-1")),
    heartbeat(40 * MINUTE, **of("web-2")),
    talk("customer.end", 41 * MINUTE, conversation="conv-1"),
    ended("e", 41 * MINUTE, **of("web-2")),
    web("d", 80 * MINUTE, about=of("web-3"), authenticated=True),
]


def journey(*, partitions: int, workers: int, shards: int, size: int = 100) -> Group:
    """The journey, dealt to the partitions in turn, so that links and sessions lie across them."""
    group = Group(partitions=partitions, workers=workers, shards=shards, size=size)
    for place, event in enumerate(JOURNEY):
        group.tell(event, partition=place % partitions)
    return group


ALONE = journey(partitions=1, workers=1, shards=1).settle(at=100 * MINUTE)


def test_a_journey_comes_to_what_it_says() -> None:
    sessions = ALONE.sessions()

    assert {one: session["eventCount"] for one, session in sessions.items() if one.startswith(("web", "conv"))} == {
        "web-1": 1,
        "web-2": 1,
        "conv-1": 3,
        "web-3": 1,
    }
    assert sessions["web-1"]["lastConnectedQueue"]["id"] == "q"
    assert sessions["web-1"]["conversation"]["id"] == "conv-1"
    assert sessions["web-1"]["endedDate"] == text_of(30 * MINUTE)
    assert sessions["web-2"]["endedDate"] == text_of(41 * MINUTE)
    assert "endedDate" not in sessions["web-3"]
    assert ALONE.reasons() == [(0, 2, "not-json"), (0, 8, "too-late")]


def test_the_ledger_says_what_became_of_every_record() -> None:
    ledger = ALONE.ledger()

    assert ledger.balance() == 0
    assert (ledger.read, ledger.folded, ledger.duplicates, ledger.tombstones) == (len(JOURNEY), len(JOURNEY) - 4, 1, 1)
    assert ledger.rejected == {"not-json": 1, "too-late": 1}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(("partitions", "workers"), [(1, 1), (2, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("size", [1, 3])
def test_partitions_workers_shards_and_batches_do_not_matter(
    partitions: int, workers: int, shards: int, size: int
) -> None:
    group = journey(partitions=partitions, workers=workers, shards=shards, size=size).settle(at=100 * MINUTE)

    assert group.sessions() == ALONE.sessions()
    assert group.ledger().balance() == 0
    assert sorted(reason for *_, reason in group.reasons()) == ["not-json", "too-late"]
    assert all(revisions == sorted(revisions) for revisions in group.revisions.values())


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(("where", "before"), WHERE)
def test_whatever_call_fails_the_end_is_the_same_and_no_reject_is_published_twice(
    where: Pick, before: bool, shards: int
) -> None:
    """Every call of the kind in its turn; two workers, so that the other goes on meanwhile."""
    whole = journey(partitions=2, workers=2, shards=shards, size=3).settle(at=100 * MINUTE)
    for call in range(where(whole).calls):
        group = journey(partitions=2, workers=2, shards=shards, size=3)
        group.fail(where(group), after=call, before=before)

        group.settle(at=100 * MINUTE)

        assert group.sessions() == whole.sessions(), call
        assert group.newest_revisions() == whole.newest_revisions(), call
        assert sorted(group.reasons()) == sorted(whole.reasons()), call
        assert group.ledger().balance() == 0, call
        assert group.ledger().rejected == whole.ledger().rejected, call


@pytest.mark.parametrize(("where", "before"), WHERE)
def test_a_session_that_was_saved_and_not_published_is_published_by_the_next_life(where: Pick, before: bool) -> None:
    group = Group()
    group.tell(web("a"))
    group.fail(where(group), after=0, before=before)

    group.settle()

    assert group.sessions()["s-1"]["eventCount"] == 1
    assert (group.ledger().read, group.ledger().balance()) == (1, 0)


def test_a_record_that_comes_again_below_what_is_committed_is_counted_as_redelivered() -> None:
    group = Group()
    group.tell(web("a"), b"{", None)
    group.settle()

    again = group.after_a_wipe().settle()

    ledger = again.ledger()
    assert (ledger.read, ledger.redelivered, ledger.folded, ledger.tombstones) == (6, 3, 1, 1)
    assert ledger.balance() == 0
    assert again.rejects == []
    assert again.sessions() == group.sessions()


# Conflicts, notes, homes.


def test_two_workers_that_fold_into_one_session_lose_nothing() -> None:
    group = Group(partitions=2, workers=2, size=1)
    for number in range(20):
        group.tell(web(f"e-{number}", number), partition=number % 2)

    group.settle()

    assert group.sessions()["s-1"]["eventCount"] == 20
    assert group.newest_revisions()["s-1"] == 2 * 20


def test_only_the_home_publishes_and_the_other_leaves_it_a_note() -> None:
    group = Group(partitions=2, workers=2)
    group.tell(web("a"), partition=0)
    group.settle()
    home, other = group.workers
    published = len(group.revisions["s-1"])
    group.tell(web("b", 1), partition=1)

    other.step()
    assert len(group.revisions["s-1"]) == published
    home.step()  # Is told of the note.
    home.step()

    assert group.sessions()["s-1"]["eventCount"] == 2
    assert group.store.positions()[0][1].offset == 1


@pytest.mark.parametrize("steps_of_home", [1, 2, 3])
def test_a_new_life_reads_on_from_what_is_committed_once_what_was_noted_is_published(steps_of_home: int) -> None:
    """Also while more is noted with every turn, and the home is quick, so that all notes are gone in between."""
    group = Group(partitions=2, workers=2)
    group.tell(web("a"), partition=0)
    group.settle()
    home, other = group.workers
    group.tell(web("b", 1), partition=1)
    group.fail(group.publishing, after=0, before=True)
    other.step()  # Saved and not committed: its next life only skips the record, and leaves a note.

    for number in range(10):
        group.tell(web(f"c-{number}", 2 + number), partition=1)
        other.step()
        for _ in range(steps_of_home):
            home.step()

    assert mark_of(group.commits[1].metadata).silent_from is None


def test_a_note_reaches_the_home_through_another_worker_of_its_partition() -> None:
    group = Group(partitions=2, workers=2)
    group.tell(web("a"), partition=0)
    group.settle()
    group.tell(web("b", 1), partition=1)
    group.workers[1].step()

    group.assign((1,), (0,))
    group.settle()

    assert group.sessions()["s-1"]["eventCount"] == 2


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("first", [0, 1])
def test_a_link_is_followed_across_partitions_in_either_order(first: int, shards: int) -> None:
    group = Group(partitions=2, workers=2, shards=shards)
    events = [(0, web("a", about=of("web-1"))), (1, talk("acd.start", 1, conversation="c", mediaType="CHAT", **LINKED))]
    for partition, event in events[first:] + events[:first]:
        group.tell(event, partition=partition)
        group.settle()
    group.tell(talk("acd.end", 2, conversation="c", acdOutcome="ABANDON"), partition=1)
    group.settle()

    session = group.sessions()["web-1"]
    assert session["conversationChannels"] == [{"type": "Chat"}]
    assert session["lastAcdOutcome"] == "Abandon"
    assert (session["eventCount"], session["durationInSeconds"]) == (1, 0)


def test_of_several_conversations_the_one_with_the_latest_event_is_named() -> None:
    group = Group(shards=3)
    group.tell(
        web("a", about=of("web-1")),
        talk("user.start", 5, conversation="c-1", userId="u", **LINKED),
        talk("acd.end", 9, conversation="c-2", acdOutcome="ABANDON", **LINKED),
        talk("acd.end", 7, conversation="c-1", queueId="q", acdOutcome="ANSWERED"),
    )

    session = group.settle().sessions()["web-1"]

    assert session["conversation"]["id"] == "c-2"
    assert (session["lastConnectedUser"]["id"], session["lastConnectedQueue"]["id"]) == ("u", "q")
    assert session["lastAcdOutcome"] == "Abandon"


def test_workers_that_swap_their_partitions_go_on_where_the_other_was() -> None:
    group = Group(partitions=2, workers=2, shards=3, size=2)
    for number in range(30):
        group.tell(web(f"e-{number}", number, about=of(f"s-{number % 5}")), partition=number % 2)
        if number % 7 == 0:
            for worker in group.workers:
                worker.step()
            group.assign(*(member.mine for member in reversed(group.members)))

    group.settle()

    assert {session["eventCount"] for session in group.sessions().values()} == {6}
    assert group.ledger().balance() == 0
    assert group.ledger().folded == 30


@pytest.mark.parametrize("make", [web, visit])
def test_what_goes_on_while_a_life_catches_up_is_told_once_at_the_end_of_it(make: Callable[..., Json]) -> None:
    group = Group(size=1)
    group.tell(*(make(f"e-{number}", number * MINUTE) for number in range(5)))
    group.settle(at=5 * MINUTE)

    again = group.after_a_wipe().settle(at=5 * MINUTE)

    assert again.sessions() == group.sessions()
    assert {one: min(revisions) for one, revisions in again.revisions.items()} == group.newest_revisions()


def test_only_what_is_in_a_shard_that_has_not_caught_up_waits_for_it() -> None:
    group = Group(shards=2)
    group.tell(*(web(f"e-{number}", about=of(f"s-{number}")) for number in range(20)))
    worker = group.workers[0]
    worker.step()
    assert worker.life is not None
    worker.life.behind = {1}

    worker.step()

    assert set(group.sessions()) == {
        f"s-{one}" for one in range(20) if group.store.shard_of(named_track(f"s-{one}")) == 0
    }
    assert len(group.settle().sessions()) == 20


# Short ids.


def test_short_ids_are_unique_and_constant_until_the_end_and_taken_back_after_it() -> None:
    group = Group()
    group.tell(*(web(f"e-{number}", about=of(f"s-{number}")) for number in range(50)))
    before = group.settle(at=0).short_ids()
    group.settle(at=31 * MINUTE)
    group.tell(web("again", 31 * MINUTE, about=of("s-7")))
    after = group.settle().short_ids()

    assert len(set(before.values())) == 50
    assert all(len(short_id) == 6 and short_id.isdigit() for short_id in before.values())
    assert after["s-7"] == before["s-7"]


def test_where_no_short_id_is_left_a_session_has_none() -> None:
    group = Group(rules=Rules(short_id_digits=1))
    group.tell(*(custom(f"e-{number}", about=of(f"s-{number}")) for number in range(12)))

    assert len(set(group.settle().short_ids().values())) == 10
    assert len(group.sessions()) == 12
