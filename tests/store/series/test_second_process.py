"""A second process reads the store, again and again, while the first writes, flushes and seals it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from model.batch import PointBatch
from model.clock import SystemClock
from model.grant import Grant, Purpose
from model.seams import Outcome
from store.audit import AuditLog
from store.series.embedded import EmbeddedSeries

HOUR_MS = 3_600_000
T0 = 1_760_000_400_000 // HOUR_MS * HOUR_MS
COMMITS = 60
ROWS = 200
EVERYTHING = Grant("test", "test", Purpose("test"), None, 0, T0 + 100 * HOUR_MS)

READER = """
import sys
from pathlib import Path
from tests.store.series.test_second_process import EVERYTHING, T0, HOUR_MS
from model.clock import SystemClock
from store.audit import AuditLog
from store.series.embedded import EmbeddedSeries
folder = Path(sys.argv[1])
audit = AuditLog(folder / "audit.db", clock=SystemClock())
seen, looks = 0, 0
print("reading", flush=True)
while seen < int(sys.argv[2]):
    series = EmbeddedSeries(folder / "series.db", audit=audit, clock=SystemClock(), read_only=True)
    rows = sum(len(batch) for batch in series.fleet(EVERYTHING, T0, T0 + 100 * HOUR_MS))
    track = series.track(EVERYTHING, "taxi/3", 3, T0, T0 + 100 * HOUR_MS)
    assert rows >= seen, (rows, seen)
    assert (track.time_ms[1:] >= track.time_ms[:-1]).all()
    assert series.check() == []
    series.close()
    seen, looks = rows, looks + 1
print(seen, looks, flush=True)
"""


def batch(number: int) -> PointBatch:
    time_ms = T0 + number * 120_000 + np.arange(ROWS) * 500
    return PointBatch.of(
        ROWS,
        {
            "slot": np.arange(ROWS) % 10,
            "time_ms": time_ms,
            "received_ms": time_ms + 300,
            "lat": 40.65 + number * 1e-4,
            "lon": 109.84,
        },
    )


def test_a_second_process_reads_while_the_first_writes(tmp_path: Path) -> None:
    clock = SystemClock()
    audit = AuditLog(tmp_path / "audit.db", clock=clock)
    series = EmbeddedSeries(tmp_path / "series.db", audit=audit, clock=clock, max_open_rows=1_000)
    series.commit(Outcome(1, batch(0)), stored_ms=clock.now_ms())
    root = Path(__file__).parents[3]
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path), str(COMMITS * ROWS)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reading\n"
    for number in range(1, COMMITS):
        series.commit(Outcome(number + 1, batch(number)), stored_ms=clock.now_ms())
        if number % 7 == 0:
            series.seal(T0 + number * 120_000)
        clock.sleep(0.01)
    out, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    seen, looks = map(int, out.split())
    assert seen == COMMITS * ROWS
    assert looks >= 2
    series.close()
    audit.close()
