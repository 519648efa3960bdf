"""`lucheng store check` on InfluxDB: whether every stored day has as many points as the counters say."""

from __future__ import annotations

import numpy as np

from model.errors import StoreError
from model.seams import Problem
from store.series.influx import reading, state
from store.series.influx.connection import Away, Connection

#: A commit that is under way while it is counted looks like points too many: it is counted again.
TRIES = 3


def check(connection: Connection) -> list[Problem]:
    """What does not hold, and what kept us from looking. Changes nothing."""
    problems: list[Problem] = []
    for _ in range(TRIES):
        try:
            problems = _differences(connection)
        except (Away, StoreError) as error:
            return [Problem(f"InfluxDB bucket {connection.server.bucket}", error.message, error.mend)]
        if not problems:
            break
    return problems


def _differences(connection: Connection) -> list[Problem]:
    server = connection.server
    counters = state.load(connection)
    found = reading.days(connection)
    wanted = state.by_day(counters)
    problems = []
    for day in sorted(set(wanted) | set(found)):
        if wanted.get(day, 0) != found.get(day, 0):
            what = f"{found.get(day, 0)} points are there of {wanted.get(day, 0)} that were stored that day"
            where = f"InfluxDB bucket {server.bucket}, stored day {np.datetime64(day, 'D')}"
            problems.append(Problem(where, what, "Restore the server from a back-up of that time."))
    if sum(wanted.values()) != counters.get(state.STORED, 0):
        what = f"the days hold {sum(wanted.values())} points, the counter says {counters.get(state.STORED, 0)}"
        problems.append(Problem(f"InfluxDB bucket {server.state_bucket}", what, "Restore the server from a back-up."))
    return problems
