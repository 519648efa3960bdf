"""What happens while a track is replayed, as moments on the same clock, in order.

Invariants: whatever lasts has a moment where it begins and one where it ends; moments are in the order of time, of one time
what ends before what begins; each says which row of its list it is of, so nothing is told twice. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import compress

import numpy as np
import numpy.typing as npt

from analytics.replay.reel import Gaps
from analytics.search.passes import CameraPass
from analytics.trips.journeys import Journeys

Ints = npt.NDArray[np.int64]


class What(StrEnum):
    """Kinds of moments, in the order in which those of one time are told."""

    GAP_END = "gap_end"
    TRIP_END = "trip_end"
    STOP_END = "stop_end"
    STOP_START = "stop_start"
    TRIP_START = "trip_start"
    FREE = "free"
    OCCUPIED = "occupied"
    CAMERA_IN = "camera_in"
    CAMERA_OUT = "camera_out"
    SIGNAL = "signal"
    ALARM = "alarm"
    EVIDENCE = "evidence"
    GAP_START = "gap_start"


_RANK = {what: rank for rank, what in enumerate(What)}


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happens.

    Attributes:
        time_ms: when, UTC ms.
        slot: to which device.
        what: what.
        index: of the device's own rows of that kind (its trips, its stops, …), from 0 in order of time.
    """

    time_ms: int
    slot: int
    what: What
    index: int


def moments(
    found: Journeys,
    gaps: Gaps,
    *,
    passes: Mapping[int, Sequence[CameraPass]] | None = None,
    others_ms: Mapping[What, Mapping[int, Sequence[int]]] | None = None,
) -> list[Moment]:
    """Everything that happens, in order.

    Args:
        found: trips, stops and changes of occupancy of any devices.
        gaps: their silences.
        passes: of cameras, by slot, in order of time.
        others_ms: times of signals, alarms and evidence, by slot, in order.
    """
    trips, stops, flips = found.trips, found.stops, found.flips
    made = [
        *_of(trips.slot, trips.start_ms, What.TRIP_START),
        *_of(trips.slot, trips.end_ms, What.TRIP_END),
        *_of(stops.slot, stops.start_ms, What.STOP_START),
        *_of(stops.slot, stops.end_ms, What.STOP_END),
        # Where the window cuts a silence, nothing begins or ends.
        *compress(_of(gaps.slot, gaps.from_ms, What.GAP_START), ~gaps.begins_before),
        *compress(_of(gaps.slot, gaps.to_ms, What.GAP_END), ~gaps.goes_on),
        *(
            Moment(one.time_ms, one.slot, What.OCCUPIED if occupied else What.FREE, one.index)
            for one, occupied in zip(_of(flips.slot, flips.time_ms, What.FREE), flips.occupied.tolist(), strict=True)
        ),
    ]
    for what, by_slot in (others_ms or {}).items():
        for slot, times in by_slot.items():
            made += [Moment(at, slot, what, index) for index, at in enumerate(times)]
    for slot, seen in (passes or {}).items():
        for index, one in enumerate(seen):
            made.append(Moment(one.from_ms, slot, What.CAMERA_IN, index))
            made.append(Moment(one.to_ms, slot, What.CAMERA_OUT, index))
    return sorted(made, key=lambda one: (one.time_ms, _RANK[one.what], one.slot, one.index))


def _of(slot: Ints, time_ms: Ints, what: What) -> Iterable[Moment]:
    """Moments of rows that are in the order of (slot, time)."""
    if not len(slot):
        return []
    starts = np.append(0, np.flatnonzero(slot[1:] != slot[:-1]) + 1)
    count = np.diff(np.append(starts, len(slot)))
    index = np.arange(len(slot)) - np.repeat(starts, count)
    return [
        Moment(at, device, what, number)
        for at, device, number in zip(time_ms.tolist(), slot.tolist(), index.tolist(), strict=True)
    ]
