from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import lru_cache

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.video import nal
from ingest.video.parameters import numbered, parameters_of
from model.errors import BadInput
from model.video import Packet, StreamInfo
from tests.ingest.video.material import CARPARK, DEFOCUS, STREET, clip_path, encoded, moving, real_packets


@pytest.mark.parametrize("name", [CARPARK, STREET, DEFOCUS])
def test_real_files_are_read_as_ffmpeg_reads_them(name: str) -> None:
    info = real_packets(name, limit=30)[0].info
    found = parameters_of(info)
    assert (found.width_px, found.height_px, found.bit_depth) == (info.width_px, info.height_px, 8)
    assert found.config[1:4] == info.extradata[1:4]
    assert found.codec_string == "avc1." + info.extradata[1:4].hex()
    with av.open(str(clip_path(name)), "r") as container:
        assert container.streams.video[0].codec_context.extradata == info.extradata


@pytest.mark.parametrize(
    ("codec", "pixel", "size", "text", "depth"),
    [
        ("libx264", "yuv420p", (320, 180), "avc1.42c0", 8),
        ("libx264", "yuv420p", (1920, 1080), "avc1.42c0", 8),
        ("libx264", "yuv422p10le", (318, 178), "avc1.7a00", 10),
        ("libx264", "yuv444p", (317, 179), "avc1.f400", 8),
        ("libx265", "yuv420p", (1920, 1080), "hvc1.1.6.", 8),
        ("libx265", "yuv420p", (322, 182), "hvc1.1.6.", 8),
        ("libx265", "yuv420p10le", (320, 180), "hvc1.2.4.", 10),
    ],
)
def test_sizes_depths_and_codec_strings(codec: str, pixel: str, size: tuple[int, int], text: str, depth: int) -> None:
    packets = encoded(moving(2, *size), codec=codec, pixel=pixel)
    found = parameters_of(replace(packets[0].info, extradata=b""), packets[0])
    assert (found.width_px, found.height_px, found.bit_depth) == (*size, depth)
    # What we write as avcC or hvcC decodes the stream without its own sets, and reads as the same again.
    told = StreamInfo(found.codec, 0, 0, found.config, 0, 1)
    assert parameters_of(told) == found
    context = av.CodecContext.create(found.codec, "r")
    context.extradata = found.config
    frames = context.decode(av.Packet(nal.with_lengths(packets[0].data, 0))) + context.decode(None)  # type: ignore[attr-defined]
    assert [(frame.width, frame.height) for frame in frames] == [size]
    level = f"{context.level:02x}" if codec == "libx264" else f"L{context.level}.90"
    assert found.codec_string == text + level


def test_sets_in_band_go_before_those_of_the_extradata() -> None:
    small, large = encoded(moving(1, 320, 180), in_band=False), encoded(moving(1, 640, 360))
    packet = replace(large[0], info=small[0].info)
    assert parameters_of(packet.info).width_px == 320
    assert parameters_of(packet.info, packet).width_px == 640
    assert parameters_of(small[0].info, small[0]).width_px == 320


def test_lengths_of_every_size_are_made_those_of_four_bytes() -> None:
    units = [b"\x67abc", b"\x68" * 200, b"\x65" * 300]
    assert nal.units(nal.annex_b(tuple(units)), 0) == units
    for size in (2, 3, 4):
        data = b"".join(len(unit).to_bytes(size, "big") + unit for unit in units)
        assert nal.units(data, size) == units
        assert nal.units(nal.with_lengths(data, size), 4) == units


def test_the_number_of_a_picture_grows_with_those_that_others_refer_to() -> None:
    packets = encoded(moving(12, 320, 180), gop=6, b_frames=0)
    parameters = parameters_of(packets[0].info, packets[0])
    found = [numbered(packet, parameters) for packet in packets]
    assert [number for number, _, _ in (each for each in found if each)] == [0, 1, 2, 3, 4, 5] * 2
    assert [each[2] for each in found if each] == [packet.keyframe for packet in packets]
    hevc = encoded(moving(1, 320, 180), codec="libx265")
    assert numbered(hevc[0], parameters_of(hevc[0].info, hevc[0])) is None


@given(
    codec=st.sampled_from(["h264", "hevc", "mjpeg"]),
    extradata=st.binary(max_size=80),
    data=st.binary(max_size=120),
    front=st.sampled_from([b"", b"\x01" + bytes(20), b"\x00\x00\x01\x67", b"\x00\x00\x01\x42\x01"]),
)
@settings(max_examples=300)
def test_whatever_bytes_come_they_are_read_or_refused(codec: str, extradata: bytes, data: bytes, front: bytes) -> None:
    info = StreamInfo(codec, 0, 0, front + extradata, 0, 1)
    packet = Packet(front + data, 0, 0, 0, 0, True, False, info)
    with contextlib.suppress(BadInput):
        found = parameters_of(info, packet)
        assert 0 < found.width_px <= 65_535
        numbered(packet, found)
    for size in range(5):
        assert sum(map(len, nal.units(packet.data, size))) <= len(packet.data)
    nal.length_size(info.extradata)


@given(
    codec=st.sampled_from(["libx264", "libx265"]),
    damage=st.lists(st.tuples(st.integers(0, 119), st.integers(0, 255)), min_size=1, max_size=6),
)
@settings(max_examples=150)
def test_damaged_parameter_sets_are_read_or_refused(codec: str, damage: list[tuple[int, int]]) -> None:
    packet = _keyframe(codec)
    bad = bytearray(packet.data[:300])
    for position, value in damage:
        bad[position % len(bad)] = value
    with contextlib.suppress(BadInput):
        found = parameters_of(replace(packet.info, extradata=b""), replace(packet, data=bytes(bad)))
        assert found.width_px * found.height_px < 1 << 32


@lru_cache(maxsize=2)
def _keyframe(codec: str) -> Packet:
    return encoded(moving(1, 320, 180), codec=codec)[0]
