"""Makes up journeys: `python -m tests.generate` writes them as records (contract §2). Law: same options, same bytes."""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import zstandard

from tests.journeys.bench import SPAN_MS, bench_events
from tests.journeys.demo import START_MS, demo_events, live_events
from tests.journeys.draft import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["bench_events", "demo_events", "live_events", "main", "paced"]

_EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell has it.
PAUSE_MIN_S = 0.005
"""Less is not worth one: at some thousand events a second pauses take more of a core than the events."""
_RATE_LIVE = 50  # Events a second of a live feed, unless --rate says.
_EPILOG = """
examples:
  python -m tests.generate --sessions 200 --output demo.jsonl.zst
      a log of two hundred sessions of every kind
  python -m tests.generate --sessions 200 --raw --clean --output raw.jsonl.gz
      the same people as a collector sees them, without the planted bad records
  python -m tests.generate --shape bench --keys |
    kcat -P -b localhost:9092 -t journey-events -K '\\t' -X partitioner=murmur2_random
      the measured work, keyed by session, on the partitions that Kafka's own clients choose
  python -m tests.generate --follow --rate 100 --keys | kcat -P -b localhost:9092 -t journey-events -K '\\t'
      visitors that come now, until it is stopped

attributeLists need a rule; for these journeys:
  PROJECTOR_ATTRIBUTE_RULES='[{"match":"cart_item","to":"Cart items","list":true},{"match":"*"}]'
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command; stops quietly where the reader goes away (0) or at an interrupt (130)."""
    options = _options(argv)
    try:
        with _output(options.output) as out:
            _write(options, out)
    except BrokenPipeError:
        # What Python still holds for standard output has nowhere to go; without this it would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.generate",
        description="Makes up journey events, one JSON object a line. The same options give the same bytes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--shape",
        choices=("demo", "bench"),
        default="demo",
        help="people-like journeys (default), or the measured work",
    )
    add("--sessions", type=_positive, metavar="N", help="how many sessions (default: demo 200, bench 50000)")
    add("--events", type=_positive, default=600_000, metavar="N", help="how many events (bench; default 600000)")
    add(
        "--seed", type=int, metavar="N", help="chooses the journeys (default 1; with --follow one of its own each time)"
    )
    add(
        "--start",
        type=_time,
        default=START_MS,
        metavar="TIME",
        help="first time of the log (default 2025-06-02T08:00:00Z)",
    )
    add("--raw", action="store_true", help="web and app events without session and enrichment (demo)")
    add("--clean", action="store_true", help="without the bad records and blank lines that are planted (demo)")
    add("--keys", action="store_true", help="key and a tab before each event, as kcat -K '\\t' reads it")
    add("--output", metavar="FILE", help="default standard output; .gz and .zst are compressed")
    add(
        "--rate",
        type=_positive,
        metavar="N",
        help=f"no more than N events a second (with --follow default {_RATE_LIVE})",
    )
    add("--follow", action="store_true", help="events of now, paced; demo: without end; bench: so many as --events")
    options = parser.parse_args(argv)
    if options.shape == "bench" and options.raw:
        parser.error("--raw is for --shape demo")
    if options.follow and options.rate is None:
        options.rate = _RATE_LIVE
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _time(text: str) -> int:
    try:
        return milliseconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; expected a time like 2025-06-02T08:00:00Z") from error


@contextmanager
def _output(name: str | None) -> Iterator[IO[bytes]]:
    """Where the lines go; a compressed file holds no name and no time, so that it too is the same bytes."""
    if name is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with Path(name).open("wb") as file:
        if name.endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
                yield cast("IO[bytes]", packed)
        elif name.endswith(".zst"):
            with zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as squeezed:
                yield cast("IO[bytes]", squeezed)
        else:
            yield file


def _write(options: argparse.Namespace, out: IO[bytes]) -> None:
    records = _records(options)
    if options.rate is not None:
        records = paced(records, options.rate, out)
    write, keys = out.write, options.keys
    for key, value in records:
        write(b"%b\t%b\n" % (key.encode(), value) if keys else value + b"\n")


def _records(options: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    seed = options.seed
    if seed is None:
        seed = time.time_ns() if options.follow else 1
    if options.shape == "bench":
        start_ms, span_ms = options.start, SPAN_MS
        if options.follow:
            start_ms, span_ms = _now_ms(), options.events * 1000 // options.rate
        return bench_events(options.events, options.sessions or 50_000, seed, start_ms=start_ms, span_ms=span_ms)
    if options.follow:
        return live_events(seed, clock_ms=_now_ms, raw=options.raw, flaws=not options.clean)
    return demo_events(options.sessions or 200, seed, start_ms=options.start, raw=options.raw, flaws=not options.clean)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def paced(
    records: Iterator[tuple[str, bytes]],
    rate: int,
    out: IO[bytes],
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[str, bytes]]:
    """The records at a rate a second, up to a pause ahead; what is written is on its way before each."""
    began = now()
    for number in itertools.count():
        pause = began + number / rate - now()
        if pause > PAUSE_MIN_S:
            out.flush()
            sleep(pause)
        # Asked for only now, so that a live event is of this moment.
        record = next(records, None)
        if record is None:
            return
        yield record


if __name__ == "__main__":
    sys.exit(main())
