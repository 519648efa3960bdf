"""The live feed of alarm events: every event to every reader, in order, resumable by number.

The desk wakes the readers after each event; each reader is a task of the server's loop with its own place in the row of
events, and the first that looks writes what is new as JSON, once for all. Invariants: a reader gets every event after the number it
named, each once and in order, whether it is in memory still or has to be read from the desk again; a reader that is slow
waits alone: nothing is kept for it but its place; one that takes nothing for `stall_s` is closed and told the number to
resume with. Nothing is polled. It decides nothing about who may see what: the rows come made, and the audit is the caller's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from typing import Any, Self

import msgspec
import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from model.desk import Desk, Event
from model.errors import LuchengError, TryAgain

DEFAULT_MAX_WATCHERS = 32
DEFAULT_STALL_S = 30.0
DEFAULT_HEARTBEAT_S = 5.0
#: Events kept in memory as text, and given out in one piece.
DEFAULT_KEPT_EVENTS = 4_096
DEFAULT_PAGE_EVENTS = 256
#: Key of a connection's protocol in the state of its requests; `console.server` puts it there.
PEER_KEY = "peer"
MEDIA_TYPE = "application/x-ndjson"

_log = structlog.get_logger(__name__)


class Feed:
    """The events of a desk for many readers; any thread may call `open` and `close`.

    Args:
        desk: whose events; its `tell_events` is what wakes the readers.
        row: an event as a JSON-ready row.
        max_watchers: readers at a time.
        stall_s: how long a reader may take nothing while something waits for it.
        heartbeat_s: how often a line goes to a reader for whom there is nothing.
        kept_events: how many events are kept as text for readers that are close behind.
    """

    def __init__(
        self,
        desk: Desk,
        row: Callable[[Event], dict[str, Any]],
        *,
        max_watchers: int = DEFAULT_MAX_WATCHERS,
        stall_s: float = DEFAULT_STALL_S,
        heartbeat_s: float = DEFAULT_HEARTBEAT_S,
        kept_events: int = DEFAULT_KEPT_EVENTS,
    ) -> None:
        self._desk = desk
        self._row = row
        self._max_watchers = max_watchers
        self.stall_s = stall_s
        self.heartbeat_s = heartbeat_s
        self._kept_events = kept_events
        self._lock = threading.Lock()
        self._numbers: list[int] = []
        self._lines: list[bytes] = []
        #: Every event after this number, up to `_newest`, is in `_lines`.
        self._floor = 0
        self._newest = 0
        self._readers: set[Reader] = set()
        self._end_telling: Callable[[], None] | None = None
        self._ending = threading.Event()

    def open(self, after: int | None, loop: asyncio.AbstractEventLoop) -> Reader:
        """A reader of the events after the number `after` (None: of those to come), woken on `loop`.

        Raises TryAgain when `max_watchers` read already or the feed ends.
        """
        with self._lock:
            if self._ending.is_set():
                raise TryAgain("The service is ending.", mend="Try again when it runs.")
            if len(self._readers) >= self._max_watchers:
                raise TryAgain(
                    f"{self._max_watchers} read the alarms already.", mend="Close one, or raise api.max_watchers."
                )
            if self._end_telling is None:
                self._floor = self._newest = self._desk.last_event()
                self._end_telling = self._desk.tell_events(self._wake)
            reader = Reader(self, self._desk.last_event() if after is None else max(after, 0), loop)
            self._readers.add(reader)
            return reader

    def leave(self, reader: Reader) -> None:
        """The reader is done; twice is once."""
        with self._lock:
            self._readers.discard(reader)

    @property
    def watchers(self) -> int:
        """How many read now."""
        return len(self._readers)

    def lines(self, after: int) -> tuple[list[bytes], int] | None:
        """Lines kept of the events after `after`, a page at most, and the number of the last; None when not all are kept."""
        found = self.numbered(after)
        return None if found is None else (found[0], found[1][-1] if found[1] else after)

    def numbered(self, after: int) -> tuple[list[bytes], list[int]] | None:
        """The same with the number of each line."""
        with self._lock:
            self._take()
            if after < self._floor:
                return None
            start = bisect_right(self._numbers, after)
            page = slice(start, start + DEFAULT_PAGE_EVENTS)
            return self._lines[page], self._numbers[page]

    def older(self, after: int) -> tuple[list[bytes], int]:
        """The same for a reader that is far behind, from the desk."""
        lines, numbers = self.older_numbered(after)
        return lines, numbers[-1] if numbers else after

    def older_numbered(self, after: int) -> tuple[list[bytes], list[int]]:
        """The same with the number of each line."""
        events = self._desk.events(after, limit=DEFAULT_PAGE_EVENTS)
        return [self._line(event) for event in events], [event.number for event in events]

    def close(self) -> None:
        """End the thread and every reader; twice is once."""
        self._ending.set()
        with self._lock:
            end, self._end_telling = self._end_telling, None
        if end is not None:
            end()
        self._wake()

    @property
    def ending(self) -> bool:
        """Whether it gives out nothing more."""
        return self._ending.is_set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self, event: Event) -> bytes:
        return msgspec.json.encode(self._row(event)) + b"\n"

    def _wake(self) -> None:
        """There is something new; on whichever thread made it."""
        for reader in tuple(self._readers):
            reader.wake()

    def _take(self) -> None:
        """Write what is new as text, once for all readers; the caller holds the lock."""
        while events := self._desk.events(self._newest, limit=DEFAULT_PAGE_EVENTS):
            self._lines += [self._line(event) for event in events]
            self._numbers += [event.number for event in events]
            self._newest = self._numbers[-1]
            if len(self._numbers) > 2 * self._kept_events:
                gone = len(self._numbers) - self._kept_events
                self._floor = self._numbers[gone - 1]
                del self._numbers[:gone], self._lines[:gone]


class Reader:
    """One reader's place among the events; used on the loop it was made for.

    Attributes:
        number: the last event it was given.
    """

    def __init__(self, feed: Feed, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        self._feed = feed
        self._loop = loop
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something new, or the feed ends; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._woken.set)

    async def take(self, timeout_s: float) -> list[bytes] | None:
        """The next lines, none when the time was over, None when the feed has ended. Raises LuchengError from the desk."""
        while not self._feed.ending:
            self._woken.clear()
            found = self._feed.lines(self.number)
            if found is None:
                found = await asyncio.to_thread(self._feed.older, self.number)
            lines, self.number = found
            if lines:
                return lines
            try:
                await asyncio.wait_for(self._woken.wait(), timeout_s)
            except TimeoutError:
                return []
        return None


class FeedResponse(Response):
    """The answer to `GET /v1/alarms/watch`: a JSON object a line, until the client or the service goes.

    Lines are events as `console.alarm_rows.event_row` makes them; `{"heartbeat": N}` where N is the last event's number; and
    a last one, `{"closed": why, "resume": N}`, when the service ends the stream.
    """

    def __init__(self, feed: Feed, reader: Reader) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        self._feed = feed
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_gone(receive))
        try:
            work = asyncio.ensure_future(self._stream(scope, send))
            try:
                await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
            finally:
                work.cancel()
        finally:
            gone.cancel()
            self._feed.leave(self._reader)

    async def _stream(self, scope: Scope, send: Send) -> None:
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(_body(self._heartbeat()))
        written = self._reader.number
        try:
            while (lines := await self._reader.take(self._feed.heartbeat_s)) is not None:
                try:
                    await asyncio.wait_for(send(_body(b"".join(lines) or self._heartbeat())), self._feed.stall_s)
                except TimeoutError:
                    await self._give_up(scope, send, written)
                    return
                written = self._reader.number
            await self._end(send, "ending", written)
        except LuchengError as error:
            _log.error("feed not read", error=str(error))
            await self._end(send, error.code, written)

    def _heartbeat(self) -> bytes:
        return b'{"heartbeat":%d}\n' % self._reader.number

    async def _end(self, send: Send, why: str, written: int) -> None:
        last = msgspec.json.encode({"closed": why, "resume": written}) + b"\n"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(send(_body(last, more=False)), self._feed.stall_s)

    async def _give_up(self, scope: Scope, send: Send, written: int) -> None:
        """Say the number behind what waits unread, without waiting for room, and cut the line when that goes unread, too."""
        _log.warning("a reader of the feed takes nothing", resume=written, stall_s=self._feed.stall_s)
        peer = scope.get("state", {}).get(PEER_KEY)
        if peer is None:
            return
        asyncio.get_running_loop().call_later(self._feed.stall_s, peer.transport.abort)
        peer.flow.resume_writing()
        await self._end(send, "slow", written)


def _body(piece: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}


async def _gone(receive: Callable[[], Awaitable[Message]]) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
