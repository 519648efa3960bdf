"""`settle`: on which of two sides something is, once it is clearly there; what zones and lines share.

A sample that is clearly on the other side counts when it is `far` beyond, or when `samples` of them in a row lie beyond
the margin; a sample within the margin counts nothing and ends a row. So what trembles within the margin never settles
anew, and what jumps over it between two pictures does at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.tracks.tracks import Floats, Ints

#: Not settled on a side yet.
NOWHERE = 0
Sides = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """When a side is clear.

    Attributes:
        margin: distance from the boundary that is needed, as a fraction of the picture.
        samples: pictures in a row beyond the margin.
        far: distance at which one picture is enough.
    """

    margin: float = 0.01
    samples: int = 2
    far: float = 0.04


DEFAULT_HYSTERESIS = Hysteresis()


def settle(side: Sides, row: Ints, now: Sides, distance: Floats, hysteresis: Hysteresis) -> tuple[Sides, Ints]:
    """The settled sides and the length of the rows after one more sample; all of one shape.

    Args:
        side: settled before: -1, 1, or 0 for not settled yet.
        row: samples in a row that said otherwise, with the sign of what they said.
        now: what the new sample says: -1, 1, or 0 for nothing (too near).
        distance: of the sample from the boundary, positive.
        hysteresis: see there.
    """
    other = (now != 0) & (now != side)
    again = np.where(other, np.where(np.sign(row) == now, row + now, now.astype(np.int64)), 0)
    turned = other & ((distance >= hysteresis.far) | (np.abs(again) >= hysteresis.samples))
    return np.where(turned, now, side).astype(np.int8), np.where(turned, 0, again)
