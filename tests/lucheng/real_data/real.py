"""The three real files as pandas reads them, and what the documented rules make of them; nothing of ours is used.

The rules (docs/reference/decisions.md): a point is a duplicate when the same device, time and content came before
(content at the store's resolution: 1e-6°, 0.1 km/h); `late` when a newer time of that device came before; `same_time`
when a different point with that time came before; `jump` when the leg from the point before it, among those that are
not late, is faster than 180 km/h and longer than 50 m.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ZONE = "Asia/Shanghai"
MAX_SPEED_KMH = 180.0
MIN_JUMP_M = 50.0
EARTH_RADIUS_M = 6_371_008.8
#: What the frames below have for a value that the file has no column for.
NOT_SENT = -1
CONTENT = ["lat", "lon", "occupied", "speed"]
MARKS = ("late", "same_time", "jump")


@dataclass(frozen=True)
class Real:
    """One file: where it is, how it is read, and the facts that are known of it."""

    name: str
    file: str
    rows: int
    devices: int
    options: tuple[str, ...] = ()
    repeated_seconds: int | None = None
    jumps: int | None = None

    def command(self, path: Path) -> tuple[str, ...]:
        """File and format as `ingest` and `publish` take them."""
        return (str(path), "--format", self.name, *self.options)


CABSPOTTING = Real("cabspotting", "cabspotting-sf-2008-05-30.csv.gz", 506_190, 489)
TDRIVE = Real("tdrive", "tdrive-beijing-72-taxis.csv", 36_677, 72)
SHENZHEN = Real("shenzhen", "shenzhen-taxi-28249-one-day-1hz.csv", 65_315, 1, ("--date", "2014-10-22"), 16_539, 1_327)
FILES = (CABSPOTTING, TDRIVE, SHENZHEN)


def read(real: Real, path: Path) -> pd.DataFrame:
    """The file in its own order: device, time_ms, lat and lon (1e-6°), occupied (0, 1), speed (0.1 km/h)."""
    if real is CABSPOTTING:
        raw = pd.read_csv(path)
        names, time_ms = raw["cab_id"], raw["ts_utc"] * 1000
    elif real is TDRIVE:
        raw = pd.read_csv(path).rename(columns={"Latitude": "lat", "Longitude": "lon"})
        names, time_ms = raw["TaxiID"].astype(str), _local_ms(raw["TimeStamp"])
    else:
        columns = ["id", "time", "lon", "lat", "occupied", "speed"]
        raw = pd.read_csv(path, header=None, names=columns, skipinitialspace=True)
        names, time_ms = raw["id"].astype(str), _local_ms("2014-10-22 " + raw["time"])
    nothing = pd.Series(NOT_SENT, index=raw.index)
    return pd.DataFrame(
        {
            "device": "taxi/" + names,
            "time_ms": time_ms.astype("int64"),
            "lat": (raw["lat"] * 1e6).round().astype("int64"),
            "lon": (raw["lon"] * 1e6).round().astype("int64"),
            "occupied": raw.get("occupied", nothing).astype("int64"),
            "speed": (raw["speed"] * 10).round().astype("int64") if "speed" in raw else nothing,
        }
    )


def _local_ms(texts: Any) -> Any:
    stamps = pd.to_datetime(texts).dt.tz_localize(ZONE).dt.tz_convert("UTC").dt.tz_localize(None)
    return stamps.astype("datetime64[ms]").astype("int64")


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame in the order in which it comes, with the columns duplicate, late, same_time and jump."""
    out = frame.copy()
    out["duplicate"] = out.duplicated(["device", "time_ms", *CONTENT])
    newest = out.groupby("device")["time_ms"].cummax()
    out["late"] = (out["time_ms"] < newest) & ~out["duplicate"]
    kept = out[~out["duplicate"]]
    out["same_time"] = False
    out.loc[kept.index, "same_time"] = kept.duplicated(["device", "time_ms"])
    chain = kept[~kept["late"]]
    before = chain.groupby("device")[["time_ms", "lat", "lon"]].shift()
    took_h = (chain["time_ms"] - before["time_ms"]) / 3_600_000
    far_m = _apart_m(chain, before)
    jump = (took_h > 0) & (far_m > MIN_JUMP_M) & (far_m / 1000 > MAX_SPEED_KMH * took_h)
    out["jump"] = jump.reindex(out.index, fill_value=False)
    return out


def _apart_m(here: pd.DataFrame, there: pd.DataFrame) -> Any:
    """Great-circle distance by the haversine formula."""
    lat1, lon1 = np.radians(here["lat"] / 1e6), np.radians(here["lon"] / 1e6)
    lat2, lon2 = np.radians(there["lat"] / 1e6), np.radians(there["lon"] / 1e6)
    half = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(half))


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """What a judged frame counts to, as `status` names it."""
    marks = {f"mark.{mark}": int(frame[mark].sum()) for mark in MARKS}
    return {name: number for name, number in marks.items() if number}


def shuffled_ties(frame: pd.DataFrame) -> pd.DataFrame:
    """The kept rows in an order that does not depend on how points of one second are ordered."""
    kept = frame[~frame["duplicate"]] if "duplicate" in frame else frame
    columns = ["device", "time_ms", *CONTENT, *MARKS]
    return kept[columns].sort_values(columns).reset_index(drop=True)
