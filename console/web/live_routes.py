"""Live pictures of a camera: fragmented MP4 over a WebSocket, single pictures as one endless answer (`console.live.streams`).

Invariants: a look begins when the desk has audited it, under the caller's own name, for a purpose that was said; while it runs it is
asked again and again whether his session, his role and the purpose still allow it, and it ends within 5 s of a no (S19, S21).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query, Request, WebSocket
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.device_operations import Caller
from console.live.desk import OperationsDesk
from console.live.hub import LiveHub
from console.live.streams import Look, Shown, StreamLimits, run_pictures, run_socket
from console.live.viewer import Viewer
from console.web.asked import PREFIX, visit_of
from console.web.doors import SOCKET, Door, Doors
from console.web.gate import VISIT_KEY
from console.web.lead import LedLook
from console.web.problems import WebProblem
from model.clock import Clock
from model.device import Kind, check_device_id
from model.errors import LuchengError, UsageError
from model.grant import Purpose

if TYPE_CHECKING:
    from console.operations import Operations
    from console.web.sessions import Visit

SOCKET_ROUTE, PICTURES_ROUTE = "live_socket", "live_pictures"
#: Close code of a WebSocket whose address makes no sense (4000..4999 are an application's own).
CLOSE_USAGE = 4422
_MAX_PURPOSE_CHARS = 600
_MAX_MOMENT_DIGITS = 15
_MS = re.compile(r"[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LivePictures:
    """What the routes are made of.

    Attributes:
        hub: the feeds, shared with whatever else shows them.
        operations: decide and audit.
        clock: source of time.
        limits: of a stream.
    """

    hub: LiveHub
    operations: Operations
    clock: Clock
    limits: StreamLimits


class _VisitDesk(OperationsDesk):
    """The desk for one visit: what its session and role do not allow any more goes on no more."""

    def __init__(self, operations: Operations, visit: Visit, route: str) -> None:
        super().__init__(operations)
        self._visit = visit
        self._route = route

    def watch(self, caller: Caller, camera: str, purpose: Purpose) -> None:
        del caller
        super().watch(self._visit.caller_now(), camera, purpose)

    def may_watch(self, caller: Caller, camera: str, purpose: Purpose) -> bool:
        return self._visit.may(self._route) and super().may_watch(caller, camera, purpose)


def live_routes(api: FastAPI, doors: Doors, pictures: LivePictures) -> None:
    """Add both routes to the application and its doors; before those of the operations, whose paths are wider."""

    def look(visit: Visit, route: str, camera: str, purpose: str, from_ms: str = "") -> Look:
        device, why = _camera(camera), _purpose(purpose)
        desk = _VisitDesk(pictures.operations, visit, route)
        made_of = pictures.hub, desk, pictures.clock, visit.caller, device, why, pictures.limits
        if not from_ms:
            return Look(*made_of)
        start_ms = _moment(from_ms)
        led = LedLook(*made_of)
        led.ask_clip = lambda to_ms: pictures.operations.camera_lead(visit.caller_now(), device, start_ms, to_ms, why)
        return led

    async def live_socket(socket: WebSocket, camera: str) -> None:
        visit: Visit = socket.scope["state"][VISIT_KEY]
        try:
            query = socket.query_params
            watching = look(visit, SOCKET_ROUTE, camera, query.get("purpose", ""), query.get("from_ms", ""))
        except LuchengError as error:
            await socket.accept()
            await socket.send_json({"t": "refused", "message": str(error)})
            await socket.close(CLOSE_USAGE)
            return
        await run_socket(watching, socket.scope, socket.receive, socket.send)

    async def live_pictures(
        request: Request, camera: str, purpose: Annotated[str, Query(max_length=_MAX_PURPOSE_CHARS)] = ""
    ) -> Response:
        watching = look(visit_of(request), PICTURES_ROUTE, camera, purpose)
        return _Pictures(watching, await watching.begin("jpeg"))

    base = f"{PREFIX}/cameras/{{camera:path}}"
    doors.add(Door(SOCKET, f"{base}/live", SOCKET_ROUTE, slow=True))
    doors.add(Door("GET", f"{base}/mjpeg", PICTURES_ROUTE, slow=True))
    api.add_api_websocket_route(f"{base}/live", live_socket, name=SOCKET_ROUTE)
    api.add_api_route(
        f"{base}/mjpeg",
        live_pictures,
        methods=["GET"],
        name=PICTURES_ROUTE,
        operation_id=PICTURES_ROUTE,
        tags=["cameras"],
        response_class=Response,
        responses={200: {"content": {"multipart/x-mixed-replace": {"schema": {"type": "string", "format": "binary"}}}}},
    )


class _Pictures(Response):
    """A stream of single pictures whose viewer is open."""

    def __init__(self, look: Look, viewer: Viewer) -> None:
        super().__init__()
        self._watching = look
        self._viewer = viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await run_pictures(self._watching, self._viewer, Shown(self._watching.camera), scope, receive, send)


def _camera(given: str) -> str:
    device = check_device_id(given)
    if not device.startswith(f"{Kind.CAMERA}/"):
        raise UsageError(f"{device} is no camera.", mend="Name a device of kind camera, e.g. camera/7.")
    return device


def _purpose(given: str) -> Purpose:
    if not given:
        raise WebProblem("purpose_needed")
    return Purpose.parse(given)


def _moment(given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) <= _MAX_MOMENT_DIGITS):
        raise UsageError("from_ms is no time.", mend="Give UTC milliseconds.")
    return int(given)


async def tick(hub: LiveHub, every_s: float) -> None:
    """Call `hub.tick` for as long as it is not cancelled."""
    while True:
        await asyncio.sleep(every_s)
        await asyncio.to_thread(hub.tick)
