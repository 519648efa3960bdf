"""Where devices are, from who stores to who shows: a core subject of the nats-servers, one a partition.

Invariants: nothing is kept or acknowledged, so neither a slow desk nor the servers hold up who stores: what is lost is replaced by
the device's next point, and a desk that starts asks the store. Of each device only the newest place of `live_ms` is sent. Both
ends are bounded in rows and messages.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from lucheng.logs import logger
from model.batch import PointBatch
from model.batch_codec import decode, encode
from model.errors import Corrupt, LuchengError, StoreError, TryAgain
from store.nats.terms import Away

if TYPE_CHECKING:
    from model.clock import Clock
    from store.nats.link import Link
    from store.nats.streams import Names

#: Rows gathered before the oldest are joined, as many times `live_max_rows`.
_GATHERED_TIMES = 4
#: Messages that wait for the console; the oldest go.
DEFAULT_MAX_WAITING = 256
_SILENT_S = 5.0
_PAUSE_S = 0.5

_log = logger(__name__)


def live_subject(names: Names, partition: int | None = None) -> str:
    """What places of a partition are published to; of all without one."""
    return f"{names.prefix}.live.{'*' if partition is None else partition}"


def newest_places(points: PointBatch) -> PointBatch:
    """The newest row of each device that has a place, by slot; of equal ones the last."""
    rows = np.flatnonzero(np.isfinite(points.lat) & np.isfinite(points.lon))
    order = rows[np.lexsort((points.seq[rows], points.time_ms[rows], points.slot[rows]))]
    slot = points.slot[order]
    last = np.ones(len(order), np.bool_)
    last[:-1] = slot[1:] != slot[:-1]
    return points.take(order[last])


class LivePlaces:
    """Sends what was stored. `take` may be called by any thread, and never waits.

    Args:
        link: the way to the servers.
        names: what subjects are called.
        clock: measures how long places are gathered.
        live_ms: how long.
        max_rows: of one message.
    """

    def __init__(self, link: Link, names: Names, clock: Clock, *, live_ms: int, max_rows: int) -> None:
        self._link = link
        self._names = names
        self._clock = clock
        self._live_s = live_ms / 1000
        self._max_rows = max_rows
        self._lock = threading.Lock()
        self._gathered: dict[int, list[PointBatch]] = {}
        self._rows: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="live", daemon=True)
        self.messages = self.rows = self.lost = 0

    def start(self) -> None:
        """Send until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()
        self._thread.join(5)

    def take(self, partition: int, points: PointBatch) -> None:
        """Points of a partition that were stored."""
        with self._lock:
            batches = self._gathered.setdefault(partition, [])
            batches.append(points)
            self._rows[partition] = self._rows.get(partition, 0) + len(points)
            if self._rows[partition] > _GATHERED_TIMES * self._max_rows:
                joined = newest_places(PointBatch.concat(batches))
                self._gathered[partition] = [joined]
                # A city of more devices than that is joined at every batch; it is sent soon.
                self._rows[partition] = min(len(joined), _GATHERED_TIMES * self._max_rows - 1)

    def flush(self) -> None:
        """Send what is gathered now."""
        with self._lock:
            gathered, self._gathered, self._rows = self._gathered, {}, {}
        for partition, batches in gathered.items():
            places = newest_places(PointBatch.concat(batches))
            for start in range(0, len(places), self._max_rows):
                part = places.take(np.arange(start, min(start + self._max_rows, len(places))))
                part.extra = part.extra.take(np.zeros(0, np.int64))
                self._send(partition, part)

    def _send(self, partition: int, places: PointBatch) -> None:
        try:
            self._link.call(self._link.tell(live_subject(self._names, partition), encode(places)))
        except LuchengError:
            self.lost += len(places)
            return
        self.messages += 1
        self.rows += len(places)

    def _loop(self) -> None:
        while not self._stop.wait(self._live_s):
            self.flush()


class LiveReader:
    """Hears what `LivePlaces` of all processes send.

    Args:
        link: the way to the servers.
        names: what subjects are called.
        take: told the places, on the reader's own thread.
        max_waiting: messages that may wait for it.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        take: Callable[[PointBatch], None],
        *,
        max_waiting: int = DEFAULT_MAX_WAITING,
    ) -> None:
        self._link = link
        self._subject = live_subject(names)
        self._take = take
        self._waiting: deque[bytes] = deque(maxlen=max_waiting)
        self._there = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="places", daemon=True)
        self._end: Callable[[], None] = lambda: None
        self.messages = self.lost = 0

    def start(self) -> None:
        """Listen until `stop`."""
        self._thread.start()
        self._end = self._link.start(self._listen())

    def stop(self) -> None:
        """Listen no more."""
        self._end()
        self._stop.set()
        self._there.set()
        self._thread.join(5)

    async def _listen(self) -> None:
        while True:
            with suppress(TryAgain, StoreError):
                async with self._link.inbox(self._subject) as (_, replies):
                    while True:
                        try:
                            message = await self._link.next_of(replies, _SILENT_S)
                        except Away:
                            if not self._link.connected:
                                raise
                            continue  # nobody stored anything
                        self._put(message.data)
            await asyncio.sleep(_PAUSE_S)

    def _put(self, payload: bytes) -> None:
        self.messages += 1
        self.lost += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(payload)
        self._there.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._there.wait()
            self._there.clear()
            while self._waiting and not self._stop.is_set():
                try:
                    self._take(decode(self._waiting.popleft()))
                except Corrupt as error:
                    _log.warning("places passed over", reason=error.message)
