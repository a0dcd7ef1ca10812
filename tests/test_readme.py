"""What the README tells a reader to type, to open and to watch is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from projector import metrics
from projector.cli import app
from projector.decode import Reason

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
TYPED = [line.split("#")[0] for block in BLOCKS for line in block.splitlines() if not line.startswith(" ")]
COMMANDS = {command.callback.__name__ for command in app.registered_commands if command.callback is not None}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_is_shown_with_options_that_it_has(command: str) -> None:
    uses = [line for line in TYPED if re.search(rf"\bprojector {command}\b", line)]
    told = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout

    assert uses or command == "schemas"
    assert {flag for line in uses for flag in re.findall(r"--[a-z-]+", line)} <= set(re.findall(r"--[a-z-]+", told))


def test_no_command_is_shown_that_there_is_not() -> None:
    shown = {name for line in TYPED for name in re.findall(r"\bprojector ([a-z]+)", line)}

    assert shown <= COMMANDS


def test_a_command_that_is_said_to_be_missing_is_missing() -> None:
    (line,) = re.findall(r"^- (.*) are not in this version", README, re.MULTILINE)

    assert not COMMANDS & set(re.findall(r"`([a-z]+)`", line))


def test_every_target_of_make_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"\bmake (demo|test|up|down|[a-z]+)(?=\s{2,}|;|`| ends)", README)) <= targets


def test_every_link_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_metrics_that_are_named_are_all_that_there_are() -> None:
    served = {
        collected.name + ("_total" if collected.type == "counter" else "")
        for collected in REGISTRY.collect()
        if collected.name.startswith("projector_")
    }

    assert metrics.LEDGER in set(REGISTRY._collector_to_names)
    assert set(re.findall(r"^\| `(projector_[a-z_]+)` \|", README, re.MULTILINE)) == served


def test_the_reasons_of_rejects_that_are_explained_are_all_that_there_are() -> None:
    section = README.partition("## Find out why a record was rejected")[2].partition("\n## ")[0]

    assert re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE) == [reason.value for reason in Reason]
