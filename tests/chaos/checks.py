"""What has to hold when the load has stopped and everything is drained: the promises, against the oracle (contract §8)."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from tests.end_to_end import kcat
from tests.end_to_end.promises import (
    assert_a_revision_says_one_thing,
    assert_ledger_balances,
    assert_live_equals_replay,
    assert_redis_holds_what_is_published,
    assert_rejected_once_each,
    assert_revisions_never_go_back,
    assert_snapshots_are,
    assert_withdrawn_by_merges,
    without_lists,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.pipeline import Pipeline

_VALUE_MAX = 600  # Of what is shown of a value where a promise is broken.


def check(pipeline: Pipeline, *, sent: int, keyed: bool, lost_writes: bool) -> dict[str, str | None]:
    """By promise None, or how it is broken.

    A reader may see a session go back for a moment where the input has no keys and the store has lost writes (§6). At
    least once snapshots and rejects may come again and an old snapshot late: the greatest revision is what counts, and
    whatever has a revision says the same.
    """
    expected, published = pipeline.expected(), pipeline.published()
    in_order = pipeline.in_order(published)
    of_revisions: tuple[str, Callable[[], object]] = (
        ("revisions never go back", lambda: assert_revisions_never_go_back(published))
        if pipeline.is_exactly_once
        else ("a revision says one thing", lambda: assert_a_revision_says_one_thing(published))
    )
    promises: dict[str, Callable[[], object]] = {
        "the log holds what was sent": lambda: _assert_at_least(expected.ledger["read"], sent),
        "the newest snapshot of each session is the oracle's": lambda: assert_snapshots_are(
            in_order, expected, without_lists
        ),
        "what was withdrawn names who took over": lambda: assert_withdrawn_by_merges(in_order),
        f"each reject is there {'once' if pipeline.is_exactly_once else 'at least once'}": lambda: (
            assert_rejected_once_each(pipeline, expected)
        ),
        "the ledger balances": lambda: assert_ledger_balances(pipeline, expected),
        "Redis holds what is published": lambda: assert_redis_holds_what_is_published(pipeline),
    }
    if keyed:
        # Without keys the order in which partitions are read decides some details, such as a home partition's clock.
        promises["a replay gives the same, byte for byte"] = lambda: assert_live_equals_replay(pipeline)
    if keyed or not lost_writes:
        promises |= [of_revisions]
    return {promise: _broken(holds) for promise, holds in promises.items()}


def keep_topics(pipeline: Pipeline) -> None:
    """All records of the three topics beside the logs, for who looks into a breach."""
    config = pipeline.config
    for topic in (config.input_topic, config.output_topic, config.rejects_topic):
        with (pipeline.home / f"{topic}.txt").open("w") as file:
            file.writelines(f"{message}\n" for message in kcat.read(config.kafka_bootstrap_servers, topic))


def _assert_at_least(found: int, least: int) -> None:
    assert found >= least, f"{found} instead of {least}"


def _broken(holds: Callable[[], object]) -> str | None:
    try:
        holds()
    except Exception as error:  # noqa: BLE001 A check that cannot be made is one that does not hold.
        return _told(error)
    return None


def _told(error: Exception) -> str:
    """With the values at hand where it was raised: outside of pytest an assertion does not tell them."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    (*_, place) = traceback.extract_tb(error.__traceback__)
    values = [f"    {name} = {repr(value)[:_VALUE_MAX]}" for name, value in frame.f_locals.items()]
    return "\n".join([f"{type(error).__name__}: {str(error)[:_VALUE_MAX]}", f"    {place.line}", *values])
