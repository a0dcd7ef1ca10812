"""Records that cannot be folded, each reason of contract §2 once, and tombstones. Law: none makes a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.journeys.draft import DAY, MINUTE, Draft, Json, Moment

if TYPE_CHECKING:
    from tests.journeys.draft import Story

FLAWED_KEY = "flawed"
TOMBSTONES = 3
"""Two blank lines and the channel's own sign of life."""


def tell_flaws(story: Story) -> None:
    """Spreads them over the first hour and a half of a story."""
    for step, (_, body) in enumerate(_flawed(story)):
        story.tell(Draft(FLAWED_KEY, (10 + 12 * step) * MINUTE, body), delay_ms=0, repeats=False)
    for step in (1, 4):
        story.tell(Draft(FLAWED_KEY, (5 + 12 * step) * MINUTE, b""), delay_ms=0, repeats=False)
    sign: Json = {"message": "WebSocket Heartbeat"}
    story.tell(Draft(FLAWED_KEY, 7 * MINUTE, sign), topic="channel.metadata", delay_ms=0, repeats=False)
    # A month ago nobody's session is held. It comes with the key of the first record, to a clock that has moved since.
    late = _event(story, session={"id": story.dice.uuid(), "type": "web"})
    story.tell(Draft(story.sendings[0].draft.key, 80 * MINUTE - 30 * DAY, late), delay_ms=30 * DAY, repeats=False)


def _flawed(story: Story) -> tuple[tuple[str, Json | bytes], ...]:
    """Reason and record, but for `too-late`, which is a matter of when it comes."""
    session = {"id": story.dice.uuid(), "type": "web"}
    many = {f"name_{number}": number for number in range(201)}
    return (
        ("not-json", b'{"id":"cut-off","eventType":"WebEvent","createdDate":"2025-06-0'),
        (
            "not-an-event",
            _event(story, session=session, webEvent={"eventName": "page_viewed", "page": {"title": "No address"}}),
        ),
        ("unknown-type", _event(story, session=session, eventType="PageEvent")),
        ("no-identity", _event(story)),
        ("too-large", _event(story, session=session, webEvent={"eventName": "form_submitted", "attributes": many})),
    )


def _event(story: Story, **members: object) -> Json:
    event: Json = {"id": story.dice.uuid(), "eventType": "WebEvent", "createdDate": Moment()}
    return {**event, "webEvent": {"eventName": "page_viewed"}, **members}
