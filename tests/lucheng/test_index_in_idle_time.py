"""A folder of an older lucheng is indexed by place while nothing else is to be done, and what comes meanwhile does not wait."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lucheng import runner
from model.area import Circle
from tests.lucheng.house import DEVICES, GRANT, START_MS, House, points, record

HOUR_MS = 3_600_000


def unindexed(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "series.db")) as connection:
        ask = "SELECT count(*) FROM groups LEFT JOIN places USING (part, hour, day) WHERE places.rows IS NULL"
        return int(connection.execute(ask).fetchone()[0])


def test_an_older_folder_is_indexed_between_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "DEFAULT_SEAL_STEP_ROWS", 16)
    house = House(tmp_path / "data")
    slots = range(len(DEVICES))
    for _ in range(40):
        house.put(
            record(points(house.clock, slots, [0.0] * len(DEVICES), seq=int(house.clock.now_ms() // 1000 % 30_000)))
        )
        house.clock.advance(300)
    house.run()
    house.clock.advance(3 * 3_600)
    for _ in range(100):
        house.runner.keep_house()
        house.clock.advance(5)
    assert unindexed(house.folder) == 0
    with closing(sqlite3.connect(house.folder / "series.db")) as connection, connection:
        groups = connection.execute("DELETE FROM places").rowcount
    assert groups > 2
    house.crash()
    house.open()
    left = [unindexed(house.folder)]
    came = 0
    while left[-1] and len(left) < 200:
        house.clock.advance(5)
        house.put(record(points(house.clock, [0], [0.0], seq=20_000 + len(left))))
        assert house.runner.run_once()  # before the next slice
        came += 1
        house.runner.keep_house()
        left.append(unindexed(house.folder))
        assert left[-1] >= left[-2] - 1
    assert left[-1] == 0
    assert len(left) > groups
    assert house.balanced
    found = house.rooms.series.inside(
        GRANT, Circle(40.603, 109.8, 150.0), START_MS, START_MS + 48 * HOUR_MS, max_vehicles=9
    )
    (track,) = [one.points for one in found if one.slot == 3]
    stored = house.rooms.series.track(GRANT, "taxi/3", 3, 0, 1 << 50)
    assert np.array_equal(track.time_ms, stored.time_ms)
    assert came > 2
    house.crash()
