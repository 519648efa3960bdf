"""Masked cameras, end to end: nothing of what is masked is in the ring, a clip, a snapshot or live view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.video.clip import make_clip
from ingest.video.decoding import PictureDecoder
from ingest.video.fragments import Fragmenter
from ingest.video.jpeg import jpeg_of, picture_at
from ingest.video.masks import BORDER_PX, Masks
from ingest.video.ring import PacketRing
from ingest.video.transcoding import MaskedStream, Transcoder
from model.camera import Place
from model.video import Packet
from tests.ingest.video.material import CARPARK, decoded, encoded, moving, real_packets

MASKS: list[tuple[Place, ...]] = [
    ((0.1, 0.1), (0.5, 0.15), (0.45, 0.6), (0.12, 0.5)),
    ((0.7, 0.7), (1.0, 0.7), (1.0, 1.0), (0.7, 1.0)),
]
#: Luma of a masked pixel after our own encoding: black, and a little ringing.
MAX_LUMA = 40


def _inside(width: int, height: int, polygons: Sequence[Sequence[Place]]) -> npt.NDArray[np.bool_]:
    """Pixels whose centre lies in a polygon: worked out for each by itself."""
    found = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        corners = np.array([(x * width, y * height) for x, y in polygon], np.float32)
        for row in range(height):
            for column in range(width):
                found[row, column] |= cv2.pointPolygonTest(corners, (column + 0.5, row + 0.5), measureDist=False) >= 0
    return found


def _noisy(count: int, width: int, height: int) -> list[npt.NDArray[np.uint8]]:
    """Bright pictures, so that whatever is left of one shows."""
    return [np.maximum(picture, 150) for picture in moving(count, width, height)]


def test_a_mask_covers_every_pixel_that_it_touches_and_little_more() -> None:
    inside = _inside(160, 90, MASKS)
    covered = Masks(MASKS).covered(160, 90)
    assert not (inside & ~covered).any()
    allowed = cv2.dilate(inside.astype(np.uint8), np.ones((2 * BORDER_PX + 5, 2 * BORDER_PX + 5), np.uint8)) > 0
    assert not (covered & ~allowed).any()


@given(
    corners=st.lists(st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2)), min_size=3, max_size=6),
    size=st.sampled_from([(64, 36), (65, 37), (66, 36), (17, 90)]),
)
@settings(max_examples=30)
def test_whatever_the_polygon_no_pixel_is_left(corners: list[Place], size: tuple[int, int]) -> None:
    within = [(min(1.0, max(0.0, x)), min(1.0, max(0.0, y))) for x, y in corners]
    covered = Masks([corners]).covered(*size)
    assert covered.shape == (size[1], size[0])
    assert not (_inside(*size, [within]) & ~covered).any()


def test_nothing_masked_is_anywhere_behind_the_stream() -> None:
    packets = encoded(_noisy(45, 320, 180), gop=15, b_frames=2)
    stream = MaskedStream(packets[0].info, MASKS)
    ring = PacketRing()
    fragmenter = Fragmenter("camera/1", packets[0].info, transcoded=True)
    live = []
    for made in [*(stream.push(packet) for packet in packets), stream.finish()]:
        for packet in made:
            assert ring.append(packet)
            live += fragmenter.push(packet)
    covered = Masks(MASKS).covered(320, 180)
    masked = ring.since_keyframe(0)
    assert [packet.time_ms for packet in masked] == sorted(packet.time_ms for packet in packets)
    assert {packet.data for packet in masked}.isdisjoint(packet.data for packet in packets)
    clip = make_clip(masked, transcoded=True)
    snapshot = cv2.imdecode(np.frombuffer(jpeg_of(picture_at(masked)), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert snapshot is not None
    shown = [*decoded(clip.data), *decoded(b"".join(fragment.data for fragment in live))]
    assert len(shown) == 90
    for luma in [*shown, np.asarray(snapshot, np.uint8)]:
        assert luma[covered].max() <= MAX_LUMA
        assert luma[~covered].mean() > 120
    # The mask would show if it were not burned in: the same pictures without it.
    assert all(luma[covered].min() > 100 for luma in decoded(make_clip(packets).data))


def test_masked_colours_are_grey() -> None:
    red = np.zeros((180, 320, 3), np.uint8)
    red[:, :, 2] = 255
    packets = encoded([red] * 3)
    stream = MaskedStream(packets[0].info, MASKS)
    masked = [made for packet in packets for made in stream.push(packet)]
    bgr = picture_at(masked).bgr()
    covered = Masks(MASKS).covered(320, 180)
    assert bgr[covered].max() < 60
    assert bgr[5, 200, 2] > 200


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_pictures_that_are_not_clean_are_not_passed_on(codec: str) -> None:
    packets = encoded(_noisy(40, 320, 180), codec=codec, gop=10)
    packets[13] = replace(packets[13], corrupt=True)
    packets[27] = replace(
        packets[27], data=b"\x00\x00\x00\x01\x02\x01nothing" if codec == "libx265" else b"\x00\x00\x01\x41"
    )
    stream = MaskedStream(packets[0].info, MASKS)
    made = [packet for given_packet in packets for packet in stream.push(given_packet)] + stream.finish()
    if codec == "libx264":
        assert [packet.pts // 6000 for packet in made] == [*range(13), *range(20, 27), *range(30, 40)]
    assert {packet.pts // 6000 for packet in made}.isdisjoint(range(13, 20))
    covered = Masks(MASKS).covered(320, 180)
    for luma in decoded(make_clip(made).data):
        assert luma[covered].max() <= MAX_LUMA


def test_a_stream_without_masks_is_refused() -> None:
    info = encoded(moving(1, 320, 180))[0].info
    with pytest.raises(ValueError, match="masks"):
        MaskedStream(info, [])
    with pytest.raises(ValueError, match="masks"):
        MaskedStream(info, [((0.1, 0.1), (0.2, 0.2))])


def _through(stream: Transcoder, packets: Sequence[Packet]) -> list[Packet]:
    return [made for packet in packets for made in stream.push(packet)] + stream.finish()


def test_times_keyframes_and_parameters_of_a_transcoded_stream() -> None:
    packets = real_packets(CARPARK, limit=120)
    stream = Transcoder(packets[0].info, gop_s=1.0, max_width_px=384)
    made = _through(stream, packets)
    assert [(packet.pts, packet.time_ms) for packet in made] == [(packet.pts, packet.time_ms) for packet in packets]
    assert all(packet.dts == packet.pts and packet.info is stream.info for packet in made)
    assert made[0].info.codec == "h264"
    assert (made[0].info.width_px, made[0].info.height_px) == (384, 216)
    keyframes = [packet.pts for packet in made if packet.keyframe]
    assert len(keyframes) == pytest.approx((packets[-1].pts - packets[0].pts) / 90_000, abs=1.5)
    assert len(decoded(make_clip(made).data)) == 120
    assert stream.errors == 0


def test_a_new_size_or_connection_begins_a_new_stream() -> None:
    small = encoded(moving(8, 322, 182), codec="libx265")
    large = encoded(moving(8, 640, 360), epoch=2, start_ms=small[-1].time_ms + 5_000)
    stream = Transcoder(small[0].info)
    made = _through(stream, [*small, *large])
    assert [packet.keyframe for packet in made] == [True, *[False] * 7] * 2
    assert [(packet.info.width_px, packet.info.epoch) for packet in made[::8]] == [(322, 1), (640, 2)]
    assert made[8].time_ms == large[0].time_ms


def test_pictures_of_ten_bits_and_odd_sides_become_plain_ones() -> None:
    for pixel, size in (("yuv420p10le", (320, 180)), ("yuv444p", (321, 181))):
        packets = encoded(moving(5, *size), pixel=pixel)
        made = _through(Transcoder(packets[0].info), packets)
        assert (made[0].info.width_px, made[0].info.height_px) == (320, 180)
        decoder = PictureDecoder(made[0].info)
        assert [picture.frame.format.name for packet in made for picture in decoder.decode(packet)] == ["yuv420p"] * 5


def test_a_clock_that_goes_back_does_not_stop_it() -> None:
    packets = encoded(moving(30, 320, 180), gop=10)
    back = [replace(packet, pts=packet.pts - 9_000_000, dts=packet.dts - 9_000_000) for packet in packets[10:]]
    stream = Transcoder(packets[0].info)
    made = _through(stream, [*packets[:10], *back])
    assert len(made) == 30
    assert made[10].keyframe
