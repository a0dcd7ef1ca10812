"""All of enrichment applied to one event: fills what is missing, from the event alone, and hides what is private.

The order matters. Query parameters that are private go first, so that no campaign or search term brings them back;
address and user agent are hidden last, when place, browser and device are known.
"""

from typing import Any, Protocol

from projector.enrich.agent import told_by
from projector.enrich.campaign import campaign_of
from projector.enrich.geo import Location
from projector.enrich.privacy import (
    Privacy,
    attribute_mode,
    keyed_hash,
    redact_ip,
    redact_page,
    redact_referrer,
    redact_url,
    redact_user_agent,
)
from projector.enrich.referrer import complete_referrer
from projector.enrich.url import complete_page, query_of
from projector.events import AppEvent, CustomEvent, Derived, Event, WebEvent
from projector.models import Attribute, Campaign, Page
from projector.rules import Rules


class Places(Protocol):
    """Knows where an IP address is, and whose."""

    def locate(self, text: str, /) -> Location: ...


def enrich(event: Event, rules: Rules, places: Places | None) -> bool:
    """Fill and hide, in place, each part if its switch is on; False if the event is a bot's and those are dropped."""
    payload, privacy = event.payload, rules.privacy
    is_on = privacy.is_on
    if isinstance(payload, _VISITED):
        if is_on:
            _hide_queries(payload, privacy)
        page = payload.page
        if page is not None:
            _addresses(payload, page, rules)
        if (payload.referrer is not None or payload.referrer_url is not None) and rules.referrers:
            payload.referrer = complete_referrer(payload.referrer, payload.referrer_url, page)
        if not _visitor(event, payload, rules, places):
            return False
        if is_on:
            _hide_person(payload, privacy)
    elif is_on and isinstance(payload, CustomEvent):
        if payload.external_url is not None:
            payload.external_url = redact_url(privacy.query, payload.external_url)
        payload.attributes = _hidden(payload.attributes, privacy)
    return True


_VISITED = (WebEvent, AppEvent)
_NO_CAMPAIGN = Campaign()


def _addresses(payload: WebEvent | AppEvent, page: Page, rules: Rules) -> None:
    campaign = payload.mkt_campaign
    if rules.campaigns and (campaign is None or campaign == _NO_CAMPAIGN):
        payload.mkt_campaign = campaign_of(query_of(page))
    if rules.url_parts:
        payload.page = complete_page(page)


def _visitor(event: Event, payload: WebEvent | AppEvent, rules: Rules, places: Places | None) -> bool:
    """Browser, device, place and organisation where the event gives none; False for a bot that is to be dropped."""
    if places is None and payload.browser is not None and payload.device is not None and not rules.drop_bots:
        return True
    agent, ip = payload.user_agent_string, payload.ip_address
    browser = device = geolocation = organization = None
    if agent and rules.agents and (payload.browser is None or payload.device is None or rules.drop_bots):
        browser, device, is_bot = told_by(agent)
        if is_bot and rules.drop_bots:
            return False
        browser = browser if payload.browser is None else None
        device = device if payload.device is None else None
    if ip and places is not None and (payload.geolocation is None or payload.ip_organization is None):
        geolocation, organization = places.locate(ip)
        geolocation = geolocation if payload.geolocation is None else None
        organization = organization if payload.ip_organization is None else None
    if browser is not None or device is not None or geolocation is not None or organization is not None:
        event.derived = Derived(browser, device, geolocation, organization)
    return True


def _hide_queries(payload: WebEvent | AppEvent, privacy: Privacy) -> None:
    if not privacy.query.is_on:
        return
    if payload.page is not None:
        payload.page = redact_page(privacy.query, payload.page)
    if payload.referrer is not None:
        payload.referrer = redact_referrer(privacy.query, payload.referrer)
    if payload.referrer_url is not None:
        payload.referrer_url = redact_url(privacy.query, payload.referrer_url)


def _hide_person(payload: WebEvent | AppEvent, privacy: Privacy) -> None:
    if payload.ip_address is not None:
        payload.ip_address = redact_ip(privacy.ip_address, privacy.key, payload.ip_address)
    if payload.user_agent_string is not None:
        payload.user_agent_string = redact_user_agent(privacy.user_agent, privacy.key, payload.user_agent_string)
    payload.attributes = _hidden(payload.attributes, privacy)


def _hidden(attributes: Any, privacy: Privacy) -> Any:
    """Without the attributes that are dropped, and with the hashed ones as texts."""
    if not attributes or not (privacy.attributes_drop or privacy.attributes_hash):
        return attributes
    kept: dict[str, Attribute] = {}
    for name, attribute in attributes.items():
        mode = attribute_mode(privacy, name)
        if mode == "hash":
            kept[name] = Attribute("STRING", keyed_hash(privacy.key, str(attribute.value)))
        elif mode == "keep":
            kept[name] = attribute
    return kept or None
