"""The metrics for Prometheus on TCP, loopback only, off unless a port is set: `GET /metrics` and nothing else.

Invariants: numbers alone, of no device, person or place, so nobody signs in; it listens on a loopback address, and a page of a
browser gets nothing (a request with `Origin` or fetch metadata is refused, and one for another host); a connection that does
not say its request in time, and one too many, are closed. What answers is `Operations.metric_values`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import structlog

from console.metrics import CONTENT_TYPE
from model.errors import Conflict, StoreError, UsageError

DEFAULT_MAX_CONNECTIONS = 8
DEFAULT_TIMEOUT_S = 10.0
_STOP_S = 5.0
_OF_BROWSERS = ("origin", "sec-fetch-site", "sec-fetch-mode")

_log = structlog.get_logger(__name__)


class MetricsServer:
    """Serves `answer()` on its own thread; a context manager.

    Args:
        answer: the exposition, made anew for each request.
        port: TCP port; 0: any free one, `port` says which after `start`.
        listen: a loopback address.
        max_connections: at a time; one more is closed.
        timeout_s: how long a connection may take to say its request, and to take the answer.

    Raises: UsageError for another address; from `start` Conflict when the port is taken, StoreError when it cannot be opened.
    """

    def __init__(
        self,
        answer: Callable[[], bytes],
        port: int,
        *,
        listen: str = "127.0.0.1",
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        if not ipaddress.ip_address(listen).is_loopback:
            raise UsageError(f"{listen} is no address of this machine alone.", mend="Listen on 127.0.0.1 or ::1.")
        self.port = port
        self._listen = listen
        self._handler = _handler(answer, timeout_s)
        self._places = threading.BoundedSemaphore(max_connections)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; returns once connections are accepted."""
        try:
            made = _Server((self._listen, self.port), self._handler, self._places)
        except OSError as error:
            if error.errno == 98:  # EADDRINUSE
                raise Conflict(
                    f"Port {self.port} is taken.", mend="Stop what listens there, or set metrics.port."
                ) from error
            raise StoreError(f"Metrics cannot be served: {error.strerror}.", mend="Check metrics.listen.") from error
        self._server = made
        self.port = made.server_address[1]
        self._thread = threading.Thread(target=made.serve_forever, args=(0.2,), name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more; twice is once."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        if self._thread is not None:
            self._thread.join(_STOP_S)
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    """One that takes so many connections and no more."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = DEFAULT_MAX_CONNECTIONS

    def __init__(
        self, where: tuple[str, int], handler: type[BaseHTTPRequestHandler], places: threading.BoundedSemaphore
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        self._places = places
        super().__init__(where, handler)

    def server_bind(self) -> None:
        """Without the look-up of its own name that the standard library makes, which may take seconds."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that hung up is no news."""


def _handler(answer: Callable[[], bytes], timeout_s: float) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One connection, one request."""

        timeout = timeout_s
        protocol_version = "HTTP/1.0"
        server_version = "lucheng"
        sys_version = ""

        def do_GET(self) -> None:
            if any(name in self.headers for name in _OF_BROWSERS) or not _is_loopback(self.headers.get("Host", "")):
                self._say(HTTPStatus.FORBIDDEN, b"not for browsers\n")
                return
            if self.path.partition("?")[0] != "/metrics":
                self._say(HTTPStatus.NOT_FOUND, b"only /metrics\n")
                return
            try:
                body = answer()
            except Exception:
                _log.exception("metrics.failed")
                self._say(HTTPStatus.SERVICE_UNAVAILABLE, b"no values now\n")
                return
            self._say(HTTPStatus.OK, body, CONTENT_TYPE)

        def _say(self, status: HTTPStatus, body: bytes, media_type: str = "text/plain; charset=utf-8") -> None:
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("X-Content-Type-Options", "nosniff")
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the library's name
            """Nothing of a request is logged."""

    return Handler


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
