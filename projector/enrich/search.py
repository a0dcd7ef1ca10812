"""What a visitor searched for on the site itself. From the event alone; distinctness and bounds are the fold's."""

from functools import lru_cache

from projector.enrich.url import REMEMBERED_LENGTH_MAX, REMEMBERED_MAX, form_pairs


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
    if len(page_query_string) <= REMEMBERED_LENGTH_MAX:
        return _remembered_terms(page_query_string, parameters)
    return _terms_in(page_query_string, parameters)


def _terms_in(query: str, parameters: tuple[str, ...]) -> tuple[str, ...]:
    pairs = [(name, value.strip()) for name, value in form_pairs(query)]
    return tuple(value for parameter in parameters for name, value in pairs if name == parameter and value)


@lru_cache(maxsize=REMEMBERED_MAX)
def _remembered_terms(query: str, parameters: tuple[str, ...]) -> tuple[str, ...]:
    return _terms_in(query, parameters)
