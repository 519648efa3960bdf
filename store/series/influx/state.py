"""Position and counters in InfluxDB: one line that is written over, after the points that it accounts for.

Invariants: all fields of one commit are in one line, so they are there together or not at all; a position is only written
when the server has its points on disk; points are placed so that writing them again changes nothing. So what was cut off
between the two is written again and counts once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from model.codes import Reason
from model.seams import Outcome, Totals
from store.ledger import EXPIRED
from store.series.influx.connection import Connection
from store.series.influx.line_protocol import tag

POSITION, STORED, DUPLICATE, RETAINED = "position", "stored", "duplicate", "retained_day"
_REASON, _GAUGE, _DAY = "reason:", "gauge:", "day:"

_QUERY = (
    "from(bucket: bucket) |> range(start: 1970-01-01T00:00:00Z, stop: 1970-01-01T00:00:01Z)"
    ' |> filter(fn: (r) => r._measurement == "state") |> keep(columns: ["_field", "_value"])'
)
_ESCAPED = re.compile("%([0-9A-F]{2})")

Counters = Mapping[str, int]


def load(connection: Connection) -> dict[str, int]:
    """Every counter as committed; empty in a new bucket. Raises Away."""
    rows = connection.rows(_QUERY, {"bucket": connection.server.state_bucket}, ("_field", "_value"))
    return {_name(name): int(value) for name, value in rows}


def _name(text: str) -> str:
    return "" if text == "%" else _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def line(counters: Counters) -> bytes:
    """One line that sets these counters and leaves the others."""
    fields = b",".join(b"%b=%di" % (tag(name), value) for name, value in counters.items())
    return b"state " + fields + b" 0\n"


def after(counters: Counters, outcome: Outcome, stored: int, day: int) -> dict[str, int]:
    """The counters that `outcome` changes, with their new values; `stored` of its rows are new on the stored day `day`."""
    more = {STORED: stored, DUPLICATE: outcome.duplicate, f"{_DAY}{day}": stored}
    for entry in outcome.quarantined:
        name = f"{_REASON}{int(entry.reason)}"
        more[name] = more.get(name, 0) + entry.rows
    for reason, rows in outcome.counted.items():
        name = f"{_REASON}{int(reason)}"
        more[name] = more.get(name, 0) + rows
    for gauge, value in outcome.gauges.items():
        more[f"{_GAUGE}{gauge}"] = value
    changed = {name: counters.get(name, 0) + value for name, value in more.items() if value}
    return {POSITION: outcome.position, **changed}


def after_retention(counters: Counters, day: int) -> tuple[int, dict[str, int]]:
    """How many rows of stored days before `day` go, and the counters that this changes."""
    gone = {name: value for name, value in counters.items() if name.startswith(_DAY) and value and _number(name) < day}
    rows = sum(gone.values())
    expired = f"{_GAUGE}{EXPIRED}"
    changed = dict.fromkeys(gone, 0)
    if rows:
        changed |= {STORED: counters.get(STORED, 0) - rows, expired: counters.get(expired, 0) + rows}
    return rows, {RETAINED: day, **changed}


def by_day(counters: Counters) -> dict[int, int]:
    """Stored rows by stored day (UTC days since 1970), those that hold any."""
    return {_number(name): value for name, value in counters.items() if name.startswith(_DAY) and value}


def _number(name: str) -> int:
    return int(name.removeprefix(_DAY))


def totals(counters: Counters) -> Totals:
    """The counters as the pipeline knows them."""
    return Totals(
        position=counters.get(POSITION, 0),
        stored=counters.get(STORED, 0),
        duplicate=counters.get(DUPLICATE, 0),
        quarantined={
            Reason(int(name.removeprefix(_REASON))): value
            for name, value in counters.items()
            if name.startswith(_REASON)
        },
        gauges={name.removeprefix(_GAUGE): value for name, value in counters.items() if name.startswith(_GAUGE)},
    )


def of_totals(counted: Totals, days: Mapping[int, int]) -> dict[str, int]:
    """Counters of a store that was copied: `totals` and stored rows by stored day."""
    return {
        POSITION: counted.position,
        STORED: counted.stored,
        DUPLICATE: counted.duplicate,
        **{f"{_REASON}{int(reason)}": rows for reason, rows in counted.quarantined.items()},
        **{f"{_GAUGE}{name}": value for name, value in counted.gauges.items()},
        **{f"{_DAY}{day}": rows for day, rows in days.items()},
    }


def refused(expired: int, too_late: int) -> dict[str, int]:
    """What is added to the counters of a copy for stored rows that are past retention, and that came too late for the bucket."""
    more = {
        STORED: -expired - too_late,
        f"{_GAUGE}{EXPIRED}": expired,
        f"{_REASON}{int(Reason.STORE_REFUSED)}": too_late,
    }
    return {name: value for name, value in more.items() if value}
