from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import HiredisRespSerializer

from projector.adapters.redis_packing import WIDE, WidePacker

arguments = st.one_of(st.text(), st.binary(), st.integers(), st.sampled_from(["", b"", "\r\n", b"\r\n$1\r\n"]))


@given(st.sampled_from(["MGET", b"EVALSHA"]), st.lists(arguments, max_size=5), st.sampled_from([0, WIDE]))
def test_a_command_goes_out_as_the_client_itself_would_send_it(name: Any, few: list[Any], repeated: int) -> None:
    command = (name, *few, *few * repeated)

    assert b"".join(WidePacker().pack(*command)) == b"".join(HiredisRespSerializer().pack(*command))


def test_a_command_of_two_words_is_sent_as_two_arguments() -> None:
    assert b"".join(WidePacker().pack("CONFIG GET", "save")) == b"*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nsave\r\n"


def test_what_is_no_text_bytes_or_number_is_refused() -> None:
    with pytest.raises(TypeError):
        WidePacker().pack("MGET", *[None] * WIDE)
