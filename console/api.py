"""The HTTP API: `console.routes.ROUTES` over `Operations`, nothing else.

Invariants: a route's parameters are the operation's own, so types and defaults are written once;
who asks comes from the connection (the kernel's word on a Unix socket), never from the request;
every error is `{"error", "message", "mend"}` with the error's own status; a body over its limit is
refused before it is read, and a request that takes too long is answered 503. No rule of the house
is decided here, and nothing of a request is logged but its route and outcome.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, get_type_hints

import msgspec
import structlog
from fastapi import APIRouter, Body, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.blob import Blob
from console.exports.spool import Exported
from console.feed import DEFAULT_HEARTBEAT_S, DEFAULT_MAX_WATCHERS, DEFAULT_STALL_S, Feed, FeedResponse, Reader
from console.metrics import CONTENT_TYPE, exposition
from console.operations import Caller, Operations, Track
from console.routes import ROUTES, TOLD_HEADER, WATCH_ROUTE, Route
from model.errors import LuchengError

DEFAULT_MAX_BODY_BYTES = 256 << 20
DEFAULT_REQUEST_TIMEOUT_S = 120.0

#: Paths whose answer takes as long as the data is large.
_SLOW_PATHS = frozenset(route.path for route in ROUTES if route.slow)

_log = structlog.get_logger(__name__)


def make_app(
    operations: Operations,
    *,
    role: str = "cli",
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    request_timeout_s: float = DEFAULT_REQUEST_TIMEOUT_S,
    max_watchers: int = DEFAULT_MAX_WATCHERS,
    stall_s: float = DEFAULT_STALL_S,
    heartbeat_s: float = DEFAULT_HEARTBEAT_S,
) -> FastAPI:
    """The application; its feed, which ends with its server, is in `app.state.feed`.

    Args:
        operations: what answers.
        role: role under which callers of this socket are audited.
        max_body_bytes: largest request body.
        request_timeout_s: time until an answer has to begin; reading the body counts.
        max_watchers: readers of the feed at a time.
        stall_s: how long a reader of the feed may take nothing.
        heartbeat_s: how often the feed says that nothing happened.
    """
    app = FastAPI(title="lucheng", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    feed = Feed(
        operations.desk, operations.feed_row, max_watchers=max_watchers, stall_s=stall_s, heartbeat_s=heartbeat_s
    )
    app.state.feed = feed
    app.add_api_route(WATCH_ROUTE.path, _watch(operations, feed, role), methods=[WATCH_ROUTE.verb], name="watch")
    app.state.operations, app.state.role = operations, role
    app.include_router(_operation_routes())

    @app.get("/v1/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(exposition(operations.metric_values()), media_type=CONTENT_TYPE)

    app.add_exception_handler(LuchengError, _lucheng_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    app.add_middleware(_Limits, max_body_bytes=max_body_bytes, request_timeout_s=request_timeout_s)
    return app


@cache
def _operation_routes() -> APIRouter:
    """The operations, which are found in the application; made once, for FastAPI takes long for so many."""
    router = APIRouter()
    for route in ROUTES:
        router.add_api_route(route.path, _endpoint(route), methods=[route.verb], name=route.name)
    return router


def _endpoint(route: Route) -> Callable[..., Any]:
    """A FastAPI endpoint with the parameters of the operation: in the path, the query or the body."""
    method = getattr(Operations, route.name)
    hints = get_type_hints(method, include_extras=True)
    parameters = [inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)]
    for name, parameter in list(inspect.signature(method).parameters.items())[2:]:
        if name == route.raw:
            continue
        where: Any = Query() if route.verb == "GET" or route.raw else Body(embed=True)
        if "{" + name in route.path:
            where = Path()
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=parameter.default,
                annotation=Annotated[hints[name], where],
            )
        )

    def answer(request: Request, arguments: dict[str, Any]) -> Response:
        state = request.app.state
        result = getattr(state.operations, route.name)(_caller(request, state.role), **arguments)
        if isinstance(result, Track):
            return StreamingResponse(result.json_pieces(), media_type="application/json")
        if isinstance(result, Blob):
            return Response(result.data, media_type=result.media_type, headers=_saved_as(result.name))
        if isinstance(result, Exported):
            told = {TOLD_HEADER: json.dumps(result.told), "Content-Length": str(result.size)}
            return StreamingResponse(
                result.pieces(),
                media_type=result.media_type,
                headers=_saved_as(result.name) | told,
                background=BackgroundTask(result.close),
            )
        return Response(msgspec.json.encode(result), media_type="application/json")

    async def with_body(*, request: Request, **arguments: Any) -> Response:
        arguments[route.raw] = await request.body()
        return await asyncio.to_thread(answer, request, arguments)

    def without_body(*, request: Request, **arguments: Any) -> Response:
        return answer(request, arguments)

    endpoint: Any = with_body if route.raw else without_body
    endpoint.__signature__ = inspect.Signature(parameters)
    endpoint.__annotations__ = {}
    endpoint.__name__ = route.name
    made: Callable[..., Any] = endpoint
    return made


def _saved_as(name: str) -> dict[str, str]:
    """What keeps bytes from a device from being shown, guessed at or kept by whoever fetched them."""
    return {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def _watch(operations: Operations, feed: Feed, role: str) -> Callable[..., Any]:
    """The endpoint of the feed: audited, then streamed."""

    def begin(caller: Caller, after: int | None, purpose: str | None, loop: asyncio.AbstractEventLoop) -> Reader:
        reader = feed.open(after, loop)
        try:
            operations.alarm_watch(caller, after, purpose)
        except BaseException:
            feed.leave(reader)
            raise
        return reader

    async def watch(request: Request, after: int | None = None, purpose: str | None = None) -> Response:
        loop = asyncio.get_running_loop()
        reader = await asyncio.to_thread(begin, _caller(request, role), after, purpose, loop)
        return FeedResponse(feed, reader)

    return watch


def _caller(request: Request, role: str) -> Caller:
    """Who asks: the user the kernel named for this connection."""
    who = request.client.host if request.client else "unknown"
    return Caller(who, role, "socket")


def _body(error: str, message: str, mend: str, status: int) -> JSONResponse:
    return JSONResponse({"error": error, "message": message, "mend": mend}, status_code=status)


def _lucheng_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, LuchengError)
    return _body(error.code, error.message, error.mend, error.http_status)


def _validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return _body("usage", f"{place}: {first['msg']}.", "Correct the argument.", 422)


def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _body("not_found" if error.status_code == 404 else "usage", str(error.detail), "", error.status_code)


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("api.unexpected", path=request.scope.get("route_path", request.method), error=type(error).__name__)
    return _body("error", f"The service failed: {type(error).__name__}.", "See its log.", 500)


class _TooLarge(Exception):
    """The body went over its limit while it was read."""


class _Limits:
    """Body limit for every request, and time to the first byte of the answer for all but the slow ones."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, request_timeout_s: float) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._request_timeout_s = request_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = asyncio.Event()
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_body_bytes:
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            started.set()
            await send(message)

        too_large = _body(
            "bad_input",
            f"The body is larger than {self._max_body_bytes} bytes.",
            "Send less, or raise api.max_body_bytes.",
            413,
        )
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._max_body_bytes:
            await too_large(scope, receive, send)
            return
        work = asyncio.ensure_future(self._app(scope, bounded, noted))
        begun = asyncio.ensure_future(started.wait())
        try:
            timeout_s = None if scope["path"] in _SLOW_PATHS else self._request_timeout_s
            await asyncio.wait({work, begun}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not started.is_set() and not work.done():
                work.cancel()
                late = _body(
                    "try_again", "The answer took too long.", "Ask for less, or raise api.request_timeout_s.", 503
                )
                await late(scope, receive, send)
                return
            await work
        except _TooLarge:
            if not started.is_set():
                await too_large(scope, receive, send)
        finally:
            begun.cancel()
            work.cancel()
