from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from projector.adapters.embedded import EmbeddedStore
from projector.ports import Saved, Write
from projector.route import named_track
from projector.track import Due
from tests.adapters.store_calls import A, B, put
from tests.adapters.store_contract import StoreContract

if TYPE_CHECKING:
    from collections.abc import Iterator


class TestInMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[EmbeddedStore]:
        store = EmbeddedStore()
        yield store
        store.close()

    @pytest.fixture
    def sharded(self) -> Iterator[EmbeddedStore]:
        store = EmbeddedStore(shards=4)
        yield store
        store.close()


class TestOnDisk(StoreContract):
    """A bound so low that nothing stays in memory."""

    @pytest.fixture
    def store(self) -> Iterator[EmbeddedStore]:
        store = EmbeddedStore(memory_tracks_max=0)
        yield store
        store.close()

    @pytest.fixture
    def sharded(self) -> Iterator[EmbeddedStore]:
        store = EmbeddedStore(memory_tracks_max=0, shards=4)
        yield store
        store.close()


class TestLending(StoreContract):
    """As a replay uses it, some of it on disk."""

    @pytest.fixture
    def store(self) -> Iterator[EmbeddedStore]:
        store = EmbeddedStore(memory_tracks_max=16)
        yield store
        store.close()

    @pytest.fixture
    def sharded(self) -> Iterator[EmbeddedStore]:
        store = EmbeddedStore(memory_tracks_max=2, shards=4)
        yield store
        store.close()


def test_memory_holds_no_more_tracks_than_its_bound() -> None:
    store = EmbeddedStore(memory_tracks_max=100)
    for i in range(1_000):
        put(store, named_track(f"session-{i}"))

        assert len(store._tracks) <= 100


def test_the_tracks_that_were_used_last_stay_in_memory() -> None:
    store = EmbeddedStore(memory_tracks_max=32)
    put(store, A)
    for i in range(100):
        put(store, named_track(f"session-{i}"))
        store.load([A])

    assert A in store._tracks


def test_a_track_written_after_it_was_on_disk_is_given_once_and_as_it_is_now() -> None:
    store = EmbeddedStore(memory_tracks_max=4)
    keys = [named_track(f"session-{i}") for i in range(20)]
    for applied in (1, 2):
        for key in keys:
            put(store, key, applied)

    assert sorted((key, one.applied[0]) for key, one in store.sessions()) == sorted((key, 2) for key in keys)


def test_a_swept_track_is_not_found_on_disk() -> None:
    store = EmbeddedStore(memory_tracks_max=0)
    token = put(store, A)

    result = store.save(0, Write({}, sweep=[(A, token)]))

    assert isinstance(result, Saved)
    assert dict(store.sessions()) == {}


@pytest.mark.parametrize("memory_tracks_max", [0, 100])
def test_tracks_that_are_handed_over_are_gone_here_and_call_there(memory_tracks_max: int) -> None:
    here, there = (EmbeddedStore(memory_tracks_max=memory_tracks_max) for _ in range(2))
    put(here, A, 3)
    put(here, B)

    handed = here.hand_over([A, named_track("nobody")])
    there.take_over([(key, one, Due(0, 50)) for key, one in handed])

    assert [key for key, _ in handed] == [A]
    assert (here.all_keys(), here.load([A])) == ([B], {A: None})
    taken = there.load([A])[A]
    assert taken is not None
    assert taken.track.applied == {0: 3}
    called = there.save(0, Write({}, clocks={0: 51}))
    assert isinstance(called, Saved)
    assert called.due == {A: Due(0, 50)}


def test_without_short_ids_nobody_gets_one() -> None:
    store = EmbeddedStore(short_ids=False)

    assert store.claim_short_ids([("s-1", None), ("s-2", "000001")], 6) == [None, None]
    store.retire_short_ids([("s-2", "000001")])
    store.release_short_ids([("s-2", "000001")])
    assert store.short_ids_taken() == 0
