"""The shipped dashboards: every query runs on a real influxd and finds what the store wrote."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucheng.health_duty import HealthDuty
from lucheng.rooms import Rooms, open_rooms
from model.seams import Outcome
from model.status_batch import StatusBatch
from store.series.influx.connection import Connection
from tests.influx import Influxd, bucket_of
from tests.lucheng.influx_house import answered, failed, influx_env, panic, settings_of
from tests.store.series.conformance import HOUR_MS, drive

FOLDER = Path(__file__).resolve().parents[2] / "config" / "files" / "grafana"
DASHBOARDS = sorted(path.name for path in FOLDER.glob("*.json"))
VARIABLE = re.compile(r"\$\{(\w+)\}")
#: What Grafana puts in place of its own names.
OF_GRAFANA = "v = {timeRangeStart: -4h, timeRangeStop: now(), windowPeriod: 1m}\n"


def queries(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Each panel's and each variable's query with its name."""
    panels = [(panel["title"], target["query"]) for panel in found["panels"] for target in panel["targets"]]
    lists = [(one["name"], one["query"]["query"]) for one in found["templating"]["list"] if one["type"] == "query"]
    return panels + lists


@pytest.fixture(scope="module")
def written(influxd: Influxd, tmp_path_factory: pytest.TempPathFactory) -> tuple[Connection, str]:
    """Points of the last minutes, health of cameras and devices, clocks of alarms, and hourly values."""
    folder = tmp_path_factory.mktemp("grafana")
    env = influx_env(influxd, folder)
    with open_rooms(folder / "data", settings_of(env), write=True) as rooms:
        rooms.registry.ensure(["taxi/0", "taxi/1"])
        _fill(rooms)
    connection = Connection(influxd.server(bucket_of(folder)))
    (task,) = connection.client.tasks_api().find_tasks(name=connection.server.hourly_bucket)
    list(connection.rows(task.flux, {}, ()))
    return connection, connection.server.bucket


def _fill(rooms: Rooms) -> None:
    store = rooms.series
    now_ms = int(time.time() * 1000)
    for position in (1, 2):
        points = drive(2, 120, start_ms=now_ms - (3 - position) * 121_000)
        points.received_ms[:] = points.time_ms + 500
        points.sat[:] = 9
        store.commit(Outcome(position, points), stored_ms=now_ms - (3 - position) * 20_000)
    store.commit(Outcome(3, drive(2, 600, start_ms=now_ms // HOUR_MS * HOUR_MS - 2 * HOUR_MS)), stored_ms=now_ms)
    store.put_numbers("fps", "camera/1", np.array([now_ms - 1000]), np.array([25.0]))
    said = deque([StatusBatch.of([(1, now_ms - 900, now_ms - 800, 1, 77)])])
    duty = HealthDuty(store, rooms.desk, said, lambda: ["taxi/0", "taxi/1"], on_fatal=failed)
    answered(rooms.desk, panic(1, "taxi/1", now_ms - 2_000))
    answered(rooms.desk, panic(2, "taxi/0", now_ms - 2_000, late=True))
    duty.look()
    store.flush()


def test_there_are_dashboards() -> None:
    assert len(DASHBOARDS) == 5


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_finds_what_was_written(written: tuple[Connection, str], name: str) -> None:
    connection, bucket = written
    found = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert found["uid"].startswith("lucheng-")
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    for title, query in queries(found):
        text = VARIABLE.sub(lambda one: {"bucket": bucket, "device": "taxi/1", "series": "fps"}[one[1]], query)
        assert "$" not in text, title
        head = re.match(r'(import "[^"]+"\n)*', text)
        assert head is not None
        rows = list(connection.rows(head[0] + OF_GRAFANA + text[head.end() :], {}, ("_value",)))
        assert rows, title
