"""`projector` whose clients each find the broker at an address of their own: `python -m tests.end_to_end.apart run …`.

The environment says which: `APART_READER` for the group's consumer, `APART_WRITER` for the producer. All else goes by
the settings.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from projector.adapters.kafka import publisher, source

if TYPE_CHECKING:
    from collections.abc import Callable


def at(address: str, options: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
    return options(*given) | {"bootstrap_servers": [address]}


# The module is imported again in each worker, so it is so there too.
if __name__ in ("__main__", "__mp_main__"):
    for module, name, variable in (
        (source, "group_options", "APART_READER"),
        (publisher, "producer_options", "APART_WRITER"),
    ):
        if variable in os.environ:
            setattr(module, name, partial(at, os.environ[variable], getattr(module, name)))

if __name__ == "__main__":
    from projector.cli import main

    main()
