"""Sessions in the shop's app: screens, searches and orders (journey-domain §2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.journeys.draft import MINUTE, SECOND, Json
from tests.journeys.envelope import Journey, attributes, hashed_id, heartbeat, say
from tests.journeys.world import CAMPAIGN_ORIGINS, PRODUCTS, SEARCHES

if TYPE_CHECKING:
    from tests.journeys.draft import Story
    from tests.journeys.visits import Visitor

_SCREENS = ("Start", "Categories", "Product", "Product", "Cart", "Account", "Wishlist")


@dataclass(slots=True)
class AppSession:
    story: Story
    visitor: Visitor
    journey: Journey
    first_id: str
    at_ms: int
    campaign: Json | None
    screen: str = "Start"
    fresh: bool = True

    def record(self, event_name: str, **more: object) -> None:
        payload: Json = {"eventName": event_name, "screenName": self.screen, **self._parts()}
        payload |= {"attributes": {}, "traits": {}, **more}
        first_id, delay_ms = (self.first_id, 0) if self.fresh else (None, None)
        self.fresh = False
        say(self.story, self.journey, self.at_ms, "AppEvent", payload, event_id=first_id, delay_ms=delay_ms)

    def _parts(self) -> Json:
        """What the app's SDK knows, and, unless raw, what the service adds."""
        dice, place = self.story.dice, self.visitor.place
        parts: Json = {
            "app": {"name": "Shop", "namespace": "com.example.shop", "version": "5.2.1", "buildNumber": "5210"},
            "device": self.visitor.machine.device(),
            "sdkLibrary": {"name": f"journey-{self.visitor.machine.os_family.lower()}", "version": "1.9.0"},
            "networkConnectivity": {
                "carrier": place.organization,
                "bluetoothEnabled": dice.chance(0.5),
                "cellularEnabled": True,
                "wifiEnabled": dice.chance(0.5),
            },
            "ipAddress": self.visitor.ip_address,
        }
        if self.journey.raw:
            return parts
        parts |= {"geolocation": place.geolocation(), "ipOrganization": place.organization}
        return parts if self.campaign is None else {**parts, "mktCampaign": self.campaign}


def use_app(story: Story, visitor: Visitor, at_ms: int, *, raw: bool) -> int:
    """One session in the app; returns the time of its last event."""
    dice, first_id, named = story.dice, story.dice.uuid(), story.dice.uuid()
    session_id = hashed_id("cookie", visitor.cookie, "app", first_id) if raw else named
    journey = Journey(session_id, "app", visitor.cookie, "cookie", contact=visitor.contact, raw=raw)
    campaign = dice.pick(CAMPAIGN_ORIGINS).campaign if dice.chance(0.2) else None
    session = AppSession(story, visitor, journey, first_id, at_ms, campaign)
    session.record("screen_viewed")
    for _ in range(dice.between(2, 10)):
        pause_ms = dice.skewed(SECOND, 2 * MINUTE)
        if pause_ms > 40 * SECOND:
            heartbeat(story, journey, session.at_ms + 30 * SECOND)
        session.at_ms += pause_ms
        _do_something(session)
    return session.at_ms


def _do_something(session: AppSession) -> None:
    dice = session.story.dice
    luck = dice.random()
    if luck < 0.65:
        session.screen = dice.pick(_SCREENS)
        session.record("screen_viewed")
    elif luck < 0.8:
        session.screen = "Search"
        session.record("search_performed", searchQuery=dice.pick(SEARCHES))
    elif luck < 0.95:
        product = dice.pick(PRODUCTS)
        session.record("product_added", attributes=attributes(dice, cart_item=product.name, price=product.price))
    else:
        session.record("order_completed", attributes=attributes(dice, order_id=f"M-{dice.digits(6)}"))
