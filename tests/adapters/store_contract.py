"""What every `Store` promises (ports.py, design §3 step 4): one suite, run by memory and by the real thing."""

from __future__ import annotations

from typing import Any

import pytest

from projector.ports import NO_CLOCK, Conflict, Overtaken, Position, Saved, Store, Stored, Token, Write
from projector.session import new_session
from projector.track import Due, Track, TrackKey, named_track

A, B, C = named_track("a"), named_track("b"), named_track("c")
NOW = 1_700_000_000_000


def track(key: TrackKey, applied: int = 1) -> Track:
    return Track({0: applied}, 0, [new_session(key[2:])])


def saved(store: Store, *tracks: tuple[TrackKey, Token | None, Track | None], **rest: Any) -> Saved:
    """Makes a write that is accepted, of a worker that owns no partition unless `expected` says so."""
    result = store.save(0, Write(rest.pop("expected", {}), tracks=list(tracks), **rest))
    assert isinstance(result, Saved), result
    return result


def put(store: Store, key: TrackKey, applied: int = 1, **rest: Any) -> Token:
    """Writes a track whatever is stored of it, and gives its token."""
    stored = store.load([key])[key]
    return saved(store, (key, stored.token if stored else None, track(key, applied)), **rest).tokens[key]


def applied_of(store: Store, key: TrackKey) -> int | None:
    stored = store.load([key])[key]
    return None if stored is None else stored.track.applied[0]


def due_of(store: Store, *partitions: int, before: int = NOW * 2) -> dict[TrackKey, Due]:
    return saved(store, clocks=dict.fromkeys(partitions, before)).due


def notes_of(store: Store, *partitions: int) -> dict[TrackKey, int]:
    return saved(store, clocks=dict.fromkeys(partitions, 0)).notes


class PositionContract:
    def test_a_new_namespace_has_no_positions(self, store: Store) -> None:
        assert store.positions() == [{}]

    def test_a_save_moves_positions_and_gives_all_of_the_shard(self, store: Store) -> None:
        saved(store, positions={0: Position(5, NOW)}, expected={0: None})

        after = saved(store, positions={3: Position(7, NO_CLOCK)}, expected={3: None})

        assert after.positions == {0: Position(5, NOW), 3: Position(7, NO_CLOCK)}
        assert store.positions() == [after.positions]

    @pytest.mark.parametrize(("stored", "expected"), [(None, 0), (None, 5), (5, None), (5, 4), (5, 6)])
    def test_a_position_other_than_expected_refuses_the_whole_write(
        self, store: Store, stored: int | None, expected: int | None
    ) -> None:
        if stored is not None:
            saved(store, positions={0: Position(stored, NOW)}, expected={0: None})
        write = Write(
            {0: expected},
            {0: Position(9, NOW)},
            [(A, None, track(A))],
            due=[(A, None, Due(0, NOW))],
            notes=[(0, A)],
        )

        result = store.save(0, write)

        assert isinstance(result, Overtaken)
        assert result.positions == ({} if stored is None else {0: Position(stored, NOW)})
        assert store.positions() == [result.positions]
        assert applied_of(store, A) is None
        assert (due_of(store, 0), notes_of(store, 0)) == ({}, {})

    def test_a_write_without_positions_compares_them_all_the_same(self, store: Store) -> None:
        saved(store, positions={0: Position(5, NOW)}, expected={0: None})

        assert isinstance(store.save(0, Write({0: 4}, tracks=[(A, None, track(A))])), Overtaken)
        assert saved(store, (A, None, track(A)), expected={0: 5}).positions == {0: Position(5, NOW)}

    def test_positions_and_clocks_are_never_lowered(self, store: Store) -> None:
        saved(store, positions={0: Position(5, NOW)}, expected={0: None})

        assert saved(store, positions={0: Position(4, NOW + 1)}, expected={0: 5}).positions[0] == Position(5, NOW + 1)
        assert saved(store, positions={0: Position(6, NO_CLOCK)}, expected={0: 5}).positions[0] == Position(6, NOW + 1)

    def test_large_numbers_are_kept_exactly(self, store: Store) -> None:
        at = Position(2**53 - 1, 253_402_300_799_999)  # The last ms of the year 9999.

        assert saved(store, positions={1023: at}, expected={1023: None}).positions == {1023: at}
        put(store, A, due=[(A, None, Due(1023, at.clock))])
        assert due_of(store, 1023, before=at.clock) == {}
        assert due_of(store, 1023, before=at.clock + 1) == {A: Due(1023, at.clock)}

    def test_an_origin_that_is_recorded_stays(self, store: Store) -> None:
        assert store.origins({0: 10, 1: 20}) == {0: 10, 1: 20}
        assert store.origins({1: 99, 2: 30}) == {1: 20, 2: 30}
        assert store.origins({}) == {}


class TrackContract:
    def test_a_saved_track_is_loaded_as_it_was(self, store: Store) -> None:
        token = put(store, A, 7)

        assert store.load([A, B]) == {A: Stored(token, track(A, 7)), B: None}

    def test_every_write_of_a_track_has_a_new_token(self, store: Store) -> None:
        tokens = [put(store, A) for _ in range(5)]

        assert len(set(tokens)) == 5

    @pytest.mark.parametrize("is_written", [True, False])
    def test_a_track_that_others_wrote_refuses_the_whole_write(self, store: Store, *, is_written: bool) -> None:
        old = put(store, A, 1)
        new = put(store, A, 2)
        write = Write(
            {0: None},
            {0: Position(9, NOW)},
            [(B, None, track(B)), (A, old, track(A, 3) if is_written else None)],
            due=[(B, None, Due(0, NOW))],
            notes=[(0, B)],
        )

        result = store.save(0, write)

        assert result == Conflict({A: Stored(new, track(A, 2))})
        assert store.positions() == [{}]
        assert applied_of(store, A) == 2
        assert applied_of(store, B) is None
        assert (due_of(store, 0), notes_of(store, 0)) == ({}, {})

    def test_a_track_believed_new_that_is_there_refuses_the_write(self, store: Store) -> None:
        token = put(store, A, 1)

        assert store.save(0, Write({}, tracks=[(A, None, track(A, 2))])) == Conflict({A: Stored(token, track(A, 1))})

    @pytest.mark.parametrize("is_written", [True, False])
    def test_a_track_believed_there_that_is_gone_refuses_the_write(self, store: Store, *, is_written: bool) -> None:
        token = put(store, A)
        saved(store, sweep=[(A, token)])

        write = Write({}, tracks=[(A, token, track(A, 2) if is_written else None)])
        assert store.save(0, write) == Conflict({A: None})

    def test_only_the_tracks_that_others_wrote_are_in_a_conflict(self, store: Store) -> None:
        a, b = put(store, A), put(store, B)
        put(store, B, 2)

        result = store.save(0, Write({}, tracks=[(A, a, None), (B, b, track(B, 3)), (C, None, None)]))

        assert isinstance(result, Conflict)
        assert set(result.tracks) == {B}

    def test_a_track_that_is_only_compared_is_not_written(self, store: Store) -> None:
        token = put(store, A, 1)

        assert saved(store, (A, token, None), (B, None, None)).tokens == {}
        assert store.load([A, B]) == {A: Stored(token, track(A, 1)), B: None}

    def test_after_a_conflict_what_it_gave_can_be_folded_and_saved(self, store: Store) -> None:
        old = put(store, A, 1)
        put(store, A, 2)
        result = store.save(0, Write({}, tracks=[(A, old, track(A, 3))]))
        assert isinstance(result, Conflict)
        stored = result.tracks[A]
        assert stored is not None

        saved(store, (A, stored.token, track(A, 3)))

        assert applied_of(store, A) == 3

    def test_a_write_of_many_tracks_is_one_write(self, store: Store) -> None:
        keys = [named_track(f"session-{i:05}") for i in range(9_001)]  # Lua takes some 8,000 values at once.
        at = Due(0, NOW)

        first = saved(
            store,
            *[(key, None, track(key)) for key in keys],
            due=[(key, None, at) for key in keys],
            notes=[(0, key) for key in keys],
        )

        assert set(first.tokens) == set(keys)
        assert all(stored is not None for stored in store.load(keys).values())
        saved(store, *[(key, first.tokens[key], None) for key in keys])
        moved = [(key, at, Due(1, NOW)) for key in keys]
        saved(store, *[(key, first.tokens[key], track(key, 2)) for key in keys], due=moved)
        assert due_of(store, 0) == {}
        assert len(due_of(store, 1)) == len(notes_of(store, 0)) == 1000

    @pytest.mark.parametrize(
        "name", ["", "ä\U0001f600", "with blank\nand line", "}:t:{", "nul\0nul", "*?[x]", "x" * 5000]
    )
    def test_any_text_is_a_key(self, store: Store, name: str) -> None:
        key = named_track(name)
        token = put(store, key, due=[(key, None, Due(0, NOW))], notes=[(0, key)])

        assert store.load([key]) == {key: Stored(token, track(key))}
        assert due_of(store, 0) == {key: Due(0, NOW)}
        assert notes_of(store, 0) == {key: 0}

    def test_all_tracks_can_be_walked_through(self, store: Any) -> None:
        keys = {named_track(f"session-{i}") for i in range(50)}
        saved(store, *[(key, None, track(key)) for key in keys])

        assert dict(store.sessions()) == {key: track(key) for key in keys}


class OwnershipContract:
    """Of stores that keep copies."""

    def test_a_loaded_track_is_the_callers_to_change(self, store: Store) -> None:
        put(store, A, 1)
        loaded = store.load([A])[A]
        assert loaded is not None
        loaded.track.applied[0] = 99

        assert applied_of(store, A) == 1

    def test_a_saved_track_can_be_folded_on_without_changing_what_is_stored(self, store: Store) -> None:
        mine = track(A, 1)
        saved(store, (A, None, mine))
        mine.applied[0] = 99

        assert applied_of(store, A) == 1


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

    def test_a_deadline_takes_the_place_of_the_one_that_stood_there(self, store: Store) -> None:
        put(store, A, due=[(A, None, Due(0, NOW + 10))])
        put(store, A, due=[(A, None, Due(0, NOW))])

        assert due_of(store, 0) == {A: Due(0, NOW)}

    def test_a_deadline_moves_to_another_partition_whatever_time_stood_there(self, store: Store) -> None:
        put(store, A, due=[(A, None, Due(0, NOW))])
        put(store, A, due=[(A, Due(0, NOW + 5), Due(1, NOW + 7))])

        assert due_of(store, 0, 1) == {A: Due(1, NOW + 7)}

    def test_the_earliest_thousand_come_first(self, store: Store) -> None:
        keys = [named_track(f"session-{i:04}") for i in range(1_200)]
        late_first = [(key, None, Due(0, NOW - i)) for i, key in enumerate(keys)]
        saved(store, *[(key, None, track(key)) for key in keys], due=late_first)

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
            (A, token, track(A, 2)),
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

        saved(store, (A, token, track(A, 2)), notes=[(1, A)], clear_notes=[(1, A, token)])

        assert notes_of(store, 1) == {A: 1}

    def test_a_thousand_notes_of_a_partition_are_given_at_once_and_then_the_others(self, store: Store) -> None:
        keys = [named_track(f"session-{i:04}") for i in range(1_100)]
        tokens = saved(store, *[(key, None, track(key)) for key in keys], notes=[(0, key) for key in keys]).tokens

        first = notes_of(store, 0)
        saved(store, clear_notes=[(0, key, tokens[key]) for key in first])

        assert len(first) == 1_000
        assert set(notes_of(store, 0)) == set(keys) - set(first)


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

        saved(store, (A, token, track(A, 2)), sweep=[(A, token)])

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

        store.release_short_ids([("a", claimed)])

        assert store.claim_short_ids([("b", claimed)], 6) == [claimed]

    def test_only_its_holder_gives_a_short_id_back(self, store: Store) -> None:
        store.claim_short_ids([("a", "123456")], 6)

        store.release_short_ids([("b", "123456"), ("a", "654321")])

        assert store.claim_short_ids([("a", None)], 6) == ["123456"]

    def test_when_all_are_taken_there_is_none_until_one_is_given_back(self, store: Any) -> None:
        claimed = store.claim_short_ids([(f"session-{i}", None) for i in range(12)], 1)
        assert sorted(one for one in claimed[:10]) == list("0123456789")
        assert claimed[10:] == [None, None]
        assert store.short_ids_taken() == 10

        store.release_short_ids([("session-4", claimed[4])])

        assert store.claim_short_ids([("session-10", None)], 1) == [claimed[4]]

    def test_nothing_asked_is_nothing_done(self, store: Store) -> None:
        assert store.claim_short_ids([], 6) == []
        store.release_short_ids([])


class ShardContract:
    def test_a_track_is_always_in_the_same_shard_and_shards_are_used_alike(self, sharded: Store) -> None:
        keys = [named_track(f"session-{i}") for i in range(1_000)]
        shards = [sharded.shard_of(key) for key in keys]

        assert shards == [sharded.shard_of(key) for key in keys]
        assert {shards.count(shard) > 200 for shard in range(4)} == {True}
        assert sharded.shard_of(named_track("session-0")) == 1  # Stored: were it another, state could not be found.

    def test_shards_are_written_apart_and_loaded_together(self, sharded: Store) -> None:
        keys = [named_track(f"session-{i}") for i in range(20)]
        for shard in range(sharded.shards):
            mine = [key for key in keys if sharded.shard_of(key) == shard]
            write = Write(
                {0: None},
                {0: Position(shard, NOW)},
                [(key, None, track(key)) for key in mine],
                due=[(key, None, Due(0, NOW)) for key in mine],
                clocks={0: NOW + 1},
            )
            result = sharded.save(shard, write)
            assert isinstance(result, Saved)
            assert set(result.due) == set(mine)

        assert sharded.positions() == [{0: Position(shard, NOW)} for shard in range(sharded.shards)]
        assert {key: stored and stored.track for key, stored in sharded.load(keys).items()} == {
            key: track(key) for key in keys
        }


class StoreContract(
    PositionContract, TrackContract, DeadlineContract, NoteContract, SweepContract, ShortIdContract, ShardContract
):
    """All of it; subclasses have the fixtures `store` with one shard and `sharded` with four."""
