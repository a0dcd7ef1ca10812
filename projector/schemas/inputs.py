"""Schemas of what we read: a record is valid here if and only if `decode` makes an event of it (contract §2).

Not said here, because it needs more than the JSON: whose the event is (`no-identity`), limits in bytes (`too-large`),
lateness, days that no calendar has, numbers written with a point where whole ones are asked for, and members of a
payload that `eventType` does not name.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from projector import events, strict
from projector.dates import GREATEST, LEAST
from projector.decode import CONVERSATION_TAILS
from projector.schemas.model import Schema, definitions, described, ref, text, with_definitions
from projector.schemas.words import ENVELOPE_WORDS, EVENT_WORDS, PAYLOAD_WORDS

PREFIX = "com.genesys.journey."

TIME = text(
    "RFC 3339 with an offset, any number of fraction digits; `t`, `z` and a blank for `T` are taken too.",
    pattern=(
        r"^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
        r"(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
    ),
    examples=["2025-06-10T08:00:05.120Z", "2025-06-10T10:00:05+02:00"],
)
SOME_TEXT = text(minLength=1)


class EventType(Struct, frozen=True):
    """One value of `eventType`: the payload it names and what `decode` requires of that."""

    payload: type
    members: tuple[str, ...] = ()
    """Names that the payload may go by; none: there is no payload."""
    needs: Callable[[Schema], Schema] = dict
    id_required: bool = True


def _needs_event_name(payload: Schema) -> Schema:
    return _required(payload, eventName=text())


def _needs_outcome(payload: Schema) -> Schema:
    return _required(payload, outcome=_with_id("Outcome"))


def _needs_segment(payload: Schema) -> Schema:
    needed = _required(payload, segment=_with_id("Reference"))
    needed["properties"]["dateAssigned"] = {"anyOf": [ref("Time"), {"type": "null"}]}
    return needed


EVENT_TYPES: dict[str, EventType] = {
    "WebEvent": EventType(strict.WebEvent, ("webEvent",), _needs_event_name),
    "AppEvent": EventType(strict.AppEvent, ("appEvent",), _needs_event_name),
    "CustomEvent": EventType(events.CustomEvent, ("customEvent",), _needs_event_name),
    "Heartbeat": EventType(events.Heartbeat, id_required=False),
    "SessionEnded": EventType(events.SessionEnded),
    "OutcomeAchievedEvent": EventType(events.OutcomeAchievedEvent, ("outcomeAchievedEvent",), _needs_outcome),
    "SegmentAssignmentEvent": EventType(events.SegmentAssignmentEvent, ("segmentAssignmentEvent",), _needs_segment),
    "WebActionEvent": EventType(events.WebActionEvent, ("webActionEvent",)),
    "BlockedWebActionOfferEvent": EventType(events.BlockedWebActionOfferEvent, ("blockedWebActionOfferEvent",)),
    "OutcomeAttributionEvent": EventType(
        events.OutcomeAttributionEvent, ("outcomeAttributionEventMessage", "outcomeAttributionEvent")
    ),
}


def kebab(name: str) -> str:
    """`WebEvent` to `web-event`, as files are named."""
    return "".join("-" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("-")


def schemas() -> dict[str, Schema]:
    """Name to schema: one an event type, the two kinds of notification, and any record of the input."""
    known = _definitions()
    names = [*map(kebab, EVENT_TYPES), "conversation-event", "notification", "journey-event"]
    return {name: with_definitions(known[name], known) for name in names}


def _definitions() -> dict[str, Schema]:
    known = definitions(strict.JourneyEvent, events.ConversationEvent)
    envelope = described(known.pop("JourneyEvent"), ENVELOPE_WORDS)
    known["Time"] = TIME
    known["Page"] = _known_by_address(known["Page"])
    known["ConversationEvent"] = _conversation(known["ConversationEvent"])
    for name, kind in EVENT_TYPES.items():
        if kind.members:
            payload = described(known[name], PAYLOAD_WORDS.get(name, {}))
            known[name] = kind.needs(payload)
        known[kebab(name)] = _record(name, kind, envelope)
    known["any-event"] = {
        "description": "A journey event of any type, told by its `eventType`.",
        "oneOf": [ref(kebab(name)) for name in EVENT_TYPES],
    }
    known["conversation-event"] = _conversation_record()
    known["notification"] = _notification()
    known["journey-event"] = _any_record()
    return known


def _record(name: str, kind: EventType, envelope: Schema) -> Schema:
    """The envelope with the one payload that the type names."""
    whose = ("session", "customerId", "customerIdType", "correlationId", "externalContact")
    words = ENVELOPE_WORDS["id"] + ("" if kind.id_required else " A heartbeat may do without: it is never a duplicate.")
    properties = {
        "id": {**(SOME_TEXT if kind.id_required else {"type": ["string", "null"]}), "description": words},
        "eventType": {"enum": [name, PREFIX + name], "description": ENVELOPE_WORDS["eventType"]},
        "createdDate": {**ref("Time"), "description": ENVELOPE_WORDS["createdDate"]},
        **{member: envelope["properties"][member] for member in whose},
        **{member: ref(name) for member in kind.members},
    }
    required = ["id", "eventType", "createdDate", *kind.members][0 if kind.id_required else 1 :]
    record: Schema = {
        "title": name,
        "description": kind.payload.__doc__ or EVENT_WORDS[name],
        "type": "object",
        "required": required,
    }
    if len(kind.members) > 1:  # The notification's name of the member goes before the other.
        record["required"] = required[: -len(kind.members)]
        properties |= {member: {"anyOf": [ref(name), {"type": "null"}]} for member in kind.members}
        record["anyOf"] = [_present(member) for member in kind.members]
    return {**record, "properties": properties}


def _conversation_record() -> Schema:
    tails = "|".join(sorted(CONVERSATION_TAILS)).replace(".", r"\.")
    return {
        "title": "ConversationEvent",
        "description": "A notification about a conversation: its topic says which and what happened.",
        "type": "object",
        "required": ["topicName", "eventBody"],
        "properties": {
            "topicName": text(
                "`v2.detail.events.conversation.{conversation id}.{what}`; `{what}` becomes the name of the event.",
                pattern=rf"^v2\.detail\.events\.conversation\..*\.({tails})$",
            ),
            "eventBody": ref("ConversationEvent"),
        },
    }


def _conversation(body: Schema) -> Schema:
    """`eventTime` is a number with nothing behind the point, so 1749819600000.0 is one too."""
    time = {"type": "integer", "minimum": LEAST, "maximum": GREATEST}
    return described(_required(body, eventTime=time), PAYLOAD_WORDS["ConversationEvent"])


def _notification() -> Schema:
    topics = (
        ("v2.journey.sessions.{id}.…: an event without `session` takes the id.", r"^v2\.journey\.sessions\."),
        (
            "v2.externalcontacts.contacts.{id}.journey.segments: the id stands for a missing `externalContact`.",
            r"^v2\.externalcontacts\.contacts\.(.*\.)?journey\.segments$",
        ),
    )
    return {
        "title": "Notification",
        "description": "A notification as Genesys sends it: a topic that says what the body is about.",
        "type": "object",
        "required": ["topicName"],
        "oneOf": [
            *(
                {
                    "description": words,
                    "required": ["eventBody"],
                    "properties": {"topicName": text(pattern=pattern), "eventBody": ref("any-event")},
                }
                for words, pattern in topics
            ),
            ref("conversation-event"),
            {
                "description": "A channel's sign of life: ignored like a tombstone.",
                "properties": {"topicName": {"const": "channel.metadata"}},
            },
        ],
    }


def _any_record() -> Schema:
    return {
        "title": "JourneyEvent",
        "description": "A record's value: a journey event or a notification, told apart by their members.",
        "type": "object",
        "if": {"anyOf": [_present("topicName"), _present("eventBody")]},
        "then": ref("notification"),
        "else": ref("any-event"),
    }


# What `decode` asks for beyond the types.


def _required(schema: Schema, **members: Schema) -> Schema:
    return {
        **schema,
        "required": [*schema.get("required", ()), *members],
        "properties": {**schema["properties"], **members},
    }


def _present(member: str) -> Schema:
    """The member is there and not null, which counts as absent."""
    return {"required": [member], "properties": {member: {"not": {"type": "null"}}}}


def _with_id(name: str) -> Schema:
    return {"allOf": [ref(name), {"required": ["id"], "properties": {"id": SOME_TEXT}}]}


def _known_by_address(page: Schema) -> Schema:
    """`url` is required where there is a page; an object with no non-null member is none."""
    nothing: dict[str, Any] = {name: {"type": "null"} for name in page["properties"]}
    addressed = {"required": ["url"], "properties": {"url": text()}}
    words = {"title": page["title"], "description": "A page is known by its `url`."}
    return {**words, **page, "anyOf": [addressed, {"properties": nothing}]}
