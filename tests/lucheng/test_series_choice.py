"""A mirror by the settings: what it misses is told by name and filled by `lucheng store copy`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from config.settings import WrongSettings, load
from lucheng.doctor_series import series
from lucheng.finding import State
from lucheng.rooms import open_rooms
from lucheng.series_choice import server_of
from model.batch import PointBatch
from model.batch_codec import encode
from model.clock import SystemClock
from model.errors import SettingsError
from model.seams import NewRecord, Outcome, RecordKind
from store.series.influx import reading
from store.series.influx.connection import Connection
from tests.influx import Influxd, bucket_of
from tests.lucheng.in_process import answer, lucheng
from tests.lucheng.influx_house import influx_env, settings_of


def test_a_mirror_is_filled_after_an_outage(own_influxd: Influxd, tmp_path: Path) -> None:
    env = {**influx_env(own_influxd, tmp_path, mode="mirror"), "LUCHENG_INFLUX__MIRROR_WAIT_S": "0"}
    data, settings = tmp_path / "data", settings_of(env)
    now_ms = SystemClock().now_ms()
    with open_rooms(data, settings, write=True) as rooms:
        (slot,) = rooms.registry.ensure(["taxi/1"]).tolist()
        for part in range(3):
            time_ms = now_ms + part * 60_000 + 1_000 * np.arange(20)
            batch = PointBatch.of(
                20, {"slot": slot, "time_ms": time_ms, "lat": 40.65, "lon": 109.84, "received_ms": now_ms}
            )
            position = rooms.points_log.append([NewRecord(RecordKind.POINTS, 20, encode(batch))])
            if part == 1:
                own_influxd.kill()
            rooms.series.commit(Outcome(position, batch), stored_ms=now_ms)
        state = rooms.series.state()
        assert (state.kind, state.missed_points) == ("mirrored", 40)
        assert state.away
    assert {one.check: one.state for one in series(data, settings)} == {"InfluxDB": State.WARN}
    away = lucheng(data, "store", "copy", "--from", "embedded", "--to", "influx", env=env)
    assert away.returncode == 1
    assert "The mirror did not take 40 of 40 points" in away.stderr
    own_influxd.start()
    assert answer(data, "store", "copy", "--from", "embedded", "--to", "influx", env=env)["missed"] == 40
    assert answer(data, "store", "copy", "--from", "embedded", "--to", "influx", env=env)["missed"] == 0
    connection = Connection(own_influxd.server(bucket_of(tmp_path)))
    found = reading.points(connection, [slot], now_ms, now_ms + 1_000_000).points
    assert len(found) == len(np.unique(found.time_ms)) == 60
    # the embedded store is what is read, and knows nothing of the mirror
    assert answer(data, "status", env=env)["stored"] == 60
    assert answer(data, "store", "check", env=env)["ok"]


def test_settings_that_do_not_go_together(tmp_path: Path) -> None:
    for given in ({"influx.mode": "store"}, {"influx.mode": "mirror", "influx.url": "http://127.0.0.1:8086"}):
        with pytest.raises(WrongSettings) as wrong:
            load(None, given, {})
        assert "influx.mode" in str(wrong.value)
    without = load(None, None, {})
    with pytest.raises(SettingsError):
        server_of(without)
    done = lucheng(tmp_path, "store", "init", env={})
    assert done.returncode == 2
    assert "influx.url" in done.stderr


def test_a_first_start_with_a_wrong_token_is_refused_in_words(influxd: Influxd, tmp_path: Path) -> None:
    env = influx_env(influxd, tmp_path)
    (tmp_path / "influx.token").write_text("wrong")
    done = lucheng(tmp_path / "data", "device", "add", "taxi/1", env=env)
    assert done.returncode == 75
    assert "influx.token_file" in done.stderr
    assert "wrong" not in done.stderr
    found = {one["check"]: one for one in json.loads(lucheng(tmp_path / "data", "doctor", "--json", env=env).stdout)}
    assert found["InfluxDB"]["state"] == "missing"
