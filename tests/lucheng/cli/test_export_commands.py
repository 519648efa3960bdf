"""`lucheng export` in this process and through a service: the file, what lies beside it, the check, and what leaves nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from config.settings import load
from console.api import make_app
from console.server import ApiServer
from lucheng.cli.root import app
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from model.batch import PointBatch
from model.batch_codec import encode
from model.seams import NewRecord, Outcome, RecordKind

#: 2025-10-09T00:00:00Z
START_MS = 1_759_968_000_000
POINTS = 20_000
CLI = CliRunner()
FORMS = ("csv", "geojson", "gpx", "kml", "parquet")


@pytest.fixture(params=["in process", "through the service"])
def data(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with two taxis, one with more points than one piece holds."""
    folder = tmp_path / "data"
    monkeypatch.setenv("LUCHENG_DATA", str(folder))
    monkeypatch.setenv("LUCHENG_APPROVALS__WIDE_AGE_DAYS", "0")
    with open_rooms(folder, load(), write=True) as rooms:
        for device, count in (("taxi/1", POINTS), ("taxi/2", 10)):
            (slot,) = rooms.registry.ensure([device]).tolist()
            columns: dict[str, Any] = {"slot": slot, "time_ms": START_MS + 1_000 * np.arange(count), "lon": 109.84}
            batch = PointBatch.of(count, {**columns, "received_ms": START_MS, "lat": 40.65 + np.arange(count) / 1e5})
            position = rooms.points_log.append([NewRecord(RecordKind.POINTS, count, encode(batch))])
            rooms.series.commit(Outcome(position, batch), stored_ms=START_MS)
        if request.param == "through the service":
            with ApiServer(make_app(operations_of(rooms)), rooms.socket_path):
                yield folder
            return
    yield folder


def run(*arguments: str | Path, status: int = 0) -> str:
    done = CLI.invoke(app, ["export", *map(str, arguments)])
    assert done.exit_code == status, done.output
    assert "Traceback" not in done.output
    return (done.stdout if status == 0 else done.stderr).replace("\n", "")


def tracks(*arguments: str | Path, status: int = 0) -> str:
    window = ("--from", "2025-10-09T00:00:00Z", "--to", "2025-10-10T00:00:00Z", "--purpose", "case:A-1:为证")
    return run("tracks", *window, *arguments, status=status)


def audit() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(CLI.invoke(app, ["audit", "list", "--json"]).stdout)
    return rows


def test_every_form_is_saved_told_and_verified(data: Path, tmp_path: Path) -> None:
    for form in FORMS:
        file = tmp_path / f"out.{form}"
        said = tracks("--kind", "taxi", "--format", form, "--datum", "gcj02", "--out", file)
        digits = hashlib.sha256(file.read_bytes()).hexdigest()
        assert digits in said
        assert "GCJ-02" in said
        assert file.stat().st_mode & 0o777 == 0o600
        made = next(row for row in audit() if row["action"] == "export.made")
        assert made["purpose"] == "case:A-1:为证"
        assert made["detail"]["sha256"] == digits
        assert (made["detail"]["points"], made["detail"]["bytes"]) == (POINTS + 10, file.stat().st_size)
        done = subprocess.run(["sha256sum", "-c", "--strict", file.name + ".sha256"], cwd=tmp_path, check=False)
        assert done.returncode == 0
        found = json.loads(run("verify", file, "--json"))
        assert (found["ok"], found["format"], found["sha256"]) == (True, form, digits)
        assert found["heading"]["purpose"] == "case:A-1:为证"
        assert "case:A-1" in run("verify", file)
    assert not list(tmp_path.glob("*.part"))
    changed = bytearray(file.read_bytes())
    changed[len(changed) // 2] ^= 1
    file.write_bytes(changed)
    assert f"{file} is not as it was made" in run("verify", file, status=1)


def test_named_devices_a_plain_table_and_standard_output(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "plain.csv"
    tracks("--device", "taxi/2", "--device", "taxi/1", "--plain", "-o", file)
    table = pd.read_csv(file)
    assert len(table) == POINTS + 10
    assert table["lat"].iloc[100] == pytest.approx(40.651)
    beside = (tmp_path / "plain.csv.sha256").read_text()
    assert '# purpose: "case:A-1:为证"' in beside
    assert '# datum: "WGS-84"' in beside
    run("verify", file)
    done = CLI.invoke(
        app, ["export", "tracks", "--from", str(START_MS), "--to", str(START_MS + 5_000), "--device", "taxi/2"]
    )
    assert done.exit_code == 0, done.output
    assert done.stdout_bytes.count(b"\r\ntaxi/2,") == 5


def test_what_leaves_no_file(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    for arguments, status, words in (
        (("--kind", "ebike"), 2, "E-bikes"),
        (("--kind", "taxi", "--datum", "mars"), 2, "no datum"),
        (("--kind", "taxi", "--format", "xls"), 2, "no format"),
        (("--device", "taxi/9"), 1, "taxi/9"),
        ((), 2, "whose tracks"),
        (("--kind", "taxi", "--from", "1900-01-01T00:00:00Z", "--to", "9999-01-01T00:00:00Z"), 1, "device-days"),
    ):
        assert words in tracks(*arguments, "--out", file, status=status)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    tracks("--device", "taxi/2", "--out", file)
    before = file.read_bytes()
    assert "there already" in tracks("--device", "taxi/2", "--out", file, status=1)
    assert file.read_bytes() == before
    file.unlink()
    assert "there already" in tracks("--device", "taxi/2", "--out", file, status=1)  # its sidecar is
    assert "cannot be made" in tracks("--device", "taxi/2", "--out", tmp_path / "none" / "x.csv", status=1)
    assert "no heading" in run("verify", tmp_path / "data" / "series.db", status=1)


def test_a_service_that_breaks_off_leaves_no_file(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fails half way, when the answer has begun."""
    from console.exports.spool import Spool

    read, calls = Spool.pieces, [0]

    def failing(self: Spool, *arguments: int) -> Iterator[bytes]:
        calls[0] += 1
        for at, piece in enumerate(read(self, *arguments)):
            if calls[0] == 3 and at == 1:  # twice for the hashes, then to give it out
                raise OSError(5, "Input/output error")
            yield piece

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "pieces", failing)
        day = ("--from", "2025-10-09T00:00:00Z", "--to", "2025-10-10T00:00:00Z")
        done = CLI.invoke(app, ["export", "tracks", *day, "--kind", "taxi", "-o", str(tmp_path / "x.csv")])
    assert done.exit_code != 0
    assert calls[0] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    tracks("--kind", "taxi", "--out", tmp_path / "x.csv")  # and its turn is free again


def test_s20_an_audit_that_cannot_be_written_leaves_no_file(data: Path, tmp_path: Path) -> None:
    if (data / "api.sock").exists():
        pytest.skip("the service holds its audit open")
    (data / "audit.db").write_bytes(b"no database" * 1_000)
    tracks("--kind", "taxi", "--out", tmp_path / "x.csv", status=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_track_is_printed_as_before(data: Path) -> None:
    done = CLI.invoke(
        app,
        ["track", "taxi/2", "--from", "2025-10-09T00:00:00Z", "--to", "2025-10-10T00:00:00Z", "--format", "csv"],
    )
    assert done.exit_code == 0
    assert done.stdout_bytes.startswith(b"device,time,lat,lon")
    assert done.stdout_bytes.count(b"\r\n") == 11
