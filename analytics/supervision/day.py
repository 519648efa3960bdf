"""`DayPoints`: the points of some vehicles in one window, gathered from batches in any order, given out vehicle by vehicle.

Purpose: the store gives a fleet hour by hour, and a day is judged vehicle by vehicle; so the day is kept meanwhile, 22
bytes a point. Invariants: places and speeds are kept at the store's own resolution (1e-6 degrees, 0.1 km/h), so nothing
that came from it is lost; points of other vehicles and times are passed over; of points with one time those given first
stay first. It judges nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.supervision.limits import DEFAULT_MAX_POINTS
from model.batch import PointBatch
from model.errors import Refused, UsageError

Ints = npt.NDArray[np.int64]

#: Offsets within the window are kept in 32 bits, milliseconds.
MAX_WINDOW_MS = 14 * 86_400_000
_PLACE_SCALE, _SPEED_SCALE = 1e6, 10.0
_NO_PLACE = np.int32(-(1 << 31))
_NO_SPEED = np.uint16(0xFFFF)
#: Fewer vehicles than this are put in order by a radix sort.
_RADIX_VEHICLES = 1 << 16


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some points, vehicle by vehicle; columns of one length. `of` is the place of the vehicle among those wanted."""

    of: npt.NDArray[np.int32]
    after_ms: npt.NDArray[np.int32]
    lat: npt.NDArray[np.int32]
    lon: npt.NDArray[np.int32]
    speed: npt.NDArray[np.uint16]
    flags: npt.NDArray[np.uint16]
    marks: npt.NDArray[np.uint16]

    def cut(self, first: int, end: int) -> _Piece:
        """The rows of the vehicles first..end - 1."""
        rows = slice(*np.searchsorted(self.of, (first, end)).tolist())
        return _Piece(*(getattr(self, name)[rows] for name in _COLUMNS))


_COLUMNS = tuple(_Piece.__dataclass_fields__)
_RECORD = np.dtype(list(zip(_COLUMNS, ("<i4", "<i4", "<i4", "<i4", "<u2", "<u2", "<u2"), strict=True)))


class DayPoints:
    """See the module.

    Args:
        slots: the vehicles wanted, int64, shape (n,), ascending.
        from_ms, to_ms: the window, half open, UTC ms, at most 14 days.
        max_points: points it takes; more are refused.
    """

    def __init__(self, slots: Ints, from_ms: int, to_ms: int, *, max_points: int = DEFAULT_MAX_POINTS) -> None:
        if not 0 < to_ms - from_ms <= MAX_WINDOW_MS:
            raise UsageError("The window is empty or longer than 14 days.", mend="Ask for one day.")
        if len(slots) and (slots[0] < 0 or not (np.diff(slots) > 0).all()):
            raise UsageError("The vehicles are not in order.", mend="Give each slot once, ascending.")
        self.slots, self.from_ms, self.to_ms = slots, from_ms, to_ms
        self._max_points = max_points
        self._pieces: list[_Piece] = []
        self._digest = hashlib.sha256()
        self.points = 0
        self._of_slot = np.full(int(slots[-1]) + 2 if len(slots) else 1, -1, np.int32)
        self._of_slot[slots] = np.arange(len(slots), dtype=np.int32)

    def add(self, batch: PointBatch) -> None:
        """Take the points of a batch that belong here, in any order. Raises Refused beyond `max_points`."""
        # The last row of the table stands for every slot beyond it, and for -1.
        of = self._of_slot[np.minimum(batch.slot, len(self._of_slot) - 1)]
        keep = (of >= 0) & (batch.time_ms >= self.from_ms) & (batch.time_ms < self.to_ms)
        rows = np.flatnonzero(keep)
        if not len(rows):
            return
        self.points += len(rows)
        if self.points > self._max_points:
            raise Refused(
                f"The day has more than {self._max_points} points.",
                mend="Ask for fewer vehicles, or raise supervision.max_points.",
            )
        of = of[rows]
        if not (of[1:] >= of[:-1]).all():
            by = np.argsort(of, kind="stable")
            rows, of = rows[by], of[by]
        self._pieces.append(
            _Piece(
                of,
                (batch.time_ms[rows] - self.from_ms).astype(np.int32),
                _place(batch.lat[rows], batch.lon[rows], 90.0),
                _place(batch.lon[rows], batch.lat[rows], 180.0),
                _speed(batch.speed_kmh[rows]),
                batch.flags[rows],
                batch.marks[rows],
            )
        )

    def parts(self, vehicles: int) -> Iterator[tuple[Ints, PointBatch]]:
        """Some vehicles' slots, and their points ordered by (slot, time), until all have come, those without points too.

        Received times are missing. The digest covers what was given out.
        """
        self._digest = hashlib.sha256(f"{self.from_ms} {self.to_ms}".encode())
        for first in range(0, len(self.slots), vehicles):
            end = min(first + vehicles, len(self.slots))
            piece = _ordered([piece.cut(first, end) for piece in self._pieces], first, end)
            slot = self.slots[piece.of]
            self._digest.update(_records(slot, piece))
            no_place = piece.lat == _NO_PLACE
            speed = piece.speed.astype(np.float32) / np.float32(_SPEED_SCALE)
            speed[piece.speed == _NO_SPEED] = np.nan
            yield (
                self.slots[first:end],
                PointBatch.of(
                    len(slot),
                    {
                        "slot": slot,
                        "time_ms": self.from_ms + piece.after_ms.astype(np.int64),
                        "lat": np.where(no_place, np.nan, piece.lat / _PLACE_SCALE),
                        "lon": np.where(no_place, np.nan, piece.lon / _PLACE_SCALE),
                        "speed_kmh": speed,
                        "flags": piece.flags,
                        "marks": piece.marks,
                    },
                ),
            )

    def digest(self) -> str:
        """SHA-256 in hex over window and points as `parts` last gave them out: equal where the same data was judged."""
        return self._digest.hexdigest()


def _records(slot: Ints, piece: _Piece) -> bytes:
    """The points one after another, so that it does not matter how many are given out at once."""
    records = np.empty(len(slot), _RECORD)
    records["of"] = slot
    for name in _COLUMNS[1:]:
        records[name] = getattr(piece, name)
    return records.tobytes()


def _ordered(pieces: list[_Piece], first: int, end: int) -> _Piece:
    """All rows by vehicle, then time."""
    if not pieces:
        empty = np.zeros(0, np.int32)
        return _Piece(empty, empty, empty, empty, *(np.zeros(0, np.uint16) for _ in range(3)))
    columns = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in _COLUMNS}
    of, after = columns["of"], columns["after_ms"]
    # Hours come in order, so most often a sort by vehicle is enough; of 16 bits it is a radix sort.
    key = (of - first).astype(np.uint16) if end - first <= _RADIX_VEHICLES else of
    by = np.argsort(key, kind="stable")
    time, vehicle = after[by], of[by]
    if ((time[1:] < time[:-1]) & (vehicle[1:] == vehicle[:-1])).any():
        by = np.lexsort((after, of))
    return _Piece(**{name: column[by] for name, column in columns.items()})


def _place(degrees: npt.NDArray[np.float64], other: npt.NDArray[np.float64], most: float) -> npt.NDArray[np.int32]:
    """Millionths of a degree; the lowest number where this or the other coordinate is none."""
    good = (np.abs(degrees) <= most) & np.isfinite(other) & (np.abs(other) <= 180.0)
    out = np.full(len(degrees), _NO_PLACE)
    out[good] = np.rint(degrees[good] * _PLACE_SCALE).astype(np.int32)
    return out


def _speed(kmh: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Tenths of km/h; the highest number where there is none that can be."""
    good = (kmh >= 0) & (kmh < int(_NO_SPEED) / _SPEED_SCALE - 1)
    out = np.full(len(kmh), _NO_SPEED)
    out[good] = np.rint(kmh[good].astype(np.float64) * _SPEED_SCALE).astype(np.uint16)
    return out
