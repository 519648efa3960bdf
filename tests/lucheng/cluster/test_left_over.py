"""A data folder whose local logs were not worked off does not become one of streams in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.sections import Settings
from config.settings import load
from lucheng.cluster.left_over import refuse_left_over
from lucheng.cluster.node import ClusterNode
from lucheng.cluster.roles import ALL
from lucheng.rooms import POINTS_LOG_FILE, open_rooms
from model.batch import PointBatch
from model.clock import SystemClock
from model.errors import Conflict
from model.seams import NewRecord, Outcome, RecordKind
from store.log.local import LocalLog

TICK = NewRecord(RecordKind.TICK, 0, b"")
CLOCK = SystemClock()


def streams_settings() -> Settings:
    return load(
        None, {"nats.mode": "log", "nats.urls": "nats://127.0.0.1:1", "nats.require_sync": False, "nats.partitions": 1}
    )


def test_what_nobody_has_worked_off_is_named_and_refused(tmp_path: Path) -> None:
    with open_rooms(tmp_path, load(None, {}), write=True) as rooms:
        rooms.points_log.append([TICK, TICK, TICK])
        rooms.alarms_log.append([TICK, TICK])
        rooms.series.commit(Outcome(2, PointBatch.empty()), stored_ms=1)
        rooms.desk.take([], consumer="alarms", position=2)
    node = ClusterNode(tmp_path, streams_settings(), ALL)
    with pytest.raises(Conflict, match=r"nobody has worked off: 1 in points\.log\.db") as refused:
        node.open()
    assert "alarms.log.db" not in str(refused.value)
    assert 'nats.mode = "off"' in refused.value.mend
    with open_rooms(tmp_path, load(None, {}), write=True) as rooms:
        rooms.series.commit(Outcome(3, PointBatch.empty()), stored_ms=1)
        rooms.alarms_log.append([TICK])
    with (
        open_rooms(tmp_path, streams_settings(), write=True) as rooms,
        pytest.raises(Conflict, match=r"off: 1 in alarms\.log\.db"),
    ):
        refuse_left_over(rooms)


def test_what_was_worked_off_or_never_there_is_no_matter(tmp_path: Path) -> None:
    with open_rooms(tmp_path, streams_settings(), write=True) as rooms:
        refuse_left_over(rooms)
        assert not (tmp_path / POINTS_LOG_FILE).exists()
        log = LocalLog(tmp_path / POINTS_LOG_FILE, clock=CLOCK)
        log.append([TICK, TICK])
        log.set_consumed("pipeline", 2)
        log.close()
        refuse_left_over(rooms)
