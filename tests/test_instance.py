"""A service's name on its machine: its own while it runs, its successor's afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from projector.instance import Instance, group_of, worker_name

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the name has the process id")

MADE_UP = Path(__file__)  # Anything that can be read.
HOLDER = "from projector.instance import Instance; one = Instance('g'); print(one.name, flush=True); input()"


def test_two_services_of_a_group_have_different_names() -> None:
    with Instance("one group") as first, Instance("one group") as second:
        assert first.name != second.name
        assert first.name.startswith(socket.gethostname())


def test_groups_do_not_see_each_other() -> None:
    with Instance("g" * 300) as one, Instance("another") as other:
        assert one.name == other.name


def test_one_that_is_started_in_the_place_of_another_has_its_name() -> None:
    with Instance("group"), Instance("group") as lost, Instance("group"):
        name = lost.name
        lost.__exit__()

        with Instance("group") as next_one:
            assert next_one.name == name


def test_the_name_of_a_process_that_was_killed_is_free() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        name = holder.stdout.readline().decode().strip()
        with Instance("g") as beside:
            assert beside.name != name
        holder.kill()
        holder.wait()

        with Instance("g") as successor:
            assert successor.name == name


def test_machines_of_one_name_are_told_apart_and_a_container_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with Instance("group") as instance:
        host, place, number = instance.name.rsplit("-", 2)
        assert host == socket.gethostname()
        assert (len(place), number) == (16, "0")

    monkeypatch.setattr("projector.instance._BOOT_ID", MADE_UP)
    with Instance("group") as instance:
        assert instance.name.rsplit("-", 2)[1] != place

    monkeypatch.setattr("projector.instance.os.getpid", lambda: 1)
    with Instance("group") as instance:
        assert instance.name == f"{host}-0"


def test_where_the_system_has_no_such_sockets_the_name_has_the_process_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("projector.instance.socket.socket", refuse)

    with Instance("group") as instance:
        assert instance.name.endswith(f"-{os.getpid()}")


@pytest.mark.parametrize("group_id", ["g", "a/b", "a/b/0", "/"])
def test_a_worker_s_name_tells_its_group(group_id: str) -> None:
    assert group_of(worker_name(group_id, "host-1", 0)) == group_id


@pytest.mark.parametrize("name", ["", "g", "g/0", "g/a/b"])
def test_another_program_s_name_tells_none(name: str) -> None:
    assert group_of(name) == ""
