"""Records from files: one a line, plain, `.gz` or `.zst`, `-` for standard input; each file a partition of its own.

They are read one after the other, in pieces: no line, file or compressed block is ever held whole because it is large.
"""

import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, repeat
from pathlib import Path
from typing import IO, NamedTuple, Protocol, cast

import zstandard
from msgspec import Struct

from projector.decode import VALUE_BYTES_MAX
from projector.errors import WrongInput
from projector.ports import Batch, Committed, Offset, Partition, Span

BATCH_LINES_MAX = 4096
READ_BYTES = 1 << 22
PIECE_BYTES = 1 << 8
"""Compressed bytes unpacked at once: in the worst case they become 256 KB (gzip), 8 MB (zstd)."""
KEPT_BYTES = VALUE_BYTES_MAX + 1
"""What is kept of a longer line: as much as makes it too large."""
END_UNKNOWN = 1 << 62
"""How many lines a file has is not known before it was read."""

STDIN = "-"


class Line(Struct, gc=False):
    """A record of a file."""

    partition: int
    offset: int
    """Of the line in its file, from 0."""
    value: bytes
    size: int = 0
    """Of a line of which only the beginning was kept: the bytes it has; else 0."""
    timestamp: int | None = None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Damage(NamedTuple):
    """A file that could not be read to its end; what came before was delivered."""

    file: str
    message: str


class FileSource:
    """The `Source` of a replay from files.

    Raises:
        WrongInput: a file is not there, or is not to be read.
    """

    topic = "files"

    def __init__(self, files: Sequence[str], *, batch_lines_max: int = BATCH_LINES_MAX) -> None:
        self.files = tuple(files)
        _check(self.files)
        self.damage: list[Damage] = []
        self._batch_lines_max = batch_lines_max
        self._lines: Iterator[Sequence[Line]] | None = None
        """None until it is told where to begin."""
        self._ended: set[Partition] = set()
        self._bytes = 0
        self._bytes_total = _total(self.files)

    def name_of(self, record: Line) -> str:
        """The file of a record, as it was named."""
        return self.files[record.partition]

    def progress(self) -> tuple[int, int | None]:
        """Bytes read of the files as they are, and how many they have; None where one does not tell."""
        return self._bytes, self._bytes_total

    def poll(self) -> Batch:
        lines = next(self._lines, ()) if self._lines is not None else ()
        return Batch(
            records=lines,
            next={lines[-1].partition: lines[-1].offset + 1} if lines else {},
            at_end=frozenset(self._ended),
            assigned=self.partitions(),
            generation=1,
        )

    def partitions(self) -> tuple[Partition, ...]:
        return tuple(range(len(self.files)))

    def committed(self, partitions: Iterable[Partition]) -> Mapping[Partition, Committed]:  # noqa: ARG002 - of the port
        """A replay commits nothing."""
        return {}

    def spans(self, partitions: Iterable[Partition]) -> Mapping[Partition, Span]:
        return dict.fromkeys(partitions, Span(0, END_UNKNOWN))

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> Mapping[Partition, Offset]:  # noqa: ARG002
        """Lines have no timestamps of their own, so none can be left out."""
        return dict.fromkeys(partitions, 0)

    def begin_at(self, positions: Mapping[Partition, Offset]) -> None:
        self._lines = self._read(positions)

    def close(self) -> None:
        self._lines = iter(())

    def _read(self, positions: Mapping[Partition, Offset]) -> Iterator[Sequence[Line]]:
        for partition, name in enumerate(self.files):
            first = positions.get(partition, 0)
            for lines in _lines_of(partition, self._chunks(name), self._batch_lines_max):
                if lines[0].offset >= first:
                    yield lines
                elif lines[-1].offset >= first:
                    yield [line for line in lines if line.offset >= first]
            self._ended.add(partition)

    def _chunks(self, name: str) -> Iterator[bytes]:
        """The file unpacked, in pieces of some MB; one that is damaged ends there, and that is remembered."""
        try:
            with _opened(name) as file:
                yield from _unpacked(name, self._counted(file))
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            self.damage.append(Damage(name, str(error)))

    def _counted(self, file: IO[bytes]) -> Iterator[bytes]:
        while block := file.read(READ_BYTES):
            self._bytes += len(block)
            yield block


# Lines.


def _lines_of(partition: Partition, chunks: Iterable[bytes], lines_max: int) -> Iterator[list[Line]]:
    """A last line needs no newline; after a last newline there is no line."""
    offset = 0
    head, size = b"", 0  # What is kept of the line that is not complete yet, and the bytes it has so far.
    for chunk in chunks:
        values = chunk.split(b"\n")
        head, size = head + values[0][: KEPT_BYTES - len(head)], size + len(values[0])
        if len(values) == 1:
            continue
        values[0], rest = head, values.pop()
        for first in range(0, len(values), lines_max):
            lines = list(map(Line, repeat(partition), count(offset + first), values[first : first + lines_max]))
            if first == 0:
                lines[0].size = _size_if_cut(size)
            yield lines
        offset += len(values)
        head, size = rest[:KEPT_BYTES], len(rest)
    if size:
        yield [Line(partition, offset, head, _size_if_cut(size))]


def _size_if_cut(size: int) -> int:
    return size if size > KEPT_BYTES else 0


# Unpacking.


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _unpacked(name: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    ending = name.lower()
    if ending.endswith(".gz"):
        return _gathered(_decompressed(blocks, _gzip, padding=b"\0"))
    if ending.endswith(".zst"):
        return _gathered(_decompressed(blocks, _zstd, padding=b""))
    return blocks


def _gzip() -> _Decompressor:
    return zlib.decompressobj(wbits=31)


def _zstd() -> _Decompressor:
    return cast("_Decompressor", zstandard.ZstdDecompressor().decompressobj())


def _decompressed(blocks: Iterator[bytes], new: Callable[[], _Decompressor], padding: bytes) -> Iterator[bytes]:
    """Streams may follow each other, as `cat a.gz b.gz` makes them, with `padding` between and behind them.

    Raises:
        EOFError: the last one is not complete.
    """
    stream: _Decompressor | None = None
    is_empty = True
    for block in blocks:
        for first in range(0, len(block), PIECE_BYTES):
            piece = block[first : first + PIECE_BYTES]
            while piece:
                if stream is None:
                    piece = piece if is_empty else piece.lstrip(padding)
                    if not piece:
                        break
                    stream, is_empty = new(), False
                yield stream.decompress(piece)
                piece = stream.unused_data if stream.eof else b""
                stream = None if stream.eof else stream
    if stream is not None or is_empty:
        raise EOFError("it ends in the middle of the compressed data: it was cut, or is still being written")


def _gathered(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Small parts put together to some MB; those before an error are given before it is raised."""
    held: list[bytes] = []
    size = 0
    try:
        for part in parts:
            held.append(part)
            size += len(part)
            if size >= READ_BYTES:
                yield b"".join(held)
                held, size = [], 0
    except (OSError, EOFError, zlib.error, zstandard.ZstdError):
        yield b"".join(held)
        raise
    yield b"".join(held)


# The files themselves.


def _check(files: Sequence[str]) -> None:
    wrong = [f"{name}: {why}" for name in files if (why := _why_not(name)) is not None]
    if wrong:
        raise WrongInput("cannot read " + "\n".join(wrong))


def _why_not(name: str) -> str | None:
    if name == STDIN:
        return None
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError) as error:
        return (error.strerror if isinstance(error, OSError) else None) or str(error)
    if stat.S_ISDIR(mode):
        return "it is a directory; name the files in it"
    return None if os.access(name, os.R_OK) else "this user may not read it"


def _opened(name: str) -> IO[bytes]:
    """Unbuffered: it is read in large blocks. Standard input is left open behind us."""
    if name == STDIN:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    return cast("IO[bytes]", Path(name).open("rb", buffering=0))


def _total(files: Sequence[str]) -> int | None:
    total = 0
    for name in files:
        status = None if name == STDIN else Path(name).stat()
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        total += status.st_size
    return total
