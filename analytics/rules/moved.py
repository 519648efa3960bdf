"""`moved_while_armed`: an e-bike that is farther from where it was armed than its fixes can err, confirmed.

Purpose: a fix is beyond when it is farther than max(`moved_min_m`, `moved_acc_factor` × accuracy) from the anchor. The cause
rises when fixes in a row are beyond, at least `moved_confirm_points` of them, and either it goes on (over at least
`moved_confirm_s` the last has got farther than the first by `moved_on_factor` × that distance) or it stays (for
`moved_stay_s`, half of it twice as far); it falls at the first fix back within, or when it is disarmed. Errors of a
standing receiver leap and stay off for minutes, they seldom go on; docs/design/ebike.md has the figures.

The anchor is the median, per axis, of samples: the first `ANCHOR_FIRST` placed fixes after arming, so that one bad fix
moves nothing, and later ones at `ANCHOR_WAITS_S` that were within, since fixes a minute apart share their error. Accuracy is
what the tracker says (`moved_acc_m` where it says none), or how its samples lie about the anchor where that is worse.

Invariants: nothing is judged before there are `ANCHOR_FIRST` samples; a fix beyond never becomes a sample, so a stolen
bike does not take its anchor along; what a row without `ARMED_SENT` says changes nothing about being armed; memory and
events do not depend on how the stream is cut. It does not look at sightings by readers, nor at vibration: the device
tells that itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.meaning.context import Context
from analytics.meaning.events import Events
from analytics.meaning.frame import Frame, last_where
from analytics.meaning.limits import RuleLimits
from analytics.meaning.rule import Rule
from analytics.slots import Field, Slots
from analytics.state import NEVER_MS
from analytics.step import Bools, Rows, group_lasts, group_starts
from model.codes import Flag
from model.device import KIND_CODE, Kind
from model.geo import METRES_PER_DEGREE, haversine_m

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Samples of the anchor that are taken at once.
ANCHOR_FIRST = 3
#: When the next ones are due, s after arming.
ANCHOR_WAITS_S: tuple[int, ...] = (120, 600, 1_800, 3_600, 7_200, 14_400)
ANCHOR_POINTS = ANCHOR_FIRST + len(ANCHOR_WAITS_S)

_EBIKE = KIND_CODE[Kind.EBIKE]
_SENT = np.uint16(Flag.ARMED_SENT)
_ARMED = np.uint16(Flag.ARMED)
#: Places are remembered in units of 1e-7°, about 1 cm, so that medians are exact.
_UNITS_PER_DEG = 1e7
_M_PER_UNIT = METRES_PER_DEGREE / _UNITS_PER_DEG
#: Of a Rayleigh distribution, sqrt(2 ln(1 / (1 - p))) spreads: p = 0.683 against p = 0.5.
_RADIUS_PER_MEDIAN = 1.5158 / 1.1774
_NO_PLACE = np.iinfo(np.int32).min
_MOST_POINTS = np.iinfo(np.uint16).max

FIELDS: tuple[Field, ...] = (
    Field("armed", "|u1", 0, "1: armed"),
    Field("armed_ms", "<i8", NEVER_MS, "since when"),
    Field("samples", "|u1", 0, "samples of the anchor there are"),
    Field("lat_e7", "<i4", _NO_PLACE, "samples of the anchor, 1e-7°", ANCHOR_POINTS),
    Field("lon_e7", "<i4", _NO_PLACE, "samples of the anchor, 1e-7°", ANCHOR_POINTS),
    Field("out_points", "<u2", 0, "fixes beyond in a row, saturating"),
    Field("out_ms", "<i8", NEVER_MS, "time of the first of them"),
    Field("out_m", "<f8", np.nan, "its distance"),
    Field("up", "|u1", 0, "1: risen"),
)
_NAMES = tuple(field.name for field in FIELDS)


@dataclass(slots=True)
class _Armed:
    """Stretches of rows over which a bike is armed, of one frame; rows are those of armed bikes, devices in order.

    Attributes:
        row: position in the frame. time_ms, lat, lon, placed, reach_m: its columns; reach_m is how far is beyond.
        stretch: number of each row's stretch, -1 while it is not armed.
        slot: of each stretch. at: first row of each stretch.
        memory: what is remembered of each stretch, by name as in `FIELDS`; moved in place.
        ends: rows that disarm. ended: the stretch that each of them ends, -1 where it had no row in this frame.
    """

    row: Rows
    time_ms: Ints
    lat: Floats
    lon: Floats
    placed: Bools
    acc_m: Floats
    reach_m: Floats
    stretch: Ints
    slot: Ints
    memory: dict[str, npt.NDArray[Any]]
    ends: Rows
    ended: Ints


class MovedWhileArmed(Rule):
    """See the module."""

    name = "moved_while_armed"
    fields = FIELDS

    def points(self, frame: Frame, context: Context, events: Events) -> None:
        """Judge the rows of e-bikes that are, become or cease to be armed."""
        row = np.flatnonzero(frame.kind == _EBIKE)
        if len(row):
            told = (frame.flags[row] & _SENT) != 0
            known = self.memory["armed"].take(frame.slot[row]) != 0
            if not told.all():
                # Of a bike that is not armed, rows before the first that tells are nothing to this rule.
                row = row[known | np.isin(frame.slot[row], frame.slot[row[told]])]
        if not len(row):
            return
        armed = _stretches(frame, row, self.memory, context.limits)
        was_up = self.memory["up"].take(frame.slot[row[armed.ends]])
        self._judge(frame, armed, context.limits, events)
        # Disarmed: whatever had risen has gone, also when this row is the bike's first here.
        up = np.asarray(armed.memory["up"])
        gone = armed.ends[np.where(armed.ended >= 0, up[armed.ended] if len(up) else 0, was_up) != 0]
        self._report(frame, armed.row[gone], None, events, rises=False)
        self._keep(frame, armed)

    def _judge(self, frame: Frame, armed: _Armed, limits: RuleLimits, events: Events) -> None:
        at = np.flatnonzero(armed.placed & (armed.stretch >= 0))
        at = at[_first_samples(armed, at)]
        if not len(at):
            return
        far, out = _distances(armed, at, limits)
        up, was = _confirmed(armed, at, far, out, limits)
        rose, fell = up & ~was, was & ~up
        self._report(frame, armed.row[at[rose]], far[rose], events, rises=True)
        self._report(frame, armed.row[at[fell]], far[fell], events, rises=False)

    def _report(self, frame: Frame, row: Rows, far: Floats | None, events: Events, *, rises: bool) -> None:
        events.add(
            self.name,
            "moved_while_armed",
            rises=rises,
            row=frame.row[row],
            slot=frame.slot[row],
            time_ms=frame.time_ms[row],
            value=far,
            unit="m",
        )

    def _keep(self, frame: Frame, armed: _Armed) -> None:
        """The memory after the last row of each bike: that of its last stretch, or nothing."""
        slot = frame.slot[armed.row]
        lasts = group_lasts(group_starts(slot), len(slot))
        stretch = armed.stretch[lasts]
        still, over = stretch >= 0, stretch < 0
        for field in FIELDS:
            self.memory[field.name][slot[lasts[still]]] = armed.memory[field.name][stretch[still]]
            self.memory[field.name][slot[lasts[over]]] = field.empty


def _stretches(frame: Frame, row: Rows, memory: Slots, limits: RuleLimits) -> _Armed:
    """Cut the rows of armed bikes into stretches, and take what is remembered of those that go on."""
    slot, flags, time_ms = frame.slot[row], frame.flags[row], frame.time_ms[row]
    starts = group_starts(slot)
    lasts = group_lasts(starts, len(slot))
    told = (flags & _SENT) != 0
    on = (flags & _ARMED) != 0
    known = memory["armed"].take(slot) != 0
    teller = last_where(told, starts, lasts, before=False)
    now = np.where(teller >= 0, on[teller], known)
    before = np.empty_like(now)
    before[1:] = now[:-1]
    before[starts] = known[starts]
    fresh = now & ~before
    begins = fresh.copy()
    begins[starts] |= now[starts]
    at = np.flatnonzero(begins)
    stretch = np.where(now, np.cumsum(begins) - 1, -1)
    kept = {name: memory[name].take(slot[at], axis=0) for name in _NAMES}
    new = fresh[at]
    for field in FIELDS:
        kept[field.name][new] = field.empty
    kept["armed"][:] = 1
    kept["armed_ms"][new] = time_ms[at[new]]
    ends = np.flatnonzero(before & ~now)
    inside = ~np.isin(ends, starts)
    acc_m = frame.acc_m[row].astype(np.float64)
    return _Armed(
        row=row,
        time_ms=time_ms,
        lat=frame.lat[row],
        lon=frame.lon[row],
        placed=frame.placed[row],
        acc_m=np.where(np.isnan(acc_m), limits.moved_acc_m, acc_m),
        reach_m=np.full(len(row), limits.moved_min_m),
        stretch=stretch,
        slot=slot[at],
        memory=kept,
        ends=ends,
        ended=np.where(inside, stretch[ends - 1], -1),
    )


def _first_samples(armed: _Armed, at: Rows) -> Bools:
    """Take the first samples of each stretch from the placed rows `at`; which of these are to be judged."""
    if not len(at):
        return np.zeros(0, np.bool_)
    stretch = armed.stretch[at]
    starts = group_starts(stretch)
    lasts = group_lasts(starts, len(stretch))
    had = armed.memory["samples"].astype(np.int64)
    rank = np.arange(len(at)) - np.repeat(starts, lasts - starts + 1) + had[stretch]
    judged: Bools = rank >= ANCHOR_FIRST
    first = at[~judged]
    _sample(armed, armed.stretch[first], rank[~judged], first)
    of = stretch[starts]
    armed.memory["samples"][of] = np.where(
        had[of] < ANCHOR_FIRST, np.minimum(rank[lasts] + 1, ANCHOR_FIRST), had[of]
    ).astype(np.uint8)
    return judged


def _sample(armed: _Armed, stretch: Ints, number: Ints, at: Rows) -> None:
    armed.memory["lat_e7"][stretch, number] = np.rint(armed.lat[at] * _UNITS_PER_DEG).astype(np.int32)
    armed.memory["lon_e7"][stretch, number] = np.rint(armed.lon[at] * _UNITS_PER_DEG).astype(np.int32)


def _distances(armed: _Armed, at: Rows, limits: RuleLimits) -> tuple[Floats, Bools]:
    """Distance of each judged row from the anchor as it then stood, m, and whether it is beyond; takes later samples.

    An anchor changes where a sample is taken, so rows after it are judged anew: at most once more for each later sample.
    """
    far, out = np.empty(len(at)), np.empty(len(at), np.bool_)
    samples = armed.memory["samples"]
    left = np.arange(len(at))
    while len(left):
        here = at[left]
        stretch = armed.stretch[here]
        lat, lon, seen_m = _anchors(armed, stretch)
        far[left] = haversine_m(lat, lon, armed.lat[here], armed.lon[here])
        acc_m = np.maximum(armed.acc_m[here], seen_m)
        armed.reach_m[here] = np.maximum(limits.moved_acc_factor * acc_m, limits.moved_min_m)
        out[left] = far[left] > armed.reach_m[here]
        number = samples[stretch].astype(np.int64)
        due_ms = armed.memory["armed_ms"][stretch] + _WAITS_MS[number]
        takes = np.flatnonzero(~out[left] & (number < ANCHOR_POINTS) & (armed.time_ms[here] >= due_ms))
        if not len(takes):
            break
        which, first = np.unique(stretch[takes], return_index=True)
        taken = takes[first]
        _sample(armed, which, number[taken], here[taken])
        samples[which] += np.uint8(1)
        # Only rows behind the one that was taken have another anchor.
        behind = np.full(len(armed.slot), len(left))
        behind[which] = taken
        left = left[np.arange(len(left)) > behind[stretch]]
    return far, out


_WAITS_MS = np.array((0,) * ANCHOR_FIRST + tuple(1_000 * wait for wait in ANCHOR_WAITS_S) + (0,), np.int64)


def _anchors(armed: _Armed, stretch: Ints) -> tuple[Floats, Floats, Floats]:
    """The anchor of each row's stretch, degrees, and how far its samples lie about it, m: a radius that holds 68 % of them.

    The radius is taken from the median distance, so that one bad sample does not widen it; both as if the distances had a
    Rayleigh distribution (errors of one spread on either axis).
    """
    # Rows of a stretch are neighbours.
    starts = group_starts(stretch)
    which = stretch[starts]
    back = np.repeat(np.arange(len(which)), np.diff(starts, append=len(stretch)))
    count = armed.memory["samples"][which].astype(np.int64)
    there = np.arange(ANCHOR_POINTS) < count[:, None]
    lat_e7, lon_e7 = (np.where(there, armed.memory[name][which], np.nan) for name in ("lat_e7", "lon_e7"))
    lat, lon = _medians(lat_e7, count), _medians(lon_e7, count)
    north = (lat_e7 - lat[:, None]) * _M_PER_UNIT
    east = (lon_e7 - lon[:, None]) * (_M_PER_UNIT * np.cos(np.radians(lat / _UNITS_PER_DEG)))[:, None]
    seen_m = _medians(np.hypot(north, east), count) * _RADIUS_PER_MEDIAN
    return (lat / _UNITS_PER_DEG)[back], (lon / _UNITS_PER_DEG)[back], seen_m[back]


def _medians(values: Floats, count: Ints) -> Floats:
    """Median of the first `count` values of each row; the others are NaN, which sorts last."""
    ordered = np.sort(values, axis=1)
    one = np.arange(len(count))
    return np.asarray((ordered[one, (count - 1) // 2] + ordered[one, count // 2]) / 2.0)


def _confirmed(armed: _Armed, at: Rows, far: Floats, out: Bools, limits: RuleLimits) -> tuple[Bools, Bools]:
    """Whether the cause holds at each judged row, and whether it held at the one before; remembers the last."""
    stretch = armed.stretch[at]
    starts = group_starts(stretch)
    lasts = group_lasts(starts, len(stretch))
    of, size = stretch[starts], lasts - starts + 1
    memory, time_ms = armed.memory, armed.time_ms[at]
    before = {name: np.repeat(memory[name][of], size) for name in ("out_points", "out_ms", "out_m", "up")}
    inside = last_where(~out, starts, lasts, before=False)
    carried = out & (inside < 0) & (before["out_points"] > 0)
    begin = np.minimum(np.where(inside < 0, np.repeat(starts, size), inside + 1), len(at) - 1)
    count = np.where(
        out, np.arange(len(at)) - begin + 1 + np.where(carried, before["out_points"].astype(np.int64), 0), 0
    )
    took_ms = time_ms - np.where(carried, before["out_ms"], time_ms[begin])
    first_m = np.where(carried, before["out_m"], far[begin])
    gained = far - first_m >= limits.moved_on_factor * armed.reach_m[at]
    goes_on = (took_ms >= limits.moved_confirm_s * 1_000) & (gained | (limits.moved_on_factor <= 0))
    # Twice as far, half as long: the farther an error leaps, the rarer it is.
    stays = took_ms * far >= limits.moved_stay_s * 1_000 * armed.reach_m[at]
    held = out & (count >= limits.moved_confirm_points) & (goes_on | stays)
    # Once it holds it holds until a fix within.
    held_at = last_where(held, starts, lasts, before=False)
    up = out & ((held_at >= begin) | (carried & (before["up"] != 0)))
    was = np.empty_like(up)
    was[1:] = up[:-1]
    was[starts] = memory["up"][of] != 0
    memory["out_points"][of] = np.minimum(count[lasts], _MOST_POINTS).astype(np.uint16)
    memory["out_ms"][of] = np.where(out[lasts], (time_ms - took_ms)[lasts], NEVER_MS)
    memory["out_m"][of] = np.where(out[lasts], first_m[lasts], np.nan)
    memory["up"][of] = up[lasts].astype(np.uint8)
    return up, was
