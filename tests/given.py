"""Events as a test writes them: one call an event, times as ms after `T0`, everything else by name.

Law: what is not said stays out of the JSON, so that a test shows all that matters to it.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from projector.dates import format_time, parse_time
from projector.decode import decode
from projector.enrich.event import enrich
from projector.events import Event
from projector.evolve import evolve
from projector.rules import Rules
from projector.session import Session, new_session
from projector.snapshot import snapshot_of

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
_t0 = parse_time("2025-06-12T09:00:00.000Z")
assert _t0 is not None
T0: int = _t0


def text_of(ms: int) -> str:
    """The time that is `ms` after `T0`."""
    return format_time(T0 + ms)


def envelope(event_type: str, event_id: str | None, ms: int, /, **members: Any) -> Json:
    """A journey event of session `s-1`, without payload; `members` go before all this."""
    named = {} if event_id is None else {"id": event_id}
    return {**named, "eventType": event_type, "createdDate": text_of(ms), "session": {"id": "s-1"}} | members


def web(
    event_id: str, ms: int = 0, *, name: str | None = "page_viewed", about: Json | None = None, **payload: Any
) -> Json:
    """A web event; `about` are members of the envelope."""
    return envelope("WebEvent", event_id, ms, **{"webEvent": {"eventName": name, **payload}, **(about or {})})


def visit(event_id: str, at: int, customer: str = "c", **payload: Any) -> Json:
    """A web event of a visitor, which names no session."""
    event = web(event_id, at, about={"customerId": customer, "customerIdType": "cookie"}, **payload)
    del event["session"]
    return event


def app(
    event_id: str, ms: int = 0, *, name: str | None = "screen_viewed", about: Json | None = None, **payload: Any
) -> Json:
    return envelope("AppEvent", event_id, ms, **{"appEvent": {"eventName": name, **payload}, **(about or {})})


def custom(
    event_id: str, ms: int = 0, *, name: str | None = "opened", about: Json | None = None, **payload: Any
) -> Json:
    return envelope("CustomEvent", event_id, ms, **{"customEvent": {"eventName": name, **payload}, **(about or {})})


def heartbeat(ms: int = 0, *, event_id: str | None = None, **about: Any) -> Json:
    return envelope("Heartbeat", event_id, ms, **about)


def ended(event_id: str, ms: int = 0, **about: Any) -> Json:
    return envelope("SessionEnded", event_id, ms, **about)


def outcome(event_id: str, ms: int = 0, *, outcome_id: str = "order", **about: Any) -> Json:
    return envelope("OutcomeAchievedEvent", event_id, ms, outcomeAchievedEvent={"outcome": {"id": outcome_id}}, **about)


def segment(event_id: str, ms: int = 0, *, segment_id: str = "loyal", **payload: Any) -> Json:
    return envelope(
        "SegmentAssignmentEvent", event_id, ms, segmentAssignmentEvent={"segment": {"id": segment_id}} | payload
    )


def talk(what: str, ms: int = 0, *, conversation: str = "c-1", **body: Any) -> Json:
    """A conversation event, as its notification; `participantId` tells two of one moment apart."""
    topic = f"v2.detail.events.conversation.{conversation}.{what}"
    return {"topicName": topic, "eventBody": {"eventTime": T0 + ms, **body}}


def line(event: Json) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


def read(event: Json, rules: Rules | None = None) -> Event:
    """The event as the fold gets it."""
    decoded = decode(line(event))
    assert isinstance(decoded, Event), decoded
    enrich(decoded, rules or Rules(), None)
    return decoded


def folded(events: Iterable[Json], rules: Rules | None = None, *, cuts: Counter[str] | None = None) -> Session:
    """One session of all these events, whatever they name, in this order."""
    session = new_session("s-1")
    for event in events:
        evolve(session, read(event, rules), rules or Rules(), Counter() if cuts is None else cuts)
    return session


def snapshot(session: Session, rules: Rules | None = None) -> Json:
    published: Json = json.loads(snapshot_of(session, rules or Rules()))
    return published


def session_of(*events: Json, rules: Rules | None = None) -> Json:
    """The snapshot of the session that these events make, in this order."""
    return snapshot(folded(events, rules), rules)
