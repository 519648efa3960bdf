"""The runner over real stores: recovery, damage, trimming, files' tallies, housekeeping, and its end."""

from __future__ import annotations

import os
import queue
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lucheng.app import pipeline
from lucheng.job_tally import JobTally
from lucheng.rooms import POINTS_LOG_FILE
from lucheng.runner import CONSUMER, DEFAULT_HOUSEKEEPING_EVERY_S, SNAPSHOT, RunnerLimits
from lucheng.series_choice import SERIES_FILE
from lucheng.steps import FILE_JOB_BYTES, Stage, Work
from model.batch import PointBatch
from model.batch_codec import encode
from model.codes import Flag, Reason
from model.errors import StoreError
from model.quarantine import Quarantined
from model.seams import NewRecord, RecordKind
from tests.lucheng.house import DEVICES, SOS, START_MS, House, damage, points, record

HANG_S = 30.0


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "data")
    yield made
    made.crash()


def quarantine_record(rows: int, reason: Reason = Reason.NOT_JSON) -> NewRecord:
    """What the decoder refused, as a record."""
    entry = Quarantined(reason, rows, 1, "lucheng/v1/taxi/1/up/point", "taxi/1", "no JSON", b"{")
    return NewRecord(RecordKind.QUARANTINE, rows, msgspec.msgpack.encode([entry]))


def messy(house: House, chance: random.Random, sent: list[PointBatch], *, wild: bool) -> NewRecord:
    """A record as life brings it: new, late and repeated points, alarm bits that rise and fall.

    `wild`: impossible places, late and repeated alarms too. How those join into one episode may depend on how records are
    grouped (see `analytics/rise.py`), so nothing is said of the state then, nor of the twin's very rows.
    """
    house.clock.advance(chance.uniform(0.1, 5))
    again = [batch for batch in sent if wild or not batch.alarm_bits.any()]
    if again and chance.random() < 0.2:
        return record(chance.choice(again))
    rows = chance.randrange(1, 12)
    slots = [chance.randrange(len(DEVICES)) for _ in range(rows)]
    ages_s = [chance.choice((0.0, 0.5, 3.0, 900.0, 200_000.0)) for _ in range(rows)]
    ages_s = [age_s + chance.random() if age_s else 0.0 for age_s in ages_s]
    bits = [SOS * (chance.random() < 0.3 and (wild or not age_s)) for age_s in ages_s]
    lat = [999.0 if chance.random() < 0.1 and wild else 40.6 for _ in bits]
    batch = points(house.clock, slots, ages_s, lat=lat, alarm_bits=bits)
    batch.seq = (batch.time_ms - START_MS) // 1_000 + 1_000_000
    sent.append(batch)
    return record(batch)


# --- recovery ---


@pytest.mark.parametrize("wild", [False, True])
def test_a_restart_anywhere_leaves_the_same_state_counters_and_signals(tmp_path: Path, wild: bool) -> None:
    """Against a twin that never restarts."""
    seed = int(os.environ.get("LUCHENG_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"LUCHENG_TEST_SEED={seed}")
    chance = random.Random(seed)
    through, broken = House(tmp_path / "through"), House(tmp_path / "broken")
    sent: list[PointBatch] = []
    for _ in range(60):
        new = messy(through, chance, sent, wild=wild)
        broken.clock.advance((through.clock.now_ms() - broken.clock.now_ms()) / 1000)
        for one in (through, broken):
            one.put(new)
            one.run()
        if chance.random() < 0.2:
            broken.runner.snapshot()
        if chance.random() < 0.3:
            broken.crash()
            broken.open()
            assert wild or broken.steps.save() == through.steps.save()
    assert broken.counters == through.counters
    assert wild or broken.rooms.series.totals().gauges == through.rooms.series.totals().gauges
    assert sorted(broken.keys()) == sorted(through.keys())
    ids = {(raised.id, raised.late) for raised in broken.signals()}
    assert wild or ids == {(raised.id, raised.late) for raised in through.signals()}
    assert ids, "nothing raised an alarm"
    assert broken.balanced
    for one in (through, broken):
        one.crash()


def test_work_left_in_the_log_is_done_after_a_restart(house: House) -> None:
    house.put(record(points(house.clock, [0, 1], [2, 1])))
    house.crash()
    house.open()
    assert house.counters[0] == 0
    house.run()
    assert house.counters[0] == 2


def test_a_crash_between_the_signal_and_the_store_keeps_each_signal_once(house: House) -> None:
    """The signal is in the desk's file, the points are not: the replay makes the same signal, with the same id."""
    house.put(record(points(house.clock, [0, 1, 0], [3, 2, 1], alarm_bits=[0, SOS, SOS])))

    def power_cut(_work: Work) -> None:
        raise ConnectionAbortedError

    stages = [
        Stage(stage.name, stage.does, power_cut) if stage.name == "store" else stage for stage in pipeline(house.steps)
    ]
    with pytest.raises(ConnectionAbortedError):
        house.made_runner(stages).run_once()
    first = house.signals()
    assert len(first) == 2
    assert house.counters[0] == 0
    house.crash()
    house.open()
    house.run()
    assert house.signals() == first
    assert house.counters[0] == 3


def test_signals_do_not_depend_on_how_records_are_grouped(tmp_path: Path) -> None:
    found = []
    for name, max_step_rows in (("together", 1_000), ("alone", 1)):
        house = House(tmp_path / name, limits=RunnerLimits(max_step_rows=max_step_rows, retention_days=0))
        for slot in range(4):
            house.put(record(points(house.clock, [slot, slot], [2, 1], alarm_bits=[0, SOS])))
        house.run()
        found.append([(signal.id, signal.device, signal.time_ms, signal.log_position) for signal in house.signals()])
        house.crash()
    assert found[0] == found[1]
    assert len(found[0]) == 4


# --- damage ---


def test_a_damaged_record_is_counted_and_its_neighbours_are_stored(house: House) -> None:
    for slot, rows in enumerate((2, 3, 4)):
        house.put(record(points(house.clock, [slot] * rows, list(range(rows)))))
    damage(house.folder / POINTS_LOG_FILE, "records", "position = 2")
    house.run()
    assert house.counters == (6, 0, {"LOG_CORRUPT": 3})
    assert house.balanced
    assert house.runner.position == 3


@pytest.mark.parametrize("victim", [1, 2, 3])
def test_points_of_a_record_that_can_no_longer_be_replayed_are_still_known(house: House, victim: int) -> None:
    batches = [points(house.clock, [0, 1], [30 - 10 * turn, 29 - 10 * turn], seq=turn + 1) for turn in range(3)]
    for batch in batches:
        house.put(record(batch))
    house.run()
    house.crash()
    damage(house.folder / POINTS_LOG_FILE, "records", f"position = {victim}")
    house.open()
    for batch in batches:  # the broker was not told in time, so it sends everything again
        house.put(record(batch))
    house.put(record(points(house.clock, [0, 1], [0, 0], seq=4)))
    house.run()
    assert house.counters == (8, 6, {})
    assert house.balanced
    assert len(set(house.keys())) == 8
    assert house.rooms.series.totals().gauges.get("points_missing", 0) == 0


def test_an_alarm_that_was_on_in_a_record_that_is_lost_rises_no_second_time(house: House) -> None:
    house.put(record(points(house.clock, [0, 1], [9, 8])))
    house.put(record(points(house.clock, [0, 1], [7, 6], alarm_bits=[SOS, SOS])))
    house.run()
    first = house.signals()
    assert len(first) == 2
    house.crash()
    damage(house.folder / POINTS_LOG_FILE, "records", "position = 2")
    house.open()
    house.put(record(points(house.clock, [0, 1], [5, 4], alarm_bits=[SOS, 0])))
    house.run()
    assert house.signals() == first
    house.put(record(points(house.clock, [1], [1], alarm_bits=[SOS])))
    house.run()
    assert len(house.signals()) == 3


def test_a_damaged_snapshot_is_made_anew_from_the_store(house: House) -> None:
    batch = points(house.clock, [0, 1], [2, 1], seq=7)
    house.put(record(batch))
    house.run()
    house.runner.snapshot()
    house.crash()
    damage(house.folder / SERIES_FILE, "snapshots", f"name = '{SNAPSHOT}'", "blob")
    house.open()
    house.put(record(batch), record(points(house.clock, [0], [0], seq=8)))
    house.run()
    assert house.counters == (3, 2, {})
    house.runner.snapshot()
    house.crash()
    house.open()


def test_a_log_that_ends_before_the_store_is_refused_in_words(house: House) -> None:
    """Records written at positions that the store has seen would be acknowledged and never stored."""
    house.put(record(points(house.clock, [0], [1])))
    house.run()
    house.crash()
    for path in house.folder.glob(f"{POINTS_LOG_FILE}*"):
        path.unlink()
    with pytest.raises(StoreError, match="ends at 0, but the store has read it up to 1"):
        house.open()


# --- the log's length ---


def test_the_log_keeps_what_lies_after_the_last_snapshot(house: House) -> None:
    for age_s in (9, 8, 7):
        house.put(record(points(house.clock, [0], [age_s])))
    house.run()
    assert house.positions() == [1, 2, 3]
    house.runner.snapshot()
    assert house.positions() == []
    assert house.rooms.points_log.consumed(CONSUMER) == 3
    house.put(record(points(house.clock, [0], [6])))
    house.run()
    house.runner.snapshot()
    house.put(record(points(house.clock, [0], [5])))
    house.run()
    assert house.positions() == [5]
    state = house.steps.save()
    house.crash()
    house.open()
    assert house.steps.save() == state
    assert house.balanced


def test_records_that_are_not_stored_yet_are_never_trimmed(house: House) -> None:
    house.put(record(points(house.clock, [0], [9])))
    house.run()
    house.put(record(points(house.clock, [0], [8])))
    house.runner.snapshot()
    assert house.positions() == [2]


def test_a_log_of_quarantine_alone_is_counted_and_trimmed(tmp_path: Path) -> None:
    """A flood in which nothing is good must not fill the disk."""
    house = House(tmp_path / "data", limits=RunnerLimits(snapshot_every_rows=30, retention_days=0))
    for _ in range(4):
        house.put(quarantine_record(10))
    house.run()
    assert house.counters == (0, 0, {"NOT_JSON": 40})
    assert house.balanced
    house.runner.keep_house()
    assert house.positions() == []
    house.crash()


# --- files ---


def file_record(job: bytes, batch: PointBatch) -> NewRecord:
    return NewRecord(RecordKind.FILE_POINTS, len(batch), job + encode(batch))


def test_a_files_rows_are_tallied_exactly_among_live_ones(house: House) -> None:
    job, other = b"j" * FILE_JOB_BYTES, b"o" * FILE_JOB_BYTES
    old = int(Flag.BUFFERED)
    batch = points(house.clock, [0, 1, 2], [300, 200, 100], flags=old)
    bad = points(house.clock, [0, 3], [50, 40], lat=[99.0, 40.6], flags=old)
    tally = house.runner.jobs[job] = JobTally()
    house.put(
        record(points(house.clock, [4, 5], [2, 1])),
        file_record(job, batch),
        file_record(other, points(house.clock, [6], [9], flags=old)),
        record(points(house.clock, [4], [0])),
        file_record(job, batch),
        file_record(job, bad),
    )
    house.run()
    assert (tally.stored, tally.duplicate, tally.quarantined) == (4, 3, {Reason.OUT_OF_RANGE: 1})
    assert tally.rows == 8
    assert house.balanced


# --- housekeeping ---


def test_snapshots_are_taken_by_rows_and_by_time(tmp_path: Path) -> None:
    house = House(
        tmp_path / "data", limits=RunnerLimits(snapshot_every_rows=3, snapshot_every_s=60.0, retention_days=0)
    )
    house.put(record(points(house.clock, [0, 1], [2, 1])))
    house.run()
    house.runner.keep_house()
    assert house.rooms.series.snapshot(SNAPSHOT) is None
    house.put(record(points(house.clock, [0], [0])))
    house.run()
    house.runner.keep_house()
    first = house.rooms.series.snapshot(SNAPSHOT)
    assert first is not None
    assert first[0] == 2
    house.clock.advance(30)
    house.put(record(points(house.clock, [0], [0])))
    house.run()
    house.runner.keep_house()
    assert house.rooms.series.snapshot(SNAPSHOT) == first
    house.clock.advance(31)
    house.runner.keep_house()
    second = house.rooms.series.snapshot(SNAPSHOT)
    assert second is not None
    assert second[0] == 3
    house.crash()


def test_ended_hours_are_sealed_and_old_days_go(tmp_path: Path) -> None:
    gone: list[int] = []
    house = House(tmp_path / "data", limits=RunnerLimits(seal_delay_s=600, retention_days=2))
    runner = house.made_runner(pipeline(house.steps), on_retained=gone.append)
    house.put(record(points(house.clock, [0, 1], [2, 1])))
    runner.run_once()
    house.clock.advance(2 * 3_600)
    runner.keep_house()
    with_chunks = house.rooms.series.check()
    assert with_chunks == []
    assert house.counters[0] == 2
    house.clock.advance(4 * 86_400)
    runner.keep_house()
    assert gone == [2]
    assert house.keys() == []
    assert house.counters[0] == 0
    # Nothing of it comes back, and nothing happens twice on one day.
    house.clock.advance(DEFAULT_HOUSEKEEPING_EVERY_S)
    runner.keep_house()
    assert gone == [2]
    house.crash()


# --- on a thread ---


def test_it_stores_what_comes_and_drains_at_the_end(house: House) -> None:
    came = threading.Event()

    def wait_beyond(_position: int, _timeout_s: float) -> None:
        came.wait(0.05)

    runner = house.made_runner(pipeline(house.steps), wait_beyond=wait_beyond)
    runner.start()
    position = house.put(*(record(points(house.clock, [slot], [slot])) for slot in range(6)))
    came.set()
    assert runner.stop(drain_s=HANG_S)
    assert runner.position == position
    assert runner.backlog_rows() == 0
    assert house.counters[0] == 6
    snapshot = house.rooms.series.snapshot(SNAPSHOT)
    assert snapshot is not None
    assert snapshot[0] == position


def test_a_store_that_fails_ends_it_once_and_tells_whoever_waits(house: House) -> None:
    told: queue.Queue[BaseException] = queue.Queue()
    stages = pipeline(house.steps)

    def full(_work: Work) -> None:
        raise StoreError("The disk is full.", mend="Make room.")

    stages[-1] = Stage("store", "fails", full)
    runner = house.made_runner(stages, on_fatal=told.put, wait_beyond=lambda _position, _timeout_s: None)
    position = house.put(record(points(house.clock, [0], [1])))
    runner.start()
    with pytest.raises(StoreError, match="full"):
        runner.wait_for(position, timeout_s=HANG_S)
    with pytest.raises(StoreError, match="full"):
        runner.stop(drain_s=HANG_S)
    assert isinstance(told.get(timeout=HANG_S), StoreError)
    assert told.empty()
    assert house.counters[0] == 0
    assert house.positions() == [1]


def test_waiting_for_what_does_not_come_ends(house: House) -> None:
    assert not house.runner.wait_for(1, timeout_s=0)
    assert np.array(house.positions()).size == 0
