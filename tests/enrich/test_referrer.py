import json
import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.enrich.referrer import complete_referrer
from projector.enrich.referrer_list import source_of
from projector.enrich.url import parse_url
from projector.models import Page, Referrer
from projector.remembers import LENGTH_MAX

ANY_TEXT = st.text(st.characters(exclude_categories=()))
SHOP = Page(url="https://shop.example.com/boots")


def medium_and_name(url: str, page: Page | None = SHOP) -> tuple[str | None, str | None]:
    referrer = complete_referrer(None, url, page)
    assert referrer is not None
    return referrer.medium, referrer.name


def test_a_referrer_is_made_of_its_address() -> None:
    url = "https://www.google.co.uk/search?hl=en&q=winter+boots%21#top"

    assert complete_referrer(None, url, SHOP) == Referrer(
        url=url,
        domain="google.co.uk",
        hostname="www.google.co.uk",
        keywords="winter boots!",
        pathname="/search",
        query_string="hl=en&q=winter+boots%21",
        fragment="top",
        name="Google",
        medium="search",
    )


def test_a_given_referrer_gets_only_what_it_lacks() -> None:
    referrer = Referrer(
        url="https://news.example.net/top?a=1",
        domain="example.net",
        pathname="/elsewhere",
        medium="social",
        name="News",
    )

    assert complete_referrer(referrer, None, SHOP) == Referrer(
        url="https://news.example.net/top?a=1",
        domain="example.net",
        hostname="news.example.net",
        pathname="/elsewhere",
        query_string="a=1",
        name="News",
        medium="social",
    )


@pytest.mark.parametrize(
    "member", ["domain", "hostname", "keywords", "pathname", "query_string", "fragment", "name", "medium"]
)
def test_a_member_that_is_given_stays_and_the_others_are_filled(member: str) -> None:
    url = "https://search.yahoo.com/search?p=tents#x"
    referrer = Referrer(url=url)
    setattr(referrer, member, "given")

    expected = complete_referrer(Referrer(url=url), None, SHOP)
    assert expected is not None
    setattr(expected, member, "given")
    assert complete_referrer(referrer, None, SHOP) == expected


def test_the_given_address_goes_before_the_referrer_url_which_fills_its_place() -> None:
    both = complete_referrer(Referrer(url="https://a.example.net/"), "https://b.example.net/", SHOP)
    without = complete_referrer(Referrer(name="News"), "https://b.example.net/", SHOP)

    assert both is not None
    assert without is not None
    assert (both.url, both.hostname) == ("https://a.example.net/", "a.example.net")
    assert (without.url, without.hostname, without.name) == ("https://b.example.net/", "b.example.net", "News")


@pytest.mark.parametrize("url", [None, "", " "])
def test_without_an_address_nothing_is_made_and_nothing_filled(url: str | None) -> None:
    given_referrer = Referrer(name="News")

    assert complete_referrer(None, url, SHOP) is None
    assert complete_referrer(given_referrer, url, SHOP) is given_referrer


def test_an_address_without_a_host_is_kept_of_unknown_medium() -> None:
    hostless = Page(url="/boots")

    assert complete_referrer(None, "http://[::1", hostless) == Referrer(url="http://[::1", medium="unknown")
    assert complete_referrer(None, "/a?q=b", hostless) == Referrer(
        url="/a?q=b", pathname="/a", query_string="q=b", medium="unknown"
    )


@pytest.mark.parametrize("url", ["https://shop.example.com/", "http://www.example.com:8080/a", "https://EXAMPLE.com"])
def test_the_registrable_domain_of_the_page_is_internal(url: str) -> None:
    assert medium_and_name(url) == ("internal", None)


@pytest.mark.parametrize("url", ["https://example.org/", "https://example.com.evil.net/", "https://notexample.com/"])
def test_another_registrable_domain_is_not_internal(url: str) -> None:
    assert medium_and_name(url) == ("unknown", None)


def test_hosts_without_a_registrable_domain_are_internal_to_themselves_only() -> None:
    local = Page(url="http://localhost:8080/labpage.html")

    assert medium_and_name("http://localhost:9090/", local) == ("internal", None)
    assert medium_and_name("http://192.0.2.4/", local) == ("unknown", None)
    assert medium_and_name("http://192.0.2.4/", Page(url="http://192.0.2.4/a")) == ("internal", None)


def test_a_search_engine_is_internal_to_itself_and_brings_no_keywords() -> None:
    referrer = complete_referrer(None, "https://www.google.com/search?q=a", Page(url="https://mail.google.com/"))

    assert referrer is not None
    assert (referrer.medium, referrer.name, referrer.keywords) == ("internal", None, None)


def test_what_the_event_calls_internal_gets_neither_name_nor_keywords() -> None:
    referrer = complete_referrer(Referrer(url="https://www.google.com/?q=a", medium="internal"), None, SHOP)

    assert referrer is not None
    assert (referrer.name, referrer.keywords, referrer.hostname) == (None, None, "www.google.com")


def test_without_a_page_the_lists_alone_decide() -> None:
    assert medium_and_name("https://www.google.com/", None) == ("search", "Google")
    assert medium_and_name("https://shop.example.com/", None) == ("unknown", None)


def test_a_page_without_a_host_in_its_address_is_known_by_its_hostname_then_its_domain() -> None:
    assert medium_and_name("https://www.example.com/", Page(url="/a", hostname="Shop.Example.com")) == (
        "internal",
        None,
    )
    assert medium_and_name("https://www.example.com/", Page(url="/a", domain="example.com")) == ("internal", None)
    assert medium_and_name("https://www.example.com/", Page(url="/a")) == ("unknown", None)


@pytest.mark.parametrize(
    ("url", "medium", "name"),
    [
        ("https://www.google.com/", "search", "Google"),
        ("https://google.de/", "search", "Google"),
        ("http://images.google.com.br/imgres?q=x", "search", "Google"),
        ("https://www.google.xyz/", "unknown", None),
        ("https://google.example.net/", "unknown", None),
        ("https://docs.google.com/document/1", "unknown", None),
        ("https://mail.google.com/mail/u/0/", "email", "Gmail"),
        ("android-app://com.google.android.gm/", "email", "Gmail"),
        ("http://r.duckduckgo.com/l/", "search", "DuckDuckGo"),
        ("https://uk.search.yahoo.com/search?p=x", "search", "Yahoo!"),
        ("https://eur01.safelinks.protection.outlook.com/", "email", "Outlook.com"),
        ("https://yandex.com.tr/", "search", "Yandex"),
        ("https://mail.yandex.ru/", "email", "Yandex Mail"),
        ("https://l.facebook.com/l.php", "social", "Facebook"),
        ("https://facebook.com./", "social", "Facebook"),
        ("https://notfacebook.com/", "unknown", None),
        ("https://t.co/Ab1", "social", "Twitter"),
        ("https://news.ycombinator.com/item?id=1", "social", "Hacker News"),
        ("https://googleads.g.doubleclick.net/", "paid", "Google Ads"),
        ("https://bat.bing.com/", "paid", "Microsoft Advertising"),
        ("https://www.bing.com/", "search", "Bing"),
        ("https://www.wikipedia.org/", "unknown", None),
    ],
)
def test_medium_and_name_are_those_of_the_lists(url: str, medium: str, name: str | None) -> None:
    assert medium_and_name(url) == (medium, name)


@pytest.mark.parametrize(
    ("url", "keywords"),
    [
        ("https://www.google.com/search?q=&as_q=tents", "tents"),
        ("https://www.google.com/search?q=+%20", None),
        ("https://www.google.com/", None),
        ("https://www.baidu.com/s?wd=%D6%D0%CE%C4", "中文"),
        ("https://www.baidu.com/s?wd=%E4%B8%AD%E6%96%87", "中文"),
        ("https://www.facebook.com/?q=tents", None),
        ("https://shop.example.net/?q=tents", None),
    ],
)
def test_keywords_are_the_first_value_of_the_engine_s_parameters(url: str, keywords: str | None) -> None:
    referrer = complete_referrer(None, url, SHOP)

    assert referrer is not None
    assert referrer.keywords == keywords


def test_an_address_too_long_to_remember_is_read_all_the_same() -> None:
    assert medium_and_name("https://www.bing.com/?x=" + "a" * LENGTH_MAX) == ("search", "Bing")


@given(ANY_TEXT | ANY_TEXT.map("https://www.google.com/?q=".__add__), st.none() | ANY_TEXT)
def test_no_text_makes_it_raise_and_an_address_always_has_a_medium(url: str, page_url: str | None) -> None:
    referrer = complete_referrer(None, url, Page(url=page_url))

    assert referrer is None or referrer.medium in {"internal", "search", "social", "email", "paid", "unknown"}


def test_the_list_is_sorted_and_well_formed_and_each_host_leads_to_its_entry() -> None:
    lists = json.loads(files("projector.enrich").joinpath("data/referrers.json").read_text(encoding="utf-8"))

    assert list(lists) == ["search", "social", "email", "paid"]
    for medium, entries in lists.items():
        names = [entry["name"] for entry in entries]
        assert names == sorted(set(names), key=str.casefold)
        for entry in entries:
            assert bool(entry.get("parameters")) == (medium == "search")
            for pattern in entry["hosts"]:
                assert re.fullmatch(r"(\*\.)?([a-z0-9-]+\.)+([a-z0-9-]+|\{\})", pattern)
                parts = parse_url("http://www." + pattern.replace("*", "a.b").replace("{}", "co.uk"))
                assert parts is not None
                assert parts.hostname is not None
                assert parts.domain is not None
                source = source_of(parts.hostname, parts.domain)
                assert source is not None
                assert (source.medium, source.name) == (medium, entry["name"])
