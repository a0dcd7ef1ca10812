"""Every metric: name, kind, unit, meaning. Bound once, counted by turn, never by event."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from projector.errors import WrongInput
from projector.ledger import Ledger
from projector.life import GENERATION_OFFSETS, Life
from projector.turn import Done

LEDGER = Gauge(
    "projector_ledger_records",
    "Records of the input since the namespace began, by partition and what became of them; read = folded + duplicates"
    " + redelivered + tombstones + rejected.",
    ["partition", "outcome"],
)
REJECTED = Gauge(
    "projector_ledger_rejected_records", "Rejected records, by partition and reason.", ["partition", "reason"]
)
POSITION = Gauge("projector_position_offset", "The next offset to be read, by partition.", ["partition"])
CATCHING_UP = Gauge(
    "projector_catching_up_records",
    "Records that were folded before the store lost writes, or all, and are still to be folded again, by partition.",
    ["partition"],
)
CLOCK = Gauge(
    "projector_partition_clock_seconds", "The newest event time, s since the epoch, by partition.", ["partition"]
)
SNAPSHOTS = Counter("projector_snapshots", "Snapshots published.")
ENDS = Counter("projector_sessions_ended", "Sessions ended by the clock.")
CONFLICTS = Counter("projector_save_conflicts", "Writes refused because another worker wrote the same track.")
LIVES = Counter("projector_lives", "Lives begun: one at start, one after each rebalance and each doubt.")
CUTS = Counter("projector_cut_off_values", "Values cut off at a bound, by what they are.", ["what"])
WITHOUT_SHORT_ID = Counter("projector_sessions_without_short_id", "Sessions that found no short id free.")
TOO_LARGE = Counter(
    "projector_too_large_records",
    "Snapshots and rejects that were published in part: their topic takes no larger ones.",
)
STARTS = Gauge(
    "projector_worker_starts", "How often the service has started this worker; more than 1: it hung or died."
)
WAITING = Gauge("projector_waiting", "1 while the worker waits for Kafka or Redis; the log says for what.")
CALL_SECONDS = Gauge("projector_call_seconds", "How long the call to Kafka or Redis that is under way has been.")
SHORT_IDS = Gauge("projector_short_ids_taken", "Short ids that sessions have at the moment; a warning from 80 %.")
TURN_SECONDS = Histogram(
    "projector_turn_seconds",
    "How long a turn with records took.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)


def serve(port: int) -> None:
    """Answer on this port in a thread of its own.

    Raises:
        WrongInput: somebody else has the port, or we may not have it.
    """
    try:
        start_http_server(port)
    except OSError as error:
        raise WrongInput(
            f"metrics_port: port {port} cannot be listened on ({error.strerror}); free it, or set another"
        ) from error


def count_turn(done: Done, life: Life, seconds: float) -> None:
    """What one turn did, and where it left the worker's partitions."""
    SNAPSHOTS.inc(done.snapshots)
    ENDS.inc(done.ends)
    CONFLICTS.inc(done.conflicts)
    WITHOUT_SHORT_ID.inc(done.without_short_id)
    for what, count in done.cuts.items():
        CUTS.labels(what).inc(count)
    if not done.records:
        return
    TURN_SECONDS.observe(seconds)
    for partition, mark in life.marks.items():
        POSITION.labels(partition).set(life.read[partition] % GENERATION_OFFSETS)
        CATCHING_UP.labels(partition).set(max(0, life.targets[partition] - life.read[partition]))
        if mark.clock is not None:
            CLOCK.labels(partition).set(mark.clock / 1000)
        _show(partition, mark.ledger)


def _show(partition: int, ledger: Ledger) -> None:
    for outcome in ("read", "folded", "duplicates", "redelivered", "tombstones", "clamped", "skipped", "bots"):
        LEDGER.labels(partition, outcome).set(getattr(ledger, outcome))
    for reason, count in ledger.rejected.items():
        REJECTED.labels(partition, reason).set(count)
