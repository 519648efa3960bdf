"""`moved_while_armed` against a plain oracle, cut anywhere; and the stories it is there for."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.meaning.limits import RuleLimits
from analytics.rules.moved import ANCHOR_FIRST, ANCHOR_POINTS, ANCHOR_WAITS_S, MovedWhileArmed
from model.codes import Flag
from model.geo import METRES_PER_DEGREE, haversine_m
from simulator.parked import Noise, draw
from tests.analytics.keeper import NOW_MS
from tests.analytics.rules.ebike_streams import ARMED, DISARMED, LAT, NO_FIX, VALID, Event, east, play, streams

#: Small, so that random streams of some dozen rows cross every edge.
TIGHT = RuleLimits(moved_min_m=10.0, moved_acc_m=4.0, moved_acc_factor=2.0, moved_stay_s=20)
E7 = 10_000_000


class Oracle:
    """One bike, point by point."""

    def __init__(self, limits: RuleLimits) -> None:
        self.limits = limits
        self.forget()

    def forget(self) -> None:
        self.armed_ms: int | None = None
        self.samples: list[tuple[int, int]] = []
        self.out: list[int] = []
        self.first_m = 0.0
        self.up = False

    def take(self, row: dict[str, Any]) -> tuple[bool, float] | None:
        """Rises (True) or falls (False), with the distance; None for neither."""
        flags, time_ms = row["flags"], row["time_ms"]
        if flags & Flag.ARMED_SENT:
            if not flags & Flag.ARMED:
                was = self.up
                self.forget()
                return (False, -1.0) if was else None
            if self.armed_ms is None:
                self.armed_ms = time_ms
        if self.armed_ms is None or flags & Flag.SIGHTED or not flags & Flag.VALID:
            return None
        here = (round(row["lat"] * E7), round(row["lon"] * E7))
        if len(self.samples) < ANCHOR_FIRST:
            self.samples.append(here)
            return None
        lat, lon = (statistics.median(axis) / E7 for axis in zip(*self.samples, strict=True))
        far = float(haversine_m(lat, lon, row["lat"], row["lon"]))
        acc = self.limits.moved_acc_m if np.isnan(row["acc_m"]) else row["acc_m"]
        scatter = [
            np.hypot((one / E7 - lat), (other / E7 - lon) * np.cos(np.radians(lat))) * METRES_PER_DEGREE
            for one, other in self.samples
        ]
        acc = max(acc, statistics.median(scatter) * 1.5158 / 1.1774)
        was = self.up
        reach = max(self.limits.moved_min_m, self.limits.moved_acc_factor * acc)
        if far > reach:
            self.out.append(time_ms)
            if len(self.out) == 1:
                self.first_m = far
            took_ms = time_ms - self.out[0]
            factor = self.limits.moved_on_factor
            goes_on = factor <= 0 or far - self.first_m >= factor * reach
            confirmed = (took_ms >= 1_000 * self.limits.moved_confirm_s and goes_on) or (
                took_ms * far >= self.limits.moved_stay_s * 1_000 * reach
            )
            self.up = self.up or (confirmed and len(self.out) >= self.limits.moved_confirm_points)
            return (True, far) if self.up and not was else None
        self.out, self.up = [], False
        later = len(self.samples) - ANCHOR_FIRST
        if later < len(ANCHOR_WAITS_S) and time_ms >= self.armed_ms + 1_000 * ANCHOR_WAITS_S[later]:
            self.samples.append(here)
        return (False, far) if was else None


def told(rows: list[dict[str, Any]], limits: RuleLimits) -> list[Event]:
    bikes = {0: Oracle(limits), 1: Oracle(limits)}
    found: list[Event] = []
    for at, row in enumerate(rows):
        event = bikes[row["slot"]].take(row) if row["slot"] in bikes else None
        if event is not None:
            found.append((at, event[0], row["slot"], row["time_ms"], event[1]))
    return found


@settings(max_examples=100, deadline=None)
@given(streams(), st.integers(0, 3), st.sampled_from([0, 10, 120]), st.sampled_from([0.0, 0.2, 0.5]), st.booleans())
def test_any_stream_cut_anywhere_tells_what_the_oracle_tells(stream, points, seconds, factor, restart) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    rows, cuts = stream
    limits = RuleLimits(
        moved_min_m=10.0,
        moved_acc_m=4.0,
        moved_acc_factor=2.0,
        moved_confirm_points=points,
        moved_confirm_s=seconds,
        moved_on_factor=factor,
        moved_stay_s=300,
    )
    whole, memory = play(MovedWhileArmed, rows, limits=limits)
    assert play(MovedWhileArmed, rows, cuts, limits=limits, restart=restart) == (whole, memory)
    oracle = told(rows, limits)
    assert [event[:4] for event in whole] == [event[:4] for event in oracle]
    assert [event[4] for event in whole] == pytest.approx([event[4] for event in oracle], abs=1e-6)


def test_random_streams_do_raise_and_fall() -> None:
    """The comparison above compares something."""
    chance = np.random.default_rng(4)
    rows = line([float(m) for m in chance.choice([0.0, 20.0], 400)])
    events, _ = play(MovedWhileArmed, rows, range(0, 400, 7), limits=TIGHT)
    assert sum(rises for _, rises, *_ in events) > 20
    assert [event[:4] for event in events] == [event[:4] for event in told(rows, TIGHT)]


def line(
    metres: list[float], *, flags: int = ARMED, every_s: int = 10, acc_m: float = float("nan")
) -> list[dict[str, Any]]:
    """One bike reporting so far east of its place."""
    return [
        {"slot": 0, "time_ms": NOW_MS + 1_000 * every_s * at, "received_ms": NOW_MS + 1_000 * every_s * at, "lat": LAT,
         "lon": east(far), "flags": flags, "acc_m": acc_m}
        for at, far in enumerate(metres)
    ]  # fmt: skip


def rises(rows: list[dict[str, Any]], limits: RuleLimits | None = None) -> list[int]:
    return [at for at, up, *_ in play(MovedWhileArmed, rows, limits=limits)[0] if up]


def test_a_bike_carried_away_is_told_at_the_second_fix_beyond_30_m() -> None:
    events, _ = play(MovedWhileArmed, line([0, 1, -1, 0, 20, 35, 82, 200]))
    assert [event[:2] for event in events] == [(6, True)]
    assert events[0][4] == pytest.approx(82, abs=0.5)


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_one_bad_fix_right_after_arming_raises_nothing(bad: int) -> None:
    metres = [0.0] * 60
    metres[bad] = 45.0
    assert rises(line(metres)) == []


def test_a_single_fix_beyond_is_not_confirmed_and_a_return_begins_anew() -> None:
    assert rises(line([0, 0, 0, 45, 0, 45, 0, 0, 45, 0])) == []


def test_going_on_is_confirmed_over_10_s_and_not_sooner() -> None:
    assert rises(line([0, 0, 0, *range(40, 150, 5)], every_s=1)) == [13]
    assert rises(line([0, 0, 0, 40, 60, 80], every_s=1)) == []


def test_a_bike_put_down_nearby_is_told_after_it_stayed_there() -> None:
    """A receiver's errors stay off for minutes, not for a quarter of an hour; and the farther, the shorter."""
    for far, after_s in ((40.0, 900), (60.0, 600), (120.0, 300)):
        assert RuleLimits().moved_stay_s * RuleLimits().moved_min_m == pytest.approx(far * after_s)
        # A little more, so that rounding decides nothing.
        rows = line([0.0, 0.0, 0.0, *[far + 0.2] * 100], every_s=10)
        assert rises(rows) == [3 + after_s // 10]
    assert rises(line([0.0, 0.0, 0.0, *[40.0] * 80, 0.0])) == []


def test_a_poor_accuracy_widens_the_circle_and_a_good_one_does_not_narrow_it() -> None:
    assert rises(line([0, 0, 0, 55, 115, 115], acc_m=40)) == []
    assert rises(line([0, 0, 0, 61, 125, 125], acc_m=20)) == [4]
    assert rises(line([0, 0, 0, 29, 29, 29], acc_m=2)) == []


def test_a_tracker_that_scatters_while_it_is_parked_has_a_wider_circle_whatever_it_says() -> None:
    """Samples 25 m about the anchor: what would be a theft elsewhere is not one here; going twice as far is."""
    quiet = [0.0] * 1_500
    loud = list(quiet)
    # Within the circle, and as the samples after two minutes to four hours.
    for at, far in zip((12, 60, 180, 360, 720, 1_440), (28.0, -28.0, 28.0, -28.0, 28.0, -28.0), strict=True):
        loud[at] = far
    away = [60.0, 125.0, 125.0]
    assert rises(line([*quiet, *away], acc_m=5)) == [1_501]
    assert rises(line([*loud, *away], acc_m=5)) == []
    assert rises(line([*loud, 150.0, 400.0, 600.0], acc_m=5)) == [1_501]


def test_it_falls_when_the_bike_is_disarmed_and_a_new_arming_has_a_new_anchor() -> None:
    rows = line([0, 0, 0, 60, 120, 150, 150, 150, 150, 150, 150])
    rows[6]["flags"] = DISARMED
    events, _ = play(MovedWhileArmed, rows)
    assert [event[:2] for event in events] == [(4, True), (6, False)]


def test_it_falls_back_within_and_rises_again() -> None:
    events, _ = play(MovedWhileArmed, line([0, 0, 0, 40, 80, 0, 0, 40, 80]))
    assert [event[:2] for event in events] == [(4, True), (5, False), (8, True)]


def test_a_bike_that_is_disarmed_or_says_nothing_is_not_watched() -> None:
    far = [0.0, 0.0, 0.0, 100.0, 200.0, 300.0]
    assert rises(line(far, flags=VALID)) == []
    assert rises(line(far, flags=DISARMED)) == []
    taxi = [{**row, "slot": 2} for row in line(far)]
    assert rises(taxi) == []


def test_what_has_no_place_of_its_own_neither_raises_nor_confirms() -> None:
    rows = line([0, 0, 0, 40, 300, 300, 300])
    for row in rows[4:]:
        row["flags"] = ARMED | int(Flag.SIGHTED) if row is rows[4] else NO_FIX
    assert rises(rows) == []


def test_a_stolen_bike_does_not_take_its_anchor_along() -> None:
    """Parked elsewhere for hours it is still away; the samples that were due then were not taken."""
    events, memory = play(MovedWhileArmed, line([0.0, 0.0, 0.0, 200.0] + [500.0] * 300, every_s=60))
    assert [event[:2] for event in events] == [(4, True)]
    rule = MovedWhileArmed()
    rule.restore(memoryview(memory))
    assert rule.memory["samples"][0] == ANCHOR_FIRST


def test_later_samples_move_a_poor_first_anchor_to_the_middle() -> None:
    """The first three share an error of 25 m; after an hour a fix 25 m off to the other side is still within."""
    metres = [25.0] * 4 + [0.0] * 500
    metres[-2:] = [-25.0, -75.0]
    assert ANCHOR_POINTS > 2 * ANCHOR_FIRST
    assert rises(line(metres)) == []
    assert rises(line([*metres[:5], -25.0, -75.0])) == [6]


def test_the_memory_of_a_bike_that_is_not_armed_takes_no_bytes() -> None:
    rows = line([0.0] * 9)
    _, armed = play(MovedWhileArmed, rows)
    _, nothing = play(MovedWhileArmed, [{**row, "flags": DISARMED} for row in rows])
    _, again = play(MovedWhileArmed, [*rows, {**rows[-1], "time_ms": NOW_MS + 10**6, "flags": DISARMED}])
    assert nothing == again == MovedWhileArmed().to_bytes()
    assert len(armed) > len(nothing)


def test_a_bike_parked_for_days_with_errors_like_the_measured_ones_is_quiet() -> None:
    """The typical place of docs/design/ebike.md; fixes in a row alone would have rung there all the time."""
    seed = 20_260_301
    print("seed", seed)
    noise = Noise((2.5,), (0.19, 0.47, 0.05, 0.48, 0.0), 0.49, 106.0, (float(np.log(21.0)), 0.64))
    rows: list[dict[str, Any]] = []
    for slot in (0, 1):
        errors = draw(noise, np.array([2.5]), 60.0, 4 * 1_440, np.random.default_rng(seed + slot))[0]
        for at, (e, n) in enumerate(errors.tolist()):
            time_ms = NOW_MS + 60_000 * at
            place = {"lat": LAT + n / METRES_PER_DEGREE, "lon": east(e)}
            rows.append({"slot": slot, "time_ms": time_ms, "received_ms": time_ms, "flags": ARMED, **place})
    assert rises(rows) == []
    assert len(rises(rows, RuleLimits(moved_on_factor=0.0))) > 10
