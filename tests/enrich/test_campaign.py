import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.enrich.campaign import CLICK_ID_NETWORKS, campaign_of
from projector.models import Campaign
from projector.remembers import LENGTH_MAX

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def test_the_five_utm_parameters_make_a_campaign() -> None:
    query = "utm_source=Mail&utm_medium=email&utm_campaign=June+Sale&utm_term=tents%20light&utm_content=Top-Banner"

    assert campaign_of(query) == Campaign(
        content="Top-Banner", medium="email", name="June Sale", source="Mail", term="tents light"
    )


@pytest.mark.parametrize(("parameter", "network"), CLICK_ID_NETWORKS.items())
def test_a_click_id_alone_makes_a_campaign_and_names_its_network(parameter: str, network: str) -> None:
    assert campaign_of(f"a=1&{parameter}=Xy1") == Campaign(click_id="Xy1", network=network)


def test_the_first_value_that_is_not_empty_counts() -> None:
    assert campaign_of("utm_source=&utm_source=mail&utm_source=other&gclid=&gclid=Z") == Campaign(
        source="mail", click_id="Z", network="Google"
    )


def test_of_two_click_ids_the_advertisement_goes_before_the_link_whatever_their_order() -> None:
    expected = Campaign(click_id="G", network="Google")

    assert campaign_of("fbclid=F&gclid=G") == expected
    assert campaign_of("gclid=G&fbclid=F") == expected


def test_an_empty_click_id_leaves_the_place_to_another() -> None:
    assert campaign_of("gclid=&msclkid=M") == Campaign(click_id="M", network="Microsoft")


@pytest.mark.parametrize(
    "query",
    [
        None,
        "",
        "q=boots",
        "utm_source=",
        "utm_id=7",
        "UTM_SOURCE=mail",
        "q=utm_source",
        "x=100%25",
        "gclid",
        "notgclid=1",
    ],
)
def test_a_query_that_names_none_gives_none(query: str | None) -> None:
    assert campaign_of(query) is None


def test_values_are_decoded_once_and_keep_their_case() -> None:
    assert campaign_of("utm_source=%2541&utm_medium=C%C3%A4PS%26x") == Campaign(source="%41", medium="CäPS&x")


def test_a_parameter_written_in_escapes_is_known_all_the_same() -> None:
    assert campaign_of("%75tm%5Fsource=mail") == Campaign(source="mail")


def test_a_query_too_long_to_remember_is_read_all_the_same() -> None:
    assert campaign_of("x=" + "a" * LENGTH_MAX + "&utm_source=mail") == Campaign(source="mail")


@given(ANY_TEXT | ANY_TEXT.map("utm_source=".__add__))
def test_no_text_makes_it_raise(query: str) -> None:
    found = campaign_of(query)

    assert found is None or found != Campaign()
