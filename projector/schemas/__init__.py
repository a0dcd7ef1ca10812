"""The documents of `schemas/`: every message we read or write, in words that other programs understand.

They are made from the Structs and the example events alone, so the same code gives the same bytes; a test compares.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from projector.schemas import asyncapi, examples, inputs, outputs
from projector.schemas.model import VERSION, Schema, urn_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[str, Any]:
    """Path below `schemas/` to the JSON document there."""
    by_path: dict[str, Any] = {
        f"{VERSION}/{name}.schema.json": _headed(name, schema) for name, schema in schemas().items()
    }
    by_path[f"{VERSION}/asyncapi.json"] = asyncapi.document()
    return by_path | {f"{VERSION}/examples/{name}.json": message for name, message in examples.messages().items()}


def schemas() -> dict[str, Schema]:
    """Name to JSON Schema, what comes in before what goes out."""
    return inputs.schemas() | outputs.schemas()


def text_of(document: Any) -> str:
    """A document as it lies on disk: short lists and objects of one member stay on one line, to be read at a glance."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return _PLAIN_LIST.sub(_on_one_line, _ONE_MEMBER.sub(r"{\1}", text)) + "\n"


_PLAIN_LIST = re.compile(r"\[\n\s+([^\[\]{}]*?)\n\s+\]")
_ONE_MEMBER = re.compile(r'\{\n\s+("[^"\n]*": [^\[\]{}\n]*)\n\s+\}')
"""A bracket before a line's end is never inside a string: JSON escapes those."""


def _on_one_line(found: re.Match[str]) -> str:
    line = "[" + re.sub(r",\n\s+", ", ", found[1]) + "]"
    return line if len(line) <= 100 else found[0]


def _headed(name: str, schema: Mapping[str, Any]) -> Schema:
    return {"$schema": DIALECT, "$id": urn_of(name), **schema}
