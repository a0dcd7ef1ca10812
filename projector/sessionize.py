"""Visits out of events that name no session: gaps, merges, campaign splits and their walls (contract §3, rule 3).

Works on the sessions of one visitor's track, those that can still change, in the order of the log. Spans grow by what
arrives and never shrink; a wall, once built, stays.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection

from msgspec import Struct

from projector import slots
from projector.events import AppEvent, Event, WebEvent
from projector.evolve import evolve
from projector.join import absorb
from projector.route import Visitor, derived_id
from projector.rules import Rules
from projector.session import Session, ended_at, is_held, is_published, last_activity, new_session
from projector.values import campaign_text

VISITS_MAX = 1000
"""To so many visits of one visitor events can come at once, whatever the retention: to the newest."""


class Visits(Struct, array_like=True, gc=False):
    """What a visitor's track has beside its sessions. Stored: fields are appended at the end, never moved."""

    walls: list[int] = []
    """Moments of campaign splits, ascending, ms."""
    merged: dict[str, tuple[str, int, str | None]] = {}
    """Ids that were merged away, to their survivor, the revision of their tombstone, and their short id."""


class Placed(Struct):
    """Where one event went."""

    session: Session | None
    """None: it is too late, no visit that is held is in reach; or it is a duplicate."""
    touched: tuple[Session, ...] = ()
    """Every visit that it changed: split, ended, or grown by a merge."""
    withdrawn: tuple[Session, ...] = ()
    """Visits that were merged into `session`."""
    is_duplicate: bool = False


Adopt = Callable[[Session], None]
"""Called for a visit that opens: joins into it what was said of its id before."""


def survivor(visits: Visits, session_id: str) -> str:
    """The id that a visit's id leads to: itself, unless it was merged away."""
    while session_id in visits.merged:
        session_id = visits.merged[session_id][0]
    return session_id


def led_to(sessions: list[Session], visits: Visits, session_id: str) -> Session | None:
    """The one of these visits that the id leads to."""
    leads_to = survivor(visits, session_id)
    return next((session for session in sessions if session.id == leads_to), None)


def held_visits(sessions: list[Session], clock: int, rules: Rules) -> list[Session]:
    """Those that events can still come to; of very many the newest."""
    held = [session for session in sessions if is_held(session, clock, rules)]
    return held if len(held) <= VISITS_MAX else sorted(held, key=last_activity)[-VISITS_MAX:]


def are_too_many(sessions: list[Session]) -> bool:
    return len(sessions) > VISITS_MAX


def forget_visits(
    sessions: list[Session], visits: Visits, clock: int, rules: Rules, *, staying: Collection[str]
) -> None:
    """Let go of visits to which nothing can come any more, and of walls and merged ids likewise.

    Those in `staying`, and those that have not ended, still have something to be published.
    """
    held = {session.id for session in held_visits(sessions, clock, rules)}
    stay = [one for one in sessions if one.id in held or one.id in staying or _goes_on(one, rules)]
    if len(stay) != len(sessions):
        sessions[:] = stay
        alive = {session.id for session in stay}
        visits.merged = {lost: to for lost, to in visits.merged.items() if survivor(visits, lost) in alive}
    if visits.walls and rules.retention:
        sides = {session.wall for session in stay}
        visits.walls = [wall for wall in visits.walls if wall >= clock - rules.retention or wall in sides]


def _goes_on(session: Session, rules: Rules) -> bool:
    return is_published(session) and ended_at(session, rules) is None


def knows(sessions: list[Session], key: int) -> bool:
    """Duplicates are recognised per visitor."""
    return any(key in session.ids for session in sessions)


def reach_of(visitor: Visitor, rules: Rules) -> int:
    return rules.timeout_web if visitor.type == "web" else rules.timeout_app


def place(
    sessions: list[Session],
    visits: Visits,
    visitor: Visitor,
    event: Event,
    *,
    is_late: bool,
    adopt: Adopt,
    rules: Rules,
    cuts: Counter[str],
) -> Placed:
    """Fold an event that no visit knows into the visit that it belongs to; opens, merges and splits as it has to."""
    near = _near(sessions, visits, event.at, reach_of(visitor, rules))
    splits = _splits(near, event, rules)
    if (splits or not near) and led_to(sessions, visits, visit_id(visitor, event)) is not None:
        return Placed(None, is_duplicate=True)  # It has opened a visit before, though its own id is forgotten.
    if not near and is_late:
        return Placed(None)
    if splits:
        _build_wall(sessions, visits, event.at)
        near = _near(sessions, visits, event.at, reach_of(visitor, rules))
        near.append(_open(sessions, visits, visitor, event, adopt))
    elif not near:
        near = [_open(sessions, visits, visitor, event, adopt)]
    into, *others = sorted(near, key=lambda session: (_first(session), sessions.index(session)))
    for other in others:
        absorb(into, other, rules, cuts)
        sessions.remove(other)
    evolve(into, event, rules, cuts)
    ended = _end_at_walls(sessions, visits)
    return Placed(into, (into, *(session for session in ended if session is not into)), tuple(others))


def _first(session: Session) -> int:
    """The first activity; of a visit that has just opened and knows nothing yet the time it opened at."""
    if session.created is not None:
        return session.created
    return session.least if session.least is not None else 0


def _near(sessions: list[Session], visits: Visits, at: int, reach: int) -> list[Session]:
    """Visits on the same side of every wall, within the timeout."""
    side = _side(visits, at)
    return [
        session
        for session in sessions
        if session.wall == side and _first(session) - reach <= at <= last_activity(session) + reach
    ]


def _side(visits: Visits, at: int) -> int | None:
    before = bisect_right(visits.walls, at)
    return visits.walls[before - 1] if before else None


def _splits(near: list[Session], event: Event, rules: Rules) -> bool:
    """A campaign that is new to the visit before it; within a visit's span nothing splits."""
    payload = event.payload
    if not rules.campaign_split or not isinstance(payload, WebEvent | AppEvent):
        return False
    campaign = campaign_text(event)
    if campaign is None:
        return False
    before = [session for session in near if last_activity(session) < event.at]
    if not before or any(_first(session) <= event.at <= last_activity(session) for session in near):
        return False
    latest = max(before, key=last_activity)
    return latest.values[slots.CAMPAIGN] != campaign


def _build_wall(sessions: list[Session], visits: Visits, at: int) -> None:
    side = _side(visits, at)
    for session in sessions:
        if session.wall == side and _first(session) >= at:
            session.wall = at
    visits.walls = sorted({*visits.walls, at})


def _open(sessions: list[Session], visits: Visits, visitor: Visitor, event: Event, adopt: Adopt) -> Session:
    session = new_session(visit_id(visitor, event))
    session.wall = _side(visits, event.at)
    session.least = event.at
    visits.merged.pop(session.id, None)  # It led to a visit that is past; now it does not, for it might lead round.
    adopt(session)
    sessions.append(session)
    return session


def visit_id(visitor: Visitor, event: Event) -> str:
    """The id of the visit that this event opens: a replay of the same log gives the same."""
    opener = event.id or f"heartbeat:{event.at}"
    return derived_id((visitor.customer_id_type, visitor.customer_id, visitor.type, opener))


def _end_at_walls(sessions: list[Session], visits: Visits) -> list[Session]:
    """Tell every visit the wall that ends it; gives those for which that is new."""
    if not visits.walls:
        return []
    changed = []
    for session in sessions:
        after = 0 if session.wall is None else bisect_right(visits.walls, session.wall)
        wall = visits.walls[after] if after < len(visits.walls) else None
        if wall != session.split_at:
            session.split_at = wall
            changed.append(session)
    return changed
