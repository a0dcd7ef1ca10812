"""Inside kafka-python's producer, for its tested versions only: a transaction's requests outlast a lost connection.

Its sender drops the request in hand where the connection to the coordinator cannot be made: it expects to be told so by
an answer, and is told by an exception. Then `init_transactions` waits until its time is up, a batch until it has
expired, and a commit for ever, though the broker is back long since. Told by the answer, it looks for the coordinator
and tries again.
Law: with another version of the client nothing private is used.
"""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaConnectionError
from kafka.version import __version__

TESTED = ("3.0.12",)


def keep_requests(producer: KafkaProducer) -> None:
    """To be called before the producer's first transaction."""
    if __version__ not in TESTED:
        return
    client: Any = producer._sender._client  # noqa: SLF001
    await_ready = client.await_ready

    def is_ready(node: Any, timeout_ms: int) -> bool:
        try:
            return bool(await_ready(node, timeout_ms=timeout_ms))
        except KafkaConnectionError:
            return False

    client.await_ready = is_ready
