"""Every pair of bytes of a time or a number reads as its digits do, or is told to be none."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.jt.bcd import NO_NUMBER, long_number, short_number, times_ms
from tests.ingest.jt import plain

_PAIRS = np.arange(65_536)


def _column(pair: int) -> np.ndarray:
    return np.full(65_536, pair)


def test_every_pair_of_a_time() -> None:
    for place in range(3):
        columns = [_column(0x2402), _column(0x2912), _column(0x3456)]
        columns[place] = _PAIRS
        made, good = times_ms(*columns)
        for pair in range(0, 65_536, 7):
            parts = [int(column[pair]) for column in columns]
            wanted = plain.time_ms(b"".join(part.to_bytes(2, "big") for part in parts))
            assert bool(good[pair]) == (wanted is not None), parts
            assert wanted is None or made[pair] == wanted, parts


@given(st.binary(min_size=10, max_size=10) | st.integers(0, 18 * 10**18).map(lambda n: bytes.fromhex(f"{n:020d}")))
def test_numbers(raw: bytes) -> None:
    pairs = np.frombuffer(raw, ">u2").astype(np.int64)[:, None]
    digits = raw.hex()
    wanted = int(digits) if digits.isdecimal() and int(digits) < 1844 * 10**16 else NO_NUMBER
    assert long_number(pairs).tolist() == [wanted]
    short = raw[4:].hex()
    assert short_number(*pairs[2:]).tolist() == [int(short) if short.isdecimal() else NO_NUMBER]
