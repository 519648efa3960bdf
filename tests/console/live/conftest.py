"""A live view over a real data folder: real operations, real audit, a server on a free port."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pytest
from websockets.sync.client import ClientConnection, connect

from config.sections import Settings
from console.device_operations import Caller
from console.live.app import LivePages
from console.live.desk import OperationsDesk, PieceFacts
from console.live.hub import LiveHub
from console.live.server import LiveServer
from console.live.streams import StreamLimits
from model.clock import Clock, SystemClock
from model.evidence import NewEvidence
from model.video import LiveFeeds
from tests.console.conftest import House
from tests.console.live.film import Film, make_film

TOKEN = "canary-token-that-may-be-nowhere-0123456789"
CAMERA = "camera/gate"
PATROL = "purpose=patrol"
#: Short, so that a test waits for conditions and not for limits.
LIMITS = StreamLimits(stall_s=1.5, recheck_s=0.1, recheck_timeout_s=10)
VIEWER_BYTES = 256 << 10


class Answer:
    """An HTTP answer, read whole but for one that never ends."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        endless = self.headers.get("content-type", "").startswith("multipart/")
        self.data = b"" if endless else answer.read()

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.data)
        return found


class View:
    """A running live view and its house."""

    def __init__(self, house: House, feeds: LiveFeeds, clock: Clock, **pages: Any) -> None:
        self.house = house
        self.hub = LiveHub(feeds, clock=SystemClock(), max_viewer_bytes=VIEWER_BYTES, linger_s=0.2, max_viewers=8)
        self.caller = Caller("tester", "live", "loopback")
        self.desk = OperationsDesk(house.operations, facts=lambda _row: PieceFacts("starts 4.0 s late", "h264"))
        made_of = LivePages(self.hub, self.desk, clock, self.caller, ZoneInfo("Asia/Shanghai"), limits=LIMITS)
        self.server = LiveServer(
            replace(made_of, **pages), TOKEN, max_connections=40, header_timeout_s=0.4, stop_timeout_s=2
        )
        self.server.start()
        self.host = f"127.0.0.1:{self.server.port}"
        self.origin = f"http://{self.host}"

    def ask(
        self, path: str, method: str = "GET", body: str | None = None, *, token: bool = True, **headers: str
    ) -> Answer:
        """One request; `token`: with it. A header's name is written with `_`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent = {"Authorization": f"Bearer {TOKEN}", **sent}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request(method, path, body, sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def session(self) -> str:
        """The cookie that a browser has after the token."""
        return self.ask(f"/?token={TOKEN}", token=False).headers["set-cookie"].partition(";")[0]

    def socket(self, query: str = PATROL, camera: str = CAMERA, **headers: str) -> ClientConnection:
        """A WebSocket of a program that has the token, or with other headers."""
        sent = headers or {"Authorization": f"Bearer {TOKEN}"}
        return connect(
            f"ws://{self.host}/camera/{camera}/live?{query}",
            additional_headers={name.replace("_", "-"): value for name, value in sent.items()},
            compression=None,
            max_size=None,
        )

    def become(self, role: str) -> None:
        """The role that the settings give the tester from now on."""
        operators = self.house.rooms.settings.operators.model_copy(update={"users": {"tester": role}})
        self.house.operations._settings = self.house.rooms.settings.model_copy(update={"operators": operators})


class MakeView(Protocol):
    def __call__(self, feeds: LiveFeeds, *, clock: Clock | None = None, **pages: Any) -> View: ...


@contextmanager
def open_house(folder: Path) -> Iterator[House]:
    """A data folder with one camera."""
    house = House(folder / "data", Settings())
    try:
        house.ask("camera_set", camera=CAMERA, add=True, url="rtsp://10.0.0.5/main", name="Gate", lat=40.65, lon=109.84)
        yield house
    finally:
        house.rooms.close()


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests of a module that leave it as it is."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """One for a test that changes roles or names."""
    with open_house(tmp_path) as made:
        yield made


@pytest.fixture
def make_view(house: House) -> Iterator[MakeView]:
    """Makes live views of the house; they are stopped at the end."""
    made: list[View] = []

    def make(feeds: LiveFeeds, *, clock: Clock | None = None, **pages: Any) -> View:
        made.append(View(house, feeds, clock or SystemClock(), **pages))
        return made[-1]

    yield make
    for view in made:
        view.server.stop()


@pytest.fixture(scope="session")
def film() -> Film:
    """Three seconds of H.264."""
    return make_film()


def keep_evidence(house: House, alarm: str, data: bytes, kind: str = "video", suffix: str = "mp4") -> str:
    """A piece of evidence of the camera, its id."""
    now_ms = house.clock.now_ms()
    new = NewEvidence(CAMERA, kind, suffix, data, now_ms, now_ms, 40.651, 109.84, 1, "alarm", "clip", alarm)
    return house.rooms.evidence.put(new).id
