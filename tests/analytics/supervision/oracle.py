"""What the tests of the supervision compare with: plain pandas, and MovingPandas' stops; nothing of `analytics` but its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tests.analytics.trips.plain import Span, plain_stops

DAY_MS = 86_400_000
GAP_MS, MOVING_KMH, STOP_MS, STOP_M, TRIP_MS = 300_000, 5.0, 120_000, 50.0, 60_000
FAST_KMH, JUMP_M = 180.0, 50.0
LIMIT_KMH, OVER_KMH, OVERSPEED_MS = 80.0, 5.0, 10_000
DRIVE_MS, REST_MS, OFFLINE_MS = 4 * 3_600_000, 20 * 60_000, 600_000
BANDS = [-np.inf, 10.0, 20.0, 50.0, np.inf]


def haversine(lat: pd.Series, lon: pd.Series, lat2: pd.Series, lon2: pd.Series) -> Any:
    """Great-circle metres."""
    lat, lon, lat2, lon2 = (np.radians(one) for one in (lat, lon, lat2, lon2))
    inside = np.sin((lat2 - lat) / 2) ** 2 + np.cos(lat) * np.cos(lat2) * np.sin((lon2 - lon) / 2) ** 2
    return 2 * 6_371_008.8 * np.arcsin(np.sqrt(inside))


def legs_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame (slot, time_ms, lat, lon, occupied, speed) in order, with the leg to each row."""
    frame = frame.sort_values(["slot", "time_ms"], kind="stable").reset_index(drop=True)
    before = frame.groupby("slot").shift(1)
    frame["took"] = (frame.time_ms - before.time_ms).fillna(0)
    far = haversine(before.lat, before.lon, frame.lat, frame.lon).fillna(0.0)
    frame["jumps"] = (frame.took > 0) & (far > np.maximum(frame.took * FAST_KMH / 3_600, JUMP_M))
    frame["far"] = np.where(frame.jumps | (frame.took == 0), 0.0, far)
    frame["leg_kmh"] = np.where(frame.jumps | (frame.took == 0), np.nan, far / frame.took.where(frame.took > 0) * 3_600)
    frame["kmh"] = frame.speed.where(frame.speed.notna(), frame.leg_kmh)
    frame["was_occupied"] = before.occupied == 1
    return frame


def of_vehicle(one: pd.DataFrame, stops: list[Span], window: tuple[int, int]) -> dict[str, float]:
    """What one vehicle's legs come to, point by point; a device that tells of passengers at every point."""
    standing = np.zeros(len(one), bool)
    time = one.time_ms.to_numpy()
    for _, start, end in stops:
        standing |= (time > start) & (time <= end) & ((time - one.took.to_numpy()) >= start)
    near = (one.took <= GAP_MS).to_numpy()
    free = ~standing & near & (one.took > 0).to_numpy()
    distance = driving = occupied = trips = 0.0
    at = 0
    for run in np.split(np.arange(len(one)), np.flatnonzero(np.diff(free.astype(int))) + 1):
        moves = run[(one.leg_kmh.to_numpy()[run] >= MOVING_KMH) & free[run]]
        if len(moves):
            first, last = moves[0] - 1, moves[-1]
            if time[last] - time[first] >= TRIP_MS:
                part = one.iloc[first + 1 : last + 1]
                distance += part.far.sum()
                occupied += part.far[part.was_occupied].sum()
                driving += time[last] - time[first]
                trips += 1
        at += len(run)
    told = one.took.where(one.took <= GAP_MS, 0)
    silent = one.took[one.took >= OFFLINE_MS]
    ends = [time[0] - window[0], window[1] - time[-1]]
    return {
        "points": len(one),
        "drift": int(one.jumps.sum()),
        "distance_m": distance,
        "driving_ms": driving,
        "trips": trips,
        "occupied_m": occupied,
        "standing_ms": sum(end - start for _, start, end in stops),
        "stops": len(stops),
        "complete_m": one.far[~standing & near].sum(),
        "broken_m": one.far[~standing & ~near].sum(),
        "told_ms": told.sum(),
        "occupied_ms": told[one.was_occupied].sum(),
        "flips": int((one.occupied.diff().fillna(0) != 0).sum()),
        "gaps": len(silent),
        "offline_ms": silent.sum() + sum(end for end in ends if end >= OFFLINE_MS),
        **overspeeds(one),
        **spells(one),
    }


def overspeeds(one: pd.DataFrame) -> dict[str, float]:
    """Stretches above the limit by band, and how long they lasted."""
    known = one[one.kmh.notna()]
    over = known.kmh > LIMIT_KMH + OVER_KMH
    apart = (over != over.shift(1)) | (known.time_ms.diff() > GAP_MS)
    counts, lasted = np.zeros(4), 0
    for _, stretch in known[over].groupby(apart.cumsum()[over]):
        took = stretch.time_ms.iloc[-1] - stretch.time_ms.iloc[0]
        if took >= OVERSPEED_MS:
            lasted += took
            counts[pd.cut([(stretch.kmh.max() / LIMIT_KMH - 1) * 100], BANDS, right=False).codes[0]] += 1
    return {f"overspeed_{band}": count for band, count in enumerate(counts)} | {"overspeed_ms": lasted}


def spells(one: pd.DataFrame) -> dict[str, float]:
    """Driving spells that were too long, and the longest, row by row."""
    drive = rest = longest = tired = 0
    before: int | None = None
    for time, kmh in zip(one.time_ms, one.kmh, strict=True):
        if np.isnan(kmh):
            continue
        took = 0 if before is None else time - before
        before = time
        moves = kmh >= MOVING_KMH
        if (took >= REST_MS if took > GAP_MS else not moves) and took:
            rest += took
            if rest >= REST_MS:
                tired += drive >= DRIVE_MS
                drive = 0
        elif moves and took <= GAP_MS:
            drive += took
        if moves:
            rest = 0
        longest = max(longest, drive)
    return {"tired": tired + (drive >= DRIVE_MS), "longest_drive_ms": longest}


def supervised(frame: pd.DataFrame, window: tuple[int, int]) -> pd.DataFrame:
    """Of each vehicle of the frame, by slot; stops by MovingPandas' way, point by point."""
    judged = legs_of(frame)
    rows = {}
    for slot, one in judged.groupby("slot"):
        track = (
            one.slot.to_numpy(np.int64),
            one.time_ms.to_numpy(np.int64),
            one.lat.to_numpy(np.float64),
            one.lon.to_numpy(np.float64),
        )
        rows[slot] = of_vehicle(one.reset_index(drop=True), plain_stops(track, STOP_MS, STOP_M), window)
    return pd.DataFrame.from_dict(rows, orient="index")
