"""The console's stream of events: alarms, every one and in order, and beside them where devices are, coalesced.

Server-sent events (WHATWG HTML, "Server-sent events"): `hello`, `alarm` (its id is the event's number), `positions` and
`clusters`, `beat`, `close`. Invariants: a stream gets every alarm event after the number it resumes with, each once and in order,
also when positions cannot be told; of positions it gets the newest frame or none, so that nothing is kept for a reader but its
two numbers; alarms go before positions in every piece; who takes nothing for `stall_s`
is closed and told the number to resume with; who may no longer is closed within `recheck_s`. Where many look at the same, the
bytes are made once. Nobody connected, nothing runs. Who may what is not decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from console.device_operations import Caller
from console.feed import PEER_KEY, Feed, Reader
from console.web.positions import Positions
from console.web.views import Board, View
from console.web.watching import Permits, Visitor, Wanted, Watched, no_such_stream
from model.approval import DECIDERS
from model.errors import LuchengError, TryAgain

if TYPE_CHECKING:
    from model.clock import Clock
    from model.desk import Desk

MEDIA_TYPE = "text/event-stream"
_CHUNKS_KEPT = 16

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EventLimits:
    """Limits of the stream.

    Attributes:
        max_streams: at a time; max_streams_per_user: of one user.
        refresh_s: how often positions are looked at.
        beat_s: how often a stream says that it lives.
        stall_s: how long a reader may take nothing while something waits for it.
        recheck_s: how often it is asked whether a stream may go on.
        gather_s: pause after alarms were given out, so that a flood comes in pages.
    """

    max_streams: int = 256
    max_streams_per_user: int = 16
    refresh_s: float = 1.0
    beat_s: float = 5.0
    stall_s: float = 15.0
    recheck_s: float = 2.0
    gather_s: float = 0.03


class Stream:
    """One open stream; used on its loop, but for `watched`, which has a lock of its own.

    Attributes:
        number: the last alarm event it was given.
        why: why it ends, "" while it goes on.
        since_ms: when it was opened, our clock.
    """

    def __init__(self, watched: Watched, number: int, *, reset: bool, since_ms: int) -> None:
        self.since_ms = since_ms
        self.watched = watched
        self.number = number
        self.reset = reset
        self.why = ""
        self.woken = asyncio.Event()
        self.beat_at_s = 0.0
        self.begun = False
        self.made_s = asyncio.get_running_loop().time()

    def end(self, why: str) -> None:
        """Let it end once what is under way is sent."""
        self.why = self.why or why
        self.woken.set()

    def put(self, view: View) -> None:
        """Show another viewport."""
        self.watched.view, self.watched.seen = view, 0
        self.woken.set()


class EventHub:
    """The open streams of one server. `open`, `leave` and `EventResponse` are of its loop; the rest may be of any thread.

    Args:
        feed: alarm events as JSON; its own or one shared with other readers.
        desk: of that feed.
        board, positions: where devices are.
        permits: what a viewport may be.
        begin: notes in the audit that somebody begins to read alarms (`Operations.alarm_watch`); raises, and nothing is read.
        clock: source of time.
        limits: see there.
        approvals: how many wait, and how many break-glasses are to be reviewed; told to who decides on them.
    """

    def __init__(
        self,
        feed: Feed,
        desk: Desk,
        board: Board,
        positions: Positions,
        permits: Permits,
        *,
        begin: Callable[[Caller, int | None, str | None], None],
        clock: Clock,
        limits: EventLimits | None = None,
        approvals: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self.limits = limits or EventLimits()
        self._feed = feed
        self._desk = desk
        self._board = board
        self._positions = positions
        self._permits = permits
        self._begin = begin
        self._clock = clock
        self._approvals = approvals
        self._waiting: Mapping[str, int] = {}
        self._streams: dict[str, Stream] = {}
        self._closed = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = asyncio.Lock()
        self._reader: Reader | None = None
        self._chunks: dict[int, tuple[bytes, int]] = {}
        self._newest_ms = 0
        self._leaving: set[asyncio.Future[None]] = set()

    # -- from any thread ----------------------------------------------------------------------

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._streams)

    def sitters(self) -> list[dict[str, Any]]:
        """Who has a stream open: `user`, `role`, and since when (`since_ms`)."""
        open_now = [(one.watched.visitor.caller, one.since_ms) for one in tuple(self._streams.values())]
        return [{"user": caller.who, "role": caller.role, "since_ms": since_ms} for caller, since_ms in open_now]

    def set_viewport(self, visitor: Visitor, stream_id: str, wanted: Wanted) -> list[str]:
        """Show that viewport on the visitor's own stream; what it follows. Raises as `Permits.set`, and NotFound."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.watched.visitor.caller.who != visitor.caller.who or stream.why:
            raise no_such_stream()
        return self._permits.set(stream.watched, visitor, wanted, self._putter(stream))

    def close(self) -> None:
        """End every stream and take no other; twice is once."""
        self._closed.set()
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
                loop.call_soon_threadsafe(self._end_all, "ending")

    def _putter(self, stream: Stream) -> Callable[[View], None]:
        loop = self._loop
        assert loop is not None

        def put(view: View) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stream.put, view)

        return put

    # -- on the loop --------------------------------------------------------------------------

    async def open(self, visitor: Visitor, after: int | None, purpose: str | None) -> Stream:
        """A new stream of the alarm events after `after` (None: of those to come), noted in the audit.

        Where `after` is of another desk, beyond its newest event, the stream begins at the newest and its hello says
        `reset`. Raises TryAgain (too many, or ending), UsageError (the purpose), AuditUnwritable.
        """
        self._loop = asyncio.get_running_loop()
        caller = visitor.caller
        mine = sum(one.watched.visitor.caller.who == caller.who for one in self._streams.values())
        if self._closed.is_set():
            raise TryAgain("The service is ending.", mend="Try again when it runs.")
        if len(self._streams) >= self.limits.max_streams:
            raise TryAgain(
                f"{self.limits.max_streams} streams of events are open.", mend="Close one, or raise map.max_viewers."
            )
        if mine >= self.limits.max_streams_per_user:
            raise TryAgain(f"{caller.who} has {mine} streams of events open.", mend="Close a page of the console.")
        watched = self._permits.watched(visitor, purpose)
        stream = Stream(watched, 0, reset=False, since_ms=self._clock.now_ms())
        self._streams[watched.id] = stream  # its place is taken before anything is waited for
        try:
            await self._run()
            newest = await asyncio.to_thread(self._desk.last_event)
            stream.number, stream.reset = (newest, False) if after is None else (min(after, newest), after > newest)
            await asyncio.to_thread(self._begin, caller, after, purpose)
        except BaseException:
            await self.leave(stream)
            raise
        return stream

    async def leave(self, stream: Stream) -> None:
        """The stream is over; the last one ends what runs for all."""
        self._streams.pop(stream.watched.id, None)
        await asyncio.to_thread(self._permits.leave, stream.watched)
        if not self._streams:
            self._chunks.clear()
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            reader, self._reader = self._reader, None
            if reader is not None:
                self._feed.leave(reader)

    def now_s(self) -> float:
        """The clock that beats go by: the loop's."""
        return asyncio.get_running_loop().time()

    async def piece(self, stream: Stream) -> bytes:
        """What the stream is to be sent now: alarms, then the newest frame, then a beat; empty when nothing is due.

        Raises LuchengError where the desk cannot be read.
        """
        alarms, number = await self._alarms(stream.number)
        stream.number = number
        parts = [alarms] if alarms else []
        view = stream.watched.view
        if view is not None and view.frame is not None:
            frame = view.frame
            parts.append(frame.event(stream.watched.seen))
            stream.watched.seen = frame.number
        now_s = self.now_s()
        if now_s >= stream.beat_at_s:
            stream.beat_at_s = now_s + self.limits.beat_s
            parts.append(self._beat(stream))
        return b"".join(parts)

    def hello(self, stream: Stream) -> bytes:
        """The stream's first event."""
        said: dict[str, Any] = {
            "stream": stream.watched.id,
            "number": stream.number,
            "server_ms": self._clock.now_ms(),
            "beat_s": self.limits.beat_s,
            "refresh_s": self.limits.refresh_s,
        }
        return event("hello", {**said, "reset": True} if stream.reset else said)

    def _beat(self, stream: Stream) -> bytes:
        said: dict[str, Any] = {
            "server_ms": self._clock.now_ms(),
            "number": stream.number,
            "last_alarm_ms": self._newest_ms or None,
            "last_point_ms": self._positions.last_received_ms or None,
        }
        if self._waiting and stream.watched.visitor.caller.role in DECIDERS:
            said["approvals"] = self._waiting
        return event("beat", said)

    async def _alarms(self, after: int) -> tuple[bytes, int]:
        """The next events as text, a page at most, and the number of the last; made once for all who are at `after`."""
        kept = self._chunks.get(after)
        if kept is not None:
            return kept
        found = self._feed.numbered(after)
        if found is None:
            found = await asyncio.to_thread(self._feed.older_numbered, after)
        lines, numbers = found
        if not lines:
            return b"", after
        text = b"".join(
            b"id: %d\nevent: alarm\ndata: %b\n\n" % (number, line.rstrip(b"\n"))
            for number, line in zip(numbers, lines, strict=True)
        )
        while len(self._chunks) >= _CHUNKS_KEPT:
            del self._chunks[next(iter(self._chunks))]
        self._chunks[after] = made = text, numbers[-1]
        return made

    async def _run(self) -> None:
        """Begin what runs while anybody listens."""
        async with self._opening:
            if self._reader is not None:
                return
            assert self._loop is not None
            self._reader = await asyncio.to_thread(self._feed.open, None, self._loop)
            await asyncio.to_thread(self._look_at_newest)
            await asyncio.to_thread(self._look_at_approvals)
            self._tasks = [
                asyncio.create_task(self._wake(self._reader)),
                asyncio.create_task(self._every(self.limits.refresh_s, self._tick)),
                asyncio.create_task(self._every(self.limits.recheck_s, self._recheck)),
            ]

    async def _wake(self, reader: Reader) -> None:
        """Wake everybody when there are new alarms."""
        try:
            while (lines := await reader.take(self.limits.beat_s)) is not None:
                if lines:
                    self._wake_all()
                    await asyncio.to_thread(self._look_at_newest)
                    await asyncio.sleep(self.limits.gather_s)
            self._end_all("ending")
        except LuchengError as error:
            _log.error("alarms not read", error=str(error))
            self._end_all(error.code)

    async def _every(self, period_s: float, work: Callable[[], object]) -> None:
        """Do `work` on a thread, again and again; what it raises ends nothing else: alarms need no positions."""
        due_s = self.now_s()
        while True:
            due_s = max(due_s + period_s, self.now_s())
            await asyncio.sleep(due_s - self.now_s())
            try:
                await asyncio.to_thread(work)
            except Exception:
                _log.exception("events.work")

    def _tick(self) -> None:
        if len(self._board):
            self._board.tick()
            self._call(self._wake_all)

    def _recheck(self) -> None:
        for stream in tuple(self._streams.values()):
            if not self._permits.recheck(stream.watched, self._putter(stream)):
                self._call(stream.end, "forbidden")
        self._call(self._drop_unread)
        self._look_at_approvals()

    def _look_at_approvals(self) -> None:
        """Whoever decides learns of a break-glass with the next beat, which comes at once."""
        try:
            found = self._approvals()
        except LuchengError as error:
            _log.error("approvals not read", error=str(error))  # alarms need none of them
            return
        if found != self._waiting:
            self._waiting = found
            self._call(self._beat_now)

    def _beat_now(self) -> None:
        for stream in self._streams.values():
            stream.beat_at_s = 0.0
        self._wake_all()

    def _drop_unread(self) -> None:
        """Give up streams whose answer was never begun: whoever asked had gone before."""
        for stream in tuple(self._streams.values()):
            if not stream.begun and self.now_s() - stream.made_s > self.limits.stall_s:
                stream.begun = True
                task = asyncio.ensure_future(self.leave(stream))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    def _look_at_newest(self) -> None:
        newest = self._desk.last_event()
        events = self._desk.events(newest - 1, limit=1) if newest else []
        if events:
            self._newest_ms = events[0].time_ms

    def _call(self, work: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work, *arguments)

    def _wake_all(self) -> None:
        for stream in self._streams.values():
            stream.woken.set()

    def _end_all(self, why: str) -> None:
        for stream in self._streams.values():
            stream.end(why)


class EventResponse(Response):
    """The answer to `GET /api/v1/events`, until the client, the service or the permission goes."""

    def __init__(self, hub: EventHub, stream: Stream) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        self._hub = hub
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._stream.begun = True
        gone = asyncio.ensure_future(_gone(receive))
        work = asyncio.ensure_future(self._run(scope, send))
        try:
            await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            gone.cancel()
            work.cancel()
            await self._hub.leave(self._stream)

    async def _run(self, scope: Scope, send: Send) -> None:
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        hub, stream, limits = self._hub, self._stream, self._hub.limits
        await send(_body(hub.hello(stream)))
        written = stream.number
        while not stream.why:
            stream.woken.clear()
            try:
                piece = await hub.piece(stream)
            except LuchengError as error:
                _log.error("alarms not read", error=str(error))
                stream.end(error.code)
                break
            if piece:
                try:
                    await asyncio.wait_for(send(_body(piece)), limits.stall_s)
                except TimeoutError:
                    await self._give_up(scope, send, written)
                    return
                written = stream.number
            else:
                wait_s = max(stream.beat_at_s - hub.now_s(), 0.0)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stream.woken.wait(), wait_s)
        await self._end(send, stream.why, written)

    async def _end(self, send: Send, why: str, written: int) -> None:
        last = event("close", {"resume": written, "why": why})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(send(_body(last, more=False)), self._hub.limits.stall_s)

    async def _give_up(self, scope: Scope, send: Send, written: int) -> None:
        """Say the number behind what waits unread, without waiting for room, and cut the line when that goes unread, too."""
        _log.warning("a reader of events takes nothing", resume=written, stall_s=self._hub.limits.stall_s)
        peer = scope.get("state", {}).get(PEER_KEY)
        if peer is None:
            return
        asyncio.get_running_loop().call_later(self._hub.limits.stall_s, peer.transport.abort)
        peer.flow.resume_writing()
        await self._end(send, "slow", written)


def event(name: str, data: Any) -> bytes:
    """One event without an id: it does not move what a client resumes with."""
    return b"event: %b\ndata: %b\n\n" % (name.encode("ascii"), msgspec.json.encode(data))


def _body(piece: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}


async def _gone(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
