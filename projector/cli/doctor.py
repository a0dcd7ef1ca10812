"""`projector doctor`: settings, broker, topics, Redis and namespace looked at; says what to change."""

from typing import Annotated

import typer

from projector import exits, logs
from projector.adapters.kafka import KafkaTopics, Topic, problems, wrong_extras
from projector.adapters.redis_check import check_server
from projector.cli import options
from projector.config import Config, load
from projector.errors import ProjectorError, WrongInput
from projector.service import advice_on, kafka_settings


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
    group_id: options.GroupId = None,
    namespace: options.Namespace = None,
) -> None:
    """Check settings, broker, topics, Redis and the namespace in it, and say what to change.

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
        "group_id": group_id,
        "namespace": namespace,
    }
    settings = load(config, flags)
    logs.set_up(settings)
    wrong = wrong_extras(settings.kafka)
    if wrong:
        raise WrongInput("\n".join(wrong))
    codes = [_kafka(settings, partitions if create_topics else None), _redis(settings)]
    if not any(codes):
        codes.append(_start(settings))
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
    if cluster.input is not None:
        _say_what_is_kept(cluster.input, config)
    for line in advice_on(config, cluster):
        typer.echo(f"advice  {line}".replace("\n", "\n        "))
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
    wanted = config.redis_wait_replicas
    if facts.replicas < wanted:
        typer.echo(
            f"wrong   redis_wait_replicas is {wanted}, but Redis at {facts.where} has {facts.replicas} replicas:"
            " nothing would be published"
        )
        return exits.WRONG
    return exits.DONE


def _start(config: Config) -> int:
    """What the service would find there: the same checks, in the same code."""
    from projector.start_checks import check_start  # noqa: PLC0415  (needed only where all the rest is there)

    try:
        begins = check_start(config)
    except ProjectorError as wrong:
        return _bad(wrong)
    found = "new" if begins.is_new else f"goes on, {len(begins.life.partitions)} partitions"
    typer.echo(f"ok      namespace {config.namespace}: {found}")
    if begins.lost:
        typer.echo(f"advice  Redis has nothing of partitions {', '.join(map(str, begins.lost))} any more, the log has:")
        typer.echo("        their sessions are folded again from it. Find out who wiped Redis.")
    return exits.DONE


def _say_what_is_kept(topic: Topic, config: Config) -> None:
    """State that is lost can be folded again only from records that the topic still has."""
    kept_ms = int(topic.settings.get("retention.ms", "-1"))
    if "compact" in topic.settings.get("cleanup.policy", ""):
        typer.echo(f"advice  topic {topic.name} is compacted: of records of one key the older ones are lost.")
    elif kept_ms >= 0 and (kept_ms < config.retention or not config.retention):
        typer.echo(
            f"advice  topic {topic.name} keeps records for {kept_ms // 3_600_000} h, which is less than `retention`:"
        )
        typer.echo("        if Redis loses a session that is older it cannot be folded again. Raise retention.ms.")


def _bad(wrong: ProjectorError) -> int:
    for line in str(wrong).splitlines():
        typer.echo(f"wrong   {line}")
    return exits.WRONG if isinstance(wrong, WrongInput) else exits.FAILED
