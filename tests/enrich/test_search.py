import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.enrich.search import search_terms_of
from projector.remembers import LENGTH_MAX

PARAMETERS = ("q", "query", "search", "term")
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def test_the_search_query_goes_before_the_address_and_is_trimmed() -> None:
    assert search_terms_of(" laces ", "q=boots", PARAMETERS) == ("laces",)


@pytest.mark.parametrize("blank", [None, "", " \t\u00a0"])
def test_a_blank_search_query_leaves_the_place_to_the_address(blank: str | None) -> None:
    assert search_terms_of(blank, "q=winter+boots", PARAMETERS) == ("winter boots",)


def test_all_values_come_in_the_order_of_the_setting_then_of_the_text() -> None:
    assert search_terms_of(None, "term=d&q=a&search=c&q=b", PARAMETERS) == ("a", "b", "c", "d")


def test_values_are_form_decoded_once_and_trimmed_and_blank_ones_left_out() -> None:
    assert search_terms_of(None, "q=+%20&q=+rot%2Bblau+&query=%2541", PARAMETERS) == ("rot+blau", "%41")


@pytest.mark.parametrize("query", [None, "", "q", "q=", "Q=boots", "page=2", "xq=boots"])
def test_a_query_without_a_search_gives_none(query: str | None) -> None:
    assert search_terms_of(None, query, PARAMETERS) == ()


def test_the_parameters_are_those_of_the_setting() -> None:
    assert search_terms_of(None, "q=a&wörter=b", ("wörter",)) == ("b",)
    assert search_terms_of(None, "q=a&w%C3%B6rter=b", ("wörter",)) == ("b",)
    assert search_terms_of(None, "q=a", ()) == ()


def test_a_query_too_long_to_remember_is_read_all_the_same() -> None:
    assert search_terms_of(None, "x=" + "a" * LENGTH_MAX + "&q=boots", PARAMETERS) == ("boots",)


@given(st.none() | ANY_TEXT, st.none() | ANY_TEXT | ANY_TEXT.map("q=".__add__))
def test_no_text_makes_it_raise_and_no_term_is_blank(search_query: str | None, query: str | None) -> None:
    for term in search_terms_of(search_query, query, PARAMETERS):
        assert term
        assert term == term.strip()
