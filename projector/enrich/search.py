"""What a visitor searched for on the site itself. From the event alone; distinctness and bounds are the fold's."""

from collections.abc import Callable
from functools import lru_cache

from projector.enrich.url import REMEMBERED_MAX, form_pairs
from projector.models import Page
from projector.remembers import LENGTH_MAX, remembers


def may_name_terms(page: Page, parameters: tuple[str, ...]) -> bool:
    """False for most pages, by a look at the address alone; only then need its query not be parsed."""
    query = page.query_string if page.query_string is not None else page.url
    return query is not None and _looks_like_one_of(parameters)(query)


@lru_cache(maxsize=64)  # One entry a setting.
def _looks_like_one_of(parameters: tuple[str, ...]) -> Callable[[str], bool]:
    """A parameter by its name as it is; any escape may hide one."""
    signs = ("%", "+", *(parameter + "=" for parameter in parameters))
    return remembers(REMEMBERED_MAX)(lambda query: any(sign in query for sign in signs))


def search_terms_of(
    search_query: str | None, page_query_string: str | None, parameters: tuple[str, ...]
) -> tuple[str, ...]:
    """The search terms of one event, trimmed, none of them blank (contract §5 row 20).

    The event's own `searchQuery`, else the values of the query's `parameters`: in their order, then in the text's.
    """
    own = search_query.strip() if search_query else ""
    if own:
        return (own,)
    if not page_query_string or "=" not in page_query_string:
        return ()
    if len(page_query_string) <= LENGTH_MAX:
        return _remembered_terms(page_query_string, parameters)
    return _terms_in(page_query_string, parameters)


def _terms_in(query: str, parameters: tuple[str, ...]) -> tuple[str, ...]:
    pairs = [(name, value.strip()) for name, value in form_pairs(query)]
    return tuple(value for parameter in parameters for name, value in pairs if name == parameter and value)


@lru_cache(maxsize=REMEMBERED_MAX)
def _remembered_terms(query: str, parameters: tuple[str, ...]) -> tuple[str, ...]:
    return _terms_in(query, parameters)
