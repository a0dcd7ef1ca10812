from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from projector.adapters.file import FileSource, Line
from projector.adapters.file_output import Output, RejectsFile, ReplayPublisher
from projector.decode import VALUE_BYTES_MAX, decode
from projector.errors import Unavailable, WrongInput
from projector.events import Event
from projector.evolve import evolve
from projector.ports import Change, Refused
from projector.rules import Rules
from projector.session import Session, new_session
from projector.snapshot import told_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.services.disk import SmallDisk

RULES = Rules()
EVENT = b"""{"id": "e-1", "eventType": "WebEvent", "createdDate": "2025-06-12T09:00:00Z", "session": {"id": "a"},
 "webEvent": {"eventName": "page_viewed"}}"""
KIB64 = 64 << 10


def session() -> Session:
    event = decode(EVENT)
    assert isinstance(event, Event)
    one = new_session("a")
    evolve(one, event, RULES, Counter())
    return one


def rejects_of(path: Path, *refused: Refused, **options: Any) -> list[dict[str, Any]]:
    """Publishes the rejects in one turn and gives what the file then holds."""
    publisher = ReplayPublisher(topic_of=lambda _: "events.jsonl", rejects=RejectsFile(Output(str(path))), **options)
    publisher.publish([], refused, {}, None)
    publisher.close()
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def refused(value: bytes | None = b"{", **rest: Any) -> Refused:
    return Refused(Line(0, rest.pop("offset", 3), value, **rest), "not-json", "it is not")  # type: ignore[arg-type]


def test_changes_are_counted_and_written_where_they_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    publisher = ReplayPublisher(topic_of=str, changes=Output(str(path)))
    one = told_of(session(), RULES)

    publisher.publish([Change("a", 2, one), Change("b", 3, None, "a")], [], {}, None)
    publisher.publish([Change("a", 4, one)], [], {}, None)
    publisher.close()

    assert path.read_bytes() == (one.text + b"\n") * 2
    assert (publisher.snapshots, publisher.tombstones) == (2, 1)


def test_without_outputs_it_only_counts() -> None:
    publisher = ReplayPublisher(topic_of=str)

    publisher.publish([Change("a", 2, told_of(session(), RULES))], [refused(), refused(offset=4)], {}, None)
    publisher.renew()
    publisher.close()

    assert (publisher.snapshots, publisher.rejected) == (1, {"not-json": 2})


def test_a_reject_has_its_members_in_the_contracts_order(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    rejects_of(path, refused('{"ä\r'.encode()))

    assert path.read_bytes().decode() == (
        '{"reason":"not-json","detail":"it is not","topic":"events.jsonl","partition":0,"offset":3,"timestamp":null,'
        '"key":null,"value":"{\\"ä\\r"}\n'
    )


def test_key_and_timestamp_are_given_where_there_are_any(tmp_path: Path) -> None:
    rejects = rejects_of(
        tmp_path / "r",
        refused(offset=1, key=b"k", timestamp=5),
        refused(offset=2, key=b"\xff", timestamp=-1),
        refused(offset=3, key=b""),
    )

    assert [(one.get("key"), one.get("keyBase64"), one["timestamp"]) for one in rejects] == [
        ("k", None, 5), (None, "/w==", None), ("", None, None),
    ]  # fmt: skip
    assert "key" not in rejects[1]


def test_a_value_that_is_not_utf_8_is_given_as_base64(tmp_path: Path) -> None:
    (reject,) = rejects_of(tmp_path / "r", refused(b'{"a": "\xff\xfe"}'))

    assert base64.b64decode(reject["valueBase64"]) == b'{"a": "\xff\xfe"}'
    assert "value" not in reject


def test_rejects_of_a_turn_stand_in_the_order_of_the_input(tmp_path: Path) -> None:
    second = Refused(Line(1, 0, b"x"), "not-json", "")

    rejects = rejects_of(tmp_path / "r", second, refused(offset=9), refused(offset=2))

    assert [(one["partition"], one["offset"]) for one in rejects] == [(0, 2), (0, 9), (1, 0)]


@pytest.mark.parametrize(
    ("value", "kept", "truncated"),
    [
        (b"x" * KIB64, "x" * KIB64, None),
        (b"x" * (KIB64 + 1), "x" * KIB64, KIB64 + 1),
        (b"x" + "ä".encode() * KIB64, "x" + "ä" * (KIB64 // 2 - 1), 2 * KIB64 + 1),
    ],
)
def test_a_value_over_64_kib_is_cut_and_its_size_is_told(
    tmp_path: Path, value: bytes, kept: str, truncated: int | None
) -> None:
    (reject,) = rejects_of(tmp_path / "r", refused(value))

    assert reject["value"] == kept
    assert reject.get("truncated") == truncated


def test_a_value_that_is_not_cut_and_ends_within_a_character_is_no_text(tmp_path: Path) -> None:
    (reject,) = rejects_of(tmp_path / "r", refused(b"x" * (KIB64 - 1) + b"\xc3"))

    assert "valueBase64" in reject


def test_a_line_too_long_to_be_held_is_refused_with_the_size_it_has(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(b"x" * (9 << 20))
    source = FileSource([str(path)])
    source.begin_at({})
    (line,) = source.poll().records
    wrong = decode(line.value)

    (reject,) = rejects_of(tmp_path / "r", Refused(line, wrong.reason.value, wrong.detail))  # type: ignore[union-attr]

    assert reject["reason"] == "too-large"
    assert reject["detail"] == f"the value has {9 << 20} bytes, the most is {VALUE_BYTES_MAX}"
    assert reject["truncated"] == 9 << 20
    assert reject["value"] == "x" * KIB64


def test_in_private_nothing_is_written_that_the_record_said(tmp_path: Path) -> None:
    (reject,) = rejects_of(tmp_path / "r", refused(b"secret", key=b"secret", timestamp=7), is_private=True)

    assert reject == {
        "reason": "not-json", "detail": None, "topic": "events.jsonl", "partition": 0, "offset": 3, "timestamp": 7,
        "truncated": 6,
    }  # fmt: skip


# Outputs.


def test_an_output_that_cannot_be_opened_is_wrong_input(tmp_path: Path) -> None:
    for name in (str(tmp_path), str(tmp_path / "no" / "folder"), "nul\0name"):
        with pytest.raises(WrongInput, match="cannot write to"):
            Output(name)


def test_an_output_that_is_an_input_is_wrong_input_and_stays_as_it_is(tmp_path: Path) -> None:
    path, alias = tmp_path / "events.jsonl", tmp_path / "alias"
    path.write_bytes(b"precious")
    alias.symlink_to(path)

    with pytest.raises(WrongInput, match="is an input"):
        Output(str(alias), inputs=["-", str(path)])

    assert path.read_bytes() == b"precious"


def test_a_full_disk_is_told_with_the_name_of_the_file() -> None:
    output = Output("/dev/full")
    output.write(b"x")

    with pytest.raises(Unavailable, match="writing to /dev/full failed: No space left on device"):
        output.close()
    output.close()


def test_a_full_disk_is_noticed_while_much_is_written() -> None:
    output = Output("/dev/full")

    with pytest.raises(Unavailable, match="No space left"):
        output.write(b"x" * (1 << 20))
    output.close()


def test_a_file_whose_disk_was_full_at_the_end_of_a_line_does_not_look_whole(
    new_disk: Callable[..., SmallDisk],
) -> None:
    path, line = new_disk(megabytes=1).path / "out", b"x" * 4094 + b"}\n"  # As much as the disk gives at a time.
    output = Output(str(path))

    with output, pytest.raises(Unavailable, match="No space left"):
        output.write(line * 1000)

    *whole, cut = path.read_bytes().splitlines(keepends=True)
    assert whole
    assert whole == [line] * len(whole)
    assert cut == line[:-2]


def test_what_is_written_is_there_when_it_is_closed(tmp_path: Path) -> None:
    with Output(str(tmp_path / "out")) as output:
        output.write(b"x")

    assert (tmp_path / "out").read_bytes() == b"x"


CLOSED_PIPE = """
import os, sys
from projector.adapters.file_output import Output
from projector.errors import Unavailable
output = Output("-")
try:
    output.write(b"x")
    output.close()
except Unavailable as failed:
    print(failed, file=sys.stderr)
"""


def test_a_reader_of_standard_output_that_has_gone_is_told_once() -> None:
    command = f"{{ {sys.executable} -c '{CLOSED_PIPE}'; echo $? >&2; }} | exec true"
    # The reader's end is closed before anything is written.
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=True, timeout=30)

    assert done.stderr.splitlines() == [
        "writing to standard output failed: Broken pipe. What it holds is not complete",
        "0",
    ]
