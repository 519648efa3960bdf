"""How the fixes of a vehicle that stands wander: found in real tracks, fitted, and made again for any number of bikes.

Purpose: (1) `standing_stretches` finds where a vehicle stood; (2) `fit` measures the spread of each place, how long an
error lasts and how often it leaps; (3) `draw` makes errors like these. Invariants: pure but for the generator handed in;
metres on a plane about the place, [n, 2] east and north; an excursion that comes back within `AWAY_S` is an error and stays
in, one that lasts longer cannot be told from a vehicle that was moved and ends the stretch. It reads no file.

The model of one place, per axis: `spread_m` × a sum of Ornstein-Uhlenbeck processes (weights `weights` at memories
`MEMORIES_S`), and on top excursions: at times of a Poisson process the fix is off by a log-normal distance in any
direction, for an exponential time. An Ornstein-Uhlenbeck process is the continuous form of a first-order autoregression
(G. E. Uhlenbeck, L. S. Ornstein, Physical Review 36 (1930) 823), so that it can be drawn for any interval of reports.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

#: A gap this long between fixes ends a stretch.
GAP_S = 600.0
#: So long away is a move; half of the window of the running median.
AWAY_S = 900.0
#: The running median of one place stays within this; a single fix, within reach.
PLACE_M = 20.0
REACH_M = 150.0
#: The same in units of the median distance of single fixes from it, where that is more.
ROUGH_FACTOR = 3.0
#: Cut off at either end of a stretch: rolling in, setting off.
TRIM_S = 300.0
DEFAULT_SHORTEST_S = 3_600.0

#: Memories of the sum. Reports of a minute cannot resolve the shortest: that part may be as short as white.
MEMORIES_S = (20.0, 90.0, 400.0, 1_800.0, 7_200.0)
LAGS_S = (60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1_800.0, 2_700.0, 3_600.0)
#: An excursion: beyond so many spreads of its place, and so many metres.
EXCURSION_SPREADS = 5.0
EXCURSION_MIN_M = 10.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """One vehicle standing at one place: time_s float64 (n,), offset_m float64 (n, 2) from the median of its fixes."""

    time_s: Floats
    offset_m: Floats

    @property
    def hours(self) -> float:
        """From its first fix to its last."""
        return float(self.time_s[-1] - self.time_s[0]) / 3_600.0


@dataclass(frozen=True, slots=True)
class Noise:
    """The fitted model; see the module.

    Attributes:
        spreads_m: of each place that was measured, m per axis; a drawn bike gets one of them.
        weights: of `MEMORIES_S`.
        excursions_per_h: how often they begin.
        excursion_s: mean time they last.
        excursion_log_m: mean and spread of the natural logarithm of their distance in metres.
    """

    spreads_m: tuple[float, ...]
    weights: tuple[float, ...]
    excursions_per_h: float
    excursion_s: float
    excursion_log_m: tuple[float, float]

    def correlation(self, lag_s: float) -> float:
        """Autocorrelation of the sum at a lag."""
        left = sum(w * math.exp(-lag_s / m) for w, m in zip(self.weights, MEMORIES_S, strict=True))
        return left / sum(self.weights)


def standing_stretches(
    time_s: Floats, east_m: Floats, north_m: Floats, *, shortest_s: float = DEFAULT_SHORTEST_S
) -> list[Stretch]:
    """Where one vehicle stood; columns of shape (n,) in the order of time."""
    found: list[Stretch] = []
    for begin, end in _slow_runs(time_s, east_m, north_m, shortest_s):
        time, place = time_s[begin:end], np.column_stack((east_m[begin:end], north_m[begin:end]))
        smooth = _running_median(time, place)
        at = 0
        while at < len(time) - 1:
            near = np.searchsorted(time, time[at] + 2 * AWAY_S)
            centre = np.median(smooth[at : max(near, at + 1)], axis=0)
            # Where the sky is poor the running median wanders as well: as far as single fixes scatter about it.
            rough_m = float(np.median(np.hypot(*(place - smooth)[at : max(near, at + 1)].T)))
            off = np.hypot(*(smooth[at:] - centre).T) > max(PLACE_M, ROUGH_FACTOR * rough_m)
            off |= np.hypot(*(place[at:] - centre).T) > REACH_M
            stop = at + int(off.argmax()) if off.any() else len(time)
            inner = np.arange(at, stop)
            if stop > at:
                inner = inner[(time[inner] >= time[at] + TRIM_S) & (time[inner] <= time[stop - 1] - TRIM_S)]
            if len(inner) > 1 and time[inner[-1]] - time[inner[0]] >= shortest_s:
                found.append(Stretch(time[inner], place[inner] - np.median(place[inner], axis=0)))
            at = max(stop, at + 1)
    return found


def _slow_runs(time_s: Floats, east_m: Floats, north_m: Floats, shortest_s: float) -> list[tuple[int, int]]:
    """Runs without a gap in which the vehicle stays within reach of where it was half an hour before; first look only."""
    half = np.searchsorted(time_s, time_s - 2 * AWAY_S)
    moved = np.hypot(east_m - east_m[half], north_m - north_m[half]) > 2 * REACH_M
    gap = np.zeros(len(time_s), np.bool_)
    gap[1:] = np.diff(time_s) > GAP_S
    number = np.cumsum(gap | (moved != np.concatenate(([False], moved[:-1]))))
    edges = np.concatenate(([0], np.flatnonzero(np.diff(number)) + 1, [len(time_s)]))
    return [
        (a, b)
        for a, b in pairwise(edges.tolist())
        if b - a > 2 and not moved[a] and time_s[b - 1] - time_s[a] >= shortest_s
    ]


def _running_median(time_s: Floats, place_m: Floats) -> Floats:
    low = np.searchsorted(time_s, time_s - AWAY_S)
    high = np.searchsorted(time_s, time_s + AWAY_S, side="right")
    return np.array([np.median(place_m[a:b], axis=0) for a, b in zip(low.tolist(), high.tolist(), strict=True)])


def calm(stretch: Stretch) -> tuple[npt.NDArray[np.bool_], float]:
    """Which fixes are no excursion, and the spread of those, m per axis."""
    far = np.hypot(*stretch.offset_m.T)
    # The median of a Rayleigh distribution is 1.1774 spreads; what is rounded to the grid of the data is not zero.
    spread = max(float(np.median(far)) / 1.1774, 0.5)
    keep = far <= max(EXCURSION_SPREADS * spread, EXCURSION_MIN_M)
    return keep, max(float(np.sqrt((stretch.offset_m[keep] ** 2).mean())), 0.5)


def structure(stretches: Sequence[Stretch], lags_s: Sequence[float] = LAGS_S) -> Floats:
    """Mean square change over each lag in units of the place's variance, excursions left out, places weighing alike.

    Half of it is 1 - autocorrelation, but it needs no mean, which a stretch of hours does not know well.
    """
    sums = np.zeros((len(lags_s), 2))
    for one in stretches:
        keep, spread = calm(one)
        time, offset = one.time_s[keep], one.offset_m[keep] / spread
        for number, lag in enumerate(lags_s):
            after = np.searchsorted(time, time + lag - 15.0)
            has = after < len(time)
            has[has] &= time[after[has]] - time[has] <= lag + 15.0
            if has.sum() >= 10:
                sums[number] += ((offset[after[has]] - offset[has]) ** 2).mean(), 1.0
    return np.asarray(sums[:, 0] / np.maximum(sums[:, 1], 1.0))


def fit(stretches: Sequence[Stretch]) -> Noise:
    """The model of these stretches."""
    seen = structure(stretches)
    lags, memories = np.array(LAGS_S), np.array(MEMORIES_S)
    weights = _non_negative(2.0 * (1.0 - np.exp(-lags[:, None] / memories)), seen)
    spreads, logs, lasted, hours = [], [], [], 0.0
    for one in stretches:
        keep, spread = calm(one)
        spreads.append(spread)
        hours += one.hours
        far = np.hypot(*one.offset_m.T)
        for begin, end in _runs(~keep):
            logs.append(float(np.log(far[begin:end].max())))
            lasted.append(float(one.time_s[min(end, len(far) - 1)] - one.time_s[begin]))
    return Noise(
        spreads_m=tuple(sorted(spreads)),
        weights=tuple(weights.tolist()),
        excursions_per_h=len(logs) / hours,
        excursion_s=float(np.mean(lasted)),
        excursion_log_m=(float(np.mean(logs)), float(np.std(logs))),
    )


def _runs(which: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(which.astype(np.int8), prepend=0, append=0))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _non_negative(columns: Floats, wanted: Floats) -> Floats:
    """Least squares with no weight below 0: the best of all subsets of the few columns."""
    best, best_rest = np.zeros(columns.shape[1]), float((wanted**2).sum())
    for size in range(1, columns.shape[1] + 1):
        for some in combinations(range(columns.shape[1]), size):
            part = columns[:, some]
            weights = np.linalg.lstsq(part, wanted, rcond=None)[0]
            rest = float(((part @ weights - wanted) ** 2).sum())
            if weights.min() >= 0.0 and rest < best_rest:
                best, best_rest = np.zeros(columns.shape[1]), rest
                best[list(some)] = weights
    return best


def draw(noise: Noise, spread_m: Floats, every_s: float, count: int, rng: np.random.Generator) -> Floats:
    """Errors of `len(spread_m)` bikes at `count` reports, m, shape (bikes, count, 2)."""
    bikes = len(spread_m)
    made = np.zeros((bikes, count, 2))
    for weight, memory in zip(noise.weights, MEMORIES_S, strict=True):
        if weight <= 0.0:
            continue
        keeps = float(np.exp(-every_s / memory))
        news = rng.standard_normal((count, bikes, 2))
        news[1:] *= np.sqrt(1.0 - keeps * keeps)
        for at in range(1, count):  # over time; all bikes at once
            news[at] += keeps * news[at - 1]
        made += np.sqrt(weight) * news.transpose(1, 0, 2)
    made *= spread_m[:, None, None]
    for bike in range(bikes):
        _add_excursions(made[bike], noise, every_s, rng)
    return made


def _add_excursions(offset_m: Floats, noise: Noise, every_s: float, rng: np.random.Generator) -> None:
    spans_s = len(offset_m) * every_s
    number = int(rng.poisson(noise.excursions_per_h * spans_s / 3_600.0))
    begin = rng.random(number) * spans_s
    end = begin + rng.exponential(noise.excursion_s, number)
    far = np.exp(rng.normal(*noise.excursion_log_m, number))
    turn = rng.random(number) * 2.0 * np.pi
    for start, stop, length, angle in zip(begin, end, far, turn, strict=True):
        here = slice(int(np.ceil(start / every_s)), int(np.ceil(stop / every_s)))
        offset_m[here] += length * np.array([np.cos(angle), np.sin(angle)])
