"""How often Python looks for garbage while sessions are folded: rarely, for what is folded has no cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLD = (100_000, 50, 100)
"""At the default of 700 the collector looks through all tracks again and again."""


@contextmanager
def collected_rarely() -> Iterator[None]:
    """What is there when it begins is never looked at; afterwards all is as before."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
