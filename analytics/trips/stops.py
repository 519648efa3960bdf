"""Stops, exactly as MovingPandas' `TrajectoryStopDetector` finds them, for all devices at once.

What it finds: a window of a device's last points grows by each new point. While the device does not stand, the window is
cut at the front to less than `min_stop_ms` (but never below two points). The device stands when the window is small
(`rectangle.small`); then the window is no longer cut. When it is not small any more and had lasted `min_stop_ms` up to
the point before, that is a stop, and the window begins anew with the newest point; else it goes on being cut. A stop
that lasts to the last point is one as well. Of points with one time the first counts.

How: unless a stop has just ended, the window at a point is told by time alone, so what each says is known for all points
at once, nearly always from its bounding box. A device cannot stand where its window is too large for sure and no stop can
have ended within it: there the track is cut into lanes that do not know of each other. All lanes are then followed
at once, from one stand to the next. Invariants: no loop over points; lanes of one device give what the device alone
gives. It knows neither marks nor trips.

Where it can differ from MovingPandas: a diagonal within 0.1 µm of the limit; two rectangles around the same points whose
areas are the same to the last bit; and windows of more than 50 points nearly on one line, whose hull GEOS (3.14) can get
wrong so that its rectangle misses points it should hold: MovingPandas then calls a window small that is wider than the
limit, and here it is not small where its bounding box says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.trips.boxes import MAX_DIAMETER_M, NEARLY_A_LINE, NEVER, PERHAPS, SURELY, Boxes, Codes, flat, never_from
from analytics.trips.rectangle import rectangles, small, within
from analytics.trips.walk import Walk
from model.errors import UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DEFAULT_MIN_STOP_MS = 120_000
DEFAULT_MAX_DIAMETER_M = 100.0
#: Points looked at together: enough that many stand at once, about 200 bytes of memory each.
DEFAULT_CHUNK_POINTS = 1 << 20
#: Rows of a column that stay in the processor's cache together with what is made of them.
_BLOCK_ROWS = 1 << 14
_HALF_TURN_DEG = 180.0
#: So many points back are compared one by one before the rest is searched.
_NEAR_POINTS = 6
#: From so many points on a window's rectangle is kept, to take in several points at once; and how many are tried.
_MANY_POINTS = 5
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
    rows, begins = _worth_looking(other, time, lat, lon, min_ms, diameter_m)
    if not len(rows):
        return rows, rows
    lanes = _Lanes(time[rows], lat[rows], lon[rows], begins, min_ms, diameter_m)
    first, last = lanes.follow()
    first, last = rows[first], rows[last]
    if base is not None:
        first, last = base[first], base[last]
    order = np.argsort(first)
    return first[order] + offset, last[order] + offset


def _worth_looking(
    other: Bools, time: Ints, lat: Floats, lon: Floats, min_ms: int, diameter_m: float
) -> tuple[Ints, Bools]:
    """Rows that can be part of a stop, and which of them begin a piece that knows nothing of those before it.

    No stop holds a leg that no small window can hold, so stops lie in runs without one, and only in runs that last long
    enough. The row before a run goes with it: every window that begins there or earlier has the long leg in it and cannot
    be small, whatever its beginning, so that row is as good as a device's first.
    """
    near = _near(other, lat, lon, diameter_m)
    edges = np.flatnonzero(near[1:] != near[:-1])
    first, last = edges[::2], edges[1::2]
    long = time[last] - time[first] >= min_ms
    first, last = first[long], last[long]
    first -= ~other[first]
    if not len(first):
        return first, np.zeros(0, np.bool_)
    # Of two runs side by side the row before the second is the last of the first.
    joined = np.zeros(len(first), np.bool_)
    np.equal(first[1:], last[:-1], out=joined[1:])
    first += joined
    count = last - first + 1
    starts = np.cumsum(count) - count
    rows = np.arange(int(count.sum())) + np.repeat(first - starts, count)
    begins = np.zeros(len(rows), np.bool_)
    begins[starts] = ~joined
    return rows, begins


def _near(other: Bools, lat: Floats, lon: Floats, diameter_m: float) -> Bools:
    """Whether a small window can hold the leg to each row, False for a device's first and, at the end, for none; (n + 1,).

    Looked at in blocks that stay in the processor's cache.
    """
    rows = len(lat)
    near = np.zeros(rows + 1, np.bool_)
    for begin in range(1, rows, _BLOCK_ROWS):
        end = min(begin + _BLOCK_ROWS, rows)
        # One row more at either end, to tell lines.
        low, high = max(begin - 2, 0), min(end + 1, rows)
        places, turns = lat[low:high], lon[low:high]
        north, east = places[1:] - places[:-1], turns[1:] - turns[:-1]
        line = north[:-1] * east[1:]
        line -= east[:-1] * north[1:]
        np.abs(line, out=line)
        # On one line, even a long leg says nothing for certain (see `boxes`): it may be of the rows before or after.
        straight = line <= NEARLY_A_LINE
        # Across the date line a leg is not as long as it looks.
        around = np.abs(east) >= _HALF_TURN_DEG if np.ptp(turns) >= _HALF_TURN_DEG else None
        poleward = max(-float(places.min()), float(places.max()))
        limit = float(never_from(np.array([poleward]), diameter_m)[0]) * 1e-7
        north *= north
        east *= east
        north += east
        here = north < limit * limit
        if around is not None:
            here |= around
        here[1:] |= straight
        here[:-1] |= straight
        near[begin:end] = here[begin - low - 1 : end - low - 1]
    near[:rows] &= ~other
    return near


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
        self.code = self._code(self.boxes.of(self.window, at), self.window, at)
        self.too_large = (self.code == NEVER) & self._bent(self.window, at)
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
        self._ask_perhaps()
        rows = len(self.time)
        can = np.where(self.code != NEVER, np.arange(rows), rows)
        #: The next row, from each on, whose window is small.
        self.next = np.append(np.minimum.accumulate(can[::-1])[::-1], rows)
        begin, end = self._lanes()
        busy = self.next[begin] <= end
        walk = Walk(begin[busy], end[busy])
        while len(walk.at):
            self._seek(walk)
            self._grow(walk)
            walk.leave()
        return walk.stops()

    def _ask_perhaps(self) -> None:
        """Decide what boxes could not."""
        open_ = np.flatnonzero(self.code == PERHAPS)
        if len(open_):
            fits = small(self.lat, self.lon, self.window[open_], open_, self.diameter_m)
            self.code[open_] = np.where(fits, SURELY, NEVER)

    def _lanes(self) -> tuple[Ints, Ints]:
        """First and last rows of the lanes.

        A stop can end at a row only where the shortest window that lasted long enough is not too large for sure, and then
        the next row begins a window. A row whose window cannot be small, wherever the last such beginning was, ends a lane.
        """
        rows = len(self.time)
        at = np.arange(rows)
        reset = np.full(rows + 1, -1)
        maybe = np.flatnonzero(~self.too_large & (self.stop_from >= self.starts[self.piece]))
        begin = self.stop_from[maybe]
        maybe = maybe[(self.boxes.code(self.boxes.of(begin, maybe), maybe) != NEVER) | ~self._bent(begin, maybe)]
        reset[maybe + 1] = maybe + 1
        latest = np.maximum.accumulate(reset[:rows])
        free = self.too_large & (latest <= self.window)
        ask = np.flatnonzero(self.too_large & (latest > self.window) & (latest < at))
        begin = latest[ask]
        free[ask] = (self.boxes.code(self.boxes.of(begin, ask), ask) == NEVER) & self._bent(begin, ask)
        free[self.ends] = True
        end = np.flatnonzero(free)
        begin = np.append(0, end[:-1] + 1)
        return begin, end

    def _seek(self, walk: Walk) -> None:
        """Bring every walker that does not stand to the next small window, or to the end of its lane."""
        who = np.flatnonzero(~walk.stands)
        if not len(who):
            return
        at, reset = walk.at[who], walk.reset[who]
        cut = reset > self.window[at]
        straight = who[~cut]
        here = self.next[at[~cut]]
        walk.at[straight] = here
        found = here <= walk.end[straight]
        straight, here = straight[found], here[found]
        self._stand(walk, straight, self.window[here], here)
        if not cut.any():
            return
        who, at, reset = who[cut], at[cut], reset[cut]
        box = self.boxes.of(reset, at)
        code = self._code(box, reset, at)
        ask = np.flatnonzero(code == PERHAPS)
        fits = small(self.lat, self.lon, reset[ask], at[ask], self.diameter_m)
        walk.at[who[ask[~fits]]] += 1
        code[ask[fits]] = SURELY
        stands = code == SURELY
        self._stand(walk, who[stands], reset[stands], at[stands])
        never = code == NEVER
        reset, at = reset[never], at[never]
        # No longer window is small before the beginning of this one falls out of it.
        over = np.where(self._bent(reset, at), np.searchsorted(self.window, reset), 0)
        walk.at[who[never]] = np.maximum(over, at + 1)

    def _stand(self, walk: Walk, who: npt.NDArray[np.intp], first: Ints, at: Ints) -> None:
        walk.stands[who] = True
        walk.first[who], walk.at[who] = first, at
        walk.box[who] = self.boxes.of(first, at)

    def _grow(self, walk: Walk) -> None:
        """Let every window that stands grow while it is small, and see whether it was a stop."""
        who = np.flatnonzero(walk.stands)
        box, at, end = walk.box[who], walk.at[who] + 1, walk.end[who]
        for level in range(min(self.boxes.levels, walk.turn + 3) - 1, -1, -1):
            run = 1 << level
            fits = np.flatnonzero(at + run <= end + 1)
            grown = np.minimum(box[fits], self.boxes.block(level, at[fits]))
            still = self.boxes.is_surely(grown)
            fits = fits[still]
            box[fits] = grown[still]
            at[fits] += run
        walk.turn += 1
        walk.box[who], walk.at[who] = box, at - 1
        over = at > end
        ends = who[over]
        walk.keep(ends[self.time[walk.end[ends]] - self.time[walk.first[ends]] >= self.min_ms], walk.end)
        walk.at[ends] = walk.end[ends] + 1
        walk.stands[ends] = False
        self._leave_or_stay(walk, who[~over], at[~over], box[~over])

    def _leave_or_stay(self, walk: Walk, who: npt.NDArray[np.intp], at: Ints, box: npt.NDArray[np.int32]) -> None:
        """The first row that the box alone does not let in: is the window still small with it?"""
        box = np.minimum(box, self.boxes.block(0, at))
        first = walk.first[who]
        code = self._code(box, first, at)
        ask = np.flatnonzero(code == PERHAPS)
        few = at[ask] - first[ask] < _MANY_POINTS
        some = ask[few]
        code[some] = np.where(small(self.lat, self.lon, first[some], at[some], self.diameter_m), SURELY, NEVER)
        many = ask[~few]
        if len(many):
            fits, rectangle = rectangles(self.lat, self.lon, first[many], at[many], self.diameter_m)
            code[many] = np.where(fits, SURELY, NEVER)
            known = ~np.isnan(rectangle[:, 0])
            many = many[known]
            at[many], box[many] = self._wait(rectangle[known], at[many], box[many], walk.end[who[many]])
        stays = code == SURELY
        walk.box[who[stays]], walk.at[who[stays]] = box[stays], at[stays]
        goes, at = who[~stays], at[~stays]
        walk.stands[goes] = False
        walk.at[goes] = at + 1
        stopped = self.time[at - 1] - self.time[walk.first[goes]] >= self.min_ms
        goes, at = goes[stopped], at[stopped]
        walk.keep(goes, walk.at - 2)
        walk.reset[goes] = at

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
