"""The one `Config`: built once from flags, environment, file and defaults, checked at once, passed on as a value.

A setting `name` is `name = ...` in TOML, `PROJECTOR_NAME` in the environment, `--name` where a command has it; flags
go before the environment, that before the file (contract §9). All wrong settings are listed at once. Settings that
begin with `kafka_` or `redis_` and are not in `settings` go to the clients under their own names.
"""

import os
import re
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from projector.adapters.kafka.settings import wrong_extras
from projector.adapters.redis_server import wrong_options
from projector.enrich.geo import GeoReader
from projector.enrich.privacy import Mode, Privacy, QueryRule
from projector.errors import WrongInput
from projector.rules import AttributeRule, Rules
from projector.settings import SETTINGS, WrongValueError

PREFIX = "PROJECTOR_"
FILE = "projector.toml"
PORT_MAX = 65_535


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
    topic_generation: int
    redis_url: str
    redis_wait_replicas: int
    redis_wait_timeout: int
    namespace: str
    shards: int
    cache_tracks_max: int
    cache_mb_max: int
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
    enrich_agent: bool
    geo_databases: tuple[str, ...]
    drop_bots: bool
    privacy_ip_address: Mode
    privacy_user_agent: Mode
    privacy_attributes_drop: tuple[str, ...]
    privacy_attributes_hash: tuple[str, ...]
    privacy_query_allow: tuple[str, ...]
    privacy_query_deny: tuple[str, ...]
    privacy_key: str
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
            agents=self.enrich_agent,
            drop_bots=self.drop_bots,
            privacy=self.privacy(),
        )

    def privacy(self) -> Privacy:
        """What is hidden of a person."""
        return Privacy(
            ip_address=self.privacy_ip_address,
            user_agent=self.privacy_user_agent,
            attributes_drop=self.privacy_attributes_drop,
            attributes_hash=self.privacy_attributes_hash,
            query=QueryRule(self.privacy_query_allow or None, self.privacy_query_deny),
            key=self.privacy_key.encode(),
        )

    def places(self) -> GeoReader | None:
        """The databases of places; a missing or broken one is a `WrongInput`."""
        if not self.geo_databases:
            return None
        return GeoReader([Path(name) for name in self.geo_databases], time.monotonic)


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
                problems.append(f"`{name}` is {_shown(name, value)} ({where}): expected {wrong}")
        elif client in clients and rest:
            clients[client][rest] = value
        else:
            problems.append(f"`{name}` ({where}) is no setting: {_nearest(name)}")
    problems += [*wrong_extras(clients["kafka"]), *wrong_options(clients["redis"]), *_together(values)]
    if problems:
        raise WrongInput("\n".join(problems))
    values["namespace"] = values["namespace"].replace("{group_id}", values["group_id"])
    return Config(**values, kafka=clients["kafka"], redis=clients["redis"])


def _shown(name: str, value: object) -> str:
    return "not shown" if any(word in name for word in ("password", "url", "key")) else repr(value)


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
            f"`input_topic`, `output_topic` and `rejects_topic` are {', '.join(topics)}: expected three topics"
        )
    if values["metrics_port"] and values["metrics_port"] + values["workers"] - 1 > PORT_MAX:
        problems.append(
            f"`metrics_port` is {values['metrics_port']} and `workers` {values['workers']}: expected a port each"
        )
    for name in ("timeout_web", "timeout_app"):
        if values["retention"] and values["retention"] < values[name]:
            problems.append(f"`retention` is shorter than `{name}`: sessions would be forgotten before they end")
    hashes = "hash" in (values["privacy_ip_address"], values["privacy_user_agent"]) or values["privacy_attributes_hash"]
    if hashes and not values["privacy_key"]:
        problems.append("`privacy_key` is missing: what is hashed without a secret can be found by trying all values")
    return problems
