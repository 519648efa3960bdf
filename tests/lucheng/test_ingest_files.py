"""`lucheng ingest` of files that are not what they say, and `track` in every format; small files made here.

What was good before is kept, what is bad is named with its line, and the exit status says who has to do something:
1 the file, 2 the call, 75 try again.
"""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.lucheng import service_process
from tests.lucheng.in_process import answer, lucheng
from tests.lucheng.service_process import PROJECT, ServiceProcess

T0_S = 1_212_130_800
WINDOW = ("--from", "2000-01-01", "--to", "2040-01-01")
CAB_HEADER = "ts_utc,cab_id,lat,lon,occupied"


def cab_rows(count: int, cab: str = "abc", start_s: int = T0_S) -> list[str]:
    """Good rows of a cabspotting file, a minute apart."""
    return [f"{start_s + 60 * k},{cab},{37.7 + k * 1e-4:.5f},{-122.4 - k * 1e-4:.5f},{k % 2}" for k in range(count)]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def failed(data: Path, *arguments: str, status: int) -> str:
    """Run `ingest`, which must end with this status, print nothing and say why; return what it said."""
    done = lucheng(data, "ingest", *arguments, "--json")
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(params=["process", "service"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A data folder: of nobody, or of a running service, which then takes the files in."""
    folder = tmp_path / "data"
    if request.param == "process":
        yield folder
        return
    with ServiceProcess(folder) as service:
        service.spawn().wait_api()
        yield folder


@pytest.mark.soak
def test_bad_rows_are_quarantined_with_their_lines_and_the_rest_is_kept(data: Path, tmp_path: Path) -> None:
    rows = [CAB_HEADER, *cab_rows(100)]
    rows[10] = "soon,abc,37.7,-122.4,0"
    rows[20] = f"{T0_S},abc,37.7"
    rows[30] = f"{T0_S},abc,north,-122.4,0"
    rows[40] = f"{T0_S},a/b,37.7,-122.4,0"
    rows[50] = f"{T0_S},abc,97.7,-122.4,0"
    rows[60] = f"{T0_S},abc,0.0,0.0,0"
    rows[70] = f"{T0_S},abc,nan,-122.4,0"
    rows[80] = rows[79]
    path = write(tmp_path / "rows.csv", rows)
    totals = answer(data, "ingest", str(path), "--format", "cabspotting")
    quarantined = totals.pop("quarantined")
    totals.pop("seconds")
    meaning = {key: totals.pop(key) for key in ("signals", "trips", "stops")}
    assert totals == {"received": 100, "stored": 92, "duplicate": 1, "in_flight": 0, "devices": 1}
    assert meaning["signals"] == {}
    assert meaning["trips"] <= meaning["stops"] + 1
    assert sum(quarantined.values()) == 7
    listed = answer(data, "quarantine", "list")
    assert len(listed) == 7
    # What cannot be read has its line; what can be read and not be believed has its content.
    lines = {row["source"].rpartition(":")[2] for row in listed if ":" in row["source"]}
    assert {"11", "21", "31", "41"} <= lines
    for row in listed:
        assert row["reason"] in quarantined
        shown = answer(data, "quarantine", "show", str(row["number"]))
        assert shown["raw"]
        assert row["detail"]
    track = answer(data, "track", "taxi/abc", *WINDOW)
    assert len(track["points"]) == 92


@pytest.mark.soak
def test_a_file_that_goes_bad_midway_keeps_what_was_good(data: Path, tmp_path: Path) -> None:
    whole = gzip.compress("\n".join([CAB_HEADER, *cab_rows(20_000)]).encode() + b"\n")
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: len(whole) // 2])
    lines = zlib.decompressobj(31).decompress(path.read_bytes()).count(b"\n")
    said = failed(data, str(path), "--format", "cabspotting", status=1)
    assert f"cut.gz:{lines + 1}: " in said
    assert "middle of its gzip data" in said
    assert f"{lines - 1} rows before it are stored" in said
    status = answer(data, "status")
    assert lines > 1000
    assert (status["received"], status["stored"], status["in_flight"]) == (lines, lines - 1, 0)
    assert status["quarantined"] == {"bad_row": 1}
    path.write_bytes(whole)
    totals = answer(data, "ingest", str(path), "--format", "cabspotting")
    assert (totals["received"], totals["stored"], totals["duplicate"]) == (20_000, 20_001 - lines, lines - 1)


@pytest.mark.soak
def test_what_is_no_such_file_is_refused_with_file_line_and_reason(data: Path, tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", [CAB_HEADER, *cab_rows(5)])
    empty = tmp_path / "empty.csv"
    empty.touch()
    noise = tmp_path / "noise.bin"
    noise.write_bytes(bytes(range(1, 256)) * 20)
    day = ("--date", "2014-10-22")
    assert "good.csv:1: the line has 5 fields, not 6" in failed(data, str(good), "--format", "shenzhen", *day, status=1)
    assert "good.csv:1: the columns are" in failed(data, str(good), "--format", "tdrive", status=1)
    assert "good.csv:1: the header of a csv file lacks the column" in failed(
        data, str(good), "--format", "csv", status=1
    )
    assert "noise.bin:1: " in failed(data, str(noise), "--format", "shenzhen", *day, status=1)
    assert "is empty" in failed(data, str(empty), "--format", "csv", status=1)
    assert "is no file" in failed(data, str(tmp_path), "--format", "csv", status=1)
    assert "is no file" in failed(data, str(tmp_path / "absent.csv"), "--format", "csv", status=1)
    assert "no file format 'tsv'" in failed(data, str(good), "--format", "tsv", status=2)
    assert "Give --date" in failed(data, str(good), "--format", "shenzhen", status=2)
    assert "Leave out --date" in failed(data, str(good), "--format", "cabspotting", *day, status=2)
    assert "is no date" in failed(data, str(good), "--format", "shenzhen", "--date", "22.10.2014", status=2)
    assert "--format" in failed(data, str(good), status=2)
    assert answer(data, "ingest", str(good), "--format", "cabspotting")["stored"] == 5
    assert answer(data, "status")["received"] == 5


_HOLD = "import sys, pathlib; from store.lock import WriterLock\nwith WriterLock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_a_folder_that_another_process_writes_to_says_try_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    path = write(tmp_path / "good.csv", [CAB_HEADER, *cab_rows(5)])
    assert answer(folder, "ingest", str(path), "--format", "cabspotting")["stored"] == 5
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    said = failed(folder, str(path), "--format", "cabspotting", status=75)
    assert str(holder.pid) in said
    assert service_process.lucheng(folder, "run").returncode == 75
    assert lucheng(folder, "device", "add", "taxi/9").returncode == 75
    # Reading goes on beside the writer.
    assert len(answer(folder, "track", "taxi/abc", *WINDOW)["points"]) == 5
    holder.communicate()
    assert answer(folder, "ingest", str(path), "--format", "cabspotting")["duplicate"] == 5


def points_of(form: str, text: str) -> list[tuple[str, float, float]]:
    """Time, latitude and longitude of every point of an exported track, by the parser its format has everywhere."""
    if form == "table":
        rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
        return [(row["time"], float(row["lat"]), float(row["lon"])) for row in rows]
    if form == "csv":
        return [(row["time"], float(row["lat"]), float(row["lon"])) for row in csv.DictReader(text.splitlines())]
    if form == "geojson":
        (feature,) = json.loads(text)["features"]
        places: list[list[float]] = feature["geometry"]["coordinates"]
        return [(t, place[1], place[0]) for t, place in zip(feature["properties"]["times"], places, strict=True)]
    root = ElementTree.fromstring(text)
    if form == "gpx":
        spaces = {"g": "http://www.topografix.com/GPX/1/1"}
        return [
            (point.findtext("g:time", "", spaces), float(point.attrib["lat"]), float(point.attrib["lon"]))
            for point in root.findall(".//g:trkpt", spaces)
        ]
    spaces = {"k": "http://www.opengis.net/kml/2.2", "gx": "http://www.google.com/kml/ext/2.2"}
    whens = [str(when.text) for when in root.findall(".//k:when", spaces)]
    coordinates = [[float(part) for part in str(one.text).split()] for one in root.findall(".//gx:coord", spaces)]
    return [(t, place[1], place[0]) for t, place in zip(whens, coordinates, strict=True)]


def test_a_track_is_the_same_in_every_format(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    rows = cab_rows(300)
    path = write(tmp_path / "good.csv", [CAB_HEADER, *rows])
    assert answer(folder, "ingest", str(path), "--format", "cabspotting")["stored"] == 300
    track: dict[str, Any] = answer(folder, "track", "taxi/abc", *WINDOW)
    expected = [(point["time"], point["lat"], point["lon"]) for point in track["points"]]
    assert [(lat, lon) for _, lat, lon in expected] == [
        (float(row.split(",")[2]), float(row.split(",")[3])) for row in rows
    ]
    for form in ("table", "csv", "geojson", "gpx", "kml"):
        done = lucheng(folder, "track", "taxi/abc", *WINDOW, "--format", form)
        assert done.returncode == 0, done.stderr
        found = points_of(form, done.stdout)
        assert len(found) == 300
        assert [place[1:] for place in found] == [place[1:] for place in expected], form
        if form != "table":  # a table's times are local
            assert [place[0] for place in found] == [place[0] for place in expected], form
    assert lucheng(folder, "track", "taxi/abc", *WINDOW, "--format", "xls").returncode == 2
    assert lucheng(folder, "track", "taxi/unknown", *WINDOW, "--json").returncode == 1
    half = answer(folder, "track", "taxi/abc", "--from", str(T0_S * 1000), "--to", str((T0_S + 600) * 1000))
    assert len(half["points"]) == 10  # from is in, to is out
