"""The simulated broker: the log, one consumer group with generations, transactions, and what a committed reader sees."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from msgspec import Struct

from projector.ports import NO_CLOCK, Committed, Offset, Partition
from tests.memory import MemoryRecord

Group = tuple[str, int]
"""(member, generation): fences a commit."""


class State(Enum):
    OPEN = auto()
    PREPARED = auto()
    """Its commit is decided and not seen yet."""
    COMMITTED = auto()
    ABORTED = auto()


class Transaction(Struct):
    state: State = State.OPEN
    offsets: dict[Partition, Committed] = {}


class Published(Struct):
    """A record of the output; its place in `Broker.output` is its offset."""

    transaction: Transaction
    session_id: str
    revision: int
    value: bytes | None
    """The snapshot without its short id; None: a tombstone."""
    short_id: str | None
    is_too_early: bool
    """It says that the session has ended by time, and no end clock had come so far."""
    is_ended: bool


class PublishedReject(Struct):
    transaction: Transaction
    partition: Partition
    offset: Offset
    reason: str


class Broker:
    def __init__(self, partitions: int) -> None:
        self.log: list[list[MemoryRecord]] = [[] for _ in range(partitions)]
        self.clocks: list[list[int]] = [[] for _ in range(partitions)]
        """For each record the greatest event time up to it that moves the partition clock (ms)."""
        self.end_clocks: list[int] = [NO_CLOCK] * partitions
        """The greatest end clock that a worker had a right to so far (contract §1), ms."""
        self.committed: dict[Partition, Committed] = {}
        self.output: list[Published] = []
        self.rejects: list[PublishedReject] = []
        self.generation = 0
        self.assignment: dict[str, tuple[Partition, ...]] = {}
        """By member; a member without partitions has ()."""
        self.joining: list[str] = []
        """Those that polled without being members: the next rebalance takes them in."""
        self.epochs: dict[str, int] = {}
        """By transactional id the epoch of its newest producer."""
        self._pending: list[tuple[str, Transaction]] = []

    # The log.

    def append(self, partition: Partition, value: bytes | None, timestamp: int, moves_clock_to: int) -> None:
        held, clocks = self.log[partition], self.clocks[partition]
        held.append(MemoryRecord(partition, len(held), value, timestamp))
        clocks.append(max(moves_clock_to, clocks[-1]) if clocks else moves_clock_to)

    def add_partition(self) -> None:
        self.log.append([])
        self.clocks.append([])
        self.end_clocks.append(NO_CLOCK)

    # The group.

    def assign(self, assignment: dict[str, tuple[Partition, ...]]) -> None:
        self.generation += 1
        self.assignment = assignment
        self.joining = [one for one in self.joining if one not in assignment]

    def is_current(self, group: Group) -> bool:
        member, generation = group
        return generation == self.generation and member in self.assignment

    # Transactions.

    def renew(self, transactional_id: str) -> int:
        """A new producer: the older ones of the id are fenced, what they left open is aborted; gives its epoch."""
        for owner, transaction in self._pending:
            if owner == transactional_id:
                self._finish(transaction)
        self.epochs[transactional_id] = self.epochs.get(transactional_id, 0) + 1
        return self.epochs[transactional_id]

    def begin(self, transactional_id: str) -> Transaction:
        transaction = Transaction()
        self._pending.append((transactional_id, transaction))
        return transaction

    def commit(self, transaction: Transaction, *, hangs: bool = False) -> None:
        transaction.state = State.PREPARED
        if not hangs:
            self._finish(transaction)

    def abort(self, transaction: Transaction) -> None:
        if transaction.state is State.OPEN:
            transaction.state = State.ABORTED
            self._forget_finished()

    def pending_for(self, partitions: Iterable[Partition]) -> list[Transaction]:
        """Those that the committed positions of these partitions wait for."""
        wanted = set(partitions)
        return [one for _, one in self._pending if wanted & one.offsets.keys()]

    def time_out(self, transactions: Iterable[Transaction]) -> None:
        """The coordinator's patience ends: open ones are aborted, decided ones are carried out."""
        for transaction in transactions:
            self._finish(transaction)

    def time_out_all(self) -> None:
        self.time_out([one for _, one in self._pending])

    def _finish(self, transaction: Transaction) -> None:
        if transaction.state is State.PREPARED:
            transaction.state = State.COMMITTED
            self.committed.update(transaction.offsets)
        elif transaction.state is State.OPEN:
            transaction.state = State.ABORTED
        self._forget_finished()

    def _forget_finished(self) -> None:
        self._pending = [one for one in self._pending if one[1].state in (State.OPEN, State.PREPARED)]

    # What a read_committed reader sees.

    def read_committed(self) -> list[Published]:
        return [one for one in self.output if one.transaction.state is State.COMMITTED]

    def rejects_committed(self) -> list[PublishedReject]:
        return [one for one in self.rejects if one.transaction.state is State.COMMITTED]
