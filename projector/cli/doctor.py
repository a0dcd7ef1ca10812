"""`projector doctor`: settings, broker, topics and Redis looked at; says what to change."""

from typing import Annotated

import typer

from projector import exits, logs
from projector.adapters.kafka import KafkaTopics, problems, wrong_extras
from projector.adapters.redis_server import check_server
from projector.cli import options
from projector.config import Config, load
from projector.errors import ProjectorError, WrongInput
from projector.service import kafka_settings


def doctor(
    create_topics: Annotated[
        bool, typer.Option("--create-topics", help="Make those of the three topics that are missing.")
    ] = False,
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="Of an input topic that has to be made.")] = 4,
    config: options.ConfigFile = None,
    input_topic: options.InputTopic = None,
    output_topic: options.OutputTopic = None,
    rejects_topic: options.RejectsTopic = None,
    kafka_bootstrap_servers: options.Brokers = None,
    redis_url: options.RedisUrl = None,
) -> None:
    """Check settings, broker, topics and Redis, and say what to change.

    \b
    projector doctor
    projector doctor --create-topics --partitions 12
    """
    flags = {
        "input_topic": input_topic,
        "output_topic": output_topic,
        "rejects_topic": rejects_topic,
        "kafka_bootstrap_servers": kafka_bootstrap_servers,
        "redis_url": redis_url,
    }
    settings = load(config, flags)
    logs.set_up(settings)
    wrong = wrong_extras(settings.kafka)
    if wrong:
        raise WrongInput("\n".join(wrong))
    codes = [_kafka(settings, partitions if create_topics else None), _redis(settings)]
    if any(codes):
        raise typer.Exit(exits.WRONG if exits.WRONG in codes else exits.FAILED)


def _kafka(config: Config, partitions: int | None) -> int:
    try:
        with KafkaTopics(kafka_settings(config)) as topics:
            if partitions is not None:
                for name in topics.create(input_partitions=partitions):
                    typer.echo(f"made    topic {name}")
            cluster = topics.cluster()
    except ProjectorError as wrong:
        return _bad(wrong)
    for topic in (cluster.input, cluster.output, cluster.rejects):
        if topic is not None:
            policy = topic.settings.get("cleanup.policy", "?")
            typer.echo(f"ok      topic {topic.name}: {topic.partitions} partitions, cleanup.policy={policy}")
    found = problems(kafka_settings(config), cluster)
    for line in found:
        typer.echo(f"wrong   {line}")
    return exits.WRONG if found else exits.DONE


def _redis(config: Config) -> int:
    try:
        facts = check_server(config.redis_url, config.redis)
    except ProjectorError as wrong:
        return _bad(wrong)
    typer.echo(f"ok      Redis {facts.version} at {facts.where}{', a cluster' if facts.clustered else ''}")
    if not facts.append_only:
        typer.echo(
            "advice  Redis has no append-only file: a restart loses writes, which are then folded again from the log."
        )
        typer.echo("        Set appendonly yes, appendfsync everysec.")
    return exits.DONE


def _bad(wrong: ProjectorError) -> int:
    for line in str(wrong).splitlines():
        typer.echo(f"wrong   {line}")
    return exits.WRONG if isinstance(wrong, WrongInput) else exits.FAILED
