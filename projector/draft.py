"""A turn in the making: tracks changed in memory, nothing written."""

from collections import Counter

import msgspec
from msgspec import Struct

from projector.ports import Offset, Partition, Saved, Token
from projector.route import TrackKey
from projector.track import Account, Due, Incoming

UNWRITTEN = Token(b"")
"""The token of a track that the store has not seen yet."""


class Draft(Struct):
    """A turn in the making."""

    work: dict[TrackKey, list[Incoming]]
    end_clocks: dict[Partition, int]
    next: dict[Partition, Offset]
    due: dict[TrackKey, Due]
    """Tracks that take part because their deadline has passed."""
    noted: dict[TrackKey, Partition]
    """Tracks that take part because somebody left a note."""
    touched: dict[TrackKey, None]
    """All tracks that take part, in order: with records, by a link, noted, or due."""
    consulted: set[TrackKey] = set()
    """Visitors' tracks that an id leads to: compared with what is stored also where nothing was found there."""
    changed: set[TrackKey] = set()
    """Those that differ from what is stored."""
    calls: dict[TrackKey, int | None] = {}
    """When the store was to call for each, as it was before the turn (ms)."""
    accounts: dict[TrackKey, list[Account]] = {}
    """By track what became of its records."""
    shown: set[str] = set()
    """Ids of the sessions to be published."""
    withdrawn: dict[TrackKey, set[str]] = {}
    """By visitor's track the merged ids whose tombstones are to be published."""
    adopted: dict[TrackKey, list[TrackKey]] = {}
    """By visitor's track the named tracks that it took over, whose ids lead to it from now on."""
    live_before: set[str] = set()
    """Ids of sessions that had a right to a short id before the turn."""
    claimed: set[str] = set()
    """Ids of sessions for which a short id has been asked since the draft, or a part of it, was last begun."""
    retired: list[tuple[TrackKey, str, str]] = []
    """Short ids to be given back once the turn is published: track, session id, short id."""
    ends: int = 0
    cuts: Counter[str] = msgspec.field(default_factory=Counter)
    without_short_id: int = 0
    linked: bool = False
    """Facts went from one track to another: positions are written once all shards have them."""
    left: set[TrackKey] = set()
    """Tracks that were noted for their home, or for later, and so are not published now."""
    saved: dict[int, Saved] = {}
    """By shard the answer of its last write."""
