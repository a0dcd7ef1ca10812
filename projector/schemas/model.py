"""From Structs to JSON Schema 2020-12, in the short form that people read; what both directions share."""

from collections.abc import Iterator
from typing import Any

import msgspec

from projector.snapshot import SCHEMA

Schema = dict[str, Any]

VERSION = f"v{SCHEMA}"
"""The folder that the documents lie in: what a reader finds in the header `projector.schema`."""

_REF = "#/$defs/"


def urn_of(name: str) -> str:
    """A name that needs no host: it tells schemas apart, it leads nowhere."""
    return f"urn:session-projector:{VERSION}:{name}"


def ref(name: str) -> Schema:
    return {"$ref": _REF + name}


def text(description: str | None = None, **more: Any) -> Schema:
    """The schema of a string."""
    return {"type": "string", **({"description": description} if description else {}), **more}


def definitions(*types: type) -> dict[str, Schema]:
    """Name to schema of the Structs and of all that they refer to; null is allowed where a Struct takes None."""
    _, components = msgspec.json.schema_components(types, ref_template=_REF + "{name}")
    return {name: _short(schema) for name, schema in sorted(components.items())}


def described(schema: Schema, words: dict[str, str]) -> Schema:
    """The schema of an object with descriptions for these members."""
    assert words.keys() <= schema["properties"].keys(), words.keys() - schema["properties"].keys()
    properties = {
        name: {**member, "description": words[name]} if name in words else member
        for name, member in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def with_definitions(schema: Schema, known: dict[str, Schema]) -> Schema:
    """A schema that stands alone: with the definitions that it leads to, and no others."""
    needed: set[str] = set()
    waiting = list(_names_in(schema))
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += _names_in(known[name])
    return {**schema, "$defs": {name: known[name] for name in sorted(needed)}}


def _names_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(_REF)
        for inner in node.values():
            yield from _names_in(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _names_in(inner)


def _short(node: Any) -> Any:
    """Without defaults that say nothing, and with `anyOf` of plain types as a list of types."""
    if isinstance(node, list):
        return [_short(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    short = {
        name: _short(inner)
        for name, inner in node.items()
        if name != "default" and not (name == "required" and inner == [])
    }
    return _joined(short.pop("anyOf")) | short if "anyOf" in short else short


def _joined(choices: list[Schema]) -> Schema:
    plain = [choice for choice in choices if isinstance(choice.get("type"), str) and "properties" not in choice]
    others = [choice for choice in choices if choice not in plain]
    types = [choice["type"] for choice in plain]
    if "number" in types and "integer" in types:  # Every integer is a number.
        types.remove("integer")
    # Bounds and members may stand beside several types: each says nothing of values of another type.
    bounds = {name: value for choice in plain for name, value in choice.items() if name != "type"}
    joined = {"type": types[0] if len(types) == 1 else types, **bounds}
    return {"anyOf": [*others, joined]} if others else joined
