"""What do points cost on their way to InfluxDB, against influxdb-client's own ways, and how soon do they come back?

`python -m benchmarks.influx [lines] [discard] [real] [reads] [--taxis 50] [--days 30]`

lines:   the body of bytes alone; baseline: a `Point` for each row and its `to_line_protocol`, the same fields.
discard: a server that reads and forgets, in a process of its own; baseline: the library's batching `write_api` given Points.
real:    the same with a real influxd, by wall time, and how that is to the live rate of the model city.
reads:   days of taxis at one point a minute, then one taxi-day, everybody's newest point, an hour of the fleet.

CPU is user + system time of this process; best of several runs, for others use the machine too.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import random
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from influxdb_client import InfluxDBClient, Point, WriteOptions

from benchmarks.machine import machine
from model.batch import PointBatch
from model.clock import SystemClock
from model.grant import Grant, Purpose
from model.seams import Outcome
from store.series.influx.connection import Connection, Server
from store.series.influx.line_protocol import Lines, Prefixes, Room, point_lines
from store.series.influx.setting_up import set_up
from store.series.influx.store import InfluxSeries
from tests.influx import Influxd
from tests.store.series.conformance import DAY_MS, T0, ListAudit

TAXIS = 7_000
#: Points a second of the model city: 307,000 devices, see docs/benchmarks.md.
LIVE_PER_S = TAXIS / 10
STEP_ROWS = 32_768
BASELINE_ROWS = 20_000
#: What the library's own examples use.
BATCH_SIZE = 5_000
RUNS = 40


def fixes(taxis: int, ticks: int, *, step_s: int = 10, start_ms: int = T0, seed: int = 1) -> PointBatch:
    """Taxis that drive about; time, receive time, place, speed, heading, flags: the fields of most points."""
    rng = np.random.default_rng(seed)
    rows = taxis * ticks
    time_ms = start_ms + np.repeat(np.arange(ticks) * step_s * 1000, taxis)
    return PointBatch.of(
        rows,
        {
            "slot": np.tile(np.arange(taxis), ticks),
            "time_ms": time_ms,
            "received_ms": time_ms + rng.integers(100, 3_000, rows),
            "lat": 40.65 + rng.normal(0, 0.05, rows).round(6),
            "lon": 109.84 + rng.normal(0, 0.05, rows).round(6),
            "speed_kmh": np.rint(np.abs(rng.normal(30, 20, rows))),
            "heading_deg": rng.integers(0, 360, rows),
            "flags": rng.integers(0, 512, rows),
        },
    )


def ids() -> list[str]:
    """The registry's ids."""
    return [f"taxi/{slot}" for slot in range(TAXIS)]


def ours(points: PointBatch, prefixes: Prefixes, room: Room) -> list[Lines]:
    """All lines in bodies of at most 4 MiB."""
    return list(point_lines(points, np.zeros(len(points), np.int64), None, prefixes, room))


def their_points(points: PointBatch) -> list[Any]:
    """The same rows as the library's Points."""
    columns = [
        points.column(name).tolist()
        for name in ("slot", "time_ms", "received_ms", "lat", "lon", "speed_kmh", "heading_deg", "flags")
    ]
    return [
        Point("fix").tag("age", "0").tag("device", f"taxi/{slot}").tag("slot", str(slot))
        .field("flags", flags).field("lat", lat).field("lon", lon).field("speed_kmh", speed)
        .field("heading_deg", heading).field("lag_ms", received_ms - time_ms).time(time_ms * 1_000_000)
        for slot, time_ms, received_ms, lat, lon, speed, heading, flags in zip(*columns, strict=True)
    ]  # fmt: skip


def best(work: Callable[[], object], runs: int = RUNS, *, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of the quickest run."""
    took = []
    for _ in range(runs):
        gc.collect()
        began = clock()
        work()
        took.append(clock() - began)
    return min(took)


def lines_report() -> None:
    """Lines per CPU-second."""
    points, prefixes, room = fixes(TAXIS, 10), Prefixes(ids), Room()
    few = points.take(np.arange(BASELINE_ROWS))
    mine = len(points) / best(lambda: ours(points, prefixes, room))
    theirs = len(few) / best(lambda: [point.to_line_protocol() for point in their_points(few)], 3)
    sizes = [len(part.body) for part in ours(points, prefixes, room)]
    example = ours(few.take(np.arange(1)), prefixes, room)[0].body
    print(f"lines: {sum(sizes) / len(points):.0f} bytes each, {example!r}")
    print(
        f"lines: {mine:,.0f} per CPU-second (at least 2,000,000); Point: {theirs:,.0f}; {mine / theirs:.1f} x (at least 30)"
    )


def _discard(told: Any) -> None:
    """Answers 204 to whatever comes, keeps nothing; tells its port first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told.send(listener.getsockname()[1])
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=_answer, args=(peer,), daemon=True).start()


def _answer(peer: socket.socket) -> None:
    with peer, suppress(OSError):
        _requests(peer)


def _requests(peer: socket.socket) -> None:
    held = b""
    while True:
        while b"\r\n\r\n" not in held:
            more = peer.recv(1 << 16)
            if not more:
                return
            held += more
        head, _, held = held.partition(b"\r\n\r\n")
        size = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        left = size - len(held)
        held = held[size:] if left <= 0 else b""
        room = bytearray(1 << 20)
        while left > 0:
            left -= peer.recv_into(room, min(left, len(room)))
        peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def steps(points: PointBatch) -> list[PointBatch]:
    """As they come from the pipeline."""
    return [points.take(np.arange(at, min(at + STEP_ROWS, len(points)))) for at in range(0, len(points), STEP_ROWS)]


def send_ours(server: Server, parts: list[PointBatch], prefixes: Prefixes, connection: Connection, room: Room) -> None:
    """As `commit` does, step by step."""
    for part in parts:
        for lines in point_lines(part, np.zeros(len(part), np.int64), None, prefixes, room):
            connection.write(server.bucket, lines.body)


def send_theirs(server: Server, points: PointBatch) -> None:
    """Points into the library's batching API, until all are sent."""
    options = WriteOptions(batch_size=BATCH_SIZE, flush_interval=1_000)
    with (
        InfluxDBClient(server.url, server.token, org=server.org, enable_gzip=server.gzip) as client,
        client.write_api(write_options=options) as api,
    ):
        for point in their_points(points):
            api.write(bucket=server.bucket, record=point)


def discard_report() -> None:
    """Points per CPU-second and second into a server that throws them away."""
    context = multiprocessing.get_context("spawn")
    told, tells = context.Pipe(duplex=False)
    process = context.Process(target=_discard, args=(tells,), daemon=True)
    process.start()
    tells.close()  # so that a process that ends early is seen
    port = told.recv()
    try:
        for gzip in (False, True):
            server = Server(f"http://127.0.0.1:{port}", "o", "t", "b", gzip=gzip)
            points, prefixes, connection, room = fixes(TAXIS, 40), Prefixes(ids), Connection(server), Room()
            parts = steps(points)
            few = points.take(np.arange(BASELINE_ROWS))
            rates = []
            for clock in (time.process_time, time.perf_counter):
                mine = len(points) / best(
                    partial(send_ours, server, parts, prefixes, connection, room), RUNS // 2, clock=clock
                )
                theirs = len(few) / best(partial(send_theirs, server, few), 3, clock=clock)
                rates.append(f"{mine:,.0f} against {theirs:,.0f}, {mine / theirs:.1f} x")
            aim = " (at least 50 x)" if not gzip else ""
            print(f"discard, {'gzip' if gzip else 'plain'}: per CPU-second {rates[0]}{aim}; per second {rates[1]}")
    finally:
        process.kill()


def real_report(influxd: Influxd) -> None:
    """Points per second into a real influxd."""
    for gzip in (False, True):
        server = replace(influxd.server(f"real{int(gzip)}"), gzip=gzip)
        set_up(server, retention_days=0, late_days=30, hourly_days=0)
        points = fixes(TAXIS, 30)
        with tempfile.TemporaryDirectory() as folder:
            store = InfluxSeries(server, Path(folder), audit=ListAudit(), clock=SystemClock(), device_ids=ids)
            began, cpu = time.perf_counter(), time.process_time()
            for position, start in enumerate(range(0, len(points), STEP_ROWS), start=1):
                part = points.take(np.arange(start, min(start + STEP_ROWS, len(points))))
                store.commit(Outcome(position, part), stored_ms=T0)
            mine, cost = len(points) / (time.perf_counter() - began), len(points) / (time.process_time() - cpu)
            assert store.totals().stored == len(points)
            store.close()
        few = fixes(TAXIS, BASELINE_ROWS // TAXIS + 1, start_ms=T0 + DAY_MS).take(np.arange(BASELINE_ROWS))
        theirs = len(few) / best(partial(send_theirs, server, few), 2, clock=time.perf_counter)
        print(
            f"real influxd, {'gzip' if gzip else 'plain'}: {mine:,.0f} points a second committed ({cost:,.0f} per CPU-second "
            f"of ours), batching API {theirs:,.0f}, {mine / theirs:.1f} x; {mine / LIVE_PER_S:.0f} x {TAXIS} taxis at 10 s"
        )


def reads_report(influxd: Influxd, taxis: int, days: int) -> None:
    """Latencies of reads, milliseconds."""
    server = influxd.server("reads")
    set_up(server, retention_days=0, late_days=30, hourly_days=0)
    everything = Grant("bench", "cli", Purpose("test"), None, -(1 << 60), 1 << 60)
    with tempfile.TemporaryDirectory() as folder:
        store = InfluxSeries(server, Path(folder), audit=ListAudit(), clock=SystemClock(), device_ids=ids)
        first_ms = T0 // DAY_MS * DAY_MS
        for day in range(days):
            points = fixes(taxis, 1440, step_s=60, start_ms=first_ms + day * DAY_MS, seed=day)
            store.commit(Outcome(day + 1, points), stored_ms=first_ms + day * DAY_MS)
        chance = random.Random(1)

        def taxi_day() -> int:
            slot, day = chance.randrange(taxis), chance.randrange(days)
            since = first_ms + day * DAY_MS
            return len(store.track(everything, f"taxi/{slot}", slot, since, since + DAY_MS))

        for name, ask, times in (
            ("one taxi-day", taxi_day, 25),
            ("newest of all", lambda: len(store.latest(everything, None)), 25),
            ("an hour of the fleet", lambda: sum(map(len, store.fleet(everything, first_ms, first_ms + 3_600_000))), 5),
            ("check", lambda: len(store.check()), 1),
        ):
            took, rows = [], 0
            for _ in range(times):
                began = time.perf_counter()
                rows = ask()
                took.append((time.perf_counter() - began) * 1000)
            print(
                f"reads, {taxis} taxis x {days} days at 60 s: {name}, {rows} rows: {statistics.median(took):.0f} ms, worst {max(took):.0f} ms"
            )
        store.close()


def main() -> None:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[[], "lines", "discard", "real", "reads"])
    parser.add_argument("--taxis", type=int, default=50)
    parser.add_argument("--days", type=int, default=30)
    given = parser.parse_args()
    parts = given.parts or ["lines", "discard", "real", "reads"]
    print(machine())
    if "lines" in parts:
        lines_report()
    if "discard" in parts:
        discard_report()
    if "real" in parts or "reads" in parts:
        with tempfile.TemporaryDirectory() as folder:
            influxd = Influxd(Path(folder)).start()
            try:
                if "real" in parts:
                    real_report(influxd)
                if "reads" in parts:
                    reads_report(influxd, given.taxis, given.days)
            finally:
                influxd.stop()


if __name__ == "__main__":
    main()
