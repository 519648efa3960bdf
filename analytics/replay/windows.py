"""`Windows`: the whole fleet played back out of a store, an hour in memory at a time.

A moment needs the points of five minutes around it and no others (a longer silence is not bridged). So what is held is one
piece of time, and where the moment is nearer than that to an end of it, the strip around that end out of two pieces.
Invariants: a frame is that of a reel of the whole window, whatever was asked before; playing forwards, every piece is loaded
once; a jump loads one piece, beside an end of it two. A device without a place is left out: how long it has been silent
may lie outside what is held. Pure; what loads is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.replay.reel import Cursor, Reel, Told
from model.batch import COLUMNS, PointBatch
from model.errors import Refused, UsageError
from model.presence import MAX_LEG_MS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: An hour, as the store keeps points by the hour.
DEFAULT_PIECE_MS = 3_600_000
#: Points of one piece; each takes about 200 bytes while it is played.
DEFAULT_MAX_PIECE_POINTS = 20_000_000

#: Gives the points of any devices with from_ms <= time < to_ms, in any order.
Load = Callable[[int, int], Iterable[PointBatch]]

#: What a frame is made of, with what orders and tells apart points of one time; other columns of a fleet's hour are not copied.
_OF_FRAMES = frozenset(
    {"slot", "time_ms", "seq", "lat", "lon", "speed_kmh", "heading_deg", "flags", "marks", "alarm_bits"}
)


@dataclass(frozen=True, slots=True)
class Seen:
    """The devices that have a place at a moment, by slot; columns of shape (devices,).

    Attributes:
        time_ms: the moment.
        slot: int64. lat, lon: degrees. interpolated: bool, whether the place lies on a leg.
        point_ms: int64, time of the point at or before the moment.
        speed_kmh, heading_deg, flags, marks: of that point.
    """

    time_ms: int
    slot: Ints
    lat: Floats
    lon: Floats
    interpolated: npt.NDArray[np.bool_]
    point_ms: Ints
    speed_kmh: npt.NDArray[np.float32]
    heading_deg: npt.NDArray[np.float32]
    flags: npt.NDArray[np.uint16]
    marks: npt.NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.slot)


def seen(reel: Reel, cursor: Cursor, time_ms: int) -> Seen:
    """The devices of a reel that have a place at a moment."""
    frame = cursor.frame(time_ms)
    at = np.flatnonzero(frame.placed)
    row = frame.row[at]
    points = reel.points
    return Seen(
        time_ms,
        reel.slots[at],
        frame.lat[at],
        frame.lon[at],
        frame.told[at] == Told.BETWEEN,
        points.time_ms[row],
        points.speed_kmh[row],
        points.heading_deg[row],
        points.flags[row],
        points.marks[row],
    )


class Windows:
    """See the module. One thread at a time.

    Args:
        load: where points come from.
        from_ms, to_ms: the window, half open, UTC ms; nothing outside it is asked for.
        piece_ms: length of a piece, more than twenty minutes.
        max_piece_points: points of one piece; more are Refused.
    """

    def __init__(
        self,
        load: Load,
        from_ms: int,
        to_ms: int,
        *,
        piece_ms: int = DEFAULT_PIECE_MS,
        max_piece_points: int = DEFAULT_MAX_PIECE_POINTS,
    ) -> None:
        if to_ms <= from_ms or piece_ms <= 4 * MAX_LEG_MS:
            raise UsageError("There is no time to replay.", mend="Give an end after the beginning.")
        self._load = load
        self._from_ms, self._to_ms = from_ms, to_ms
        self._piece_ms = piece_ms
        self._max_points = max_piece_points
        self._pieces: dict[int, list[PointBatch]] = {}
        self._cell: tuple[int, bool] | None = None
        self._reel = Reel(PointBatch.empty(), from_ms, to_ms)
        self._cursor = self._reel.cursor()
        #: Pieces loaded so far.
        self.loads = 0

    def at(self, time_ms: int) -> Seen:
        """Who was where. Raises UsageError for a moment outside the window, Refused for too many points."""
        if not self._from_ms <= time_ms < self._to_ms:
            raise UsageError("The moment lies outside the window.", mend="Ask for one inside it.")
        cell = self._cell_of(time_ms)
        if cell != self._cell:
            self._reel = self._made(*cell)
            self._cursor, self._cell = self._reel.cursor(), cell
        return seen(self._reel, self._cursor, time_ms)

    def _cell_of(self, time_ms: int) -> tuple[int, bool]:
        """Which piece, and whether it is the strip around its end."""
        piece = time_ms // self._piece_ms
        begin, end = piece * self._piece_ms, (piece + 1) * self._piece_ms
        if time_ms < begin + MAX_LEG_MS and begin > self._from_ms:
            return piece - 1, True
        return piece, time_ms >= end - MAX_LEG_MS and end < self._to_ms

    def _made(self, piece: int, strip: bool) -> Reel:  # noqa: FBT001 one half of a cell's name
        wanted = (piece, piece + 1) if strip else (piece,)
        # Where one plays on, the next strip needs this piece again; what is farther away goes.
        for held in [one for one in self._pieces if one not in wanted]:
            del self._pieces[held]
        found = [batch for one in wanted for batch in self._piece(one)]
        if not strip:
            begin = piece * self._piece_ms
            return Reel(_joined(found), max(begin, self._from_ms), min(begin + self._piece_ms, self._to_ms))
        edge = (piece + 1) * self._piece_ms
        from_ms, to_ms = edge - 2 * MAX_LEG_MS, edge + 2 * MAX_LEG_MS
        near = [one.take((one.time_ms >= from_ms) & (one.time_ms < to_ms)) for one in found]
        return Reel(_joined(near), max(from_ms, self._from_ms), min(to_ms, self._to_ms))

    def _piece(self, piece: int) -> list[PointBatch]:
        held = self._pieces.get(piece)
        if held is None:
            held = self._pieces[piece] = self._loaded(piece)
        return held

    def _loaded(self, piece: int) -> list[PointBatch]:
        begin = piece * self._piece_ms
        parts: list[PointBatch] = []
        count = 0
        self.loads += 1
        for batch in self._load(max(begin, self._from_ms), min(begin + self._piece_ms, self._to_ms)):
            parts.append(batch)
            count += len(batch)
            if count > self._max_points:
                raise Refused(
                    f"More than {self._max_points} points lie in {self._piece_ms // 60_000} minutes.",
                    mend="Name fewer devices.",
                )
        return parts


def _joined(batches: list[PointBatch]) -> PointBatch:
    """All rows in order, with the columns that a frame is made of; the others say that nothing was sent."""
    rows = sum(len(batch) for batch in batches)
    columns = {
        column.name: np.concatenate([batch.column(column.name) for batch in batches])
        if column.name in _OF_FRAMES and batches
        else np.broadcast_to(np.asarray(column.missing, column.dtype), (rows,))
        for column in COLUMNS
    }
    return PointBatch.of(rows, columns)
