"""Alarms go on while the time-series store waits: the same ones, each once, as if it had never been away; and a store that is
not where it was believed to be is recovered from.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from lucheng.ahead import Ahead
from lucheng.app import ahead, pipeline
from lucheng.rooms import DESK_FILE
from model.clock import SystemClock
from model.codes import ALARM_BY_NAME
from model.seams import NewRecord, RecordKind
from model.status_batch import Tick
from tests.conftest import wait_until
from tests.influx import Influxd
from tests.lucheng.faults.judge import seeded
from tests.lucheng.house import DEVICES, House, points, record
from tests.lucheng.influx_house import influx_env, settings_of

SECONDS = 120
BITS = [1 << ALARM_BY_NAME[kind].bit for kind in ("sos", "antenna_cut", "camera_fault", "collision")]


def morning(house: House, rng: Random) -> list[NewRecord]:
    """A few minutes of a small fleet: bits that rise and fall, speeding, and points that come late, some of them twice."""
    made = []
    bits = dict.fromkeys(range(len(DEVICES)), 0)
    for second in range(SECONDS):
        house.clock.advance(1.0)
        slots = [slot for slot in range(len(DEVICES)) if rng.random() < 0.8]
        for slot in slots:
            if rng.random() < 0.05:
                bits[slot] ^= rng.choice(BITS)
        speeds = [110.0 if second // 40 % 2 and slot < 3 else 40.0 for slot in slots]
        batch = points(
            house.clock, slots, [0.0] * len(slots), alarm_bits=[bits[slot] for slot in slots], speed_kmh=speeds
        )
        made.append(record(batch))
        if rng.random() < 0.2:  # a dead zone's upload, with bits of its own
            slot = rng.randrange(len(DEVICES))
            late = points(house.clock, [slot] * 3, [500.5, 400.5, 300.5], alarm_bits=[0, rng.choice(BITS), 0])
            made += [record(late)] * rng.choice((1, 2))
        made.append(NewRecord(RecordKind.TICK, 0, Tick(house.clock.now_ms(), listening=True).to_bytes()))
    return made


def alarms(house: House) -> dict[tuple[str, str, str], tuple[str, int]]:
    """Condition and number of signals of each alarm."""
    with closing(sqlite3.connect(f"file:{house.folder / DESK_FILE}?mode=ro", uri=True)) as desk:
        found = desk.execute("SELECT device, kind, fence, condition, signals FROM alarms").fetchall()
    assert len(found) == len({row[:3] for row in found})
    return {row[:3]: row[3:] for row in found}


def told(house: House) -> dict[str, tuple[str, str, bool]]:
    """Every signal by its id."""
    return {signal.id: (signal.device, signal.kind, signal.late) for signal in house.signals()}


def patient(house: House) -> None:
    """A pipeline on a thread of its own, whose alarms do not wait for the store."""
    steps = house.steps
    steps.ahead = Ahead(steps, ahead, house.rooms.points_log, SystemClock(), patience_s=0.05, every_s=0.01)
    house.runner = house.made_runner(
        pipeline(steps), wait_beyond=lambda _position, _timeout_s: time.sleep(0.01), on_fatal=pytest.fail
    )
    house.runner.recover()
    house.runner.start()


@pytest.mark.soak
def test_alarms_are_the_same_with_and_without_an_outage(own_influxd: Influxd, tmp_path: Path) -> None:
    rng = seeded("alarms ahead of the store")
    plain = House(tmp_path / "plain")
    records = morning(plain, rng)
    plain.put(*records)
    plain.run()
    wanted, wanted_alarms = told(plain), alarms(plain)
    assert len(wanted) > 10
    assert {"active", "cleared"} <= {condition for condition, _ in wanted_alarms.values()}

    house = House(tmp_path / "data", settings=settings_of(influx_env(own_influxd, tmp_path)))
    patient(house)
    third = len(records) // 3
    house.clock.advance(SECONDS)
    house.put(*records[:third])
    assert house.runner.wait_for(third, timeout_s=30)
    own_influxd.kill()
    house.put(*records[third : 2 * third])
    wait_until(lambda: house.rooms.series.state().away, what="the outage")
    house.put(*records[2 * third :])
    # what waits for the store's answer is late, or of a record that nobody has asked about yet
    live = {name for name, (_, _, late) in wanted.items() if not late}
    wait_until(lambda: live <= told(house).keys(), 30, "every alarm that is not late")
    assert house.runner.position < len(records)
    own_influxd.start()
    assert house.runner.wait_for(len(records), timeout_s=60)
    assert told(house) == wanted
    assert alarms(house) == wanted_alarms
    assert sorted(house.keys()) == sorted(plain.keys())
    assert house.counters == plain.counters
    assert house.rooms.series.check() == []
    assert house.runner.stop(drain_s=5)
    house.crash()
    plain.crash()


@pytest.mark.soak
def test_a_store_that_is_elsewhere_than_believed_is_recovered_from(own_influxd: Influxd, tmp_path: Path) -> None:
    """A crash between the server's commit and our note of it, and a server that is away at the next start."""
    rng = seeded("a position that was not noted")
    plain = House(tmp_path / "plain")
    records = morning(plain, rng)
    plain.put(*records)
    plain.run()

    env = influx_env(own_influxd, tmp_path)
    house = House(tmp_path / "data", settings=settings_of(env))
    house.clock.advance(SECONDS)
    half = len(records) // 2
    house.put(*records[:half])
    assert house.runner.run_once()
    noted = _counters(house)
    house.run()
    house.crash()
    with closing(sqlite3.connect(house.folder / "influx.db")) as local:
        local.execute("DELETE FROM counters")
        local.executemany("INSERT INTO counters VALUES (?, ?)", noted)
        local.commit()
    own_influxd.kill()
    house.open()
    position = house.runner.position
    assert 0 < position <= half
    house.put(*records[half:])
    patient(house)
    wait_until(lambda: house.rooms.series.state().away, what="the outage")
    own_influxd.start()
    assert house.runner.wait_for(len(records), timeout_s=60)
    assert told(house) == told(plain)
    assert sorted(house.keys()) == sorted(plain.keys())
    assert house.counters == plain.counters
    assert house.rooms.series.check() == []
    house.runner.stop(drain_s=5)
    house.crash()
    plain.crash()


def _counters(house: House) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(house.folder / "influx.db")) as local:
        return local.execute("SELECT name, value FROM counters").fetchall()
