"""The alarms' own way: their log to the desk's file, on the thread that committed them; what is left, on one of its own.

Invariants: it shares no lock, queue or file with points; an alarm and the position behind it are
one commit, so that a replay keeps each once; nothing is dropped for lateness, only flagged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog

from model.errors import Corrupt, LuchengError, StoreError, TryAgain
from model.seams import RecordKind
from model.signal import Clear, Signal

if TYPE_CHECKING:
    from model.desk import Desk
    from model.seams import Log

CONSUMER = "alarms"
DEFAULT_MAX_READ_RECORDS = 256
DEFAULT_MAX_READ_BYTES = 4 << 20
DEFAULT_LATE_MS = 10 * 60_000
DEFAULT_TRIM_EVERY_RECORDS = 1_000
_IDLE_WAIT_S = 0.5
_AWAY_WAIT_S = 0.5

_decoder = msgspec.msgpack.Decoder(list[Signal])
_clear_decoder = msgspec.msgpack.Decoder(list[Clear])
_log = structlog.get_logger(__name__)


class Waker(Protocol):
    """Knows when a log has grown."""

    def wait_beyond(self, position: int, timeout_s: float) -> int:
        """Sleep until the log ends beyond `position`, at most `timeout_s`; return where it ends."""
        ...


class AlarmPath:
    """Consumes the alarms' log.

    Args:
        log: the alarms' log.
        waker: wakes this thread; its writer, where that is in this process.
        desk: where they become alarms.
        on_fatal: called once when it cannot go on.
        late_ms: an alarm older than this when it came is flagged late.
        consumer: under which name the desk keeps how far it is; one for each log.
        may_write: asked right before anything is kept; raises when it may not be.

    Raises:
        StoreError: the log ends before what the desk has read, so what came next would be taken for known.
    """

    def __init__(
        self,
        log: Log,
        waker: Waker,
        desk: Desk,
        *,
        on_fatal: Callable[[BaseException], None],
        late_ms: int = DEFAULT_LATE_MS,
        consumer: str = CONSUMER,
        may_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._log = log
        self._waker = waker
        self._consumer = consumer
        self._may_write = may_write
        self._desk = desk
        self._on_fatal = on_fatal
        self._late_ms = late_ms
        self._stop = threading.Event()
        self.position = desk.position(consumer)
        if log.last_position() < self.position:
            raise StoreError(
                f"The alarms' log ends at {log.last_position()}, but the desk has read it up to {self.position}.",
                mend="The two files are not of one time: restore both from the same back-up.",
            )
        self._untrimmed = self.position - log.consumed(CONSUMER)
        self._running = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="alarms", daemon=True)

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self, *, drain_s: float) -> None:
        """Work off what is in the log, then stop."""
        self._stop.set()
        self._thread.join(timeout=drain_s)

    def _loop(self) -> None:
        try:
            while True:
                stopping = self._stop.is_set()  # asked before reading: what came until then is worked off
                try:
                    with self._running:
                        ran = self.run_once()
                except TryAgain as error:
                    if stopping:
                        return  # it stays in the log: the next start goes on from there
                    _log.warning("the desk's database is away", error=str(error))
                    self._stop.wait(_AWAY_WAIT_S)
                    continue
                if not ran:
                    if stopping:
                        return
                    self._waker.wait_beyond(self.position, _IDLE_WAIT_S)
        except BaseException as error:
            _log.error("alarm path stopped", error=str(error), exc_info=not isinstance(error, LuchengError))
            self._on_fatal(error)

    def now(self) -> None:
        """Work off what was committed just now, on the thread that committed it, unless this one is at it already."""
        if not self._running.acquire(blocking=False):
            return
        try:
            self.run_once()
        except TryAgain as error:
            _log.warning("the desk's database is away", error=str(error))  # its own thread goes on with it
        except BaseException as error:
            _log.error("alarm path stopped", error=str(error))
            self._on_fatal(error)
        finally:
            self._running.release()

    def run_once(self) -> bool:
        """Keep what the log holds beyond the position; False when it holds nothing."""
        try:
            records = self._log.read(
                self.position, max_records=DEFAULT_MAX_READ_RECORDS, max_bytes=DEFAULT_MAX_READ_BYTES
            )
        except Corrupt as error:
            if error.position <= self.position:
                raise  # the file as a whole: there is nothing behind it to go on with
            rows = self._log.skip_corrupt(error.position)
            _log.error("alarm record damaged", position=error.position, rows=rows, mend=error.mend)
            self._may_write()
            self._desk.take([], consumer=self._consumer, position=error.position)
            self.position = error.position
            return True
        if not records:
            return False
        signals = [
            replace(
                signal,
                log_position=record.position,
                late=signal.late or signal.received_ms - signal.time_ms > self._late_ms,
            )
            for record in records
            if record.kind is RecordKind.ALARM
            for signal in _decoder.decode(record.payload)
        ]
        clears = [
            replace(clear, log_position=record.position)
            for record in records
            if record.kind is RecordKind.CLEAR
            for clear in _clear_decoder.decode(record.payload)
        ]
        position = records[-1].position
        self._may_write()
        self._desk.take(signals, clears=clears, consumer=self._consumer, position=position)
        self.position = position
        self._untrimmed += len(records)
        if self._untrimmed >= DEFAULT_TRIM_EVERY_RECORDS:
            self._log.set_consumed(CONSUMER, position)
            self._log.trim()
            self._untrimmed = 0
        return True
