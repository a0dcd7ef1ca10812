"""Options that several commands share, and how they become settings."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file; without it projector.toml, if there is one."),
]
InputTopic = Annotated[str | None, typer.Option(metavar="TOPIC", help="Where journey events come from.")]
OutputTopic = Annotated[str | None, typer.Option(metavar="TOPIC", help="Where snapshots go.")]
RejectsTopic = Annotated[str | None, typer.Option(metavar="TOPIC", help="Where rejects go.")]
GroupId = Annotated[str | None, typer.Option(metavar="ID", help="Consumer group.")]
Namespace = Annotated[str | None, typer.Option(metavar="NAME", help="Prefix of all keys in Redis.")]
Brokers = Annotated[str | None, typer.Option(metavar="HOST:PORT,...", help="Kafka brokers to start from.")]
RedisUrl = Annotated[str | None, typer.Option(metavar="URL", help="redis://, rediss:// or unix://.")]
Delivery = Annotated[str | None, typer.Option(metavar="MODE", help="exactly-once or at-least-once.")]
