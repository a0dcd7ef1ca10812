"""What each record of a log did to one session.

The log is folded once to find the tracks that the session depends on, then again with their records one at a time; the
others are folded too, for they move the clock.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from projector.adapters.embedded import EmbeddedStore
from projector.decode import decode
from projector.enrich.event import Places
from projector.events import Event
from projector.ledger import Ledger
from projector.ports import Batch, Change, Committed, Offset, Partition, Record, Refused, Source, Span
from projector.replay import Replay
from projector.route import TrackKey, named_track, route
from projector.rules import Rules, rule_of
from projector.session import Session, is_published
from projector.snapshot import snapshot_of
from projector.track import find


class Step(Struct):
    """What one record did."""

    topic: str
    partition: int
    offset: int
    at: int
    """Of the event, ms."""
    event_type: str
    event_id: str
    outcome: str
    """`folded`, `duplicates`, `rejected: <reason>`, as in the ledger."""
    detail: str = ""
    """Why it was rejected."""
    effects: list[str] = []
    """`opened`, `ended`, `revived`, `merged away`, `published`."""
    fields: dict[str, tuple[Any, Any]] = {}
    """Name of each field of the snapshot that it changed, to the value before and after (None: absent)."""
    rules: dict[str, str] = {}
    """Session attribute to the rule that let it through."""


def explain(
    session_id: str,
    new_source: Callable[[], Source],
    *,
    rules: Rules,
    places: Places | None,
    started_at: int,
    on_progress: Callable[[int], None],
) -> Iterator[Step]:
    """The records that touched the session, or its visitor where it is a visit, in the order of the log."""
    store = EmbeddedStore()
    first = Replay(
        source=new_source(), store=store, publisher=_Noted(), rules=rules, places=places, started_at=started_at
    )
    first.run(as_of=None, on_progress=on_progress)
    keys = _concerned(store, session_id)
    publisher, few = _Noted(), EmbeddedStore()
    source = _Chosen(new_source(), keys)
    second = Replay(source=source, store=few, publisher=publisher, rules=rules, places=places, started_at=started_at)
    before: dict[str, Any] | None = None
    books: dict[Partition, Ledger] = {}
    for _ in second.steps():
        record, source.record = source.record, None
        if record is not None:
            book, book_before = second.ledgers()[record.partition], books.get(record.partition, Ledger())
            after = _snapshot(few, session_id, rules)
            yield _step(record, book, book_before, before, after, publisher, source.topic, rules)
            before = after
        books = {one: msgspec.convert(msgspec.to_builtins(book), Ledger) for one, book in second.ledgers().items()}


class _Noted:
    """A publisher that remembers the last reject."""

    def __init__(self) -> None:
        self.refused: Refused | None = None

    def publish(
        self,
        changes: Iterable[Change],  # noqa: ARG002
        rejects: Iterable[Refused],
        positions: Mapping[Partition, Committed],  # noqa: ARG002
        group: Any,  # noqa: ARG002
    ) -> None:
        for refused in rejects:
            self.refused = refused

    def renew(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Chosen:
    """The records of a source, those of some tracks each in a poll of its own."""

    def __init__(self, source: Source, keys: frozenset[TrackKey]) -> None:
        self._source, self._keys = source, keys
        self._waiting: list[Record] = []
        self._batch: Batch | None = None
        self.topic = source.topic
        self.record: Record | None = None
        """The one given out last."""

    def poll(self) -> Batch:
        if not self._waiting:
            self._batch = self._source.poll()
            self._waiting = list(self._batch.records)
        assert self._batch is not None
        chosen = (place for place, record in enumerate(self._waiting) if _is_of(record, self._keys))
        first = next(chosen, len(self._waiting))
        count = first or min(1, len(self._waiting))
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        if first == 0 and taken:
            self.record = taken[0]
        one = Batch(records=taken, assigned=self._batch.assigned, generation=self._batch.generation)
        one.next = {record.partition: record.offset + 1 for record in taken}
        if not self._waiting:
            one.next |= self._batch.next
            one.at_end = self._batch.at_end
        return one

    def partitions(self) -> tuple[Partition, ...]:
        return self._source.partitions()

    def committed(self, partitions: Iterable[Partition]) -> Mapping[Partition, Committed]:
        return self._source.committed(partitions)

    def spans(self, partitions: Iterable[Partition]) -> Mapping[Partition, Span]:
        return self._source.spans(partitions)

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> Mapping[Partition, Offset]:
        return self._source.offsets_at(partitions, ms)

    def begin_at(self, positions: Mapping[Partition, Offset]) -> None:
        self._source.begin_at(positions)

    def close(self) -> None:
        self._source.close()


def _is_of(record: Record, keys: frozenset[TrackKey]) -> bool:
    event = decode(record.value)
    key = route(event) if isinstance(event, Event) else None
    return isinstance(key, str) and key in keys


def _concerned(store: EmbeddedStore, session_id: str) -> frozenset[TrackKey]:
    """The tracks whose records can change the session: its own, its visitor's, its conversations."""
    key = named_track(session_id)
    keys = {key}
    for one, track in store.sessions():
        is_ours = track.visits is not None and (
            find(track, session_id) is not None or session_id in track.visits.merged
        )
        if is_ours and track.visits is not None:
            keys.add(one)
            keys |= {named_track(visit.id) for visit in track.sessions}
            keys |= {named_track(lost) for lost in track.visits.merged}
        if one == key or is_ours:
            keys |= {named_track(conversation) for session in track.sessions for conversation in session.talks}
    return frozenset(keys)


def _session(store: EmbeddedStore, session_id: str) -> Session | None:
    for _, track in store.sessions():
        session = find(track, session_id)
        if session is not None:
            return session
    return None


def _snapshot(store: EmbeddedStore, session_id: str, rules: Rules) -> dict[str, Any] | None:
    session = _session(store, session_id)
    if session is None or not is_published(session):
        return None
    shown: dict[str, Any] = msgspec.json.decode(snapshot_of(session, rules))
    return shown


def _step(
    record: Record,
    book: Ledger,
    before_book: Ledger,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    publisher: _Noted,
    topic: str,
    rules: Rules,
) -> Step:
    event = decode(record.value)
    assert isinstance(event, Event)
    old, new = before or {}, after or {}
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    step = Step(
        topic,
        record.partition,
        record.offset,
        event.at,
        type(event.payload).__name__,
        event.id,
        _outcome(book, before_book),
        effects=_effects(before, after),
        fields={name: (old.get(name), new.get(name)) for name in names},
        rules=_rules(event, rules),
    )
    if step.outcome.startswith("rejected") and publisher.refused is not None:
        step.detail = publisher.refused.detail
    return step


def _outcome(book: Ledger, before: Ledger) -> str:
    for reason, count in book.rejected.items():
        if count > before.rejected.get(reason, 0):
            return f"rejected: {reason}"
    return "duplicate" if book.duplicates > before.duplicates else "folded"


def _effects(before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[str]:
    if after is None:
        return ["withdrawn"] if before is not None else []
    if before is None:
        return ["published"]
    effects = []
    if "endedDate" in after and "endedDate" not in before:
        effects.append("ended")
    if "endedDate" in before and "endedDate" not in after:
        effects.append("revived")
    if before["id"] != after["id"]:
        effects.append(f"merged into {after['id']}")
    if after["eventCount"] > before["eventCount"]:
        effects.append("counted")
    return effects


def _rules(event: Event, rules: Rules) -> dict[str, str]:
    """For each attribute of the event, the rule that decides about it."""
    attributes = getattr(event.payload, "attributes", None) or {}
    if not rules.attribute_rules:
        return {}
    kind = event.session_type or {"WebEvent": "web", "AppEvent": "app"}.get(type(event.payload).__name__)
    return {name: rule_of(rules.attribute_rules, name, kind) for name in attributes}
