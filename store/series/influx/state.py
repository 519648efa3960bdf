"""Position and counters in InfluxDB: one line that is written over, after the points that it accounts for.

Invariants: all fields of one commit are in one line, so they are there together or not at all; a position is only written
when the server has its points on disk; points are placed so that writing them again changes nothing. So what was cut off
between the two is written again and counts once.

Of several partitions each has lines of its own (tag `partition`), and of each taking (a number that the ledger gives, `ledgers.py`)
there is one, which lies at that many nanoseconds: the last taking's counts, whatever a holder that is late writes still.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from model.codes import Reason
from model.errors import Conflict
from model.seams import Outcome, Totals
from store.ledger import EXPIRED
from store.series.influx.connection import Connection, Param
from store.series.influx.line_protocol import tag
from store.series.influx.reading import times

POSITION, STORED, DUPLICATE, RETAINED = "position", "stored", "duplicate", "retained_day"
_REASON, _GAUGE, _DAY = "reason:", "gauge:", "day:"

_STATE = (
    "from(bucket: bucket) |> range(start: time(v: 0), stop: time(v: stop_ns))"
    ' |> filter(fn: (r) => r._measurement == "state")'
)
_ALL_QUERY = f'{_STATE} |> last() |> keep(columns: ["_field", "_value", "_time", "partition"])'
_PARTITION_QUERY = (
    f"{_STATE} |> filter(fn: (r) => r.partition == partition)"
    ' |> last() |> keep(columns: ["_field", "_value", "_time", "partition"])'
)
_COLUMNS = ("partition", "_time", "_field", "_value")
#: More takings than there will ever be.
_STOP_NS = 1 << 62
_ESCAPED = re.compile("%([0-9A-F]{2})")

Counters = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Taken:
    """The counters of a partition's last taking, and its number; 0 of a new one."""

    taking: int = 0
    counters: Counters = field(default_factory=dict)


def load(connection: Connection) -> dict[str, int]:
    """Every counter of a store without partitions, as committed; empty in a new bucket.

    Raises Away; Conflict where the bucket is one of partitions.
    """
    found = _taken(connection, None)
    if found and None not in found:
        raise Conflict(
            f"The bucket {connection.server.state_bucket} is that of a city on several machines.",
            mend="Name another influx.bucket, or set nats.mode = log.",
        )
    return dict(found[None].counters) if found else {}


def load_partition(connection: Connection, partition: int) -> Taken:
    """What the last holder of a partition committed. Raises Away."""
    return _taken(connection, partition).get(partition, Taken())


def load_partitions(connection: Connection) -> dict[int, Taken]:
    """The same of every partition. Raises Away."""
    return {number: taken for number, taken in _taken(connection, None).items() if number is not None}


def _taken(connection: Connection, partition: int | None) -> dict[int | None, Taken]:
    """By partition (None: without) the counters at the last time that there is."""
    params: dict[str, Param] = {"bucket": connection.server.state_bucket, "stop_ns": _STOP_NS}
    query = _ALL_QUERY
    if partition is not None:
        query, params["partition"] = _PARTITION_QUERY, str(partition)
    held: dict[int | None, dict[str, tuple[int, int]]] = {}
    for number, time, name, value in connection.rows(query, params, _COLUMNS):
        values = held.setdefault(int(number) if number else None, {})
        at = int(times([time])[0])
        if name not in values or at > values[name][0]:
            values[name] = at, int(value)
    found: dict[int | None, Taken] = {}
    for one, values in held.items():
        taking = max(at for at, _ in values.values())
        # what only an earlier taking had is not counted any more: each begins with all that there is
        found[one] = Taken(taking, {_name(name): value for name, (at, value) in values.items() if at == taking})
    return found


def _name(text: str) -> str:
    return "" if text == "%" else _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def line(counters: Counters, *, partition: int | None = None, taking: int = 0) -> bytes:
    """One line that sets these counters and leaves the others; of a partition those of this taking."""
    fields = b",".join(b"%b=%di" % (tag(name), value) for name, value in counters.items())
    return b"state%b %b %d\n" % (b"" if partition is None else b",partition=%d" % partition, fields, taking)


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
