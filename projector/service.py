"""The service: workers as processes of one consumer group, watched and started again; signals; the end.

Workers are spawned, never forked: the clients do not survive a fork. They share nothing but Kafka and Redis, and with
their supervisor a few numbers that say how they are.
"""

import gc
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import structlog
from msgspec import Struct

from projector import exits, metrics
from projector.adapters.kafka import KafkaPublisher, KafkaSettings, KafkaSource, KafkaTopics, TopicReader
from projector.adapters.redis import RedisStore, open_store
from projector.config import Config
from projector.errors import Doubt, ProjectorError, Unavailable, WrongInput
from projector.life import Life, Start
from projector.logs import set_up
from projector.ports import Offset, Partition
from projector.worker import Worker, World

log = structlog.get_logger()

RETRY_S = 1.0
"""A worker that finds something unavailable tries again after so long."""
RESTART_MAX_S = 30.0
"""A worker that keeps dying is started again after 1, 2, 4 ... and at most so many seconds."""
WATCH_S = 0.05
"""How often the supervisor looks."""

# What a worker tells its supervisor, by place in a shared array.
BEAT, TURNS, QUIET, COVERED, NUMBERS = 0, 1, 2, 3, 4


class WallClock:
    """The `Clock` of the running service."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000


def kafka_settings(config: Config) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=config.kafka_bootstrap_servers,
        input_topic=config.input_topic,
        output_topic=config.output_topic,
        rejects_topic=config.rejects_topic,
        group_id=config.group_id,
        group_session_timeout_ms=config.group_session_timeout,
        delivery="exactly-once" if config.delivery == "exactly-once" else "at-least-once",
        extra=config.kafka,
    )


def check(config: Config) -> dict[str, str]:
    """Whether the service can run; the identity of the input that its state belongs to.

    Raises:
        WrongInput: topics, Redis or namespace are not fit; says what to do.
        Unavailable: Kafka or Redis does not answer.
    """
    with KafkaTopics(kafka_settings(config)) as topics:
        cluster = topics.check()
    assert cluster.input is not None
    config.places()
    identity = {"cluster": cluster.id, "topic": config.input_topic, "topic id": cluster.input.id}
    store(config, identity).close()
    return identity


def store(config: Config, identity: Mapping[str, str]) -> RedisStore:
    return open_store(
        config.redis_url, config.namespace, identity=identity, shards=config.shards or None, options=config.redis
    )


class Task(Struct):
    """What a worker process is started with."""

    config: Config
    identity: dict[str, str]
    slot: int
    instance: str
    """Names this service among others of the group: its transactions are its own."""
    until: dict[Partition, Offset] | None
    """Where each partition ended at start, if the service is to stop there."""


def work(task: Task, numbers: Any) -> None:
    """The body of a worker process; its exit code is that of the service."""
    set_up(task.config)
    structlog.contextvars.bind_contextvars(worker=task.slot)
    stop = _Stop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The supervisor says when.
    signal.signal(signal.SIGTERM, stop)
    # The receiving thread of the client must not wait 5 ms for its turn at every chunk it reads.
    sys.setswitchinterval(0.0005)
    try:
        _serve(task, numbers, stop)
    except WrongInput as wrong:
        log.error("cannot go on", why=str(wrong))
        sys.exit(exits.WRONG)
    except ProjectorError as failed:
        log.error("failed", why=str(failed))
        sys.exit(exits.FAILED)


class _Stop:
    """Set by SIGTERM, or when the supervisor is gone."""

    def __init__(self) -> None:
        self._asked = False
        self._parent = os.getppid()

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True

    def __bool__(self) -> bool:
        return self._asked or os.getppid() != self._parent


def _serve(task: Task, numbers: Any, stop: _Stop) -> None:
    config, rules = task.config, task.config.rules()
    settings = kafka_settings(config)
    numbers[BEAT] = time.monotonic()
    if config.metrics_port:
        metrics.serve(config.metrics_port + task.slot)
    places = config.places()
    source = KafkaSource(settings)
    publisher = KafkaPublisher(
        settings,
        rules,
        transactional_id=f"{config.group_id}-{task.instance}-{task.slot}",
        commit=source.commit,
        hide_rejects=rules.privacy.is_on,
    )
    tracks = store(config, task.identity)
    world = World(
        source,
        tracks,
        publisher,
        WallClock(),
        rules,
        Start(config.start, config.on_gap),
        config.cache_tracks_max,
        places=places,
    )
    gc.collect()
    gc.freeze()
    # What is folded has no cycles; at the default of 700 the collector looks through all tracks again and again.
    gc.set_threshold(100_000, 50, 100)
    worker = Worker(world)
    short_ids = _ShortIds(tracks, rules.short_id_digits)
    try:
        while not stop:
            _step(worker, numbers, task.until)
            short_ids.watch()
    finally:
        source.close()
        publisher.close()
        tracks.close()


class _ShortIds:
    """Warns while the short ids run out (contract §5, field 7)."""

    WARN_AT = 0.8

    def __init__(self, store: RedisStore, digits: int) -> None:
        self._store, self._capacity = store, 10**digits
        self._next_at = 0.0

    def watch(self) -> None:
        """Look once a minute how many are taken."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + 60
        try:
            taken = self._store.short_ids_taken()
        except (Unavailable, Doubt):
            return  # The turns find out for themselves.
        metrics.SHORT_IDS.set(taken)
        if taken >= self.WARN_AT * self._capacity:
            log.warning(
                "short ids run out: raise short_id_digits, or sessions go without", taken=taken, of=self._capacity
            )


def _step(worker: Worker, numbers: Any, until: Mapping[Partition, Offset] | None) -> None:
    numbers[BEAT] = began = time.monotonic()
    before = worker.life
    try:
        done = worker.step()
    except Unavailable as gone:
        log.warning("waits", why=str(gone))
        time.sleep(RETRY_S)
        return
    life = worker.life
    if life is not None and life is not before:
        log.info("reads", partitions=life.partitions, positions=life.read, catching_up=not life.caught_up)
    if done is not None and life is not None:
        metrics.count_turn(done, life, time.monotonic() - began)
    if until is not None:
        numbers[QUIET] = life is None or _is_done(life, until)
        numbers[COVERED] = 0 if life is None else len(life.partitions)
    numbers[TURNS] += 1


def _is_done(life: Life, until: Mapping[Partition, Offset]) -> bool:
    return life.is_quiet and all(life.read[one] >= until.get(one, 0) for one in life.partitions)


class Supervisor:
    """Starts workers, watches them, and stops them in order."""

    def __init__(self, config: Config, *, until_end: bool) -> None:
        self._config = config
        self._identity = check(config)
        self._until = _ends(config) if until_end else None
        self._instance = f"{socket.gethostname()}-{os.getpid()}"
        self._context = multiprocessing.get_context("spawn")
        self._numbers = [self._context.Array("d", NUMBERS, lock=False) for _ in range(config.workers)]
        self._processes: list[BaseProcess | None] = [None] * config.workers
        self._restarts = [0] * config.workers
        self._start_at = [0.0] * config.workers
        self._stopping = False
        self._settled: list[float] | None = None
        """While everything is read and quiet: the turns that each worker had taken when that was first seen."""

    def run(self) -> int:
        """Serve until a signal, or until everything is done; gives the exit code."""
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, self._stop)
        while not self._stopping:
            for slot in range(self._config.workers):
                code = self._watch(slot)
                if code is not None:
                    self._end()
                    return code
            if self._until is not None and self._is_done():
                break
            time.sleep(WATCH_S)
        return self._end()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _watch(self, slot: int) -> int | None:
        """Start the worker if it is not there, kill it if it hangs; an exit code if the service cannot go on."""
        process = self._processes[slot]
        if process is None:
            if time.monotonic() >= self._start_at[slot]:
                self._start(slot)
            return None
        if process.exitcode is not None:
            return self._ended(slot, process.exitcode)
        silent_s = time.monotonic() - self._numbers[slot][BEAT]
        if silent_s > self._config.turn_timeout / 1000:
            log.error("a worker hangs and is killed", worker=slot, pid=process.pid, silent_s=round(silent_s, 1))
            process.kill()
            process.join()
        elif self._numbers[slot][TURNS] > 0:
            self._restarts[slot] = 0
        return None

    def _start(self, slot: int) -> None:
        self._numbers[slot][:] = [time.monotonic(), 0, 0, 0]
        task = Task(self._config, self._identity, slot, self._instance, self._until)
        process = self._context.Process(target=work, args=(task, self._numbers[slot]), name=f"worker {slot}")
        process.start()
        self._processes[slot] = process

    def _ended(self, slot: int, code: int) -> int | None:
        self._processes[slot] = None
        if code == exits.WRONG:
            return code
        wait_s = min(2.0 ** self._restarts[slot] - 1, RESTART_MAX_S)
        self._restarts[slot] += 1
        self._start_at[slot] = time.monotonic() + wait_s
        log.error("a worker died and is started again", worker=slot, code=code, in_s=wait_s)
        return None

    def _is_done(self) -> bool:
        """Every partition is covered by a worker that has read it to its end and has nothing left to do.

        Seen once is not enough: a note that a worker left in its last turn may be waiting for another. So each must
        have begun and finished a turn since, and still be quiet.
        """
        assert self._until is not None
        quiet = all(numbers[QUIET] for numbers in self._numbers)
        if not quiet or sum(numbers[COVERED] for numbers in self._numbers) != len(self._until):
            self._settled = None
            return False
        turns = [float(numbers[TURNS]) for numbers in self._numbers]
        if self._settled is None:
            self._settled = turns
        return all(now >= then + 2 for now, then in zip(turns, self._settled, strict=True))

    def _end(self) -> int:
        """Let each worker finish its turn; one that does not is killed."""
        for process in self._processes:
            if process is not None:
                process.terminate()
        until = time.monotonic() + self._config.turn_timeout / 1000
        code = exits.DONE
        for process in self._processes:
            if process is None:
                continue
            process.join(max(0.0, until - time.monotonic()))
            if process.exitcode is None:
                log.error("a worker did not stop and is killed", pid=process.pid)
                process.kill()
                process.join()
                code = exits.FAILED
        return code


def _ends(config: Config) -> dict[Partition, Offset]:
    reader = TopicReader(kafka_settings(config))
    try:
        return {partition: span.end for partition, span in reader.spans(reader.partitions()).items()}
    finally:
        reader.close()
