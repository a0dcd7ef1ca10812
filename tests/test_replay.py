"""What a replay adds to the turns: short ids that follow from the sessions alone."""

from __future__ import annotations

from projector.replay import short_ids


def test_sessions_that_go_on_at_the_same_time_have_short_ids_of_their_own_until_none_is_left() -> None:
    going_on = [(0, f"s-{number}", 5 if number == 7 else None, "") for number in range(10_000)]

    given = list(short_ids([*going_on, (5, "at an end", None, ""), (6, "after it", None, "")], 4))

    assert sorted(one for one in given[:-2] if one is not None) == [f"{number:04}" for number in range(10_000)]
    assert given[-2:] == [None, given[7]]


def test_the_same_session_gets_the_same_short_id_beside_others() -> None:
    alone = next(short_ids([(0, "one", None, "")], 6))

    assert list(short_ids([(0, "two", None, ""), (0, "one", None, "")], 6))[1] == alone
