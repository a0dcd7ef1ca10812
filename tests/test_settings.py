"""What is written down of the settings is what the code has, with its defaults, and every example is accepted."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from projector.adapters.kafka import wrong_extras
from projector.config import load
from projector.settings import SETTINGS
from tests.write_settings import FILE, README, table, table_in, text

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = FILE.read_text(encoding="utf-8")
# What a reader who takes the comment mark away gets; prose never has the look of a setting.
ENTRIES = re.findall(r"^# ([a-z_]+ = (?:\[\n(?:#   .*\n)+# \]|.*))$", EXAMPLE, re.MULTILINE)


def uncommented(entry: str) -> str:
    return re.sub(r"^# ", "", entry, flags=re.MULTILINE)


def test_the_file_is_the_list_of_the_code() -> None:
    assert text() == EXAMPLE, "write it anew: python -m tests.write_settings"


def test_nothing_in_it_is_set_until_a_comment_mark_is_taken_away() -> None:
    assert tomllib.loads(EXAMPLE) == {}


def test_it_shows_every_setting_with_the_default_that_it_has(tmp_path: Path) -> None:
    names = {setting.name for setting in SETTINGS}
    shown = [entry for entry in ENTRIES if entry.split()[0] in names and not entry.endswith("\n# ]")]
    file = tmp_path / "projector.toml"
    file.write_text("\n".join(shown))

    assert [entry.split()[0] for entry in shown] == [setting.name for setting in SETTINGS]
    assert load(file, environment={}) == load(environment={})


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.split()[0])
def test_every_line_of_it_is_a_setting_that_is_accepted(entry: str, tmp_path: Path) -> None:
    file = tmp_path / "projector.toml"
    file.write_text(uncommented(entry))

    config = load(file, environment={})

    assert wrong_extras(config.kafka) == []


def test_the_example_of_rules_has_what_a_rule_can_do() -> None:
    (rules,) = [entry for entry in ENTRIES if entry.endswith("\n# ]")]

    used = {name for rule in tomllib.loads(uncommented(rules))["attribute_rules"] for name in rule}

    assert used == {"match", "to", "list", "drop", "types"}


def test_the_table_of_the_readme_is_the_list_of_the_code() -> None:
    readme = README.read_text(encoding="utf-8")

    assert table_in(readme) == table(), "write it anew: python -m tests.write_settings"
