"""Small journeys: few sessions, few conversations, every kind of record that the laws speak of.

Two events of one id are equal in everything, so which of them is read first is no matter on an unkeyed topic either.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from projector.ports import NO_CLOCK
from projector.route import derived_id
from tests.oracle.times import format_ms, parse_ms

Json = dict[str, Any]

BASE = parse_ms("2025-06-12T09:00:00Z")
SECOND, MINUTE = 1_000, 60_000
PASSING = (0, 0, 1, SECOND, 45 * SECOND, 5 * MINUTE, 20 * MINUTE, 31 * MINUTE)
"""How time goes on from one record to the next."""
BEHIND = (0, 0, 0, 0, 1, SECOND, 5 * MINUTE, 30 * MINUTE, 40 * MINUTE)
"""How long ago an event was when its record is written."""
LONG_AGO = 8 * 24 * 60 * MINUTE
"""Beyond the retention."""
AHEAD = 60 * MINUTE
"""More than the oldest event is behind, and beyond the tolerance."""


QUIET = ("heartbeat", "annotation", "ended")
"""Kinds of records that show nothing of a session by themselves."""


class Line(Struct):
    """A record to be written."""

    key: str
    """What a topic that is keyed by session would have as its key."""
    value: bytes | None
    moves_clock_to: int = NO_CLOCK
    """The event time, where it moves the partition clock."""
    is_ordered: bool = False
    """Which visits there are follows log order (contract §8.1): a visitor's records stay in one partition."""


class Journeys:
    def __init__(
        self, dice: Random, *, sessions: int, links: bool, visits: bool, late: bool, forgets_after: int | None = None
    ) -> None:
        """`forgets_after`: a retention (ms) that is over while the history goes on.

        Then an id that comes back after it does so with something that is published at once. That of a visit does not
        come back: a case left open (README, "What is not there yet").
        """
        self._dice, self._sessions, self._forgets_after = dice, sessions, forgets_after
        self._count = 0
        self._told: list[Line] = []
        self._visits: list[tuple[str, str, int]] = []
        """(visitor, id of a visit that may have opened, its time)."""
        self._splits = dice.random() < 0.5
        """Campaigns split visits; then no event that names a visit stretches it over others, a case left open."""
        kinds = {"web": 8, "heartbeat": 3, "custom": 2, "annotation": 2, "ended": 1, "again": 3, "flaw": 1, "hasty": 1}
        kinds |= {"talk": 5 if links else 2}
        kinds |= ({"visit": 8, "named": 2} if visits else {}) | ({"late": 1} if late else {})
        kinds = {kind: weight for kind, weight in kinds.items() if not (forgets_after and kind in QUIET)}
        self._kinds, self._weights = list(kinds), list(kinds.values())
        self._links = links

    def next(self, now: int) -> Line:
        """A record written at `now` (ms)."""
        self._count += 1
        kind = self._dice.choices(self._kinds, self._weights)[0]
        if kind == "again" and self._told:
            return self._dice.choice(self._told)
        if self._forgets_after:
            self._visits = [visit for visit in self._visits if now - visit[2] < self._forgets_after]
        kind = "web" if kind == "again" or (kind == "named" and not self._visits) else kind
        line: Line = getattr(self, f"_{kind}")(now - self._dice.choice(BEHIND))
        if kind not in ("flaw", "late", "hasty"):
            self._told.append(line)
        return line

    def _event(self, kind: str, at: int, session: Json | None, **members: Any) -> Json:
        about = {"session": session} if session is not None else {}
        return {"id": f"e{self._count}", "eventType": kind, "createdDate": format_ms(at), **about, **members}

    def _some_web(self) -> str:
        return f"web-{self._dice.randrange(self._sessions)}"

    def _web(self, at: int) -> Line:
        session = self._some_web()
        kind, member = self._dice.choice([("WebEvent", "webEvent"), ("WebEvent", "webEvent"), ("AppEvent", "appEvent")])
        payload: Json = {"eventName": self._dice.choice(["page_viewed", "screen_viewed", "clicked"])}
        payload |= self._dice.choice(
            [{}, {"attributes": {"sku": str(self._count)}}, {"authenticated": kind == "WebEvent"}]
        )
        customer = self._dice.choice([{}, {"customerId": f"c{self._count}", "customerIdType": "cookie"}])
        event = self._event(kind, at, {"id": session, "type": "web"}, **{member: payload}, **customer)
        return _line(session, event, at)

    def _visit(self, at: int) -> Line:
        customer = f"v{self._dice.randrange(2)}"
        campaign = self._dice.choice(["", "", "?utm_source=mail", "?utm_source=ads"]) if self._splits else ""
        page = {"page": {"url": f"https://shop.example.com/{campaign}"}}
        payload: Json = {"eventName": "page_viewed", **page}
        event = self._event("WebEvent", at, None, webEvent=payload, customerId=customer, customerIdType="cookie")
        if self._dice.random() < 0.2:
            event = {**event, "eventType": "Heartbeat"}
            del event["webEvent"]
        self._visits.append((customer, derived_id(("cookie", customer, "web", event["id"])), at))
        return replace(_line(customer, event, at), is_ordered=True)

    def _named(self, at: int) -> Line:
        """An event that names a visit by its id."""
        customer, visit, opened = self._dice.choice(self._visits)
        at = opened if self._splits else at
        event = self._event("WebEvent", at, {"id": visit}, webEvent={"eventName": "clicked"})
        return replace(_line(customer, event, at), is_ordered=True)

    def _hasty(self, at: int) -> Line:
        """Of a clock that is ahead: its time is cut, and does not move the partition clock."""
        session = self._some_web()
        event = self._event("WebEvent", at + AHEAD, {"id": session, "type": "web"}, webEvent={"eventName": "clicked"})
        return _line(session, event, NO_CLOCK)

    def _heartbeat(self, at: int) -> Line:
        session = self._some_web()
        event = self._event("Heartbeat", at, {"id": session})
        if self._dice.random() < 0.5:
            del event["id"]
        return _line(session, event, at)

    def _custom(self, at: int) -> Line:
        thing = f"P-{self._dice.randrange(2)}"
        payload = {"eventName": "packed", "externalId": thing, "attributes": {"step": self._count}}
        return _line(thing, self._event("CustomEvent", at, {"type": "delivery"}, customEvent=payload), at)

    def _annotation(self, at: int) -> Line:
        session = self._some_web()
        kind, payload = self._dice.choice(
            [
                ("OutcomeAchievedEvent", {"outcome": {"id": "order"}}),
                ("SegmentAssignmentEvent", {"segment": {"id": "loyal"}, "assignmentState": "Assigned"}),
                ("SegmentAssignmentEvent", {"segment": {"id": "loyal"}, "assignmentState": "Unassigned"}),
            ]
        )
        member = kind[0].lower() + kind[1:]
        return _line(session, self._event(kind, at, {"id": session}, **{member: payload}), at)

    def _ended(self, at: int) -> Line:
        session = self._some_web()
        return _line(session, self._event("SessionEnded", at, {"id": session}), at)

    def _talk(self, at: int) -> Line:
        conversation = f"conv-{self._dice.randrange(2)}"
        kinds: list[tuple[str, Json]] = [
            ("customer.start", {"direction": "INBOUND", "mediaType": "MESSAGE"}),
            ("customer.end", {"disconnectType": "CLIENT"}),
            ("acd.end", {"acdOutcome": "ANSWERED", "queueId": f"queue-{self._count}"}),
            ("user.start", {"userId": f"user-{self._count}"}),
            ("user.end", {"userId": "user-a", "interactingDurationMs": 7, "disconnectType": "PEER"}),
            ("wrapup", {"wrapupCode": f"code-{self._count}"}),
        ]
        what, more = self._dice.choice(kinds)
        body = {"eventTime": at, "participantId": f"p{self._count}", **more}
        if self._links and self._dice.random() < 0.5:
            is_visit = self._visits and self._dice.random() < 0.5
            body["journeyContext"] = {"sessionId": self._dice.choice(self._visits)[1] if is_visit else self._some_web()}
        topic = f"v2.detail.events.conversation.{conversation}.{what}"
        return _line(conversation, {"topicName": topic, "eventBody": body}, at)

    def _flaw(self, at: int) -> Line:
        session = self._some_web()
        value = self._dice.choice(
            [
                None,
                b"{",
                _json({"id": "x", "eventType": "Unheard", "createdDate": format_ms(at), "session": {"id": session}}),
                _json({"id": "x", "eventType": "SessionEnded", "createdDate": format_ms(at)}),
            ]
        )
        return Line(session, value)

    def _late(self, at: int) -> Line:
        """Of a session that nobody knows."""
        session = f"old-{self._count}"
        ago = at - LONG_AGO
        event = self._event("WebEvent", ago, {"id": session, "type": "web"}, webEvent={"eventName": "page_viewed"})
        return _line(session, event, ago)


def visited(session: str, event_id: str, at: int) -> Line:
    event: Json = {"id": event_id, "eventType": "WebEvent", "createdDate": format_ms(at)}
    event |= {"session": {"id": session, "type": "web"}, "webEvent": {"eventName": "page_viewed"}}
    return _line(session, event, at)


def raw(customer: str, event_id: str, at: int) -> Line:
    """Of a visit, which no event names."""
    event: Json = {"id": event_id, "eventType": "WebEvent", "createdDate": format_ms(at), "customerId": customer}
    return _line(customer, event | {"webEvent": {"eventName": "page_viewed"}}, at)


def heartbeat(session: str, at: int) -> Line:
    event = {"eventType": "Heartbeat", "createdDate": format_ms(at), "session": {"id": session}}
    return _line(session, event, at)


def talk(conversation: str, participant: str, at: int, named: str | None = None) -> Line:
    body = {"eventTime": at, "participantId": participant, "mediaType": "MESSAGE"}
    context: Json = {} if named is None else {"journeyContext": {"sessionId": named}}
    topic = f"v2.detail.events.conversation.{conversation}.customer.start"
    return _line(conversation, {"topicName": topic, "eventBody": {**body, **context}}, at)


def _line(key: str, event: Json, at: int) -> Line:
    return Line(key, _json(event), at)


def _json(event: Json) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()
