"""A small disk that a test may fill: a file system in memory, of a size that is asked for.

Law: nothing of it is left where the process is gone that holds it: it is mounted for that process alone, and reached
through it, so neither a mount nor a right to mount is needed where root or a user namespace is to be had.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from tests.services.process import Process, ServiceError

_CHUNKS = (1 << 20, 1 << 12, 1)


class SmallDisk:
    """`path` is its folder, for every process of this user; a link to it makes a server keep its data there."""

    def __init__(self, home: Path, *, megabytes: int) -> None:
        self._place = home / "disk"
        self._place.mkdir(parents=True)
        # As an ordinary user: root of a namespace of one's own.
        unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        mount = f'mount -t tmpfs -o size={megabytes}m disk "$0" && touch "$0/.mounted" && exec sleep infinity'
        self.process = Process("disk", [*unshare, "sh", "-c", mount, str(self._place)], home)

    @property
    def path(self) -> Path:
        return Path(f"/proc/{self.process.pid}/root{self._place}")

    def start(self) -> None:
        self.process.start()
        try:
            self.process.wait_until((self.path / ".mounted").exists)
        except ServiceError as error:
            raise ServiceError(f"a small disk needs root, or user namespaces that may mount: {error}") from None

    def kill(self) -> None:
        """Gone with all that is on it, once nobody has a file of it open."""
        self.process.kill()

    def fill(self) -> None:
        """Until it takes not one byte more."""
        with (self.path / "filler").open("ab", buffering=0) as filler:
            for size in _CHUNKS:
                _write_on(filler.fileno(), b"\0" * size)

    def free(self) -> None:
        """What `fill` has taken."""
        (self.path / "filler").unlink()


def _write_on(file: int, chunk: bytes) -> None:
    try:
        while os.write(file, chunk):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
