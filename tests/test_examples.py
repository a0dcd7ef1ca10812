"""The worked examples come out as given, through the command line that users have."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli import projector

EXAMPLES = Path(__file__).parent / "examples"
CASES: list[dict[str, Any]] = json.loads((EXAMPLES / "cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_an_example_comes_out_as_given(case: dict[str, Any], tmp_path: Path) -> None:
    name = case["name"]
    as_of = ["--as-of", case["as_of"]] if case["as_of"] else []
    environment = {f"PROJECTOR_{key.upper()}": json.dumps(value) for key, value in case["settings"].items()}
    outputs = [word for what in ("output", "rejects", "ledger") for word in (f"--{what}", str(tmp_path / what))]

    projector("replay", f"{name}.events.jsonl", *as_of, *outputs, cwd=EXAMPLES, environment=environment)

    sessions = lines(tmp_path / "output")
    assert [without(session, "shortId") for session in sessions] == lines(EXAMPLES / f"{name}.expected.jsonl")
    assert [list(without(session, "shortId")) for session in sessions] == [
        list(session) for session in lines(EXAMPLES / f"{name}.expected.jsonl")
    ]
    rejects = EXAMPLES / f"{name}.rejects.jsonl"
    expected = lines(rejects) if rejects.exists() else []
    assert [without(reject, "detail") for reject in lines(tmp_path / "rejects")] == expected
    ledger = json.loads((tmp_path / "ledger").read_text())
    assert {**ledger, "rejected": sum(ledger["rejected"].values())}.items() >= case["ledger"].items()
    assert ledger["redelivered"] == ledger["clamped"] == 0


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}
