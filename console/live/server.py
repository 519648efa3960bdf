"""The live view on TCP, loopback only: uvicorn on a thread of the service, beside the API's.

Invariants: it listens on a loopback address and on nothing else; a connection that does not say its request in time, one too
many, one whose headers are too large, and one that takes nothing are closed; `stop` ends the streams first and returns within
its time. Neither addresses nor texts of requests are logged (an address may hold the token).

Why `websockets-sansio`: uvicorn's older `websockets` way is deprecated with the library's legacy part, and it queues what it
reads; this one waits for room before each message, so that a slow viewer holds one message and the kernel's buffers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import threading
import time
from typing import Any, Self

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from console.live.app import LivePages, make_live_app
from console.live.guard import MAX_HEADER_BYTES, TOKEN_FIELD
from console.live.streams import PEER_KEY
from console.live.tokens import Keys
from model.errors import Conflict, StoreError, UsageError

DEFAULT_MAX_CONNECTIONS = 160
DEFAULT_HEADER_TIMEOUT_S = 10.0
DEFAULT_KEEP_ALIVE_S = 15
DEFAULT_START_TIMEOUT_S = 10.0
DEFAULT_STOP_TIMEOUT_S = 5.0
#: Of the kernel for each connection: what a viewer that stops reading has been given for nothing.
SEND_BUFFER_BYTES = 256 << 10
#: A viewer has nothing to say over the WebSocket.
MAX_MESSAGE_BYTES = 1 << 10
TICK_S = 0.25
_START_POLL_S = 0.01

_log = structlog.get_logger(__name__)
#: Takes what uvicorn and websockets say of single connections, in which the request's address stands.
_mute = logging.getLogger(f"{__name__}.connections")
_mute.setLevel(logging.CRITICAL + 1)
_mute.propagate = False


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket whose protocol a stream can reach, to cut it off."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = _mute
        self.conn.logger = _mute
        self.conn.debug = False
        self.app_state = {**self.app_state, PEER_KEY: self}


def http_protocol(max_connections: int, header_timeout_s: float) -> type[H11Protocol]:
    """HTTP/1.1 for so many connections, each of which has so long to say a request."""

    class Http(H11Protocol):
        """HTTP/1.1 that waits for a request for a time only."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.logger = _mute
            self.access_logger = _mute
            self._late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.app_state = {**self.app_state, PEER_KEY: self}
            if len(self.connections) > max_connections:
                transport.abort()
                return
            self._wait_for_head()

        def data_received(self, data: bytes) -> None:
            before: Any = self.scope  # another one with each request
            if self._late is None and (before is None or self.cycle.response_complete):
                self._wait_for_head()
            super().data_received(data)
            if self.scope is not before and self._late is not None:
                self._late.cancel()
                self._late = None

        def connection_lost(self, exc: Exception | None) -> None:
            if self._late is not None:
                self._late.cancel()
            super().connection_lost(exc)

        def _wait_for_head(self) -> None:
            self._late = self.loop.call_later(header_timeout_s, self.transport.abort)

    return Http


class _Switch:
    """The application of the server; it is made when the port is known."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


class LiveServer:
    """Serves the live view on its own thread; a context manager. Its `repr` holds no token.

    Args:
        made_of: what the pages are made of.
        token: opens them.
        port: TCP port; 0: any free one, `port` says which after `start` (the setting `live.port` means off by 0: then none is made).
        listen: a loopback address.
        max_connections: at a time; one more is closed unheard.
        header_timeout_s: how long a connection may take to say its request.
        stop_timeout_s: how long `stop` waits for answers under way.

    Raises UsageError when `listen` is not of the loopback interface; from `start`: Conflict when the port is taken, StoreError
    when it does not start.
    """

    def __init__(
        self,
        made_of: LivePages,
        token: str,
        *,
        port: int = 0,
        listen: str = "127.0.0.1",
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        header_timeout_s: float = DEFAULT_HEADER_TIMEOUT_S,
        stop_timeout_s: float = DEFAULT_STOP_TIMEOUT_S,
    ) -> None:
        if not ipaddress.ip_address(listen).is_loopback:
            raise UsageError(f"{listen} is no loopback address.", mend="Set live.listen to 127.0.0.1.")
        self.port = port
        self.listen = listen
        self.hub = made_of.hub
        self._made_of = made_of
        self._token = token
        self._stop_timeout_s = stop_timeout_s
        self._switch = _Switch()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._switch,
                http=http_protocol(max_connections, header_timeout_s),
                ws=WebSocketProtocol,
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                loop="asyncio",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                limit_concurrency=max_connections,
                backlog=max_connections,
                timeout_keep_alive=DEFAULT_KEEP_ALIVE_S,
                timeout_graceful_shutdown=max(1, int(stop_timeout_s)),
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            )
        )

    def __repr__(self) -> str:
        return f"LiveServer({self.url!r})"

    @property
    def url(self) -> str:
        """Where it answers, without the token."""
        return f"http://{f'[{self.listen}]' if ':' in self.listen else self.listen}:{self.port}/"

    def page_url(self, path: str = "") -> str:
        """Address of a page with the token in it: to be shown to whoever runs the service, and never logged."""
        return f"{self.url}{path.lstrip('/')}{'&' if '?' in path else '?'}{TOKEN_FIELD}={self._token}"

    def live_values(self) -> dict[str, float]:
        """Those of the hub, and `live_port`."""
        return {"live_port": float(self.port if self.running else 0), **self.hub.live_values()}

    def start(self, timeout_s: float = DEFAULT_START_TIMEOUT_S) -> None:
        """Listen; returns once connections are accepted."""
        listener = self._listener()
        self.port = listener.getsockname()[1]
        keys = Keys(self._token, clock=self._made_of.clock)
        self._switch.app = make_live_app(self._made_of, keys, listen=self.listen, port=self.port)
        self._thread = threading.Thread(target=self._run, args=(listener,), name="live", daemon=True)
        self._thread.start()
        end_s = time.monotonic() + timeout_s
        while not self._server.started and self._thread.is_alive() and time.monotonic() < end_s:
            self._thread.join(_START_POLL_S)
        if not self._server.started:
            self.stop()
            raise StoreError(f"The live view did not start: {self._failure or 'no answer'}.", mend="Start again.")

    def _listener(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.listen else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # connections have it from here
            made.bind((self.listen, self.port))
            made.listen(DEFAULT_MAX_CONNECTIONS)
        except OSError as error:
            made.close()
            raise Conflict(
                f"Port {self.port} of {self.listen} cannot be had: {error.strerror}.", mend="Set another live.port."
            ) from error
        return made

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listener))
        except BaseException as error:
            self._failure = error
            _log.exception("live.stopped")
        finally:
            self.hub.close()
            listener.close()

    async def _serve(self, listener: socket.socket) -> None:
        ticking = asyncio.create_task(self._tick())
        try:
            await self._server.serve(sockets=[listener])
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await asyncio.to_thread(self.hub.tick)

    @property
    def running(self) -> bool:
        """Whether the thread serves."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Accept nothing more, end the streams, finish what is under way; may be called twice."""
        self._server.should_exit = True
        self.hub.close()
        if self._thread is not None:
            self._thread.join(self._stop_timeout_s + 2)
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
