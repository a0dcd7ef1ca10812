"""Whatever is asked of them, memory and Redis give the same answers."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from projector.adapters.embedded import EmbeddedStore
from projector.adapters.redis import RedisStore
from projector.ports import NO_CLOCK, Conflict, Position, Saved, Store, Stored, Token, Write
from projector.route import TrackKey, named_track
from projector.track import Due, Track
from tests.adapters.store_calls import record

if TYPE_CHECKING:
    import pytest


KEYS = [named_track(name) for name in ("a", "b", "c", "ä")]
PARTITIONS = [0, 1, 2]

keys = st.sampled_from(KEYS)
partitions = st.sampled_from(PARTITIONS)
times = st.integers(0, 5)
dues = st.builds(Due, partitions, times)
ages = st.integers(0, 2)  # 0: the newest token that was seen of a track, 1: the one before, 2: none.
keyed = st.fixed_dictionaries({}, optional={key: st.tuples(ages, st.none() | st.integers(1, 9)) for key in KEYS})
LIKELY = (0, 0, 0, 0, 0, 1, 2)


class StoresAgree(RuleBasedStateMachine):
    """The same writes go to both; tokens are their own, so each is named by when it was seen."""

    url: str
    stores: dict[str, Store]
    workers: list[RedisStore]
    """The first only looks: asking for positions begins a new life. The others write in turn, one of them mostly."""
    tokens: dict[str, dict[TrackKey, list[Token]]]

    @initialize(memory_tracks_max=st.sampled_from([0, 2, 100]), shards=st.sampled_from([1, 2]))
    def open(self, memory_tracks_max: int, shards: int) -> None:
        namespace = f"agree-{uuid.uuid4().hex}"
        self.workers = [RedisStore(self.url, namespace, shards=shards, clustered=False) for _ in range(3)]
        self.stores = {
            "embedded": EmbeddedStore(memory_tracks_max=memory_tracks_max, shards=shards),
            "redis": self.workers[0],
        }
        self.tokens = {name: {} for name in self.stores}
        self.at: list[dict[int, int]] = [{} for _ in range(shards)]

    @rule(
        shard=st.integers(0, 1),
        worker=st.sampled_from([1, 1, 1, 1, 2]),
        tracks=st.dictionaries(keys, st.tuples(st.sampled_from(LIKELY), st.none() | st.integers(1, 9))),
        positions=st.dictionaries(partitions, st.builds(Position, st.integers(0, 6), st.just(NO_CLOCK) | times)),
        wrong=st.sampled_from([0, 0, 0, 0, 1]),
        due=st.dictionaries(keys, st.tuples(st.none() | dues, st.none() | dues)),
        notes=st.lists(st.tuples(partitions, keys), max_size=3),
        clear_notes=st.lists(st.tuples(partitions, keys, st.sampled_from(LIKELY)), max_size=3),
        move_due=st.lists(st.tuples(keys, st.sampled_from(LIKELY), dues, st.none() | dues), max_size=3),
        sweep=st.lists(st.tuples(keys, st.sampled_from(LIKELY)), max_size=2),
        clocks=st.dictionaries(partitions, st.just(NO_CLOCK) | times),
    )
    def save(self, shard: int, worker: int, tracks: dict[TrackKey, Any], wrong: int, **rest: Any) -> None:
        store = self.stores["embedded"]
        shard %= store.shards
        mine = {key for key in KEYS if store.shard_of(key) == shard}
        expected: dict[int, int | None] = {one: self.at[shard].get(one) for one in PARTITIONS}
        if wrong:
            expected[0] = (expected[0] or 0) + 1
        answers = []
        for name in self.stores:
            write = Write(
                expected,
                rest["positions"],
                [
                    (key, self._token(name, key, age), _record(key, n))
                    for key, (age, n) in tracks.items()
                    if key in mine
                ],
                due=[(key, *moved) for key, moved in rest["due"].items() if key in mine],
                notes=[note for note in rest["notes"] if note[1] in mine],
                clear_notes=[(p, k, self._known(name, k, age)) for p, k, age in rest["clear_notes"] if k in mine],
                move_due=[(k, self._known(name, k, age), a, b) for k, age, a, b in rest["move_due"] if k in mine],
                sweep=[(key, self._known(name, key, age)) for key, age in rest["sweep"] if key in mine],
                clocks=rest["clocks"],
            )
            answers.append(self._save(name, self.workers[worker] if name == "redis" else store, shard, write))
        assert answers[0] == answers[1]

    @rule(wanted=st.lists(st.sampled_from("abc"), max_size=4))
    def claim(self, wanted: list[str]) -> None:
        had = [(session_id, f"00000{ord(session_id) % 2}") for session_id in wanted]
        claimed = {name: store.claim_short_ids(had, 6) for name, store in self.stores.items()}

        kept = {name: [one in ("000000", "000001") and one for one in found] for name, found in claimed.items()}
        assert kept["embedded"] == kept["redis"]

    @rule(held=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["000000", "000001"])), max_size=3))
    def release(self, held: list[tuple[str, str]]) -> None:
        for store in self.stores.values():
            store.retire_short_ids(held)
            store.release_short_ids(held)

    @rule(proposed=st.dictionaries(partitions, times))
    def origins(self, proposed: dict[int, int]) -> None:
        assert self.stores["embedded"].origins(proposed) == self.stores["redis"].origins(proposed)

    @invariant()
    def both_hold_the_same(self) -> None:
        if not hasattr(self, "stores"):
            return
        loaded = {name: _bare(store.load(KEYS)) for name, store in self.stores.items()}
        assert loaded["embedded"] == loaded["redis"]
        everything: dict[str, Any] = {name: dict(store.sessions()) for name, store in self.stores.items()}  # type: ignore[attr-defined]
        assert everything["embedded"] == everything["redis"]
        assert self.stores["embedded"].positions() == self.stores["redis"].positions()

    def teardown(self) -> None:
        for store in (*getattr(self, "stores", {}).values(), *getattr(self, "workers", ())):
            store.close()

    def _save(self, name: str, store: Store, shard: int, write: Write) -> Any:
        answer = store.save(shard, write)
        if isinstance(answer, Saved):
            for key, token in answer.tokens.items():
                self.tokens[name].setdefault(key, []).append(token)
            self.at[shard] = {one: at.offset for one, at in answer.positions.items()}
            return answer.positions, set(answer.tokens), answer.notes, answer.due
        return _bare(answer.tracks) if isinstance(answer, Conflict) else answer

    def _token(self, name: str, key: TrackKey, age: int) -> Token | None:
        seen = self.tokens[name].get(key, [])
        return seen[-1 - age] if age < len(seen) and age < 2 else None

    def _known(self, name: str, key: TrackKey, age: int) -> Token:
        return self._token(name, key, age) or Token(b"unknown")


def _record(key: TrackKey, applied: int | None) -> bytes | None:
    return None if applied is None else record(key, applied)


def _bare(tracks: dict[TrackKey, Stored | None]) -> dict[TrackKey, Track | None]:
    return {key: None if stored is None else stored.track for key, stored in tracks.items()}


def test_memory_and_redis_give_the_same_answers(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoresAgree, "url", redis_url, raising=False)
    steady = settings(max_examples=60, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))

    run_state_machine_as_test(StoresAgree, settings=steady)
