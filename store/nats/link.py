"""The way to the nats-servers: one connection, its own event loop in its own thread, calls that wait.

Invariants: what waits for an answer is bounded in messages and bytes; a call ends with an answer, or when the time it was given
is over, or when the link is closed, never later; a lost connection is made again with a back-off that has a bound, at any of the
servers; nothing is handed to a connection that is not there. It knows nothing of logs. nats-py is the transport alone: its
JetStream layer has no fields for half of what is used here, so requests go to `$JS.API` as they are.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError as CallCancelled
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from nats import errors as client_errors
from nats.aio.client import Client, Server
from nats.aio.msg import Msg

from model.clock import Clock
from model.errors import StoreError, TryAgain
from store.nats.terms import MEND, PASSING, Away, Message, Patience, Refusal, Replies, Servers, answer_of, status_of

Answer = TypeVar("Answer")

#: Messages and bytes published and not acknowledged yet.
DEFAULT_MAX_PENDING_MESSAGES = 4_096
DEFAULT_MAX_PENDING_BYTES = 64 * 2**20
#: Bytes that may lie between the connection and who reads them.
_MAX_UNREAD_BYTES = 512 * 2**20
_MAX_PINGS_OUT = 2
_CONNECT_TIMEOUT_S = 2
#: Room left in a message for its headers, bytes.
HEADER_BYTES = 1_024
_CLOSE_TIMEOUT_S = 5.0
#: A wait whose answer comes at the very moment of its cancelling takes the answer (`asyncio.wait_for` of Python 3.11), so it is told again.
_CANCEL_TRIES = 10
_CANCEL_S = 0.2


class Link:
    """One connection. Any thread may call `call`; everything else is for coroutines run by it.

    Args:
        servers: where they are.
        clock: measures how long they are away.
        patience: how long anything is waited for.
        max_pending_messages, max_pending_bytes: published and not acknowledged yet; one message always fits.
        name: of the connection and of its thread.

    Raises:
        StoreError: no server was reached within `patience.give_up_s`.
    """

    def __init__(
        self,
        servers: Servers,
        *,
        clock: Clock,
        patience: Patience | None = None,
        max_pending_messages: int = DEFAULT_MAX_PENDING_MESSAGES,
        max_pending_bytes: int = DEFAULT_MAX_PENDING_BYTES,
        name: str = "lucheng",
    ) -> None:
        self.patience = patience or Patience()
        self.clock = clock
        self._servers = servers
        self._name = name
        self._client = Client()
        self._room = _Room(max_pending_messages, max_pending_bytes)
        self._replies: dict[str, Replies] = {}
        self._next_reply = 0
        self._inbox = ""
        self._connected = asyncio.Event()
        self._closed = False
        self._trouble = "no connection"
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"{name}-nats", daemon=True)
        self._thread.start()
        try:
            self.call(self._connect())
        except BaseException:
            self.close()
            raise

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connected.is_set()

    @property
    def trouble(self) -> str:
        """What was last wrong with the connection, in its words."""
        return self._trouble

    @property
    def max_payload_bytes(self) -> int:
        """Largest payload that the servers take beside our headers."""
        return int(self._client.max_payload) - HEADER_BYTES

    def call(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Run a coroutine on the link's loop and wait for it. Raises what it raises; StoreError when the link is closed."""
        if self._closed:
            work.close()
            raise StoreError("The connection to the nats-servers is closed.", mend="Open it again.")
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except (CallCancelled, asyncio.CancelledError) as error:
            raise StoreError(
                "The connection to the nats-servers was closed meanwhile.", mend="Open it again."
            ) from error

    def start(self, work: Coroutine[Any, Any, None]) -> Callable[[], None]:
        """Let a coroutine run on the link's loop for as long as the link is open; the result ends it."""

        async def begin() -> asyncio.Task[None]:
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return task

        task = self.call(begin())

        def end() -> None:
            if not self._closed:
                self._loop.call_soon_threadsafe(task.cancel)

        return end

    def soon(self, call: Callable[[], object]) -> None:
        """Have `call` called on the link's loop; never waits. Nothing when the link is closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def close(self) -> None:
        """End the connection, its thread and whoever waits in it. May be called again."""
        if self._closed:
            return
        self._closed = True
        ended = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        try:
            ended.result(_CLOSE_TIMEOUT_S)
        except (TimeoutError, CallCancelled):
            ended.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_TIMEOUT_S)
        if not self._thread.is_alive():
            self._loop.close()

    async def ask(
        self,
        subject: str,
        payload: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Msg:
        """One request, one answer. Raises Away."""
        async with self.answers(subject, payload, headers) as replies:
            return await self.next_of(replies, timeout_s)

    @asynccontextmanager
    async def answers(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Replies]:
        """One request whose answers come one after the other; take them with `next_of`. Raises Away."""
        self._next_reply += 1
        token = f"{self._next_reply:x}"
        replies: Replies = asyncio.Queue()
        self._replies[token] = replies
        try:
            await self.tell(subject, payload, headers, reply=self._inbox + token)
            yield replies
        finally:
            del self._replies[token]

    @asynccontextmanager
    async def inbox(self, subject: str = "", queue: str = "") -> AsyncIterator[tuple[str, Replies]]:
        """A subject of its own, or this one, and what comes to it; of those with the same `queue` one has each. Raises Away."""
        if not self._connected.is_set():
            raise Away(f"No connection to the nats-servers ({self._trouble}).", mend=MEND)
        self._next_reply += 1
        token = f"own-{self._next_reply:x}"
        replies: Replies = asyncio.Queue()

        async def put(message: Msg) -> None:
            replies.put_nowait(message)

        subject = subject or self._client.new_inbox()
        try:
            subscription = await self._client.subscribe(
                subject, queue, cb=put, pending_msgs_limit=0, pending_bytes_limit=_MAX_UNREAD_BYTES
            )
        except (client_errors.Error, OSError) as error:
            raise Away(f"The connection to the nats-servers failed: {error}.", mend=MEND) from error
        self._replies[token] = replies
        try:
            yield subject, replies
        finally:
            del self._replies[token]
            with suppress(client_errors.Error, OSError):
                await subscription.unsubscribe()

    async def next_of(self, replies: Replies, timeout_s: float | None = None) -> Msg:
        """The next answer. Raises Away when there is none in time, or nobody to answer."""
        try:
            reply = replies.get_nowait()
        except asyncio.QueueEmpty:
            try:
                reply = await asyncio.wait_for(
                    replies.get(), self.patience.attempt_s if timeout_s is None else timeout_s
                )
            except TimeoutError as error:
                raise Away("The nats-servers did not answer in time.", mend=MEND) from error
        if reply is None:
            raise Away(f"The connection to the nats-servers was lost ({self._trouble}).", mend=MEND)
        if status_of(reply) == 503:
            raise Away("No nats-server answers for this: its stream is not there, or has no leader.", mend=MEND)
        return reply

    async def tell(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None, *, reply: str = ""
    ) -> None:
        """Publish without waiting for anything. Raises Away when there is no connection now."""
        if not self._connected.is_set():
            raise Away(f"No connection to the nats-servers ({self._trouble}).", mend=MEND)
        try:
            await self._client.publish(subject, payload, reply=reply, headers=dict(headers) if headers else None)
        except client_errors.MaxPayloadError as error:
            raise StoreError(
                f"{len(payload)} bytes are more than the nats-server takes.", mend="Raise its max_payload."
            ) from error
        except (client_errors.Error, OSError) as error:
            raise Away(f"The connection to the nats-servers failed: {error}.", mend=MEND) from error

    async def publish(self, messages: Sequence[Message], *, timeout_s: float | None = None) -> dict[str, Any]:
        """Publish messages that belong together and return the acknowledgement of the last, which stands for all.

        Waits for room first. Raises Away (they may have been stored), Refusal.
        """
        size_bytes = sum(len(message.payload) for message in messages)
        async with self._room.of(len(messages), size_bytes):
            for message in messages[:-1]:
                await self.tell(message.subject, message.payload, message.headers)
            last = messages[-1]
            return answer_of(await self.ask(last.subject, last.payload, last.headers, timeout_s=timeout_s))

    async def api(
        self, verb: str, body: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """One request to `$JS.API`. Raises Away, Refusal."""
        payload = json.dumps(body).encode() if body is not None else b""
        return answer_of(await self.ask(f"$JS.API.{verb}", payload, timeout_s=timeout_s))

    async def persist(
        self, attempt: Callable[[], Awaitable[Answer]], *, what: str, again: Callable[[Refusal], bool] | None = None
    ) -> Answer:
        """What `attempt` returns, tried again with back-off while it raises Away, or a Refusal that `again` says may pass (by default `PASSING`).

        Raises:
            StoreError: not within `give_up_s`.
        """
        deadline_s = self.clock.monotonic_s() + self.patience.give_up_s
        wait_s = self.patience.retry_min_ms / 1000
        while True:
            try:
                return await attempt()
            except Away as error:
                trouble: TryAgain | StoreError = error
            except Refusal as error:
                if not (again(error) if again else error.number in PASSING):
                    raise
                trouble = error
            left_s = deadline_s - self.clock.monotonic_s()
            if left_s <= 0:
                raise StoreError(f"{what}: {trouble.message}", mend=MEND) from trouble
            await self._pause(min(wait_s, left_s))
            wait_s = min(wait_s * 2, self.patience.retry_max_ms / 1000)

    async def _pause(self, wait_s: float) -> None:
        """Wait; without a connection at most until there is one."""
        if self._connected.is_set():
            await asyncio.sleep(wait_s)
            return
        try:
            await asyncio.wait_for(self._connected.wait(), wait_s)
        except TimeoutError:
            return

    async def _connect(self) -> None:
        servers = self._servers
        secured = any(url.startswith(("tls:", "wss:")) for url in servers.urls) or servers.ca_file is not None
        deadline_s = self.clock.monotonic_s() + self.patience.give_up_s
        options: dict[str, Any] = {
            "servers": list(servers.urls),
            "name": self._name,
            "allow_reconnect": True,
            "max_reconnect_attempts": -1,
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "ping_interval": self.patience.ping_s,
            "max_outstanding_pings": _MAX_PINGS_OUT,
            "reconnect_to_server_handler": self._choose,
            "pending_size": 0,  # nothing is kept for a connection that is not there
            "error_cb": self._on_error,
            "disconnected_cb": self._on_lost,
            "reconnected_cb": self._on_back,
            "user": servers.username,
            "password": servers.password,
        }
        if secured:
            options["tls"] = ssl.create_default_context(cafile=servers.ca_file)
        try:
            await asyncio.wait_for(self._client.connect(**options), deadline_s - self.clock.monotonic_s())
        except (TimeoutError, client_errors.Error, OSError) as error:
            raise StoreError(
                f"No nats-server was reached at {', '.join(_named(url) for url in servers.urls)}: {self._trouble}.",
                mend="Start it, or mend nats.urls.",
            ) from error
        self._inbox = self._client.new_inbox() + "."
        await self._client.subscribe(
            self._inbox + "*", cb=self._on_reply, pending_msgs_limit=0, pending_bytes_limit=_MAX_UNREAD_BYTES
        )
        self._connected.set()

    async def _end(self) -> None:
        waiting = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        own = set(self._tasks)
        for task in own:
            task.cancel()
        if self._client.is_connected:
            try:
                await asyncio.wait_for(self._client.flush(), 1)
            except (TimeoutError, client_errors.Error, OSError):
                self._trouble = "closed before everything was sent"
        await self._client.close()
        left = set(waiting)
        for _ in range(_CANCEL_TRIES):
            for task in left:
                task.cancel()
            if left:
                _, left = await asyncio.wait(left, timeout=_CANCEL_S)
        await asyncio.gather(
            *(task for task in waiting if task.done()), return_exceptions=True
        )  # nobody else hears of them

    def _choose(self, pool: list[Server], _info: dict[str, Any]) -> tuple[Server, float]:
        """The server that was tried least, and how long to wait before."""
        server = min(pool, key=lambda one: one.reconnects)
        if server.reconnects == 0:
            return server, 0.0
        wait_ms = self.patience.retry_min_ms * 2 ** min(server.reconnects, 20)
        return server, min(wait_ms, self.patience.retry_max_ms) / 1000

    async def _on_reply(self, message: Msg) -> None:
        replies = self._replies.get(message.subject[len(self._inbox) :])
        if replies is not None:
            replies.put_nowait(message)

    async def _on_error(self, error: Exception) -> None:
        self._trouble = str(error) or type(error).__name__

    async def _on_lost(self) -> None:
        self._connected.clear()
        for replies in self._replies.values():
            replies.put_nowait(None)  # what the server answers now does not reach us

    async def _on_back(self) -> None:
        self._connected.set()


class _Room:
    """So many messages and bytes at a time; who comes later waits in turn."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._messages = self._bytes = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def of(self, messages: int, size_bytes: int) -> AsyncIterator[None]:
        async with self._turn:
            while self._messages and (
                self._messages + messages > self._max_messages or self._bytes + size_bytes > self._max_bytes
            ):
                self._freed.clear()
                await self._freed.wait()
            self._messages += messages
            self._bytes += size_bytes
        try:
            yield
        finally:
            self._messages -= messages
            self._bytes -= size_bytes
            self._freed.set()


def _named(url: str) -> str:
    """A URL without what may be secret in it."""
    return url.rpartition("@")[2] or url
