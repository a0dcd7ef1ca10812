"""Sessions end by the clock, with no further event, and not before (contract §4)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.end_to_end.promises import assert_redis_holds_what_is_published, assert_revisions_never_go_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.pipeline import Pipeline

TIMEOUTS_S = {"web": 1, "app": 2}


def test_a_session_ends_with_no_further_event(new_pipeline: Callable[..., Pipeline]) -> None:
    timeouts = {f"timeout_{kind}": f"{seconds}s" for kind, seconds in TIMEOUTS_S.items()}
    pipeline = new_pipeline(partitions=2, **timeouts)
    with pipeline.started("--workers", "2") as service:
        warm_up(pipeline)
        now = datetime.now(UTC)

        pipeline.feed([event_of("web", now), event_of("app", now), event_of("ticket", now)])
        # A snapshot when each begins, and one when the two with a timeout end.
        pipeline.wait_for(1 + 3 + 2)

        service.stop()
    published = pipeline.published()
    assert_revisions_never_go_back(published)
    assert_redis_holds_what_is_published(pipeline)
    snapshots = [json.loads(message.value or b"") for message in published]
    for kind, seconds in TIMEOUTS_S.items():
        begun, ended = [one for one in snapshots if one["type"] == kind]
        assert "endedDate" not in begun
        assert ended["endedDate"] == shown(now + timedelta(seconds=seconds))
        assert without(ended, "endedDate") == begun
    assert not [one for one in snapshots if one["type"] == "ticket" and "endedDate" in one]


def test_an_end_that_came_while_no_worker_ran_is_published_by_the_next(new_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = new_pipeline(partitions=1, timeout_web="3s")
    with pipeline.started() as service:
        warm_up(pipeline)
        at = datetime.now(UTC)
        pipeline.feed([event_of("web", at)])
        pipeline.wait_for(2)
        service.stop()

    with pipeline.started() as service:
        pipeline.wait_for(3)
        service.stop()

    begun, ended = [json.loads(message.value or b"") for message in pipeline.published()[1:]]
    assert ended == {**begun, "endedDate": shown(at + timedelta(seconds=3))}


def warm_up(pipeline: Pipeline) -> None:
    """Returns when a first event, of a session that does not end, has come through: the service is up."""
    pipeline.feed([event_of("ticket", datetime.now(UTC))])
    pipeline.wait_for(1)


def event_of(kind: str, at: datetime) -> tuple[str, bytes]:
    """The first event of a new session of that type, with its key."""
    session_id = f"{kind}-{uuid4()}"
    payload, name = {"web": ("webEvent", "WebEvent"), "app": ("appEvent", "AppEvent")}.get(
        kind, ("customEvent", "CustomEvent")
    )
    event = {
        "id": str(uuid4()),
        "eventType": name,
        "createdDate": at.isoformat(),
        "session": {"id": session_id, "type": kind},
        payload: {"eventName": "something_done"},
    }
    return session_id, json.dumps(event).encode()


def shown(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}
