"""Small sets of events that are likely to collide: few ids, few moments, many types. All events of one id are equal.

Left out, because two right readings may differ there: user agents, networks and search engines that need a list,
numbers with an exponent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import strategies as st

from tests.oracle.times import format_ms, parse_ms
from tests.oracle.visits import uuid_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = dict[str, Any]
Item = TypeVar("Item")

BASE = parse_ms("2025-06-12T09:00:00Z")
MINUTE = 60_000
# Around the idle, away and timeout boundaries, a ms to each side; all far within retention.
OFFSETS = (0, 1, 45_000, MINUTE, 15 * MINUTE, 30 * MINUTE, 30 * MINUTE + 1, 50 * MINUTE, 60 * MINUTE + 1, 95 * MINUTE)
END = BASE + 125 * MINUTE  # as-of: visits of the last moment stand exactly at their timeout, all others are past it.

moments = st.sampled_from(OFFSETS).map(lambda offset: BASE + offset)
few_moments = st.sampled_from([BASE, BASE + 1, BASE + 15 * MINUTE])
event_ids = st.sampled_from(["a", "b", "c", "d", "e", "é", "\U0001f600", "z"])
contacts = st.sampled_from([None, {"id": None}, {"id": "contact-1"}, {"id": "contact-2", "selfUri": "/given"}])
customers: st.SearchStrategy[Json] = st.sampled_from(
    [
        {},
        {"customerId": None, "customerIdType": "cookie"},
        {"customerId": "c-1", "customerIdType": "cookie"},
        {"customerId": "c-2", "customerIdType": ""},
        {"customerId": "p-1", "customerIdType": "email"},
    ]
)


def date_texts(ms: int) -> st.SearchStrategy[str]:
    """The same moment, written in several ways."""
    utc = format_ms(ms)
    east = format_ms(ms + 120 * MINUTE).replace("Z", "+02:00")
    return st.sampled_from([utc, east, utc.replace("Z", "9999Z"), utc.replace("T", " "), utc.lower()])


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """An object with any of the members, some of them null."""
    return st.fixed_dictionaries({}, optional={name: st.none() | member for name, member in members.items()})


def texts(*choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices)


scalars = st.sampled_from(["x", "y", "", 1, 30, 41.0, 15.99, True, False, None])
attribute = st.one_of(
    scalars,
    st.fixed_dictionaries({"value": scalars}, optional={"dataType": texts("STRING", "integer", "NUMBER")}),
)
attributes = st.dictionaries(texts("sku", "price", "order_no", "order_debug", "cart_item", "ä"), attribute, max_size=3)

CAMPAIGN_QUERIES = ("utm_source=mail&utm_campaign=June+Sale", "gclid=Xy1", "utm_source=mail&utm_medium=", "")
SEARCH_QUERIES = ("q=winter+boots", "term=%20tent%20&q=tarp", "search=", "")
addresses = st.builds(
    "https://{}{}?{}&{}{}".format,
    texts("shop.example.com", "www.shop.example.com:8443", "localhost", "WWW.Example.ORG"),
    texts("", "/", "/boots/17"),
    st.sampled_from(CAMPAIGN_QUERIES),
    st.sampled_from(SEARCH_QUERIES),
    texts("", "#size"),
)
page = st.builds(
    lambda url, rest: {"url": url, **rest},
    addresses,
    some(title=texts("Boots", "Tents"), lang=texts("en"), queryString=texts("q=given"), breadcrumb=st.just(["a", "b"])),
)
given_referrer = st.just(
    {"url": "https://news.example.net/top", "medium": "social", "name": "News", "keywords": "boots"}
)
campaign = some(source=texts("one", "two"), medium=texts("mail"), clickId=texts("k"))
browser = some(family=texts("Firefox", "Chrome"), version=texts("128"), viewHeight=st.just(876), isMobile=st.booleans())
device = some(category=texts("mobile", "desktop"), type=texts("iPhone"), screenDensity=st.just(3))
geolocation = some(country=texts("AU", "DE"), latitude=st.just(-37.8159))
where_from = {
    "device": device,
    "geolocation": geolocation,
    "ipAddress": texts("192.0.2.1", "192.0.2.2"),
    "ipOrganization": texts("Example Net"),
}
seen = {"mktCampaign": campaign, "searchQuery": texts(" laces ", "tent", " "), "attributes": attributes}


def named(names: st.SearchStrategy[str], **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.builds(lambda name, rest: {"eventName": name, **rest}, names, some(**members))


web_payload = named(
    texts("page_viewed", "product_added"),
    page=page,
    browser=browser,
    **where_from,
    **seen,
    referrer=given_referrer,
    referrerUrl=texts("https://shop.example.com/before?x=1#y"),
    authenticated=st.booleans(),
)
app_payload = named(texts("screen_viewed", "search_performed"), screenName=texts("Start"), **where_from, **seen)
custom_payload = named(
    texts("parcel_packed", "opened"),
    externalId=texts("P-1", "P-2", ""),
    externalUrl=texts("https://parcels.example.com/P-1"),
    attributes=attributes,
    authenticated=st.booleans(),
)
outcome_payload = st.builds(
    lambda outcome: {"outcome": outcome},
    st.sampled_from([{"id": "order"}, {"id": "cart", "selfUri": "/given"}, {"id": "order", "displayName": "Order"}]),
)
segment_payload = st.builds(
    lambda segment, rest: {"segment": {"id": segment}, **rest},
    texts("loyal", "buyers"),
    some(
        assignmentState=texts("Assigned", "Unassigned", "Unknown"),
        dateAssigned=texts(format_ms(BASE - 1), format_ms(BASE + 7)),
    ),
)
PAYLOADS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "WebEvent": ("webEvent", web_payload),
    "AppEvent": ("appEvent", app_payload),
    "CustomEvent": ("customEvent", custom_payload),
    "OutcomeAchievedEvent": ("outcomeAchievedEvent", outcome_payload),
    "SegmentAssignmentEvent": ("segmentAssignmentEvent", segment_payload),
    "WebActionEvent": ("webActionEvent", st.just({"action": {"id": "x"}})),
}
VISITOR_TYPES = ("WebEvent", "WebEvent", "AppEvent")
NAMED_TYPES = (*VISITOR_TYPES, "CustomEvent", *("OutcomeAchievedEvent", "SegmentAssignmentEvent", "WebActionEvent"))
NAMED_SESSIONS = ("web-1", "web-1", "app-1", "ticket-1", "conv-1")


@st.composite
def payload_members(draw: st.DrawFn, event_type: str) -> Json:
    member, payload = PAYLOADS[event_type]
    prefix = draw(texts("", "", "com.genesys.journey."))
    return {"eventType": prefix + event_type, member: draw(payload)}


@st.composite
def journey_event(draw: st.DrawFn) -> Json:
    """An event that names its session, plain or as a notification; annotations and SessionEnded too."""
    event_type = draw(st.sampled_from((*NAMED_TYPES, "SessionEnded", "Heartbeat")))
    about = draw(payload_members(event_type)) if event_type in PAYLOADS else {"eventType": event_type}
    session = {
        "id": draw(st.sampled_from(NAMED_SESSIONS)),
        "type": draw(st.sampled_from([None, "", "web", "app", "ticket"])),
    }
    event = {"id": draw(event_ids), "createdDate": draw(moments.flatmap(date_texts)), **about, **draw(customers)}
    event |= {"externalContact": draw(contacts), "correlationId": "x", "unknownMember": [1]}
    if draw(st.booleans()):
        return {**event, "session": session}
    topic = f"v2.journey.sessions.{session['id']}.web.events"
    return {"topicName": topic, "eventBody": {**event, "session": draw(st.sampled_from([None, {}, session]))}}


@st.composite
def bare_heartbeat(draw: st.DrawFn) -> Json:
    """Without id; it says nothing but that somebody was there, so that ties of two are no matter."""
    session = {"id": draw(st.sampled_from(NAMED_SESSIONS))}
    return {"eventType": "Heartbeat", "createdDate": draw(moments.flatmap(date_texts)), "session": session}


@st.composite
def external_event(draw: st.DrawFn) -> Json:
    """A custom event that is known by its type and external id."""
    payload = {**draw(custom_payload), "externalId": draw(texts("P-1", "P-2"))}
    session = {"type": draw(texts("delivery", "atm"))}
    event = {"id": draw(event_ids), "createdDate": draw(moments.flatmap(date_texts)), "session": session}
    return {**event, "eventType": "CustomEvent", "customEvent": payload, **draw(customers)}


conversation_members = some(
    direction=texts("INBOUND", "OUTBOUND", "SIDEWAYS"),
    mediaType=texts("MESSAGE", "VOICE", "INTERNALMESSAGE"),
    messageType=texts("WEBMESSAGING", "SMS"),
    provider=texts("Edge", "PureCloud Messaging"),
    subject=texts("", "Return of order 12", "Hello"),
    queueId=texts("queue-1", "queue-2", ""),
    userId=texts("user-ann", "user-bob", ""),
    answeredUserId=texts("user-ann", "user-cyd"),
    acdOutcome=texts("ANSWERED", "ABANDON", "FLOW_OUT"),
    disconnectType=texts("CLIENT", "INACTIVITY", "DND_TRANSFER", "NO_ANSWER_TRANSFER"),
    interactingDurationMs=st.sampled_from([0, 1, 110_000]),
    wrapupNotes=texts("label sent"),
    externalContactId=texts("contact-3", ""),
    conversationExternalContactIds=st.sampled_from([[], ["contact-4"], ["contact-4", "contact-5"]]),
)
journey_contexts: st.SearchStrategy[Json] = st.sampled_from(
    [
        {},
        {"journeyContext": {"sessionId": "web-1", "sessionIdType": "web"}},
        {"journeyContext": {"sessionId": "web-1", "customerSession": {"id": "app-1", "type": "app"}}},
        {"journeyContext": {"customer": {"id": "c", "idType": "cookie"}, "customerSession": None, "sessionId": ""}},
    ]
)
TAILS = (
    *("customer.start", "customer.end", "acd.end", "user.start", "user.end", "contact"),
    *("wrapup", "acw", "acw") * 2,
)


@st.composite
def conversation_event(draw: st.DrawFn) -> Json:
    tail = draw(st.sampled_from(TAILS))
    body = {"eventTime": draw(few_moments), "participantId": draw(texts("p-1", "p-2")), **draw(conversation_members)}
    if tail in ("wrapup", "acw"):
        body["wrapupCode"] = draw(texts("solved", "transferred"))
    body |= draw(journey_contexts)
    return {"topicName": f"v2.detail.events.conversation.{draw(texts('conv-1', 'conv-2'))}.{tail}", "eventBody": body}


VISITORS = (
    {"customerId": "c-1", "customerIdType": "cookie"},
    {"customerId": "c-1", "customerIdType": "cookie"},
    {"customerId": "c-1", "customerIdType": "email"},
)


@st.composite
def raw_event(draw: st.DrawFn) -> Json:
    """A web or app event, or a heartbeat, that names no session."""
    event = {"createdDate": draw(moments.flatmap(date_texts)), **draw(st.sampled_from(VISITORS))}
    if draw(st.integers(0, 3)) == 0:
        session = draw(st.sampled_from([{}, {"session": {"type": "web"}}, {"session": {"type": "app"}}]))
        return {**event, "eventType": "Heartbeat", **session, **draw(st.sampled_from([{}, {"id": "h"}]))}
    session = draw(st.sampled_from([{}, {}, {"session": {"type": "ticket"}}]))
    return {"id": draw(event_ids), **event, **session, **draw(payload_members(draw(st.sampled_from(VISITOR_TYPES))))}


def identity(event: Json) -> str:
    """What makes two events one; events of equal identity have equal content within a set."""
    topic, body = event.get("topicName", ""), event.get("eventBody", event)
    if ".conversation." in topic:
        return json.dumps([topic, body["eventTime"], body["participantId"]])
    session = body.get("session") or {}
    session_id = session.get("id") or (topic.split(".")[3] if topic else None)
    if "id" not in body:
        return json.dumps(event)
    if session_id is not None:
        return json.dumps([session_id, body["id"]])
    external_id = body.get("customEvent", {}).get("externalId")
    visitor_type = "app" if "appEvent" in body or session.get("type") == "app" else "web"
    whose = external_id or [body["customerId"], body["customerIdType"]]
    return json.dumps([session.get("type") if external_id else visitor_type, whose, body["id"]])


def named_events(max_size: int = 14) -> st.SearchStrategy[list[Json]]:
    """Distinct events whose sessions follow from themselves: law 1 holds for them without exception."""
    mixed = st.one_of(journey_event(), journey_event(), conversation_event(), external_event(), bare_heartbeat())
    talk = st.one_of(conversation_event(), conversation_event(), conversation_event(), journey_event())
    return st.one_of(*(st.lists(kind, min_size=1, max_size=max_size, unique_by=identity) for kind in (mixed, talk)))


def raw_events(max_size: int = 12) -> st.SearchStrategy[list[Json]]:
    """Distinct events that must be sessionized: ids and campaign splits follow log order, all else does not."""
    return st.lists(raw_event(), min_size=1, max_size=max_size, unique_by=identity)


@st.composite
def told_again(draw: st.DrawFn, items: Sequence[Item]) -> list[Item]:
    """The same items in another order, some more than once."""
    repeated = draw(st.lists(st.sampled_from(items), max_size=len(items)))
    return draw(st.permutations([*items, *repeated]))


@st.composite
def cut(draw: st.DrawFn, items: Sequence[Item]) -> list[list[Item]]:
    """The same items in the same order, cut into batches, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(items)), max_size=5)))
    return [list(items[start:end]) for start, end in zip([0, *cuts], [*cuts, len(items)], strict=True)]


def lines_of(events: Sequence[Json]) -> list[bytes]:
    return [json.dumps(event, ensure_ascii=False).encode() for event in events]


def without_ids(sessions: Sequence[Json]) -> list[Json]:
    """Sessions without what follows log order even where campaigns do not split (contract §8.1), in a fixed order."""
    bare = [
        {name: value for name, value in session.items() if name not in ("id", "selfUri", "shortId")}
        for session in sessions
    ]
    return sorted(bare, key=lambda session: json.dumps(session, sort_keys=True))


@st.composite
def visits_with_mentions(draw: st.DrawFn) -> list[Json]:
    """Raw events, and events that name by its id a visit which one of them may open; in any order."""
    raw = draw(raw_events(max_size=8))
    mentions = draw(st.lists(mention(raw), max_size=5, unique_by=identity))
    return draw(st.permutations([*raw, *mentions]))


@st.composite
def mention(draw: st.DrawFn, raw: list[Json]) -> Json:
    opener = draw(st.sampled_from(raw))
    session_type = (opener.get("session") or {}).get("type")
    kind = "app" if "appEvent" in opener or ("eventType" in opener and session_type == "app") else "web"
    if "webEvent" in opener:
        kind = "web"
    opened_by = opener.get("id") or f"heartbeat:{parse_ms(opener['createdDate'])}"
    visit = uuid_of(opener["customerIdType"], opener["customerId"], kind, opened_by)
    event = {**draw(journey_event()), "session": {"id": visit}}
    body = event.pop("eventBody", event)
    body["session"] = {"id": visit}
    body["id"] = "m" + body["id"]
    return {name: value for name, value in body.items() if name != "topicName"}
