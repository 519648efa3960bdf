"""`cut` finds what the plain decoder finds, whatever the bytes and wherever they are cut."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.jt.bcd import NO_NUMBER
from ingest.jt.columns import MARK, FrameColumns, cut, of_bodies
from tests.ingest.jt import plain
from tests.ingest.jt.frames import BYTE

_NUMBERS = st.one_of(
    st.integers(0, 10**20 - 1).map(lambda value: bytes.fromhex(f"{value:020d}")), st.binary(min_size=10, max_size=10)
)


def _message(number: bytes, body: bytes, message_id: int, serial: int, *, wide: bool, flags: int) -> bytes:
    number = number if wide else number[-6:]
    return plain.header(message_id, len(body), number=number, serial=serial, wide=wide, flags=flags) + body


_MESSAGES = st.builds(
    _message,
    _NUMBERS,
    st.lists(BYTE, max_size=40).map(bytes),
    st.integers(0, 65_535),
    st.integers(0, 65_535),
    wide=st.booleans(),
    flags=st.sampled_from([0, 0, 0x2000, 0x0400]),
)
_FRAMES = st.one_of(
    _MESSAGES.map(plain.framed),
    _MESSAGES.map(lambda message: plain.framed(message)[1:]),  # shares the mark before it
    st.builds(lambda message, checksum: plain.framed(message, checksum=checksum), _MESSAGES, st.integers(0, 255)),
    st.just(b"\x7e\x7e"),
    st.lists(BYTE, max_size=20).map(bytes),
)
_STREAMS = st.lists(_FRAMES, max_size=6).map(b"".join)


def _same(frames: FrameColumns, wanted: list[plain.PlainFrame]) -> None:
    assert len(frames) == len(wanted)
    assert frames.source.tolist() == [one.source for one in wanted]
    for index, one in enumerate(wanted):
        assert frames.raw(index) == one.raw
        start, size = int(frames.start[index]), int(frames.size[index])
        assert frames.data[start : start + size].tobytes() == one.plain
        assert frames.checksum_ok[index] == one.checksum_ok
        assert frames.escape_ok[index] == one.escape_ok
        if len(one.plain) < 12:
            assert frames.message_id[index] == 0
            assert frames.number[index] == NO_NUMBER
            assert not frames.length_ok[index]
            continue
        fields = one.fields
        body = fields.pop("body")
        if fields["length_ok"]:
            assert frames.body(index) == body
        if len(one.plain) < 17:
            fields = {name: fields[name] for name in ("message_id", "version", "length_ok", "length_ok_905")}
        elif fields["number"] >= 1844 * 10**16:
            fields["number"] = NO_NUMBER  # over what four digits and sixteen may hold together
        for name, value in fields.items():
            assert getattr(frames, name)[index] == value, name


@settings(max_examples=150)
@given(st.lists(_STREAMS, max_size=5))
def test_all_pieces_as_the_plain_decoder(pieces: list[bytes]) -> None:
    frames, leftovers, junk = cut(pieces)
    wanted, wanted_leftovers, wanted_junk = plain.cut(pieces)
    _same(frames, wanted)
    assert leftovers == wanted_leftovers
    assert junk == wanted_junk


@settings(max_examples=25)
@given(_STREAMS)
def test_split_at_every_byte(stream: bytes) -> None:
    whole, leftovers, junk = cut([stream])
    raws = [whole.raw(index) for index in range(len(whole))]
    for at in range(len(stream) + 1):
        first, kept, junk_1 = cut([stream[:at]])
        second, last, junk_2 = cut([kept[0] + stream[at:]])
        parts = [first.raw(index) for index in range(len(first))] + [second.raw(index) for index in range(len(second))]
        assert parts == raws
        assert last == leftovers
        assert b"".join(raw for _, raw in junk_1 + junk_2) == b"".join(raw for _, raw in junk)


def test_byte_by_byte() -> None:
    stream = plain.framed(plain.header(2, 0)) + plain.framed(plain.header(0x7E7D, 2) + b"\x7e\x7d")[1:]
    kept, raws = b"", []
    for byte in stream:
        frames, (kept,), junk = cut([kept + bytes([byte])])
        raws += [frames.raw(index) for index in range(len(frames))]
        assert not junk
    assert kept == MARK
    assert raws == [one.raw for one in plain.cut([stream])[0]]
    assert len(raws) == 2


def test_one_damaged_frame_leaves_its_neighbours() -> None:
    good = [plain.framed(plain.header(2, 3, serial=serial) + b"abc") for serial in range(3)]
    for at in range(len(good[1])):
        for flip in (0x01, 0x80, 0x7E):
            damaged = bytearray(good[1])
            damaged[at] ^= flip
            frames, leftovers, _ = cut([good[0] + bytes(damaged) + good[2]])
            held = [frames.raw(index) for index in np.flatnonzero(frames.checksum_ok & frames.length_ok).tolist()]
            assert held[0] == good[0]
            assert held[-1] == good[2]
            assert leftovers == [MARK]


def test_a_claimed_length_of_any_size_costs_nothing() -> None:
    frames, _, _ = cut([plain.framed(plain.header(0x0200, 0x3FF, number=b"\x10" + bytes(5)) + b"ab")])
    assert frames.checksum_ok.tolist() == [True]
    assert frames.length_ok.tolist() == frames.length_ok_905.tolist() == [False]
    assert frames.body(0) == b"ab"


def test_905_reads_all_sixteen_bits_of_the_length() -> None:
    body = bytes(0x4123)
    frames, _, _ = cut([plain.framed(b"\x08\x00\x41\x23" + b"\x10" + bytes(7) + body)])
    assert frames.length_ok_905.tolist() == [True]
    assert frames.length_ok.tolist() == [False]


def test_numbers_that_are_none() -> None:
    numbers = [bytes.fromhex(digits) for digits in ("4eb6fb4afd9e", "999999999999", "000000000000", "01234567890a")]
    frames, _, _ = cut([plain.framed(plain.header(2, 0, number=number)) for number in numbers])
    assert frames.number.tolist() == [NO_NUMBER, 999_999_999_999, 0, NO_NUMBER]


def test_nothing_and_silence() -> None:
    for pieces in ([], [b""], [b"", b""], [b"\x7e"], [b"\x7e\x7e\x7e"]):
        frames, leftovers, junk = cut(pieces)
        assert len(frames) == 0
        assert leftovers == [MARK if piece else b"" for piece in pieces]
        assert junk == []


def test_bodies_put_together_from_parts() -> None:
    bodies = [b"first\x7e", b"", b"third"]
    frames = of_bodies(bodies, 0x0704, version=[2013, 2019, 2013], number=7)
    assert [frames.body(index) for index in range(3)] == bodies
    assert frames.message_id.tolist() == [0x0704] * 3
    assert frames.version.tolist() == [2013, 2019, 2013]
    assert frames.checksum_ok.all()
    assert frames.source.tolist() == [0, 1, 2]
