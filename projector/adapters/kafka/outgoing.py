"""What goes out, as records: snapshots, tombstones and rejects, and the partition of a key."""

import struct
from collections.abc import Callable
from typing import Any

from projector.ports import Change, Partition, Refused
from projector.remembers import remembers
from projector.snapshot import CE_SOURCE, CE_TYPE_TOMBSTONE, Header, headers_of

REJECT_BYTES_MAX = 64 * 1024
"""A rejected value is cut here (contract §2)."""

KEYS_REMEMBERED = 65_536
"""Partitions of keys that are remembered, some 10 MB: the hash takes 4 µs in Python, and sessions come again."""


def partitioner(partitions: int) -> Callable[[str], Partition]:
    """Kafka's default partitioner for a topic of so many partitions, by key (contract §6)."""

    @remembers(KEYS_REMEMBERED)
    def partition_of(key: str) -> Partition:
        return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions

    return partition_of


def murmur2(data: bytes) -> int:
    """Kafka's hash of a key, 32 bits without a sign; word by word, in half of kafka-python's time."""
    words, rest = divmod(len(data), 4)
    hashed = 0x9747B28C ^ len(data)
    for word in struct.unpack_from(f"<{words}I", data):
        mixed = word * _MIX & _WORD
        hashed = (hashed * _MIX & _WORD) ^ ((mixed ^ mixed >> 24) * _MIX & _WORD)
    if rest:
        hashed = (hashed ^ int.from_bytes(data[-rest:], "little")) * _MIX & _WORD
    hashed = (hashed ^ hashed >> 13) * _MIX & _WORD
    return hashed ^ hashed >> 15


_MIX, _WORD = 0x5BD1E995, 0xFFFFFFFF


def snapshot_record(change: Change) -> tuple[bytes | None, list[Header]]:
    """Value and headers of what is published of a session: a tombstone has no value (contract §6)."""
    if change.told is not None:
        return change.told.text, headers_of(change.session_id, change.revision, change.told)
    headers = [
        ("projector.revision", b"%d" % change.revision),
        ("ce_id", f"{change.session_id}/{change.revision}".encode()),
        ("ce_source", CE_SOURCE),
        ("ce_type", CE_TYPE_TOMBSTONE),
        ("ce_specversion", b"1.0"),
    ]
    if change.merged_into is not None:
        headers.append(("projector.merged-into", change.merged_into.encode()))
    return None, headers


def reject_record(refused: Refused, topic: str, *, hidden: bool) -> tuple[bytes | None, bytes, list[Header]]:
    """Key, value and headers of a reject. Hidden: its content is left out, its size and origin stay (contract §7)."""
    record: Any = refused.record
    value = record.value or b""
    kept = b"" if hidden else value[:REJECT_BYTES_MAX]
    headers = [] if hidden else [(name, content or b"") for name, content in record.headers]
    headers.append(("projector.reject.reason", refused.reason.encode()))
    if not hidden:
        headers.append(("projector.reject.detail", refused.detail.encode("utf-8", "replace")))
    headers += [
        ("projector.reject.topic", topic.encode()),
        ("projector.reject.partition", b"%d" % record.partition),
        ("projector.reject.offset", b"%d" % record.offset),
    ]
    if record.timestamp is not None:
        headers.append(("projector.reject.timestamp", b"%d" % record.timestamp))
    if len(kept) < len(value):
        headers.append(("projector.reject.truncated", b"%d" % len(value)))
    return None if hidden else record.key, kept, headers
