"""Datums: WGS-84, GCJ-02 (what Chinese maps show) and BD-09 (Baidu), vectorised.

Purpose: convert at the import, export and drawing edge; everything inside is WGS-84. Invariants: places
outside China's bounding box are the same in all three; NaN stays NaN; the way to WGS-84 inverts the way
from it to 1e-7° or better.

Source of the formulas: GCJ-02 has never been published; these are the public reconstruction of its offset
(polynomial with sines on the Krasovsky 1940 ellipsoid) known from the open-source "eviltransform" and
"coordtransform" projects, as described in "Restrictions on geographic data in China" (Wikipedia), and
Baidu's own public polar offset from GCJ-02.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from model.errors import UsageError

Degrees = npt.NDArray[np.float64]

#: Krasovsky 1940: semi-major axis in metres, and squared eccentricity.
_AXIS_M = 6378245.0
_ECCENTRICITY2 = 0.00669342162296594323
_BD_PI = np.pi * 3000.0 / 180.0
#: Steps of the fixed-point inverse: each shrinks the error some hundredfold, from at most 0.01°.
_INVERSE_STEPS = 6


def in_china(lat: Degrees, lon: Degrees) -> npt.NDArray[np.bool_]:
    """Whether a place lies in the bounding box within which the offset applies."""
    return (lon >= 72.004) & (lon <= 137.8347) & (lat >= 0.8293) & (lat <= 55.8271)


def _offset(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """GCJ-02 minus WGS-84 in degrees at a WGS-84 place; zero outside China."""
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
    inside = in_china(lat, lon)
    return np.where(inside, dlat, 0.0), np.where(inside, dlon, 0.0)


def wgs84_to_gcj02(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """GCJ-02 of WGS-84 places, float64 degrees, shapes kept."""
    with np.errstate(invalid="ignore", over="ignore"):
        dlat, dlon = _offset(lat, lon)
    return lat + dlat, lon + dlon


def gcj02_to_wgs84(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """WGS-84 of GCJ-02 places, float64 degrees; inverts `wgs84_to_gcj02` to 1e-7° or better."""
    inside = in_china(lat, lon)
    with np.errstate(invalid="ignore", over="ignore"):
        out_lat, out_lon = lat, lon
        for _ in range(_INVERSE_STEPS):
            dlat, dlon = _offset(out_lat, out_lon)
            out_lat, out_lon = np.where(inside, lat - dlat, lat), np.where(inside, lon - dlon, lon)
    return out_lat, out_lon


def gcj02_to_bd09(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """BD-09 of GCJ-02 places, float64 degrees; unchanged outside China."""
    inside = in_china(lat, lon)
    with np.errstate(invalid="ignore", over="ignore"):
        radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_PI)
        angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_PI)
        out_lat, out_lon = radius * np.sin(angle) + 0.006, radius * np.cos(angle) + 0.0065
    return np.where(inside, out_lat, lat), np.where(inside, out_lon, lon)


def bd09_to_gcj02(lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """GCJ-02 of BD-09 places, float64 degrees; inverts `gcj02_to_bd09` to 1e-7° or better."""
    inside = in_china(lat, lon)
    with np.errstate(invalid="ignore", over="ignore"):
        out_lat, out_lon = np.where(inside, lat - 0.006, lat), np.where(inside, lon - 0.0065, lon)
        for _ in range(_INVERSE_STEPS):
            back_lat, back_lon = gcj02_to_bd09(out_lat, out_lon)
            out_lat = np.where(inside, out_lat + lat - back_lat, lat)
            out_lon = np.where(inside, out_lon + lon - back_lon, lon)
    return out_lat, out_lon


def to_wgs84(datum: str, lat: Degrees, lon: Degrees) -> tuple[Degrees, Degrees]:
    """WGS-84 of places in `datum` (`wgs84`, `gcj02`, `bd09`). Raises UsageError for any other."""
    if datum == "wgs84":
        return lat, lon
    if datum == "gcj02":
        return gcj02_to_wgs84(lat, lon)
    if datum == "bd09":
        return gcj02_to_wgs84(*bd09_to_gcj02(lat, lon))
    raise UsageError(f"{datum[:40]!r} is no datum.", mend="Use wgs84, gcj02 or bd09.")
