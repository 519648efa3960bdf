"""The desk on PostgreSQL against the desk on SQLite, in one run and on one disk, with 1, 10 and 100 times as many alarms.

Both sync every commit. Alarms come one by one, as panics do, and in batches of 50, as a flood does; then each is acknowledged; the
first page of the queue is read between them. PostgreSQL is a server of its own on the loopback interface, so the network is
not in it: what it adds is `round trips` times its way there and back, which is counted in the run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from model.clock import SystemClock
from model.desk import AlarmFilter
from model.grant import Grant, Purpose
from model.signal import Signal
from store.audit import AuditLog
from store.database import Where
from store.desk.desk import DeskFile
from store.desk.limits import DeskLimits
from tests.postgres import PostgresServer

GRANT = Grant("bench", "cli", Purpose("maintenance", "", "benchmark"), None, 0, 1 << 52)
BATCH = 50
PAGE_ROWS = 50


@dataclass(slots=True)
class Figures:
    """What was measured of one desk, seconds."""

    one: list[float] = field(default_factory=list)
    batch: list[float] = field(default_factory=list)
    acknowledge: list[float] = field(default_factory=list)
    page: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    alarms: int = 0


def press(number: int, now_ms: int) -> Signal:
    """A panic of a button of its own."""
    return Signal(
        id=f"s{number}",
        device=f"button/{number}",
        kind="one_key",
        source="message",
        time_ms=now_ms,
        received_ms=now_ms,
        lat=40.65,
        lon=109.84,
        severity=1,
        late=False,
        note="",
        log_position=number,
        fence="",
        device_alarm_id=f"d{number}",
    )


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Note how long it took."""
    start = time.perf_counter()
    yield
    into.append(time.perf_counter() - start)


def fill(desk: DeskFile, alarms: int) -> None:
    """Open alarms that are there already."""
    now_ms = SystemClock().now_ms()
    for start in range(1, alarms + 1, 1_000):
        numbers = range(start, min(start + 1_000, alarms + 1))
        desk.take([press(number, now_ms) for number in numbers], consumer="fill", position=numbers[-1])


def measure(desk: DeskFile, first: int, rounds: int, figures: Figures) -> None:
    """Some rounds of everything; numbers from `first` on."""
    number = first
    for _ in range(rounds):
        now_ms = SystemClock().now_ms()
        ids = []
        cpu_s = time.process_time()
        for _ in range(5):
            with timed(figures.one):
                events = desk.take([press(number, now_ms)], consumer="alarms", position=number)
            ids.append(events[0].alarm.alarm.id)
            number += 1
        with timed(figures.batch):
            desk.take(
                [press(number + more, now_ms) for more in range(BATCH)], consumer="alarms", position=number + BATCH
            )
        number += BATCH
        for alarm_id in ids:
            with timed(figures.acknowledge):
                desk.acknowledge(alarm_id, 1, "bench")
        figures.cpu_s += time.process_time() - cpu_s
        with timed(figures.page):
            found = desk.list_alarms(GRANT, AlarmFilter(), limit=PAGE_ROWS)
        assert len(found) == PAGE_ROWS
        figures.alarms += 5 + BATCH


def synced(folder: Path, rounds: int = 100) -> float:
    """Median of one synced write of 4 KiB on this disk, seconds."""
    took: list[float] = []
    with (folder / "synced").open("wb", buffering=0) as file:
        for _ in range(rounds):
            with timed(took):
                file.write(os.urandom(4_096))
                os.fsync(file.fileno())
    return statistics.median(took)


def queried(desk: DeskFile, rounds: int = 200) -> float:
    """Median of the smallest query, seconds."""
    took: list[float] = []
    for _ in range(rounds):
        with timed(took):
            desk.last_event()
    return statistics.median(took)


def run(scales: list[int], base: int, rounds: int) -> None:
    """Every scale on both, in turns."""
    print(machine())
    server = PostgresServer(lasting=True)
    folder = Path(tempfile.mkdtemp(prefix="lucheng-desk-"))
    try:
        server.start()
        handle = server.server("bench", name="bench")
        print(f"one synced write {synced(folder) * 1e3:.2f} ms")
        for scale in scales:
            with ExitStack() as stack:
                desks: dict[str, tuple[DeskFile, Figures]] = {}
                places: dict[str, Callable[[str], Where]] = {
                    "SQLite": lambda name, scale=scale: folder / f"{name}{scale}.db",  # type: ignore[misc]
                    "PostgreSQL": lambda name, scale=scale: handle.place(f"{name}{scale}"),  # type: ignore[misc]
                }
                for name, place in places.items():
                    kept = folder / f"{name}{scale}"
                    kept.mkdir()
                    audit = stack.enter_context(closing(AuditLog(place("audit"), clock=SystemClock(), folder=kept)))
                    limits = DeskLimits(max_list_rows=10_000)
                    desk = DeskFile(place("desk"), clock=SystemClock(), audit=audit, limits=limits)
                    desks[name] = stack.enter_context(closing(desk)), Figures()
                    start = time.perf_counter()
                    fill(desk, base * scale)
                    print(f"{name}: {base * scale} alarms filled in {time.perf_counter() - start:.1f} s")
                number = 10_000_000
                for _ in range(rounds):
                    for desk, figures in desks.values():
                        measure(desk, number, 1, figures)
                    number += 1_000
                for name, (desk, figures) in desks.items():
                    report(name, base * scale, figures, queried(desk))
        handle.close()
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def report(name: str, alarms: int, figures: Figures, query_s: float) -> None:
    """One line."""
    one, batch = np.array(figures.one) * 1e3, np.array(figures.batch)
    taken, page = np.array(figures.acknowledge) * 1e3, np.array(figures.page) * 1e3
    print(
        f"{name:10} {alarms:7} open: one by one {1e3 / one.mean():5.0f}/s (p50 {np.median(one):.1f}, p99"
        f" {np.percentile(one, 99):.1f} ms), in batches {BATCH / np.median(batch):6.0f}/s; acknowledge p50"
        f" {np.median(taken):.1f}, p99 {np.percentile(taken, 99):.1f} ms; page of {PAGE_ROWS} p50 {np.median(page):.1f},"
        f" p99 {np.percentile(page, 99):.1f} ms; CPU here {figures.cpu_s / figures.alarms * 1e6:.0f} µs an alarm;"
        f" smallest query {query_s * 1e3:.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scales", default="1,10,100", help="how many times --base alarms are open already")
    parser.add_argument("--base", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    run([int(scale) for scale in given.scales.split(",")], given.base, given.rounds)


if __name__ == "__main__":
    main()
