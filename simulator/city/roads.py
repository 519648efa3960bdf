"""The roads of the synthetic city, as arrays.

Purpose: a network that looks like Baotou's from afar: a long grid of streets, two ring roads, diagonal avenues. Invariants: every node
can be reached from every other; the same seed gives the same network. The shape is made up; only its centre and its size are the city's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CENTRE_LAT = 40.65
CENTRE_LON = 109.84
#: Metres per degree of latitude (mean of the WGS-84 ellipsoid), and of longitude at the centre.
M_PER_LAT = 111_133.0
M_PER_LON = 111_320.0 * float(np.cos(np.radians(CENTRE_LAT)))

_COLUMNS, _ROWS = 24, 14
_STREET_GAP_M = (850.0, 800.0)
_JITTER_M = 90.0
_RINGS = ((6_500.0, 3_600.0, 28), (11_500.0, 6_600.0, 44))
_STREET_KMH, _AVENUE_KMH, _RING_KMH = 40.0, 55.0, 75.0
_MAX_DEGREE = 12


@dataclass(frozen=True, slots=True)
class Roads:
    """Nodes and the edges that leave them.

    Attributes:
        x_m, y_m: float64 (nodes,), east and north of the centre.
        neighbour: int32 (nodes, degree), -1 where there is none.
        length_m: float64 (nodes, degree).
        speed_kmh: float64 (nodes, degree), what traffic drives there when it is free.
    """

    x_m: npt.NDArray[np.float64]
    y_m: npt.NDArray[np.float64]
    neighbour: npt.NDArray[np.int32]
    length_m: npt.NDArray[np.float64]
    speed_kmh: npt.NDArray[np.float64]

    @property
    def nodes(self) -> int:
        """How many junctions there are."""
        return len(self.x_m)


def build(seed: int) -> Roads:
    """The network of this seed."""
    rng = np.random.default_rng([seed, 1])
    column, row = np.meshgrid(np.arange(_COLUMNS), np.arange(_ROWS))
    x = (column.ravel() - (_COLUMNS - 1) / 2) * _STREET_GAP_M[0] + rng.normal(0, _JITTER_M, column.size)
    y = (row.ravel() - (_ROWS - 1) / 2) * _STREET_GAP_M[1] + rng.normal(0, _JITTER_M, row.size)
    number = np.arange(column.size).reshape(_ROWS, _COLUMNS)
    edges = [
        _pairs(number[:, :-1], number[:, 1:], _STREET_KMH),
        _pairs(number[:-1], number[1:], _STREET_KMH),
        # Diagonal avenues: one each way through the middle.
        _pairs(np.diag(number, 5)[:-1], np.diag(number, 5)[1:], _AVENUE_KMH),
        _pairs(np.diag(number[::-1], 5)[:-1], np.diag(number[::-1], 5)[1:], _AVENUE_KMH),
    ]
    for half_width, half_height, count in _RINGS:
        angle = np.arange(count) * 2 * np.pi / count
        first = len(x)
        ring_x, ring_y = half_width * np.cos(angle), half_height * np.sin(angle)
        ring = first + np.arange(count)
        edges.append(_pairs(ring, np.roll(ring, -1), _RING_KMH))
        # Ramps to the nearest street corner.
        grid = slice(0, column.size)
        near = np.argmin((ring_x[:, None] - x[grid]) ** 2 + (ring_y[:, None] - y[grid]) ** 2, axis=1)
        edges.append(_pairs(ring, near, _STREET_KMH))
        x, y = np.concatenate((x, ring_x)), np.concatenate((y, ring_y))
    return _network(x, y, np.concatenate(edges))


def _pairs(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], speed_kmh: float) -> npt.NDArray[np.float64]:
    return np.stack((a.ravel(), b.ravel(), np.full(a.size, speed_kmh)), axis=1)


def _network(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> Roads:
    both = np.concatenate((edges, edges[:, [1, 0, 2]]))
    _, first = np.unique(both[:, :2], axis=0, return_index=True)
    both = both[first]
    start, end = both[:, 0].astype(np.int64), both[:, 1].astype(np.int64)
    place = np.arange(len(start)) - np.searchsorted(start, start)
    shape = (len(x), _MAX_DEGREE)
    neighbour = np.full(shape, -1, np.int32)
    length, speed = np.ones(shape), np.full(shape, _STREET_KMH)
    neighbour[start, place] = end
    length[start, place] = np.hypot(x[end] - x[start], y[end] - y[start])
    speed[start, place] = both[:, 2]
    degree = int(place.max()) + 1
    return Roads(x, y, neighbour[:, :degree].copy(), length[:, :degree].copy(), speed[:, :degree].copy())
