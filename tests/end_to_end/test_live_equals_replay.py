"""Law 3 on the real thing: what `run` has published and what `replay --from-topic` computes are the same, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.promises import assert_end_is_right, assert_live_equals_replay, without_short_id
from tests.generate import demo_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.pipeline import Pipeline


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "not-keyed"])
def test_two_workers_publish_what_a_replay_of_the_topic_gives(pipeline: Pipeline, keyed: bool) -> None:
    log = list(demo_events(60, seed=11))
    if keyed:
        pipeline.feed(log)
    else:
        pipeline.feed_unkeyed(log)

    pipeline.run("--workers", "2")

    assert_live_equals_replay(pipeline)
    assert_end_is_right(pipeline)


def test_two_workers_sessionize_raw_visits_as_a_replay_does(pipeline: Pipeline) -> None:
    pipeline.feed(demo_events(60, seed=13, raw=True))

    pipeline.run("--workers", "2")

    assert_live_equals_replay(pipeline)


def test_a_revision_follows_from_the_log_alone(new_pipeline: Callable[..., Pipeline]) -> None:
    one = new_pipeline(kafka_max_poll_records="40")
    other = new_pipeline(input_topic=one.config.input_topic, shards="5")
    one.feed_unkeyed(list(demo_events(40, seed=12)))

    one.run()
    other.run("--workers", "2")

    assert revisions(other) == revisions(one)


def revisions(pipeline: Pipeline) -> dict[str, tuple[int, bytes]]:
    """By session id the newest revision, and what it is the revision of."""
    return {
        key: (message.revision, without_short_id(message.value or b"")) for key, message in pipeline.newest().items()
    }
