"""`lucheng fence`, in process and through a running service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import load
from console.api import make_app
from console.server import ApiServer
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from tests.lucheng.in_process import answer, lucheng


@pytest.fixture(params=["in process", "through the service"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A data folder, once stopped and once with a service that holds the writer lock and answers."""
    folder = tmp_path / "data"
    with open_rooms(folder, load(), write=True) as rooms:
        if request.param == "through the service":
            with ApiServer(make_app(operations_of(rooms)), rooms.socket_path):
                yield folder
            return
    yield folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which nothing that is refused leaves a trace."""
    folder = tmp_path_factory.mktemp("empty") / "data"
    open_rooms(folder, load(), write=True).close()
    return folder


def places(rows: list[dict[str, Any]]) -> list[str]:
    return [row["fence"] for row in rows]


def test_the_whole_life_of_fences(data: Path, tmp_path: Path) -> None:
    circle = ("--circle", "40.65,109.84", "--radius-m", "100")
    added = answer(
        data, "fence", "add", "ring", "--rule", "none", *circle, "--line-of-defence", "1", "--post", "桥@40.6,109.8"
    )
    assert (added["fence"], added["number"], added["shape"], added["line_of_defence"]) == ("ring", 1, "circle", 1)
    assert added["posts"] == [{"name": "桥", "lat": 40.6, "lon": 109.8}]
    line = ("--line", "40.6,109.84 40.7,109.84", "--radius-m", "20")
    road = answer(data, "fence", "add", "road", "--rule", "speed", *line, "--road-class", "street", "--kind", "taxi")
    assert (road["road_class"], road["kinds"], road["shape"]) == ("street", ["taxi"], "corridor")
    outline = ("--polygon", "40.6,109.8 40.6,109.9 40.7,109.9 40.7,109.8")
    when = ("--days", "mon,tue", "--hours", "22:00-06:00")
    area = answer(
        data, "fence", "add", "area", "--rule", "forbidden", *outline, *when, "--device", "taxi/1", "--disabled"
    )
    assert (area["days"], area["hours"], area["enabled"]) == (["mon", "tue"], "22:00-06:00", False)
    assert (area["vertices"], area["devices"]) == (5, ["taxi/1"])

    assert places(answer(data, "fence", "list")) == ["area", "ring", "road"]
    assert places(answer(data, "fence", "list", "--limit", "2")) == ["area", "ring"]
    assert {row["fence"]: row["in_force"] for row in answer(data, "fence", "test", "40.65,109.84")} == {
        "ring": True,
        "road": True,
        "area": False,
    }
    assert answer(data, "fence", "test", "-40.65,109.84") == []

    file = tmp_path / "fences.geojson"
    assert answer(data, "fence", "export", "--out", str(file)) == {"fences": 3, "file": str(file)}
    assert json.loads(file.read_text()) == answer(data, "fence", "export")
    changed = answer(data, "fence", "add", "area", "--rule", "stay", "--stay-s", "600", *outline, "--replace")
    assert (changed["number"], changed["stay_s"], changed["version"]) == (3, 600, 4)
    assert answer(data, "fence", "remove", "road") == {"fence": "road", "version": 5}
    assert answer(data, "fence", "import", str(file), "--replace") == {"fences": 3, "version": 6}
    assert answer(data, "fence", "show", "area")["rule"] == "forbidden"
    assert answer(data, "fence", "show", "road")["number"] == 4


def test_what_people_read(data: Path) -> None:
    circle = ("--circle", "40.65,109.84", "--radius-m", "100")
    assert lucheng(data, "fence", "add", "a", "--rule", "enter", *circle).stdout == "a is fence number 1.\n"
    table = lucheng(data, "fence", "list").stdout.splitlines()
    assert table[0].split("\t")[:4] == ["fence", "number", "rule", "shape"]
    assert table[1].split("\t")[:4] == ["a", "1", "enter", "circle"]
    shown = lucheng(data, "fence", "show", "a").stdout
    assert "radius_m\t100.0\n" in shown
    assert '"coordinates":[109.84,40.65]' in shown
    assert lucheng(data, "fence", "test", "40.65,109.84").stdout.splitlines()[1].split("\t")[:5] == [
        "a",
        "1",
        "enter",
        "",
        "yes",
    ]
    assert lucheng(data, "fence", "test", "0,0").stdout == "No fence contains this place.\n"
    assert lucheng(data, "fence", "remove", "a").stdout == "a is removed.\n"
    assert '"features":[]' in lucheng(data, "fence", "export").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("add", "a", "--rule", "enter"), 2, "Which shape is not clear"),
        (("add", "a", "--rule", "enter", "--circle", "1,2", "--line", "1,2 3,4", "--radius-m", "5"), 2, "Which shape"),
        (("add", "a", "--rule", "enter", "--circle", "here"), 2, "'here' is no place"),
        (("add", "a", "--rule", "enter", "--circle", "1,2"), 2, "a Point without radius_m"),
        (("add", "a", "--rule", "loiter", "--circle", "1,2", "--radius-m", "5"), 1, "not a fence"),
        (("add", "a/b", "--rule", "enter", "--circle", "1,2", "--radius-m", "5"), 2, "is not an id"),
        (("add", "a", "--rule", "enter", "--circle", "1,2", "--radius-m", "-1"), 2, "A radius of -1 m"),
        (("add", "a", "--rule", "enter", "--circle", "1,2", "--radius-m", "5", "--hours", "9"), 2, "'9' are no hours"),
        (("add", "a", "--rule", "enter", "--circle", "1,2", "--radius-m", "5", "--post", "x"), 2, "'x' is no post"),
        (("add", "a", "--rule", "enter", "--polygon", "0,0 1,1 0,1 1,0"), 1, "self-intersection at lon 0.5, lat 0.5"),
        (("add", "a", "--rule", "enter", "--polygon", "0,0 1,1"), 1, "a ring has at least 4"),
        (("add", "a", "--rule", "enter", "--circle", "1,2", "--radius-m", "5", "--replace"), 1, "There is no fence a"),
        (("show", "a"), 1, "There is no fence a"),
        (("remove", "a"), 1, "There is no fence a"),
        (("import", "missing.geojson"), 1, "cannot be read"),
        (("export", "--out", "/dev/null/x"), 1, "cannot be written"),
        (("test", "91,0"), 2, "is no place"),
        (("test", "1,2,3"), 2, "is no place"),
    ],
)
def test_what_is_wrong_is_said(empty: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    done = lucheng(empty, "fence", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr


def test_a_file_with_a_fault_changes_nothing(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.geojson"
    bowtie = {"type": "Polygon", "coordinates": [[[109, 40], [110, 41], [110, 40], [109, 41], [109, 40]]]}
    point = {"type": "Point", "coordinates": [109, 40]}
    features = [
        {"type": "Feature", "properties": {"id": fence, "rule": "none", "radius_m": 5}, "geometry": geometry}
        for fence, geometry in (("a", point), ("b", bowtie))
    ]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    done = lucheng(data, "fence", "import", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert "Feature 2: self-intersection at lon 109.5, lat 40.5" in done.stderr
    assert answer(data, "fence", "list") == []
