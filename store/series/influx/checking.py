"""`lucheng store check` on InfluxDB: whether every stored day has as many points as the counters say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.errors import StoreError
from model.seams import Problem
from store.series.influx import reading, state
from store.series.influx.connection import Away, Connection

#: A commit that is under way while it is counted looks like points too many: it is counted again.
TRIES = 3


def check(connection: Connection, partitions: Sequence[int | None]) -> list[Problem]:
    """What does not hold, and what kept us from looking; of some partitions, or of a store without (None). Changes nothing."""
    problems: list[Problem] = []
    try:
        for partition in partitions:
            problems += _lasting(connection, partition)
    except (Away, StoreError) as error:
        return [Problem(f"InfluxDB bucket {connection.server.bucket}", error.message, error.mend)]
    return problems


def _lasting(connection: Connection, partition: int | None) -> list[Problem]:
    """Differences that are there each time."""
    problems: list[Problem] = []
    for _ in range(TRIES):
        problems = _differences(connection, partition)
        if not problems:
            break
    return problems


def _differences(connection: Connection, partition: int | None) -> list[Problem]:
    server = connection.server
    if partition is None:
        counters, of = state.load(connection), ""
    else:
        counters, of = dict(state.load_partition(connection, partition).counters), f", partition {partition}"
    found = reading.days(connection, partition)
    wanted = state.by_day(counters)
    problems = []
    for day in sorted(set(wanted) | set(found)):
        # More than were counted are no loss: they were under way when a holder ended, and the next one writes and counts them.
        if found.get(day, 0) < wanted.get(day, 0) or (partition is None and found.get(day, 0) != wanted.get(day, 0)):
            what = f"{found.get(day, 0)} points are there of {wanted.get(day, 0)} that were stored that day"
            where = f"InfluxDB bucket {server.bucket}{of}, stored day {np.datetime64(day, 'D')}"
            problems.append(Problem(where, what, "Restore the server from a back-up of that time."))
    if sum(wanted.values()) != counters.get(state.STORED, 0):
        what = f"the days hold {sum(wanted.values())} points, the counter says {counters.get(state.STORED, 0)}"
        problems.append(
            Problem(f"InfluxDB bucket {server.state_bucket}{of}", what, "Restore the server from a back-up.")
        )
    return problems
