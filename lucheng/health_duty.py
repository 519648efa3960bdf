"""How devices are, and how soon alarms are dealt with, as numeric series: beside those of cameras (`video.camera_duty`).

| series | source | sample |
|---|---|---|
| `device_online`, `device_battery_pct` | device | when it changes, and once an hour, at the time the status was received |
| `alarm_{clock}.{kind}` | device | a clock of an alarm's lap, ms, at the time the alarm was received; `alarm_late_{clock}.{kind}` of late ones |

Invariants: a copy for graphs: the truth of alarms is the desk's, of statuses the log's. The same sample again replaces itself,
so what came shortly before a restart is put again and nothing is missing; it runs on a thread of its own, a few samples at a
time, so that neither points nor alarms wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lucheng.logs import logger
from model.errors import LuchengError, StoreError
from model.seams import Samples
from model.status_batch import StatusBatch
from store.desk.stats import CLOCKS, LATE_PREFIX

if TYPE_CHECKING:
    from collections import deque

    from model.alarm import Alarm
    from model.seams import SeriesStore
    from store.desk.desk import DeskFile

EVERY_S = 5.0
#: Events of the desk taken in one look, and how many before the start are looked at again.
MAX_EVENTS = 500
CATCH_UP_EVENTS = 2_000
#: Series in one transaction of the store.
MAX_PUT = 100
REPEAT_MS = 3_600_000

_log = logger(__name__)


class HealthDuty:
    """The thread.

    Args:
        series: takes the samples.
        desk: tells what alarms went through; None where another process does that.
        statuses: what devices said since the last look; taken from its left.
        device_ids: the registry's ids by slot.
        on_fatal: called when the series store fails.
    """

    def __init__(
        self,
        series: SeriesStore,
        desk: DeskFile | None,
        statuses: deque[StatusBatch],
        device_ids: Callable[[], list[str]],
        *,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._series = series
        self._desk = desk
        self._statuses = statuses
        self._device_ids = device_ids
        self._on_fatal = on_fatal
        self._event = max(desk.last_event() - CATCH_UP_EVENTS, 0) if desk is not None else 0
        #: What was told of each slot: online, battery, and when.
        self._told = [np.full(0, -9, np.int64) for _ in range(3)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="health", daemon=True)

    def start(self) -> None:
        """Look until `stop`."""
        self._thread.start()

    def stop(self, *, drain_s: float | None = None) -> None:
        """Look once more, then end, within `drain_s` if that is given."""
        self._stop.set()
        self._thread.join(drain_s)

    def _loop(self) -> None:
        while True:
            stopping = self._stop.wait(EVERY_S)
            try:
                while self.look() and not self._stop.is_set():
                    pass
            except StoreError as error:
                self._on_fatal(error)
                return
            except LuchengError as error:
                _log.error("samples of health not kept", error=str(error), mend=error.mend)
            if stopping:
                return

    def look(self) -> bool:
        """Put what is new; whether there is more."""
        batches = [self._statuses.popleft() for _ in range(len(self._statuses))]
        samples = list(self._of_statuses(StatusBatch.concat(batches))) if batches else []
        events = self._desk.events(self._event, limit=MAX_EVENTS) if self._desk is not None else []
        laps = {(event.alarm.alarm.id, event.alarm.alarm.lap): event.alarm.alarm for event in events}
        for alarm in laps.values():
            samples += _of_alarm(alarm)
        for start in range(0, len(samples), MAX_PUT):
            self._series.put_many_numbers(samples[start : start + MAX_PUT])
        if events:
            self._event = events[-1].number
        return len(events) == MAX_EVENTS

    def _of_statuses(self, batch: StatusBatch) -> Iterator[Samples]:
        """The newest status of each device, where it says something new."""
        order = np.lexsort((np.arange(len(batch)), batch.received_ms, batch.slot))
        last = np.ones(len(order), np.bool_)
        last[:-1] = batch.slot[order][1:] != batch.slot[order][:-1]
        rows = order[last]
        slot = batch.slot[rows].astype(np.int64)
        self._make_room(int(slot.max()) + 1)
        told_online, told_battery, told_ms = self._told
        online, battery = batch.online[rows].astype(np.int64), batch.battery_pct[rows].astype(np.int64)
        time_ms = batch.received_ms[rows]
        due = time_ms - told_ms[slot] >= REPEAT_MS
        ids = self._device_ids()
        for name, now, before, known in (
            ("device_online", online, told_online, online >= 0),
            ("device_battery_pct", battery, told_battery, battery >= 0),
        ):
            new = np.flatnonzero(known & ((now != before[slot]) | due))
            for row in new.tolist():
                yield _sample(name, ids[slot[row]], int(time_ms[row]), float(now[row]))
            before[slot] = np.where(known, now, before[slot])
        told_ms[slot[due]] = time_ms[due]

    def _make_room(self, slots: int) -> None:
        have = len(self._told[0])
        if slots > have:
            more: npt.NDArray[np.int64] = np.full(max(slots - have, have // 2), -REPEAT_MS, np.int64)
            self._told = [np.concatenate([column, more]) for column in self._told]


def _of_alarm(alarm: Alarm) -> Iterator[Samples]:
    late = LATE_PREFIX if alarm.late else ""
    for clock in CLOCKS:
        value = getattr(alarm, clock)
        if value is not None:
            yield _sample(f"alarm_{late}{clock}.{alarm.kind}", alarm.device, alarm.received_ms, float(value))


def _sample(series: str, source: str, time_ms: int, value: float) -> Samples:
    return Samples(series, source, np.array([time_ms], np.int64), np.array([value]))
