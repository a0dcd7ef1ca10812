"""What the clients make of a broker that cannot be reached for a moment, or answers late."""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from kafka.protocol.metadata.find_coordinator import CoordinatorType
from msgspec.structs import replace

from projector.adapters.kafka import source as module
from projector.errors import Unavailable
from projector.ports import Committed
from tests.adapters.kafka.polling import begun, published, read_to_end
from tests.adapters.kafka.test_publisher import a_change
from tests.services.process import wait_for
from tests.services.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from projector.adapters.kafka import KafkaPublisher, KafkaSettings, KafkaSource
    from tests.services.kafka import Kafka
    from tests.services.proxy import Proxies, Proxy

RETURN_S = 20
"""Much less than the 45 s after which a batch expires, and a commit never returns."""


@pytest.fixture
def proxy(proxied_kafka: Kafka, proxies: Proxies) -> Proxy:
    (proxy,) = proxies.before(proxied_kafka)
    return proxy


@pytest.fixture
def kafka(proxy: Proxy) -> Topics:
    """The broker behind it, in the place of the shared one: for all that the tests make on one."""
    return Topics(proxy.address)


@pytest.mark.parametrize("due", ["maybe_add_partition_to_transaction", "begin_commit"])
def test_a_request_whose_connection_fails_is_made_when_the_broker_is_back(
    kafka: Topics,
    settings: KafkaSettings,
    proxy: Proxy,
    new_publisher: Callable[..., KafkaPublisher],
    due: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = new_publisher()
    publisher.publish([a_change("s1")], [], {}, None)
    sender: Any = publisher._producer._sender  # type: ignore[union-attr]
    transactions = sender._transaction_manager
    make = getattr(transactions, due)

    def make_it_without_a_connection(*values: Any) -> Any:
        setattr(transactions, due, make)
        proxy.down()
        coordinator = transactions.coordinator(CoordinatorType.TRANSACTION)
        assert wait_for(lambda: not sender._client.is_ready(coordinator), timeout_s=RETURN_S)
        return make(*values)

    setattr(transactions, due, make_it_without_a_connection)
    outcome: Future[None] = Future()

    def publish() -> None:
        publisher.publish([a_change("s2", 4)], [], {}, None)
        outcome.set_result(None)

    threading.Thread(target=publish, daemon=True).start()  # Of a commit that never returns it would be waited for.
    assert wait_for(lambda: is_refused(caplog.text, "coordinator-1"), timeout_s=RETURN_S)
    proxy.up()

    outcome.result(timeout=RETURN_S)
    assert [record.key for record in published(kafka, settings.output_topic)] == [b"s1", b"s2"]


def is_refused(logged: str, node: str) -> bool:
    """Whether the client has tried to connect to it in vain."""
    return any(node in line and "ECONNREFUSED" in line for line in logged.splitlines())


def test_an_answer_that_came_too_late_is_not_taken_for_that_of_a_later_question(
    settings: KafkaSettings, proxy: Proxy, new_source: Callable[..., KafkaSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = new_source(replace(settings, delivery="at-least-once"))
    begun(source)
    group = read_to_end(source)[-1].group
    source.commit({0: Committed(1, "")}, group)
    asked: Any = source._consumer._coordinator._offset_fetch_futures
    with monkeypatch.context() as patch:
        patch.setattr(module, "PENDING_MS", 50)
        patch.setattr(module, "COMMITTED_TIMEOUT_MS", 50)
        proxy.delay(300)
        with pytest.raises(Unavailable):
            source.committed([0])
    assert wait_for(lambda: all(one.is_done for one in asked.values()), timeout_s=RETURN_S)

    source.commit({0: Committed(2, "")}, group)

    assert source.committed([0]) == {0: Committed(2, "")}
