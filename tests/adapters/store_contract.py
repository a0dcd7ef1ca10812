"""What every `Store` promises (ports.py, design §3 step 4): one suite, run by memory and by the real thing."""

from __future__ import annotations

from tests.adapters.store_tracks import PositionContract, ShardContract, TrackContract
from tests.adapters.store_waiting import DeadlineContract, NoteContract, ShortIdContract, SweepContract

__all__ = ["StoreContract"]


class StoreContract(
    PositionContract, TrackContract, DeadlineContract, NoteContract, SweepContract, ShortIdContract, ShardContract
):
    """All of it; subclasses have the fixtures `store` with one shard and `sharded` with four."""
