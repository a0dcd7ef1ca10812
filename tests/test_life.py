"""Where a life begins to read, what it believes there, and when it must not begin at all (design §3, the start rule)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from projector.adapters.embedded import EmbeddedStore
from projector.drafting import Drafting
from projector.errors import WrongInput
from projector.ledger import Ledger, Mark
from projector.life import GENERATION_OFFSETS, Life, Start, begin
from projector.ports import Batch, Committed, Offset, Partition, Position, Saved, Span, Write
from projector.rules import Rules
from projector.saving import Saving
from tests.given import DAY, MINUTE, T0, custom, web
from tests.group import Group


class Log:
    """A `Source` that has spans, commits and offsets by time, and no records."""

    topic = "log"

    def __init__(self, spans: Mapping[Partition, Span], commits: Mapping[Partition, Committed] | None = None) -> None:
        self._spans, self._commits = spans, commits or {}
        self.began_at: dict[Partition, Offset] = {}

    def poll(self) -> Batch:
        raise AssertionError("a life begins without reading")

    def partitions(self) -> tuple[Partition, ...]:
        return tuple(self._spans)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:
        return {one: self._commits[one] for one in partitions if one in self._commits}

    def spans(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        return {one: self._spans[one] for one in partitions}

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> dict[Partition, Offset]:
        return {one: self._spans[one].begin + ms // MINUTE for one in partitions}

    def begin_at(self, positions: Mapping[Partition, Offset]) -> None:
        self.began_at = dict(positions)

    def close(self) -> None:
        pass


def store_at(*shards: Mapping[Partition, tuple[Offset, int]]) -> EmbeddedStore:
    """A store with these positions, by shard."""
    store = EmbeddedStore(shards=len(shards))
    for shard, positions in enumerate(shards):
        new = {one: Position(*at) for one, at in positions.items()}
        assert isinstance(store.save(shard, Write(dict.fromkeys(new), positions=new)), Saved)
    return store


def commit(offset: Offset, **mark: Any) -> Committed:
    return Committed(offset, Mark(**mark).encode())


def life_of(log: Log, store: EmbeddedStore | None = None, *, start: Start | None = None) -> Life:
    life = begin(log, store or store_at({}), log.partitions(), 1, start or Start())
    assert log.began_at == life.read
    return life


def take_place(life: Life, store: EmbeddedStore) -> None:
    Saving(life, store, Drafting(life, store, Rules())).take_place()


ONE = {0: Span(3, 100)}


# A namespace that has never been used.


@pytest.mark.parametrize(("at", "offset"), [("beginning", 3), ("end", 100), (10 * MINUTE, 13)])
def test_a_new_namespace_begins_where_the_setting_says(at: str | int, offset: int) -> None:
    life = life_of(Log(ONE), start=Start(at))

    assert life.read == {0: offset}
    assert life.marks[0].origin == offset
    assert life.marks[0].clock is None
    assert life.caught_up


@pytest.mark.parametrize(("at", "offset"), [("beginning", 3), ("end", 100), (10 * MINUTE, 13)])
def test_what_the_setting_says_holds_for_the_partitions_of_a_second_worker_too(at: str | int, offset: int) -> None:
    log, store = Log({0: Span(3, 100), 1: Span(3, 100)}), store_at({}, {})
    take_place(begin(log, store, (0,), 1, Start(at)), store)

    assert begin(log, store, (1,), 1, Start(at)).read == {1: offset}


def test_where_it_began_is_recorded_and_stays() -> None:
    store = store_at({})
    life_of(Log(ONE), store, start=Start("end"))

    assert life_of(Log({0: Span(3, 200)}), store, start=Start("end")).read == {0: 100}


# A namespace that is in use.


def test_where_store_and_commits_agree_it_goes_on() -> None:
    ledger = Ledger(read=47, folded=47)
    life = life_of(Log(ONE, {0: commit(50, clock=T0, ledger=ledger, origin=3)}), store_at({0: (50, T0)}))

    assert (life.read, life.marks[0].clock, life.marks[0].ledger) == ({0: 50}, T0, ledger)
    assert life.committed == {0: 50}
    assert life.caught_up


def test_a_store_that_is_behind_is_read_to_again_with_the_clock_it_had() -> None:
    life = life_of(Log(ONE, {0: commit(50, clock=T0 + 9, origin=3)}), store_at({0: (40, T0)}))

    assert (life.read, life.marks[0].clock) == ({0: 40}, T0)
    assert life.committed == {0: 50}
    assert life.clocks_committed == {0: T0 + 9}
    assert life.behind == {0}


def test_the_least_position_of_all_shards_counts_and_a_shard_without_one_as_the_beginning() -> None:
    log = Log(ONE, {0: commit(50, clock=T0, origin=3)})

    assert life_of(log, store_at({0: (50, T0)}, {0: (45, T0 - 1)}, {0: (47, T0)})).read == {0: 45}
    assert life_of(log, store_at({0: (50, T0)}, {})).read == {0: 3}


def test_a_store_that_is_ahead_of_the_commits_is_read_from_the_commits() -> None:
    life = life_of(Log(ONE, {0: commit(50, clock=T0, origin=3)}), store_at({0: (60, T0 + 9)}))

    assert (life.read, life.marks[0].clock) == ({0: 50}, T0)
    assert life.targets == {0: 60}
    assert life.behind == {0}


def test_a_wiped_store_is_filled_again_from_where_the_namespace_began() -> None:
    life = life_of(Log({0: Span(0, 100)}, {0: commit(50, clock=T0, origin=7)}), start=Start("end"))

    assert (life.read, life.marks[0].clock) == ({0: 7}, None)
    assert life.behind == {0}


def test_the_next_life_goes_on_where_the_store_is_filled_again_to() -> None:
    spans = {0: Span(0, 100)}
    first = life_of(Log(spans, {0: commit(80)}), store_at({}))

    told = Committed(80, first.marks[0].encode())
    life = life_of(Log(spans, {0: told}), store_at({0: (40, T0)}))

    assert first.read == {0: 0}
    assert life.read == {0: 40}
    assert not life.caught_up


def test_what_one_shard_had_already_is_read_in_silence_again_until_it_is_published() -> None:
    spans = {0: Span(0, 100)}
    first = life_of(Log(spans, {0: commit(80)}), store_at({0: (80, T0)}, {0: (30, T0)}))

    told = Committed(80, first.marks[0].encode())
    life = life_of(Log(spans, {0: told}), store_at({0: (80, T0)}, {0: (60, T0)}))

    assert first.read == life.read == {0: 30}


def test_without_a_commit_it_begins_at_the_beginning() -> None:
    life = life_of(Log(ONE), store_at({0: (40, T0)}), start=Start("end"))

    assert life.read == {0: 3}
    assert life.targets == {0: 40}


def test_a_partition_that_was_added_begins_at_its_beginning_in_a_namespace_that_is_in_use() -> None:
    log = Log({0: Span(0, 100), 1: Span(0, 20)}, {0: commit(50)})

    assert life_of(log, store_at({0: (50, T0)}), start=Start("end")).read == {0: 50, 1: 0}


def test_what_another_tool_committed_is_an_offset_without_a_clock() -> None:
    life = life_of(Log(ONE, {0: Committed(50, "by hand")}), store_at({0: (50, T0)}))

    assert (life.read, life.marks[0].clock) == ({0: 50}, None)


# A log that is not what it was.


def refusal(log: Log, store: EmbeddedStore | None = None) -> str:
    with pytest.raises(WrongInput) as refused:
        life_of(log, store)
    return str(refused.value)


def test_a_log_that_ends_before_what_was_read_was_made_anew() -> None:
    assert refusal(Log({0: Span(0, 9)}, {0: commit(50)}), store_at({0: (50, T0)})) == (
        "partition 0 ends at offset 9, but was read up to 50 before: the topic was made anew, or lost its end."
        "\nSet topic_generation = 1: sessions stay, revisions go on; what the topic holds is folded. Or restore the topic"
    )


def test_a_log_that_was_cut_off_above_the_start_stops_it() -> None:
    assert refusal(Log({0: Span(60, 100)}, {0: commit(50)}), store_at({0: (50, T0)})) == (
        "partition 0 begins at offset 60, but state needs it from 50 on: 10 records are gone."
        '\nSet on_gap = "skip" to go on without them, counted in the ledger, or another namespace and group_id to begin'
        " anew"
    )


def test_a_gap_that_is_accepted_is_counted() -> None:
    log = Log({0: Span(60, 100)}, {0: commit(50)})

    life = life_of(log, store_at({0: (50, T0)}), start=Start(on_gap="skip"))

    assert life.read == {0: 60}
    assert life.marks[0].ledger.skipped == 10


def test_a_gap_that_is_accepted_is_found_again_by_the_next_life_until_it_is_counted() -> None:
    log, store, start = Log({0: Span(60, 100)}, {0: commit(70, origin=3)}), store_at({}), Start(on_gap="skip")
    take_place(life_of(log, store, start=start), store)

    life = life_of(log, store, start=start)

    assert (life.read, life.marks[0].ledger.skipped) == ({0: 60}, 57)


def test_a_log_that_was_cut_off_exactly_at_the_start_has_no_gap() -> None:
    assert life_of(Log({0: Span(50, 50)}, {0: commit(50)}), store_at({0: (50, T0)})).read == {0: 50}


# A topic that was made anew, and state that goes on with it.

NEXT = Start(generation=1)
FIRST = GENERATION_OFFSETS


def test_state_goes_on_at_the_beginning_of_a_topic_that_was_made_anew() -> None:
    life = life_of(Log({0: Span(FIRST, FIRST + 100)}), store_at({0: (50, T0)}, {0: (40, T0 - 1)}), start=NEXT)

    assert (life.read, life.marks[0].clock, life.marks[0].origin) == ({0: FIRST}, T0, FIRST)
    assert life.caught_up


def test_it_goes_on_where_the_new_topic_begins_though_that_has_lost_records_already() -> None:
    life = life_of(Log({0: Span(FIRST + 7, FIRST + 100)}), store_at({0: (50, T0)}), start=NEXT)

    assert (life.read, life.marks[0].origin) == ({0: FIRST + 7}, FIRST + 7)


def test_the_clock_goes_on_too_where_not_every_shard_has_gone_on_yet() -> None:
    log, store = Log({0: Span(FIRST, FIRST + 100)}), store_at({0: (50, T0)}, {0: (40, T0 - 1)})
    take_place(life_of(log, store, start=NEXT), store)
    assert isinstance(store.save(0, Write({0: FIRST}, positions={0: Position(FIRST + 4, T0 + 9)})), Saved)

    life = life_of(log, store, start=NEXT)

    assert (life.read, life.marks[0].clock) == ({0: FIRST}, T0)


def test_a_position_that_was_committed_in_an_earlier_topic_is_none() -> None:
    stale = commit(FIRST + 50, clock=T0, origin=3)

    assert life_of(Log({0: Span(FIRST, FIRST + 100)}, {0: stale}), store_at({0: (50, T0)}), start=NEXT).committed == {}


def test_within_a_generation_the_start_rule_is_the_same() -> None:
    log = Log({0: Span(FIRST, FIRST + 100)}, {0: commit(FIRST + 50, clock=T0, origin=FIRST)})

    assert life_of(log, store_at({0: (FIRST + 40, T0 - 1)}), start=NEXT).read == {0: FIRST + 40}
    assert life_of(log, store_at({0: (40, T0 - 1)}), start=NEXT).read == {0: FIRST}
    assert life_of(log, store_at({}), start=NEXT).read == {0: FIRST}


def test_offsets_are_named_as_the_topic_has_them() -> None:
    log = Log({0: Span(FIRST + 60, FIRST + 100)}, {0: commit(FIRST + 50, clock=T0, origin=FIRST)})

    with pytest.raises(WrongInput, match="begins at offset 60, but state needs it from 50 on: 10 records are gone"):
        life_of(log, store_at({0: (FIRST + 50, T0)}), start=NEXT)


# Lives of a running group.


def test_no_reader_sees_a_session_go_back_while_a_store_that_lost_everything_is_filled_again() -> None:
    group = Group(size=1)
    group.tell(*(custom(f"e-{number}", number) for number in range(10)))
    group.settle()

    again = group.after_a_wipe().settle()

    assert again.revisions["s-1"] == [20]
    assert again.sessions() == group.sessions()
    assert (again.ledger().read, again.ledger().redelivered, again.ledger().balance()) == (20, 10, 0)


def test_what_had_ended_for_readers_does_not_come_back_while_the_store_is_filled_again() -> None:
    group = Group()
    group.tell(web("a"))
    group.settle(at=DAY)

    again = group.after_a_wipe().settle(at=0)

    assert again.revisions["s-1"] == [3]
    assert again.sessions() == group.sessions()


def test_doubts_are_counted_until_a_turn_is_finished() -> None:
    group = Group()
    (worker,) = group.workers
    group.tell(web("a"))

    for count in (1, 2):
        group.fail(group.publishing, after=0, before=True)
        while group.publishing.at is not None:
            worker.step()
        assert worker.doubts == count

    group.settle()
    assert worker.doubts == 0
