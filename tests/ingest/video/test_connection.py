"""F13 on one connection: whatever a camera does, it is tried again without a tight loop, and its neighbours go on."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ingest.video.address import PinnedAddress, make_addresses
from ingest.video.seams import LossReason
from model.errors import TryAgain
from model.video import TICKS_PER_S
from tests.conftest import free_port, wait_until
from tests.ingest.video.conftest import LOOPBACK, QUICK, Cameras, Hung, Kept
from tests.ingest.video.fake_camera import FakeCamera, Script
from tests.rtsp import RtspServer, pictures


@pytest.fixture
def neighbour(cameras: Cameras, coded: list[bytes]) -> Iterator[Kept]:
    """A camera of 20 pictures a second beside the one that fails; its packets go on without a gap."""
    camera = FakeCamera(Script(coded))
    sink = Kept()
    connection = cameras.start(camera.url(), sink)
    wait_until(lambda: sink.packets, what="the neighbour")
    yield sink
    assert sink.losses == []
    assert connection.state == "open"
    # The first picture comes without a time of its own.
    steps = {(after.pts - before.pts) for before, after in pairwise(sink.packets[1:])}
    assert steps <= {TICKS_PER_S // 20}
    assert connection.opens == 1
    connection.stop(2.0)
    camera.close()


def lost_again(cameras: Cameras, url: str, reason: LossReason, times: int = 3) -> Kept:
    """Open until it was lost `times` times, always for `reason`; the waits between are those of the limits."""
    sink = Kept()
    connection = cameras.start(url, sink)
    wait_until(lambda: len(sink.losses) >= times, what=f"{times} losses")
    assert {loss.reason for loss in sink.losses} == {reason}
    assert all(QUICK.back_off_min_s <= loss.retry_in_s <= QUICK.back_off_max_s for loss in sink.losses)
    assert connection.losses[reason] >= times
    assert connection.last_loss is not None
    assert connection.opens <= len(sink.losses) + 1
    return sink


@pytest.mark.usefixtures("neighbour")
class TestF13:
    def test_host_dead(self, cameras: Cameras) -> None:
        lost_again(cameras, f"rtsp://127.0.0.1:{free_port()}/a", LossReason.UNREACHABLE)

    def test_name_not_known(self, cameras: Cameras) -> None:
        sink = Kept()

        def unknown() -> PinnedAddress:
            raise TryAgain("The name is not known.")

        cameras.start(unknown, sink)
        wait_until(lambda: len(sink.losses) >= 2, what="losses")
        assert sink.losses[0].reason is LossReason.UNREACHABLE

    def test_401_is_tried_slowly(self, cameras: Cameras) -> None:
        with FakeCamera(Script(status={"DESCRIBE": 401})) as camera:
            sink = Kept()
            connection = cameras.start(camera.url(login="op:geheim"), sink)
            wait_until(lambda: sink.losses, what="the loss")
            assert sink.losses[0].reason is LossReason.UNAUTHORIZED
            assert sink.losses[0].retry_in_s >= QUICK.unauthorized_min_s
            assert "geheim" not in repr(sink.losses)
            assert connection.state == "waiting"
            camera.script.status.clear()
            camera.script.pictures = [b"\0\0\1\x65" + bytes(40)]
            connection.retry_now()
            wait_until(lambda: connection.opens == 2, what="another try")

    def test_an_address_that_is_not_allowed_is_not_tried_again(self, cameras: Cameras) -> None:
        sink = Kept()
        connection = cameras.start("rtsp://10.255.0.1/a", sink)
        wait_until(lambda: sink.losses, what="the loss")
        assert (sink.losses[0].reason, sink.losses[0].retry_in_s) == (LossReason.REFUSED, 0.0)
        assert connection.state == "waiting"
        connection.retry_now()
        wait_until(lambda: len(sink.losses) == 2, what="the loss after another try")
        assert connection.opens == 2

    def test_black_hole(self, cameras: Cameras) -> None:
        with FakeCamera(Script(silent=True)) as camera:
            lost_again(cameras, camera.url(), LossReason.TIMED_OUT, 1)

    def test_silence_after_pictures(self, cameras: Cameras, coded: list[bytes]) -> None:
        with FakeCamera(Script(coded, then="silence", then_after=4, gap_s=0.01)) as camera:
            sink = lost_again(cameras, camera.url(), LossReason.TIMED_OUT, 2)
        assert len(sink.packets) >= 6

    def test_a_byte_now_and_then_is_silence(self, cameras: Cameras, coded: list[bytes]) -> None:
        with FakeCamera(Script(coded, then="trickle", then_after=4, gap_s=0.01)) as camera:
            lost_again(cameras, camera.url(), LossReason.TIMED_OUT, 2)
        assert cameras.watchdog.abandoned_total == 0

    def test_garbage_after_pictures(self, cameras: Cameras, coded: list[bytes]) -> None:
        sink = Kept()
        with FakeCamera(Script(coded, then="garbage", then_after=5, gap_s=0.01)) as camera:
            connection = cameras.start(camera.url(), sink)
            wait_until(lambda: connection.epoch >= 2, what="another stream")
        assert sink.losses
        assert all(loss.retry_in_s >= QUICK.back_off_min_s for loss in sink.losses)

    def test_it_closes(self, cameras: Cameras, coded: list[bytes]) -> None:
        with FakeCamera(Script(coded, then="close", then_after=5, gap_s=0.01)) as camera:
            sink = lost_again(cameras, camera.url(), LossReason.ENDED)
        epochs = [info.epoch for info in sink.infos]
        assert epochs == list(range(1, len(epochs) + 1))
        assert sink.calls[0] == "open"
        assert all(after == "open" for before, after in pairwise(sink.calls) if before == "lost")

    def test_audio_only(self, cameras: Cameras, rtsp_server: RtspServer) -> None:
        lost_again(cameras, rtsp_server.url("/sound"), LossReason.AUDIO_ONLY)

    def test_no_such_stream(self, cameras: Cameras, rtsp_server: RtspServer) -> None:
        lost_again(cameras, rtsp_server.url("/nothing"), LossReason.NOT_FOUND)

    def test_time_backwards(self, cameras: Cameras, coded: list[bytes]) -> None:
        stamps = [900_000 + n * 900 for n in range(6)] + [450 + n * 900 for n in range(6)]
        sink = Kept()
        with FakeCamera(Script(coded, stamps=stamps, gap_s=0.01)) as camera:
            cameras.start(camera.url(), sink)
            wait_until(lambda: len(sink.packets) >= 20, what="packets")
            packets = sink.packets[:20]
            assert not sink.losses
        assert all(0 < after.dts - before.dts < TICKS_PER_S for before, after in pairwise(packets))
        assert all(0 <= packet.received_ms - packet.time_ms <= 1_000 for packet in packets)

    def test_parameters_change_in_mid_stream(self, cameras: Cameras, coded: list[bytes], bigger: list[bytes]) -> None:
        sink = Kept()
        with FakeCamera(Script([*coded[:10], *bigger], gap_s=0.01)) as camera:
            cameras.start(camera.url(), sink)
            wait_until(lambda: len(sink.packets) >= 25, what="packets")
            infos, packets = list(sink.infos), sink.packets[:25]
            assert not sink.losses
        assert [(info.width_px, info.height_px, info.epoch) for info in infos[:3]] == [
            (192, 108, 1),
            (256, 144, 1),
            (192, 108, 1),
        ]
        assert [packets[at].info.width_px for at in (0, 9, 10, 19, 20)] == [192, 192, 256, 256, 192]
        assert packets[10].keyframe


@pytest.mark.soak
def test_a_picture_every_five_seconds_is_a_stream(cameras: Cameras, tmp_path: Path) -> None:
    slow = pictures(tmp_path / "slow", fps=0.2, frames=4, gop=1)
    server = RtspServer(tmp_path / "server").add("/slow", slow).start()
    sink = Kept()
    limits = dataclasses.replace(QUICK, open_timeout_s=8.0, read_timeout_s=8.0, stuck_after_s=20.0)
    connection = cameras.start(server.url("/slow"), sink, limits=limits)
    wait_until(lambda: sink.packets, what="a picture")
    assert not sink.losses
    assert connection.state == "open"
    assert connection.stop(2.0)
    server.stop()


def test_a_server_that_dies_and_comes_back(cameras: Cameras, rtsp_server: RtspServer) -> None:
    sink = Kept()
    connection = cameras.start(rtsp_server.url("/h264"), sink)
    wait_until(lambda: sink.packets, what="packets")
    rtsp_server.kill()
    wait_until(lambda: len(sink.losses) >= 2, what="losses")
    assert connection.state != "open"
    seen = len(sink.packets)
    rtsp_server.start()
    wait_until(lambda: len(sink.packets) > seen, what="packets of the server that came back")
    assert connection.state == "open"
    assert sink.infos[-1].epoch == connection.epoch == 2
    assert sink.packets[seen].keyframe


def test_a_server_that_hangs(cameras: Cameras, rtsp_server: RtspServer) -> None:
    sink = Kept()
    cameras.start(rtsp_server.url("/hevc"), sink)
    wait_until(lambda: sink.packets, what="packets")
    assert sink.infos[0].codec == "hevc"
    rtsp_server.pause()
    wait_until(lambda: sink.losses, what="the loss")
    rtsp_server.go_on()
    assert sink.losses[0].reason is LossReason.TIMED_OUT


class TestHung:
    def test_a_hung_decode_is_left_and_says_nothing_more(self, cameras: Cameras, coded: list[bytes]) -> None:
        sink = Hung()
        with FakeCamera(Script(coded, gap_s=0.01)) as camera:
            connection = cameras.start(camera.url(), sink)
            assert sink.hanging.wait(10)
            wait_until(lambda: len(sink.packets) > 6, what="packets of the next thread")
            assert sink.losses[0].reason is LossReason.DECODE
            assert (connection.abandoned, cameras.watchdog.abandoned) == (1, 1)
            assert connection.epoch == 2
            sink.release.set()
            wait_until(lambda: cameras.watchdog.abandoned == 0, what="the end of the hung thread")
        assert {packet.info.epoch for packet in sink.packets[3:]} == {2}

    def test_a_hung_open_gives_its_turn_back(self, cameras: Cameras, coded: list[bytes]) -> None:
        never = threading.Event()
        sink = Kept()
        with FakeCamera(Script(coded)) as camera:
            make = make_addresses(camera.url(), allow_networks=LOOPBACK, files_dir=None)
            first = threading.Event()

            def hang_once() -> PinnedAddress:
                if not first.is_set():
                    first.set()
                    never.wait()
                return make()

            connection = cameras.start(hang_once, sink)
            wait_until(lambda: sink.packets, what="packets of the next thread")
        assert sink.losses[0].reason is LossReason.STUCK
        assert connection.abandoned == 1
        assert cameras.turns.places == 4
        never.set()

    def test_too_many_hung_threads_call_for_another_process(self, cameras: Cameras) -> None:
        never = threading.Event()

        def hang() -> PinnedAddress:
            never.wait()
            raise AssertionError

        connection = cameras.start(hang, Kept(), limits=dataclasses.replace(QUICK, stuck_after_s=0.1))
        wait_until(lambda: cameras.exhausted, what="the call")
        assert cameras.exhausted == ["now"]
        assert cameras.watchdog.abandoned == 3
        assert connection.state == "ended"
        never.set()

    def test_stop_does_not_wait_for_a_hung_decode(self, cameras: Cameras, coded: list[bytes]) -> None:
        sink = Hung()
        with FakeCamera(Script(coded, gap_s=0.01)) as camera:
            connection = cameras.start(camera.url(), sink, limits=dataclasses.replace(QUICK, decode_timeout_s=60))
            assert sink.hanging.wait(10)
            assert not connection.stop(0.1)
        assert sink.losses[-1].reason is LossReason.STOPPED
        seen = len(sink.calls)
        sink.release.set()
        wait_until(lambda: cameras.watchdog.abandoned == 0, what="the end of the hung thread")
        assert len(sink.calls) == seen


def test_stop_in_every_state(cameras: Cameras, coded: list[bytes]) -> None:
    with FakeCamera(Script(coded, then="silence", then_after=4)) as quiet, FakeCamera(Script(silent=True)) as hole:
        slow = dataclasses.replace(QUICK, read_timeout_s=60, stuck_after_s=60, back_off_min_s=60, back_off_max_s=60)
        reading, opening, waiting = Kept(), Kept(), Kept()
        made = [
            cameras.start(quiet.url(), reading, limits=slow),
            cameras.start(hole.url(), opening, limits=slow),
            cameras.start(f"rtsp://127.0.0.1:{free_port()}/", waiting, limits=slow),
        ]
        wait_until(lambda: len(reading.packets) == 3 and waiting.losses, what="their states")
        assert made[0].state == "open"
        assert made[2].state == "waiting"
        assert [connection.stop(5.0) for connection in made] == [True] * 3
    for sink in (reading, opening, waiting):
        assert sink.losses[-1].reason is LossReason.STOPPED
        assert sink.calls[-1] == "lost"
    assert {connection.state for connection in made} == {"ended"}


def test_a_sink_that_raises_loses_its_stream_alone(cameras: Cameras, coded: list[bytes]) -> None:
    class Bad(Kept):
        def on_packet(self, packet: object) -> None:
            raise ValueError("rtsp://u:geheim@10.0.0.1/")

    sink = Bad()
    with FakeCamera(Script(coded)) as camera:
        cameras.start(camera.url(), sink)
        wait_until(lambda: len(sink.losses) >= 2, what="losses")
    assert sink.losses[0].reason is LossReason.DECODE
    assert "geheim" not in repr(sink.losses)


def test_over_udp(cameras: Cameras, rtsp_server: RtspServer) -> None:
    sink = Kept()
    cameras.start(rtsp_server.url("/h264"), sink, transport="udp")
    wait_until(lambda: len(sink.packets) >= 3, what="packets")
    assert not sink.losses
