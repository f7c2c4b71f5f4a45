"""NKeys: what is none is refused without being shown. That they log in is tests/sinks/test_nats.py."""

from __future__ import annotations

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.transport.nkeys import UserKey

RAW = bytes([0b10010_101, 0b00_000_000]) + bytes(32)  # S, U, and the bits between the two


def seed(raw: bytes) -> str:
    return base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")


@given(st.text() | st.binary(max_size=40).map(seed))
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^the seed of an? ") as caught:
        UserKey.of_seed(text)
    assert len(text) < 4 or text not in str(caught.value)


def test_a_slip_of_the_pen_is_noticed() -> None:
    right = seed(RAW)
    assert right.startswith("SU")
    UserKey.of_seed(f" {right}\n")
    for place in range(len(right)):
        wrong = "A" if right[place] != "A" else "B"
        with pytest.raises(ValueError, match="the seed of"):
            UserKey.of_seed(right[:place] + wrong + right[place + 1 :])


def test_neither_key_nor_jwt_is_shown() -> None:
    made = UserKey.of_seed(seed(RAW), "a.b.c")
    assert repr(made) == "UserKey()"
    assert made.login("nonce").keys() == {"jwt", "sig"}
