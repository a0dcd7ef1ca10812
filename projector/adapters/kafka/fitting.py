"""What is published where the topic does not take the whole: a snapshot without its largest members, a shorter reject.

Law: what is left out is named in a header and told, the state keeps it, and no record stops those beside it.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from projector.adapters.kafka.settings import RECORD_BYTES_MAX, KafkaSettings
from projector.adapters.kafka.topics import KafkaTopics
from projector.snapshot import Header

LEFT_OUT = "projector.left-out"
REJECT_LEFT_OUT = "projector.reject.left-out"
_TRUNCATED = "projector.reject.truncated"

ALWAYS_THERE = frozenset("id type eventCount lastEvent durationInSeconds authenticated selfUri createdDate".split())
"""What every snapshot has (contract §6)."""

ASKED_AGAIN_S = 60.0
"""While records are cut the topics are asked so often whether they take more by now."""
SHRINK = 0.75
"""A record that is refused though its topic should take it is made so much smaller each time."""

_BATCH_BYTES = 100
"""A batch's own head is 61 bytes, and a record begins with some numbers."""
_HEADER_BYTES = 12
_NAMES_BYTES = 600
"""Room for the header that names what is left out, if it is everything."""

Record = tuple[bytes | None, list[Header]]
"""Value and headers."""
Compress = Callable[[bytes], bytes] | None


class Cut(Struct, frozen=True):
    """A record that was too large."""

    key: str
    size: int
    """Bytes, uncompressed."""
    bytes_max: int
    left_out: tuple[str, ...]
    """Members of the session, or parts of the rejected record; empty: it could not be published at all."""


class Limits:
    """The most bytes that a record of each topic may have, as far as it is known: first what one request takes."""

    def __init__(self, settings: KafkaSettings, told: Callable[[Cut], None]) -> None:
        self._settings, self._told = settings, told
        request = int(settings.extra.get("max_request_size", RECORD_BYTES_MAX))
        self.request_bytes_max = request
        """Before compression: the client judges so."""
        self.snapshot_bytes_max = self.reject_bytes_max = request
        self._known: dict[str, int] = {}
        self._share = 1.0
        self._is_to_ask = False
        self._ask_again_at = 0.0

    def refused(self) -> None:
        """The broker has refused a record for its size."""
        self._is_to_ask = True

    def ask_if_needed(self) -> None:
        """What the topics take, if a record was refused, or some have been cut since the topics were last asked."""
        if not self._is_to_ask and not 0 < self._ask_again_at < time.monotonic():
            return
        with KafkaTopics(self._settings) as topics:
            known = topics.record_bytes_max()
        self._share *= SHRINK if self._is_to_ask and known == self._known else 1.0
        if known != self._known:
            self._share = 1.0
        self._known, self._is_to_ask, self._ask_again_at = known, False, 0.0
        request = self.request_bytes_max
        self.snapshot_bytes_max, self.reject_bytes_max = (
            int(min(request, known.get(topic, request)) * self._share)
            for topic in (self._settings.output_topic, self._settings.rejects_topic)
        )

    def fit_snapshot(self, key: bytes, value: bytes | None, headers: list[Header], compress: Compress) -> Record | None:
        """As it is where it fits; None where even what is always there does not."""
        size, bytes_max = _size(key, value, headers), self.snapshot_bytes_max
        if size <= bytes_max or self._fits_compressed(size, bytes_max, value, compress):
            return value, headers
        cut = None if value is None else _without_largest(value, bytes_max - _size(key, b"", headers) - _NAMES_BYTES)
        text, left_out = cut if cut is not None else (None, ())
        self._tell(Cut(key.decode(errors="replace"), size, bytes_max, left_out))
        return None if text is None else (text, [*headers, (LEFT_OUT, ",".join(left_out).encode())])

    def fit_reject(
        self, key: bytes | None, value: bytes, headers: list[Header], compress: Compress
    ) -> tuple[bytes | None, bytes, list[Header]]:
        """Without the headers it came with, then without its key, then without its value, as far as is needed."""
        size, bytes_max = _size(key, value, headers), self.reject_bytes_max
        if size <= bytes_max or self._fits_compressed(size, bytes_max, value, compress):
            return key, value, headers
        ours = [(name, content) for name, content in headers if name.startswith("projector.reject.")]
        room, left_out = bytes_max - _NAMES_BYTES, ["headers"]
        kept_key, kept_value = key, value
        if _size(kept_key, kept_value, ours) > room:
            kept_key, left_out = None, [*left_out, "key"]
        if _size(kept_key, kept_value, ours) > room:
            kept_value, left_out = b"", [*left_out, "value"]
            if not any(name == _TRUNCATED for name, _ in ours):
                ours.append((_TRUNCATED, b"%d" % len(value)))
        self._tell(Cut((key or b"").decode(errors="replace"), size, bytes_max, tuple(left_out)))
        return kept_key, kept_value, [*ours, (REJECT_LEFT_OUT, ",".join(left_out).encode())]

    def _fits_compressed(self, size: int, bytes_max: int, value: bytes | None, compress: Compress) -> bool:
        """The topic judges what it stores, the request what is sent before."""
        if compress is None or not value or size > self.request_bytes_max:
            return False
        return size - len(value) + len(compress(value)) <= bytes_max

    def _tell(self, cut: Cut) -> None:
        self._ask_again_at = self._ask_again_at or time.monotonic() + ASKED_AGAIN_S
        self._told(cut)


def _size(key: bytes | None, value: bytes | None, headers: list[Header]) -> int:
    beside = sum(len(name) + len(content) + _HEADER_BYTES for name, content in headers)
    return _BATCH_BYTES + len(key or b"") + len(value or b"") + beside


def _without_largest(text: bytes, bytes_max: int) -> tuple[bytes, tuple[str, ...]] | None:
    """A snapshot without as many of its largest members as is needed, and their names in its order."""
    members = _decode(text)
    size, left_out = len(text), set[str]()
    for name in sorted(members.keys() - ALWAYS_THERE, key=lambda one: (-len(members[one]), one)):
        if size <= bytes_max:
            break
        left_out.add(name)
        size -= len(members[name]) + len(name) + 4  # Two quotes, colon, comma.
    if size > bytes_max:
        return None
    kept = _encode({name: value for name, value in members.items() if name not in left_out})
    return kept, tuple(name for name in members if name in left_out)


_decode: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
