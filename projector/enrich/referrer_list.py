"""The packaged lists of search engines, social networks, mail services and ad networks (`data/README.md`), by host."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

_GENERIC = frozenset({"com", "net", "org"})
"""Beside country codes, what `{}` in a list stands for: `google.{}` must not match every new top-level domain."""


class Source(NamedTuple):
    """An entry of the lists: what is published of it, and how its keywords are read."""

    medium: str
    name: str
    parameters: tuple[str, ...] = ()
    charset: str | None = None


class _Index(NamedTuple):
    exact: dict[str, Source]  # `duckduckgo.com`
    anywhere: dict[str, Source]  # `google` of `google.{}`: the host without its public suffix.
    below: dict[str, Source]  # `facebook.com` of `*.facebook.com`: itself and all below it.


def source_of(hostname: str, domain: str) -> Source | None:
    """The entry for a host of that registrable domain: the most exact pattern counts; `www.` plays no part."""
    index = _index()
    host = hostname.removeprefix("www.").rstrip(".")
    found = index.exact.get(host) or index.anywhere.get(_without_suffix(host, domain))
    while found is None and host:
        found = index.below.get(host)
        host = host.partition(".")[2]
    return found


def _without_suffix(host: str, domain: str) -> str:
    suffix = domain.partition(".")[2]
    last = suffix.rpartition(".")[2]
    if not suffix or not host.endswith(domain) or not (len(last) == 2 or suffix in _GENERIC):
        return ""
    return host.removesuffix("." + suffix)


@cache
def _index() -> _Index:
    lists: dict[str, list[dict[str, Any]]] = json.loads(
        files("projector.enrich").joinpath("data/referrers.json").read_text(encoding="utf-8")
    )
    index = _Index(exact={}, anywhere={}, below={})
    for medium, entries in lists.items():
        for entry in entries:
            source = Source(medium, entry["name"], tuple(entry.get("parameters", ())), entry.get("charset"))
            for pattern in entry["hosts"]:
                _add(index, pattern, source)
    return index


def _add(index: _Index, pattern: str, source: Source) -> None:
    """A host that two entries claim is a mistake in the list, seen by the tests."""
    if pattern.endswith(".{}"):
        kind, key = index.anywhere, pattern.removesuffix(".{}")
    elif pattern.startswith("*."):
        kind, key = index.below, pattern.removeprefix("*.")
    else:
        kind, key = index.exact, pattern
    assert key not in kind, f"{pattern} is listed for {kind[key].name} and for {source.name}"
    kind[key] = source
