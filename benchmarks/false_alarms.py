"""How often does `moved_while_armed` come falsely, and how long after a true theft does it come?

`python -m benchmarks.false_alarms [--data FOLDER] [--seed N] [--days 30] [--plot FILE.svg]`

Noise: fitted (`simulator.parked`) on every stretch of an hour or more over which one of the 489 San Francisco cabs stood on
one real day, checked on the half of the places that a fit on the other half has not seen; one bike is parked at each
measured place for 30 days and armed anew every day. Second source: the real stretches themselves, end to end. Theft: the
nine real e-bike rides, each begun from an armed bike with the same noise. Everything goes through the real stages
(`Analysis`, `make_frame`, `MovedWhileArmed`), over minimum distances of 30 to 100 m and 1 to 4 fixes of confirmation: once
confirmed by fixes in a row alone, once as the rule does it, by going on or staying. Prints its report; asserts nothing.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.meaning.context import Context
from analytics.meaning.events import Events
from analytics.meaning.frame import FIELDS, Frame, make_frame
from analytics.meaning.limits import RuleLimits
from analytics.pipeline import Analysis
from analytics.rules.moved import MovedWhileArmed
from analytics.slots import Slots
from analytics.state import State
from benchmarks.machine import machine
from benchmarks.trade_off import Curve, Panel, trade_off_svg
from model.batch import PointBatch
from model.codes import Flag
from model.device import KIND_CODE, Kind
from model.geo import METRES_PER_DEGREE
from simulator.parked import LAGS_S, Noise, Stretch, calm, draw, fit, standing_stretches, structure

Floats = npt.NDArray[np.float64]

DEFAULT_SEED = 20_260_301
DISTANCES_M = (30.0, 40.0, 60.0, 100.0)
CONFIRMATIONS = (1, 2, 3, 4)
INTERVALS_S = (10, 30, 60)
#: The interval of the whole grid and of the plot.
GRID_S = 30
#: Days of each bike for all settings but the default: the run is to end within two minutes.
GRID_DAYS = 6.0
PARKED_S = 1_800
#: So long after its beginning a theft is looked at; the longest rides are cut off there, the others end where they end.
AFTER_S = 1_500
PHASES = 20
#: A rise so soon after the last belongs to the same alarm at the desk.
SAME_ALARM_MS = 15 * 60_000
DAY_S = 86_400
T0_MS = 1_760_000_000_000
LAT, LON = 40.65, 109.84
_ARMED = int(Flag.VALID | Flag.VALID_SENT | Flag.ARMED | Flag.ARMED_SENT)
_DISARMED = int(Flag.VALID | Flag.VALID_SENT | Flag.ARMED_SENT)
#: A Rayleigh-distributed distance lies within so many spreads per axis in 68 % of cases: what a receiver calls accuracy.
ACCURACY_PER_SPREAD = 1.51


@dataclass(frozen=True, slots=True)
class Told:
    """What one setting gave: false alarms (rises within a quarter of an hour are one), most of one bike, rises, quiet bikes of how many."""

    alarms: int
    most: int
    rises: int
    quiet_bikes: int
    bikes: int
    bike_months: float

    @property
    def per_month(self) -> float:
        """False alarms per bike-month."""
        return self.alarms / self.bike_months


def cabs(path: Path) -> list[Stretch]:
    """Every standing stretch of the fleet that reports every minute."""
    with gzip.open(path, "rt", newline="") as lines:
        rows = [row for row in csv.reader(lines) if row][1:]
    _, cab = np.unique(np.array([row[1] for row in rows]), return_inverse=True)
    time_s, lat, lon = (np.array([float(row[k]) for row in rows]) for k in (0, 2, 3))
    order = np.lexsort((time_s, cab))
    cab, time_s, lat, lon = cab[order], time_s[order], lat[order], lon[order]
    edges = [0, *(np.flatnonzero(np.diff(cab)) + 1).tolist(), len(cab)]
    east = lon * METRES_PER_DEGREE * np.cos(np.radians(lat.mean()))
    return [
        one
        for a, b in pairwise(edges)
        for one in standing_stretches(time_s[a:b], east[a:b], lat[a:b] * METRES_PER_DEGREE)
    ]


def rides(folder: Path) -> list[tuple[Floats, Floats]]:
    """The e-bike rides: seconds from the first fix, and metres from it (n, 2)."""
    found = []
    for path in sorted(folder.glob("trip_*.csv")):
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        time_s = np.array([row["timestamp"] for row in rows], "datetime64[s]").astype(np.float64)
        lat, lon = (np.array([float(row[name]) for row in rows]) for name in ("position_lat", "position_long"))
        east = (lon - lon[0]) * METRES_PER_DEGREE * np.cos(np.radians(lat[0]))
        found.append((time_s - time_s[0], np.column_stack((east, (lat - lat[0]) * METRES_PER_DEGREE))))
    return found


def frame_of(time_s: Floats, place_m: Floats, flags: npt.NDArray[np.int64], acc_m: Floats) -> Frame:
    """Columns of shape (bikes, n), `place_m` (bikes, n, 2), through cleaning into one frame; slots are the bikes in order."""
    bikes, count = time_s.shape
    time_ms = T0_MS + np.rint(time_s * 1_000.0).astype(np.int64).ravel()
    place = place_m.reshape(-1, 2)
    batch = PointBatch.of(
        bikes * count,
        {
            "slot": np.repeat(np.arange(bikes), count),
            "time_ms": time_ms,
            "received_ms": time_ms + 300,
            "lat": LAT + place[:, 1] / METRES_PER_DEGREE,
            "lon": LON + place[:, 0] / (METRES_PER_DEGREE * np.cos(np.radians(LAT))),
            "acc_m": np.repeat(acc_m, count),
            "flags": flags.ravel(),
        },
    )
    context = Context(kind_of_slot=np.full(bikes, KIND_CODE[Kind.EBIKE], np.int8))
    limits = CleanLimits()
    return make_frame(Analysis(limits, State(bikes)).begin(batch), Slots(FIELDS), context, limits)


def risen(frame: Frame, bikes: int, limits: RuleLimits) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Slot and time (ms) of each rise."""
    rule, events = MovedWhileArmed(), Events()
    rule.memory.grow(bikes)
    rule.points(frame, Context(limits=limits), events)
    parts = [part for part in events.parts if part.rises]
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return parts[0].slot, parts[0].time_ms


def plain(distance_m: float, points: int) -> RuleLimits:
    """Confirmed by so many fixes in a row, whatever they do out there."""
    return replace(
        RuleLimits(), moved_min_m=distance_m, moved_confirm_points=points, moved_confirm_s=0, moved_on_factor=0.0
    )


def ours(distance_m: float, points: int) -> RuleLimits:
    """As the rule is by default, but for these two."""
    return replace(RuleLimits(), moved_min_m=distance_m, moved_confirm_points=points)


FORMS: dict[str, tuple[Callable[[float, int], RuleLimits], tuple[int, ...]]] = {
    "fixes in a row alone": (plain, CONFIRMATIONS),
    "fixes in a row that go on, or stay": (ours, CONFIRMATIONS[1:]),
}


def daily(days: float, every_s: float, bikes: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Report times and flags of bikes that are disarmed for one report a day."""
    time_s = np.arange(int(days * DAY_S / every_s)) * float(every_s)
    flags = np.where(time_s % DAY_S < every_s, _DISARMED, _ARMED)
    return np.tile(time_s, (bikes, 1)), np.tile(flags, (bikes, 1))


def parked(place_m: Floats, every_s: float, acc_m: Floats, settings: list[RuleLimits]) -> list[Told]:
    """False alarms of parked bikes with these errors (bikes, n, 2)."""
    bikes, count = place_m.shape[:2]
    days = count * every_s / DAY_S
    time_s, flags = daily(days, every_s, bikes)
    alarms, most, rises, quiet = (np.zeros(len(settings), np.int64) for _ in range(4))
    for bike in range(bikes):  # one at a time, so that a month of them fits into memory
        here = slice(bike, bike + 1)
        frame = frame_of(time_s[here], place_m[here], flags[here], acc_m[here])
        for number, limits in enumerate(settings):
            _, when = risen(frame, 1, limits)
            rises[number] += len(when)
            quiet[number] += not len(when)
            mine = (len(when) > 0) + int((np.diff(when) > SAME_ALARM_MS).sum())
            alarms[number] += mine
            most[number] = max(most[number], mine)
    months = bikes * days / 30.0
    found = zip(alarms.tolist(), most.tolist(), rises.tolist(), quiet.tolist(), strict=True)
    return [Told(*one, bikes, months) for one in found]


def resampled(stretches: list[Stretch], days: float) -> Floats:
    """Real errors end to end, every other time backwards so that no seam is a leap; a minute apart."""
    count = int(days * DAY_S / 60)
    made = []
    for one in stretches:
        both = np.concatenate((one.offset_m, one.offset_m[::-1]))
        made.append(both[np.arange(count) % len(both)])
    return np.array(made)


def thefts(
    all_rides: list[tuple[Floats, Floats]], noise: Noise, every_s: int, *, says: bool, rng: np.random.Generator
) -> tuple[Frame, int]:
    """A frame of bikes parked half an hour and then ridden away: every ride at `PHASES` phases of the report interval."""
    bikes = len(all_rides) * PHASES
    count = PARKED_S // every_s + int(AFTER_S / every_s)
    spread = rng.choice(noise.spreads_m, bikes)
    place = draw(noise, spread, every_s, count, rng)
    time_s = np.arange(count) * float(every_s) + (np.arange(bikes) % PHASES / PHASES * every_s)[:, None]
    for bike in range(bikes):
        ride_s, ride_m = all_rides[bike // PHASES]
        since = np.clip(time_s[bike] - PARKED_S, 0.0, ride_s[-1])
        place[bike] += np.column_stack([np.interp(since, ride_s, ride_m[:, axis]) for axis in (0, 1)])
    flags = np.full((bikes, count), _ARMED)
    return frame_of(time_s, place, flags, accuracy(spread) if says else np.full(bikes, np.nan)), bikes


def accuracy(spread_m: Floats) -> Floats:
    """What a tracker of this spread would call its accuracy, m."""
    return np.asarray(np.maximum(np.rint(spread_m * ACCURACY_PER_SPREAD), 3.0))


def delays(frame: Frame, bikes: int, limits: RuleLimits) -> Floats:
    """Seconds from the theft to the first rise after it, infinite for a theft that was not told; false rises before are passed over."""
    slot, when = risen(frame, bikes, limits)
    after = when >= T0_MS + PARKED_S * 1_000
    found = np.full(bikes, np.inf)
    np.minimum.at(found, slot[after], (when[after] - T0_MS) / 1_000.0 - PARKED_S)
    return found


def report_fit(stretches: list[Stretch]) -> Noise:
    """Fit on every other place, show it on the others; return the fit on all."""
    half, held_out = fit(stretches[0::2]), stretches[1::2]
    noise = fit(stretches)
    print(f"standing stretches: {len(stretches)}, {sum(one.hours for one in stretches):.0f} h, "
          f"{sum(len(one.time_s) for one in stretches)} fixes")  # fmt: skip
    at = np.percentile(noise.spreads_m, (5, 25, 50, 75, 90, 95, 100))
    print("spread of a place, m per axis, 5/25/50/75/90/95/100 %:", " ".join(f"{v:.1f}" for v in at))
    print(
        f"excursions: {noise.excursions_per_h:.2f} an hour, {noise.excursion_s:.0f} s, median {np.exp(noise.excursion_log_m[0]):.0f} m"
    )
    print("weights by memory:", " ".join(f"{w:.2f}" for w in noise.weights))
    print("autocorrelation, fitted on one half of the places | seen on the other half")
    seen = 1.0 - structure(held_out) / (2.0 * sum(half.weights))
    for lag, value in zip(LAGS_S, seen.tolist(), strict=True):
        print(f"  {lag:5.0f} s: {half.correlation(lag):5.2f} | {value:5.2f}")
    rng = np.random.default_rng(DEFAULT_SEED)
    drawn = np.hypot(*np.moveaxis(draw(half, rng.choice(half.spreads_m, 400), 60.0, 1_440, rng), 2, 0)).ravel()
    real = np.concatenate([np.hypot(*one.offset_m.T) for one in held_out])
    for name, values in (("drawn", drawn), ("seen", real)):
        quantiles = " ".join(f"{v:.1f}" for v in np.percentile(values, (50, 90, 95, 99, 99.9)))
        print(
            f"distance from the place, 50/90/95/99/99.9 %, {name}: {quantiles} m; beyond 30 m {(values > 30).mean():.2%}"
        )
    return noise


def print_rows(settings: list[RuleLimits], false: list[Told], late: list[Floats] | None = None) -> None:
    """A line a setting."""
    for number, (limits, told) in enumerate(zip(settings, false, strict=True)):
        line = (
            f"  {limits.moved_min_m:5.0f} m {limits.moved_confirm_points:3d} fixes | {told.per_month:9.3f} a bike-month"
            f" ({told.alarms} alarms, {told.most} of one bike, {told.quiet_bikes} of {told.bikes} bikes quiet)"
        )
        if late is not None:
            got = late[number][np.isfinite(late[number])]
            p50, p90 = np.percentile(got, (50, 90)) if len(got) else (np.nan, np.nan)
            line += f" | {p50:4.0f} {p90:4.0f} {got.max(initial=0):5.0f} s, {len(late[number]) - len(got)} not told"
        print(line)


def panel(title: str, settings: list[RuleLimits], false: list[Told], late: list[Floats]) -> Panel:
    """The trade-off of one form: a curve for each number of fixes, a point for each distance."""
    curves = []
    for points in CONFIRMATIONS:
        mine = [k for k, limits in enumerate(settings) if limits.moved_confirm_points == points]
        if mine:
            x, y = [float(np.median(late[k])) for k in mine], [false[k].per_month for k in mine]
            curves.append(Curve(points, x, y, [f"{settings[k].moved_min_m:.0f}" for k in mine]))
    return Panel(title, curves, floor=1.0 / false[0].bike_months)


def study(
    noise: Noise, all_rides: list[tuple[Floats, Floats]], every_s: int, days: float, rng: np.random.Generator
) -> list[Panel]:
    """False alarms and delays at one interval of reports, printed; the panels of the plot."""
    spread = np.array(noise.spreads_m)
    place = draw(noise, spread, every_s, int(days * DAY_S / every_s), rng)
    part = place[:, : int(min(days, GRID_DAYS) * DAY_S / every_s)]
    panels = []
    for says in (False, True):
        acc_m = accuracy(spread) if says else np.full(len(spread), np.nan)
        frame, bikes = thefts(all_rides, noise, every_s, says=says, rng=rng)

        def show(what: str, settings: list[RuleLimits], false: list[Told], late: list[Floats], said: str) -> None:
            months = false[0].bike_months
            print(f"reports every {every_s} s, the tracker says {said}, {what}; {months:.0f} bike-months")
            print_rows(settings, false, late)

        said = "its accuracy" if says else "no accuracy"
        default = [RuleLimits()]
        late = [delays(frame, bikes, default[0])]
        show("by default", default, parked(place, every_s, acc_m, default), late, said)
        for name, (form, confirmations) in FORMS.items():
            whole = every_s == GRID_S and not says
            distances, fixes = (DISTANCES_M, confirmations) if whole else ((30.0,), (2,))
            if not whole and form is ours:
                continue
            settings = [form(distance, points) for distance in distances for points in fixes]
            false = parked(part, every_s, acc_m, settings)
            late = [delays(frame, bikes, limits) for limits in settings]
            show(name, settings, false, late, said)
            if whole:
                panels.append(panel(f"Confirmed by {name}", settings, false, late))
    return panels


def replayed(stretches: list[Stretch], days: float) -> None:
    """The second source of noise: what was really measured, end to end."""
    real, own = resampled(stretches, days), np.array([calm(one)[1] for one in stretches])
    for says in (False, True):
        for name, (form, _) in FORMS.items():
            said = "says its accuracy" if says else "says no accuracy"
            print(f"real stretches end to end, a minute apart, the tracker {said}, {name}")
            settings = [form(distance, points) for distance in (30.0, 60.0) for points in (2,)]
            print_rows(settings, parked(real, 60.0, accuracy(own) if says else np.full(len(own), np.nan), settings))


def main(arguments: list[str]) -> int:
    """Run the study."""
    parser = argparse.ArgumentParser(description="False alarms of moved_while_armed, and its delay.")
    here = Path(__file__).resolve().parent.parent
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("LUCHENG_TEST_DATA", here.parent / "shared" / "data"))
    )
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args(arguments)
    fleet = asked.data / "taxi" / "cabspotting-sf-2008-05-30.csv.gz"
    if not fleet.is_file():
        print("false_alarms: skipped, the real tracks are not there (LUCHENG_TEST_DATA)")
        return 0
    began = time.process_time()
    print(machine())
    print(f"seed {asked.seed}")
    stretches, all_rides = cabs(fleet), rides(asked.data / "ebike")
    noise = report_fit(stretches)
    rng = np.random.default_rng(asked.seed)
    panels: list[Panel] = []
    for every_s in INTERVALS_S:
        panels += study(noise, all_rides, every_s, asked.days, rng)
    replayed(stretches, min(asked.days, GRID_DAYS))
    if asked.plot:
        asked.plot.write_text(trade_off_svg(panels), encoding="utf-8")
    print(f"took {time.process_time() - began:.0f} s of CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
