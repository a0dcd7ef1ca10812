"""The fold: everything that changes a session's content is here.

It collates facts: no clock, no policy, no errors on data. `decode` rejects, the fold trusts.
"""

from collections import Counter

from projector import slots
from projector.collected import (
    TYPE_OF_PAYLOAD,
    cut_attributes,
    cut_ids,
    keep_attributes,
    keep_outcome,
    keep_segment,
    keep_terms,
)
from projector.conversation import Stamp, Talk, evolve_talk, join_talk
from projector.enrich.search import may_name_terms
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
from projector.models import Reference
from projector.rules import Rules
from projector.session import ENDS_MAX, EVENT, PAGEVIEW, SCREENVIEW, Customer, Session, event_key
from projector.values import (
    encode_json,
    json_of,
    keep_first,
    keep_latest,
    keep_newest,
    keep_value,
    referred,
    spare,
)


def evolve(session: Session, event: Event, rules: Rules, cuts: Counter[str]) -> bool:
    """Fold one event into `session`, in place; False and no change if it is a duplicate.

    `cuts` counts what was cut off at a bound, by what it was.
    """
    payload, at, event_id = event.payload, event.at, event.id
    kind = type(payload)
    if kind is WebEvent:  # As `_counts_as` has it.
        counts = EVENT | PAGEVIEW if event.name in rules.pageview_events else EVENT
    else:
        counts = _counts_as(kind, event.name, rules)
    if event_id:
        ids, key = session.ids, event_key(event_id.encode())
        if key in ids:
            return False
        ids[key] = at << 3 | counts
        if len(ids) > rules.event_ids_max:
            cut_ids(session, rules, cuts)
    if counts:
        session.events += 1
        if counts & PAGEVIEW:
            session.pageviews += 1
        elif counts & SCREENVIEW:
            session.screenviews += 1
    if session.least is None or at < session.least:
        session.least = at
    stamp, before, set_by = (at, event_id), session.newest, session.set_by
    place = keep_newest(session, stamp)
    if place < 0 or set_by[slots.CUSTOMER] < 0 or set_by[slots.TYPE] < 0:
        _whose(session, event, stamp)
    if event.external_contact is not None:
        _contact(session, event.external_contact, stamp, place)
    if counts:
        _visited(session, event, stamp, place, rules, cuts)
    if kind is WebEvent or kind is AppEvent:
        _browsed(session, event, stamp, place, rules, cuts)
    else:
        _of_its_kind(session, event, stamp, place, rules, cuts)
    if place >= 0 and before >= 0 and session.spare < 0:
        spare(session, before, place)
    return True


def _of_its_kind(session: Session, event: Event, stamp: Stamp, place: int, rules: Rules, cuts: Counter[str]) -> None:
    match event.payload:
        case CustomEvent() as custom:
            keep_value(session, slots.EXTERNAL_ID, custom.external_id or None, stamp, place)
            keep_value(session, slots.EXTERNAL_URL, custom.external_url, stamp, place)
        case ConversationEvent() as said:
            talk = session.talks.setdefault(session.id, Talk(latest=stamp))
            evolve_talk(talk, event, said, channels_max=rules.channels_max, cuts=cuts)
        case Heartbeat():
            be_active(session, event.at)
        case SessionEnded():
            _ended(session, event.at)
        case OutcomeAchievedEvent() as achieved:
            keep_outcome(session, event, achieved, rules, cuts)
        case SegmentAssignmentEvent() as assignment:
            keep_segment(session, event, assignment, rules, cuts)
        case WebActionEvent() | BlockedWebActionOfferEvent() | OutcomeAttributionEvent():
            pass  # No field of the Session comes from them but those of any event.
        case unexpected:
            raise AssertionError(f"a payload without a case: {unexpected!r}")


# Activities and ends.


def be_active(session: Session, at: int) -> None:
    last, created = session.last, session.created
    if last is None or created is None:
        session.created = session.last = at
    elif at < created:
        session.created = at
        return
    elif at <= last:
        return
    else:
        session.last = at
    session.expired = False
    if session.ends:
        session.ends = [end for end in session.ends if end >= at]


def _ended(session: Session, at: int) -> None:
    if session.last is None or at >= session.last:
        session.ends = sorted({*session.ends, at})[:ENDS_MAX]


# What any event may carry.


def _counts_as(kind: type, name: str, rules: Rules) -> int:
    """The bits that an event, but a WebEvent, adds to the counts (fields 23 to 25); none for those of no visitor."""
    if kind is AppEvent:
        return EVENT | SCREENVIEW if name in rules.screenview_events else EVENT
    return EVENT if kind is CustomEvent or kind is ConversationEvent else 0


def _whose(session: Session, event: Event, stamp: Stamp) -> None:
    """Fields 2, 3 and 4, which the first event sets that tells them."""
    if event.customer_id is not None:
        pair = encode_json(Customer(event.customer_id, event.customer_id_type))
        keep_first(session, slots.CUSTOMER, pair, stamp)
    named = event.visit_type or event.session_type or TYPE_OF_PAYLOAD.get(type(event.payload))
    if named is not None:
        keep_first(session, slots.TYPE, json_of(named), stamp)


def _contact(session: Session, contact: Reference, stamp: Stamp, place: int) -> None:
    text = referred(contact.id, contact.self_uri, "/api/v2/externalcontacts/contacts/")
    keep_latest(session, slots.EXTERNAL_CONTACT, text, stamp, place)


# Visitor events.


def _visited(session: Session, event: Event, stamp: Stamp, place: int, rules: Rules, cuts: Counter[str]) -> None:
    """What every visitor event tells: an activity, its name, and mostly attributes."""
    be_active(session, event.at)
    name = json_of(event.name)
    if place >= 0:
        session.values[slots.LAST_EVENT] = name
        session.set_by[slots.LAST_EVENT] = place
    else:
        keep_latest(session, slots.LAST_EVENT, name, stamp)
    payload = event.payload
    if type(payload) is ConversationEvent:
        return
    if payload.authenticated and not session.authenticated:
        session.authenticated = True
    attributes = payload.attributes
    if not attributes:
        return
    if place < 0 or rules.attribute_rules:
        keep_attributes(session, event, attributes, stamp, place, rules, cuts)
        return
    kept = session.attributes
    for to, attribute in attributes.items():
        kept[to] = (place, attribute.data_type, attribute.value)
    if len(kept) > rules.attributes_max:
        cut_attributes(session, rules, cuts)


def _browsed(session: Session, event: Event, stamp: Stamp, place: int, rules: Rules, cuts: Counter[str]) -> None:
    """What web and app events tell of where the visitor is, and with what."""
    payload: WebEvent | AppEvent = event.payload
    browser, device, geolocation, page = payload.browser, payload.device, payload.geolocation, payload.page
    ip_address, agent = payload.ip_address, payload.user_agent_string
    shown = page if type(payload) is WebEvent else None
    if place >= 0 and browser and device and geolocation and ip_address and agent and shown:
        # It gives all of it, after all others: two moves, not twelve.
        address = encode_json(ip_address)  # Not from memory: nearly each visitor has one of its own.
        session.values[_SEEN] = (browser, device, geolocation, address, json_of(agent), encode_json(shown))
        session.set_by[_SEEN] = (place, place, place, place, place, place)
    else:
        keep_value(session, slots.BROWSER, browser, stamp, place)
        keep_value(session, slots.DEVICE, device, stamp, place)
        keep_value(session, slots.GEOLOCATION, geolocation, stamp, place)
        keep_value(session, slots.IP_ADDRESS, ip_address, stamp, place)
        keep_value(session, slots.USER_AGENT, agent, stamp, place)
        keep_value(session, slots.LAST_PAGE, shown, stamp, place)
    if payload.ip_organization is not None:
        keep_value(session, slots.IP_ORGANIZATION, payload.ip_organization, stamp, place)
    if event.derived is not None:
        _derived(session, event.derived, stamp, place)
    if payload.mkt_campaign is not None and (place < 0 or session.set_by[slots.CAMPAIGN] < 0):
        keep_first(session, slots.CAMPAIGN, encode_json(payload.mkt_campaign), stamp)
    if payload.referrer is not None and (place < 0 or session.set_by[slots.REFERRER] < 0):
        keep_first(session, slots.REFERRER, encode_json(payload.referrer), stamp)
    if payload.search_query is not None or (page is not None and may_name_terms(page, rules.search_parameters)):
        keep_terms(session, payload, stamp, rules, cuts)


_SEEN = slice(slots.BROWSER, slots.LAST_PAGE + 1)


def _derived(session: Session, derived: Derived, stamp: Stamp, place: int) -> None:
    keep_value(session, slots.DERIVED_BROWSER, derived.browser, stamp, place)
    keep_value(session, slots.DERIVED_DEVICE, derived.device, stamp, place)
    keep_value(session, slots.DERIVED_GEOLOCATION, derived.geolocation, stamp, place)
    keep_value(session, slots.DERIVED_IP_ORGANIZATION, derived.ip_organization, stamp, place)


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
