"""A supervision's document as CSV, one table at a time: pure, RFC 4180, safe against formulas (`safe_cell`).

The table `vehicles` begins with the city, then the companies, then the vehicles; `level` says which a row is. Nested
values are spread over columns of their own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from console.track_formats import safe_cell

#: The byte order mark by which spreadsheets know UTF-8.
_BOM = "\ufeff"
TABLES = ("vehicles", "overspeed", "fatigue", "areas", "gaps", "hours")
_HEAD = ("device", "plate", "company")
_POINT = ("time", "lat", "lon", "kmh")
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "overspeed": (
        *_HEAD, "start", "end", "lasted_s", "points", "band", "limit_kmh", "fence",
        *(f"{which}.{key}" for which in ("first", "peak", "last") for key in _POINT),
    ),
    "fatigue": (*_HEAD, "start", "end", "driven_s", "over", "lat", "lon"),
    "areas": (*_HEAD, "start", "end", "kind", "fence", "lat", "lon"),
    "gaps": (*_HEAD, "start", "end", "lasted_s", "moved_m", "lat", "lon"),
    "hours": ("start", "online", "distance_km", "occupied_time_share"),
}  # fmt: skip


def csv_bytes(report: Mapping[str, Any], table: str) -> bytes:
    """One of `TABLES` as UTF-8 with a byte order mark and a header line."""
    out = io.StringIO()
    out.write(_BOM)
    writer = csv.writer(out, lineterminator="\r\n")
    rows = _levels(report) if table == "vehicles" else (_flat(row) for row in report[table])
    columns = _vehicle_columns(report) if table == "vehicles" else _COLUMNS[table]
    writer.writerow(columns)
    writer.writerows([safe_cell(row.get(key)) for key in columns] for row in rows)
    return out.getvalue().encode()


def _vehicle_columns(report: Mapping[str, Any]) -> tuple[str, ...]:
    return ("level", *_HEAD, "first", "last", *_flat(report["city_totals"]))


def _levels(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"level": "city", **_flat(report["city_totals"])}
    for level, rows in (("company", report["companies"]), ("vehicle", report["vehicles"])):
        for row in rows:
            yield {"level": level, **_flat(row)}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with nested values as columns of their own."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": kept for inner, kept in value.items()}
        elif isinstance(value, list):
            flat |= {f"{key}.{at}": kept for at, kept in enumerate(value)}
        else:
            flat[key] = value
    return flat
