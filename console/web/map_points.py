"""Points of the map as GeoJSON (RFC 7946): one by one where they are few, clusters where they are many.

Invariants: at most `max_points` features in an answer; a cluster's counts sum to what the box holds; a cell with one point
is that point. It works on columns and knows neither cameras nor sites.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from console.web.plane import Box, cell_power, clusters, mercator, within

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Id and properties of some rows, given the rows.
Describe = Callable[[list[int]], list[tuple[str, dict[str, Any]]]]

DEFAULT_MAX_POINTS = 2_000


def points_in(
    box: Box,
    zoom: float,
    lat: Floats,
    lon: Floats,
    describe: Describe,
    *,
    max_points: int = DEFAULT_MAX_POINTS,
    by_latitude: bool = False,
) -> bytes:
    """A FeatureCollection of what of the places, shape (n,), lies in the box.

    Args:
        box: bounds.
        zoom: how fine the grid is where there are too many.
        lat: WGS-84 degrees.
        lon: the same.
        describe: id and properties of rows of the columns, for those that are shown one by one.
        max_points: features at most.
        by_latitude: the places ascend by latitude, so only a strip of them is looked at.
    """
    first, end = (0, len(lat))
    if by_latitude:
        first, end = np.searchsorted(lat, [box.south, np.nextafter(box.north, 91.0)]).tolist()
    rows = first + np.flatnonzero(within(box, lat[first:end], lon[first:end]))
    if len(rows) <= max_points:
        return _collection(_points(rows, lat, lon, describe), len(rows), clustered=False)
    found = clusters(lat[rows], lon[rows], _fitting_power(box, zoom, max_points))
    alone = found.count == 1
    features = _points(rows[found.first[alone]], lat, lon, describe)
    many = ~alone
    for x, y, at_lat, at_lon, count in zip(
        found.x[many].tolist(),
        found.y[many].tolist(),
        np.round(found.lat[many], 6).tolist(),
        np.round(found.lon[many], 6).tolist(),
        found.count[many].tolist(),
        strict=True,
    ):
        features.append(
            {
                "type": "Feature",
                "id": f"{found.power}/{x}/{y}",
                "geometry": {"type": "Point", "coordinates": (at_lon, at_lat)},
                "properties": {"cluster": True, "count": count},
            }
        )
    return _collection(features, len(rows), clustered=True)


def _points(rows: Ints, lat: Floats, lon: Floats, describe: Describe) -> list[dict[str, Any]]:
    places = zip(np.round(lon[rows], 6).tolist(), np.round(lat[rows], 6).tolist(), strict=True)
    return [
        {"type": "Feature", "id": name, "geometry": {"type": "Point", "coordinates": place}, "properties": properties}
        for place, (name, properties) in zip(places, describe(rows.tolist()), strict=True)
    ]


def _collection(features: list[dict[str, Any]], total: int, *, clustered: bool) -> bytes:
    return msgspec.json.encode(
        {"type": "FeatureCollection", "total": total, "clustered": clustered, "features": features}
    )


def _fitting_power(box: Box, zoom: float, max_points: int) -> int:
    """The grid of the zoom, or a coarser one where the box would hold more than `max_points` of its cells."""
    _, edges = mercator(np.array([box.south, box.north]), np.zeros(2))
    wide, high = box.width_deg / 360.0, float(edges[0] - edges[1])
    power = cell_power(zoom)
    # a box that begins and ends within cells touches up to two more each way
    while power > 0 and (wide * 2.0**power + 2) * (high * 2.0**power + 2) > max_points:
        power -= 1
    return power
