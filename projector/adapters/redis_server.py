"""Connecting to Redis: clients, what a server must be, and its exceptions in our words.

A server that was restarted may have lost writes, so a connection to another `run_id` than before is a `Doubt`.
No message of this module holds a password.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from msgspec import Struct
from redis import Redis, RedisCluster, exceptions
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.retry import Retry

from projector.errors import Doubt, ProjectorError, Unavailable, WrongInput


class Client(Protocol):
    """What we use of redis-py's clients, a cluster's and a single server's."""

    def execute_command(self, *args: Any, **options: Any) -> Any: ...
    def info(self) -> Any: ...
    def scan_iter(self, match: Any = None, count: int | None = None) -> Iterator[bytes]: ...
    def close(self) -> None: ...


VERSION_LEAST = (7, 0)
"""Scripts that a server refuses as a whole when it is out of memory came with 7.0."""

TIMEOUT_S = 2.0
HEALTH_CHECK_S = 30
"""A connection idle for longer is pinged before it is used."""
READ_RETRIES = 3


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


class RunIds:
    """The run ids of the servers that this life has talked to."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def forget(self) -> None:
        """A new life takes the servers as they are."""
        self._known.clear()

    def check(self, server: str, run_id: str) -> None:
        if self._known.setdefault(server, run_id) != run_id:
            raise Doubt("Redis was restarted or replaced, and may have lost writes")


def place_of(url: str) -> str:
    """Host, port and database of a Redis URL, fit to be shown."""
    parts = urlsplit(url)
    try:
        port = parts.port or 6379
    except ValueError:
        return "redis_url"
    return parts.path if parts.scheme == "unix" else f"{parts.hostname or 'localhost'}:{port}{parts.path.rstrip('/')}"


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
    try:
        if clustered:
            return cast("Client", RedisCluster.from_url(url, **settings, redis_connect_func=_cluster_hook(run_ids)))
        client = Redis.from_url(url, **settings, redis_connect_func=_hook(run_ids))
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)  # Judges the options.
        return cast("Client", client)
    except (ValueError, TypeError) as error:
        # Not quoted: what redis-py says of a broken URL can hold a part of a password.
        raise WrongInput(
            "redis_url or a redis_… setting is not valid: expected redis://[user:password@]host:port/database,"
            " rediss://… or unix://…, and options of redis-py"
        ) from error


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
            # One name for whatever answers: after a failover the same address may lead to another server, and back.
            _check_run_id(connection, "the server", run_ids)

    return connected


def _cluster_hook(run_ids: RunIds | None) -> Callable[[Any], None]:
    def connected(connection: Any) -> None:  # The cluster client has greeted the node before it calls this.
        if run_ids is not None:
            _check_run_id(connection, f"{connection.host}:{connection.port}", run_ids)

    return connected


def _check_run_id(connection: Any, server: str, run_ids: RunIds) -> None:
    connection.send_command("INFO", "server", check_health=False)
    told = connection.read_response(disable_decoding=True)
    lines = told.decode().splitlines()
    run_id = next((line.partition(":")[2] for line in lines if line.startswith("run_id:")), "")
    try:
        run_ids.check(server, run_id)
    except Doubt:
        connection.disconnect()  # The pool would keep it as one that has been checked.
        raise


def check_server(url: str, options: Mapping[str, Any] | None = None) -> ServerFacts:
    """Look whether a server can keep state; changes nothing.

    Raises:
        WrongInput: it refuses us, is too old, or evicts keys.
        Unavailable: it does not answer.
    """
    where = place_of(url)
    with translated(where, starting=True), closing(connect(url, clustered=False, retries=0, options=options)) as client:
        facts = _facts(client.info(), where)
    if facts.clustered:
        with (
            translated(where, starting=True),
            closing(connect(url, clustered=True, retries=0, options=options)) as nodes,
        ):
            for node, told in nodes.execute_command("INFO", target_nodes=RedisCluster.PRIMARIES).items():
                _facts(told, node)
    return facts


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
    )


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
        case exceptions.ResponseError() if str(error).startswith(("MISCONF", "NOREPLICAS")):
            return Unavailable(f"Redis at {where} takes no writes, nothing was written: {error}")
    if writing:
        return Doubt(f"Redis at {where} gave no answer to a write: {error}")
    if isinstance(error, exceptions.ResponseError) and not isinstance(error, exceptions.ClusterError):
        return refused(f"Redis at {where} refused: {error}")
    return Unavailable(f"Redis at {where} does not answer: {error}\nCheck that it runs and that redis_url names it")
