"""What an alarm brings with it, put together from the stores. Part of `console.operations`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from console.device_operations import Caller
from console.fence_operations import FenceOperations

if TYPE_CHECKING:
    from devices.directory import Directory
    from devices.nearby import Nearby
    from model.desk import Desk, DeskAlarm
    from store.series.door import Series


class ContextOperations(FenceOperations):
    """See `console.alarm_context`."""

    _desk: Desk
    _series: Series
    #: The directory of devices, brought up to date.
    _directory_now: Callable[[], Directory]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._nearby: Nearby | None = None
        self._nearby_lock = threading.Lock()

    def _context_of(self, caller: Caller, alarm: DeskAlarm, place: bool) -> dict[str, Any]:  # noqa: FBT001 as `AlarmOperations` declares it
        from console.alarm_context import read_context  # noqa: PLC0415 shapely costs 0.2 s

        return read_context(
            alarm,
            series=self._series,
            registry=self._registry,
            nearby=self._nearby_places(),
            units=self._desk.units(),
            fences=self._fence_set(),
            now_ms=self._clock.now_ms(),
            who=caller.who,
            role=caller.role,
            place=place,
        )

    def _nearby_places(self) -> Nearby:
        from devices.nearby import Nearby  # noqa: PLC0415 shapely costs 0.2 s

        with self._nearby_lock:
            if self._nearby is None:
                self._nearby = Nearby(self._registry, directory=self._directory_now())
            return self._nearby
