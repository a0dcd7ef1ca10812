"""The AsyncAPI 3 document: the three topics, who reads and who writes them, and the messages on them (contract §2, §6).

Schemas are referred to as files beside it, so that each is written once.
"""

from typing import Any

from projector.schemas import examples, inputs, outputs
from projector.snapshot import SCHEMA

Document = dict[str, Any]

DAYS_30_MS = 30 * 86_400_000
KAFKA_BINDING = "0.5.0"


def document() -> Document:
    told = examples.messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "session-projector",
            "version": SCHEMA,
            "description": "Folds a stream of journey events into sessions. Names of topics are defaults of settings.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {"journeyEvents": _input(), "journeySessions": _output(), "rejects": _rejects()},
        "operations": _operations(),
        "components": {"messages": {**_events(told), **_snapshots(told), "Rejected": _rejected(told)}},
    }


def _server() -> Document:
    servers = {"default": "localhost:9092", "description": "The setting `kafka_bootstrap_servers`."}
    return {"host": "{bootstrapServers}", "protocol": "kafka", "variables": {"bootstrapServers": servers}}


# Topics.


def _input() -> Document:
    return {
        "address": "journey-events",
        "title": "Journey events",
        "description": "The setting `input_topic`. Key, headers and timestamp are free; keyed by session it is faster.",
        "messages": _named([*inputs.EVENT_TYPES, "ConversationEvent", "Notification"]),
        "bindings": {"kafka": {"bindingVersion": KAFKA_BINDING}},
    }


def _output() -> Document:
    kept = {"cleanup.policy": ["compact", "delete"], "retention.ms": DAYS_30_MS}
    return {
        "address": "journey-sessions",
        "title": "Session snapshots",
        "description": "The setting `output_topic`. Compacted: the newest record of a key is the session as it is now."
        " The partition is Kafka's default for the key (murmur2).",
        "messages": _named(["SessionSnapshot", "SessionWithdrawn"]),
        "bindings": {"kafka": {"topicConfiguration": kept, "bindingVersion": KAFKA_BINDING}},
    }


def _rejects() -> Document:
    kept = {"cleanup.policy": ["delete"], "retention.ms": DAYS_30_MS}
    return {
        "address": "journey-events.rejected",
        "title": "Rejected records",
        "description": "The setting `rejects_topic`.",
        "messages": _named(["Rejected"]),
        "bindings": {"kafka": {"partitions": 1, "topicConfiguration": kept, "bindingVersion": KAFKA_BINDING}},
    }


def _named(names: list[str]) -> Document:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _operations() -> Document:
    def operation(action: str, channel: str, summary: str) -> Document:
        return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}

    return {
        "receiveJourneyEvents": operation("receive", "journeyEvents", "Reads what visitors and systems did."),
        "sendSessions": operation("send", "journeySessions", "Writes a session whenever it has changed."),
        "sendRejects": operation("send", "rejects", "Writes what cannot be folded, with its reason and origin."),
    }


# Messages.


def _events(told: Document) -> Document:
    names = {name: inputs.kebab(name) for name in (*inputs.EVENT_TYPES, "ConversationEvent", "Notification")}
    known = inputs.schemas()
    return {
        name: {
            "name": name,
            "title": name,
            "summary": known[file]["description"],
            "payload": _file(file),
            "examples": [{"name": file, "payload": told[file]}],
        }
        for name, file in names.items()
    }


def _snapshots(told: Document) -> Document:
    key = {"type": "string", "description": "The session's id."}
    about = {
        "traits": [{"bindings": {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}}}],
    }
    shown = [
        {"name": name, "headers": told["snapshot-headers"], "payload": message}
        if name == "session-snapshot"
        else {"name": name, "payload": message}
        for name, message in told.items()
        if name.startswith("session-snapshot")
    ]
    return {
        "SessionSnapshot": {
            "name": "SessionSnapshot",
            "title": "A session",
            "summary": "The whole session, each time.",
            **about,
            "headers": _file("snapshot-headers"),
            "payload": _file("session-snapshot"),
            "examples": shown,
        },
        "SessionWithdrawn": {
            "name": "SessionWithdrawn",
            "title": "A tombstone",
            "summary": outputs.schemas()["tombstone-headers"]["description"],
            **about,
            "headers": _file("tombstone-headers"),
            "payload": {"type": "null"},
            "examples": [{"name": "merged", "headers": told["tombstone-headers"], "payload": None}],
        },
    }


def _rejected(told: Document) -> Document:
    return {
        "name": "Rejected",
        "title": "A rejected record",
        "summary": "Key, value and headers as they came, and headers that say why; a value over 64 KiB is cut.",
        "contentType": "application/octet-stream",
        "headers": _file("reject-headers"),
        "payload": {"description": "Any bytes, JSON or not."},
        "examples": [{"name": "reject", "headers": told["reject-headers"], "payload": told["reject"]["value"]}],
    }


def _file(name: str) -> Document:
    return {"$ref": f"./{name}.schema.json"}
