"""Streams over the wire: order, slow readers, roles that change under them (S19), single pictures."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.connection import Connection

from console.live.streams import CLOSE_S, DEFAULT_RECHECK_S, DEFAULT_RECHECK_TIMEOUT_S
from model.errors import AuditUnwritable
from tests.conftest import wait_until
from tests.console.live.conftest import CAMERA, LIMITS, PATROL, TOKEN, VIEWER_BYTES, MakeView, View
from tests.console.live.test_hub import Feeds, Run


@pytest.fixture
def feeds() -> Feeds:
    return Feeds(known=(CAMERA,))


def head(client: Connection) -> dict[str, Any]:
    text = client.recv(timeout=10)
    assert isinstance(text, str)
    found: dict[str, Any] = json.loads(text)
    return found


def to_the_end(client: Connection) -> None:
    """Read until it is closed."""
    for _ in range(1_000):
        client.recv(timeout=10)


def began(view: View, feeds: Feeds, starts: int = 1) -> Run:
    wait_until(lambda: len(feeds.runs) == starts, what="the feed")
    return feeds.runs[-1]


def test_each_piece_comes_after_what_says_it(make_view: MakeView, feeds: Feeds) -> None:
    view = make_view(feeds)
    with view.socket() as client:
        run = began(view, feeds)
        run.init(b"INIT")
        run.media(b"KEY", key=True)
        first = head(client)
        assert {name: first[name] for name in ("t", "codec", "transcoded")} == {
            "t": "init",
            "codec": "avc1.64001f",
            "transcoded": False,
        }
        assert client.recv() == b"INIT"
        second = head(client)
        assert (second["t"], second["key"], second["time_ms"]) == ("media", True, 1_000)
        assert second["now_ms"] > 1_000
        assert client.recv() == b"KEY"
        run.end("offline")
        told = head(client)
        assert (told["t"], told["what"], told["detail"]) == ("told", "ended", "offline")
    assert ("watch.live", CAMERA, "patrol") in view.house.actions()
    wait_until(lambda: view.hub.live_values()["live_viewers"] == 0)


def test_a_role_that_may_not_look_is_refused_and_audited(make_view: MakeView, feeds: Feeds) -> None:
    view = make_view(feeds)
    view.become("auditor")
    with view.socket() as client:
        said = head(client)
        assert said["t"] == "refused"
        assert "may not" in said["message"]
        with pytest.raises(ConnectionClosed) as end:
            client.recv(timeout=10)
    assert end.value.rcvd is not None
    assert end.value.rcvd.code == 4403
    assert view.ask(f"/camera/{CAMERA}/mjpeg?{PATROL}").status == 403
    assert not feeds.runs
    assert [action for action, *_ in view.house.actions()].count("read.refused") == 2


def test_without_an_audit_there_is_no_picture(
    make_view: MakeView, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = make_view(feeds)

    def unwritable(*_: object) -> None:
        raise AuditUnwritable("The audit cannot be written.", mend="Free the disk.")

    monkeypatch.setattr(view.house.rooms.audit, "append", unwritable)
    with view.socket() as client:
        assert head(client)["t"] == "refused"
    assert view.ask(f"/camera/{CAMERA}/mjpeg?{PATROL}").status == 500
    assert not feeds.runs


@pytest.mark.parametrize("mode", ["mp4", "jpeg"])
@pytest.mark.parametrize("reads", [True, False])
def test_a_role_that_is_lowered_ends_what_runs(make_view: MakeView, feeds: Feeds, mode: str, reads: bool) -> None:
    assert DEFAULT_RECHECK_S + DEFAULT_RECHECK_TIMEOUT_S + CLOSE_S < 5  # S19, in the worst case
    view = make_view(feeds, limits=replace(LIMITS, stall_s=600))  # so that it is the role that ends it
    with contextlib.closing(plain(view, mode)) as client:
        run = began(view, feeds)
        if not reads:
            flood(view, run, mode)
        view.become("technician")
        wait_until(lambda: view.hub.live_values()["live_viewers"] == 0, what="the end of the stream")
        client.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(1 << 20):
                pass


def test_a_question_without_an_answer_ends_the_stream(
    make_view: MakeView, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = make_view(feeds, limits=replace(LIMITS, recheck_timeout_s=0.3))
    hang = threading.Event()
    with view.socket() as client:
        run = began(view, feeds)
        run.init()
        run.media(b"KEY", key=True)
        assert head(client)["t"] == "init"
        monkeypatch.setattr(view.desk, "may_watch", lambda *_: hang.wait(20))
        with pytest.raises(ConnectionClosed) as end:
            to_the_end(client)
        hang.set()
    assert end.value.rcvd is not None
    assert end.value.rcvd.code == 4503  # not a no: the page tries again, and is asked and audited anew


@pytest.mark.parametrize("mode", ["mp4", "jpeg"])
def test_a_viewer_that_takes_nothing_is_cut_off_and_slows_nobody(make_view: MakeView, feeds: Feeds, mode: str) -> None:
    view = make_view(feeds)
    with contextlib.closing(plain(view, mode)) as slow:
        run = began(view, feeds)
        with view.socket() if mode == "mp4" else contextlib.nullcontext() as quick:
            wait_until(lambda: view.hub.live_values()["live_viewers"] == (2 if quick else 1))
            run.init()
            sent = 0
            got = 0
            slow.settimeout(0.01)
            give_up_s = time.monotonic() + 20
            while view.hub.live_values()["live_viewers"] == (2 if quick else 1):
                run.media(bytes(50_000), key=True) if mode == "mp4" else run.jpeg(bytes(50_000))
                sent += 1
                if quick:
                    while not isinstance(piece := quick.recv(timeout=10), bytes) or len(piece) != 50_000:
                        pass
                    got += 1
                with contextlib.suppress(TimeoutError, ConnectionResetError):
                    slow.recv(1)  # a byte at a time
                assert view.hub.kept_bytes() <= 3 * VIEWER_BYTES
                assert time.monotonic() < give_up_s
            assert got == (sent if quick else 0)


def test_of_pictures_the_newest_is_sent_and_the_page_can_ask_its_age(make_view: MakeView, feeds: Feeds) -> None:
    view = make_view(feeds)
    with contextlib.closing(plain(view, "jpeg", "&tag=abc123")) as client:
        run = began(view, feeds)
        for number in range(3):
            picture = f"JPEG-{number}".encode()
            run.jpeg(picture)
            read_until(
                client, picture + b"\r\n--picture\r\n"
            )  # the boundary comes with it: the browser shows it at once
        state = view.ask(f"/camera/{CAMERA}/state?{PATROL}&tag=abc123").json
        assert state["may"] is True
        assert (state["connected"], state["picture_ms"]) == (True, 1_000)
        assert view.ask(f"/camera/{CAMERA}/mjpeg?{PATROL}&tag=abc123").status == 422  # one stream a tag
    wait_until(lambda: not view.ask(f"/camera/{CAMERA}/state?{PATROL}&tag=abc123").json["connected"])


def test_one_viewer_too_many_is_told_so(make_view: MakeView, feeds: Feeds) -> None:
    view = make_view(feeds)
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(view.socket())
        wait_until(lambda: view.hub.live_values()["live_viewers"] == 8)
        with view.socket() as client:
            said = head(client)
            assert said["t"] == "busy"
        assert view.ask(f"/camera/{CAMERA}/mjpeg?{PATROL}").status == 503


def plain(view: View, mode: str, more: str = "") -> socket.socket:
    """A client that reads when the test says so, and has small buffers."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    made.settimeout(10)
    made.connect(("127.0.0.1", view.server.port))
    upgrade = ""
    if mode == "mp4":
        upgrade = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
    path = f"/camera/{CAMERA}/{'live' if mode == 'mp4' else 'mjpeg'}?{PATROL}{more}"
    made.sendall(f"GET {path} HTTP/1.1\r\nHost: {view.host}\r\nAuthorization: Bearer {TOKEN}\r\n{upgrade}\r\n".encode())
    return made


def flood(view: View, run: Run, mode: str) -> None:
    """Deliver until the viewer's queue cannot go out: its buffers are full."""
    run.init()
    for _ in range(200):
        if mode == "mp4":
            run.media(bytes(50_000), key=True)
        else:
            run.jpeg(bytes(50_000))
    wait_until(lambda: view.hub.kept_bytes() > 0)


def read_until(client: socket.socket, end: bytes) -> None:
    seen = b""
    while not seen.endswith(end):
        piece = client.recv(65_536)
        assert piece, seen
        seen += piece
        if seen.endswith(b"\r\n0\r\n\r\n"):
            pytest.fail("the stream ended")
        seen = seen.removesuffix(b"\r\n") if seen.endswith(end + b"\r\n") else seen
