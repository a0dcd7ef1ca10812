"""Topics, sources and publishers of a test's own, on the shared broker."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING, Any

import pytest

# The client is imported where it is used: a conftest is read before the filter for its warning at import is in force.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from projector.adapters.kafka import KafkaPublisher, KafkaSettings, KafkaSource
    from tests.services.topics import Topics


@pytest.fixture
def settings(kafka: Topics, unique_name: Callable[[str], str]) -> KafkaSettings:
    """An input of 2 partitions, an output of 3, rejects of 1; nothing in them."""
    from projector.adapters.kafka import KafkaSettings

    return KafkaSettings(
        bootstrap_servers=kafka.bootstrap,
        input_topic=kafka.create(unique_name("in"), partitions=2),
        output_topic=kafka.create(unique_name("out"), partitions=3, configs={"cleanup.policy": "compact"}),
        rejects_topic=kafka.create(unique_name("rejects")),
        group_id=unique_name("group"),
    )


@pytest.fixture
def new_source(settings: KafkaSettings) -> Iterator[Callable[..., KafkaSource]]:
    """Makes sources, of other settings where they are given."""
    from projector.adapters.kafka import KafkaSource

    sources: list[KafkaSource] = []

    def new(of: KafkaSettings = settings) -> KafkaSource:
        sources.append(KafkaSource(of))
        return sources[-1]

    yield new
    for source in sources:
        source.close()


@pytest.fixture
def new_publisher(settings: KafkaSettings) -> Iterator[Callable[..., KafkaPublisher]]:
    """Makes publishers, of other settings where they are given; all with the same transactional id."""
    from projector.adapters.kafka import KafkaPublisher

    publishers: list[KafkaPublisher] = []

    def new(of: KafkaSettings = settings, **options: Any) -> KafkaPublisher:
        options.setdefault("transactional_id", of.group_id)
        publishers.append(KafkaPublisher(of, **options))
        return publishers[-1]

    yield new
    for publisher in publishers:
        publisher.close()


@pytest.fixture
def nobody() -> Iterator[KafkaSettings]:
    """Settings of a broker that is not there."""
    from projector.adapters.kafka import KafkaSettings
    from tests.services.process import free_port

    yield KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}", extra={"bootstrap_timeout_ms": "300"})
    with warnings.catch_warnings():  # The client does not close a socket that could not connect.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
