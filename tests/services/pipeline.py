"""The real pipeline on this machine without containers: `make up` and `make down`.

Law: each `up` begins anew, in a folder of its own; `down` ends everything that it started, in the order of the flow.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.services import machine
from tests.services.kafka import Kafka
from tests.services.process import (
    Process,
    ServiceError,
    free_port,
    is_recorded_alive,
    listens,
    stop_recorded,
)
from tests.services.redis import RedisServer
from tests.services.run import KAFKA_VARIABLE, REDIS_VARIABLE
from tests.services.topics import Topics

HOME = machine.WORK / "up"
INPUT_TOPIC, OUTPUT_TOPIC = "journey-events", "journey-sessions"  # The defaults of the projector's settings.
PARTITIONS = 4
RATE = 50  # Events a second: enough to see it flow, little enough to forget that it runs.
FIRST_SNAPSHOT_S = 60.0
_PROJECTOR = str(Path(sys.executable).with_name("projector"))
# In the order of the flow, so that what is under way is finished before its store goes.
_ORDER_OF_END = ("feed", "projector", "redis", "kafka-1")


def up() -> None:
    """Starts all of it and returns when the first snapshot is out; raises ServiceError where it does not come."""
    if any(map(is_recorded_alive, HOME.rglob("*.pid"))):
        print("It is up already; `make down` ends it.")
        return
    shutil.rmtree(HOME, ignore_errors=True)
    try:
        settings = _start_services()
        _start_flow(settings)
    except BaseException:
        down()
        raise
    _say_what_to_look_at(settings)


def down() -> None:
    """Ends what `up` started; nothing where it is not up."""
    found = {pid_file.stem: pid_file for pid_file in HOME.rglob("*.pid")}
    for name in sorted(found, key=_ORDER_OF_END.index):
        print(f"{name}: {'ended' if stop_recorded(found[name]) else 'had ended'}")


def _start_services() -> dict[str, str]:
    """The settings that lead to a broker and a Redis: those of the environment, else started on their usual ports."""
    machine.install()
    HOME.mkdir(parents=True)
    settings = {name: os.environ[name] for name in (KAFKA_VARIABLE, REDIS_VARIABLE) if name in os.environ}
    if KAFKA_VARIABLE not in settings:
        kafka = Kafka(HOME / "kafka", ports=[_port(9092)])
        kafka.start()
        settings[KAFKA_VARIABLE] = kafka.bootstrap
    if REDIS_VARIABLE not in settings:
        server = RedisServer(HOME / "redis", port=_port(6379))
        server.start()
        settings[REDIS_VARIABLE] = server.url
    settings |= {"PROJECTOR_INPUT_TOPIC": INPUT_TOPIC, "PROJECTOR_OUTPUT_TOPIC": OUTPUT_TOPIC}
    (HOME / "env").write_text("".join(f"export {name}={value}\n" for name, value in settings.items()))
    return settings


def _start_flow(settings: dict[str, str]) -> None:
    topics = Topics(settings[KAFKA_VARIABLE])
    if INPUT_TOPIC not in topics.names():
        topics.create(INPUT_TOPIC, partitions=PARTITIONS)
    doctor = subprocess.run([_PROJECTOR, "doctor", "--create-topics"], check=False, env={**os.environ, **settings})
    if doctor.returncode:
        raise ServiceError(f"projector doctor ended with exit code {doctor.returncode}; what it found is above")
    projector = Process("projector", [_PROJECTOR, "run"], HOME, env=settings)
    projector.start()
    feed = [sys.executable, "-m", "tests.services", "feed", "--rate", str(RATE), "--topic", INPUT_TOPIC]
    Process("feed", feed, HOME, env=settings).start()
    projector.wait_until(lambda: bool(topics.read(OUTPUT_TOPIC)), timeout_s=FIRST_SNAPSHOT_S)


def _say_what_to_look_at(settings: dict[str, str]) -> None:
    bootstrap, shown = settings[KAFKA_VARIABLE], HOME.relative_to(machine.ROOT)
    print(
        f"""
Journeys flow at {RATE} events a second: {INPUT_TOPIC} → projector run → {OUTPUT_TOPIC}. Watch the snapshots:

    kcat -C -b {bootstrap} -t {OUTPUT_TOPIC} -o end -f '%k %s\\n'

or, with these settings in your shell:

    . {shown}/env
    .venv/bin/projector doctor
    .venv/bin/projector replay --from-topic --output {shown}/sessions.jsonl

Logs and pid files are in {shown}/. `make down` ends it all."""
    )


def _port(usual: int) -> int:
    """The usual port, so that the projector's defaults fit; another where somebody has that."""
    return free_port() if listens(usual) else usual
