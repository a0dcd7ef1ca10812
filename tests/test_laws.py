"""Law 1: order, repetition, batches and partitions do not matter; the oracle says what is right (contract §8)."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from projector.rules import Rules
from tests.memory import MemoryRecord, play
from tests.oracle.replay import replay
from tests.oracle.settings import Settings
from tests.strategies import END, Json, lines_of, named_events, raw_events, told_again, visits_with_mentions

RULES = Rules()
FILE = "events"


def log_of(lines: list[bytes], partitions: int = 1) -> dict[int, list[MemoryRecord]]:
    log: dict[int, list[MemoryRecord]] = {partition: [] for partition in range(partitions)}
    for place, line in enumerate(lines):
        held = log[place % partitions]
        held.append(MemoryRecord(place % partitions, len(held), line))
    return log


def sessions_of(values: dict[str, bytes]) -> list[Json]:
    sessions: list[Json] = [msgspec.json.decode(value) for value in values.values()]
    for session in sessions:
        session.pop("shortId", None)
    return sorted(sessions, key=lambda one: (one["createdDate"], one["id"]))


@given(events=named_events())
def test_the_fold_says_what_the_oracle_says(events: list[Json]) -> None:
    lines = lines_of(events)

    played = play(log_of(lines), RULES, as_of=END)

    expected = replay((FILE, lines), as_of=END, started=END)
    assert sessions_of(played.values) == expected.sessions


@given(events=named_events(), data=st.data())
def test_order_repetition_and_batches_do_not_matter(events: list[Json], data: st.DataObject) -> None:
    once = play(log_of(lines_of(events)), RULES, as_of=END)
    again = data.draw(told_again(data.draw(st.permutations(events))))
    sizes = data.draw(st.lists(st.integers(1, 4), max_size=40))
    partitions = data.draw(st.integers(1, 3))

    other = play(log_of(lines_of(again), partitions), RULES, sizes=sizes, as_of=END)

    assert sessions_of(other.values) == sessions_of(once.values)


@given(events=named_events(), sizes=st.lists(st.integers(1, 3), max_size=40))
@settings(max_examples=50)
def test_the_ledger_balances_and_revisions_only_rise(events: list[Json], sizes: list[int]) -> None:
    played = play(log_of(lines_of(events), 2), RULES, sizes=sizes, as_of=END)

    life = played.worker.life
    assert life is not None
    assert [mark.ledger.balance() for mark in life.marks.values()] == [0, 0]
    assert sum(mark.ledger.read for mark in life.marks.values()) == len(events)
    assert all(revisions == sorted(revisions) for revisions in played.revisions.values())


@given(events=raw_events(), sizes=st.lists(st.integers(1, 5), max_size=20))
def test_visits_are_what_the_oracle_makes_of_them_in_any_batches(events: list[Json], sizes: list[int]) -> None:
    lines = lines_of(events)

    played = play(log_of(lines), RULES, sizes=sizes, as_of=END)

    expected = replay((FILE, lines), as_of=END, started=END)
    assert sessions_of(played.values) == expected.sessions


@given(events=visits_with_mentions(), sizes=st.lists(st.integers(1, 5), max_size=20))
def test_events_that_name_a_visit_reach_it_before_and_after_it_opened(events: list[Json], sizes: list[int]) -> None:
    lines = lines_of(events)

    # Without splits: whether a campaign splits a visit that a named event has stretched over another is nowhere said.
    played = play(log_of(lines), Rules(campaign_split=False), sizes=sizes, as_of=END)

    expected = replay((FILE, lines), settings=Settings(campaign_split=False), as_of=END, started=END)
    assert sessions_of(played.values) == expected.sessions
