"""Deliberate breaks of the product: each leaves out one rule of the protocol, and the simulation must notice (design §3).

A break that goes unnoticed says that the simulation does not look where it should.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import projector.drafting
import projector.life
import projector.turn
import projector.worker
from projector.crossing import Crossing
from projector.draft import Draft
from projector.drafting import Drafting
from projector.errors import Doubt
from projector.ledger import Mark, mark_of
from projector.life import Life
from projector.ports import Batch, Change, Committed, Write
from projector.saving import Saving
from projector.turn import Turn
from projector.worker import Worker
from tests.simulation import store
from tests.simulation.kafka import SimPublisher
from tests.simulation.store import Nodes, SimStore

Original = Callable[..., Any]


@contextmanager
def broken(name: str) -> Iterator[None]:
    """The product with this one rule left out."""
    owner, attribute, broken_as = BREAKS[name]
    original = getattr(owner, attribute)
    setattr(owner, attribute, broken_as(original))
    try:
        yield
    finally:
        setattr(owner, attribute, original)


def _only_changed(original: Original) -> Original:
    def changes(turn: Turn, draft: Draft) -> list[Change]:
        written = {key for saved in draft.saved.values() for key in saved.tokens}
        everything, draft.touched = (
            draft.touched,
            {key: cached for key, cached in draft.touched.items() if key in written},
        )
        found: list[Change] = original(turn, draft)
        draft.touched = everything
        return found

    return changes


def _commit_first(original: Original) -> Original:
    def init(turn: Any, **arguments: Any) -> None:
        original(turn, **arguments)
        save, publisher = turn._saving.save, turn._publisher
        if not isinstance(publisher, SimPublisher):
            return  # The fold of the whole log that results are compared with.

        def committed_and_saved(draft: Draft) -> Any:
            group = (publisher._wire.actor.name, publisher._source.generation)
            publisher.publish([], [], turn._commits(draft), group)
            return save(draft)

        turn._saving.save = committed_and_saved

    return init


def _nothing_is_compared(_original: Original) -> Original:
    def has(*_: Any) -> bool:
        return True

    return has


def _never_overtaken(_original: Original) -> Original:
    def is_overtaken(*_: Any) -> bool:
        return False

    return is_overtaken


def _due_goes_first(original: Original) -> Original:
    def write(saving: Saving, draft: Draft, shard: int, *rest: Any, **more: Any) -> Write:
        made: Write = original(saving, draft, shard, *rest, **more)
        cache = saving._life.cache
        made.move_due += [
            (key, cache[key].token, fired, None)
            for key, fired in draft.due.items()
            if key in cache and saving._store.shard_of(key) == shard
        ]
        return made

    return write


def _notes_go_first(original: Original) -> Original:
    def write(saving: Saving, draft: Draft, shard: int, *rest: Any, **more: Any) -> Write:
        made: Write = original(saving, draft, shard, *rest, **more)
        cache = saving._life.cache
        made.clear_notes += [
            (home, key, cache[key].token)
            for key, home in draft.noted.items()
            if key in cache and saving._store.shard_of(key) == shard
        ]
        return made

    return write


def _loud(original: Original) -> Original:
    def begin(*arguments: Any) -> Life:
        life: Life = original(*arguments)
        life.behind = set()
        return life

    return begin


def _only_touched_shards(original: Original) -> Original:
    def save(client: SimStore, shard: int, write: Write) -> Any:
        if write.tracks or client.shards == 1:
            return original(client, shard, write)
        return original(client, shard, Write({}, clocks=write.clocks))

    return save


def _everybody_publishes(original: Original) -> Original:
    def write(saving: Saving, draft: Draft, shard: int, *rest: Any, **more: Any) -> Write:
        made: Write = original(saving, draft, shard, *rest, **more)
        if shard not in saving._life.behind:
            for _, key in made.notes:
                draft.left.pop(key, None)
            made.notes = []
        return made

    return write


def _from_what_is_committed(original: Original) -> Original:
    def place(life: Life, partition: int, committed: Committed | None, *rest: Any) -> None:
        original(life, partition, committed, *rest)
        if committed is not None:
            life.read[partition], life.marks[partition] = committed.offset, mark_of(committed.metadata)

    return place


def _nothing_is_skipped(original: Original) -> Original:
    def fold(track: Any, *rest: Any, **more: Any) -> Any:
        track.applied.clear()
        return original(track, *rest, **more)

    return fold


def _doubts_are_shrugged_off(_original: Original) -> Original:
    def step(worker: Worker) -> Any:
        try:
            return worker._step(worker._world.source.poll())
        except Doubt:
            return None

    return step


def _links_of_new_records_only(original: Original) -> Original:
    def follow(crossing: Crossing, draft: Draft) -> None:
        everything, touched = draft.unsettled, draft.touched
        draft.unsettled = {key: None for key in everything if key in touched and touched[key].is_changed}
        original(crossing, draft)
        draft.unsettled = everything | draft.unsettled

    return follow


def _the_wall_clock_ends(_original: Original) -> Original:
    def end_clocks(drafting: Drafting, _batch: Batch, now: int) -> dict[int, int]:
        return dict.fromkeys(drafting._life.partitions, now)

    return end_clocks


def _rejects_again(original: Original) -> Original:
    def read(batch: Any, marks: Any, _committed: Any, **more: Any) -> Any:
        return original(batch, marks, {}, **more)

    return read


def _counts_are_forgotten(_original: Original) -> Original:
    def mark(metadata: str) -> Mark:
        known = mark_of(metadata)
        return Mark(known.clock, origin=known.origin, end_clock=known.end_clock, silent_from=known.silent_from)

    return mark


def _commits_go_back(_original: Original) -> Original:
    def commits(turn: Turn, draft: Draft) -> dict[int, Committed]:
        marks = turn._life.marks
        return {one: Committed(draft.next[one], marks[one].encode()) for one in turn._life.partitions}

    return commits


def _saves_nothing_again(_original: Original) -> Original:
    """What others wrote in between is taken for ours."""

    def again(drafting: Drafting, draft: Draft, conflict: Any) -> None:
        for key, stored in conflict.tracks.items():
            if stored is not None:
                drafting._taking.put(key, stored)
            draft.touched[key] = drafting._life.cache[key]
            draft.touched[key].is_changed = False

    return again


BREAKS: dict[str, tuple[Any, str, Callable[[Original], Original]]] = {
    "publish only what changed": (Turn, "_changes", _only_changed),
    "commit before the save": (Turn, "__init__", _commit_first),
    "compare no tokens": (Nodes, "_has", _nothing_is_compared),
    "compare no positions": (store, "_is_overtaken", _never_overtaken),
    "remove deadlines before their ends are published": (Saving, "_write", _due_goes_first),
    "remove notes before they are published": (Saving, "_write", _notes_go_first),
    "catch up aloud": (projector.worker, "begin", _loud),
    "write only the shards that are touched": (SimStore, "save", _only_touched_shards),
    "publish from anywhere, not from home": (Saving, "_write", _everybody_publishes),
    "start from what is committed, whatever the store has": (projector.life, "_place", _from_what_is_committed),
    "fold what has been folded": (projector.drafting, "fold", _nothing_is_skipped),
    "live on after a doubt": (Worker, "step", _doubts_are_shrugged_off),
    "follow the links of new records only": (Crossing, "follow_links", _links_of_new_records_only),
    "end by the wall clock with records unread": (Drafting, "_end_clocks", _the_wall_clock_ends),
    "reject again what was rejected": (projector.turn, "read", _rejects_again),
    "forget the counts of the last life": (projector.life, "mark_of", _counts_are_forgotten),
    "commit below what is committed": (Turn, "_commits", _commits_go_back),
    "drop what was folded when others wrote in between": (Drafting, "again", _saves_nothing_again),
}
