"""S17 and the console: no secret that goes in or out of it stands in a log, an error, the audit, or in the open on the disk.

The service runs as people run it; each secret is unlike anything else, and everything that was written is searched for it.
"""

from __future__ import annotations

import http.client
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port
from tests.lucheng.in_process import answer
from tests.lucheng.service_process import HANG_S, ServiceProcess

#: Typed by people, right and wrong.
PASSWORD = "canary-rosella-password-1"
NEW_PASSWORD = "canary-rosella-password-2"
WRONG = "canary-rosella-wrong"
AS_USER = "canary-rosella-as-user"
CAMERA = "canary-rosella-camera"


class Console:
    """A client of the running console that keeps everything it was answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.cookie = ""
        self.said: list[bytes] = []

    def ask(self, verb: str, path: str, body: Any = None, *, keep: bool = True) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=HANG_S)
        headers = {
            "origin": f"http://127.0.0.1:{self._port}",
            "cookie": self.cookie,
            "idempotency-key": os.urandom(8).hex(),
        }
        if body is not None:
            headers["content-type"] = "application/json"
        connection.request(verb, path, None if body is None else json.dumps(body), headers)
        given = connection.getresponse()
        data = given.read()
        connection.close()
        if given.headers.get("set-cookie"):
            self.cookie = given.headers["set-cookie"].split(";")[0]
        if keep:
            self.said.append(data)
        return json.loads(data) if data and "json" in given.headers.get("content-type", "") else None


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[ServiceProcess, Console]]:
    port = free_port()
    env = {"LUCHENG_WEB__PORT": str(port), "LUCHENG_ACCOUNTS__PASSWORD_MEMORY_KIB": "19456"}
    with ServiceProcess(tmp_path / "data", env=env).start() as made:
        yield made, Console(port)


def test_no_secret_of_the_console_is_written_anywhere(service: tuple[ServiceProcess, Console]) -> None:
    running, console = service
    token_file = running.data / "keys" / "setup.token"
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    token = token_file.read_text().strip()
    assert f"console: http://127.0.0.1:{console._port}/" in running.said
    assert token in running.said  # printed to who started it, as a line of its own, never as a log event
    assert [line for line in running.said.splitlines() if token in line and line.startswith("{")] == []
    console.ask("POST", "/api/v1/setup", {"user": "chief", "password": PASSWORD, "token": WRONG})
    console.ask("POST", "/api/v1/setup", {"user": "chief", "password": PASSWORD, "token": token})
    assert not token_file.exists()
    for user, password in (("chief", WRONG), (AS_USER, WRONG), ("chief", PASSWORD)):
        console.ask("POST", "/api/v1/session", {"user": user, "password": password})
    session = console.cookie.partition("=")[2]
    assert len(session) >= 43
    made = console.ask("POST", "/api/v1/accounts", {"user": "wu", "role": "technician", "password": NEW_PASSWORD})
    assert made["user"] == "wu"
    console.ask("POST", "/api/v1/accounts", {"user": "wu", "role": "technician", "password": NEW_PASSWORD})
    console.ask("POST", "/api/v1/accounts/wu/password", {"password": f"wu {WRONG}"})
    console.ask("POST", "/api/v1/session/password", {"old": WRONG, "new": NEW_PASSWORD})
    console.ask("POST", "/api/v1/session/password", {"old": PASSWORD, "new": "x"})
    address = f"rtsp://admin:{CAMERA}@10.0.0.9/stream"
    console.ask("POST", "/api/v1/cameras/camera/9/set", {"add": True, "url": address})
    console.ask("POST", "/api/v1/cameras/camera/9/set", {"url": f"http://x:{CAMERA}@10.0.0.9/"})
    console.ask("GET", "/api/v1/cameras/camera/9")
    console.ask("POST", "/api/v1/devices", {"device": "taxi/9"})
    given = console.ask("POST", "/api/v1/devices/taxi/9/credentials", {}, keep=False)
    for path in (
        "/api/v1/system",
        "/api/v1/status",
        "/api/v1/accounts",
        "/api/v1/session",
        "/api/v1/devices/taxi/9",
        "/metrics",
        "/",
    ):
        console.ask("GET", path)
    console.ask("GET", f"/api/v1/devices?text={WRONG}&token={WRONG}", keep=False)
    audit = json.dumps(answer(running.data, "audit", "list", "--limit", "500"))
    assert "account.setup" in audit
    secrets = [PASSWORD, NEW_PASSWORD, WRONG, AS_USER, CAMERA, session, given["password"]]
    log = running.said
    for secret in (*secrets, token):
        assert secret not in "".join(line for line in log.splitlines(keepends=True) if not line.startswith("console: "))
        assert secret not in audit
        assert not [said for said in console.said if secret.encode() in said]
    assert running.terminate()[0] == 0
    for file in running.data.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            found = [secret for secret in (*secrets, token) if secret.encode() in data]
            assert not found, (file, found)
