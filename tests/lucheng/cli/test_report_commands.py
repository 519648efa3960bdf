"""`lucheng report supervision` in this process and through a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
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

DAY_MS = 86_400_000
#: 2025-10-09T00:00:00Z, 08:00 in the city.
START_MS = 1_760_000_000_000 // DAY_MS * DAY_MS
CLI = CliRunner()


@pytest.fixture(params=["in process", "through the service"])
def data(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with one taxi that drove for ten minutes."""
    folder = tmp_path / "data"
    monkeypatch.setenv("LUCHENG_DATA", str(folder))
    with open_rooms(folder, load(), write=True) as rooms:
        (slot,) = rooms.registry.ensure(["taxi/1"]).tolist()
        columns = {"slot": slot, "time_ms": START_MS + 10_000 * np.arange(61), "received_ms": START_MS, "lon": 109.84}
        batch = PointBatch.of(61, {**columns, "lat": 40.65 + np.arange(61) * 100 / 111_195.08})
        position = rooms.points_log.append([NewRecord(RecordKind.POINTS, 61, encode(batch))])
        rooms.series.commit(Outcome(position, batch), stored_ms=START_MS)
        if request.param == "through the service":
            with ApiServer(make_app(operations_of(rooms)), rooms.socket_path):
                yield folder
            return
    yield folder


def run(*arguments: str) -> bytes:
    done = CLI.invoke(app, ["report", "supervision", "--date", "2025-10-09", "--purpose", "supervision", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout_bytes


def test_forms_and_files(data: Path, tmp_path: Path) -> None:
    found = json.loads(run("--format", "json", "--device", "taxi/1"))
    assert found["vehicles"][0]["distance_km"] == pytest.approx(6.0, abs=0.001)
    assert run("--format", "csv").startswith(b"\xef\xbb\xbflevel,device,")
    assert b"overspeed" not in run("--format", "csv", "--table", "gaps").split(b"\r\n")[0]
    file = tmp_path / "report.html"
    assert str(file).encode() in run("-o", str(file)).replace(b"\n", b"")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == run()
    again = CLI.invoke(app, ["report", "supervision", "--date", "2025-10-09", "-o", str(file)])
    assert again.exit_code == 1
    assert "there already" in again.stderr


def test_a_wrong_date_is_words(data: Path) -> None:
    done = CLI.invoke(app, ["report", "supervision", "--date", "yesterday"])
    assert done.exit_code == 2
    assert "no date" in done.stderr
    assert "Traceback" not in done.output
