"""Asking the operations: of a running service over its Unix socket, or in this process.

Both clients have the same two calls, so the command line does not know which one it has. The remote
one is the standard library's HTTP client on a Unix socket (httpx would cost 0.2 s at every start);
neither imports the HTTP server. Errors arrive as the same classes that the operation raised.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

from console.routes import ROUTE_BY_NAME, TOLD_HEADER, WATCH_ROUTE, Route
from console.socket_path import connected
from model.errors import LuchengError, TryAgain

if TYPE_CHECKING:
    from console.operations import Caller, Operations

DEFAULT_CONNECT_TIMEOUT_S = 2.0
#: Longer than the service's own `api.request_timeout_s`, so that its answer wins.
DEFAULT_ANSWER_TIMEOUT_S = 3_700.0
#: A feed that says nothing for so long is taken for gone; several of its heartbeats.
DEFAULT_SILENCE_S = 20.0
_PIECE_BYTES = 1 << 18


class Client(Protocol):
    """What the command line asks through."""

    def call(self, operation: str, /, **arguments: Any) -> Any:
        """Run an operation of `console.routes.ROUTES`; return its JSON-ready answer.

        Raises LuchengError as the operation does, TryAgain when the service went away.
        """
        ...

    def track(self, **arguments: Any) -> Iterator[bytes]:
        """The operation `track` as pieces of one JSON object, made as they are read."""
        ...

    def blob(self, operation: str, /, **arguments: Any) -> bytes:
        """Run an operation whose answer is bytes (`console.blob`). Raises as `call`."""
        ...

    def stream(self, operation: str, /, **arguments: Any) -> tuple[dict[str, Any], Iterator[bytes]]:
        """Run an operation whose answer is large (`console.exports.spool.Exported`): what is told of it, its bytes in pieces.

        Raises as `call`; the iterator TryAgain when the service went away.
        """
        ...

    def watch(
        self, *, after: int | None = None, purpose: str | None = None, every_line: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Alarm events as they happen: those after the number `after`, None: those to come.

        With `every_line` also `{"heartbeat": N}`, N the last event's number, at the start and while nothing happens.
        Raises TryAgain when there is no service or it goes; go on with the last number.
        """
        ...


class LocalClient:
    """Runs operations in this process, as `caller`."""

    def __init__(self, operations: Operations, caller: Caller) -> None:
        self._operations = operations
        self._caller = caller

    def call(self, operation: str, /, **arguments: Any) -> Any:
        return getattr(self._operations, ROUTE_BY_NAME[operation].name)(self._caller, **arguments)

    def track(self, **arguments: Any) -> Iterator[bytes]:
        return self._operations.track(self._caller, **arguments).json_pieces()

    def blob(self, operation: str, /, **arguments: Any) -> bytes:
        data: bytes = self.call(operation, **arguments).data
        return data

    def stream(self, operation: str, /, **arguments: Any) -> tuple[dict[str, Any], Iterator[bytes]]:
        made = self.call(operation, **arguments)
        return made.told, made.pieces()

    def watch(
        self, *, after: int | None = None, purpose: str | None = None, every_line: bool = False
    ) -> Iterator[dict[str, Any]]:
        del after, purpose, every_line
        raise TryAgain("No service runs here whose alarms could be watched.", mend="Start it with `lucheng run`.")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, connect_timeout_s: float, answer_timeout_s: float) -> None:
        super().__init__("localhost", timeout=answer_timeout_s)
        self._path = path
        self._connect_timeout_s = connect_timeout_s

    def connect(self) -> None:
        made: socket.socket = connected(self._path, self._connect_timeout_s)
        made.settimeout(self.timeout)
        self.sock = made


class RemoteClient:
    """Asks the service that listens on `socket_path`."""

    def __init__(
        self,
        socket_path: Path,
        *,
        connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S,
        answer_timeout_s: float = DEFAULT_ANSWER_TIMEOUT_S,
        silence_s: float = DEFAULT_SILENCE_S,
    ) -> None:
        self._path = socket_path
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._silence_s = silence_s

    def call(self, operation: str, /, **arguments: Any) -> Any:
        return json.loads(b"".join(self._pieces(ROUTE_BY_NAME[operation], arguments)))

    def track(self, **arguments: Any) -> Iterator[bytes]:
        pieces = self._pieces(ROUTE_BY_NAME["track"], arguments)
        first = next(pieces, b"")  # an error is raised here, before anything is printed
        return _chained(first, pieces)

    def blob(self, operation: str, /, **arguments: Any) -> bytes:
        return b"".join(self._pieces(ROUTE_BY_NAME[operation], arguments))

    def stream(self, operation: str, /, **arguments: Any) -> tuple[dict[str, Any], Iterator[bytes]]:
        headers: dict[str, str] = {}
        pieces = self._pieces(ROUTE_BY_NAME[operation], arguments, headers=headers)
        first = next(pieces, b"")  # an error is raised here, before anything is written
        return json.loads(headers.get(TOLD_HEADER, "{}")), _chained(first, pieces)

    def watch(
        self, *, after: int | None = None, purpose: str | None = None, every_line: bool = False
    ) -> Iterator[dict[str, Any]]:
        arguments = {"after": after, "purpose": purpose}
        pieces = self._pieces(WATCH_ROUTE, arguments, timeout_s=self._silence_s, whole=False)
        first = next(pieces, b"")  # whoever has the iterator misses nothing from now on
        return _watched(_chained(first, pieces), every_line=every_line)

    def metrics(self) -> str:
        """The service's metrics in Prometheus' text format."""
        return b"".join(self._pieces(Route("metrics", "GET", "/metrics"), {})).decode()

    def _pieces(
        self,
        route: Route,
        arguments: dict[str, Any],
        *,
        timeout_s: float | None = None,
        whole: bool = True,
        headers: dict[str, str] | None = None,
    ) -> Iterator[bytes]:
        """The answer as it comes; `whole`: in large pieces, else each as soon as something is there.

        `headers` is given the answer's: `TOLD_HEADER` alone.
        """
        path, body, kind = _request(route, arguments)
        connection = _UnixConnection(self._path, self._connect_timeout_s, timeout_s or self._answer_timeout_s)
        try:
            connection.request(route.verb, path, body=body, headers={"Content-Type": kind} if body is not None else {})
            response = connection.getresponse()
            if response.status != 200:  # every operation answers 200 or an error
                raise _error(response.status, response.read())
            if headers is not None and (told := response.getheader(TOLD_HEADER)) is not None:
                headers[TOLD_HEADER] = told
            read = response.read if whole else response.read1
            while piece := read(_PIECE_BYTES):
                yield piece
            # The standard library tells of a cut answer only where all is read at once; one of ours always says how long it is.
            if response.length or (response.length is None and not response.chunked):
                raise http.client.IncompleteRead(b"", response.length)
        except (OSError, http.client.HTTPException) as error:
            raise TryAgain(
                f"The service on {self._path.name} broke off: {type(error).__name__}.",
                mend="Try again; if it stays so, see its log.",
            ) from error
        finally:
            connection.close()


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _watched(pieces: Iterator[bytes], *, every_line: bool) -> Iterator[dict[str, Any]]:
    """The lines of a feed."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for raw in lines:
            line = json.loads(raw)
            if "closed" in line:
                raise TryAgain(
                    f"The service ended the feed: {line['closed']}.", mend=f"Go on after number {line['resume']}."
                )
            if every_line or "action" in line:
                yield line


def _request(route: Route, arguments: dict[str, Any]) -> tuple[str, bytes | None, str]:
    """Path with query, body and content type."""
    left = {key: value for key, value in arguments.items() if value is not None}
    path = route.path
    for key in list(left):
        for form in ("{" + key + "}", "{" + key + ":path}"):
            if form in path:
                path = path.replace(form, quote(str(left.pop(key)), safe="/"))
                break
    body: bytes | None = None
    kind = "application/json"
    if route.raw:
        body, kind = left.pop(route.raw), "application/octet-stream"
    elif route.verb == "POST":
        body, left = json.dumps(left).encode(), {}
    if left:
        pairs = {key: str(value).lower() if isinstance(value, bool) else value for key, value in left.items()}
        path += "?" + urlencode(pairs, doseq=True)
    return path, body, kind


def _errors(base: type[LuchengError]) -> dict[str, type[LuchengError]]:
    """Error classes by code; a class that shares its parent's code does not stand for it."""
    found = {base.code: base}
    for child in base.__subclasses__():
        found = {**_errors(child), **found}
    return found


def _error(status: int, body: bytes) -> LuchengError:
    """The error the service answered with, as its own class again."""
    try:
        told = json.loads(body)
        kind = _errors(LuchengError).get(told["error"], LuchengError)
        return kind(told["message"], mend=told["mend"])
    except (ValueError, KeyError, TypeError):
        if status in (408, 429, 503):
            return TryAgain(f"The service is busy (HTTP {status}).", mend="Try again in a moment.")
        return LuchengError(f"The service answered HTTP {status}.", mend="See its log.")
