"""The ledger of one partition: what became of every record that was read; it always balances (contract §8, law 6).

It is committed together with the offset, in the offset's metadata, so a kill can neither lose nor repeat a count.
"""

import msgspec
from msgspec import Struct

from projector.decode import Reason


class Ledger(Struct, array_like=True):
    """Counts of records, from where the namespace began. Committed: fields are appended at the end, never moved."""

    read: int = 0
    folded: int = 0
    duplicates: int = 0
    redelivered: int = 0
    tombstones: int = 0
    clamped: int = 0
    """Records among the others whose time was in the future and was cut."""
    skipped: int = 0
    """Records that the log no longer held when they were due: a gap that was accepted by a setting."""
    rejected: dict[str, int] = {}
    bots: int = 0
    """Records among the tombstones that were events of bots, dropped by a setting."""

    def reject(self, reason: Reason) -> None:
        self.rejected[reason.value] = self.rejected.get(reason.value, 0) + 1

    def balance(self) -> int:
        """Records read and not accounted for; anything but 0 is a bug."""
        known = self.folded + self.duplicates + self.redelivered + self.tombstones + sum(self.rejected.values())
        return self.read - known


def total(ledgers: list[Ledger]) -> Ledger:
    """The sum of several partitions."""
    summed = Ledger()
    for ledger in ledgers:
        for name in ("read", "folded", "duplicates", "redelivered", "tombstones", "clamped", "skipped", "bots"):
            setattr(summed, name, getattr(summed, name) + getattr(ledger, name))
        for reason, count in ledger.rejected.items():
            summed.rejected[reason] = summed.rejected.get(reason, 0) + count
    return summed


class Mark(Struct, array_like=True):
    """What is committed beside an offset: the partition's clock there (ms, None before any event) and its ledger."""

    clock: int | None = None
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    origin: int = 0
    """The offset at which the namespace began to read the partition."""
    end_clock: int | None = None
    """The greatest end clock that has been used (ms): what had ended by it stays so for readers after a loss."""
    silent_from: tuple[int, int | None] | None = None
    """Offset and clock at which a catching-up began, over records that a shard had already, whose notes are not all
    published: a new life reads from there.

    A note that is left where a record was only skipped comes with no new position, so a store that loses it does not
    show the loss.
    """

    def encode(self) -> str:
        """The offset's metadata: some 100 bytes; brokers take 4,096 by default."""
        return msgspec.json.encode(self).decode()


def mark_of(metadata: str) -> Mark:
    """The mark of a committed offset; an empty one for what another tool committed."""
    try:
        return _decode(metadata)
    except msgspec.MsgspecError:
        return Mark()


_decode = msgspec.json.Decoder(Mark).decode
