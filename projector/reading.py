"""Step 1 of a turn: a batch's records to events by track, rejects set aside with their origin, clocks and ledger moved.

Each record is judged alone: one bad record never stops or loses those beside it.
"""

from collections.abc import Mapping

from msgspec import Struct

from projector.dates import format_time
from projector.decode import Reason, Rejected, attributes_too_large, decode
from projector.enrich.event import Places, enrich
from projector.events import Event
from projector.ledger import Mark
from projector.ports import Batch, Offset, Partition, Record, Refused
from projector.route import TrackKey, route
from projector.rules import Rules
from projector.track import Incoming


class Reading(Struct):
    """What a batch holds."""

    work: dict[TrackKey, list[Incoming]] = {}
    """By track its events, each partition's in order."""
    refused: list[Refused] = []
    """Records that are no events, or belong nowhere."""


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
    for record in batch.records:
        mark = marks[record.partition]
        mark.ledger.read += 1
        event = decode(record.value)
        if isinstance(event, Event):
            event = _judge(event, record, mark, rules, places, started_at, reading)
        if isinstance(event, Event):
            continue  # What becomes of it the fold will say.
        if record.offset < committed.get(record.partition, 0):
            mark.ledger.redelivered += 1
        elif event is None:
            mark.ledger.tombstones += 1
        else:
            mark.ledger.reject(event.reason)
            reading.refused.append(Refused(record, event.reason.value, event.detail))
    return reading


def _judge(
    event: Event, record: Record, mark: Mark, rules: Rules, places: Places | None, started_at: int, reading: Reading
) -> Event | Rejected | None:
    """Find the event's time and track, move the partition clock, and set the event beside the others of its track.

    None for what is dropped by a setting: counted with the tombstones, and apart.
    """
    timed = _timed(event, record.timestamp, mark.clock, rules, started_at)
    if isinstance(timed, Rejected):
        return timed
    key = route(event)
    if isinstance(key, Rejected):
        return key
    too_large = attributes_too_large(event, len(record.value or b""))
    if too_large is not None:
        return too_large
    if not enrich(event, rules, places):
        mark.ledger.bots += 1
        return None
    if event.clamped:
        mark.ledger.clamped += 1
    elif mark.clock is None or event.at > mark.clock:
        mark.clock = event.at
    clock = event.at if mark.clock is None else mark.clock
    incoming = Incoming(record.partition, record.offset, key, event, clock)
    if key in reading.work:
        reading.work[key].append(incoming)
    else:
        reading.work[key] = [incoming]
    return event


def _timed(event: Event, timestamp: int | None, clock: int | None, rules: Rules, started_at: int) -> Event | Rejected:
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
    return event
