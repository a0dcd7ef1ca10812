"""Seeded chance. Law: it rests on random() alone, whose sequence for a seed is the same on every release of CPython."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

T = TypeVar("T")


class Dice:
    """Every choice of a journey. `choice`, `shuffle` and `randrange` are ours, for theirs changed between releases."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def below(self, limit: int) -> int:
        return int(self.random() * limit)

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def skewed(self, low: int, high: int) -> int:
        """As `between`, but mostly near low: how long people think, and what they spend."""
        share = self.random()
        return low + int(share * share * share * (high - low))

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def pick(self, things: Sequence[T]) -> T:
        return things[self.below(len(things))]

    def shuffle(self, things: MutableSequence[T]) -> None:
        """Fisher and Yates, in place."""
        chance = self.random
        for last in range(len(things) - 1, 0, -1):
            other = int(chance() * (last + 1))
            things[last], things[other] = things[other], things[last]

    def digits(self, count: int) -> str:
        return f"{self.below(10**count):0{count}d}"

    def uuid(self) -> str:
        return str(
            uuid.UUID(int=self.below(1 << 48) << 80 | self.below(1 << 48) << 32 | self.below(1 << 32), version=4)
        )
