"""A replay by several workers gives what one gives, byte for byte: sessions, rejects and ledger.

Where any log is tried the workers are threads of this process: what they say, and when, is the same between processes.
"""

from __future__ import annotations

import gzip
import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from projector.adapters.embedded import EmbeddedStore
from projector.adapters.file import FileSource
from projector.adapters.file_output import ReplayPublisher
from projector.crew import Crew
from projector.ledger import Ledger
from projector.replay import Replay
from projector.rules import DAY, Rules
from tests import generate
from tests.cli import command, environment_of, projector
from tests.given import line, talk, web
from tests.strategies import (
    BASE,
    END,
    MINUTE,
    lines_of,
    named_events,
    raw_events,
    told_again,
    visits_with_mentions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BAD = (b"", b"null", b"{", b'{"id":"x"}', b'{"session":{"id":"web-1"}}', b'"session":{"id":"web-1"}', b"x" * 70_000)
DEADLINE_S, POLL_S = 60, 0.02


class Outcome(NamedTuple):
    sessions: list[bytes]
    rejects: bytes
    ledgers: dict[int, Ledger]


class Rejects:
    def __init__(self) -> None:
        self.text = b""

    def refuse(self, lines: Sequence[tuple[int, int, bytes]]) -> None:
        self.text += b"".join(line for _, _, line in lines)

    def close(self) -> None:
        pass


def replayed(
    files: Sequence[Sequence[bytes]],
    workers: int,
    *,
    rules: Rules,
    block: int = 4096,
    started_at: int = END,
    as_of: int | None = None,
) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        names = [f"{folder}/{number}.jsonl" for number in range(len(files))]
        for name, lines in zip(names, files, strict=True):
            Path(name).write_bytes(b"".join(line + b"\n" for line in lines))
        source, rejects = FileSource(names, batch_lines_max=block), Rejects()
        common: dict[str, Any] = {"source": source, "rules": rules, "places": None, "started_at": started_at}
        if workers > 1:
            with Crew(**common, workers=workers, rejects=rejects, is_private=False, processes=False) as crew:
                return _outcome(crew, rejects, as_of, folder)
        publisher = ReplayPublisher(topic_of=source.name_of, rejects=rejects)
        store = EmbeddedStore(short_ids=False)
        return _outcome(Replay(**common, store=store, publisher=publisher), rejects, as_of, folder)


def _outcome(run: Crew | Replay, rejects: Rejects, as_of: int | None, folder: str) -> Outcome:
    run.run(as_of=as_of, on_progress=lambda _records: None)
    return Outcome(list(run.sessions()), rejects.text.replace(folder.encode(), b""), run.ledgers())


def assert_workers_do_not_matter(files: Sequence[Sequence[bytes]], rules: Rules, **options: Any) -> Outcome:
    alone = replayed(files, 1, rules=rules, **options)
    for workers in (2, 3):
        assert replayed(files, workers, rules=rules, **options) == alone
    return alone


@st.composite
def logs(draw: st.DrawFn) -> list[list[bytes]]:
    """One or two files of events of all kinds, some told again, with bad lines between them."""
    kinds = st.one_of(named_events(), raw_events(), visits_with_mentions())
    events = [event for some in draw(st.lists(kinds, min_size=1, max_size=2)) for event in some]
    lines = lines_of(draw(told_again(events)))
    for bad in draw(st.lists(st.sampled_from(BAD), max_size=3)):
        lines.insert(draw(st.integers(0, len(lines))), bad)
    at = draw(st.integers(0, len(lines)))
    return draw(st.sampled_from([[lines], [lines[:at], lines[at:]]]))


rules_of_all_kinds = st.builds(
    Rules,
    retention=st.sampled_from([0, 10 * MINUTE, 40 * MINUTE, 7 * DAY]),
    short_id_digits=st.sampled_from([4, 6]),
    campaign_split=st.booleans(),
)


@given(
    files=logs(),
    rules=rules_of_all_kinds,
    block=st.integers(1, 9),
    started_at=st.sampled_from([END, BASE + 20 * MINUTE, BASE - DAY]),
    as_of=st.sampled_from([None, END, BASE + 50 * MINUTE]),
)
@settings(max_examples=40, deadline=None)
def test_any_log_gives_the_same_bytes_with_one_two_and_three_workers(
    files: list[list[bytes]], rules: Rules, block: int, started_at: int, as_of: int | None
) -> None:
    assert_workers_do_not_matter(files, rules, block=block, started_at=started_at, as_of=as_of)


def events_of(*sessions: str, moments: int) -> list[bytes]:
    return [
        line(web(f"e-{moment}", moment * MINUTE, about={"session": {"id": session, "type": "web"}}))
        for moment in range(moments)
        for session in sessions
    ]


def test_a_conversation_brings_sessions_together_that_others_have_folded_for_long() -> None:
    lines = events_of("one", "two", "three", "four", moments=12)
    for at, (conversation, named) in enumerate((("c-1", "one"), ("c-2", "two"), ("c-1", "three"), ("c-3", "four"))):
        context = {"journeyContext": {"sessionId": named}}
        lines.insert(9 * at + 4, line(talk("customer.start", at * MINUTE, conversation=conversation, **context)))
        lines.append(line(talk("acd.end", at * MINUTE, conversation=conversation, queueId="q", acdOutcome="ANSWERED")))

    outcome = assert_workers_do_not_matter([lines], Rules(), block=5)

    assert sum(b'"lastConnectedQueue"' in one for one in outcome.sessions) == 7


def test_records_that_hide_whose_they_are_reach_the_one_whose_they_are() -> None:
    """The guess goes by bytes that stand elsewhere in these, or are written in another way."""
    decoy = b'{"decoy":{"session":{"id":"%d"}},'
    lines = [decoy % at + one[1:] for at, one in enumerate(events_of("one", "two", "three", moments=6))]
    lines += [one.replace(b'"one"', b'"\\u006fne"') for one in events_of("one", "two", moments=9)]

    outcome = assert_workers_do_not_matter([lines], Rules(), block=7)

    assert len(outcome.sessions) == 3
    assert sum(ledger.duplicates for ledger in outcome.ledgers.values()) == 12


def test_what_is_too_late_is_judged_by_the_clock_of_all_records() -> None:
    sessions = [f"s-{number}" for number in range(20)]
    lines = events_of(*sessions, moments=3)
    lines += [line(web("late", -number, about={"session": {"id": f"late-{number}"}})) for number in range(40)]

    outcome = assert_workers_do_not_matter([lines], Rules(retention=2 * MINUTE), block=16)

    assert outcome.rejects.count(b'"too-late"') == 39


def test_the_same_short_ids_are_given_out_where_they_collide() -> None:
    lines = events_of(*(f"s-{number}" for number in range(1_500)), moments=1)

    outcome = assert_workers_do_not_matter([lines], Rules(short_id_digits=4), block=64)

    short_ids = [msgspec.json.decode(one)["shortId"] for one in outcome.sessions]
    assert len(set(short_ids)) == 1_500


# As processes.


def test_the_command_writes_the_same_files_with_two_workers(tmp_path: Path) -> None:
    generate.main(["--sessions", "60", "--output", str(tmp_path / "demo.jsonl")])
    (tmp_path / "more.jsonl.gz").write_bytes(
        gzip.compress(b"x" * (3 << 20) + b"\n" + b"\n".join(events_of("one", moments=9)))
    )

    for workers in ("1", "2"):
        outputs = [word for name in ("output", "rejects", "ledger") for word in (f"--{name}", f"{name}-{workers}")]
        projector("replay", "demo.jsonl", "more.jsonl.gz", "--workers", workers, *outputs, cwd=tmp_path)

    for name in ("output", "rejects", "ledger"):
        assert (tmp_path / f"{name}-1").read_bytes() == (tmp_path / f"{name}-2").read_bytes() != b""


class Waiting:
    """A replay of standard input by two workers, which are there and have nothing to do yet."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            # Whoever runs the tests in the background has SIGINT ignored.
            ["env", "--default-signal=INT", *command("replay", "-", "--workers", "2", "--output", "out")],
            cwd=folder,
            env=environment_of(),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        until(lambda: len(self._children()) == 2)
        self.workers = self._children()

    def _children(self) -> list[int]:
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def ended(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, said.decode()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be"
        select.select([], [], [], POLL_S)


def is_gone(pid: int) -> bool:
    """A process that nobody has waited for yet has a state of its own."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_worker_that_dies_is_told_and_the_replay_is_no_success(tmp_path: Path) -> None:
    replay = Waiting(tmp_path)

    os.kill(replay.workers[1], signal.SIGKILL)
    code, said = replay.ended()

    assert (code, said.splitlines()) == (
        1,
        ["projector: a worker of the replay died (exit code -9): if memory ran out, take fewer --workers"],
    )
    until(lambda: all(map(is_gone, replay.workers)))


def test_workers_end_with_the_replay_that_started_them(tmp_path: Path) -> None:
    replay = Waiting(tmp_path)

    replay.process.kill()

    assert replay.ended()[0] == -signal.SIGKILL
    until(lambda: all(map(is_gone, replay.workers)))


def test_an_interrupted_replay_ends_at_once_and_leaves_no_worker(tmp_path: Path) -> None:
    replay = Waiting(tmp_path)

    replay.process.send_signal(signal.SIGINT)
    code, said = replay.ended()

    assert code != 0
    assert "Traceback" not in said
    until(lambda: all(map(is_gone, replay.workers)))
