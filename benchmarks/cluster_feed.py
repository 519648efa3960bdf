"""Points of a city for the benchmarks of the cluster: vehicles that drive circles, by backlog and by the clock.

Invariants: a device's points come in order and 10 s (parked e-bikes: 30 s) apart, no place is a jump and none is late, so that what is
measured is the ordinary case; the same arguments give the same points.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch
from model.batch_codec import encode
from model.seams import NewRecord, RecordKind

#: Rows of a commit while there is more to commit, as `log.max_rows` has it.
COMMIT_ROWS = 10_000
STEP_MS = 10_000
TAXIS = 7_000
EBIKES = 300_000
#: One in twenty rides, see docs/design/simulator.md; the others stand and report every 30 s.
RIDING_EVERY = 20
_PARKED_S = 30
_RADIUS_DEG = 0.0045
_TURN_RAD = 0.2
_NOISE_DEG = 2e-5


def ids(devices: int) -> list[str]:
    """Ids of a city of so many: up to 7,000 taxis, the rest e-bikes, in the order of their slots."""
    return [f"taxi/{slot}" if slot < TAXIS else f"ebike/{slot}" for slot in range(devices)]


def points(
    slot: npt.NDArray[np.int64],
    tick: npt.NDArray[np.int64],
    time_ms: npt.NDArray[np.int64],
    stands: npt.NDArray[np.bool_] | bool = False,  # noqa: FBT001, FBT002 a column
) -> PointBatch:
    """One point of each of these devices, at their so manieth report; 36 km/h on circles of 500 m, unless they stand."""
    angle = np.where(stands, 0, _TURN_RAD * tick) + slot
    noise = np.random.default_rng(int(slot[0])).normal(0, _NOISE_DEG, (2, len(slot)))
    return PointBatch.of(
        len(slot),
        {
            "slot": slot,
            "time_ms": time_ms,
            "received_ms": time_ms,
            "lat": (40.65 + slot % 101 * 1e-3 + _RADIUS_DEG * np.sin(angle) + noise[0]).round(6),
            "lon": (109.84 + slot % 103 * 1e-3 + _RADIUS_DEG * np.cos(angle) + noise[1]).round(6),
            "speed_kmh": np.where(stands, 0.0, 36.0),
            "heading_deg": np.degrees(angle) % 360 // 1,
            "seq": tick,
        },
    )


def backlog(devices: int, rows: int, end_ms: int) -> Iterator[NewRecord]:
    """At least so many points in commits of 10,000: every device once, then every device 10 s later; in an order of no kind, as devices report."""
    order = np.random.default_rng(1).permutation(devices)
    commits = -(-rows // COMMIT_ROWS)
    ticks = commits * COMMIT_ROWS // devices + 1
    for commit in range(commits):
        index = np.arange(commit * COMMIT_ROWS, (commit + 1) * COMMIT_ROWS)
        slot, tick = order[index % devices], index // devices
        time_ms = end_ms - (ticks - tick) * STEP_MS + slot * 7 % STEP_MS
        yield record(points(slot, tick, time_ms))


def second(number: int, now_ms: int) -> PointBatch:
    """What the whole city sends in one second: 700 taxis, 1,500 riding and 9,500 parked e-bikes."""
    slot = np.arange(TAXIS + EBIKES)
    moves = (slot < TAXIS) | (slot % RIDING_EVERY == 0)
    period_s = np.where(moves, STEP_MS // 1000, _PARKED_S)
    count = slot // RIDING_EVERY + number
    due = np.flatnonzero(count % period_s == 0)
    return points(due, (count // period_s)[due], np.full(len(due), now_ms), ~moves[due])


def record(batch: PointBatch) -> NewRecord:
    """A commit as it comes to the log."""
    return NewRecord(RecordKind.POINTS, len(batch), encode(batch))
