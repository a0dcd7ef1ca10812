"""A track as Redis has it: the token of its last write, then the encoded track, compressed with what sessions share.

Redis spends most of a save on copying records, and on writing them to its file and its replicas; a third of the bytes
cost a third of it. The dictionary holds names and values that any site's sessions have (tests/write_dictionary.py).
"""

from importlib import resources

import msgspec
import zstandard

from projector.ports import Stored, Token
from projector.track import NewerFormatError, decode_track

TOKEN_BYTES = 12
"""save.lua knows the number too."""
LEVEL = -4
"""zstd's, below 0 the fast ones: bytes and µs of a track of 1,260 bytes are 495 and 7.5 at -1, 570 and 5.6 at -4, 660
and 4.8 at -8. A byte costs some 0.01 µs of the two processes' time, 0.016 where Redis rewrites its file often."""


Plain = bytes | bytearray | memoryview
"""What the library compresses."""


class UnreadableRecordError(Exception):
    """A record that this version cannot read; the text says why."""


class Records:
    """For one thread."""

    def __init__(self) -> None:
        # With its number in each record: one that was written with another is recognised.
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=_SHARED)
        self._decompress = zstandard.ZstdDecompressor(dict_data=_SHARED).decompress

    def pack(self, encoded: list[Plain], token: Token) -> list[bytes]:
        """The records of one write."""
        return [token + one for one in self._compressed(encoded)]

    def _compressed(self, encoded: list[Plain]) -> list[bytes]:
        """All by one call, where the library has it.

        Each call hands the interpreter's lock to the client's threads, and mostly has to wait to get it back.
        """
        if encoded and _AT_ONCE:
            compressed = self._compressor.multi_compress_to_buffer(encoded)
            return [compressed[place].tobytes() for place in range(len(compressed))]
        return list(map(self._compressor.compress, encoded))

    def unpack(self, record: bytes) -> Stored:
        """A track with its token.

        Raises:
            UnreadableRecordError: it is none of ours, or a later version wrote it.
        """
        try:
            encoded = self._decompress(record[TOKEN_BYTES:])
            return Stored(Token(record[:TOKEN_BYTES]), decode_track(encoded), encoded)
        except (msgspec.MsgspecError, zstandard.ZstdError, NewerFormatError, IndexError) as error:
            raise UnreadableRecordError(str(error)) from error


_AT_ONCE = "multi_compress_to_buffer" in zstandard.backend_features

_SHARED = zstandard.ZstdCompressionDict(resources.files("projector.adapters").joinpath("records.dict").read_bytes())
_SHARED.precompute_compress(level=LEVEL)
