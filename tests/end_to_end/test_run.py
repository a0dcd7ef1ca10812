"""`projector run --until-end` from the input topic to snapshots, rejects, ledger and state: all is there, and right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.promises import assert_end_is_right, assert_ledger_balances, without_lists
from tests.generate import demo_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.pipeline import Pipeline


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_comes_out_as_the_oracle_says(pipeline: Pipeline, workers: str) -> None:
    pipeline.feed(demo_events(60, seed=int(workers)))

    pipeline.run("--workers", workers)

    expected = assert_end_is_right(pipeline)
    assert assert_ledger_balances(pipeline, expected).redelivered == 0
    assert {session["type"] for session in expected.sessions} >= {"web", "app", "conversation"}
    assert len({reject["reason"] for reject in expected.rejects}) > 4


def test_raw_visits_come_out_as_the_oracle_says(pipeline: Pipeline) -> None:
    pipeline.feed(demo_events(60, seed=6, raw=True))

    pipeline.run("--workers", "2")

    expected = assert_end_is_right(pipeline, compared=without_lists)
    assert assert_ledger_balances(pipeline, expected).redelivered == 0


def test_what_comes_later_goes_on_from_there(new_pipeline: Callable[..., Pipeline]) -> None:
    pipeline, log = new_pipeline(shards="3"), list(demo_events(30, seed=3))
    pipeline.feed(log[:100])
    pipeline.run()
    pipeline.feed(log[100:])

    pipeline.run("--workers", "2")

    expected = assert_end_is_right(pipeline)
    assert assert_ledger_balances(pipeline, expected).redelivered == 0


def test_a_run_without_anything_new_publishes_nothing(pipeline: Pipeline) -> None:
    pipeline.feed(demo_events(10, seed=4))
    pipeline.run()
    before = pipeline.published(), pipeline.committed(), pipeline.stored()

    pipeline.run("--workers", "2")

    assert (pipeline.published(), pipeline.committed(), pipeline.stored()) == before


def test_delivery_at_least_once_comes_to_the_same(pipeline: Pipeline) -> None:
    pipeline.feed(demo_events(40, seed=5))

    pipeline.run("--workers", "2", "--delivery", "at-least-once")

    expected = assert_end_is_right(pipeline)
    assert assert_ledger_balances(pipeline, expected).redelivered == 0
