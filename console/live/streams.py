"""What goes out for as long as somebody looks: live video over a WebSocket, single pictures as one endless answer.

Invariants: a stream begins when the desk has audited that it does, and while it runs the desk is asked every `recheck_s`
whether it may go on; it ends within 5 s of a no, whether the viewer reads or not. A viewer that takes nothing for `stall_s` is
cut off. What is sent of a camera that ended is said to have ended; nothing is sent twice to look alive.

Over the WebSocket each binary message follows a text message that says what it is: `{"t": "init", "codec", "transcoded",
"time_ms", "now_ms"}` or `{"t": "media", "key", "time_ms", "now_ms"}`; alone stand `{"t": "told", "what", "detail"}` and, before
the end, `{"t": "refused" | "busy", "message"}`. Times are UTC ms, `now_ms` is the service's clock when it was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from console.device_operations import Caller
from console.live.hub import LiveHub
from console.live.seams import LiveDesk
from console.live.viewer import Told, Viewer
from model.clock import Clock
from model.errors import LuchengError, TryAgain
from model.grant import Purpose
from model.video import Fragment

DEFAULT_STALL_S = 20.0
#: Asked this often, waited for so long, said for so long: together below the 5 s of S19.
DEFAULT_RECHECK_S = 1.5
DEFAULT_RECHECK_TIMEOUT_S = 2.0
CLOSE_S = 1.0
DEFAULT_BEGIN_TIMEOUT_S = 10.0
#: Key of a connection's protocol in the state of its requests; `console.live.server` puts it there.
PEER_KEY = "peer"
BOUNDARY = "picture"
_OPENING = f"--{BOUNDARY}\r\n".encode()
#: Close codes of the WebSocket (4000..4999 are an application's own): no right, no room.
CLOSE_REFUSED = 4403
CLOSE_BUSY = 4503
CLOSE_GOING_AWAY = 1001

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long a stream waits for whom, seconds."""

    stall_s: float = DEFAULT_STALL_S
    recheck_s: float = DEFAULT_RECHECK_S
    recheck_timeout_s: float = DEFAULT_RECHECK_TIMEOUT_S
    begin_timeout_s: float = DEFAULT_BEGIN_TIMEOUT_S


@dataclass(slots=True)
class Shown:
    """What a stream of single pictures sent last, for the page that shows it.

    Attributes:
        picture_ms: when it was taken, UTC ms, 0 none yet. why: why nothing comes, "" it does.
    """

    camera: str
    picture_ms: int = 0
    transcoded: bool = False
    why: str = ""


class Look:
    """One look at a camera: who, why, and whether it may go on."""

    def __init__(
        self,
        hub: LiveHub,
        desk: LiveDesk,
        clock: Clock,
        caller: Caller,
        camera: str,
        purpose: Purpose,
        limits: StreamLimits,
    ) -> None:
        self.camera = camera
        self.clock = clock
        self.limits = limits
        #: The last answer to whether it may go on.
        self.answered: bool | None = True
        self._hub = hub
        self._desk = desk
        self._caller = caller
        self._purpose = purpose

    async def begin(self, mode: str) -> Viewer:
        """Audit it and open it. Raises LuchengError."""
        try:
            async with asyncio.timeout(self.limits.begin_timeout_s):
                await asyncio.to_thread(self._desk.watch, self._caller, self.camera, self._purpose)
        except TimeoutError as error:
            raise TryAgain("The desk did not answer in time.", mend="Try again.") from error
        return self._hub.open(self.camera, mode, asyncio.get_running_loop())

    async def may(self) -> bool | None:
        """Whether it may go on now; None when there is no answer, which ends a stream as well."""
        try:
            async with asyncio.timeout(self.limits.recheck_timeout_s):
                return await asyncio.to_thread(self._desk.may_watch, self._caller, self.camera, self._purpose)
        except TimeoutError:
            return None
        except Exception as error:
            _log.warning("live.recheck_failed", camera=self.camera, error=type(error).__name__)
            return None

    async def until_refused(self) -> None:
        """Return when it may not go on, or nobody says that it may."""
        while True:
            await asyncio.sleep(self.limits.recheck_s)
            self.answered = await self.may()
            if not self.answered:
                return


async def run_socket(look: Look, scope: Scope, receive: Receive, send: Send) -> None:
    """Accept the WebSocket and send what the camera sends, until one side goes."""
    if (await receive())["type"] != "websocket.connect":
        return
    await send({"type": "websocket.accept"})
    try:
        viewer = await look.begin("mp4")
    except LuchengError as error:
        busy = isinstance(error, TryAgain)
        said = {"t": "busy" if busy else "refused", "message": str(error)}
        await _close(scope, send, CLOSE_BUSY if busy else CLOSE_REFUSED, said)
        return
    try:
        first = await _first_of(_pump(look, viewer, send), _gone(receive, "websocket.disconnect"), look.until_refused())
    except TimeoutError:
        _log.warning("live.viewer_takes_nothing", camera=look.camera, stall_s=look.limits.stall_s)
        _abort(scope)
        return
    except WebSocketDisconnect:
        return
    finally:
        viewer.close()
    if first == 0:
        await _close(scope, send, CLOSE_GOING_AWAY, None)
    elif first == 2:
        _log.info("live.ended_by_recheck", camera=look.camera, answered=look.answered is not None)
        if look.answered is None:
            await _close(scope, send, CLOSE_BUSY, {"t": "busy", "message": "The desk did not answer in time."})
        else:
            await _close(scope, send, CLOSE_REFUSED, {"t": "refused", "message": ""})


async def _pump(look: Look, viewer: Viewer, send: Send) -> None:
    """Send what comes; return when the hub ends. Raises TimeoutError when the viewer takes nothing."""
    while (piece := await viewer.next()) is not None:
        async with asyncio.timeout(look.limits.stall_s):
            await send(_text(_head(piece, look.clock.now_ms())))
            if isinstance(piece, Fragment):
                await send({"type": "websocket.send", "bytes": piece.data})


def _head(piece: Fragment | Told, now_ms: int) -> dict[str, Any]:
    if isinstance(piece, Told):
        return {"t": "told", "what": piece.what, "detail": piece.detail, "now_ms": now_ms}
    head: dict[str, Any] = {"t": piece.kind, "time_ms": piece.time_ms, "now_ms": now_ms}
    if piece.kind == "init":
        return {**head, "codec": piece.codec, "transcoded": piece.transcoded}
    return {**head, "key": piece.keyframe}


def _text(said: dict[str, Any]) -> Message:
    return {"type": "websocket.send", "text": msgspec.json.encode(said).decode()}


async def _close(scope: Scope, send: Send, code: int, said: dict[str, Any] | None) -> None:
    """Say why and close; who does not read it is cut off a second later."""
    asyncio.get_running_loop().call_later(CLOSE_S, _abort, scope)
    with contextlib.suppress(TimeoutError, WebSocketDisconnect):
        async with asyncio.timeout(CLOSE_S):
            if said is not None:
                await send(_text(said))
            await send({"type": "websocket.close", "code": code})


async def run_pictures(look: Look, viewer: Viewer, shown: Shown, scope: Scope, receive: Receive, send: Send) -> None:
    """Send single pictures as parts of one answer, the newest always, until one side goes."""
    kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}".encode()
    headers = [(b"content-type", kind), (b"connection", b"close")]
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _OPENING, "more_body": True})
        first = await _first_of(
            _pump_pictures(look, viewer, shown, send), _gone(receive, "http.disconnect"), look.until_refused()
        )
    except TimeoutError:
        _log.warning("live.viewer_takes_nothing", camera=look.camera, stall_s=look.limits.stall_s)
        _abort(scope)
        return
    finally:
        viewer.close()
    if first != 1:
        asyncio.get_running_loop().call_later(CLOSE_S, _abort, scope)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pump_pictures(look: Look, viewer: Viewer, shown: Shown, send: Send) -> None:
    while (piece := await viewer.next()) is not None:
        if isinstance(piece, Told):
            shown.why = piece.detail if piece.what == "ended" else shown.why
            continue
        # The boundary after a picture goes with it: a browser shows a part when it has seen its end.
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(piece.data)}\r\n\r\n".encode()
        async with asyncio.timeout(look.limits.stall_s):
            await send(
                {
                    "type": "http.response.body",
                    "body": b"".join((head, piece.data, b"\r\n", _OPENING)),
                    "more_body": True,
                }
            )
        shown.picture_ms, shown.transcoded, shown.why = piece.time_ms, piece.transcoded, ""


async def _first_of(*work: Awaitable[None]) -> int:
    """Run them together; the number of the first that is done, the others cancelled. Raises what it raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        first = next(number for number, task in enumerate(tasks) if task in done)
        tasks[first].result()
        return first
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _gone(receive: Callable[[], Awaitable[Message]], kind: str) -> None:
    """Return when the client has gone; what it says is passed over."""
    while (await receive())["type"] != kind:
        pass


def _abort(scope: Scope) -> None:
    peer = scope.get("state", {}).get(PEER_KEY)
    if peer is not None:
        peer.transport.abort()
