"""`kcat`, a client that shares nothing with the projector: how records go in and how what was published is read.

Law: `read` gives what a reader of committed records finds, in order within each partition.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_S = 60.0
_FROM_START = ("-o", "beginning", "-J", "-q", "-X", "isolation.level=read_committed", "-X", "fetch.wait.max.ms=50")


@dataclass(frozen=True)
class Message:
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str | None
    value: bytes | None
    headers: dict[str, str]

    @property
    def revision(self) -> int:
        return int(self.headers["projector.revision"])


def write(
    bootstrap: str, topic: str, records: Iterable[tuple[str | None, bytes]], *, partition: int | None = None
) -> None:
    """Records of key and value, none of which holds a line feed; by key where Kafka's own clients would put them."""
    lines = [b"%b\t%b\n" % ((key or "").encode(), value) for key, value in records]
    place = ["-X", "partitioner=murmur2_random"] if partition is None else ["-p", str(partition)]
    _kcat("-P", "-b", bootstrap, "-t", topic, "-K", "\t", *place, stdin=b"".join(lines))


def read(bootstrap: str, topic: str) -> list[Message]:
    """All that is there and committed."""
    return _messages(_kcat("-C", "-b", bootstrap, "-t", topic, *_FROM_START, "-e"))


def read_first(bootstrap: str, topic: str, count: int) -> list[Message]:
    """Waits until so many records are committed, and gives those."""
    return _messages(_kcat("-C", "-b", bootstrap, "-t", topic, *_FROM_START, "-c", str(count)))


def _messages(lines: bytes) -> list[Message]:
    found = [_message(json.loads(line.decode("utf-8", "surrogateescape"))) for line in lines.splitlines()]
    return sorted(found, key=lambda message: (message.partition, message.offset))


def _message(told: dict[str, Any]) -> Message:
    """kcat writes bytes that are no UTF-8 as they are, and headers as one list."""
    headers, value = told.get("headers", []), told["payload"]
    return Message(
        topic=told["topic"],
        partition=told["partition"],
        offset=told["offset"],
        timestamp=told["ts"],
        key=told["key"],
        value=None if value is None else value.encode("utf-8", "surrogateescape"),
        headers=dict(zip(headers[::2], headers[1::2], strict=True)),
    )


def _kcat(*words: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["kcat", *words], input=stdin, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout
