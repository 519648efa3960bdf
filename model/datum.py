"""Datums: WGS-84, GCJ-02 (what Chinese maps show) and BD-09 (Baidu), vectorised.

Purpose: convert at the import, export and drawing edge; everything inside is WGS-84. Invariants: a place outside China's
bounding box is the same in all three; NaN stays NaN; the way back gives any place in the box to a millimetre, its very
edge included.

The box is a jump: the offset is up to 750 m inside it (of BD-09 1.6 km) and nothing outside. So a strip that wide outside some
of its edges has two meanings, a place in the box that was moved there and a place outside that was not; the way back takes the first,
for the second means somebody used a Chinese datum outside China. A strip inside the other edges is met by no place at
all; it comes back as it is. No strip touches China: its nearest place is more than 100 km from an edge of the box.

Source of the formulas: GCJ-02 has never been published; these are the public reconstruction of its offset
(polynomial with sines on the Krasovsky 1940 ellipsoid) known from the open-source "eviltransform" and
"coordtransform" projects, as described in "Restrictions on geographic data in China" (Wikipedia), and
Baidu's own public polar offset from GCJ-02.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from model.errors import UsageError

Degrees = npt.NDArray[np.float64]
#: From places to places, both as latitudes and longitudes.
Way = Callable[[Degrees, Degrees], tuple[Degrees, Degrees]]

#: Krasovsky 1940: semi-major axis in metres, and squared eccentricity.
_AXIS_M = 6378245.0
_ECCENTRICITY2 = 0.00669342162296594323
_BD_PI = np.pi * 3000.0 / 180.0
#: Steps of the fixed-point inverse: each shrinks the error at least a hundredfold, from at most 0.011°; measured after
#: four: 15 µm at most over the box, after five 0.2 µm.
_INVERSE_STEPS = 5

#: The box within which the offset applies, degrees, its edges included.
WEST, EAST, SOUTH, NORTH = 72.004, 137.8347, 0.8293, 55.8271
#: What rounding may put between a place and what comes back of it, degrees (a tenth of a millimetre).
_ROUNDING = 1e-9

DATUMS = ("wgs84", "gcj02", "bd09")
#: As people write them.
DATUM_NAMES = {"wgs84": "WGS-84", "gcj02": "GCJ-02", "bd09": "BD-09"}


def in_china(lat: Degrees, lon: Degrees) -> npt.NDArray[np.bool_]:
    """Whether a place lies in the bounding box within which the offset applies."""
    return (lon >= WEST) & (lon <= EAST) & (lat >= SOUTH) & (lat <= NORTH)


def _offset(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """GCJ-02 minus WGS-84 in degrees at a WGS-84 place, whatever the box says."""
    x, y = lon - 105.0, lat - 35.0
    wave = 20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)
    root = np.sqrt(np.abs(x))
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north += (wave + 20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    north += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east += (wave + 20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    east += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    phi = np.radians(lat)
    magic = 1.0 - _ECCENTRICITY2 * np.sin(phi) ** 2
    dlat = np.degrees(north * magic * np.sqrt(magic) / (_AXIS_M * (1.0 - _ECCENTRICITY2)))
    dlon = np.degrees(east * np.sqrt(magic) / (_AXIS_M * np.cos(phi)))
    return dlat, dlon


def _to_gcj(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    dlat, dlon = _offset(lat, lon)
    return lat + dlat, lon + dlon


def _to_bd(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """BD-09 of GCJ-02, whatever the box says."""
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_PI)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_PI)
    return radius * np.sin(angle) + 0.006, radius * np.cos(angle) + 0.0065


def _undone(way: Way, lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """Where `way` comes from when it ends at these places: a fixed point, for every way moves by little and evenly."""
    out_lat, out_lon = lat, lon
    for _ in range(_INVERSE_STEPS):
        got_lat, got_lon = way(out_lat, out_lon)
        out_lat, out_lon = out_lat + (lat - got_lat), out_lon + (lon - got_lon)
    return out_lat, out_lon


def _from(way: Way, lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """`way` for places inside the box, others as they are."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        inside = in_china(lat, lon)
        out_lat, out_lon = way(lat, lon)
    return np.where(inside, out_lat, lat), np.where(inside, out_lon, lon)


def _back(ways: tuple[Way, ...], lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """The place inside the box that `ways`, undone in this order, came from; where there is none the place itself."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        out_lat, out_lon = lat, lon
        for way in ways:
            out_lat, out_lon = _undone(way, out_lat, out_lon)
        # rounding may put what comes back of a place on the edge a hair outside
        edge_lat, edge_lon = np.clip(out_lat, SOUTH, NORTH), np.clip(out_lon, WEST, EAST)
        found = (np.abs(out_lat - edge_lat) < _ROUNDING) & (np.abs(out_lon - edge_lon) < _ROUNDING)
    return np.where(found, edge_lat, lat), np.where(found, edge_lon, lon)


def wgs84_to_gcj02(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """GCJ-02 of WGS-84 places, float64 degrees, shapes kept."""
    return _from(_to_gcj, lat, lon)


def gcj02_to_wgs84(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """WGS-84 of GCJ-02 places, float64 degrees; inverts `wgs84_to_gcj02` for every place inside the box."""
    return _back((_to_gcj,), lat, lon)


def gcj02_to_bd09(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """BD-09 of GCJ-02 places, float64 degrees; unchanged outside the box."""
    return _from(_to_bd, lat, lon)


def bd09_to_gcj02(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """GCJ-02 of BD-09 places, float64 degrees; inverts `gcj02_to_bd09` for every place inside the box."""
    return _back((_to_bd,), lat, lon)


def wgs84_to_bd09(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """BD-09 of WGS-84 places, float64 degrees: both steps for what is inside the box in WGS-84, none for the rest."""
    return _from(lambda *place: _to_bd(*_to_gcj(*place)), lat, lon)


def bd09_to_wgs84(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """WGS-84 of BD-09 places, float64 degrees; inverts `wgs84_to_bd09` for every place inside the box."""
    return _back((_to_bd, _to_gcj), lat, lon)


def to_wgs84(datum: str, lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """WGS-84 of places in `datum`, one of `DATUMS`. Raises UsageError for any other."""
    if _checked(datum) == "wgs84":
        return lat, lon
    return (gcj02_to_wgs84 if datum == "gcj02" else bd09_to_wgs84)(lat, lon)


def from_wgs84(datum: str, lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """Places of WGS-84 in `datum`, one of `DATUMS`. Raises UsageError for any other."""
    if _checked(datum) == "wgs84":
        return lat, lon
    return (wgs84_to_gcj02 if datum == "gcj02" else wgs84_to_bd09)(lat, lon)


def _checked(datum: str) -> str:
    if datum in DATUMS:
        return datum
    raise UsageError(f"{datum[:40]!r} is no datum.", mend="Use wgs84, gcj02 or bd09.")
