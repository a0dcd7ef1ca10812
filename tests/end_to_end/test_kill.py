"""A worker is killed between each two steps of its turn, once each, and the end is right (contract §8, law 2)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli import TIMEOUT_S, environment_of
from tests.end_to_end.promises import assert_end_is_right

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.end_to_end.pipeline import Pipeline

STEPS = {
    "reading": ("poll", "load", "claim", "save 1"),
    # With two shards a turn that follows a link saves each twice: the tracks, then the positions.
    "saving": ("save 2", "save 3", "save 4", "saved 4"),
    "publishing": ("offsets", "commit", "committed", "release"),
    # Alone: who dies at the release of the last ids leaves none to be released.
    "released": ("released",),
}
# A turn for deadlines that have passed, and the clean-up of what it published with the turn after.
ENDS = ("save 1", "save 2", "saved 2", "offsets", "commit", "committed", "release")
STEPS_OF_ENDS = ("end load", *(f"end {step}" for step in ENDS), "clean", "cleaned")
STEPS_OF_TWO = ("save 2", "saved 2", "commit", "committed", "clean")
# What was left while a life caught up is done in one turn, which may be the last of the log.
ONCE_IN_A_LIFE = ("release", "released", "clean", "cleaned")
ROUNDS = 26  # Turns enough for each of the deaths below, and some to spare.
SMALL = {
    "partitions": 2,
    "shards": "2",
    "kafka_max_poll_records": "12",
    "cache_tracks_max": "4",  # So that there is something to load.
    "group_session_timeout": "1500ms",  # The dead worker's partitions are given away after so long.
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_worker_killed_between_steps_loses_and_repeats_nothing(
    new_pipeline: Callable[..., Pipeline], steps: tuple[str, ...]
) -> None:
    pipeline = new_pipeline(**SMALL)
    pipeline.feed(log_of_rounds())

    run_and_kill(pipeline, steps, nth=2)

    assert_end_is_right(pipeline)


def test_a_worker_killed_while_sessions_end_loses_and_repeats_nothing(new_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = new_pipeline(**SMALL)
    pipeline.feed(log_of_rounds())

    run_and_kill(pipeline, STEPS_OF_ENDS, nth=1)

    assert_end_is_right(pipeline)


def test_killed_workers_of_two_on_a_topic_without_keys_lose_and_repeat_nothing(
    new_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline = new_pipeline(**SMALL)
    pipeline.feed_unkeyed(log_of_rounds(raw=False))  # Ids of visits follow the order of the log.

    run_and_kill(pipeline, STEPS_OF_TWO, "--workers", "2", nth=2)

    assert_end_is_right(pipeline)


@pytest.mark.parametrize("step", ["saved 4", "commit"])
def test_the_next_service_goes_on_where_one_was_killed(new_pipeline: Callable[..., Pipeline], step: str) -> None:
    pipeline = new_pipeline(**SMALL)
    pipeline.feed(log_of_rounds())
    run_and_kill(pipeline, [step], nth=2, kills="service", code=-signal.SIGKILL)

    pipeline.run("--workers", "2")

    assert_end_is_right(pipeline)


def run_and_kill(
    pipeline: Pipeline, steps: Sequence[str], *words: str, nth: int, kills: str = "worker", code: int = 0
) -> None:
    """`run --until-end`, in which at each step in turn a worker dies when it comes there for the nth time.

    The first, where a life need not come there again.
    """
    marks = pipeline.home / "marks"
    marks.mkdir()
    counts = ",".join("1" if step in ONCE_IN_A_LIFE else str(nth) for step in steps)
    mortal = {"STEPS": ",".join(steps), "COUNTS": counts, "KILLS": kills, "MARKS": str(marks)}
    environment = {f"MORTAL_{name}": value for name, value in mortal.items()}
    done = subprocess.run(
        [sys.executable, "-m", "tests.end_to_end.mortal", "run", "--until-end", *words],
        env=environment_of({**pipeline.settings, **environment}),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    print(done.stderr.decode(errors="replace"))  # Shown where something fails from here on.
    assert done.returncode == code
    assert list(steps[len(list(marks.iterdir())) :]) == [], "no worker came to these steps so often"


def log_of_rounds(*, raw: bool = True) -> list[tuple[str, bytes]]:
    """Key and value. Whatever a turn can have to do is in each round: sessions that begin, go on, end, are linked to a
    conversation on another partition, duplicates, rejects and tombstones; with `raw` also visits that are merged, one
    of them when it has been published. What has a timeout ends by the clock."""
    numbers = count()
    log: list[tuple[str, bytes]] = []

    def tell(key: str, *, minutes: int = 0, **members: Any) -> None:
        number = next(numbers)
        at = f"2025-06-12T{10 + minutes // 60}:{minutes % 60 + number // 60:02d}:{number % 60:02d}Z"
        log.append((key, json.dumps({"id": f"event-{number}", "createdDate": at, **members}).encode()))

    def talk(call: str, what: str, **body: Any) -> None:
        at_ms = 1749722400000 + 1000 * next(numbers)
        event = {"topicName": f"v2.detail.events.conversation.{call}.{what}", "eventBody": {"eventTime": at_ms, **body}}
        log.append((call, json.dumps(event).encode()))

    def browse(session: str, what: str) -> None:
        tell(session, eventType="WebEvent", session={"id": session, "type": "web"}, webEvent={"eventName": what})

    def visit(visitor: str, minutes: int) -> None:
        customer = {"customerId": visitor, "customerIdType": "cookie"}
        tell(visitor, minutes=minutes, eventType="WebEvent", webEvent={"eventName": "page_viewed"}, **customer)

    for turn in range(ROUNDS):
        session, before, call = f"session-{turn}", f"session-{max(0, turn - 1)}", f"call-{turn}"
        browse(session, "page_viewed")
        browse(before, "form_submitted")
        browse(f"brief-{turn}", "page_viewed")
        log.append(log[-1])
        talk(call, "customer.start", direction="INBOUND", journeyContext={"sessionId": session})
        talk(call, "acd.end", outcome="ANSWERED", answeredUserId="user-anna", queueId="queue-sales")
        tell("parcel", eventType="CustomEvent", session={"type": "delivery"}, customEvent=parcel(turn))
        tell(f"brief-{turn}", eventType="SessionEnded", session={"id": f"brief-{turn}"})
        log.append((session, b'{"id":"cut-'))
        tell(before, eventType="PageEvent")
        log.append((session, b""))
        talk(call, "customer.end")
        if raw:
            visit(f"visitor-{turn}", 0)
            visit(f"visitor-{turn}", 40)
            # In reach of the two of the round before.
            visit(f"visitor-{max(0, turn - 1)}", 20)
    return log


def parcel(turn: int) -> dict[str, Any]:
    return {"eventName": f"stop {turn}", "externalId": "parcel-1", "attributes": {f"stop {turn}": turn}}
