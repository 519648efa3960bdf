"""The stages that join log, analytics and stores, over real stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from config.sections import Settings
from lucheng.app import pipeline
from lucheng.limits import clean_limits
from lucheng.rooms import DESK_FILE
from lucheng.steps import DEFAULT_MAX_REJECTED_ROWS_KEPT, FILE_JOB_BYTES, Steps, Work
from model.batch_codec import encode
from model.codes import Flag, Mark, Reason
from model.desk import AlarmFilter
from model.quarantine import Quarantined
from model.seams import LogRecord, NewRecord, RecordKind
from model.signal import signal_id
from tests.lucheng.house import DEVICES, GRANT, SOS, House, points, record
from tests.lucheng.test_runner import quarantine_record

COLLISION = 1 << 3


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "data")
    yield made
    made.crash()


def as_read(*records: NewRecord) -> list[LogRecord]:
    """Records as the log gives them back."""
    return [LogRecord(at, one.kind, one.rows, one.payload) for at, one in enumerate(records, start=1)]


def test_unpack_joins_points_in_log_order_and_takes_quarantine_over(house: House) -> None:
    job = b"j" * FILE_JOB_BYTES
    old = points(house.clock, [3], [60], flags=int(Flag.BUFFERED))
    records = as_read(
        record(points(house.clock, [0, 1], [2, 1])),
        quarantine_record(4),
        NewRecord(RecordKind.FILE_POINTS, 1, job + encode(old)),
        record(points(house.clock, [2], [0])),
    )
    work = Work(records, 4)
    house.steps.unpack(work)
    assert work.batch.slot.tolist() == [0, 1, 3, 2]
    assert (work.starts, work.positions) == ([0, 2, 3], [1, 3, 4])
    assert [entry.rows for entry in work.quarantined] == [4]
    assert work.step is not None


def test_quarantine_alone_makes_no_step_and_is_committed(house: House) -> None:
    house.put(quarantine_record(4))
    house.run()
    assert house.counters == (0, 0, {"NOT_JSON": 4})
    kept = house.rooms.series.quarantine_list(GRANT)
    assert [(row.entry.rows, row.entry.raw) for row in kept] == [(4, b"{")]
    assert house.balanced


@pytest.mark.parametrize("rows", [DEFAULT_MAX_REJECTED_ROWS_KEPT, DEFAULT_MAX_REJECTED_ROWS_KEPT + 1, 3_000])
def test_a_flood_of_rejected_rows_is_counted_whole_and_kept_in_part(house: House, rows: int) -> None:
    batch = points(house.clock, [row % len(DEVICES) for row in range(rows)], [1.0] * rows, lat=[91.0] * rows)
    good = points(house.clock, [0], [0.5])
    house.put(record(batch), record(good))
    house.run()
    assert house.counters == (1, 0, {"OUT_OF_RANGE": rows})
    assert house.balanced
    kept = house.rooms.series.quarantine_list(GRANT, limit=10_000)
    assert len(kept) == min(rows, DEFAULT_MAX_REJECTED_ROWS_KEPT)


def test_each_reason_of_a_flood_has_its_own_share(house: House) -> None:
    settings = clean_limits(Settings())
    directory = house.rooms.registry.directory()
    steps = Steps(
        settings, house.rooms.series, house.rooms.signals, lambda: directory.ids, house.clock, max_rejected_rows_kept=2
    )
    lat = [91.0] * 5 + [np.nan] * 5 + [0.0] * 5
    lon = [109.8] * 10 + [0.0] * 5
    house.put(record(points(house.clock, [0] * 15, [1.0] * 15, lat=lat, lon=lon)))
    house.steps = steps
    house.runner = house.made_runner(pipeline(steps))
    house.run()
    assert house.counters == (0, 0, {"OUT_OF_RANGE": 5, "NOT_A_NUMBER": 5, "NULL_ISLAND": 5})
    kept = house.rooms.series.quarantine_list(GRANT, limit=100)
    assert len(kept) == 6
    assert {row.entry.reason for row in kept} == {Reason.OUT_OF_RANGE, Reason.NOT_A_NUMBER, Reason.NULL_ISLAND}


def test_a_rejected_row_says_what_it_held(house: House) -> None:
    house.put(
        record(points(house.clock, [5], [1.0], lat=[np.inf], lon=[np.nan], alarm_bits=[SOS | COLLISION], seq=[12]))
    )
    house.run()
    (row,) = house.rooms.series.quarantine_list(GRANT)
    assert row.entry.device == DEVICES[5]
    assert row.entry.source == "live"
    held = msgspec.json.decode(row.entry.raw)
    assert (held["lat"], held["lon"], held["seq"]) == ("inf", None, 12)
    assert held["alarms"] == ["sos", "collision"]
    assert held["time_ms"] == house.clock.now_ms() - 1_000
    # The alarm is not lost with the place, and does not claim one.
    raised = house.signals()
    assert sorted(one.kind for one in raised) == ["collision", "sos"]
    assert {(one.lat, one.lon) for one in raised} == {(None, None)}


def test_a_signal_says_where_it_stands_and_what_rose(house: House) -> None:
    house.put(
        record(points(house.clock, [1], [9.0])),
        record(points(house.clock, [0, 2, 2], [3.0, 2.0, 1.0], alarm_bits=[0, SOS, SOS | COLLISION])),
    )
    house.run()
    first, second = house.signals()
    assert first.id == signal_id(2, 1, "bit:sos")
    assert second.id == signal_id(2, 2, "bit:collision")
    assert (first.device, first.kind, first.severity, first.late) == (DEVICES[2], "sos", 1, False)
    assert first.time_ms == house.clock.now_ms() - 2_000
    assert (first.lat, first.lon) == (40.602002, 109.8)
    assert (first.source, first.log_position) == ("bit", 2)


def test_an_alarm_bit_that_is_in_no_table_is_stored_and_raises_nothing(house: House) -> None:
    house.put(record(points(house.clock, [0], [1.0], alarm_bits=[1 << 63])))
    house.run()
    assert house.signals() == []
    (batch,) = house.rooms.series.fleet(GRANT, 0, 1 << 52)
    assert batch.alarm_bits.tolist() == [1 << 63]


def test_a_known_point_raises_its_alarm_no_second_time(house: House) -> None:
    """Far back, only the store knows it: that is what `settle` asks."""
    old = points(house.clock, [0], [5_000.0], alarm_bits=[SOS], seq=[1])
    house.put(record(old))
    house.run()
    for age_s in range(100, 10, -10):
        house.put(record(points(house.clock, [0], [float(age_s)], seq=[1_000 - age_s])))
    house.run()
    assert len(house.signals()) == 1
    house.put(record(old))
    house.run()
    assert house.counters == (10, 1, {})
    assert len(house.signals()) == 1


def test_a_late_point_is_marked_and_its_alarm_is_late(house: House) -> None:
    house.put(record(points(house.clock, [0], [1.0])), record(points(house.clock, [0], [7_200.0], alarm_bits=[SOS])))
    house.run()
    (raised,) = house.signals()
    assert raised.late
    marks = [mark for batch in house.rooms.series.fleet(GRANT, 0, 1 << 52) for mark in batch.marks.tolist()]
    assert [bool(mark & Mark.LATE) for mark in marks] == [True, False]


def test_a_replay_touches_no_store(house: House) -> None:
    records = as_read(record(points(house.clock, [0], [1.0], alarm_bits=[SOS])), quarantine_record(3))
    work = Work(records, 2, keep=False)
    for stage in pipeline(house.steps):
        stage.run(work)
    assert house.counters == (0, 0, {})
    assert house.signals() == []
    assert house.steps.analysis.state.newest_ms[0] == house.clock.now_ms() - 1_000


def test_what_rose_is_on_the_desk_before_the_rules_run_and_once_after_a_crash_there(house: House) -> None:
    house.put(record(points(house.clock, [0] * 40, [50.0 - age for age in range(40)])))
    house.run()
    late = record(points(house.clock, [0], [7_200.0], alarm_bits=[COLLISION]))
    house.put(record(points(house.clock, [0, 1], [1.0, 1.0], alarm_bits=[SOS, 0])), late)
    work = Work(house.rooms.points_log.read(1, max_records=9, max_bytes=1 << 20), 3)
    for stage in pipeline(house.steps):
        if stage.name == "rules":
            break
        stage.run(work)
    assert [signal.kind for signal in house.signals()] == ["sos"]  # the late row is asked about first
    house.crash()
    house.open()
    house.run()
    assert sorted(signal.kind for signal in house.signals()) == ["collision", "sos"]
    (alarm,) = [one for one in house.rooms.desk.list_alarms(GRANT, AlarmFilter(), limit=9) if one.alarm.kind == "sos"]
    assert alarm.alarm.signals == 1
    assert house.balanced


def test_a_bit_that_fell_in_the_same_work_is_cleared_after_it_rang(house: House) -> None:
    house.put(
        record(points(house.clock, [0], [3.0], alarm_bits=[SOS])),
        record(points(house.clock, [0], [2.0])),
        record(points(house.clock, [1], [3.0], alarm_bits=[SOS])),
    )
    house.run()
    listed = house.rooms.desk.list_alarms(GRANT, AlarmFilter(), limit=9)
    assert {one.alarm.device: one.alarm.condition.value for one in listed} == {
        DEVICES[0]: "cleared",
        DEVICES[1]: "active",
    }


def test_devices_are_heard_by_our_own_clock(house: House) -> None:
    house.put(record(points(house.clock, [0, 7], [4_000.0, 1.0])))
    house.run()
    since_ms = house.clock.now_ms() - 10_000
    assert house.steps.heard_since(since_ms) == 2
    house.clock.advance(60)
    assert house.steps.heard_since(house.clock.now_ms() - 10_000) == 0


def test_a_quarantine_entry_of_another_program_version_is_refused(house: House) -> None:
    entry = msgspec.msgpack.encode([{"reason": 1}])
    with pytest.raises(msgspec.ValidationError):
        house.steps.unpack(Work(as_read(NewRecord(RecordKind.QUARANTINE, 1, entry)), 1))
    assert isinstance(msgspec.msgpack.decode(quarantine_record(1).payload, type=list[Quarantined])[0], Quarantined)
    assert (house.folder / DESK_FILE).exists()
