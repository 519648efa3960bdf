from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import av
import numpy as np
import pytest

from ingest.video import nal
from ingest.video.clip import clip_packets, make_clip, viewing_copy
from model.errors import BadInput, Refused
from model.video import Clip, Packet, StreamInfo
from tests.ingest.video.material import (
    CARPARK,
    HALL,
    START_MS,
    decoded,
    encoded,
    moving,
    real_packets,
    samples_in,
)


def _holds(clip: Clip, packets: list[Packet] | tuple[Packet, ...]) -> None:
    """The clip, opened again, has these packets byte for byte at their times, and is what it says it is."""
    assert clip.sha256 == hashlib.sha256(clip.data).hexdigest()
    assert clip.frames == len(packets)
    assert clip.from_ms == packets[0].time_ms
    found = samples_in(clip.data)
    size = nal.length_size(packets[0].info.extradata)
    assert [sample for sample, _, _, _ in found] == [nal.with_lengths(packet.data, size) for packet in packets]
    shown_ms = [pts / 90 for _, pts, _, _ in found]
    assert shown_ms == pytest.approx([packet.time_ms - packets[0].time_ms for packet in packets], abs=1.01)
    assert [keyframe for _, _, _, keyframe in found] == [packet.keyframe for packet in packets]
    assert found[0][1] == 0
    assert clip.data.index(b"moov") < clip.data.index(b"mdat"), "a browser plays it before it has all of it"


@pytest.mark.parametrize("name", [CARPARK, HALL])
def test_a_real_clip_cut_from_the_middle(name: str) -> None:
    packets = real_packets(name)
    keyframes = [index for index, packet in enumerate(packets) if packet.keyframe]
    part = packets[keyframes[1] : keyframes[1] + 80]
    clip = make_clip(part)
    _holds(clip, part)
    assert clip.note == ""
    assert (clip.codec, clip.width_px, clip.height_px) == ("h264", 768, 432)
    assert clip.to_ms - clip.from_ms == pytest.approx(part[-1].time_ms - part[0].time_ms + 80, abs=45)
    assert len(decoded(clip.data)) == 80


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize("annexb", [True, False])
def test_the_pictures_of_a_clip_are_the_cameras_own(codec: str, b_frames: int, annexb: bool) -> None:
    packets = encoded(moving(40, 320, 180), codec=codec, b_frames=b_frames, annexb=annexb, gop=10)
    clip = make_clip(packets)
    _holds(clip, packets)
    decoder = av.CodecContext.create(packets[0].info.codec, "r")
    if packets[0].info.extradata:
        decoder.extradata = packets[0].info.extradata
    own = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))]  # type: ignore[attr-defined]
    own += decoder.decode(None)  # type: ignore[attr-defined]
    shown = decoded(clip.data)
    assert len(shown) == len(own) == 40
    for luma, frame in zip(shown, own, strict=True):
        assert np.array_equal(luma, frame.to_ndarray()[:180, :320])
    with av.open(io.BytesIO(clip.data), "r") as container:
        tag = container.streams.video[0].codec_context.codec_tag
    assert tag == ("avc1" if codec == "libx264" else "hvc1")


def test_what_is_shown_before_the_first_keyframe_is_not_shown() -> None:
    packets = encoded(
        moving(40, 320, 180), codec="libx265", b_frames=3, gop=10, options={"x265-params": "open-gop=1:log-level=none"}
    )
    second = [index for index, packet in enumerate(packets) if packet.keyframe][1]
    leading = [packet for packet in packets[second:] if packet.pts < packets[second].pts]
    assert leading, "the encoder made no leading pictures"
    clip = make_clip(packets[second:])
    with av.open(io.BytesIO(clip.data), "r") as container:
        shown = [frame.pts for frame in container.decode(video=0)]
    assert shown[0] == 0
    assert len(shown) == len(packets) - second - len(leading)


def test_it_begins_with_the_first_keyframe_and_says_what_was_wanted() -> None:
    packets = encoded(moving(40, 320, 180), gop=10)
    clip = make_clip(
        packets[3:], wanted_from_ms=packets[10].time_ms - 4_000, wanted_to_ms=packets[-1].time_ms + 66 + 2_500
    )
    _holds(clip, packets[10:])
    assert clip.note == "starts 4.0 s late; ends 2.5 s early"


def test_a_break_of_the_connection_keeps_real_time_and_is_said() -> None:
    before = encoded(moving(20, 320, 180), gop=10)
    start_ms = before[-1].time_ms + 7_500
    after = encoded(moving(20, 320, 180), gop=10, epoch=2, start_ticks=123_456, start_ms=start_ms)
    clip = make_clip([*before, *after[10:13], *encoded(moving(5, 320, 180), epoch=3, start_ms=start_ms + 2_000)[1:]])
    _holds(clip, [*before, *after[10:13]])
    assert clip.note == f"no pictures for {(after[10].time_ms - before[-1].time_ms) / 1000:.1f} s after 1.3 s"
    assert len(decoded(clip.data)) == 23


@pytest.mark.parametrize(("first", "second", "kept"), [(40, 20, 0), (20, 40, 1), (20, 20, 1)])
def test_where_the_parameters_change_the_longest_run_is_kept(first: int, second: int, kept: int) -> None:
    runs = [
        encoded(moving(first, 320, 180)),
        encoded(moving(second, 640, 360), epoch=2, start_ms=START_MS + 10_000),
    ]
    clip = make_clip([*runs[0], *runs[1]])
    _holds(clip, runs[kept])
    assert "parameters changed" in clip.note


def test_a_change_of_parameters_in_band_alone_is_seen() -> None:
    first, second = encoded(moving(10, 320, 180)), encoded(moving(20, 640, 360), start_ms=START_MS + 1_000)
    info = replace(first[0].info, extradata=b"")
    clip = make_clip([replace(packet, info=info) for packet in [*first, *second]])
    assert (clip.width_px, clip.height_px, clip.frames) == (640, 360, 20)


def test_damaged_packets_are_kept_and_said() -> None:
    packets = encoded(moving(20, 320, 180))
    packets[7] = replace(packets[7], data=packets[7].data[:-9] + bytes(9), corrupt=True)
    clip = make_clip(packets)
    assert clip.note == "1 damaged packets"
    _holds(clip, packets)


def test_it_is_cut_at_the_limit() -> None:
    packets = real_packets(CARPARK)
    clip = make_clip(packets, max_bytes=500_000)
    assert 400_000 < len(clip.data) <= 500_000
    _holds(clip, packets[: clip.frames])
    assert clip.note.startswith("cut at 500000 bytes, ")
    with pytest.raises(Refused, match="larger than") as refused:
        make_clip(packets, max_bytes=20_000)
    assert refused.value.mend


def test_without_a_keyframe_there_is_no_clip() -> None:
    packets = encoded(moving(5, 320, 180))
    for given in ([], packets[1:], [replace(packets[0], data=b"\x00\x00\x01\x65nothing", info=_bare(packets[0]))]):
        with pytest.raises(Refused) as refused:
            make_clip(given)
        assert refused.value.mend


def _bare(packet: Packet) -> StreamInfo:
    return replace(packet.info, extradata=b"")


@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_copy_for_viewing_is_h264_and_shows_the_same(b_frames: int) -> None:
    packets = encoded(moving(30, 320, 180), codec="libx265", b_frames=b_frames)
    clip = make_clip(packets)
    copy = viewing_copy(clip)
    assert (copy.codec, copy.transcoded, copy.frames, copy.note) == ("h264", True, 30, "copy for viewing")
    assert (copy.from_ms, copy.to_ms) == (clip.from_ms, clip.to_ms)
    for ours, theirs in zip(decoded(copy.data), decoded(clip.data), strict=True):
        assert np.abs(ours.astype(np.int16) - theirs).mean() < 4
    smaller = viewing_copy(clip, max_width_px=160)
    assert (smaller.width_px, smaller.height_px) == (160, 90)
    own = make_clip(encoded(moving(3, 320, 180)))
    assert viewing_copy(own) is own


def test_a_clip_that_is_none_cannot_be_copied() -> None:
    clip = make_clip(encoded(moving(3, 320, 180), codec="libx265"))
    with pytest.raises(BadInput):
        viewing_copy(replace(clip, data=clip.data[:50]))
    assert [packet.pts for packet in clip_packets(clip)] == [0, 6000, 12000]
