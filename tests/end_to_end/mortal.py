"""`projector` with workers that die at steps of their turn: `python -m tests.end_to_end.mortal run …`.

The environment says at which steps, in order (`MORTAL_STEPS`, with commas), the how manieth time in a life
(`MORTAL_COUNTS`, one for each), and who is killed (`MORTAL_KILLS`: the `worker`, which its supervisor starts again, or
the whole `service`; `nobody`: the worker hangs there for ever; `pause`: it stands still until it is told to go on).
Law: one dies at each step once, by SIGKILL; just before, a file of the step's number is made in `MORTAL_MARKS`, with
its pid.
"""

# mypy: disable-error-code="no-untyped-call"
# The Kafka client has annotations in part only.

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer

from projector import service
from projector.adapters.kafka import KafkaPublisher, KafkaSource, publisher, settings
from projector.adapters.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from projector.ports import Batch, Conflict, Overtaken, Saved, Stored, Write
    from projector.route import TrackKey


class Fuse:
    """Counts the steps of this process. The names of those in turns without records begin with `idle`, or with `end`
    in one that loads tracks, which are those whose deadline has passed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._steps = environment["MORTAL_STEPS"].split(",")
        self._counts = [int(count) for count in environment["MORTAL_COUNTS"].split(",")]
        self._kills = environment["MORTAL_KILLS"]
        self._marks = Path(environment["MORTAL_MARKS"])
        self._turn = ""
        self._saves = 0
        self._seen: Counter[str] = Counter()

    def begin_turn(self, *, idle: bool) -> None:
        self._turn, self._saves = "idle " if idle else "", 0
        self.step("poll")

    def load(self) -> None:
        if self._turn:
            self._turn = "end "
        self.step("load")

    def save(self, write: Write) -> None:
        if write.clear_notes or write.move_due or write.sweep:
            self._reach("clean")
        self._saves += 1
        self.step(f"save {self._saves}")

    def saved(self, write: Write) -> None:
        self.step(f"saved {self._saves}")
        if write.clear_notes or write.move_due or write.sweep:
            self._reach("cleaned")

    def step(self, name: str) -> None:
        self._reach(self._turn + name)

    def _reach(self, name: str) -> None:
        self._seen[name] += 1
        done = len(list(self._marks.iterdir()))
        if done < len(self._steps) and name == self._steps[done] and self._seen[name] >= self._counts[done]:
            self._die(done)

    def _die(self, number: int) -> None:
        with suppress(FileExistsError):  # Then another worker was a moment faster.
            with (self._marks / str(number)).open("x") as mark:
                mark.write(str(os.getpid()))
            if self._kills == "pause":
                os.kill(os.getpid(), signal.SIGSTOP)
                return
            if self._kills == "nobody":
                Event().wait()
            if self._kills == "service":
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


fuse = Fuse(os.environ)


class MortalSource(KafkaSource):
    def poll(self) -> Batch:
        batch = super().poll()
        fuse.begin_turn(idle=not batch.records)
        return batch

    def commit(self, *arguments: Any) -> None:
        """Of delivery at least once: when all that was published is there. Nothing is between these two steps then."""
        fuse.step("offsets")
        fuse.step("commit")
        super().commit(*arguments)
        fuse.step("committed")


class MortalStore(RedisStore):
    def load(self, keys: Sequence[TrackKey]) -> dict[TrackKey, Stored | None]:
        loaded = super().load(keys)
        fuse.load()
        return loaded

    def save(self, shard: int, write: Write) -> Saved | Conflict | Overtaken:
        fuse.save(write)
        result = super().save(shard, write)
        fuse.saved(write)
        return result

    def claim_short_ids(self, wanted: Sequence[tuple[str, str | None]], digits: int) -> list[str | None]:
        claimed = super().claim_short_ids(wanted, digits)
        fuse.step("claim")
        return claimed

    def release_short_ids(self, held: Sequence[tuple[str, str]]) -> None:
        fuse.step("release")
        super().release_short_ids(held)
        fuse.step("released")


class MortalPublisher(KafkaPublisher):
    def publish(self, *arguments: Any) -> None:
        fuse.step("publish")
        super().publish(*arguments)
        fuse.step("published")


class MortalProducer(KafkaProducer):
    def send_offsets_to_transaction(self, *arguments: Any) -> None:
        fuse.step("offsets")
        super().send_offsets_to_transaction(*arguments)

    def commit_transaction(self) -> None:
        fuse.step("commit")
        super().commit_transaction()
        fuse.step("committed")


def store(config: Any, identity: Mapping[str, str], **more: Any) -> RedisStore:
    opened = _store(config, identity, **more)
    opened.__class__ = MortalStore
    return opened


_store = service.store

# The module is imported again in each worker, so it is mortal there too.
if __name__ in ("__main__", "__mp_main__"):
    for module, name, mortal in (
        (service, "KafkaSource", MortalSource),
        (service, "KafkaPublisher", MortalPublisher),
        (service, "store", store),
        (publisher, "KafkaProducer", MortalProducer),
        # What a killed service leaves open is waited for by the next one.
        (settings, "TRANSACTION_TIMEOUT_MS", 3000),
    ):
        assert hasattr(module, name)
        setattr(module, name, mortal)

if __name__ == "__main__":
    from projector.cli import main

    main()
