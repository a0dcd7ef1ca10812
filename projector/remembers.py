"""Remembering what was worked out of texts that come again and again, within bounds of count and of length."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

R = TypeVar("R")
T = TypeVar("T", str, bytes)

LENGTH_MAX = 1024
"""Of a text that is remembered: any text of an event may have a MiB, and 65,536 of those no memory holds."""


def remembers(count: int) -> Callable[[Callable[[T], R]], Callable[[T], R]]:
    """Remembers the last `count` answers of a pure function of a text."""

    def decorate(function: Callable[[T], R]) -> Callable[[T], R]:
        remembered = lru_cache(maxsize=count)(function)

        @wraps(function)
        def answer(text: T) -> R:
            return remembered(text) if len(text) <= LENGTH_MAX else function(text)

        return answer

    return decorate
