"""Frames of GT06: the checksum, cut from a stream at any place, found again after damage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.gt06.frame import close_frame, crc_x25, open_frame, split
from ingest.wire.reader import Malformed
from tests.ingest.gt06.conftest import frames_of
from tests.ingest.wire.strategies import broken, refusal

#: Those whose checksum does not hold, and those that are no frame: index in gt06.json and what a reader of the spec says.
BAD_CHECKSUMS = {18, 26, 83, 84, 87}
_NO_LENGTH = "length: is 0, less than the 5 of number, serial and checksum"
NO_FRAMES = {
    19: "length: says 26 bytes and the frame has 27",  # and no checksum in front of the stop
    35: "length: says 65 bytes and the frame has 64",  # the last byte is cut off
    38: _NO_LENGTH,  # networks around, of makers that write their count where the length belongs
    50: _NO_LENGTH,
    51: _NO_LENGTH,
    52: _NO_LENGTH,
    53: "length: says 13 bytes and the frame has 102",
    80: _NO_LENGTH,
}


def slow_crc(data: bytes) -> int:
    """CRC-16/X.25 bit by bit, as it is defined."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc ^ 0xFFFF


def raws() -> list[bytes]:
    return [bytes.fromhex(one["data"]) for one in frames_of("gt06.json")]


@given(st.binary(max_size=300))
@settings(max_examples=60)
def test_the_checksum_is_the_one_that_is_defined(data: bytes) -> None:
    assert crc_x25(data) == slow_crc(data)


def test_the_checksum_of_the_standard_text() -> None:
    assert crc_x25(b"123456789") == 0x906E


def test_every_foreign_frame_opens_or_is_refused_with_its_reason() -> None:
    wrong = set()
    for index, raw in enumerate(raws()):
        if index in NO_FRAMES:
            with pytest.raises(Malformed) as refused:
                open_frame(raw)
            assert str(refused.value) == NO_FRAMES[index]
            continue
        opened = open_frame(raw)
        if not opened.checksum_ok:
            wrong.add(index)
        else:
            assert close_frame(opened.message_id, opened.body, opened.serial, long=opened.long) == raw
    assert wrong == BAD_CHECKSUMS


def test_the_foreign_frames_in_one_stream() -> None:
    """What is no frame costs itself alone, and every byte is somewhere."""
    stream = b"".join(raws())
    frames, leftover, junk = split(stream)
    assert frames == [raw for index, raw in enumerate(raws()) if index not in NO_FRAMES]
    assert leftover == b""
    assert b"".join(junk) == b"".join(raw for index, raw in enumerate(raws()) if index in NO_FRAMES)


@given(
    bodies=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40), st.booleans()), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 300), max_size=4),
)
@settings(max_examples=60)
def test_a_stream_cut_anywhere_gives_the_same_frames(bodies: list[tuple[int, bytes, bool]], cuts: list[int]) -> None:
    sent = [close_frame(number, body, 7, long=long) for number, body, long in bodies]
    stream = b"".join(sent)
    ends = [*sorted({min(cut, len(stream)) for cut in cuts}), len(stream)]
    got: list[bytes] = []
    rest, start = b"", 0
    for end in ends:
        frames, rest, junk = split(rest + stream[start:end])
        got += frames
        assert junk == []
        start = end
    assert (got, rest) == (sent, b"")


def test_byte_by_byte() -> None:
    sent = [raw for index, raw in enumerate(raws()) if index not in NO_FRAMES][:12]
    rest, got = b"", []
    for byte in b"".join(sent):
        frames, rest, junk = split(rest + bytes((byte,)))
        got += frames
        assert junk == []
    assert got == sent


@given(data=st.data())
@settings(max_examples=150)
def test_damage_raises_nothing_loses_no_byte_and_no_whole_frame_behind_it(data: st.DataObject) -> None:
    first = close_frame(0x12, data.draw(st.binary(min_size=5, max_size=40)), 1, long=data.draw(st.booleans()))
    damaged = data.draw(broken(first))
    behind = [close_frame(0x13, b"\x40\x06\x04\x00\x01", serial) for serial in range(2, 5)]
    stream = damaged + b"".join(behind)
    frames, leftover, junk = split(stream)
    assert len(b"".join(frames)) + len(leftover) + sum(map(len, junk)) == len(stream)
    assert frames[-2:] == behind[-2:]
    for raw in frames:
        open_frame(raw)


def test_a_length_that_lies_waits_for_no_frame_that_never_comes() -> None:
    """The length was 0x0a and is 0xfa: the frame behind shows that it lies."""
    good = close_frame(0x13, b"\x40\x06\x04\x00\x01", 2)
    lying = good[:2] + b"\xfa" + good[3:]
    assert split(lying) == ([], lying, [])
    assert split(lying + good) == ([good], b"", [lying])


@pytest.mark.parametrize("head", [b"", b"noise", b"xx"])
def test_a_length_that_lies_and_ends_where_another_frame_does_costs_that_one_nothing(head: bytes) -> None:
    """28 + 36 bytes: the turned over bit of the length, 64, makes one frame of three."""
    first, second = close_frame(0x10, bytes(18), 1), close_frame(0x10, bytes(18), 2)
    third = close_frame(0x12, bytes(26), 3)
    lying = first[:2] + bytes((first[2] ^ 64,)) + first[3:]
    assert split(head + lying + second + third) == ([second, third], b"", [head + lying])
    # Three bytes of noise that are just the head of a frame as long as the one behind it.
    noise = b"xx" + bytes((len(first) - 2,))
    assert split(noise + first) == ([first], b"", [noise])


def test_an_endless_length_is_damage_at_once() -> None:
    head = b"\x79\x79\xff\xff" + bytes(20)
    frames, leftover, junk = split(head)
    assert (frames, leftover, junk) == ([], b"", [head])


def test_half_a_mark_waits() -> None:
    good = close_frame(0x13, b"\x40\x06\x04\x00\x01", 2)
    assert split(b"noise\x78") == ([], b"\x78", [b"noise"])
    assert split(b"\x78" + good[1:]) == ([good], b"", [])


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "has 0 bytes"),
        (b"\x78\x79\x05\x01\0\0\0\0\r\n", "start: is 7879"),
        (b"\x78\x78\x04\x01\0\0\0\r\n", "length: is 4"),
        (b"\x78\x78\x05\x01\0\0\0\0\r\r", "stop: is 0d0d"),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, what: str) -> None:
    with pytest.raises(Malformed, match=what):
        open_frame(raw)


@given(st.binary(max_size=60))
@settings(max_examples=100)
def test_random_bytes_are_malformed_and_nothing_worse(raw: bytes) -> None:
    refusal(lambda: open_frame(raw))
    refusal(lambda: open_frame(b"\x78\x78" + raw))


def test_a_body_that_is_too_long_is_long_then_malformed() -> None:
    assert close_frame(0x21, bytes(250), 0)[:2] == b"\x78\x78"
    assert close_frame(0x21, bytes(251), 0)[:2] == b"\x79\x79"
    with pytest.raises(Malformed, match="do not fit a frame"):
        close_frame(0x21, bytes(65_531), 0)
