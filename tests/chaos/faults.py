"""The faults: what is broken, for how long, and how it comes right again; each returns when it is healed.

Law: what a fault does is decided by its `Random` alone, so that a seed repeats it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.chaos.world import SESSION_TIMEOUT_S, flush

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.chaos.world import World
    from tests.services.proxy import Proxy


START_S = 180.0
"""A broker that has to look through what it had not finished, on a machine that is busy."""


def kill_worker(world: World, random: Random) -> None:
    random.choice(world.services).kill_worker()


def kill_service(world: World, random: Random) -> None:
    random.choice(world.services).kill()


def pause_worker(world: World, random: Random) -> None:
    """Longer than the group waits for it: its partitions are given away, and then it wakes up."""
    service = random.choice(world.services)
    service.pause()
    hold(SESSION_TIMEOUT_S + random.uniform(1, 4))
    service.resume()


def kill_broker(world: World, random: Random) -> None:
    world.kafka.kill_brokers()
    hold(random.uniform(0, 4))
    world.kafka.start(timeout_s=START_S)


def kill_redis(world: World, random: Random) -> None:
    world.redis.kill()
    hold(random.uniform(0, 4))
    world.redis.start()


def cut_redis_back(world: World, random: Random) -> None:
    """It comes back without its last seconds of writes."""
    world.redis.cut_back(world.history.length_before(random.uniform(1, 6)))
    world.history.forget()


def flush_redis(world: World, random: Random) -> None:
    flush(world.redis)


def cut_kafka(world: World, random: Random) -> None:
    _each(_some(world.kafka_proxies, random), "cut")


def delay_kafka(world: World, random: Random) -> None:
    _disturb(_some(world.kafka_proxies, random), random, "delay")


def black_hole_kafka(world: World, random: Random) -> None:
    _disturb(_some(world.kafka_proxies, random), random, "black_hole")


def cut_redis(world: World, random: Random) -> None:
    _each(_some(world.redis_proxies, random), "cut")


def delay_redis(world: World, random: Random) -> None:
    _disturb(_some(world.redis_proxies, random), random, "delay")


def black_hole_redis(world: World, random: Random) -> None:
    _disturb(_some(world.redis_proxies, random), random, "black_hole")


KILLS: dict[str, Callable[[World, Random], None]] = {"worker killed": kill_worker, "service killed": kill_service}
"""These go on all the time, beside the others."""

OTHERS: dict[str, Callable[[World, Random], None]] = {
    "worker paused": pause_worker,
    "broker killed": kill_broker,
    "Redis killed": kill_redis,
    "Redis cut back": cut_redis_back,
    "Redis flushed": flush_redis,
    "Kafka cut": cut_kafka,
    "Kafka delayed": delay_kafka,
    "Kafka black hole": black_hole_kafka,
    "Redis cut": cut_redis,
    "Redis delayed": delay_redis,
    "Redis black hole": black_hole_redis,
}
"""These come one after another."""

NEED_PROXIES = {name for name in OTHERS if name.endswith((" cut", "delayed", "black hole"))}


def hold(seconds: float) -> None:
    threading.Event().wait(seconds)


def _disturb(proxies: list[Proxy], random: Random, how: str) -> None:
    seconds, ms = random.uniform(3, 10), random.randint(50, 400)
    for proxy in proxies:
        proxy.delay(ms, jitter=ms // 2) if how == "delay" else proxy.black_hole()
    hold(seconds)
    _each(proxies, "heal")


def _some(proxies: list[Proxy], random: Random) -> list[Proxy]:
    """One of them, or all."""
    return [random.choice(proxies)] if random.random() < 0.5 else proxies


def _each(proxies: list[Proxy], what: str) -> None:
    for proxy in proxies:
        getattr(proxy, what)()
