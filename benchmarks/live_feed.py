"""How old are vehicles when they reach 200 maps, and what does it cost?

`python -m benchmarks.live_feed`

7,000 taxis that all report once a second, viewers with a viewport of their own of up to 300 of them each, one process that
serves them over real sockets (uvicorn, the console's own stream of events, a real desk with two alarms a second beside).
Asked: age on arrival p99 at most 2 s with 200 viewers. Age on arrival is from the fix (which is handed over as it is made) to
the bytes in the viewer's hands, so it has the wait for the next second in it. Baseline of the same run, the same server, the
same stream: for each viewer a Python loop over all vehicles and json.dumps. And the map's cameras: 100,000 in clusters within
50 ms; baseline: a loop with a dict of cells.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import uvicorn
from fastapi import FastAPI

from benchmarks.machine import machine
from config.sections import Settings
from console.device_operations import Caller
from console.feed import Feed
from console.web.event_routes import event_routes
from console.web.events import EventHub, EventLimits
from console.web.map_points import points_in
from console.web.plane import Box, cell_power
from console.web.positions import Picture, Positions
from console.web.views import Board, Viewport
from console.web.watching import Permits
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from model.batch import PointBatch
from model.clock import SystemClock
from model.signal import Signal

VIEWERS = (2, 20, 200)
TAXIS = 7_000
BATCHES_PER_S = 4
ALARMS_PER_S = 2.0
LAT, LON, HALF_CITY_DEG, VIEW_DEG = 40.65, 109.84, 0.1, 0.0385
WINDOW_S = 600
TARGET_P99_MS = 2_000.0
CAMERAS = 100_000
TARGET_CAMERAS_MS = 50.0
_LINE_BYTES = 1 << 22


class LoopFrame:
    """The baseline's frame: everything in the viewport, again and again."""

    def __init__(self, number: int, text: bytes) -> None:
        self.number = number
        self._text = text

    def event(self, seen: int) -> bytes:
        """As `console.web.views.Frame.event`."""
        return b"" if seen == self.number else self._text


class LoopView:
    """The baseline's view: one for each viewer."""

    def __init__(self, viewport: Viewport) -> None:
        self.viewport = viewport
        self.frame: LoopFrame | None = None


class LoopBoard:
    """The baseline: for each viewer a loop over all vehicles and json.dumps."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions
        self._views: list[LoopView] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._views)

    def join(self, viewport: Viewport) -> LoopView:
        """A view for one more viewer."""
        view = LoopView(viewport)
        with self._lock:
            self._views.append(view)
        return view

    def leave(self, view: LoopView) -> None:
        """One viewer less."""
        with self._lock:
            self._views.remove(view)

    def tick(self) -> None:
        """A frame for each."""
        with self._lock:
            vehicles = rows_of(self._positions.picture(), self._positions.directory.ids)
            at_ms = self._positions.picture().at_ms
            for view in self._views:
                box = view.viewport.box
                inside = [
                    row for row in vehicles if box.south <= row[1] <= box.north and box.west <= row[2] <= box.east
                ]
                text = json.dumps({"at_ms": at_ms, "devices": inside, "gone": [], "all": True}, separators=(",", ":"))
                number = view.frame.number + 1 if view.frame is not None else 1
                view.frame = LoopFrame(number, b"event: positions\ndata: " + text.encode() + b"\n\n")


def rows_of(picture: Picture, ids: Sequence[str]) -> list[list[Any]]:
    """A list for each vehicle, as a program without columns has them at hand."""
    return [
        [ids[slot], round(lat, 6), round(lon, 6), round(heading, 1), round(speed, 1), age_ms // 100 / 10, bits, None]
        for slot, lat, lon, heading, speed, age_ms, bits in zip(
            picture.slot.tolist(),
            picture.lat.tolist(),
            picture.lon.tolist(),
            picture.heading_deg.tolist(),
            picture.speed_kmh.tolist(),
            (picture.at_ms - picture.time_ms).tolist(),
            picture.bits.tolist(),
            strict=True,
        )
    ]


class Anybody:
    """A viewer who may."""

    caller = Caller("bench", "operator", "web")

    def may(self, _route: str) -> bool:
        """Yes."""
        return True


def fleet_batch(part: int, rng: np.random.Generator, turn: int) -> PointBatch:
    """One of `BATCHES_PER_S` parts of the fleet, made now."""
    slots = np.arange(part, TAXIS, BATCHES_PER_S)
    angle = 2 * np.pi * ((slots * 0.618) % 1.0) + turn * 0.002
    far = HALF_CITY_DEG
    lat = LAT + far * (2 * ((slots * 0.7548776662) % 1.0) - 1) + 0.0005 * np.sin(angle)
    lon = LON + far * (2 * ((slots * 0.5698402910) % 1.0) - 1) + 0.0005 * np.cos(angle)
    now_ms = time.time_ns() // 1_000_000
    return PointBatch.of(
        len(slots),
        {
            "slot": slots, "time_ms": now_ms, "received_ms": now_ms, "seq": turn, "lat": lat, "lon": lon,
            "speed_kmh": rng.uniform(0, 60, len(slots)), "heading_deg": rng.uniform(0, 360, len(slots)), "flags": 3,
        },
    )  # fmt: skip


def serve(way: str) -> None:
    """The process that is measured: says its port, and at the end when each alarm was raised."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as folder:
        settings = Settings()
        with open_rooms(Path(folder) / "data", settings, write=True, clock=clock) as rooms:
            rooms.registry.ensure([f"taxi/B{number:05d}" for number in range(TAXIS)])
            rooms.registry.ensure(["button/1"])
            rooms.registry.refresh(rooms.directory)
            operations = operations_of(rooms, directory=rooms.directory)
            positions = Positions(rooms.directory, clock, window_s=WINDOW_S)
            board: Any = LoopBoard(positions) if way == "loop" else Board(positions, window_s=WINDOW_S)
            permits = Permits(
                board,
                positions,
                audit=rooms.audit,
                open_cases=lambda _device: (),
                default_purpose="patrol",
                clock=clock,
            )
            feed = Feed(operations.desk, operations.feed_row)
            hub = EventHub(
                feed, operations.desk, board, positions, permits, begin=operations.alarm_watch, clock=clock,
                limits=EventLimits(max_streams_per_user=1_000),
            )  # fmt: skip
            app = FastAPI()
            app.include_router(event_routes(hub, lambda _request: Anybody()), prefix="/api/v1")
            server = uvicorn.Server(
                uvicorn.Config(app, host="127.0.0.1", port=0, ws="none", lifespan="off", log_config=None, backlog=512)
            )
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()
            while not server.started:
                time.sleep(0.01)
            print(json.dumps({"port": server.servers[0].sockets[0].getsockname()[1]}), flush=True)
            done = threading.Event()
            threading.Thread(target=_until_closed, args=(done,), daemon=True).start()
            raised = drive(positions, rooms.desk, done)
            print(json.dumps({"raised": raised}), flush=True)
            hub.close()
            server.should_exit = True
            thread.join(10)
            feed.close()


def _until_closed(done: threading.Event) -> None:
    sys.stdin.read()
    done.set()


def drive(positions: Positions, desk: Any, done: threading.Event) -> dict[int, int]:
    """The fleet moves and alarms come until `done`; when each alarm's event was handed to the desk, by number."""
    rng = np.random.default_rng(1)
    raised: dict[int, int] = {}
    began_s, step = time.monotonic(), 0
    while not done.is_set():
        positions.take(fleet_batch(step % BATCHES_PER_S, rng, step))
        if step % max(round(BATCHES_PER_S / ALARMS_PER_S), 1) == 0:
            now_ms = time.time_ns() // 1_000_000
            signal = Signal(
                f"b{step}",
                "button/1",
                "one_key",
                "bit",
                now_ms,
                now_ms,
                LAT,
                LON,
                1,
                late=False,
                note="",
                log_position=step,
            )
            for event in desk.take([signal]):
                raised[event.number] = now_ms
        step += 1
        done.wait(max(began_s + step / BATCHES_PER_S - time.monotonic(), 0))
    return raised


class _Frame(msgspec.Struct):
    at_ms: int
    devices: list[tuple[str, float, float, float | None, float | None, float, int, float | None]]


@dataclass
class Seen:
    """What a run's viewers saw: ages (ms), and arrival of each alarm at each viewer."""

    ages_ms: list[np.ndarray[Any, np.dtype[np.float64]]] = field(default_factory=list)
    alarms: list[tuple[int, float]] = field(default_factory=list)
    frames: int = 0
    frame_bytes: int = 0
    most: int = 0
    measuring: bool = False


async def watch(port: int, number: int, seen: Seen) -> None:
    """One viewer, until he is cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_LINE_BYTES)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: bench\r\n\r\n")
    decoder = msgspec.json.Decoder(_Frame)
    name, event_number = b"", 0
    while line := await reader.readline():
        now_ms = time.time_ns() / 1e6
        if line.startswith(b"event: "):
            name = line[7:-1]
        elif line.startswith(b"id: "):
            event_number = int(line[4:])
        elif line.startswith(b"data: "):
            if name == b"hello":
                await look(port, number, json.loads(line[6:])["stream"])
            elif name == b"alarm" and seen.measuring:
                seen.alarms.append((event_number, now_ms))
            elif name == b"positions" and seen.measuring:
                frame = decoder.decode(line[6:])
                ages_s = np.array([row[5] for row in frame.devices])
                seen.ages_ms.append(now_ms - frame.at_ms + ages_s * 1000)
                seen.frames += 1
                seen.frame_bytes += len(line)
                seen.most = max(seen.most, len(ages_s))
    writer.close()


async def look(port: int, number: int, stream: str) -> None:
    """Set a viewport of one's own."""
    room = HALF_CITY_DEG - VIEW_DEG / 2
    lat = LAT + room * (2 * ((number * 0.754877) % 1.0) - 1)
    lon = LON + room * (2 * ((number * 0.569840) % 1.0) - 1)
    half = VIEW_DEG / 2
    body = json.dumps({"bbox": [lon - half, lat - half, lon + half, lat + half], "zoom": 14}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"PUT /api/v1/events/{stream}/viewport HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    answer = await reader.read()
    assert b" 200 " in answer.split(b"\r\n", 1)[0], answer[:300]
    writer.close()


async def view_all(
    port: int, viewers: int, process: psutil.Process, warm_s: float, seconds: float
) -> tuple[Seen, float]:
    """Viewers for so long; what they saw, and the server's CPU share."""
    seen = Seen()
    tasks = [asyncio.create_task(watch(port, number, seen)) for number in range(viewers)]
    await asyncio.sleep(warm_s)
    before, began_s = process.cpu_times(), time.monotonic()
    seen.measuring = True
    await asyncio.sleep(seconds)
    seen.measuring = False
    after, took_s = process.cpu_times(), time.monotonic() - began_s
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return seen, (after.user + after.system - before.user - before.system) / took_s


def run(way: str, viewers: int, seconds: float) -> dict[str, float]:
    """One server, so many viewers; prints a line."""
    command = [sys.executable, "-m", "benchmarks.live_feed", "--serve", way]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = json.loads(server.stdout.readline())["port"]
        process = psutil.Process(server.pid)
        seen, cpu = asyncio.run(view_all(port, viewers, process, 3.0 + viewers / 50, seconds))
        rss_mib = process.memory_info().rss / 2**20
        server.stdin.close()
        raised = {int(key): at for key, at in json.loads(server.stdout.readline())["raised"].items()}
    ages = np.concatenate(seen.ages_ms) if seen.ages_ms else np.array([math.inf])
    alarms = np.array([at - raised[number] for number, at in seen.alarms if number in raised] or [math.inf])
    found = {
        "viewers": viewers,
        "age_p50_ms": float(np.percentile(ages, 50)),
        "age_p99_ms": float(np.percentile(ages, 99)),
        "alarm_p99_ms": float(np.percentile(alarms, 99)),
        "frames_per_s": seen.frames / viewers / seconds,
        "vehicles_most": seen.most,
        "cpu": cpu,
        "kib_per_s": seen.frame_bytes / seconds / 1024,
        "rss_mib": rss_mib,
    }
    print(
        f"  {way:>7}, {viewers:>3} viewers: age on arrival p50 {found['age_p50_ms']:.0f} ms, p99 {found['age_p99_ms']:.0f} ms;"
        f" alarms p99 {found['alarm_p99_ms']:.0f} ms; {found['frames_per_s']:.2f} frames/s each, up to {seen.most} vehicles;"
        f" server {cpu * 100:.0f} % of a core, {rss_mib:.0f} MiB, {found['kib_per_s']:,.0f} KiB/s",
        flush=True,
    )
    return found


def cameras() -> None:
    """100,000 cameras of a city within a viewport, as clusters and one by one."""
    rng = np.random.default_rng(2)
    lat = np.sort(LAT + rng.normal(0, 0.1, CAMERAS))
    lon = LON + rng.normal(0, 0.12, CAMERAS)
    box = Box(109.3, 40.2, 110.4, 41.1)
    took = []
    for zoom in (8, 9, 10, 11, 12, 13, 14):
        began_s = time.perf_counter()
        text = points_in(box, zoom, lat, lon, lambda rows: [(str(row), {}) for row in rows], by_latitude=True)
        took.append(((time.perf_counter() - began_s) * 1e3, zoom, len(msgspec.json.decode(text)["features"])))
    slowest = max(took)
    began_s = time.perf_counter()
    side = 1 << cell_power(11)
    cells: dict[tuple[int, int], list[float]] = {}
    for at_lat, at_lon in zip(lat.tolist(), lon.tolist(), strict=True):
        if box.south <= at_lat <= box.north and box.west <= at_lon <= box.east:
            down = 0.5 - math.atanh(math.sin(math.radians(at_lat))) / (2 * math.pi)
            cell = cells.setdefault((int((at_lon + 180) / 360 * side), int(down * side)), [0, 0.0, 0.0])
            cell[0] += 1
            cell[1] += at_lat
            cell[2] += at_lon
    json.dumps([[key, one[0], one[1] / one[0], one[2] / one[0]] for key, one in cells.items()])
    loop_ms = (time.perf_counter() - began_s) * 1e3
    print(
        f"{CAMERAS:,} cameras as clusters, zooms 8 to 14: at most {slowest[0]:.1f} ms (zoom {slowest[1]}, {slowest[2]} features;"
        f" asked: {TARGET_CAMERAS_MS:.0f}); a loop at zoom 11: {loop_ms:.0f} ms"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", choices=("loop", "columns"), help=argparse.SUPPRESS)
    parser.add_argument("--viewers", type=int, action="append")
    parser.add_argument("--seconds", type=float, default=15.0)
    given = parser.parse_args(arguments)
    if given.serve:
        serve(given.serve)
        return 0
    print(__doc__)
    print(machine())
    cameras()
    print(f"{TAXIS:,} taxis, each once a second; asked of columns with 200 viewers: age p99 ≤ {TARGET_P99_MS:.0f} ms")
    for viewers in given.viewers or VIEWERS:
        loop = run("loop", viewers, given.seconds)
        columns = run("columns", viewers, given.seconds)
        ratio = (loop["cpu"] / loop["frames_per_s"]) / (columns["cpu"] / columns["frames_per_s"])
        print(f"  {viewers:>3} viewers: a loop costs {ratio:.1f} × the CPU of columns for each frame", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
