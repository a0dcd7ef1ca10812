"""Every setting that there is: name, kind, default, unit and meaning, in the order in which they are documented.

`deploy/projector.example.toml` is the same list, and a test holds it to this one.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from projector.adapters.redis_place import FORMS, place_at
from projector.dates import parse_time
from projector.rules import AttributeRule

MODES = ("keep", "truncate", "hash", "drop")
"""What may be done with a value that is private."""


class WrongValueError(Exception):
    """The message says what was expected."""


# Kinds of settings: a value from TOML, or a text from the environment or a flag, to what the program works with.


def _text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise WrongValueError("a text that is not empty")


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise WrongValueError("true or false")


def _between(least: int, most: int) -> Callable[[object], int]:
    def whole(value: object) -> int:
        number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
        if isinstance(number, int) and not isinstance(number, bool) and least <= number <= most:
            return number
        raise WrongValueError(f"a whole number from {least} to {most}")

    return whole


def _topic(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value) and value not in (".", ".."):
        return value
    raise WrongValueError("a topic's name: at most 249 letters, digits, dots, _ and -")


def _servers(value: object) -> str:
    servers = value.split(",") if isinstance(value, str) else []
    if servers and all(_is_server(server.strip()) for server in servers):
        return str(value)
    raise WrongValueError("host:port, several with commas between")


def _is_server(text: str) -> bool:
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.hostname) and parts.netloc == text and "@" not in text and parts.port != 0
    except ValueError:
        return False


def _redis_url(value: object) -> str:
    if isinstance(value, str) and value.rpartition("://")[2]:
        try:
            place_at(value)
        except ValueError:
            pass  # Not quoted: a password with a / that is not written as %2F is taken for a port.
        else:
            return value
    raise WrongValueError(FORMS)


_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

_DURATION_MAX = 36_500 * 86_400_000
"""A hundred years: with it the dates of any event stay within what stores can keep."""


def _duration(value: object) -> int:
    """In ms."""
    if value in (0, "0") and not isinstance(value, bool):
        return 0
    if isinstance(value, str):
        digits = value.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = value[len(digits) :]
        if digits.isascii() and digits.isdigit() and unit in _UNITS and len(digits) <= 12:
            ms = int(digits) * _UNITS[unit]
            if ms <= _DURATION_MAX:
                return ms
    raise WrongValueError("a duration with its unit, such as 45s, 30m, 12h or 7d, of 36500d at most")


def _positive_duration(value: object) -> int:
    ms = _duration(value)
    if ms:
        return ms
    raise WrongValueError("a duration above zero with its unit, such as 45s or 30m")


def _texts(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if isinstance(items, list | tuple) and all(isinstance(item, str) and item.strip() for item in items):
        return tuple(item.strip() for item in items)
    raise WrongValueError("a list of texts, in the environment separated by commas")


def _one_of(*words: str) -> Callable[[object], str]:
    def word(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise WrongValueError(f"one of {', '.join(words)}")

    return word


def _start(value: object) -> str | int:
    if value in ("beginning", "end"):
        return str(value)
    at = parse_time(value) if isinstance(value, str) else None
    if at is None:
        raise WrongValueError("beginning, end, or a time with an offset such as 2025-06-10T08:00:00Z")
    return at


def _rules(value: object) -> tuple[AttributeRule, ...]:
    expected = "an array of tables (in the environment JSON) with `match` and any of `to`, `list`, `drop`, `types`"
    try:
        tables = msgspec.json.decode(value) if isinstance(value, str) else value
    except msgspec.MsgspecError as wrong:
        raise WrongValueError(f"{expected}; {wrong}") from None
    if not isinstance(tables, list | tuple):
        raise WrongValueError(expected)
    return tuple(_rule(number, table) for number, table in enumerate(tables, 1))


def _rule(number: int, table: object) -> AttributeRule:
    """One rule, named in what is said of it when it is wrong."""
    try:
        rule = msgspec.convert(table, type=AttributeRule)
    except msgspec.MsgspecError as wrong:
        raise WrongValueError(f"rule {number} to be right: {wrong}") from None
    if not rule.match:
        raise WrongValueError(f"rule {number} with a `match` that is not empty")
    named = f"rule {number} ({rule.match})"
    if rule.drop and (rule.list or rule.to != "{name}"):
        raise WrongValueError(f"{named} to drop, or to say where attributes go, not both")
    if not rule.to or "{" in rule.to.replace("{name}", ""):
        raise WrongValueError(f"{named} with a `to` that is a name, in which {{name}} stands for the matched one")
    return rule


def _secret(value: object) -> str:
    if isinstance(value, str) and (not value or len(value) >= 16):
        return value
    raise WrongValueError("a text of at least 16 characters")


class Setting(Struct, frozen=True):
    """One setting as it is documented."""

    name: str
    kind: Callable[[object], Any]
    """From TOML's value, or the text of the environment or a flag, to what the program works with."""
    default: Any
    """As it is written in TOML."""
    meaning: str
    section: str

    @property
    def value(self) -> Any:
        """The default as the program works with it."""
        return self.kind(self.default)


def _section(title: str, *rows: tuple[str, Callable[[object], Any], Any, str]) -> tuple[Setting, ...]:
    return tuple(Setting(*row, title) for row in rows)


SETTINGS: tuple[Setting, ...] = (
    *_section(
        "Kafka",
        (
            "kafka_bootstrap_servers",
            _servers,
            "localhost:9092",
            "Brokers to start from, host:port, separated by commas.",
        ),
        ("input_topic", _topic, "journey-events", "Where journey events come from."),
        ("output_topic", _topic, "journey-sessions", "Where snapshots go: a compacted topic, key = session id."),
        (
            "rejects_topic",
            _topic,
            "journey-events.rejected",
            "Where records go that cannot be folded, with the reason.",
        ),
        ("group_id", _text, "session-projector", "The consumer group; workers of one group share the partitions."),
        (
            "group_session_timeout",
            _positive_duration,
            "10s",
            "A worker that has not been heard of for so long has its partitions given away.",
        ),
        (
            "delivery",
            _one_of("exactly-once", "at-least-once"),
            "exactly-once",
            "exactly-once: one transaction a batch. at-least-once: a crash may repeat snapshots, state stays exact.",
        ),
        ("start", _start, "beginning", "Where a new namespace begins: beginning, end, or a time."),
        (
            "on_gap",
            _one_of("stop", "skip"),
            "stop",
            "Where the log no longer has records that state needs: stop and say so, or go on and count them.",
        ),
        (
            "topic_generation",
            _between(0, 60),
            0,
            "Raised by one when the input topic was made anew: sessions stay, revisions go on.",
        ),
    ),
    *_section(
        "Redis",
        (
            "redis_url",
            _redis_url,
            "redis://localhost:6379/0",
            "The store: redis://, rediss:// or unix://; redis+sentinel://host:port,host:port/service, rediss+sentinel://.",
        ),
        (
            "redis_wait_replicas",
            _between(0, 16),
            0,
            "Replicas that must have a write before its snapshots are published, by WAIT; 0 = none, at no cost.",
        ),
        (
            "redis_wait_timeout",
            _positive_duration,
            "1s",
            "If too few have it after so long, nothing of it is published, and the worker tries again.",
        ),
        ("namespace", _text, "{group_id}", "Prefix of all keys; {group_id} is the group's id."),
        (
            "shards",
            _between(0, 1024),
            0,
            "Parts of the state, fixed at the first start; 0 = as recorded, else 1 on one Redis and 48 on a cluster.",
        ),
        ("cache_tracks_max", _between(1, 10_000_000), 200_000, "Sessions that a worker keeps in memory at most."),
        (
            "cache_mb_max",
            _between(1, 1_000_000),
            512,
            "MB of memory that these may take, about; a worker takes 100 to 300 MB besides.",
        ),
    ),
    *_section(
        "Time",
        ("retention", _duration, "7d", "How long a session is kept after its last activity; 0 = for ever."),
        ("future_tolerance", _duration, "5m", "An event later than its record by more counts as its record's time."),
        ("timeout_web", _positive_duration, "30m", "A web session ends so long after its last activity."),
        ("timeout_app", _positive_duration, "30m", "An app session ends so long after its last activity."),
        ("idle_after", _duration, "45s", "`idleDate` is so long after the last activity."),
        ("away_after", _duration, "60s", "`awayDate` is so long after the last activity."),
    ),
    *_section(
        "Fold",
        ("campaign_split", _flag, True, "A new campaign ends a visit and opens another."),
        ("pageview_events", _texts, ["page_viewed"], "Names of web events that count as page views."),
        ("screenview_events", _texts, ["screen_viewed"], "Names of app events that count as screen views."),
        ("search_parameters", _texts, ["q", "query", "search", "term"], "Query parameters that hold a search."),
        (
            "short_id_digits",
            _between(4, 6),
            6,
            "Digits of `shortId`: 4 for up to 10,000 sessions at a time, 6 for 10^6.",
        ),
        ("event_ids_max", _between(1, 1_000_000), 4096, "Event ids remembered a session, to know duplicates by."),
        (
            "attribute_rules",
            _rules,
            [],
            "Which event attributes become session attributes, and how; the first match counts, none: all do.",
        ),
    ),
    *_section(
        "Enrichment",
        ("enrich_page", _flag, True, "Fill a page's domain, hostname, pathname, queryString, fragment from its url."),
        ("enrich_referrer", _flag, True, "Fill the referrer's parts, medium, name and keywords from its url."),
        ("enrich_campaign", _flag, True, "Fill the campaign from utm parameters and click ids of the page's query."),
        ("enrich_agent", _flag, True, "Fill browser and device from the user agent."),
        (
            "geo_databases",
            _texts,
            [],
            "MaxMind-format files that fill geolocation and ipOrganization; read again when a file changes.",
        ),
        ("drop_bots", _flag, False, "Count web and app events of bots, and do nothing else with them."),
    ),
    *_section(
        "Privacy",
        ("privacy_ip_address", _one_of(*MODES), "keep", "keep, truncate (to /24 or /48), hash, or drop."),
        (
            "privacy_user_agent",
            _one_of(*MODES),
            "keep",
            "keep, truncate (versions to one number), hash, or drop.",
        ),
        ("privacy_attributes_drop", _texts, [], "Globs of event attributes that are never kept."),
        ("privacy_attributes_hash", _texts, [], "Globs of event attributes that are kept as a hash."),
        ("privacy_query_allow", _texts, [], "Globs of the URL query parameters that stay; none: all do."),
        ("privacy_query_deny", _texts, [], "Globs of URL query parameters that are taken out."),
        (
            "privacy_key",
            _secret,
            "",
            "The secret of the hashes, at least 16 characters; best given in the environment.",
        ),
    ),
    *_section(
        "Service",
        ("workers", _between(1, 256), 1, "Worker processes on this machine."),
        (
            "turn_timeout",
            _positive_duration,
            "60s",
            "A worker whose call to Kafka or Redis has not come back for so long is killed and started again.",
        ),
        ("metrics_port", _between(0, 65_535), 0, "Prometheus metrics on this port, worker n on port + n; 0 = none."),
        ("log_level", _one_of("debug", "info", "warning", "error"), "info", "The least level that is logged."),
        ("log_format", _one_of("auto", "json", "text"), "auto", "auto: text on a terminal, else JSON lines."),
    ),
)
