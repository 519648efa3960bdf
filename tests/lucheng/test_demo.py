"""`lucheng demo`: a city, or a real file, through a real broker and a real service; every point is accounted for."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console.client import RemoteClient
from model.errors import TryAgain
from tests.conftest import need_program, wait_until
from tests.lucheng.in_process import answer
from tests.lucheng.real_data import real
from tests.lucheng.real_data.real import judged, read
from tests.lucheng.service_process import HANG_S, PROJECT, lucheng

COUNTERS = ["received", "stored", "duplicate", "quarantined", "in_flight"]
HEAD_ROWS = 10_000


@pytest.fixture
def shenzhen() -> Path:
    """The real file; the test is skipped where it is absent."""
    path = Path(os.environ.get("LUCHENG_TEST_DATA") or PROJECT.parent / "shared" / "data") / "taxi" / real.SHENZHEN.file
    if not path.is_file():
        pytest.skip(f"no data at {path}: set LUCHENG_TEST_DATA")
    return path


def test_a_city_drives_through_the_broker(tmp_path: Path) -> None:
    need_program("mosquitto")
    data = tmp_path / "data"
    env = {"LUCHENG_DEMO__CAMERAS": "0"}
    done = lucheng(data, "demo", "--seconds", "4", "--taxis", "20", "--bikes", "20", "--json", env=env)
    assert done.returncode == 0, done.stderr
    counters = json.loads(done.stdout)
    assert list(counters) == COUNTERS
    assert counters["received"] > 1_000
    assert counters["in_flight"] == 0
    assert counters["received"] == counters["stored"] + counters["duplicate"] + sum(counters["quarantined"].values())
    # What it showed is what it left, for the folder was named.
    status = answer(data, "status")
    assert {key: status[key] for key in COUNTERS} == counters
    assert status["devices"]["taxi"] == 20
    newest = answer(data, "where")
    assert len([row for row in newest if row["device"].startswith("taxi/")]) == 20
    track = answer(data, "track", newest[0]["device"], "--from", "2000-01-01", "--to", "2100-01-01")
    assert len(track["points"]) > 10


@pytest.mark.soak
def test_a_taxi_in_distress_is_listened_to_and_sends_a_photo(tmp_path: Path) -> None:
    need_program("mosquitto")
    data = tmp_path / "data"
    client = RemoteClient(data / "api.sock", answer_timeout_s=HANG_S)

    def asked(operation: str, **arguments: Any) -> Any:
        try:
            return client.call(operation, **arguments)
        except TryAgain:  # it does not answer yet
            return []

    def commands() -> dict[str, str]:
        return {one["name"]: one["state"] for one in asked("command_list", all=True)}

    command = [sys.executable, "-m", "lucheng", "--data", str(data), "demo", "--taxis", "12", "--bikes", "2", "--json"]
    env = {**os.environ, "LUCHENG_DEMO__TERMINALS": "6", "LUCHENG_DEMO__CAMERAS": "0"}
    with subprocess.Popen(command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, text=True) as demo:
        try:
            wait_until(lambda: asked("evidence_list", purpose="test"), HANG_S, "the photo")
            wait_until(lambda: commands().get("listen_in") == "accepted", HANG_S, "the listen-in")
            (photo,) = asked("evidence_list", purpose="test")
            live = client.call("status")["live"]
        finally:
            demo.send_signal(signal.SIGINT)
        out, _ = demo.communicate(timeout=HANG_S)
    assert demo.returncode == 0
    counters = json.loads(out)
    assert counters["received"] == counters["stored"] + counters["duplicate"]
    assert (live["gateway_sessions"], live["gateway_bad"]) == (6, 0)
    assert live["gateway_positions"] > 6
    assert photo["kind"] == "image"
    (alarm,) = [row for row in answer(data, "alarm", "list", "--all") if row["kind"] == "sos"]
    assert (photo["alarm"], photo["device"]) == (alarm["alarm"], alarm["device"])
    given = {row["name"]: row["state"] for row in answer(data, "command", "list", "--all")}
    assert given["snapshot"] == "accepted"
    assert len(answer(data, "terminal", "list")) == 4, "two of the six speak JT/T 905, which registers nothing"


def drives_under_its_own_settings(folder: Path, path: Path) -> None:
    """Play a shenzhen file in a demo that is given settings; hold what the service made of it against pandas."""
    need_program("mosquitto")
    data, config = folder / "data", folder / "city.toml"
    config.write_text("[clean]\nmax_speed_kmh = 2000.0\n")  # fewer jumps are that fast: the service has read it too
    options = ("--data-file", str(path), "--format", "shenzhen", "--date", "2014-10-22", "--speed", "0", "--json")
    done = lucheng(data, "--config", str(config), "demo", *options)
    assert done.returncode == 0, done.stderr
    frame = judged(read(real.SHENZHEN, path))
    rows = len(frame)
    expected = {"received": rows, "stored": rows, "duplicate": 0, "quarantined": {}, "in_flight": 0}
    assert json.loads(done.stdout) == expected
    status = answer(data, "status")
    assert status["devices"] == {"taxi": 1}
    assert status["counters"]["mark.same_time"] == int(frame["same_time"].sum()) > 0
    assert status["counters"].get("mark.jump", 0) < int(frame["jump"].sum())
    window = ("--from", "2014-10-22", "--to", "2014-10-23")
    assert len(answer(data, "track", "taxi/28249", *window)["points"]) == rows


@pytest.mark.soak
def test_a_real_file_drives_through_the_broker_under_its_own_settings(tmp_path: Path, shenzhen: Path) -> None:
    head = tmp_path / "head.csv"
    with shenzhen.open("rb") as whole:
        head.write_bytes(b"".join(itertools.islice(whole, HEAD_ROWS)))
    drives_under_its_own_settings(tmp_path, head)


@pytest.mark.soak
def test_the_whole_of_a_real_file_drives_through_the_broker(tmp_path: Path, shenzhen: Path) -> None:
    drives_under_its_own_settings(tmp_path, shenzhen)


@pytest.mark.soak
def test_a_file_that_is_none_ends_it_with_words(tmp_path: Path) -> None:
    need_program("mosquitto")
    path = tmp_path / "noise.csv"
    path.write_bytes(bytes(range(256)) * 10)
    done = lucheng(tmp_path / "data", "demo", "--data-file", str(path), "--format", "tdrive", "--json")
    assert done.returncode == 1
    assert "noise.csv:1: " in done.stderr
    assert "Traceback" not in done.stderr
