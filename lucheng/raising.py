"""From what the analytics found to signals and clears: device names, ids that replay the same, places, notes.

Invariants: an id derives from (log position, row in that record, rule and fence) alone, so that every replay gives the
same; nothing is dropped for lateness, only flagged; what a file's points say is kept with source `file` and is nobody's
alarm. The loops run over events, each of which becomes a row of the desk anyhow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from model.codes import ALARM_BY_BIT, Reason
from model.seams import RecordKind
from model.signal import Clear, Signal, signal_id

if TYPE_CHECKING:
    from analytics.meaning.engine import Meaning
    from analytics.meaning.events import Part
    from analytics.step import Fallen, Risen
    from lucheng.steps import Work

Ints = npt.NDArray[np.int64]
#: Reasons that say nothing against a row's place.
_WRONG_TIME = (Reason.FUTURE, Reason.STALE_CLOCK)


class Raising:
    """Makes signals and clears of one `Work`.

    Args:
        work: with its batch, records and what was found.
        ids: device id by slot.
        meaning: tells the last place of a device that fell silent.
        fence_id: id of a fence by its number.
        log_name: of the log that positions are of, where there are several; ids of signals are made with it.
    """

    def __init__(
        self, work: Work, ids: Sequence[str], meaning: Meaning, fence_id: Callable[[int], str], log_name: str = ""
    ) -> None:
        self._work = work
        self._ids = ids
        self._meaning = meaning
        self._fence_id = fence_id
        self._among = f"{log_name}/" if log_name else ""
        self._file = bool(work.records) and work.records[0].kind is RecordKind.FILE_POINTS

    def _where(
        self, row: npt.NDArray[np.integer], starts: list[int], positions: list[int]
    ) -> Iterator[tuple[int, int]]:
        """Log position and row in that record of each row."""
        record = np.searchsorted(np.asarray(starts), row, side="right") - 1
        return zip(
            np.asarray(positions, np.int64)[record].tolist(), (row - np.asarray(starts)[record]).tolist(), strict=True
        )

    def of_bits(self, risen: Risen) -> Iterator[Signal]:
        """Alarm bits that rose."""
        batch = self._work.batch
        where = self._where(risen.row, self._work.starts, self._work.positions)
        columns = (risen.row, risen.bit, risen.late, risen.placed, risen.time_ms)
        for (position, at), row, bit, late, placed, time_ms in zip(
            where, *(column.tolist() for column in columns), strict=True
        ):
            kind = ALARM_BY_BIT.get(bit)
            if kind is None:
                continue
            yield Signal(
                id=signal_id(position, at, f"{self._among}bit:{kind.name}"),
                device=self._ids[int(batch.slot[row])],
                kind=kind.name,
                source="file" if self._file else "bit",
                time_ms=time_ms,
                received_ms=int(batch.received_ms[row]),
                lat=round(float(batch.lat[row]), 6) if placed else None,
                lon=round(float(batch.lon[row]), 6) if placed else None,
                severity=kind.severity,
                late=late,
                note="",
                log_position=position,
            )

    def of_fallen(self, fallen: Fallen) -> Iterator[Clear]:
        """Alarm bits that fell; none of a file's, which is nobody's alarm."""
        if self._file:
            return
        where = self._where(fallen.row, self._work.starts, self._work.positions)
        slots = self._work.batch.slot[fallen.row].tolist()
        for (position, _), slot, bit, time_ms in zip(
            where, slots, fallen.bit.tolist(), fallen.time_ms.tolist(), strict=True
        ):
            kind = ALARM_BY_BIT.get(bit)
            if kind is not None:
                yield Clear(kind.name, self._ids[slot], "", time_ms, position)

    def of_rules(self, part: Part) -> Iterator[Signal | Clear]:
        """What one rule found, in one direction."""
        kind = ALARM_BY_BIT[part.bit]
        received, lat, lon = self._told(part)
        late_ms = self._meaning.context.limits.late_signal_s * 1000
        rows = (part.slot, part.time_ms, part.fence, part.value, received, lat, lon)
        for (position, at), slot, time_ms, fence, value, received_ms, here_lat, here_lon in zip(
            self._places(part), *(column.tolist() for column in rows), strict=True
        ):
            fence_id = self._fence_id(fence) if fence else ""
            device = self._ids[slot]
            if not part.rises:
                if self._file:
                    continue
                yield Clear(kind.name, device, fence_id, time_ms, position)
                continue
            placed = isfinite(here_lat) and isfinite(here_lon)
            yield Signal(
                id=signal_id(position, at, f"{self._among}{part.rule}:{kind.name}:{fence}"),
                device=device,
                kind=kind.name,
                source="file" if self._file else f"rule:{part.rule}",
                time_ms=time_ms,
                received_ms=received_ms,
                lat=round(here_lat, 6) if placed else None,
                lon=round(here_lon, 6) if placed else None,
                severity=kind.severity,
                late=part.source == "points" and received_ms - time_ms > late_ms,
                note=f"{value:.1f} {part.unit}".strip() if isfinite(value) else "",
                log_position=position,
                fence=fence_id,
            )

    def _places(self, part: Part) -> Iterator[tuple[int, int]]:
        work = self._work
        if part.source == "points":
            return self._where(part.row, work.starts, work.positions)
        if part.source == "status":
            return self._where(part.row, work.status_starts, work.status_positions)
        return ((work.position, slot) for slot in part.slot.tolist())

    def _told(self, part: Part) -> tuple[Ints, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """When each was received, and where: the point's own place, else the device's last trusted one."""
        work = self._work
        if part.source == "points":
            batch, reason = work.batch, work.step.reason if work.step is not None else None
            lat, lon = batch.lat[part.row], batch.lon[part.row]
            if reason is not None:
                # A rule that looks at every row may have raised by one whose place is worth nothing.
                bad = (reason[part.row] != 0) & ~np.isin(reason[part.row], _WRONG_TIME)
                lat, lon = np.where(bad, np.nan, lat), np.where(bad, np.nan, lon)
            return batch.received_ms[part.row], lat, lon
        lat, lon = self._meaning.last_places(part.slot)
        if part.source == "status":
            assert work.statuses is not None
            return work.statuses.received_ms[part.row], lat, lon
        return part.time_ms, lat, lon
