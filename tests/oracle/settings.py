"""The settings that change what a session is, with the contract's defaults (contract §9); times in ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MINUTE = 60_000
DAY = 24 * 60 * MINUTE


@dataclass(frozen=True)
class AttributeRule:
    match: str
    to: str = "{name}"
    list: bool = False
    drop: bool = False
    types: tuple[str, ...] | None = None  # None: all


@dataclass(frozen=True)
class Settings:
    retention: int = 7 * DAY  # 0: for ever
    future_tolerance: int = 5 * MINUTE
    timeout_web: int = 30 * MINUTE
    timeout_app: int = 30 * MINUTE
    idle_after: int = 45_000
    away_after: int = MINUTE
    campaign_split: bool = True
    pageview_events: tuple[str, ...] = ("page_viewed",)
    screenview_events: tuple[str, ...] = ("screen_viewed",)
    search_parameters: tuple[str, ...] = ("q", "query", "search", "term")
    attribute_rules: tuple[AttributeRule, ...] = ()

    def timeout_of(self, session_type: str) -> int | None:
        """The timeout of a session type; None: such a session never ends by time (contract §3)."""
        return {"web": self.timeout_web, "app": self.timeout_app}.get(session_type)


def attribute_rules(tables: list[dict[str, Any]]) -> tuple[AttributeRule, ...]:
    """Rules as the environment variable's JSON has them (contract §9)."""
    fixed = [{**table, "types": tuple(table["types"]) if table.get("types") else None} for table in tables]
    return tuple(AttributeRule(**table) for table in fixed)
