"""Schemas of what we write: the Session as a snapshot, the headers beside it, and what was rejected (contract §2, §6).

The Session is closed: a member that is not named here is not written. Values that the contract leaves open stay open;
what is known of them is given as examples.
"""

from typing import Any

from projector.decode import Reason
from projector.schemas.model import Schema, definitions, described, ref, text, with_definitions
from projector.schemas.words import SESSION_WORDS
from projector.snapshot import CE_SOURCE, CE_TYPE, CE_TYPE_TOMBSTONE, SCHEMA, Snapshot

TIME = text(
    "UTC, to the ms.",
    format="date-time",
    pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
)
WHOLE = r"^-?[0-9]+$"
"""Headers are text, numbers too."""

# Open enums, journey domain §1.14, §1.15: what is known; a reader keeps any other value.
KNOWN_VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("Snapshot", "type"): ("web", "app", "conversation", "custom", "ticket", "delivery", "atm"),
    ("Snapshot", "customerIdType"): ("cookie", "email", "phone"),
    ("Snapshot", "originatingDirection"): ("Unknown", "Inbound", "Outbound"),
    ("Snapshot", "lastAcdOutcome"): ("Unknown", "Abandon", "Answered", "FlowOut"),
    ("Snapshot", "lastUserDisconnectType"): (
        *("Unknown", "Endpoint", "Client", "System", "Transfer", "Error", "Peer", "Other", "Spam", "Timeout"),
        *("TransportFailure", "ConferenceTransfer", "ConsultTransfer", "ForwardTransfer", "NoAnswerTransfer"),
        *("NotAvailableTransfer", "Uncallable", "DoNotDisturbEndpoint", "DoNotDisturbTransfer", "SessionExpired"),
        "Takeover",
    ),
    ("Channel", "type"): (
        *("Unknown", "Voice", "Chat", "Email", "Callback", "Cobrowse", "Video", "Screenshare", "Message"),
        "InternalMessage",
    ),
    ("Channel", "messageType"): (
        *("Unknown", "Sms", "Twitter", "Facebook", "Line", "WhatsApp", "WebMessaging", "Open", "Instagram", "Apple"),
    ),
    ("Channel", "platform"): ("Edge", "PureCloud Messaging", "PureCloud Email"),
    ("Device", "category"): ("desktop", "mobile", "tablet", "other"),
    ("Referrer", "medium"): ("internal", "search", "social", "email", "unknown", "paid"),
    ("Attribute", "dataType"): ("STRING", "NUMBER", "BOOLEAN"),
    ("AttributeList", "dataType"): ("STRING", "NUMBER", "BOOLEAN"),
}

# What is always there although the Struct, which is shared with the input, leaves it open.
ALWAYS = {
    "Reference": ("id", "selfUri"),
    "Attribute": ("dataType", "value"),
    "Page": ("url",),
    "Disposition": ("user",),
}

BOUNDS: dict[str, Schema] = {
    "id": {"minLength": 1},
    "shortId": {"pattern": "^[0-9]{4,6}$"},
    "durationInSeconds": {"minimum": 0},
    "eventCount": {"minimum": 1},
    "pageviewCount": {"minimum": 0},
    "screenviewCount": {"minimum": 0},
    "searchTerms": {"uniqueItems": True},
    "conversationChannels": {"uniqueItems": True},
    "selfUri": {"pattern": "^/api/v2/journey/sessions/"},
}


def schemas() -> dict[str, Schema]:
    """Name to schema."""
    return {
        "session-snapshot": _snapshot(),
        "snapshot-headers": _snapshot_headers(),
        "tombstone-headers": _tombstone_headers(),
        "reject-headers": _reject_headers(),
        "reject": _reject(),
    }


def _snapshot() -> Schema:
    known = {name: _as_written(name, schema) for name, schema in definitions(Snapshot).items()}
    known["Time"] = TIME
    known["Attribute"]["properties"]["value"] = text("As text, numbers and booleans too.")
    session = described(known.pop("Snapshot"), SESSION_WORDS)
    for name, bounds in BOUNDS.items():
        session["properties"][name] |= bounds
    for member in session["properties"].values():  # Empty lists and maps are left out.
        if member.get("type") == "array":
            member["minItems"] = 1
        elif "additionalProperties" in member:
            member["minProperties"] = 1
    return with_definitions({**session, "title": "Session"}, known)


def _as_written(name: str, schema: Schema) -> Schema:
    """Null and members without a name here are never written, dates have one form, an object holds something."""
    properties = {
        member: _never_null(ref("Time") if member.endswith("Date") else inner)
        for member, inner in schema["properties"].items()
    }
    for (owner, member), values in KNOWN_VALUES.items():
        if owner == name:
            properties[member]["examples"] = list(values)
    required = [*schema.get("required", ()), *ALWAYS.get(name, ())]
    held = {"required": required} if required else {"minProperties": 1}
    return {**schema, "properties": properties, **held, "additionalProperties": False}


def _never_null(schema: Schema) -> Schema:
    if "anyOf" in schema:
        (only,) = (choice for choice in schema["anyOf"] if choice != {"type": "null"})
        return {**only}
    if isinstance(schema.get("type"), list):
        types = [kind for kind in schema["type"] if kind != "null"]
        return {**schema, "type": types[0] if len(types) == 1 else types}
    return {**schema}


# Headers: Kafka's are bytes; as text they are these.


def _headers(description: str, required: dict[str, Schema], optional: dict[str, Schema]) -> Schema:
    """Open: whoever passes a record on may add headers of their own."""
    properties = {**required, **optional}
    return {"description": description, "type": "object", "required": list(required), "properties": properties}


_REVISION = text("Orders the snapshots of a session: of two the one with the higher number is newer.", pattern=WHOLE)


def _cloud_event(kind: bytes) -> dict[str, Schema]:
    """The CloudEvents attributes, Kafka protocol binding, binary mode."""
    return {
        "ce_id": text("`{session id}/{revision}`."),
        "ce_source": {"const": CE_SOURCE.decode()},
        "ce_type": {"const": kind.decode()},
        "ce_specversion": {"const": "1.0"},
    }


def _snapshot_headers() -> Schema:
    required: dict[str, Schema] = {
        "projector.revision": _REVISION,
        "projector.schema": {"const": SCHEMA, "description": "The version of the snapshot's schema."},
        "content-type": {"const": "application/json"},
        **_cloud_event(CE_TYPE),
        "ce_time": {**TIME, "description": "The last activity, or the end where that is later."},
    }
    left_out = text(
        "The members that the session has and this snapshot has not, with commas: it was larger than the topic takes."
    )
    return _headers("Beside a snapshot.", required, {"projector.left-out": left_out})


def _tombstone_headers() -> Schema:
    merged = text("The id of the session that took this one in; absent where it was erased.")
    return _headers(
        "Beside a tombstone, a record without a value: the session was erased, or was merged into another.",
        {"projector.revision": _REVISION},
        {"projector.merged-into": merged, **_cloud_event(CE_TYPE_TOMBSTONE)},
    )


def _reject_headers() -> Schema:
    return _headers(
        "Beside a rejected record, after the headers that it came with.",
        {
            "projector.reject.reason": _reason(),
            "projector.reject.topic": text("Where the record came from."),
            "projector.reject.partition": text(pattern=WHOLE),
            "projector.reject.offset": text(pattern=WHOLE),
        },
        {
            "projector.reject.detail": text("What is wrong where, for a person."),
            "projector.reject.timestamp": text("Of the record, ms since the epoch.", pattern=WHOLE),
            "projector.reject.truncated": text(
                "The value's size in bytes, where it was cut at 64 KiB or left out.", pattern=WHOLE
            ),
            "projector.reject.left-out": text(
                "What of `headers`, `key` and `value` is missing, with commas: the topic takes no more."
            ),
        },
    )


def _reason() -> Schema:
    return {"enum": [reason.value for reason in Reason], "description": "A closed list."}


def _reject() -> Schema:
    """A line of `projector replay --rejects FILE` (contract §9)."""
    number = {"type": "integer", "minimum": 0}
    maybe_text = {"type": ["string", "null"]}
    coded = "of bytes that are no UTF-8."
    properties: dict[str, Any] = {
        "reason": _reason(),
        "detail": {**maybe_text, "description": "What is wrong where, for a person; null where content is hidden."},
        "topic": text("The topic, or the file as named."),
        "partition": {**number, "description": "Of the topic, or the number of the file."},
        "offset": {**number, "description": "Of the record, or the line, from 0."},
        "timestamp": {
            "type": ["integer", "null"],
            "description": "Of the record, ms since the epoch; lines have none.",
        },
        "key": maybe_text,
        "keyBase64": text(f"In place of `key` {coded}", contentEncoding="base64"),
        "value": {**maybe_text, "description": "As it came, cut at 64 KiB."},
        "valueBase64": text(f"In place of `value` {coded}", contentEncoding="base64"),
        "truncated": {**number, "description": "The value's size in bytes, where it was cut or left out."},
    }
    return {
        "title": "Reject",
        "description": "A rejected record as `projector replay --rejects` writes it, one a line.",
        "type": "object",
        "required": ["reason", "detail", "topic", "partition", "offset", "timestamp"],
        "properties": properties,
        "additionalProperties": False,
    }
