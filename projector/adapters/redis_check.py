"""What a Redis must be before state is put into it, and what it says of itself; changes nothing."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec
from msgspec import Struct
from redis import RedisCluster, exceptions

from projector.adapters.redis_place import place_at, place_of
from projector.adapters.redis_server import connect, translated
from projector.errors import WrongInput

VERSION_LEAST = (7, 0)
"""Scripts that a server refuses as a whole when it is out of memory came with 7.0."""


class ServerFacts(Struct, frozen=True):
    """What `check_server` found."""

    where: str
    version: str
    clustered: bool
    maxmemory: int
    """Bytes, 0 without a limit."""
    used_memory: int
    append_only: bool
    """Writes are in a file within a second or so; without it a restart loses what came since the last dump."""
    replicas: int
    """Connected to it; of a cluster the fewest that a master has."""


def check_server(url: str, options: Mapping[str, Any] | None = None) -> ServerFacts:
    """Look whether a server can keep state; changes nothing.

    Raises:
        WrongInput: it refuses us, is too old, or evicts keys; or the Sentinels know no such service.
        Unavailable: it does not answer, or there is no master at the moment.
    """
    where = place_of(url)
    with translated(where, starting=True):
        with closing(connect(url, clustered=False, retries=0, options=options)) as client:
            place = place_at(url)
            if place.service is not None:
                _require_service(client, place.service, where)
                return _facts(client.info(), where)
        facts = _first_facts(place.urls, where, options)
        if not facts.clustered:
            if len(place.urls) > 1:
                raise WrongInput(f"redis_url names several servers, {where}, and they are no cluster: name one")
            return facts
        with closing(connect(url, clustered=True, retries=0, options=options)) as nodes:
            told = nodes.execute_command("INFO", target_nodes=RedisCluster.PRIMARIES)
    return msgspec.structs.replace(facts, replicas=min(_facts(of, node).replicas for node, of in told.items()))


def _first_facts(urls: tuple[str, ...], where: str, options: Mapping[str, Any] | None) -> ServerFacts:
    """Of the first server that answers."""
    for url in urls[:-1]:
        try:
            with closing(connect(url, clustered=False, retries=0, options=options)) as client:
                return _facts(client.info(), where)
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            continue
    with closing(connect(urls[-1], clustered=False, retries=0, options=options)) as client:
        return _facts(client.info(), where)


def _require_service(client: Any, service: str, where: str) -> None:
    """The Sentinels that answer must know the service: of a name that none knows no master will ever be found."""
    known: set[str] = set()
    silent: Exception | None = None
    for sentinel in client.connection_pool.sentinel_manager.sentinels:
        try:
            known |= set(sentinel.sentinel_masters())
        except exceptions.AuthenticationError as error:
            raise WrongInput(
                f"a Sentinel of {where} refused user or password:"
                " check redis_sentinel_username and redis_sentinel_password"
            ) from error
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            silent = error
    if service in known:
        return
    if silent is not None and not known:
        raise silent
    raise WrongInput(
        f"the Sentinels of {where} watch no {service}, but {', '.join(sorted(known)) or 'nothing'}: check redis_url"
    )


def _facts(told: Mapping[str, Any], where: str) -> ServerFacts:
    version = str(told.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < VERSION_LEAST:
        raise WrongInput(f"Redis at {where} has version {version}, at least 7.0 is needed: update it")
    policy = told.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise WrongInput(
            f"Redis at {where} has maxmemory-policy {policy}: an evicted key is a lost session."
            "\nSet it: redis-cli CONFIG SET maxmemory-policy noeviction (and in its configuration file)"
        )
    return ServerFacts(
        where=where,
        version=version,
        clustered=bool(told.get("cluster_enabled")),
        maxmemory=int(told.get("maxmemory", 0)),
        used_memory=int(told.get("used_memory", 0)),
        append_only=bool(told.get("aof_enabled")),
        replicas=int(told.get("connected_slaves", 0)),
    )
