"""Step 1 of a turn: a batch's records to events by track, rejects set aside with their origin, clocks and ledger moved.

Each record is judged alone: one bad record never stops or loses those beside it.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import attrgetter

from msgspec import Struct

from projector.dates import format_time
from projector.decode import ATTRIBUTES_MAX, Reason, Rejected, attributes_too_large, decode
from projector.enrich.event import Places, enrich
from projector.events import Event
from projector.ledger import Ledger, Mark
from projector.ports import Batch, Offset, Partition, Record, Refused
from projector.route import TrackKey, is_visitor, route
from projector.rules import Rules
from projector.track import Incoming

MANY_ATTRIBUTES_BYTES = ATTRIBUTES_MAX * len('"ab":1,')
"""A record up to this size has neither too many attributes nor one that is too large: there are only some 95 names of
one byte, and what they save the envelope takes."""


class Reading(Struct):
    """What a batch holds."""

    work: dict[TrackKey, list[Incoming]] = {}
    """By track its events, each partition's in order: of sessions that are named."""
    visits: dict[TrackKey, list[Incoming]] = {}
    """The same of visitors."""
    refused: list[Refused] = []
    """Records that are no events, or belong nowhere."""
    again: dict[Partition, int] = {}
    """By partition how many of the events have been accounted for before."""


def read(
    batch: Batch,
    marks: Mapping[Partition, Mark],
    committed: Mapping[Partition, Offset],
    *,
    rules: Rules,
    places: Places | None,
    started_at: int,
) -> Reading:
    """Read a batch; `marks` move with it.

    A record below its partition's `committed` offset has been accounted for and its reject published: it counts as
    redelivered, whatever it is. `started_at` (ms) judges the times of records that have no timestamp (contract §2).
    """
    reading = Reading()
    for partition, records in groupby(batch.records, attrgetter("partition")):
        mark = marks[partition]
        mark.clock = _read_run(
            records, partition, mark, committed.get(partition, 0), reading, rules, places, started_at
        )
    return reading


def _read_run(
    records: Iterable[Record],
    partition: Partition,
    mark: Mark,
    committed: Offset,
    reading: Reading,
    rules: Rules,
    places: Places | None,
    started_at: int,
) -> int | None:
    """Read records of one partition; gives its clock after them."""
    work, ledger, clock = reading.work, mark.ledger, mark.clock
    read = again = 0
    for record in records:
        read += 1
        try:
            event = decode(record.value)
            key = _judge(event, record, clock, rules, places, started_at) if isinstance(event, Event) else event
        except Exception as error:  # noqa: BLE001 - whatever is wrong with us, no record can stop the service (contract §2)
            event = key = _unreadable(error)
        if not isinstance(event, Event):
            _set_aside(record, event, ledger, committed, reading)
            continue
        if not isinstance(key, str):
            ledger.bots += key is None
            _set_aside(record, key, ledger, committed, reading)
            continue
        offset, at = record.offset, event.at
        again += offset < committed  # What becomes of it the fold will say.
        if event.clamped:
            ledger.clamped += 1
        elif clock is None or at > clock:
            clock = at
        incoming = Incoming(partition, offset, key, event, at if clock is None else clock)
        beside = reading.visits if event.session_id is None and is_visitor(key) else work
        if key in beside:
            beside[key].append(incoming)
        else:
            beside[key] = [incoming]
    ledger.read += read
    if again:
        reading.again[partition] = reading.again.get(partition, 0) + again
    return clock


def _unreadable(error: Exception) -> Rejected:
    """Without what the exception says: it may hold what privacy hides."""
    said = f"reading it failed with {type(error).__name__}, a bug of the projector: please report it with this record"
    return Rejected(Reason.NOT_AN_EVENT, said)


def _set_aside(record: Record, why: Rejected | None, ledger: Ledger, committed: Offset, reading: Reading) -> None:
    """A record that nothing is folded of; None: a tombstone, or dropped by a setting, which counts as one."""
    if record.offset < committed:
        ledger.redelivered += 1
    elif why is None:
        ledger.tombstones += 1
    else:
        ledger.reject(why.reason)
        reading.refused.append(Refused(record, why.reason.value, why.detail))


def _judge(
    event: Event, record: Record, clock: int | None, rules: Rules, places: Places | None, started_at: int
) -> TrackKey | Rejected | None:
    """Find the event's time and track, and fill in what it tells; None if it is dropped by a setting."""
    timestamp = record.timestamp
    if timestamp is None or timestamp < 0 or event.at > timestamp + rules.future_tolerance:
        wrong = _cut_time(event, timestamp, clock, rules, started_at)
        if wrong is not None:
            return wrong
    key = route(event)
    if isinstance(key, Rejected):
        return key
    size = len(record.value or b"")
    if size > MANY_ATTRIBUTES_BYTES:
        too_large = attributes_too_large(event, size)
        if too_large is not None:
            return too_large
    return key if enrich(event, rules, places) else None


def _cut_time(event: Event, timestamp: int | None, clock: int | None, rules: Rules, started_at: int) -> Rejected | None:
    """Cut a time in the future: to the record's timestamp, in a file to the newest time read so far (contract §2)."""
    if timestamp is not None and timestamp >= 0:
        if event.at > timestamp + rules.future_tolerance:
            event.at, event.clamped = timestamp, True
    elif event.at > started_at + rules.future_tolerance:
        if clock is None:
            return Rejected(
                Reason.NOT_AN_EVENT,
                f"its time, {format_time(event.at)}, is in the future, and no event before it gives another",
            )
        event.at, event.clamped = clock, True
    return None
