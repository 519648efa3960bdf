"""F3: influxd is killed, hangs and is away while points come in: nothing is lost, nothing is twice, catching up is quick."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.batch import PointBatch
from model.batch_codec import decode, encode
from model.clock import FakeClock, SystemClock
from model.seams import NewRecord, Outcome, RecordKind
from store.log.local import LocalLog
from store.series.influx.connection import Away
from store.series.influx.setting_up import set_up
from store.series.influx.store import InfluxSeries
from tests.conftest import wait_until
from tests.influx import Influxd, open_influx
from tests.store.series.conformance import T0, ListAudit, drive, grant

ROWS = 500


def batch_of(position: int) -> PointBatch:
    """What the record at a log position holds: one point each of 500 devices."""
    rng = np.random.default_rng(position)
    return PointBatch.of(
        ROWS,
        {
            "slot": np.arange(ROWS),
            "time_ms": T0 + position * 1000,
            "received_ms": T0 + position * 1000 + 300,
            "lat": 40 + rng.integers(0, 10**6, ROWS) / 1e6,
            "lon": 109 + rng.integers(0, 10**6, ROWS) / 1e6,
            "speed_kmh": rng.integers(0, 120, ROWS),
        },
    )


class Pipeline:
    """A log, and a thread that works it off into the store, as the service does.

    Args:
        folder: of the log.
        store: where it goes.
    """

    def __init__(self, folder: Path, store: InfluxSeries) -> None:
        self.log = LocalLog(folder / "points.log.db", clock=SystemClock())
        self.store = store
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def append(self) -> None:
        """The next second of every device, made durable."""
        position = self.log.last_position() + 1
        payload = encode(batch_of(position))
        assert self.log.append([NewRecord(RecordKind.POINTS, ROWS, payload)]) == position

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                records = self.log.read(self.store.totals().position, max_records=64, max_bytes=8 << 20)
                if not records:
                    self._stop.wait(0.005)
                    continue
                points = PointBatch.concat([decode(record.payload) for record in records])
                self.store.commit(Outcome(records[-1].position, points), stored_ms=T0)
                self.log.set_consumed("pipeline", self.store.make_durable())
        except BaseException as error:  # the test raises it
            self.failure = error

    def wait_until_empty(self, timeout_s: float) -> None:
        wait_until(
            lambda: self.failure or self.store.totals().position == self.log.last_position(), timeout_s, "an empty log"
        )
        assert self.failure is None

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.log.close()


def all_there(store: InfluxSeries, positions: int) -> None:
    """Every point that was acknowledged is stored once, as it was."""
    totals = store.totals()
    assert (totals.position, totals.stored, totals.duplicate) == (positions, positions * ROWS, 0)
    assert store.check() == []
    found = PointBatch.concat(list(store.fleet(grant(), 0, 1 << 60)))
    sent = PointBatch.concat([batch_of(position) for position in range(1, positions + 1)])
    for batch in (found, sent):
        order = np.lexsort((batch.slot, batch.time_ms))
        for name in ("slot", "time_ms", "received_ms", "speed_kmh"):
            setattr(batch, name, batch.column(name)[order])
        batch.lat, batch.lon = np.rint(batch.lat[order] * 1e6), np.rint(batch.lon[order] * 1e6)
    for name in ("slot", "time_ms", "received_ms", "lat", "lon", "speed_kmh"):
        np.testing.assert_array_equal(found.column(name), sent.column(name))


def _opened(influxd: Influxd, folder: Path, told: list[str | None]) -> InfluxSeries:
    folder.mkdir()
    server = replace(influxd.server("outage"), write_timeout_ms=1_500, query_timeout_ms=5_000)
    set_up(server, retention_days=0, late_days=30, hourly_days=0)
    return InfluxSeries(
        server, folder, audit=ListAudit(), clock=SystemClock(), retry_min_ms=20, retry_max_ms=200, on_outage=told.append
    )


@pytest.mark.soak
def test_nothing_is_lost_while_the_server_dies_hangs_and_comes_back(own_influxd: Influxd, tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    told: list[str | None] = []
    store = _opened(own_influxd, tmp_path / "data", told)
    pipeline = Pipeline(tmp_path / "data", store)
    pipeline.start()
    for round_ in range(2):
        for _ in range(rng.randrange(5, 20)):
            pipeline.append()
        if round_ == 1:
            own_influxd.pause()  # takes the request and answers nothing: was it written or not?
            pipeline.append()
            wait_until(lambda: store.outage, what="the time-out")
            own_influxd.go_on()
        else:
            own_influxd.kill()
            for _ in range(rng.randrange(20, 60)):  # the log takes them
                pipeline.append()
            wait_until(lambda: store.outage, what="the outage")
            own_influxd.start()
        pipeline.append()
        pipeline.wait_until_empty(60)
    assert store.outage is None
    assert told[-1] is None
    assert sum(words is not None for words in told) >= 2
    positions = pipeline.log.last_position()
    pipeline.stop()
    all_there(store, positions)
    store.close()


def test_a_commit_that_waits_can_be_told_to_stop(own_influxd: Influxd, tmp_path: Path) -> None:
    told: list[str | None] = []
    store = _opened(own_influxd, tmp_path / "data", told)
    store.commit(Outcome(1, batch_of(1)), stored_ms=T0)
    own_influxd.kill()
    raised: list[BaseException] = []

    def commit() -> None:
        try:
            store.commit(Outcome(2, batch_of(2)), stored_ms=T0)
        except Away as error:
            raised.append(error)

    waiting = threading.Thread(target=commit)
    waiting.start()
    wait_until(lambda: store.outage and store.outage.tries > 2, what="some tries")
    with pytest.raises(Away):
        store.track(grant(), "taxi/1", 1, 0, T0)
    # what is in memory is still told: counters, and the newest points that were stored
    assert store.totals().position == 1
    assert len(store.latest(grant(), None)) == ROWS
    store.stop_waiting()
    waiting.join()
    assert len(raised) == 1
    store.close()


def test_samples_wait_in_memory_up_to_their_limit(own_influxd: Influxd, tmp_path: Path) -> None:
    store = open_influx(own_influxd, tmp_path, ListAudit(), max_pending_numbers=50)
    own_influxd.kill()
    for n in range(70):
        store.put_numbers("fps", "camera/1", np.array([T0 + n], np.int64), np.array([float(n)]))
    assert store.state().dropped_numbers == 20
    own_influxd.start()
    store.flush()
    assert store.numbers(grant(), "fps", "camera/1", T0, T0 + 100)[1].tolist() == list(range(20, 70))
    store.close()


_CHILD = """
import sys
from pathlib import Path
from model.clock import SystemClock
from model.seams import Outcome
from store.series.influx.connection import Server
from store.series.influx.store import InfluxSeries
from tests.store.series.conformance import T0, ListAudit
from tests.store.series.influx.test_outage import batch_of

server = Server(url=sys.argv[2], org="city", token="a-token-for-tests-only", bucket=sys.argv[3])
store = InfluxSeries(server, Path(sys.argv[1]), audit=ListAudit(), clock=SystemClock())
position = store.totals().position
print("ready", flush=True)
while True:
    position += 1
    store.commit(Outcome(position, batch_of(position), gauges={"batches": 1}), stored_ms=T0)
"""


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_a_killed_writer_stores_everything_once(influxd: Influxd, tmp_path: Path, kills: int) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    server = influxd.server(f"killed{kills}")
    set_up(server, retention_days=0, late_days=30, hourly_days=0)
    for _ in range(kills):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(tmp_path), influxd.url, server.bucket],
            stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[4],
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.0, 0.5))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    store = InfluxSeries(server, tmp_path, audit=ListAudit(), clock=FakeClock(T0))
    # what was on its way when it died comes again from the log, in other groups
    position = store.totals().position
    store.commit(Outcome(position + 1, batch_of(position + 1), gauges={"batches": 1}), stored_ms=T0)
    assert store.totals().gauges["batches"] == position + 1
    all_there(store, position + 1)
    store.close()


@pytest.mark.soak
@pytest.mark.parametrize("away_s", [600])
def test_ten_minutes_without_a_server(own_influxd: Influxd, tmp_path: Path, away_s: int) -> None:
    """500 points a second, a server that is away for ten minutes: nothing lost, caught up at 5 times the rate or more."""
    told: list[str | None] = []
    store = _opened(own_influxd, tmp_path / "data", told)
    pipeline = Pipeline(tmp_path / "data", store)
    pipeline.start()
    began = time.monotonic()
    seconds = 0

    def live(until_s: float) -> None:
        nonlocal seconds
        while seconds < until_s:
            pipeline.append()
            seconds += 1
            time.sleep(max(0.0, began + seconds - time.monotonic()))

    live(30)
    own_influxd.kill()
    live(30 + away_s)
    backlog = pipeline.log.last_position() - store.totals().position
    own_influxd.start()
    started = time.monotonic()
    wait_until(lambda: store.outage is None, 120, "the end of the outage")
    pipeline.wait_until_empty(away_s)
    rate = backlog / (time.monotonic() - started)
    print(f"caught up {backlog} seconds at {rate:.1f} times the live rate")
    assert rate >= 5
    live(seconds + 10)
    pipeline.wait_until_empty(60)
    positions = pipeline.log.last_position()
    pipeline.stop()
    all_there(store, positions)
    store.close()


def test_late_points_of_an_outage_upstream_find_their_places(influxd: Influxd, tmp_path: Path) -> None:
    """Two days late, out of order and three times each, as after a network failure: stored once."""
    store = open_influx(influxd, tmp_path, ListAudit())
    store.commit(Outcome(1, drive(5, 600, start_ms=T0 + 2 * 86_400_000)), stored_ms=T0 + 2 * 86_400_000)
    late = drive(5, 7200)
    order = np.random.default_rng(3).permutation(len(late))
    known = store.contains(late)
    assert not known.any()
    position = 1
    for part in np.array_split(order, 7):
        for _ in range(3):
            position += 1
            rows = late.take(part)
            fresh = rows.take(~store.contains(rows))
            store.commit(Outcome(position, fresh, duplicate=len(rows) - len(fresh)), stored_ms=T0 + 2 * 86_400_000)
    totals = store.totals()
    assert totals.duplicate == 2 * len(late)
    assert totals.stored == len(late) + len(drive(5, 600))
    assert store.check() == []
    store.close()
