"""A replay by several workers: reads the files, hands out their lines, and puts together what the workers make of them.

Law: what comes out is what one worker gives, byte for byte. Blocks are those that one worker would read at once; the
clocks that records are judged by are worked out here, from what each worker found in its lines; rejects, sessions and
short ids are put in order here.
"""

import gc
import multiprocessing
import os
import signal
import sys
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import accumulate
from multiprocessing.connection import Connection
from threading import Thread
from typing import Self, TypeVar

from msgspec import Struct

from projector import share_messages as messages
from projector.adapters.file import FileSource
from projector.adapters.file_output import Rejects
from projector.enrich.event import Places
from projector.errors import ProjectorError, Unavailable, WrongInput
from projector.ledger import Ledger, total
from projector.ports import NO_CLOCK, Batch, Offset, Partition
from projector.replay import short_ids
from projector.route import TrackKey
from projector.rules import Rules
from projector.share_messages import Block, Done, End, Facts, Failed, Given, Go, Numbers, Passed, Refusals, Snapshots
from projector.share_source import Task
from projector.share_worker import work
from projector.shares import FIRST, Shares

BLOCKS_AHEAD = 3
"""Blocks that workers hold: one that they fold, one that is read, one that is on its way."""

T = TypeVar("T", bound=messages.FromWorker)


class Crew:
    """A replay by several workers: `run`, then `sessions` and `ledgers`, like a `Replay`."""

    def __init__(
        self,
        *,
        source: FileSource,
        workers: int,
        rejects: Rejects | None,
        rules: Rules,
        places: Places | None,
        started_at: int,
        is_private: bool,
        processes: bool = True,
    ) -> None:
        """`processes`: each worker is one of its own, else a thread of this."""
        self._source, self._rejects, self._rules = source, rejects, rules
        self._tasks = [
            Task(number, workers, source.files, rules, places, started_at, None, rejects is not None, is_private)
            for number in range(workers)
        ]
        self._as_processes = processes
        self._workers: list[_Hand] = []
        self._shares = Shares(workers)
        self._clocks: dict[Partition, int] = {}
        self._sent: deque[_Sent] = deque()
        self._refused: dict[int, list[tuple[Offset, bytes]]] = defaultdict(list)
        """By block the rejects that are not written yet, because a worker may still have some of an earlier block."""
        self._partitions: dict[int, Partition] = {}
        """Of those blocks."""
        self._done: list[Done] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    def run(self, *, as_of: int | None, on_progress: Callable[[int], None]) -> None:
        """Read to the end, and let the workers fold it; then the wall clock stands at `as_of`, as `Replay.run` has it.

        Raises:
            ProjectorError: what a worker raised, or that one died.
        """
        self._begin(as_of)
        self._source.begin_at(dict.fromkeys(self._source.partitions(), 0))
        number = 0
        while (batch := self._source.poll()).records:
            if len(self._sent) == BLOCKS_AHEAD:
                self._let_go()
            self._hand_out(number, batch)
            on_progress(len(batch.records))
            number += 1
        while self._sent:
            self._let_go()
        for worker in self._workers:
            worker.send(End())
        self._done = [self._next(worker, Done) for worker in self._workers]
        self._write_rejects(up_to=number)

    def ledgers(self) -> dict[Partition, Ledger]:
        return {one: total([done.ledgers[one] for done in self._done]) for one in self._source.partitions()}

    def sessions(self) -> Iterator[bytes]:
        """The snapshot of every session, by createdDate, then id."""
        own = [[(*one, number) for one in done.shown] for number, done in enumerate(self._done)]
        shown = list(merge(*own, key=lambda one: one[:2]))
        given: list[list[str | None]] = [[] for _ in self._workers]
        for (_, _, _, number), short_id in zip(shown, short_ids(shown, self._rules.short_id_digits), strict=True):
            given[number].append(short_id)
        for worker, ids in zip(self._workers, given, strict=True):
            worker.send(Numbers(ids))
        snapshots = [self._snapshots(worker) for worker in self._workers]
        for _, _, _, number in shown:
            yield next(snapshots[number])

    def _snapshots(self, worker: "_Hand") -> Iterator[bytes]:
        while True:
            yield from self._next(worker, Snapshots).lines

    def _begin(self, as_of: int | None) -> None:
        for task in self._tasks:
            task.as_of = as_of
            others = [worker.connection for worker in self._workers]
            self._workers.append(_process(task, others) if self._as_processes else _thread(task))

    # A block, on its way out and back.

    def _hand_out(self, number: int, batch: Batch) -> None:
        """Each line to the worker whose it seems to be."""
        count = len(self._workers)
        offsets = [array("q") for _ in range(count)]
        values: list[list[bytes]] = [[] for _ in range(count)]
        sizes: list[dict[int, int]] = [{} for _ in range(count)]
        guess = self._shares.guess
        for line in batch.records:
            owner = guess(line.value)
            offsets[owner].append(line.offset)
            values[owner].append(line.value)
            if line.size:
                sizes[owner][line.offset] = line.size
        first, partition = batch.records[0].offset, batch.records[0].partition
        after, at_end = batch.next[partition], list(batch.at_end)
        for worker, at, own, cut in zip(self._workers, offsets, values, sizes, strict=True):
            worker.send(Block(number, partition, after, at_end, at.tobytes(), own, cut))
        self._sent.append(_Sent(number, partition, first, after - first))
        self._partitions[number] = partition

    def _let_go(self) -> None:
        """Let the workers fold the oldest block: tell the clocks at its records, and whose is what from there on."""
        block = self._sent.popleft()
        found = [self._next(worker, Facts) for worker in self._workers]
        self._write_rejects(up_to=block.number - BLOCKS_AHEAD)
        gathered = sorted({one for facts in found for one in facts.gathered})
        visits = any(facts.visits for facts in found)
        self._shares.gather(gathered, visits=visits)
        clocks = self._clocks_of(block, found)
        lines: list[list[Passed]] = [[] for _ in self._workers]
        for facts in found:
            self._pass(facts.lines, lines, lambda offset: clocks[offset - block.first])
        goes = [
            Go(
                block.number,
                self._clocks[block.partition],
                messages.packed([clocks[offset - block.first] for offset in messages.unpacked(facts.offsets)]),
                passed,
                gathered,
                visits,
            )
            for facts, passed in zip(found, lines, strict=True)
        ]
        for worker, go in list(zip(self._workers, goes, strict=True))[FIRST + 1 :]:
            worker.send(go)
        if self._shares.is_gathering:
            self._gather(goes[FIRST])
        self._workers[FIRST].send(goes[FIRST])

    def _gather(self, go: Go) -> None:
        """Put to the first worker's part what the others hand to it."""
        for worker in self._workers[FIRST + 1 :]:
            given = self._next(worker, Given)
            go.tracks += given.tracks
            go.lines += given.lines

    def _clocks_of(self, block: "_Sent", found: Sequence[Facts]) -> list[int]:
        """The partition's clock at each line of the block, its own time included."""
        times = [NO_CLOCK] * block.lines
        for facts in found:
            for offset, at in zip(messages.unpacked(facts.offsets), messages.unpacked(facts.times), strict=True):
                times[offset - block.first] = at
        times[0] = max(times[0], self._clocks.get(block.partition, NO_CLOCK))
        clocks = list(accumulate(times, max))
        self._clocks[block.partition] = clocks[-1]
        return clocks

    def _pass(self, passed: Sequence[Passed], lines: list[list[Passed]], clock_at: Callable[[int], int]) -> None:
        for one in passed:
            one.clock = clock_at(one.offset)
            lines[self._shares.owner_of(TrackKey(one.key))].append(one)

    # Rejects.

    def _write_rejects(self, *, up_to: int) -> None:
        """Those of the blocks up to this one; all workers have folded these."""
        for number in sorted(one for one in self._refused if one <= up_to):
            lines = sorted(self._refused.pop(number))
            if self._rejects is not None:
                partition = self._partitions[number]
                self._rejects.refuse([(partition, offset, line) for offset, line in lines])
        for number in [one for one in self._partitions if one <= up_to]:
            del self._partitions[number]

    def _next(self, worker: "_Hand", kind: type[T]) -> T:
        """The worker's next message of this kind; rejects that come before it are kept."""
        waiting = worker.waiting
        for place, message in enumerate(waiting):
            if isinstance(message, kind):
                del waiting[place]
                return message
        while not isinstance(message := worker.receive(), kind):
            if isinstance(message, Refusals):
                self._refused[message.number] += message.lines
            else:
                waiting.append(message)
        return message


class _Sent(Struct):
    """A block that the workers have."""

    number: int
    partition: Partition
    first: Offset
    lines: int


# Workers, as processes or threads.


class _Hand:
    """A worker as it is seen from here."""

    def __init__(self, connection: Connection, process: multiprocessing.process.BaseProcess | None) -> None:
        self.connection, self._process = connection, process
        self.waiting: deque[messages.FromWorker] = deque()
        """What it said before it was asked for it."""

    def send(self, message: messages.ToWorker) -> None:
        try:
            self.connection.send_bytes(messages.encode(message))
        except OSError:
            while True:  # It has said why, or `receive` finds that it is dead.
                self.receive()

    def receive(self) -> messages.FromWorker:
        try:
            message = messages.decode_from_worker(self.connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._died() from error
        if isinstance(message, Failed):
            raise (WrongInput if message.is_wrong else Unavailable)(message.why)
        return message

    def end(self) -> None:
        self.connection.close()
        if self._process is not None:
            self._process.terminate()
            self._process.join()

    def _died(self) -> ProjectorError:
        if self._process is None:
            return Unavailable("a worker of the replay ended before its work was done")
        self._process.join()
        code = self._process.exitcode
        return Unavailable(f"a worker of the replay died (exit code {code}): if memory ran out, take fewer --workers")


def _process(task: Task, others: Sequence[Connection]) -> _Hand:
    """Forked, so that it begins with everything that is loaded here."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_body, args=(task, theirs, [ours, *others]), daemon=True)
    # An interrupt while it is forked would be lost: here where hooks of the fork run, there before it is ignored.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    process.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Hand(ours, process)


def _body(task: Task, connection: Connection, inherited: Sequence[Connection]) -> None:
    for one in inherited:  # Or nobody would see that the one at their other end is gone.
        one.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The one who started it says when.
    gc.freeze()
    sys.setswitchinterval(0.0005)  # Who receives a block must not wait 5 ms for its turn at every chunk of it.
    work(task, connection)
    connection.close()
    os._exit(0)


def _thread(task: Task) -> _Hand:
    ours, theirs = multiprocessing.Pipe()

    def body() -> None:
        work(task, theirs)
        theirs.close()

    Thread(target=body, daemon=True).start()
    return _Hand(ours, None)
