"""What a worker says of how it is: in the log, at first and then seldom, and in its metrics."""

import time

import structlog

from projector import metrics
from projector.adapters.kafka import Cut
from projector.adapters.redis import RedisStore
from projector.errors import Doubt, Unavailable
from projector.logs import SAID_AGAIN_S

log = structlog.get_logger()


class Waiting:
    """Says that the worker waits for something, at first and then every `SAID_AGAIN_S`, and that it goes on again."""

    def __init__(self) -> None:
        self._why: str | None = None
        self._since = self._say_at = 0.0

    def begin(self, why: str) -> None:
        now = time.monotonic()
        if self._why is None:
            self._since = now
        if why != self._why or now >= self._say_at:
            log.warning("waits", why=why, since_s=round(now - self._since))
            self._why, self._say_at = why, now + SAID_AGAIN_S
        metrics.WAITING.set(1)

    def end(self) -> None:
        if self._why is not None:
            log.info("goes on", waited_s=round(time.monotonic() - self._since, 1))
            self._why = None
            metrics.WAITING.set(0)


class Cuts:
    """Counts records that their topic did not take whole, and says so every `SAID_AGAIN_S` at most."""

    def __init__(self) -> None:
        self._say_at = 0.0

    def __call__(self, cut: Cut) -> None:
        metrics.TOO_LARGE.inc()
        if time.monotonic() < self._say_at:
            return
        self._say_at = time.monotonic() + SAID_AGAIN_S
        facts = {"key": cut.key[:100], "bytes": cut.size, "bytes_max": cut.bytes_max}
        if cut.left_out:
            log.warning(
                "too large for its topic, published in part: raise max.message.bytes", **facts, without=cut.left_out
            )
        else:
            log.error("too large for its topic, not published: raise max.message.bytes", **facts)


class ShortIdsLeft:
    """Warns while the short ids run out (contract §5, field 7)."""

    WARN_AT = 0.8

    def __init__(self, store: RedisStore, digits: int) -> None:
        self._store, self._capacity = store, 10**digits
        self._next_at = 0.0

    def watch(self) -> None:
        """Look once a minute how many are taken."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + 60
        try:
            taken = self._store.short_ids_taken()
        except (Unavailable, Doubt):
            return  # The turns find out for themselves.
        metrics.SHORT_IDS.set(taken)
        if taken >= self.WARN_AT * self._capacity:
            log.warning(
                "short ids run out: raise short_id_digits, or sessions go without", taken=taken, of=self._capacity
            )
