"""The line between a browser and the service: a TCP proxy of the test, which may be cut, and mended.

It looks at no byte. Cut, it ends every connection and takes no new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

_CHUNK_BYTES = 65_536


class Line:
    """A context manager; `cut` and `mend` from any thread.

    Args:
        port: where the service listens on the loopback interface.
        listen: where browsers come.
    """

    def __init__(self, port: int, listen: int) -> None:
        self._port = port
        self.listen = listen
        self.url = f"http://127.0.0.1:{listen}"
        self.open = True
        #: Connections that were taken in.
        self.taken = 0
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the line does not listen"
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self) -> None:
        """End every connection at once, as a cable that is pulled does to whoever sends."""
        self.open = False
        done = threading.Event()

        def end() -> None:
            for writer in self._writers:
                writer.transport.abort()
            done.set()

        self._loop.call_soon_threadsafe(end)
        assert done.wait(10)

    def mend(self) -> None:
        """Take connections again."""
        self.open = True

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def listen() -> None:
            await asyncio.start_server(self._take, "127.0.0.1", self.listen)
            self._ready.set()

        self._loop.run_until_complete(listen())
        self._loop.run_forever()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        self.taken += 1
        self._writers.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self._port)
            self._writers.add(there)
            await asyncio.gather(_carry(reader, there), _carry(back, writer))
        except OSError:
            pass  # the service is away: so is this connection
        finally:
            for one in (writer, there):
                if one is not None:
                    self._writers.discard(one)
                    one.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
