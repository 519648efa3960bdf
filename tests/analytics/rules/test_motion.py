"""Motion: trips, stops and flips counted as a plain loop has it, however the stream is cut."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.limits import CleanLimits
from analytics.meaning.context import Context
from analytics.meaning.events import Events
from analytics.meaning.frame import FIELDS, Frame, make_frame
from analytics.meaning.limits import RuleLimits
from analytics.pipeline import Analysis
from analytics.rules.motion import Motion
from analytics.slots import Slots
from analytics.state import NEVER_MS, State
from model.codes import Flag
from tests.analytics.keeper import NOW_MS, batch
from tests.analytics.rules.one_rule import cut, row

SHORT = RuleLimits(moving_kmh=5.0, trip_gap_s=60, stop_min_s=30, trip_min_s=20)
FREE, TAKEN = int(Flag.OCCUPIED_SENT), int(Flag.OCCUPIED | Flag.OCCUPIED_SENT)


class Drive:
    """The rule behind the real cleaning and framing; adds up its gauges."""

    def __init__(self, limits: RuleLimits = SHORT) -> None:
        self.rule = Motion()
        self.context = Context(np.zeros(3, np.int8), limits)
        self.counts: Counter[str] = Counter()
        self.frames: list[Frame] = []
        self._places = Slots(FIELDS)
        self._analysis = Analysis(CleanLimits(), State())

    def feed(self, rows: list[dict[str, Any]]) -> Drive:
        if rows:
            step = self._analysis.begin(batch(rows))
            events = Events()
            frame = make_frame(step, self._places, self.context, CleanLimits())
            self.rule.memory.grow(max(one.get("slot", 0) for one in rows) + 1)
            self.rule.points(frame, self.context, events)
            assert not events.parts
            self.counts.update(events.gauges)
            self.frames.append(frame)
        return self


def plain(frame: Frame, limits: RuleLimits) -> tuple[Counter[str], dict[int, dict[str, Any]]]:
    """The rule row by row, over one uncut frame."""
    counts: Counter[str] = Counter()
    state: dict[int, dict[str, Any]] = {}
    for at in range(len(frame)):
        own = state.setdefault(
            int(frame.slot[at]),
            {"seen": None, "mm": 0, "trip": None, "counted": False, "stand": None, "stopped": False, "told": None},
        )
        flags = int(frame.flags[at])
        if flags & FREE:
            told = bool(flags & Flag.OCCUPIED)
            counts["occupancy_flips"] += own["told"] not in (None, told)
            own["told"] = told
        time, kmh = int(frame.time_ms[at]), float(frame.leg_kmh[at])
        if own["seen"] is None and frame.placed[at]:
            own.update(seen=time, stand=time)
            continue
        if math.isnan(kmh):
            continue
        gap = time - own["seen"] > limits.trip_gap_s * 1_000
        own["seen"] = time
        if gap:
            own.update(trip=None, stand=time, stopped=False)
        elif kmh >= limits.moving_kmh:
            own["mm"] += round(float(frame.leg_m[at]) * 1_000)
            if own["trip"] is None:
                own.update(trip=time - int(frame.leg_ms[at]), counted=False)
            own.update(stand=time, stopped=False)
            if not own["counted"] and time - own["trip"] >= limits.trip_min_s * 1_000:
                own["counted"] = True
                counts["trips"] += 1
        elif not own["stopped"] and time - own["stand"] >= limits.stop_min_s * 1_000:
            own.update(stopped=True, trip=None)
            counts["stops"] += 1
    return +counts, state


def drive(first_s: int, last_s: int, kmh: float, lat: float = 40.65, every_s: int = 10) -> list[dict[str, Any]]:
    """Rows northwards at a speed, from a latitude."""
    per_s = kmh / 3.6 / 111_195
    return [row(second, lat=lat + per_s * (second - first_s)) for second in range(first_s, last_s + 1, every_s)]


def test_a_drive_with_a_red_light_is_one_trip_and_a_long_halt_is_a_stop() -> None:
    rows = drive(0, 60, 36) + drive(70, 80, 0, 40.655) + drive(90, 150, 36, 40.655)
    rule = Drive().feed(rows)
    assert rule.counts == {"trips": 1}
    assert rule.rule.driving(np.array([0])).tolist() == [True]
    rule.feed(drive(160, 200, 0, 40.661))
    assert rule.counts == {"trips": 1, "stops": 1}
    assert rule.rule.driving(np.array([0])).tolist() == [False]
    rule.feed(drive(210, 300, 36, 40.661))
    assert rule.counts == {"trips": 2, "stops": 1}


def test_a_gap_ends_a_trip_and_is_no_stop() -> None:
    rule = Drive().feed(drive(0, 60, 36)).feed(drive(1_000, 1_100, 36, 40.7))
    assert rule.counts == {"trips": 2}
    metres = rule.rule.memory["odometer_mm"][0] / 1_000
    assert abs(metres - 1_600) < 5  # 600 m and 1,000 m; the way through the gap is not known


def test_a_jump_moves_nothing() -> None:
    rows = drive(0, 100, 0)
    rows[4] = row(40, lat=41.65)
    rule = Drive().feed(rows)
    assert rule.counts == {"stops": 1}
    assert rule.rule.memory["odometer_mm"][0] == 0


def test_flips_are_counted_between_rows_that_tell() -> None:
    told = [FREE, 0, FREE, TAKEN, 0, TAKEN, FREE, TAKEN]
    rows = [row(10 * at, flags=flags) for at, flags in enumerate(told)]
    assert Drive().feed(rows).counts["occupancy_flips"] == 3
    assert Drive().feed(rows[:4]).feed(rows[4:]).counts["occupancy_flips"] == 3


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    second, lat = dict.fromkeys(range(3), 0), dict.fromkeys(range(3), 40.65)
    for _ in range(draw(st.integers(1, 80))):
        slot = draw(st.sampled_from([0, 0, 0, 1, 2]))
        second[slot] += draw(st.sampled_from([0, 1, 5, 10, 10, 15, 30, 60, 61, 90]))
        lat[slot] += draw(st.sampled_from([0, 0, 0, 0.00001, 0.0005, 0.001, 0.5]))
        flags = draw(st.sampled_from([0, FREE, TAKEN, int(Flag.VALID_SENT)]))
        rows.append(row(second[slot], slot, lat=lat[slot], flags=flags))
    return rows


@settings(max_examples=80)
@given(streams(), st.lists(st.integers(0, 200), max_size=8))
def test_cut_anywhere_it_counts_as_the_plain_loop(rows: list[dict[str, Any]], places: list[int]) -> None:
    whole = Drive().feed(rows)
    counts, state = plain(whole.frames[0], SHORT)
    assert +whole.counts == counts
    memory = whole.rule.memory
    for slot, own in state.items():
        assert memory["odometer_mm"][slot] == own["mm"]
        assert memory["trip_ms"][slot] == (NEVER_MS if own["trip"] is None else own["trip"])
        assert memory["stopped"][slot] == own["stopped"]
    pieces = Drive()
    for piece in cut(rows, places):
        pieces.feed(list(piece))
    assert pieces.counts == whole.counts
    assert pieces.rule.to_bytes() == whole.rule.to_bytes()
    again = Motion()
    again.restore(memoryview(whole.rule.to_bytes()))
    assert again.to_bytes() == whole.rule.to_bytes()


def test_a_device_that_was_never_seen_drives_nothing() -> None:
    rule = Drive().feed([row(0, slot=2)])
    assert rule.rule.driving(np.array([0, 1, 2])).tolist() == [False] * 3
    assert rule.rule.memory["seen_ms"][2] == NOW_MS
