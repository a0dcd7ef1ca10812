"""What is said about a visit without being activity: outcomes, segments, offers, its end (journey-domain §2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.journeys.draft import DAY, MINUTE, SECOND, Json, Moment
from tests.journeys.envelope import say
from tests.journeys.world import ACTION_MAPS, QUEUES, SEGMENTS

if TYPE_CHECKING:
    from tests.journeys.visits import Visit


def achieve_outcome(visit: Visit, outcome: str, *, value: float | None = None) -> None:
    """An outcome a moment after the event that achieved it, in the REST or in the notification form."""
    dice = visit.story.dice
    as_notification = value is not None
    about: Json = {"id": outcome, "displayName": outcome.removeprefix("outcome-").replace("-", " ").capitalize()}
    about["version"] = "3" if as_notification else 3  # A string there, a number here (journey-domain §2.5).
    if dice.chance(0.3):
        about["selfUri"] = f"/api/v2/journey/outcomes/{outcome}"
    at_ms = visit.at_ms + dice.between(40, 900)
    payload = {"outcome": about, **_surroundings(visit, at_ms)}
    if value is not None:
        payload["associatedValue"] = {"dataType": "Number", "value": value}
    say(visit.story, visit.journey, at_ms, "OutcomeAchievedEvent", payload, as_notification=as_notification)


def assign_segment(visit: Visit, segment: str) -> None:
    """A segment in the REST form, which has neither state nor date, or in the notification's."""
    dice = visit.story.dice
    if dice.chance(0.4):
        payload: Json = {"segment": {"id": segment, "selfUri": f"/api/v2/journey/segments/{segment}"}}
        _say_later(visit, "SegmentAssignmentEvent", payload, as_notification=False)
        return
    payload = {"segment": {"id": segment}, "assignmentState": "Assigned"}
    payload["dateAssigned"] = Moment(-dice.between(0, 30) * SECOND)
    payload["dateForUnassignment"] = Moment(30 * DAY)
    _say_later(visit, "SegmentAssignmentEvent", payload, as_notification=True)


def unassign_segment(visit: Visit, segment: str) -> None:
    payload = {"segment": {"id": segment}, "assignmentState": "Unassigned", "dateAssigned": Moment()}
    _say_later(visit, "SegmentAssignmentEvent", payload, as_notification=visit.story.dice.chance(0.5))


def offer_chat(visit: Visit, *, accepted: bool) -> str:
    """An offer of a chat from its qualification to its end; returns the action's id."""
    dice = visit.story.dice
    action_id = dice.uuid()
    for state in ("qualified", "offered", "accepted" if accepted else dice.pick(("rejected", "ignored", "timedout"))):
        visit.at_ms += dice.between(2, 9) * SECOND
        payload: Json = {
            "action": {
                "id": action_id,
                "state": state,
                "mediaType": "webMessagingOffer",
                "prompt": "May we help?",
                "createdDate": Moment(-dice.between(0, 2) * SECOND),
            },
            "actionMap": {"id": ACTION_MAPS[0], "version": 7, "displayName": "Offer a chat"},
            "actionTarget": {"id": QUEUES[0]},
            **_surroundings(visit, visit.at_ms),
        }
        if state in {"rejected", "ignored", "timedout"}:
            payload["timeToDisposition"] = dice.between(800, 9_000)
        say(visit.story, visit.journey, visit.at_ms, "WebActionEvent", payload)
    return action_id


def block_offer(visit: Visit) -> None:
    dice = visit.story.dice
    payload: Json = {
        "action": {"id": dice.uuid(), "mediaType": "contentOffer"},
        "actionMap": {"id": ACTION_MAPS[1], "version": "2"},
        "actionTarget": {"id": QUEUES[1]},
        "blockingReason": dice.pick(("FrequencyCapping", "NoAvailableAgents", "AlreadyExistingOffer")),
        "blockingActionMap": {"id": ACTION_MAPS[0]},
        "blockingFrequencyCapBehaviour": "CapForPeriod",
    }
    _say_later(visit, "BlockedWebActionOfferEvent", payload, as_notification=dice.chance(0.7))


def attribute_outcome(visit: Visit, outcome: str) -> None:
    dice = visit.story.dice
    touchpoint: Json = {"id": dice.uuid(), "channels": [{"type": "ContentOffer"}], "createdDate": Moment(-5 * MINUTE)}
    touchpoint["actionMap"] = {"id": ACTION_MAPS[1]}
    payload: Json = {
        "outcome": {"id": outcome},
        "outcomeTouchpoints": [touchpoint],
        "segmentAssignments": [{"id": SEGMENTS[1], "assignedDate": Moment(-DAY)}],
        "associatedValue": {"dataType": "Integer", "value": dice.between(10, 300)},
    }
    _say_later(visit, "OutcomeAttributionEvent", payload, as_notification=dice.chance(0.7))


def end_session(visit: Visit) -> None:
    """The visitor leaves, a moment after the last activity."""
    dice = visit.story.dice
    say(visit.story, visit.journey, visit.at_ms + dice.between(1, 20) * SECOND, "SessionEnded", None)


def _say_later(visit: Visit, event_type: str, payload: Json, *, as_notification: bool) -> None:
    at_ms = visit.at_ms + visit.story.dice.between(100, 3_000)
    say(visit.story, visit.journey, at_ms, event_type, payload, as_notification=as_notification)


def _surroundings(visit: Visit, at_ms: int) -> Json:
    """The visitor as an annotation describes them; none of it may reach the session (contract §5)."""
    visitor, origin = visit.visitor, visit.origin
    around: Json = {
        "userAgentString": visitor.machine.user_agent,
        "browser": visitor.machine.browser(visitor.place.lang),
        "device": visitor.machine.device(),
        "geolocation": visitor.place.geolocation(),
        "ipAddress": visitor.ip_address,
        "ipOrganization": visitor.place.organization,
        "visitCreatedDate": Moment(visit.began_ms - at_ms),
    }
    if origin.campaign is not None:
        around["mktCampaign"] = origin.campaign
    return around if origin.referrer is None else {**around, "visitReferrer": origin.referrer}
