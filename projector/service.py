"""A worker process of the service: its ports wired to its turns, until it is told to stop.

Workers share nothing but Kafka and Redis, and with their supervisor a few numbers that say how they are.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

import msgspec
import structlog
from msgspec import Struct, structs

from projector import exits, metrics
from projector.adapters.kafka import (
    Cluster,
    KafkaPublisher,
    KafkaSettings,
    KafkaSource,
    KafkaTopics,
    advice,
    of_generation,
)
from projector.adapters.kafka.settings import DELIVERY_TIMEOUT_MS
from projector.adapters.redis import RedisStore, open_store
from projector.adapters.redis_writer import Wait
from projector.cache import CacheBounds
from projector.config import Config
from projector.decode import decode
from projector.enrich.event import enrich
from projector.errors import ProjectorError, Unavailable, WrongInput
from projector.events import Event
from projector.garbage import collected_rarely
from projector.instance import worker_name
from projector.life import Life, Start
from projector.logs import set_up
from projector.notices import Cuts, ShortIdsLeft, Waiting
from projector.ports import Offset, Partition
from projector.pulse import COVERED, QUIET, TURNS, Pulse, answer_where, leave_with_supervisor
from projector.turn import Done
from projector.worker import Worker, World

log = structlog.get_logger()

SWITCH_INTERVAL_S = 0.002
"""How long a turn keeps the interpreter from the client's threads, which read and send by large pieces: at the default
of 5 ms they wait longer without saving more, at 0.5 ms the changes cost 5 to 8 µs of CPU an event."""

RETRY_S = 1.0
"""A worker that finds something unavailable tries again after so long."""

DOUBT_S = 0.1
"""After a second doubt in a row the next life begins so much later, then twice that, and at most `RETRY_S`."""


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
    for line in advice_on(config, cluster):
        log.warning(line)
    assert cluster.input is not None
    config.places()
    identity = {
        "cluster": cluster.id,
        "topic": config.input_topic,
        "topic id": cluster.input.id,
        "topic generation": str(config.topic_generation),
        "group": config.group_id,
    }
    store(config, identity, records=False).close()
    return identity


def advice_on(config: Config, cluster: Cluster) -> list[str]:
    """What to change in settings and topics that are allowed, but do harm."""
    found = advice(kafka_settings(config), cluster)
    if config.turn_timeout > DELIVERY_TIMEOUT_MS:
        return found
    slow_s, watched_s = DELIVERY_TIMEOUT_MS / 1000, config.turn_timeout / 1000
    what = f"turn_timeout is {watched_s:g} s, but a broker that is slow may take {slow_s:g} s for what is published"
    return [f"{what}, and the worker that waits for it would be killed.\nSet turn_timeout above that.", *found]


def start_of(config: Config) -> Start:
    return Start(config.start, config.on_gap, config.topic_generation)


def store(config: Config, identity: Mapping[str, str], *, records: bool = True) -> RedisStore:
    """Without `records` to look only: nothing is recorded of who uses the namespace."""
    return open_store(
        config.redis_url,
        config.namespace,
        identity=identity,
        shards=config.shards or None,
        options=config.redis,
        wait=Wait(config.redis_wait_replicas, config.redis_wait_timeout),
        records=records,
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
    starts: int = 1
    """How often this worker has been started, this time included."""


def work(task: Task, numbers: Any, where: Connection) -> None:
    """The body of a worker process; its exit code is that of the service."""
    set_up(task.config)
    answer_where(where)
    leave_with_supervisor(task.config.turn_timeout / 1000)
    structlog.contextvars.bind_contextvars(worker=task.slot)
    stop = _Stop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The supervisor says when.
    signal.signal(signal.SIGTERM, stop)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
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
        supervisor = multiprocessing.parent_process()
        assert supervisor is not None
        self._parent = supervisor.pid

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True

    def __bool__(self) -> bool:
        return self._asked or os.getppid() != self._parent


def _serve(task: Task, numbers: Any, stop: _Stop) -> None:
    config, pulse = task.config, Pulse(numbers)
    if config.metrics_port:
        metrics.serve(config.metrics_port + task.slot)
    metrics.STARTS.set(task.starts)
    metrics.CALL_SECONDS.set_function(pulse.silent_s)
    waiting = Waiting()
    ports = _ports(task, pulse, stop, waiting)
    if ports is None:
        return
    world, source, tracks = ports
    appetite = _Appetite(source, config.cache_mb_max * 1_000_000)
    _load_lists(world)
    worker, short_ids = Worker(world), ShortIdsLeft(tracks, world.rules.short_id_digits)
    try:
        with collected_rarely():
            while not stop:
                pulse.beat()
                done = _step(worker, numbers, task.until, waiting)
                if done is not None:
                    appetite.digest(done)
                short_ids.watch()
    finally:
        world.source.close()
        world.publisher.close()
        world.store.close()


def _name_of(task: Task) -> str:
    """The same for every start of this worker, and no other's: its supervisor has seen the one before end.

    Where a supervisor was killed, the next one's workers fence those that it has left, which end with their turn.
    """
    return worker_name(task.config.group_id, task.instance, task.slot)


def _ports(task: Task, pulse: Pulse, stop: _Stop, waiting: Waiting) -> tuple[World, KafkaSource, RedisStore] | None:
    """What the worker works with, once Kafka and Redis answer; None where it is told to stop before.

    One that died with them waits like any other: giving up would have it started again ever more seldom.
    """
    while not stop:
        try:
            with ExitStack() as opened:
                tracks = store(task.config, task.identity)
                opened.callback(tracks.close)
                pulse.feel(tracks, "positions", "load", "save", "origins", "claim_short_ids", "retire_short_ids")
                named = structs.replace(kafka_settings(task.config), instance=_name_of(task))
                source = KafkaSource(named, topic_id=task.identity["topic id"])
                opened.callback(source.close)
                pulse.feel(source, "poll", "partitions", "committed", "spans", "offsets_at", "begin_at", "close")
                world = _world(task, source, tracks, pulse)
                opened.pop_all()
                return world, source, tracks
        except Unavailable as gone:
            waiting.begin(str(gone))
            pulse.beat()  # Not before: until the first, a start may take longer than a turn.
            time.sleep(RETRY_S)
    return None


def _world(task: Task, source: KafkaSource, tracks: RedisStore, pulse: Pulse) -> World:
    """The ports of a worker; coming back from a call of any is a beat."""
    config, rules = task.config, task.config.rules()
    settings, places = kafka_settings(config), config.places()
    publisher = KafkaPublisher(
        settings,
        transactional_id=_name_of(task),
        commit=source.commit,
        hide_rejects=rules.privacy.is_on,
        told=Cuts(),
    )
    pulse.feel(publisher, "publish", "renew", "close")
    read_from, publish_by = of_generation(source, publisher, config.topic_generation)
    return World(
        read_from,
        tracks,
        publish_by,
        WallClock(),
        rules,
        start_of(config),
        CacheBounds(config.cache_tracks_max, config.cache_mb_max * 1_000_000),
        places=places,
    )


def _load_lists(world: World) -> None:
    """What recognises browsers, domains and referrers takes up to seconds to load: not in the middle of a turn."""
    page = {"url": "https://www.example.com/"}
    visit = {"eventName": "page_viewed", "page": page, "userAgentString": "Mozilla/5.0", "referrerUrl": page["url"]}
    event = decode(
        msgspec.json.encode(
            {"id": "1", "eventType": "WebEvent", "createdDate": "2025-01-01T00:00:00Z", "webEvent": visit}
        )
    )
    assert isinstance(event, Event)
    enrich(event, world.rules, world.places)


class _Appetite:
    """Takes fewer records at once where the tracks of a batch are so large that they alone would take much memory."""

    SHARE = 4
    """What a batch works on may take a quarter of what may be remembered."""
    HELD_RATIO = 6
    """A track that is held takes 5 to 7 times its record's bytes; one that is mostly large texts not twice as many."""

    def __init__(self, source: KafkaSource, memory: int) -> None:
        self._source, self._most = source, source.records_max
        self._track_bytes_max = memory // self.HELD_RATIO // self.SHARE

    def digest(self, done: Done) -> None:
        if done.track_bytes > self._track_bytes_max:
            self._source.records_max = max(1, done.records * self._track_bytes_max // done.track_bytes)
        else:
            self._source.records_max = min(self._most, 2 * self._source.records_max)


def _step(worker: Worker, numbers: Any, until: Mapping[Partition, Offset] | None, waiting: Waiting) -> Done | None:
    began, before, doubts = time.monotonic(), worker.life, worker.doubts
    try:
        done = worker.step()
    except Unavailable as gone:
        waiting.begin(str(gone))
        time.sleep(RETRY_S)
        return None
    if worker.doubts > doubts:
        time.sleep(pause_s(worker.doubts))
    life = worker.life
    if life is not None and life is not before:
        log.info("reads", partitions=life.partitions, positions=life.read, catching_up=not life.caught_up)
    if done is not None and life is not None:
        waiting.end()
        metrics.count_turn(done, life, time.monotonic() - began)
    if until is not None:
        numbers[QUIET] = life is None or _is_done(life, until)
        numbers[COVERED] = 0 if life is None else len(life.partitions)
    numbers[TURNS] += 1
    return done


def pause_s(doubts: int) -> float:
    """Before the life that begins after so many doubts in a row."""
    return 0.0 if doubts < 2 else min(DOUBT_S * 2.0 ** min(doubts - 2, 10), RETRY_S)


def _is_done(life: Life, until: Mapping[Partition, Offset]) -> bool:
    return life.is_quiet and all(life.read[one] >= until.get(one, 0) for one in life.partitions)
