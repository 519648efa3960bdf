"""What an alarm brings with it, without anyone asking: its device and site, cameras, units, posts, and track.

Purpose: one JSON-ready dict for an operator who has just taken an alarm. Invariants: what a place tells is left out as a
whole where the place may not be given out (an e-bike's without an open case): distances and an order by distance would
tell it, too. Reads of points go through a `Grant` for this alarm, so that the audit names it.

The lines of defence are rings, 1 inside 2 inside 3, each fence of a line being the area that it encloses, boundary
included. A place lies on the inside of the innermost line that encloses it; whoever flees from there outward crosses
that line first: it is "the next ring outward", and its posts are named. Outside all lines there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from analytics.fences.index import FenceIndex
from console.device_operations import device_row, site_row
from console.ebikes import is_ebike
from console.track_rows import FIRST_MS, LAST_MS, time_text
from devices.nearby import DEFAULT_CAMERAS
from devices.sites import Sites
from model.batch import PointBatch
from model.desk import DeskAlarm, Unit, UnitState
from model.errors import NotFound, TryAgain
from model.fence import Fence, FenceSet
from model.geo import bearing_deg, haversine_m
from model.grant import Grant, Purpose
from model.seams import SeriesStore

if TYPE_CHECKING:
    from devices.nearby import Nearby
    from devices.registry import Registry

#: Free units that come with an alarm.
DEFAULT_FREE_UNITS = 5
#: Units of one patrol level, and posts, that come with an alarm of severity 1.
DEFAULT_LEVEL_UNITS = 100
DEFAULT_POSTS = 100
LEVELS = (1, 2, 3)
#: So long before the alarm was received its device's track begins, and so long after its closing it ends.
TRACK_BEFORE_MS = 30 * 60_000
TRACK_AFTER_MS = 15 * 60_000

_Place = tuple[float, float]
Answer = TypeVar("Answer")


def track_window(alarm: DeskAlarm, now_ms: int) -> tuple[int, int]:
    """The alarm's track, half open, UTC ms: 30 minutes before what happened up to now, 15 minutes after closing at most."""
    one = alarm.alarm
    from_ms = min(one.device_ms, one.received_ms) - TRACK_BEFORE_MS
    to_ms = one.closed_ms + TRACK_AFTER_MS if one.closed_ms else now_ms
    return max(from_ms, FIRST_MS), min(max(to_ms, one.device_ms, one.received_ms) + 1, LAST_MS)


def read_unit_places(
    series: SeriesStore, nearby: Nearby, units: Sequence[Unit], *, who: str, role: str, alarm_id: str
) -> PointBatch:
    """The newest point of each unit, read for the alarm; units that are not registered have none."""
    names = [unit.device for unit in units]
    slots = nearby.slots_of(names)
    known = np.flatnonzero(slots >= 0)
    if not len(known):
        return PointBatch.empty()
    names = [names[at] for at in known.tolist()]
    grant = Grant(who, role, Purpose("alarm", alarm_id), frozenset(names), FIRST_MS, LAST_MS)
    return series.latest(grant, slots[known].astype(np.int32), devices=names)


def read_track(
    series: SeriesStore, nearby: Nearby, alarm: DeskAlarm, now_ms: int, *, who: str, role: str, place: bool
) -> PointBatch | None:
    """The device's points in `track_window`, read for the alarm; None where its place may not be given out."""
    device = alarm.alarm.device
    slot = int(nearby.slots_of([device])[0])
    if slot < 0 or not place:
        return None
    from_ms, to_ms = track_window(alarm, now_ms)
    grant = Grant(who, role, Purpose("alarm", alarm.alarm.id), frozenset([device]), from_ms, to_ms)
    return series.track(grant, device, slot, from_ms, to_ms)


def read_context(
    alarm: DeskAlarm,
    *,
    series: SeriesStore,
    registry: Registry,
    nearby: Nearby,
    units: Sequence[Unit],
    fences: FenceSet,
    now_ms: int,
    who: str,
    role: str,
    place: bool,
) -> dict[str, Any]:
    """`alarm_context` with what it needs of the series, read (and so audited) for `who` under `role`.

    While the store's server is away an alarm comes without its track and without the places of units: nobody waits for them.
    """
    return alarm_context(
        alarm,
        registry=registry,
        nearby=nearby,
        units=units,
        unit_places=_unless_away(
            lambda: read_unit_places(series, nearby, units, who=who, role=role, alarm_id=alarm.alarm.id),
            PointBatch.empty(),
        ),
        fences=fences,
        now_ms=now_ms,
        place=place,
        track=_unless_away(lambda: read_track(series, nearby, alarm, now_ms, who=who, role=role, place=place), None),
    )


def _unless_away(read: Callable[[], Answer], without: Answer) -> Answer:
    try:
        return read()
    except TryAgain:
        return without


def alarm_context(
    alarm: DeskAlarm,
    *,
    registry: Registry,
    nearby: Nearby,
    units: Sequence[Unit],
    unit_places: PointBatch,
    fences: FenceSet,
    now_ms: int,
    place: bool = True,
    track: PointBatch | None = None,
    max_cameras: int = DEFAULT_CAMERAS,
    max_units: int = DEFAULT_FREE_UNITS,
) -> dict[str, Any]:
    """See the module.

    Args:
        alarm: as it stands.
        registry: of devices and sites.
        nearby: of cameras and jurisdictions.
        units: `Desk.units()`.
        unit_places: see `read_unit_places`.
        fences: the newest set; only the lines of defence are looked at.
        now_ms: our clock.
        place: whether the alarm's place may be given out (`console.ebikes.shows_alarm_place`).
        track: see `read_track`; None: none was read.
        max_cameras: cameras at most.
        max_units: free units at most.

    Keys: `device`, `site` (None without one), `jurisdiction` (the leaf first), `place`, `place_hidden`, `cameras`,
    `units` (free, nearest first; those whose place is not known last), `defence` (severity 1 alone, else None:
    `next_line`, `posts`, `levels`), `track` (window, `points`, first and last time).
    """
    one, located = alarm.alarm, alarm.located
    at: _Place | None = None
    if place and located.lat is not None and located.lon is not None:
        at = located.lat, located.lon
    seen = _seen_units(units, unit_places, nearby, at, now_ms)
    free = [row for row in seen if row["state"] == UnitState.FREE]
    return {
        "device": _device(registry, one.device),
        "site": _site(registry, located.site) if place else None,
        "jurisdiction": [
            {"area": area.id, "name": area.name, "level": area.level} for area in nearby.area_path(located.area)
        ],
        "place": {"lat": round(at[0], 6), "lon": round(at[1], 6)} if at is not None else None,
        "place_hidden": not place,
        "cameras": _cameras(registry, nearby, at, located.site, one.device, max_cameras) if place else [],
        "units": free[:max_units] if place else [],
        "defence": _defence(at, seen, fences) if one.severity == 1 else None,
        "track": _track(alarm, track, now_ms, place=place),
    }


def _device(registry: Registry, device: str) -> dict[str, Any]:
    try:
        found = device_row(registry.get(device))
    except NotFound:
        return {"device": device}  # deleted since
    # an e-bike has no fixed place, and what somebody wrote there may be its owner's home
    return {**found, "lat": None, "lon": None} if is_ebike(device) else found


def _site(registry: Registry, site: str) -> dict[str, Any] | None:
    try:
        return site_row(Sites(registry.file).get(site)) if site else None
    except NotFound:
        return None


def _cameras(
    registry: Registry, nearby: Nearby, at: _Place | None, site: str, device: str, limit: int
) -> list[dict[str, Any]]:
    lat, lon = at if at is not None else (float("nan"), float("nan"))
    rows = []
    for camera in nearby.cameras(lat, lon, site=site, device=device, limit=limit):
        row = asdict(camera)
        row |= {key: _rounded(row[key], digits) for key, digits in _DIGITS.items()}
        rows.append({"camera": row.pop("device"), "name": _name(registry, camera.device), **row})
    return rows


_DIGITS = {"lat": 6, "lon": 6, "distance_m": 1, "bearing_deg": 1}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _name(registry: Registry, device: str) -> str:
    try:
        return registry.get(device).name
    except NotFound:
        return ""  # deleted a moment ago


def _seen_units(
    units: Sequence[Unit], places: PointBatch, nearby: Nearby, at: _Place | None, now_ms: int
) -> list[dict[str, Any]]:
    """Units with their distance, nearest first, then those whose distance is not known, by id."""
    row_of = {slot: row for row, slot in enumerate(places.slot.tolist())}
    rows = []
    for unit, slot in zip(units, nearby.slots_of([unit.device for unit in units]).tolist(), strict=True):
        point = row_of.get(slot)
        far_m = turn_deg = None
        if point is not None and at is not None:
            there = float(places.lat[point]), float(places.lon[point])
            far_m = _finite(haversine_m(*at, *there))
            turn_deg = _finite(bearing_deg(*at, *there))
        fix_ms = None if point is None else int(places.time_ms[point])
        rows.append(
            {
                "unit": unit.device,
                "level": unit.level,
                "state": unit.state.value,
                "alarm": unit.alarm,
                "distance_m": far_m,
                "bearing_deg": turn_deg,
                "fix": None if fix_ms is None else time_text(fix_ms),
                "fix_age_s": None if fix_ms is None else max(now_ms - fix_ms, 0) // 1000,
            }
        )
    return sorted(rows, key=_nearest_first)


def _nearest_first(row: dict[str, Any]) -> tuple[bool, float, str]:
    far_m = row["distance_m"]
    return far_m is None, far_m or 0.0, row.get("unit") or row["name"]


def _finite(value: Any) -> float | None:
    return round(float(value), 1) if np.isfinite(value) else None


def _defence(at: _Place | None, seen: list[dict[str, Any]], fences: FenceSet) -> dict[str, Any]:
    line, rings = next_line(at, fences)
    posts = []
    for fence in rings:
        for post in fence.posts:
            assert at is not None
            posts.append(
                {
                    "name": post.name,
                    "fence": fence.id,
                    "lat": round(post.lat, 6),
                    "lon": round(post.lon, 6),
                    "distance_m": _finite(haversine_m(*at, post.lat, post.lon)),
                    "bearing_deg": _finite(bearing_deg(*at, post.lat, post.lon)),
                }
            )
    return {
        "next_line": line,
        "posts": sorted(posts, key=_nearest_first)[:DEFAULT_POSTS],
        "levels": [
            {"level": level, "units": [row for row in seen if row["level"] == level][:DEFAULT_LEVEL_UNITS]}
            for level in LEVELS
        ],
    }


def next_line(at: _Place | None, fences: FenceSet) -> tuple[int | None, list[Fence]]:
    """The next line of defence outward from a place (lat, lon), and the rings of it that enclose the place; see the module."""
    rings = tuple(fence for fence in fences.fences if fence.enabled and fence.line_of_defence)
    if at is None or not rings:
        return None, []
    index = FenceIndex(FenceSet(fences.version, rings))
    _, hit = index.hits(np.array([at[0]], np.float64), np.array([at[1]], np.float64))
    around = [index.fences[place] for place in hit.tolist()]
    if not around:
        return None, []
    line = min(fence.line_of_defence for fence in around)
    return line, [fence for fence in around if fence.line_of_defence == line]


def _track(alarm: DeskAlarm, track: PointBatch | None, now_ms: int, *, place: bool) -> dict[str, Any]:
    """Where the track is to be had, and how much of it there is; the points themselves are read by `track`."""
    from_ms, to_ms = track_window(alarm, now_ms)
    found = track is not None and len(track) > 0 and place
    return {
        "device": alarm.alarm.device,
        "from": time_text(from_ms),
        "to": time_text(to_ms),
        "points": len(track) if track is not None and place else None,
        "first": time_text(int(track.time_ms.min())) if found and track is not None else None,
        "last": time_text(int(track.time_ms.max())) if found and track is not None else None,
    }
