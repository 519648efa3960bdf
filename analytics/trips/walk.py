"""Where the walkers of `stops` are. It decides nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Walk:
    """Where the walkers of all lanes are; columns of shape (lanes still walked,).

    Attributes:
        at: next row to look at; while one stands, the last row of its window.
        end: last row of the lane. reset: row at which the last stop of the lane ended, -1 none yet.
        stands, first, box: whether it stands, and its window.
        turn: turns so far.
    """

    def __init__(self, begin: Ints, end: Ints) -> None:
        self.at, self.end = begin.copy(), end
        self.reset = np.full(len(begin), -1)
        self.stands = np.zeros(len(begin), np.bool_)
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
        stay = self.stands | (self.at <= self.end)
        if not stay.all():
            for name in ("at", "end", "reset", "stands", "first", "box"):
                setattr(self, name, getattr(self, name)[stay])

    def stops(self) -> tuple[Ints, Ints]:
        """First and last rows of what was kept."""
        if not self._first:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(self._first), np.concatenate(self._last)
