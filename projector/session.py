"""What is kept of one session, and the fold: everything that changes a session's content is here.

Every part is a join: latest, first, least or union, each with the (time, id) stamp of the event that set it. So the
order of events, their repetition and the batches they come in do not matter (contract §8, law 1), and two sessions
merge by joining their parts.

Values are kept as JSON text, the way they are published: folding, storing and publishing then only move bytes.
"""

from collections import Counter
from functools import lru_cache
from typing import Any

import msgspec
import xxhash
from msgspec import Struct

from projector.conversation import Stamp, Talk, ended_by_customer, evolve_talk, join_talk
from projector.dates import parse_time
from projector.enrich.search import search_terms_of
from projector.enrich.url import query_of
from projector.events import (
    AppEvent,
    BlockedWebActionOfferEvent,
    ConversationEvent,
    CustomEvent,
    Derived,
    Event,
    Heartbeat,
    OutcomeAchievedEvent,
    OutcomeAttributionEvent,
    SegmentAssignmentEvent,
    SessionEnded,
    WebActionEvent,
    WebEvent,
)
from projector.rules import Rules, target_of

ENDS_MAX = 100
"""How many `SessionEnded` not before the last activity are kept; the least stay."""


class Slot:
    """A single value of a session and its place in `Session.values`; the numbers are stored: append only.

    Plain numbers, not an enum: they are looked up some 20 times an event.
    """

    EXTERNAL_ID = 0
    EXTERNAL_URL = 1
    BROWSER = 2
    DEVICE = 3
    GEOLOCATION = 4
    IP_ADDRESS = 5
    IP_ORGANIZATION = 6
    USER_AGENT = 7
    LAST_PAGE = 8
    LAST_EVENT = 9
    EXTERNAL_CONTACT = 10
    DERIVED_BROWSER = 11
    DERIVED_DEVICE = 12
    DERIVED_GEOLOCATION = 13
    DERIVED_IP_ORGANIZATION = 14
    CUSTOMER = 15
    TYPE = 16
    CAMPAIGN = 17
    REFERRER = 18


SLOTS = 19

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


def new_session(session_id: str) -> Session:
    return Session(session_id, values=[None] * SLOTS, set_by=[-1] * SLOTS)


def event_key(event_id: str) -> int:
    """What is remembered of an event id: 64 bits; two of 4,096 ids are taken for one in 1 of 10^12 sessions."""
    return xxhash.xxh3_64_intdigest(event_id.encode())


def evolve(session: Session, event: Event, rules: Rules, cuts: Counter[str]) -> bool:
    """Fold one event into `session`, in place; False and no change if it is a duplicate.

    `cuts` counts what was cut off at a bound, by what it was.
    """
    counts = _counts_as(event, rules)
    if event.id and not _remember(session, event, counts, rules):
        return False
    session.events += counts & EVENT
    session.pageviews += counts >> 1 & 1
    session.screenviews += counts >> 2
    stamp = (event.at, event.id)
    if session.least is None or event.at < session.least:
        session.least = event.at
    place = keep_newest(session, stamp)
    _whose(session, event, stamp, place)
    match event.payload:
        case WebEvent() as web:
            _visited(session, event, stamp, place, rules, cuts)
            _browsed(session, web, event.derived, stamp, place)
            _keep_latest(session, Slot.LAST_PAGE, web.page, stamp, place)
            _search(session, web, stamp, rules)
        case AppEvent() as app:
            _visited(session, event, stamp, place, rules, cuts)
            _browsed(session, app, event.derived, stamp, place)
            _search(session, app, stamp, rules)
        case CustomEvent() as custom:
            _visited(session, event, stamp, place, rules, cuts)
            _keep_latest(session, Slot.EXTERNAL_ID, custom.external_id or None, stamp, place)
            _keep_latest(session, Slot.EXTERNAL_URL, custom.external_url, stamp, place)
        case ConversationEvent() as said:
            _visited(session, event, stamp, place, rules, cuts)
            talk = session.talks.setdefault(session.id, Talk(latest=stamp))
            evolve_talk(talk, event, said, channels_max=rules.channels_max)
        case Heartbeat():
            be_active(session, event.at)
        case SessionEnded():
            _ended(session, event.at)
        case OutcomeAchievedEvent() as achieved:
            _achieved(session, event, achieved, rules, cuts)
        case SegmentAssignmentEvent() as assignment:
            _assigned(session, event, assignment, rules, cuts)
        case WebActionEvent() | BlockedWebActionOfferEvent() | OutcomeAttributionEvent():
            pass  # No field of the Session comes from them but those of any event.
        case unexpected:
            raise AssertionError(f"a payload without a case: {unexpected!r}")
    return True


# Dates and the end.


def is_published(session: Session) -> bool:
    """From its first visitor event on (contract §3)."""
    return session.events > 0


def type_of(session: Session) -> str:
    if session.talks and session.id in session.talks:
        return "conversation"
    kept = session.values[Slot.TYPE]
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


def be_active(session: Session, at: int) -> None:
    if session.created is None or at < session.created:
        session.created = at
    if session.last is None or at > session.last:
        session.last = at
        session.expired = False
        if session.ends:
            session.ends = [end for end in session.ends if end >= at]


def _ended(session: Session, at: int) -> None:
    if session.last is None or at >= session.last:
        session.ends = sorted({*session.ends, at})[:ENDS_MAX]


# What any event may carry.


def _counts_as(event: Event, rules: Rules) -> int:
    """The bits that an event adds to the counts (fields 23 to 25)."""
    match event.payload:
        case WebEvent():
            return EVENT | PAGEVIEW if event.name in rules.pageview_events else EVENT
        case AppEvent():
            return EVENT | SCREENVIEW if event.name in rules.screenview_events else EVENT
        case CustomEvent() | ConversationEvent():
            return EVENT
        case _:
            return 0


def _remember(session: Session, event: Event, counts: int, rules: Rules) -> bool:
    """False if the event's id is known."""
    ids, key = session.ids, event_key(event.id)
    if key in ids:
        return False
    ids[key] = event.at << 3 | counts
    cut_ids(session, rules)
    return True


def cut_ids(session: Session, rules: Rules) -> None:
    """The newest ids stay, cut back a sixteenth at a time: a cut sorts them all."""
    if len(session.ids) > rules.event_ids_max + (rules.event_ids_max >> 4):
        newest = sorted(session.ids.items(), key=lambda known: (known[1], known[0]))[-rules.event_ids_max :]
        session.ids = dict(newest)


def _whose(session: Session, event: Event, stamp: Stamp, place: int) -> None:
    if event.customer_id is not None and _may_be_first(session, Slot.CUSTOMER, place):
        pair = _encode(Customer(event.customer_id, event.customer_id_type))
        keep_first(session, Slot.CUSTOMER, pair, stamp)
    if _may_be_first(session, Slot.TYPE, place):
        named = event.visit_type or event.session_type or _TYPE_OF_PAYLOAD.get(type(event.payload))
        if named is not None:
            keep_first(session, Slot.TYPE, json_of(named), stamp)
    contact = event.external_contact
    if contact is not None:
        text = referred(contact.id, contact.self_uri, "/api/v2/externalcontacts/contacts/")
        keep_latest(session, Slot.EXTERNAL_CONTACT, text, stamp, place)


# Visitor events.


def _visited(session: Session, event: Event, stamp: Stamp, place: int, rules: Rules, cuts: Counter[str]) -> None:
    be_active(session, event.at)
    keep_latest(session, Slot.LAST_EVENT, json_of(event.name), stamp, place)
    payload = event.payload
    if not session.authenticated and getattr(payload, "authenticated", None):
        session.authenticated = True
    attributes = getattr(payload, "attributes", None)
    if attributes:
        _attributes(session, event, attributes, stamp, rules, cuts)


def _browsed(session: Session, payload: WebEvent | AppEvent, derived: Derived | None, stamp: Stamp, place: int) -> None:
    _keep_latest(session, Slot.BROWSER, payload.browser, stamp, place)
    _keep_latest(session, Slot.DEVICE, payload.device, stamp, place)
    _keep_latest(session, Slot.GEOLOCATION, payload.geolocation, stamp, place)
    _keep_latest(session, Slot.IP_ADDRESS, payload.ip_address, stamp, place)
    _keep_latest(session, Slot.IP_ORGANIZATION, payload.ip_organization, stamp, place)
    _keep_latest(session, Slot.USER_AGENT, payload.user_agent_string, stamp, place)
    if derived is not None:
        _keep_latest(session, Slot.DERIVED_BROWSER, derived.browser, stamp, place)
        _keep_latest(session, Slot.DERIVED_DEVICE, derived.device, stamp, place)
        _keep_latest(session, Slot.DERIVED_GEOLOCATION, derived.geolocation, stamp, place)
        _keep_latest(session, Slot.DERIVED_IP_ORGANIZATION, derived.ip_organization, stamp, place)
    if payload.mkt_campaign is not None and _may_be_first(session, Slot.CAMPAIGN, place):
        keep_first(session, Slot.CAMPAIGN, _encode(payload.mkt_campaign), stamp)
    if payload.referrer is not None and _may_be_first(session, Slot.REFERRER, place):
        keep_first(session, Slot.REFERRER, _encode(payload.referrer), stamp)


def _search(session: Session, payload: WebEvent | AppEvent, stamp: Stamp, rules: Rules) -> None:
    query = query_of(payload.page) if payload.page is not None else None
    if query is None and payload.search_query is None:
        return
    for place, term in enumerate(search_terms_of(payload.search_query, query, rules.search_parameters)):
        use = (*stamp, place)
        session.terms[term] = min(session.terms.get(term, use), use)
    if len(session.terms) > rules.search_terms_max:
        session.terms = dict(sorted(session.terms.items(), key=lambda term: term[1])[: rules.search_terms_max])


def _attributes(
    session: Session, event: Event, attributes: dict[str, Any], stamp: Stamp, rules: Rules, cuts: Counter[str]
) -> None:
    named = event.session_type or _TYPE_OF_PAYLOAD.get(type(event.payload))
    winners: dict[str, str] = {}
    for name, attribute in attributes.items():
        target = target_of(rules.attribute_rules, name, named)
        if target is None:
            continue
        to, is_list = target
        if is_list:
            _listed(session, to, attribute.value, (*stamp, attribute.data_type), rules, cuts)
        elif to not in winners or name > winners[to]:  # Of two names led to one the greater counts.
            winners[to] = name
    for to, name in winners.items():
        have = session.attributes.get(to)
        if have is None or stamp > session.stamps[have[0]]:
            session.attributes[to] = (stamped(session, stamp), attributes[name].data_type, attributes[name].value)
    while len(session.attributes) > rules.attributes_max:
        del session.attributes[max(session.attributes)]
        cuts["attributes"] += 1


_TYPE_OF_PAYLOAD: dict[type, str] = {WebEvent: "web", AppEvent: "app"}


def _listed(session: Session, to: str, value: str, use: Listed, rules: Rules, cuts: Counter[str]) -> None:
    values = session.lists.setdefault(to, {})
    values[value] = min(values.get(value, use), use)
    if len(values) > rules.list_values_max:
        del values[max(values, key=lambda value: (values[value], value))]
        cuts["list values"] += 1


# Annotations.


def _achieved(session: Session, event: Event, payload: OutcomeAchievedEvent, rules: Rules, cuts: Counter[str]) -> None:
    outcome = payload.outcome
    assert outcome is not None
    assert outcome.id is not None
    session.outcomes[event.id] = (event.at, outcome.id, outcome.self_uri)
    if len(session.outcomes) > rules.outcomes_max:
        del session.outcomes[max(session.outcomes, key=lambda event_id: (session.outcomes[event_id][0], event_id))]
        cuts["outcomes"] += 1


def _assigned(
    session: Session, event: Event, payload: SegmentAssignmentEvent, rules: Rules, cuts: Counter[str]
) -> None:
    segment = payload.segment
    assert segment is not None
    assert segment.id is not None
    dated = parse_time(payload.date_assigned) if payload.date_assigned is not None else None
    at = event.at if dated is None else dated
    stays = payload.assignment_state != "Unassigned"
    one: Assigned = (event.at, event.id, stays, at, segment.self_uri, event.at, event.id)
    have = session.segments.get(segment.id)
    session.segments[segment.id] = one if have is None else join_assigned(have, one)
    if len(session.segments) > rules.segments_max:
        del session.segments[max(session.segments, key=lambda key: (session.segments[key][5:], key))]
        cuts["segments"] += 1


def join_assigned(left: Assigned, right: Assigned) -> Assigned:
    """The latest state, with the first event of both."""
    latest = max(left, right, key=lambda one: one[:2])
    first = min(left[5:], right[5:])
    return (*latest[:5], *first)


# Conversations that name this session.


def link_talk(session: Session, conversation_id: str, talk: Talk, at: dict[int, int], rules: Rules) -> bool:
    """Join a conversation's facts, changed last by the records before the positions `at`; tells if anything moved."""
    have = session.talks.get(conversation_id)
    joined = join_talk(have, talk, channels_max=rules.channels_max)
    moved = any(session.linked.get(partition, 0) < offset for partition, offset in at.items())
    if joined == have and not moved:
        return False
    session.talks[conversation_id] = joined
    if session.least is None:
        session.least = talk.latest[0]
    for partition, offset in at.items():
        session.linked[partition] = max(session.linked.get(partition, 0), offset)
    if len(session.talks) > rules.conversations_max:
        others = [one for one in session.talks if one != session.id]
        del session.talks[min(others, key=lambda one: (session.talks[one].latest, one))]
    return True


# Values and their stamps.


def campaign_text(event: Event) -> bytes | None:
    """A web or app event's campaign as sessions keep it; campaigns differ if their texts do."""
    campaign = event.payload.mkt_campaign
    text = None if campaign is None else _encode(campaign)
    return None if text == b"{}" else text


_encode = msgspec.json.Encoder().encode
_text = lru_cache(maxsize=4096)(msgspec.json.Decoder(str).decode)


@lru_cache(maxsize=65_536)
def json_of(text: str) -> bytes:
    return _encode(text)


def referred(reference: str | None, self_uri: str | None, path: str) -> bytes:
    """A reference as it is published; its `selfUri` is the event's, else made from `path` (contract §5)."""
    return _encode({"id": reference, "selfUri": self_uri or f"{path}{reference}"})


def keep_newest(session: Session, stamp: Stamp) -> int:
    """The index of the stamp if it is after every other, else -1: then each value has to be compared."""
    newest = session.newest
    if newest >= 0 and stamp <= session.stamps[newest]:
        return -1
    session.newest = place = stamped(session, stamp)
    return place


def _may_be_first(session: Session, slot: int, place: int) -> bool:
    """False where a value is there and the event is after all others."""
    return place < 0 or session.set_by[slot] < 0


def _keep_latest(session: Session, slot: int, value: Any, stamp: Stamp, place: int) -> None:
    if value is None:
        return
    text = json_of(value) if type(value) is str else _encode(value)
    if text == b"{}":  # An object with no non-null member carries nothing.
        return
    if place >= 0:
        session.values[slot] = text
        session.set_by[slot] = place
    else:
        keep_latest(session, slot, text, stamp, place)


def keep_latest(session: Session, slot: int, text: bytes, stamp: Stamp, place: int = -1) -> None:
    """Keep the text if its event is the latest that carries one; `place` is the stamp's index if it is the newest."""
    if place < 0:
        have = session.set_by[slot]
        if have >= 0:
            kept = session.stamps[have]
            # Only heartbeats without ids can have equal stamps; their values decide.
            if stamp < kept or (stamp == kept and text <= (session.values[slot] or b"")):
                return
        place = stamped(session, stamp)
    session.values[slot] = text
    session.set_by[slot] = place


def keep_first(session: Session, slot: int, text: bytes, stamp: Stamp) -> None:
    have = session.set_by[slot]
    if have >= 0:
        kept = session.stamps[have]
        if stamp > kept or (stamp == kept and text >= (session.values[slot] or b"")):
            return
    if text != b"{}":
        session.values[slot] = text
        session.set_by[slot] = stamped(session, stamp)


def stamped(session: Session, stamp: Stamp) -> int:
    stamps = session.stamps
    if stamps and stamps[-1] == stamp:
        return len(stamps) - 1
    if len(stamps) >= 2 * (SLOTS + len(session.attributes)):
        _drop_unused_stamps(session)
        stamps = session.stamps
    stamps.append(stamp)
    return len(stamps) - 1


def _drop_unused_stamps(session: Session) -> None:
    used = {*session.set_by, session.newest, *(kept[0] for kept in session.attributes.values())} - {-1}
    place = {old: new for new, old in enumerate(sorted(used))}
    session.stamps = [session.stamps[old] for old in place]
    session.set_by = [place[at] if at >= 0 else -1 for at in session.set_by]
    session.newest = place.get(session.newest, -1)
    session.attributes = {name: (place[kept[0]], kept[1], kept[2]) for name, kept in session.attributes.items()}
