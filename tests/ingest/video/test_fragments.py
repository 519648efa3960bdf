from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise

import pytest

from ingest.video import nal
from ingest.video.fragments import Fragmenter
from model.video import Fragment, Packet
from tests.ingest.video.material import (
    CARPARK,
    START_MS,
    STREET,
    decoded,
    encoded,
    moving,
    real_packets,
    samples_in,
)

CAMERA = "camera/1"


def _all(packets: list[Packet] | tuple[Packet, ...]) -> list[Fragment]:
    fragmenter = Fragmenter(CAMERA, packets[0].info)
    return [fragment for packet in packets for fragment in fragmenter.push(packet)]


def _decoding(fragment: Fragment) -> tuple[int, int]:
    """Decoding time and duration of the one sample of a fragment, read from its boxes."""
    at = fragment.data.index(b"tfdt")
    (decode,) = struct.unpack(">Q", fragment.data[at + 8 : at + 16])
    at = fragment.data.index(b"trun")
    flags, count, _, duration = struct.unpack(">IIiI", fragment.data[at + 4 : at + 20])
    assert (flags, count) == (1 << 24 | 0xF01, 1)
    return decode, duration


def _no_holes(fragments: list[Fragment]) -> None:
    media = [_decoding(fragment) for fragment in fragments if fragment.kind == "media"]
    assert all(before[0] + before[1] == after[0] for before, after in pairwise(media))
    # Chromium takes a distance of more than two durations for a jump.
    assert all(after[0] - before[0] <= 2 * before[1] for before, after in pairwise(media))


@pytest.mark.parametrize("name", [CARPARK, STREET])
def test_a_real_clip_in_pieces_is_the_same_packets(name: str) -> None:
    packets = real_packets(name)
    packets = packets[next(index for index, packet in enumerate(packets) if packet.keyframe) :]
    fragments = _all(packets)
    assert [fragment.kind for fragment in fragments] == ["init"] + ["media"] * len(packets)
    assert [fragment.keyframe for fragment in fragments[1:]] == [packet.keyframe for packet in packets]
    assert [fragment.time_ms for fragment in fragments[1:]] == [packet.time_ms for packet in packets]
    _no_holes(fragments)
    found = samples_in(b"".join(fragment.data for fragment in fragments))
    assert [sample for sample, _, _, _ in found] == [packet.data for packet in packets]
    assert [keyframe for _, _, _, keyframe in found] == [packet.keyframe for packet in packets]
    overhead = sum(len(fragment.data) for fragment in fragments[1:]) - sum(len(packet.data) for packet in packets)
    assert overhead == 112 * len(packets)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_every_picture_is_shown(codec: str, b_frames: int) -> None:
    packets = encoded(moving(30, 320, 180), codec=codec, b_frames=b_frames)
    fragments = _all(packets)
    assert fragments[0].codec.startswith("avc1." if codec == "libx264" else "hvc1.")
    data = b"".join(fragment.data for fragment in fragments)
    assert len(decoded(data)) == 30
    found = samples_in(data)
    assert [sample for sample, _, _, _ in found] == [nal.with_lengths(packet.data, 0) for packet in packets]
    assert [pts - dts for _, pts, dts, _ in found] == [packet.pts - packet.dts for packet in packets]


def test_a_viewer_may_begin_at_any_keyframe() -> None:
    fragments = _all(encoded(moving(30, 320, 180), gop=10))
    from_second = [fragments[0], *fragments[11:]]
    assert from_second[1].keyframe
    assert len(decoded(b"".join(fragment.data for fragment in from_second))) == 20


def test_times_of_arrival_do_not_tear_holes() -> None:
    packets = encoded(moving(60, 320, 180), gop=20)
    wild = [0, 40, -35, 60, 5, -20, 0, 90, -60, 10]
    ticks = [packet.pts + wild[index % len(wild)] * 90 for index, packet in enumerate(packets)]
    jittery = [replace(packet, pts=at, dts=at) for packet, at in zip(packets, ticks, strict=True)]
    _no_holes(_all(jittery))
    assert len(decoded(b"".join(fragment.data for fragment in _all(jittery)))) == 60


@pytest.mark.parametrize("gap_s", [3, -3, 40_000])
def test_after_a_gap_the_player_is_not_behind(gap_s: int) -> None:
    packets = encoded(moving(40, 320, 180), gop=20)
    late = [
        replace(packet, pts=packet.pts + gap_s * 90_000, dts=packet.dts + gap_s * 90_000, time_ms=packet.time_ms + 1)
        for packet in packets[20:]
    ]
    fragments = _all([*packets[:20], *late])
    _no_holes(fragments)
    decode, duration = _decoding(fragments[-1])
    assert decode + duration == pytest.approx(40 * 6000, abs=6000)


def test_a_camera_of_one_picture_in_five_seconds_keeps_its_pace() -> None:
    packets = [
        replace(packet, pts=index * 450_000, dts=index * 450_000)
        for index, packet in enumerate(encoded(moving(12, 320, 180), gop=1))
    ]
    fragments = _all(packets)
    _no_holes(fragments)
    assert _decoding(fragments[-1])[1] == pytest.approx(450_000, rel=0.1)


def test_other_parameters_are_another_init_and_the_timeline_goes_on() -> None:
    first = encoded(moving(15, 320, 180))
    second = encoded(moving(15, 640, 360), epoch=2, start_ms=START_MS + 9_000)
    third = encoded(moving(5, 640, 360), epoch=3, start_ms=START_MS + 20_000)
    fragments = _all([*first, *second[3:], *third])
    kinds = [fragment.kind for fragment in fragments]
    assert kinds == ["init"] + ["media"] * 15 + ["init"] + ["media"] * (5 + 5)
    assert fragments[16].data != fragments[0].data
    assert fragments[17].keyframe
    _no_holes(fragments)
    joined = b"".join(fragment.data for fragment in fragments[16:])
    assert len(decoded(joined)) == 10


def test_before_a_keyframe_there_is_nothing() -> None:
    packets = encoded(moving(12, 320, 180))
    fragmenter = Fragmenter(CAMERA, packets[0].info, transcoded=True)
    assert fragmenter.init() is None
    assert fragmenter.push(packets[3]) == []
    unreadable = replace(packets[0], data=b"\x00\x00\x01\x65\x88", info=replace(packets[0].info, extradata=b""))
    assert fragmenter.push(unreadable) == []
    assert fragmenter.skipped == 2
    made = fragmenter.push(packets[0])
    assert made[0] == fragmenter.init()
    assert all(fragment.transcoded and fragment.camera == CAMERA for fragment in made)
    fragmenter.restart()
    assert fragmenter.push(packets[1]) == []
    assert [fragment.kind for fragment in fragmenter.push(packets[10])] == ["media"]
