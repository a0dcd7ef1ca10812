"""Example messages: one journey told by an event of each type, and what comes out of it, worked out by the fold."""

from collections import Counter
from typing import Any

import msgspec

from projector.decode import Rejected, decode
from projector.enrich.event import enrich
from projector.events import Event
from projector.evolve import evolve, link_talk
from projector.route import route, session_of
from projector.rules import Rules
from projector.session import Session, new_session
from projector.snapshot import CE_SOURCE, CE_TYPE_TOMBSTONE, headers_of, snapshot_of, told_of

Message = dict[str, Any]

WEB, APP, CONVERSATION = "fcd6cfca-6d35-47a6-bf8f-cada62065e7b", "2b8e7b52-app", "5d0f4e6a-conversation"
CUSTOMER: Message = {"customerId": "626556e8-5f18-46f6-9462-6d294c378767", "customerIdType": "cookie"}
SHORT_ID = "204817"
DEVICE: Message = {"category": "desktop", "type": "Other", "isMobile": False, "osFamily": "Linux", "osVersion": "6.1"}
ACTION: Message = {
    "action": {"id": "offer-1", "state": "accepted", "mediaType": "webMessagingOffer"},
    "actionMap": {"id": "help-in-cart", "version": 4, "displayName": "Help in the cart"},
}


def messages() -> dict[str, Message]:
    """Name to message: each is valid by the schema of its name; `session-snapshot-…` by `session-snapshot`."""
    told = events()
    sessions = _sessions(told)
    by_kind = {"": WEB, "-app": APP, "-delivery": _delivery(told["custom-event"]), "-conversation": CONVERSATION}
    shown = {f"session-snapshot{kind}": _json(snapshot_of(sessions[one], Rules())) for kind, one in by_kind.items()}
    headers = {name: value.decode() for name, value in headers_of(WEB, 2 * len(told), told_of(sessions[WEB], Rules()))}
    return {**told, **shown, "snapshot-headers": headers, "tombstone-headers": _tombstone_headers(), **_rejected()}


def events() -> dict[str, Message]:
    """Name of the schema to an event, in the order in which they happened."""
    return {
        "web-event": _event("w-1", "WebEvent", "08:00:05.120", webEvent=_page_viewed()),
        "app-event": {
            **_event("a-1", "AppEvent", "08:00:30", appEvent=_screen_viewed()),
            "session": _session(APP, "app"),
        },
        "custom-event": {
            **_event("c-1", "CustomEvent", "08:01:00", customEvent=_parcel_packed()),
            "session": {"type": "delivery"},
        },
        "heartbeat": _event("h-1", "Heartbeat", "08:01:35"),
        "segment-assignment-event": _event(
            *("s-1", "SegmentAssignmentEvent", "08:01:40"),
            segmentAssignmentEvent={"segment": {"id": "winter"}, "assignmentState": "Assigned"},
        ),
        "web-action-event": _event("o-1", "WebActionEvent", "08:01:45", webActionEvent=ACTION),
        "blocked-web-action-offer-event": _event(
            *("o-2", "BlockedWebActionOfferEvent", "08:01:50"),
            blockedWebActionOfferEvent={**ACTION, "blockingReason": "AlreadyExistingOffer"},
        ),
        "conversation-event": _notified(
            f"v2.detail.events.conversation.{CONVERSATION}.customer.start", _conversation_started()
        ),
        "notification": _notified(
            f"v2.journey.sessions.{WEB}.web.events", _event("w-2", "WebEvent", "08:03:10+00:00", webEvent=_ordered())
        ),
        "outcome-achieved-event": _event(
            *("g-1", "OutcomeAchievedEvent", "08:03:11"),
            outcomeAchievedEvent={"outcome": {"id": "order-placed", "displayName": "Order placed", "version": 3}},
        ),
        "outcome-attribution-event": _event(
            *("g-2", "OutcomeAttributionEvent", "08:03:12"),
            outcomeAttributionEventMessage={"outcome": {"id": "order-placed"}},
        ),
        "session-ended": _event("e-1", "SessionEnded", "08:04:00"),
    }


# What the events are made of.


def _event(event_id: str, event_type: str, at: str, **payload: Message) -> Message:
    created = f"2025-06-10T{at}" if "+" in at else f"2025-06-10T{at}Z"
    envelope = {"id": event_id, "eventType": event_type, "createdDate": created, "session": _session(WEB, "web")}
    return {**envelope, **CUSTOMER, **payload}


def _session(session_id: str, session_type: str) -> Message:
    return {"id": session_id, "type": session_type}


def _notified(topic: str, body: Message) -> Message:
    return {"topicName": topic, "eventBody": body}


def _page_viewed() -> Message:
    return {
        "eventName": "page_viewed",
        "page": {
            "url": "https://shop.example.com/boots?q=winter+boots&utm_source=mail&utm_campaign=June",
            "title": "Boots",
        },
        "browser": {"family": "Firefox", "version": "128", "lang": "en-GB"},
        "device": DEVICE,
        "geolocation": {"country": "AU", "countryName": "Australia", "latitude": -37.8159, "longitude": 144.9669},
        "ipAddress": "192.0.2.44",
        "ipOrganization": "Example Net",
        "referrerUrl": "https://shop.example.com/",
        "attributes": {"season": "winter", "shown": 24, "sale": True},
    }


def _ordered() -> Message:
    return {
        "eventName": "order_completed",
        "page": {"url": "https://shop.example.com/thanks", "title": "Thank you"},
        "attributes": {"price": {"dataType": "NUMBER", "value": "89.9"}, "shown": None},
        "authenticated": True,
    }


def _screen_viewed() -> Message:
    app = {"name": "Shop", "namespace": "com.example.shop", "version": "5.2.0", "buildNumber": "5200"}
    device = {"category": "mobile", "type": "iPhone", "isMobile": True, "osFamily": "iOS", "osVersion": "17.5"}
    return {"eventName": "screen_viewed", "screenName": "Start", "app": app, "device": device, "searchQuery": "laces"}


def _parcel_packed() -> Message:
    parcel = {"externalId": "P-1001", "externalUrl": "https://parcels.example.com/P-1001"}
    return {"eventName": "parcel_packed", **parcel, "attributes": {"weight": 1.5}}


def _conversation_started() -> Message:
    return {
        "eventTime": 1749542520000,
        "conversationId": CONVERSATION,
        "participantId": "p-1",
        "sessionId": "m-1",
        "mediaType": "MESSAGE",
        "messageType": "WEBMESSAGING",
        "provider": "PureCloud Messaging",
        "direction": "INBOUND",
        "subject": "Which size?",
        "externalContactId": "contact-9",
        "journeyContext": {"customer": {"id": CUSTOMER["customerId"], "idType": "cookie"}, "sessionId": WEB},
    }


# What comes out.


def _sessions(told: dict[str, Message]) -> dict[str, Session]:
    """By id, as they are when all of it is folded."""
    rules, sessions = Rules(), dict[str, Session]()
    for message in told.values():
        event = _decoded(message)
        enrich(event, rules, None)
        session_id = _routed(event)
        evolve(sessions.setdefault(session_id, new_session(session_id)), event, rules, Counter())
    link_talk(sessions[WEB], CONVERSATION, sessions[CONVERSATION].talks[CONVERSATION], {}, rules)
    sessions[WEB].short_id = SHORT_ID  # Claimed from the store, not folded.
    return sessions


def _decoded(message: Message) -> Event:
    event = decode(msgspec.json.encode(message))
    assert isinstance(event, Event), event
    return event


def _routed(event: Event) -> str:
    key = route(event)
    assert isinstance(key, str), key
    return session_of(key)


def _delivery(message: Message) -> str:
    return _routed(_decoded(message))


def _json(snapshot: bytes) -> Message:
    return msgspec.json.decode(snapshot, type=Message)


def _tombstone_headers() -> Message:
    revision = "34"
    return {
        "projector.revision": revision,
        "projector.merged-into": WEB,
        "ce_id": f"9c1d33c0-visit/{revision}",
        "ce_source": CE_SOURCE.decode(),
        "ce_type": CE_TYPE_TOMBSTONE.decode(),
        "ce_specversion": "1.0",
    }


def _rejected() -> dict[str, Message]:
    """An event whose page has no address, as the rejects topic and `replay --rejects` have it."""
    payload = {"eventName": "page_viewed", "page": {"title": "No address"}}
    value = msgspec.json.encode(_event("w-3", "WebEvent", "08:03:20", webEvent=payload))
    rejected = decode(value)
    assert isinstance(rejected, Rejected)
    origin = {"topic": "journey-events", "partition": 3, "offset": 1041, "timestamp": 1749542600250}
    about = {"reason": rejected.reason.value, "detail": rejected.detail, **origin}
    return {
        "reject": {**about, "key": WEB, "value": value.decode()},
        "reject-headers": {f"projector.reject.{name}": str(fact) for name, fact in about.items()},
    }
