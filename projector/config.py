"""Every setting: name, unit, default, meaning; and how the one `Config` is built from flags, environment and file.

A setting `name` is `name = ...` in TOML, `PROJECTOR_NAME` in the environment, `--name` where a command has it; flags go
before the environment, that before the file (contract §9). All wrong settings are listed at once. Settings that begin with
`kafka_` or `redis_` and are not listed here go to the clients under their own names.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from projector.dates import parse_time
from projector.errors import WrongInput
from projector.rules import AttributeRule, Rules

PREFIX = "PROJECTOR_"
FILE = "projector.toml"


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


_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _duration(value: object) -> int:
    """In ms."""
    if value in (0, "0") and not isinstance(value, bool):
        return 0
    if isinstance(value, str):
        digits = value.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = value[len(digits) :]
        if digits.isascii() and digits.isdigit() and unit in _UNITS and len(digits) <= 12:
            return int(digits) * _UNITS[unit]
    raise WrongValueError("a duration with its unit, such as 45s, 30m, 12h or 7d")


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
    try:
        if isinstance(value, str):
            return msgspec.json.decode(value, type=tuple[AttributeRule, ...])
        return msgspec.convert(value, type=tuple[AttributeRule, ...])
    except msgspec.MsgspecError as wrong:
        expected = "an array of tables (in the environment JSON) with `match` and any of `to`, `list`, `drop`, `types`"
        raise WrongValueError(f"{expected}; {wrong}") from None


class Setting(Struct, frozen=True):
    """One setting as it is documented; `example` is how the default is written in TOML."""

    name: str
    kind: Callable[[object], Any]
    default: Any
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
        ("kafka_bootstrap_servers", _text, "localhost:9092", "Brokers to start from, host:port, separated by commas."),
        ("input_topic", _text, "journey-events", "Where journey events come from."),
        ("output_topic", _text, "journey-sessions", "Where snapshots go: a compacted topic, key = session id."),
        ("rejects_topic", _text, "journey-events.rejected", "Where records go that cannot be folded, with the reason."),
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
    ),
    *_section(
        "Redis",
        ("redis_url", _text, "redis://localhost:6379/0", "The store: redis://, rediss:// or unix://."),
        ("namespace", _text, "{group_id}", "Prefix of all keys; {group_id} is the group's id."),
        (
            "shards",
            _between(0, 1024),
            0,
            "Parts of the state, fixed at the first start; 0 = as recorded, else 1 on one Redis and 48 on a cluster.",
        ),
        ("cache_tracks_max", _between(1, 10_000_000), 50_000, "Sessions a worker keeps in memory, about 3 KB each."),
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
    ),
    *_section(
        "Service",
        ("workers", _between(1, 256), 1, "Worker processes on this machine."),
        (
            "turn_timeout",
            _positive_duration,
            "60s",
            "A worker that has not finished a turn for so long is stopped and started again.",
        ),
        ("metrics_port", _between(0, 65_535), 0, "Prometheus metrics on this port, worker n on port + n; 0 = none."),
        ("log_level", _one_of("debug", "info", "warning", "error"), "info", "The least level that is logged."),
        ("log_format", _one_of("auto", "json", "text"), "auto", "auto: text on a terminal, else JSON lines."),
    ),
)


class Config(Struct, frozen=True, kw_only=True):
    """All settings, checked; durations in ms. Passed on as a value."""

    kafka_bootstrap_servers: str
    input_topic: str
    output_topic: str
    rejects_topic: str
    group_id: str
    group_session_timeout: int
    delivery: str
    start: str | int
    on_gap: str
    redis_url: str
    namespace: str
    shards: int
    cache_tracks_max: int
    retention: int
    future_tolerance: int
    timeout_web: int
    timeout_app: int
    idle_after: int
    away_after: int
    campaign_split: bool
    pageview_events: tuple[str, ...]
    screenview_events: tuple[str, ...]
    search_parameters: tuple[str, ...]
    short_id_digits: int
    event_ids_max: int
    attribute_rules: tuple[AttributeRule, ...]
    enrich_page: bool
    enrich_referrer: bool
    enrich_campaign: bool
    workers: int
    turn_timeout: int
    metrics_port: int
    log_level: str
    log_format: str
    kafka: dict[str, Any] = {}
    """Further settings of kafka-python, by its own names."""
    redis: dict[str, Any] = {}
    """Further settings of redis-py, by its own names."""

    def rules(self) -> Rules:
        """What the fold needs to know of it."""
        return Rules(
            timeout_web=self.timeout_web,
            timeout_app=self.timeout_app,
            retention=self.retention,
            future_tolerance=self.future_tolerance,
            idle_after=self.idle_after,
            away_after=self.away_after,
            campaign_split=self.campaign_split,
            pageview_events=frozenset(self.pageview_events),
            screenview_events=frozenset(self.screenview_events),
            search_parameters=self.search_parameters,
            attribute_rules=self.attribute_rules,
            short_id_digits=self.short_id_digits,
            event_ids_max=self.event_ids_max,
            url_parts=self.enrich_page,
            referrers=self.enrich_referrer,
            campaigns=self.enrich_campaign,
        )


_KNOWN = {setting.name: setting for setting in SETTINGS}
# What Kubernetes puts into the environment of a pod beside a service that is named projector.
_SERVICE_LINK = re.compile(r"(.*_)?(service_host|service_port(_.*)?|port(_\d+_(tcp|udp|sctp)(_.*)?)?)")


def load(
    file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Build the settings: flags (None: not given) over environment over file over defaults.

    Raises:
        WrongInput: lists every wrong setting with its value, where it stands, and what was expected.
    """
    environment = os.environ if environment is None else environment
    given: dict[str, tuple[object, str]] = {}
    path = file if file is not None else Path(FILE)
    if file is not None or path.exists():
        given |= {name: (value, str(path)) for name, value in _read(path).items()}
    for variable, text in environment.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and (name in _KNOWN or not _SERVICE_LINK.fullmatch(name)):
            given[name] = (text, f"environment {variable}")
    for name, value in (flags or {}).items():
        if value is not None:
            given[name] = (value, f"--{name.replace('_', '-')}")
    return _build(given)


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as wrong:
        raise WrongInput(f"the settings file {path} cannot be read: {wrong.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise WrongInput(f"the settings file {path} is not TOML: {wrong}") from None


def _build(given: Mapping[str, tuple[object, str]]) -> Config:
    values: dict[str, Any] = {setting.name: setting.value for setting in SETTINGS}
    clients: dict[str, dict[str, object]] = {"kafka": {}, "redis": {}}
    problems: list[str] = []
    for name, (value, where) in given.items():
        client, _, rest = name.partition("_")
        if name in _KNOWN:
            try:
                values[name] = _KNOWN[name].kind(value)
            except WrongValueError as wrong:
                problems.append(f"`{name}` is {_shown(name, value)} ({where}): {wrong} is expected")
        elif client in clients and rest:
            clients[client][rest] = _plain(value)
        else:
            problems.append(f"`{name}` ({where}) is no setting: {_nearest(name)}")
    problems += _together(values)
    if problems:
        raise WrongInput("\n".join(problems))
    values["namespace"] = values["namespace"].replace("{group_id}", values["group_id"])
    return Config(**values, kafka=clients["kafka"], redis=clients["redis"])


def _shown(name: str, value: object) -> str:
    return "not shown" if "password" in name or "url" in name else repr(value)


def _plain(value: object) -> object:
    """A client's setting from the environment as the number, truth value or text that it looks like."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    return int(value) if value.isascii() and value.isdigit() else value


def _nearest(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  (3 ms, for a mistake only)

    near = get_close_matches(name, _KNOWN, n=1)
    return f"did you mean `{near[0]}`?" if near else "see deploy/projector.example.toml for all of them"


def _together(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with settings that are right by themselves."""
    problems = []
    topics = [values["input_topic"], values["output_topic"], values["rejects_topic"]]
    if len(set(topics)) < len(topics):
        problems.append(
            f"`input_topic`, `output_topic` and `rejects_topic` are {', '.join(topics)}: three topics are expected"
        )
    for name in ("timeout_web", "timeout_app"):
        if values["retention"] and values["retention"] < values[name]:
            problems.append(f"`retention` is shorter than `{name}`: sessions would be forgotten before they end")
    return problems
