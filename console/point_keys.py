"""The keys of a point where people and programs read it: one table for rows, formats and the command line."""

from __future__ import annotations

#: In order; `extra` follows in the rows of a track where a device sent unknown keys.
POINT_KEYS = (
    "time",
    "lat",
    "lon",
    "speed_kmh",
    "heading_deg",
    "alt_m",
    "acc_m",
    "sat",
    "battery_pct",
    "seq",
    "valid",
    "ignition",
    "occupied",
    "armed",
    "buffered",
    "alarms",
    "marks",
    "received",
)
