"""The measured work as a collector has it before anything is known: visits, parts and places are to be found out.

Law: an event says what it said, in the members that a raw event has (contract §2); the key is the visitor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOUND_OUT = ("browser", "device", "geolocation", "mktCampaign")
_REFERRERS = (
    "https://www.google.com/search?q=winter+gloves",
    "https://www.bing.com/search?q=gloves",
    "https://www.facebook.com/",
    "https://news.example.org/today?edition=7",
)


def as_raw(records: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Key and value of each; a campaign stands in the query of the page, as a link from it would have it."""
    for number, (_, value) in enumerate(records):
        event: dict[str, Any] = msgspec.json.decode(value)
        del event["session"]
        web, page = event["webEvent"], event["webEvent"]["page"]
        campaign = web.get("mktCampaign")
        for name in _FOUND_OUT:
            web.pop(name, None)
        url = page["url"]
        if campaign:
            url += "&" + urlencode({f"utm_{name}": campaign[name] for name in ("source", "medium") if name in campaign})
        web["page"] = {"url": url}
        web["referrerUrl"] = _REFERRERS[number % len(_REFERRERS)]
        yield event["customerId"], msgspec.json.encode(event)
