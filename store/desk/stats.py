"""How the desk is doing: open alarms, alarms per ten minutes, breaches, and percentiles of the stored clocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.desk import DeskStats
from store.desk.book import Book

#: The clocks summed up, in the order in which they are stopped.
CLOCKS = (
    "to_receive_ms",
    "to_show_ms",
    "to_acknowledge_ms",
    "to_dispatch_ms",
    "to_scene_ms",
    "total_ms",
    "response_ms",
)
#: Clocks of laps that began late stand under this prefix.
LATE_PREFIX = "late_"
_LAP = f"late, breached, overdue, {', '.join(CLOCKS)}, received_ms"
_LAPS = (
    f"SELECT {_LAP} FROM (SELECT {_LAP} FROM alarms WHERE received_ms >= ? UNION ALL"  # noqa: S608 (constants)
    f" SELECT {_LAP} FROM laps WHERE received_ms >= ?) AS every_lap ORDER BY received_ms DESC LIMIT ?"
)


def desk_stats(book: Book) -> DeskStats:
    """The figures as of now."""
    limits, now_ms = book.limits, book.clock.now_ms()
    by_severity: dict[int, int] = {}
    by_work: dict[str, int] = {}
    open_rows = book.rows("SELECT severity, work, count(*) FROM alarms WHERE work <> 'closed' GROUP BY severity, work")
    for severity, work, count in open_rows:
        by_severity[severity] = by_severity.get(severity, 0) + count
        by_work[work] = by_work.get(work, 0) + count
    recent = book.rows(
        "SELECT count(*) FROM alarms WHERE received_ms > ? AND side <> 'suppressed'", (now_ms - limits.flood_window_ms,)
    )[0][0]
    since_ms = now_ms - limits.stats_window_ms
    laps = book.rows(_LAPS, (since_ms, since_ms, limits.max_stats_laps))
    return DeskStats(
        open=dict(sorted(by_severity.items())),
        by_work=by_work,
        last_10_min=recent,
        flood=recent > limits.flood_alarms,
        late=sum(1 for lap in laps if lap[0]),
        breached=sum(1 for lap in laps if lap[1] or lap[2]),
        clocks_ms=_clocks(laps),
    )


def _clocks(laps: list[tuple[Any, ...]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for prefix, late in (("", 0), (LATE_PREFIX, 1)):
        mine = [lap for lap in laps if lap[0] == late]
        for column, name in enumerate(CLOCKS, start=3):
            values = np.array([lap[column] for lap in mine if lap[column] is not None], np.float64)
            if len(values):
                p50, p90, p99 = np.percentile(values, (50, 90, 99)).tolist()
                found[prefix + name] = {"p50": p50, "p90": p90, "p99": p99, "count": float(len(values))}
    return found
