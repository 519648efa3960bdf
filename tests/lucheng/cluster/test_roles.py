"""Names of roles, what they need, and everything in one process on a nats-server; `cluster status` in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.database import Database
from config.influx import Influx
from config.nats import Nats
from config.sections import Settings
from lucheng.cluster.roles import ALL, Role, check_roles, roles_of
from model.errors import SettingsError, UsageError
from tests.lucheng.cluster.city import cut_into
from tests.lucheng.in_process import answer, lucheng
from tests.lucheng.service_process import ServiceProcess
from tests.nats import NatsServer

MIB = 1 << 20
FILE = """device,time,lat,lon
taxi/1,2026-11-01T08:00:00Z,40.6,109.8
taxi/2,2026-11-01T08:00:00Z,40.7,109.8
taxi/1,2026-11-01T08:00:10Z,40.6,109.8
"""


def test_roles_are_named() -> None:
    assert roles_of("all") == roles_of(" ALL ") == ALL == frozenset(Role)
    assert roles_of("desk, ingest") == {Role.DESK, Role.INGEST}
    for wrong in ("", " , ", "all,desk", "judge"):
        with pytest.raises(UsageError, match="role"):
            roles_of(wrong)


def test_what_roles_need_is_said_before_anything_is_opened(tmp_path: Path) -> None:
    nats = Nats(mode="log", urls="nats://localhost:4222", require_sync=False)
    check_roles(Settings(), ALL)
    for settings, roles, words in (
        (Settings(), frozenset({Role.DESK}), "nats-servers"),
        (Settings(nats=nats), ALL, "8 partitions"),
        (Settings(nats=nats), frozenset({Role.DESK}), 'database.url and influx.mode = "store"'),
        (Settings(nats=nats, database=Database(url="postgresql://u@h/d")), frozenset({Role.DESK}), "influx.mode"),
    ):
        with pytest.raises(SettingsError, match=words):
            check_roles(settings, roles)
    influx = Influx(mode="store", url="http://localhost:8086", token_file=tmp_path)
    check_roles(Settings(nats=nats, influx=influx, database=Database(url="postgresql://u@h/d")), frozenset({Role.DESK}))
    check_roles(Settings(nats=nats.model_copy(update={"partitions": 1})), ALL)
    done = lucheng(tmp_path / "data", "run", "--role", "desk")
    assert done.returncode != 0
    assert "nats" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server that maps all points to one partition."""
    server = NatsServer(tmp_path / "nats")
    cut_into(server, 1)
    yield server.start()
    server.kill()


def test_one_process_does_everything_on_a_nats_server(tmp_path: Path, server: NatsServer) -> None:
    env = {
        "LUCHENG_NATS__MODE": "log",
        "LUCHENG_NATS__URLS": server.url,
        "LUCHENG_NATS__REQUIRE_SYNC": "false",
        "LUCHENG_NATS__PARTITIONS": "1",
        "LUCHENG_NATS__ALARM_REPLICAS": "1",
        "LUCHENG_NATS__POINT_REPLICAS": "1",
        "LUCHENG_NATS__MAX_ALARM_BYTES": str(64 * MIB),
        "LUCHENG_NATS__MAX_POINT_BYTES": str(512 * MIB),
        "LUCHENG_NATS__MAX_SNAPSHOT_BYTES": str(128 * MIB),
        "LUCHENG_VIDEO__MAX_FILE_BYTES": str(64 * MIB),
        "LUCHENG_CLUSTER__NODE": "one",
    }
    with ServiceProcess(tmp_path / "data", env=env).start() as service:
        found = service.wait_status(lambda now: now["live"]["cluster_on_duty"] and now["stored_position"], "work")
        assert found["live"]["cluster_partitions_held"] == 1
        status = answer(tmp_path / "data", "cluster", "status", env=env)
        assert [node["name"] for node in status["nodes"]] == ["one"]
        assert status["nodes"][0]["roles"] == ["analyze", "desk", "ingest", "video"]
        assert status["nodes"][0]["listening"] is True
        assert not status["nodes"][0]["clock_off"]
        assert {row["stream"]: row["holder"] for row in status["streams"]} == {
            "lucheng_points_0": "one",
            "lucheng_alarms": "one",
        }
        assert all(row["there"] and row["since_ms"] for row in status["streams"])
        shown = lucheng(tmp_path / "data", "cluster", "status", env=env).stdout
        assert "lucheng_points_0\tone" in shown
        file = tmp_path / "points.csv"
        file.write_text(FILE)
        taken = answer(tmp_path / "data", "ingest", str(file), "--format", "csv", env=env)
        assert (taken["received"], taken["stored"], taken["in_flight"], taken["trips"]) == (3, 3, 0, None)
        service.wait_status(lambda now: now["stored"] == 3 and not now["in_flight"], "the file to be stored")
        code, _ = service.terminate()
        assert code == 0, service.said
    gone = lucheng(tmp_path / "data", "cluster", "status", env=env).stdout
    assert "lucheng_alarms" in gone
    assert json.loads(lucheng(tmp_path / "data", "cluster", "status", "--json", env=env).stdout)["nodes"] == []
    assert not answer(tmp_path / "data", "cluster", "status", env=env)["streams"][0]["there"]
