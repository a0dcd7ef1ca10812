"""What a worker remembers of its tracks: within bounds of number and memory, and the ones in use stay."""

from __future__ import annotations

import pytest

from projector.cache import BESIDE_BYTES, Cache, CacheBounds, Cached
from projector.ports import Stored, Token
from projector.route import TrackKey, named_track
from projector.rules import Rules
from projector.track import Track

Tracks = dict[TrackKey, Cached]


def tracks_of(*names: str, size: int = 10) -> Tracks:
    """Loaded in this order, and not used since."""
    tracks = {}
    for name in names:
        key = named_track(name)
        tracks[key] = Cached(key, 0, Stored(Token(b"token"), Track(), bytes(size)), Rules())
        tracks[key].is_used = False
    return tracks


def names_of(tracks: Tracks) -> str:
    return "".join(key.removeprefix("s:") for key in tracks)


def test_what_was_loaded_first_is_forgotten_first() -> None:
    tracks = tracks_of(*"abcde")

    Cache(tracks, CacheBounds(tracks=3)).trim([])

    assert names_of(tracks) == "cde"


def test_a_track_that_was_used_meanwhile_outlives_those_that_were_not() -> None:
    tracks = tracks_of(*"abcde")
    tracks[named_track("a")].is_used = True

    Cache(tracks, CacheBounds(tracks=3)).trim([])

    assert names_of(tracks) == "dea"


def test_a_use_counts_once() -> None:
    tracks = tracks_of(*"abcde")
    tracks[named_track("a")].is_used = True
    Cache(tracks, CacheBounds(tracks=3)).trim([])

    Cache(tracks, CacheBounds(tracks=1)).trim([])

    assert names_of(tracks) == "a"
    Cache(tracks, CacheBounds(tracks=0)).trim([])
    assert tracks == {}


def test_where_all_are_in_use_the_bound_holds_all_the_same() -> None:
    tracks = tracks_of(*"abcde")
    for cached in tracks.values():
        cached.is_used = True

    Cache(tracks, CacheBounds(tracks=2)).trim([])

    assert len(tracks) == 2


@pytest.mark.parametrize(("too_few", "stay"), [(0, 16), (1, 13)])
def test_more_memory_than_the_bound_goes_down_to_seven_eighths_of_it(too_few: int, stay: int) -> None:
    """16 records of 10 bytes; exactly as many bytes as the bound are not too much."""
    tracks = tracks_of(*"abcdefghijklmnop")

    bounds = CacheBounds(memory=16 * (10 + BESIDE_BYTES) - too_few)
    taken = Cache(tracks, bounds).trim(tracks.values())

    assert taken == 160
    assert len(tracks) == stay


def test_a_track_touched_in_every_turn_is_counted_once_before_anything_is_forgotten() -> None:
    tracks = tracks_of("a")
    cache = Cache(tracks, CacheBounds(memory=15 + BESIDE_BYTES))

    for _ in range(9):
        cache.trim(tracks.values())

    assert names_of(tracks) == "a"
