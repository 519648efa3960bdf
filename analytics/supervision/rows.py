"""What a supervision comes to, as columns.

Invariants: sums are whole milliseconds and whole millimetres, so that none depends on the order in which vehicles or
batches came; a vehicle is a group of one, so that vehicle, company and city are reckoned alike: `Sums` of each, and the
rates of `analytics.supervision.rates` over them. It computes nothing but sums of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


#: Columns of `Sums` of which a group has the greatest, not the sum.
_GREATEST = frozenset({"longest_drive_ms", "max_kmh"})


@dataclass(frozen=True, slots=True)
class Sums:
    """What vehicles, companies or the city did; columns of shape (n,), int64 unless said otherwise.

    Attributes:
        vehicles: how many. online: of them, with a valid fix in the window. drifting: of them, that drift.
        points: everything that came. valid: fixes that are valid. drift: valid fixes that jump.
        distance_mm, driving_ms: of the trips. trips: how many. standing_ms, stops: of the stops.
        told_mm: of `distance_mm`, on trips on which the device told of passengers. occupied_mm: of that, with one.
        told_ms: between points that tell of passengers, gaps left out. occupied_ms: of that, with one.
        flips: changes between free and occupied. hires: those to occupied.
        complete_mm, broken_mm: of the way between stops, what points lie close enough on, and what lies across gaps.
        overspeed: shape (n, bands), stretches by band. overspeed_ms: how long they lasted.
        tired: driving spells that were too long. longest_drive_ms: of the longest spell, a group's greatest.
        areas: times that a fence was broken. gaps: times off-line within the window. offline_ms: how long, with its ends.
        max_kmh: float64, highest speed, a group's greatest; NaN where none is known.
    """

    vehicles: Ints
    online: Ints
    drifting: Ints
    points: Ints
    valid: Ints
    drift: Ints
    distance_mm: Ints
    driving_ms: Ints
    trips: Ints
    standing_ms: Ints
    stops: Ints
    told_mm: Ints
    occupied_mm: Ints
    told_ms: Ints
    occupied_ms: Ints
    flips: Ints
    hires: Ints
    complete_mm: Ints
    broken_mm: Ints
    overspeed: Ints
    overspeed_ms: Ints
    tired: Ints
    longest_drive_ms: Ints
    areas: Ints
    gaps: Ints
    offline_ms: Ints
    max_kmh: Floats

    def __len__(self) -> int:
        return len(self.vehicles)


@dataclass(frozen=True, slots=True)
class OverspeedRows:
    """Stretches above the limit, in order of (slot, time); columns of shape (n,), int64 unless said otherwise.

    Attributes:
        slot, start_ms, end_ms, points: from the first to the last fix above the limit.
        band: from 0; how far above is told by the fix that is farthest above its limit.
        fence: number of the fence that set the limit there, 0 for none.
        first_*, peak_*, last_*: float64 (times int64), the fixes at which it began, was worst, and ended.
        limit_kmh: float64, of the worst fix.
    """

    slot: Ints
    start_ms: Ints
    end_ms: Ints
    points: Ints
    band: Ints
    fence: Ints
    first_lat: Floats
    first_lon: Floats
    first_kmh: Floats
    peak_ms: Ints
    peak_lat: Floats
    peak_lon: Floats
    peak_kmh: Floats
    limit_kmh: Floats
    last_lat: Floats
    last_lon: Floats
    last_kmh: Floats

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class SpellRows:
    """Driving spells that were too long, in order of (slot, time); columns of shape (n,).

    Attributes:
        slot, start_ms, end_ms: int64, from the start of the first driving interval to the end of the last.
        drive_ms: int64, driven in it, its short rests left out.
        over_ms: int64, when it became too long. over_lat, over_lon: float64, and where.
    """

    slot: Ints
    start_ms: Ints
    end_ms: Ints
    drive_ms: Ints
    over_ms: Ints
    over_lat: Floats
    over_lon: Floats

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class AreaRows:
    """Times that a fence was broken, in order of (slot, time, fence); columns of shape (n,).

    Attributes:
        slot, fence: int64. bit: int64, of the alarm kind (`model.codes.ALARM_BY_BIT`).
        start_ms, end_ms: int64, when it was certain, and when it was over; -1 when it lasted beyond the last point.
        lat, lon: float64, where it was certain.
    """

    slot: Ints
    fence: Ints
    bit: Ints
    start_ms: Ints
    end_ms: Ints
    lat: Floats
    lon: Floats

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class GapRows:
    """Times off-line between two points of the window, in order of (slot, time); columns of shape (n,).

    Attributes:
        slot, start_ms, end_ms: int64.
        lat, lon: float64, last trusted place before it, NaN for none.
        moved_m: float64, from there to the first trusted place after it, NaN where one is missing.
    """

    slot: Ints
    start_ms: Ints
    end_ms: Ints
    lat: Floats
    lon: Floats
    moved_m: Floats

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class HourRows:
    """The window hour by hour from its start; columns of shape (hours,), int64.

    Attributes:
        online: vehicles with any point. distance_mm: driven on trips. told_ms, occupied_ms: as in `Sums`.
        An interval belongs to the hour in which it ends.
    """

    online: Ints
    distance_mm: Ints
    told_ms: Ints
    occupied_ms: Ints


@dataclass(frozen=True, slots=True)
class Supervision:
    """A window of some vehicles.

    Attributes:
        from_ms, to_ms: half open, UTC ms.
        points: how many were judged. digest: SHA-256 in hex over them.
        slot: int64, shape (n,), ascending: every vehicle that was asked for.
        first_ms, last_ms: int64, shape (n,): its first and last point, -1 for none.
        vehicles: shape (n,).
        overspeed, spells, areas, gaps: the evidence. hours: the city hour by hour.
    """

    from_ms: int
    to_ms: int
    points: int
    digest: str
    slot: Ints
    first_ms: Ints
    last_ms: Ints
    vehicles: Sums
    overspeed: OverspeedRows
    spells: SpellRows
    areas: AreaRows
    gaps: GapRows
    hours: HourRows


Rows = TypeVar("Rows", Sums, OverspeedRows, SpellRows, AreaRows, GapRows)


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of one kind, one part after another; at least one part."""
    names = type(parts[0]).__dataclass_fields__
    return type(parts[0])(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def grouped(sums: Sums, group: Ints, groups: int) -> Sums:
    """The sums of groups: `group` has the number of each row's, 0 to `groups` - 1; an empty group has zeros."""
    made: dict[str, Any] = {}
    for field in fields(sums):
        column = getattr(sums, field.name)
        if field.name in _GREATEST:
            empty = np.nan if column.dtype.kind == "f" else 0
            greatest = np.full(groups, empty, column.dtype)
            np.fmax.at(greatest, group, column)
            made[field.name] = greatest
        else:
            total = np.zeros((groups, *column.shape[1:]), np.int64)
            np.add.at(total, group, column)
            made[field.name] = total
    return Sums(**made)
