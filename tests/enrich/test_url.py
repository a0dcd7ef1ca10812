import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from projector.enrich.url import (
    UrlParts,
    complete_page,
    form_pairs,
    parse_url,
    registrable_domain,
)
from projector.models import Page
from projector.remembers import LENGTH_MAX

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # Lone surrogates and control characters included.
MARKS = ["//", "\\", *"/?#@:[]%+&=. \t", "http", "https:", "%41", "。", "℀", "\ud800"]
NAMES = ["example", "co.uk", "com", "xn--", "xn--p1ai", "bücher", "::1", "127.0.0.1", "65536"]
URL_LIKE = st.lists(st.sampled_from([*MARKS, *NAMES]), max_size=14).map("".join)


def test_the_parts_of_an_address_are_taken_as_they_are_written() -> None:
    parts = parse_url("https://Shop.Example.CO.UK:8443/Boots/B%C3%BCcher;v=1?q=winter+boots&x=%41#size%20L")

    assert parts == UrlParts(
        hostname="shop.example.co.uk",
        domain="example.co.uk",
        pathname="/Boots/B%C3%BCcher;v=1",
        query_string="q=winter+boots&x=%41",
        fragment="size%20L",
    )


@pytest.mark.parametrize(
    ("url", "hostname", "domain"),
    [
        ("http://localhost:8080/labpage.html", "localhost", "localhost"),
        ("https://user:pass@word@example.com:1/", "example.com", "example.com"),
        ("http://192.0.2.44:80/", "192.0.2.44", "192.0.2.44"),
        ("http://[2001:DB8::1]:8080/", "[2001:db8::1]", "[2001:db8::1]"),
        ("https://www.bücher.de/", "www.bücher.de", "bücher.de"),
        ("https://xn--90adhhccf5aeewt7j.xn--p1ai/", "xn--90adhhccf5aeewt7j.xn--p1ai", "xn--90adhhccf5aeewt7j.xn--p1ai"),
        ("http://somebody.github.io/", "somebody.github.io", "github.io"),
        ("http://co.uk/", "co.uk", "co.uk"),
        ("http://intranet.corp/", "intranet.corp", "intranet.corp"),
        ("HTTP://EXAMPLE.COM", "example.com", "example.com"),
        ("//cdn.example.net/x", "cdn.example.net", "example.net"),
        ("android-app://org.telegram.messenger/", "org.telegram.messenger", "org.telegram.messenger"),
        ("  https://example.com/  ", "example.com", "example.com"),
        ("https://example.com:not-a-port/", "example.com", "example.com"),
    ],
)
def test_host_and_registrable_domain_are_found(url: str, hostname: str, domain: str) -> None:
    parts = parse_url(url)

    assert parts is not None
    assert (parts.hostname, parts.domain) == (hostname, domain)


@pytest.mark.parametrize("url", ["", " \t", "http://[::1", "http://a]b/", "http://ex\u2100mple.com/"])
def test_no_parts_come_from_a_blank_text_or_broken_syntax(url: str) -> None:
    assert parse_url(url) is None


@pytest.mark.parametrize(
    ("url", "pathname", "query_string", "fragment"),
    [
        ("/boots?q=a#b", "/boots", "q=a", "b"),
        ("boots", "boots", None, None),
        ("?q=a", "/", "q=a", None),
        ("about:blank", "blank", None, None),
        ("mailto:a@example.com", "a@example.com", None, None),
        ("http://", "/", None, None),
        ("http:///boots", "/boots", None, None),
        ("https://:80/", "/", None, None),
        ("http://exa mple.com/a", "/a", None, None),
        ("localhost:8080/x", "8080/x", None, None),
    ],
)
def test_an_address_that_names_no_host_has_its_other_parts(
    url: str, pathname: str, query_string: str | None, fragment: str | None
) -> None:
    assert parse_url(url) == UrlParts(None, None, pathname, query_string, fragment)


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://example.com?", "https://example.com/#", "https://example.com?#"]
)
def test_an_empty_path_is_a_slash_and_other_empty_parts_are_absent(url: str) -> None:
    assert parse_url(url) == UrlParts("example.com", "example.com", "/", None, None)


def test_a_fragment_routed_page_keeps_its_route_in_the_fragment() -> None:
    parts = parse_url("https://app.example.com/#/orders/1?tab=x")

    assert parts == UrlParts("app.example.com", "example.com", "/", None, "/orders/1?tab=x")


def test_an_address_too_long_to_remember_is_taken_apart_all_the_same() -> None:
    path = "/" + "a" * LENGTH_MAX

    parts = parse_url(f"https://example.com{path}")

    assert parts is not None
    assert parts.pathname == path


def test_a_name_too_long_for_the_dns_is_its_own_domain() -> None:
    name = "a." * 130 + "example.com"

    assert registrable_domain(name) == name


@given(ANY_TEXT | URL_LIKE | URL_LIKE.map("http://".__add__))
@example("http://\ud800.com/?\udfff#\ud800")
@example("http://xn--\x80.com")
@example("http://[::1]]/")
@example("http://[v1.a]/")
def test_no_text_makes_it_raise_and_no_part_is_empty(url: str) -> None:
    parts = parse_url(url)

    if parts is not None:
        assert parts.hostname != ""
        assert (parts.hostname is None) == (parts.domain is None)
        assert parts.pathname
        assert parts.query_string != ""
        assert parts.fragment != ""


@given(ANY_TEXT)
def test_no_text_makes_form_decoding_raise(query: str) -> None:
    assert all(isinstance(text, str) for pair in form_pairs(query) for text in pair)


def test_form_pairs_are_decoded_once_and_keep_order_repeats_and_empty_values() -> None:
    assert form_pairs("q=a+b&x=&q=%252B&%71=c%26d&flag&&=v") == (
        ("q", "a b"),
        ("x", ""),
        ("q", "%2B"),
        ("q", "c&d"),
        ("flag", ""),
        ("", "v"),
    )


def test_a_page_gets_all_parts_that_it_lacks() -> None:
    page = complete_page(Page(url="https://shop.example.com/boots?q=a#b", title="Boots", lang="en", breadcrumb=["x"]))

    assert page == Page(
        url="https://shop.example.com/boots?q=a#b",
        title="Boots",
        domain="example.com",
        fragment="b",
        hostname="shop.example.com",
        lang="en",
        pathname="/boots",
        query_string="q=a",
        breadcrumb=["x"],
    )


@pytest.mark.parametrize("member", ["domain", "fragment", "hostname", "pathname", "query_string"])
def test_a_member_that_a_page_has_stays_and_the_others_are_filled(member: str) -> None:
    url = "https://shop.example.com/boots?q=a#b"
    given_page = Page(url=url)
    setattr(given_page, member, "given")

    page = complete_page(given_page)

    expected = complete_page(Page(url=url))
    setattr(expected, member, "given")
    assert page == expected


def test_an_empty_text_is_a_member_that_a_page_has() -> None:
    assert complete_page(Page(url="https://example.com/?q=a", query_string="")).query_string == ""


@pytest.mark.parametrize("url", [None, "", "http://[::1"])
def test_a_page_whose_address_tells_nothing_stays_as_it_is(url: str | None) -> None:
    page = Page(url=url, title="Boots")

    assert complete_page(page) == Page(url=url, title="Boots")


def test_completing_leaves_the_given_page_alone_and_changes_nothing_the_second_time() -> None:
    given_page = Page(url="https://example.com/a")

    once = complete_page(given_page)

    assert given_page == Page(url="https://example.com/a")
    assert complete_page(once) == once
