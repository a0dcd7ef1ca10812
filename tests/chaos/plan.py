"""What is broken when, from a seed: kills all the time, and the other faults one after another, each equally often."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from tests.chaos.faults import KILLS, OTHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.chaos.world import World

KILL_EVERY_S = (4.0, 8.0)
REST_S = (0.5, 3.0)
"""Between one of the other faults that is recovered from and the next."""
_WORKERS, _SERVICES = 3, 1  # How many of four kills.


@dataclass(frozen=True)
class Step:
    """Do this, then pause."""

    name: str
    fault: Callable[[World, Random], None]
    random: Random
    """Decides the details."""
    pause_s: float


def kills(seed: int, names: frozenset[str]) -> Iterator[Step]:
    random = Random(f"kills {seed}")
    counts = list(zip(KILLS, (_WORKERS, _SERVICES), strict=True))
    while deck := [name for name, count in counts if name in names for _ in range(count)]:
        random.shuffle(deck)
        for name in deck:
            yield Step(name, KILLS[name], Random(random.random()), random.uniform(*KILL_EVERY_S))


def others(seed: int, names: frozenset[str]) -> Iterator[Step]:
    random = Random(f"others {seed}")
    while deck := [name for name in OTHERS if name in names]:
        random.shuffle(deck)
        for name in deck:
            yield Step(name, OTHERS[name], Random(random.random()), random.uniform(*REST_S))
