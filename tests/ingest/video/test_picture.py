from __future__ import annotations

import cv2
import numpy as np
import pytest

from ingest.video.decoding import Picture, PictureDecoder
from ingest.video.jpeg import jpeg_of, picture_at
from ingest.video.picture import halved
from model.errors import NotFound
from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX, Bgr
from tests.ingest.video.material import CARPARK, START_MS, encoded, moving, real_packets


def _one(picture: Bgr, **given: object) -> Picture:
    packets = encoded([picture], options={"crf": "1"}, **given)  # type: ignore[arg-type]
    decoder = PictureDecoder(packets[0].info, fast=False)
    found = decoder.keyframe_only(packets[0])
    assert found is not None
    return found


def _soft(width: int, height: int) -> Bgr:
    """A picture of soft blobs in colour, which no scaling spoils."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [
        128 + 100 * np.sin(columns / width * 9 + phase) * np.cos(rows / height * 7 + phase) for phase in (0.0, 1.0, 2.0)
    ]
    return np.stack(planes, -1).astype(np.uint8)


def test_luma_is_a_view() -> None:
    picture = _one(_soft(350, 182))
    assert picture.luma.shape == (182, 350)
    assert picture.luma.base is not None
    assert picture.luma.strides[0] >= 350
    assert picture.luma is picture.luma


@pytest.mark.parametrize(
    "size", [(1920, 1080), (1280, 720), (768, 432), (640, 360), (704, 576), (352, 288), (190, 100)]
)
def test_thumbnails_show_the_whole_picture(size: tuple[int, int]) -> None:
    picture = _one(_soft(*size))
    thumb = np.zeros((THUMB_HEIGHT_PX, THUMB_WIDTH_PX), np.uint8)
    picture.thumbnail(thumb)
    expected = cv2.resize(picture.luma, (THUMB_WIDTH_PX, THUMB_HEIGHT_PX), interpolation=cv2.INTER_AREA)
    assert np.abs(thumb.astype(np.int16) - expected).max() <= 6


def test_fine_patterns_do_not_alias() -> None:
    stripes = np.zeros((720, 1280), np.uint8)
    stripes[:, ::2] = 200
    assert np.ptp(halved(stripes, THUMB_WIDTH_PX, THUMB_HEIGHT_PX)) <= 1
    assert np.ptp(stripes[::6, ::6][:, ::3]) == 200 or np.ptp(cv2.resize(stripes, (192, 108))) > 100, "it could"


@pytest.mark.parametrize("pixel", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_crops_have_the_right_colours(pixel: str) -> None:
    source = _soft(320, 180)
    picture = _one(source, pixel=pixel)
    whole = picture.bgr()
    assert whole.shape == (180, 320, 3)
    assert np.abs(whole.astype(np.int16) - source).mean() < 4
    crop = picture.bgr((41, 21, 99, 77))
    assert crop.shape == (58, 60, 3), "odd edges grow to even ones"
    assert np.array_equal(crop, whole[20:78, 40:100])
    small = picture.bgr((0, 0, 320, 180), max_side_px=100)
    assert small.shape == (56, 100, 3)
    expected = cv2.resize(source, (100, 56), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(np.int16) - expected).mean() < 5
    assert picture.luma.dtype == np.uint8
    assert np.abs(picture.colours().astype(np.int16) - source).mean() < 4


@pytest.mark.parametrize("box", [(-50, -50, 1000, 1000), (300, 170, 400, 400), (10, 10, 10, 50), (500, 0, 600, 10)])
def test_a_box_beyond_the_edge_is_cut(box: tuple[int, int, int, int]) -> None:
    crop = _one(_soft(321, 181), pixel="yuv444p").bgr(box)
    left, top, right, bottom = max(0, box[0]), max(0, box[1]), min(320, box[2]), min(180, box[3])
    expected = (bottom - top, right - left, 3) if right > left and bottom > top else (0, 0, 3)
    assert crop.shape == expected


def test_a_snapshot_is_a_jpeg_of_the_moment_without_metadata() -> None:
    packets = real_packets(CARPARK, limit=120)
    picture = picture_at(packets, START_MS + 3_000)
    assert picture.time_ms == max(packet.time_ms for packet in packets if packet.time_ms <= START_MS + 3_000)
    data = jpeg_of(picture, quality=90)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (432, 768, 3)
    assert b"Exif" not in data
    small = cv2.imdecode(np.frombuffer(jpeg_of(picture, max_width_px=300), np.uint8), cv2.IMREAD_COLOR)
    assert small is not None
    assert small.shape == (169, 300, 3)
    assert np.abs(image.astype(np.int16) - picture.bgr()).mean() < 3


def test_the_newest_picture_and_where_there_is_none() -> None:
    packets = encoded(moving(25, 320, 180), gop=10, b_frames=2)
    assert picture_at(packets).pts == max(packet.pts for packet in packets)
    assert picture_at(packets, START_MS + 700).pts == 10 * 6000
    broken = [*packets[:12], *(packet for packet in packets[12:] if not packet.keyframe)]
    assert 10 * 6000 < picture_at(broken).pts < 20 * 6000
    for nothing in ([], packets[1:5]):
        with pytest.raises(NotFound):
            picture_at(nothing)
