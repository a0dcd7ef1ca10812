"""Delivery at least once: state and ledger are as exact, the greatest revision of each session is right; snapshots and
rejects may come again, and an old snapshot late (design §4). Exactly once, none of that is seen.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli import environment_of
from tests.end_to_end.promises import (
    assert_end_is_right,
    assert_ledger_balances,
    assert_live_equals_replay,
    gone_back,
)
from tests.end_to_end.test_kill import SMALL, log_of_rounds, run_and_kill
from tests.services.process import Process, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.end_to_end.pipeline import Pipeline

AT_LEAST_ONCE = {**SMALL, "delivery": "at-least-once"}
# The whole of the suites with kills, with this delivery: make test-delivery.
STEPS = ("commit", "saved 4", "publish", "committed")
STEPS_OF_TWO = ("saved 2", "commit")


def test_a_worker_killed_between_steps_loses_nothing_and_publishes_again(new_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = new_pipeline(**AT_LEAST_ONCE)
    pipeline.feed(log_of_rounds())

    run_and_kill(pipeline, STEPS, nth=2)

    expected = assert_end_is_right(pipeline)
    assert_live_equals_replay(pipeline)
    published = [(message.key, message.revision) for message in pipeline.published()]
    assert len(published) > len(set(published))
    assert len(pipeline.rejected()) > len(expected.rejects)
    assert assert_ledger_balances(pipeline, expected).redelivered > 0


def test_killed_workers_of_two_on_a_topic_without_keys_lose_nothing(new_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = new_pipeline(**AT_LEAST_ONCE)
    pipeline.feed_unkeyed(log_of_rounds(raw=False))  # Ids of visits follow the order of the log.

    run_and_kill(pipeline, STEPS_OF_TWO, "--workers", "2", nth=2)

    assert_end_is_right(pipeline)


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_worker_that_stood_still_publishes_late_only_at_least_once(
    new_pipeline: Callable[..., Pipeline], delivery: str
) -> None:
    log = log_of_rounds()
    pipeline = new_pipeline(**{**SMALL, "delivery": delivery})
    pipeline.feed(log)
    with paused_at(pipeline, "publish", nth=3) as (service, pid):
        assert wait_for(lambda: sum(pipeline.committed().values()) == len(log), timeout_s=60)
        os.kill(pid, signal.SIGCONT)

        assert service.wait(timeout_s=60) == 0

    assert_end_is_right(pipeline)
    assert bool(gone_back(pipeline.published())) == (delivery == "at-least-once")


@contextmanager
def paused_at(pipeline: Pipeline, step: str, *, nth: int) -> Iterator[tuple[Process, int]]:
    """`run --until-end` with two workers, one of which stands still there; gives the service and that one's pid."""
    marks = pipeline.home / "marks"
    marks.mkdir()
    mortal = {"STEPS": step, "COUNTS": str(nth), "KILLS": "pause", "MARKS": str(marks)}
    command = [sys.executable, "-m", "tests.end_to_end.mortal", "run", "--until-end", "--workers", "2"]
    environment = environment_of({**pipeline.settings, **{f"MORTAL_{name}": value for name, value in mortal.items()}})
    service = Process("projector", command, pipeline.home, env=environment)
    service.start()
    try:
        service.wait_until(lambda: pid_in(marks / "0") is not None)
        pid = pid_in(marks / "0")
        assert pid is not None
        yield service, pid
    finally:
        service.kill()


def pid_in(mark: Path) -> int | None:
    text = mark.read_text() if mark.exists() else ""
    return int(text) if text else None
