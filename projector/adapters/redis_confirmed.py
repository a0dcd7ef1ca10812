"""Which tracks a save need not compare with what is stored, because nobody can have written them since this store did.

Law: a track is confirmed only by a save that was made, while the shard's `by` is the one that this save left there.

Everything that writes or removes a track of a shard is save.lua, and each such run sets the shard's `by` to its own
token, which is new. So while `by` is what it was, no track has changed: one that the last save wrote or compared, or
that was confirmed before it under an unbroken row of `by`s of our own, is as we know it. It need not be read again;
`by` stands for all. If `by` is another one, the script compares every track and nothing stays confirmed but these.

- A shard that lost its last writes, or all, lost the `by`s of them with the tracks: it is in the shard's slot, and
  written by the same script. If it is ours again, the tracks are those of then.
- Two workers that write to a shard in turn find each other's `by`, and compare all, each time.
- What is loaded is not confirmed: it may be read before or after what others wrote, or from a server that is about to
  be replaced. Its first save compares it.
- A save whose answer is lost ends the life, and a new life begins with nothing confirmed.
"""

from collections.abc import Iterable, Mapping, Sequence

from projector.ports import Token
from projector.route import TrackKey

CONFIRMED_MAX = 500_000
"""Tracks of all shards that are remembered, some 100 bytes each; beyond it they are compared once more."""


class Confirmed:
    """Of one shard; empty when a life begins."""

    def __init__(self, tracks_max: int) -> None:
        self.by = ""
        """As the last answer had it."""
        self._tokens: dict[TrackKey, Token] = {}
        self._tracks_max = tracks_max

    def unsure(self, tracks: Sequence[tuple[TrackKey, Token | None]]) -> list[int]:
        """Which of these have to be compared also while `by` is the same; numbers from 1 on, as Lua counts."""
        known = self._tokens.get
        return [place for place, (key, was) in enumerate(tracks, 1) if was is None or known(key) != was]

    def accept(self, by: str, stored: Mapping[TrackKey, Token], gone: Iterable[TrackKey], *, same: bool) -> None:
        """After a save: its `by`, what it found or left stored, and what it may have removed."""
        if not same or len(self._tokens) > self._tracks_max:
            self._tokens.clear()
        self.by = by
        self._tokens.update(stored)
        for key in gone:
            self._tokens.pop(key, None)
