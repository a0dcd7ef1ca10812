"""Events before they are sent, and the stories they make up. Law: no time is fixed until an event is first sent.

So one story serves a log that starts at a given time and a live feed that follows the wall clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.journeys.dice import Dice

Json = dict[str, Any]
Spelling = Literal["millis", "seconds", "micros", "nanos", "east", "west", "lower", "blank", "epoch"]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Moment:
    """A time inside an event: the event's own plus a shift in ms, in a spelling that contract §2 accepts."""

    shift_ms: int = 0
    spelling: Spelling = "millis"

    def written(self, event_ms: int) -> str | int:
        ms = event_ms + self.shift_ms
        match self.spelling:
            case "epoch":
                return ms
            case "seconds":
                return f"{_seconds(ms)}Z"
            case "micros":
                return f"{_seconds(ms)}.{ms % 1000:03d}417Z"
            case "nanos":
                return f"{_seconds(ms)}.{ms % 1000:03d}000999Z"
            case "east":
                return f"{_seconds(ms, minutes=120)}.{ms % 1000:03d}+02:00"
            case "west":
                return f"{_seconds(ms, minutes=-210)}.{ms % 1000:03d}-03:30"
            case "lower":
                return f"{_seconds(ms)}.{ms % 1000:03d}Z".lower()
            case "blank":
                return f"{_seconds(ms)}.{ms % 1000:03d}Z".replace("T", " ")
            case "millis":
                return f"{_seconds(ms)}.{ms % 1000:03d}Z"


def _seconds(ms: int, *, minutes: int = 0) -> str:
    """yyyy-MM-ddTHH:mm:ss in a zone that many minutes east of Greenwich."""
    moment = datetime.fromtimestamp(ms // 1000, tz=timezone(timedelta(minutes=minutes)))
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def milliseconds(text: str) -> int:
    """ms since the epoch, UTC, of an RFC 3339 time; ValueError where it is none or has no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@dataclass(slots=True)
class Draft:
    """One event: its key and body (bytes where the record is no event), and when it takes place in its story."""

    key: str
    offset_ms: int
    body: Json | bytes
    event_ms: int | None = None
    """Its time, ms since the epoch, from the first sending on: sent again it must be the same event."""


@dataclass(slots=True)
class Sending:
    """One record: a draft that arrives at an offset of its story, as it is or as a notification of a topic."""

    offset_ms: int
    draft: Draft
    topic: str | None = None

    def record(self, arrival_ms: int) -> tuple[str, bytes]:
        """Key and value of the record that arrives then."""
        draft = self.draft
        if isinstance(draft.body, bytes):
            return draft.key, draft.body
        if draft.event_ms is None:
            draft.event_ms = arrival_ms - self.offset_ms + draft.offset_ms
        event_ms = draft.event_ms
        body = draft.body if self.topic is None else notification(self.topic, draft.body)
        text = json.dumps(
            body, ensure_ascii=False, separators=(",", ":"), default=lambda moment: moment.written(event_ms)
        )
        return draft.key, text.encode()


def notification(topic: str, body: Json) -> Json:
    """The envelope that Genesys sends an event in."""
    # A body in a sessions topic may go without its session; one in four does, as its id has it.
    if topic.startswith("v2.journey.sessions.") and body["id"][-1] in "0123":
        body = {name: value for name, value in body.items() if name != "session"}
    correlation = body.get("correlationId")
    metadata = {} if correlation is None else {"metadata": {"CorrelationId": correlation}}
    return {"topicName": topic, "version": "2", "eventBody": body, **metadata}


@dataclass(slots=True)
class Story:
    """What one visitor does, over hours or days: records by the offset of their arrival from `start_ms`."""

    dice: Dice
    start_ms: int
    sendings: list[Sending] = field(default_factory=list)

    def tell(
        self, draft: Draft, *, topic: str | None = None, delay_ms: int | None = None, repeats: bool = True
    ) -> None:
        """Adds an event, which arrives after a delay (drawn unless given) and may come twice."""
        dice = self.dice
        arrival_ms = draft.offset_ms + (self._delay() if delay_ms is None else delay_ms)
        self.sendings.append(Sending(arrival_ms, draft, topic))
        if repeats and dice.chance(0.02):
            self.sendings.append(Sending(arrival_ms + dice.between(1, 120) * SECOND, draft, topic))

    def _delay(self) -> int:
        """Mostly the network's; one in twelve so long that the order suffers, one in forty late by minutes to hours."""
        dice = self.dice
        luck = dice.random()
        if luck < 0.025:
            return dice.skewed(5 * MINUTE, 3 * HOUR)
        if luck < 0.11:
            return dice.between(1, 20) * SECOND
        return dice.skewed(20, 400)
