import socket
import sys

import pytest

from projector.adapters.kafka import KafkaSettings, wrong_extras
from projector.adapters.kafka.settings import admin_options, consumer_options, group_options, producer_options
from projector.errors import WrongInput


def test_a_further_option_goes_to_the_clients_that_have_it() -> None:
    settings = KafkaSettings(extra={"linger_ms": 5, "fetch_min_bytes": 1, "security_protocol": "SSL"})

    assert producer_options(settings, "t")["linger_ms"] == 5
    assert "linger_ms" not in consumer_options(settings)
    assert consumer_options(settings)["fetch_min_bytes"] == 1
    assert admin_options(settings)["security_protocol"] == "SSL"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("linger_ms", "7", 7), ("ssl_check_hostname", "false", False), ("sasl_plain_password", "1", "1")],
)
def test_a_text_becomes_what_the_option_is(name: str, text: str, value: object) -> None:
    options = producer_options(KafkaSettings(extra={name: text}), "t")

    assert options[name] == value
    assert type(options[name]) is type(value)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"isolation_level": "read_uncommitted"}, "set by the projector itself"),
        ({"acks": 1}, "set by the projector itself"),
        ({"lingering": 1}, "no option"),
        ({"linger_ms": "soon"}, "a number"),
        ({"ssl_check_hostname": "maybe"}, "true or false"),
    ],
)
def test_a_wrong_further_option_names_itself_and_its_value(extra: dict[str, object], said: str) -> None:
    ((name, value),) = extra.items()

    with pytest.raises(WrongInput, match=f"kafka_{name} = {value!r}: .*{said}"):
        producer_options(KafkaSettings(extra=extra), "t")


def test_all_wrong_further_options_are_listed_at_once() -> None:
    assert len(wrong_extras({"acks": 1, "lingering": 1, "linger_ms": 3})) == 2


def test_heartbeats_come_three_times_a_session() -> None:
    options = group_options(KafkaSettings(group_session_timeout_ms=6000))

    assert options["session_timeout_ms"] == 6000
    assert options["heartbeat_interval_ms"] == 2000


def test_at_least_once_has_no_transaction() -> None:
    options = producer_options(KafkaSettings(delivery="at-least-once"), "t")

    assert "transactional_id" not in options
    assert options["enable_idempotence"] is True


@pytest.mark.parametrize("options", [group_options(KafkaSettings()), producer_options(KafkaSettings(), "t")])
def test_a_peer_that_vanished_is_noticed_within_half_a_minute(options: dict[str, list[tuple[int, int, int]]]) -> None:
    assert sys.platform == "linux"  # Elsewhere some of the options have other names.
    with socket.socket() as connection:
        for option in options["socket_options"]:
            connection.setsockopt(*option)

        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, between, probes, unanswered_ms = (
            connection.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        )
    assert idle + between * probes <= 30
    assert unanswered_ms <= 30_000
