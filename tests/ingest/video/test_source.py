"""Sources: files at their pace and over and over, streams, what is dropped, what stays in memory."""

from __future__ import annotations

import gc
import os
from itertools import islice, pairwise
from pathlib import Path

import av
import psutil
import pytest

from ingest.video.address import PinnedAddress, check_address
from ingest.video.lost import StreamLost
from ingest.video.probing import probe
from ingest.video.seams import LossReason
from ingest.video.source import Source
from model.clock import FakeClock, SystemClock
from model.video import TICKS_PER_S
from tests.ingest.video.conftest import LOOPBACK
from tests.ingest.video.fake_camera import FakeCamera, Script
from tests.rtsp import RtspServer

FRAMES = 20
FPS = 10


def pinned(url: str, folder: Path | None = None) -> PinnedAddress:
    return check_address(url, allow_networks=LOOPBACK, files_dir=folder)


@pytest.fixture(params=["mp4", "mkv", "ts", "avi"])
def file(request: pytest.FixtureRequest, tmp_path: Path, coded: list[bytes]) -> PinnedAddress:
    """Twenty pictures, two seconds, in each kind of file."""
    name = f"clip.{request.param}"
    with av.open(str(tmp_path / name), "w") as output:
        stream = output.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 192, 108, "yuv420p"
        stream.codec_context.gop_size = 10
        stream.codec_context.options = {"preset": "ultrafast", "tune": "zerolatency"}
        for number in range(FRAMES):
            frame = av.VideoFrame(192, 108, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number * 10 % 256]) * plane.buffer_size)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return pinned(f"file:{name}", tmp_path)


def test_a_file_once_as_fast_as_it_is_taken(file: PinnedAddress) -> None:
    source = Source(file, clock=FakeClock(), pace=False, loop=False)
    info = source.open()
    packets = list(source.packets())
    source.close()
    assert (info.codec, info.width_px, info.height_px) == ("h264", 192, 108)
    assert len(packets) == FRAMES
    assert packets[0].keyframe
    assert all(
        after.dts - before.dts == pytest.approx(TICKS_PER_S / FPS, abs=200) for before, after in pairwise(packets)
    )


def test_a_file_goes_on_for_ever_at_its_pace(file: PinnedAddress) -> None:
    clock = FakeClock()
    source = Source(file, clock=clock)
    source.open()
    packets = list(islice(source.packets(), 3 * FRAMES))
    source.close()
    assert all(
        after.dts - before.dts == pytest.approx(TICKS_PER_S / FPS, abs=200) for before, after in pairwise(packets)
    )
    assert clock.monotonic_s() == pytest.approx((3 * FRAMES - 1) / FPS, abs=0.1)
    assert all(0 <= packet.received_ms - packet.time_ms <= 100 for packet in packets)
    assert packets[FRAMES].data == packets[0].data
    assert len({id(packet.info) for packet in packets}) == 1


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"#EXTM3U\nhttp://127.0.0.1/x\n" * 20)
    (tmp_path / "b.mkv").write_bytes(b"ffconcat version 1.0\nfile '/etc/passwd'\n")
    (tmp_path / "c.ts").write_bytes(b"")
    for name in ("a.mp4", "b.mkv", "c.ts"):
        with pytest.raises(StreamLost) as caught:
            Source(pinned(f"file:{name}", tmp_path), clock=FakeClock()).open()
        assert str(tmp_path) not in str(caught.value)


def test_a_packet_over_its_limit_is_dropped_and_the_next_is_marked(coded: list[bytes]) -> None:
    limit = max(len(data) for data in coded[1:10]) + 64
    with FakeCamera(Script(coded, gap_s=0.01)) as camera:
        source = Source(pinned(camera.url()), clock=SystemClock(), max_packet_bytes=limit)
        source.open()
        packets = list(islice(source.packets(), 12))
        source.close()
    assert all(len(packet.data) <= limit for packet in packets)
    assert [packet.corrupt for packet in packets[:3]] == [True, False, False]
    assert source.take_dropped() == 2
    assert source.take_dropped() == 0


@pytest.mark.soak
def test_reconnects_keep_no_memory_and_no_descriptor(coded: list[bytes]) -> None:
    reconnect(coded, 25, 15)


@pytest.mark.soak
def test_a_thousand_reconnects_keep_no_memory_and_no_descriptor(coded: list[bytes]) -> None:
    reconnect(coded, 1_000, 100)


def reconnect(coded: list[bytes], times: int, warm_up: int) -> None:
    process = psutil.Process(os.getpid())
    with FakeCamera(Script(coded, gap_s=0.001)) as camera:
        address = pinned(camera.url())

        def once() -> None:
            source = Source(address, clock=SystemClock())
            source.open()
            assert next(iter(source.packets())).keyframe
            source.close()

        for _ in range(warm_up):
            once()
        gc.collect()
        before, descriptors = process.memory_info().rss, process.num_fds()
        for _ in range(times):
            once()
        gc.collect()
        grown = process.memory_info().rss - before
        print(f"{times} reconnects: {grown / 1e6:+.1f} MB")
        assert grown < 12e6
        assert process.num_fds() <= descriptors + 8


class TestProbe:
    def test_a_camera(self, rtsp_server: RtspServer) -> None:
        found = probe(pinned(rtsp_server.url("/both")), 10.0, clock=SystemClock(), measure_s=1.2)
        assert found["ok"], found
        assert (found["codec"], found["width_px"], found["height_px"]) == ("h264", 192, 108)
        assert found["fps"] == pytest.approx(FPS, abs=1.5)
        assert found["keyframe_gap_s"] == pytest.approx(1.0, abs=0.05)
        assert found["audio"]
        assert not found["b_frames"]
        assert 0 < found["first_packet_in_s"] <= found["first_picture_in_s"] < 5
        assert found["bitrate_kbps"] > 1

    def test_a_black_hole_and_credentials(self) -> None:
        with FakeCamera(Script(silent=True)) as camera:
            found = probe(pinned(camera.url(login="op:geheim")), 0.3, clock=SystemClock())
        assert (found["ok"], found["reason"]) == (False, LossReason.TIMED_OUT.value)
        assert "geheim" not in repr(found)
