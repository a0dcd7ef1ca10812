"""The projection of event attributes to session attributes (contract §5 rows 10 and 11, §9 `attribute_rules`)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.oracle.read import Event
    from tests.oracle.settings import AttributeRule, Settings

NAMES_MAX = 500
VALUES_MAX = 500


def attribute_fields(visitor_events: list[Event], settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """`attributes` and `attributeLists`, from visitor events in order."""
    single: dict[str, Any] = {}
    lists: dict[str, Any] = {}
    for event in visitor_events:
        for target, is_list, attribute in projected(event, settings.attribute_rules):
            if not is_list:
                single[target] = attribute
                continue
            made = lists.setdefault(target, {"dataType": attribute["dataType"], "values": []})
            if attribute["value"] not in made["values"]:
                made["values"].append(attribute["value"])
    for made in lists.values():
        del made["values"][VALUES_MAX:]
    return least(single), least(lists)


def least(named: dict[str, Any]) -> dict[str, Any]:
    names = sorted(named, key=lambda name: name.encode())[:NAMES_MAX]
    return {name: named[name] for name in names}


def projected(event: Event, rules: tuple[AttributeRule, ...]) -> Iterator[tuple[str, bool, dict[str, str]]]:
    """(name, whether it is a list, attribute), the greater name last, so that it wins."""
    attributes = event.payload.get("attributes", {}) if event.kind != "conversation" else {}
    own_type = event.session_type or (event.kind if event.kind in ("web", "app") else None)
    for name in sorted(attributes, key=lambda name: name.encode()):
        if not rules:
            yield name, False, attributes[name]
            continue
        matching = [rule for rule in rules if fnmatchcase(name, rule.match) and applies(rule, own_type)]
        if matching and not matching[0].drop:
            yield matching[0].to.replace("{name}", name), matching[0].list, attributes[name]


def applies(rule: AttributeRule, own_type: str | None) -> bool:
    return rule.types is None or own_type in rule.types
