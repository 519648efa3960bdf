"""How much CPU does a point cost from decoded columns to cleaned, ordered, de-duplicated and marked ones?

Question: nanoseconds a row for all stages of `analytics` (identity included), in batches of 10,000
rows, with 3,000, 30,000 and 300,000 devices and with 7,000; against plain pandas doing only part of it
(drop duplicates, sort, flag legs above 180 km/h against the last point of each device) on the same
batches in the same process. And what the worst streams cost: everything late, every clock +8 h off,
alarm bits flapping, one device alone. Prints its report; asserts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from analytics.limits import CleanLimits
from analytics.pipeline import Analysis
from analytics.state import State
from benchmarks.machine import machine
from model.batch import PointBatch
from model.codes import Flag

BATCH_ROWS = 10_000
WARM_BATCHES = 15
TIMED_BATCHES = 30
SEED = 20_260_301
T0_MS = 1_760_000_000_000
HOUR_MS = 3_600_000
Change = Callable[[dict[str, np.ndarray], np.random.Generator], None]


def stream(devices: int, batches: int, *, seq: bool, change: Change | None = None) -> list[PointBatch]:
    """Batches of points of random devices in the order of their time, as a broker delivers them."""
    chance = np.random.default_rng(SEED)
    made = []
    for at in range(batches):
        time_ms = T0_MS + at * BATCH_ROWS + np.arange(BATCH_ROWS)
        columns = {
            "slot": chance.integers(0, devices, BATCH_ROWS),
            "time_ms": time_ms,
            "received_ms": time_ms + 300,
            "seq": np.full(BATCH_ROWS, at) if seq else np.full(BATCH_ROWS, -1),
            "lat": 40.65 + chance.random(BATCH_ROWS) * 1e-4,
            "lon": 109.84 + chance.random(BATCH_ROWS) * 1e-4,
            "speed_kmh": chance.random(BATCH_ROWS) * 60,
            "heading_deg": chance.random(BATCH_ROWS) * 360,
            "flags": np.full(BATCH_ROWS, int(Flag.VALID | Flag.VALID_SENT)),
            "alarm_bits": np.zeros(BATCH_ROWS, np.uint64),
        }
        if change is not None:
            change(columns, chance)
        made.append(PointBatch.of(BATCH_ROWS, columns))
    return made


def ours(devices: int, batches: list[PointBatch]) -> float:
    """Nanoseconds of CPU a row; the store answers that it knows nothing."""
    analysis = Analysis(CleanLimits(), State(devices))
    for batch in batches[:WARM_BATCHES]:
        analysis.begin(batch)
    began = time.process_time_ns()
    for batch in batches[WARM_BATCHES:]:
        step = analysis.begin(batch)
        analysis.finish(step, np.zeros(len(step.unsure), np.bool_))
    return (time.process_time_ns() - began) / (len(batches) - WARM_BATCHES) / BATCH_ROWS


class Pandas:
    """The baseline: what a few lines of pandas do to the same batches."""

    def __init__(self, devices: int) -> None:
        self.last = pd.DataFrame(np.nan, index=np.arange(devices), columns=["time_ms", "lat", "lon"])

    def feed(self, batch: PointBatch) -> int:
        names = ("slot", "time_ms", "seq", "lat", "lon", "speed_kmh", "heading_deg", "flags", "received_ms")
        frame = pd.DataFrame({name: batch.column(name) for name in names}, copy=False)
        frame = frame.drop_duplicates(["slot", "time_ms", "seq", "lat", "lon"]).sort_values(["slot", "time_ms", "seq"])
        before = frame.groupby("slot")[["time_ms", "lat", "lon"]].shift()
        known = self.last.loc[frame["slot"]].set_axis(frame.index)
        before = before.fillna(known)
        north = np.radians(frame["lat"] - before["lat"])
        east = np.radians(frame["lon"] - before["lon"])
        half = np.sin(north / 2) ** 2 + np.cos(np.radians(frame["lat"])) ** 2 * np.sin(east / 2) ** 2
        metres = 2 * 6_371_008.8 * np.arcsin(np.sqrt(half))
        jump = metres / (frame["time_ms"] - before["time_ms"]) * 3_600 > 180
        newest = frame.drop_duplicates("slot", keep="last")
        self.last.loc[newest["slot"]] = newest[["time_ms", "lat", "lon"]].to_numpy()
        return int(jump.sum())


def baseline(devices: int, batches: list[PointBatch]) -> float:
    """Nanoseconds of CPU a row by pandas, on a third of the batches."""
    some = batches[: max(len(batches) // 3, 2)]
    frame = Pandas(devices)
    frame.feed(some[0])
    began = time.process_time_ns()
    for batch in some[1:]:
        frame.feed(batch)
    return (time.process_time_ns() - began) / (len(some) - 1) / BATCH_ROWS


def _late(columns: dict[str, np.ndarray], chance: np.random.Generator) -> None:
    columns["time_ms"] -= chance.integers(0, 600_000, BATCH_ROWS)


def _eight_hours(columns: dict[str, np.ndarray], _: np.random.Generator) -> None:
    columns["time_ms"] += 8 * HOUR_MS


def _flapping(columns: dict[str, np.ndarray], chance: np.random.Generator) -> None:
    columns["alarm_bits"] = (chance.random(BATCH_ROWS) < 0.01).astype(np.uint64) << np.uint64(12)


def _one_device(columns: dict[str, np.ndarray], _: np.random.Generator) -> None:
    columns["slot"][:] = 5


def _three_copies(columns: dict[str, np.ndarray], _: np.random.Generator) -> None:
    for name, values in columns.items():
        columns[name] = np.tile(values[: BATCH_ROWS // 4], 4) if name != "received_ms" else values


def state_report() -> None:
    """Size of the state of 300,000 devices, and how long it takes out and in."""
    analysis = Analysis(CleanLimits(), State(300_000))
    columns = {"slot": np.arange(300_000), "lat": 40.65, "lon": 109.84}
    for at in range(6):
        analysis.begin(PointBatch.of(300_000, {**columns, "seq": at, "time_ms": T0_MS + at, "received_ms": T0_MS + at}))
    began = time.perf_counter()
    raw = analysis.state.to_bytes()
    middle = time.perf_counter()
    State.from_bytes(raw)
    ended = time.perf_counter()
    print(
        f"state of 300,000 devices: {len(raw) / 1e6:.1f} MB, "
        f"out {(middle - began) * 1e3:.0f} ms, in {(ended - middle) * 1e3:.0f} ms"
    )


def main() -> None:
    print(__doc__)
    print(f"{machine()}, seed {SEED}\n")
    batches = WARM_BATCHES + TIMED_BATCHES
    print(f"{'devices':>9} {'seq':>4} {'ours ns/row':>12} {'pandas ns/row':>14} {'ratio':>6}")
    for devices in (7_000, 3_000, 30_000, 300_000):
        for seq in (False, True):
            work = stream(devices, batches, seq=seq)
            mine, theirs = ours(devices, work), baseline(devices, work)
            print(f"{devices:>9,} {'yes' if seq else 'no':>4} {mine:>12.0f} {theirs:>14.0f} {theirs / mine:>6.1f}")
    print("\nworst streams, 7,000 devices, no seq:")
    cases: tuple[tuple[str, Change], ...] = (
        ("up to ten minutes out of order", _late),
        ("every clock +8 h", _eight_hours),
        ("alarm bits in 1 % of the rows", _flapping),
        ("one device alone", _one_device),
        ("every row four times", _three_copies),
    )
    for name, change in cases:
        print(f"  {name:<32} {ours(7_000, stream(7_000, batches, seq=False, change=change)):>6.0f} ns/row")
    state_report()


if __name__ == "__main__":
    main()
