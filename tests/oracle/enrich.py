"""What an address alone tells (contract §7): page parts, internal referrers, campaigns, search terms.

Lists of search engines and networks, user agents and databases are not known here: leave them out of compared events.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import tldextract

from tests.oracle.shapes import CAMPAIGN, PAGE, REFERRER

# RFC 3986, appendix B.
ADDRESS = re.compile(r"(?:[^:/?#]+:)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
SUFFIXES = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
UTM = {
    "content": "utm_content",
    "medium": "utm_medium",
    "name": "utm_campaign",
    "source": "utm_source",
    "term": "utm_term",
}
CLICK_IDS = {
    "gclid": "Google",
    "msclkid": "Microsoft",
    "dclid": "DoubleClick",
    "wbraid": "Google",
    "gbraid": "Google",
    "fbclid": "Facebook",
    "ttclid": "TikTok",
    "twclid": "Twitter",
    "li_fat_id": "LinkedIn",
}


def enriched(payload: dict[str, Any]) -> dict[str, Any]:
    """A web or app event's payload, with what its addresses tell filled in where it was missing."""
    told = dict(payload)
    page = payload.get("page")
    if page is not None:
        told["page"] = in_order(PAGE, {**address_parts(page["url"]), **page})
    referrer = payload.get("referrer", {})
    address = referrer.get("url", payload.get("referrerUrl"))
    if address is not None:
        parts = address_parts(address)
        told["referrer"] = in_order(REFERRER, {"url": address, **parts, "medium": medium_of(parts, page), **referrer})
    if page is not None and "mktCampaign" not in payload:
        told["mktCampaign"] = campaign_of(query_of(page))
    return {name: value for name, value in told.items() if value != {}}


def in_order(shape: dict[str, Any], members: dict[str, Any]) -> dict[str, Any]:
    return {name: members[name] for name in shape if members.get(name) is not None}


def address_parts(url: str) -> dict[str, str]:
    found = ADDRESS.fullmatch(url)
    assert found is not None  # every text matches
    authority, path, query, fragment = found.groups()
    host = re.sub(r":\d*$", "", (authority or "").rpartition("@")[2]).lower()
    parts = {
        "domain": registrable(host),
        "fragment": fragment,
        "hostname": host,
        "pathname": path or "/",
        "queryString": query,
    }
    return {name: part for name, part in parts.items() if part}


def registrable(host: str) -> str:
    return SUFFIXES(host).top_domain_under_public_suffix or host


def medium_of(referrer_parts: dict[str, str], page: dict[str, Any] | None) -> str:
    own = address_parts(page["url"]).get("domain") if page is not None else None
    return "internal" if own is not None and referrer_parts.get("domain") == own else "unknown"


def query_of(page: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and form-decoded values, in order, of `page.queryString` if given, else of the address."""
    query = page.get("queryString", address_parts(page["url"]).get("queryString", ""))
    return parse_qsl(query, keep_blank_values=True)


def campaign_of(query: list[tuple[str, str]]) -> dict[str, str]:
    first: dict[str, str] = {}
    for name, value in query:
        if value:
            first.setdefault(name, value)
    campaign = {member: first[name] for member, name in UTM.items() if name in first}
    for name, network in CLICK_IDS.items():
        if name in first:
            campaign |= {"clickId": first[name], "network": network}
            break
    return in_order(CAMPAIGN, campaign)


def search_terms_of(payload: dict[str, Any], search_parameters: tuple[str, ...]) -> list[str]:
    """The terms of one event, in order (contract §5 row 20)."""
    if "searchQuery" in payload:
        return [payload["searchQuery"].strip()]
    if "page" not in payload:
        return []
    query = query_of(payload["page"])
    found = [value.strip() for wanted in search_parameters for name, value in query if name == wanted]
    return [term for term in found if term]
