"""`projector explain`: what each record of the log did to one session."""

import time
from typing import Annotated, Any

import msgspec
import typer

from projector import exits, logs
from projector.adapters.file import FileSource
from projector.adapters.kafka import TopicReader
from projector.cli import options
from projector.cli.progress import progress
from projector.config import load
from projector.dates import format_time
from projector.errors import WrongInput
from projector.explain import Step
from projector.explain import explain as steps_of
from projector.ports import Source
from projector.service import kafka_settings


def explain(
    session_id: Annotated[str, typer.Argument(metavar="ID", help="A session's id.")],
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Logs; without any, the input topic.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, with the values before and after.")] = False,
    config: options.ConfigFile = None,
    input_topic: options.InputTopic = None,
    kafka_bootstrap_servers: options.Brokers = None,
) -> None:
    """Fold one session from the log and say, event by event, what each did to it.

    The log is read twice: once to find what the session depends on, its visitor and its conversations, and once for
    the records of those alone.

    \b
    projector explain 8f2b6c1e-web events.jsonl.gz
    projector explain conv-6 --json | jq .fields
    """
    settings = load(config, {"input_topic": input_topic, "kafka_bootstrap_servers": kafka_bootstrap_servers})
    logs.set_up(settings)
    sources: list[FileSource | TopicReader] = []

    def new_source() -> Source:
        source = FileSource(inputs) if inputs else TopicReader(kafka_settings(settings))
        sources.append(source)
        return source

    found = False
    with progress(lambda: sources[-1].progress() if sources else (0, None)) as advance:
        for step in steps_of(
            session_id,
            new_source,
            rules=settings.rules(),
            places=settings.places(),
            started_at=time.time_ns() // 1_000_000,
            on_progress=advance,
        ):
            found = True
            typer.echo(msgspec.json.encode(step).decode() if as_json else _in_words(step))
    if not found:
        raise WrongInput(f"no record of the log is of session {session_id}")
    raise typer.Exit(exits.DONE)


def _in_words(step: Step) -> str:
    head = f"{step.partition}/{step.offset}  {format_time(step.at)}  {step.event_type} {step.event_id or '(no id)'}"
    told = [f"{head}: {step.outcome}{', ' + ', '.join(step.effects) if step.effects else ''}"]
    if step.detail:
        told.append(f"    {step.detail}")
    told += [f"    {name}: {_short(was)} -> {_short(now)}" for name, (was, now) in step.fields.items()]
    told += [f"    attribute {name} {rule}" for name, rule in step.rules.items()]
    return "\n".join(told)


def _short(value: Any) -> str:
    if value is None:
        return "absent"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 120 else text[:117] + "..."
