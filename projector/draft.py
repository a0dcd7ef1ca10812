"""A turn in the making: tracks changed in memory, nothing written."""

from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from projector.cache import Cached
from projector.ports import Offset, Partition, Saved
from projector.route import TrackKey
from projector.session import Session
from projector.track import Account, Due, Incoming, Outcome


class Draft(Struct):
    """A turn in the making."""

    end_clocks: dict[Partition, int]
    next: dict[Partition, Offset]
    due: dict[TrackKey, Due]
    """Tracks that take part because their deadline has passed."""
    noted: dict[TrackKey, Partition]
    """Tracks that take part because somebody left a note."""
    touched: dict[TrackKey, Cached] = {}
    """All tracks that take part: with records, by a link, noted, or due."""
    records: dict[TrackKey, list[Incoming]] = {}
    """By track the records that were given to it."""
    odd: dict[TrackKey, list[Account]] = {}
    """By track what became of those records that were not simply folded."""
    unsettled: dict[TrackKey, None] = {}
    """Tracks of which it has still to be worked out what follows from them, once facts have gone where they belong."""
    talking: dict[TrackKey, None] = {}
    """Tracks that may hold a conversation's own facts."""
    consulted: set[TrackKey] = set()
    """Visitors' tracks that an id leads to: compared with what is stored also where nothing was found there."""
    calls: dict[TrackKey, tuple[Due | None, Due]] = {}
    """Deadlines to be set: the entry that goes (where it was another partition's), and the one that is set."""
    shown: set[str] = set()
    """Ids of the sessions to be published where not all of their track are."""
    withdrawn: dict[TrackKey, set[str]] = {}
    """By visitor's track the merged ids whose tombstones are to be published."""
    adopted: dict[TrackKey, list[TrackKey]] = {}
    """By visitor's track the named tracks that it took over, whose ids lead to it from now on."""
    wanted: list[tuple[Cached, Session]] = []
    """Sessions that need a short id."""
    ended: dict[TrackKey, list[tuple[str, str]]] = {}
    """By track the (session id, short id) of its sessions that have ended."""
    retired: list[tuple[TrackKey, str, str]] = []
    """Short ids to be given back once the turn is published: track, session id, short id."""
    ends: int = 0
    cuts: Counter[str] = msgspec.field(default_factory=Counter)
    without_short_id: int = 0
    linked: bool = False
    """Facts went from one track to another: positions are written once all shards have them."""
    left: dict[TrackKey, Partition] = {}
    """Tracks to be noted for their home, or for later, and so not published now; with their home."""
    saved: dict[int, Saved] = {}
    """By shard the answer of its last write."""

    def enter(self, cached: Cached, records: Sequence[Incoming], odd: Sequence[Account]) -> None:
        """Say what became of records that a track was given; `odd` are those that were not simply folded."""
        if odd:
            self.odd[cached.key] = [*self.odd.get(cached.key, ()), *odd]
        if len(odd) < len(records) or any(outcome is not Outcome.REDELIVERED for _, outcome in odd):
            cached.is_changed = True
