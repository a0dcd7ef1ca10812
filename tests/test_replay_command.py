"""`projector replay` as a person meets it: what it writes and says, its exit codes, and what bad records do to the others.

Usage and settings are judged in this process, which is quicker; what needs a terminal, a pipe or a limit is one of its own.
"""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import zstandard

from projector.cli import main
from tests.cli import command, environment_of, projector
from tests.given import DAY, MINUTE, custom, line, text_of, web

GOOD = [line(custom(f"e-{number}", number, about={"session": {"id": f"s-{number}"}})) for number in range(3)]


class Said(NamedTuple):
    """What a command did: its exit code, both outputs."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


Replay = Callable[..., Said]


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Replay:
    """`projector replay` with these words, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, **settings: str) -> Said:
        for name, value in settings.items():
            monkeypatch.setenv(f"PROJECTOR_{name}", value)
        monkeypatch.setattr(sys, "argv", ["projector", "replay", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        assert "Traceback" not in told.err
        return Said(ended.value.code, told.out, told.err)

    return run


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Three events of three sessions."""
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(GOOD) + b"\n")
    return "log.jsonl"


def ids_of(text: str) -> list[str]:
    return [json.loads(one)["id"] for one in text.splitlines()]


# Wrong usage, settings and files: said, exit 2, nothing written.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["nothing to replay: name files (- is standard input), or --from-topic for the input topic"]),
        (["log.jsonl", "--from-topic"], ["files and --from-topic are both named: one of them is to be replayed, leave out the other"]),
        (["log.jsonl", "--since", "2025-06-01T00:00:00Z"], ["--since goes with --from-topic: lines of files have no timestamps to begin at"]),
        (["--from-topic", "--workers", "2"], ["--workers is for files; a topic is read by one: leave it out"]),
        (["log.jsonl", "--workers", "2", "--every-change"], ["--workers and --every-change are both named: changes come one after the other, leave out one"]),
        (["log.jsonl", "--as-of", "yesterday"], ["--as-of is 'yesterday': a time with an offset such as 2025-06-12T10:10:00Z is expected"]),
        (["log.jsonl", "--as-of", "2025-06-12T10:10:00"], ["--as-of is '2025-06-12T10:10:00': a time with an offset such as 2025-06-12T10:10:00Z is expected"]),
        (["log.jsonl", "--config", "gone.toml"], ["the settings file gone.toml cannot be read: No such file or directory"]),
        (["log.jsonl", "gone.jsonl", "gone.gz", "."], ["cannot read gone.jsonl: No such file or directory", "gone.gz: No such file or directory", ".: it is a directory; name the files in it"]),
        (["log.jsonl", "--output", "."], ["cannot write to .: it is a directory; name a file in it"]),
        (["log.jsonl", "--output", "no/folder"], ["cannot write to no/folder: there is no folder no; make it first"]),
        (["log.jsonl", "--output", "log.jsonl"], ["log.jsonl is an input: writing to it would delete it. Name another output"]),
        (["log.jsonl", "--output", "./log.jsonl"], ["log.jsonl is an input: writing to it would delete it. Name another output"]),
        (["log.jsonl", "--ledger", "no/l", "--rejects", "no/r"], ["cannot write to no/r: there is no folder no; make it first", "cannot write to no/l: there is no folder no; make it first"]),
        (["log.jsonl", "--output", "new", "--ledger", "new"], ["new is named for two outputs: name another"]),
    ],
)  # fmt: skip
def test_what_was_asked_wrongly_says_what_to_change(
    replay: Replay, log: str, words: list[str], said: list[str]
) -> None:
    before = sorted(Path().iterdir())

    done = replay(*words)

    assert (done.code, done.out) == (2, "")
    assert done.lines == [f"projector: {one}" for one in said]
    assert sorted(Path().iterdir()) == before


def test_an_output_stays_as_it_was_where_another_cannot_be_written(replay: Replay, log: str) -> None:
    Path("kept.jsonl").write_text("of yesterday\n")

    assert replay(log, "--output", "kept.jsonl", "--ledger", "no/l").code == 2
    assert Path("kept.jsonl").read_text() == "of yesterday\n"


@pytest.mark.parametrize("words", [["--nosuch"], ["log.jsonl", "--as-of"]])
def test_an_option_that_there_is_not_is_wrong_usage(replay: Replay, log: str, words: list[str]) -> None:
    done = replay(*words)

    assert done.code == 2
    assert words[-1] in done.err


def test_three_mistakes_in_a_file_and_one_in_the_environment_are_said_at_once(replay: Replay, log: str) -> None:
    Path("projector.toml").write_text('retention = "soon"\nshort_id_digits = 9\ncampaign_spilt = true\n')

    done = replay(log, "--output", "new", KAFKA_LINGER_MS="soon")

    assert done.code == 2
    assert done.lines == [
        (
            "projector: `retention` is 'soon' (projector.toml): expected a duration with its unit, such as 45s, 30m, 12h or"
            " 7d, of 36500d at most"
        ),
        "projector: `short_id_digits` is 9 (projector.toml): expected a whole number from 4 to 6",
        "projector: `campaign_spilt` (projector.toml) is no setting: did you mean `campaign_split`?",
        "projector: kafka_linger_ms = 'soon': expected a number",
    ]
    assert not Path("new").exists()


@pytest.mark.parametrize("option", ["--output", "--rejects", "--ledger"])
def test_a_full_disk_is_no_success(replay: Replay, log: str, option: str) -> None:
    Path(log).write_bytes(b"{\n" + GOOD[0])

    done = replay(log, option, "/dev/full")

    assert done.code == 1
    assert (
        "projector: writing to /dev/full failed: No space left on device. What it holds is not complete" in done.lines
    )


@pytest.mark.parametrize("name", ["TIMEOUT_WEB", "RETENTION", "AWAY_AFTER", "FUTURE_TOLERANCE"])
def test_the_longest_duration_that_is_taken_can_be_worked_with(replay: Replay, log: str, name: str) -> None:
    settings = {"RETENTION": "0", name: "36500d"}

    assert replay(log, **settings).code == 0


# What it writes.


def test_sessions_come_by_their_date_then_their_id(replay: Replay) -> None:
    events = [
        custom(name, ms, about={"session": {"id": name}}) for name, ms in (("c", 5), ("b", 9), ("ä", 5), ("a", 9))
    ]
    Path("log").write_bytes(b"\n".join(map(line, events)))

    assert ids_of(replay("log").out) == ["c", "ä", "a", "b"]


def test_every_change_is_a_snapshot_for_every_record_that_changed_something(replay: Replay) -> None:
    events = [custom("a"), custom("a"), custom("b", 1), {}, custom("c", 2)]
    Path("log").write_bytes(b"\n".join(map(line, events)))

    counts = [json.loads(one)["eventCount"] for one in replay("log", "--every-change").out.splitlines()]

    assert counts[-1] == 3
    assert [count for place, count in enumerate(counts) if place == 0 or count != counts[place - 1]] == [1, 2, 3]


def test_the_wall_clock_at_the_end_is_never_earlier_than_the_newest_event(replay: Replay) -> None:
    Path("log").write_bytes(line(web("a")) + b"\n" + line(web("b", 30 * MINUTE + 1, about={"session": {"id": "s-2"}})))

    done = replay("log", "--as-of", text_of(-DAY))

    assert [json.loads(one).get("endedDate") for one in done.out.splitlines()] == [text_of(30 * MINUTE), None]


def test_each_file_has_its_own_ledger_and_number(replay: Replay, log: str) -> None:
    Path("other").write_bytes(b"\n[]\n" + GOOD[0])

    done = replay(log, "other", "--ledger", "ledger", "--rejects", "rejects")

    book, reject = json.loads(Path("ledger").read_text()), json.loads(Path("rejects").read_text())
    assert (book["read"], book["folded"], book["duplicates"], book["tombstones"]) == (6, 3, 1, 1)
    assert book["rejected"] == {"not-an-event": 1}
    assert {name: one["read"] for name, one in book["files"].items()} == {log: 3, "other": 3}
    assert (reject["topic"], reject["partition"], reject["offset"], reject["value"]) == ("other", 1, 1, "[]")
    assert done.lines == [
        "read 6 = folded 3 + duplicates 1 + redelivered 0 + rejected 1 (not-an-event 1) + tombstones 1; clamped 0"
    ]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"null"])
def test_a_log_without_events_is_done(replay: Replay, content: bytes) -> None:
    Path("log").write_bytes(content)

    assert (done := replay("log")).code == 0
    assert done.out == ""


# One bad record never stops or loses the records beside it.

BAD: dict[str, tuple[bytes, str | None]] = {
    "bad UTF-8": (GOOD[0].replace(b"e-0", b"\xff\xfe"), "not-json"),
    "deep nesting": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not-json"),
    "NaN": (line(web("n", attributes={"a": 0})).replace(b": 0}", b": NaN}"), "not-json"),
    "1e400": (line(web("n", attributes={"a": 0})).replace(b": 0}", b": 1e400}"), "not-json"),
    "a lone surrogate": (GOOD[0].replace(b"e-0", b"\\ud800"), "not-json"),
    "cut JSON": (GOOD[0][:-5], "not-json"),
    "a NUL": (b"\x00", "not-json"),
    "half of two lines": (GOOD[0] + GOOD[1], "not-json"),
    "past 64 bits": (line(web("n", browser={"viewHeight": 2**64})), "not-an-event"),
    "a list": (b"[]", "not-an-event"),
    "no identity": (line(web("n", about={"session": None})), "no-identity"),
    "unknown type": (line(web("n", about={"eventType": "x"})), "unknown-type"),
    "over a MiB": (b'"' + b"x" * (1 << 20) + b'"', "too-large"),
    "too many attributes": (line(web("n", attributes={str(name): 1 for name in range(201)})), "too-large"),
    "too late": (line(custom("n", -8 * DAY, about={"session": {"id": "late"}})), "too-late"),
    "an empty line": (b"", None),
    "a blank line": (b" \t\r", None),
    "a byte order mark alone": (b"\xef\xbb\xbf", None),
}
BESIDE = {
    "a byte order mark": b"\xef\xbb\xbf" + GOOD[1],
    "a carriage return": GOOD[1] + b"\r",
    "duplicate keys": GOOD[1].replace(b'"e-1"', b'"e-9", "id": "e-1"'),
    "an unread number past 64 bits": GOOD[1].replace(b"{", b'{"x": ' + b"9" * 5000 + b", ", 1),
}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "log": bytes,
    "log.gz": gzip.compress,
    "log.zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("name", PACK)
def test_bad_records_are_rejected_alone_and_all_those_beside_them_are_folded(replay: Replay, name: str) -> None:
    good = [line(custom(f"g-{place}", place)) for place in range(len(BAD) + 1)]
    mixed = [good[0]]
    for (bad, _), beside in zip(BAD.values(), good[1:], strict=True):
        mixed += [bad, beside]
    mixed += BESIDE.values()
    Path(name).write_bytes(PACK[name](b"\n".join(mixed)))

    done = replay(name, "--output", "out", "--rejects", "rejects", "--ledger", "ledger")

    rejects = [json.loads(one) for one in Path("rejects").read_text().splitlines()]
    expected = [(place * 2 + 1, reason) for place, (_, reason) in enumerate(BAD.values()) if reason is not None]
    sessions = {one["id"]: one["eventCount"] for one in map(json.loads, Path("out").read_text().splitlines())}
    book = json.loads(Path("ledger").read_text())
    assert done.code == 0
    assert [(one["offset"], one["reason"]) for one in rejects] == expected
    assert all(one["detail"] for one in rejects)
    assert sessions == {"s-1": len(good) + 1}
    assert (book["read"], book["folded"], book["duplicates"]) == (len(mixed), len(good) + 1, len(BESIDE) - 1)
    assert (sum(book["rejected"].values()), book["tombstones"]) == (len(expected), len(BAD) - len(expected))


def test_a_gzip_file_that_was_cut_is_folded_as_far_as_it_goes_and_that_is_no_success(replay: Replay) -> None:
    whole = gzip.compress(b"\n".join(line(custom(f"e-{number}", number)) for number in range(5000)))
    Path("cut.gz").write_bytes(whole[: len(whole) // 2])
    Path("after").write_bytes(line(custom("after", 0, about={"session": {"id": "after"}})))

    done = replay("cut.gz", "after", "--output", "out")

    sessions = {one["id"]: one["eventCount"] for one in map(json.loads, Path("out").read_text().splitlines())}
    assert done.code == 1
    assert 1000 < sessions["s-1"] < 5000
    assert sessions["after"] == 1
    assert done.lines[-1].startswith(
        "projector: cut.gz was read as far as it goes: it ends in the middle of the compressed data"
    )


def test_a_file_that_is_not_what_its_name_says_is_told(replay: Replay, log: str) -> None:
    Path(log).rename("log.gz")

    done = replay("log.gz")

    assert done.code == 1
    assert done.lines[-1].startswith("projector: log.gz was read as far as it goes: ")


def test_a_line_of_100_mb_is_rejected_in_little_memory(tmp_path: Path) -> None:
    """Packed: made, written and read in a moment; a whole line more would be seen in the memory that was used."""
    with gzip.open(tmp_path / "log.gz", "wb", compresslevel=1) as file:
        file.write(GOOD[0] + b'\n"')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'"\n' + GOOD[1])
    # Asked from inside: what `wait4` says begins with the memory of the process that forked.
    tell = "import atexit; atexit.register(lambda: print(open('/proc/self/status').read()))\n"
    words = [sys.executable, "-c", tell + "from projector.cli import main; main()"]
    words += ["replay", "log.gz", "--rejects", "rejects", "--output", "out"]
    done = subprocess.run(words, cwd=tmp_path, env=environment_of(), capture_output=True, check=True, timeout=120)
    most_kb = int(done.stdout.partition(b"VmHWM:")[2].split()[0])

    reject = json.loads((tmp_path / "rejects").read_text())
    assert (reject["reason"], reject["offset"]) == ("too-large", 1)
    assert (reject["detail"], reject["truncated"]) == (
        "the value has 100000002 bytes, the most is 1048576",
        100_000_002,
    )
    assert len(reject["value"]) == 64 << 10
    assert ids_of((tmp_path / "out").read_text()) == ["s-0", "s-1"]
    assert most_kb < 180_000  # 100 MB more than it has at rest would be far beyond it.


# Standard input, a terminal, a pipe.


def test_standard_input_is_a_file_like_any_other(tmp_path: Path) -> None:
    done = projector("replay", "-", "--rejects", "rejects", cwd=tmp_path, stdin=b"[]\n" + GOOD[0])

    assert ids_of(done.stdout.decode()) == ["s-0"]
    assert json.loads((tmp_path / "rejects").read_text())["topic"] == "-"


@pytest.fixture
def long_log(tmp_path: Path) -> Path:
    path = tmp_path / "long.jsonl"
    path.write_bytes(b"\n".join(line(custom(f"e-{number}", number)) for number in range(20_000)))
    return path


def test_on_a_terminal_it_shows_how_far_it_is_how_fast_and_the_time_left(long_log: Path) -> None:
    ours, its = pty.openpty()
    environment = environment_of() | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        command("replay", long_log.name, "--output", "out"), cwd=long_log.parent, env=environment, stderr=its
    ) as process:
        os.close(its)
        shown = _all_of(ours)
    os.close(ours)

    assert process.returncode == 0
    for part in ("%", "records", "/s", "left", "0:00:00"):
        assert part in shown
    assert "20,000 records" in shown
    assert "read 20,000 = folded 20,000" in shown


def _all_of(terminal: int) -> str:
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # The other side is closed.
            return shown.decode(errors="replace")
        if not part:
            return shown.decode(errors="replace")
        shown += part


def test_in_a_pipe_it_shows_nothing_but_the_ledger(long_log: Path) -> None:
    done = projector("replay", long_log.name, "--output", "out", cwd=long_log.parent)

    assert done.stdout == b""
    assert done.stderr.decode().splitlines() == [
        "read 20,000 = folded 20,000 + duplicates 0 + redelivered 0 + rejected 0 + tombstones 0; clamped 0"
    ]


def test_a_reader_of_the_output_that_leaves_is_told_in_a_line(long_log: Path) -> None:
    events = b"\n".join(line(custom(str(number), about={"session": {"id": str(number)}})) for number in range(3000))
    long_log.write_bytes(events)
    with subprocess.Popen(
        command("replay", long_log.name),
        cwd=long_log.parent,
        env=environment_of(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()

    assert process.returncode == 1
    assert "Traceback" not in said
    assert "standard output failed: Broken pipe" in said


def test_help_ends_in_examples_that_are_commands() -> None:
    shown = projector("replay", "--help").stdout.decode()

    assert "projector replay events.jsonl.gz --output sessions.jsonl --ledger ledger.json" in shown
