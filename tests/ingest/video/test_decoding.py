from __future__ import annotations

import random
from dataclasses import replace

import cv2
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.video.decoding import Picture, PictureDecoder
from model.video import Luma, Packet
from tests.ingest.video.material import CARPARK, DEFOCUS, HALL, MOVED, STREET, encoded, luma_of, moving, real_packets

SEED = random.randrange(1 << 32)


def _pictures(packets: list[Packet] | tuple[Packet, ...], decoder: PictureDecoder | None = None) -> dict[int, Luma]:
    decoder = decoder or PictureDecoder(packets[0].info, fast=False)
    found = [picture for packet in packets for picture in decoder.decode(packet)] + decoder.drain()
    assert all(not picture.corrupt for picture in found)
    assert decoder.decoded == len(found)
    return {picture.pts: luma_of(picture.planes()) for picture in found}


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_every_picture_comes_in_order_with_its_time(codec: str, b_frames: int) -> None:
    pictures = moving(25, 320, 180)
    packets = encoded(pictures, codec=codec, b_frames=b_frames)
    decoder = PictureDecoder(packets[0].info, fast=False)
    found = [picture for packet in packets for picture in decoder.decode(packet)] + decoder.drain()
    assert [picture.pts for picture in found] == [index * 6000 for index in range(25)]
    assert [picture.time_ms for picture in found] == sorted(packet.time_ms for packet in packets)
    assert (decoder.errors, decoder.quarantined, decoder.gaps) == (0, 0, 0)
    for picture, source in zip(found, pictures, strict=True):
        luma = cv2.cvtColor(source, cv2.COLOR_BGR2YUV_I420)[:180]
        assert np.abs(picture.luma.astype(np.int16) - luma).mean() < 3


@pytest.mark.parametrize("name", [CARPARK, HALL, DEFOCUS, MOVED])
def test_clean_clips_show_no_gap(name: str) -> None:
    packets = real_packets(name, limit=150)
    decoder = PictureDecoder(packets[0].info)
    assert len(_pictures(packets, decoder)) == len(packets)
    assert (decoder.errors, decoder.quarantined, decoder.gaps) == (0, 0, 0)


@pytest.mark.parametrize("name", [CARPARK, DEFOCUS, STREET])
def test_nothing_spoilt_comes_out_when_packets_are_lost_or_cut(name: str) -> None:
    packets = list(real_packets(name, limit=260))
    packets = packets[next(index for index, packet in enumerate(packets) if packet.keyframe) :][:200]
    clean = _pictures(packets)
    print(f"seed {SEED}")
    generator = random.Random(SEED)
    for kind in ("lost", "cut", "flagged"):
        hit = set(generator.sample(range(1, len(packets)), 3))
        if kind == "lost":
            given_packets = [packet for index, packet in enumerate(packets) if index not in hit]
        elif kind == "cut":
            given_packets = [
                replace(packet, data=packet.data[: len(packet.data) // 2]) if index in hit else packet
                for index, packet in enumerate(packets)
            ]
        else:
            given_packets = [
                replace(packet, corrupt=index in hit, data=packet.data[::-1] if index in hit else packet.data)
                for index, packet in enumerate(packets)
            ]
        decoder = PictureDecoder(packets[0].info, fast=False)
        shown = _pictures(given_packets, decoder)
        spoilt = [pts for pts, luma in shown.items() if not np.array_equal(luma, clean[pts])]
        assert spoilt == [], f"{kind} {sorted(hit)}"
        assert decoder.quarantined > 0
        if all(packet.pts == packet.dts for packet in packets):
            assert sorted(shown) == [pts for pts in _unspoilt(packets, hit) if pts in clean], f"{kind} {sorted(hit)}"


def _unspoilt(packets: list[Packet], hit: set[int]) -> list[int]:
    """Presentation times of the packets that no hit lies before, back to their keyframe."""
    found: list[int] = []
    spoilt = False
    for index, packet in enumerate(packets):
        spoilt = index in hit or (spoilt and not packet.keyframe)
        if not spoilt:
            found.append(packet.pts)
    return found


def test_a_quarantine_ends_with_the_next_keyframe() -> None:
    packets = encoded(moving(40, 320, 180), gop=10)
    packets[13] = replace(packets[13], corrupt=True)
    packets[25] = replace(packets[25], data=b"\x00\x00\x00\x01\x41\x9a")
    decoder = PictureDecoder(packets[0].info)
    shown = [picture.pts // 6000 for packet in packets for picture in decoder.decode(packet)]
    assert shown == [*range(13), *range(20, 25), *range(30, 40)]
    assert decoder.quarantined == 7 + 5
    assert decoder.errors == 1


def test_the_bytes_after_a_cut_packet_are_never_read() -> None:
    # A decoder that reads on past the end of a cut packet sees whatever lies there, another each time.
    packets = encoded(moving(30, 320, 180), codec="libx265", gop=15)
    packets = [replace(packet, data=packet.data[: len(packet.data) // 2]) for packet in packets]
    first = _pictures(packets)
    for _ in range(5):
        again = _pictures(packets)
        assert again.keys() == first.keys()
        assert all(np.array_equal(luma, first[pts]) for pts, luma in again.items())


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_keyframe_is_a_picture_at_once(codec: str, b_frames: int) -> None:
    packets = encoded(moving(30, 320, 180), codec=codec, b_frames=b_frames, gop=10)
    whole = _pictures(packets)
    decoder = PictureDecoder(packets[0].info, fast=False)
    for packet in packets:
        picture = decoder.keyframe_only(packet)
        assert (picture is not None) == packet.keyframe
        if picture is not None:
            assert (picture.pts, picture.time_ms) == (packet.pts, packet.time_ms)
            assert np.array_equal(picture.luma, whole[packet.pts])
    assert decoder.decode(packets[1]) == [], "what follows a keyframe decoded by itself waits for the next"
    assert decoder.errors == 0


def test_a_change_of_size_is_followed() -> None:
    small, large = encoded(moving(12, 320, 180)), encoded(moving(12, 640, 360), epoch=2)
    decoder = PictureDecoder(small[0].info)
    sizes = [picture.luma.shape for packet in [*small, *large] for picture in decoder.decode(packet)]
    assert sizes == [(180, 320)] * 12 + [(360, 640)] * 12
    bare = replace(small[0].info, extradata=b"")
    decoder = PictureDecoder(bare)
    packets = [replace(packet, info=bare) for packet in [*small, *large]]
    assert {picture.luma.shape for packet in packets for picture in decoder.decode(packet)} == {(180, 320), (360, 640)}


def test_too_large_a_picture_is_refused_before_it_is_decoded() -> None:
    packets = encoded(moving(12, 640, 360), gop=10)
    decoder = PictureDecoder(packets[0].info, max_pixels=640 * 360 - 1)
    assert [decoder.decode(packet) for packet in packets] == [[]] * 12
    assert (decoder.refused, decoder.errors, decoder.decoded) == (2, 0, 0)
    assert decoder.keyframe_only(packets[0]) is None
    # Libav holds the same limit where the size is not in what we read.
    assert decoder._context is not None
    hidden = replace(packets[0], info=replace(packets[0].info, width_px=0, height_px=0, extradata=b""))
    decoder = PictureDecoder(hidden.info, max_pixels=640 * 360 - 1)
    decoder._too_large = lambda packet: False  # type: ignore[method-assign]
    assert decoder.decode(hidden) == []
    assert decoder.errors == 1


def test_another_codec_and_a_closed_decoder_give_nothing() -> None:
    packets = encoded(moving(2, 320, 180))
    odd = replace(packets[0], info=replace(packets[0].info, codec="mjpeg"))
    assert PictureDecoder(odd.info).decode(odd) == []
    decoder = PictureDecoder(packets[0].info)
    decoder.close()
    assert decoder.decode(packets[0]) == []
    assert decoder.drain() == []


def test_memory_is_flat() -> None:
    packets = encoded(moving(50, 128, 96), gop=10)
    decoder = PictureDecoder(packets[0].info)
    thumb = np.zeros((108, 192), np.uint8)

    def run(rounds: int) -> int:
        for number in range(rounds):
            for packet in packets:
                at = packet.pts + number * 300_000
                for picture in decoder.decode(replace(packet, pts=at, dts=at)):
                    picture.thumbnail(thumb)
                    picture.bgr((10, 10, 60, 60), max_side_px=32)
        return psutil.Process().memory_info().rss

    run(20)
    before = run(40)
    after = run(160)
    assert decoder.decoded == 220 * 50
    assert after - before < 4 << 20, f"{(after - before) >> 10} KiB more after 8,000 pictures"


@given(
    choice=st.lists(
        st.tuples(st.integers(0, 29), st.booleans(), st.integers(0, 400), st.integers(0, 255)), max_size=40
    ),
    codec=st.sampled_from(["libx264", "libx265"]),
)
@settings(max_examples=40)
def test_whatever_comes_in_whatever_order_nothing_raises(choice: list[tuple[int, bool, int, int]], codec: str) -> None:
    packets = _SOURCES.get(codec) or _SOURCES.setdefault(codec, encoded(moving(30, 160, 96), codec=codec, b_frames=1))
    decoder = PictureDecoder(packets[0].info)
    for index, alone, position, value in choice:
        data = bytearray(packets[index].data)
        data[position % len(data)] = value
        packet = replace(packets[index], data=bytes(data))
        found: list[Picture] = []
        if alone:
            picture = decoder.keyframe_only(packet)
            found = [picture] if picture is not None else []
        else:
            found = decoder.decode(packet)
        assert all(picture.luma.ndim == 2 for picture in found)
    decoder.drain()


_SOURCES: dict[str, list[Packet]] = {}
