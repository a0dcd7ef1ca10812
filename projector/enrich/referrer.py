"""Where a visitor came from: the parts of the referrer's address, its medium by the page and the packaged lists."""

from functools import lru_cache
from urllib.parse import parse_qsl

from projector.enrich.referrer_list import Source, source_of
from projector.enrich.url import (
    REMEMBERED_MAX,
    UrlParts,
    form_pairs,
    parse_url,
    registrable_domain,
)
from projector.models import Page, Referrer
from projector.remembers import LENGTH_MAX

INTERNAL = "internal"
UNKNOWN = "unknown"


def complete_referrer(referrer: Referrer | None, referrer_url: str | None, page: Page | None) -> Referrer | None:
    """The given referrer with its missing members filled, else one made of `referrer_url` (contract §7), else None.

    An address without a host is kept, too, and of medium `unknown`. What it returns may be shared.
    """
    given_url = referrer.url if referrer is not None else None
    url = given_url or referrer_url
    if url is None or not url.strip():
        return referrer
    derived = _referrer_of(url, _domain_of(page))
    return derived if referrer is None else _filled(referrer, derived)


def _filled(given: Referrer, derived: Referrer) -> Referrer:
    medium = derived.medium if given.medium is None else given.medium
    # Neither a name nor keywords of a search engine belong to what the event calls the site itself.
    outside = medium != INTERNAL
    return Referrer(
        url=given.url or derived.url,
        domain=derived.domain if given.domain is None else given.domain,
        hostname=derived.hostname if given.hostname is None else given.hostname,
        keywords=derived.keywords if given.keywords is None and outside else given.keywords,
        pathname=derived.pathname if given.pathname is None else given.pathname,
        query_string=derived.query_string if given.query_string is None else given.query_string,
        fragment=derived.fragment if given.fragment is None else given.fragment,
        name=derived.name if given.name is None and outside else given.name,
        medium=medium,
    )


def _domain_of(page: Page | None) -> str | None:
    """The registrable domain of the page, by its address, else by what it says of itself."""
    if page is None:
        return None
    parts = parse_url(page.url) if page.url else None
    if parts is not None and parts.domain is not None:
        return parts.domain
    return registrable_domain(page.hostname.lower()) if page.hostname else page.domain


def _referrer_of(url: str, page_domain: str | None) -> Referrer:
    return _remembered_referrer(url, page_domain) if len(url) <= LENGTH_MAX else _derived(url, page_domain)


def _derived(url: str, page_domain: str | None) -> Referrer:
    parts = parse_url(url)
    if parts is None:
        return Referrer(url=url, medium=UNKNOWN)
    source, medium = _source_and_medium(parts, page_domain)
    return Referrer(
        url=url,
        domain=parts.domain,
        hostname=parts.hostname,
        keywords=_keywords_of(parts, source) if source else None,
        pathname=parts.pathname,
        query_string=parts.query_string,
        fragment=parts.fragment,
        name=source.name if source else None,
        medium=medium,
    )


def _source_and_medium(parts: UrlParts, page_domain: str | None) -> tuple[Source | None, str]:
    if parts.hostname is None or parts.domain is None:
        return None, UNKNOWN
    if parts.domain == page_domain:
        return None, INTERNAL
    source = source_of(parts.hostname, parts.domain)
    return source, source.medium if source else UNKNOWN


def _keywords_of(parts: UrlParts, source: Source) -> str | None:
    """The first value, not blank, of the engine's parameters in their order, form-decoded and trimmed."""
    if parts.query_string is None or not source.parameters:
        return None
    pairs = form_pairs(parts.query_string)
    for parameter in source.parameters:
        for place, (name, value) in enumerate(pairs):
            if name == parameter and value.strip():
                return _in_its_charset(place, value, parts.query_string, source.charset).strip()
    return None


def _in_its_charset(place: int, value: str, query: str, charset: str | None) -> str:
    """Some engines write their own charset into the query; it is tried where the text is no UTF-8."""
    if charset is None or "\N{REPLACEMENT CHARACTER}" not in value:
        return value
    return parse_qsl(query, keep_blank_values=True, encoding=charset)[place][1]


@lru_cache(maxsize=REMEMBERED_MAX)
def _remembered_referrer(url: str, page_domain: str | None) -> Referrer:
    return _derived(url, page_domain)
