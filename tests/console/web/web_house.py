"""The console's own server over a real data folder on a clock that a test moves, and people who ask it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

from config.sections import Settings
from config.web import Accounts, Web
from console.live.hub import LiveHub
from console.web.pages import BUILT
from console.web.permissions import PERMISSIONS
from lucheng.live_side import Places, open_live_side
from lucheng.web_side import WebSide, open_web_side
from model.errors import NotFound
from model.role import Role
from model.video import Fragment
from store.accounts.passwords import Passwords
from tests.conftest import free_port
from tests.console.conftest import House
from tests.console.web.live_house import HANG_S, until

__all__ = ["HANG_S", "PASSWORD", "Answer", "WebHouse", "until"]

PASSWORD = "four words nobody guesses"
#: Cheap ones: what argon2 costs is no matter of these tests.
ACCOUNTS = Accounts(password_memory_kib=19_456, password_passes=2)


@cache
def hashed() -> str:
    """`PASSWORD` as it is kept."""
    return Passwords(memory_kib=ACCOUNTS.password_memory_kib, passes=ACCOUNTS.password_passes).hash(PASSWORD)


class NoCameras:
    """Feeds of a house without video workers."""

    def start(self, camera: str, *, mode: str, deliver: Callable[[Fragment], None]) -> Callable[[], None]:
        raise NotFound(f"{camera} is no camera that is watched in {mode}.")


class Answer:
    """What came back: status, headers in lower case, the body, as JSON where it is."""

    def __init__(self, status: int, headers: list[tuple[str, str]], raw: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.cookies = [value for name, value in headers if name.lower() == "set-cookie"]
        self.raw = raw
        self.json: Any = json.loads(raw) if "json" in self.headers.get("content-type", "") and raw else None

    @property
    def code(self) -> str:
        """Of a problem, "" of anything else."""
        is_problem = self.headers.get("content-type") == "application/problem+json"
        return str(self.json["code"]) if is_problem else ""

    def __repr__(self) -> str:
        return f"<{self.status} {self.raw[:300]!r}>"


class WebHouse:
    """A house with the console served; a context manager.

    Args:
        folder: the data folder.
        people: make an account for each role, of its name, with `PASSWORD`.
        settings: of `[web]`, besides the port; accounts: of `[accounts]`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        people: bool = True,
        accounts: Accounts = ACCOUNTS,
        pages: Path = BUILT,
        more: Settings | None = None,
        **settings: Any,
    ) -> None:
        base = more or Settings()
        web = Web(**{"port": free_port(), **settings})
        self.house = House(folder, base.model_copy(update={"web": web, "accounts": accounts}))
        self.rooms, self.operations, self.clock = self.house.rooms, self.house.operations, self.house.clock
        self.directory = self.rooms.directory
        self.positions = Places(self.rooms, self.directory).table
        self.live = open_live_side(self.rooms, self.operations, self.positions)
        hub = LiveHub(NoCameras(), clock=self.clock)
        made = open_web_side(self.rooms, self.operations, self.live, hub, pages=pages)
        assert made is not None
        self.side: WebSide = made
        self.cookies: dict[str, str] = {}
        if people:
            for role in Role:
                self.rooms.accounts.add(role.value, role, hashed(), by="tester")

    def __enter__(self) -> Self:
        self.side.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.close()
        self.side.stop()
        self.rooms.close()

    @property
    def port(self) -> int:
        return self.side.port

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie_name(self) -> str:
        return f"lucheng_{self.port}"

    def sign_in(self, user: str, password: str = PASSWORD) -> Answer:
        """Sign in; the session is kept for `ask`."""
        answer = self.ask("POST", "/session", {"user": user, "password": password})
        if answer.cookies:
            self.cookies[user] = answer.cookies[0].split(";")[0]
        return answer

    def cookie(self, user: str) -> str:
        """The session of somebody, begun when there is none yet."""
        if user not in self.cookies:
            assert self.sign_in(user).status == 200
        return self.cookies[user]

    def ask(
        self, verb: str, path: str, body: Any = None, *, by: str = "", query: Any = None, **headers: str | None
    ) -> Answer:
        """One request below `/api/v1`, or of a page where the path begins with two slashes; None takes a header away."""
        where = path[1:] if path.startswith("//") else f"/api/v1{path}"
        if query:
            where += "?" + urlencode(query, doseq=True)
        given: dict[str, str | None] = {"origin": self.origin if verb != "GET" else None}
        if by:
            given["cookie"] = self.cookie(by)
        data = body
        if body is not None and not isinstance(body, bytes):
            given["content-type"] = "application/json"
            data = json.dumps(body).encode()
        given |= {name.replace("_", "-").lower(): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_S)
        try:
            connection.request(verb, where, data, {name: value for name, value in given.items() if value is not None})
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes."""
        with self.line() as line:
            line.sendall(data)
            return received(line)

    @contextmanager
    def line(self) -> Iterator[socket.socket]:
        """A connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=HANG_S) as line:
            yield line

    def audit(self) -> list[tuple[str, str, str]]:
        """(who, action, target) of every row of the audit, the oldest first."""
        return [(row.who, row.action, row.target) for row in self.rooms.audit.rows(limit=10_000)]


def received(line: socket.socket) -> bytes:
    """Everything until the other side closes."""
    pieces = []
    try:
        while piece := line.recv(1 << 16):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def filled(path: str) -> str:
    """A path of a door with something in the place of its arguments, below `/api/v1`."""
    for name, value in (
        ("{camera:path}", "camera/7"),
        ("{device:path}", "taxi/7"),
        ("{number}", "7"),
    ):
        path = path.replace(name, value)
    while "{" in path:
        head, _, rest = path.partition("{")
        path = head + quote("X-7") + rest.partition("}")[2]
    return path.removeprefix("/api/v1")


def allowed(route: str) -> frozenset[Role]:
    """Roles that the table lets in."""
    return PERMISSIONS.get(route, frozenset())
