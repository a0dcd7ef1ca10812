"""What a `Store` promises of deadlines, notes, sweeps and short ids (design §3, steps 4 c, 6 and 7)."""

from __future__ import annotations

from typing import Any

import pytest

from projector.ports import NO_CLOCK, Position, Store
from projector.route import named_track
from projector.track import Due
from tests.adapters.store_calls import NOW, A, B, C, applied_of, due_of, notes_of, put, record, saved


class DeadlineContract:
    def test_a_deadline_fires_when_the_clock_is_past_it_and_not_at_it(self, store: Store) -> None:
        put(store, A, due=[(A, None, Due(0, NOW))])

        assert due_of(store, 0, before=NOW) == {}
        assert due_of(store, 0, before=NOW + 1) == {A: Due(0, NOW)}

    def test_deadlines_are_given_for_the_partitions_that_are_asked_for(self, store: Store) -> None:
        put(store, A, due=[(A, None, Due(0, NOW))])
        put(store, B, due=[(B, None, Due(1, NOW))])
        put(store, C, due=[(C, None, Due(2, NOW))])

        assert due_of(store, 0, 2) == {A: Due(0, NOW), C: Due(2, NOW)}

    def test_a_clock_before_all_time_fires_nothing(self, store: Store) -> None:
        put(store, A, due=[(A, None, Due(0, 0))])

        assert due_of(store, 0, before=NO_CLOCK) == {}

    def test_a_deadline_takes_the_place_of_a_later_one(self, store: Store) -> None:
        put(store, A, due=[(A, None, Due(0, NOW + 10))])
        put(store, A, due=[(A, None, Due(0, NOW))])

        assert due_of(store, 0) == {A: Due(0, NOW)}

    def test_an_earlier_deadline_stays_for_what_ended_by_it_may_not_be_published_yet(self, store: Store) -> None:
        put(store, A, due=[(A, None, Due(0, NOW))])
        put(store, A, due=[(A, None, Due(0, NOW + 10))])

        assert due_of(store, 0) == {A: Due(0, NOW)}

    def test_a_deadline_moves_to_another_partition_whatever_time_stood_there(self, store: Store) -> None:
        put(store, A, due=[(A, None, Due(0, NOW))])
        put(store, A, due=[(A, Due(0, NOW + 5), Due(1, NOW + 7))])

        assert due_of(store, 0, 1) == {A: Due(1, NOW + 7)}

    def test_the_earliest_thousand_come_first(self, store: Store) -> None:
        keys = [named_track(f"session-{i:04}") for i in range(1_200)]
        late_first = [(key, None, Due(0, NOW - i)) for i, key in enumerate(keys)]
        saved(store, *[(key, None, record(key)) for key in keys], due=late_first)

        assert due_of(store, 0) == {key: Due(0, NOW - i) for i, key in enumerate(keys) if i >= 200}

    def test_a_deadline_that_was_dealt_with_goes(self, store: Store) -> None:
        token = put(store, A, due=[(A, None, Due(0, NOW))])

        saved(store, move_due=[(A, token, Due(0, NOW), None)])

        assert due_of(store, 0) == {}

    @pytest.mark.parametrize("partition", [0, 1])
    def test_a_deadline_that_was_dealt_with_gives_way_to_the_next(self, store: Store, partition: int) -> None:
        token = put(store, A, due=[(A, None, Due(0, NOW))])

        saved(store, move_due=[(A, token, Due(0, NOW), Due(partition, NOW + 9))])

        assert due_of(store, 0, 1) == {A: Due(partition, NOW + 9)}

    def test_a_deadline_stays_if_the_track_was_written_since(self, store: Store) -> None:
        token = put(store, A, due=[(A, None, Due(0, NOW))])
        put(store, A, 2)

        saved(store, move_due=[(A, token, Due(0, NOW), None)])

        assert due_of(store, 0) == {A: Due(0, NOW)}

    def test_an_earlier_deadline_than_the_one_that_fired_goes_with_it(self, store: Store) -> None:
        token = put(store, A, due=[(A, None, Due(0, NOW - 5))])

        saved(store, move_due=[(A, token, Due(0, NOW), None)])

        assert due_of(store, 0) == {}

    def test_a_later_deadline_than_the_one_that_fired_stays(self, store: Store) -> None:
        token = put(store, A, due=[(A, None, Due(0, NOW + 5))])

        saved(store, move_due=[(A, token, Due(0, NOW), Due(0, NOW + 9))])

        assert due_of(store, 0) == {A: Due(0, NOW + 5)}

    def test_a_deadline_that_is_not_there_is_not_brought_back(self, store: Store) -> None:
        token = put(store, A)

        saved(store, move_due=[(A, token, Due(0, NOW), Due(0, NOW + 9))])

        assert due_of(store, 0) == {}

    def test_a_deadline_set_in_the_write_that_removes_the_old_one_stays(self, store: Store) -> None:
        token = put(store, A, due=[(A, None, Due(0, NOW))])

        saved(
            store,
            (A, token, record(A, 2)),
            due=[(A, None, Due(0, NOW + 3))],
            move_due=[(A, token, Due(0, NOW), Due(0, NOW + 9))],
        )

        assert due_of(store, 0) == {A: Due(0, NOW + 3)}


class NoteContract:
    def test_a_note_is_given_to_the_owner_of_its_partition_until_it_is_cleared(self, store: Store) -> None:
        token = put(store, A, notes=[(1, A)])

        assert notes_of(store, 0) == {}
        assert notes_of(store, 0, 1) == {A: 1}
        saved(store, clear_notes=[(1, A, token)])
        assert notes_of(store, 1) == {}

    def test_a_track_that_is_only_compared_can_be_noted(self, store: Store) -> None:
        token = put(store, A)

        saved(store, (A, token, None), notes=[(1, A)])

        assert notes_of(store, 1) == {A: 1}

    def test_a_note_stays_if_the_track_was_written_since_it_was_published(self, store: Store) -> None:
        token = put(store, A, notes=[(1, A)])
        put(store, A, 2)

        saved(store, clear_notes=[(1, A, token)])

        assert notes_of(store, 1) == {A: 1}

    def test_a_note_made_in_the_write_that_clears_the_old_one_stays(self, store: Store) -> None:
        token = put(store, A, notes=[(1, A)])

        saved(store, (A, token, record(A, 2)), notes=[(1, A)], clear_notes=[(1, A, token)])

        assert notes_of(store, 1) == {A: 1}

    def test_a_thousand_notes_of_a_partition_are_given_at_once_and_then_the_others(self, store: Store) -> None:
        keys = [named_track(f"session-{i:04}") for i in range(1_100)]
        tokens = saved(store, *[(key, None, record(key)) for key in keys], notes=[(0, key) for key in keys]).tokens

        first = notes_of(store, 0)
        saved(store, clear_notes=[(0, key, tokens[key]) for key in first])

        assert len(first) == 1_000
        assert set(notes_of(store, 0)) == set(keys) - set(first)

    def test_who_left_a_note_is_told_when_it_and_all_before_it_are_gone(self, store: Store) -> None:
        first = put(store, A, notes=[(1, A)])
        mine = saved(store, (B, None, record(B)), notes=[(1, B)], asks=frozenset({1}))
        put(store, C, notes=[(1, C)])
        number = mine.waiting[1][1]

        for key, token in ((A, first), (B, mine.tokens[B])):
            assert saved(store, asks=frozenset({0, 1})).waiting[1][0] <= number
            saved(store, clear_notes=[(1, key, token)])

        assert saved(store, asks=frozenset({1})).waiting[1][0] > number

    def test_a_note_that_is_left_again_waits_behind_those_left_since(self, store: Store) -> None:
        token = put(store, A, notes=[(1, A)])
        other = put(store, B, notes=[(1, B)])
        number = saved(store, (A, token, None), notes=[(1, A)], asks=frozenset({1})).waiting[1][1]

        waiting = saved(store, clear_notes=[(1, B, other)], asks=frozenset({1})).waiting

        assert waiting == {1: (number, number)}

    def test_no_number_comes_again_when_all_notes_are_gone(self, store: Store) -> None:
        left = saved(store, (A, None, record(A)), notes=[(1, A)], asks=frozenset({1}))
        saved(store, clear_notes=[(1, A, left.tokens[A])])

        again = saved(store, (A, left.tokens[A], None), notes=[(1, A)], asks=frozenset({1}))

        assert again.waiting[1][0] > left.waiting[1][1]

    def test_nothing_is_said_of_partitions_without_notes(self, store: Store) -> None:
        token = put(store, A, notes=[(1, A)])

        assert saved(store, asks=frozenset({0, 2})).waiting == {}
        assert saved(store, clear_notes=[(1, A, token)], asks=frozenset({1})).waiting == {}


class SweepContract:
    def test_a_swept_track_goes_with_its_deadline_and_its_note(self, store: Store) -> None:
        token = put(store, A, due=[(A, None, Due(0, NOW))], notes=[(1, A)])
        saved(store, positions={0: Position(1, NOW), 1: Position(1, NOW)}, expected={0: None, 1: None})

        saved(store, sweep=[(A, token)])

        assert store.load([A]) == {A: None}
        assert (due_of(store, 0, 1), notes_of(store, 0, 1)) == ({}, {})

    def test_a_track_that_was_written_since_is_not_swept(self, store: Store) -> None:
        token = put(store, A, 1, due=[(A, None, Due(0, NOW))], notes=[(0, A)])
        put(store, A, 2)

        saved(store, sweep=[(A, token), (B, token)])

        assert applied_of(store, A) == 2
        assert due_of(store, 0) == {A: Due(0, NOW)}
        assert notes_of(store, 0) == {A: 0}

    def test_a_track_that_the_same_write_brings_back_is_not_swept(self, store: Store) -> None:
        token = put(store, A, 1)

        saved(store, (A, token, record(A, 2)), sweep=[(A, token)])

        assert applied_of(store, A) == 2


class ShortIdContract:
    def test_short_ids_are_unique_and_have_the_digits_asked_for(self, store: Store) -> None:
        claimed = store.claim_short_ids([(f"session-{i}", None) for i in range(2_000)], 4)

        assert len(set(claimed)) == 2_000
        assert all(found is not None and len(found) == 4 and found.isdigit() for found in claimed)

    def test_a_session_that_holds_one_gets_it_again(self, store: Store) -> None:
        first = store.claim_short_ids([("a", None)], 6)

        assert store.claim_short_ids([("b", None), ("a", None)], 6)[1:] == first
        assert store.claim_short_ids([("a", "000001")], 6) == first

    def test_a_revived_session_takes_its_short_id_back_if_it_is_free(self, store: Store) -> None:
        assert store.claim_short_ids([("a", "123456")], 6) == ["123456"]
        assert store.claim_short_ids([("b", "123456")], 6) != ["123456"]

    def test_a_short_id_of_another_length_is_not_taken_back(self, store: Store) -> None:
        (claimed,) = store.claim_short_ids([("a", "1234")], 6)

        assert claimed is not None
        assert len(claimed) == 6

    def test_a_short_id_that_was_given_back_is_free(self, store: Store) -> None:
        (claimed,) = store.claim_short_ids([("a", None)], 6)
        assert claimed is not None

        give_back(store, ("a", claimed))

        assert store.claim_short_ids([("b", claimed)], 6) == [claimed]

    def test_a_short_id_that_is_claimed_again_is_not_given_back(self, store: Store) -> None:
        store.claim_short_ids([("a", "123456")], 6)
        store.retire_short_ids([("a", "123456")])
        store.claim_short_ids([("a", "123456")], 6)

        store.release_short_ids([("a", "123456")])

        assert store.claim_short_ids([("b", "123456")], 6) != ["123456"]

    def test_only_its_holder_gives_a_short_id_back(self, store: Store) -> None:
        store.claim_short_ids([("a", "123456")], 6)

        give_back(store, ("b", "123456"), ("a", "654321"))

        assert store.claim_short_ids([("a", None)], 6) == ["123456"]

    def test_when_all_are_taken_there_is_none_until_one_is_given_back(self, store: Any) -> None:
        claimed = store.claim_short_ids([(f"session-{i}", None) for i in range(12)], 1)
        assert sorted(one for one in claimed[:10]) == list("0123456789")
        assert claimed[10:] == [None, None]
        assert store.short_ids_taken() == 10

        give_back(store, ("session-4", claimed[4]))

        assert store.claim_short_ids([("session-10", None)], 1) == [claimed[4]]

    def test_nothing_asked_is_nothing_done(self, store: Store) -> None:
        assert store.claim_short_ids([], 6) == []
        give_back(store)


def give_back(store: Store, *held: tuple[str, str]) -> None:
    store.retire_short_ids(held)
    store.release_short_ids(held)
