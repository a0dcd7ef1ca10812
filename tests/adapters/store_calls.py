"""Writes and questions to a `Store`, short enough for a test's arrangement."""

from __future__ import annotations

from typing import Any

from projector.ports import Saved, Store, Stored, Token, Write
from projector.route import TrackKey, named_track
from projector.session import new_session
from projector.track import Due, Track, encode_track

A, B, C = named_track("a"), named_track("b"), named_track("c")
NOW = 1_700_000_000_000


def track(key: TrackKey, applied: int = 1) -> Track:
    return Track({0: applied}, 0, [new_session(key[2:])])


def record(key: TrackKey, applied: int = 1) -> bytes:
    return encode_track(track(key, applied))


def as_stored(token: Token, held: Track) -> Stored:
    return Stored(token, held, encode_track(held))


def saved(store: Store, *tracks: tuple[TrackKey, Token | None, bytes | None], **rest: Any) -> Saved:
    """Makes a write that is accepted, of a worker that owns no partition unless `expected` says so."""
    result = store.save(0, Write(rest.pop("expected", {}), tracks=list(tracks), **rest))
    assert isinstance(result, Saved), result
    return result


def put(store: Store, key: TrackKey, applied: int = 1, **rest: Any) -> Token:
    """Writes a track whatever is stored of it, and gives its token."""
    before = store.load([key])[key]
    return saved(store, (key, before.token if before else None, record(key, applied)), **rest).tokens[key]


def applied_of(store: Store, key: TrackKey) -> int | None:
    there = store.load([key])[key]
    return None if there is None else there.track.applied[0]


def due_of(store: Store, *partitions: int, before: int = NOW * 2) -> dict[TrackKey, Due]:
    return saved(store, clocks=dict.fromkeys(partitions, before)).due


def notes_of(store: Store, *partitions: int) -> dict[TrackKey, int]:
    return saved(store, clocks=dict.fromkeys(partitions, 0)).notes
