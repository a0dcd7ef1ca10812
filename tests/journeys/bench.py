"""The measured work: web events of 1.2 KB over many live sessions, made by joining ready-made pieces of JSON.

Law: after the set-up an event costs one formatting and one encoding, so that the generator is never what is measured.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.journeys import pages
from tests.journeys.demo import START_MS
from tests.journeys.dice import Dice
from tests.journeys.draft import MINUTE, Json, Moment
from tests.journeys.world import CAMPAIGN_ORIGINS, MACHINES, PLACES, PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterator

SPAN_MS = 25 * MINUTE  # Below the timeout of 30 min, so no session ends or splits, wherever its events fall.
_DEED_COUNT = 512  # What an event may be about; many, so that nobody profits from repetition.
# Members that an event can miss most easily: with them it would be 1.5 KB, and 1.2 KB is what speeds are compared at.
_LEFT_OUT = {
    *("viewHeight", "viewWidth", "featuresFlash", "featuresJava", "screenDensity", "manufacturer"),
    *("countryName", "regionName", "postalCode", "source", "timezone", "breadcrumb", "keywords"),
}
_SCATTER, _TWELVE_DIGITS = 0x9E3779B97F4B, (1 << 48) - 1  # Odd, so that it maps numbers of 48 bits one to one.


@dataclass(frozen=True, slots=True)
class _Session:
    key: str
    head: bytes
    """The beginning of its events, with the first 24 characters of their ids."""
    pieces: tuple[bytes, bytes, bytes]
    """Session and customer, what the device and the place say (shared with others), address and campaign."""


def bench_events(
    events: int, sessions: int, seed: int, *, start_ms: int = START_MS, span_ms: int = SPAN_MS
) -> Iterator[tuple[str, bytes]]:
    """Key (the session id) and value of the events: of each session equally many, mixed, at times all over the span."""
    dice = Dice(seed)
    live = _sessions(dice, sessions)
    deeds = [_deed(dice) for _ in range(_DEED_COUNT)]
    turns = array("I", (number % sessions for number in range(events)))
    dice.shuffle(turns)
    chance, join = dice.random, b"".join
    second, stamp = -1, ""
    for number, turn in enumerate(turns):
        session = live[turn]
        at_ms = start_ms + number * span_ms // events
        if at_ms // 1000 != second:
            second = at_ms // 1000
            stamp = str(Moment().written(at_ms))[:-4]
        once = f'{number * _SCATTER & _TWELVE_DIGITS:012x}","createdDate":"{stamp}{at_ms % 1000:03d}Z",'
        yield session.key, join((session.head, once.encode(), *session.pieces, deeds[int(chance() * _DEED_COUNT)]))


def _sessions(dice: Dice, count: int) -> list[_Session]:
    """The sessions; device and place are shared texts, for 50,000 of their own would take 40 MB."""
    shared = [
        _members(
            userAgentString=machine.user_agent,
            browser=_trimmed(machine.browser(place.lang)),
            device=_trimmed(machine.device()),
            geolocation=_trimmed(place.geolocation()),
        )
        for machine in MACHINES
        for place in PLACES
    ]
    campaigns = [_members(mktCampaign=origin.campaign) for origin in CAMPAIGN_ORIGINS]
    return [_session(dice, dice.pick(shared), campaigns) for _ in range(count)]


def _session(dice: Dice, shared: bytes, campaigns: list[bytes]) -> _Session:
    key = dice.uuid()
    # Formatted, not dumped, and three ids from one draw: 50,000 of these are made before the first event.
    head = f'{{"eventType":"WebEvent","id":"{dice.digits(8)}{key[8:24]}'
    customer = f"{key[24:32]}{key[8:24]}{key[:8]}{key[32:]}"
    whose = f'"session":{{"id":"{key}","type":"web"}},"customerId":"{customer}","customerIdType":"cookie","webEvent":{{'
    what = f'"ipAddress":"10.{dice.below(256)}.{dice.below(256)}.{dice.between(1, 254)}",'.encode()
    if dice.chance(0.125):
        what += dice.pick(campaigns)
    return _Session(key, head.encode(), (whose.encode(), shared, what))


def _deed(dice: Dice) -> bytes:
    """The rest of an event, up to its last brace: what is done and where; four in five are page views."""
    product = dice.pick(PRODUCTS)
    event_name = (
        "page_viewed" if dice.chance(0.8) else dice.pick(("product_added", "form_submitted", "scroll_depth_reached"))
    )
    attributes = {
        "price": {"dataType": "NUMBER", "value": str(dice.between(100, 99_999) / 100)},
        "sku": {"dataType": "STRING", "value": f"{product.sku}-{dice.digits(4)}"},
        "inStock": {"dataType": "BOOLEAN", "value": "true" if dice.chance(0.9) else "false"},
    }
    page = _trimmed(pages.product_page("shop.example.com", "en-GB", product))
    page["url"] += f"?variant={dice.digits(4)}"
    page["queryString"] = page["url"].partition("?")[2]
    rest: Json = {"eventName": event_name, "page": page, "attributes": attributes, "authenticated": dice.chance(0.3)}
    return _members(**rest)[:-1] + b"}}"


def _trimmed(part: Json) -> Json:
    return {name: value for name, value in part.items() if name not in _LEFT_OUT}


def _members(**members: object) -> bytes:
    """Members of a JSON object, with a comma after the last."""
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))[1:-1].encode() + b","
