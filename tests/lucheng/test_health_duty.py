"""Health of devices and clocks of alarms reach the series, in either store."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from config.settings import load
from lucheng.health_duty import REPEAT_MS, HealthDuty
from lucheng.rooms import Rooms, open_rooms
from model.clock import FakeClock
from model.grant import Grant, Purpose
from model.status_batch import StatusBatch
from tests.lucheng.influx_house import answered, failed, influx_env, panic, settings_of

NOW_MS = 1_785_000_000_000
IDS = [f"taxi/{number}" for number in range(5)]
GRANT = Grant("tester", "test", Purpose("test"), None, 0, 1 << 52)


def read(rooms: Rooms, series: str, source: str) -> dict[int, float]:
    time_ms, values = rooms.series.numbers(GRANT, series, source, 0, 1 << 52)
    return dict(zip((time_ms - NOW_MS).tolist(), values.tolist(), strict=True))


def made(rooms: Rooms, said: deque[StatusBatch]) -> HealthDuty:
    return HealthDuty(rooms.series, rooms.desk, said, lambda: IDS, on_fatal=failed)


@pytest.mark.parametrize("mode", ["off", "store"])
def test_samples_reach_the_series_once(request: pytest.FixtureRequest, tmp_path: Path, mode: str) -> None:
    settings = load()
    if mode == "store":
        settings = settings_of(influx_env(request.getfixturevalue("influxd"), tmp_path))
    clock = FakeClock(NOW_MS)
    with open_rooms(tmp_path / "data", settings, write=True, clock=clock) as rooms:
        said: deque[StatusBatch] = deque()
        duty = made(rooms, said)
        said.append(StatusBatch.of([(3, 0, NOW_MS, 1, 90), (1, 0, NOW_MS, 1, -1), (3, 0, NOW_MS + 5, 1, 80)]))
        assert not duty.look()
        said.append(StatusBatch.of([(3, 0, NOW_MS + 10, 1, 80), (1, 0, NOW_MS + 10, 0, -1)]))
        said.append(StatusBatch.of([(3, 0, NOW_MS + 5 + REPEAT_MS, 1, 80)]))
        duty.look()
        assert read(rooms, "device_online", "taxi/3") == {5: 1, 5 + REPEAT_MS: 1}
        assert read(rooms, "device_battery_pct", "taxi/3") == {5: 80, 5 + REPEAT_MS: 80}
        assert read(rooms, "device_online", "taxi/1") == {0: 1, 10: 0}
        assert read(rooms, "device_battery_pct", "taxi/1") == {}

        clock.advance(30.0)
        answered(rooms.desk, panic(1, "taxi/1", NOW_MS + 20_000))
        answered(rooms.desk, panic(2, "taxi/2", NOW_MS + 20_000, late=True))
        duty.look()
        for _ in range(2):
            assert read(rooms, "alarm_to_receive_ms.sos", "taxi/1") == {20_000: 2_000}
            assert read(rooms, "alarm_to_show_ms.sos", "taxi/1") == {20_000: 10_000}
            assert read(rooms, "alarm_response_ms.sos", "taxi/1") == {20_000: 10_000}
            assert read(rooms, "alarm_to_receive_ms.sos", "taxi/2") == {}
            assert read(rooms, "alarm_late_to_receive_ms.sos", "taxi/2") == {20_000: 2_000}
            made(rooms, said).look()  # as after a restart: the same again
