"""The fold: everything that changes a session's content is here.

It collates facts: no clock, no policy, no errors on data. `decode` rejects, the fold trusts.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from projector.conversation import Stamp, Talk, evolve_talk, join_talk
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
from projector.session import (
    EVENT,
    PAGEVIEW,
    SCREENVIEW,
    Assigned,
    Customer,
    Listed,
    Session,
    Slot,
    event_key,
)
from projector.values import (
    encode_json,
    json_of,
    keep_first,
    keep_latest,
    keep_newest,
    keep_value,
    may_be_first,
    referred,
    stamped,
)

ENDS_MAX = 100
"""How many `SessionEnded` not before the last activity are kept; the least stay."""


def evolve(session: Session, event: Event, rules: Rules, cuts: Counter[str]) -> bool:
    """Fold one event into `session`, in place; False and no change if it is a duplicate.

    `cuts` counts what was cut off at a bound, by what it was.
    """
    counts = _counts_as(event, rules)
    if event.id and not _remember(session, event, counts, rules, cuts):
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
            keep_value(session, Slot.LAST_PAGE, web.page, stamp, place)
            _search(session, web, stamp, rules, cuts)
        case AppEvent() as app:
            _visited(session, event, stamp, place, rules, cuts)
            _browsed(session, app, event.derived, stamp, place)
            _search(session, app, stamp, rules, cuts)
        case CustomEvent() as custom:
            _visited(session, event, stamp, place, rules, cuts)
            keep_value(session, Slot.EXTERNAL_ID, custom.external_id or None, stamp, place)
            keep_value(session, Slot.EXTERNAL_URL, custom.external_url, stamp, place)
        case ConversationEvent() as said:
            _visited(session, event, stamp, place, rules, cuts)
            talk = session.talks.setdefault(session.id, Talk(latest=stamp))
            evolve_talk(talk, event, said, channels_max=rules.channels_max, cuts=cuts)
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


# Activities and ends.


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


def _remember(session: Session, event: Event, counts: int, rules: Rules, cuts: Counter[str]) -> bool:
    """False if the event's id is known."""
    ids, key = session.ids, event_key(event.id)
    if key in ids:
        return False
    ids[key] = event.at << 3 | counts
    if len(ids) > rules.event_ids_max:
        cut_ids(session, rules, cuts)
    return True


def cut_ids(session: Session, rules: Rules, cuts: Counter[str]) -> None:
    """The newest ids stay, cut back a sixteenth at a time: a cut sorts them all."""
    if len(session.ids) > rules.event_ids_max + (rules.event_ids_max >> 4):
        newest = sorted(session.ids.items(), key=lambda known: (known[1], known[0]))[-rules.event_ids_max :]
        cuts["event ids"] += len(session.ids) - len(newest)
        session.ids = dict(newest)


def _whose(session: Session, event: Event, stamp: Stamp, place: int) -> None:
    if event.customer_id is not None and may_be_first(session, Slot.CUSTOMER, place):
        pair = encode_json(Customer(event.customer_id, event.customer_id_type))
        keep_first(session, Slot.CUSTOMER, pair, stamp)
    if may_be_first(session, Slot.TYPE, place):
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
        _attributes(session, event, attributes, stamp, place, rules, cuts)


def _browsed(session: Session, payload: WebEvent | AppEvent, derived: Derived | None, stamp: Stamp, place: int) -> None:
    keep_value(session, Slot.BROWSER, payload.browser, stamp, place)
    keep_value(session, Slot.DEVICE, payload.device, stamp, place)
    keep_value(session, Slot.GEOLOCATION, payload.geolocation, stamp, place)
    keep_value(session, Slot.IP_ADDRESS, payload.ip_address, stamp, place)
    keep_value(session, Slot.IP_ORGANIZATION, payload.ip_organization, stamp, place)
    keep_value(session, Slot.USER_AGENT, payload.user_agent_string, stamp, place)
    if derived is not None:
        keep_value(session, Slot.DERIVED_BROWSER, derived.browser, stamp, place)
        keep_value(session, Slot.DERIVED_DEVICE, derived.device, stamp, place)
        keep_value(session, Slot.DERIVED_GEOLOCATION, derived.geolocation, stamp, place)
        keep_value(session, Slot.DERIVED_IP_ORGANIZATION, derived.ip_organization, stamp, place)
    if payload.mkt_campaign is not None and may_be_first(session, Slot.CAMPAIGN, place):
        keep_first(session, Slot.CAMPAIGN, encode_json(payload.mkt_campaign), stamp)
    if payload.referrer is not None and may_be_first(session, Slot.REFERRER, place):
        keep_first(session, Slot.REFERRER, encode_json(payload.referrer), stamp)


def _search(session: Session, payload: WebEvent | AppEvent, stamp: Stamp, rules: Rules, cuts: Counter[str]) -> None:
    query = query_of(payload.page) if payload.page is not None else None
    if query is None and payload.search_query is None:
        return
    for place, term in enumerate(search_terms_of(payload.search_query, query, rules.search_parameters)):
        use = (*stamp, place)
        session.terms[term] = min(session.terms.get(term, use), use)
    if len(session.terms) > rules.search_terms_max:
        cuts["search terms"] += len(session.terms) - rules.search_terms_max
        session.terms = dict(sorted(session.terms.items(), key=lambda term: term[1])[: rules.search_terms_max])


def _attributes(
    session: Session,
    event: Event,
    attributes: dict[str, Any],
    stamp: Stamp,
    place: int,
    rules: Rules,
    cuts: Counter[str],
) -> None:
    winners: Iterable[tuple[str, str]] = zip(attributes, attributes, strict=True)
    if rules.attribute_rules:
        winners = _projected(session, event, attributes, stamp, rules, cuts).items()
    for to, name in winners:
        attribute, at = attributes[name], place
        if at < 0:
            have = session.attributes.get(to)
            if have is not None and stamp <= session.stamps[have[0]]:
                continue
            at = stamped(session, stamp)
        session.attributes[to] = (at, attribute.data_type, attribute.value)
    while len(session.attributes) > rules.attributes_max:
        del session.attributes[max(session.attributes)]
        cuts["attributes"] += 1


def _projected(
    session: Session, event: Event, attributes: dict[str, Any], stamp: Stamp, rules: Rules, cuts: Counter[str]
) -> dict[str, str]:
    """Session attribute to the event attribute that the rules let through to it; lists are kept right away."""
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
    return winners


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
