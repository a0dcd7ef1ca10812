"""Remembering what was worked out of texts that come again and again, within bounds of count and of length."""

from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")
T = TypeVar("T", str, bytes)

LENGTH_MAX = 1024
"""Of a text that is remembered: any text of an event may have a MiB, and 65,536 of those no memory holds."""


def remembers(count: int) -> Callable[[Callable[[T], R]], Callable[[T], R]]:
    """Remembers up to `count` answers of a pure function of a text; when there are more, it begins anew.

    What is remembered is found by a dict alone, in a fifth of the time of an `lru_cache` with a bound of length around
    it: 0.06 against 0.32 µs, some fifteen times an event.
    """

    def decorate(function: Callable[[T], R]) -> Callable[[T], R]:
        return _Answers(function, count).__getitem__

    return decorate


class _Answers(dict[T, R]):
    """A text to its answer."""

    def __init__(self, function: Callable[[T], R], count: int) -> None:
        super().__init__()
        self._function: Callable[[T], R] = function
        self._count = count

    def __missing__(self, text: T) -> R:
        answer = self._function(text)
        if len(text) <= LENGTH_MAX:
            if len(self) >= self._count:
                self.clear()
            self[text] = answer
        return answer
