"""`OsmandServer`: OsmAnd's and Traccar's client over HTTP, on a thread of its own.

Purpose: the way in for phones that send their place as a web request. Invariants: 200 is answered only after everything
that a request held is durable; a request that nobody vouches for (unknown id, wrong token) leaves no trace but a count, so
that a stranger fills no disk; a bad place of a known device is quarantined, without the token; requests that come within
`gather_ms` go to the log together, in order of arrival. A head that does not end, a body that is slow or large, and more
connections than allowed are cut off or refused. It speaks no TLS: put a proxy in front where it is reached over the
Internet. It keeps no session and never learns what a token is.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import structlog
import uvicorn

from ingest.decode.decoder import Decoded
from ingest.decode.lifted import lifted_signals
from ingest.decode.limits import DEFAULT_LIMITS, DecodeLimits
from ingest.decode.points import Bad, PointDecoder, PointRows
from ingest.trackers.http_protocol import bounded
from ingest.trackers.osmand import Asked, read_request
from model.batch import PointBatch
from model.errors import LuchengError, TryAgain
from model.quarantine import Quarantined

if TYPE_CHECKING:
    from model.clock import Clock

#: What `Quarantined.source` says of them.
SOURCE = "osmand"
_TEXT = b"text/plain; charset=utf-8"
_BEARER = b"bearer "
_START_POLL_S = 0.01

_log = structlog.get_logger(__name__)

#: Whose an id is: (slot, device id), or None where nobody has it.
Resolve = Callable[[str], tuple[int, str] | None]
#: Whether a token is that device's.
CheckToken = Callable[[str, str], bool]
#: Makes everything of a `Decoded` durable, then calls the function, from whichever thread.
Take = Callable[[Decoded, Callable[[], None]], None]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
_Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class OsmandLimits:
    """Limits of the server.

    Attributes:
        connections: at a time; more are cut off.
        header_bytes: of a request's head, the address included.
        header_s: time for a whole head.
        body_bytes: of a request's body; more are answered 413.
        body_s: time for a whole body; then 408.
        keep_alive_s: a connection without a request for so long is closed.
        gather_ms: requests that come within it are stored together.
        gather_requests: no more than so many of them.
        answer_s: how long a request waits to be durable; then 503, and the client sends it again.
        id_chars: longest id that is looked up.
        stop_s: how long `stop` waits for answers under way.
    """

    connections: int = 1_000
    header_bytes: int = 8 * 1024
    header_s: float = 10.0
    body_bytes: int = 256 * 1024
    body_s: float = 20.0
    keep_alive_s: int = 60
    gather_ms: float = 3.0
    gather_requests: int = 500
    answer_s: float = 30.0
    id_chars: int = 100
    stop_s: float = 5.0


@dataclass(slots=True)
class _Waiting:
    """One request on its way into the log."""

    slot: int
    device: str
    asked: Asked
    received_ms: int
    durable: asyncio.Future[bool]


class _Refused(Exception):
    """An answer that is not 200, with a short text for people."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class OsmandServer:
    """Listens for clients; a context manager.

    Args:
        listen: IP address.
        port: TCP port; 0 takes a free one (see `port`).
        resolve: whose an id is; called on the server's thread for every request, so it has to be quick.
        check_token: whether a token is a device's; called likewise. An error of it is answered 503.
        take: what is called with each round; it may wait, which holds up new rounds only.
        clock: gives the time of receipt.
        require_token: whether a token is needed.
        limits: see `OsmandLimits`.
        decode_limits: see `DecodeLimits`.

    Attributes:
        answers: how many requests were answered, by HTTP status.
    """

    def __init__(
        self,
        listen: str,
        port: int,
        *,
        resolve: Resolve,
        check_token: CheckToken,
        take: Take,
        clock: Clock,
        require_token: bool = True,
        limits: OsmandLimits = OsmandLimits(),
        decode_limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> None:
        self._listen = listen
        self._port = port
        self._resolve = resolve
        self._check_token = check_token
        self._take = take
        self._clock = clock
        self._require_token = require_token
        self._limits = limits
        self._decode_limits = decode_limits
        self._points = PointDecoder(decode_limits)
        self.answers: Counter[int] = Counter()
        self._waiting: list[_Waiting] = []
        self._gathering = False
        #: One thread, so that rounds keep their order.
        self._hands = ThreadPoolExecutor(1, "osmand-store")
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._application,
                interface="asgi3",
                http=bounded(limits.header_s, limits.connections),
                loop="asyncio",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                backlog=limits.connections,
                timeout_keep_alive=limits.keep_alive_s,
                timeout_graceful_shutdown=max(1, int(limits.stop_s)),
                h11_max_incomplete_event_size=limits.header_bytes,
            )
        )

    # -- life -------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Where it listens; 0 before the first start when a free port was asked for."""
        return self._port

    @property
    def running(self) -> bool:
        """Whether the thread serves."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, timeout_s: float = 10.0) -> None:
        """Listen; returns once connections are accepted. Raises TryAgain when the address cannot be had."""
        listener = self._listener()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="osmand", daemon=True)
        self._thread.start()
        end_s = time.monotonic() + timeout_s
        while not self._server.started and self._thread.is_alive() and time.monotonic() < end_s:
            self._thread.join(_START_POLL_S)
        if not self._server.started:
            self.stop()
            raise TryAgain(f"The OsmAnd server did not start: {self._failure or 'no answer'}.", mend="Start again.")

    def _listener(self) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in self._listen else socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self._listen, self._port))
            made.listen(self._limits.connections)
        except OSError as error:
            made.close()
            raise TryAgain(
                f"{self._listen}:{self._port} cannot be listened on: {error.strerror}.",
                mend="Free the port, or set gateway.osmand_port to another.",
            ) from error
        self._port = made.getsockname()[1]
        return made

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[listener]))
        except BaseException as error:
            self._failure = error
            _log.exception("osmand.stopped")
        finally:
            listener.close()

    def stop(self) -> None:
        """Accept nothing more, finish what is under way; may be called twice."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(self._limits.stop_s + 2)
            self._thread = None
        self._hands.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- a request --------------------------------------------------------------------------------

    async def _application(self, scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        status, text = HTTPStatus.OK, ""
        try:
            await self._take_in(scope, receive)
        except _Refused as refused:
            status, text = refused.status, refused.text
        self.answers[status] += 1
        headers = [(b"content-type", _TEXT), (b"content-length", str(len(text.encode())).encode())]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", b"GET, POST"))
        if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})

    async def _take_in(self, scope: dict[str, Any], receive: _Receive) -> None:
        """Read a request and wait until it is durable. Raises _Refused."""
        if scope["method"] not in ("GET", "POST"):
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "GET or POST")
        try:
            body = await asyncio.wait_for(self._body(scope, receive), self._limits.body_s)
        except TimeoutError:
            raise _Refused(HTTPStatus.REQUEST_TIMEOUT, "the body took too long") from None
        received_ms = self._clock.now_ms()
        asked = read_request(scope["query_string"], body, received_ms, self._decode_limits)
        asked.token = asked.token or _bearer(scope["headers"])
        slot, device = self._who(asked)
        if not await self._durable(slot, device, asked, received_ms):
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "try again")
        if asked.refusal is not None:
            raise _Refused(HTTPStatus.BAD_REQUEST, asked.refusal[1])
        if asked.rows.bad and not asked.rows.points:
            raise _Refused(HTTPStatus.BAD_REQUEST, asked.rows.bad[0].detail)

    def _who(self, asked: Asked) -> tuple[int, str]:
        """Slot and id of the device that is known to have sent it. Raises _Refused."""
        if not asked.id:
            raise _Refused(HTTPStatus.BAD_REQUEST, asked.refusal[1] if asked.refusal else "id is missing")
        try:
            whose = self._resolve(asked.id) if len(asked.id) <= self._limits.id_chars else None
            if whose is None:
                raise _Refused(HTTPStatus.NOT_FOUND, "no such device")
            if self._require_token and not (asked.token and self._check_token(whose[1], asked.token)):
                raise _Refused(HTTPStatus.UNAUTHORIZED, "token is missing or wrong")
        except LuchengError:
            _log.exception("osmand.registry")
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "try again") from None
        return whose

    async def _body(self, scope: dict[str, Any], receive: _Receive) -> bytes:
        """The whole body. Raises _Refused where it is over the limit."""
        too_large = _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {self._limits.body_bytes} bytes")
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > self._limits.body_bytes:
                raise too_large
        body = bytearray()
        while True:
            event = await receive()
            if event["type"] != "http.request":  # the client has gone; nobody reads what is answered
                return bytes(body)
            body += event.get("body", b"")
            if len(body) > self._limits.body_bytes:
                raise too_large
            if not event.get("more_body", False):
                return bytes(body)

    # -- into the log -----------------------------------------------------------------------------

    async def _durable(self, slot: int, device: str, asked: Asked, received_ms: int) -> bool:
        """Whether everything of the request is durable, after waiting for it."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(slot, device, asked, received_ms, loop.create_future())
        self._waiting.append(waiting)
        if not self._gathering:
            self._gathering = True
            loop.call_later(self._limits.gather_ms / 1_000, self._hand_over, loop)
        try:
            return await asyncio.wait_for(waiting.durable, self._limits.answer_s)
        except TimeoutError:
            return False

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give what has gathered to the storing thread; its rounds keep their order."""
        gathered = self._waiting[: self._limits.gather_requests]
        del self._waiting[: len(gathered)]
        self._gathering = bool(self._waiting)
        if self._gathering:
            loop.call_soon(self._hand_over, loop)

        def settle(durable: bool) -> None:  # noqa: FBT001 one of two outcomes
            for one in gathered:
                if not one.durable.done():
                    one.durable.set_result(durable)

        def told(durable: bool) -> None:  # noqa: FBT001 one of two outcomes
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(settle, durable)

        def store() -> None:
            try:
                self._take(self._decoded(gathered), lambda: told(durable=True))
            except Exception:
                # The client sends again what it is not told to be stored.
                _log.exception("osmand.not_stored", requests=len(gathered))
                told(durable=False)

        self._hands.submit(store)

    def _decoded(self, gathered: Sequence[_Waiting]) -> Decoded:
        """All requests of a round as one `Decoded`."""
        rows = PointRows()
        decoded = Decoded(PointBatch.empty())
        received_ms = max(one.received_ms for one in gathered)
        for one in gathered:
            held = one.asked.rows
            for row, extra in held.extra.items():
                rows.extra[len(rows.points) + row] = extra
            rows.points += held.points
            rows.slots += [one.slot] * len(held.points)
            bad = list(held.bad)
            if one.asked.refusal is not None:
                bad.append(Bad(0, one.asked.refusal[0], 1, one.asked.refusal[1], one.asked.raw))
            for entry in bad:
                decoded.quarantined.append(self._entry(entry, one))
                if entry.alarm_bits:
                    decoded.signals += lifted_signals(
                        one.device, entry.alarm_bits, entry, one.received_ms, self._decode_limits
                    )
        decoded.batch = self._points.columns(rows, received_ms)
        decoded.unknown_alarms = rows.unknown_alarms
        decoded.urgent = bool(decoded.batch.alarm_bits.any())
        return decoded

    def _entry(self, bad: Bad, one: _Waiting) -> Quarantined:
        return Quarantined(
            reason=bad.reason,
            rows=bad.rows,
            received_ms=one.received_ms,
            source=SOURCE,
            device=one.device,
            detail=bad.detail,
            raw=bytes(bad.raw[: self._decode_limits.quarantine_raw_bytes]),
        )


def _bearer(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The token of an `Authorization: Bearer` header, or ""."""
    for name, value in headers:
        if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            return value[len(_BEARER) :].strip().decode("latin-1")
    return ""
