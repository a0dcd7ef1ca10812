"""What an operator may decide about the fold: values only, built by `config`, passed down as one frozen object."""

from fnmatch import translate
from functools import lru_cache
from re import Pattern
from re import compile as compile_pattern

from msgspec import Struct

from projector.enrich.privacy import Privacy
from projector.remembers import LENGTH_MAX

MINUTE, DAY = 60_000, 86_400_000


class AttributeRule(Struct, frozen=True, forbid_unknown_fields=True):
    """Where event attributes whose name matches go: `to` may hold `{name}`; the first rule that matches counts."""

    match: str
    to: str = "{name}"
    list: bool = False
    drop: bool = False
    types: tuple[str, ...] = ()


class Rules(Struct, frozen=True):
    """Everything the fold needs to know beside the events; times in ms."""

    timeout_web: int = 30 * MINUTE
    timeout_app: int = 30 * MINUTE
    retention: int = 7 * DAY
    future_tolerance: int = 5 * MINUTE
    idle_after: int = 45_000
    away_after: int = 60_000
    campaign_split: bool = True
    pageview_events: frozenset[str] = frozenset({"page_viewed"})
    screenview_events: frozenset[str] = frozenset({"screen_viewed"})
    search_parameters: tuple[str, ...] = ("q", "query", "search", "term")
    attribute_rules: tuple[AttributeRule, ...] = ()
    short_id_digits: int = 6
    event_ids_max: int = 4096
    attributes_max: int = 500
    list_values_max: int = 500
    search_terms_max: int = 100
    outcomes_max: int = 500
    segments_max: int = 500
    channels_max: int = 100
    conversations_max: int = 100
    """How many conversations of one journey session are told apart; the ones with the latest events stay."""
    url_parts: bool = True
    campaigns: bool = True
    referrers: bool = True
    agents: bool = True
    drop_bots: bool = False
    """Web and app events of bots are counted and nothing else."""
    privacy: Privacy = Privacy()

    def timeout_of(self, session_type: str) -> int | None:
        """After how long without activity a session of this type ends; None: never by time (contract §3)."""
        return self.timeout_web if session_type == "web" else self.timeout_app if session_type == "app" else None


@lru_cache(maxsize=512)
def _pattern(glob: str) -> Pattern[str]:
    return compile_pattern(translate(glob))


def target_of(rules: tuple[AttributeRule, ...], name: str, session_type: str | None) -> tuple[str, bool] | None:
    """Which session attribute an event attribute goes to and whether that is a list; None when it is dropped."""
    if not rules:
        return name, False
    return (_remembered_target if len(name) <= LENGTH_MAX else _target)(rules, name, session_type)


def _target(rules: tuple[AttributeRule, ...], name: str, session_type: str | None) -> tuple[str, bool] | None:
    rule = _rule(rules, name, session_type)
    return None if rule is None or rule.drop else (rule.to.replace("{name}", name), rule.list)


_remembered_target = lru_cache(maxsize=65_536)(_target)


def rule_of(rules: tuple[AttributeRule, ...], name: str, session_type: str | None) -> str:
    """Which rule decides about an event attribute, in words."""
    rule = _rule(rules, name, session_type)
    if rule is None:
        return "dropped: no rule matches"
    number = f"rule {rules.index(rule) + 1} ({rule.match})"
    if rule.drop:
        return f"dropped by {number}"
    return f"{'into the list' if rule.list else 'to'} {rule.to.replace('{name}', name)} by {number}"


def _rule(rules: tuple[AttributeRule, ...], name: str, session_type: str | None) -> AttributeRule | None:
    for rule in rules:
        if (not rule.types or session_type in rule.types) and _pattern(rule.match).match(name):
            return rule
    return None
