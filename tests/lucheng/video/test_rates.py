"""Rates of streams: as they are, whatever the order of pictures, the pace of arrival, damage and new connections."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lucheng.video.rates import StreamRates
from model.video import TICKS_PER_S, Packet, StreamInfo
from tests.lucheng.video.worker_side import FPS, packets_of

INFO = StreamInfo("h264", 320, 180, b"", 0.0, 1)


def packet(number: int, fps: float, *, size: int = 1_000, gop: int = 10, info: StreamInfo = INFO) -> Packet:
    ticks = round(number * TICKS_PER_S / fps)
    return Packet(bytes(size), ticks, ticks, ticks // 90, ticks // 90 + 40, number % gop == 0, corrupt=False, info=info)


@pytest.mark.parametrize("fps", [0.2, 1.0, 12.5, 25.0, 60.0])
def test_a_steady_stream(fps: float) -> None:
    rates = StreamRates()
    assert all(math.isnan(one) for one in (rates.fps, rates.bitrate_kbps, rates.keyframe_gap_s, rates.lag_ms))
    for number in range(40):
        rates.take(packet(number, fps))
    assert rates.fps == pytest.approx(fps, rel=0.01)
    assert rates.bitrate_kbps == pytest.approx(8 * fps, rel=0.01)
    assert rates.keyframe_gap_s == pytest.approx(10 / fps, rel=0.01)
    assert (rates.lag_ms, rates.corrupt_share, rates.packets) == (40, 0, 40)


@pytest.mark.parametrize("b_frames", [0, 3])
def test_pictures_that_are_shown_in_another_order(b_frames: int) -> None:
    rates = StreamRates()
    packets = packets_of(b_frames=b_frames)
    for one in packets:
        rates.take(one)
    assert rates.fps == pytest.approx(FPS, rel=0.05)
    whole_kbps = sum(len(one.data) for one in packets) * 8 / (len(packets) / FPS) / 1000
    assert rates.bitrate_kbps == pytest.approx(whole_kbps, rel=0.3)
    assert rates.keyframe_gap_s == pytest.approx(1.0, rel=0.3)


def test_what_was_buffered_and_a_gap_change_no_rate() -> None:
    rates = StreamRates()
    for number in range(50):
        rates.take(replace(packet(number, 10), received_ms=7_000))
    for number in range(50_000, 50_010):
        rates.take(packet(number, 10))
    assert rates.fps == pytest.approx(10, rel=0.01)


def test_damage_is_a_share_and_a_new_connection_begins_anew() -> None:
    rates = StreamRates()
    for number in range(100):
        rates.take(replace(packet(number, 10), corrupt=number % 2 == 0))
    assert rates.corrupt_share == pytest.approx(0.5, abs=0.1)
    other = replace(INFO, epoch=2)
    rates.take(packet(5, 10, info=other))  # its ticks may begin anywhere
    rates.take(packet(6, 10, info=other))
    assert rates.fps == pytest.approx(10, rel=0.01)
    rates.reset()
    assert math.isnan(rates.fps)
    assert rates.corrupt_share == 0
