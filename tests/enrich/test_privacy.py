import hashlib
import hmac
import re
from ipaddress import ip_address
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.enrich.privacy import (
    HASH_LENGTH,
    Mode,
    Privacy,
    QueryRule,
    attribute_mode,
    keyed_hash,
    redact_fragment,
    redact_ip,
    redact_page,
    redact_query,
    redact_referrer,
    redact_url,
    redact_user_agent,
)
from projector.models import Page, Referrer

KEY = b"secret"
OFF = QueryRule()
ANY_TEXT = st.text(st.characters(exclude_categories=()))
MODES = st.sampled_from(["keep", "truncate", "hash", "drop"])


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("192.0.2.44", "192.0.2.0"),
        (" 192.0.2.44 ", "192.0.2.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("2001:DB8:1::", "2001:db8:1::"),
        ("::ffff:192.0.2.44", "192.0.2.0"),
        ("fe80::1%eth0", "fe80::"),
        ("192.0.2.44:80", None),
        ("somebody", None),
        ("", None),
    ],
)
def test_a_cut_address_keeps_24_bits_of_ipv4_and_48_of_ipv6_and_what_is_none_goes(
    ip: str, expected: str | None
) -> None:
    assert redact_ip("truncate", b"", ip) == expected


def test_a_hashed_address_is_the_same_in_every_spelling_and_differs_by_key() -> None:
    hashed = redact_ip("hash", KEY, "2001:db8::1")

    assert hashed == redact_ip("hash", KEY, "2001:0DB8:0:0::1")
    assert hashed != redact_ip("hash", b"other", "2001:db8::1")
    assert hashed == hmac.new(KEY, b"2001:db8::1", hashlib.sha256).hexdigest()[:32]


def test_what_is_no_address_is_hashed_as_it_is() -> None:
    assert redact_ip("hash", KEY, "somebody") == keyed_hash(KEY, "somebody")


def test_keep_leaves_and_drop_removes() -> None:
    assert redact_ip("keep", b"", "192.0.2.44") == "192.0.2.44"
    assert redact_ip("drop", b"", "192.0.2.44") is None
    assert redact_user_agent("keep", b"", "curl/8.0") == "curl/8.0"
    assert redact_user_agent("drop", b"", "curl/8.0") is None


def test_a_cut_user_agent_keeps_the_first_number_of_each_version() -> None:
    user_agent = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1_2 like Mac OS X) AppleWebKit/605.1.15 Version/17.1 Mobile/15E148"
    )

    assert redact_user_agent("truncate", b"", user_agent) == (
        "Mozilla/5 (iPhone; CPU iPhone OS 17 like Mac OS X) AppleWebKit/605 Version/17 Mobile/15E148"
    )


def test_a_hashed_user_agent_is_its_keyed_hash() -> None:
    assert redact_user_agent("hash", KEY, "curl/8.0") == keyed_hash(KEY, "curl/8.0")


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("email", "drop"),
        ("Email", "drop"),
        ("customer_phone", "hash"),
        ("phone", "hash"),
        ("price", "keep"),
        ("", "keep"),
    ],
)
def test_attributes_are_dropped_or_hashed_by_globs_in_any_case(name: str, mode: Mode) -> None:
    privacy = Privacy(attributes_drop=("EMAIL", "pass*"), attributes_hash=("*phone", "email"))

    assert attribute_mode(privacy, name) == mode


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/a?email=x&q=1", "https://example.com/a?q=1"),
        ("https://example.com/a?q=1&EMAIL=x#top", "https://example.com/a?q=1#top"),
        ("https://example.com/a?email=x#top", "https://example.com/a#top"),
        ("https://example.com/a?%65mail=x&token_id=7", "https://example.com/a"),
        ("https://example.com/#/orders?email=x&tab=1", "https://example.com/#/orders?tab=1"),
        ("https://example.com/#/orders?email=x", "https://example.com/#/orders"),
        ("https://example.com/#token_id=x&state=1", "https://example.com/#state=1"),
        ("https://example.com/?a=1?email=x&b=2", "https://example.com/?b=2"),
        ("https://example.com/?back=https://example.org/?email=x", "https://example.com/"),
        ("https://example.com/?q=a%26b+c&&debug", "https://example.com/?q=a%26b+c&debug"),
        ("https://example.com/email=x", "https://example.com/email=x"),
    ],
)
def test_a_deny_list_takes_parameters_out_of_query_and_fragment(url: str, expected: str) -> None:
    assert redact_url(QueryRule(deny=("email", "token*")), url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/?q=1&utm_source=m&email=x&debug", "https://example.com/?q=1&utm_source=m"),
        ("https://example.com/#size", "https://example.com/#size"),
        ("https://example.com/#/orders?id=7", "https://example.com/#/orders"),
        ("https://example.com/#access_token=7", "https://example.com/"),
    ],
)
def test_an_allow_list_leaves_only_what_it_names(url: str, expected: str) -> None:
    assert redact_url(QueryRule(allow=("q", "utm_*")), url) == expected


def test_an_empty_allow_list_leaves_no_parameter() -> None:
    assert redact_url(QueryRule(allow=()), "https://example.com/a?q=1#b") == "https://example.com/a#b"


def test_what_is_denied_goes_although_it_is_allowed() -> None:
    assert redact_query(QueryRule(allow=("utm_*",), deny=("utm_term",)), "utm_source=a&utm_term=b") == "utm_source=a"


def test_a_rule_that_is_off_leaves_every_text_as_it_is() -> None:
    url = "https://example.com/?&&a=1#?&"

    assert redact_url(OFF, url) == url
    assert redact_query(OFF, "&&a=1") == "&&a=1"
    assert redact_fragment(OFF, "?&a=1") == "?&a=1"


def test_page_and_referrer_lose_the_parameters_in_all_their_members() -> None:
    rule = QueryRule(deny=("email",))
    page = Page(
        url="https://example.com/?email=x&a=1#/r?email=x", title="T", query_string="email=x", fragment="/r?email=x"
    )
    referrer = Referrer(url="https://example.net/?email=x", query_string="email=x&a=1", fragment="email=x", name="N")

    assert redact_page(rule, page) == Page(url="https://example.com/?a=1#/r", title="T", fragment="/r")
    assert redact_referrer(rule, referrer) == Referrer(url="https://example.net/", query_string="a=1", name="N")
    assert redact_page(OFF, page) is page
    assert redact_referrer(OFF, referrer) is referrer


def test_privacy_is_off_by_default_and_on_with_any_of_its_parts() -> None:
    assert not Privacy().is_on
    for privacy in (
        Privacy(ip_address="truncate"),
        Privacy(user_agent="drop"),
        Privacy(attributes_drop=("a",)),
        Privacy(attributes_hash=("a",)),
        Privacy(query=QueryRule(allow=())),
        Privacy(query=QueryRule(deny=("a",))),
    ):
        assert privacy.is_on


def test_only_what_hashes_needs_a_key() -> None:
    assert Privacy(ip_address="hash").hashes
    assert Privacy(user_agent="hash").hashes
    assert Privacy(attributes_hash=("a",)).hashes
    assert not Privacy(ip_address="truncate", user_agent="drop", attributes_drop=("a",)).hashes


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(Privacy(ip_address="hash", key=KEY)) + str(Privacy(key=KEY))


@given(MODES, ANY_TEXT | st.ip_addresses().map(str))
def test_no_address_makes_it_raise_or_comes_through_a_hash(mode: Mode, ip: str) -> None:
    redacted = redact_ip(mode, KEY, ip)

    assert mode != "hash" or re.fullmatch(f"[0-9a-f]{{{HASH_LENGTH}}}", redacted or "")


@given(st.ip_addresses())
def test_a_cut_address_is_an_address_that_cutting_again_leaves(ip: object) -> None:
    cut = redact_ip("truncate", b"", str(ip))

    assert cut is not None
    assert ip_address(cut)
    assert redact_ip("truncate", b"", cut) == cut


@given(MODES, ANY_TEXT)
def test_no_user_agent_makes_it_raise(mode: Mode, user_agent: str) -> None:
    assert (redact_user_agent(mode, KEY, user_agent) is None) == (mode == "drop")


PIECES = st.lists(st.sampled_from([*"?#&=;/%+", "email", "%65mail", "q", "x", "https://a.example"]), max_size=16).map(
    "".join
)


@given(ANY_TEXT | PIECES)
def test_no_address_keeps_a_denied_parameter_and_redacting_again_changes_nothing(url: str) -> None:
    rule = QueryRule(deny=("email",))

    redacted = redact_url(rule, url)

    for text in re.split(r"[?#]", redacted)[1:]:
        assert "email" not in [name.casefold() for name, value in parse_qsl(text) if value]
    assert redact_url(rule, redacted) == redacted
