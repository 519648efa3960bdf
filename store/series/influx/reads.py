"""What may be read of the series in InfluxDB under a grant; the door's half that changes nothing.

Invariants: nothing is asked before the grant covers it and the audit row is written; an answer that does not come is asked for
once more, then raises `Away`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from model.area import Area, Box
from model.batch import PointBatch
from model.codes import Reason
from model.errors import StoreError, UsageError
from model.grant import Grant
from model.presence import DEFAULT_MAX_POINTS, MAX_LEG_MS, Gather, Presence
from model.seams import Audit
from store.ledger import DEFAULT_LIST_ROWS, QuarantineRow
from store.series.influx import reading
from store.series.influx.connection import Away, Connection, Denied
from store.series.influx.local import Beside
from store.series.influx.newest_points import NewestPoints
from store.series.influx.occupied import HOUR_MS
from store.series.influx.reading import SLOTS_PER_QUERY
from store.series.influx.sending import Outage
from store.series.noting import devices_target, note_read
from store.series.schema import DAY_MS

Answer = TypeVar("Answer")

DEFAULT_MAX_FLEET_BATCH_ROWS = 65_536
DEFAULT_MAX_SEARCH_MS = 31 * DAY_MS
#: How long a read of a device's day may take: an operator waits for it. It takes 0.03 s.
QUICK_TIMEOUT_MS = 5_000
#: How long a read waits before it asks a server once more that has just closed the connection.
_READ_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits of one read; see `InfluxSeries`."""

    max_fleet_batch_rows: int = DEFAULT_MAX_FLEET_BATCH_ROWS
    max_search_ms: int = DEFAULT_MAX_SEARCH_MS
    max_search_points: int = DEFAULT_MAX_POINTS


class InfluxReads:
    """Reads of `model.seams.SeriesStore`; arguments are what `InfluxSeries` has opened.

    Args:
        connection: the server.
        local: quarantined rows.
        audit: where every read is written.
        limits: see there.
    """

    def __init__(
        self,
        connection: Connection,
        local: Beside,
        audit: Audit,
        *,
        limits: ReadLimits,
    ) -> None:
        self._connection = connection
        self._quick = Connection(
            replace(connection.server, query_timeout_ms=min(QUICK_TIMEOUT_MS, connection.server.query_timeout_ms))
        )
        self._local = local
        self._audit = audit
        self._limits = limits
        self._closed = False

    def track(self, grant: Grant, device: str, slot: int, from_ms: int, to_ms: int) -> PointBatch:
        """Points of one device with from_ms <= time < to_ms, ordered by (time, seq), audited first."""
        grant.cover([device], from_ms, to_ms)
        self._note(grant, "series.track", device, from_ms, to_ms)
        if to_ms <= from_ms:
            return PointBatch.empty()
        connection = self._quick if to_ms - from_ms <= DAY_MS else self._connection
        return self._ask(lambda: reading.points(connection, [slot], from_ms, to_ms)).points

    def fleet(self, grant: Grant, from_ms: int, to_ms: int) -> Iterator[PointBatch]:
        """Points of all devices in the window, in bounded batches ordered by (slot, time) within an hour, audited first."""
        grant.cover(None, from_ms, to_ms)
        self._note(grant, "series.fleet", "every device", from_ms, to_ms)
        return self._fleet(from_ms, to_ms)

    def _fleet(self, from_ms: int, to_ms: int) -> Iterator[PointBatch]:
        if to_ms <= from_ms:
            return
        for hour_ms in self._ask(lambda: reading.hours(self._connection, from_ms, to_ms)):
            first, end = max(from_ms, hour_ms), min(to_ms, hour_ms + HOUR_MS)
            slots = self._slots_in(first, end)
            for batch in self._of_slots(slots, first, end):
                for row in range(0, len(batch), self._limits.max_fleet_batch_rows):
                    yield batch.take(np.arange(row, min(row + self._limits.max_fleet_batch_rows, len(batch))))

    def inside(
        self,
        grant: Grant,
        area: Area,
        from_ms: int,
        to_ms: int,
        *,
        max_vehicles: int,
        slots: npt.NDArray[np.int32] | None = None,
        devices: Sequence[str] | None = None,
    ) -> list[Presence]:
        """Who was inside an area with from_ms <= time < to_ms, by slot, audited first; see `SeriesStore.inside`.

        The server tells, hour by hour, how far each device went; only those whose box touches the area's are read.
        """
        if to_ms - from_ms > self._limits.max_search_ms:
            raise UsageError(
                f"The window is longer than {self._limits.max_search_ms // DAY_MS} days.", mend="Search a shorter time."
            )
        target = devices_target(grant, slots, devices, from_ms, to_ms)
        detail = {"slots": slots.tolist()} if slots is not None and devices is not None else {}
        self._note(
            grant, "series.inside", target, from_ms, to_ms, area=area.to_json(), max_vehicles=max_vehicles, **detail
        )
        gather = Gather(area, max_vehicles=max_vehicles, max_points=self._limits.max_search_points)
        wanted = None if slots is None else set(slots.tolist())
        if to_ms <= from_ms or (wanted is not None and not wanted):
            return []
        for hour_ms in self._ask(lambda: reading.hours(self._connection, from_ms, to_ms)):
            first, end = max(from_ms, hour_ms), min(to_ms, hour_ms + HOUR_MS)
            # a leg across the hour's edge lies in both hours' boxes
            near = self._near(area.box, max(from_ms, first - MAX_LEG_MS), min(to_ms, end + MAX_LEG_MS))
            for batch in self._of_slots(near if wanted is None else sorted(wanted & set(near)), first, end):
                gather.add(batch)
        return gather.found()

    def _slots_in(self, from_ms: int, to_ms: int) -> list[int]:
        return self._ask(lambda: reading.slots_in(self._connection, from_ms, to_ms))

    def _near(self, box: Box, from_ms: int, to_ms: int) -> list[int]:
        return self._ask(lambda: reading.near(self._connection, box, from_ms, to_ms))

    def _of_slots(self, slots: list[int], from_ms: int, to_ms: int) -> Iterator[PointBatch]:
        """Points of some slots, ordered by (slot, time), a few slots at a time."""
        for start in range(0, len(slots), SLOTS_PER_QUERY):
            yield self._points_of(slots[start : start + SLOTS_PER_QUERY], from_ms, to_ms)

    def _points_of(self, slots: list[int], from_ms: int, to_ms: int) -> PointBatch:
        return self._ask(lambda: reading.points(self._connection, slots, from_ms, to_ms)).points

    def latest(
        self, grant: Grant, slots: npt.NDArray[np.int32] | None, *, devices: Sequence[str] | None = None
    ) -> PointBatch:
        """The newest point of each device (`slots` None: of all), by slot, audited first.

        `devices` are the ids of `slots`, needed when the grant covers only some devices. A newest point outside the grant's
        window is left out.
        """
        target = devices_target(grant, slots, devices, grant.from_ms, grant.to_ms)
        detail = {"slots": slots.tolist()} if slots is not None else {}
        self._note(grant, "series.latest", target, grant.from_ms, grant.to_ms, **detail)
        wanted = None if slots is None else np.unique(slots).astype(np.int64)
        if wanted is not None and not len(wanted):
            return PointBatch.empty()
        memory = self._in_memory()
        batch = self._asked_newest(wanted) if memory is None else memory.points(wanted)
        return batch.take((batch.time_ms >= grant.from_ms) & (batch.time_ms < grant.to_ms))

    def _asked_newest(self, wanted: npt.NDArray[np.int64] | None) -> PointBatch:
        if wanted is None:
            return self._newest_of(None)
        slots = wanted.tolist()
        parts = [slots[at : at + SLOTS_PER_QUERY] for at in range(0, len(slots), SLOTS_PER_QUERY)]
        return PointBatch.concat([self._newest_of(part) for part in parts])

    def _newest_of(self, slots: list[int] | None) -> PointBatch:
        return self._ask(lambda: reading.newest(self._connection, slots)).points

    def numbers(
        self, grant: Grant, series: str, source: str, from_ms: int, to_ms: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Times and values of a named numeric series in the window, audited first."""
        grant.cover([source], from_ms, to_ms)
        self._note(grant, "series.numbers", source, from_ms, to_ms, series=series)
        if to_ms <= from_ms:
            return np.zeros(0, np.int64), np.zeros(0, np.float64)
        return self._ask(lambda: reading.numbers(self._connection, series, source, from_ms, to_ms))

    def quarantine_list(
        self,
        grant: Grant,
        *,
        reason: Reason | None = None,
        before_id: int | None = None,
        limit: int = DEFAULT_LIST_ROWS,
    ) -> list[QuarantineRow]:
        """Kept quarantined rows, the newest first, audited first; the grant must cover every device."""
        grant.cover(None, grant.from_ms, grant.to_ms)
        detail = {} if reason is None else {"reason": reason.name}
        self._note(grant, "quarantine.list", "every device", grant.from_ms, grant.to_ms, **detail)
        return self._local.quarantine_list(reason, before_id, limit)

    def quarantine_show(self, grant: Grant, number: int) -> QuarantineRow:
        """One kept quarantined row by its id, audited first; raises NotFound."""
        grant.cover(None, grant.from_ms, grant.to_ms)
        self._note(grant, "quarantine.show", str(number), grant.from_ms, grant.to_ms)
        return self._local.quarantine_show(number)

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        """An answer of the server; asked once more when the connection broke, not at all while it is known to be away."""
        outage = self._away()
        if outage is not None:
            raise Away(outage.words, mend="What came in stays in the log until it is back; ask then.")
        try:
            return call()
        except Denied:
            raise
        except Away:
            time.sleep(_READ_AGAIN_S)
            if self._away() is not None:
                raise
            return call()

    def _in_memory(self) -> NewestPoints | None:
        """The newest points, where they are known by heart."""
        return None

    def _away(self) -> Outage | None:
        """An outage that is known of."""
        return None

    def _note(self, grant: Grant, action: str, target: str, from_ms: int, to_ms: int, **detail: object) -> None:
        """The audit row; an error here ends the read."""
        self._alive()
        note_read(self._audit, grant, action, target, from_ms, to_ms, **detail)

    def _alive(self) -> None:
        if self._closed:
            raise StoreError("The series store is closed.", mend="Open it again.")
