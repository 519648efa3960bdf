"""`lucheng trips` in this process and through a service: what it prints, in both languages."""

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
from lucheng.cli.texts import TEXTS
from lucheng.cli.trip_commands import lasted
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from model.batch import PointBatch
from model.batch_codec import encode
from model.seams import NewRecord, Outcome, RecordKind

START_MS = 1_795_334_400_000  # 2026-11-22T08:00:00Z, 16:00 in the city
STEP = 100 / 111_195.08
WINDOW = ("--from", "2026-11-22 16:00", "--to", "2026-11-22T09:00:00Z")
CLI = CliRunner()


@pytest.fixture(params=["in process", "through the service"])
def data(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with one taxi that stands, drives 6 km and stands again."""
    folder = tmp_path / "data"
    monkeypatch.setenv("LUCHENG_DATA", str(folder))
    with open_rooms(folder, load(), write=True) as rooms:
        (slot,) = rooms.registry.ensure(["taxi/1"]).tolist()
        moves = np.concatenate(([0.0], np.zeros(30), np.ones(60), np.zeros(30)))
        columns = {"slot": slot, "time_ms": START_MS + 10_000 * np.arange(121), "received_ms": START_MS}
        batch = PointBatch.of(121, {**columns, "lat": 40.65 + np.cumsum(moves) * STEP, "lon": 109.84})
        position = rooms.points_log.append([NewRecord(RecordKind.POINTS, 121, encode(batch))])
        rooms.series.commit(Outcome(position, batch), stored_ms=START_MS)
        if request.param == "through the service":
            with ApiServer(make_app(operations_of(rooms)), rooms.socket_path):
                yield folder
            return
    yield folder


def lines(*arguments: str) -> list[list[str]]:
    done = CLI.invoke(app, ["trips", "taxi/1", *WINDOW, *arguments])
    assert done.exit_code == 0, done.output
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_trips_and_stops_in_order(data: Path) -> None:
    head, *rows = lines()
    assert head[:5] == ["what", "start", "end", "lasted", "km"]
    words = [TEXTS[f"trips.{what}"] for what in ("stop", "trip", "stop")]
    assert [row[0] for row in rows] in ([word.en for word in words], [word.zh for word in words])
    assert rows[1][1:8] == ["2026-11-22 16:05:00", "2026-11-22 16:15:00", "0:10:00", "6.00", "36.0", "36.0", ""]
    assert rows[0][8:] == ["40.65", "109.84", "31"]
    assert [row[0] for row in lines("--stops")[1:]] == [rows[0][0]] * 2


def test_as_json(data: Path) -> None:
    done = CLI.invoke(app, ["trips", "taxi/1", *WINDOW, "--json"])
    found = json.loads(done.stdout)
    assert (found["device"], len(found["trips"]), len(found["stops"])) == ("taxi/1", 1, 2)
    assert found["totals"]["distance_m"] == pytest.approx(6_000, abs=1)


def test_an_unknown_device_is_no_traceback(data: Path) -> None:
    done = CLI.invoke(app, ["trips", "taxi/9", *WINDOW])
    assert done.exit_code != 0
    assert "taxi/9" in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00:00"), (59.6, "0:01:00"), (3_661, "1:01:01"), (90_000, "25:00:00")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert lasted(seconds) == shown
