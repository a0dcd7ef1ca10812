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
from projector.session import Session, ended_at, is_published, type_of
from projector.track import Track, decode_track, encode_track, next_due

BESIDE_BYTES = 700
"""What a track takes in memory beside its record: its key, its token, and what follows from it."""

UNWRITTEN = Token(b"")
"""The token of a track that the store has not seen yet."""


class Cached:
    """A track in memory. No Struct: its parts are set with every event, which costs a Struct five times as much."""

    __slots__ = (
        "_track",
        "call",
        "change",
        "is_changed",
        "is_used",
        "key",
        "live",
        "past",
        "record",
        "shard",
        "timed",
        "token",
    )

    def __init__(self, key: TrackKey, shard: int, stored: Stored | None, rules: Rules) -> None:
        self.key, self.shard = key, shard
        stored = Stored(UNWRITTEN, Track(), b"") if stored is None else stored
        track, self.token = stored.track, stored.token
        self._track: Track | None = track
        self.record = stored.record
        """The track encoded: what is kept from turn to turn. Older than `track` while that is changed and held."""
        self.is_changed = False
        """It differs from what is stored."""
        self.is_used = True
        """Since it was looked at last to be forgotten."""
        self.call = next_due(track, rules)
        """When the store is to call for it, ms."""
        self.live = tuple(session.id for session in track.sessions if is_live(session, rules))
        """Ids of its sessions that have a right to a short id."""
        self.timed = timed_of(track, self.live, rules)
        """Ids of those of them that end by time."""
        self.past: tuple[str, ...] = ()
        """Ids of its visits that had ended when it was loaded: whether their ends are published is not known here."""
        if track.visits is not None:
            self.past = tuple(one.id for one in track.sessions if one.expired)
        self.change: Change | None = None
        """What this turn has to tell of it, where that is its one session as it is now."""

    @property
    def track(self) -> Track:
        """To be read and changed; held until `let_go`. What is changed counts if `is_changed` says so."""
        track = self._track
        if track is None:
            track = self._track = self.passing()
        return track

    def passing(self) -> Track:
        """As `track`, but not held: who changes it has to `keep` it."""
        return self._track or (decode_track(self.record) if self.record else Track())

    def keep(self, track: Track, *, held: bool) -> None:
        """Take over what `passing` gave; where it need not be held, it is encoded while it is at hand."""
        self._track = track if held else None
        if self.is_changed and not held:
            self.record = encode_track(track)

    def encoded(self) -> bytes:
        """The track as it is now."""
        if self._track is not None:
            self.record = encode_track(self._track)
        return self.record

    def let_go(self) -> None:
        """The turn is over: what was changed is encoded, and saved."""
        self._track = None


def is_live(session: Session, rules: Rules) -> bool:
    """Published and not ended: it has a right to a short id."""
    return is_published(session) and ended_at(session, rules) is None


def timed_of(track: Track, live: tuple[str, ...], rules: Rules) -> tuple[str, ...]:
    """Those of the ids of its live sessions that end by time; mostly all."""
    timeless = [one.id for one in track.sessions if one.id in live and rules.timeout_of(type_of(one)) is None]
    return tuple(one for one in live if one not in timeless) if timeless else live


class CacheBounds(Struct, frozen=True):
    tracks: int = 200_000
    memory: int = 512_000_000
    """Bytes."""


class Cache:
    """Keeps a life's tracks within bounds: the oldest go first, but each that was used meanwhile has a second chance.

    What they take is counted exactly only when it may be too much: until then each turn adds what it touched, which
    counts a track that is touched again twice, and so never too little.
    """

    def __init__(self, tracks: dict[TrackKey, Cached], bounds: CacheBounds) -> None:
        self._tracks, self._tracks_max, self._bytes_max = tracks, bounds.tracks, bounds.memory
        self._bytes = 0
        """At most so many are remembered."""

    def trim(self, touched: Iterable[Cached]) -> int:
        """Let go, and forget what is too much, after a turn that touched these; gives the bytes of their records."""
        record_bytes = count = 0
        for cached in touched:
            cached.let_go()
            record_bytes += len(cached.record)
            count += 1
        self._bytes += record_bytes + count * BESIDE_BYTES
        if self._bytes > self._bytes_max:
            self._bytes = sum([_bytes_of(cached) for cached in self._tracks.values()])
            if self._bytes > self._bytes_max:
                self._forget_down_to(self._bytes_max * 7 // 8)  # Else the next turn would count again.
        self._forget_down_to(self._bytes)
        return record_bytes

    def _forget_down_to(self, bytes_max: int) -> None:
        """Many are looked up in a walk: a dict's front is full of gaps where others went, which each walk crosses."""
        tracks = self._tracks
        while tracks and (self._bytes > bytes_max or len(tracks) > self._tracks_max):
            for key in list(islice(tracks, max(len(tracks) - self._tracks_max, 1 + len(tracks) // 16))):
                if self._bytes <= bytes_max and len(tracks) <= self._tracks_max:
                    return
                cached = tracks.pop(key)
                if cached.is_used:
                    cached.is_used = False
                    tracks[key] = cached
                else:
                    self._bytes -= _bytes_of(cached)


def _bytes_of(cached: Cached) -> int:
    return BESIDE_BYTES + len(cached.record)
