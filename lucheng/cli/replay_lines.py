"""What a replay tells, line after line: its points, events and frames merged in order of time, for programs and people.

Invariants: lines come in order of time; of one time the points first, then what happens, then the frame. Frames are fetched page by page,
so no more than a page of them is in memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from console.client import Client

#: Frames of one page that is asked for.
PAGE_FRAMES = 100
#: The list of a track to which an event's index belongs.
_LISTS: dict[str, str] = {
    "trip_start": "trips",
    "trip_end": "trips",
    "stop_start": "stops",
    "stop_end": "stops",
    "gap_start": "gaps",
    "gap_end": "gaps",
    "free": "occupancy",
    "occupied": "occupancy",
    "camera_in": "cameras",
    "camera_out": "cameras",
    "signal": "signals",
    "alarm": "alarms",
    "evidence": "evidence",
}
_RANK = {"point": 0, "frame": 2}
Line = dict[str, Any]


def point_lines(tracks: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Every point of every track, by time."""
    lines = [
        {"time": row["time"], "device": track["device"], "what": "point", "of": row}
        for track in tracks
        for row in track["points"] or ()
    ]
    return sorted(lines, key=_time)


def event_lines(tracks: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]) -> list[Line]:
    """What happened, by time, with the row that tells of it under `of`."""
    by_device = {track["device"]: track for track in tracks}
    return [
        {
            "time": one["time"],
            "device": one["device"],
            "what": one["what"],
            "of": by_device[one["device"]][_LISTS[one["what"]]][one["index"]],
        }
        for one in events
    ]


def frame_lines(client: Client, replay: str, step_ms: int) -> Iterator[Line]:
    """Frame after frame from the beginning to the end; devices by their ids."""
    at_ms: int | None = None
    while True:
        page = client.call("replay_frames", replay=replay, at_ms=at_ms, step_ms=step_ms, frames=PAGE_FRAMES)
        for frame in page["frames"]:
            yield {"time": frame["time"], "what": "frame", "of": named(frame, page["devices"])}
        at_ms = page["next"]
        if at_ms is None:
            return


def named(frame: Mapping[str, Any], devices: Sequence[str]) -> Line:
    """The frame with the ids of its devices."""
    return {**frame, "device": [devices[one] for one in frame["device"]]}


def merged(*sources: Iterator[Line] | list[Line]) -> Iterator[Line]:
    """All lines in order."""
    return heapq.merge(*sources, key=lambda line: (line["time"], _RANK.get(line["what"], 1)))


def _time(line: Line) -> str:
    # RFC 3339 in UTC with milliseconds: texts are in the order of time.
    return str(line["time"])
