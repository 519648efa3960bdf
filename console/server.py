"""The API on a Unix socket: uvicorn on a thread of the service.

Invariants: the socket has mode 0600 before anybody can connect; a socket file is taken over only
when nobody answers on it; who asks is what the kernel says of the peer (`SO_PEERCRED`), so a client
cannot claim another name; `stop` returns when the last answer is out or its time is over, and the
file is gone. Source: unix(7), SO_PEERCRED.
"""

from __future__ import annotations

import asyncio
import contextlib
import pwd
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any, Self

import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from console.feed import PEER_KEY, Feed
from console.socket_path import answers, short_path
from model.errors import Conflict, StoreError

DEFAULT_MAX_CONNECTIONS = 64
DEFAULT_START_TIMEOUT_S = 10.0
DEFAULT_STOP_TIMEOUT_S = 5.0
DEFAULT_HEADER_BYTES = 16 << 10
DEFAULT_KEEP_ALIVE_S = 5
_PROBE_TIMEOUT_S = 1.0
_START_POLL_S = 0.01
_PEER = struct.Struct("3i")

_log = structlog.get_logger(__name__)


def user_name(uid: int) -> str:
    """Name of the operating system's user `uid`."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid:{uid}"


class _PeerProtocol(H11Protocol):
    """HTTP/1.1 whose `client` is the peer's user: (name, uid)."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        _pid, uid, _gid = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        self.client = (user_name(uid), uid)
        self.app_state = {**self.app_state, PEER_KEY: self}  # a stream that nobody reads is cut off by it


class ApiServer:
    """Serves `app` at `path` on its own thread; a context manager.

    Args:
        app: from `console.api.make_app`.
        path: the socket file; its folder has to be there.
        max_connections: connections at a time; more are answered 503.
        stop_timeout_s: how long `stop` waits for answers under way.

    Raises (from `start`): Conflict when another service answers there, StoreError when the socket cannot be made.
    """

    def __init__(
        self,
        app: FastAPI,
        path: Path,
        *,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        stop_timeout_s: float = DEFAULT_STOP_TIMEOUT_S,
    ) -> None:
        self.path = path
        #: The live feed of the application, ended before the server.
        self.feed: Feed = app.state.feed
        self._stop_timeout_s = stop_timeout_s
        self._inode = 0
        self._failure: BaseException | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=_PeerProtocol,
                loop="asyncio",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=max_connections,
                backlog=max_connections,
                timeout_keep_alive=DEFAULT_KEEP_ALIVE_S,
                timeout_graceful_shutdown=max(1, int(stop_timeout_s)),
                h11_max_incomplete_event_size=DEFAULT_HEADER_BYTES,
            )
        )
        self._thread: threading.Thread | None = None

    def start(self, timeout_s: float = DEFAULT_START_TIMEOUT_S) -> None:
        """Listen; returns once connections are accepted."""
        listener = self._listener()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="api", daemon=True)
        self._thread.start()
        end_s = time.monotonic() + timeout_s
        while not self._server.started and self._thread.is_alive() and time.monotonic() < end_s:
            self._thread.join(_START_POLL_S)
        if not self._server.started:
            self.stop()
            raise StoreError(f"The API did not start: {self._failure or 'no answer'}.", mend="Start again.")

    def _listener(self) -> socket.socket:
        if answers(self.path, _PROBE_TIMEOUT_S):
            raise Conflict(f"Another service answers on {self.path}.", mend="Stop it first.")
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.path.unlink(missing_ok=True)
            with short_path(self.path) as name:
                made.bind(name)
            self.path.chmod(0o600)  # nobody can connect before listen()
            self._inode = self.path.stat().st_ino
            made.listen(DEFAULT_MAX_CONNECTIONS)
        except OSError as error:
            made.close()
            raise StoreError(f"{self.path} cannot be made: {error.strerror}.", mend="Check the data folder.") from error
        return made

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[listener]))
        except BaseException as error:
            self._failure = error
            _log.exception("api.stopped")
        finally:
            listener.close()

    @property
    def running(self) -> bool:
        """Whether the thread serves."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Accept nothing more, finish what is under way, remove the socket file; may be called twice."""
        self._server.should_exit = True
        self.feed.close()
        if self._thread is not None:
            self._thread.join(self._stop_timeout_s + 2)
            self._thread = None
        with contextlib.suppress(OSError):
            if self._inode and self.path.stat().st_ino == self._inode:
                self.path.unlink()
        self._inode = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
