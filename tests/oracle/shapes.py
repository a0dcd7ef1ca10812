"""Which members are read, and of which JSON type each must be (journey-domain §1, §2); tables in the order of output.

A shape is a name of a plain type, a dict of member to shape, or a list of one shape.
"""

from __future__ import annotations

from typing import Any

from tests.oracle.times import parse_ms

REFERENCE = {"id": "id", "selfUri": "text"}
BROWSER = {
    **dict.fromkeys(("family", "version", "lang", "fingerprint"), "text"),
    "isMobile": "bool",
    "viewHeight": "int",
    "viewWidth": "int",
    **dict.fromkeys(("featuresFlash", "featuresJava", "featuresPdf", "featuresWebrtc"), "bool"),
}
DEVICE = {
    "category": "text",
    "type": "text",
    "isMobile": "bool",
    "screenHeight": "int",
    "screenWidth": "int",
    **dict.fromkeys(("fingerprint", "osFamily", "osVersion"), "text"),
    "screenDensity": "int",
    "manufacturer": "text",
}
GEOLOCATION = {
    **dict.fromkeys(("country", "countryName"), "text"),
    **dict.fromkeys(("latitude", "longitude"), "number"),
    **dict.fromkeys(("locality", "postalCode", "region", "regionName", "source", "timezone"), "text"),
}
PAGE = {
    **dict.fromkeys(
        ("url", "title", "domain", "fragment", "hostname", "keywords", "lang", "pathname", "queryString"), "text"
    ),
    "breadcrumb": ["text"],
}
CAMPAIGN = dict.fromkeys(("content", "medium", "name", "source", "term", "clickId", "network"), "text")
REFERRER = dict.fromkeys(
    ("url", "domain", "hostname", "keywords", "pathname", "queryString", "fragment", "name", "medium"), "text"
)
WHERE_FROM = {"device": DEVICE, "geolocation": GEOLOCATION, "ipAddress": "text", "ipOrganization": "text"}
TOLD = {"attributes": "attributes", "traits": "attributes"}
SEEN = {"mktCampaign": CAMPAIGN, "referrer": REFERRER, "referrerUrl": "text", "searchQuery": "term", **TOLD}

PAYLOADS: dict[str, dict[str, Any]] = {
    "WebEvent": {
        "eventName": "text",
        "page": PAGE,
        "userAgentString": "text",
        "browser": BROWSER,
        **WHERE_FROM,
        **SEEN,
        "authenticated": "bool",
    },
    "AppEvent": {"eventName": "text", "screenName": "text", **WHERE_FROM, **SEEN},
    "CustomEvent": {"eventName": "text", "externalId": "id", "externalUrl": "text", **TOLD, "authenticated": "bool"},
    "OutcomeAchievedEvent": {"outcome": REFERENCE},
    "SegmentAssignmentEvent": {"segment": REFERENCE, "assignmentState": "text", "dateAssigned": "date"},
    "WebActionEvent": {},
    "BlockedWebActionOfferEvent": {},
    "OutcomeAttributionEvent": {},
}
ENVELOPE: dict[str, Any] = {
    "id": "id",
    "eventType": "text",
    "createdDate": "date",
    "session": {"id": "id", "selfUri": "text", "type": "id"},
    "correlationId": "id",
    "customerId": "id",
    "customerIdType": "id",
    "externalContact": REFERENCE,
}
CONVERSATION: dict[str, Any] = {
    "eventTime": "int",
    **dict.fromkeys(("participantId", "sessionId", "externalContactId", "queueId", "userId", "answeredUserId"), "id"),
    **dict.fromkeys(("mediaType", "messageType", "provider", "direction", "acdOutcome", "disconnectType"), "text"),
    **dict.fromkeys(("wrapupCode", "wrapupNotes"), "text"),
    "subject": "id",
    "conversationExternalContactIds": ["id"],
    "interactingDurationMs": "int",
    "journeyContext": {"sessionId": "id", "customerSession": {"id": "id"}},
}
CONVERSATION_TAILS = (
    *("customer.start", "customer.end", "acd.start", "acd.end", "user.start", "user.end", "wrapup", "acw", "contact"),
    *("attributes", "flow.start", "flow.end", "flow.outcome", "outbound", "voicemail.start", "voicemail.end"),
)


class NotAnEventError(Exception):
    """A member that is missing or of the wrong type."""


def conform(shape: Any, value: Any) -> Any:
    """The value with only its known members that carry something, in the order of the shape; None: it carries nothing.

    Raises NotAnEventError. null is absent everywhere, `""` in ids too, a blank searchQuery too (contract §2).
    """
    if value is None:
        return None
    if isinstance(shape, dict):
        return conform_object(shape, value)
    if isinstance(shape, list):
        return conform_list(shape[0], value)
    return conform_plain(shape, value)


def conform_object(shape: dict[str, Any], value: Any) -> dict[str, Any] | None:
    require(isinstance(value, dict))
    members = {name: conform(inner, value.get(name)) for name, inner in shape.items()}
    return {name: member for name, member in members.items() if member is not None} or None


def conform_list(shape: Any, value: Any) -> list[Any] | None:
    require(isinstance(value, list))
    members = [conform(shape, member) for member in value]
    return [member for member in members if member is not None] or None


def conform_plain(shape: str, value: Any) -> Any:
    if shape == "attributes":
        return conform_attributes(value)
    if shape in ("int", "number", "bool"):
        kinds: dict[str, tuple[type, ...]] = {"int": (int,), "number": (int, float), "bool": (bool,)}
        require(isinstance(value, kinds[shape]) and isinstance(value, bool) == (shape == "bool"))
        return value
    require(isinstance(value, str))
    if shape == "date":
        return moment_of(value)
    absent = (shape == "id" and value == "") or (shape == "term" and not value.strip())
    return None if absent else value


def conform_attributes(value: Any) -> dict[str, dict[str, str]] | None:
    require(isinstance(value, dict))
    members = {name: conform_attribute(member) for name, member in value.items()}
    return {name: member for name, member in members.items() if member is not None} or None


def conform_attribute(value: Any) -> dict[str, str] | None:
    """{dataType, value}, both strings (contract §2); one without a value carries nothing."""
    given = None
    if isinstance(value, dict):
        given, value = conform("text", value.get("dataType")), value.get("value")
    if value is None:
        return None
    if isinstance(value, bool):
        return {"dataType": given or "BOOLEAN", "value": "true" if value else "false"}
    require(isinstance(value, (str, int, float)))
    if isinstance(value, str):
        return {"dataType": given or "STRING", "value": value}
    return {"dataType": given or "NUMBER", "value": repr(value)}


def moment_of(text: str) -> int:
    try:
        return parse_ms(text)
    except (ValueError, OverflowError) as exc:
        raise NotAnEventError(text) from exc


def require(holds: bool) -> None:
    if not holds:
        raise NotAnEventError
