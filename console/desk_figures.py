"""What a shift's leader is shown, from columns of laps: load, times to act, floods, devices that make noise. Pure.

Invariants: percentiles are over laps, never over percentiles; laps that began late stand apart from the promise and its share;
where nobody acted, a period counts as one seat, so that alarms which nobody saw weigh most.
Sources of the bounds: EEMUA 191, table of average alarm rates per operator (very likely acceptable: one in ten minutes,
manageable: two, likely over-demanding: more than five, very likely unacceptable: ten and more); a flood is more than ten in ten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from console.alarm_rows import moment
from model.alarm import RESPONSE_CLOCK_MS, Outcome
from model.codes import Word

if TYPE_CHECKING:
    from store.desk.figures import Laps

TEN_MINUTES_MS = 600_000
#: Upper bounds of alarms in ten minutes and seat; what is beyond the last is unacceptable.
LEVELS: tuple[tuple[str, float], ...] = (("acceptable", 1.0), ("manageable", 2.0), ("demanding", 5.0), ("over", 10.0))
WORST_LEVEL = "unacceptable"
LEVEL_WORDS: dict[str, Word] = {
    "acceptable": Word("very likely acceptable", "很可能可接受"),
    "manageable": Word("manageable", "可以应付"),
    "demanding": Word("demanding", "偏重"),
    "over": Word("likely over-demanding", "很可能过重"),
    WORST_LEVEL: Word("very likely unacceptable", "很可能不可接受"),
}
#: Alarms within the window from which a device may be called noisy; of those that ended, how many have to be noise.
NOISY_ALARMS = 5
RETIRE_ENDED = 10
NOISE_SHARE, RETIRE_SHARE = 0.5, 0.9
#: What came to nothing; a test is none: it is meant.
NOISE = frozenset({Outcome.FALSE, Outcome.UNFOUNDED, Outcome.DUPLICATE})
STEP_WORDS: dict[str, Word] = {
    "none": Word("nothing", "无需处理"),
    "announce": Word("announce tests, shelve it for so long", "测试前报备，测试期间搁置"),
    "look": Word("have it looked at", "派技师检查"),
    "shelve": Word("shelve it until it is mended", "搁置至修复"),
    "retire": Word("retire or replace it", "停用或更换"),
}
DEFAULT_MAX_DEVICES = 20
DEFAULT_MAX_FLOODS = 50
MAX_BUCKETS = 1_000

By = Literal["hour", "day"]
Columns = npt.NDArray[np.bool_]


def level_of(per_10_min: float) -> str:
    """The word of EEMUA 191 for a rate of alarms in ten minutes and seat."""
    return next((name for name, most in LEVELS if per_10_min <= most), WORST_LEVEL)


def edges(from_ms: int, to_ms: int, by: By, zone: ZoneInfo) -> list[int]:
    """Begins of the city's hours or days that cover [from, to), and the end of the last; UTC ms.

    A day of the city has 23 or 25 hours where its clock is moved; an hour is always one.
    """
    at = datetime.fromtimestamp(from_ms / 1000, zone).replace(minute=0, second=0, microsecond=0)
    if by == "day":
        at = at.replace(hour=0)
    found = [_ms(at)]
    while found[-1] < to_ms and len(found) <= MAX_BUCKETS:
        if by == "hour":
            found.append(found[-1] + 3_600_000)
        else:
            at = (at.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
            found.append(_ms(at))
    return found


def _ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)


# -- times to act -------------------------------------------------------------------------------


def times_row(laps: Laps, mine: Columns) -> dict[str, Any]:
    """The times to act of these laps, and how the promise was kept."""
    timely = mine & ~laps.late
    kept, over = int(np.sum(laps.kept[mine] == 1)), int(np.sum(laps.kept[mine] == 0))
    return {
        "alarms": int(np.sum(mine)),
        "late": int(np.sum(mine & laps.late)),
        "kept": kept,
        "over": over,
        "share": round(kept / (kept + over), 4) if kept + over else None,
        "acknowledge": spread(laps.acknowledge_ms[timely]),
        "dispatch": spread(laps.dispatch_ms[timely]),
        "arrive": spread(laps.scene_ms[timely]),
    }


def spread(values_ms: npt.NDArray[np.float64]) -> dict[str, float | int | None]:
    """p50, p95 and the worst, in seconds, of those that are there; how many they are."""
    there = values_ms[np.isfinite(values_ms)] / 1000.0
    if not len(there):
        return {"p50": None, "p95": None, "worst": None, "count": 0}
    p50, p95 = np.percentile(there, (50, 95)).tolist()
    return {"p50": round(p50, 1), "p95": round(p95, 1), "worst": round(float(there.max()), 1), "count": len(there)}


# -- load ---------------------------------------------------------------------------------------


def load_rows(
    laps: Laps, bounds: Sequence[int], people: Sequence[tuple[int, str]], now_ms: int
) -> list[dict[str, Any]]:
    """For each period its times to act, and its load: alarms, the busiest ten minutes, who acted, and both for each seat."""
    who: dict[int, set[str]] = {}
    for at_ms, name in people:
        who.setdefault(int(np.searchsorted(bounds, at_ms, side="right")) - 1, set()).add(name)
    rows = []
    for number, (begin, end) in enumerate(pairwise(bounds)):
        mine = (laps.received_ms >= begin) & (laps.received_ms < end)
        times = laps.received_ms[mine]
        seats = len(who.get(number, ()))
        minutes = max(1.0, (min(end, now_ms) - begin) / 60_000) if begin < now_ms else 1.0
        per_seat = len(times) / (minutes / 10) / max(1, seats)
        peak = busiest(times)
        rows.append(
            {
                "time": moment(begin),
                "seats": seats,
                "per_seat": round(per_seat, 2),
                "peak_10_min": peak,
                "peak_per_seat": round(peak / max(1, seats), 2),
                "level": level_of(per_seat),
                "peak_level": level_of(peak / max(1, seats)),
                **times_row(laps, mine),
            }
        )
    return rows


def busiest(times_ms: npt.NDArray[np.int64]) -> int:
    """Most alarms within any ten minutes; `times_ms` in order."""
    if not len(times_ms):
        return 0
    return int(
        np.max(np.arange(len(times_ms)) - np.searchsorted(times_ms, times_ms - TEN_MINUTES_MS, side="right")) + 1
    )


# -- floods -------------------------------------------------------------------------------------


def floods(laps: Laps, more_than: int, *, limit: int = DEFAULT_MAX_FLOODS) -> list[dict[str, Any]]:
    """Times in which ten minutes held more than `more_than` alarms, the newest first, with what they were mostly of."""
    times = laps.received_ms
    if not len(times):
        return []
    first = np.searchsorted(times, times - TEN_MINUTES_MS, side="right")
    within = np.arange(len(times)) - first + 1
    at = np.flatnonzero(within > more_than)
    if not len(at):
        return []
    # a flood goes on while the window of the next crowded alarm begins before the last crowded one
    breaks = np.flatnonzero(first[at[1:]] > at[:-1]) + 1
    rows = []
    for run in np.split(at, breaks)[::-1][:limit]:
        begin, end = int(first[run[0]]), int(run[-1])
        kinds = Counter(laps.kind[begin : end + 1])
        areas = Counter(area for area in laps.area[begin : end + 1] if area)
        rows.append(
            {
                "from": moment(int(times[begin])),
                "to": moment(int(times[end])),
                "alarms": end - begin + 1,
                "peak_10_min": int(within[run].max()),
                "kinds": dict(kinds.most_common(3)),
                "areas": dict(areas.most_common(3)),
            }
        )
    return rows


# -- devices ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Noise:
    """What one device did: alarms by kind, how they ended, its highest severity."""

    alarms: int
    kinds: Mapping[str, int]
    outcomes: Mapping[str, int]
    severity: int


def step_for(noise: Noise) -> str:
    """What to do about a device, a key of `STEP_WORDS`: by how its alarms ended, never by their number alone.

    Nothing while it is not noisy, or more than half of what ended was no noise. Tests of its own are to be announced.
    One of severity 1 is never to be shelved: it is looked at, and retired where next to nothing of it was ever true.
    """
    ended = sum(noise.outcomes.values())
    tests = noise.outcomes.get(Outcome.TEST, 0)
    came_to_nothing = sum(noise.outcomes.get(one, 0) for one in NOISE)
    if noise.alarms < NOISY_ALARMS:
        return "none"
    if not ended:  # nobody ever said what it was: technical ones settle by themselves
        return "look" if noise.severity == 1 else "shelve"
    if tests / ended > NOISE_SHARE:
        return "announce"
    if came_to_nothing / ended <= NOISE_SHARE:
        return "none"
    if ended >= RETIRE_ENDED and came_to_nothing / ended >= RETIRE_SHARE:
        return "retire"
    return "look" if noise.severity == 1 else "shelve"


def noisiest(
    laps: Laps, endings: Sequence[tuple[str, str]], *, limit: int = DEFAULT_MAX_DEVICES
) -> list[tuple[str, Noise]]:
    """The devices with the most alarms, the noisiest first."""
    alarms = Counter(laps.device)
    chosen = [device for device, _ in sorted(alarms.items(), key=lambda one: (-one[1], one[0]))[:limit]]
    kinds: dict[str, Counter[str]] = {device: Counter() for device in chosen}
    severity = dict.fromkeys(chosen, 3)
    for device, kind, worst in zip(laps.device, laps.kind, laps.severity.tolist(), strict=True):
        if device in kinds:
            kinds[device][kind] += 1
            severity[device] = min(severity[device], worst)
    outcomes: dict[str, Counter[str]] = {device: Counter() for device in chosen}
    for device, outcome in endings:
        if device in outcomes and outcome:
            outcomes[device][outcome] += 1
    return [(one, Noise(alarms[one], kinds[one], outcomes[one], severity[one])) for one in chosen]


def device_row(device: str, noise: Noise, signals: int) -> dict[str, Any]:
    """One of the noisiest devices."""
    return {
        "device": device,
        "alarms": noise.alarms,
        "signals": signals,
        "severity": noise.severity,
        "kinds": dict(Counter(noise.kinds).most_common(3)),
        "outcomes": {one.value: noise.outcomes.get(one, 0) for one in Outcome if noise.outcomes.get(one, 0)},
        "step": step_for(noise),
    }


#: The promise, for whoever shows it.
PROMISE_S = RESPONSE_CLOCK_MS // 1000
