"""A Redis server on a free port with its data under one folder.

Law: it never evicts unless told to, and comes back on the port it had, with what its append-only file holds.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.services import machine
from tests.services.process import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.certificate import Certificate


_WRITTEN_TO = "appendonlydir/*.incr.aof"  # There is one; it is renewed only when 64 MB have come together.


class RedisServer:
    """One server; `process` takes kill, pause and resume."""

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        data: Path | None = None,
        append_only: bool = True,
        append_fsync: str = "everysec",
        password: str | None = None,
        maxmemory: str | None = None,
        maxmemory_policy: str = "noeviction",
        certificate: Certificate | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self.port = port or free_port()
        self._certificate = certificate
        self._password = password
        self._data = data or home / "data"
        self._data.mkdir(parents=True, exist_ok=True)
        listens = certificate.listening(self.port) if certificate else {"port": str(self.port)}
        argv = [word for name, value in listens.items() for word in (f"--{name}", value)]
        argv += ["--bind", "127.0.0.1", "--dir", str(self._data), "--save", ""]
        argv += ["--appendonly", "yes" if append_only else "no", "--appendfsync", append_fsync]
        argv += ["--maxmemory-policy", maxmemory_policy]
        # DEBUG SLEEP and its kin are tools of the tests.
        argv += ["--enable-debug-command", "local"]
        argv += ["--requirepass", password] if password else []
        argv += ["--maxmemory", maxmemory] if maxmemory else []
        self.process = machine.redis_process("redis", [*argv, *options], home)

    @property
    def url(self) -> str:
        password = f":{self._password}@" if self._password else ""
        place = f"{password}127.0.0.1:{self.port}/0"
        return f"rediss://{place}?{self._certificate.trusted}" if self._certificate else f"redis://{place}"

    def start(self) -> None:
        """Starts it and waits until it has read its append-only file and answers."""
        self.process.start()
        self.process.wait_until(self._answers)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def keep_copy(self, name: str) -> None:
        """Copies what is on disk now, under a name: the state that `roll_back` returns to."""
        shutil.copytree(self._data, self._copy(name), dirs_exist_ok=False)

    def roll_back(self, name: str) -> None:
        """As a server comes back that lost its writes since `keep_copy`: killed, its files of then, started."""
        self.kill()
        shutil.rmtree(self._data)
        shutil.copytree(self._copy(name), self._data)
        self.start()

    def written(self) -> int:
        """Bytes of the append-only file that it writes to now; 0 before there is one."""
        return max((path.stat().st_size for path in self._data.glob(_WRITTEN_TO)), default=0)

    def cut_back(self, written: int) -> None:
        """As a server comes back that lost its last writes: killed, its file as long as it was then, started.

        What is cut in the middle it leaves out by itself, a script's writes as a whole.
        """
        self.kill()
        (file,) = self._data.glob(_WRITTEN_TO)
        os.truncate(file, min(written, file.stat().st_size))
        self.start()

    def _copy(self, name: str) -> Path:
        return self._data.with_name(f"copy-{name}")

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:  # Nobody there yet, or still loading.
                return False
