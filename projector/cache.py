"""The state that a worker remembers between turns: tracks, with what follows from each; bounded in number and memory.

Law: what is remembered saves work and nothing else; whatever is forgotten is loaded again. What stands beside a track
is as the store has it once the turn is saved: who changes a track works it out again in the same turn.
"""

from collections.abc import Iterable
from itertools import islice

from msgspec import Struct

from projector.ports import Change, Stored, Token
from projector.route import TrackKey
from projector.rules import Rules
from projector.session import Session, ended_at, is_published
from projector.track import Track, next_due

MEMORY_RATIO = 6
"""A track in memory takes 5 to 7 times the bytes of its record; one that is mostly large texts not twice as many."""

UNWRITTEN = Token(b"")
"""The token of a track that the store has not seen yet."""


class Cached:
    """A track in memory. No Struct: its parts are set with every event, which costs a Struct five times as much."""

    __slots__ = ("call", "change", "is_changed", "is_used", "key", "live", "past", "shard", "size", "token", "track")

    def __init__(self, key: TrackKey, shard: int, stored: Stored | None, rules: Rules) -> None:
        self.key, self.shard = key, shard
        stored = Stored(UNWRITTEN, Track()) if stored is None else stored
        self.track, self.token = stored.track, stored.token
        self.size = stored.size
        """Bytes of its record."""
        self.is_changed = False
        """It differs from what is stored."""
        self.is_used = True
        """Since it was looked at last to be forgotten."""
        self.call = next_due(self.track, rules)
        """When the store is to call for it, ms."""
        self.live = tuple(session.id for session in self.track.sessions if is_live(session, rules))
        """Ids of its sessions that have a right to a short id."""
        self.past: tuple[str, ...] = ()
        """Ids of its visits that had ended when it was loaded: whether their ends are published is not known here."""
        if self.track.visits is not None:
            self.past = tuple(one.id for one in self.track.sessions if one.expired)
        self.change: Change | None = None
        """What this turn has to tell of it, where that is its one session as it is now."""


def is_live(session: Session, rules: Rules) -> bool:
    """Published and not ended: it has a right to a short id."""
    return is_published(session) and ended_at(session, rules) is None


class CacheBounds(Struct, frozen=True):
    tracks: int = 50_000
    memory: int = 512_000_000
    """Bytes, worked out from those of the records."""


class Cache:
    """Keeps a life's tracks within bounds: the oldest go first, but each that was used meanwhile has a second chance.

    What they take is counted exactly only when it may be too much: until then each turn adds what it touched, which
    counts a track that is touched again twice, and so never too little.
    """

    def __init__(self, tracks: dict[TrackKey, Cached], bounds: CacheBounds) -> None:
        self._tracks, self._tracks_max = tracks, bounds.tracks
        self._record_bytes_max = bounds.memory // MEMORY_RATIO
        self._record_bytes = 0
        """At most so many bytes of records are remembered."""

    def trim(self, touched: Iterable[Cached]) -> int:
        """Forget what is too much, after a turn that touched these; gives the bytes of their records."""
        bytes_touched = sum([cached.size for cached in touched])
        self._record_bytes += bytes_touched
        if self._record_bytes > self._record_bytes_max:
            self._record_bytes = sum([cached.size for cached in self._tracks.values()])
            if self._record_bytes > self._record_bytes_max:
                self._forget_down_to(self._record_bytes_max * 7 // 8)  # Else the next turn would count again.
        self._forget_down_to(self._record_bytes)
        return bytes_touched

    def _forget_down_to(self, record_bytes: int) -> None:
        """Many are looked up in a walk: a dict's front is full of gaps where others went, which each walk crosses."""
        tracks = self._tracks
        while tracks and (self._record_bytes > record_bytes or len(tracks) > self._tracks_max):
            for key in list(islice(tracks, max(len(tracks) - self._tracks_max, 1 + len(tracks) // 16))):
                if self._record_bytes <= record_bytes and len(tracks) <= self._tracks_max:
                    return
                cached = tracks.pop(key)
                if cached.is_used:
                    cached.is_used = False
                    tracks[key] = cached
                else:
                    self._record_bytes -= cached.size
