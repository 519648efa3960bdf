"""`lucheng search` in this process and through a service: what it prints, that big areas get through, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from config.settings import load
from console.api import make_app
from console.operations import Caller
from console.server import ApiServer
from lucheng.cli.search_commands import pull_command
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from model.batch import PointBatch
from model.batch_codec import encode
from model.seams import NewRecord, Outcome, RecordKind
from tests.lucheng.in_process import Done, answer, lucheng

START_MS = 1_795_334_400_000  # 2026-11-22T08:00:00Z, 16:00 in the city
STEP = 100 / 111_195.08
HERE, THERE = "40.65,109.84,30", f"{40.65 + 30 * STEP},109.84,30"
CALLER = Caller("tester", "cli", "process")
WINDOW = ("--from", "2026-11-22 16:00", "--to", "2026-11-22T09:00:00Z")


@pytest.fixture(scope="module", params=["in process", "through the service"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two taxis on one road, half a minute apart, 6 km in 10 minutes, and a camera beside it."""
    folder = tmp_path_factory.mktemp("search") / "data"
    with open_rooms(folder, load(), write=True) as rooms:
        slots = rooms.registry.ensure(["taxi/1", "taxi/2"]).tolist()
        for position, slot in enumerate(slots, start=1):
            times = START_MS + 30_000 * (position - 1) + 10_000 * np.arange(61)
            columns = {"slot": slot, "time_ms": times, "received_ms": times, "lon": 109.84}
            batch = PointBatch.of(61, {**columns, "lat": 40.65 + (np.arange(61) - 5) * STEP})
            rooms.points_log.append([NewRecord(RecordKind.POINTS, 61, encode(batch))])
            rooms.series.commit(Outcome(position, batch), stored_ms=START_MS)
        operations = operations_of(rooms)
        operations.camera_set(
            CALLER, "camera/1", add=True, url="rtsp://10.0.0.9/1", lat=40.65 + 10.5 * STEP, lon=109.8401, name="gate"
        )
        if request.param == "through the service":
            with ApiServer(make_app(operations), rooms.socket_path):
                yield folder
            return
    yield folder


def rows(done: Done) -> list[dict[str, str]]:
    assert done.returncode == 0, done.stderr
    head, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_who_was_inside(data: Path) -> None:
    one, other = rows(lucheng(data, "search", "inside", HERE, *WINDOW))
    assert (one["device"], one["first"], one["points"], one["legs"]) == ("taxi/1", "2026-11-22 16:00:50", "1", "0")
    assert other["first"] == "2026-11-22 16:01:20"
    between = f"{40.65 + 0.5 * STEP},109.84,20"
    (one, _) = rows(lucheng(data, "search", "inside", between, *WINDOW))
    assert (one["first"], one["points"]) == ("~2026-11-22 16:00:53", "0")
    found = answer(data, "search", "inside", between, *WINDOW, "--device", "taxi/2")
    assert [row["interpolated"] for row in found["vehicles"]] == [True]
    ends = rows(lucheng(data, "search", "inside", between, *WINDOW, "--device", "taxi/2", "--evidence"))
    assert [(row["device"], row["what"]) for row in ends] == [("taxi/2", "before"), ("taxi/2", "after")]


def test_two_places(data: Path) -> None:
    one, _ = rows(lucheng(data, "search", "both", HERE, THERE, *WINDOW))
    assert (one["first"], one["second"], one["apart_s"]) == ("2026-11-22 16:00:50", "2026-11-22 16:05:50", "300.0")
    assert rows(lucheng(data, "search", "both", HERE, THERE, *WINDOW, "--within-s", "299")) == []
    later = ("--second-from", "2026-11-22 16:06", "--second-to", "2026-11-22 16:07")
    (late,) = rows(lucheng(data, "search", "both", HERE, THERE, *WINDOW, *later))
    assert late["device"] == "taxi/2"
    one, _ = rows(lucheng(data, "search", "then", HERE, THERE, *WINDOW, "--within-s", "300"))
    assert (one["left"], one["reached"], one["took_s"]) == ("2026-11-22 16:00:50", "2026-11-22 16:05:50", "300.0")
    assert rows(lucheng(data, "search", "then", THERE, HERE, *WINDOW)) == []


def test_company(data: Path) -> None:
    (one,) = rows(lucheng(data, "search", "with", "taxi/1", *WINDOW, "--near-m", "400"))
    assert (one["device"], one["from"]) == ("taxi/2", "2026-11-22 16:00:30")
    assert float(one["nearest_m"]) == pytest.approx(300, abs=0.2)
    assert rows(lucheng(data, "search", "with", "taxi/1", *WINDOW)) == []
    (met,) = rows(lucheng(data, "search", "met", HERE, *WINDOW))
    assert (met["device"], met["other"], met["apart_s"]) == ("taxi/1", "taxi/2", "30.0")


def test_cameras_and_the_command_that_pulls_what_they_saw(data: Path) -> None:
    (one,) = rows(lucheng(data, "search", "cameras", "taxi/1", *WINDOW))
    assert (one["camera"], one["name"], one["from"]) == ("camera/1", "gate", "2026-11-22 16:02:30")
    assert float(one["range_m"]) == pytest.approx(8.4, abs=0.1)
    assert one["pull"].startswith("lucheng camera clip camera/1 --from 1795334")
    found = answer(data, "search", "cameras", "taxi/1", *WINDOW)["passes"][0]
    assert pull_command(found["pull"]) == one["pull"]
    pulled = answer(data, *one["pull"].replace("clip", "recordings").split()[1:])
    assert pulled["segments"] == []


def test_a_large_polygon_gets_through(data: Path, tmp_path: Path) -> None:
    turn = np.arange(500) * 2 * math.pi / 500
    ring = np.stack((109.84 + 3 * STEP * np.cos(turn), 40.65 + 3 * STEP * np.sin(turn)), axis=1).tolist()
    text = " ".join(f"{lat!r},{lon!r}" for lon, lat in ring)
    assert len(rows(lucheng(data, "search", "both", text, text, *WINDOW))) == 2
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}}
    file = tmp_path / "area.geojson"
    file.write_text(json.dumps(feature), encoding="utf-8-sig")
    found = answer(data, "search", "inside", f"@{file}", *WINDOW)
    assert [row["points"] for row in found["vehicles"]] == [7, 7]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("inside", "here"), 2),
        (("inside", "-33.9,151.2,99999"), 2),
        (("inside", "@/no/such/file"), 1),
        (("inside", "fence:none"), 1),
        (("inside", HERE, "--kind", "ebike"), 2),
        (("inside", HERE, "--device", "taxi/9"), 1),
        (("inside", HERE, "--device", "../x"), 2),
        (("inside", HERE, "--approval", "nonsense"), None),
        (("then", HERE, THERE, "--within-s", "nan"), 2),
        (("with", "taxi/1", "--near-m", "1e9"), 2),
        (("cameras", "'; DROP TABLE chunks; --"), 2),
        (("met", HERE, "--purpose", "curiosity"), 2),
    ],
)
def test_what_cannot_be_asked_is_words(data: Path, arguments: tuple[str, ...], status: int | None) -> None:
    done = lucheng(data, "search", *arguments, *WINDOW)
    if status is not None:
        assert done.returncode == status, done.stderr
        assert done.stderr
    assert "Traceback" not in done.stderr


def test_the_index_is_made_on_request(data: Path) -> None:
    assert answer(data, "store", "index", "--again") == {"points": 0}
    assert lucheng(data, "store", "index").stdout


def test_a_negative_place_is_no_option(data: Path) -> None:
    assert rows(lucheng(data, "search", "inside", "-33.9,151.2,500", *WINDOW)) == []
