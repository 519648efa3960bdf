"""Does a window of points fit a diameter: the diagonal of its smallest rotated rectangle, decided exactly.

Purpose: the measure by which MovingPandas' `TrajectoryStopDetector` calls a window of points small, for many windows
at once. The rectangle is GEOS' in the plane of degrees, its diagonal from the first to the third corner is measured on
the ellipsoid, and before it the diagonal of the bounding box has to be below 1.5 diameters. Invariants: NumPy decides
alone only where every rectangle that GEOS could choose is on one side by a margin, else GEOS makes it of the same points. Lengths near the limit come from Vincenty's formula; on the way of a stop (up to some
kilometres) they agree with Karney's, which MovingPandas uses, within 0.1 µm, so only a diagonal that near to the limit
could be decided otherwise. It knows no time and no devices.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: WGS-84 (NIMA TR8350.2): equatorial radius m, flattening.
_A_M, _F = 6_378_137.0, 1.0 / 298.257223563
_B_M = _A_M * (1.0 - _F)
_E2 = _F * (2.0 - _F)
#: The bounding box may be so much larger than the diameter (as MovingPandas has it).
BOX_FACTOR = 1.5
#: Windows of so many points are looked at in NumPy first, unless they are few.
_SIZES = (3, 4, 5)
_FEW_WINDOWS = 64
#: Rectangles whose areas differ by less could be chosen by GEOS just as well; what is thinner than this is nearly a line.
_AREA_TOLERANCE, _WIDTH_TOLERANCE_DEG, _THIN_DEG = 1e-6, 1e-12, 1e-11
#: So far inside, as a share of a rectangle's side, no rounding brings a place to the side.
_INSIDE = 1e-6
#: Lengths by the mean latitude are that good up to 10 km (error about (s/R)^2 / 12 of s); far below the latitude of 88°.
_NEAR, _NEAR_M = 1e-5, 1e-4
_MAX_LAT_DEG = 85.0
#: Bounds take a degree to have one length in a window: good to the slack up to this diameter and latitude.
_BOUNDS_UP_TO_M, _BOUNDS_MAX_LAT_DEG, _BOUNDS_SLACK = 1_000.0, 70.0, 1e-3
_HALF_ROOT, _COS_EIGHTH = float(np.sqrt(0.5)), float(np.cos(np.pi / 8))
#: Windows of more points are not looked at by bounds; of more than 50 GEOS can get the hull wrong (see `stops`).
BOUNDS_POINTS = 32
_CONVERGED, _MAX_TURNS = 1e-14, 200


def small(lat: Floats, lon: Floats, first: Ints, last: Ints, max_diameter_m: float) -> Bools:
    """Whether the points of each window are small, as the module says.

    Args:
        lat: degrees, shape (n,).
        lon: degrees, shape (n,).
        first: first row of each window.
        last: last row of each window, inclusive; greater than `first`.
        max_diameter_m: the limit, exclusive.
    """
    out = np.zeros(len(first), np.bool_)
    count = last - first + 1
    two = np.flatnonzero(count == 2)
    if len(two):
        a, b = first[two], last[two]
        out[two] = shorter(lat[a], lon[a], lat[b], lon[b], max_diameter_m)
    open_ = count > 2
    few = np.flatnonzero(open_ & (count <= BOUNDS_POINTS))
    told = bounds(lat, lon, first[few], last[few], max_diameter_m)
    out[few] = told == 1
    open_[few] = told == 0
    left = [np.flatnonzero(open_ & (count > _SIZES[-1]))]
    for size in _SIZES:
        these = np.flatnonzero(open_ & (count == size))
        if len(these) >= _FEW_WINDOWS:
            answer = _by_pairs(lat, lon, first[these], size, max_diameter_m)
            out[these] = answer == 1
            these = these[answer == 0]
        left.append(these)
    rest = np.concatenate(left)
    if len(rest):
        out[rest] = _by_geos(lat, lon, first[rest], last[rest], max_diameter_m)
    return out


def bounds(lat: Floats, lon: Floats, first: Ints, last: Ints, limit_m: float) -> npt.NDArray[np.int8]:
    """1 small for certain, -1 not small for certain, 0 not told; for windows of three points and more.

    The longer diagonal is as long as any two points are apart at least: tried are the last point and each other. No side is
    longer than the points' diameter d and the area is not above that of any rectangle around them, A; of two sides up to
    d whose product is up to A the squares sum to d^2 + (A/d)^2 at most. In metres degrees are stretched by unlike east
    and north: that lengthens a side, and the product of the sides, by up to (east/north + north/east) / 2 beyond the
    points' own measures, and the right angle's loss adds up to A |north/east - east/north|. The area is the lesser of
    two rectangles around the points, the diameter is told by the widths in four directions.
    """
    answer = np.zeros(len(first), np.int8)
    if limit_m > _BOUNDS_UP_TO_M or not len(first):
        return answer
    y, x, starts, count = _gathered(lat, lon, first, last)
    south = lat[last]
    y -= np.repeat(south, count)
    x -= np.repeat(lon[last], count)
    north_m, east_m = metres_per_degree(np.radians(south))
    tall, wide = _width(y, starts), _width(x, starts)
    area = np.minimum(tall * wide, _width(x + y, starts) * _width(x - y, starts) * 0.5) * north_m * east_m
    # Twice a triangle's area is not more than that of a rectangle around it.
    cross = np.abs(x * np.repeat(y[starts], count) - y * np.repeat(x[starts], count))
    thick = np.maximum.reduceat(cross, starts) > (tall + wide) * _THIN_DEG
    told = thick & (np.abs(south) < _BOUNDS_MAX_LAT_DEG) & (tall < 1.0) & (wide < 1.0)
    y *= np.repeat(north_m, count)
    x *= np.repeat(east_m, count)
    far = np.maximum.reduceat(x * x + y * y, starts)
    ratio = north_m / east_m
    askew = area * np.abs(ratio - 1.0 / ratio)
    answer[told & (far - 2.0 * askew > (limit_m * (1 + _BOUNDS_SLACK)) ** 2)] = -1
    upright = (tall * north_m, wide * east_m)
    slanting = (_width(x + y, starts) * _HALF_ROOT, _width(x - y, starts) * _HALF_ROOT)
    box = upright[0] ** 2 + upright[1] ** 2
    longest = np.maximum(np.maximum(*upright), np.maximum(*slanting)) / _COS_EIGHTH
    square = np.minimum(np.minimum(box, slanting[0] ** 2 + slanting[1] ** 2), longest * longest)
    stretch = 0.5 * (ratio + 1.0 / ratio)
    square *= stretch * stretch
    product = np.minimum(area * stretch, square)
    with np.errstate(divide="ignore", invalid="ignore"):
        diagonal = square + product * product / square + askew
    least = (limit_m * (1 - _BOUNDS_SLACK)) ** 2
    answer[told & (diagonal < least) & (box < BOX_FACTOR**2 * least)] = 1
    return answer


def _width(values: Floats, starts: Ints) -> Floats:
    """Greatest less least of each window's values."""
    wide: Floats = np.maximum.reduceat(values, starts)
    wide -= np.minimum.reduceat(values, starts)
    return wide


def _by_pairs(lat: Floats, lon: Floats, first: Ints, size: int, limit_m: float) -> npt.NDArray[np.int8]:
    """1 small, -1 not small, 0 GEOS has to say; for windows of a few points.

    An edge of the hull lies along one side of the smallest rectangle (H. Freeman and R. Shapira, "Determining the
    minimum-area encasing rectangle", CACM 18 (1975) 409), and every edge joins two of the points, so all pairs are
    tried. Whatever GEOS chooses is among the pairs whose rectangle is the smallest but for rounding.
    """
    south, west = lat[first], lon[first]
    y = [lat[first + at] - south for at in range(size)]
    x = [lon[first + at] - west for at in range(size)]
    tried = [_along(x, y, one, other) for one in range(size) for other in range(one + 1, size)]
    areas = [area for area, _, _, _, _ in tried]
    least = areas[0].copy()
    for area in areas[1:]:
        np.minimum(least, area, out=least)
    tall, wide = _spread(y), _spread(x)
    north_m, east_m = metres_per_degree(np.radians(south + 0.5 * y[-1]))
    nearly = least * (1 + _AREA_TOLERANCE) + (tall + wide) * _WIDTH_TOLERANCE_DEG
    shortest, longest = np.full(len(first), np.inf), np.zeros(len(first))
    for area, ux, uy, vx, vy in tried:
        could = area <= nearly
        for side in (1.0, -1.0):
            diagonal = ((ux + side * vx) * east_m) ** 2 + ((uy + side * vy) * north_m) ** 2
            np.copyto(shortest, diagonal, where=could & (diagonal < shortest))
            np.copyto(longest, diagonal, where=could & (diagonal > longest))
    box = (tall * north_m) ** 2 + (wide * east_m) ** 2
    slack = limit_m * _NEAR + _NEAR_M
    answer = np.zeros(len(first), np.int8)
    answer[(shortest > (limit_m + slack) ** 2) | (box > (BOX_FACTOR * (limit_m + slack)) ** 2)] = -1
    answer[(longest < (limit_m - slack) ** 2) & (box < (BOX_FACTOR * (limit_m - slack)) ** 2)] = 1
    # Points on one line, the far north, and the date line are GEOS' alone.
    thin = least <= (tall + wide) * _THIN_DEG
    answer[thin | ~np.isfinite(least) | (np.abs(south) > _MAX_LAT_DEG) | (wide > 1.0)] = 0
    return answer


def _along(x: list[Floats], y: list[Floats], one: int, other: int) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """The rectangle with a side along two of the points: its area and its sides as (x, y), degrees; inf for one place."""
    dx, dy = x[other] - x[one], y[other] - y[one]
    along = [dx * px + dy * py for px, py in zip(x, y, strict=True)]
    across = [dx * py - dy * px for px, py in zip(x, y, strict=True)]
    square = dx * dx + dy * dy
    with np.errstate(divide="ignore", invalid="ignore"):
        length, width = _spread(along) / square, _spread(across) / square
    area = length * width * square
    area[square == 0] = np.inf
    return area, dx * length, dy * length, -dy * width, dx * width


def _spread(values: list[Floats]) -> Floats:
    """Greatest less least, element by element."""
    least, greatest = np.minimum(values[0], values[1]), np.maximum(values[0], values[1])
    for one in values[2:]:
        np.minimum(least, one, out=least)
        np.maximum(greatest, one, out=greatest)
    greatest -= least
    return greatest


def _by_geos(lat: Floats, lon: Floats, first: Ints, last: Ints, limit_m: float) -> Bools:
    """As MovingPandas decides it: the box first, then GEOS' rectangle."""
    return rectangles(lat, lon, first, last, limit_m)[0]


def rectangles(lat: Floats, lon: Floats, first: Ints, last: Ints, limit_m: float) -> tuple[Bools, Floats]:
    """Whether each window is small, and the rectangle of those that are.

    Returns:
        small: shape (m,).
        rectangle: shape (m, 6): a corner (lon, lat) and the two sides from it (lon, lat), degrees. NaN where the window is
        not small, has no area, or where another rectangle of the same sides could be measured as not small.
    """
    y, x, starts, count = _gathered(lat, lon, first, last)
    south, north = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
    west, east = np.minimum.reduceat(x, starts), np.maximum.reduceat(x, starts)
    out = shorter(south, west, north, east, BOX_FACTOR * limit_m)
    rectangle = np.full((len(first), 6), np.nan)
    if not out.any():
        return out, rectangle
    keep = np.repeat(out, count)
    window = np.repeat(np.cumsum(out) - 1, count)[keep]
    # A line through the points has their hull, and is made far quicker than a MultiPoint.
    lines = shapely.linestrings(x[keep], y[keep], indices=window)
    corners, of = shapely.get_coordinates(shapely.oriented_envelope(lines), return_index=True)
    begin = np.flatnonzero(np.diff(of, prepend=-1))
    found = np.diff(np.append(begin, len(of)))
    # A rectangle has five coordinates, first and third are opposite; points in a line have two; one point has one.
    far = begin + np.where(found >= 4, 2, found - 1)
    fits = shorter(corners[begin, 1], corners[begin, 0], corners[far, 1], corners[far, 0], limit_m)
    which = np.flatnonzero(out)
    out[which] = fits
    whole = np.flatnonzero(fits & (found == 5))
    if len(whole):
        begin = begin[whole]
        sides = np.column_stack(
            (corners[begin], corners[begin + 1] - corners[begin], corners[begin + 3] - corners[begin])
        )
        sides[~_holds(sides, limit_m)] = np.nan
        rectangle[which[whole]] = sides
    return out, rectangle


def _holds(sides: Floats, limit_m: float) -> Bools:
    """Rectangles with some area of which both diagonals, and the diagonal of their box, are well below the limits."""
    _, y, ux, uy, vx, vy = sides.T
    north_m, east_m = metres_per_degree(np.radians(np.abs(y) + np.abs(uy) + np.abs(vy)))
    # The longest degrees around, for a length that is certainly not too small.
    east_m = np.maximum(east_m, metres_per_degree(np.radians(np.maximum(np.abs(y) - np.abs(uy) - np.abs(vy), 0.0)))[1])
    one = np.hypot((ux + vx) * east_m, (uy + vy) * north_m)
    other = np.hypot((ux - vx) * east_m, (uy - vy) * north_m)
    box = np.hypot((np.abs(ux) + np.abs(vx)) * east_m, (np.abs(uy) + np.abs(vy)) * north_m)
    least = limit_m * (1 - _NEAR) - _NEAR_M
    area = np.abs(ux * vy - uy * vx)
    thick = area > (np.abs(ux) + np.abs(uy) + np.abs(vx) + np.abs(vy)) * _THIN_DEG
    certain: Bools = (one < least) & (other < least) & (box < BOX_FACTOR * least) & thick & (np.abs(y) < _MAX_LAT_DEG)
    return certain


def within(rectangle: Floats, lat: Floats, lon: Floats) -> Bools:
    """Which places lie inside each rectangle, not on its sides; rectangles (m, 6), places (m, k)."""
    x, y, ux, uy, vx, vy = (column[:, None] for column in rectangle.T)
    east, north = lon - x, lat - y
    inside = np.ones(lat.shape, np.bool_)
    for sx, sy in ((ux, uy), (vx, vy)):
        along = (east * sx + north * sy) / (sx * sx + sy * sy)
        inside &= (along > _INSIDE) & (along < 1.0 - _INSIDE)
    return inside


def _gathered(lat: Floats, lon: Floats, first: Ints, last: Ints) -> tuple[Floats, Floats, Ints, Ints]:
    """Latitudes and longitudes of all windows one after the other, where each begins, and how many it has."""
    count = last - first + 1
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(count)[:-1]))
    rows = np.arange(int(count.sum())) - np.repeat(starts - first, count)
    return lat[rows], lon[rows], starts, count


def metres_per_degree(lat_rad: Floats) -> tuple[Floats, Floats]:
    """Metres per degree of latitude and of longitude on the ellipsoid: radii of curvature M and N cos(lat).

    Source: W. Torge, "Geodesy", 3rd ed., eq. 4.13 and 4.15.
    """
    sine = np.sin(lat_rad)
    inner = 1.0 - _E2 * sine * sine
    prime = _A_M / np.sqrt(inner)
    return np.radians(prime * (1.0 - _E2) / inner), np.radians(prime * np.cos(lat_rad))


def shorter(lat1: Floats, lon1: Floats, lat2: Floats, lon2: Floats, limit_m: float) -> Bools:
    """Whether the geodesic between two places is shorter than the limit; exact but for nanometres."""
    north_m, east_m = metres_per_degree(np.radians(0.5 * (lat1 + lat2)))
    turn = np.abs(lon2 - lon1)
    far = np.hypot((lat2 - lat1) * north_m, turn * east_m)
    out = far < limit_m
    polar = np.maximum(np.abs(lat1), np.abs(lat2)) > _MAX_LAT_DEG
    doubt = np.flatnonzero((np.abs(far - limit_m) <= limit_m * _NEAR + _NEAR_M) | polar | (turn > 1.0))
    if len(doubt):
        out[doubt] = geodesic_m(lat1[doubt], lon1[doubt], lat2[doubt], lon2[doubt]) < limit_m
    return out


def geodesic_m(lat1: Floats, lon1: Floats, lat2: Floats, lon2: Floats) -> Floats:
    """Length of the geodesic on WGS-84, m; degrees, shape (n,).

    Source: T. Vincenty, "Direct and inverse solutions of geodesics on the ellipsoid", Survey Review 23 (1975) 88. Two
    places nearly opposite on the earth, for which it does not converge, come out as infinitely far: nothing here is
    asked about so long a way.
    """
    reduced1 = np.arctan((1 - _F) * np.tan(np.radians(lat1)))
    reduced2 = np.arctan((1 - _F) * np.tan(np.radians(lat2)))
    sin1, cos1, sin2, cos2 = np.sin(reduced1), np.cos(reduced1), np.sin(reduced2), np.cos(reduced2)
    # sin(u2 - u1) = cos1 sin2 - sin1 cos2 without the cancellation that costs the last digits of short ways.
    apart = np.sin(reduced2 - reduced1)
    turn = np.radians((lon2 - lon1 + 180.0) % 360.0 - 180.0)
    lam = turn.copy()
    open_ = np.ones(len(lam), np.bool_)
    sigma = np.zeros(len(lam))
    correction = np.zeros(len(lam))
    for _ in range(_MAX_TURNS):
        half = np.sin(0.5 * lam)
        across = cos2 * np.sin(lam)
        ahead = apart + 2.0 * sin1 * cos2 * half * half
        sin_sigma = np.hypot(across, ahead)
        cos_sigma = sin1 * sin2 + cos1 * cos2 * np.cos(lam)
        sigma = np.arctan2(sin_sigma, cos_sigma)
        with np.errstate(divide="ignore", invalid="ignore"):
            sin_alpha = np.where(sin_sigma > 0, cos1 * across / sin_sigma, 0.0)
            cos2_alpha = 1.0 - sin_alpha * sin_alpha
            cos_2m = np.where(cos2_alpha > 0, cos_sigma - 2.0 * sin1 * sin2 / cos2_alpha, 0.0)
        c = _F / 16.0 * cos2_alpha * (4.0 + _F * (4.0 - 3.0 * cos2_alpha))
        before = lam
        lam = turn + (1.0 - c) * _F * sin_alpha * (
            sigma + c * sin_sigma * (cos_2m + c * cos_sigma * (2.0 * cos_2m * cos_2m - 1.0))
        )
        open_ = np.abs(lam - before) > _CONVERGED
        u2 = cos2_alpha * (_A_M * _A_M - _B_M * _B_M) / (_B_M * _B_M)
        big_a = 1.0 + u2 / 16384.0 * (4096.0 + u2 * (-768.0 + u2 * (320.0 - 175.0 * u2)))
        big_b = u2 / 1024.0 * (256.0 + u2 * (-128.0 + u2 * (74.0 - 47.0 * u2)))
        square = cos_2m * cos_2m
        third = big_b / 6.0 * cos_2m * (4.0 * sin_sigma * sin_sigma - 3.0) * (4.0 * square - 3.0)
        correction = big_b * sin_sigma * (cos_2m + big_b / 4.0 * (cos_sigma * (2.0 * square - 1.0) - third))
        if not open_.any():
            break
    return np.where(open_, np.inf, _B_M * big_a * (sigma - correction))
