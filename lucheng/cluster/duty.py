"""The desk's duty: one desk at a time reads the alarms' stream, turns the clocks and answers devices.

Invariants: who is on duty is the pin on the alarms' stream; position and alarms are one commit of the desk's database, under the
stream's name, and a signal is known by its id, so what two desks do at the moment of passing on is done once. Where nobody is on
duty, whoever stands by writes a record that says nothing, and so does who is on duty without being certain of it: the servers
give the duty out when there is something to read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from lucheng.alarm_path import DEFAULT_LATE_MS, AlarmPath
from lucheng.cluster.held import HeldLog, Sure
from lucheng.logs import logger
from model.errors import Fenced, LuchengError
from model.seams import NewRecord, RecordKind
from model.status_batch import Tick
from store.nats.ownership import NotHeld

if TYPE_CHECKING:
    from lucheng.cluster.worker import Chore
    from model.clock import Clock
    from model.desk import Desk
    from model.seams import Log
    from store.nats.ownership import Partition, Turn

#: Workers of this kind on the alarms' stream.
GROUP = "desk"
_IDLE_S = 0.2

_log = logger(__name__)


class Duty:
    """Stands by, and is on duty from time to time.

    Args:
        partition: this process's part in the alarms' stream.
        log: the alarms' log, many may append to.
        desk: where signals become alarms.
        clock: source of time.
        chores: made anew at each taking.
        on_fatal: called once when a store failed.
        on_change: called when it was taken or let go.
        late_ms: an alarm older than this when it came is late.
        take_over_s: how often the stream is woken when nobody is on duty, or nobody for certain.
        nobody: whether nobody is on duty, as far as is known.
        reachable: whether the servers are there: one that is not certain because they are away wakes nobody.
    """

    def __init__(
        self,
        partition: Partition,
        log: Log,
        desk: Desk,
        clock: Clock,
        *,
        chores: Callable[[], list[Chore]],
        on_fatal: Callable[[BaseException], None],
        on_change: Callable[[], None] = lambda: None,
        late_ms: int = DEFAULT_LATE_MS,
        take_over_s: float = 3.0,
        nobody: Callable[[], bool] = lambda: False,
        reachable: Callable[[], bool] = lambda: True,
    ) -> None:
        self._partition = partition
        self._log = log
        self._desk = desk
        self._clock = clock
        self._chores = chores
        self._on_fatal = on_fatal
        self._on_change = on_change
        self._late_ms = late_ms
        self._take_over_s = take_over_s
        self._nobody = nobody
        self._reachable = reachable
        self._woken_s = float("-inf")
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="duty", daemon=True)
        self._path: AlarmPath | None = None
        #: By which this process is on duty.
        self.turn: Turn | None = None
        #: Since when this process is on duty, UTC ms; 0 while it is not.
        self.since_ms = 0
        self.taken = 0

    @property
    def stream(self) -> str:
        """The alarms' stream."""
        return self._partition.stream

    @property
    def position(self) -> int:
        """Up to where the desk has read the stream, as far as this process knows; 0 while it is not on duty."""
        path = self._path
        return path.position if path is not None else 0

    def start(self) -> None:
        """Stand by until `stop`."""
        self._thread.start()

    def stop(self, *, drain_s: float) -> None:
        """Let go in good order."""
        self._stop.set()
        self._thread.join(drain_s)
        self._partition.close()

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                turn = self._partition.wait(_IDLE_S)
                if turn is not None:
                    self._serve(turn)
                elif self._nobody():
                    self._wake()
        except BaseException as error:
            _log.error("the desk's duty stopped", error=str(error), exc_info=not isinstance(error, LuchengError))
            self._on_fatal(error)

    def _wake(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._woken_s >= self._take_over_s:
            self._woken_s = now_s
            tick = Tick(self._clock.now_ms(), listening=False)
            self._log.append([NewRecord(RecordKind.TICK, 0, tick.to_bytes())])

    def _serve(self, turn: Turn) -> None:
        self.taken += 1
        self._ended.clear()
        sure = Sure(turn, self._stop)
        self._path = path = AlarmPath(
            HeldLog(self._log, turn, sure),
            turn,
            self._desk,
            on_fatal=self._failed,
            late_ms=self._late_ms,
            consumer=self.stream,
            may_write=sure,
        )
        chores = self._chores()
        _log.info("on duty", epoch=turn.epoch, position=path.position)
        self.turn, self.since_ms = turn, turn.since_ms
        self._on_change()
        path.start()
        for chore in chores:
            chore.start()
        try:
            while not (turn.lost or self._stop.is_set() or self._ended.is_set()):
                turn.done(path.position)
                if not (turn.certain or turn.lost) and self._reachable():
                    self._wake()
                self._ended.wait(_IDLE_S)
        finally:
            for chore in reversed(chores):
                chore.stop(drain_s=self._take_over_s)
            path.stop(drain_s=self._take_over_s)
            if turn.held():
                turn.done(path.position)
            turn.give_back()
            self.turn, self.since_ms, self._path = None, 0, None
            _log.info("off duty", epoch=turn.epoch, position=path.position)
            self._on_change()

    def _failed(self, error: BaseException) -> None:
        self._ended.set()
        if not isinstance(error, NotHeld | Fenced):
            self._on_fatal(error)
