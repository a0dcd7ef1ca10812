"""What an event does not say but its addresses do: fills what is missing, from the event alone (contract §7)."""

from projector.enrich.campaign import campaign_of
from projector.enrich.referrer import complete_referrer
from projector.enrich.url import complete_page, parse_url
from projector.events import AppEvent, Campaign, Event, Page, WebEvent
from projector.rules import Rules


def enrich(event: Event, rules: Rules) -> None:
    """Fill page, referrer and campaign of a web or app event, in place, each part if its switch is on."""
    payload = event.payload
    if not isinstance(payload, WebEvent | AppEvent):
        return
    page = payload.page
    if rules.campaigns and page is not None and payload.mkt_campaign in (None, _NO_CAMPAIGN):
        payload.mkt_campaign = campaign_of(query_of(page))
    if rules.referrers and (payload.referrer is not None or payload.referrer_url is not None):
        payload.referrer = complete_referrer(payload.referrer, payload.referrer_url, page)
    if rules.url_parts and page is not None:
        payload.page = complete_page(page)


_NO_CAMPAIGN = Campaign()


def query_of(page: Page) -> str | None:
    """The page's `queryString` if given, else its URL's."""
    if page.query_string is not None or page.url is None:
        return page.query_string
    parts = parse_url(page.url)
    return parts.query_string if parts is not None else None
