"""How the scripts that write reach Redis: each once, on the server that has its keys, with the wait for replicas.

Law: nothing here sends a script a second time, but where the server said that it did not know it. On a cluster the
script therefore goes straight to the node that has the keys, not through the client's redirections: a node that no
longer has them may have lost writes, which only a new life finds out (design §3).
"""

# mypy: disable-error-code="no-untyped-call"
# redis-py has annotations in part only.

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1
from importlib import resources
from typing import Any, cast

from msgspec import Struct
from redis import Redis, RedisCluster, exceptions

from projector.adapters.redis_server import TIMEOUT_S, Client
from projector.errors import Unavailable


class Script:
    """A Lua script that the server may or may not know."""

    def __init__(self, name: str) -> None:
        self._text = resources.files("projector.adapters").joinpath("lua", name).read_bytes()
        self._sha = sha1(self._text, usedforsecurity=False).hexdigest()

    def run(self, client: Client, keys: Sequence[str], arguments: Iterable[str | bytes | int]) -> Any:
        given = (len(keys), *keys, *arguments)
        try:
            return client.execute_command("EVALSHA", self._sha, *given)
        except exceptions.NoScriptError:  # Then nothing was executed. EVAL also makes the server remember it.
            return client.execute_command("EVAL", self._text, *given)

    def run_and_wait(
        self, client: Client, keys: Sequence[str], arguments: Iterable[str | bytes | int], wait: "Wait"
    ) -> tuple[Any, int]:
        """The answer, and how many replicas had acknowledged by the end of the wait."""
        given = (len(keys), *keys, *arguments)
        answer, acknowledged = _piped(client, ("EVALSHA", self._sha, *given), wait)
        if isinstance(answer, exceptions.NoScriptError):
            answer, acknowledged = _piped(client, ("EVAL", self._text, *given), wait)
        for one in (answer, acknowledged):
            if isinstance(one, Exception):
                raise one
        return answer, acknowledged


def _piped(client: Client, command: tuple[Any, ...], wait: "Wait") -> list[Any]:
    """A command and the wait for it, one behind the other on one connection: `WAIT` counts for what that one wrote."""
    with cast("Redis", client).pipeline(transaction=False) as pipe:
        pipe.execute_command(*command)
        pipe.execute_command("WAIT", wait.replicas, wait.timeout_ms)
        return pipe.execute(raise_on_error=False)


class Wait(Struct, frozen=True):
    """How many replicas must have a write before it counts as made."""

    replicas: int = 0
    timeout_ms: int = 1000


NO_WAIT = Wait()


def with_wait(options: Mapping[str, Any] | None, wait: Wait) -> dict[str, Any]:
    """A client's options, with time for the wait before it gives an answer up."""
    given = dict(options or {})
    if wait.replicas:
        given["socket_timeout"] = float(given.get("socket_timeout", TIMEOUT_S)) + wait.timeout_ms / 1000
    return given


class Writer:
    """Sends the script of a save; `client` must not try again by itself."""

    def __init__(self, client: Client, where: str, wait: Wait) -> None:
        self.client = client
        self._where, self._wait = where, wait

    def run(self, script: Script, keys: Sequence[str], arguments: Iterable[str | bytes | int]) -> Any:
        """The script's answer.

        Raises:
            Unavailable: too few replicas have it in time. It is written, and may be lost again: nobody may build on
                it, so the life must end.
        """
        server = self._server_of(keys[0])
        if not self._wait.replicas:
            return script.run(server, keys, arguments)
        answer, acknowledged = script.run_and_wait(server, keys, arguments, self._wait)
        if acknowledged < self._wait.replicas:
            raise Unavailable(
                f"{acknowledged} replicas of Redis at {self._where} had a write within {self._wait.timeout_ms} ms,"
                f" redis_wait_replicas asks for {self._wait.replicas}: nothing of it is published."
                "\nLook after the replicas, or lower redis_wait_replicas"
            )
        return answer

    def _server_of(self, key: str) -> Client:
        if not isinstance(self.client, RedisCluster):
            return self.client
        node = self.client.get_node_from_key(key)
        return cast("Client", self.client.get_redis_connection(node))
