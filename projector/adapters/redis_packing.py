"""Commands with thousands of arguments as bytes for the wire, several times cheaper than hiredis packs them.

Law: what is sent is, to the byte, what redis-py's own packer would send.
"""

from itertools import chain, repeat
from typing import Any, cast

from redis.connection import HiredisRespSerializer

WIDE = 64
"""Arguments from which on it pays."""


class WidePacker:
    """Given to a connection as its `command_packer`, a parameter of redis-py's."""

    def __init__(self) -> None:
        self._usual = HiredisRespSerializer()

    def pack(self, *args: Any) -> list[bytes]:
        """Parts to be sent one after the other; `args` are a command of one word, texts, bytes and whole numbers."""
        if len(args) < WIDE:
            return cast("list[bytes]", self._usual.pack(*args))
        parts = [arg if type(arg) is bytes else _encoded(arg) for arg in args]
        heads = map(_HEADS.__getitem__, map(len, parts))
        return [b"".join((b"*%d\r\n" % len(parts), *chain.from_iterable(zip(heads, parts, repeat(b"\r\n")))))]


class _Heads(dict[int, bytes]):
    """A part's length to what stands before it: to look it up takes a fifth of the time of writing it."""

    def __missing__(self, length: int) -> bytes:
        head = b"$%d\r\n" % length
        if length < HEADS_MAX:
            self[length] = head
        return head


HEADS_MAX = 16_384
"""Lengths that are remembered: nearly all keys and records."""
_HEADS = _Heads()


def _encoded(arg: str | int) -> bytes:
    return arg.encode() if isinstance(arg, str) else b"%d" % arg
