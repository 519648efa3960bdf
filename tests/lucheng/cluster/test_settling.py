"""nats-servers that were set up anew beside stores that are older: refused, settled, and the city goes on with every count right."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from config.settings import load
from lucheng.cluster.backup import refuse_while_running, restore_streams, streams_of
from lucheng.nats_choice import open_alarms, open_link
from model.clock import SystemClock
from model.errors import BadInput, Conflict
from model.seams import NewRecord, RecordKind
from model.signal import Signal, message_signal_id
from tests.conftest import wait_until
from tests.lucheng.cluster.city import cut_into, settings_of
from tests.lucheng.service_process import ServiceProcess, answer, lucheng
from tests.nats import NatsServer

MIB = 1 << 20
FILE = """device,time,lat,lon
taxi/1,2026-11-01T08:00:{second:02d}Z,40.6,109.8
taxi/2,2026-11-01T08:00:{second:02d}Z,40.7,109.8
"""


def take(data: Path, env: dict[str, str], second: int) -> None:
    file = data.parent / f"points-{second}.csv"
    file.write_text(FILE.format(second=second))
    assert answer(data, "ingest", str(file), "--format", "csv", env=env)["received"] == 2


def press(env: dict[str, str], name: str) -> int:
    """An alarm as an ingestor writes it; its position."""
    clock = SystemClock()
    now_ms = clock.now_ms()
    signal = Signal(
        *(
            message_signal_id("button/1", name),
            "button/1",
            "one_key",
            "message",
            now_ms,
            now_ms,
            None,
            None,
            1,
            False,
            "",
            0,
        )
    )
    with closing(open_alarms(load(None, env=env), clock)) as log:
        return log.append([NewRecord(RecordKind.ALARM, 1, msgspec.msgpack.encode([signal]))])


def nobody_runs(data: Path, env: dict[str, str]) -> bool:
    """Whether no process says that it is there."""
    settings = load(None, env=env)
    with closing(open_link(settings, SystemClock(), "looks")) as link:
        try:
            refuse_while_running(link, settings)
        except Conflict:
            return False
    return True


@pytest.mark.soak
def test_servers_that_lost_everything(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats")
    cut_into(server, 1)
    server.start()
    env = {
        "LUCHENG_NATS__MODE": "log",
        "LUCHENG_NATS__URLS": server.url,
        "LUCHENG_NATS__MONITOR_URLS": server.monitor_url,
        "LUCHENG_NATS__PARTITIONS": "1",
        "LUCHENG_NATS__ALARM_REPLICAS": "1",
        "LUCHENG_NATS__POINT_REPLICAS": "1",
        "LUCHENG_NATS__MAX_ALARM_BYTES": str(64 * MIB),
        "LUCHENG_NATS__MAX_POINT_BYTES": str(512 * MIB),
        "LUCHENG_NATS__MAX_SNAPSHOT_BYTES": str(128 * MIB),
        "LUCHENG_VIDEO__MAX_FILE_BYTES": str(64 * MIB),
    }
    data = tmp_path / "data"
    try:
        with ServiceProcess(data, env=env).start() as service:
            for second in (1, 2):
                take(data, env, second)
            service.wait_status(lambda now: now["stored"] == 4 and not now["in_flight"], "the files to be stored")
            alarms = [press(env, name) for name in ("a", "b", "c", "d")][-1]
            service.wait_status(lambda now: now["live"]["alarms_position"] >= alarms, "the alarms to be told")
            running = lucheng(data, "cluster", "settle", env=env)
            assert running.returncode != 0
            assert "Processes of this city run" in running.stderr
            assert service.terminate()[0] == 0
        (last,) = [
            row["known"] for row in answer(data, "cluster", "settle", env=env) if row["stream"] == "lucheng_points_0"
        ]
        assert last >= 2
        server.kill()
        shutil.rmtree(server.folder / "streams")
        server.start()
        with ServiceProcess(data, env=env) as service:  # it does not begin: what came next would be taken for known
            service.spawn()
            assert service.wait_end() == 1
            assert "log ends at" in service.said
        assert press(env, "e") < alarms  # an ingestor's, which knows nothing of it
        wait_until(lambda: nobody_runs(data, env), timeout_s=60)  # that process is there until its word has run out
        rows = {row["stream"]: row for row in answer(data, "cluster", "settle", env=env)}
        assert rows["lucheng_points_0"]["lost"] >= last - 2  # what that process wrote before it ended has its place
        assert rows["lucheng_points_0"]["known"] == last
        assert rows["lucheng_alarms"]["again"] == 1
        assert [(row["lost"], row["again"]) for row in answer(data, "cluster", "settle", env=env)] == [(0, 0), (0, 0)]
        with ServiceProcess(data, env=env).start() as service:
            take(data, env, 3)
            now = service.wait_status(lambda now: now["stored"] == 6 and not now["in_flight"], "the file after it")
            assert now["received"] == 6
            take(data, env, 2)  # what was only in the lost streams is known all the same
            service.wait_status(lambda now: sum(now["signals"].values()) == 5, "the alarm that was written meanwhile")
            now = service.wait_status(lambda now: now["duplicate"] == 2 and not now["in_flight"], "what is known")
            assert (now["received"], now["stored"]) == (8, 6)
            assert service.terminate()[0] == 0
        found = answer(data, "audit", "list", env=env)
        assert "cluster.settle" in {row["action"] for row in found}
    finally:
        server.kill()


def test_a_back_up_that_lacks_a_stream_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    settings = settings_of(["nats://127.0.0.1:1"], partitions=2)
    assert streams_of(settings) == [
        *(
            "lucheng_alarms",
            "lucheng_points_0",
            "lucheng_points_1",
            "KV_lucheng_marks",
            "OBJ_lucheng_snapshots",
            "KV_lucheng_owners",
        ),
    ]
    with pytest.raises(BadInput, match="no whole back-up"):
        restore_streams(settings, tmp_path)
