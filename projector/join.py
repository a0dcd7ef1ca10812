"""Two sessions to one: what a visit that merges with another knows, and what was said of it before it opened.

Every part is joined by its own rule, so joining in any order, or twice, gives the same session.
"""

from collections import Counter

from projector import slots
from projector.collected import cut_attributes, cut_ids, cut_lists, join_assigned
from projector.conversation import join_talk
from projector.rules import Rules
from projector.session import ENDS_MAX, EVENT, Session
from projector.values import keep_first, keep_latest, keep_newest, stamped

_FIRST = (slots.CUSTOMER, slots.TYPE, slots.CAMPAIGN, slots.REFERRER)


def absorb(session: Session, other: Session, rules: Rules, cuts: Counter[str]) -> None:
    """Join `other` into `session`, in place; its id, short id and place among walls stay its own."""
    _count(session, other, rules, cuts)
    _dates(session, other)
    _values(session, other)
    if other.newest >= 0:
        keep_newest(session, other.stamps[other.newest])
    _attributes(session, other, rules, cuts)
    _collections(session, other, rules, cuts)
    for conversation, talk in other.talks.items():
        session.talks[conversation] = join_talk(session.talks.get(conversation), talk, channels_max=rules.channels_max)
    for mine, its in ((session.linked, other.linked), (session.positions, other.positions)):
        for partition, offset in its.items():
            mine[partition] = max(mine.get(partition, 0), offset)


def _count(session: Session, other: Session, rules: Rules, cuts: Counter[str]) -> None:
    """Events that both know count once; what is beyond the remembered ids is taken to be different."""
    both = [other.ids[key] for key in other.ids.keys() & session.ids.keys()]
    session.events += other.events - sum(known & EVENT for known in both)
    session.pageviews += other.pageviews - sum(known >> 1 & 1 for known in both)
    session.screenviews += other.screenviews - sum(known >> 2 & 1 for known in both)
    session.ids = {**other.ids, **session.ids}
    cut_ids(session, rules, cuts)


def _dates(session: Session, other: Session) -> None:
    session.least = _least(session.least, other.least)
    session.created = _least(session.created, other.created)
    if other.last is not None and (session.last is None or other.last > session.last):
        session.last, session.expired = other.last, other.expired
    elif other.last == session.last:
        session.expired = session.expired or other.expired
    session.authenticated = session.authenticated or other.authenticated
    last = session.last
    session.ends = sorted(end for end in {*session.ends, *other.ends} if last is None or end >= last)[:ENDS_MAX]


def _least(left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return right if left is None else left
    return min(left, right)


def _values(session: Session, other: Session) -> None:
    for slot in range(slots.COUNT):
        text, at = other.values[slot], other.set_by[slot]
        if text is not None:
            keep = keep_first if slot in _FIRST else keep_latest
            keep(session, slot, text, other.stamps[at])


def _attributes(session: Session, other: Session, rules: Rules, cuts: Counter[str]) -> None:
    for name, (at, data_type, value) in other.attributes.items():
        have, stamp = session.attributes.get(name), other.stamps[at]
        if have is None or stamp > session.stamps[have[0]]:
            session.attributes[name] = (stamped(session, stamp), data_type, value)
    cut_attributes(session, rules, cuts)


def _collections(session: Session, other: Session, rules: Rules, cuts: Counter[str]) -> None:
    for name, values in other.lists.items():
        mine = session.lists.setdefault(name, {})
        for value, use in values.items():
            mine[value] = min(mine.get(value, use), use)
        kept = sorted(mine, key=lambda value: (mine[value], value))[: rules.list_values_max]
        session.lists[name] = {value: mine[value] for value in kept}
    cut_lists(session, rules, cuts)
    for term, first in other.terms.items():
        session.terms[term] = min(session.terms.get(term, first), first)
    session.terms = dict(sorted(session.terms.items(), key=lambda term: term[1])[: rules.search_terms_max])
    session.outcomes |= other.outcomes
    by_date = sorted(session.outcomes.items(), key=lambda one: (one[1][0], one[0]))
    session.outcomes = dict(by_date[: rules.outcomes_max])
    for segment, assigned in other.segments.items():
        have = session.segments.get(segment)
        session.segments[segment] = assigned if have is None else join_assigned(have, assigned)
    by_first = sorted(session.segments.items(), key=lambda one: (one[1][5:], one[0]))
    session.segments = dict(by_first[: rules.segments_max])
