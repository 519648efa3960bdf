"""Sends lines until the server has them: waits out an outage, and finds the single lines that it will not take.

Invariants: a line is either on the server's disk or named in what is returned; one that the server refuses never keeps its
neighbours out; what is sent again is the same bytes. It knows nothing of points.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count, islice
from typing import TypeVar

from model.clock import Clock
from store.series.door import OnOutage
from store.series.influx.connection import Away, Connection, LinesRefused
from store.series.influx.line_protocol import Lines

Answer = TypeVar("Answer")

DEFAULT_RETRY_MIN_MS = 200
DEFAULT_RETRY_MAX_MS = 5_000
#: How many lines of a body the server did not take, in its words.
_DROPPED = re.compile(r"partial write:.*dropped[= ](\d+)")
#: A refused line as it is kept.
MAX_LINE_BYTES = 2_048


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that the server will not take: the caller's row, the line (cut), and the server's words."""

    row: int
    line: bytes
    words: str


@dataclass(frozen=True, slots=True)
class Outage:
    """What is wrong, since when (monotonic seconds), and how often it was tried."""

    words: str
    since_s: float
    tries: int


class Sender:
    """Writes for one store.

    Args:
        connection: the server.
        clock: for how long an outage lasts.
        retry_min_ms, retry_max_ms: first and longest wait before the same is tried again; it doubles in between.
        on_outage: told when an outage begins (its words) and ends (None).
    """

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        *,
        retry_min_ms: int = DEFAULT_RETRY_MIN_MS,
        retry_max_ms: int = DEFAULT_RETRY_MAX_MS,
        on_outage: OnOutage = lambda _words: None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._retry_min_s = retry_min_ms / 1000
        self._retry_max_s = retry_max_ms / 1000
        self._on_outage = on_outage
        self._stop = threading.Event()
        #: What is wrong now; None while all is well.
        self.outage: Outage | None = None

    def stop_waiting(self) -> None:
        """Whoever waits for the server gives up now, with Away; nobody waits from here on."""
        self._stop.set()

    def persist(self, call: Callable[[], Answer], *, wait: bool = True) -> Answer:
        """What `call` returns, tried again with back-off for as long as it raises Away; without `wait` once."""
        for tries in count(1):
            try:
                answer = call()
            except Away as error:
                if not wait:
                    raise
                self.note(error)
                delay_s = min(self._retry_min_s * 2 ** min(tries - 1, 30), self._retry_max_s)
                if self._stop.wait(min(max(delay_s, error.wait_s), self._retry_max_s)):
                    raise
                continue
            if self.outage is not None:
                self.outage = None
                self._on_outage(None)
            return answer
        raise AssertionError("count() has no end")

    def note(self, error: Away) -> None:
        """The server is away; until something is answered, that is an outage."""
        if self.outage is None:
            self.outage = Outage(str(error), self._clock.monotonic_s(), 1)
            self._on_outage(str(error))
        else:
            self.outage = Outage(str(error), self.outage.since_s, self.outage.tries + 1)

    def away_s(self) -> float:
        """How long the server has been away, seconds; 0 while all is well."""
        outage = self.outage
        return 0.0 if outage is None else self._clock.monotonic_s() - outage.since_s

    def send(self, bucket: str, lines: Iterable[Lines], *, wait: bool = True) -> list[Refusal]:
        """Write lines; return those that the server will not take. Raises Away when it is not to wait, or told to stop."""
        refused: list[Refusal] = []
        for part in lines:
            try:
                self._write(bucket, part.body, wait=wait)
            except LinesRefused as error:
                found = part.body.splitlines(keepends=True)
                refused += self._sift(bucket, found, part.rows.tolist(), error, wait=wait)
        return refused

    def _write(self, bucket: str, body: bytes, *, wait: bool) -> None:
        self.persist(lambda: self._connection.write(bucket, body), wait=wait)

    def _sift(
        self, bucket: str, lines: list[bytes], rows: list[int], error: LinesRefused, *, wait: bool
    ) -> list[Refusal]:
        """Halve what was refused until single lines are left, or the server says that it was all; every other line gets in."""
        told = _DROPPED.search(error.message)
        if len(lines) == 1 or (told is not None and int(told[1]) >= len(lines)):
            return [Refusal(row, line[:MAX_LINE_BYTES], error.message) for row, line in zip(rows, lines, strict=True)]
        refused: list[Refusal] = []
        middle = len(lines) // 2
        for half in (slice(0, middle), slice(middle, None)):
            try:
                self._write(bucket, b"".join(islice(lines, half.start, half.stop)), wait=wait)
            except LinesRefused as again:
                refused += self._sift(bucket, lines[half], rows[half], again, wait=wait)
        return refused
