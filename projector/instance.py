"""The name of a service on its machine: held while it runs, and taken over by the one that is started in its place.

The group and the broker know its workers by it. So a service that was killed is followed at once: nobody waits until
its members' sessions time out or its transactions are aborted, and no member is left that a broker might wait for.
"""

import errno
import hashlib
import os
import socket
import sys
from pathlib import Path
from typing import Self

_BOOT_ID, _NETWORK = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/net")


class Instance:
    """`name` is no other service's of this group while it is held; the lowest number that is free is a part of it.

    Held by a socket in Linux's abstract namespace, which goes with the process, however that ends. Elsewhere the name
    has the process id, and the next service another one.
    """

    def __init__(self, group_id: str) -> None:
        self._held: socket.socket | None = None
        number = self._number(group_id) if sys.platform == "linux" else None
        self.name = f"{_machine()}-{os.getpid() if number is None else number}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            self._held.close()

    def _number(self, group_id: str) -> int | None:
        """None where the system has no such sockets."""
        group, number = _short(group_id), 0
        while True:
            try:
                self._held = _bound(f"\0session-projector/{group}/{number}")
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    return None
                number += 1
            else:
                return number


def worker_name(group_id: str, service: str, slot: int) -> str:
    """What the group and the broker know a worker by: as member and as producer."""
    return f"{group_id}/{service}/{slot}"


def group_of(worker: str) -> str:
    """The group that a worker of this name is of; empty for a name of somebody else's."""
    parts = worker.rsplit("/", 2)
    return parts[0] if len(parts) == 3 and parts[2].isdecimal() else ""


def _bound(address: str) -> socket.socket:
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        one.bind(address)
    except BaseException:
        one.close()
        raise
    return one


def _machine() -> str:
    """The host's name, and what tells its networks and machines of the same name apart: numbers are taken in one each.

    Not in a container of our own, which is told from others by its name alone, and keeps that when it is made anew.
    """
    host = socket.gethostname()
    if os.getpid() == 1:
        return host
    try:
        place = f"{_BOOT_ID.read_text().strip()} {_NETWORK.readlink()}"
    except OSError:
        return host
    return f"{host}-{_short(place)}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
