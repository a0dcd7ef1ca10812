"""`projector inspect`: a session as Redis holds it."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer

from projector import exits, logs, slots
from projector.adapters.redis import RedisStore
from projector.cli import options
from projector.cli.progress import progress
from projector.config import load
from projector.dates import format_time
from projector.route import TrackKey, named_track
from projector.rules import Rules
from projector.service import check, store
from projector.session import Session, deadline_of, is_published
from projector.snapshot import snapshot_of
from projector.track import Track, find, revision_of


def inspect(
    name: Annotated[str, typer.Argument(metavar="ID", help="A session's id, a short id, or a customer's id.")],
    config: options.ConfigFile = None,
    namespace: options.Namespace = None,
    redis_url: options.RedisUrl = None,
    kafka_bootstrap_servers: options.Brokers = None,
) -> None:
    """Show a session as it is stored: its snapshot, revision, positions and deadline; as JSON, one line a session.

    A session's id and a short id are looked up. Anything else is taken for a customer's id and looked for in all
    sessions, which takes a while where there are many.

    \b
    projector inspect 8f2b6c1e-web | jq .
    projector inspect 402817
    projector inspect visitor@example.com
    """
    flags = {"namespace": namespace, "redis_url": redis_url, "kafka_bootstrap_servers": kafka_bootstrap_servers}
    settings = load(config, flags)
    logs.set_up(settings)
    tracks, rules, found = store(settings, check(settings), records=False), settings.rules(), False
    for key, track, session in _found(tracks, name):
        typer.echo(msgspec.json.encode(_told(key, track, session, rules)).decode())
        found = True
    if not found:
        typer.echo(f"projector: no session, short id or customer {name} in namespace {settings.namespace}", err=True)
        raise typer.Exit(exits.FAILED)


def _found(tracks: RedisStore, name: str) -> Iterator[tuple[TrackKey, Track, Session]]:
    by_id = _by_id(tracks, name)
    if by_id is None and name.isdigit():
        holder = tracks.holder_of(name)
        by_id = _by_id(tracks, holder) if holder is not None else None
    if by_id is not None:
        yield by_id
        return
    yield from _of_customer(tracks, name)


def _by_id(tracks: RedisStore, session_id: str) -> tuple[TrackKey, Track, Session] | None:
    key = named_track(session_id)
    stored = tracks.load([key])[key]
    if stored is not None and stored.track.alias is not None:
        key = stored.track.alias.key
        stored = tracks.load([key])[key]
    session = find(stored.track, session_id) if stored is not None else None
    return (key, stored.track, session) if stored is not None and session is not None else None


def _of_customer(tracks: RedisStore, customer: str) -> Iterator[tuple[TrackKey, Track, Session]]:
    seen = 0
    with progress(lambda: (seen, None)) as advance:
        for key, track in tracks.sessions():
            seen += 1
            advance(1)
            for session in track.sessions:
                pair = session.values[slots.CUSTOMER]
                if pair is not None and msgspec.json.decode(pair)["customerId"] == customer:
                    yield key, track, session


def _told(key: TrackKey, track: Track, session: Session, rules: Rules) -> dict[str, Any]:
    deadline = deadline_of(session, rules)
    shown = msgspec.Raw(snapshot_of(session, rules)) if is_published(session) else None
    return {
        "id": session.id,
        "revision": revision_of(track, session, rules),
        "snapshot": shown,
        "track": key,
        "home": track.home,
        "positions": session.positions if track.visits is not None else track.applied,
        "linkedPositions": session.linked,
        "endsAfter": None if deadline is None else format_time(deadline),
        "conversations": sorted(session.talks),
        "mergedIds": [] if track.visits is None else sorted(track.visits.merged),
        "eventIdsRemembered": len(session.ids),
    }
