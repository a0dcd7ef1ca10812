"""`python -m tests.services`: what `make services`, `make up` and `make down` call."""

from __future__ import annotations

import argparse
import os
import sys

from tests.services import machine, pipeline
from tests.services.feed import feed
from tests.services.process import ServiceError
from tests.services.run import KAFKA_VARIABLE, REDIS_VARIABLE


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.services", description="Kafka and Redis on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="get what a broker and a Redis need, where it is missing")
    commands.add_parser("up", help="start broker, Redis, projector and a feed of generated journeys")
    commands.add_parser("down", help="end what `up` started")
    feeding = commands.add_parser("feed", help="send generated journeys until ended")
    feeding.add_argument("--rate", type=int, default=pipeline.RATE, help="events a second")
    feeding.add_argument("--topic", default=pipeline.INPUT_TOPIC)
    options = parser.parse_args(argv)
    try:
        _carry_out(options)
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _carry_out(options: argparse.Namespace) -> None:
    match options.command:
        case "install":
            _install()
        case "up":
            pipeline.up()
        case "down":
            pipeline.down()
        case "feed":
            feed(os.environ.get(KAFKA_VARIABLE, "localhost:9092"), options.topic, options.rate)


def _install() -> None:
    """Where the environment names both services, a machine that can start none of its own will do. Without the proxy
    only the tests that ask for it fail, by the same line."""
    try:
        machine.build_toxiproxy()
    except ServiceError as error:
        print(error)
    try:
        machine.install()
    except ServiceError as error:
        if not {KAFKA_VARIABLE, REDIS_VARIABLE} <= os.environ.keys():
            raise
        print(f"Using the services that the environment names; tests that break one on purpose will fail: {error}")


if __name__ == "__main__":
    sys.exit(main())
