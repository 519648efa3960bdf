"""The shipped dashboards: every query runs on a real influxd and finds what the store wrote."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.seams import Outcome
from store.series.influx.connection import Connection
from tests.influx import Influxd, bucket_of, open_influx
from tests.store.series.conformance import HOUR_MS, ListAudit, drive

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
    """Points of the last minutes, numbers, and hourly values."""
    folder = tmp_path_factory.mktemp("grafana")
    store = open_influx(influxd, folder, ListAudit(), device_ids=lambda: ["taxi/0", "taxi/1"])
    now_ms = int(time.time() * 1000)
    for position in (1, 2):
        points = drive(2, 120, start_ms=now_ms - (3 - position) * 121_000)
        points.received_ms[:] = points.time_ms + 500
        points.sat[:] = 9
        store.commit(Outcome(position, points), stored_ms=now_ms - (3 - position) * 20_000)
    store.commit(Outcome(3, drive(2, 600, start_ms=now_ms // HOUR_MS * HOUR_MS - 2 * HOUR_MS)), stored_ms=now_ms)
    store.put_numbers("fps", "camera/1", np.array([now_ms - 1000]), np.array([25.0]))
    store.close()
    connection = Connection(influxd.server(bucket_of(folder)))
    (task,) = connection.client.tasks_api().find_tasks(name=connection.server.hourly_bucket)
    list(connection.rows(task.flux, {}, ()))
    return connection, connection.server.bucket


def test_there_are_dashboards() -> None:
    assert len(DASHBOARDS) == 4


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
