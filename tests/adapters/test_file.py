from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest
import zstandard

from projector.adapters.file import FileSource, Line
from projector.decode import VALUE_BYTES_MAX, Reason, Rejected, decode
from projector.errors import WrongInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain.jsonl": lambda data: data,
    "packed.jsonl.gz": gzip.compress,
    "packed.jsonl.zst": zstandard.compress,
    "LOUD.JSONL.GZ": gzip.compress,
}


def begun(*files: Path | str, batch_lines_max: int = 4096, at: dict[int, int] | None = None) -> FileSource:
    source = FileSource([str(file) for file in files], batch_lines_max=batch_lines_max)
    source.begin_at(at or {})
    return source


def lines_of(source: FileSource) -> list[Line]:
    """Polls to the end of all files."""
    lines: list[Line] = []
    while True:
        batch = source.poll()
        lines += batch.records
        if batch.at_end == set(batch.assigned):
            return lines


def values_of(source: FileSource) -> list[bytes]:
    return [line.value for line in lines_of(source)]


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(PACKED[name](data) if name in PACKED else data)
    return path


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\n\nb\r\n\n", [b"a", b"", b"b\r", b""]),
        (b"\xef\xbb\xbfa\n\xff\0\n", [b"\xef\xbb\xbfa", b"\xff\0"]),
    ],
)
def test_a_file_has_the_lines_that_it_has(tmp_path: Path, name: str, data: bytes, values: list[bytes]) -> None:
    assert values_of(begun(written(tmp_path, name, data))) == values


@pytest.mark.parametrize("name", PACKED)
def test_lines_come_whole_over_the_edges_of_what_is_read(tmp_path: Path, name: str) -> None:
    values = [b"%d" % i + b"x" * (i * 37 % 3_000) for i in range(9_000)]

    assert values_of(begun(written(tmp_path, name, b"\n".join(values)))) == values


def test_records_are_numbered_from_0_and_bare_of_all_that_a_file_has_not(tmp_path: Path) -> None:
    source = begun(written(tmp_path, "a", b"x\ny\n"), written(tmp_path, "b", b"z"))

    assert lines_of(source) == [Line(0, 0, b"x"), Line(0, 1, b"y"), Line(1, 0, b"z")]
    one = Line(0, 0, b"x")
    assert (one.timestamp, one.key, one.headers) == (None, None, ())
    assert source.name_of(Line(1, 0, b"z")) == str(tmp_path / "b")


def test_nothing_is_read_before_it_is_said_where_to_begin(tmp_path: Path) -> None:
    source = FileSource([str(written(tmp_path, "a", b"x\n"))])

    batch = source.poll()

    assert (batch.records, batch.next, batch.at_end) == ((), {}, frozenset())
    assert (batch.assigned, batch.generation) == ((0,), 1)


def test_files_are_read_one_after_the_other_and_said_to_be_at_their_end_when_they_are(tmp_path: Path) -> None:
    files = [written(tmp_path, "a", b"1\n2\n3"), written(tmp_path, "empty", b""), written(tmp_path, "b", b"4")]
    source = begun(*files, batch_lines_max=2)

    batches = [source.poll() for _ in range(4)]

    assert [[line.value for line in batch.records] for batch in batches] == [[b"1", b"2"], [b"3"], [b"4"], []]
    assert [batch.next for batch in batches] == [{0: 2}, {0: 3}, {2: 1}, {}]
    assert [set(batch.at_end) for batch in batches] == [set(), set(), {0, 1}, {0, 1, 2}]


def test_a_file_is_read_from_where_it_is_said(tmp_path: Path) -> None:
    source = begun(written(tmp_path, "a", b"0\n1\n2\n3\n4"), batch_lines_max=2, at={0: 3})

    assert lines_of(source) == [Line(0, 3, b"3"), Line(0, 4, b"4")]


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("size", [VALUE_BYTES_MAX - 1, VALUE_BYTES_MAX, VALUE_BYTES_MAX + 1, 20 << 20])
def test_a_line_over_the_limit_is_too_large_and_those_beside_it_are_not_touched(
    tmp_path: Path, name: str, size: int
) -> None:
    long = b"{" + b" " * (size - 2) + b"}"
    lines = lines_of(begun(written(tmp_path, name, b"before\n" + long + b"\nafter\n" + long)))

    assert [line.offset for line in lines] == [0, 1, 2, 3]
    assert [lines[0].value, lines[2].value] == [b"before", b"after"]
    for line in (lines[1], lines[3]):
        rejected = decode(line.value)
        assert isinstance(rejected, Rejected)
        assert (rejected.reason is Reason.TOO_LARGE) == (size > VALUE_BYTES_MAX)
        assert (line.size or len(line.value)) == size


@pytest.mark.parametrize("name", ["plain.jsonl", "packed.jsonl.gz", "packed.jsonl.zst"])
def test_a_line_of_100_mb_is_never_held_whole(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, b"x" * (100 << 20) + b"\nafter")
    source = begun(path)
    tracemalloc.start()
    try:
        lines = lines_of(source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [(line.size, len(line.value)) for line in lines] == [(100 << 20, VALUE_BYTES_MAX + 1), (0, 5)]
    assert peak < 48 << 20


@pytest.mark.parametrize("name", ["packed.jsonl.gz", "packed.jsonl.zst"])
def test_streams_that_follow_each_other_are_one_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PACKED[name](b"a\nb") + PACKED[name](b"") + PACKED[name](b"c\nd\n"))
    source = begun(path)

    assert values_of(source) == [b"a", b"bc", b"d"]
    assert source.damage == []


def test_zeros_after_a_gzip_stream_are_padding(tmp_path: Path) -> None:
    path = tmp_path / "padded.gz"
    path.write_bytes(gzip.compress(b"a\n") + b"\0" * 5_000)
    source = begun(path)

    assert values_of(source) == [b"a"]
    assert source.damage == []


@pytest.mark.parametrize("name", ["packed.jsonl.gz", "packed.jsonl.zst"])
@pytest.mark.parametrize("kept", [0.999, 0.5, 0.0])
def test_of_a_cut_file_what_came_is_read_and_the_damage_is_told(tmp_path: Path, name: str, kept: float) -> None:
    values = [b"%d %s" % (i, os.urandom(200).hex().encode()) for i in range(5_000)]
    path = written(tmp_path, name, b"\n".join(values))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    source = begun(path, written(tmp_path, "next", b"next"))

    lines = lines_of(source)

    whole = [line.value for line in lines if line.partition == 0]
    assert whole[:-1] == values[: max(0, len(whole) - 1)]  # The last of them may be cut itself.
    assert len(whole) >= len(values) * kept * 0.8
    assert lines[-1] == Line(1, 0, b"next")
    assert [one.file for one in source.damage] == [str(path)]
    assert "cut" in source.damage[0].message


@pytest.mark.parametrize("name", ["packed.jsonl.gz", "packed.jsonl.zst"])
@pytest.mark.parametrize("junk", [b"junk behind the stream", b"{}\n"])
def test_of_a_file_with_junk_behind_what_came_before_is_read(tmp_path: Path, name: str, junk: bytes) -> None:
    path = written(tmp_path, name, b"a\nb\n")
    path.write_bytes(path.read_bytes() + junk)
    source = begun(path)

    assert values_of(source) == [b"a", b"b"]
    assert len(source.damage) == 1


@pytest.mark.parametrize("name", ["packed.jsonl.gz", "packed.jsonl.zst"])
def test_a_file_that_is_not_what_its_name_says_is_damaged(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b'{"id": "plain"}\n')
    source = begun(path)

    assert values_of(source) == []
    assert source.damage[0].message


@pytest.mark.parametrize("name", ["packed.jsonl.gz", "packed.jsonl.zst"])
def test_a_flipped_byte_is_damage_and_no_crash(tmp_path: Path, name: str) -> None:
    data = b"\n".join(b"%d" % (i * i) for i in range(50_000))
    if name.endswith(".zst"):
        packed = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(data))
    else:
        packed = bytearray(gzip.compress(data))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / name).write_bytes(packed)
    source = begun(tmp_path / name)

    lines_of(source)

    assert len(source.damage) == 1


def test_files_that_cannot_be_read_are_all_named_before_any_is_read(tmp_path: Path) -> None:
    good = written(tmp_path, "good", b"x")

    with pytest.raises(WrongInput) as wrong:
        FileSource([str(tmp_path / "missing"), str(good), str(tmp_path), "nul\0name"])

    assert f"{tmp_path}/missing: No such file" in str(wrong.value)
    assert f"{tmp_path}: it is a directory" in str(wrong.value)
    assert "nul" in str(wrong.value)
    assert "good" not in str(wrong.value)


def test_progress_is_told_in_bytes_of_the_files_as_they_are(tmp_path: Path) -> None:
    packed, plain = written(tmp_path, "packed.jsonl.gz", b"a\n" * 10_000), written(tmp_path, "plain", b"b\n" * 10)
    source = begun(packed, plain)
    total = packed.stat().st_size + 20

    assert source.progress() == (0, total)
    lines_of(source)
    assert source.progress() == (total, total)


def test_a_closed_source_has_nothing_more(tmp_path: Path) -> None:
    source = begun(written(tmp_path, "a", b"1\n2\n3"), batch_lines_max=1)
    source.poll()

    source.close()

    assert source.poll().records == ()


def test_a_replay_has_no_commits_and_begins_at_the_beginning(tmp_path: Path) -> None:
    source = begun(written(tmp_path, "a", b"x"))

    assert source.partitions() == (0,)
    assert source.committed([0]) == {}
    assert source.spans([0])[0].begin == 0
    assert source.offsets_at([0], 5) == {0: 0}


READ_STDIN = """
from projector.adapters.file import FileSource
source = FileSource(["-"])
source.begin_at({})
while 0 not in (batch := source.poll()).at_end:
    print([(line.offset, line.value) for line in batch.records], end=" ")
print(source.progress(), source.damage)
"""


def test_standard_input_is_a_file_like_any_other() -> None:
    command = [sys.executable, "-c", READ_STDIN]

    done = subprocess.run(command, input=b"a\nb", capture_output=True, check=True, timeout=30)

    assert done.stdout == b"[(0, b'a')] [(1, b'b')] (3, None) []\n"


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    source = begun(pipe)
    writer = subprocess.Popen([sys.executable, "-c", f"open({str(pipe)!r}, 'w').write('a\\n' * 100_000)"])

    assert len(lines_of(source)) == 100_000
    assert writer.wait(timeout=30) == 0
    assert source.progress() == (200_000, None)
