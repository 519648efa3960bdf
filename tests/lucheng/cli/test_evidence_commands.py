"""`lucheng evidence` and `lucheng terminal`, in process and through a running service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import load
from console.api import make_app
from console.server import ApiServer
from devices.details import DeviceDetails
from devices.terminals import Registering
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from model.evidence import NewEvidence, Report
from tests.lucheng.in_process import answer, lucheng

START_MS = 1_795_334_400_000  # 2026-11-22T08:00:00Z, 16:00 in the city
DATA = bytes(range(256)) * 40
NUMBER = "13900000001"


@pytest.fixture(params=["in process", "through the service"])
def data(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder with a photo, a bound terminal and its report, once stopped and once with a service that answers."""
    folder = tmp_path / "data"
    monkeypatch.setenv("LUCHENG_OPERATORS__DEFAULT_ROLE", "supervisor")
    with open_rooms(folder, load(), write=True) as rooms:
        rooms.registry.add("taxi/1", DeviceDetails(phone=NUMBER, plate="P1", protocol="jt905"))
        rooms.evidence.put(
            NewEvidence(
                "taxi/1", "image", "jpg", DATA, START_MS, START_MS, 40.65, 109.84, 1, "robbery", "jt905:7", "A1"
            )
        )
        rooms.terminals.register_all([Registering(NUMBER, "", "T1", "ACME", "M1", START_MS)])
        rooms.reports.add([Report("taxi/1", "jt905", "sign_on", START_MS, START_MS, {"driver": "150000"}, b"\x0b\x03")])
        if request.param == "through the service":
            with ApiServer(make_app(operations_of(rooms)), rooms.socket_path):
                yield folder
            return
    yield folder


def test_evidence_is_listed_shown_and_saved(data: Path, tmp_path: Path) -> None:
    (row,) = answer(data, "evidence", "list", "--device", "taxi/1")
    assert (row["evidence"][-7:], row["alarm"], row["size_bytes"]) == ("-000001", "A1", len(DATA))
    assert answer(data, "evidence", "show", row["evidence"]) == row
    header, line = lucheng(data, "evidence", "list").stdout.splitlines()
    assert header.split("\t") == ["evidence", "device", "kind", "format", "size_bytes", "time", "event", "alarm"]
    assert line.split("\t")[5] == "2026-11-22 16:00:00.000"
    assert f"sha256\t{row['sha256']}" in lucheng(data, "evidence", "show", row["evidence"]).stdout.splitlines()
    saved = tmp_path / "photo.jpg"
    assert lucheng(data, "evidence", "save", row["evidence"], str(saved), "--purpose", "case:C-1").returncode == 0
    assert saved.read_bytes() == DATA
    assert saved.stat().st_mode & 0o777 == 0o600
    again = lucheng(data, "evidence", "save", row["evidence"], str(saved))
    assert (again.returncode, saved.read_bytes()) == (1, DATA)
    assert "cannot be made" in again.stderr
    assert ("read.evidence_bytes", "case:C-1") in [
        (one["action"], one["purpose"]) for one in answer(data, "audit", "list")
    ]
    unknown = lucheng(data, "evidence", "save", "E2026-000009", str(tmp_path / "none"))
    assert (unknown.returncode, (tmp_path / "none").exists()) == (1, False)
    assert "There is no evidence" in unknown.stderr


def test_terminals_are_listed_and_released(data: Path) -> None:
    (row,) = answer(data, "terminal", "list")
    assert (row["device"], row["number"], row["protocol"], row["terminal_id"]) == ("taxi/1", NUMBER, "jt905", "T1")
    assert "2026-11-22 16:00:00" in lucheng(data, "terminal", "list").stdout
    assert answer(data, "terminal", "list", "--after", str(row["slot"])) == []
    assert lucheng(data, "terminal", "release", "taxi/1").returncode == 0
    assert answer(data, "terminal", "list") == []
    assert lucheng(data, "terminal", "release", "taxi/1").returncode == 1
    assert "terminal.release" in [one["action"] for one in answer(data, "audit", "list")]


def test_an_operator_releases_nothing(tmp_path: Path) -> None:
    with open_rooms(tmp_path / "data", load(), write=True) as rooms:
        rooms.registry.add("taxi/1", DeviceDetails(phone=NUMBER))
        rooms.terminals.register_all([Registering(NUMBER, "", "T1", "ACME", "M1", START_MS)])
    done = lucheng(tmp_path / "data", "terminal", "release", "taxi/1")
    assert done.returncode == 1
    assert "may not release a terminal" in done.stderr
    assert len(answer(tmp_path / "data", "terminal", "list")) == 1


def test_reports_are_listed(data: Path) -> None:
    (row,) = answer(data, "terminal", "reports", "--from", "2026-11-22 16:00", "--message", "sign_on")
    assert row["fields"] == {"driver": "150000"}
    assert answer(data, "terminal", "reports", "--to", "2026-11-22 16:00", "--device", "taxi/1") == []
    assert "driver=150000" in lucheng(data, "terminal", "reports").stdout


def test_a_device_has_a_protocol(data: Path) -> None:
    assert (
        answer(data, "device", "add", "ebike/1", "--imei", "860000000000001", "--protocol", "gt06")["protocol"]
        == "gt06"
    )
    assert answer(data, "device", "show", "ebike/1")["protocol"] == "gt06"
    wrong = lucheng(data, "device", "add", "ebike/2", "--protocol", "modbus")
    assert wrong.returncode == 2
    assert "jt808" in wrong.stderr
