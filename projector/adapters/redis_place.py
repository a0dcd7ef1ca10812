"""What `redis_url` names: a server, the first servers of a cluster, or the Sentinels that know who is master.

Law: what is shown of a URL never holds a password, also where the URL is wrong.
"""

from urllib.parse import unquote, urlsplit

from msgspec import Struct

FORMS = (
    "redis://[user:password@]host:port/database, rediss://… or unix://…, for a cluster several host:port with commas"
    " between, for Sentinel redis+sentinel://[user:password@]host:port,host:port/service[/database], a password"
    " %-encoded"
)
PORT, SENTINEL_PORT = 6379, 26379
_SENTINEL = "+sentinel"


class Place(Struct, frozen=True):
    """Where the state is."""

    urls: tuple[str, ...]
    """One a server, as redis-py reads them. With a `service` its Sentinels'; user and database are the service's."""
    shown: str
    service: str | None = None
    """What the Sentinels call the master."""


def place_at(url: str) -> Place:
    """Read a Redis URL.

    Raises:
        ValueError: it is none; the message may hold a part of a password.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return Place((url,), parts.path)
    scheme = parts.scheme.removesuffix(_SENTINEL)
    if scheme not in ("redis", "rediss"):
        raise ValueError("another scheme")
    login, at, hosts = parts.netloc.rpartition("@")
    is_watched = scheme != parts.scheme
    service, database = _service_of(parts.path) if is_watched else (None, parts.path.rstrip("/"))
    servers = [_server(host, SENTINEL_PORT if is_watched else PORT) for host in hosts.split(",")]
    query = f"?{parts.query}" if parts.query else ""
    return Place(
        urls=tuple(f"{scheme}://{login}{at}{server}{database}{query}" for server in servers),
        shown=",".join(servers) + (f"/{service}" if is_watched else "") + database,
        service=service,
    )


def place_of(url: str) -> str:
    """Servers, service and database of a Redis URL, fit to be shown."""
    try:
        return place_at(url).shown
    except ValueError:
        return "redis_url"


def _server(text: str, port: int) -> str:
    """`host:port`; a host that is not named is this machine."""
    parts = urlsplit(f"//{text}")
    if parts.port == 0 or parts.path or (text and not parts.hostname):
        raise ValueError("no host:port")
    host = parts.hostname or "localhost"
    return f"[{host}]:{parts.port or port}" if ":" in host else f"{host}:{parts.port or port}"


def _service_of(path: str) -> tuple[str, str]:
    """`/service[/database]`."""
    service, _, database = path.removeprefix("/").rstrip("/").partition("/")
    if not service or (database and not database.isdigit()):
        raise ValueError("no service, or a database that is no number")
    return unquote(service), f"/{database}" if database else ""
