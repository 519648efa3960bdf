"""`kill -9` of the writing process at random moments: totals, rows and position agree afterwards."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model.clock import FakeClock
from store.series.embedded import EmbeddedSeries
from tests.store.series.conformance import T0, ListAudit, grant

ROUNDS = 10

#: Commits 60 rows a position: device `position % 5`, times running on from T0, sealing and retaining now and then.
_CHILD = """
import sys
from pathlib import Path
import numpy as np
from model.batch import PointBatch
from model.clock import FakeClock
from model.seams import Outcome
from store.series.embedded import EmbeddedSeries
from tests.store.series.conformance import T0, ListAudit

store = EmbeddedSeries(Path(sys.argv[1]), audit=ListAudit(), clock=FakeClock(T0), max_open_rows=600, max_patches=2,
                       checkpoint_pages=16)
position = store.totals().position
print("ready", flush=True)
while True:
    position += 1
    time_ms = T0 + position * 60_000 + np.arange(60) * 1000
    points = PointBatch.of(60, {"slot": position % 5, "time_ms": time_ms, "lat": 40.0, "lon": 109.0})
    store.commit(Outcome(position, points, duplicate=1, gauges={"batches": 1}), stored_ms=T0)
    if position % 7 == 0:
        store.seal(T0 + position * 60_000)
    if position % 11 == 0:
        store.make_durable()
"""


@pytest.mark.soak
def test_a_killed_writer_leaves_a_file_that_agrees_with_itself(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    path = tmp_path / "series.db"
    last = 0
    for _ in range(ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[3],
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.0, 0.25))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        store = EmbeddedSeries(path, audit=ListAudit(), clock=FakeClock(T0))
        totals = store.totals()
        assert totals.position >= last
        last = totals.position
        assert totals.stored == 60 * last
        assert totals.duplicate == last
        assert totals.gauges.get("batches", 0) == last
        rows = [batch.time_ms for batch in store.fleet(grant(), 0, 1 << 60)]
        seen = sorted(time_ms for piece in rows for time_ms in piece.tolist())
        assert seen == [T0 + 60_000 + second * 1000 for second in range(60 * last)]
        assert store.check() == []
        store.close()
    assert last > 0
