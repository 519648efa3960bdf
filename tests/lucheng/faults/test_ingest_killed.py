"""`kill -9` while a file goes in, then the same file again: the totals are exact, nothing is stored twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Mosquitto
from tests.lucheng import in_process
from tests.lucheng.faults.judge import Stored, seeded
from tests.lucheng.in_process import answer
from tests.lucheng.service_process import PROJECT, ServiceProcess

TAXIS = 50
STEP_S = 10
START_S = 1_751_328_000
#: A write-ahead log of this length holds rows.
FIRST_ROWS_BYTES = 200_000
#: Lines that are no rows: the file has one after so many.
BAD_EVERY = 1_000


def _file(path: Path, rows: int) -> tuple[int, int]:
    """A CSV of so many rows, with bad ones in between; how many are good and how many bad."""
    bad = 0
    with path.open("w") as out:
        out.write("device,time,lat,lon,speed_kmh\n")
        for row in range(rows):
            taxi, count = row % TAXIS, row // TAXIS
            out.write(
                f"taxi/{taxi},{START_S + count * STEP_S},{40.6 + count / 1e5:.6f},{109.8 + taxi / 1e3:.6f},{row % 90}\n"
            )
            if row % BAD_EVERY == BAD_EVERY - 1:
                out.write(f"taxi/{taxi},yesterday,40.6,109.8,1\n")
                bad += 1
    return rows, bad


def _ingest(data: Path, file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lucheng", "--data", str(data), "ingest", str(file), "--format", "csv", "--json"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _exact(data: Path, file: Path, good: int, bad: int, runs: int) -> None:
    """Ingest once more; what the command says and what is stored are exact."""
    totals = answer(data, "ingest", str(file), "--format", "csv")
    assert totals["received"] == good + bad
    assert totals["quarantined"] == {"bad_row": bad}
    assert totals["in_flight"] == 0
    assert totals["stored"] + totals["duplicate"] == good
    state = answer(data, "status")
    assert state["stored"] == good
    assert state["in_flight"] == 0
    assert state["received"] == state["stored"] + state["duplicate"] + sum(state["quarantined"].values())
    assert state["received"] <= runs * (good + bad)
    again = answer(data, "ingest", str(file), "--format", "csv")
    assert (again["stored"], again["duplicate"]) == (0, good)


def _written(wal: Path) -> int:
    """When something large was last written to a write-ahead log; 0 for never."""
    found = wal.stat() if wal.exists() else None
    return found.st_mtime_ns if found is not None and found.st_size > FIRST_ROWS_BYTES else 0


def _kill_at_random(tmp_path: Path, rows: int, kills: int) -> None:
    random = seeded("ingest killed")
    file, data = tmp_path / "file.csv", tmp_path / "data"
    good, bad = _file(file, rows)
    assert in_process.lucheng(data, "device", "add", "unit/first").returncode == 0  # makes the folder
    interrupted = 0
    wal = data / "points.log.db-wal"
    for _ in range(kills):
        before = _written(wal)
        running = _ingest(data, file)
        while _written(wal) == before and running.poll() is None:
            time.sleep(0.002)  # until rows of it are in the log
        time.sleep(random.uniform(0, 0.2))
        running.kill()
        out, _ = running.communicate()
        interrupted += not out
    assert interrupted, "every run had ended before it was killed: the file is too small for this machine"
    print(f"{interrupted} of {kills} runs were killed midway; {answer(data, 'status')}")
    _exact(data, file, good, bad, kills + 1)
    held = Stored.read(data)
    assert held.rows == good
    assert in_process.lucheng(data, "store", "check").returncode == 0


@pytest.mark.soak
def test_killed_alone(tmp_path: Path) -> None:
    _kill_at_random(tmp_path, 250_000, 2)


@pytest.mark.soak
def test_killed_alone_20_times(tmp_path: Path) -> None:
    _kill_at_random(tmp_path, 2_000_000, 20)


@pytest.mark.soak
def test_killed_with_the_service_that_took_it_in(service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path) -> None:
    """The command says that it may be tried again (75), and then it is exact."""
    random = seeded("ingest through a service killed")
    file = tmp_path / "file.csv"
    good, bad = _file(file, 250_000)
    running = _ingest(service.data, file)
    service.wait_status(lambda now: now["received"] > 0, "the first rows to be in the log")
    time.sleep(random.uniform(0, 0.1))
    service.kill9()
    _, said = running.communicate(timeout=60)
    assert running.returncode == os.EX_TEMPFAIL, said
    assert "Traceback" not in said
    service.start()
    _exact(service.data, file, good, bad, 2)
    assert service.terminate()[0] == 0
    assert Stored.read(service.data).rows == good
