"""A worker of a replay: folds the tracks that are its own, as a replay whose records come in blocks of lines."""

from itertools import islice
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread

from projector import share_messages as messages
from projector.adapters.embedded import EmbeddedStore
from projector.adapters.file_output import ReplayPublisher
from projector.errors import ProjectorError, WrongInput
from projector.replay import Replay
from projector.share_messages import Done, Failed, Numbers, Snapshots
from projector.share_source import ShareSource, Task

TRACKS_MAX = 200_000
"""Tracks in memory, of all workers together."""
SNAPSHOTS_AT_ONCE = 200


def work(task: Task, connection: Connection) -> None:
    """A worker from its first block to its last snapshot; what stops it is told as `Failed`."""
    try:
        _Worker(task, connection).run()
    except ProjectorError as error:
        connection.send_bytes(messages.encode(Failed(str(error), isinstance(error, WrongInput))))
    except _GoneError:
        pass  # Nobody is left to be told anything.


class _GoneError(Exception):
    """The one who hands out the lines is gone."""


class _Worker:
    def __init__(self, task: Task, connection: Connection) -> None:
        self._connection = connection
        self._store = EmbeddedStore(short_ids=False, memory_tracks_max=TRACKS_MAX // task.workers)
        self._source = ShareSource(task, self._store, _Inbox(connection).next, self._send)
        self._as_of = task.as_of
        self._replay = Replay(
            source=self._source,
            store=self._store,
            publisher=ReplayPublisher(
                topic_of=lambda line: task.files[line.partition],
                rejects=self._source if task.wants_rejects else None,
                is_private=task.is_private,
            ),
            rules=task.rules,
            places=task.places,
            started_at=task.started_at,
            reader=self._source.reading,
        )
        self._source.life = lambda: self._replay.life

    def run(self) -> None:
        self._replay.run(as_of=self._as_of, on_progress=lambda _records: None)
        shown = self._replay.shown()
        self._send(Done([(one.created, one.session_id, one.ended) for one in shown], self._replay.ledgers()))
        numbers = self._source.message()
        assert isinstance(numbers, Numbers)
        snapshots = self._replay.snapshots(shown, numbers.short_ids)
        while lines := list(islice(snapshots, SNAPSHOTS_AT_ONCE)):
            self._send(Snapshots(lines))
        self._store.close()

    def _send(self, message: messages.FromWorker) -> None:
        try:
            self._connection.send_bytes(messages.encode(message))
        except OSError as error:
            raise _GoneError from error


class _Inbox:
    """Takes messages from the connection as they come, so that their sender never waits for a fold."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._messages: SimpleQueue[bytes | None] = SimpleQueue()
        Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        try:
            while True:
                self._messages.put(self._connection.recv_bytes())
        except (EOFError, OSError):
            self._messages.put(None)

    def next(self) -> messages.ToWorker:
        message = self._messages.get()
        if message is None:
            raise _GoneError
        return messages.decode_to_worker(message)
