"""Generated journeys of now, sent to a topic at a steady rate until it is told to end: what `make up` shows.

Law: the key is the one the generator gives, so that a session's events keep their order on one partition.
"""

# mypy: disable-error-code="no-untyped-call"
# The Kafka client has annotations in part only.

from __future__ import annotations

import signal
import subprocess
import sys
from typing import IO

from kafka import KafkaProducer


def feed(bootstrap: str, topic: str, rate: int) -> None:
    """Returns when the generator ends, which SIGTERM to this process makes it do."""
    command = [sys.executable, "-m", "tests.generate", "--shape", "demo", "--follow", "--rate", str(rate), "--keys"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as generator:
        signal.signal(signal.SIGTERM, lambda *_: generator.terminate())
        assert generator.stdout is not None
        send_lines(bootstrap, topic, generator.stdout)


def send_lines(bootstrap: str, topic: str, lines: IO[bytes]) -> None:
    """Sends lines of key, tab, value; an empty key is none, an empty value a tombstone."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)
    try:
        for line in lines:
            key, _, value = line.rstrip(b"\n").partition(b"\t")
            producer.send(topic, key=key or None, value=value or None)
    finally:
        producer.close()
