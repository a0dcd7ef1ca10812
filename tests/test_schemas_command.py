"""`projector schemas`: what it writes, and what its check finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from projector.cli.schemas import schemas as command
from projector.errors import WrongInput

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_the_command_writes_what_its_check_accepts(tmp_path: Path) -> None:
    assert run("--output", str(tmp_path), "--check")[0] == 1
    assert run("--output", str(tmp_path))[0] == 0
    assert run("--output", str(tmp_path), "--check") == (0, "")


def test_the_check_names_the_files_that_differ_and_writes_nothing(tmp_path: Path) -> None:
    run("--output", str(tmp_path))
    changed, gone, strange = (tmp_path / "v1" / name for name in ("asyncapi.json", "reject.schema.json", "old.json"))
    changed.write_text("{}")
    gone.unlink()
    strange.write_text("{}")

    code, told = run("--output", str(tmp_path), "--check")

    assert code == 1
    assert [line.rpartition(": ")[0] for line in told.splitlines()] == sorted(map(str, (changed, gone, strange)))
    assert changed.read_text() == "{}"
    assert not gone.exists()


def test_a_folder_that_cannot_be_written_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "v1").write_text("a file in the folder's place")

    with pytest.raises(WrongInput, match="cannot be written"):
        command(output=tmp_path)
