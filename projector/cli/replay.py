"""`projector replay`: files or a topic, through the embedded store, to sessions."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from projector import exits, logs
from projector.adapters.embedded import EmbeddedStore
from projector.adapters.file import BATCH_LINES_MAX, FileSource
from projector.adapters.file_output import STDOUT, Output, Rejects, RejectsFile, ReplayPublisher, check_outputs
from projector.adapters.kafka import TopicReader
from projector.cli import options
from projector.cli.progress import progress
from projector.config import Config, load
from projector.crew import Crew
from projector.dates import parse_time
from projector.errors import WrongInput
from projector.garbage import collected_rarely
from projector.ledger import Ledger, total
from projector.ports import Partition
from projector.replay import Replay
from projector.service import kafka_settings


def replay(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Logs, plain, .gz or .zst; - for standard input.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sessions, JSON lines; without it standard output.")
    ] = None,
    every_change: Annotated[
        bool, typer.Option("--every-change", help="A snapshot for every record that changed a session instead.")
    ] = False,
    rejects: Annotated[Path | None, typer.Option(metavar="FILE", help="Rejects, JSON lines in input order.")] = None,
    ledger: Annotated[Path | None, typer.Option(metavar="FILE", help="The ledger as one JSON object.")] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="The wall clock at the end; without it the newest event's time.")
    ] = None,
    from_topic: Annotated[bool, typer.Option("--from-topic", help="Replay the input topic instead of files.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --from-topic: begin at the first record of this time.")
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes that fold files; what comes out is the same.")
    ] = 1,
    config: options.ConfigFile = None,
    input_topic: options.InputTopic = None,
    kafka_bootstrap_servers: options.Brokers = None,
) -> None:
    """Fold a log and show the sessions that it comes to, as they would stand at a moment.

    The same code as the running service, with the state in memory (on disk past a bound). A log that was cut off is
    folded as far as it goes; then the exit code is 1.

    \b
    projector replay events.jsonl.gz --output sessions.jsonl --ledger ledger.json
    zcat events.jsonl.gz | projector replay - --as-of 2025-06-12T10:10:00Z
    projector replay january.jsonl.zst february.jsonl.zst --workers 4 --output sessions.jsonl
    projector replay --from-topic --since 2025-06-01T00:00:00Z --rejects rejects.jsonl
    """
    settings = load(config, {"input_topic": input_topic, "kafka_bootstrap_servers": kafka_bootstrap_servers})
    logs.set_up(settings)
    moment, files = _moment(as_of, "--as-of"), inputs or []
    _check_usage(files, from_topic=from_topic, since=since)
    _check_workers(workers, from_topic=from_topic, every_change=every_change)
    check_outputs([str(name) for name in (output, rejects, ledger) if name is not None], inputs=files)
    source = _source(settings, files, from_topic=from_topic, since=_moment(since, "--since"), by_record=every_change)
    with ExitStack() as opened:
        out = opened.enter_context(Output(str(output or STDOUT), inputs=files))
        refused = opened.enter_context(Output(str(rejects), inputs=files)) if rejects else None
        book = opened.enter_context(Output(str(ledger), inputs=files)) if ledger else None
        sink = RejectsFile(refused) if refused else None
        if isinstance(source, FileSource) and workers > 1:
            run: Crew | Replay = opened.enter_context(_crew(settings, source, workers, sink))
        else:
            run = _alone(settings, source, out if every_change else None, sink)
        opened.enter_context(collected_rarely())
        with progress(source.progress) as advance:
            run.run(as_of=moment, on_progress=advance)
        if not every_change:
            for snapshot in run.sessions():
                out.write(snapshot + b"\n")
        if book is not None:
            book.write(msgspec.json.encode(_ledger(run.ledgers(), source)) + b"\n")
    _tell(run.ledgers())
    _tell_damage(source)


def _alone(
    settings: Config, source: FileSource | TopicReader, changes: Output | None, rejects: Rejects | None
) -> Replay:
    return Replay(
        source=source,
        store=EmbeddedStore(short_ids=changes is not None),
        publisher=ReplayPublisher(
            topic_of=_topic_of(source),
            changes=changes,
            rejects=rejects,
            is_private=settings.privacy().is_on,
        ),
        rules=settings.rules(),
        places=settings.places(),
        started_at=time.time_ns() // 1_000_000,
        publishes=changes is not None,
    )


def _crew(settings: Config, source: FileSource, workers: int, rejects: Rejects | None) -> Crew:
    return Crew(
        source=source,
        workers=workers,
        rejects=rejects,
        rules=settings.rules(),
        places=settings.places(),
        started_at=time.time_ns() // 1_000_000,
        is_private=settings.privacy().is_on,
    )


def _moment(text: str | None, flag: str) -> int | None:
    if text is None:
        return None
    ms = parse_time(text)
    if ms is None:
        raise WrongInput(f"{flag} is {text!r}: a time with an offset such as 2025-06-12T10:10:00Z is expected")
    return ms


def _check_usage(files: list[str], *, from_topic: bool, since: str | None) -> None:
    if not files and not from_topic:
        raise WrongInput("nothing to replay: name files (- is standard input), or --from-topic for the input topic")
    if files and from_topic:
        raise WrongInput("files and --from-topic are both named: one of them is to be replayed, leave out the other")
    if since is not None and not from_topic:
        raise WrongInput("--since goes with --from-topic: lines of files have no timestamps to begin at")


def _check_workers(workers: int, *, from_topic: bool, every_change: bool) -> None:
    if workers > 1 and from_topic:
        raise WrongInput("--workers is for files; a topic is read by one: leave it out")
    if workers > 1 and every_change:
        raise WrongInput("--workers and --every-change are both named: changes come one after the other, leave out one")


def _source(
    config: Config, files: list[str], *, from_topic: bool, since: int | None, by_record: bool
) -> FileSource | TopicReader:
    if from_topic:
        return TopicReader(kafka_settings(config), since=since, records_max=1 if by_record else None)
    return FileSource(files, batch_lines_max=1 if by_record else BATCH_LINES_MAX)


def _topic_of(source: FileSource | TopicReader) -> Callable[[Any], str]:
    if isinstance(source, FileSource):
        return source.name_of
    return lambda _record: source.topic


# The ledger.


def _entry(ledger: Ledger) -> dict[str, Any]:
    names = ("read", "folded", "duplicates", "redelivered", "rejected", "tombstones", "clamped")
    entry = {name: getattr(ledger, name) for name in names}
    return entry | {"rejected": dict(sorted(ledger.rejected.items()))}


def _ledger(ledgers: dict[Partition, Ledger], source: FileSource | TopicReader) -> dict[str, Any]:
    """Of files one entry each, of a topic one a partition."""
    if isinstance(source, FileSource):
        parts = {source.files[partition]: _entry(ledger) for partition, ledger in ledgers.items()}
    else:
        parts = {f"{source.topic}/{partition}": _entry(ledger) for partition, ledger in ledgers.items()}
    return _entry(total(list(ledgers.values()))) | {"files": parts}


def _tell(ledgers: dict[Partition, Ledger]) -> None:
    book = total(list(ledgers.values()))
    rejected = ", ".join(f"{reason} {count:,}" for reason, count in sorted(book.rejected.items()))
    typer.echo(
        f"read {book.read:,} = folded {book.folded:,} + duplicates {book.duplicates:,}"
        f" + redelivered {book.redelivered:,} + rejected {sum(book.rejected.values()):,}"
        f"{f' ({rejected})' if rejected else ''}"
        f" + tombstones {book.tombstones:,}; clamped {book.clamped:,}",
        err=True,
    )


def _tell_damage(source: FileSource | TopicReader) -> None:
    damage = source.damage if isinstance(source, FileSource) else []
    for file, message in damage:
        typer.echo(f"projector: {file} was read as far as it goes: {message}", err=True)
    if damage:
        raise typer.Exit(exits.FAILED)
