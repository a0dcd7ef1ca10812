"""The unit that is loaded, folded and saved whole: its sessions, the positions applied to them, and their revision.

A track is one session that events name, or one visitor's visits that can still change. Records below the applied
position of their partition are skipped, so folding a batch twice changes nothing (design §2).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto

import msgspec
from msgspec import Struct

from projector.decode import Reason, Rejected
from projector.events import Event
from projector.evolve import evolve, link_talk
from projector.route import TrackKey, session_of
from projector.rules import Rules
from projector.session import Session, deadline_of, ended_at, expire, is_held, is_published, new_session, seen_last
from projector.sessionize import Visits, survivor

FORMAT = b"\x01"
"""The first byte of a stored track: how the rest is to be read, and which fold wrote it."""

SWEEP_SLACK = 3_600_000
"""A track is swept an hour of the log after the last of it is no longer held, not in a turn that still compares it."""


class Due(Struct, array_like=True, frozen=True, gc=False):
    """An entry in the store's deadlines: whose partition's clock fires it, and when (ms)."""

    partition: int
    at: int


class Alias(Struct, array_like=True, frozen=True, gc=False):
    """Where a session id leads: the visitor's track that holds the visit of this id."""

    key: TrackKey
    seen_last: int
    """The visit's last activity as far as this track knows, ms; its retention counts from there."""


class Track(Struct, array_like=True, gc=False):
    """Stored: fields are appended at the end, never moved."""

    applied: dict[int, int] = {}
    """Partition to the next offset that is not folded in yet."""
    home: int | None = None
    """The partition of its first own event: whose owner publishes it and fires its deadlines."""
    sessions: list[Session] = []
    keeper: int | None = None
    """The partition among whose deadlines the store has it: its home, before it has one that of the link's record."""
    late: list[tuple[int, int]] = []
    """(partition, offset) of records that were too late: a record delivered again gets the same answer."""
    alias: Alias | None = None
    """Of a named track whose id is that of a visit: its events go there, and it has no session of its own."""
    visits: Visits | None = None
    """Of a visitor's track: walls and merged ids."""


class Incoming(Struct, gc=False):
    """An event at its position; `clock` is its partition's clock there, its own time included (ms)."""

    partition: int
    offset: int
    key: TrackKey
    """The track that it is routed to."""
    event: Event
    clock: int


class Outcome(Enum):
    """What became of a record that holds an event; the words of the ledger."""

    FOLDED = auto()
    DUPLICATE = auto()
    REDELIVERED = auto()


Account = tuple[Incoming, Outcome | Rejected]
"""A record and what became of it."""


def fold(
    track: Track,
    key: TrackKey,
    incoming: Iterable[Incoming],
    committed: Mapping[int, int],
    rules: Rules,
    cuts: Counter[str],
) -> Sequence[Account]:
    """Fold the records of one named session, each partition's in order, into its track, in place.

    Gives those that were not simply folded: nearly always none. What was too late below the `committed` offsets can be
    forgotten: its reject is published, once.
    """
    odd: Sequence[Account] = ()
    applied, sessions, retention = track.applied, track.sessions, rules.retention
    if track.late:
        forget_late(track, committed)
    for record in incoming:
        partition, offset = record.partition, record.offset
        if offset < applied.get(partition, 0):
            odd = [*odd, (record, skipped(track, record, rules))]
            continue
        applied[partition] = offset + 1
        session = sessions[0] if sessions else None
        # Most are held; `_opened` looks closer, and begins the session anew where it is not.
        if session is None or session.last is None or session.last + retention < record.clock:
            session = _opened(track, key, record, rules)
            if session is None:
                odd = [*odd, (record, too_late(track, record, rules))]
                continue
        if track.home is None:
            track.home = partition
        if not evolve(session, record.event, rules, cuts):
            odd = [*odd, (record, Outcome.DUPLICATE)]
    return odd


def _opened(track: Track, key: TrackKey, record: Incoming, rules: Rules) -> Session | None:
    """The session that is held, or a new one; None if the record is too late for one that is not held."""
    sessions = track.sessions
    if sessions and is_held(sessions[0], record.clock, rules):
        return sessions[0]
    if is_late(record, rules):
        return None
    anew = new_session(session_of(key))  # An id that comes back after the retention starts anew.
    if sessions:  # It goes on counting revisions, and with the short id that may still be its own.
        anew.linked, anew.short_id = sessions[0].linked, sessions[0].short_id
    sessions[:] = [anew]
    return anew


# Late and repeated records.


def is_late(record: Incoming, rules: Rules) -> bool:
    """Behind its partition's clock by more than the retention; it is taken all the same by a session that is held."""
    return bool(rules.retention) and record.event.at < record.clock - rules.retention


def too_late(track: Track, record: Incoming, rules: Rules) -> Rejected:
    """Remember that the record was too late, and say so."""
    track.late.append((record.partition, record.offset))
    return _rejected(record, rules)


def skipped(track: Track, record: Incoming, rules: Rules) -> Outcome | Rejected:
    """What is said of a record below the applied position: that again if it was too late."""
    if (record.partition, record.offset) in track.late:
        return _rejected(record, rules)
    return Outcome.REDELIVERED


def forget_late(track: Track, committed: Mapping[int, int]) -> None:
    if track.late:
        track.late = [(partition, offset) for partition, offset in track.late if offset >= committed.get(partition, 0)]


def _rejected(record: Incoming, rules: Rules) -> Rejected:
    behind = record.clock - record.event.at
    return Rejected(
        Reason.TOO_LATE,
        f"the event is {behind} ms behind its partition's clock, the retention is {rules.retention} ms,"
        " and no session of it is kept",
    )


# The clock.


def settle(track: Track, end_clock: int, rules: Rules) -> list[Session]:
    """Bring the track to its home's end clock: end what is due; gives the sessions that this changed."""
    return [session for session in track.sessions if expire(session, end_clock, rules)]


def next_due(track: Track, rules: Rules) -> int | None:
    """The ms at which the store should next call for this track."""
    return min(calls_of(track, rules), default=None)


def calls_of(track: Track, rules: Rules) -> list[int]:
    """The ms at which each of its sessions ends or, having ended, is swept."""
    calls = (
        [_sweep_at(track.alias.seen_last, rules)] if track.alias else [_call_of(one, rules) for one in track.sessions]
    )
    return [at for at in calls if at is not None]


def _call_of(session: Session, rules: Rules) -> int | None:
    deadline = deadline_of(session, rules) if is_published(session) else None
    return deadline if deadline is not None else _sweep_at(seen_last(session), rules)


def _sweep_at(seen: int, rules: Rules) -> int | None:
    return seen + rules.retention + SWEEP_SLACK if rules.retention else None


def is_swept(track: Track, clock: int, rules: Rules) -> bool:
    """Nothing of it is held any more, and has not been for the slack."""
    if track.alias is not None:
        at = _sweep_at(track.alias.seen_last, rules)
        return at is not None and at < clock
    return all(not is_held(session, clock - SWEEP_SLACK, rules) for session in track.sessions)


# Links, and what is published.


def find(track: Track, session_id: str) -> Session | None:
    """The session of this id; of a visit that was merged away its survivor."""
    if track.visits is not None:
        session_id = survivor(track.visits, session_id)
    return next((session for session in track.sessions if session.id == session_id), None)


def visit_ids(track: Track) -> list[str]:
    """The ids that lead to a visitor's track: its visits' own, and those of visits that were merged into them."""
    return [*(session.id for session in track.sessions), *(track.visits.merged if track.visits is not None else ())]


def link(session: Session, source: Session, *, at: dict[int, int], clock: int, rules: Rules) -> bool:
    """Join what the conversation `source`, changed by the records before `at`, says of a session that is held."""
    if session.last is not None and not is_held(session, clock, rules):
        return False
    return link_talk(session, source.id, source.talks[source.id], at, rules)


def links_of(track: Track) -> list[tuple[Session, str]]:
    """The conversations of this track with the ids of the journey sessions that they name."""
    return [
        (session, named)
        for session in track.sessions
        if (own := session.talks.get(session.id)) is not None
        for named in own.links
    ]


def revision_of(track: Track, session: Session, rules: Rules) -> int:
    """Orders the snapshots of a session; it follows from the log alone (design §2).

    Own positions and those of linked records are summed apart: were the greater taken, a record that is folded after a
    later one of the same partition came through a link would change the content and not the revision.
    """
    own = session.positions if track.visits is not None else track.applied
    return 2 * positions_of(own, session.linked) + (ended_at(session, rules) is not None)


def positions_of(own: Mapping[int, int], linked: Mapping[int, int]) -> int:
    return sum(own.values()) + sum(linked.values()) if linked else sum(own.values())


# Stored.


def encode_track(track: Track) -> bytes:
    return FORMAT + _encode(track)


def decode_track(stored: bytes) -> Track:
    """The track of a stored record.

    Raises:
        NewerFormatError: a later version of the projector wrote it.
    """
    if stored[:1] != FORMAT:
        raise NewerFormatError(f"a stored session has format {stored[0]}, this version reads {FORMAT[0]}")
    return _decode(memoryview(stored)[1:])


class NewerFormatError(Exception):
    """State that this version cannot read."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Track).decode
