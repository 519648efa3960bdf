"""What a server's first answers say, and S11: a server that sends the reader elsewhere, at once or later."""

from __future__ import annotations

import time

import pytest

from ingest.video.address import PinnedAddress, check_address
from ingest.video.lost import StreamLost
from ingest.video.preflight import looked_at
from ingest.video.seams import LossReason
from ingest.video.source import Source
from model.clock import SystemClock
from tests.ingest.video.conftest import LOOPBACK
from tests.ingest.video.fake_camera import FakeCamera, Script
from tests.rtsp import RtspServer, pictures


def pinned(url: str) -> PinnedAddress:
    return check_address(url, allow_networks=LOOPBACK, files_dir=None)


def lost(url: str, timeout_s: float = 1.0) -> StreamLost:
    with pytest.raises(StreamLost) as caught, looked_at(pinned(url), timeout_s=timeout_s):
        pass
    return caught.value


def first_packet(source: Source) -> None:
    source.open()
    next(iter(source.packets()))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, LossReason.UNAUTHORIZED),
        (403, LossReason.UNAUTHORIZED),
        (404, LossReason.NOT_FOUND),
        (503, LossReason.UNREACHABLE),
        (400, LossReason.NOT_VIDEO),
        (301, LossReason.REFUSED),
        (305, LossReason.REFUSED),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE"])
def test_answers_other_than_200(status: int, reason: LossReason, method: str) -> None:
    with FakeCamera(Script(status={method: status})) as camera:
        error = lost(camera.url())
    assert error.reason is reason
    assert error.mend


def test_what_is_described(coded: list[bytes]) -> None:
    with FakeCamera(Script(coded)) as camera, looked_at(pinned(camera.url()), timeout_s=1) as described:
        assert (described.codec, described.audio) == ("h264", False)
    with FakeCamera(Script(media="audio")) as camera:
        assert lost(camera.url()).reason is LossReason.AUDIO_ONLY
    with FakeCamera(Script(encoding="JPEG")) as camera:
        error = lost(camera.url())
    assert error.reason is LossReason.UNSUPPORTED
    assert "JPEG" in error.detail
    with FakeCamera(Script(media="application")) as camera:
        assert lost(camera.url()).reason is LossReason.NOT_VIDEO


def test_silence_and_nobody() -> None:
    with FakeCamera(Script(silent=True)) as camera:
        assert lost(camera.url(), 0.1).reason is LossReason.TIMED_OUT
        url = camera.url()
    assert lost(url).reason is LossReason.UNREACHABLE


def test_a_wrong_password_is_tried_once() -> None:
    with FakeCamera(Script(status={"DESCRIBE": 401})) as camera:
        url = camera.url(login="op:wrong")
        error = lost(url)
        assert error.reason is LossReason.UNAUTHORIZED
        assert [line.split()[0] for line in camera.requests] == ["OPTIONS", "DESCRIBE", "DESCRIBE"]
        assert not any("wrong" in line for line in camera.requests)
    assert "wrong" not in str(error)


@pytest.mark.parametrize("digest", [True, False])
def test_a_real_server_lets_in_who_knows(
    tmp_path: object, digest: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("locked")
    server = RtspServer(folder, users={"op": "p@ss:1/2"}, digest=digest).add("/a", pictures(folder / "a")).start()
    try:
        url = server.url("/a", "op", "p%40ss%3A1%2F2")
        source = Source(pinned(url), clock=SystemClock())
        assert source.open().codec == "h264"
        assert next(iter(source.packets())).keyframe
        source.close()
        assert lost(server.url("/a", "op", "wrong")).reason is LossReason.UNAUTHORIZED
        assert lost(server.url("/a")).reason is LossReason.UNAUTHORIZED
    finally:
        server.stop()


class TestRedirects:
    """The target is another loopback address than the camera's: a connection to it is one that left the pinned address."""

    @pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
    def test_none_is_followed(self, coded: list[bytes], method: str) -> None:
        with FakeCamera(Script(coded), host="127.0.0.9") as target:
            script = Script(coded, redirect_to=target.url(), redirect_on=method)
            with FakeCamera(script) as camera:
                source = Source(pinned(camera.url(login="op:secret")), clock=SystemClock(), read_timeout_s=0.5)
                with pytest.raises(StreamLost) as caught:
                    first_packet(source)
            if method in ("OPTIONS", "DESCRIBE"):
                assert caught.value.reason is LossReason.REFUSED
            assert target.connections == 0

    def test_ffmpeg_itself_goes_nowhere_else(self, coded: list[bytes]) -> None:
        with FakeCamera(Script(coded), host="127.0.0.9") as target:
            with FakeCamera(Script(coded, redirect_to=target.url(), redirect_from=1)) as camera:
                with pytest.raises(StreamLost):
                    Source(pinned(camera.url()), clock=SystemClock(), read_timeout_s=0.5).open()
                assert len(camera.requests) == 4
            assert target.connections == 0

    @pytest.mark.parametrize("with_another", [False, True])
    def test_an_ffmpeg_that_follows_is_found_out_before_a_packet_is_used(
        self, coded: list[bytes], monkeypatch: pytest.MonkeyPatch, with_another: bool
    ) -> None:
        monkeypatch.setattr(PinnedAddress, "protocols", "rtsp,rtp,udp,tcp")
        with FakeCamera(Script(coded), host="127.0.0.9") as target, FakeCamera(Script(coded)) as camera:
            honest = Source(pinned(camera.url()), clock=SystemClock(), read_timeout_s=0.5)
            if with_another:
                honest.open()
            camera.script.redirect_to, camera.script.redirect_from = target.url(), camera.connections + 1
            with pytest.raises(StreamLost) as caught:
                Source(pinned(camera.url()), clock=SystemClock(), read_timeout_s=0.5).open()
            assert caught.value.reason is LossReason.REFUSED
            assert "another address" in caught.value.detail
            assert target.connections == 1
            honest.close()

    def test_udp_from_another_source_is_found_out(self, coded: list[bytes]) -> None:
        script = Script(coded, udp_source="127.0.0.9")
        with FakeCamera(script) as camera:
            source = Source(
                pinned(camera.url()), clock=SystemClock(), transport="udp", open_timeout_s=0.5, read_timeout_s=0.5
            )
            with pytest.raises(StreamLost) as caught:
                source.open()
        assert caught.value.reason is LossReason.REFUSED


def test_what_is_no_rtsp_is_said_so_without_waiting(tmp_path_factory: pytest.TempPathFactory) -> None:
    import http.server
    import threading

    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    start_s = time.monotonic()
    error = lost(f"rtsp://127.0.0.1:{server.server_port}/", 30.0)
    server.shutdown()
    server.server_close()
    assert error.reason is LossReason.NOT_VIDEO
    assert time.monotonic() - start_s < 25
