"""The whole log to sessions, rejects and a ledger, record after record (contract §2, §3, §4, §8.6)."""

from __future__ import annotations

import time
from base64 import b64encode
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.oracle.fields import snapshot
from tests.oracle.read import Event, Rejected, Tombstone, read
from tests.oracle.settings import Settings
from tests.oracle.visits import Visitor, uuid_of
from tests.oracle.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.oracle.kept import Kept


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    value: bytes | None
    timestamp: int | None = None  # ms, of Kafka; None: a line of a file


@dataclass(frozen=True)
class Result:
    sessions: list[dict[str, Any]]  # by createdDate, then id; shortId left out
    rejects: list[dict[str, Any]]  # in input order; detail left out
    ledger: dict[str, Any]


def replay(
    *files: tuple[str, Sequence[bytes]],
    settings: Settings | None = None,
    as_of: int | None = None,
    started: int | None = None,
) -> Result:
    """Files as (name, lines), each a partition of its own; `as_of` and `started` (the wall clock then) in ms."""
    records = [
        Record(topic=name, partition=partition, offset=offset, value=line)
        for partition, (name, lines) in enumerate(files)
        for offset, line in enumerate(lines)
    ]
    return fold(records, settings=settings, as_of=as_of, started=started, topics=[name for name, _ in files])


def fold(
    records: Iterable[Record],
    *,
    settings: Settings | None = None,
    as_of: int | None = None,
    started: int | None = None,
    ends_by_home_clock: bool = False,
    topics: Iterable[str] = (),
) -> Result:
    """Records in the order they are read.

    `ends_by_home_clock`: the wall clock is not waited for, as with `run --until-end`; `as_of` plays no part then.
    """
    log = Log(settings or Settings(), now() if started is None else started)
    for topic in topics:
        log.ledgers[topic] = empty_ledger()
    for seq, record in enumerate(records):
        log.take(record, seq)
    newest = max(log.clocks.values(), default=0)
    wall = newest if as_of is None else max(as_of, newest)
    clocks = log.clocks if ends_by_home_clock else dict.fromkeys(log.clocks, wall)
    return Result(log.sessions(clocks, wall), log.rejects, log.ledger())


def now() -> int:
    return time.time_ns() // 1_000_000


def empty_ledger() -> dict[str, Any]:
    counts: dict[str, Any] = dict.fromkeys(("read", "folded", "duplicates", "redelivered"), 0)
    return {**counts, "rejected": {}, "tombstones": 0, "clamped": 0}


@dataclass
class Log:
    settings: Settings
    started: int
    clocks: dict[int, int] = field(default_factory=dict)  # partition → newest accepted event time
    visitors: dict[tuple[str | None, str, str], Visitor] = field(default_factory=dict)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    ledgers: dict[str, dict[str, Any]] = field(default_factory=dict)  # by topic or file

    def __post_init__(self) -> None:
        self.world = World(self.settings)

    def take(self, record: Record, seq: int) -> None:
        counts = self.ledgers.setdefault(record.topic, empty_ledger())
        counts["read"] += 1
        outcome = read(record.value)
        if isinstance(outcome, Tombstone):
            counts["tombstones"] += 1
        elif isinstance(outcome, Rejected):
            self.reject(record, outcome.reason)
        else:
            self.take_event(record, replace(outcome, seq=seq))

    def take_event(self, record: Record, event: Event) -> None:
        counts, clock = self.ledgers[record.topic], self.clocks.get(record.partition)
        far_future = event.time > (self.started if record.timestamp is None else record.timestamp) + self.future()
        if far_future:
            in_its_place = clock if record.timestamp is None else record.timestamp
            if in_its_place is None:
                self.reject(record, "not-an-event")
                return
            event = replace(event, time=in_its_place)
        elif clock is None or event.time > clock:
            clock = event.time
        verdict = self.place(event, record.partition, clock)
        if verdict == "too-late":
            self.reject(record, verdict)
            return
        counts[verdict] += 1
        counts["clamped"] += far_future
        if clock is not None:
            self.clocks[record.partition] = clock

    def future(self) -> int:
        return self.settings.future_tolerance

    def place(self, event: Event, partition: int, clock: int | None) -> str:
        """Keeps it where it belongs; `folded`, `duplicates` or `too-late`."""
        session_id = event.session_id
        if session_id is None and event.kind != "custom":
            return self.place_visit(event, partition, clock)
        if session_id is None:
            session_id = uuid_of(event.session_type, event.payload["externalId"])
        kept = self.world.held(session_id, clock)
        if kept is not None and kept.has(event):
            return "duplicates"
        if kept is None and self.world.is_late(event.time, clock):
            return "too-late"
        kept = self.world.held_or_opened(session_id, partition, clock)
        if not kept.events:
            kept.partition = partition  # A conversation may have named it before its first own event.
        kept.events.append(event)
        if event.kind == "conversation":
            self.link(kept, partition, clock)
        return "folded"

    def place_visit(self, event: Event, partition: int, clock: int | None) -> str:
        kind = event.kind if event.kind != "heartbeat" else event.session_type or "web"
        assert event.customer_id is not None
        key = (event.customer_id_type, event.customer_id, kind)
        visitor = self.visitors.setdefault(key, Visitor(*key))
        if visitor.knows(event, self.world, clock):
            return "duplicates"
        named = kind if event.kind != "heartbeat" else event.type_named
        is_placed = visitor.place(replace(event, type_named=named), self.world, partition, clock)
        return "folded" if is_placed else "too-late"

    def link(self, conversation: Kept, partition: int, clock: int | None) -> None:
        """Every session that an event of the conversation names gets it (contract §3.4)."""
        for event in list(conversation.events):
            context = event.payload.get("journeyContext", {}) if event.kind == "conversation" else {}
            named = context.get("customerSession", {}).get("id") or context.get("sessionId")
            if named is not None:
                kept = self.world.held_or_opened(named, partition, clock) if named != conversation.id else conversation
                kept.linked += [conversation] if conversation not in kept.linked else []

    def reject(self, record: Record, reason: str) -> None:
        rejected = self.ledgers[record.topic]["rejected"]
        rejected[reason] = rejected.get(reason, 0) + 1
        origin = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        assert record.value is not None
        about = {"reason": reason, **origin, "timestamp": record.timestamp, "key": None}
        try:
            self.rejects.append({**about, "value": record.value.decode()})
        except UnicodeDecodeError:
            self.rejects.append({**about, "valueBase64": b64encode(record.value).decode()})

    def sessions(self, clocks: dict[int, int], wall: int) -> list[dict[str, Any]]:
        """Of an id that came back the newest that was published; what was merged away is withdrawn."""
        shown: dict[str, dict[str, Any]] = {}
        for kept in self.world.everything:
            made = snapshot(kept, self.settings, clocks.get(kept.partition, wall))
            if kept.merged_into is not None:
                shown.pop(kept.id, None)
            elif made is not None:
                shown[kept.id] = made
        return sorted(shown.values(), key=lambda session: (session["createdDate"], session["id"].encode()))

    def ledger(self) -> dict[str, Any]:
        total = empty_ledger()
        for counts in self.ledgers.values():
            for name, count in counts.items():
                if name == "rejected":
                    for reason, number in count.items():
                        total["rejected"][reason] = total["rejected"].get(reason, 0) + number
                else:
                    total[name] += count
        return {**total, "files": self.ledgers}
