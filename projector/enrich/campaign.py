"""The marketing campaign that a page's query names, from that alone; values keep their case and are decoded once."""

from projector.enrich.url import REMEMBERED_MAX, form_pairs
from projector.models import Campaign
from projector.remembers import remembers

CLICK_ID_NETWORKS = {
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
"""Click id parameter → network. Where a query has several, the first of this table counts: those of advertisements
come before those that networks add to every link. The names are published in snapshots."""


def campaign_of(query_string: str | None) -> Campaign | None:
    """The campaign of a query without `?` (contract §7), None where it names none. What it returns is shared."""
    return None if query_string is None else _campaign_in(query_string)


def _may_name_a_campaign(query: str) -> bool:
    # A handful of substring searches are cheaper than any parse; `%` because a name may be written in escapes.
    return (
        "utm_" in query
        or "clid" in query
        or "clkid" in query
        or "braid" in query
        or "li_fat_id" in query
        or "%" in query
    )


@remembers(REMEMBERED_MAX)
def _campaign_in(query: str) -> Campaign | None:
    if not _may_name_a_campaign(query):
        return None
    first: dict[str, str] = {}
    for name, value in form_pairs(query):
        if value:
            first.setdefault(name, value)
    clicked = next((name for name in CLICK_ID_NETWORKS if name in first), "")
    found = Campaign(
        content=first.get("utm_content"),
        medium=first.get("utm_medium"),
        name=first.get("utm_campaign"),
        source=first.get("utm_source"),
        term=first.get("utm_term"),
        click_id=first.get(clicked),
        network=CLICK_ID_NETWORKS.get(clicked),
    )
    return None if found == Campaign() else found
