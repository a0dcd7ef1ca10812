"""Short ids in this process: which are taken, and whose they are (contract §5, field 7)."""

from collections.abc import Sequence

import xxhash


class ShortIdPool:
    """Numbers of a few digits, each held by one session at a time."""

    def __init__(self) -> None:
        self._short_id_of: dict[str, str] = {}
        self._holder_of: dict[str, str] = {}
        self._retired: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return len(self._holder_of)

    def claim(self, session_id: str, had: str | None, digits: int) -> str | None:
        """The short id that the session holds, else the one it had if that is free, else a free one; None: none is."""
        if session_id in self._short_id_of:
            self._retired.discard((session_id, self._short_id_of[session_id]))
            return self._short_id_of[session_id]
        found = had if had is not None and len(had) == digits and had not in self._holder_of else None
        if found is None:
            found = self._free(session_id, digits)
        if found is not None:
            self._holder_of[found], self._short_id_of[session_id] = session_id, found
        return found

    def retire(self, held: Sequence[tuple[str, str]]) -> None:
        self._retired |= {pair for pair in held if self._holder_of.get(pair[1]) == pair[0]}

    def release(self, held: Sequence[tuple[str, str]]) -> None:
        """Give back those that were retired and not claimed again since."""
        for session_id, short_id in self._retired.intersection(held):
            self._retired.discard((session_id, short_id))
            self.give_back(session_id, short_id)

    def give_back(self, session_id: str, short_id: str) -> None:
        del self._holder_of[short_id], self._short_id_of[session_id]

    def _free(self, session_id: str, digits: int) -> str | None:
        """From the session's own hash on, so that the same log gives the same ids."""
        capacity, taken = 10**digits, self._holder_of
        if len(taken) >= capacity:
            return None
        at = xxhash.xxh3_64_intdigest(session_id.encode()) % capacity
        while (found := f"{at:0{digits}}") in taken:
            at = (at + 1) % capacity
        return found
