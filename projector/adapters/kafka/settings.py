"""What the Kafka adapters are told, and what of it each client gets.

Law: options that the protocol stands on (design §3: no auto-commit, read_committed, idempotence, …) are set here
and nowhere else, and a setting cannot change them.
"""

import os
import re
import socket
from typing import Any, Literal

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from msgspec import Struct

from projector.errors import WrongInput

KIB, MIB = 1024, 1024 * 1024

TRANSACTION_TIMEOUT_MS = 15_000
"""After so long the broker aborts a transaction whose producer is gone, where `end_abandoned` could not.

Little longer than the group waits for a silent member (10 s), so that it adds little to that; longer than one request
may take, so that one lost answer of a broker is not a lost transaction.
"""

DELIVERY_TIMEOUT_MS = 45_000
"""Longer than the transaction's, or a record could be given up while its transaction may still be committed."""

RECORD_BYTES_MAX = 8 * MIB
"""The largest snapshot that is sent; `max.message.bytes` of the topics that we make."""

MAKE_TOPICS = "make it with: projector doctor --create-topics (and the options given here)"
"""What to do where a topic is missing."""


class KafkaSettings(Struct, frozen=True):
    """Where Kafka is, which topics and group are ours, and how what we publish is delivered."""

    bootstrap_servers: str = "localhost:9092"
    input_topic: str = "journey-events"
    output_topic: str = "journey-sessions"
    rejects_topic: str = "journey-events.rejected"
    group_id: str = "session-projector"
    group_session_timeout_ms: int = 10_000
    delivery: Literal["exactly-once", "at-least-once"] = "exactly-once"
    instance: str = ""
    """A name that the group knows this member by and no other has at the same time: one that is started again under it
    takes the place of the one that died, without a rebalance and without waiting for its session to time out."""
    extra: dict[str, Any] = {}
    """Further options, handed to the clients under their own names; texts are converted to the type of the default."""


def consumer_options(settings: KafkaSettings) -> dict[str, Any]:
    """For a reader without a group; `group_options` adds the membership."""
    tuned = {
        "max_poll_records": 4000,  # Each poll has three hand-overs between threads, 70 µs each.
        "fetch_min_bytes": 1,
        # A broker that does not answer, or a connection that leads nowhere, is noticed so late.
        "request_timeout_ms": 10_000,
        "fetch_max_wait_ms": 50,  # How long a lone record waits for company.
        "max_partition_fetch_bytes": 4 * MIB,
        "fetch_max_bytes": 32 * MIB,
        "receive_buffer_bytes": 2 * MIB,
        "retry_backoff_ms": 50,  # Positions of a pending transaction are asked for again after so long.
        "metrics_enabled": False,  # We count ourselves, by batch.
        **_CONNECTION,
        **_extra_for(KafkaConsumer.DEFAULT_CONFIG, settings),
    }
    fixed = {
        "bootstrap_servers": _servers(settings),
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "auto_offset_reset": "none",  # Out of range has to be noticed, not jumped over.
        "check_crcs": True,
        "allow_auto_create_topics": False,
    }
    return tuned | fixed


def group_options(settings: KafkaSettings) -> dict[str, Any]:
    """For a member of the consumer group."""
    return consumer_options(settings) | {
        "group_id": settings.group_id,
        "group_instance_id": instance_id(settings.instance) or None,
        "session_timeout_ms": settings.group_session_timeout_ms,
        "heartbeat_interval_ms": settings.group_session_timeout_ms // 3,
        # Also the rebalance timeout: how long the others wait for a member that is in the middle of a turn. One that
        # hangs is killed long before; one that is slow has to come to its end, or it would begin the same for ever.
        "max_poll_interval_ms": max(300_000, settings.group_session_timeout_ms),
    }


def instance_id(name: str) -> str:
    """As the group knows a member of this name."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[-_INSTANCE_MAX:]


def producer_options(settings: KafkaSettings, transactional_id: str) -> dict[str, Any]:
    """`transactional_id` is left out where delivery is at least once."""
    tuned = {
        "compression_type": "lz4",
        "linger_ms": 20,
        "batch_size": 512 * KIB,
        "max_request_size": RECORD_BYTES_MAX,
        "retry_backoff_ms": 10,  # The sender sleeps it between transactions.
        "request_timeout_ms": 10_000,
        "max_block_ms": 30_000,
        "metrics_enabled": False,
        **_CONNECTION,
        **_extra_for(KafkaProducer.DEFAULT_CONFIG, settings),
    }
    fixed: dict[str, Any] = {
        "bootstrap_servers": _servers(settings),
        "enable_idempotence": True,
        "acks": "all",
        "delivery_timeout_ms": DELIVERY_TIMEOUT_MS,
        "allow_auto_create_topics": False,
    }
    if settings.delivery == "exactly-once":
        fixed |= {"transactional_id": transactional_id, "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS}
    return tuned | fixed


def admin_options(settings: KafkaSettings) -> dict[str, Any]:
    extra = _extra_for(KafkaAdminClient.DEFAULT_CONFIG, settings)
    return {"request_timeout_ms": 10_000, **_CONNECTION, **extra, "bootstrap_servers": _servers(settings)}


def wrong_extras(extra: dict[str, Any]) -> list[str]:
    """What is wrong with the further options, a line each; for settings to be checked all at once."""
    wrong = []
    for name, value in extra.items():
        try:
            _checked(name, value)
        except WrongInput as error:
            wrong.append(str(error))
    return wrong


_SILENCE_MAX_S = 20
"""After so long a broker whose machine or network is gone is given up, also where an answer may take minutes: a join
waits for the slowest member. Where there is such an option, that is; without them it takes two hours.
"""

_NOTICED = [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPIDLE", _SILENCE_MAX_S // 2),
        ("TCP_KEEPINTVL", _SILENCE_MAX_S // 4),
        ("TCP_KEEPCNT", 2),
        ("TCP_USER_TIMEOUT", 1000 * _SILENCE_MAX_S),
    )
    if hasattr(socket, name)
]

_CONNECTION: dict[str, Any] = {
    "bootstrap_timeout_ms": 10_000,
    # A broker that is back is found again within so long; by default it could take 30 s.
    "reconnect_backoff_max_ms": 1000,
    # The clients' own default leaves keep-alive out: a broker that vanished would be noticed by time-outs only.
    "socket_options": [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *_NOTICED,
    ],
}

_INSTANCE_MAX = 249  # Characters, of those that Kafka takes.

_OWN = frozenset(
    {
        "bootstrap_servers",
        "group_id",
        "group_instance_id",
        "session_timeout_ms",
        "heartbeat_interval_ms",
        "enable_auto_commit",
        "isolation_level",
        "auto_offset_reset",
        "check_crcs",
        "allow_auto_create_topics",
        "partition_assignment_strategy",
        "enable_idempotence",
        "acks",
        "retries",
        "delivery_timeout_ms",
        "transactional_id",
        "transaction_timeout_ms",
        "partitioner",
        "key_serializer",
        "value_serializer",
        "key_deserializer",
        "value_deserializer",
        "kafka_client",
        "selector",
    }
)

_DEFAULTS: dict[str, Any] = (
    KafkaAdminClient.DEFAULT_CONFIG | KafkaProducer.DEFAULT_CONFIG | KafkaConsumer.DEFAULT_CONFIG
)


def _servers(settings: KafkaSettings) -> list[str]:
    return [server.strip() for server in settings.bootstrap_servers.split(",")]


def _extra_for(known: dict[str, Any], settings: KafkaSettings) -> dict[str, Any]:
    """Only what this client has by that name; the clients refuse what they do not know."""
    checked = {name: _checked(name, value) for name, value in settings.extra.items()}
    _check_security(checked)
    return {name: value for name, value in checked.items() if name in known}


def _checked(name: str, value: Any) -> Any:
    if name in _OWN:
        raise WrongInput(f"{_said(name, value)}: this is set by the projector itself; leave it out")
    if name not in _DEFAULTS:
        raise WrongInput(f"{_said(name, value)}: no option of kafka-python's clients has this name")
    default = _DEFAULTS[name]
    if name in _WORDS and value not in _WORDS[name]:
        raise WrongInput(f"{_said(name, value)}: expected one of {', '.join(_WORDS[name])}")
    try:
        return _like(name, default, value) if isinstance(value, str) else value
    except (ValueError, KeyError):
        expected = "true or false" if isinstance(default, bool) else "a number"
        raise WrongInput(f"{_said(name, value)}: expected {expected}") from None


def _check_security(extra: dict[str, Any]) -> None:
    """What the clients would take for a broker that does not answer."""
    for name in sorted(_FILES & extra.keys()):
        if not os.access(extra[name], os.R_OK):
            raise WrongInput(f"{_said(name, extra[name])}: expected a file that can be read")
    if str(extra.get("security_protocol", "")).startswith("SASL") and "sasl_mechanism" not in extra:
        raise WrongInput("kafka_security_protocol asks for SASL, and kafka_sasl_mechanism does not say which: set it")


def _said(name: str, value: Any) -> str:
    return f"kafka_{name} (not shown)" if "word" in name or "secret" in name else f"kafka_{name} = {value!r}"


def _like(name: str, default: Any, text: str) -> Any:
    """A text from the environment as the type that the option has by default."""
    if isinstance(default, bool):
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    if isinstance(default, int | float) or name in _NUMBERS_WITHOUT_DEFAULT:
        return float(text) if "." in text else int(text)
    return text


# What the clients would only find out when a broker answers, if they say it at all.
_WORDS: dict[str, tuple[str, ...]] = {
    "security_protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "sasl_mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER", "AWS_MSK_IAM"),
    "compression_type": ("gzip", "snappy", "lz4", "zstd"),
}
_FILES = frozenset({"ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile"})
_NUMBERS_WITHOUT_DEFAULT = frozenset({"receive_buffer_bytes", "send_buffer_bytes"})
