"""`LineWatch`: objects that go over lines, each crossing told once.

Purpose: `left` or `right` of `start ▸ end` as seen in the picture, where a box's foot (middle of its lower edge) goes.
Invariants:
- A crossing needs the object clearly on one side before and clearly on the other after (`settling`); trembling on the
  line counts nothing, and a jump over it between two pictures counts once.
- It counts only where the path last went over the endless line is between `start` and `end`.
- A path mirrored in the picture gives the mirrored direction.
- What has no id, or was not seen in this very picture, moves nothing.
State is a row of columns per object; it goes with the object.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analytics.tracks.events import RuleEvent
from analytics.tracks.settling import DEFAULT_HYSTERESIS, NOWHERE, Hysteresis, settle
from analytics.tracks.tracks import Floats, Ints, Tracks, carry, confirmed_rows
from model.camera import OBJECT_BY_CODE, OBJECT_CODE, Line

#: What each direction of a line tells of, as the side that an object goes to.
_WANTED = {"left": (-1,), "right": (1,), "both": (-1, 1)}
_WHAT = {-1: "left", 1: "right"}


class LineWatch:
    """The lines of one camera. One thread.

    Args:
        lines: as set.
        hysteresis: when a side is clear.
    """

    def __init__(self, lines: Sequence[Line], *, hysteresis: Hysteresis = DEFAULT_HYSTERESIS) -> None:
        self._lines = tuple(lines)
        self._hysteresis = hysteresis
        self._start = np.array([line.start for line in lines], np.float64).reshape(-1, 2)
        way = np.array([line.end for line in lines], np.float64).reshape(-1, 2) - self._start
        self._length = np.hypot(way[:, 0], way[:, 1])
        # A line without a length has no sides: nothing is ever clearly on one.
        self._way = np.divide(way, self._length[:, None], out=np.zeros_like(way), where=self._length[:, None] > 0)
        self._kinds = kind_table([line.kinds for line in lines])
        self._id = np.empty(0, np.int64)
        self._last = np.empty((0, 2))
        many = (0, len(self._lines))
        #: Side by the sign of the last sample that was not on the line, clear or not.
        self._raw = np.zeros(many, np.int8)
        self._side = np.zeros(many, np.int8)
        self._row = np.zeros(many, np.int64)
        #: Whether the last time the endless line was passed was within the line.
        self._within = np.zeros(many, np.bool_)

    def step(self, tracks: Tracks) -> list[RuleEvent]:
        """Take where the objects are now; the crossings, by line and then by object."""
        if not self._lines:
            return []
        rows = confirmed_rows(tracks)
        self._follow(tracks.id[rows])
        seen = np.flatnonzero(tracks.seen[rows])
        if not len(seen):
            return []
        feet = tracks.feet()[rows[seen]]
        turned, side = self._move(seen, feet)
        events = []
        for line_at, at in np.argwhere(turned.T):
            row, line, to = rows[seen[at]], self._lines[line_at], int(side[at, line_at])
            code = int(tracks.kind[row])
            if to not in _WANTED.get(line.direction, ()) or not self._kinds[line_at, code]:
                continue
            events.append(
                RuleEvent(
                    rule=line.name,
                    what=_WHAT[to],
                    kind=OBJECT_BY_CODE[code],
                    track=int(tracks.id[row]),
                    time_ms=tracks.time_ms,
                    box=box_of(tracks, row),
                    alarm=line.alarm,
                )
            )
        return events

    def _follow(self, new_id: Ints) -> None:
        """Rows for these objects and no others."""
        old_id = self._id
        self._last = carry(old_id, self._last, new_id, np.nan)
        self._raw = carry(old_id, self._raw, new_id, NOWHERE)
        self._side = carry(old_id, self._side, new_id, NOWHERE)
        self._row = carry(old_id, self._row, new_id, 0)
        self._within = carry(old_id, self._within, new_id, fill=False)
        self._id = new_id

    def _move(self, seen: Ints, feet: Floats) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int8]]:
        """(k, lines): who has crossed a line just now, and the side each is on."""
        away = self._away(feet)
        before = self._away(self._last[seen])
        raw = np.sign(away).astype(np.int8)
        was = self._raw[seen]
        passed = (raw != 0) & (was != 0) & (raw != was)
        if passed.any():
            share = np.divide(before, before - away, out=np.zeros_like(away), where=passed)
            along, along_before = self._along(feet), self._along(self._last[seen])
            at = along_before + share * (along - along_before)
            self._within[seen] = np.where(passed, (at >= 0) & (at <= self._length), self._within[seen])
        self._raw[seen] = np.where(raw != 0, raw, was)
        self._last[seen] = feet

        distance = np.abs(away)
        now = np.where(distance >= self._hysteresis.margin, raw, 0).astype(np.int8)
        old = self._side[seen]
        side, self._row[seen] = settle(old, self._row[seen], now, distance, self._hysteresis)
        self._side[seen] = side
        return (old != NOWHERE) & (side != old) & self._within[seen], side

    def _away(self, place: Floats) -> Floats:
        """(k, lines) distance from each endless line; to the right of it, as seen in the picture, is positive."""
        from_start = place[:, None, :] - self._start[None]
        away: Floats = self._way[:, 0] * from_start[..., 1] - self._way[:, 1] * from_start[..., 0]
        return away

    def _along(self, place: Floats) -> Floats:
        """(k, lines) how far along each line, from its start."""
        from_start = place[:, None, :] - self._start[None]
        along: Floats = (from_start * self._way).sum(axis=2)
        return along


def kind_table(kinds: Sequence[Sequence[object]]) -> npt.NDArray[np.bool_]:
    """(rules, codes) whether a rule counts a kind; one that names none counts all."""
    table = np.zeros((len(kinds), max(OBJECT_CODE.values()) + 1), np.bool_)
    for row, named in enumerate(kinds):
        for kind, code in OBJECT_CODE.items():
            table[row, code] = not named or kind in named
    return table


def box_of(tracks: Tracks, row: int) -> tuple[float, float, float, float]:
    """The box of one object as plain numbers."""
    left, top, right, bottom = (float(edge) for edge in tracks.box[row])
    return left, top, right, bottom
