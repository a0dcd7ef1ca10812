"""The ledger balances, is added up, and comes back from where it is committed (contract §8, law 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.decode import Reason
from projector.ledger import Ledger, Mark, mark_of, total

COUNTS = st.integers(0, 2**63 - 1)
LEDGERS = st.builds(
    Ledger,
    **{name: COUNTS for name in Ledger.__struct_fields__ if name != "rejected"},
    rejected=st.dictionaries(st.sampled_from([reason.value for reason in Reason]), COUNTS),
)
METADATA_BYTES_MAX = 4096  # What a broker takes by default (offset.metadata.max.bytes).


def test_what_is_read_and_not_accounted_for_is_seen() -> None:
    ledger = Ledger(read=10, folded=4, duplicates=2, redelivered=1, tombstones=1)
    ledger.reject(Reason.NOT_JSON)
    assert ledger.balance() == 1

    ledger.reject(Reason.NOT_JSON)

    assert ledger.balance() == 0
    assert ledger.rejected == {"not-json": 2}


def test_a_clamped_record_is_counted_beside_and_not_among_the_others() -> None:
    assert Ledger(read=1, folded=1, clamped=1).balance() == 0


@given(st.lists(LEDGERS, max_size=4))
def test_a_total_has_every_count_of_every_part(ledgers: list[Ledger]) -> None:
    summed = total(ledgers)

    for name in Ledger.__struct_fields__:
        if name != "rejected":
            assert getattr(summed, name) == sum(getattr(ledger, name) for ledger in ledgers), name
    assert sum(summed.rejected.values()) == sum(sum(ledger.rejected.values()) for ledger in ledgers)
    assert summed.balance() == sum(ledger.balance() for ledger in ledgers)


@given(LEDGERS, st.none() | st.integers(-(2**62), 2**62), COUNTS)
def test_a_mark_comes_back_as_it_was_and_fits_into_an_offsets_metadata(
    ledger: Ledger, clock: int | None, origin: int
) -> None:
    mark = Mark(clock, ledger, origin, clock)

    assert mark_of(mark.encode()) == mark
    assert len(mark.encode().encode()) < METADATA_BYTES_MAX


@pytest.mark.parametrize("metadata", ["", "kcat", "{}", '["x"]', "[1,2,3]", "null", "\ufffd"])
def test_what_another_tool_committed_is_an_empty_mark(metadata: str) -> None:
    assert mark_of(metadata) == Mark()
