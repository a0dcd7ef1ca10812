"""What must not be kept or published of a person: dropped, cut short, or replaced by a keyed hash (contract §7).

Pure functions on texts. Query parameters go before anything is derived from an address (no campaign or search term may
bring back what was dropped); IP address and user agent after place, browser and device were derived from them.
"""

import hmac
import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal
from urllib.parse import unquote_plus

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from projector.enrich.url import REMEMBERED_MAX
from projector.models import Page, Referrer
from projector.remembers import LENGTH_MAX

Mode = Literal["keep", "truncate", "hash", "drop"]

HASH_LENGTH = 32  # Hex digits, so 128 bits: no two people meet by chance.
_ADDRESS_LENGTH_MAX = 64  # The longest IPv6 address has 45 characters.
_IPV4_KEPT_BITS = 24
_IPV6_KEPT_BITS = 48
_MINOR_VERSION = re.compile(r"(\d)(?:[._]\d+)+")
_INNER_START = re.compile(r"[?#;]")


class QueryRule(Struct, frozen=True):
    """Which query parameters stay: those that `allow` matches, if it is given, but none that `deny` matches. Globs."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()

    @property
    def is_on(self) -> bool:
        return self.allow is not None or bool(self.deny)


class Privacy(Struct, frozen=True):
    """All that is to be hidden. Globs of attributes and parameters match in any case: a doubt hides."""

    ip_address: Mode = "keep"
    user_agent: Mode = "keep"
    attributes_drop: tuple[str, ...] = ()
    attributes_hash: tuple[str, ...] = ()
    query: QueryRule = QueryRule()
    key: bytes = b""
    is_on: bool = False
    """Whether anything is hidden; then a reject's value, key, headers and quoted detail are left out, too.

    It follows from the rest, whatever is given; worked out once, since every event asks.
    """

    def __post_init__(self) -> None:
        hides = (self.ip_address, self.user_agent) != ("keep", "keep") or bool(
            self.attributes_drop or self.attributes_hash or self.query.is_on
        )
        force_setattr(self, "is_on", hides)

    @property
    def hashes(self) -> bool:
        """Whether a key is needed: a hash without one could be undone by trying all addresses."""
        return "hash" in (self.ip_address, self.user_agent) or bool(self.attributes_hash)

    def __repr__(self) -> str:
        """Without the key, which must not reach a log."""
        return f"Privacy(ip_address={self.ip_address!r}, user_agent={self.user_agent!r}, query={self.query!r}, …)"


def redact_ip(mode: Mode, key: bytes, ip: str) -> str | None:
    """`truncate` zeroes all but the first 24 bits of IPv4 and 48 of IPv6; what is no address cannot be cut and goes."""
    if mode == "keep":
        return ip
    if mode == "drop":
        return None
    return _remembered_ip(mode, key, ip) if len(ip) <= _ADDRESS_LENGTH_MAX else _redacted_ip(mode, key, ip)


def redact_user_agent(mode: Mode, key: bytes, user_agent: str) -> str | None:
    """`truncate` leaves the first number of every version, which is where most of what tells people apart is."""
    if mode == "keep":
        return user_agent
    if mode == "drop":
        return None
    return keyed_hash(key, user_agent) if mode == "hash" else _MINOR_VERSION.sub(r"\1", user_agent)


def attribute_mode(privacy: Privacy, name: str) -> Mode:
    """`drop`, `hash` or `keep` for an event attribute or trait of that name; dropping goes before hashing."""
    if privacy.attributes_drop and _matches(privacy.attributes_drop, name):
        return "drop"
    return "hash" if privacy.attributes_hash and _matches(privacy.attributes_hash, name) else "keep"


def keyed_hash(key: bytes, text: str) -> str:
    """The first 32 hex digits of HMAC-SHA256: equal texts stay equal, and without the key nobody can try values."""
    assert key, "a setting that hashes comes with a key"
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:HASH_LENGTH]


def redact_url(rule: QueryRule, url: str) -> str:
    """The address without the parameters that the rule takes away, in query and fragment; the rest as it was."""
    if not rule.is_on or ("?" not in url and "#" not in url):
        return url
    return _remembered_url(rule, url) if len(url) <= LENGTH_MAX else _redacted_url(rule, url)


def redact_query(rule: QueryRule, query: str) -> str:
    """The pairs that stay, each as it was written; a name without a value counts by its name."""
    if not rule.is_on:
        return query
    return "&".join(pair for pair in query.split("&") if pair and _stays(rule, pair))


def redact_fragment(rule: QueryRule, fragment: str) -> str:
    """Like a query after the `?` of a fragment-routed page; before it only where there are pairs (`access_token=…`)."""
    if not rule.is_on:
        return fragment
    route, mark, query = fragment.partition("?")
    if "=" in route:
        route = redact_query(rule, route)
    query = redact_query(rule, query)
    return route + (mark + query if query else "")


def redact_page(rule: QueryRule, page: Page) -> Page:
    """The page with its `url`, `queryString` and `fragment` under the rule; itself where the rule is off."""
    if not rule.is_on:
        return page
    return replace(
        page,
        url=_maybe(redact_url, rule, page.url),
        query_string=_maybe(redact_query, rule, page.query_string),
        fragment=_maybe(redact_fragment, rule, page.fragment),
    )


def redact_referrer(rule: QueryRule, referrer: Referrer) -> Referrer:
    """The referrer, likewise. A `referrerUrl` goes through `redact_url`."""
    if not rule.is_on:
        return referrer
    return replace(
        referrer,
        url=_maybe(redact_url, rule, referrer.url),
        query_string=_maybe(redact_query, rule, referrer.query_string),
        fragment=_maybe(redact_fragment, rule, referrer.fragment),
    )


def _redacted_url(rule: QueryRule, url: str) -> str:
    before, hash_sign, fragment = url.partition("#")
    path, mark, query = before.partition("?")
    query = redact_query(rule, query)
    fragment = redact_fragment(rule, fragment)
    return path + (mark + query if query else "") + (hash_sign + fragment if fragment else "")


@lru_cache(maxsize=REMEMBERED_MAX)
def _remembered_url(rule: QueryRule, url: str) -> str:
    return _redacted_url(rule, url)


def _maybe(redact: Callable[[QueryRule, str], str], rule: QueryRule, text: str | None) -> str | None:
    """What is left of a text; nothing left is absent."""
    return (redact(rule, text) or None) if text is not None else None


def _stays(rule: QueryRule, pair: str) -> bool:
    """Whether all names in a pair may stay: an address that is a value unescaped brings names of its own."""
    first, *further = _INNER_START.split(pair)
    names = [first.partition("=")[0], *(inner.partition("=")[0] for inner in further if "=" in inner)]
    return all(_may_stay(rule, unquote_plus(name)) for name in names)


def _may_stay(rule: QueryRule, name: str) -> bool:
    return (rule.allow is None or _matches(rule.allow, name)) and not _matches(rule.deny, name)


def _matches(globs: tuple[str, ...], name: str) -> bool:
    return bool(globs) and _pattern(globs).match(name.casefold()) is not None


@lru_cache(maxsize=64)  # One entry a setting.
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob.casefold()) for glob in globs))


def _redacted_ip(mode: Mode, key: bytes, ip: str) -> str | None:
    address = _address_of(ip)
    if mode == "hash":  # Of one spelling, so that an address has one hash.
        return keyed_hash(key, ip if address is None else str(address))
    return None if address is None else _network_of(address)


@lru_cache(maxsize=REMEMBERED_MAX)
def _remembered_ip(mode: Mode, key: bytes, ip: str) -> str | None:
    return _redacted_ip(mode, key, ip)


def _address_of(ip: str) -> IPv4Address | IPv6Address | None:
    """The address in its one form: IPv4 inside IPv6 is IPv4, and the zone of an interface is left out."""
    try:
        address = ip_address(ip.strip().partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _network_of(address: IPv4Address | IPv6Address) -> str:
    kept_bits = _IPV4_KEPT_BITS if address.version == 4 else _IPV6_KEPT_BITS
    return str(ip_network((str(address), kept_bits), strict=False).network_address)
