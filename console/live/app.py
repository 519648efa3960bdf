"""The application of the live view: its routes, inside the guard.

Invariants: every answer is a page of `pages`, a file of ours, bytes that the desk gave out after auditing it, or a stream of
`streams`; every name in an address is checked by its form before anybody is asked for it, and none reaches a disk here; the
desk is asked on threads and within a time. It decides nothing about who may see what, and logs no address and no text of a request.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, TypeVar
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Scope
from starlette.websockets import WebSocket

from console.blob import Blob
from console.device_operations import Caller
from console.given_texts import check_id, short
from console.live import pages
from console.live.bytes_answer import BytesAnswer
from console.live.guard import POLICY, Guard, cookie_name, hosts_of, read_form
from console.live.hub import LiveHub
from console.live.seams import LiveDesk
from console.live.streams import Look, Shown, StreamLimits, run_pictures, run_socket
from console.live.texts import language_of
from console.live.tokens import Keys
from console.live.viewer import Viewer
from model.clock import Clock
from model.device import Kind, check_device_id
from model.errors import LuchengError, NotFound, TryAgain, UsageError
from model.grant import Purpose

DEFAULT_PAGE_ROWS = 100
DEFAULT_ALARM_ROWS = 20
DEFAULT_ASK_TIMEOUT_S = 30.0
DEFAULT_COPY_TIMEOUT_S = 180.0
#: Pieces of evidence that go out at a time; each is in memory while it does.
DEFAULT_MAX_READS = 8
#: Viewing copies kept: making one costs as much as the clip is long.
DEFAULT_MAX_COPY_BYTES = 128 << 20
MAX_TAG_CHARS = 32
MAX_SLOT_DIGITS = 9
_LANGUAGE_COOKIE = "lucheng_lang"
_STATIC = {"live.js": "text/javascript", "live.css": "text/css"}

#: Makes a copy that every browser plays from a clip: MP4 bytes to MP4 bytes.
ViewCopy = Callable[[bytes], bytes]
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LivePages:
    """What the application is made of.

    Attributes:
        hub, desk, clock: what it asks.
        caller: whoever holds the token acts as this user; the desk decides by its role at each call.
        zone: of the times on the pages.
        view_copy: for clips that a browser does not play; None: there are no copies.
        limits: of streams. The others: see the constants.
    """

    hub: LiveHub
    desk: LiveDesk
    clock: Clock
    caller: Caller
    zone: ZoneInfo
    view_copy: ViewCopy | None = None
    limits: StreamLimits = field(default_factory=StreamLimits)
    ask_timeout_s: float = DEFAULT_ASK_TIMEOUT_S
    copy_timeout_s: float = DEFAULT_COPY_TIMEOUT_S
    max_reads: int = DEFAULT_MAX_READS
    max_copy_bytes: int = DEFAULT_MAX_COPY_BYTES


def make_live_app(made_of: LivePages, keys: Keys, *, listen: str, port: int) -> ASGIApp:
    """The application as it answers at `http://listen:port`; without the token nothing is answered."""
    site = _Site(made_of)
    routes = [
        Route("/", site.front),
        Route("/static/{name}", site.static),
        Route("/camera/{kind}/{name}", site.camera),
        Route("/camera/{kind}/{name}/look", site.look, methods=["POST"]),
        Route("/camera/{kind}/{name}/state", site.state),
        Route("/camera/{kind}/{name}/mjpeg", site.mjpeg),
        WebSocketRoute("/camera/{kind}/{name}/live", site.live),
        Route("/alarm/{alarm}", site.alarm),
        Route("/evidence/{evidence}", site.evidence),
        Route("/evidence/{evidence}/view", site.view),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={LuchengError: site.failed, HTTPException: site.failed, Exception: site.failed},
    )
    app.router.redirect_slashes = False
    return Guard(app, keys=keys, hosts=hosts_of(listen, port), cookie=cookie_name(port), sign_in=site.sign_in)


class _Site:
    def __init__(self, made_of: LivePages) -> None:
        self._of = made_of
        folder = files("console.live") / "static"
        self._static = {name: (folder / name).read_bytes() for name in _STATIC}
        self._style = self._static["live.css"].decode()
        self._reads = asyncio.Semaphore(made_of.max_reads)
        self._copying = asyncio.Lock()
        self._copies: OrderedDict[str, bytes] = OrderedDict()
        self._shown: dict[str, Shown] = {}

    # -- pages --------------------------------------------------------------------------------

    async def front(self, request: Request) -> Response:
        after = _after(request.query_params)
        desk, caller = self._of.desk, self._of.caller
        cameras = await self._ask(lambda: desk.cameras(caller, after=after, limit=DEFAULT_PAGE_ROWS + 1))
        alarms = await self._ask(lambda: desk.alarms(caller, limit=DEFAULT_ALARM_ROWS))
        shown, more = cameras[:DEFAULT_PAGE_ROWS], len(cameras) > DEFAULT_PAGE_ROWS
        return self._page(request, lambda look: pages.front_page(look, shown, alarms, after=after, more=more))

    async def camera(self, request: Request) -> Response:
        device = _device(request.path_params)
        said = _said(request.query_params)
        row = await self._ask(lambda: self._of.desk.camera(self._of.caller, device))
        if said is None:
            alarms = await self._ask(lambda: self._of.desk.alarms(self._of.caller, limit=DEFAULT_ALARM_ROWS))
            return self._page(request, lambda look: pages.purpose_page(look, row, alarms))
        return self._page(request, lambda look: pages.camera_page(look, row, said))

    async def look(self, request: Request) -> Response:
        device = _device(request.path_params)
        form = await read_form(request.receive)
        ref = short(form.get("ref", "").strip(), "reference", pages.REF_CHARS).replace(":", " ")
        note = short(form.get("note", "").strip(), "note", pages.NOTE_CHARS)
        purpose = Purpose(form.get("code", ""), ref, note)
        said = urlencode({"purpose": f"{purpose.code}:{purpose.ref}:{purpose.note}".rstrip(":")})
        return RedirectResponse(f"{pages.camera_path(device)}?{said}", 303)

    async def alarm(self, request: Request) -> Response:
        alarm = check_id(request.path_params["alarm"], "an alarm")
        row = await self._ask(lambda: self._of.desk.alarm(self._of.caller, alarm))
        pieces = await self._ask(lambda: self._of.desk.evidence_list(self._of.caller, row.alarm))
        return self._page(request, lambda look: pages.alarm_page(look, row, pieces))

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._static:
            raise NotFound("There is no such file.")
        return Response(self._static[name], media_type=_STATIC[name])

    # -- streams ------------------------------------------------------------------------------

    async def state(self, request: Request) -> Response:
        device = _device(request.path_params)
        purpose = _needed(request.query_params)
        row = await self._ask(lambda: self._of.desk.camera(self._of.caller, device))
        shown = self._shown.get(request.query_params.get("tag", ""))
        if shown is not None and shown.camera != device:
            shown = None
        return JSONResponse(
            {
                "state": row.state.value if row.state is not None else "unknown",
                "words": pages.state_words(row, self._look(request)),
                "may": await self._watching(device, purpose).may(),
                "now_ms": self._of.clock.now_ms(),
                "connected": shown is not None,
                "picture_ms": shown.picture_ms if shown else 0,
                "transcoded": shown.transcoded if shown else False,
                "why": shown.why if shown else "",
            }
        )

    async def live(self, socket: WebSocket) -> None:
        try:
            watching = self._watching(_device(socket.path_params), _needed(socket.query_params))
        except LuchengError:
            await socket.close()
            return
        await run_socket(watching, socket.scope, socket.receive, socket.send)

    async def mjpeg(self, request: Request) -> Response:
        device = _device(request.path_params)
        tag = request.query_params.get("tag", "")
        if len(tag) > MAX_TAG_CHARS or (tag and not (tag.isascii() and tag.isalnum())) or tag in self._shown:
            raise UsageError("That is no tag of a stream.", mend="Reload the page.")
        watching = self._watching(device, _needed(request.query_params))
        viewer = await watching.begin("jpeg")
        return _Pictures(watching, viewer, self._shown, tag)

    def _watching(self, device: str, purpose: Purpose) -> Look:
        of = self._of
        return Look(of.hub, of.desk, of.clock, of.caller, device, purpose, of.limits)

    # -- evidence -----------------------------------------------------------------------------

    async def evidence(self, request: Request) -> Response:
        return await self._send(request, self._read)

    async def view(self, request: Request) -> Response:
        return await self._send(request, self._copy)

    async def _send(self, request: Request, read: Callable[[str, Purpose], Any]) -> Response:
        evidence = check_id(request.path_params["evidence"], "evidence")
        purpose = _needed(request.query_params)
        try:
            async with asyncio.timeout(self._of.ask_timeout_s):
                await self._reads.acquire()
        except TimeoutError as error:
            raise TryAgain("Too much evidence is being read.", mend="Try again.") from error
        try:
            blob: Blob = await read(evidence, purpose)
            answer = BytesAnswer(blob, request.headers.get("range", ""), stall_s=self._of.limits.stall_s)
        except BaseException:
            self._reads.release()
            raise
        return _Releasing(answer, self._reads)

    async def _read(self, evidence: str, purpose: Purpose) -> Blob:
        return await self._ask(lambda: self._of.desk.evidence_read(self._of.caller, evidence, purpose))

    async def _copy(self, evidence: str, purpose: Purpose) -> Blob:
        """A copy for viewing; the original is read, and so audited, each time."""
        make = self._of.view_copy
        if make is None:
            raise NotFound("There are no viewing copies here.", mend="Save the original.")
        original = await self._read(evidence, purpose)
        if not original.media_type.startswith("video/"):
            raise UsageError("Only a clip has a viewing copy.", mend="Open the original.")
        async with self._copying:
            data = self._copies.get(evidence)
            if data is None:
                try:
                    async with asyncio.timeout(self._of.copy_timeout_s):
                        data = await asyncio.to_thread(make, original.data)
                except TimeoutError as error:
                    raise TryAgain("The viewing copy took too long.", mend="Save the original.") from error
                self._keep(evidence, data)
            self._copies.move_to_end(evidence) if evidence in self._copies else None
        return Blob("video/mp4", data, f"{evidence}-view.mp4")

    def _keep(self, evidence: str, data: bytes) -> None:
        if len(data) > self._of.max_copy_bytes:
            return
        self._copies[evidence] = data
        while sum(map(len, self._copies.values())) > self._of.max_copy_bytes:
            self._copies.popitem(last=False)

    # -- what they share ----------------------------------------------------------------------

    async def _ask(self, question: Callable[[], _T]) -> _T:
        """Ask the desk, on a thread and within a time."""
        try:
            async with asyncio.timeout(self._of.ask_timeout_s):
                return await asyncio.to_thread(question)
        except TimeoutError as error:
            raise TryAgain("The desk did not answer in time.", mend="Try again.") from error

    def _look(self, request: Request) -> pages.Look:
        asked = request.query_params.get("lang", "") or request.cookies.get(_LANGUAGE_COOKIE, "")
        language = language_of(asked, request.headers.get("accept-language", ""))
        return pages.Look(language, self._of.zone, request.url.path, tuple(request.query_params.multi_items()))

    def _page(self, request: Request, make: Callable[[pages.Look], str], status: int = 200) -> Response:
        look = self._look(request)
        answer = HTMLResponse(make(look), status)
        answer.headers["content-language"] = "zh-CN" if look.language == "zh" else "en"
        if request.query_params.get("lang") == look.language:
            answer.set_cookie(_LANGUAGE_COOKIE, look.language, path="/", httponly=True, samesite="strict")
        return answer

    def sign_in(self, scope: Scope, status: int, wait_s: int) -> Response:
        """The page that asks for the token; for a program one line."""
        headers = Headers(scope=scope)
        if scope["type"] != "http" or "text/html" not in headers.get("accept", ""):
            return JSONResponse({"error": "refused", "message": "The token is missing or wrong.", "mend": ""}, status)
        nonce = secrets.token_urlsafe(16)
        query = QueryParams(scope["query_string"])
        language = language_of(query.get("lang", ""), headers.get("accept-language", ""))
        look = pages.Look(language, self._of.zone)
        wrong = "token" in query or scope["method"] == "POST"
        answer = HTMLResponse(pages.sign_in_page(look, self._style, nonce, wait_s=wait_s, wrong=wrong), status)
        answer.headers["content-security-policy"] = POLICY.format(style=f" 'nonce-{nonce}'")
        return answer

    async def failed(self, request: Request, error: Exception) -> Response:
        """What went wrong, as a page or for a program."""
        if isinstance(error, LuchengError):
            status, code, message, mend = error.http_status, error.code, error.message, error.mend
        elif isinstance(error, HTTPException):
            status, code, message, mend = error.status_code, "not_found", str(error.detail), ""
        else:
            _log.error("live.unexpected", error=type(error).__name__)
            status, code, message, mend = 500, "error", f"The service failed: {type(error).__name__}.", "See its log."
        if "text/html" in request.headers.get("accept", ""):
            return self._page(request, lambda look: pages.error_page(look, message, mend), status)
        return JSONResponse({"error": code, "message": message, "mend": mend}, status)


class _Pictures(Response):
    """A stream of single pictures whose viewer is open."""

    def __init__(self, look: Look, viewer: Viewer, shown: dict[str, Shown], tag: str) -> None:
        super().__init__()
        self._watching = look
        self._viewer = viewer
        self._all_shown = shown
        self._tag = tag

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        mine = Shown(self._watching.camera)
        if self._tag:
            self._all_shown[self._tag] = mine
        try:
            await run_pictures(self._watching, self._viewer, mine, scope, receive, send)
        finally:
            self._all_shown.pop(self._tag, None)


class _Releasing(Response):
    """An answer that holds its place among those that go out until it is out."""

    def __init__(self, answer: Response, place: asyncio.Semaphore) -> None:
        super().__init__()
        self._answer = answer
        self._place = place

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        try:
            await self._answer(scope, receive, send)
        finally:
            self._place.release()


def _device(params: dict[str, Any]) -> str:
    """The camera that an address names. Raises NotFound."""
    device = f"{params['kind']}/{params['name']}"
    try:
        check_device_id(device)
    except UsageError as error:
        raise NotFound("There is no such camera.") from error
    if params["kind"] != Kind.CAMERA:
        raise NotFound("There is no such camera.")
    return device


def _after(query: QueryParams) -> int:
    """Slot of the last camera of the page before, -1 none. Raises UsageError."""
    given = query.get("after", "-1")
    if given == "-1" or (given.isascii() and given.isdigit() and len(given) <= MAX_SLOT_DIGITS):
        return int(given)
    raise UsageError("That is no page of cameras.", mend="Begin with the first.")


def _said(query: QueryParams) -> Purpose | None:
    """The purpose that an address names, None when it names none. Raises UsageError."""
    given = query.get("purpose", "")
    return Purpose.parse(given) if given else None


def _needed(query: QueryParams) -> Purpose:
    purpose = _said(query)
    if purpose is None:
        raise UsageError("It is not said why.", mend="Add ?purpose=, e.g. purpose=alarm:ID.")
    return purpose
