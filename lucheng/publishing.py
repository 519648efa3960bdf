"""`lucheng publish`: a file's points through MQTT, as their devices would send them.

Invariants: points go out in the order of their times, whatever the file's order; one message a
point at QoS 1, and the call returns when the broker has acknowledged all of them or says how many
are missing; the file's own times are sent marked `buffered`, times moved to now are not. A row that
is no point is counted and not sent. It knows nothing of who listens.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ingest.files import open_file
from model.batch import PointBatch
from model.codes import Flag
from model.errors import BadInput, TryAgain, UsageError
from simulator.payloads import point_objects, topic
from simulator.publisher import Publisher, read_credentials

if TYPE_CHECKING:
    from config.sections import Settings
    from model.clock import Clock

#: Points of one file, for they are put in order of time before the first one goes out (about 0.1 kB each).
DEFAULT_MAX_POINTS = 20_000_000
#: Points encoded at a time.
DEFAULT_STEP_POINTS = 2_000
#: How much is sent at once before the next look at the clock, wall time.
DEFAULT_STEP_MS = 50
DEFAULT_DRAIN_TIMEOUT_S = 60.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Played:
    """Options of a play.

    Attributes:
        speed: times faster than the data's own time; 0: without waiting.
        when: `original` keeps the file's times and marks the points buffered; `now` moves them so that the
            first one is now and the pace is the play's.
        credentials_file: JSON with user and password by device, or None for one connection for all.
    """

    speed: float = 1.0
    when: Literal["original", "now"] = "original"
    credentials_file: Path | None = None


def publish_file(
    path: Path,
    format_name: str,
    broker_url: str,
    *,
    settings: Settings,
    clock: Clock,
    options: Played,
    day: datetime.date | None = None,
    max_points: int = DEFAULT_MAX_POINTS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play a file; return `{"points", "acknowledged", "skipped", "devices", "seconds"}`.

    Raises BadInput (the file), UsageError (format, broker's address), TryAgain (the broker stopped answering).
    """
    if not 0 <= options.speed < float("inf"):
        raise UsageError(f"A speed of {options.speed}.", mend="Give 0 for as fast as it goes, or more.")
    credentials = None if options.credentials_file is None else read_credentials(options.credentials_file)
    ids, points, skipped = _in_order(path, format_name, settings, clock, day, max_points)
    started_s = clock.monotonic_s()
    with Publisher(broker_url, clock=clock, credentials=credentials) as publisher:
        for step in _steps(points, options, clock, started_s):
            _send(publisher, ids, step)
            if progress is not None:
                progress(publisher.sent, len(points))
        if not publisher.drain(DEFAULT_DRAIN_TIMEOUT_S):
            missing = publisher.sent - publisher.acknowledged
            raise TryAgain(
                f"The broker did not acknowledge {missing} of {publisher.sent} points.",
                mend="Check the broker, then publish again: what came twice is known as duplicate.",
            )
        acknowledged = publisher.acknowledged
    return {
        "points": len(points),
        "acknowledged": acknowledged,
        "skipped": skipped,
        "devices": len(ids),
        "seconds": round(clock.monotonic_s() - started_s, 3),
    }


def _in_order(
    path: Path, format_name: str, settings: Settings, clock: Clock, day: datetime.date | None, max_points: int
) -> tuple[list[str], PointBatch, int]:
    """Device ids, all points by time (slot: index into the ids), and rows that are no points."""
    place: dict[str, int] = {}
    batches: list[PointBatch] = []
    taken = skipped = 0
    with open_file(path, format_name, time_zone=settings.city.time_zone, date=day, clock=clock) as reader:
        for batch in reader:
            index = np.array([place.setdefault(device, len(place)) for device in batch.devices], np.int32)
            batch.points.slot = index[batch.device_index]
            batches.append(batch.points)
            taken += len(batch.points)
            skipped += sum(item.rows for item in batch.quarantined)
            if taken > max_points:
                raise BadInput(f"{path} has more than {max_points} points.", mend="Split it by day.")
    points = PointBatch.concat(batches)
    return list(place), points.take(np.argsort(points.time_ms, kind="stable")), skipped


def _steps(points: PointBatch, options: Played, clock: Clock, started_s: float) -> Iterator[PointBatch]:
    """The points in pieces, each given when it is due."""
    if not len(points):
        return
    wait_ms: npt.NDArray[np.float64] = np.zeros(len(points))
    if options.speed:
        wait_ms = (points.time_ms - points.time_ms[0]) / options.speed
    if options.when == "now":
        points.time_ms = clock.now_ms() + wait_ms.astype(np.int64)
        points.flags &= np.uint16(~Flag.BUFFERED & 0xFFFF)
    else:
        points.flags |= np.uint16(Flag.BUFFERED)
    start = 0
    while start < len(points):
        due_s = wait_ms[start] / 1000 - (clock.monotonic_s() - started_s)
        if due_s > 0:
            clock.sleep(due_s)
        end = int(np.searchsorted(wait_ms, wait_ms[start] + DEFAULT_STEP_MS, side="right"))
        end = min(end, start + DEFAULT_STEP_POINTS)
        yield points.take(np.arange(start, end))
        start = end


def _send(publisher: Publisher, ids: list[str], step: PointBatch) -> None:
    for slot, payload in zip(step.slot.tolist(), point_objects(step), strict=True):
        publisher.publish(ids[slot], topic(ids[slot], "point"), payload)
