"""What a replay writes: snapshots, where every change is wanted, and rejects, as JSON lines (contract §9)."""

import os
import stat
import sys
from base64 import b64encode
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Protocol, Self

import msgspec
from msgspec import UNSET, Struct, UnsetType

from projector.adapters.file import STDIN
from projector.decode import VALUE_BYTES_MAX
from projector.errors import Unavailable, WrongInput
from projector.ports import Change, Committed, Offset, Partition, Refused

REJECT_VALUE_MAX = 64 << 10
"""As on the rejects topic (contract §2)."""

STDOUT = "-"


class Output:
    """A file to write to, or `-` for standard output.

    Raises:
        WrongInput: it cannot be opened, or is one of the `inputs`.
        Unavailable: what was written did not arrive, as on a full disk.
    """

    def __init__(self, name: str, *, inputs: Sequence[str] = ()) -> None:
        self.name = "standard output" if name == STDOUT else name
        if name != STDOUT and any(_is_same(name, one) for one in inputs):
            raise WrongInput(f"{name} is an input: writing to it would delete it. Name another output")
        try:
            self._file: IO[bytes] = sys.stdout.buffer if name == STDOUT else Path(name).open("wb")  # noqa: SIM115 - closed in `close`
        except (OSError, ValueError) as error:
            raise WrongInput(f"cannot write to {self.name}: {_why(error)}") from error
        self._is_ours = name != STDOUT

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Everything is written when this returns; standard output stays open."""
        if self._file.closed:
            return
        try:
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error
        finally:
            if self._is_ours:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failed(self, error: OSError) -> Unavailable:
        if self._is_ours:
            self._cut()
        # What is left in the buffer goes nowhere from here on, or it would fail once more when that is closed.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._file.fileno())
        os.close(nowhere)
        return Unavailable(f"writing to {self.name} failed: {_why(error)}. What it holds is not complete")

    def _cut(self) -> None:
        """Take the end of the last line away: where the disk was full just behind a line, it would look whole."""
        file = self._file.fileno()
        if stat.S_ISREG((found := os.fstat(file)).st_mode):
            os.ftruncate(file, max(0, found.st_size - len(b"}\n")))


def check_outputs(names: Sequence[str], *, inputs: Sequence[str]) -> None:
    """Look whether all of them can be written to, before the first is opened and so emptied.

    Raises:
        WrongInput: says of each that cannot why.
    """
    wrong = []
    for place, name in enumerate(names):
        if name == STDOUT:
            continue
        if any(_is_same(name, one) for one in inputs):
            wrong.append(f"{name} is an input: writing to it would delete it. Name another output")
        elif name in names[:place] and (Path(name).is_file() or not Path(name).exists()):
            wrong.append(f"{name} is named for two outputs: name another")
        elif (why := _why_not(Path(name))) is not None:
            wrong.append(f"cannot write to {name}: {why}")
    if wrong:
        raise WrongInput("\n".join(wrong))


def _why_not(path: Path) -> str | None:
    try:
        if path.is_dir():
            return "it is a directory; name a file in it"
        if path.exists():
            return None if os.access(path, os.W_OK) else "this user may not write it"
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}; make it first"
        return None if os.access(path.parent, os.W_OK) else f"this user may not write into {path.parent}"
    except (OSError, ValueError) as error:
        return _why(error)


class _Reject(Struct, rename="camel"):
    """The members in the order of the contract."""

    reason: str
    detail: str | None
    topic: str
    partition: int
    offset: int
    timestamp: int | None
    key: str | UnsetType | None = UNSET
    key_base64: str | UnsetType = UNSET
    value: str | UnsetType | None = UNSET
    value_base64: str | UnsetType = UNSET
    truncated: int | UnsetType = UNSET
    """The bytes of a value that was cut, or left out."""


class Rejects(Protocol):
    """Where the rejects of a replay go."""

    def refuse(self, lines: Sequence[tuple[Partition, Offset, bytes]]) -> None:
        """Those of a turn as JSON lines with their origin, in the order of the input."""

    def close(self) -> None: ...


class RejectsFile:
    """Rejects into a file, those of one turn behind those of the turn before."""

    def __init__(self, file: Output) -> None:
        self._file = file

    def refuse(self, lines: Sequence[tuple[Partition, Offset, bytes]]) -> None:
        self._file.write(b"".join(line for _, _, line in lines))

    def close(self) -> None:
        self._file.close()


class ReplayPublisher:
    """The `Publisher` of a replay: counts, and writes what was asked for; nothing is committed."""

    def __init__(
        self,
        *,
        topic_of: Callable[[Any], str],
        changes: Output | None = None,
        rejects: Rejects | None = None,
        is_private: bool = False,
    ) -> None:
        """`topic_of` names the topic or file of a record; `is_private`: nothing of what a reject said is written."""
        self._topic_of, self._is_private = topic_of, is_private
        self._changes, self._rejects = changes, rejects
        self.snapshots, self.tombstones = 0, 0
        self.rejected: Counter[str] = Counter()

    def publish(
        self,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],  # noqa: ARG002 - of the port
        group: Any,  # noqa: ARG002
    ) -> None:
        for change in changes:
            if change.told is None:
                self.tombstones += 1
                continue
            self.snapshots += 1
            if self._changes is not None:
                self._changes.write(change.told.text + b"\n")
        if rejects:
            self._refuse(rejects)

    def renew(self) -> None:
        """Nothing of an earlier life is left."""

    def close(self) -> None:
        with ExitStack() as both:  # The second is closed also where the first fails.
            for output in (self._changes, self._rejects):
                if output is not None:
                    both.callback(output.close)

    def _refuse(self, rejects: Iterable[Refused]) -> None:
        """In the order of the input: what was too late is found after what was no event."""
        in_order = sorted(rejects, key=lambda one: (one.record.partition, one.record.offset))
        self.rejected.update(one.reason for one in in_order)
        if self._rejects is not None:
            self._rejects.refuse(
                [(one.record.partition, one.record.offset, _encode(self._reject(one)) + b"\n") for one in in_order]
            )

    def _reject(self, refused: Refused) -> _Reject:
        record, value = refused.record, refused.record.value
        size = getattr(record, "size", 0) or len(value or b"")
        timestamp = record.timestamp if record.timestamp is not None and record.timestamp >= 0 else None
        reject = _Reject(
            refused.reason, _detail(refused, size), self._topic_of(record), record.partition, record.offset, timestamp
        )
        if self._is_private:
            reject.detail, reject.truncated = None, size
            return reject
        is_cut = size > REJECT_VALUE_MAX
        reject.key, reject.key_base64 = _text(record.key)
        reject.value, reject.value_base64 = _text(value[:REJECT_VALUE_MAX] if value else value, is_cut=is_cut)
        if is_cut:
            reject.truncated = size
        return reject


def _detail(refused: Refused, size: int) -> str:
    """Of a line that was cut while it was read only the source knows the size."""
    if getattr(refused.record, "size", 0):
        return f"the value has {size} bytes, the most is {VALUE_BYTES_MAX}"
    return refused.detail


def _text(data: bytes | None, *, is_cut: bool = False) -> tuple[str | UnsetType | None, str | UnsetType]:
    """As text if it is UTF-8, a character that was cut at its end aside; else as base64."""
    if data is None:
        return None, UNSET
    try:
        return getincrementaldecoder("utf-8")().decode(data, final=not is_cut), UNSET
    except UnicodeDecodeError:
        return UNSET, b64encode(data).decode()


def _is_same(name: str, other: str) -> bool:
    return other != STDIN and Path(name).is_file() and Path(name).samefile(other)


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


_encode = msgspec.json.Encoder().encode
