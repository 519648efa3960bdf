from __future__ import annotations

import io
from dataclasses import replace

import av
import pytest

from ingest.video import nal
from ingest.video.muxing import Muxer
from model.errors import BadInput, UsageError
from model.video import Packet
from tests.ingest.video.material import (
    CARPARK,
    STREET,
    decoded,
    encoded,
    moving,
    real_packets,
    samples_in,
    with_lengths,
)


def _file(packets: list[Packet] | tuple[Packet, ...], *, close: bool = True) -> bytes:
    target = io.BytesIO()
    muxer = Muxer(packets[0].info, target, first=packets[0])
    for packet in packets:
        muxer.write(packet)
    if close:
        muxer.close()
    assert muxer.bytes_written == len(target.getvalue())
    return target.getvalue()


def _same_samples(data: bytes, packets: list[Packet] | tuple[Packet, ...]) -> None:
    found = samples_in(data)
    assert len(found) == len(packets)
    size = nal.length_size(packets[0].info.extradata)
    for (sample, pts, dts, keyframe), packet in zip(found, packets, strict=True):
        assert sample == nal.with_lengths(packet.data, size)
        assert pts == packet.pts - packets[0].pts
        assert pts - dts == packet.pts - packet.dts
        assert keyframe == packet.keyframe


@pytest.mark.parametrize("name", [CARPARK, STREET])
def test_a_real_clip_is_the_same_packets_again(name: str) -> None:
    packets = real_packets(name)
    packets = packets[next(index for index, packet in enumerate(packets) if packet.keyframe) :]
    _same_samples(_file(packets), packets)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("annexb", [True, False])
@pytest.mark.parametrize("in_band", [True, False])
def test_every_form_of_a_stream(codec: str, b_frames: int, annexb: bool, in_band: bool) -> None:
    pictures = moving(24, 320, 180)
    packets = encoded(pictures, codec=codec, b_frames=b_frames, annexb=annexb, in_band=in_band)
    assert any(packet.pts != packet.dts for packet in packets) == bool(b_frames)
    data = _file(packets)
    _same_samples(data, packets)
    assert len(decoded(data)) == len(pictures)


def test_a_file_that_was_not_closed_plays_up_to_its_last_whole_fragment() -> None:
    packets = encoded(moving(35, 320, 180), gop=10)
    data = _file(packets, close=False)
    assert len(decoded(data)) == 30
    cut = samples_in(data[:-7])  # in the middle of a picture, as by a power cut
    assert [sample for sample, _, _, _ in cut[:29]] == [packet.data for packet in with_lengths(packets)[:29]]


def test_a_closed_file_can_be_wound_and_says_its_length() -> None:
    packets = encoded(moving(45, 320, 180), gop=15)
    with av.open(io.BytesIO(_file(packets)), "r") as container:
        stream = container.streams.video[0]
        assert stream.frames == 45
        assert stream.duration == 45 * 6000
        container.seek(2 * 90_000, stream=stream)
        assert next(container.decode(stream)).pts == 30 * 6000


def test_times_hold_over_a_break_and_where_ticks_run_off() -> None:
    before = encoded(moving(10, 320, 180))
    after = encoded(moving(10, 320, 180), epoch=2, start_ticks=5_000_000, start_ms=before[0].time_ms + 4_000)
    stamped = [replace(packet, pts=packet.pts + 10**9, dts=packet.dts + 10**9) for packet in after[5:]]
    found = samples_in(_file([*before, *after[:5], *stamped]))
    shown_ms = [pts / 90 for _, pts, _, _ in found]
    assert shown_ms == pytest.approx([packet.time_ms - before[0].time_ms for packet in [*before, *after]], abs=1)


def test_what_does_not_fit_is_said_before_it_is_written() -> None:
    small, large = encoded(moving(3, 320, 180)), encoded(moving(3, 640, 360))
    muxer = Muxer(small[0].info, io.BytesIO(), first=small[0])
    assert muxer.fits(small[0])
    assert muxer.fits(small[1])
    assert not muxer.fits(large[0])
    assert muxer.fits(replace(small[0], info=replace(small[0].info, epoch=2)))
    with pytest.raises(UsageError):
        muxer.write(small[1])
    with pytest.raises(BadInput):
        Muxer(small[0].info, io.BytesIO(), first=small[1])
    muxer.close()
    with pytest.raises(UsageError):
        muxer.write(small[0])
