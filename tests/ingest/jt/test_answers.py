"""General replies have the header form of what they answer."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.jt.answers import answers
from ingest.jt.columns import cut
from tests.ingest.jt import plain
from tests.ingest.jt.frames import BYTE

_BYTES_6 = st.lists(BYTE, min_size=6, max_size=6).map(bytes)


@given(
    st.lists(
        st.tuples(
            _BYTES_6,
            st.booleans(),
            st.integers(0, 65_535),
            st.integers(0, 65_535),
            st.integers(0, 4),
            st.integers(0, 80_000),
        ),
        max_size=6,
    )
)
def test_as_written_by_hand(asked: list[tuple[bytes, bool, int, int, int, int]]) -> None:
    stream = b"".join(
        plain.framed(plain.header(message_id, 0, number=number, serial=serial, wide=wide))
        for number, wide, message_id, serial, _, _ in asked
    )
    frames, _, _ = cut([stream])
    rows = np.arange(len(asked))[::-1]
    results = np.array([one[4] for one in asked], np.uint8)[rows]
    serials = np.array([one[5] for one in asked], np.int64)[rows]
    made = answers(frames, rows, results, serials)
    assert made == [
        plain.framed(
            plain.header(0x8001, 5, number=number, serial=own % 65_536, wide=wide)
            + struct.pack(">HHB", serial, message_id, result)
        )
        for number, wide, message_id, serial, result, own in reversed(asked)
    ]


def test_one_result_and_one_serial_for_all_and_905() -> None:
    long_905 = b"\x08\x00\x40\x01" + b"\x10\x80\x00\x00\x03\x16" + b"\x00\x09" + bytes(0x4001)
    frames, _, _ = cut([plain.framed(plain.header(0x0200, 0, serial=3)), plain.framed(long_905)])
    narrow = answers(frames, np.array([1]), 0, 7, narrow=True)
    assert narrow == [plain.framed(bytes.fromhex("80010005108000000316000700090800") + b"\0")]
    assert (
        answers(frames, np.array([0, 0]), 1, 7)
        == [plain.framed(bytes.fromhex("80010005000000000000000700030200") + b"\1")] * 2
    )
    assert answers(frames, np.array([], np.int64), 0, 0) == []


def test_the_version_byte_is_kept() -> None:
    asked = plain.header(0x0200, 0, number=b"\x12" * 10, serial=3, wide=True)
    frames, _, _ = cut([plain.framed(asked[:4] + b"\x02" + asked[5:])])
    frames_answer, _, _ = cut(answers(frames, np.array([0]), 0, 9))
    assert frames_answer.version.tolist() == [2019]
    assert frames_answer.length_ok.tolist() == frames_answer.checksum_ok.tolist() == [True]
    assert frames_answer.data[frames_answer.start[0] + 4] == 2
    assert frames_answer.number.tolist() == frames.number.tolist()
    assert frames_answer.body(0) == bytes.fromhex("0003020000")
