"""Parameter sets found in real pictures of two encoders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.video.parameter_sets import MAX_SETS, changed, is_annex_b, joined, parameter_sets, picture_size
from tests.rtsp import encoded


@pytest.mark.parametrize(("codec", "kinds"), [("h264", [7, 8]), ("hevc", [32, 33, 34])])
def test_a_keyframe_has_them_and_another_picture_has_none(codec: str, kinds: list[int]) -> None:
    coded = encoded(codec=codec, frames=12)
    sets = parameter_sets(codec, coded[0][0])
    assert [unit[0] >> 1 & 0x3F if codec == "hevc" else unit[0] & 0x1F for unit in sets] == kinds
    assert parameter_sets(codec, coded[1][0]) == ()
    assert parameter_sets(codec, joined(sets)) == sets
    assert picture_size(codec, coded[0][0]) == (192, 108)
    assert is_annex_b(joined(sets))


def test_what_is_new() -> None:
    one = parameter_sets("h264", encoded(frames=1)[0][0])
    other = parameter_sets("h264", encoded(frames=1, width_px=256, height_px=144)[0][0])
    assert changed("h264", one, one) is None
    assert changed("h264", one, one[:1]) is None
    assert changed("h264", (), one) == one
    assert changed("h264", one, other) == other
    another_pps = (one[0], b"\x68\x01\x02")
    assert changed("h264", one, another_pps) == (*one, another_pps[1])


@given(st.binary(max_size=300), st.sampled_from(["h264", "hevc"]))
def test_any_bytes(data: bytes, codec: str) -> None:
    assert len(parameter_sets(codec, data.replace(b"\xff", b"\0\0\1"))) <= MAX_SETS


def test_a_size_that_is_not_there() -> None:
    assert picture_size("h264", b"\0\0\1\x09\xf0" * 20) == (0, 0)
