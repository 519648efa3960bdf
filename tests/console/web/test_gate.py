"""S8 and S16 at the door: other sites, other names, and whoever sends too much, too slowly or nothing that makes sense."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from console.web.app import make_api
from console.web.doors import SOCKET
from console.web.gate import MAX_HEADER_BYTES, MAX_QUERY_BYTES
from console.web.permissions import OPEN_ROUTES
from lucheng.reference_api import parts_without_a_service
from tests.console.web.test_table import UPGRADE
from tests.console.web.web_house import PASSWORD, WebHouse, filled, received, until

DOORS = make_api(parts_without_a_service())[1].all
CHANGES = [door for door in DOORS if door.verb not in ("GET", SOCKET)]
MIB = 1 << 20


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[WebHouse]:
    """With little patience."""
    with WebHouse(
        tmp_path / "data",
        header_timeout_s=1.0,
        body_timeout_s=1.0,
        stall_s=1.0,
        max_connections=16,
        max_body_bytes=65_536,
    ) as made:
        yield made


# -- S8: a page elsewhere asks for a change --------------------------------------------------


def foreign(web: WebHouse) -> list[dict[str, str | None]]:
    return [
        {"origin": None},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": f"http://127.0.0.1:{web.port + 1}"},
        {"origin": f"https://127.0.0.1:{web.port}"},
        {"origin": f"http://127.0.0.1:{web.port}.evil.example"},
        {"origin": f"http://evil.example@127.0.0.1:{web.port}"},
        {"origin": web.origin, "sec_fetch_site": "cross-site"},
        {"origin": web.origin, "sec_fetch_site": "same-site"},
    ]


@pytest.mark.parametrize("role", ["operator", "supervisor", "technician", "admin"])
def test_no_change_is_made_for_another_sites_page(shared_web: WebHouse, role: str) -> None:
    shared_web.cookie(role)
    before = shared_web.audit()
    for door in CHANGES:
        for headers in foreign(shared_web):
            answer = shared_web.ask(
                door.verb, filled(door.path), b"{}", by=role, content_type="application/json", **headers
            )
            assert (answer.status, answer.code) == (403, "foreign_origin"), (door, headers, answer)
    assert shared_web.audit() == before


def test_two_origins_are_none(shared_web: WebHouse) -> None:
    head = f"POST /api/v1/units HTTP/1.1\r\nHost: 127.0.0.1:{shared_web.port}\r\nCookie: {shared_web.cookie('operator')}\r\n"
    for second in (shared_web.origin, "https://evil.example"):
        twice = (
            f"{head}Origin: {shared_web.origin}\r\nOrigin: {second}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        assert b" 403 " in shared_web.raw(twice.encode()).partition(b"\r\n")[0]


def test_a_form_of_another_kind_than_json_changes_nothing(shared_web: WebHouse) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None, ""):
        body = json.dumps({"unit": "unit/1", "level": 1}).encode()
        answer = shared_web.ask("POST", "/units", body, by="operator", content_type=kind)
        assert (answer.status, answer.code) == (415, "media_type"), kind


def test_nothing_is_read_for_another_sites_page_either(shared_web: WebHouse) -> None:
    for site in ("cross-site", "same-site"):
        for mode, dest in (("no-cors", "image"), ("cors", "empty"), ("navigate", "document"), ("navigate", "iframe")):
            told = {"sec_fetch_site": site, "sec_fetch_mode": mode, "sec_fetch_dest": dest}
            assert shared_web.ask("GET", "/alarms", by="operator", **told).code == "foreign_origin"
    assert shared_web.ask("GET", "/alarms", by="operator", origin="https://evil.example").code == "foreign_origin"
    # a link to a page is opened; what it loads is not another site's to embed
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert shared_web.ask("GET", "//desk", **link).status in (200, 503)
    assert shared_web.ask("GET", "//desk", **{**link, "sec_fetch_dest": "iframe"}).code == "foreign_origin"


def test_a_socket_of_another_sites_page_is_not_opened(shared_web: WebHouse) -> None:
    for headers in foreign(shared_web):
        answer = shared_web.ask("GET", "/cameras/camera/7/live", by="operator", **{**UPGRADE, **headers})
        assert (answer.status, answer.code) == (403, "foreign_origin"), headers


def test_no_answer_lets_another_site_read_embed_or_guess(shared_web: WebHouse) -> None:
    answers = [
        shared_web.ask("GET", "/alarms", by="operator"),
        shared_web.ask("GET", "/alarms"),
        shared_web.ask("GET", "//"),
        shared_web.ask("GET", "//nothing.js"),
        shared_web.ask("POST", "/units", b"x" * 10, by="operator"),
        shared_web.ask("OPTIONS", "/units", by="operator"),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy


# -- by another name -------------------------------------------------------------------------


def test_a_name_that_is_not_ours_is_refused(shared_web: WebHouse) -> None:
    port = shared_web.port
    for host in (
        "evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", f"127.0.0.1:{port}@evil.example", "", "localhost",
    ):  # fmt: skip
        for path in ("/session", "/alarms", "//"):
            answer = shared_web.ask("GET", path, by="operator", host=host)
            assert answer.status in (400, 421), host
    for host in (f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert shared_web.ask("GET", "/session", by="operator", host=host).status == 200
    twice = f"GET /api/v1/setup HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert shared_web.raw(twice.encode()).split()[1] in (b"400", b"421")


# -- S16: too much ---------------------------------------------------------------------------


def test_a_body_over_its_limit_is_refused_before_it_is_read(shared_web: WebHouse) -> None:
    head = (
        f"POST /api/v1/units HTTP/1.1\r\nHost: 127.0.0.1:{shared_web.port}\r\nOrigin: {shared_web.origin}\r\n"
        f"Cookie: {shared_web.cookie('operator')}\r\nContent-Type: application/json\r\n"
    )
    for length in (MIB + 1, 10**18, "9" * 40, "-1", "1e3", "0x10"):
        answer = shared_web.raw(f"{head}Content-Length: {length}\r\n\r\n".encode())
        assert answer.split()[1] in (b"413", b"400"), length


def test_a_body_in_pieces_is_counted_as_it_comes(shared_web: WebHouse) -> None:
    head = (
        f"POST /api/v1/units HTTP/1.1\r\nHost: 127.0.0.1:{shared_web.port}\r\nOrigin: {shared_web.origin}\r\n"
        f"Cookie: {shared_web.cookie('operator')}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    with shared_web.line() as line:
        line.sendall(head.encode())
        try:
            for _ in range(100):
                line.sendall(piece)
        except OSError:
            pass  # it is cut off in the midst of them
        assert received(line).split()[1:2] in ([b"413"], [])
    assert shared_web.ask("GET", "/session", by="operator").status == 200


def test_no_json_breaks_anything(shared_web: WebHouse) -> None:
    for body in (
        b"{", b"[]", b"null", b"\"x\"", b"1", b"[" * 100_000, b"{\"a\":" * 100_000, b"{\"unit\":" + b"9" * 100_000 + b"}",
        b"{\"unit\":\"unit/1\",\"level\":1e400}", b"{\"unit\":\"unit/1\",\"level\":NaN}", b"{\"unit\":\"\\ud800\",\"level\":1}",
        b"{\"unit\":\"unit/1\",\"level\":99999999999999999999}", b"{\"unit\":\"u\\u0000\",\"level\":1}", b"\xff\xfe", b"{\"unit\":\"\xff\"}",
        b"{\"unit\":\"unit/1\",\"unit\":\"unit/2\",\"level\":{}}", b"",
    ):  # fmt: skip
        answer = shared_web.ask("POST", "/units", body, by="operator", content_type="application/json")
        assert answer.status in (400, 422), (body[:40], answer)
    search = {
        "area": {"type": "Polygon", "coordinates": [[[0, 0]] * 40_000]},
        "from_ms": 0,
        "to_ms": 1,
        "purpose": "patrol",
    }
    assert shared_web.ask("POST", "/search/inside", search, by="officer").status in (400, 413, 422)


@pytest.mark.parametrize(
    "value", ["9" * 5_000, "-1", "1e9", "0x10", "9223372036854775808", "18446744073709551616", "１", " 1", "NaN", ""]
)
def test_no_number_breaks_anything(shared_web: WebHouse, value: str) -> None:
    for path, name in (
        ("/devices", "limit"),
        ("/devices", "after"),
        ("/audit", "before"),
        ("/signals", "from_ms"),
        ("/test/fences", "lat"),
    ):
        by = "auditor" if path == "/audit" else "supervisor"
        answer = shared_web.ask("GET", path, by=by, query={name: value, "lon": "nan", "purpose": "patrol"})
        assert answer.status in (200, 422), (path, name, answer)
    assert shared_web.ask(
        "GET", f"/quarantine/{quote(value) or 'x'}", by="supervisor", query={"purpose": "patrol"}
    ).status in (404, 422)


def test_a_head_and_an_address_have_their_limits(shared_web: WebHouse) -> None:
    assert shared_web.ask("GET", "/alarms", by="operator", x_long="a" * MAX_HEADER_BYTES).code == "header_too_large"
    assert (
        shared_web.ask("GET", "/alarms", by="operator", query={"kind": "a" * MAX_QUERY_BYTES}).code
        == "address_too_long"
    )
    assert shared_web.ask("GET", "/alarms/" + "a" * 8_000, by="operator").status in (404, 414, 422)
    endless = f"GET /api/v1/alarms HTTP/1.1\r\nHost: 127.0.0.1:{shared_web.port}\r\nX: ".encode() + b"a" * (1 << 20)
    with shared_web.line() as line:
        with contextlib.suppress(OSError):
            line.sendall(endless)
        assert received(line).split()[1:2] in ([b"400"], [b"431"], [])


# -- S16: too slowly -------------------------------------------------------------------------


def test_who_does_not_say_his_request_is_cut_off(strict: WebHouse) -> None:
    with strict.line() as line:
        line.sendall(b"GET /api/v1/setup HTTP/1.1\r\nHost: ")
        assert received(line) == b""
    with strict.line() as line:
        assert received(line) == b""
    assert strict.ask("GET", "/setup").status == 200


def test_a_head_that_trickles_is_cut_off(strict: WebHouse) -> None:
    ended = threading.Event()
    with strict.line() as line:

        def trickle() -> None:
            try:
                for letter in b"GET /api/v1/setup HTTP/1.1\r\n" + b"X: y\r\n" * 10_000:
                    if ended.wait(0.05):
                        return
                    line.send(bytes([letter]))
            except OSError:
                return

        thread = threading.Thread(target=trickle)
        thread.start()
        assert received(line) == b""
        ended.set()
        thread.join()


def test_a_body_that_does_not_come_is_not_waited_for(strict: WebHouse) -> None:
    head = (
        f"POST /api/v1/units HTTP/1.1\r\nHost: 127.0.0.1:{strict.port}\r\nOrigin: {strict.origin}\r\n"
        f"Cookie: {strict.cookie('operator')}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    )
    answer = strict.raw(head.encode())
    assert answer.split()[1] == b"408"
    assert b"body_too_slow" in answer


def test_connections_are_counted_and_idle_ones_make_room(strict: WebHouse) -> None:
    lines = [socket.create_connection(("127.0.0.1", strict.port), timeout=30) for _ in range(64)]
    try:
        until(lambda: sum(_over(line) for line in lines) >= len(lines) - 16)
        until(lambda: _answers(strict))
    finally:
        for line in lines:
            line.close()


def _over(line: socket.socket) -> bool:
    line.settimeout(0.01)
    try:
        return line.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def _answers(web: WebHouse) -> bool:
    try:
        return web.ask("GET", "/setup").status == 200
    except OSError:
        return False


def test_passwords_are_tried_a_few_at_a_time(strict: WebHouse) -> None:
    """A flood of sign-ins is turned away or waits; nobody else is kept from his work."""
    cookie = strict.cookie("operator")
    found: list[int] = []

    def flood() -> None:
        for _ in range(3):
            try:
                found.append(strict.ask("POST", "/session", {"user": "nobody", "password": "x"}).status)
            except OSError:
                found.append(0)

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert strict.ask("GET", "/session", cookie=cookie).status == 200
    for thread in threads:
        thread.join()
    assert set(found) <= {0, 401, 429, 503}
    assert strict.sign_in("supervisor", PASSWORD).status == 200


def test_open_routes_are_those_that_are_needed_to_come_in() -> None:
    assert {"session_show", "session_begin", "session_end", "setup_show", "setup_do"} == OPEN_ROUTES
