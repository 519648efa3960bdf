"""The supervision as one document of JSON-ready values: what CSV, HTML and JSON are all made from.

Invariants: the same supervision, names and limits give the same document, to the last digit: nothing in it is of the time
or the caller of the asking; `None` for what cannot be told; times are RFC 3339 UTC with milliseconds, ways in km with 3
decimals, durations in s, rates in 0..1 with 4 decimals, speeds with 1. It is pure and judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from console.track_rows import rfc3339, time_text
from model.codes import ALARM_BY_BIT

if TYPE_CHECKING:
    from analytics.supervision.rows import AreaRows, GapRows, OverspeedRows, SpellRows, Sums, Supervision

FORMAT_VERSION = 1
_HOUR_MS = 3_600_000
_NONE_MS = -1


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What the registry says of a vehicle. `company` is its owner's reference, "" where none is registered."""

    device: str
    plate: str
    company: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked.

    Attributes:
        city, time_zone: names. date: local day, `2026-11-22`. complete: whether the day had ended.
        fences: version of the fences. fence_ids: id by number.
        limits: what the figures go by, by name; JSON-ready.
    """

    city: str
    time_zone: str
    date: str
    complete: bool
    fences: int
    fence_ids: Mapping[int, str]
    limits: Mapping[str, Any]


def document(found: Supervision, vehicles: Sequence[Vehicle], asked: Asked) -> dict[str, Any]:
    """The document; `vehicles` are those of `found.slot`, in its order."""
    from analytics.supervision.rows import grouped  # noqa: PLC0415 the analytics cost start-up time of every command

    names = sorted({one.company for one in vehicles})
    number = {name: at for at, name in enumerate(names)}
    group = np.array([number[one.company] for one in vehicles], np.int64)
    window_ms = found.to_ms - found.from_ms
    companies = _sum_rows(grouped(found.vehicles, group, len(names)), window_ms)
    (city,) = _sum_rows(grouped(found.vehicles, np.zeros(len(vehicles), np.int64), 1), window_ms)
    device_of = dict(zip(found.slot.tolist(), vehicles, strict=True))

    def of(slots: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
        kept = [device_of[slot] for slot in slots.tolist()]
        return [{"device": one.device, "plate": one.plate, "company": one.company} for one in kept]

    heads = of(found.slot)
    first, last = _times(found.first_ms), _times(found.last_ms)
    rows = _sum_rows(found.vehicles, window_ms)
    return {
        "report": "supervision",
        "version": FORMAT_VERSION,
        "city": asked.city,
        "date": asked.date,
        "time_zone": asked.time_zone,
        "from": time_text(found.from_ms),
        "to": time_text(found.to_ms),
        "complete": asked.complete,
        "points": found.points,
        "data_sha256": found.digest,
        "fences": asked.fences,
        "limits": dict(asked.limits),
        "city_totals": city,
        "companies": [{"company": name, **row} for name, row in zip(names, companies, strict=True)],
        "hours": _hours(found),
        "vehicles": [
            {**head, "first": first[at], "last": last[at], **row}
            for at, (head, row) in enumerate(zip(heads, rows, strict=True))
        ],
        "overspeed": _joined(of(found.overspeed.slot), _overspeeds(found.overspeed, asked)),
        "fatigue": _joined(of(found.spells.slot), _spells(found.spells)),
        "areas": _joined(of(found.areas.slot), _areas(found.areas, asked)),
        "gaps": _joined(of(found.gaps.slot), _gaps(found.gaps)),
    }


def _joined(heads: list[dict[str, Any]], columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    values = zip(*columns.values(), strict=True)
    return [{**head, **dict(zip(columns, row, strict=True))} for head, row in zip(heads, values, strict=True)]


def _sum_rows(sums: Sums, window_ms: int) -> list[dict[str, Any]]:
    """Each row of sums with its rates."""
    from analytics.supervision.rates import rates  # noqa: PLC0415 as above

    found = rates(sums, window_ms)
    columns: dict[str, list[Any]] = {
        "vehicles": sums.vehicles.tolist(),
        "online": sums.online.tolist(),
        "online_rate": _rounded(found.online, 4),
        "online_time_rate": _rounded(found.online_time, 4),
        "completeness": _rounded(found.completeness, 4),
        "valid_rate": _rounded(found.valid, 4),
        "drift_rate": _rounded(found.drift, 4),
        "drifting_rate": _rounded(found.drifting, 4),
        "points": sums.points.tolist(),
        "valid": sums.valid.tolist(),
        "drift": sums.drift.tolist(),
        "distance_km": _km(sums.distance_mm),
        "broken_km": _km(sums.broken_mm),
        "driving_s": _seconds(sums.driving_ms),
        "standing_s": _seconds(sums.standing_ms),
        "trips": sums.trips.tolist(),
        "stops": sums.stops.tolist(),
        "hires": [
            hires if told else None for hires, told in zip(sums.hires.tolist(), sums.told_ms.tolist(), strict=True)
        ],
        "flips": [
            flips if told else None for flips, told in zip(sums.flips.tolist(), sums.told_ms.tolist(), strict=True)
        ],
        "occupied_km": [
            km if told else None for km, told in zip(_km(sums.occupied_mm), sums.told_mm.tolist(), strict=True)
        ],
        "occupied_distance_share": _rounded(found.occupied_distance, 4),
        "occupied_s": [
            s if told else None for s, told in zip(_seconds(sums.occupied_ms), sums.told_ms.tolist(), strict=True)
        ],
        "occupied_time_share": _rounded(found.occupied_time, 4),
        "overspeed": sums.overspeed.sum(axis=1).tolist(),
        "overspeed_bands": sums.overspeed.tolist(),
        "overspeed_s": _seconds(sums.overspeed_ms),
        "max_kmh": _rounded(sums.max_kmh, 1),
        "fatigue": sums.tired.tolist(),
        "longest_drive_s": _seconds(sums.longest_drive_ms),
        "areas": sums.areas.tolist(),
        "gaps": sums.gaps.tolist(),
        "offline_s": _seconds(sums.offline_ms),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _overspeeds(rows: OverspeedRows, asked: Asked) -> dict[str, list[Any]]:
    def points(time: npt.NDArray[np.int64], *columns: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
        lat, lon, kmh = (_rounded(column, places) for column, places in zip(columns, (6, 6, 1), strict=True))
        values = zip(_times(time), lat, lon, kmh, strict=True)
        return [dict(zip(("time", "lat", "lon", "kmh"), row, strict=True)) for row in values]

    return {
        "start": _times(rows.start_ms),
        "end": _times(rows.end_ms),
        "lasted_s": _seconds(rows.end_ms - rows.start_ms),
        "points": rows.points.tolist(),
        "band": rows.band.tolist(),
        "limit_kmh": _rounded(rows.limit_kmh, 1),
        "fence": [asked.fence_ids.get(number, "") for number in rows.fence.tolist()],
        "first": points(rows.start_ms, rows.first_lat, rows.first_lon, rows.first_kmh),
        "peak": points(rows.peak_ms, rows.peak_lat, rows.peak_lon, rows.peak_kmh),
        "last": points(rows.end_ms, rows.last_lat, rows.last_lon, rows.last_kmh),
    }


def _spells(rows: SpellRows) -> dict[str, list[Any]]:
    return {
        "start": _times(rows.start_ms),
        "end": _times(rows.end_ms),
        "driven_s": _seconds(rows.drive_ms),
        "over": _times(rows.over_ms),
        "lat": _rounded(rows.over_lat, 6),
        "lon": _rounded(rows.over_lon, 6),
    }


def _areas(rows: AreaRows, asked: Asked) -> dict[str, list[Any]]:
    return {
        "start": _times(rows.start_ms),
        "end": _times(rows.end_ms),
        "kind": [ALARM_BY_BIT[bit].name for bit in rows.bit.tolist()],
        "fence": [asked.fence_ids.get(number, "") for number in rows.fence.tolist()],
        "lat": _rounded(rows.lat, 6),
        "lon": _rounded(rows.lon, 6),
    }


def _gaps(rows: GapRows) -> dict[str, list[Any]]:
    return {
        "start": _times(rows.start_ms),
        "end": _times(rows.end_ms),
        "lasted_s": _seconds(rows.end_ms - rows.start_ms),
        "moved_m": _rounded(rows.moved_m, 0),
        "lat": _rounded(rows.lat, 6),
        "lon": _rounded(rows.lon, 6),
    }


def _hours(found: Supervision) -> list[dict[str, Any]]:
    hours = found.hours
    start = found.from_ms + _HOUR_MS * np.arange(len(hours.online), dtype=np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(hours.told_ms > 0, hours.occupied_ms / hours.told_ms, np.nan)
    columns = {
        "start": _times(start),
        "online": hours.online.tolist(),
        "distance_km": _km(hours.distance_mm),
        "occupied_time_share": _rounded(share, 4),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _times(time_ms: npt.NDArray[np.int64]) -> list[str | None]:
    return [None if ms == _NONE_MS else made for ms, made in zip(time_ms.tolist(), rfc3339(time_ms), strict=True)]


def _rounded(values: npt.NDArray[np.float64], places: int) -> list[float | None]:
    return [None if np.isnan(value) else round(value, places) + 0.0 for value in values.tolist()]


def _km(mm: npt.NDArray[np.int64]) -> list[float]:
    return [round(value / 1_000_000, 3) for value in mm.tolist()]


def _seconds(ms: npt.NDArray[np.int64]) -> list[float]:
    return [value / 1_000 for value in ms.tolist()]
