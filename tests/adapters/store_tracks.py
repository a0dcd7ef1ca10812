"""What a `Store` promises of positions and tracks (design §3, step 4 a and b)."""

from __future__ import annotations

from typing import Any

import pytest

from projector.ports import NO_CLOCK, Conflict, Overtaken, Position, Saved, Store, Write
from projector.route import named_track
from projector.track import Due
from tests.adapters.store_calls import NOW, A, B, C, applied_of, as_stored, due_of, notes_of, put, record, saved, track


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
            [(A, None, record(A))],
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

        assert isinstance(store.save(0, Write({0: 4}, tracks=[(A, None, record(A))])), Overtaken)
        assert saved(store, (A, None, record(A)), expected={0: 5}).positions == {0: Position(5, NOW)}

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

        assert store.load([A, B]) == {A: as_stored(token, track(A, 7)), B: None}

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
            [(B, None, record(B)), (A, old, record(A, 3) if is_written else None)],
            due=[(B, None, Due(0, NOW))],
            notes=[(0, B)],
        )

        result = store.save(0, write)

        assert result == Conflict({A: as_stored(new, track(A, 2))})
        assert store.positions() == [{}]
        assert applied_of(store, A) == 2
        assert applied_of(store, B) is None
        assert (due_of(store, 0), notes_of(store, 0)) == ({}, {})

    def test_a_track_believed_new_that_is_there_refuses_the_write(self, store: Store) -> None:
        token = put(store, A, 1)

        assert store.save(0, Write({}, tracks=[(A, None, record(A, 2))])) == Conflict(
            {A: as_stored(token, track(A, 1))}
        )

    @pytest.mark.parametrize("is_written", [True, False])
    def test_a_track_believed_there_that_is_gone_refuses_the_write(self, store: Store, *, is_written: bool) -> None:
        token = put(store, A)
        saved(store, sweep=[(A, token)])

        write = Write({}, tracks=[(A, token, record(A, 2) if is_written else None)])
        assert store.save(0, write) == Conflict({A: None})

    def test_only_the_tracks_that_others_wrote_are_in_a_conflict(self, store: Store) -> None:
        a, b = put(store, A), put(store, B)
        put(store, B, 2)

        result = store.save(0, Write({}, tracks=[(A, a, None), (B, b, record(B, 3)), (C, None, None)]))

        assert isinstance(result, Conflict)
        assert set(result.tracks) == {B}

    def test_a_track_that_is_only_compared_is_not_written(self, store: Store) -> None:
        token = put(store, A, 1)

        assert saved(store, (A, token, None), (B, None, None)).tokens == {}
        assert store.load([A, B]) == {A: as_stored(token, track(A, 1)), B: None}

    def test_after_a_conflict_what_it_gave_can_be_folded_and_saved(self, store: Store) -> None:
        old = put(store, A, 1)
        put(store, A, 2)
        result = store.save(0, Write({}, tracks=[(A, old, record(A, 3))]))
        assert isinstance(result, Conflict)
        stored = result.tracks[A]
        assert stored is not None

        saved(store, (A, stored.token, record(A, 3)))

        assert applied_of(store, A) == 3

    def test_a_write_of_many_tracks_is_one_write(self, store: Store) -> None:
        keys = [named_track(f"session-{i:05}") for i in range(9_001)]  # Lua takes some 8,000 values at once.
        at = Due(0, NOW)

        first = saved(
            store,
            *[(key, None, record(key)) for key in keys],
            due=[(key, None, at) for key in keys],
            notes=[(0, key) for key in keys],
        )

        assert set(first.tokens) == set(keys)
        assert all(stored is not None for stored in store.load(keys).values())
        saved(store, *[(key, first.tokens[key], None) for key in keys])
        moved = [(key, at, Due(1, NOW)) for key in keys]
        saved(store, *[(key, first.tokens[key], record(key, 2)) for key in keys], due=moved)
        assert due_of(store, 0) == {}
        assert len(due_of(store, 1)) == len(notes_of(store, 0)) == 1000

    @pytest.mark.parametrize(
        "name", ["", "ä\U0001f600", "with blank\nand line", "}:t:{", "nul\0nul", "*?[x]", "x" * 5000]
    )
    def test_any_text_is_a_key(self, store: Store, name: str) -> None:
        key = named_track(name)
        token = put(store, key, due=[(key, None, Due(0, NOW))], notes=[(0, key)])

        assert store.load([key]) == {key: as_stored(token, track(key))}
        assert due_of(store, 0) == {key: Due(0, NOW)}
        assert notes_of(store, 0) == {key: 0}

    def test_all_tracks_can_be_walked_through(self, store: Any) -> None:
        keys = {named_track(f"session-{i}") for i in range(50)}
        saved(store, *[(key, None, record(key)) for key in keys])

        assert dict(store.sessions()) == {key: track(key) for key in keys}

    def test_a_loaded_track_is_the_callers_to_change(self, store: Store) -> None:
        put(store, A, 1)
        loaded = store.load([A])[A]
        assert loaded is not None
        loaded.track.applied[0] = 99

        assert applied_of(store, A) == 1


class ShardContract:
    def test_a_track_is_always_in_the_same_shard_and_shards_are_used_alike(self, sharded: Store) -> None:
        keys = [named_track(f"session-{i}") for i in range(1_000)]
        shards = [sharded.shard_of(key) for key in keys]

        assert shards == [sharded.shard_of(key) for key in keys]
        assert {shards.count(shard) > 200 for shard in range(4)} == {True}
        assert sharded.shard_of(named_track("session-0")) == 0  # Stored: were it another, state could not be found.

    def test_shards_are_written_apart_and_loaded_together(self, sharded: Store) -> None:
        keys = [named_track(f"session-{i}") for i in range(20)]
        for shard in range(sharded.shards):
            mine = [key for key in keys if sharded.shard_of(key) == shard]
            write = Write(
                {0: None},
                {0: Position(shard, NOW)},
                [(key, None, record(key)) for key in mine],
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
