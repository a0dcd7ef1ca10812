"""Connecting to Redis: clients, and its exceptions in our words.

A server that was restarted or replaced may have lost writes, so a connection to another one than before is a `Doubt`.
No message of this module holds a password.
"""

# mypy: disable-error-code="no-untyped-call"
# redis-py has annotations in part only.

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

from redis import Redis, RedisCluster, Sentinel, exceptions
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.cluster import ClusterNode
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from projector.adapters.redis_packing import WidePacker
from projector.adapters.redis_place import FORMS, Place, place_at
from projector.errors import Doubt, ProjectorError, Unavailable, WrongInput


class Client(Protocol):
    """What we use of redis-py's clients, a cluster's and a single server's."""

    def execute_command(self, *args: Any, **options: Any) -> Any: ...
    def info(self) -> Any: ...
    def scan_iter(self, match: Any = None, count: int | None = None) -> Iterator[bytes]: ...
    def close(self) -> None: ...


TIMEOUT_S = 2.0
HEALTH_CHECK_S = 30
"""A connection idle for longer is pinged before it is used."""
READ_RETRIES = 3


class RunIds:
    """The servers that this life has talked to, by what changes with each restart and each failover."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def forget(self) -> None:
        """A new life takes the servers as they are."""
        self._known.clear()

    def check(self, server: str, run_id: str) -> None:
        if self._known.setdefault(server, run_id) != run_id:
            raise Doubt("Redis was restarted or replaced, and may have lost writes")


def connect(
    url: str, *, clustered: bool, retries: int, run_ids: RunIds | None = None, options: Mapping[str, Any] | None = None
) -> Client:
    """A client that connects with its first command; `retries` 0 for one that must never send twice.

    Raises:
        WrongInput: the URL or an option is not one that redis-py knows.
    """
    backoff = ExponentialWithJitterBackoff(cap=0.5, base=0.01) if retries else NoBackoff()
    settings: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "health_check_interval": HEALTH_CHECK_S,
        # With RESP3 the pool would not look whether an idle connection has been closed before it hands it out.
        "protocol": 2,
        **{name: _checked(name, value) for name, value in (options or {}).items()},
        "retry": Retry(backoff, retries),
    }
    login = {name: settings.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    try:
        place = place_at(url)
        _check_tls(place, settings)
        if clustered:
            return _cluster_client(place, settings, run_ids)
        client = _watched_client(place, settings, login) if place.service else Redis.from_url(place.urls[0], **settings)
        pool = client.connection_pool
        pool.connection_kwargs["redis_connect_func"] = _hook(run_ids)
        pool.connection_kwargs["command_packer"] = WidePacker()  # A cluster's client does not take one.
        pool.connection_class(**pool.connection_kwargs)  # Judges the options.
        return cast("Client", client)
    except (ValueError, TypeError) as error:
        # Not quoted: what redis-py says of a broken URL can hold a part of a password.
        raise WrongInput(
            f"redis_url or a redis_… setting is not valid: expected {FORMS}; and options of redis-py"
        ) from error


def _check_tls(place: Place, settings: Mapping[str, Any]) -> None:
    named = sorted(name for name in settings if name.startswith("ssl_"))
    if named and not place.urls[0].startswith("rediss:"):
        raise WrongInput(
            f"redis_{named[0]} is set, but redis_url asks for no TLS: begin it with rediss instead of redis"
        )


def _cluster_client(place: Place, settings: dict[str, Any], run_ids: RunIds | None) -> Client:
    others = [parse_url(one) for one in place.urls[1:]]
    nodes = [ClusterNode(other["host"], other["port"]) for other in others]
    hook = _cluster_hook(run_ids)
    return cast(
        "Client", RedisCluster.from_url(place.urls[0], startup_nodes=nodes, **settings, redis_connect_func=hook)
    )


class _Watched(Redis):
    """A client of the master that Sentinels name; ends its connections to them too."""

    def close(self) -> None:
        super().close()
        cast("SentinelConnectionPool", self.connection_pool).sentinel_manager.close()


def _watched_client(place: Place, settings: Mapping[str, Any], login: Mapping[str, Any]) -> Redis:
    """Asks the Sentinels for the master whenever it connects."""
    assert place.service is not None
    told = [parse_url(url) for url in place.urls]
    of_master = {name: value for name, value in told[0].items() if name not in ("host", "port", "connection_class")}
    tls = {"ssl": "connection_class" in told[0]}
    shared = {name: value for name, value in settings.items() if name.startswith(("socket_", "ssl_"))}
    sentinels = Sentinel(
        [(one["host"], one["port"]) for one in told],
        # Of several the next is asked where one does not answer.
        sentinel_kwargs={**shared, **tls, **login, "protocol": 2, "retry": Retry(NoBackoff(), 0)},
    )
    client = sentinels.master_for(place.service, redis_class=_Watched, **{**settings, **of_master, **tls})
    return cast("Redis", client)


def begin_anew(client: Client) -> None:
    """Leave all connections, so that each is checked again when it is made, and learn again which node has what."""
    if isinstance(client, RedisCluster):
        client.nodes_manager.initialize()
        client.disconnect_connection_pools()
    else:
        cast("Redis", client).connection_pool.disconnect()


def wrong_options(options: Mapping[str, Any]) -> list[str]:
    """What is wrong with the further options, a line each; for settings to be checked all at once."""
    wrong = []
    for name, value in options.items():
        try:
            _checked(name, value)
        except WrongInput as error:
            wrong.append(str(error))
    return wrong


def _checked(name: str, value: Any) -> Any:
    """An option as redis-py takes it: from the environment it comes as text."""
    said = f"redis_{name} (not shown)" if "word" in name else f"redis_{name} = {value!r}"
    if name not in _OPTIONS:
        raise WrongInput(f"{said}: this is no setting. There are {', '.join(f'redis_{one}' for one in _OPTIONS)}")
    kind = _OPTIONS[name]
    try:
        if kind is bool and isinstance(value, str):
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        if kind is float and not isinstance(value, bool) and float(value) > 0:
            return float(value)
        if kind is int and not isinstance(value, bool) and int(value) >= 0:
            return int(value)
    except (KeyError, ValueError, TypeError):
        pass
    if isinstance(value, kind) and kind in (str, bool):
        return value
    raise WrongInput(f"{said}: expected {_EXPECTED[kind]}")


_OPTIONS: dict[str, type] = {
    "username": str,
    "password": str,
    "sentinel_username": str,
    "sentinel_password": str,
    "client_name": str,
    "socket_timeout": float,
    "socket_connect_timeout": float,
    "socket_keepalive": bool,
    "health_check_interval": float,
    "max_connections": int,
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
    "ssl_cert_reqs": str,
    "ssl_check_hostname": bool,
    "ssl_ciphers": str,
}
"""redis-py's options that are an operator's to set; the protocol stands on the others (no retries, no decoding)."""

_EXPECTED: dict[type, str] = {
    str: "a text",
    bool: "true or false",
    float: "seconds above zero",
    int: "a whole number",
}


def _hook(run_ids: RunIds | None) -> Callable[[Any], None]:
    def connected(connection: Any) -> None:
        connection.on_connect()
        if run_ids is not None:
            told = _told(connection)
            if told.get("role", "master") != "master":  # A read would show what it was when it fell behind.
                master = f"{told.get('master_host')}:{told.get('master_port')}"
                raise exceptions.ConnectionError(f"it is a replica of {master}, and takes no writes")
            # One name for whatever answers: after a failover the same address may lead to another server, and back.
            _check_run_id(connection, "the server", told, run_ids)

    return connected


def _cluster_hook(run_ids: RunIds | None) -> Callable[[Any], None]:
    def connected(connection: Any) -> None:  # The cluster client has greeted the node before it calls this.
        if run_ids is not None:
            _check_run_id(connection, f"{connection.host}:{connection.port}", _told(connection), run_ids)

    return connected


def _told(connection: Any) -> dict[str, str]:
    """What a server says of itself and of whom it follows."""
    connection.send_command("INFO", "server", "replication", check_health=False)
    lines = connection.read_response(disable_decoding=True).decode().splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def _check_run_id(connection: Any, server: str, told: Mapping[str, str], run_ids: RunIds) -> None:
    """The replication id tells of a master that followed another in between, and took over what that one had."""
    try:
        run_ids.check(server, f"{told.get('run_id')} {told.get('master_replid')}")
    except Doubt:
        connection.disconnect()  # The pool would keep it as one that has been checked.
        raise


@contextmanager
def translated(where: str, *, starting: bool = False, writing: bool = False) -> Iterator[None]:
    """Redis's exceptions in our words; `starting`: what is refused is wrong input; `writing`: no answer is a doubt."""
    try:
        yield
    except (exceptions.RedisError, exceptions.RedisClusterException) as error:
        raise _in_our_words(error, where, starting=starting, writing=writing) from error


def _in_our_words(error: Exception, where: str, *, starting: bool, writing: bool) -> ProjectorError:
    refused = WrongInput if starting else Unavailable
    match error:
        case exceptions.AuthenticationError() | exceptions.AuthenticationWrongNumberOfArgsError():
            return refused(f"Redis at {where} refused user or password: check redis_url (redis://user:password@host)")
        case exceptions.NoPermissionError():
            return refused(
                f"Redis at {where} does not permit what is needed: {error}.\nGive the user +@all on its keys"
            )
        case exceptions.OutOfMemoryError():
            return Unavailable(
                f"Redis at {where} is at its maxmemory and takes no writes; nothing was written."
                "\nRaise maxmemory, or set a shorter retention"
            )
        case exceptions.MovedError() | exceptions.ReadOnlyError():
            return Doubt(
                f"Redis at {where} has given what is written to another server, which may lack writes; nothing was"
                f" written: {error}"
            )
        case exceptions.AskError() | exceptions.TryAgainError() | exceptions.ClusterDownError():
            return Unavailable(
                f"the Redis Cluster at {where} is moving what is asked for, or has lost a node; nothing was written:"
                f" {error}"
            )
        case exceptions.ResponseError() if str(error).startswith("MISCONF"):
            return Unavailable(
                f"Redis at {where} takes no writes, nothing was written: {error}\nMake room on its disk, or mend that"
            )
        case exceptions.ResponseError() if str(error).startswith("NOREPLICAS"):
            return Unavailable(
                f"Redis at {where} takes no writes, nothing was written: {error}"
                "\nLook after the replicas, or lower its min-replicas-to-write"
            )
    if writing:
        return Doubt(f"Redis at {where} gave no answer to a write: {error}")
    if isinstance(error, exceptions.ResponseError):
        return refused(f"Redis at {where} refused: {error}")
    return Unavailable(f"Redis at {where} does not answer: {error}\nCheck that it runs and that redis_url names it")
