"""What a worker process does beside its turns."""

from __future__ import annotations

from projector.service import pause_s


def test_after_a_second_doubt_in_a_row_each_life_begins_later() -> None:
    assert [pause_s(doubts) for doubts in (1, 2, 3, 4, 5, 6, 10_000)] == [0, 0.1, 0.2, 0.4, 0.8, 1, 1]
