"""What stored sessions have in common, for the compression of records in Redis: names, user agents, languages.

`python -m tests.write_dictionary` writes it anew. What is stored can be read only with the very file that it was
written with, so a new one is a migration. It is learned from made-up journeys in which what is a site's or a visitor's
own is made unreadable: so it serves every site alike, and no measurement gets more from it than a user.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from projector.adapters.embedded import EmbeddedStore
from projector.rules import Rules
from projector.track import encode_track
from projector.worker import Worker, World
from tests.journeys.bench import bench_events
from tests.journeys.demo import demo_events
from tests.journeys.dice import Dice
from tests.memory import MemoryPublisher, MemoryRecord, MemorySource, StillClock

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = Path(__file__).parents[1] / "projector" / "adapters" / "records.dict"
SIZE = 4096
"""With twice as much the records of the measured work are a twentieth smaller, and take longer."""
_OWN = re.compile(
    rb'"(?:url|title|domain|hostname|pathname|queryString|fragment|keywords|customerId|id|selfUri|locality|region'
    rb"|postalCode|latitude|longitude|content|term|name|medium|source|campaign|clickId|value)"
    rb'":"?[^",}]+'
)
_AS_OF = 4_102_444_800_000
"""The year 2100: no event is of a time to come."""
_LOW, _HIGH, _DIGITS = b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"0123456789"


def main() -> None:
    dice = Dice(1)
    records = [record for log in _logs() for record in _records(log)]
    learned = zstandard.train_dictionary(SIZE, [_OWN.sub(lambda own: _other(own[0], dice), one) for one in records])
    FILE.write_bytes(learned.as_bytes())


def _logs() -> Iterable[Iterable[tuple[str, bytes]]]:
    return demo_events(600, 1), demo_events(300, 2, raw=True), bench_events(6_000, 900, 3)


def _records(events: Iterable[tuple[str, bytes]]) -> Iterable[bytes]:
    """The tracks of a log as they are stored at its end."""
    source = MemorySource({0: [MemoryRecord(0, offset, value) for offset, (_, value) in enumerate(events)]})
    store, rules, clock = EmbeddedStore(), Rules(), StillClock()
    worker = Worker(World(source, store, MemoryPublisher(source), clock, rules, sweeps=False, started_at=_AS_OF))
    while not worker.at_end:
        worker.step()
    return [encode_track(track) for _, track in store.sessions()]


def _other(own: bytes, dice: Dice) -> bytes:
    """A name and its value, with other letters and digits in the value."""
    name, mark, value = own.partition(b'":')
    kept = b'"https://' if value.startswith(b'"https://') else b""
    return name + mark + kept + b"".join(_letter(sign, dice) for sign in value[len(kept) :])


def _letter(sign: int, dice: Dice) -> bytes:
    kind = next((kind for kind in (_LOW, _HIGH, _DIGITS) if sign in kind), bytes([sign]))
    return bytes([dice.pick(kind)])


if __name__ == "__main__":
    main()
