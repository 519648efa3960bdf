"""The live side of the console over a real data folder, served by uvicorn on a free port, and a client that reads events."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self
from urllib.parse import quote, urlencode

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from console.device_operations import Caller
from console.feed import PEER_KEY, Feed
from console.web.event_routes import event_routes
from console.web.events import EventHub, EventLimits
from console.web.positions import Positions
from console.web.views import Board
from console.web.watching import Permits
from model.batch import PointBatch
from model.errors import LuchengError, Refused
from tests.console.conftest import START_MS, House

#: Protects a test from hanging; says nothing about how long it should take.
HANG_S = 30.0
WINDOW_S = 600


class Peer(H11Protocol):
    """HTTP/1.1 whose streams can be cut off."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, PEER_KEY: self}


class Serving:
    """An application on a free port of the loopback interface, on a thread; a context manager."""

    def __init__(self, app: FastAPI, *, send_buffer_bytes: int = 0) -> None:
        self._listener = socket.socket()
        if send_buffer_bytes:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(app, http=Peer, loop="asyncio", ws="none", lifespan="off", log_config=None, access_log=False)
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(HANG_S)
        self._listener.close()


class Guest:
    """Who asks: named by a header, with a role that a test may change."""

    def __init__(self, people: People, who: str) -> None:
        self._people = people
        self.caller = Caller(who, people.roles[who], "web")

    def may(self, route: str) -> bool:
        return route in self._people.routes.get(self._people.roles.get(self.caller.who, ""), ())


class People:
    """Who may what."""

    def __init__(self) -> None:
        self.roles = {"wang": "operator", "li": "operator", "zhao": "auditor"}
        self.routes: dict[str, tuple[str, ...]] = {"operator": ("events", "events_viewport")}

    def visitor(self, request: Request) -> Guest:
        guest = Guest(self, request.headers.get("x-user", "wang"))
        if not guest.may(request.scope["route"].name):
            raise Refused("That is not your role's.", mend="Ask somebody else.")
        return guest


class Live:
    """Hub, board, positions of a house, and their server."""

    def __init__(
        self, house: House, *, limits: EventLimits, max_vehicles: int = 500, send_buffer_bytes: int = 0
    ) -> None:
        self.house = house
        self.people = People()
        self.directory = house.rooms.directory
        self.positions = Positions(self.directory, house.clock, window_s=WINDOW_S)
        self.board = Board(self.positions, window_s=WINDOW_S, max_vehicles=max_vehicles)
        self.desk = house.rooms.desk
        self.feed = Feed(self.desk, house.operations.feed_row)
        permits = Permits(
            self.board,
            self.positions,
            audit=house.rooms.audit,
            open_cases=lambda device: self.desk.cases(device=device),
            default_purpose="patrol",
            clock=house.clock,
            max_changes_per_s=1_000,
        )
        self.hub = EventHub(
            self.feed,
            self.desk,
            self.board,
            self.positions,
            permits,
            begin=house.operations.alarm_watch,
            clock=house.clock,
            limits=limits,
            approvals=house.rooms.approvals.counts,
        )
        app = FastAPI()
        app.include_router(event_routes(self.hub, self.people.visitor), prefix="/api/v1")
        app.add_exception_handler(LuchengError, _problem)
        self.app = app
        self._serving = Serving(app, send_buffer_bytes=send_buffer_bytes)

    @property
    def port(self) -> int:
        return self._serving.port

    def __enter__(self) -> Self:
        self._serving.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.hub.close()
        self._serving.__exit__()
        self.feed.close()

    def place(self, device: str, lat: float, lon: float, *, ago_s: float = 1.0, **columns: Any) -> None:
        """A point of the device, stored just now."""
        (slot,) = self.house.rooms.registry.ensure([device]).tolist()
        self.house.rooms.registry.refresh(self.directory)
        now_ms = self.house.clock.now_ms()
        given = {"slot": slot, "time_ms": now_ms - int(ago_s * 1000), "received_ms": now_ms, "lat": lat, "lon": lon}
        self.positions.take(PointBatch.of(1, {**given, **columns}))

    def fleet(
        self, count: int, *, seed: int = 1, lat: float = 40.65, lon: float = 109.84, spread: float = 0.01
    ) -> None:
        """So many taxis around a place, each with a point."""
        slots = self.house.rooms.registry.ensure([f"taxi/F{number:05d}" for number in range(count)])
        self.house.rooms.registry.refresh(self.directory)
        rng = np.random.default_rng(seed)
        now_ms = self.house.clock.now_ms()
        given = {"slot": slots, "time_ms": now_ms - 1000, "received_ms": now_ms, "seq": seed}
        place = {"lat": lat + rng.uniform(-spread, spread, count), "lon": lon + rng.uniform(-spread, spread, count)}
        self.positions.take(PointBatch.of(count, {**given, **place}))

    def events(self, *, user: str = "wang", **asked: Any) -> Events:
        """An open stream."""
        return Events(self.port, user, asked)

    def put(self, stream: str, body: dict[str, Any], *, user: str = "wang") -> tuple[int, Any]:
        """Set a viewport; status and answer."""
        return ask(self.port, "PUT", f"/api/v1/events/{quote(stream)}/viewport", body, user=user)


class Events:
    """The events of one connection, as they come; a context manager.

    Args:
        port, user: of the connection.
        asked: `after`, `purpose`; `last_event_id` is sent as the browser does.
    """

    def __init__(self, port: int, user: str, asked: dict[str, Any]) -> None:
        headers = {"x-user": user}
        if "last_event_id" in asked:
            headers["Last-Event-ID"] = str(asked.pop("last_event_id"))
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
        self._connection.request("GET", f"/api/v1/events?{urlencode(asked)}", headers=headers)
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self._events = self._parsed()
        self.hello: dict[str, Any] = {}
        self.problem: dict[str, Any] = {}
        if self.status == 200:
            self.hello = self.until("hello")
        else:
            self.problem = json.loads(self._answer.read())

    @property
    def stream(self) -> str:
        return str(self.hello["stream"])

    def _parsed(self) -> Iterator[tuple[str, int | None, dict[str, Any]]]:
        name, number, data = "", None, ""
        for raw in iter(self._answer.readline, b""):
            line = raw.decode().rstrip("\n")
            if line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
            elif not line:
                yield name, number, json.loads(data)
                name, number, data = "", None, ""

    def next(self, *names: str) -> tuple[str, int | None, dict[str, Any]]:
        """The next event, of one of these names."""
        for found in self._events:
            if not names or found[0] in names:
                return found
        raise EOFError

    def until(self, name: str) -> dict[str, Any]:
        """The data of the next event of that name."""
        return self.next(name)[2]

    def alarms(self, count: int) -> list[int]:
        """Numbers of the next alarms."""
        return [int(self.next("alarm")[1] or 0) for _ in range(count)]

    def close(self) -> None:
        self._answer.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(port: int, method: str, path: str, body: Any = None, *, user: str = "wang", **headers: str) -> tuple[int, Any]:
    """Status and answer of one request; the answer is bytes where it is no JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    given = {"x-user": user, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body is not None:
        given["content-type"] = "application/json"
    connection.request(method, path, None if body is None else json.dumps(body), given)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    if "json" in answer.headers.get("content-type", ""):
        return answer.status, json.loads(data)
    return answer.status, data


def until(met: Callable[[], bool]) -> None:
    """Wait until it is so; fail when it does not happen."""
    deadline_s = time.monotonic() + HANG_S
    while not met():
        assert time.monotonic() < deadline_s, "it does not happen"
        time.sleep(0.01)


def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LuchengError)
    return JSONResponse({"code": error.code, "detail": str(error)}, status_code=error.http_status)


__all__ = ["HANG_S", "START_MS", "WINDOW_S", "Events", "Guest", "Live", "People", "Serving", "ask", "until"]
