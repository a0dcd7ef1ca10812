"""Visits out of raw events: gaps, merges, campaign splits and walls, on their ms (contract §3, rule 3)."""

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from projector.decode import decode
from projector.evolve import evolve
from projector.join import absorb
from projector.rules import Rules
from projector.session import Session, new_session
from projector.snapshot import snapshot_of
from tests.group import Group
from tests.memory import Played, play
from tests.oracle.replay import replay
from tests.oracle.settings import Settings
from tests.strategies import END, Json, lines_of, raw_events, told_again, without_ids
from tests.test_laws import FILE, log_of, sessions_of

MINUTE = 60_000
GAPS_ONLY = Rules(campaign_split=False)


def visit(event_id: str, at: str, *, url: str = "https://www.example.org/", **more: Any) -> Json:
    event = {"id": event_id, "eventType": "WebEvent", "createdDate": f"2025-06-12T{at}Z", "customerId": "c"}
    return {**event, "webEvent": {"eventName": "page_viewed", "page": {"url": url}, **more}}


def played(*events: Json, rules: Rules | None = None) -> Played:
    return play(log_of(lines_of(events)), rules or Rules(), as_of=END)


def spans(*events: Json, rules: Rules | None = None) -> list[tuple[str, int]]:
    """Each session's first activity and its number of events."""
    return [(one["createdDate"][11:23], one["eventCount"]) for one in sessions_of(played(*events, rules=rules).values)]


def test_an_event_exactly_at_the_timeout_stays_in_the_visit() -> None:
    assert spans(visit("a", "09:00:00.000"), visit("b", "09:30:00.000")) == [("09:00:00.000", 2)]


def test_an_event_a_ms_beyond_the_timeout_opens_another_visit() -> None:
    assert spans(visit("a", "09:00:00.000"), visit("b", "09:30:00.001")) == [("09:00:00.000", 1), ("09:30:00.001", 1)]


def test_a_late_event_extends_a_visit_backwards() -> None:
    assert spans(visit("a", "09:30:00.000"), visit("b", "09:00:00.000")) == [("09:00:00.000", 2)]


def test_a_late_event_bridges_two_visits_and_withdraws_the_later_one() -> None:
    first, second, bridge = visit("a", "09:00:00.000"), visit("b", "09:50:00.000"), visit("c", "09:25:00.000")
    apart = sessions_of(played(first, second).values)

    together = played(first, second, bridge)

    assert [one["id"] for one in sessions_of(together.values)] == [apart[0]["id"]]
    assert together.merged == {apart[1]["id"]: apart[0]["id"]}


def test_the_tombstone_of_a_merged_visit_has_a_higher_revision_than_its_snapshots() -> None:
    merged = play(
        log_of(lines_of([visit("a", "09:00:00.000"), visit("b", "09:50:00.000"), visit("c", "09:25:00.000")])),
        Rules(),
        sizes=[1, 1, 1],
        as_of=END,
    )

    for lost in merged.merged:
        revisions = merged.revisions[lost]
        assert revisions == sorted(set(revisions))


def test_a_new_campaign_ends_the_visit_and_opens_another_at_that_moment() -> None:
    sessions = sessions_of(
        played(visit("a", "09:00:00.000"), visit("b", "09:10:00.000", url="https://www.example.org/?gclid=1")).values
    )

    assert sessions[0]["endedDate"] == sessions[1]["createdDate"] == "2025-06-12T09:10:00.000Z"


def test_visits_on_two_sides_of_a_wall_never_merge() -> None:
    left, right = visit("a", "09:00:00.000"), visit("b", "09:10:00.000", url="https://www.example.org/?gclid=1")

    assert spans(left, right, visit("c", "09:09:59.999"), visit("d", "09:10:00.000")) == [
        ("09:00:00.000", 2),
        ("09:10:00.000", 2),
    ]


def test_without_campaign_split_a_new_campaign_stays_in_the_visit() -> None:
    right = visit("b", "09:10:00.000", url="https://www.example.org/?gclid=1")

    assert spans(visit("a", "09:00:00.000"), right, rules=GAPS_ONLY) == [("09:00:00.000", 2)]


def test_web_and_app_visits_of_one_visitor_stand_side_by_side_with_their_own_timeouts() -> None:
    app = {
        "eventType": "AppEvent",
        "customerId": "c",
        "appEvent": {"eventName": "screen_viewed"},
    }
    events = [
        visit("a", "09:00:00.000"),
        {**app, "id": "b", "createdDate": "2025-06-12T09:01:00Z"},
        {**app, "id": "c", "createdDate": "2025-06-12T09:06:00Z"},
        visit("d", "09:06:00.000"),
    ]

    assert spans(*events, rules=Rules(timeout_app=4 * MINUTE)) == [
        ("09:00:00.000", 2),
        ("09:01:00.000", 1),
        ("09:06:00.000", 1),
    ]


def test_a_visitor_who_comes_for_years_costs_what_a_week_of_visits_costs() -> None:
    daily = [
        {
            **visit(f"d{day}", "09:00:00.000"),
            "createdDate": f"{2020 + day // 336}-{day // 28 % 12 + 1:02d}-{day % 28 + 1:02d}T09:00:00Z",
        }
        for day in range(336 * 2)
    ]

    group = Group(size=10)
    group.tell(*daily)
    group.settle()

    tracks = [track for key, track in group.store.sessions() if key.startswith("v:")]
    assert [len(track.sessions) for track in tracks] == [8]  # Seven days of retention reach the same hour twice.


@given(events=raw_events(), data=st.data())
def test_without_campaigns_any_order_gives_the_visits_of_a_naive_batch_sessionizer(
    events: list[Json], data: st.DataObject
) -> None:
    expected = replay((FILE, lines_of(events)), settings=Settings(campaign_split=False), as_of=END, started=END)
    shuffled = data.draw(told_again(events))

    got = play(log_of(lines_of(shuffled)), GAPS_ONLY, sizes=data.draw(st.lists(st.integers(1, 4))), as_of=END)

    assert without_ids(sessions_of(got.values)) == without_ids(expected.sessions)


@given(events=raw_events(max_size=9), places=st.lists(st.integers(0, 2), min_size=9, max_size=9))
def test_merging_is_associative_and_commutative(events: list[Json], places: list[int]) -> None:
    def parts() -> list[Session]:
        sessions = [new_session("one") for _ in range(3)]
        seen: set[str] = set()
        for place, event in zip(places, taken(events), strict=False):
            if event.id not in seen:
                evolve(sessions[place], event, Rules(), Counter())
            seen.add(event.id)
        return sessions

    def shown(session: Session) -> Any:
        return msgspec.json.decode(snapshot_of(session, Rules())) if session.events else None

    a, b, c = parts()
    absorb(a, b, Rules(), Counter())
    absorb(a, c, Rules(), Counter())
    d, e, f = parts()
    absorb(e, f, Rules(), Counter())
    absorb(e, d, Rules(), Counter())

    assert shown(a) == shown(e)


def taken(events: list[Json]) -> list[Any]:
    return [decode(line) for line in lines_of(events)]
