"""The API over a real Unix socket: the same answers as in process, errors as words, limits that hold."""

import json
import os
import pwd
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from console.api import make_app
from console.client import LocalClient, RemoteClient, _UnixConnection
from console.metrics import METRIC_BY_NAME, METRICS, exposition
from console.routes import ROUTES
from console.server import ApiServer, user_name
from console.socket_path import SUN_PATH_BYTES, answers
from model.codes import Reason
from model.errors import (
    AuditUnwritable,
    BadInput,
    Conflict,
    LuchengError,
    NotFound,
    Refused,
    StoreError,
    TryAgain,
    UsageError,
)
from tests.console.conftest import START_MS, House
from tests.console.test_operations import damage_audit

MAX_BODY_BYTES = 64 << 10
WINDOW = {"from_ms": START_MS, "to_ms": START_MS + 86_400_000}


@pytest.fixture
def served(house: House, tmp_path: Path) -> Iterator[Path]:
    """The socket of a running API over `house`."""
    app = make_app(house.operations, max_body_bytes=MAX_BODY_BYTES, request_timeout_s=20)
    with ApiServer(app, tmp_path / "api.sock") as server:
        yield server.path


@pytest.fixture
def remote(served: Path) -> RemoteClient:
    return RemoteClient(served)


def ask(path: Path, verb: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """One raw request; status and the JSON of the answer."""
    connection = _UnixConnection(path, 5, 30)
    try:
        connection.request(verb, target, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_both_clients_answer_the_same(house: House, remote: RemoteClient) -> None:
    house.put("taxi/1", [START_MS, START_MS + 1000])
    house.put("unit/1", [START_MS])
    house.quarantine("taxi/1", Reason.NOT_JSON, b"\xff")
    house.signal(1, "taxi/1")
    house.ask("device_add", device="button/1", name="名", lat=40.5, lon=109.5)
    local = LocalClient(house.operations, house.caller)
    for operation, arguments in (
        ("about", {}),
        ("status", {}),
        ("where", {}),
        ("where", {"devices": ["unit/1", "taxi/1"], "purpose": "case:A 7&x=1:注"}),
        ("quarantine_list", {"reason": "not_json", "limit": 5}),
        ("quarantine_show", {"number": 1}),
        ("signal_list", {"device": "taxi/1", "before": None}),
        ("device_list", {"kind": "taxi", "enabled": True}),
        ("device_list", {"text": "名", "after": -1, "limit": 1}),
        ("device_show", {"device": "button/1"}),
        ("site_list", {}),
    ):
        assert remote.call(operation, **arguments) == local.call(operation, **arguments), operation
    assert json.loads(b"".join(remote.track(device="taxi/1", **WINDOW))) == json.loads(
        b"".join(local.track(device="taxi/1", **WINDOW))
    )


def test_changes_go_through(house: House, remote: RemoteClient) -> None:
    assert remote.call("device_add", device="taxi/1", plate="蒙B1", lat=None)["number"] == 1
    assert len(remote.call("device_credentials", device="taxi/1", action="new")["password"]) >= 20
    assert remote.call("device_disable", device="taxi/1")["enabled"] is False
    assert remote.call("device_import", data=b"id\ntaxi/2\n", dry_run=True)["counts"]["added"] == 1
    assert remote.call("device_import", data=b"id\ntaxi/2\n")["counts"]["added"] == 1
    assert remote.call("site_add", site="s1", lat=40.0, lon=109.0, cameras=[])["site"] == "s1"
    assert house.told == 5
    assert remote.call("store_check")["ok"]
    assert remote.call("audit_verify")["ok"]


def test_who_asks_is_what_the_kernel_says(house: House, served: Path) -> None:
    forged = {"X-Forwarded-For": "mallory", "X-User": "mallory", "Host": "mallory"}
    status, _ = ask(served, "GET", "/v1/audit", None, **forged)
    assert status == 200
    row = house.rooms.audit.rows(newest_first=True, limit=1)[0]
    assert (row.who, row.role, row.detail["via"]) == (pwd.getpwuid(os.getuid()).pw_name, "cli", "socket")
    assert row.who == user_name(os.getuid())
    assert user_name(4_000_000_000) == "uid:4000000000"


@pytest.mark.parametrize(
    ("operation", "arguments", "error"),
    [
        ("device_show", {"device": "taxi/9"}, NotFound),
        ("device_show", {"device": "../../etc/passwd"}, UsageError),
        ("device_add", {"device": "taxi/1"}, Conflict),
        ("device_import", {"data": b"\x00\xff"}, BadInput),
        ("track", {"device": "ebike/1", **WINDOW}, Refused),
        ("track", {"device": "taxi/1", "from_ms": 5, "to_ms": 5}, UsageError),
        ("track", {"device": "taxi/1", "from_ms": "x", "to_ms": 5}, UsageError),
        ("signal_list", {"limit": 0}, UsageError),
        ("ingest", {"path": "/x", "file_format": "csv"}, TryAgain),
    ],
)
def test_an_error_arrives_as_its_own_class(
    house: House, remote: RemoteClient, operation: str, arguments: dict[str, Any], error: type[LuchengError]
) -> None:
    house.ask("device_add", device="taxi/1")
    local = LocalClient(house.operations, house.caller)
    with pytest.raises(error) as caught:
        remote.track(**arguments) if operation == "track" else remote.call(operation, **arguments)
    assert type(caught.value) is error
    assert caught.value.mend
    if "x" not in arguments.values():
        with pytest.raises(error) as here:
            local.track(**arguments) if operation == "track" else local.call(operation, **arguments)
        assert str(here.value) == str(caught.value)


def test_s20_no_audit_no_data_over_the_socket(house: House, remote: RemoteClient, served: Path) -> None:
    house.put("taxi/1", [START_MS])
    house.ask("audit_list")
    damage_audit(house)
    with pytest.raises(AuditUnwritable):
        remote.track(device="taxi/1", **WINDOW)
    status, answer = ask(served, "GET", "/v1/where")
    assert (status, answer["error"]) == (500, "audit_unwritable")
    assert "40.65" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("verb", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("POST", "/v1/where", 405),
        ("GET", "/v1/devices/taxi/1/disable", 422),
        ("DELETE", "/v1/devices/taxi/1", 405),
        ("GET", "/v1/track", 422),
        ("GET", "/v1/quarantine/abc", 422),
        ("GET", "/v1/devices/..%2f..%2fetc%2fpasswd", 422),
        ("GET", "/v1/devices/%00", 422),
        ("POST", "/v1/devices", 422),
    ],
)
def test_what_there_is_not_is_answered_in_words(served: Path, verb: str, target: str, status: int) -> None:
    got, answer = ask(served, verb, target)
    assert got == status
    assert set(answer) == {"error", "message", "mend"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"device": 5}', b"\xff", b'{"device": {"a": []}}', b"[" * 60_000]
)
def test_rubbish_in_a_body_is_a_usage_error(served: Path, body: bytes) -> None:
    status, answer = ask(served, "POST", "/v1/devices", body, **{"Content-Type": "application/json"})
    assert status in (400, 422)
    assert answer["error"] == "usage"


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    target=st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=60),
    body=st.binary(max_size=60),
)
def test_no_request_makes_the_service_fail(served: Path, target: str, body: bytes) -> None:
    for verb in ("GET", "POST"):
        status, _ = ask(served, verb, "/v1/devices/" + target, body, **{"Content-Type": "application/json"})
        assert status < 500


def test_s16_a_body_over_the_limit_is_refused_said_or_unsaid(served: Path) -> None:
    too_much = b"x" * (MAX_BODY_BYTES + 1)
    status, answer = ask(served, "POST", "/v1/import/devices", too_much)
    assert (status, answer["error"]) == (413, "bad_input")
    connection = _UnixConnection(served, 5, 30)
    connection.request(
        "POST", "/v1/import/devices", body=iter([too_much[:40_000], too_much[:40_000]]), encode_chunked=True
    )
    response = connection.getresponse()
    assert response.status == 413
    connection.close()
    assert ask(served, "GET", "/v1/health") == (200, {"status": "ok"})


def test_s16_a_header_without_end_is_cut_off(served: Path) -> None:
    from console.socket_path import connected

    made = connected(served, 5)
    made.settimeout(20)

    def send_for_ever() -> None:
        for _ in range(100_000):
            made.sendall(b"X-A: " + b"a" * 1000 + b"\r\n")

    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_for_ever()
    made.close()
    assert ask(served, "GET", "/v1/health")[0] == 200


def test_an_answer_that_takes_too_long_is_given_up_but_a_slow_one_is_not(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    inner = house.operations.status

    def waiting(caller: Any) -> dict[str, Any]:
        release.wait(20)
        return inner(caller)

    def checking(caller: Any) -> dict[str, Any]:
        time.sleep(1.0)
        return {"ok": True}

    monkeypatch.setattr(house.operations, "status", waiting)
    monkeypatch.setattr(house.operations, "store_check", checking)
    with ApiServer(make_app(house.operations, request_timeout_s=0.3), tmp_path / "slow.sock") as server:
        remote = RemoteClient(server.path)
        with pytest.raises(TryAgain, match="took too long"):
            remote.call("status")
        assert remote.call("store_check") == {"ok": True}
        release.set()


def test_a_long_track_is_streamed_whole(house: House, remote: RemoteClient) -> None:
    house.put("taxi/1", [START_MS + at * 1000 for at in range(30_000)])
    found = json.loads(b"".join(remote.track(device="taxi/1", **WINDOW)))
    assert len(found["points"]) == 30_000
    assert found["points"][-1]["time"] == "2026-11-22T16:19:59.000Z"


def test_many_ask_at_once(house: House, served: Path) -> None:
    house.put("taxi/1", [START_MS])
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            client = RemoteClient(served)
            for turn in range(5):
                client.call("device_add", device=f"taxi/t{number}-{turn}")
                client.call("where")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(house.ask("device_list", limit=1000)) == 41
    assert house.ask("audit_verify")["ok"]


# -- the socket -------------------------------------------------------------------------------


def test_the_socket_is_private_and_gone_afterwards(house: House, tmp_path: Path) -> None:
    server = ApiServer(make_app(house.operations), tmp_path / "api.sock")
    server.start()
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert answers(server.path, 1)
    assert server.running
    server.stop()
    server.stop()
    assert not server.path.exists()
    assert not server.running


def test_a_stale_socket_is_taken_over_and_a_live_one_is_not(house: House, tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert path.exists()
    assert not answers(path, 1)
    app = make_app(house.operations)
    with ApiServer(app, path):
        with pytest.raises(Conflict, match="answers"):
            ApiServer(app, path).start()
        assert RemoteClient(path).call("about")["time_zone"] == "Asia/Shanghai"


def test_a_path_longer_than_the_kernel_takes_works(house: House, tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    assert len(str(folder)) > SUN_PATH_BYTES
    with ApiServer(make_app(house.operations), folder / "api.sock") as server:
        assert RemoteClient(server.path).call("about")["city"]


def test_a_folder_that_is_not_there_is_said(house: House, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        ApiServer(make_app(house.operations), tmp_path / "nix" / "api.sock").start()


def test_a_client_without_a_service_is_told_to_try_again(tmp_path: Path) -> None:
    with pytest.raises(TryAgain):
        RemoteClient(tmp_path / "api.sock").call("about")


def test_a_service_that_answers_rubbish_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    replies = [
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 503 x\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\n[]",
        b"",
    ]

    def serve() -> None:
        for reply in replies:
            connection, _ = listener.accept()
            connection.recv(4096)
            connection.sendall(reply)
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    kinds = []
    for _ in replies:
        with pytest.raises(LuchengError) as caught:
            RemoteClient(path).call("about")
        kinds.append(caught.value.exit_status)
    thread.join()
    listener.close()
    assert kinds == [75, 75, 1, 75]


# -- metrics ----------------------------------------------------------------------------------


def test_metrics_are_the_tables_and_agree_with_the_status(house: House, remote: RemoteClient) -> None:
    house.put("taxi/1", [START_MS, START_MS + 1])
    house.quarantine("taxi/1", Reason.FUTURE, b"x")
    text = remote.metrics()
    assert "lucheng_points_received_total 3.0" in text
    assert 'lucheng_points_quarantined_total{reason="future"} 1.0' in text
    assert 'lucheng_devices{kind="taxi"} 1.0' in text
    for row in METRICS:
        assert f"# HELP lucheng_{row.name}" in text
        assert row.help.zh in text


def test_a_metric_that_is_not_in_the_table_is_an_error() -> None:
    with pytest.raises(KeyError):
        exposition({"nix": 1.0})
    assert METRIC_BY_NAME["live"].label == "name"


def test_every_route_is_an_operation(house: House) -> None:
    for route in ROUTES:
        assert callable(getattr(house.operations, route.name))
    assert len({(route.verb, route.path) for route in ROUTES}) == len(ROUTES)
    assert not [route for route in ROUTES if route.slow and "{" in route.path]
