"""Stops, exactly as MovingPandas' `TrajectoryStopDetector` finds them, for all devices at once.

What it finds: a window of a device's last points grows by each new point. While the device does not stand, the window is
cut at the front to less than `min_stop_ms` (but never below two points). The device stands when the window is small
(`rectangle.small`); then the window is no longer cut. When it is not small any more and had lasted `min_stop_ms` up to
the point before, that is a stop, and the window begins anew with the newest point; else it goes on being cut. A stop
that lasts to the last point is one as well. Of points with one time the first counts.

How: unless a stop has just ended, the window at a point is told by time alone. A stop takes root at the row that makes a
window long enough, if the window stands and is small with that row too; windows that never get so far need not be
looked at. So all roots are known at once, nearly always from bounding boxes. Where no stop can have ended within a
window and its row tells by itself whether it stands, the track is cut into lanes that do not know of each other. All
lanes are then followed at once, from one stop to the next. Invariants: no loop over points; lanes of one device give
what the device alone gives. It knows neither marks nor trips.

Where it can differ from MovingPandas: a diagonal within 0.1 µm of the limit; two rectangles around the same points whose
areas are the same to the last bit; and windows of more than 50 points nearly on one line, whose hull GEOS (3.14) can get
wrong so that its rectangle misses points it should hold: MovingPandas then calls a window small that is wider than the
limit, and here it is not small where its bounding box says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.trips.boxes import MAX_DIAMETER_M, NEVER, PERHAPS, SURELY, Boxes, Codes, flat
from analytics.trips.legs import worth_looking
from analytics.trips.rectangle import BOUNDS_POINTS, bounds, rectangles, small, within
from analytics.trips.walk import AFTER, FREE, GROWS, LIES, STANDS_YET, Walk
from model.errors import UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DEFAULT_MIN_STOP_MS = 120_000
DEFAULT_MAX_DIAMETER_M = 100.0
#: Points looked at together: enough that many stand at once, about 200 bytes of memory each.
DEFAULT_CHUNK_POINTS = 1 << 21
#: So many points back are compared one by one before the rest is searched.
_NEAR_POINTS = 6
#: A window's rectangle is kept, to take in several points at once: how many are tried.
_TESTED_AT_ONCE, _LEAST_RUN, _MOST_RUN = 4_096, 8, 256


@dataclass(frozen=True, slots=True)
class Stops:
    """Stops in order of (slot, time); columns of shape (stops,).

    Attributes:
        first, last: int64, rows of the first and the last point of each.
    """

    first: Ints
    last: Ints

    def __len__(self) -> int:
        return len(self.first)


def stops(
    slot: npt.NDArray[np.integer],
    time_ms: Ints,
    lat: Floats,
    lon: Floats,
    *,
    min_stop_ms: int = DEFAULT_MIN_STOP_MS,
    max_diameter_m: float = DEFAULT_MAX_DIAMETER_M,
    chunk_points: int = DEFAULT_CHUNK_POINTS,
) -> Stops:
    """The stops of each device; columns of shape (n,) in the order (slot, time), places in degrees.

    Raises UsageError for limits that are not positive or a diameter above 10 km.
    """
    if min_stop_ms <= 0 or not 0 < max_diameter_m <= MAX_DIAMETER_M or chunk_points < 1:
        raise UsageError(
            f"A stop of {min_stop_ms} ms within {max_diameter_m} m cannot be looked for.",
            mend=f"Give a positive time and a diameter up to {MAX_DIAMETER_M:.0f} m.",
        )
    found = [
        _chunk(slot[a:b], time_ms[a:b], lat[a:b], lon[a:b], a, min_stop_ms, max_diameter_m)
        for a, b in _chunks(slot, chunk_points)
    ]
    first = np.concatenate([one[0] for one in found]) if found else np.zeros(0, np.int64)
    last = np.concatenate([one[1] for one in found]) if found else np.zeros(0, np.int64)
    return Stops(first, last)


def _chunks(slot: npt.NDArray[np.integer], chunk_points: int) -> list[tuple[int, int]]:
    """Runs of whole devices with about so many points."""
    edges = np.flatnonzero(slot[1:] != slot[:-1]) + 1
    out = []
    begin = 0
    while begin < len(slot):
        at = int(np.searchsorted(edges, begin + chunk_points))
        end = int(edges[at]) if at < len(edges) else len(slot)
        out.append((begin, end))
        begin = end
    return out


def _chunk(
    slot: npt.NDArray[np.integer], time: Ints, lat: Floats, lon: Floats, offset: int, min_ms: int, diameter_m: float
) -> tuple[Ints, Ints]:
    """First and last rows (counted from `offset` on) of the stops of some whole devices."""
    other = np.ones(len(slot), np.bool_)
    np.not_equal(slot[1:], slot[:-1], out=other[1:])
    again = time[1:] == time[:-1]
    again &= ~other[1:]
    base: Ints | None = None
    if again.any():
        base = np.delete(np.arange(len(slot)), np.flatnonzero(again) + 1)
        time, lat, lon, other = time[base], lat[base], lon[base], other[base]
    rows, begins = worth_looking(other, time, lat, lon, min_ms, diameter_m)
    if not len(rows):
        return rows, rows
    lanes = _Lanes(time[rows], lat[rows], lon[rows], begins, min_ms, diameter_m)
    first, last = lanes.follow()
    first, last = rows[first], rows[last]
    if base is not None:
        first, last = base[first], base[last]
    order = np.argsort(first)
    return first[order] + offset, last[order] + offset


class _Lanes:
    """Pieces of tracks, each with a beginning of its own, and the following of all of them at once.

    Args:
        time, lat, lon: shape (n,).
        begins: rows that begin a piece.
        min_ms, diameter_m: limits.

    `window[i]` is the first row of the window that ends at row i when no stop has just ended, `code[i]` what it says.
    """

    def __init__(self, time: Ints, lat: Floats, lon: Floats, begins: Bools, min_ms: int, diameter_m: float) -> None:
        self.time, self.lat, self.lon = time, lat, lon
        self.min_ms, self.diameter_m = min_ms, diameter_m
        rows = len(time)
        self.starts = starts = np.flatnonzero(begins)
        self.piece = np.cumsum(begins) - 1
        self.ends = np.append(starts[1:], rows) - 1
        shortest = self._within(starts)
        at = np.arange(rows)
        #: The window one longer than any that is cut: the shortest that a stop ending here can have.
        self.stop_from = shortest - 1
        self.window = np.minimum(shortest, at - 1)
        np.maximum(self.window, starts[self.piece], out=self.window)
        longest = int((at - self.window).max(initial=0)) + 2
        self.boxes = Boxes(lat, lon, longest.bit_length(), diameter_m)
        moved = np.zeros(rows, np.int64)
        moved[1:] = (lat[1:] != lat[:-1]) | (lon[1:] != lon[:-1])
        self.steps = np.cumsum(moved)
        self.bend = np.maximum.accumulate(np.where(flat(begins, lat, lon), -1, at))
        self.cut = np.zeros(rows, np.bool_)
        np.greater(self.window[1:], self.window[:-1], out=self.cut[1:])
        self.cut &= ~begins
        #: Two points far enough apart in time to be a stop by themselves.
        self.lone = (self.stop_from == at - 1) & ~begins
        self.code = self._code(self.boxes.of(self.window, at), self.window, at)
        self.code[starts] = NEVER

    def _within(self, starts: Ints) -> Ints:
        """First row of each row's piece less than `min_ms` before it."""
        rows = len(self.time)
        # One clock for all pieces: each begins more than min_ms after the one before.
        first, last = self.time[starts], self.time[self.ends]
        begin = np.zeros(len(starts), np.int64)
        np.cumsum((last - first + self.min_ms + 1)[:-1], out=begin[1:])
        clock = self.time - (first - begin)[self.piece]
        count = np.zeros(rows, np.int64)
        inside = np.ones(rows, np.bool_)
        for back in range(1, min(_NEAR_POINTS, rows - 1) + 1):
            inside = clock[back:] - clock[:-back] < self.min_ms
            count[back:] += inside
            if not inside.any():
                break
        else:
            more = np.flatnonzero(count == _NEAR_POINTS)
            count[more] = more - np.searchsorted(clock, clock[more] - self.min_ms, side="right")
        return np.arange(rows) - count

    def _bent(self, first: Ints, last: Ints) -> Bools:
        """Windows whose points are not all on one line, so that `NEVER` holds for every window around them."""
        bent: Bools = self.bend[last] >= first + 2
        return bent

    def _code(self, box: npt.NDArray[np.int32], first: Ints, last: Ints) -> Codes:
        """What is certain of each window; of two points the distance is what counts."""
        code = self.boxes.code(box, last)
        flat = (code == NEVER) & ~self._bent(first, last)
        # Two places, as often as each may come, have an exact line.
        code[flat & (self.steps[last] - self.steps[first] > 1)] = PERHAPS
        return code

    def follow(self) -> tuple[Ints, Ints]:
        """First and last rows of all stops, in any order."""
        may_end = self._may_end()
        self._take_root(may_end)
        ends = self._lane_ends(may_end)
        lane = np.searchsorted(ends, self.roots)
        new = np.ones(len(lane), np.bool_)
        np.not_equal(lane[1:], lane[:-1], out=new[1:])
        walk = Walk(self.roots[new], ends[lane[new]])
        while len(walk.at):
            self._seek(walk)
            self._grow(walk)
            walk.leave()
        return walk.stops()

    def _may_end(self) -> Ints:
        """Rows at which a stop may last: the shortest window long enough is not too large for certain."""
        last = np.flatnonzero(self.stop_from >= self.starts[self.piece])
        first = self.stop_from[last]
        code = self.boxes.code(self.boxes.of(first, last), last)
        may: Ints = last[(code != NEVER) | ~self._bent(first, last)]
        return may

    def _take_root(self, may_end: Ints) -> None:
        """Find the rows where a stop takes root if none has just ended: `roots`, and first rows of the windows, `root_first`.

        A window that stands becomes a stop with the row that makes it long enough, if it is small with that row, too;
        that is where a window that does not stand is cut. When it is not small, it stands no more, and is cut one row
        later only: so of rows in a row that cut, each stands only if the one before does not.
        """
        rows = len(self.time)
        last = may_end[self.cut[may_end]]
        first = self.window[last - 1]
        last = last[self._fits(first, last)]
        #: The window uncut is small with this row.
        self.lasts = np.zeros(rows, np.bool_)
        self.lasts[last] = True
        lone = may_end[self.lone[may_end]]
        lone = lone[self.code[lone] != NEVER]
        self._know(lone)
        lone = lone[self.code[lone] == SURELY]
        # The state is asked for at the rows before these. It is told by the last row that does not depend on the one before.
        root = np.zeros(rows, np.bool_)
        root[last], root[lone] = True, True
        asked = np.flatnonzero(root) - 1
        open_ = np.flatnonzero(self.code == PERHAPS)
        alone = np.append(np.flatnonzero(~self.cut | (self.code == NEVER)), rows)
        ask = np.append(asked, rows)[np.searchsorted(asked, open_)]
        self._know(open_[ask < alone[np.searchsorted(alone, open_, side="right")]])
        alone = np.flatnonzero(~self.cut | (self.code != SURELY))
        since = alone[np.searchsorted(alone, asked, side="right") - 1]
        stands = (self.code[since] == SURELY) ^ ((asked - since) % 2 == 1)
        roots = asked + 1
        uncut = self.lasts[roots] & stands
        keep = uncut | (self.lone[roots] & ~stands & (self.code[roots] == SURELY))
        self.roots = roots[keep]
        self.root_first = np.where(uncut, self.window[asked], asked)[keep]

    def _know(self, rows: Ints) -> None:
        """Decide the windows at these rows of which boxes are not sure."""
        rows = rows[self.code[rows] == PERHAPS]
        if len(rows):
            fits = small(self.lat, self.lon, self.window[rows], rows, self.diameter_m)
            self.code[rows] = np.where(fits, SURELY, NEVER)

    def _fits(self, first: Ints, last: Ints) -> Bools:
        """Which windows are small."""
        code = self._code(self.boxes.of(first, last), first, last)
        fits: Bools = code == SURELY
        ask = np.flatnonzero(code == PERHAPS)
        if len(ask):
            fits[ask] = small(self.lat, self.lon, first[ask], last[ask], self.diameter_m)
        return fits

    def _lane_ends(self, may_end: Ints) -> Ints:
        """Last rows of the lanes: what is found after them does not depend on stops before.

        That is so where the window begins after the last row that may end a stop, and whether it stands is told by this
        row alone.
        """
        rows = len(self.time)
        latest = np.full(rows, -1)
        latest[may_end] = may_end
        np.maximum.accumulate(latest, out=latest)
        free = (self.window > latest) & (~self.cut | (self.code == NEVER))
        free[self.ends] = True
        return np.flatnonzero(free)

    def _seek(self, walk: Walk) -> None:
        """Bring every walker that does not stand to the next row where a stop takes root, or over the end of its lane."""
        who = (walk.mode == AFTER).nonzero()[0]
        if len(who):
            self._begin_anew(walk, who)
        who = (walk.mode >= LIES).nonzero()[0]
        if len(who):
            self._step(walk, who)
        who = (walk.mode == FREE).nonzero()[0]
        if len(who):
            root = np.searchsorted(self.roots, walk.at[who])
            row = np.append(self.roots, len(self.time))[root]
            walk.at[who] = row
            found = row <= walk.end[who]
            self._stand(walk, who[found], self.root_first[root[found]], row[found])

    def _begin_anew(self, walk: Walk, who: npt.NDArray[np.intp]) -> None:
        """A stop has ended before the row `at`, where a window begins: what of it when it is long enough?"""
        first = walk.at[who]
        walk.at[who] = walk.end[who] + 1
        left = first < walk.end[who]
        who, first = who[left], first[left]
        row = np.searchsorted(self.stop_from, first)
        left = row <= walk.end[who]
        who, first, row = who[left], first[left], row[left]
        lone = row == first + 1
        fits = self._fits(first, row)
        stands = fits & lone
        # Did it stand at the row before? Asked only where it matters.
        ask = np.flatnonzero(~lone & (fits | (self.code[row] != NEVER)))
        before = np.zeros(len(who), np.bool_)
        before[ask] = self._fits(first[ask], row[ask] - 1)
        stands |= fits & before
        self._stand(walk, who[stands], first[stands], row[stands])
        goes = ~stands
        self._fall(walk, who[goes], row[goes], before[goes] | lone[goes])

    def _fall(self, walk: Walk, who: npt.NDArray[np.intp], row: Ints, stood: Bools) -> None:
        """The window is cut at this row, unless it stood until now; see whether it stands."""
        self._know(row[~stood])
        fits = (self.code[row] == SURELY) & ~stood
        root = fits & self.lone[row]
        self._stand(walk, who[root], row[root] - 1, row[root])
        who, row, fits = who[~root], row[~root], fits[~root]
        walk.at[who] = row + 1
        walk.mode[who] = np.where(self.code[row] == NEVER, FREE, np.where(fits, STANDS_YET, LIES))

    def _step(self, walk: Walk, who: npt.NDArray[np.intp]) -> None:
        """One row on for walkers whose state is not what it would be had no stop ended."""
        left = walk.at[who] <= walk.end[who]
        who = who[left]
        row = walk.at[who]
        same = ~self.cut[row]
        walk.mode[who[same]] = FREE
        who, row = who[~same], row[~same]
        stood = walk.mode[who] == STANDS_YET
        root = stood & self.lasts[row]
        self._stand(walk, who[root], self.window[row[root] - 1], row[root])
        self._fall(walk, who[~root], row[~root], stood[~root])

    def _stand(self, walk: Walk, who: npt.NDArray[np.intp], first: Ints, at: Ints) -> None:
        walk.mode[who] = GROWS
        walk.first[who], walk.at[who] = first, at
        walk.box[who] = self.boxes.of(first, at)

    def _grow(self, walk: Walk) -> None:
        """Let every stop grow while its window is small."""
        who = (walk.mode == GROWS).nonzero()[0]
        box, at, end = walk.box[who], walk.at[who] + 1, walk.end[who]
        for level in range(min(self.boxes.levels, walk.turn + 3) - 1, -1, -1):
            run = 1 << level
            fits = (at + run <= end + 1).nonzero()[0]
            grown = np.minimum(box[fits], self.boxes.block(level, at[fits]))
            still = self.boxes.is_surely(grown)
            fits = fits[still]
            box[fits] = grown[still]
            at[fits] += run
        walk.turn += 1
        walk.box[who], walk.at[who] = box, at - 1
        over = at > end
        ends = who[over]
        walk.keep(ends, walk.end)
        walk.at[ends] = walk.end[ends] + 1
        walk.mode[ends] = FREE
        self._leave_or_stay(walk, who[~over], at[~over], box[~over])

    def _leave_or_stay(self, walk: Walk, who: npt.NDArray[np.intp], at: Ints, box: npt.NDArray[np.int32]) -> None:
        """The first row that the box alone does not let in: is the window still small with it?"""
        box = np.minimum(box, self.boxes.block(0, at))
        first = walk.first[who]
        code = self._code(box, first, at)
        ask = (code == PERHAPS).nonzero()[0]
        tried = ask[at[ask] - first[ask] < BOUNDS_POINTS]
        code[tried] = bounds(self.lat, self.lon, first[tried], at[tried], self.diameter_m)
        many = ask[code[ask] == PERHAPS]
        if len(many):
            fits, rectangle = rectangles(self.lat, self.lon, first[many], at[many], self.diameter_m)
            code[many] = np.where(fits, SURELY, NEVER)
            known = ~np.isnan(rectangle[:, 0])
            many = many[known]
            at[many], box[many] = self._wait(rectangle[known], at[many], box[many], walk.end[who[many]])
        stays = code == SURELY
        walk.box[who[stays]], walk.at[who[stays]] = box[stays], at[stays]
        goes, at = who[~stays], at[~stays]
        walk.mode[goes] = AFTER
        walk.at[goes] = at
        walk.keep(goes, walk.at - 1)

    def _wait(
        self, rectangle: Floats, at: Ints, box: npt.NDArray[np.int32], end: Ints
    ) -> tuple[Ints, npt.NDArray[np.int32]]:
        """Take in the next points that lie inside the rectangle of a window: it stays the smallest with them.

        No rectangle around more points is smaller, and this one is around them still.
        """
        left = np.arange(len(at))
        while len(left):
            run = min(max(_TESTED_AT_ONCE // len(left), _LEAST_RUN), _MOST_RUN)
            rows = at[left, None] + np.arange(1, run + 1)
            there = rows <= end[left, None]
            np.minimum(rows, len(self.time) - 1, out=rows)
            # The place of the row before is in the window already, be it a corner.
            same = self.steps[rows] == self.steps[rows - 1]
            inside = there & (same | within(rectangle[left], self.lat[rows], self.lon[rows]))
            all_of_it = inside.all(axis=1)
            lead = np.where(all_of_it, run, np.argmin(inside, axis=1))
            rows = np.where(np.arange(run) < lead[:, None], rows, at[left, None])
            box[left] = np.minimum(box[left], self.boxes.block(0, rows).min(axis=1))
            at[left] += lead
            left = left[all_of_it]
        return at, box
