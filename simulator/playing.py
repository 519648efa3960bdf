"""Playing recorded points through MQTT as their devices would have sent them.

Purpose: take batches of points with their device ids, send each on its device's own topic, at `speed` times the
time that passes between them. Invariants: rows of one device keep the order of their times (rows of equal time
the order in which they came); nothing is sent before its turn; `stop` ends it between two messages. It does not know where the points come from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch
from model.clock import Clock
from model.codes import Flag
from model.errors import UsageError
from simulator import payloads
from simulator.publisher import Publisher

#: Points held in memory to bring a file into the order of time (about 100 bytes each).
DEFAULT_MAX_POINTS = 10_000_000
#: How long play waits at a time, so that `stop` is noticed.
DEFAULT_TICK_S = 0.05
#: Rows turned into payloads at a time.
_CHUNK_ROWS = 4096
DEFAULT_DRAIN_TIMEOUT_S = 60.0


class TimeMode(StrEnum):
    """What becomes of the points' times.

    `ORIGINAL`: sent as recorded, marked `buffered`. `NOW`: sent as live points, each with the time at which its turn
    comes; without a pace (`speed` 0) the times keep their distances and the last one is of now, so that none lies ahead.
    """

    ORIGINAL = "original"
    NOW = "now"


class Recorded(Protocol):
    """A batch of recorded points: `devices[device_index[k]]` sent row k."""

    @property
    def devices(self) -> list[str]:
        """Device ids."""
        ...

    @property
    def device_index(self) -> npt.NDArray[np.int32]:
        """Each row's place in `devices`, shape (n,)."""
        ...

    @property
    def points(self) -> PointBatch:
        """The points, n rows."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows to send together: `devices[device_index[k]]` sent row k of `points`."""

    devices: list[str]
    device_index: npt.NDArray[np.int32]
    points: PointBatch


@dataclass(slots=True)
class Played:
    """How far playing came.

    Attributes:
        points: points sent.
        messages: messages sent.
        acknowledged: messages the broker acknowledged.
        drained: whether everything sent was acknowledged in the end.
    """

    points: int = 0
    messages: int = 0
    acknowledged: int = 0
    drained: bool = True


@dataclass(frozen=True, slots=True)
class _Times:
    """How recorded times become sent ones: `(time - zero_ms) / divisor + start_ms`."""

    zero_ms: int = 0
    start_ms: int = 0
    divisor: float = 1.0

    @classmethod
    def of(cls, whole: Chunk, mode: TimeMode, speed: float, now_ms: int) -> _Times:
        """For points in the order of their times."""
        if mode is TimeMode.ORIGINAL or not len(whole.points):
            return cls()
        if speed > 0:
            return cls(int(whole.points.time_ms[0]), now_ms, speed)
        return cls(int(whole.points.time_ms[-1]), now_ms)


def play(
    source: Iterable[Recorded],
    publisher: Publisher,
    *,
    clock: Clock,
    speed: float,
    time_mode: TimeMode = TimeMode.ORIGINAL,
    points_per_message: int = 1,
    time_order: bool = False,
    stop: threading.Event | None = None,
    progress: Callable[[Played], None] | None = None,
    max_points: int = DEFAULT_MAX_POINTS,
    tick_s: float = DEFAULT_TICK_S,
    drain_timeout_s: float = DEFAULT_DRAIN_TIMEOUT_S,
) -> Played:
    """Send all points and wait for their acknowledgements.

    Args:
        source: batches of recorded points.
        publisher: where they go.
        clock: paces; its wall clock is "now".
        speed: times as fast as recorded; 0: as fast as the broker takes them.
        time_mode: what becomes of the times, see `TimeMode`.
        points_per_message: rows of one device that may share a message (an array).
        time_order: bring all points into the order of their times first, as a pace (`speed` not 0) or `NOW` always does.
        stop: set it to end early.
        progress: called now and then with the counts so far.
        max_points: rows held to bring them into the order of time.
        tick_s: longest wait at a time.
        drain_timeout_s: how long the last acknowledgements may take.

    Raises UsageError when there are more points than `max_points`, TryAgain when the broker stalls.
    """
    if speed < 0 or not np.isfinite(speed) or points_per_message < 1:
        raise UsageError("Speed and points per message cannot be negative.", mend="Use --speed 0 for full speed.")
    stop = stop or threading.Event()
    played = Played()
    chunks: Iterator[Chunk] = map(_plain, source)
    first_ms, times = 0, _Times()
    if time_order or speed > 0 or time_mode is TimeMode.NOW:
        whole = _in_time_order(source, max_points)
        first_ms = int(whole.points.time_ms[0]) if len(whole.points) else 0
        times = _Times.of(whole, time_mode, speed, clock.now_ms())
        chunks = _pieces(whole)
    started_s = clock.monotonic_s()
    for chunk in chunks:
        for due in _due(chunk, first_ms, speed, started_s, clock, stop, tick_s):
            _send(_stamped(due, time_mode, times), publisher, points_per_message, stop, played)
            if progress is not None:
                played.acknowledged = publisher.acknowledged
                progress(played)
        if stop.is_set():
            break
    played.drained = publisher.drain(drain_timeout_s)
    played.acknowledged = publisher.acknowledged
    return played


def _plain(batch: Recorded) -> Chunk:
    return Chunk(batch.devices, batch.device_index, batch.points)


def _in_time_order(source: Iterable[Recorded], max_points: int) -> Chunk:
    """All rows by time, stable."""
    numbers: dict[str, int] = {}
    indexes: list[npt.NDArray[np.int32]] = [np.zeros(0, np.int32)]
    batches: list[PointBatch] = [PointBatch.empty()]
    total = 0
    for batch in source:
        place = np.array([numbers.setdefault(device, len(numbers)) for device in batch.devices], np.int32)
        indexes.append(place[batch.device_index])
        batches.append(batch.points)
        total += len(batch.points)
        if total > max_points:
            raise UsageError(
                f"There are more than {max_points} points to bring into the order of time.", mend="Split the file."
            )
    points = PointBatch.concat(batches)
    order = np.argsort(points.time_ms, kind="stable")
    return Chunk(list(numbers), np.concatenate(indexes)[order], points.take(order))


def _pieces(whole: Chunk) -> Iterator[Chunk]:
    for at in range(0, len(whole.points), _CHUNK_ROWS):
        rows = np.arange(at, min(at + _CHUNK_ROWS, len(whole.points)))
        yield Chunk(whole.devices, whole.device_index[rows], whole.points.take(rows))


def _due(
    chunk: Chunk, first_ms: int, speed: float, started_s: float, clock: Clock, stop: threading.Event, tick_s: float
) -> Iterator[Chunk]:
    """The chunk's rows as their turn comes."""
    rows = len(chunk.points)
    if speed <= 0:
        if rows:
            yield chunk
        return
    due_s = (chunk.points.time_ms - first_ms) / 1000 / speed
    at = 0
    while at < rows and not stop.is_set():
        passed_s = clock.monotonic_s() - started_s
        until = int(np.searchsorted(due_s, passed_s, side="right"))
        if until > at:
            part = np.arange(at, until)
            yield Chunk(chunk.devices, chunk.device_index[part], chunk.points.take(part))
            at = until
        else:
            clock.sleep(min(tick_s, max(0.001, float(due_s[at]) - passed_s)))


def _stamped(chunk: Chunk, time_mode: TimeMode, times: _Times) -> Chunk:
    points = chunk.points.take(np.arange(len(chunk.points)))
    if time_mode is TimeMode.NOW:
        points.time_ms = ((points.time_ms - times.zero_ms) / times.divisor).astype(np.int64) + times.start_ms
        points.flags = points.flags & np.uint16(0xFFFF ^ int(Flag.BUFFERED))
    else:
        points.flags = points.flags | np.uint16(int(Flag.BUFFERED))
    return Chunk(chunk.devices, chunk.device_index, points)


def _send(chunk: Chunk, publisher: Publisher, per_message: int, stop: threading.Event, played: Played) -> None:
    for device, messages in messages_of(chunk, per_message):
        topic = payloads.topic(device, "point")
        for payload, rows in messages:
            if stop.is_set():
                return
            publisher.publish(device, topic, payload)
            played.points += rows
            played.messages += 1


def messages_of(chunk: Chunk, per_message: int) -> Iterator[tuple[str, list[tuple[bytes, int]]]]:
    """Device and its messages (payload, rows in it); in row order when `per_message` is 1."""
    objects = payloads.point_objects(chunk.points)
    if per_message == 1:
        for number, payload in zip(chunk.device_index.tolist(), objects, strict=True):
            yield chunk.devices[number], [(payload, 1)]
        return
    order = np.argsort(chunk.device_index, kind="stable")
    sorted_index = chunk.device_index[order]
    cuts = np.flatnonzero(np.diff(sorted_index)) + 1
    for group in np.split(order, cuts):
        if not len(group):
            continue
        mine = [objects[row] for row in group.tolist()]
        parts = [mine[k : k + per_message] for k in range(0, len(mine), per_message)]
        messages = [(part[0] if len(part) == 1 else payloads.point_array(part), len(part)) for part in parts]
        yield chunk.devices[int(chunk.device_index[group[0]])], messages
