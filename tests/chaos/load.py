"""Steady load of journeys that happen now, with duplicates, records that have to be rejected, and tombstones among them.

Law: what was sent is in the log, whatever happens to the broker meanwhile: the producer is `kcat`, which tries for ever,
past every proxy. What it sends again may be there twice; idempotent it gives up when a killed broker is back
(librdkafka's "rewound sequence number"). `stop` raises where it did give up.
"""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections import deque
from random import Random
from typing import TYPE_CHECKING

from tests.generate import live_events
from tests.services.process import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.end_to_end.pipeline import Pipeline

STOP_TIMEOUT_S = 60.0
_REPEATED, _FLAWED = 0.04, 0.06  # Shares of what is sent.
_REPEATED_OF = 200  # The latest records, of which one is sent again.
_FLAWS = (
    b'{"id":"cut-off-%d',
    b'{"id":"no-type-%d","createdDate":"2025-06-02T08:00:00Z"}',
    b'{"id":"odd-%d","eventType":"PageEvent","createdDate":"2025-06-02T08:00:00Z"}',
    b'{"id":"who-%d","eventType":"WebEvent","createdDate":"2025-06-02T08:00:00Z","webEvent":{"eventName":"a"}}',
    b'{"eventType":"WebEvent","number":%d}',
    b"",
)


def records(seed: int, *, keyed: bool) -> Iterator[tuple[str, bytes]]:
    """Key and value of each record of the moment it is asked for.

    Without keys no visits are among them that have to be recognised: their ids would follow the order of reading.
    """
    feeds = [live_events(seed, clock_ms=_now_ms)]
    if keyed:
        feeds.append(live_events(seed + 1, clock_ms=_now_ms, raw=True))
    flaws = _FLAWS if keyed else tuple(filter(None, _FLAWS))  # kcat leaves out an empty line that has no key.
    random, latest = Random(f"load {seed}"), deque[tuple[str, bytes]](maxlen=_REPEATED_OF)
    for number, feed in enumerate(itertools.cycle(feeds)):
        chance = random.random()
        if chance < _REPEATED and latest:
            yield random.choice(latest)
        elif chance < _REPEATED + _FLAWED:
            flaw = random.choice(flaws)
            yield f"flawed-{random.randrange(40)}", flaw % number if b"%" in flaw else flaw
        else:
            latest.append(next(feed))
            yield latest[-1]


class Load:
    """A feed at so many records a second, from `start` to `stop`."""

    def __init__(self, pipeline: Pipeline, log: Path, *, rate: int, seed: int, keyed: bool) -> None:
        self._records, self._rate, self._keyed = records(seed, keyed=keyed), rate, keyed
        self._command = _kcat(pipeline.config.kafka_bootstrap_servers, pipeline.config.input_topic, keyed=keyed)
        self._log = log
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="load", daemon=True)
        self.sent = 0

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._kcat = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._kcat.poll() is None

    def stop(self) -> None:
        """Returns when everything that was sent is acknowledged."""
        self._stopping.set()
        self._thread.join()
        try:
            code = self._kcat.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServiceError(f"the load was not written within {STOP_TIMEOUT_S:g} s, see {self._log}") from None
        if code:
            raise ServiceError(f"the load's producer ended with code {code}, see {self._log}")

    def kill(self) -> None:
        self._stopping.set()
        self._kcat.kill()
        self._kcat.wait()

    def _feed(self) -> None:
        assert self._kcat.stdin is not None
        began = time.monotonic()
        try:
            with self._kcat.stdin as pipe:
                while not self._stopping.wait(max(0.0, began + self.sent / self._rate - time.monotonic())):
                    key, value = next(self._records)
                    pipe.write(b"%b\t%b\n" % (key.encode(), value) if self._keyed else value + b"\n")
                    pipe.flush()
                    self.sent += 1
        except BrokenPipeError:
            return  # It was killed, or has ended, which `stop` tells.


def _kcat(bootstrap: str, topic: str, *, keyed: bool) -> list[str]:
    options = ["acks=all", "message.timeout.ms=0", "linger.ms=5", "reconnect.backoff.max.ms=500"]
    # Without keys each record goes to any partition; librdkafka else stays with one for a while.
    options += ["partitioner=murmur2_random"] if keyed else ["sticky.partitioning.linger.ms=0"]
    words = [word for option in options for word in ("-X", option)]
    # -E: a broker that is down is nothing to end for.
    return ["kcat", "-P", "-E", "-b", bootstrap, "-t", topic, *(["-K", "\t"] if keyed else []), *words]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
