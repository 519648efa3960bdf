"""Cameras of a running service as its API shows them: set up, waited for, their clips looked into.

Purpose: what the fault tests of cameras share. It asserts nothing but that what is waited for comes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import av

from tests.conftest import wait_until
from tests.lucheng.faults.desk_side import ALL_ROWS, PURPOSE
from tests.lucheng.service_process import HANG_S, ServiceProcess

#: Cameras of the tests are on this machine.
LOOPBACK = {"LUCHENG_CAMERA__ALLOW_NETWORKS": '["127.0.0.0/8"]'}

Row = dict[str, Any]


def add_camera(service: ServiceProcess, camera: str, url: str, **settings: Any) -> None:
    """Set a camera up."""
    service.client().call("camera_set", camera=camera, add=True, url=url, settings=settings, lat=40.65, lon=109.82)


def cameras_of(service: ServiceProcess) -> dict[str, Row]:
    """Every camera and how it is."""
    return {row["camera"]: row for row in service.client().call("camera_list", limit=ALL_ROWS, purpose=PURPOSE)}


def show(service: ServiceProcess, camera: str) -> Row:
    """Everything that is known of a camera."""
    found: Row = service.client().call("camera_show", camera=camera, purpose=PURPOSE)
    return found


def wait_camera(
    service: ServiceProcess, camera: str, met: Callable[[Row], object], what: str, *, timeout_s: float = HANG_S
) -> Row:
    """Wait until a camera is as `met` wants it; return how it is."""
    found: Row = {}

    def there() -> bool:
        nonlocal found
        found = show(service, camera)
        return bool(met(found))

    try:
        wait_until(there, timeout_s, f"{camera} to be {what}")
    except BaseException:
        print(f"{camera} is {found}; the service said {service.said[-3000:]}")
        raise
    return found


def online(row: Row) -> bool:
    """Whether the camera's pictures come, and how many is known."""
    return row["state"] in {"online", "degraded"} and row["fps"] is not None


def lost(why: str) -> Callable[[Row], bool]:
    """Whether the camera has no stream, for this reason."""
    return lambda row: row["loss"] == why


def signals_of(service: ServiceProcess, camera: str, kind: str) -> list[Row]:
    """Signals of one kind of a camera, the oldest first."""
    found: list[Row] = service.client().call("signal_list", device=camera, kind=kind, limit=ALL_ROWS, purpose=PURPOSE)
    return found[::-1]


def wait_signals(service: ServiceProcess, camera: str, kind: str, least: int) -> list[Row]:
    """Wait until there are so many signals of a kind."""
    wait_until(lambda: len(signals_of(service, camera, kind)) >= least, HANG_S, f"{kind} of {camera} to be told")
    return signals_of(service, camera, kind)


def picture_times_s(service: ServiceProcess, camera: str, seconds: float) -> list[float]:
    """When each picture of a camera's last `seconds` was taken, from a clip of its ring."""
    client = service.client()
    made = client.call("camera_clip", camera=camera, seconds=seconds, purpose=PURPOSE)
    data = client.blob("evidence_read", evidence=made["evidence"], purpose=PURPOSE)
    with av.open(io.BytesIO(data), "r") as clip:
        stream = clip.streams.video[0]
        assert stream.time_base is not None
        return sorted(float(packet.pts * stream.time_base) for packet in clip.demux(stream) if packet.pts is not None)


def longest_gap_s(times_s: list[float]) -> float:
    """The longest time between two pictures."""
    return max(after - before for before, after in pairwise(times_s))


@dataclass(frozen=True, slots=True)
class Started:
    """A worker that the service said it has started."""

    worker: int
    pid: int
    alone: bool


def started(service: ServiceProcess) -> dict[int, Started]:
    """Workers that were started since the service was, by number."""
    lines = [json.loads(line) for line in service.said.splitlines() if '"video worker started"' in line]
    return {line["worker"]: Started(line["worker"], line["pid"], line["alone"]) for line in lines}


def worker_of(service: ServiceProcess, camera: str) -> Started:
    """The worker that watches a camera now."""
    row = wait_camera(service, camera, lambda row: row["worker"], "watched by a worker")
    return started(service)[row["worker"]]
