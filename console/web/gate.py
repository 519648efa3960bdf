"""What every request passes before anything looks at it: host, size, origin, session, role, body; and the headers of every answer.

Invariants: a name that is not ours is refused (a page elsewhere cannot make its own name point here); what changes something, a
WebSocket, and whatever another site's page asks for is refused unless our own page asks (S8); without a session there
are the open routes and the pages' files; a route that the table does not give the role is refused and audited, before its body
is read (S13); a body has its size and its time, an answer its time to begin, and a reader who takes nothing is cut off (S16).
No answer may be framed, sniffed or embedded elsewhere. Nothing of a request is logged. Where an address stands in a browser's
history, no secret stands in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.feed import PEER_KEY
from console.roles import WEB
from console.web.doors import SOCKET, Door, Doors
from console.web.permissions import OPEN_ROUTES, may
from console.web.problems import WebProblem, problem_answer
from console.web.sessions import Sessions, Visit
from model.clock import Clock
from model.errors import LuchengError
from model.seams import Audit

API = "/api/"
VISIT_KEY = "visit"
DOOR_KEY = "door"
SOURCE_KEY = "source"
SAFE_METHODS = frozenset({"GET", "HEAD"})
MAX_HEADER_BYTES = 16 << 10
MAX_QUERY_BYTES = 16 << 10
#: A refusal of the same person and route is one row of the audit within so long.
REFUSED_EVERY_MS = 60_000
MAX_REFUSED = 10_000

_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    # the technician's page scans codes, takes a photo and says where it is
    "permissions-policy": "camera=(self), geolocation=(self), microphone=(), payment=(), usb=()",
}
#: A technician's page keeps its own worker and manifest; `blob:` is how a player is given what came over a WebSocket.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; manifest-src 'self';"
    " img-src 'self' data: blob:{more}; connect-src 'self'{more}; media-src 'self' blob:; worker-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Sizes in bytes, times in seconds; see `config.web`."""

    max_body_bytes: int = 1 << 20
    max_upload_bytes: int = 64 << 20
    body_timeout_s: float = 60.0
    answer_timeout_s: float = 60.0
    stall_s: float = 30.0


def policy(origins: tuple[str, ...] = ()) -> str:
    """The pages' security policy; `origins` are those of a tile server."""
    return _POLICY.format(more="".join(f" {origin}" for origin in origins))


class Gate:
    """The checks, around the application.

    Args:
        app: what is guarded; it finds the `Visit` in `scope["state"]`.
        doors: the routes below `/api/`.
        sessions: say who holds a session.
        audit, clock: where refusals are written down.
        hosts: what `Host` may say; origins: what `Origin` may say.
        cookie: name of the session's cookie.
        tile_origins: where a base map's tiles come from.
        limits: see there.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        doors: Doors,
        sessions: Sessions,
        audit: Audit,
        clock: Clock,
        hosts: frozenset[str],
        origins: frozenset[str],
        cookie: str,
        tile_origins: tuple[str, ...] = (),
        limits: GateLimits | None = None,
    ) -> None:
        self._app = app
        self._doors = doors
        self._sessions = sessions
        self._audit = audit
        self._clock = clock
        self._hosts = hosts
        self._origins = origins
        self._cookie = cookie
        self._headers = {**_HEADERS, "content-security-policy": policy(tile_origins)}
        self._secure = {"strict-transport-security": "max-age=31536000"}
        self._limits = limits or GateLimits()
        self._refused: dict[tuple[str, str], int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        answer = _Answer(self._sealed(scope), send, scope, self._limits.stall_s)
        headers = Headers(scope=scope)
        try:
            self._check_form(scope, headers)
            self._check_origin(scope, headers)
            door = await self._check_door(scope, headers)
            self._check_media(door, scope, headers)
            body = await self._body(door, headers, receive) if scope["type"] == "http" else b""
        except WebProblem as error:
            await _refuse(scope, receive, answer, error)
            return
        except Exception as error:
            _log.error("web.gate", error=type(error).__name__)
            await _refuse(scope, receive, answer, error)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, answer)
        else:
            await self._within_time(door, scope, given_body(body, receive), answer)

    # -- the request's form -------------------------------------------------------------------

    def _check_form(self, scope: Scope, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise WebProblem("wrong_host")
        if sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEADER_BYTES:
            raise WebProblem("header_too_large")
        if len(scope["query_string"]) > MAX_QUERY_BYTES:
            raise WebProblem("address_too_long")

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """Source: Fetch, "Origin header"; Fetch Metadata. A browser says both of every change; whoever says none is none."""
        origins = headers.getlist("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if (changes and len(origins) != 1) or any(origin.lower() not in self._origins for origin in origins):
            raise WebProblem("foreign_origin")
        site = headers.get("sec-fetch-site", "none")
        opened = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
        if site not in ("none", "same-origin") and not (opened and not changes and not _is_api(scope)):
            raise WebProblem("foreign_origin")

    # -- who, and whether he may --------------------------------------------------------------

    async def _check_door(self, scope: Scope, headers: Headers) -> Door | None:
        """The route, with the visit in the scope; None for the pages' files. Raises WebProblem."""
        state = scope.setdefault("state", {})
        client = scope.get("client")
        state[SOURCE_KEY] = client[0] if client else ""
        if not _is_api(scope):
            if scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS:
                raise WebProblem("method", headers={"allow": "GET, HEAD"})
            return None
        verb = SOCKET if scope["type"] == "websocket" else scope["method"]
        door = self._doors.find(verb, scope["path"])
        token = self._token(headers)
        visit = await asyncio.to_thread(self._sessions.visit, token) if token else None
        state[VISIT_KEY] = visit
        state[DOOR_KEY] = door
        if door is not None and door.name in OPEN_ROUTES:
            return door
        if visit is None:
            raise WebProblem("not_signed_in")
        if door is None:
            others = self._doors.verbs(scope["path"])
            raise WebProblem("method", headers={"allow": ", ".join(others)}) if others else WebProblem("not_found")
        if not may(visit.role, door.name):
            await asyncio.to_thread(self._note_refusal, visit, door.name)
            raise WebProblem("forbidden")
        return door

    @staticmethod
    def _check_media(door: Door | None, scope: Scope, headers: Headers) -> None:
        """A body is JSON, or a file where a file is taken."""
        if door is None or door.upload or scope["type"] != "http":
            return
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if has_body and kind != "application/json":
            raise WebProblem("media_type", "Send application/json.")

    def _token(self, headers: Headers) -> str:
        jar = SimpleCookie()
        try:
            jar.load(headers.get("cookie", ""))
        except CookieError:
            return ""
        morsel = jar.get(self._cookie)
        return morsel.value if morsel is not None else ""

    def _note_refusal(self, visit: Visit, route: str) -> None:
        key, now_ms = (visit.user, route), self._clock.now_ms()
        if 0 <= now_ms - self._refused.get(key, -REFUSED_EVERY_MS) < REFUSED_EVERY_MS:
            return
        self._audit.append(visit.user, visit.role.value, "web.refused", route, "", {"via": WEB})
        if len(self._refused) >= MAX_REFUSED:
            self._refused.clear()
        self._refused[key] = now_ms

    # -- its body and its time ----------------------------------------------------------------

    async def _body(self, door: Door | None, headers: Headers, receive: Receive) -> bytes:
        """The whole body. Raises WebProblem: it is too large, as its head says or as it comes, or too slow."""
        limits = self._limits
        most = limits.max_upload_bytes if door is not None and door.upload else limits.max_body_bytes
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:12]) > most:
            raise WebProblem("body_too_large")
        pieces: list[bytes] = []
        taken = 0
        more = True
        try:
            async with asyncio.timeout(limits.body_timeout_s):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise WebProblem("try_again", "The request broke off.")
                    pieces.append(message.get("body", b""))
                    taken += len(pieces[-1])
                    more = message.get("more_body", False)
                    if taken > most:
                        raise WebProblem("body_too_large")
        except TimeoutError as error:
            raise WebProblem("body_too_slow") from error
        return b"".join(pieces)

    async def _within_time(self, door: Door | None, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Run the application until its answer is out; who is late to begin is answered 503.

        What it raises is an answer where none has begun; one that is half out is broken off.
        """
        work = asyncio.ensure_future(self._app(scope, receive, answer))
        begun = asyncio.ensure_future(answer.begun.wait())
        timeout_s = None if door is not None and door.slow else self._limits.answer_timeout_s
        try:
            await asyncio.wait({work, begun}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not answer.begun.is_set() and not work.done():
                work.cancel()
                await asyncio.wait({work})
                await _refuse(scope, receive, answer, WebProblem("try_again", "The answer took too long."))
                return
            await work
        except TimeoutError:
            answer.cut()
        except Exception as error:
            if not isinstance(error, LuchengError):
                _log.error("web.unexpected", route=door.name if door is not None else "", error=type(error).__name__)
            if not answer.whole:
                await _refuse(scope, receive, answer, error)
        finally:
            begun.cancel()
            work.cancel()

    def _sealed(self, scope: Scope) -> Mapping[str, str]:
        return self._headers | self._secure if scope.get("scheme") in ("https", "wss") else self._headers


class _Answer:
    """`send` with the headers of every answer, that notes when the answer began, and gives up on who takes nothing."""

    def __init__(self, headers: Mapping[str, str], send: Send, scope: Scope, stall_s: float) -> None:
        self.begun = asyncio.Event()
        #: Its last byte went out.
        self.whole = False
        self._headers = headers
        self._send = send
        self._scope = scope
        self._stall_s = stall_s

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.begun.set()
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        if message["type"].startswith("websocket"):
            await self._send(message)  # a stream has a stall of its own
            return
        async with asyncio.timeout(self._stall_s):
            await self._send(message)
        self.whole = message["type"] == "http.response.body" and not message.get("more_body", False)

    def cut(self) -> None:
        """Close the connection: its reader takes nothing, and the answer is half out."""
        peer: Any = self._scope.get("state", {}).get(PEER_KEY)
        if peer is not None:
            peer.transport.abort()


def given_body(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives a body that was read already, then whatever comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _is_api(scope: Scope) -> bool:
    return bool(scope["path"].startswith(API) or scope["path"] == API.rstrip("/"))


async def _refuse(scope: Scope, receive: Receive, answer: _Answer, error: Exception) -> None:
    if answer.begun.is_set():
        answer.cut()
        return
    refusal = problem_answer(scope, error)
    if scope["type"] == "http":
        refusal.headers["connection"] = "close"  # whatever of its body is still on its way is not read
    await refusal(scope, receive, answer)
