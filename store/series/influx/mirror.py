"""Points written to InfluxDB beside the embedded store, and never read there: InfluxDB 2 or 3 Core (its v2 write API).

Invariants: the embedded store is the one that counts; a mirror that is away delays a commit by `wait_s` at most, then is left
alone until its back-off is over, and what it misses is counted with the window of its fix times, for `lucheng store copy`. A
point has one place by what it says alone (a point marked SAME_TIME a nanosecond made from its identity), so writing it again
changes nothing. Lines that the server refuses are counted.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from model.batch import PointBatch, identity
from model.clock import Clock
from model.codes import Mark
from model.seams import Outcome, Samples
from store.series.door import OnOutage, SeriesState
from store.series.embedded import EmbeddedSeries
from store.series.influx.connection import Away, Connection, Server
from store.series.influx.line_protocol import (
    DEFAULT_MAX_BODY_BYTES,
    MAX_TIME_MS,
    MIN_TIME_MS,
    Lines,
    Prefixes,
    Room,
    point_lines,
)
from store.series.influx.pending import DEFAULT_MAX_PENDING_NUMBERS, PendingNumbers
from store.series.influx.sending import DEFAULT_RETRY_MAX_MS, DEFAULT_RETRY_MIN_MS, Refusal, Sender
from store.series.schema import DAY_MS

DEFAULT_MIRROR_WAIT_S = 5.0
MISSED = "mirror missed"
_SUBS = np.uint64(999_999)


@dataclass(frozen=True, slots=True)
class Missed:
    """What a mirror does not have: points, refused lines, and the window of fix times of the points (0, 0: none)."""

    points: int = 0
    refused: int = 0
    from_ms: int = 0
    to_ms: int = 0


class Mirror:
    """Writes points and numbers, as far as the server takes them. From any thread.

    Args:
        server: where; its bucket must be there (InfluxDB 3 Core makes it with the first write).
        clock: for the waits.
        device_ids: the registry's ids by slot.
        wait_s: how long a write waits for a server that is away.
        retry_min_ms, retry_max_ms: waits between tries, within a write and between writes.
        max_body_bytes: of one request.
        max_pending_numbers: samples kept while the server is away.
        on_outage: told when an outage begins (its words) and ends (None).
    """

    def __init__(
        self,
        server: Server,
        *,
        clock: Clock,
        device_ids: Callable[[], Sequence[str]] = tuple,
        wait_s: float = DEFAULT_MIRROR_WAIT_S,
        retry_min_ms: int = DEFAULT_RETRY_MIN_MS,
        retry_max_ms: int = DEFAULT_RETRY_MAX_MS,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        max_pending_numbers: int = DEFAULT_MAX_PENDING_NUMBERS,
        on_outage: OnOutage = lambda _words: None,
    ) -> None:
        self._bucket = server.bucket
        self._connection = Connection(server)
        self._sender = Sender(self._connection, clock, on_outage=on_outage)
        self._room = Room(max_body_bytes)
        self._clock = clock
        self._prefixes = Prefixes(device_ids)
        self._wait_s = wait_s
        self._retry_min_s = retry_min_ms / 1000
        self._retry_max_s = retry_max_ms / 1000
        self._pause_s = self._retry_min_s
        self._not_before_s = float("-inf")
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._pending = PendingNumbers(self._sender, server.bucket, max_pending_numbers)

    def write(self, points: PointBatch, stored_ms: int) -> Missed:
        """Write points; return what of them the server does not have now."""
        kept = (points.slot >= 0) & (points.time_ms >= MIN_TIME_MS) & (points.time_ms < MAX_TIME_MS)
        impossible = len(points) - int(np.count_nonzero(kept))
        if impossible:
            points = points.take(kept)
        if not len(points):
            return Missed(refused=impossible)
        ages = stored_ms // DAY_MS - points.time_ms // DAY_MS
        shared = (points.marks & np.uint16(Mark.SAME_TIME)) != 0
        subs = None
        if shared.any():
            subs = np.where(shared, (identity(points) % _SUBS).astype(np.int64) + 1, 0)
        refused = self._try(lambda: len(self._send(point_lines(points, ages, subs, self._prefixes, self._room))))
        if refused is None:
            return Missed(len(points), impossible, int(points.time_ms.min()), int(points.time_ms.max()) + 1)
        return Missed(refused=impossible + refused)

    def write_numbers(self, samples: Sequence[Samples]) -> None:
        """Take samples; a thread of their own writes them, when the server is there."""
        self._pending.put(samples)

    def flush(self) -> None:
        """Write the samples that wait, as far as the server takes them now."""
        self._pending.flush()

    def state(self) -> SeriesState:
        """How the mirror is, from memory; `missed_points` is for its owner to say."""
        outage = self._sender.outage
        return SeriesState(
            "mirrored",
            away="" if outage is None else outage.words,
            away_s=self._sender.away_s(),
            pending_numbers=self._pending.waiting,
            dropped_numbers=self._pending.dropped,
        )

    def stop_waiting(self) -> None:
        """A write that waits gives up now."""
        self._stop.set()

    def _send(self, lines: Iterator[Lines]) -> list[Refusal]:
        return self._sender.send(self._bucket, lines, wait=False)

    def _try(self, send: Callable[[], int]) -> int | None:
        """Refused lines; None when the server stayed away."""
        with self._lock:
            if self._clock.monotonic_s() < self._not_before_s:
                return None
            until_s = self._clock.monotonic_s() + self._wait_s
            while True:
                try:
                    refused = send()
                except Away as error:
                    self._sender.note(error)
                    wait_s = max(self._pause_s, error.wait_s)
                    self._pause_s = min(self._pause_s * 2, self._retry_max_s)
                    if self._clock.monotonic_s() + wait_s > until_s or self._stop.wait(wait_s):
                        self._not_before_s = self._clock.monotonic_s() + min(wait_s, self._retry_max_s)
                        return None
                    continue
                self._pause_s, self._not_before_s = self._retry_min_s, float("-inf")
                return refused

    def close(self) -> None:
        """Stop waiting, and close the connections."""
        self._stop.set()
        with self._lock:
            self._pending.close(there=self._sender.outage is None)
            self._connection.close()


class MirroredSeries(EmbeddedSeries):
    """The embedded store whose points and numbers go to a mirror, too; arguments as for `EmbeddedSeries`, and `mirror`."""

    def __init__(self, *arguments: Any, mirror: Mirror, **options: Any) -> None:
        super().__init__(*arguments, **options)
        #: What is written to beside the store.
        self.mirror = mirror
        self._missed = self.missed()

    def commit(self, outcome: Outcome, *, stored_ms: int) -> None:
        """First to the mirror, then here: what a crash cuts off in between is written there again."""
        if outcome.position > self.totals().position and len(outcome.points):
            more = self.mirror.write(outcome.points, stored_ms)
            if more != Missed():
                self._note_missed(more, outcome.position)
        super().commit(outcome, stored_ms=stored_ms)

    def put_many_numbers(self, samples: Sequence[Samples]) -> None:
        """As `EmbeddedSeries.put_many_numbers`; the mirror gets what it takes."""
        super().put_many_numbers(samples)
        self.mirror.write_numbers(samples)

    def state(self) -> SeriesState:
        """How the mirror is, from memory."""
        return replace(self.mirror.state(), missed_points=self._missed.points)

    def stop_waiting(self) -> None:
        """A commit that waits for the mirror goes on without it."""
        self.mirror.stop_waiting()

    def missed(self) -> Missed:
        """What the mirror does not have."""
        held = self.snapshot(MISSED)
        return Missed() if held is None else Missed(**json.loads(held[1]))

    def forget_missed(self) -> None:
        """It was copied."""
        self._missed = Missed()
        self.put_snapshot(MISSED, 0, json.dumps(asdict(self._missed)).encode())

    def _note_missed(self, more: Missed, position: int) -> None:
        held = self.missed()
        window = (held.from_ms, held.to_ms)
        if more.points:
            window = (
                (min(held.from_ms, more.from_ms), max(held.to_ms, more.to_ms))
                if held.points
                else (more.from_ms, more.to_ms)
            )
        noted = replace(
            held,
            points=held.points + more.points,
            refused=held.refused + more.refused,
            from_ms=window[0],
            to_ms=window[1],
        )
        self._missed = noted
        self.put_snapshot(MISSED, position, json.dumps(asdict(noted)).encode())

    def close(self) -> None:
        """Release both."""
        self.mirror.close()
        super().close()
