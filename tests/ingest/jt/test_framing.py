"""Marks, escapes and checksums; a stream cut anywhere gives the same frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.jt.framing import escape, split, unescape, unwrap, wrap, xor
from ingest.wire.reader import Malformed


@given(st.binary(max_size=64) | st.lists(st.sampled_from(b"\x7d\x7e\x01\x02\x00"), max_size=20).map(bytes))
def test_unescaping_gives_back_what_was_escaped(plain: bytes) -> None:
    assert unescape(escape(plain)) == plain
    assert 0x7E not in escape(plain)


def test_the_example_of_the_standard() -> None:
    assert escape(bytes.fromhex("307e087d55")) == bytes.fromhex("307d02087d0155")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("7e", "begin and end"),
        ("307e", "begin and end"),
        ("7e7e", "is empty"),
        ("7e307d03007e", "7d followed by 03"),
        ("7e307d7e", "7d followed by its end"),
        ("7e307e307e", "mark inside"),
    ],
)
def test_what_is_no_frame_says_why(raw: str, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        unwrap(bytes.fromhex(raw))


@given(st.binary(min_size=1, max_size=40), st.integers(0, 7), st.data())
def test_a_flipped_bit_breaks_the_checksum(plain: bytes, bit: int, data: st.DataObject) -> None:
    assert unwrap(wrap(plain)) == (plain, True)
    at = data.draw(st.integers(0, len(plain) - 1))
    flipped = plain[:at] + bytes((plain[at] ^ 1 << bit,)) + plain[at + 1 :]
    raw = b"\x7e" + escape(flipped + bytes((xor(plain),))) + b"\x7e"
    assert unwrap(raw) == (flipped, False)


@given(
    st.lists(st.binary(min_size=1, max_size=12).map(wrap) | st.binary(max_size=6), max_size=6).map(b"".join),
    st.lists(st.integers(1, 7), min_size=1, max_size=40),
)
def test_a_stream_cut_anywhere_gives_the_same_frames(stream: bytes, cuts: list[int]) -> None:
    whole, whole_left, whole_junk = split(stream)
    frames, left, junk, at = [], b"", b"", 0
    while at < len(stream):
        size = cuts[at % len(cuts)]
        more, left, dropped = split(left + stream[at : at + size])
        frames += more
        junk += dropped
        at += size
    assert (frames, left, junk) == (whole, whole_left, whole_junk)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.binary(max_size=10))
def test_frames_are_found_glued_and_behind_junk(plains: list[bytes], noise: bytes) -> None:
    junk = noise.replace(b"\x7e", b"")
    frames, left, dropped = split(junk + b"".join(wrap(plain) for plain in plains))
    assert [unwrap(frame) for frame in frames] == [(plain, True) for plain in plains]
    assert dropped == junk
    assert left == (b"\x7e" if plains else b"")


def test_a_lost_mark_costs_no_neighbour() -> None:
    first, second, third = wrap(b"one"), wrap(b"two"), wrap(b"three")
    frames, _, junk = split(first[:-1] + second + third)
    assert [unwrap(frame) for frame in frames] == [(b"one", True), (b"two", True), (b"three", True)]
    frames, _, junk = split(first[1:] + second)
    assert [unwrap(frame)[0] for frame in frames] == [b"two"]
    assert junk == first[1:-1]
