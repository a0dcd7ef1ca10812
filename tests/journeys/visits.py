"""Visits to the shop: pages, searches, carts, forms and orders, with the time people take over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.journeys import pages
from tests.journeys.draft import MINUTE, SECOND, Json
from tests.journeys.envelope import Journey, attribute, attributes, hashed_id, heartbeat, say
from tests.journeys.world import PRODUCTS, SEARCHES, Machine, Origin, Place

if TYPE_CHECKING:
    from tests.journeys.draft import Story


@dataclass(slots=True)
class Visitor:
    """One person with one device, as the shop knows them by a cookie."""

    cookie: str
    machine: Machine
    place: Place
    ip_address: str
    email: str
    contact: str | None
    events: int = 0
    """Events over all visits: what `totalEventCount` says, and the projector must not copy."""
    pageviews: int = 0


@dataclass(slots=True)
class Visit:
    """A visit as it goes on; `at_ms` is the time of its last event, from the start of the story."""

    story: Story
    visitor: Visitor
    journey: Journey
    origin: Origin
    first_id: str
    began_ms: int
    at_ms: int
    page: Json
    referrer: Json | None
    cart: list[str] = field(default_factory=list)
    authenticated: bool = False
    beats: bool = False
    """Whether the page sends heartbeats."""
    fresh: bool = True
    """Nothing told yet."""

    def wait(self, low_ms: int, high_ms: int) -> None:
        """Thinks, and keeps the heart beating for the first two minutes of it."""
        pause_ms = self.story.dice.skewed(low_ms, high_ms)
        if self.beats:
            for beat_ms in range(25 * SECOND, min(pause_ms, 2 * MINUTE), 25 * SECOND):
                heartbeat(self.story, self.journey, self.at_ms + beat_ms)
        self.at_ms += pause_ms

    def show(self, page: Json, **more: str) -> None:
        self.referrer, self.page = pages.internal_referrer(self.page), page
        self.visitor.pageviews += 1
        self.record("page_viewed", delay_ms=None, **more)

    def record(self, event_name: str, *, delay_ms: int | None = None, **more: object) -> None:
        """Tells one web event, which arrives after a delay if one is given; what is in `more` joins the payload."""
        visitor = self.visitor
        visitor.events += 1
        payload: Json = {"eventName": event_name}
        payload |= {"totalEventCount": visitor.events, "totalPageviewCount": visitor.pageviews}
        payload |= self._raw_parts() if self.journey.raw else self._parts()
        payload |= {"attributes": {}, "traits": {}, "authenticated": self.authenticated, **more}
        # The first of a visit arrives before the others, so that a raw visit gets the id we foresaw.
        first_id, delay_ms = (self.first_id, 0) if self.fresh else (None, delay_ms)
        self.fresh = False
        say(self.story, self.journey, self.at_ms, "WebEvent", payload, event_id=first_id, delay_ms=delay_ms)

    def _parts(self) -> Json:
        """What an enriched event tells of page and visitor; a few events come without the one or the other."""
        dice, visitor = self.story.dice, self.visitor
        parts: Json = {
            "page": self.page,
            "userAgentString": visitor.machine.user_agent,
            "ipAddress": visitor.ip_address,
        }
        if dice.chance(0.95):
            parts["browser"] = visitor.machine.browser(visitor.place.lang)
            parts["device"] = visitor.machine.device()
        if dice.chance(0.9):
            parts["geolocation"] = visitor.place.geolocation()
            parts["ipOrganization"] = visitor.place.organization
        if self.origin.campaign is not None:
            parts["mktCampaign"] = self.origin.campaign
        if self.referrer is not None:
            parts["referrer"] = self.referrer
        if dice.chance(0.03):
            parts["ipAddress"] = None
        return parts

    def _raw_parts(self) -> Json:
        """What a collector knows (contract §2 *raw*)."""
        visitor = self.visitor
        parts: Json = {"page": {"url": self.page["url"]}}
        parts |= {"userAgentString": visitor.machine.user_agent, "ipAddress": visitor.ip_address}
        return parts if self.referrer is None else {**parts, "referrerUrl": self.referrer["url"]}


def arrive(story: Story, visitor: Visitor, at_ms: int, origin: Origin, *, raw: bool) -> Visit:
    """Opens a visit with its landing page."""
    dice, first_id = story.dice, story.dice.uuid()
    named = dice.uuid()
    session_id = hashed_id("cookie", visitor.cookie, "web", first_id) if raw else named
    journey = Journey(session_id, "web", visitor.cookie, "cookie", contact=visitor.contact, raw=raw)
    landing = pages.landing_page(pages.host_of(visitor.place.country), visitor.place.lang, origin.query)
    visit = Visit(story, visitor, journey, origin, first_id, at_ms, at_ms, landing, origin.referrer)
    visit.beats = dice.chance(0.6)
    visitor.pageviews += 1
    visit.record("page_viewed")
    return visit


def browse(visit: Visit, steps: int) -> None:
    """Looks around: one page or deed after another; one visit in six has a long break in it."""
    dice = visit.story.dice
    break_at = dice.below(steps) if dice.chance(0.17) else None
    for step in range(steps):
        visit.wait(2 * SECOND, 3 * MINUTE)
        if step == break_at:
            visit.wait(5 * MINUTE, 24 * MINUTE)
        dice.pick(_DEEDS)(visit)


def _look_at_category(visit: Visit) -> None:
    category = visit.story.dice.pick(PRODUCTS).category
    visit.show(pages.category_page(visit.page["hostname"], visit.visitor.place.lang, category))


def _look_at_product(visit: Visit) -> None:
    dice = visit.story.dice
    fragment = "reviews" if dice.chance(0.2) else ""
    visit.show(
        pages.product_page(visit.page["hostname"], visit.visitor.place.lang, dice.pick(PRODUCTS), fragment=fragment)
    )


def _search(visit: Visit) -> None:
    """A search is told by the page's address, by `searchQuery`, or by both."""
    dice = visit.story.dice
    term = dice.pick(SEARCHES)
    host, lang = visit.page["hostname"], visit.visitor.place.lang
    match dice.below(3):
        case 0:
            visit.show(pages.search_page(host, lang, term))
        case 1:
            visit.show(pages.search_page(host, lang, term), searchQuery=f" {term} ")
        case _:
            visit.record("search_performed", searchQuery=term)


def _add_product(visit: Visit) -> None:
    dice, product = visit.story.dice, visit.story.dice.pick(PRODUCTS)
    visit.cart.append(product.sku)
    visit.record(
        "product_added",
        attributes={
            **attributes(dice, sku=product.sku, cart_item=product.name, price=product.price),
            "quantity": attribute(dice, dice.between(1, 3)),
            "hasBatteries": attribute(dice, product.category == "light"),
            "coupon": None,  # Absent, says contract §2.
        },
    )


def _remove_product(visit: Visit) -> None:
    if not visit.cart:
        _look_at_product(visit)
        return
    sku = visit.cart.pop()
    visit.record("product_removed", attributes=attributes(visit.story.dice, sku=sku))


def _fill_form(visit: Visit) -> None:
    dice = visit.story.dice
    name = "form_submitted" if dice.chance(0.6) else "form_abandoned"
    traits = {"email": {"dataType": "STRING", "value": visit.visitor.email}}
    visit.record(name, attributes=attributes(dice, formName="newsletter"), traits=traits)


def _scroll(visit: Visit) -> None:
    visit.record("scroll_depth_reached", attributes=attributes(visit.story.dice, percentage=75))


_DEEDS = (
    _look_at_category,
    _look_at_product,
    _look_at_product,
    _look_at_product,
    _search,
    _add_product,
    _add_product,
    _remove_product,
    _fill_form,
    _scroll,
)


def look_back(visit: Visit) -> None:
    """A tab left open is looked at once more; that is heard of only after the next visit has begun, and joins the two.

    Where nobody names them, that is: 22 min after one and 23 before the other it is in reach of both (contract §3.3).
    """
    visit.at_ms += 22 * MINUTE
    visit.record("tab_focused", delay_ms=24 * MINUTE)


def log_in(visit: Visit) -> None:
    host, lang = visit.page["hostname"], visit.visitor.place.lang
    visit.wait(3 * SECOND, MINUTE)
    visit.show(pages.page(host, "/login", "Log in", lang))
    visit.wait(8 * SECOND, MINUTE)
    visit.authenticated = True
    traits = {"email": {"dataType": "STRING", "value": visit.visitor.email}}
    visit.record("user_logged_in", traits=traits)


def order(visit: Visit) -> None:
    """Buys what is in the cart, or a product that is picked now."""
    dice = visit.story.dice
    if not visit.cart:
        visit.wait(2 * SECOND, 20 * SECOND)
        _add_product(visit)
    visit.wait(4 * SECOND, MINUTE)
    visit.show(pages.page(visit.page["hostname"], "/cart/checkout", "Checkout", visit.visitor.place.lang))
    visit.wait(20 * SECOND, 4 * MINUTE)
    total = sum(product.price for product in PRODUCTS if product.sku in visit.cart)
    values = attributes(dice, order_id=f"A-{dice.digits(6)}", order_total=round(total, 2), items=len(visit.cart))
    visit.record("order_completed", attributes=values)
