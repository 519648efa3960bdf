"""`moved_while_armed`: an e-bike that is farther from where it was armed than its fixes can err, confirmed.

Purpose: rise when fixes in a row lie beyond max(`moved_min_m`, `moved_acc_factor` × accuracy) of the anchor, at least
`moved_confirm_points` of them over at least `moved_confirm_s`; fall at the first fix back within, or when it is disarmed.
The anchor is the median, per axis, of samples: the first `ANCHOR_FIRST` placed fixes after arming, so that one bad fix
moves nothing, and later ones at `ANCHOR_WAITS_S` that were within, since errors of fixes a minute apart are the same error.

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
from model.geo import haversine_m

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Samples of the anchor that are taken at once.
ANCHOR_FIRST = 3
#: When the next ones are due, s after arming.
ANCHOR_WAITS_S: tuple[int, ...] = (120, 600, 1_800, 3_600)
ANCHOR_POINTS = ANCHOR_FIRST + len(ANCHOR_WAITS_S)

_EBIKE = KIND_CODE[Kind.EBIKE]
_SENT = np.uint16(Flag.ARMED_SENT)
_ARMED = np.uint16(Flag.ARMED)
#: Places are remembered in units of 1e-7°, about 1 cm, so that medians are exact.
_UNITS_PER_DEG = 1e7
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
        far, out = _distances(armed, at)
        up, was = _confirmed(armed, at, out, limits)
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
    reach = np.where(np.isnan(acc_m), limits.moved_acc_m, acc_m) * limits.moved_acc_factor
    return _Armed(
        row=row,
        time_ms=time_ms,
        lat=frame.lat[row],
        lon=frame.lon[row],
        placed=frame.placed[row],
        reach_m=np.maximum(reach, limits.moved_min_m),
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


def _distances(armed: _Armed, at: Rows) -> tuple[Floats, Bools]:
    """Distance of each judged row from the anchor as it then stood, m, and whether it is beyond; takes later samples.

    An anchor changes where a sample is taken, so rows after it are judged anew: at most once more for each later sample.
    """
    far, out = np.empty(len(at)), np.empty(len(at), np.bool_)
    samples = armed.memory["samples"]
    left = np.arange(len(at))
    while len(left):
        here = at[left]
        stretch = armed.stretch[here]
        lat, lon = _anchors(armed, stretch)
        far[left] = haversine_m(lat, lon, armed.lat[here], armed.lon[here])
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


def _anchors(armed: _Armed, stretch: Ints) -> tuple[Floats, Floats]:
    """The anchor of each row's stretch, degrees."""
    which, back = np.unique(stretch, return_inverse=True)
    count = armed.memory["samples"][which].astype(np.int64)
    low, high = (count - 1) // 2, count // 2
    one = np.arange(len(which))
    found = []
    for name in ("lat_e7", "lon_e7"):
        samples = armed.memory[name][which].astype(np.int64)
        samples[samples == _NO_PLACE] = np.iinfo(np.int64).max
        samples.sort(axis=1)
        found.append(((samples[one, low] + samples[one, high]) / (2.0 * _UNITS_PER_DEG))[back])
    return found[0], found[1]


def _confirmed(armed: _Armed, at: Rows, out: Bools, limits: RuleLimits) -> tuple[Bools, Bools]:
    """Whether the cause holds at each judged row, and whether it held at the one before; remembers the last."""
    stretch = armed.stretch[at]
    starts = group_starts(stretch)
    lasts = group_lasts(starts, len(stretch))
    of = stretch[starts]
    group = np.repeat(np.arange(len(of)), lasts - starts + 1)
    inside = last_where(~out, starts, lasts, before=False)
    carried = (inside < 0) & out
    begin = np.where(inside < 0, np.repeat(starts, lasts - starts + 1), inside + 1)
    memory = armed.memory
    points_before, since_before = memory["out_points"].astype(np.int64)[of], memory["out_ms"].astype(np.int64)[of]
    up_before = memory["up"][of] != 0
    count = np.where(out, np.arange(len(at)) - begin + 1 + np.where(carried, points_before[group], 0), 0)
    goes_on = carried & (points_before[group] > 0)
    time_ms = armed.time_ms[at]
    since = np.where(goes_on, since_before[group], time_ms[np.minimum(begin, len(at) - 1)])
    long = (count >= limits.moved_confirm_points) & (time_ms - since >= limits.moved_confirm_s * 1_000)
    up = out & (long | (goes_on & up_before[group]))
    was = np.empty_like(up)
    was[1:] = up[:-1]
    was[starts] = up_before
    memory["out_points"][of] = np.minimum(count[lasts], _MOST_POINTS).astype(np.uint16)
    memory["out_ms"][of] = np.where(out[lasts], since[lasts], NEVER_MS)
    memory["up"][of] = up[lasts].astype(np.uint8)
    return up, was
