"""Pipelines of a test's own, on the shared broker and the shared Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("tests.end_to_end.promises")

# The clients are imported where they are used: a conftest is read before the filter for their warning is in force.
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.end_to_end.pipeline import Pipeline
    from tests.services.topics import Topics


@pytest.fixture
def new_pipeline(
    kafka: Topics, redis_url: str, delivery: str, unique_name: Callable[[str], str], tmp_path: Path
) -> Callable[..., Pipeline]:
    """Makes a pipeline with topics that are empty, and these settings beside those that lead there."""
    from tests.end_to_end.pipeline import Pipeline

    def new(*, partitions: int = 4, **settings: str) -> Pipeline:
        own = {
            "kafka_bootstrap_servers": kafka.bootstrap,
            "redis_url": redis_url,
            "delivery": delivery,
            "input_topic": unique_name("in"),
            "output_topic": unique_name("out"),
            "rejects_topic": unique_name("rejects"),
            "group_id": unique_name("group"),
            **settings,
        }
        pipeline = Pipeline({f"PROJECTOR_{name.upper()}": value for name, value in own.items()}, tmp_path, partitions)
        pipeline.create_topics()
        return pipeline

    return new


@pytest.fixture
def pipeline(new_pipeline: Callable[..., Pipeline]) -> Pipeline:
    """Four partitions, every setting at its default."""
    return new_pipeline()
