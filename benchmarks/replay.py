"""Can a fleet's day be played back at 64x on one core, and how soon is it there after a jump?

Run: `python -m benchmarks.replay [--taxis 70 700 7000] [--steps-s 60 15] [--hours 24]`. For each fleet and step a data folder is filled with
taxis that drive by the model of `benchmarks.series`, its clock stretched so that a point comes every step, and sealed. Then:

- seek, fleet: a store opened anew, a `Windows` over the day, one frame at a moment in the middle of an hour, and at the worst one, beside
  the end of an hour, where two hours are read; median and worst of several. The operating system's cache is as it is.
- seek, one taxi: a store opened anew, a taxi's day read, its reel, one frame, the drawn line.
- the same as the API has it: the folder opened anew, a replay begun, and the page with one frame asked for, audit and all; the time is
  of the page alone.
- play: the whole window at 64x, ten frames a second (6.4 s of media time each), all loading included: CPU per frame, the
  longest frames, and what share of a core that is. Then the same with each frame made into JSON as the API gives it out.
- baseline in the same run: the obvious loop over devices, each with a Python list of its times, `bisect`, and a place worked out in
  Python, over one hour that is in memory already. Its places are compared with ours.

Asserts nothing but that both tell the same places.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from analytics.replay.line import drawn
from analytics.replay.reel import Reel
from analytics.replay.windows import Seen, Windows
from benchmarks.machine import machine
from benchmarks.series import DAY_MS, GRANT, HOUR_MS, SEED, T0, Fleet, NoAudit, batches
from config.approvals import Approvals
from config.sections import Settings
from console.operations import Caller
from console.replay_rows import frame_row
from lucheng.operating import operations_of
from lucheng.rooms import Rooms, open_rooms
from model.batch import PointBatch
from model.clock import SystemClock
from model.presence import MAX_LEG_MS
from model.seams import Outcome
from store.series.door import Series
from store.series.embedded import EmbeddedSeries

RATE, HERTZ = 64, 10
FRAME_MS = RATE * 1_000 // HERTZ
MODEL_STEP_S = 10
SEEKS = 7
#: Frames of the naive loop: it is slow.
NAIVE_FRAMES = 20


def opened(folder: Path) -> EmbeddedSeries:
    return EmbeddedSeries(folder / "series.db", audit=NoAudit(), clock=SystemClock())


def rooms_of(folder: Path, *, write: bool = False) -> Rooms:
    """The data folder, where nobody's approval is asked for."""
    settings = Settings(approvals=Approvals(wide_vehicles=2_000_000, wide_age_days=0))
    return open_rooms(folder, settings, write=write)


def fill(folder: Path, taxis: int, step_s: int, hours: int) -> int:
    """Store and seal; returns how many points."""
    with rooms_of(folder, write=True) as rooms:
        rooms.registry.ensure([f"taxi/{number}" for number in range(taxis)])
        return filled(rooms.series, taxis, step_s, hours)


def filled(store: Series, taxis: int, step_s: int, hours: int) -> int:
    fleet, copies = (Fleet(taxis // 10, SEED), 10) if taxis > 700 else (Fleet(taxis, SEED), 1)
    position, done_ms = 0, 0
    while done_ms < hours * HOUR_MS:
        for batch in batches(fleet, copies):
            since = (batch.time_ms - T0) * step_s // MODEL_STEP_S
            kept = batch.take((since >= 0) & (since < hours * HOUR_MS))
            kept.time_ms[:] = T0 + since[(since >= 0) & (since < hours * HOUR_MS)]
            position += 1
            store.commit(Outcome(position, kept), stored_ms=T0)
            done_ms = max(done_ms, int(since.max()))
        store.seal(T0 + done_ms - 2 * HOUR_MS)
    store.seal(T0 + 2 * DAY_MS)
    store.make_durable()
    return store.totals().stored


def windows_of(store: EmbeddedSeries, hours: int) -> Windows:
    return Windows(lambda a, b: store.fleet(GRANT, a, b), T0, T0 + hours * HOUR_MS)


def report_seeks(folder: Path, taxis: int, hours: int) -> None:
    chance = np.random.default_rng(SEED)
    for name, into in (("in an hour", HOUR_MS // 2), ("beside the end of one", HOUR_MS - 1_000)):
        took, cpu = [], []
        for hour in chance.choice(np.arange(1, hours - 1), min(SEEKS, hours - 2), replace=False).tolist():
            before, cpu_s = time.perf_counter(), time.process_time()
            store = opened(folder)
            found = len(windows_of(store, hours).at(T0 + hour * HOUR_MS + into))
            took.append((time.perf_counter() - before) * 1e3)
            cpu.append((time.process_time() - cpu_s) * 1e3)
            store.close()
        print(
            f"  seek, fleet, {name}: {np.median(took):.0f} ms, worst {max(took):.0f} ms, CPU {np.median(cpu):.0f} ms"
            f" ({found:,} taxis placed)"
        )
    took, whole = [], []
    for slot in chance.choice(taxis, SEEKS, replace=False).tolist():
        before = time.perf_counter()
        store = opened(folder)
        points = store.track(GRANT, "taxi/x", slot, T0, T0 + hours * HOUR_MS)
        reel = Reel(points, T0, T0 + hours * HOUR_MS)
        reel.frame(T0 + hours * HOUR_MS // 2)
        took.append((time.perf_counter() - before) * 1e3)
        line = drawn(reel)
        whole.append((time.perf_counter() - before) * 1e3)
        store.close()
    print(
        f"  seek, one taxi's {hours} h: {np.median(took):.1f} ms, worst {max(took):.1f} ms; with the drawn line"
        f" {np.median(whole):.1f} ms ({len(reel.points):,} points, {len(line.row):,} in the line)"
    )


def report_pages(folder: Path, taxis: int, hours: int) -> None:
    """Seeks through the operations."""
    caller = Caller("benchmark", "cli", "process")
    chance = np.random.default_rng(SEED)
    window = (T0, T0 + hours * HOUR_MS)
    said = []
    for name, one in (("the fleet", False), ("one taxi", True)):
        took, begun = [], []
        for hour in chance.choice(np.arange(1, hours - 1), min(SEEKS, hours - 2), replace=False).tolist():
            with rooms_of(folder) as rooms:
                operations = operations_of(rooms)
                before = time.perf_counter()
                devices = [f"taxi/{chance.integers(taxis)}"] if one else None
                replay = operations.replay(caller, *window, devices, cameras=False)["replay"]
                begun.append((time.perf_counter() - before) * 1e3)
                at_ms = T0 + hour * HOUR_MS + HOUR_MS // 2
                before = time.perf_counter()
                msgspec.json.encode(operations.replay_frames(caller, replay, at_ms, frames=1))
                took.append((time.perf_counter() - before) * 1e3)
        said.append(
            f"{name} {np.median(took):.0f} ms, worst {max(took):.0f} ms (begun in {np.median(begun):.0f} ms, worst {max(begun):.0f})"
        )
    print(f"  a page with one frame as the API has it: {'; '.join(said)}")


def frames(windows: Windows, from_ms: int, to_ms: int) -> Iterator[Seen]:
    for at in range(from_ms, to_ms, FRAME_MS):
        yield windows.at(at)


def report_play(folder: Path, hours: int) -> None:
    for name, as_json in (("frames", False), ("frames as JSON", True)):
        store = opened(folder)
        windows = windows_of(store, hours)
        took: list[float] = []
        cpu, size = time.process_time(), 0
        before = time.perf_counter()
        for one in frames(windows, T0, T0 + hours * HOUR_MS):
            if as_json:
                size += len(msgspec.json.encode(frame_row(one, one.slot)))
            now = time.perf_counter()
            took.append((now - before) * 1e3)
            before = now
        cpu = time.process_time() - cpu
        store.close()
        real_s = hours * 3_600 / RATE
        print(
            f"  play, {name}: {len(took):,} frames, median {np.median(took):.3f} ms, 99 % {np.percentile(took, 99):.2f} ms,"
            f" longest {max(took):.0f} ms (an hour is read); {cpu / len(took) * 1e3:.2f} ms CPU a frame,"
            f" {cpu / real_s:.1%} of a core at {RATE}x{f', {size / len(took) / 1024:.0f} KiB a frame' if as_json else ''}"
        )


class Naive:
    """A list of (times, lats, lons) for each device and a loop over them."""

    def __init__(self, points: PointBatch) -> None:
        order = np.lexsort((points.time_ms, points.slot))
        slot = points.slot[order]
        cuts = np.flatnonzero(np.diff(slot)) + 1
        self.devices = {
            int(slot[rows[0]]): (points.time_ms[of].tolist(), points.lat[of].tolist(), points.lon[of].tolist())
            for rows in np.split(np.arange(len(order)), cuts)
            for of in (order[rows],)
        }

    def at(self, time_ms: int) -> dict[int, tuple[float, float]]:
        found = {}
        for slot, (times, lats, lons) in self.devices.items():
            last = bisect_right(times, time_ms) - 1
            if last < 0:
                continue
            if times[last] == time_ms:
                found[slot] = (lats[last], lons[last])
            elif last + 1 < len(times) and times[last + 1] - times[last] <= MAX_LEG_MS:
                share = (time_ms - times[last]) / (times[last + 1] - times[last])
                found[slot] = (
                    lats[last] + share * (lats[last + 1] - lats[last]),
                    lons[last] + share * (lons[last + 1] - lons[last]),
                )
        return found


def report_baseline(folder: Path) -> None:
    store = opened(folder)
    from_ms, to_ms = T0 + HOUR_MS, T0 + 2 * HOUR_MS
    points = PointBatch.concat(list(store.fleet(GRANT, from_ms, to_ms)))
    store.close()
    naive, cursor = Naive(points), Reel(points, from_ms, to_ms).cursor()
    times = [from_ms + HOUR_MS // 4 + at * FRAME_MS for at in range(NAIVE_FRAMES * 10)]
    cursor.frame(times[0] - FRAME_MS)
    before = time.perf_counter()
    ours = [cursor.frame(at) for at in times]
    our_ms = (time.perf_counter() - before) / len(times) * 1e3
    before = time.perf_counter()
    theirs = [naive.at(at) for at in times[:NAIVE_FRAMES]]
    their_ms = (time.perf_counter() - before) / NAIVE_FRAMES * 1e3
    slots = sorted(naive.devices)
    for frame, places in zip(ours[:NAIVE_FRAMES], theirs, strict=True):
        assert np.flatnonzero(frame.placed).tolist() == [row for row, slot in enumerate(slots) if slot in places]
        assert np.allclose(frame.lat[frame.placed], [places[slot][0] for slot in slots if slot in places], atol=1e-11)
    print(
        f"  a frame in memory: {our_ms:.3f} ms; a loop over devices with bisect {their_ms:.2f} ms: {their_ms / our_ms:.0f} x; same places"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taxis", type=int, nargs="+", default=[70, 700, 7_000])
    parser.add_argument("--steps-s", type=int, nargs="+", default=[60, 15])
    parser.add_argument("--hours", type=int, default=24)
    given = parser.parse_args()
    print(f"question: a fleet's day at {RATE}x and {HERTZ} frames a second, and how soon it is there after a jump")
    print(machine())
    for step_s in given.steps_s:
        for taxis in given.taxis:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                points = fill(folder, taxis, step_s, given.hours)
                print(f"{taxis:,} taxis x {given.hours} h at {step_s} s: {points:,} points")
                report_seeks(folder, taxis, given.hours)
                report_pages(folder, taxis, given.hours)
                report_play(folder, given.hours)
                report_baseline(folder)


if __name__ == "__main__":
    main()
