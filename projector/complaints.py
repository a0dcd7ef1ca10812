"""What is wrong with a record, in words for a person: which member, where, and what was expected (contract §2)."""

import re
from typing import Any

import msgspec
from msgspec import Raw

from projector.models import AttributeValue

_BEYOND_DOUBLE = re.compile(rb"\d{309}")
_CUT_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}[^\\]{0,8}\s*\Z")
_PLACE = re.compile(r" - at `\$(.*)`\Z")


def short(text: str) -> str:
    """A name or value, quoted, cut where it is long."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def is_beyond_double(wrong: msgspec.ValidationError, value: bytes | Raw) -> bool:
    """Whether a number is outside a double, which is no JSON by the contract; one only past 64 bits is."""
    said = str(wrong)
    return "out of range" in said or ("Expected `int` " in said and _BEYOND_DOUBLE.search(bytes(value)) is not None)


def located(said: str, at: str) -> str:
    """What msgspec says of a value that stands at `at` in the record, `.eventBody` for one, with its whole path."""
    found = _PLACE.search(said)
    return f"{said} - at `${at}`" if found is None else f"{said[: found.start()]} - at `${at}{found[1]}`"


def named(said: str, value: bytes | Raw) -> str:
    """The same with the name of the attribute that is wrong: msgspec says `[...]` for it."""
    before, is_of_many, _ = said.partition("[...]")
    if not is_of_many or not before.endswith((".attributes", ".traits")):
        return said
    try:
        held: Any = msgspec.json.decode(value)
        for member in before.rpartition("`$.")[2].removeprefix("eventBody.").split("."):
            held = held[member]
        wrong = next(name for name in held if not _is_attribute(held[name]))
    # Of members given twice only the last is found, which may be anything; what is not read may be no UTF-8.
    except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError, StopIteration):
        return said
    return said.replace("[...]", f"[{short(wrong)}]")


def _is_attribute(value: Any) -> bool:
    try:
        msgspec.convert(value, AttributeValue)
    except msgspec.ValidationError:
        return False
    return True


def not_json(broken: Exception, value: bytes) -> str:
    """Why a value is no JSON."""
    if isinstance(broken, UnicodeDecodeError):
        return f"bad UTF-8: {broken.reason} (byte {broken.object[broken.start]:#04x})"
    if isinstance(broken, RecursionError):
        return "nested too deeply"
    if "truncated" in str(broken) and _CUT_SURROGATE.search(value[-64:]):
        return "JSON is malformed: half of a surrogate pair, and then the end"
    return str(broken)
