from __future__ import annotations

from base64 import b85decode
from hashlib import sha256
from typing import Any

import pytest
import zstandard

from projector.adapters.redis_records import TOKEN_BYTES, Records, UnreadableRecordError
from projector.ports import Stored, Token
from projector.session import new_session
from projector.track import Track, encode_track
from tests.write_dictionary import FILE

TOKEN = Token(b"AAAAAAAAAAAA")
DICTIONARY = "23cd8226a05ded9b7eaadf7edeedaf07de751e51b94664dbb2cc4b04fb147d80"
"""Stored records need it: another one is a migration."""
KEPT = b85decode(
    r"K|w)5K|w)5K|w)5D77#BW69`;6jlIz0|2xG0XHr(A}nNOEkj66VPk1-bZ>KLJ0MAJbY*NHF)&{-HD5O}H6medE^l&YFJV7oJ!3&2"
    r"Vqs!EV<LSL{OU};WBhr;Py#1)PzveQ`U%jl3|-l+*xS~XpvJ{WtXT_p-91;a@J9wyz*%wP0s"
)
"""A record that was stored some time ago."""
VALUES = [
    b'{"family":"Safari","version":"17.2","lang":"de-CH","isMobile":false,"featuresPdf":true,"featuresWebrtc":true}',
    b'"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/605"',
    b'{"url":"https://an.org/a?b=c","title":"A b","domain":"an.org","hostname":"an.org","pathname":"/a","queryString":"b=c"}',
]


def pack(track: Track) -> bytes:
    (record,) = Records().pack([encode_track(track)], TOKEN)
    return record


def test_the_dictionary_is_the_one_that_stored_records_need() -> None:
    assert sha256(FILE.read_bytes()).hexdigest() == DICTIONARY


def test_a_record_that_was_stored_before_can_be_read() -> None:
    decompress = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(FILE.read_bytes())).decompress

    assert decompress(KEPT[TOKEN_BYTES:]) == b"\x01" + b"".join(VALUES)


@pytest.mark.parametrize("text", ["", "a", "\0\U0001f600", "x" * (1 << 20)])
def test_a_track_is_read_as_it_was_packed(text: str) -> None:
    track = Track({0: 1}, 0, [new_session(text)])

    assert Records().unpack(pack(track)) == Stored(TOKEN, track, encode_track(track))


def test_a_record_begins_with_its_token() -> None:
    assert pack(Track())[:TOKEN_BYTES] == TOKEN


def test_the_names_and_user_agents_of_a_session_take_half_the_space() -> None:
    session = new_session("a")
    session.values = [*VALUES]
    track = Track({0: 1}, 0, [session])

    assert len(pack(track)) < len(encode_track(track)) / 2


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        (b"", "frame header"),
        (b"\x01\x90", "frame header"),
        (zstandard.compress(b"\x02\x90"), "format 2, this version reads 1"),
        (zstandard.compress(b"\x01\xc1"), "MessagePack"),
        (zstandard.compress(b""), "index"),
    ],
)
def test_a_record_that_is_none_of_ours_says_why(encoded: bytes, why: str) -> None:
    with pytest.raises(UnreadableRecordError, match=why):
        Records().unpack(TOKEN + encoded)


def test_a_record_that_another_dictionary_made_is_recognised() -> None:
    other: Any = zstandard.train_dictionary(1024, [f"another {number}".encode() * 9 for number in range(500)])
    made = zstandard.ZstdCompressor(dict_data=other).compress(encode_track(Track()))

    with pytest.raises(UnreadableRecordError, match=r"[Dd]ictionary"):
        Records().unpack(TOKEN + made)
