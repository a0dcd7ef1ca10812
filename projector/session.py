"""What is kept of one session, and what follows from it and a clock alone: its type, its dates, its end.

Every part is a join: latest, first, least or union, each with the (time, id) stamp of the event that set it. So the
order of events, their repetition and the batches they come in do not matter (contract §8, law 1), and two sessions
merge by joining their parts.

Values are kept as JSON text, the way they are published: folding, storing and publishing then only move bytes.
"""

import msgspec
import xxhash
from msgspec import Struct

from projector import slots
from projector.conversation import Stamp, Talk, ended_by_customer
from projector.remembers import remembers
from projector.rules import Rules

KeptAttribute = tuple[int, str, str]
"""(index of its stamp, data type, value)."""
Listed = tuple[int, str, str]
"""(ms, event id, data type) of the first use of a list's value."""
Achieved = tuple[int, str, str | None]
"""(ms, outcome id, selfUri)."""
Assigned = tuple[int, str, bool, int, str | None, int, str]
"""(ms, event id, assigned, assigned at, selfUri, first ms, first event id) of a segment's latest and first event."""


EVENT, PAGEVIEW, SCREENVIEW = 1, 2, 4
"""What an event counted as; stored with its id."""


ENDS_MAX = 100
"""How many `SessionEnded` not before the last activity are kept; the least stay."""


class Customer(Struct, rename="camel", omit_defaults=True, gc=False):
    """Fields 2 and 3: a pair, set together."""

    customer_id: str
    customer_id_type: str | None = None


class Session(Struct, array_like=True, gc=False):
    """The fold state of one session. Stored: fields are appended at the end, never moved."""

    id: str
    stamps: list[Stamp] = []
    """Of the events whose values are kept; referred to by index, since one event sets many values."""
    values: list[bytes | None] = []
    """JSON text by slot."""
    set_by: list[int] = []
    """By slot the index of the stamp, -1 for none."""
    ids: dict[int, int] = {}
    """Hash of a remembered event id to its event's ms, times 8, plus the bits of what it counted as."""
    least: int | None = None
    """The least time of any event, ms; stands for the activities while there are none."""
    created: int | None = None
    """The least activity, ms."""
    last: int | None = None
    """The latest activity, ms."""
    events: int = 0
    pageviews: int = 0
    screenviews: int = 0
    authenticated: bool = False
    expired: bool = False
    """The end clock has passed the last activity by the timeout; a later activity takes it back."""
    ends: list[int] = []
    """Times of `SessionEnded` not before the last activity, ascending, ms."""
    split_at: int | None = None
    """The moment at which a campaign split ended it, ms."""
    attributes: dict[str, KeptAttribute] = {}
    lists: dict[str, dict[str, Listed]] = {}
    terms: dict[str, tuple[int, str, int]] = {}
    """Search term to (ms, event id, place in the event) of its first use."""
    outcomes: dict[str, Achieved] = {}
    """By event id."""
    segments: dict[str, Assigned] = {}
    talks: dict[str, Talk] = {}
    """Conversations it belongs to, by id; on a conversation session its own."""
    linked: dict[int, int] = {}
    """Positions of the conversations' records that changed it; they count in the revision."""
    short_id: str | None = None
    positions: dict[int, int] = {}
    """Of a sessionized session: the positions of its own records; a named session's are its track's `applied`."""
    wall: int | None = None
    """Of a sessionized session: the campaign split that it lies right of, ms; it never merges across one."""
    newest: int = -1
    """Index of the stamp of its newest event, -1 for none: an event after it is the latest in everything it carries."""
    spare: int = -1
    """Index of a stamp that nothing refers to, -1 for none: the next newest event's goes there."""


def new_session(session_id: str) -> Session:
    return Session(session_id, values=[None] * slots.COUNT, set_by=[-1] * slots.COUNT)


event_key = xxhash.xxh3_64_intdigest
"""What is remembered of an event id, from its UTF-8: 64 bits.

Two of 4,096 ids are taken for one in 1 of 10^12 sessions.
"""


# Dates and the end.


def is_published(session: Session) -> bool:
    """From its first visitor event on (contract §3)."""
    return session.events > 0


def type_of(session: Session) -> str:
    if session.talks and session.id in session.talks:
        return "conversation"
    kept = session.values[slots.TYPE]
    return _text(kept) if kept is not None else "custom"


def last_activity(session: Session) -> int:
    """The latest activity, before any the least event time, ms."""
    at = session.last if session.last is not None else session.least
    return 0 if at is None else at


def deadline_of(session: Session, rules: Rules) -> int | None:
    """The ms after which it ends by itself, None if it has no timeout or is at that end already."""
    timeout = rules.timeout_of(type_of(session))
    return None if timeout is None or session.expired else last_activity(session) + timeout


def expire(session: Session, end_clock: int, rules: Rules) -> bool:
    """End it if the end clock is past its deadline; tells whether that changed it."""
    deadline = deadline_of(session, rules)
    if deadline is None or end_clock <= deadline or not is_published(session):
        return False
    session.expired = True
    return True


def ended_at(session: Session, rules: Rules) -> int | None:
    """`endedDate`, the earliest that holds (contract §4), ms; None while it goes on."""
    if not (session.expired or session.ends or session.talks or session.split_at is not None):
        return None
    own = session.talks.get(session.id)
    timeout = rules.timeout_of(type_of(session))
    by_time = last_activity(session) + timeout if session.expired and timeout is not None else None
    by_customer = ended_by_customer(own) if own is not None else None
    split_at = session.split_at if session.split_at is not None and session.split_at >= last_activity(session) else None
    ends = [end for end in (*session.ends[:1], split_at, by_time, by_customer) if end is not None]
    return min(ends) if ends else None


def is_held(session: Session, clock: int, rules: Rules) -> bool:
    """Its last activity is no longer ago than the retention, by the partition clock."""
    return not rules.retention or seen_last(session) + rules.retention >= clock


def seen_last(session: Session) -> int:
    """The ms from which its retention counts: its last activity; while it has none, what is known of it."""
    if session.last is not None:
        return session.last
    return max([last_activity(session), *(talk.latest[0] for talk in session.talks.values())])


@remembers(4096)
def _text(kept: bytes) -> str:
    return _decode_text(kept)


_decode_text = msgspec.json.Decoder(str).decode
