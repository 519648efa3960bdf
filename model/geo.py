"""Distances and bearings on the sphere, for whole columns at once.

Purpose: the one place where a distance between two places is computed. Invariants: inputs are
WGS-84 degrees, outputs metres or degrees; anything that is not a number gives NaN, nothing raises.
It does not know maps, datums or fences.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: Mean Earth radius R1, m (IUGG; Moritz 2000, "Geodetic Reference System 1980").
EARTH_RADIUS_M = 6_371_008.8

#: Metres along a meridian, or along the equator, per degree; no degree of a great circle is longer.
METRES_PER_DEGREE = EARTH_RADIUS_M * np.pi / 180.0

Degrees = npt.NDArray[np.float64] | float


def haversine_m(lat1: Degrees, lon1: Degrees, lat2: Degrees, lon2: Degrees) -> npt.NDArray[Any]:
    """Great-circle distance, m, float64, broadcast over the arguments (degrees, WGS-84).

    Source: the haversine formula as in R. W. Sinnott, "Virtues of the Haversine", Sky and
    Telescope 68 (1984) 159; well conditioned for small distances. The sphere instead of the
    ellipsoid costs at most 0.56 %.
    """
    with np.errstate(invalid="ignore"):
        phi1, phi2 = np.radians(lat1), np.radians(lat2)
        half_lat = np.sin((phi2 - phi1) * 0.5)
        half_lon = np.sin(np.radians(np.subtract(lon2, lon1)) * 0.5)
        inside = half_lat * half_lat + np.cos(phi1) * np.cos(phi2) * (half_lon * half_lon)
        return np.asarray(2.0 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(inside, 1.0))))


def bearing_deg(lat1: Degrees, lon1: Degrees, lat2: Degrees, lon2: Degrees) -> npt.NDArray[Any]:
    """Initial bearing from place 1 to place 2, degrees clockwise from north, in [0, 360).

    Source: forward azimuth of the great circle, e.g. J. Meeus, "Astronomical Algorithms", ch. 17
    (as the parallactic formula). Two equal places give 0.
    """
    with np.errstate(invalid="ignore"):
        phi1, phi2 = np.radians(lat1), np.radians(lat2)
        turn = np.radians(np.subtract(lon2, lon1))
        east = np.sin(turn) * np.cos(phi2)
        north = np.cos(phi1) * np.sin(phi2) - np.sin(phi1) * np.cos(phi2) * np.cos(turn)
        bearing = np.asarray(np.degrees(np.arctan2(east, north)) % 360.0)
        # A tiny negative angle rounds up to a full turn.
        return np.where(bearing >= 360.0, 0.0, bearing)
