"""The console on TCP: uvicorn on a thread of the service, with TLS where there is a certificate.

Invariants: a connection that does not say its request in time, one too many, and one whose head is too large are closed; `stop` returns
within its time. Beyond this machine it listens by TLS, or for somebody who does TLS before it and says so in `web.origins`.
Neither addresses nor texts of requests are logged. Connections are shared out fairly by the kernel's queue alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from console.live.hub import LiveHub
from console.live.server import SEND_BUFFER_BYTES, TICK_S, WebSocketProtocol, http_protocol
from console.web.live_routes import tick
from model.errors import Conflict, SettingsError, StoreError

DEFAULT_MAX_CONNECTIONS = 1_024
DEFAULT_HEADER_TIMEOUT_S = 10.0
DEFAULT_KEEP_ALIVE_S = 30
DEFAULT_START_TIMEOUT_S = 10.0
DEFAULT_STOP_TIMEOUT_S = 5.0
#: A head that is larger is not read to its end; the gate refuses smaller ones with words.
MAX_HEAD_BYTES = 48 << 10
#: A page has nothing to say over a WebSocket.
MAX_MESSAGE_BYTES = 1 << 10
#: Threads for short questions (who is this, may he still) beside those of the operations.
THREADS = 16
_BACKLOG = 1_024
_START_POLL_S = 0.01
_DEFAULT_PORTS = {"http": 80, "https": 443}

_log = structlog.get_logger(__name__)


def names_of(listen: str, port: int, origins: Sequence[str], *, tls: bool) -> tuple[frozenset[str], frozenset[str]]:
    """What `Host` and `Origin` may say: this machine's own names at the port, and those of `web.origins`.

    Raises SettingsError where others could reach it and nothing says that they come by TLS.
    """
    address = ipaddress.ip_address(listen)
    scheme = "https" if tls else "http"
    if not address.is_loopback and not tls and not any(origin.startswith("https://") for origin in origins):
        raise SettingsError(
            f"web.listen is {listen}, which others can reach, without TLS.",
            mend="Set web.tls_cert_file and web.tls_key_file; or, where TLS is done before it, name its address in web.origins.",
        )
    own = {"localhost", "127.0.0.1", "[::1]"}
    if not address.is_unspecified:
        own.add(f"[{address.compressed}]" if address.version == 6 else address.compressed)
    mine = {f"{scheme}://{_at(name, port, scheme)}" for name in own}
    named = mine | {_plain(origin) for origin in origins}
    return frozenset(urlsplit(one).netloc for one in named), frozenset(named)


def _plain(origin: str) -> str:
    """An origin as browsers write it: without the scheme's own port."""
    parts = urlsplit(origin)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{_at(str(host), parts.port or _DEFAULT_PORTS[parts.scheme], parts.scheme)}"


def _at(host: str, port: int, scheme: str) -> str:
    return host if port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"


class _Switch:
    """The application of the server; it is made when the port is known."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


class WebServer:
    """Serves the console on its own thread; a context manager.

    Args:
        make: the application under (hosts, origins, the cookie's name, by TLS).
        hub: live pictures, ticked here; None: there are none.
        listen, port: where; port 0: any free one, `port` says which after `start`.
        origins: `web.origins`.
        tls_cert_file, tls_key_file: both or none.
        max_connections: at a time; one more is closed unheard.
        header_timeout_s: how long a connection may take to say its request.
        stop_timeout_s: how long `stop` waits for answers under way.

    Raises SettingsError as `names_of`, and for TLS files that do not go together; from `start`: Conflict when the port is
    taken, StoreError when it does not start.
    """

    def __init__(
        self,
        make: Callable[[frozenset[str], frozenset[str], str, bool], ASGIApp],
        *,
        hub: LiveHub | None = None,
        listen: str = "127.0.0.1",
        port: int = 0,
        origins: Sequence[str] = (),
        tls_cert_file: Path | None = None,
        tls_key_file: Path | None = None,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        header_timeout_s: float = DEFAULT_HEADER_TIMEOUT_S,
        stop_timeout_s: float = DEFAULT_STOP_TIMEOUT_S,
    ) -> None:
        if (tls_cert_file is None) != (tls_key_file is None):
            raise SettingsError("Of the TLS files one is missing.", mend="Set web.tls_cert_file and web.tls_key_file.")
        self.listen = listen
        self.port = port
        self.tls = tls_cert_file is not None
        self._origins = tuple(origins)
        names_of(listen, port or 1, origins, tls=self.tls)
        self._make = make
        self._hub = hub
        self._stop_timeout_s = stop_timeout_s
        self._switch = _Switch()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        try:
            config = uvicorn.Config(
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
                limit_concurrency=None,
                backlog=_BACKLOG,
                timeout_keep_alive=DEFAULT_KEEP_ALIVE_S,
                timeout_graceful_shutdown=max(1, int(stop_timeout_s)),
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                ssl_certfile=tls_cert_file,
                ssl_keyfile=tls_key_file,
            )
            config.load()
        except OSError as error:  # ssl.SSLError, too
            raise SettingsError(
                f"The TLS files cannot be used: {error.strerror or type(error).__name__}.",
                mend="Name a certificate with its chain and its key, PEM, readable by who runs the service.",
            ) from error
        self._server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """Where it answers on this machine."""
        scheme = "https" if self.tls else "http"
        address = ipaddress.ip_address(self.listen)
        host = "127.0.0.1" if address.is_unspecified else self.listen
        return f"{scheme}://{_at(f'[{host}]' if ':' in host else host, self.port, scheme)}/"

    @property
    def shown_url(self) -> str:
        """The address for people: the first that browsers use, else its own."""
        return f"{self._origins[0]}/" if self._origins else self.url

    def start(self, timeout_s: float = DEFAULT_START_TIMEOUT_S) -> None:
        """Listen; returns once connections are accepted."""
        listener = self._listener()
        self.port = listener.getsockname()[1]
        hosts, origins = names_of(self.listen, self.port, self._origins, tls=self.tls)
        self._switch.app = self._make(hosts, origins, f"lucheng_{self.port}", self.tls)
        self._thread = threading.Thread(target=self._run, args=(listener,), name="web", daemon=True)
        self._thread.start()
        end_s = time.monotonic() + timeout_s
        while not self._server.started and self._thread.is_alive() and time.monotonic() < end_s:
            self._thread.join(_START_POLL_S)
        if not self._server.started:
            self.stop()
            raise StoreError(f"The console did not start: {self._failure or 'no answer'}.", mend="Start again.")

    def _listener(self) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in self.listen else socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # connections have it from here
            made.bind((self.listen, self.port))
            made.listen(_BACKLOG)
        except OSError as error:
            made.close()
            raise Conflict(
                f"Port {self.port} of {self.listen} cannot be had: {error.strerror}.",
                mend="Set another web.port, or 0.",
            ) from error
        return made

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listener))
        except BaseException as error:
            self._failure = error
            _log.exception("web.stopped")
        finally:
            listener.close()

    async def _serve(self, listener: socket.socket) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "web-short"))
        ticking = None if self._hub is None else asyncio.create_task(tick(self._hub, TICK_S))
        try:
            await self._server.serve(sockets=[listener])
        finally:
            if ticking is not None:
                ticking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await ticking

    @property
    def running(self) -> bool:
        """Whether the thread serves."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Accept nothing more, finish what is under way; may be called twice. Streams are ended by whoever has them."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(self._stop_timeout_s + 2)
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
