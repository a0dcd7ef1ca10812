"""What `run` and `doctor` say of services that are absent or not fit: in a line or two what is wrong and what to do."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from projector.adapters.kafka import KafkaSettings, KafkaTopics
from projector.adapters.kafka.settings import RECORD_BYTES_MAX
from projector.errors import WrongInput
from tests.cli import projector
from tests.given import custom, line
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.services.redis import RedisServer
    from tests.services.topics import Topics

    NewRedis = Callable[..., RedisServer]

COMPACTED = {"cleanup.policy": "compact,delete", "max.message.bytes": str(RECORD_BYTES_MAX)}
SOON_MS = "300"  # How long a broker that is not there is tried.


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


# A broker and a Redis that are not there.


def test_a_broker_that_does_not_answer_is_named(place: Place) -> None:
    port = free_port()

    said = place.run(code=1, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{port}", KAFKA_BOOTSTRAP_TIMEOUT_MS=SOON_MS)

    assert len(said) == 2
    assert said[0].startswith(f"projector: Kafka at 127.0.0.1:{port} did not answer in time when we wanted to connect")
    assert said[1].endswith(
        "Check that it runs, and that kafka_bootstrap_servers and the kafka_security_… settings fit it"
    )


def test_a_replay_of_a_topic_whose_broker_does_not_answer_says_so(place: Place) -> None:
    servers = f"127.0.0.1:{free_port()}"

    said = place.said(
        "replay", "--from-topic", code=1, KAFKA_BOOTSTRAP_SERVERS=servers, KAFKA_BOOTSTRAP_TIMEOUT_MS=SOON_MS
    )

    assert said[0].startswith(f"projector: Kafka at {servers} did not answer in time")


def test_a_redis_that_does_not_answer_is_named(ready: Place) -> None:
    port = free_port()

    said = ready.run(code=1, REDIS_URL=f"redis://:geheim@127.0.0.1:{port}/3")

    assert said == [
        (
            f"projector: Redis at 127.0.0.1:{port}/3 does not answer: Error 111 connecting to 127.0.0.1:{port}."
            " Connection refused."
        ),
        "projector: Check that it runs and that redis_url names it",
    ]


def test_doctor_looks_at_both_also_where_the_first_does_not_answer(place: Place) -> None:
    settings = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}", "KAFKA_BOOTSTRAP_TIMEOUT_MS": SOON_MS}

    said = place.said("doctor", code=1, **settings, REDIS_URL=f"redis://127.0.0.1:{free_port()}")

    assert [line.split()[:2] for line in said] == [
        *(["wrong", "Kafka"], ["wrong", "Check"]),
        *(["wrong", "Redis"], ["wrong", "Check"]),
    ]


# A broker and a Redis that are not fit.


def test_a_wrong_password_is_refused_and_not_repeated(ready: Place, new_redis: NewRedis) -> None:
    server = new_redis(password="right-secret")

    said = ready.run(code=2, REDIS_URL=server.url.replace("right-", "wrong-"))

    assert said == [
        (
            f"projector: Redis at 127.0.0.1:{server.port}/0 refused user or password: check redis_url"
            " (redis://user:password@host)"
        )
    ]


def test_a_redis_that_evicts_is_refused(ready: Place, new_redis: NewRedis) -> None:
    server = new_redis(maxmemory_policy="allkeys-lru")

    assert ready.run(code=2, REDIS_URL=server.url) == [
        f"projector: Redis at 127.0.0.1:{server.port}/0 has maxmemory-policy allkeys-lru: an evicted key is a lost session.",
        "projector: Set it: redis-cli CONFIG SET maxmemory-policy noeviction (and in its configuration file)",
    ]


def test_topics_that_are_not_there_are_all_named_with_what_makes_them(place: Place) -> None:
    assert place.run(code=2) == [
        f"projector: there is no topic {name}; make it with: projector doctor --create-topics (and the options given here)"
        for name in (place.input, place.output, place.rejects)
    ]
    assert {place.input, place.output, place.rejects} & place.kafka.names() == set()


def test_doctor_says_everything_that_is_wrong_at_once(place: Place, new_redis: NewRedis) -> None:
    place.kafka.create(place.input)
    place.kafka.create(place.output)

    said = place.said("doctor", code=2, REDIS_URL=new_redis(maxmemory_policy="allkeys-lru").url)

    wrong = [line.removeprefix("wrong   ") for line in said if line.startswith("wrong")]
    assert (
        wrong[0]
        == f"there is no topic {place.rejects}; make it with: projector doctor --create-topics (and the options given here)"
    )
    assert wrong[1] == (
        f"topic {place.output} has cleanup.policy=delete, so nothing keeps the newest snapshot of a session; set"
        " cleanup.policy=compact,delete"
    )
    assert "maxmemory-policy allkeys-lru" in wrong[2]


def test_an_output_that_is_not_compacted_keeps_the_service_from_running(place: Place) -> None:
    for name in (place.input, place.output, place.rejects):
        place.kafka.create(name)

    (said,) = place.run(code=2)

    assert said.startswith(f"projector: topic {place.output} has cleanup.policy=delete")


def test_doctor_makes_the_topics_that_are_missing_and_then_the_service_runs(place: Place) -> None:
    made = place.said("doctor", "--create-topics", "--partitions", "3", code=0)

    assert made[:3] == [f"made    topic {name}" for name in (place.input, place.output, place.rejects)]
    assert made[3:6] == [
        f"ok      topic {place.input}: 3 partitions, cleanup.policy=delete",
        f"ok      topic {place.output}: 3 partitions, cleanup.policy=compact,delete",
        f"ok      topic {place.rejects}: 1 partitions, cleanup.policy=delete",
    ]
    place.kafka.send(place.input, [("s-1", line(custom("e-1")))])
    place.run(code=0)
    assert [record.key for record in place.kafka.read(place.output)] == [b"s-1"]


# Settings.


def test_three_mistakes_are_said_before_anything_is_asked_of_a_service(place: Place) -> None:
    (place.cwd / "projector.toml").write_text('workers = 0\nretention = "soon"\nkafka_acks = 1\n')

    assert place.run(code=2, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", REDIS_URL="redis://127.0.0.1:1") == [
        "projector: `workers` is 0 (projector.toml): expected a whole number from 1 to 256",
        (
            "projector: `retention` is 'soon' (projector.toml): expected a duration with its unit, such as 45s, 30m, 12h or"
            " 7d, of 36500d at most"
        ),
        "projector: kafka_acks = 1: this is set by the projector itself; leave it out",
    ]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (
            {"security_protocol": "SASL_SSL"},
            "kafka_security_protocol asks for SASL, and kafka_sasl_mechanism does not say which: set it",
        ),
        (
            {"security_protocol": "SSL", "ssl_cafile": "gone.pem"},
            "kafka_ssl_cafile = 'gone.pem': expected a file that can be read",
        ),
    ],
)
def test_security_settings_that_do_not_fit_are_not_taken_for_a_broker_that_is_absent(
    extra: dict[str, str], said: str
) -> None:
    with pytest.raises(WrongInput) as refused, KafkaTopics(KafkaSettings(extra=extra)):
        pass
    assert str(refused.value) == said


def test_a_metrics_port_that_somebody_has_is_named_and_the_service_ends(ready: Place) -> None:
    with closing(socket.create_server(("0.0.0.0", free_port()))) as taken:
        port = taken.getsockname()[1]

        (said,) = (json.loads(one) for one in ready.run(code=2, METRICS_PORT=str(port)))

    assert said["event"] == "cannot go on"
    assert said["why"] == (
        f"metrics_port: port {port} cannot be listened on (Address already in use); free it, or set another"
    )


def test_a_watchdog_that_is_faster_than_a_slow_broker_is_advised_against(ready: Place) -> None:
    said = ready.said("doctor", code=0, TURN_TIMEOUT="30s")

    assert any(
        line.startswith("advice  turn_timeout is 30 s, but a broker that is slow may take 45 s") for line in said
    )
    assert not any("turn_timeout" in line for line in ready.said("doctor", code=0))
