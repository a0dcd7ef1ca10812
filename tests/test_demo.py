"""The end of `make demo` shows what `projector replay` wrote."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.demo import SHOWN, main

EXAMPLES = Path(__file__).with_name("examples")
LEDGER = {
    "read": 9,
    "folded": 5,
    "duplicates": 1,
    "redelivered": 0,
    "rejected": {"not-json": 2, "too-late": 0},
    "tombstones": 1,
    "clamped": 0,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sessions = b"".join(path.read_bytes() for path in sorted(EXAMPLES.glob("*.expected.jsonl")))
    (tmp_path / "sessions.jsonl").write_bytes(sessions)
    (tmp_path / "ledger.json").write_bytes(msgspec.json.encode(LEDGER))
    return tmp_path


def test_the_demo_shows_some_sessions_of_every_type(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sessions = msgspec.json.Decoder(dict[str, object]).decode_lines((folder / "sessions.jsonl").read_bytes())

    main([str(folder)])
    shown = capsys.readouterr().out

    assert f"{SHOWN} of {len(sessions)} sessions" in shown
    assert not [session["type"] for session in sessions if f" {session['type']} " not in shown]


def test_the_demo_gives_each_session_one_line_that_fits_a_narrow_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    main([str(folder)])
    lines = capsys.readouterr().out.partition("\nIn all")[0].splitlines()

    assert len(lines) == len(("title", "header", "rule")) + SHOWN
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (340, "5m 40s"), (7200, "2h 0m"), (188_000, "2d 4h")])
def test_the_demo_says_how_long_a_session_lasted_in_its_two_greatest_units(
    folder: Path, capsys: pytest.CaptureFixture[str], seconds: int, text: str
) -> None:
    session = msgspec.json.Decoder(dict[str, object]).decode_lines((folder / "sessions.jsonl").read_bytes())[0]
    lasting = msgspec.json.encode(session | {"durationInSeconds": seconds})
    (folder / "sessions.jsonl").write_bytes(lasting)

    main([str(folder)])

    assert f" {text} " in capsys.readouterr().out


def test_the_demo_shows_what_became_of_every_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(folder)])
    ledger = capsys.readouterr().out.partition("The ledger")[2]

    for line in ("9 │ records read", "5 │ folded", "1 │ duplicates", "2 │ rejected: not-json", "1 │ tombstones"):
        assert line in ledger


def test_the_demo_says_what_to_try_next(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(folder)])

    assert "projector replay" in capsys.readouterr().out.partition("Try next")[2]
