"""The live view's server under attack: tokens, hosts, origins, paths, sizes, slow and many clients (S5, S7, S13, S16, S17)."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Iterator

import pytest
import structlog
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from console.live.desk import PieceFacts
from console.live.server import LiveServer
from model.clock import FakeClock, SystemClock
from model.errors import Conflict, UsageError
from tests.conftest import wait_until
from tests.console.conftest import House
from tests.console.live.conftest import CAMERA, PATROL, TOKEN, MakeView, View, keep_evidence
from tests.console.live.test_hub import Feeds

PATHS = [
    "/",
    "/static/live.js",
    "/static/live.css",
    f"/camera/{CAMERA}",
    f"/camera/{CAMERA}/state?{PATROL}",
    f"/camera/{CAMERA}/mjpeg?{PATROL}",
    f"/camera/{CAMERA}/live?{PATROL}",
    "/alarm/A1",
    f"/evidence/E2026-000001?{PATROL}",
    f"/evidence/E2026-000001/view?{PATROL}",
    "/nothing",
]


@pytest.fixture(scope="module")
def view(shared_house: House) -> Iterator[View]:
    """For all tests that leave it as it is."""
    made = View(shared_house, Feeds(known=(CAMERA,)), SystemClock())
    yield made
    made.server.stop()


@pytest.fixture
def feeds() -> Feeds:
    return Feeds(known=(CAMERA,))


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_there_is_nothing(view: View, path: str) -> None:
    stale = {"cookie": f"{view.session().partition('=')[0]}=99999999999.{'0' * 64}"}
    for headers in ({}, stale, {"authorization": f"Basic {TOKEN}"}, {"authorization": "Bearer "}):
        answer = view.ask(path, token=False, **headers)
        assert answer.status == 401
        assert b"Gate" not in answer.data
        assert answer.headers["cache-control"] == "no-store"
    assert view.ask(path, "POST", "", token=False, origin=view.origin).status == 401
    assert view.hub.live_values()["live_viewers"] == 0
    assert view.ask(path).status != 401


def test_a_token_in_an_address_becomes_a_session_and_is_gone(view: View) -> None:
    answer = view.ask(f"/camera/{CAMERA}?{PATROL}&token={TOKEN}&lang=zh", token=False)
    assert answer.status == 303
    assert answer.headers["location"] == f"/camera/{CAMERA}?{PATROL}&lang=zh"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert str(view.server.port) in cookie.partition("=")[0]
    assert TOKEN not in cookie
    page = view.ask("/", token=False, cookie=cookie.partition(";")[0])
    assert page.status == 200
    assert "Gate" in page.text
    assert view.ask(f"//evil.example/x?token={TOKEN}", token=False).headers["location"] == "/"


def test_the_form_takes_the_token_and_the_page_that_asks_needs_nothing_else(view: View) -> None:
    page = view.ask("/", token=False, accept="text/html", accept_language="zh-CN,zh;q=0.9")
    assert page.status == 401
    assert "令牌" in page.text
    nonce = page.text.partition('nonce="')[2].partition('"')[0]
    assert f"'nonce-{nonce}'" in page.headers["content-security-policy"]
    form = {"content_type": "application/x-www-form-urlencoded", "origin": view.origin}
    assert view.ask("/enter", "POST", f"token={TOKEN}", token=False, **form).status == 303
    assert view.ask("/enter", "POST", "token=wrong", token=False, **form).status == 401
    form["origin"] = "http://evil.example"
    assert view.ask("/enter", "POST", f"token={TOKEN}", token=False, **form).status == 403


def test_wrong_tokens_make_every_token_wait_and_no_session(make_view: MakeView, feeds: Feeds) -> None:
    clock = FakeClock()
    view = make_view(feeds, clock=clock)
    cookie = view.session()
    statuses = [view.ask("/", token=False, authorization=f"Bearer wrong{number}").status for number in range(6)]
    assert statuses == [401] * 5 + [429]
    right = view.ask("/")
    assert right.status == 429
    assert right.headers["retry-after"] == "1"
    assert view.ask("/", token=False, cookie=cookie).status == 200
    clock.advance(1.1)
    assert view.ask("/").status == 200
    assert view.ask("/?token=wrong", token=False).status == 429  # and the next wait is longer
    clock.advance(1.1)
    assert view.ask("/").status == 429
    clock.advance(13 * 3_600)
    assert view.ask("/", token=False, cookie=cookie).status == 401  # a session ends


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil:{port}", ""]
)
def test_another_name_that_points_here_is_refused(view: View, host: str) -> None:
    assert view.ask("/", host=host.format(port=view.server.port)).status in (400, 421)
    assert view.ask("/", host=f"localhost:{view.server.port}").status == 200


def test_two_hosts_are_refused(view: View) -> None:
    head = f"GET / HTTP/1.1\r\nHost: {view.host}\r\nHost: evil.example\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    assert raw(view, head.encode()).partition(b"\r\n")[0] in (
        b"HTTP/1.1 400 Bad Request",
        b"HTTP/1.1 421 Misdirected Request",
    )


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}", None]
)
def test_another_sites_page_gets_no_stream_and_changes_nothing(view: View, origin: str | None) -> None:
    headers = {"cookie": view.session()}
    if origin is not None:
        headers["origin"] = origin.format(port=view.server.port)
    with pytest.raises(InvalidStatus) as refused:
        view.socket(**headers)
    assert refused.value.response.status_code == 403
    assert view.ask(f"/camera/{CAMERA}/look", "POST", "code=patrol", token=False, **headers).status == 403
    if headers.get("origin") == "null":  # our own form, as the browser itself says, and a page in a sandbox
        form = f"/camera/{CAMERA}/look"
        own, other = ({**headers, "sec_fetch_site": site} for site in ("same-origin", "cross-site"))
        assert view.ask(form, "POST", "code=patrol", token=False, **own).status == 303
        assert view.ask(form, "POST", "code=patrol", token=False, **other).status == 403
        with pytest.raises(InvalidStatus):
            view.socket(**own)
    mine = {"cookie": headers["cookie"], "origin": view.origin}
    answer = view.ask(f"/camera/{CAMERA}/look", "POST", "code=patrol&ref=a:b&note=n", token=False, **mine)
    assert answer.headers["location"] == f"/camera/{CAMERA}?purpose=patrol%3Aa+b%3An"
    with view.socket(**mine):
        pass


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_page_can_embed_nothing(view: View, site: str) -> None:
    house = view.house
    evidence = keep_evidence(house, "", b"x" * 100)
    cookie = view.session()

    def reads() -> int:
        return sum(evidence in target for _, target, _ in house.actions())

    before = reads()
    for mode, destination in (("no-cors", "image"), ("no-cors", "video"), ("cors", "empty"), ("navigate", "iframe")):
        fetch = {"sec_fetch_site": site, "sec_fetch_mode": mode, "sec_fetch_dest": destination}
        assert view.ask(f"/evidence/{evidence}?{PATROL}", token=False, cookie=cookie, **fetch).status == 403
    assert reads() == before
    own = view.ask(f"/evidence/{evidence}?{PATROL}", token=False, cookie=cookie, sec_fetch_site="same-origin")
    assert own.status == 200
    assert reads() > before
    assert own.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in own.headers


TRICKS = [
    "/static/../../../../etc/passwd",
    "/static/..%2f..%2fconsole%2flive%2fapp.py",
    "/static/%2e%2e/seams.py",
    "/static/live.js%00.css",
    "/camera/camera/..%2f..%2fetc",
    "/camera/../evidence",
    "/camera/taxi/1",
    "/camera/camera/%00",
    "/camera/camera/a%0d%0aX-Bad:1",
    f"/evidence/..%2f..%2fevidence.db?{PATROL}",
    f"/evidence/..?{PATROL}",
    f"/evidence/%2e%2e%2fE2026-000001/view?{PATROL}",
    "/alarm/..%2f..",
    "/alarm/%F0%9F%9A%A8",
    "/?after=1;DROP",
    "/?after=99999999999999999999",
    f"/camera/{CAMERA}?purpose=nonsense",
    f"/camera/{CAMERA}/mjpeg?{PATROL}&tag=../../x",
    f"/camera/{CAMERA}/state",
]


@pytest.mark.parametrize("path", TRICKS)
def test_names_that_are_tricks_reach_nothing(view: View, path: str) -> None:
    answer = raw(
        view,
        f"GET {path} HTTP/1.1\r\nHost: {view.host}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode(),
    )
    status = int(answer.split(b" ", 2)[1])
    assert status in (400, 404, 422)
    assert b"Traceback" not in answer
    assert b"root:" not in answer
    assert b"\r\nX-Bad" not in answer


def test_what_is_too_large_is_refused_before_it_is_read(view: View) -> None:
    head = f"GET / HTTP/1.1\r\nHost: {view.host}\r\nAuthorization: Bearer {TOKEN}\r\n"
    assert raw(view, f"{head}X-Much: {'x' * 70_000}\r\n\r\n".encode())[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431")
    assert raw(view, (head + "".join(f"X-{n}: {'y' * 100}\r\n" for n in range(700)) + "\r\n").encode())[:12] in (
        b"HTTP/1.1 400",
        b"HTTP/1.1 431",
    )
    assert view.ask("/?" + "a" * 5_000).status == 414
    look = f"/camera/{CAMERA}/look"
    assert view.ask(look, "POST", "code=" + "x" * 10_000).status == 413
    assert view.ask(look, "POST", "code=patrol&note=" + "x" * 300).status == 422
    assert view.ask(look, "POST", "&".join(f"a{n}=1" for n in range(100))).status == 422
    chunked = f"POST {look} HTTP/1.1\r\nHost: {view.host}\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert raw(view, chunked.encode())[:12] == b"HTTP/1.1 413"
    with view.socket() as client:
        with contextlib.suppress(ConnectionClosed):
            client.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            to_the_end(client)


def test_a_connection_that_says_nothing_or_says_it_slowly_is_closed(view: View) -> None:
    for first in (b"", b"GET / HTTP/1.1\r\nHost: x"):
        with socket.create_connection(("127.0.0.1", view.server.port), timeout=10) as client:
            client.sendall(first)
            assert closed(client)
    with socket.create_connection(("127.0.0.1", view.server.port), timeout=10) as client:  # and after an answer, too
        client.sendall(f"GET /nothing HTTP/1.1\r\nHost: {view.host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert client.recv(65_536).startswith(b"HTTP/1.1 404")
        client.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        assert closed(client)


def test_one_connection_too_many_is_closed_unheard(view: View) -> None:
    with contextlib.ExitStack() as stack:
        held = [
            stack.enter_context(socket.create_connection(("127.0.0.1", view.server.port), timeout=10))
            for _ in range(45)
        ]
        assert closed(held[-1])
    wait_until(lambda: answers(view), what="room after they have gone")


def test_every_answer_is_sealed(view: View) -> None:
    evidence = keep_evidence(view.house, "", b"x" * 100)
    for path in [
        "/",
        "/static/live.js",
        f"/camera/{CAMERA}",
        "/nothing",
        f"/evidence/{evidence}?{PATROL}",
        "/alarm/none",
    ]:
        headers = view.ask(path, accept="text/html").headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


BAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_texts_that_are_scripts_are_shown_as_texts(make_view: MakeView, feeds: Feeds, house: House) -> None:
    view = make_view(feeds)
    house.ask("camera_set", camera=CAMERA, name=BAD)
    alarm = house.alarm("button/1")
    keep_evidence(house, alarm, b"x")
    view.desk._facts = lambda _row: PieceFacts(BAD, BAD)
    paths = [
        "/",
        f"/camera/{CAMERA}",
        f"/camera/{CAMERA}?purpose=patrol:{'%3Cscript%3E'}:{'%22%3E%3Cscript%3E'}",
        f"/alarm/{alarm}",
        f"/?x={'%22%3E%3Cscript%3E'}",
    ]
    for path in paths:
        page = view.ask(path, accept="text/html")
        assert page.status == 200
        assert "<script>alert" not in page.text
        assert "<script>" not in page.text
        assert "<img src=x" not in page.text
    assert "&lt;script&gt;alert(1)" in view.ask("/").text


def test_the_token_is_in_no_log(
    make_view: MakeView, feeds: Feeds, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    view = make_view(feeds)
    caplog.set_level(logging.DEBUG)
    logging.getLogger("uvicorn.error").setLevel(logging.DEBUG)
    with structlog.testing.capture_logs() as lines:
        view.ask(f"/?token={TOKEN}", token=False)
        view.ask(f"/camera/{CAMERA}/live?token={TOKEN}", token=False)
        view.ask("/nothing")
        with contextlib.suppress(InvalidStatus), connect(f"ws://{view.host}/camera/{CAMERA}/live?token={TOKEN}"):
            pass
        with view.socket():
            pass
        raw(view, f"GET /?token={TOKEN} HTTP/1.1\r\nbroken {TOKEN}\r\n\r\n".encode())
        view.become("auditor")
        view.ask(f"/?token={TOKEN}&x=1")
    server_lines = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.client")]
    assert not any(TOKEN in line for line in server_lines)
    assert TOKEN not in json.dumps(lines, default=str)
    assert TOKEN not in repr(view.server)
    assert not any(TOKEN in str(row) for row in house.rooms.audit.rows(limit=1_000))


def test_it_listens_on_loopback_alone_and_on_a_port_of_its_own(view: View) -> None:
    made_of = view.server._made_of
    with pytest.raises(UsageError, match="no loopback"):
        LiveServer(made_of, TOKEN, listen="0.0.0.0")
    with pytest.raises(Conflict, match="cannot be had"):
        LiveServer(made_of, TOKEN, port=view.server.port).start()
    assert view.server.page_url("alarm/A?x=1") == f"{view.origin}/alarm/A?x=1&token={TOKEN}"
    assert view.server.live_values()["live_port"] == view.server.port


def test_it_stops_while_somebody_looks(make_view: MakeView, feeds: Feeds) -> None:
    view = make_view(feeds)
    with view.socket() as client:
        wait_until(lambda: view.hub.live_values()["live_viewers"] == 1)
        view.server.stop()
        with pytest.raises(ConnectionClosed) as end:
            to_the_end(client)
    assert end.value.rcvd is not None
    assert end.value.rcvd.code in (1001, 1012)
    assert not view.server.running


def to_the_end(client: Connection) -> None:
    """Read until it is closed."""
    for _ in range(1_000):
        client.recv(timeout=5)


def raw(view: View, data: bytes) -> bytes:
    """Everything that comes back for these bytes, until the server closes or a whole head has come."""
    answer = b""
    with socket.create_connection(("127.0.0.1", view.server.port), timeout=10) as client:
        try:
            client.sendall(data)
            while piece := client.recv(65_536):
                answer += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answer


def closed(client: socket.socket) -> bool:
    """Whether the server closes the connection (it is waited for, with the socket's time-out)."""
    try:
        while client.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    return True


def answers(view: View) -> bool:
    try:
        return view.ask("/").status == 200
    except OSError:
        return False
