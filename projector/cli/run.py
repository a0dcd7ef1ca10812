"""`projector run`: the service."""

from typing import Annotated

import typer

from projector import logs
from projector.cli import options
from projector.config import load
from projector.instance import Instance


def run(
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Worker processes; more than partitions are idle.")
    ] = None,
    until_end: Annotated[
        bool,
        typer.Option("--until-end", help="Stop when everything that is there now is read, published and committed."),
    ] = False,
    config: options.ConfigFile = None,
    input_topic: options.InputTopic = None,
    output_topic: options.OutputTopic = None,
    rejects_topic: options.RejectsTopic = None,
    group_id: options.GroupId = None,
    namespace: options.Namespace = None,
    kafka_bootstrap_servers: options.Brokers = None,
    redis_url: options.RedisUrl = None,
    delivery: options.Delivery = None,
) -> None:
    """Fold the input topic into Redis and publish a snapshot for every change, until SIGTERM or SIGINT.

    A stop finishes the batch in hand, commits it, and exits with 0.

    \b
    projector run --workers 2
    projector run --until-end --group-id backfill --config backfill.toml
    PROJECTOR_REDIS_URL=redis://:secret@redis:6379/0 projector run
    """
    flags = {
        "workers": workers,
        "input_topic": input_topic,
        "output_topic": output_topic,
        "rejects_topic": rejects_topic,
        "group_id": group_id,
        "namespace": namespace,
        "kafka_bootstrap_servers": kafka_bootstrap_servers,
        "redis_url": redis_url,
        "delivery": delivery,
    }
    settings = load(config, {name: None if value is None else str(value) for name, value in flags.items()})
    logs.set_up(settings)
    from projector.supervisor import Supervisor  # noqa: PLC0415  (the clients take 0.2 s that other commands need not wait)

    with Instance(settings.group_id) as instance:
        raise typer.Exit(Supervisor(settings, instance.name, until_end=until_end).run())
