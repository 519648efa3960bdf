"""`lucheng store init` and `lucheng store copy`, and the commands that read, on either store."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.settings import load
from lucheng.rooms import open_rooms
from model.batch import PointBatch
from model.batch_codec import encode
from model.clock import FakeClock
from model.codes import Reason
from model.errors import LuchengError
from model.quarantine import Quarantined
from model.seams import NewRecord, Outcome, RecordKind
from store.series.influx.connection import Connection
from store.series.influx.local import FILE, LocalFile
from store.series.influx.store import InfluxSeries
from tests.conftest import wait_until
from tests.influx import ORG, Influxd, bucket_of
from tests.lucheng.in_process import answer, lucheng
from tests.lucheng.influx_house import influx_env, settings_of
from tests.lucheng.service_process import PROJECT
from tests.store.series.conformance import ListAudit

#: Yesterday: the server keeps what is not too old by its own clock.
START_MS = (int(time.time()) // 86_400 - 1) * 86_400_000
TAXIS = 40
WINDOW = ("--from", str(START_MS), "--to", str(START_MS + 86_400_000), "--purpose", "test")


def filled(folder: Path, *, hours: int = 2, each: int = 360) -> None:
    """A folder with points, numbers and something quarantined in its embedded store."""
    with open_rooms(folder, load(), write=True) as rooms:
        slots = rooms.registry.ensure([f"taxi/{number}" for number in range(TAXIS)])
        for hour in range(hours):
            rows = TAXIS * each
            time_ms = START_MS + hour * 3_600_000 + np.tile(np.arange(each) * (3_600_000 // each), TAXIS)
            batch = PointBatch.of(
                rows,
                {
                    "slot": np.repeat(slots, each),
                    "time_ms": time_ms,
                    "received_ms": time_ms + 400,
                    "lat": 40.6 + np.arange(rows) / 1e6,
                    "lon": 109.8,
                    "speed_kmh": 30.0,
                },
            )
            position = rooms.points_log.append([NewRecord(RecordKind.POINTS, rows, encode(batch))])
            bad = Quarantined(Reason.NOT_JSON, 1, START_MS, "v1/taxi/1/points", "taxi/1", "no JSON", b"{")
            rooms.series.commit(Outcome(position, batch, quarantined=[bad]), stored_ms=START_MS + hour * 3_600_000)
        rooms.series.put_numbers("camera_fps", "camera/1", START_MS + np.arange(50) * 1000, np.arange(50) / 2)


def seen(folder: Path, env: dict[str, str]) -> dict[str, Any]:
    """What the commands that read say of a folder."""
    status = answer(folder, "status", env=env)
    check = answer(folder, "store", "check", env=env)
    date = time.strftime("%Y-%m-%d", time.gmtime(START_MS / 1000))
    said = {
        "report": ("report", "supervision", "--date", date, "--device", "taxi/7", "--purpose", "supervision"),
        "search": (
            "search",
            "inside",
            "40.603,109.8,150",
            *WINDOW,
            "--device",
            "taxi/7",
            "--device",
            "taxi/9",
            "--json",
        ),
        "export": ("export", "tracks", *WINDOW, "--device", "taxi/7", "--plain"),
        "replay": ("replay", "taxi/7", *WINDOW, "--json", "--step", "600"),
    }
    texts = {}
    for name, command in said.items():
        done = lucheng(folder, *command, env=env)
        assert done.returncode == 0, done.stderr
        texts[name] = done.stdout
    assert min(map(len, texts.values())) > 200
    return texts | {
        "track": answer(folder, "track", "taxi/7", *WINDOW, env=env),
        "where": answer(folder, "where", "--purpose", "test", env=env),
        "quarantine": answer(folder, "quarantine", "list", "--purpose", "test", env=env),
        "counts": {name: status[name] for name in ("stored", "duplicate", "quarantined", "stored_position")},
        "check": check,
    }


def test_init_makes_what_is_missing_and_prints_how_a_person_would(influxd: Influxd, tmp_path: Path) -> None:
    env = influx_env(influxd, tmp_path, made=False)
    bucket = bucket_of(tmp_path)
    printed = lucheng(tmp_path / "data", "store", "init", "--print", env=env)
    assert printed.returncode == 0
    assert f"influx bucket create --host {influxd.url} --org {ORG} --name {bucket} --retention 2880h" in printed.stdout
    assert "every: 1h" in printed.stdout
    assert "a-token-for-tests-only" not in printed.stdout
    planned = answer(tmp_path / "data", "store", "init", "--print", env=env)
    assert planned["buckets"] == {bucket: 120, f"{bucket}_state": 0, f"{bucket}_hourly": 730}
    assert not (tmp_path / "data").exists()
    made = answer(tmp_path / "data", "store", "init", env=env)
    assert [one["what"] for one in made] == ["made"] * 4
    assert "as it should be" in lucheng(tmp_path / "data", "store", "init", env={**env, "LC_ALL": "C"}).stdout
    changed = answer(tmp_path / "data", "store", "init", env={**env, "LUCHENG_SERIES__RETENTION_DAYS": "10"})
    assert [one["what"] for one in changed] == ["changed", "kept", "kept", "kept"]


def test_a_token_that_may_read_and_write_the_buckets_is_enough(influxd: Influxd, tmp_path: Path) -> None:
    from influxdb_client import Authorization, Permission, PermissionResource

    env = influx_env(influxd, tmp_path)
    server = influxd.server(bucket_of(tmp_path))
    client = Connection(server).client
    org = client.organizations_api().find_organizations(org=ORG)[0].id
    names = (server.bucket, server.state_bucket, server.hourly_bucket)
    ids = [client.buckets_api().find_bucket_by_name(name).id for name in names]
    may = [
        Permission(action=action, resource=PermissionResource(type="buckets", id=one, org_id=org))
        for one in ids
        for action in ("read", "write")
    ]
    token = (
        client.authorizations_api().create_authorization(authorization=Authorization(org_id=org, permissions=may)).token
    )
    (tmp_path / "influx.token").write_text(token)
    done = lucheng(tmp_path / "data", "store", "init", env=env)
    assert done.returncode != 0
    owner = tmp_path / "owner.token"
    owner.write_text("a-token-for-tests-only\n")
    assert lucheng(tmp_path / "data", "store", "init", "--token-file", str(owner), env=env).returncode == 0
    with open_rooms(tmp_path / "data", settings_of(env), write=True) as rooms:
        batch = PointBatch.of(3, {"slot": 0, "time_ms": START_MS + np.arange(3), "lat": 40.0, "lon": 109.0})
        rooms.series.commit(Outcome(1, batch), stored_ms=START_MS)
        rooms.series.commit(Outcome(2, PointBatch.empty()), stored_ms=START_MS)
        assert rooms.series.check() == []
        assert rooms.series.retain(START_MS + 2 * 86_400_000) == 3
    found = {
        one["check"]: one["state"] for one in json.loads(lucheng(tmp_path / "data", "doctor", "--json", env=env).stdout)
    }
    assert found["InfluxDB"] == found["InfluxDB buckets"] == "ok"


@pytest.mark.soak
def test_a_folder_says_the_same_after_it_was_copied(influxd: Influxd, tmp_path: Path) -> None:
    """Whoever reads sees no difference; a store that is behind the other one is refused by name."""
    data = tmp_path / "data"
    filled(data)
    before = seen(data, {})
    assert before["counts"]["stored"] == 2 * TAXIS * 360
    env = influx_env(influxd, tmp_path)
    for command in (("status",), ("store", "check")):
        refused = lucheng(data, *command, env=env)
        assert refused.returncode == 1
        assert "store copy" in refused.stderr
    assert lucheng(data, "store", "copy", "--from", "influx", "--to", "embedded", env=env).returncode == 2
    done = answer(data, "store", "copy", "--from", "embedded", "--to", "influx", env=env)
    assert done == {"points": 2 * TAXIS * 360, "samples": 50, "series": 1, "quarantined": 2, "not_kept": 0, "missed": 0}
    assert seen(data, env) == before
    again = lucheng(data, "store", "copy", "--from", "embedded", "--to", "influx", env=env)
    assert again.returncode == 1
    assert "holds a store already" in again.stderr
    with open_rooms(data, settings_of(env), write=True) as rooms:
        rooms.series.commit(Outcome(99, PointBatch.empty()), stored_ms=START_MS)
    back = lucheng(data, "device", "add", "taxi/new", env={})
    assert back.returncode == 1
    assert "Set influx.mode back to store" in back.stderr
    rows = answer(data, "audit", "list", env=env)
    assert "store.copy" in {row["action"] for row in rows}


def _copying(data: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "lucheng",
        "--data",
        str(data),
        "store",
        "copy",
        "--from",
        "embedded",
        "--to",
        "influx",
    ]
    return subprocess.Popen([*command, "--json"], cwd=PROJECT, env={**os.environ, **env}, stdout=subprocess.PIPE)


def _bookmark(data: Path) -> int:
    try:
        local = LocalFile(data / FILE, read_only=True)
    except LuchengError:
        return 0  # it is not there yet
    with closing(local):
        held = local.snapshot("copy")
        return 0 if held is None else sum(json.loads(held[1])["days"].values())


@pytest.mark.soak
def test_a_copy_goes_on_after_kill9_and_ctrl_c(influxd: Influxd, tmp_path: Path) -> None:
    data = tmp_path / "data"
    filled(data, hours=8, each=300)
    env = influx_env(influxd, tmp_path)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    done = 0
    for number in (signal.SIGKILL, signal.SIGINT):
        copy = _copying(data, env)
        wait_until(lambda: copy.poll() is not None or _bookmark(data) > done, 60, "the copy to go on")  # noqa: B023 called at once
        time.sleep(rng.uniform(0, 0.1))
        copy.send_signal(number)
        copy.wait(30)
        done = max(done, _bookmark(data))  # none is left once it is through
    assert done > 0
    if not LocalFile(data / FILE, read_only=True).counters():  # it was not through before it was told to stop
        assert (
            answer(data, "store", "copy", "--from", "embedded", "--to", "influx", env=env)["points"] == 8 * TAXIS * 300
        )
    server = influxd.server(bucket_of(tmp_path))
    store = InfluxSeries(server, data, audit=ListAudit(), clock=FakeClock(START_MS), read_only=True)
    assert store.totals().stored == 8 * TAXIS * 300
    assert store.check() == []
    store.close()
