"""The parts of a page address. Nothing is decoded, nothing is looked up outside, and no text can make it raise."""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tldextract import TLDExtract

from projector.models import Page
from projector.remembers import remembers

REMEMBERED_MAX = 8192
"""Texts kept in each cache; with the length up to which one is kept it bounds a cache at tens of MB."""

_HOST_LENGTH_MAX = 253  # RFC 1035 §2.3.4; what is longer is no name of the DNS and has no registrable domain.
_BLANKS = "".join(map(chr, range(33)))  # Control characters and the blank, which the URL standard cuts off.
_NOT_IN_A_HOST = re.compile(r"[\s\x00-\x1f\x7f]")

# The list that comes with the package: the same everywhere, and no download at start.
_SUFFIXES = TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=False)


class UrlParts(NamedTuple):
    """The parts as they are written, but for the host in lower case; a part that is empty is absent.

    An address without a host (`/boots?q=a`, `about:blank`) has neither host nor domain, but the other parts.
    """

    hostname: str | None
    domain: str | None
    pathname: str
    query_string: str | None
    fragment: str | None


@remembers(REMEMBERED_MAX)
def parse_url(url: str) -> UrlParts | None:
    """The parts of an address (contract §7), None for a blank text and one that breaks the syntax; never raises."""
    return _parts_of(url)


def complete_page(page: Page) -> Page:
    """The page with its missing members taken from its `url`; the page itself where there is nothing to take."""
    if not page.url or _is_complete(page, page.url):
        return page
    parts = parse_url(page.url)
    if parts is None:
        return page
    return Page(
        url=page.url,
        title=page.title,
        domain=parts.domain if page.domain is None else page.domain,
        fragment=parts.fragment if page.fragment is None else page.fragment,
        hostname=parts.hostname if page.hostname is None else page.hostname,
        keywords=page.keywords,
        lang=page.lang,
        pathname=parts.pathname if page.pathname is None else page.pathname,
        query_string=parts.query_string if page.query_string is None else page.query_string,
        breadcrumb=page.breadcrumb,
    )


def _is_complete(page: Page, url: str) -> bool:
    """Nothing that the address could tell is missing: the usual case of an event that was enriched before."""
    if page.domain is None or page.hostname is None or page.pathname is None:
        return False
    return (page.query_string is not None or "?" not in url) and (page.fragment is not None or "#" not in url)


def query_of(page: Page) -> str | None:
    """The page's `queryString` if given, else its URL's."""
    if page.query_string is not None or page.url is None or "?" not in page.url:
        return page.query_string
    parts = parse_url(page.url)
    return parts.query_string if parts is not None else None


def registrable_domain(hostname: str) -> str:
    """The domain that somebody registered (`example.co.uk`); the host itself for an address or a name without one."""
    if ":" in hostname or len(hostname) > _HOST_LENGTH_MAX:
        return hostname
    return _remembered_domain(hostname)


# The campaign and the search terms read the same query one after the other, so that a few entries do.
@remembers(1024)
def form_pairs(query_string: str) -> tuple[tuple[str, str], ...]:
    """Names and values of a query, form-decoded once as UTF-8, in the order of the text, empty values included."""
    return tuple(parse_qsl(query_string, keep_blank_values=True))


def _parts_of(url: str) -> UrlParts | None:
    text = url.strip(_BLANKS)
    try:
        split = urlsplit(text)
        hostname = split.hostname
    except ValueError:  # Brackets that do not close, or a host that changes its meaning when normalised.
        return None
    if not text:
        return None
    if hostname and _NOT_IN_A_HOST.search(hostname):
        hostname = None
    if hostname and ":" in hostname:
        hostname = f"[{hostname}]"  # As browsers have it in `location.hostname`.
    return UrlParts(
        hostname=hostname or None,
        domain=registrable_domain(hostname) if hostname else None,
        pathname=split.path or "/",
        query_string=split.query or None,
        fragment=split.fragment or None,
    )


@lru_cache(maxsize=REMEMBERED_MAX)
def _remembered_domain(hostname: str) -> str:
    return _SUFFIXES.extract_str(hostname).top_domain_under_public_suffix or hostname
