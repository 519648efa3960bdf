"""Where the walkers of `stops` are. It decides nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

#: What a walker does. FREE: it goes on as if no stop had ended. GROWS: its window is a stop and still grows. AFTER: a stop
#: has ended before the row `at`. LIES and STANDS_YET: whether the window stood at the row before is known, and may not be
#: what it would be had no stop ended.
FREE, GROWS, AFTER, LIES, STANDS_YET = (np.int8(mode) for mode in range(5))


class Walk:
    """Where the walkers of all lanes are; columns of shape (lanes still walked,).

    Attributes:
        at: next row to look at; while a window grows, its last row.
        end: last row of the lane.
        mode: what it does. first, box: the window that grows.
        turn: turns so far.
    """

    def __init__(self, begin: Ints, end: Ints) -> None:
        self.at, self.end = begin.copy(), end
        self.mode = np.full(len(begin), FREE)
        self.first = begin.copy()
        self.box = np.zeros((len(begin), 4), np.int32)
        self.turn = 0
        self._first: list[Ints] = []
        self._last: list[Ints] = []

    def keep(self, who: npt.NDArray[np.intp], last: Ints) -> None:
        """These windows were stops, up to rows `last[who]`."""
        if len(who):
            self._first.append(self.first[who])
            self._last.append(last[who])

    def leave(self) -> None:
        """Those at the end of their lanes go."""
        stay = (self.mode == GROWS) | (self.at <= self.end)
        if not stay.all():
            for name in ("at", "end", "mode", "first", "box"):
                setattr(self, name, getattr(self, name)[stay])

    def stops(self) -> tuple[Ints, Ints]:
        """First and last rows of what was kept."""
        if not self._first:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(self._first), np.concatenate(self._last)
