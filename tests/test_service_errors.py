"""What `run` and `doctor` say of services that are absent or not fit: in a line or two what is wrong and what to do."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cli import projector
from tests.given import custom, line
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.services.redis import RedisServer
    from tests.services.topics import Topics

    NewRedis = Callable[..., RedisServer]

COMPACTED = {"cleanup.policy": "compact,delete"}
SOON = {"PROJECTOR_KAFKA_BOOTSTRAP_TIMEOUT_MS": "300"}  # How long a broker that is not there is tried.


class Place:
    """Three topics of a test's own, a group, and a Redis: what `run` and `doctor` are told of."""

    def __init__(self, kafka: Topics, redis_url: str, name: Callable[[str], str], cwd: Path) -> None:
        self.kafka, self.cwd = kafka, cwd
        self.input, self.output, self.rejects = name("in"), name("out"), name("rejects")
        self.settings = {
            "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "PROJECTOR_REDIS_URL": redis_url,
            "PROJECTOR_INPUT_TOPIC": self.input,
            "PROJECTOR_OUTPUT_TOPIC": self.output,
            "PROJECTOR_REJECTS_TOPIC": self.rejects,
            "PROJECTOR_GROUP_ID": name("group"),
        }

    def make_topics(self) -> None:
        self.kafka.create(self.input, partitions=2)
        self.kafka.create(self.output, partitions=2, configs=COMPACTED)
        self.kafka.create(self.rejects)

    def said(self, *words: str, code: int, **settings: str) -> list[str]:
        """The lines of both outputs; never a traceback."""
        named = {f"PROJECTOR_{name}": value for name, value in settings.items()}
        done = projector(*words, code=code, cwd=self.cwd, environment=self.settings | named)
        text = (done.stdout + done.stderr).decode()
        assert "Traceback" not in text
        return text.splitlines()

    def run(self, *, code: int, **settings: str) -> list[str]:
        return self.said("run", "--until-end", code=code, **settings)


@pytest.fixture
def place(kafka: Topics, redis_url: str, unique_name: Callable[[str], str], tmp_path: Path) -> Place:
    return Place(kafka, redis_url, unique_name, tmp_path)


@pytest.fixture
def ready(place: Place) -> Place:
    place.make_topics()
    return place


def test_probe(ready,new_redis,unique_name,redis_url):
    red=new_redis(password="right-secret"); lru=new_redis(maxmemory_policy="allkeys-lru")
    def show(n, code, **s):
        try: print("##", n, "\n".join(ready.run(code=code, **s)))
        except AssertionError as e: print("##", n, "OTHER", str(e)[:1500])
    show("absent", 1, REDIS_URL="redis://127.0.0.1:1/0")
    show("wrong", 2, REDIS_URL=red.url.replace("right","wrong"))
    show("lru", 2, REDIS_URL=lru.url)
    show("db", 2, REDIS_URL=redis_url+"7")
    show("fine", 0)
    i2=unique_name("i2"); ready.kafka.create(i2)
    show("topic",2,INPUT_TOPIC=i2)
    show("shards",2,SHARDS="7")
    ready.kafka.delete(ready.input); ready.kafka.create(ready.input)
    show("anew", 2)
    print(ready.said("doctor", code=0))
