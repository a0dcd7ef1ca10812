"""The fold of one session, rule by rule: which event sets what, in any order, up to which bound (contract §3 to §5)."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from random import Random
from typing import Any

import pytest

from projector.evolve import evolve
from projector.rules import AttributeRule, Rules
from projector.session import (
    Session,
    deadline_of,
    ended_at,
    event_key,
    expire,
    is_held,
    is_published,
    last_activity,
    new_session,
)
from projector.snapshot import snapshot_of
from tests.given import (
    DAY,
    MINUTE,
    SECOND,
    T0,
    Json,
    app,
    custom,
    ended,
    folded,
    heartbeat,
    outcome,
    read,
    segment,
    session_of,
    snapshot,
    talk,
    text_of,
    web,
)

RULES = Rules()


def in_every_order(*events: Json, rules: Rules | None = None) -> Json:
    """The one snapshot that these events make, whatever their order and with all of them told twice."""
    found = [snapshot(folded((*order, *order), rules), rules) for order in permutations(events)]
    assert all(one == found[0] for one in found)
    return found[0]


def end_of(session: Session, rules: Rules = RULES) -> int | None:
    """After `T0`, ms."""
    at = ended_at(session, rules)
    return None if at is None else at - T0


# Dates.


def test_the_first_activity_creates_and_the_last_one_dates() -> None:
    session = in_every_order(web("b", 5 * MINUTE), web("a", 0), web("c", 2 * MINUTE + 999))

    assert session["createdDate"] == text_of(0)
    assert session["idleDate"] == text_of(5 * MINUTE + 45 * SECOND)
    assert session["awayDate"] == text_of(5 * MINUTE + 60 * SECOND)


@pytest.mark.parametrize(("ms", "seconds"), [(0, 0), (999, 0), (1000, 1), (1999, 1), (354_880, 354)])
def test_a_duration_is_whole_seconds_cut_off(ms: int, seconds: int) -> None:
    assert session_of(web("a"), web("b", ms))["durationInSeconds"] == seconds


def test_a_heartbeat_moves_the_dates_and_counts_nothing() -> None:
    session = in_every_order(web("a"), heartbeat(7 * MINUTE), heartbeat(-MINUTE, event_id="h"))

    assert (session["createdDate"], session["durationInSeconds"]) == (text_of(-MINUTE), 480)
    assert (session["eventCount"], session["lastEvent"]["id"]) == (1, "a")
    assert session["idleDate"] == text_of(7 * MINUTE + 45 * SECOND)


def test_an_annotation_moves_no_date_and_counts_nothing() -> None:
    session = in_every_order(web("a"), outcome("o", 9 * MINUTE), segment("s", -9 * MINUTE))

    assert (session["createdDate"], session["durationInSeconds"], session["eventCount"]) == (text_of(0), 0, 1)
    assert session["lastEvent"]["id"] == "a"


def test_before_any_activity_the_least_event_stands_for_it() -> None:
    session = folded([outcome("o", 9 * MINUTE), segment("s", 3 * MINUTE)])

    assert not is_published(session)
    assert last_activity(session) == T0 + 3 * MINUTE


def test_what_came_before_the_first_visitor_event_is_kept_for_it() -> None:
    session = folded([outcome("o"), heartbeat(MINUTE), segment("s", MINUTE)])
    assert not is_published(session)

    evolve(session, read(web("a", 2 * MINUTE)), RULES, Counter())

    published = snapshot(session)
    assert is_published(session)
    assert published["createdDate"] == text_of(MINUTE)
    assert len(published["outcomeAchievements"]) == len(published["segmentAssignments"]) == 1


# The end.


@pytest.mark.parametrize("event", [web, app])
def test_a_session_ends_when_the_clock_is_later_than_its_timeout_and_not_before(event: Any) -> None:
    session = folded([event("a")])
    deadline = T0 + 30 * MINUTE

    assert deadline_of(session, RULES) == deadline
    assert not expire(session, deadline, RULES)
    assert end_of(session) is None
    assert expire(session, deadline + 1, RULES)
    assert end_of(session) == 30 * MINUTE
    assert deadline_of(session, RULES) is None
    assert not expire(session, deadline + DAY, RULES)


@pytest.mark.parametrize(
    "event", [custom("a"), talk("acd.start"), custom("a", about={"session": {"id": "s", "type": "atm"}})]
)
def test_other_sessions_never_end_by_time_and_have_no_idle_and_away(event: Json) -> None:
    session = folded([event])

    assert deadline_of(session, RULES) is None
    assert not expire(session, T0 + 400 * DAY, RULES)
    assert {"idleDate", "awayDate", "endedDate"} & snapshot(session).keys() == set()


def test_a_later_activity_revives_a_session_that_ended_by_time() -> None:
    session = folded([web("a")])
    assert expire(session, T0 + DAY, RULES)

    evolve(session, read(web("b", 31 * MINUTE)), RULES, Counter())

    assert end_of(session) is None
    assert deadline_of(session, RULES) == T0 + 61 * MINUTE


def test_an_activity_that_is_not_later_revives_nothing() -> None:
    session = folded([web("a")])
    assert expire(session, T0 + DAY, RULES)

    evolve(session, read(web("b", 0)), RULES, Counter())
    evolve(session, read(outcome("o", 31 * MINUTE)), RULES, Counter())

    assert end_of(session) == 30 * MINUTE


@pytest.mark.parametrize(("at", "end"), [(-1, None), (0, 0), (1, 1), (10 * MINUTE, 10 * MINUTE)])
def test_a_session_is_ended_by_what_is_not_before_its_last_activity(at: int, end: int | None) -> None:
    expected = None if end is None else text_of(end)

    assert in_every_order(web("a", -MINUTE), web("b"), ended("e", at)).get("endedDate") == expected


def test_the_least_end_that_holds_counts() -> None:
    session = folded([web("a"), ended("e", 20 * MINUTE), ended("f", 10 * MINUTE), ended("g", 40 * MINUTE)])
    assert expire(session, T0 + DAY, RULES)

    assert end_of(session) == 10 * MINUTE
    evolve(session, read(web("b", 15 * MINUTE)), RULES, Counter())
    assert end_of(session) == 20 * MINUTE
    evolve(session, read(web("c", 35 * MINUTE)), RULES, Counter())
    assert end_of(session) == 40 * MINUTE
    assert expire(session, T0 + DAY, RULES)
    assert end_of(session) == 40 * MINUTE


def test_the_end_by_time_goes_before_a_later_session_ended() -> None:
    session = folded([web("a"), ended("e", 30 * MINUTE + 1)])
    assert end_of(session) == 30 * MINUTE + 1

    assert expire(session, T0 + 30 * MINUTE + 1, RULES)

    assert end_of(session) == 30 * MINUTE


def test_idle_and_away_stay_when_the_session_has_ended() -> None:
    session = session_of(web("a"), ended("e", SECOND))

    assert (session["endedDate"], session["idleDate"]) == (text_of(SECOND), text_of(45 * SECOND))


@pytest.mark.parametrize(("since", "held"), [(-1, True), (0, True), (1, False)])
def test_a_session_is_held_up_to_its_last_activity_and_the_retention(since: int, held: bool) -> None:
    session = folded([web("a", -DAY), web("b")])

    assert is_held(session, T0 + 7 * DAY + since, RULES) is held
    assert is_held(session, T0 + 7 * DAY + since, Rules(retention=0))


# Duplicates.


def test_of_two_events_with_one_id_the_first_read_counts() -> None:
    session = folded([web("a", name="first")])

    assert not evolve(session, read(web("a", 5 * MINUTE, name="second")), RULES, Counter())
    published = snapshot(session)
    assert (published["eventCount"], published["lastEvent"]["eventName"]) == (1, "first")
    assert published["createdDate"] == text_of(0)


def test_a_duplicate_leaves_the_session_as_it_was() -> None:
    events = [
        web("a", attributes={"x": 1}),
        heartbeat(1, event_id="h"),
        outcome("o", 2),
        segment("s", 3),
        ended("e", 4),
    ]
    session = folded(events)
    before = snapshot_of(session, RULES)

    assert not any(evolve(session, read(event), RULES, Counter()) for event in events)

    assert snapshot_of(session, RULES) == before


def test_a_heartbeat_without_id_is_never_a_duplicate() -> None:
    session = folded([heartbeat()])

    assert evolve(session, read(heartbeat()), RULES, Counter())


@pytest.mark.parametrize("event_id", ["quo\"te'", "new\nline", "\u0000", "ä", "\U0001f600", " ", "x" * 10_000, "null"])
def test_an_id_may_be_any_text(event_id: str) -> None:
    session = folded([web(event_id), web(event_id), web(event_id + "2", -1)])

    assert snapshot(session)["lastEvent"]["id"] == event_id
    assert snapshot(session)["eventCount"] == 2


def test_the_newest_ids_are_remembered_up_to_the_bound() -> None:
    rules = Rules(event_ids_max=32)
    session = folded([web(str(number), number) for number in range(100)], rules)

    assert 32 <= len(session.ids) <= 34
    assert {event_key(b"%d" % number) for number in range(68, 100)} <= session.ids.keys()
    assert snapshot(session)["eventCount"] == 100
    assert not evolve(session, read(web("99", 99)), rules, Counter())


def test_4096_ids_are_remembered_by_default() -> None:
    session = folded([heartbeat(number, event_id=str(number)) for number in range(4096 + 300)])

    assert 4096 <= len(session.ids) < 4096 + 300
    assert {event_key(b"%d" % number) for number in range(300, 4396)} <= session.ids.keys()


# Latest, first, ties.


@pytest.mark.parametrize(
    ("lesser", "greater"), [("a", "b"), ("B", "a"), ("z", "é"), ("\uffff", "\U0001f600"), ("a", "aa"), ("", "a")]
)
def test_ties_of_time_are_decided_by_the_utf_8_bytes_of_the_id(lesser: str, greater: str) -> None:
    first = web(f"x{lesser}", ipAddress="192.0.2.1", about={"customerId": "first"})
    second = web(f"x{greater}", ipAddress="192.0.2.2", about={"customerId": "second"})

    session = in_every_order(first, second)

    assert f"x{lesser}".encode() < f"x{greater}".encode()
    assert (session["ipAddress"], session["customerId"]) == ("192.0.2.2", "first")
    assert session["lastEvent"]["id"] == f"x{greater}"


def test_each_field_has_its_own_latest_and_null_and_empty_objects_say_nothing() -> None:
    early = web("a", 0, browser={"family": "Firefox"}, device={"type": "iPad"}, ipOrganization="A", userAgentString="u")
    late = web("b", 1, browser={}, device={"type": None}, geolocation={"country": "AU"}, ipOrganization=None)

    session = in_every_order(early, late)

    assert session["browser"] == {"family": "Firefox"}
    assert session["device"] == {"type": "iPad"}
    assert session["geolocation"] == {"country": "AU"}
    assert (session["ipOrganization"], session["userAgentString"]) == ("A", "u")


@pytest.mark.parametrize("seed", range(20))
def test_any_number_of_events_may_come_late(seed: int) -> None:
    dice, events = Random(seed), list[Json]()
    for number in range(300):
        late = dice.randrange(3 * SECOND) if dice.random() < 0.6 else 0
        said: Json = {"page": {"url": f"https://shop.example/{number}"}} if dice.random() < 0.3 else {}
        said |= {"browser": {"family": f"B{number}"}} if dice.random() < 0.2 else {}
        events.append(web(f"e{number:03}", 5 * SECOND + number * SECOND - late, **said))

    assert session_of(*events) == session_of(*sorted(events, key=lambda one: (one["createdDate"], one["id"])))


def test_an_object_is_taken_whole_and_never_mixed() -> None:
    session = in_every_order(web("a", 0, browser={"family": "x", "lang": "en"}), web("b", 1, browser={"family": "y"}))

    assert session["browser"] == {"family": "y"}


def test_what_an_event_gives_goes_before_what_a_later_one_lets_derive() -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    given = web("a", 0, browser={"family": "Given"})
    derived = web("b", 1, userAgentString=agent)

    assert in_every_order(given, derived)["browser"] == {"family": "Given"}
    assert session_of(derived)["browser"]["family"] == "Firefox"


def test_customer_and_campaign_and_referrer_are_the_first() -> None:
    early = web(
        "a", 0, mktCampaign={"source": "one"}, referrer={"url": "https://a.example/"}, about={"customerId": "1"}
    )
    late = web("b", 1, mktCampaign={"source": "two"}, referrer={"url": "https://b.example/"}, about={"customerId": "2"})

    session = in_every_order(early, late)

    assert (session["mktCampaign"], session["customerId"]) == ({"source": "one"}, "1")
    assert session["referrer"]["url"] == "https://a.example/"


def test_customer_id_and_its_type_are_a_pair_of_any_event() -> None:
    first = heartbeat(-1, customerId="1")
    later = web("a", about={"customerId": "2", "customerIdType": "email"})

    session = in_every_order(first, later, outcome("o", 5, customerId="3", customerIdType="cookie"))

    assert session["customerId"] == "1"
    assert "customerIdType" not in session


def test_a_type_without_an_id_is_no_customer() -> None:
    assert "customerIdType" not in session_of(web("a", about={"customerIdType": "email"}))


def test_the_last_page_is_the_last_that_a_web_event_had() -> None:
    session = in_every_order(
        web("a", page={"url": "https://x.example/1"}), web("b", 1), app("c", 2, page={"url": "https://x.example/2"})
    )

    assert session["lastPage"]["url"] == "https://x.example/1"


def test_external_id_and_url_are_the_latest_each_on_its_own() -> None:
    session = in_every_order(
        custom("a", 0, externalId="1", externalUrl="/1"), custom("b", 1, externalId="2"), custom("c", 2, externalId="")
    )

    assert (session["externalId"], session["externalUrl"]) == ("2", "/1")


def test_a_session_is_authenticated_once_a_visitor_event_says_so() -> None:
    assert in_every_order(web("a", authenticated=True), web("b", 1, authenticated=False))["authenticated"] is True
    assert session_of(web("a", authenticated=False))["authenticated"] is False
    assert session_of(custom("a", authenticated=True))["authenticated"] is True


def test_an_external_contact_is_the_latest_of_any_event() -> None:
    session = in_every_order(
        web("a", about={"externalContact": {"id": "1"}}),
        outcome("o", 1, externalContact={"id": "2", "selfUri": "/given"}),
    )

    assert session["externalContact"] == {"id": "2", "selfUri": "/given"}


# Counts and types.


def test_visitor_events_are_counted_and_views_by_their_names() -> None:
    session = in_every_order(
        web("a"), web("b", 1, name="product_added"), app("c", 2), custom("d", 3, name="page_viewed")
    )

    assert (session["eventCount"], session["pageviewCount"], session["screenviewCount"]) == (4, 1, 1)


def test_names_of_views_are_settings() -> None:
    rules = Rules(pageview_events=frozenset({"seen"}), screenview_events=frozenset({"seen"}))

    assert session_of(web("a"), web("b", 1, name="seen"), rules=rules)["pageviewCount"] == 1
    assert session_of(app("a"), app("b", 1, name="seen"), rules=rules)["screenviewCount"] == 1


@pytest.mark.parametrize(
    ("event", "counts"),
    [
        (web("a", name="x"), {"pageviewCount": 0}),
        (app("a", name="x"), {"screenviewCount": 0}),
        (custom("a"), {}),
        (talk("acd.start"), {}),
    ],
)
def test_a_view_count_of_0_is_shown_on_sessions_of_its_kind_only(event: Json, counts: Json) -> None:
    session = session_of(event)

    assert {name: value for name, value in session.items() if name.endswith("viewCount")} == counts


@pytest.mark.parametrize(
    ("events", "named"),
    [
        ([web("a")], "web"),
        ([app("a")], "app"),
        ([custom("a")], "custom"),
        ([web("a", about={"session": {"id": "s-1", "type": "kiosk"}})], "kiosk"),
        ([heartbeat(-1), web("a")], "web"),
        ([heartbeat(-1, session={"id": "s-1", "type": "app"}), web("a")], "app"),
        ([outcome("o", -1, session={"id": "s-1", "type": "ticket"}), web("a")], "ticket"),
        ([custom("c", -1), app("a", 1), web("b", 2)], "app"),
        ([web("a", about={"session": {"id": "s-1", "type": ""}}), app("b", 1)], "web"),
    ],
)
def test_the_type_is_that_of_the_least_event_that_names_one(events: list[Json], named: str) -> None:
    assert in_every_order(*events)["type"] == named


# Attributes.


def test_attributes_are_the_latest_each_by_name() -> None:
    session = in_every_order(
        web("a", 0, attributes={"x": 1, "y": "old", "z": None}), web("b", 1, attributes={"y": "new"}), outcome("o", 2)
    )

    assert session["attributes"] == {
        "x": {"dataType": "NUMBER", "value": "1"},
        "y": {"dataType": "STRING", "value": "new"},
    }


def test_traits_are_no_attributes() -> None:
    assert "attributes" not in session_of(web("a", traits={"x": 1}))


def test_the_first_rule_that_matches_counts_and_what_matches_none_goes() -> None:
    rules = Rules(
        attribute_rules=(
            AttributeRule("*debug*", drop=True),
            AttributeRule("order_*", to="shop.{name}"),
            AttributeRule("order_no", to="never"),
            AttributeRule("*[0-9]", to="n"),
        )
    )
    attributes = {"order_no": 1, "order_debug": 2, "colour": 3, "size9": 4, "Order_x": 5}

    assert session_of(web("a", attributes=attributes), rules=rules)["attributes"].keys() == {"shop.order_no", "n"}


def test_of_two_names_of_one_event_led_to_one_the_greater_counts() -> None:
    rules = Rules(attribute_rules=(AttributeRule("*", to="one"),))

    session = in_every_order(
        web("a", attributes={"b": "greater", "a": "less"}), web("0", -1, attributes={"z": "early"}), rules=rules
    )

    assert session["attributes"]["one"]["value"] == "greater"


def test_a_list_has_distinct_values_by_first_use_and_the_type_of_its_first() -> None:
    rules = Rules(attribute_rules=(AttributeRule("item*", to="Items", list=True),))

    session = in_every_order(
        web("a", 0, attributes={"item": {"value": "2", "dataType": "integer"}}),
        web("b", 1, attributes={"item1": "x", "item2": "y"}),
        web("c", 2, attributes={"item": "2"}),
        rules=rules,
    )

    values = session["attributeLists"]["Items"]
    assert (values["dataType"], values["values"]) == ("integer", ["2", "x", "y"])
    assert "attributes" not in session


@pytest.mark.parametrize(
    ("event", "is_kept"),
    [
        (web("a", attributes={"x": 1}), True),
        (app("a", attributes={"x": 1}), False),
        (custom("a", attributes={"x": 1}), False),
        (custom("a", attributes={"x": 1}, about={"session": {"id": "s-1", "type": "ticket"}}), True),
        (web("a", attributes={"x": 1}, about={"session": {"id": "s-1", "type": "app"}}), False),
    ],
)
def test_a_rule_for_types_goes_by_the_events_own(event: Json, is_kept: bool) -> None:
    rules = Rules(attribute_rules=(AttributeRule("x", types=("web", "ticket")),))

    assert ("attributes" in session_of(event, rules=rules)) is is_kept


# Search terms.


def test_search_terms_are_distinct_trimmed_by_first_use() -> None:
    session = in_every_order(
        web("a", 0, searchQuery="  boots "),
        app("b", 1, searchQuery="tents"),
        web("c", 2, page={"url": "https://x.example/?q=boots&term=winter+laces&q="}),
    )

    assert session["searchTerms"] == ["boots", "tents", "winter laces"]


def test_a_search_query_goes_before_those_of_the_address() -> None:
    assert session_of(web("a", searchQuery="x", page={"url": "https://x.example/?q=y"}))["searchTerms"] == ["x"]
    assert session_of(web("a", searchQuery=" ", page={"url": "https://x.example/?q=y"}))["searchTerms"] == ["y"]


# Outcomes and segments.


def test_outcomes_are_one_an_event_by_date_then_event_id() -> None:
    session = in_every_order(web("a"), outcome("z", 1), outcome("b", 2, outcome_id="x"), outcome("a2", 2))

    assert [(one["outcome"]["id"], one["achievedDate"]) for one in session["outcomeAchievements"]] == [
        ("order", text_of(1)),
        ("order", text_of(2)),
        ("x", text_of(2)),
    ]


@pytest.mark.parametrize(
    ("state", "is_in"), [("Assigned", True), ("Unknown", True), (None, True), ("Unassigned", False)]
)
def test_only_unassigned_takes_a_segment_away(state: str | None, is_in: bool) -> None:
    session = in_every_order(web("a"), segment("b"), segment("c", 1, assignmentState=state))

    assert ("segmentAssignments" in session) is is_in


def test_a_segment_assigned_again_stands_by_its_latest_date() -> None:
    session = in_every_order(
        web("a"),
        segment("b", 0),
        segment("c", 1, assignmentState="Unassigned"),
        segment("d", 2, dateAssigned=text_of(-DAY)),
        segment("e", 3, segment_id="abc", dateAssigned=text_of(-DAY)),
    )

    assert [(one["segment"]["id"], one["assignedDate"]) for one in session["segmentAssignments"]] == [
        ("abc", text_of(-DAY)),
        ("loyal", text_of(-DAY)),
    ]


# Bounds.


def test_the_bounds_are_those_of_the_contract() -> None:
    rules = Rules()

    assert (rules.event_ids_max, rules.attributes_max, rules.list_values_max) == (4096, 500, 500)
    assert (rules.outcomes_max, rules.segments_max, rules.channels_max, rules.search_terms_max) == (500, 500, 100, 100)


def test_the_least_attribute_names_stay_and_the_cuts_are_counted() -> None:
    cuts: Counter[str] = Counter()
    rules = Rules(attributes_max=3)
    names = ["e", "b", "a", "d", "c"]

    session = folded([web(name, ms, attributes={name: 1}) for ms, name in enumerate(names)], rules, cuts=cuts)

    assert list(snapshot(session, rules)["attributes"]) == ["a", "b", "c"]
    assert cuts == {"attributes": 2}


def test_the_earliest_values_of_a_list_stay() -> None:
    rules = Rules(list_values_max=2, attribute_rules=(AttributeRule("x", list=True),))

    session = in_every_order(*(web(str(ms), ms, attributes={"x": f"v{ms}"}) for ms in range(4)), rules=rules)

    assert session["attributeLists"]["x"]["values"] == ["v0", "v1"]


def test_the_first_search_terms_stay() -> None:
    session = in_every_order(
        *(web(str(ms), ms, searchQuery=f"t{ms}") for ms in range(4)), rules=Rules(search_terms_max=2)
    )

    assert session["searchTerms"] == ["t0", "t1"]


def test_the_earliest_outcomes_stay() -> None:
    cuts: Counter[str] = Counter()
    rules = Rules(outcomes_max=2)
    events = [web("a"), *(outcome(str(ms), ms, outcome_id=str(ms)) for ms in (3, 0, 2, 1))]

    session = folded(events, rules, cuts=cuts)

    assert [one["outcome"]["id"] for one in snapshot(session, rules)["outcomeAchievements"]] == ["0", "1"]
    assert cuts == {"outcomes": 2}
    in_every_order(*events, rules=rules)


def test_the_earliest_segments_stay() -> None:
    cuts: Counter[str] = Counter()
    rules = Rules(segments_max=2)
    events = [web("a"), *(segment(str(ms), ms, segment_id=str(ms)) for ms in (3, 0, 2, 1))]

    session = folded(events, rules, cuts=cuts)

    assert [one["segment"]["id"] for one in snapshot(session, rules)["segmentAssignments"]] == ["0", "1"]
    assert cuts == {"segments": 2}


def test_a_session_of_six_thousand_events_stays_small() -> None:
    session = folded(
        web(str(number), number * SECOND, attributes={f"n{number % 700}": number}, searchQuery=str(number))
        for number in range(6000)
    )

    published = snapshot(session)
    assert published["eventCount"] == 6000
    assert (len(published["attributes"]), len(published["searchTerms"])) == (500, 100)
    assert len(session.stamps) <= 2 * (500 + 100)
    assert len(session.ids) <= 4096 + 256


def test_folding_leaves_other_sessions_as_they_were() -> None:
    one, other = new_session("1"), new_session("2")
    evolve(one, read(web("a", attributes={"x": 1}, searchQuery="t")), RULES, Counter())

    assert other == new_session("2")
