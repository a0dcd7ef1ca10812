"""Pages of the shop as web events carry them: parsed, or as their bare address."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from tests.journeys.draft import Json
    from tests.journeys.world import Product

_HOST = "shop.example.com"
_BRITISH_HOST = "www.example.co.uk"


def host_of(country: str) -> str:
    return _BRITISH_HOST if country == "GB" else _HOST


def page(host: str, path: str, title: str, lang: str, *, query: str = "", fragment: str = "") -> Json:
    """A ResponsePage with its breadcrumb (journey-domain §1.8); `query` comes without `?`, `fragment` without `#`."""
    url = f"https://{host}{path}" + (f"?{query}" if query else "") + (f"#{fragment}" if fragment else "")
    parsed: Json = {
        "url": url,
        "title": title,
        "domain": host.partition(".")[2],
        "hostname": host,
        "keywords": f"outdoor,{title.lower()}",
        "lang": lang.partition("-")[0],
        "pathname": path,
        "breadcrumb": ["Home", *[part.capitalize() for part in path.split("/") if part]],
    }
    if query:
        parsed["queryString"] = query
    if fragment:
        parsed["fragment"] = fragment
    return parsed


def landing_page(host: str, lang: str, query: str) -> Json:
    return page(host, "/", "Home", lang, query=query)


def product_page(host: str, lang: str, product: Product, *, fragment: str = "") -> Json:
    return page(host, f"/{product.category}/{product.sku.lower()}", product.name, lang, fragment=fragment)


def category_page(host: str, lang: str, category: str) -> Json:
    return page(host, f"/{category}", category.capitalize(), lang)


def search_page(host: str, lang: str, term: str) -> Json:
    return page(host, "/search", "Search", lang, query=f"q={quote_plus(term)}&page=1")


def internal_referrer(before: Json) -> Json:
    """The page before as the referrer of the next."""
    members = ("url", "domain", "hostname", "pathname", "queryString", "fragment")
    return {**{name: before[name] for name in members if name in before}, "medium": "internal"}
