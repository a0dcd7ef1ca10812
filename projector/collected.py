"""What a session collects, each with a bound: event ids, attributes, lists, search terms, outcomes, segments.

Which of them stay at a bound follows from what they are, never from the order in which they came (contract §5).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from projector.conversation import Stamp
from projector.dates import parse_time
from projector.enrich.search import search_terms_of
from projector.enrich.url import query_of
from projector.events import AppEvent, Event, OutcomeAchievedEvent, SegmentAssignmentEvent, WebEvent
from projector.rules import Rules, target_of
from projector.session import Assigned, Listed, Session
from projector.values import stamped

TYPE_OF_PAYLOAD: dict[type, str] = {WebEvent: "web", AppEvent: "app"}


def cut_ids(session: Session, rules: Rules, cuts: Counter[str]) -> None:
    """The newest ids stay, cut back a sixteenth at a time: a cut sorts them all."""
    if len(session.ids) > rules.event_ids_max + (rules.event_ids_max >> 4):
        newest = sorted(session.ids.items(), key=lambda known: (known[1], known[0]))[-rules.event_ids_max :]
        cuts["event ids"] += len(session.ids) - len(newest)
        session.ids = dict(newest)


def keep_terms(session: Session, payload: WebEvent | AppEvent, stamp: Stamp, rules: Rules, cuts: Counter[str]) -> None:
    query = query_of(payload.page) if payload.page is not None else None
    for place, term in enumerate(search_terms_of(payload.search_query, query, rules.search_parameters)):
        use = (*stamp, place)
        session.terms[term] = min(session.terms.get(term, use), use)
    if len(session.terms) > rules.search_terms_max:
        cuts["search terms"] += len(session.terms) - rules.search_terms_max
        session.terms = dict(sorted(session.terms.items(), key=lambda term: term[1])[: rules.search_terms_max])


def keep_attributes(
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
    cut_attributes(session, rules, cuts)


def cut_attributes(session: Session, rules: Rules, cuts: Counter[str]) -> None:
    while len(session.attributes) > rules.attributes_max:
        del session.attributes[max(session.attributes)]
        cuts["attributes"] += 1


def _projected(
    session: Session, event: Event, attributes: dict[str, Any], stamp: Stamp, rules: Rules, cuts: Counter[str]
) -> dict[str, str]:
    """Session attribute to the event attribute that the rules let through to it; lists are kept right away."""
    named = event.session_type or TYPE_OF_PAYLOAD.get(type(event.payload))
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


def _listed(session: Session, to: str, value: str, use: Listed, rules: Rules, cuts: Counter[str]) -> None:
    values = session.lists.setdefault(to, {})
    values[value] = min(values.get(value, use), use)
    if len(values) > rules.list_values_max:
        del values[max(values, key=lambda value: (values[value], value))]
        cuts["list values"] += 1
    cut_lists(session, rules, cuts)


def cut_lists(session: Session, rules: Rules, cuts: Counter[str]) -> None:
    """Lists are bounded like single attributes: those with the least names stay."""
    while len(session.lists) > rules.attributes_max:
        del session.lists[max(session.lists)]
        cuts["attribute lists"] += 1


# Annotations.


def keep_outcome(
    session: Session, event: Event, payload: OutcomeAchievedEvent, rules: Rules, cuts: Counter[str]
) -> None:
    outcome = payload.outcome
    assert outcome is not None
    assert outcome.id is not None
    session.outcomes[event.id] = (event.at, outcome.id, outcome.self_uri)
    if len(session.outcomes) > rules.outcomes_max:
        del session.outcomes[max(session.outcomes, key=lambda event_id: (session.outcomes[event_id][0], event_id))]
        cuts["outcomes"] += 1


def keep_segment(
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
