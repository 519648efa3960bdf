"""A TCP balancer before three machines, as HAProxy is in a city: one address, whichever machine is there.

Invariants: a connection goes to a machine that answered its last look, the one with the fewest of them; one that does not answer any more,
be it frozen, is left within two looks, and its connections are ended, so that whoever had them comes again. It understands nothing of what it carries.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from lucheng.cluster.demo.network import Host

DEFAULT_LOOK_S = 0.5
DEFAULT_TIMEOUT_S = 1.0
_PIECE_BYTES = 64 * 1024
_GONE_AFTER = 2


@dataclass(slots=True)
class Backend:
    """One machine.

    Attributes:
        host: the machine. address, port: where it is looked at.
        inside: whether that address is the machine's own loopback, so that the connection has to begin there.
        failed: looks in a row that were not answered.
        lines: connections to it.
    """

    host: Host
    address: str
    port: int
    inside: bool = False
    failed: int = _GONE_AFTER
    lines: set[asyncio.Transport] = field(default_factory=set)
    pool: ThreadPoolExecutor | None = None

    @property
    def there(self) -> bool:
        """Whether it answers."""
        return self.failed < _GONE_AFTER

    async def connect(self, timeout_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection. Raises OSError, TimeoutError."""
        if not self.inside:
            return await asyncio.wait_for(asyncio.open_connection(self.address, self.port), timeout_s)
        if self.pool is None:  # its thread is on that machine
            self.pool = ThreadPoolExecutor(1, initializer=self.host.enter)
        made = await asyncio.get_running_loop().run_in_executor(
            self.pool, lambda: socket.create_connection((self.address, self.port), timeout_s)
        )
        made.setblocking(False)  # noqa: FBT003 a socket's own word
        return await asyncio.open_connection(sock=made)


class Relay:
    """The balancer; a context manager, on a thread of its own.

    Args:
        listen, port: where it listens.
        backends: the machines, in the order in which they are taken when all have as many connections.
        look_s: how often each is looked at. timeout_s: how long it may take to answer.
    """

    def __init__(
        self,
        listen: str,
        port: int,
        backends: Sequence[Backend],
        *,
        look_s: float = DEFAULT_LOOK_S,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self.listen, self.port = listen, port
        self.backends = list(backends)
        self._look_s, self._timeout_s = look_s, timeout_s
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._up = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name=f"relay-{port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def held_by(self) -> dict[str, int]:
        """Connections by machine."""
        return {backend.host.name: len(backend.lines) for backend in self.backends}

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._loop.run_until_complete(asyncio.start_server(self._carry, self.listen, self.port))
        except OSError as error:
            self._failure = error
            self._up.set()
            return
        for backend in self.backends:
            self._keep(self._loop.create_task(self._watch(backend)))
        self._up.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(self._loop), return_exceptions=True))
        self._loop.close()
        for backend in self.backends:
            if backend.pool is not None:
                backend.pool.shutdown(wait=False, cancel_futures=True)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, backend: Backend) -> None:
        while True:
            backend.failed = 0 if await self._answers(backend) else backend.failed + 1
            if not backend.there:
                for line in list(backend.lines):
                    line.abort()
            await asyncio.sleep(self._look_s)

    async def _answers(self, backend: Backend) -> bool:
        """Whether it ends a connection that we have ended: the kernel takes connections for a process that stands still, too."""
        try:
            reader, writer = await backend.connect(self._timeout_s)
        except (OSError, TimeoutError):
            return False
        try:
            writer.write_eof()
            await asyncio.wait_for(reader.read(), self._timeout_s)
        except TimeoutError:
            return False
        except OSError:
            return True  # it was cut off by somebody
        finally:
            writer.close()
        return True

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for backend in sorted((one for one in self.backends if one.there), key=lambda one: len(one.lines)):
                try:
                    far_reader, far_writer = await backend.connect(self._timeout_s)
                except (OSError, TimeoutError):
                    continue
                backend.lines.add(far_writer.transport)  # type: ignore[arg-type] # a stream's is one of this kind
                try:
                    await _both(reader, writer, far_reader, far_writer)
                finally:
                    backend.lines.discard(far_writer.transport)
                    far_writer.close()
                return
        finally:
            writer.close()


async def _both(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    """Carry both ways until one end has gone."""
    ways = [asyncio.ensure_future(_way(reader, far_writer)), asyncio.ensure_future(_way(far_reader, writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            await writer.drain()
