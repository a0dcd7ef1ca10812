"""SIGTERM under load: the batch in hand is finished and committed, and the next run goes on from there (contract §9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.promises import assert_end_is_right, assert_ledger_balances
from tests.end_to_end.serving import IN_TIME_S, child_of, is_alive, wait_until_read
from tests.generate import bench_events
from tests.services.process import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.pipeline import Pipeline
    from tests.services.topics import Topics

EVENTS = 2000


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_under_load_commits_what_was_read(new_pipeline: Callable[..., Pipeline], workers: str) -> None:
    pipeline = new_pipeline(shards="2")
    pipeline.feed(bench_events(EVENTS, 200, seed=21))
    # So small a batch that there are hundreds: the stop comes in the middle.
    with pipeline.started("--workers", workers, kafka_max_poll_records="10") as service:
        pipeline.wait_for(1)

        service.stop()

        assert service.wait() == 0
    committed = pipeline.committed()
    assert 0 < sum(committed.values()) < EVENTS
    assert pipeline.stored_positions() == [committed, committed]
    pipeline.run("--workers", "2")
    expected = assert_end_is_right(pipeline)
    book = assert_ledger_balances(pipeline, expected)
    assert (book.read, book.folded, book.redelivered) == (EVENTS, EVENTS, 0)


def test_a_service_that_is_started_where_one_was_killed_has_its_place_in_the_group(
    pipeline: Pipeline, kafka: Topics
) -> None:
    log = list(bench_events(20, 5, seed=22))

    def members() -> list[str]:
        group = pipeline.config.group_id
        with kafka.admin() as admin:
            return [one["group_instance_id"] for one in admin.describe_groups([group])[group]["members"]]

    with pipeline.started() as service:
        pipeline.feed(log[:10])
        wait_until_read(pipeline, service, 10)
        (before,) = members()
        worker = child_of(service)

        service.kill()

        # Till it notices it would read on: then the group may have nobody when all is read.
        assert wait_for(lambda: not is_alive(worker), timeout_s=IN_TIME_S)
    with pipeline.started() as service:
        pipeline.feed(log[10:])
        wait_until_read(pipeline, service, 20)
        assert members() == [before]
