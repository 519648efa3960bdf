"""The operation `export_tracks` on real stores, every form read back by another program's reader, and what is not exported."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from config.approvals import Approvals
from config.export import Export
from config.gateway import Operators
from config.sections import City, Settings
from console.exports.spool import Exported
from console.exports.verify import verify
from console.point_keys import POINT_KEYS
from model.batch import PointBatch
from model.batch_codec import encode
from model.codes import ALARM_BY_NAME, Flag, Mark
from model.datum import to_wgs84
from model.errors import ApprovalNeeded, AuditUnwritable, NotFound, Refused, TryAgain, UsageError
from model.seams import NewRecord, Outcome, RecordKind
from tests.console.conftest import START_MS, House

GPX = "{http://www.topografix.com/GPX/1/1}"
OURS = "{urn:lucheng:gpx:1}"
KML = "{http://www.opengis.net/kml/2.2}"
GX = "{http://www.google.com/kml/ext/2.2}"
FORMS = ("csv", "geojson", "gpx", "kml", "parquet")
MINUTE_MS = 60_000
FROM_MS, TO_MS = START_MS - 3_600_000, START_MS
#: Formulas, scripts, ends of the formats' own texts, and Chinese, in the only text of a point that a device writes itself.
NASTY = [
    b'{"note":"=HYPERLINK(\\"x\\")","\xe8\xbd\xa6":"\xe8\x92\x99B"}',
    b'"</value></l:extra></gx:value><script>alert(1)</script>]]>"',
    b"=cmd|' /C calc'!A0,\"#\r\n@SUM(1)\t\x00\xff",
    b"-5",
    b" [1, 2]",
]
PURPOSE = 'case:A-17:查车,=HYPERLINK("x");<img src=x onerror=alert(1)> "sha256_zeroed":"' + "0" * 64 + '" # \u2028x'

Row = dict[str, Any]


@pytest.fixture
def settings() -> Settings:
    users = {"tester": "supervisor", "clerk": "auditor", "boss": "approver"}
    return Settings(operators=Operators(users=users), city=City(name='=包头<b>"&'))


def put(house: House, device: str, columns: dict[str, Any], extra: dict[int, bytes]) -> None:
    """Store points with what has no column."""
    (slot,) = house.rooms.registry.ensure([device]).tolist()
    base = {"slot": slot, "received_ms": START_MS}
    batch = PointBatch.of(len(columns["time_ms"]), base | columns, extra)
    position = house.rooms.points_log.append([NewRecord(RecordKind.POINTS, len(batch), encode(batch))])
    house.rooms.series.commit(Outcome(position, batch), stored_ms=START_MS)


@pytest.fixture
def fleet(house: House) -> House:
    """A taxi that sent all there is, nothing, and everything nasty; one with a gap; one that said nothing; an e-bike."""
    nan = float("nan")
    put(
        house,
        "taxi/1",
        {
            "time_ms": FROM_MS + 10_000 * np.arange(6),
            "seq": [7, -1, -1, 8, 9, 10],
            "lat": [40.123457, 40.2, nan, 40.3, 40.4, 40.5],
            "lon": [109.987654, 109.8, nan, 109.9, 109.9, 109.9],
            "speed_kmh": [31.6, nan, nan, 0, 120.1, 5],
            "heading_deg": [182.1, nan, nan, 0, 359.9, 5],
            "alt_m": [1066.3, nan, nan, -12.5, 0, nan],
            "acc_m": [4.2, nan, nan, nan, nan, nan],
            "sat": [11, -1, -1, 0, 4, 4],
            "battery_pct": [0, -1, -1, 100, 5, 5],
            "flags": [
                Flag.VALID | Flag.VALID_SENT | Flag.OCCUPIED_SENT | Flag.IGNITION | Flag.IGNITION_SENT,
                0,
                Flag.BUFFERED,
                Flag.ARMED | Flag.ARMED_SENT,
                0,
                0,
            ],
            "alarm_bits": [1 << ALARM_BY_NAME["sos"].bit | 1 << ALARM_BY_NAME["overspeed"].bit, 0, 0, 0, 0, 0],
            "marks": [Mark.JUMP | Mark.LATE, 0, 0, 0, 0, 0],
        },
        dict(enumerate(NASTY)),
    )
    times = FROM_MS + MINUTE_MS * np.array([0, 1, 2, 20, 21])
    house.put("taxi/2", times.tolist(), lat=40.6 + np.arange(5) / 100, lon=109.7)
    house.ask("device_add", device="taxi/3")
    house.put("ebike/1", times.tolist())
    return house


def made(house: House, **arguments: Any) -> Exported:
    window = {"from_ms": FROM_MS, "to_ms": TO_MS, "purpose": PURPOSE}
    if not {"devices", "kind"} & set(arguments):
        arguments["kind"] = "taxi"
    found = house.ask("export_tracks", **window | arguments)
    assert isinstance(found, Exported)
    return found


def saved(house: House, folder: Path, **arguments: Any) -> Path:
    found = made(house, **arguments)
    path = folder / f"made.{arguments.get('form', 'csv')}"
    path.write_bytes(b"".join(found.pieces()))
    assert path.stat().st_size == found.size
    assert hashlib.sha256(path.read_bytes()).hexdigest() == found.sha256
    return path


def stored(house: House) -> list[Row]:
    """What the other way of reading a track tells of the taxis."""
    rows = []
    for device in ("taxi/1", "taxi/2", "taxi/3"):
        track = house.ask("track", device=device, from_ms=FROM_MS, to_ms=TO_MS, purpose="test")
        points = json.loads(b"".join(track.json_pieces()))["points"]
        rows += [{"device": device, **point, "extra": point.get("extra")} for point in points]
    return rows


def flat(rows: list[Row]) -> list[Row]:
    """As formats without lists and types tell it: texts, "" where nothing was sent; `extra` parsed."""
    found = []
    for row in rows:
        texts = {key: row[key] for key in ("device", *POINT_KEYS)}
        for key, value in texts.items():
            if isinstance(value, list):
                texts[key] = " ".join(value)
            elif isinstance(value, bool):
                texts[key] = str(value).lower()
            elif isinstance(value, int | float):
                texts[key] = float(value)
        found.append({key: "" if value is None else value for key, value in texts.items()} | {"extra": row["extra"]})
    return found


NUMBERS = frozenset({"lat", "lon", "speed_kmh", "heading_deg", "alt_m", "acc_m", "sat", "battery_pct", "seq"})


def typed(row: dict[str, str]) -> Row:
    found: Row = {key: float(value) if key in NUMBERS and value else value for key, value in row.items()}
    found["extra"] = json.loads(row["extra"]) if row.get("extra") else None
    return found


def read_csv(path: Path) -> list[Row]:
    lines = path.read_bytes().decode("utf-8-sig").split("\r\n")
    while lines[0].startswith("#"):
        lines.pop(0)
    return [typed(row) for row in csv.DictReader(io.StringIO("\r\n".join(lines), newline=""))]


def read_geojson(path: Path) -> list[Row]:
    rows = []
    for feature in json.loads(path.read_bytes())["features"]:
        assert feature["type"] == "Feature"
        row = feature["properties"]
        place = feature["geometry"]["coordinates"] if feature["geometry"] else [None, None]
        if feature["geometry"]:
            assert feature["geometry"]["type"] == "Point"
            assert place[2:] == ([] if row["alt_m"] is None else [row["alt_m"]])
        rows.append({"lat": place[1], "lon": place[0], **row})
    return flat(rows)


def read_gpx(path: Path) -> list[Row]:
    rows = []
    for track in ElementTree.parse(path).getroot().findall(f"{GPX}trk"):
        for point in track.findall(f"{GPX}trkseg/{GPX}trkpt"):
            row = dict.fromkeys(POINT_KEYS, "")
            row |= {"device": track.findtext(f"{GPX}name", ""), "time": point.findtext(f"{GPX}time", "")}
            row |= {"lat": point.attrib["lat"], "lon": point.attrib["lon"]}
            row |= {child.tag.removeprefix(OURS): child.text or "" for child in point.find(f"{GPX}extensions") or ()}
            assert point.findtext(f"{GPX}ele", "") == row["alt_m"]
            assert point.findtext(f"{GPX}sat", "") == row["sat"]
            rows.append(typed(row))
    return rows


def read_kml(path: Path) -> list[Row]:
    rows = []
    for mark in ElementTree.parse(path).getroot().findall(f"{KML}Document/{KML}Placemark"):
        for track in mark.findall(f"{GX}MultiTrack/{GX}Track"):
            times = [one.text or "" for one in track.findall(f"{KML}when")]
            places = [(one.text or "").split() for one in track.findall(f"{GX}coord")]
            arrays = {
                array.attrib["name"]: [unescape(one.text or "") for one in array]
                for array in track.iter(f"{GX}SimpleArrayData")
            }
            assert len(times) == len(places)
            for at, (time, place) in enumerate(zip(times, places, strict=True)):
                row = {"device": mark.findtext(f"{KML}name", ""), "time": time, "lon": place[0], "lat": place[1]}
                row |= {key: values[at] for key, values in arrays.items()}
                assert float(place[2]) == float(row["alt_m"] or 0)
                rows.append(typed(row))
    return rows


def read_parquet(path: Path) -> list[Row]:
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        for key in ("time", "received"):
            row[key] = row[key].isoformat(timespec="milliseconds").replace("+00:00", "Z")
        row["extra"] = None if row["extra"] is None else json.loads(row["extra"])
    return flat(rows)


READERS: dict[str, Callable[[Path], list[Row]]] = {
    "csv": read_csv,
    "geojson": read_geojson,
    "gpx": read_gpx,
    "kml": read_kml,
    "parquet": read_parquet,
}


@pytest.mark.parametrize("form", FORMS)
def test_another_reader_finds_the_same_points_with_what_was_not_sent_and_every_text(
    fleet: House, tmp_path: Path, form: str
) -> None:
    wanted = flat(stored(fleet))
    if form in ("gpx", "kml"):
        wanted = [row for row in wanted if row["lat"] != ""]
    assert READERS[form](saved(fleet, tmp_path, form=form)) == wanted
    assert len(wanted) == (10 if form in ("gpx", "kml") else 11)


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_another_datum_is_named_and_leads_back_to_the_stored_places(fleet: House, tmp_path: Path, datum: str) -> None:
    for form in FORMS:
        path = saved(fleet, tmp_path, form=form, datum=datum)
        assert verify(path).heading["datum"] == {"gcj02": "GCJ-02", "bd09": "BD-09"}[datum]
        rows = [row for row in READERS[form](path) if row["lat"] != ""]
        wanted = [row for row in flat(stored(fleet)) if row["lat"] != ""]
        columns = [np.array([row[key] for row in rows]) for key in ("lat", "lon")]
        back = to_wgs84(datum, *columns)
        for key, moved, column in zip(("lat", "lon"), columns, back, strict=True):
            places = np.array([row[key] for row in wanted])
            assert np.abs(moved - places).min() > 5e-4
            assert np.round(column, 6).tolist() == places.tolist()


@pytest.mark.parametrize("how", ["heading", "plain", "parquet"])
def test_pandas_reads_the_tables(fleet: House, tmp_path: Path, how: str) -> None:
    if how == "parquet":
        table = pd.read_parquet(saved(fleet, tmp_path, form="parquet"))
    else:
        path = saved(fleet, tmp_path, plain=how == "plain")
        table = pd.read_csv(path, comment="#") if how == "heading" else pd.read_csv(path)
    assert table["device"].tolist() == ["taxi/1"] * 6 + ["taxi/2"] * 5
    assert table["lat"].tolist()[:2] == [40.123457, 40.2]
    assert table["lat"].isna().tolist() == [False, False, True] + [False] * 8
    extras = [text for text in table["extra"] if isinstance(text, str)]
    assert "#" in json.loads(extras[2])


@pytest.mark.parametrize("form", FORMS)
def test_the_heading_says_who_what_why_and_when(fleet: House, tmp_path: Path, form: str) -> None:
    path = saved(fleet, tmp_path, form=form)
    found = verify(path)
    heading = dict(found.heading)
    assert found.form == form
    assert heading.pop("sha256_zeroed") == hashlib.sha256(zeroed(path.read_bytes())).hexdigest()
    assert heading == {
        "lucheng_export": 1,
        "datum": "WGS-84",
        "purpose": PURPOSE,
        "who": "tester",
        "role": "supervisor",
        "allowed_by": "",
        "asked": "2026-11-22T08:00:00.000Z",
        "from": "2026-11-22T07:00:00.000Z",
        "to": "2026-11-22T08:00:00.000Z",
        "city": '=包头<b>"&',
        "kind": "taxi",
        "devices": 3,
        "device_ids": "taxi/1 taxi/2 taxi/3",
        "points": 11,
        "points_without_place": 1,
        "sha256_of": "this file with the 64 digits of sha256_zeroed written as zeros",
    }
    if form == "geojson":
        assert json.loads(path.read_bytes())["lucheng_export"] == dict(found.heading)
    if form == "parquet":
        assert json.loads(pq.read_metadata(path).metadata[b"lucheng_export"]) == dict(found.heading)
    if form == "gpx":
        said = ElementTree.parse(path).getroot().find(f"{GPX}metadata/{GPX}extensions")
        assert {child.tag.removeprefix(OURS): child.text or "" for child in said or ()} == {
            key: str(value) for key, value in found.heading.items()
        }
    if form == "kml":
        said = ElementTree.parse(path).getroot().find(f"{KML}Document/{KML}ExtendedData")
        assert {child.attrib["name"]: unescape(child[0].text or "") for child in said or ()} == {
            key: str(value) for key, value in found.heading.items()
        }


def zeroed(data: bytes) -> bytes:
    """The file with zeros for its digits, found without a word of the format: the last 64 hex digits in a row."""
    *_, last = re.finditer(rb"[0-9a-f]{64}", data)
    return data[: last.start()] + b"0" * 64 + data[last.end() :]


def test_s18_no_cell_of_any_line_is_a_formula_whatever_separates_cells(fleet: House, tmp_path: Path) -> None:
    text = saved(fleet, tmp_path).read_bytes().decode("utf-8-sig")
    for separator in ",;\t|":
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if not cells[0].startswith("#") and separator != ",":
                continue  # a table read with the wrong separator is no table
            assert not any(cell[:1] in tuple("=@\t\r＝＋－＠") for cell in cells), cells
            assert not any(cell[:1] in ("+", "-") and not re.fullmatch(r"[+-]?[0-9.]+", cell) for cell in cells)


def test_s7_google_earth_is_shown_no_html_that_anybody_wrote(fleet: House, tmp_path: Path) -> None:
    """It takes texts of KML for HTML: what is left after the XML is read must not hold a tag."""
    root = ElementTree.parse(saved(fleet, tmp_path, form="kml", purpose="case:A:<script>x</script>")).getroot()
    texts = [text for element in root.iter() for text in (element.text, element.tail, *element.attrib.values()) if text]
    assert not [text for text in texts if "<" in text]
    assert any("&lt;script&gt;" in text for text in texts)


def test_lines_are_cut_at_gaps(fleet: House, tmp_path: Path) -> None:
    gpx = ElementTree.parse(saved(fleet, tmp_path, form="gpx", devices=["taxi/2"])).getroot()
    assert [len(segment) for segment in gpx.iter(f"{GPX}trkseg")] == [3, 2]
    kml = ElementTree.parse(saved(fleet, tmp_path, form="kml", devices=["taxi/2"])).getroot()
    assert [len(track.findall(f"{KML}when")) for track in kml.iter(f"{GX}Track")] == [3, 2]


@pytest.mark.parametrize("devices", [["taxi/3"], ["taxi/1", "taxi/2", "taxi/1"]])
def test_pieces_of_any_size_make_the_same_points(
    fleet: House, tmp_path: Path, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for form in FORMS:
        whole = READERS[form](saved(fleet, tmp_path, form=form, devices=devices))
        with monkeypatch.context() as patch:
            patch.setattr("console.export_operations.DEFAULT_PIECE_ROWS", 2)
            patch.setattr("console.export_operations._SLICE_MS", 7 * MINUTE_MS)
            path = saved(fleet, tmp_path, form=form, devices=devices)
        assert READERS[form](path) == whole
        assert verify(path).heading["points"] == (11 if len(devices) > 1 else 0)


def test_a_week_boundary_and_the_order_of_devices(fleet: House, tmp_path: Path) -> None:
    week = 7 * 86_400_000
    start = START_MS - 3 * week
    fleet.put("taxi/3", [start, start + week - 1, start + week, START_MS - 1])
    for form in FORMS:
        path = saved(fleet, tmp_path, form=form, devices=["taxi/3", "taxi/2"], from_ms=start)
        rows = READERS[form](path)
        assert [row["device"] for row in rows] == ["taxi/2"] * 5 + ["taxi/3"] * 4
        assert [row["time"] for row in rows[5:]] == [
            "2026-11-01T08:00:00.000Z",
            "2026-11-08T07:59:59.999Z",
            "2026-11-08T08:00:00.000Z",
            "2026-11-22T07:59:59.999Z",
        ]


class TestAudit:
    def test_every_device_and_then_the_file_is_audited_before_a_byte_leaves(self, fleet: House) -> None:
        found = made(fleet, form="parquet", datum="gcj02", purpose="case:A-17")
        assert fleet.actions()[-4:] == [
            ("series.track", "taxi/1", "case:A-17"),
            ("series.track", "taxi/2", "case:A-17"),
            ("series.track", "taxi/3", "case:A-17"),
            ("export.made", "3 devices", "case:A-17"),
        ]
        detail = fleet.rooms.audit.rows(limit=1000)[-1].detail
        assert detail == {
            "from_ms": FROM_MS, "to_ms": TO_MS, "kind": "taxi", "named": [], "allowed_by": "", "format": "parquet",
            "devices": 3, "points": 11, "datum": "GCJ-02", "bytes": found.size, "sha256": found.sha256, "via": "process",
        }  # fmt: skip
        made(fleet, devices=["taxi/2"])
        row = fleet.rooms.audit.rows(limit=1000)[-1]
        assert (row.target, row.detail["named"]) == ("taxi/2", ["taxi/2"])

    def test_s20_without_an_audit_there_is_no_file(self, fleet: House, monkeypatch: pytest.MonkeyPatch) -> None:
        append, left = fleet.rooms.audit.append, [3]

        def failing(*arguments: Any, **named: Any) -> int:
            left[0] -= 1
            if left[0] < 0:
                raise AuditUnwritable("The audit cannot be written.")
            return append(*arguments, **named)

        monkeypatch.setattr(fleet.rooms.audit, "append", failing)
        for rows in (3, 0):  # at the last row, `export.made`, and at the first
            left[0] = rows
            before = open_files()
            with pytest.raises(AuditUnwritable):
                made(fleet)
            assert open_files() == before
        monkeypatch.undo()
        assert b"".join(made(fleet).pieces())  # no turn was lost

    def test_nothing_of_an_export_has_a_name_and_nothing_stays_open(self, fleet: House) -> None:
        before, files = open_files(), sorted(fleet.rooms.data_dir.rglob("*"))
        for end in (lambda one: b"".join(one.pieces()), lambda one: one.close(), lambda one: next(one.pieces())):
            for form in FORMS:
                one = made(fleet, form=form)
                assert sorted(fleet.rooms.data_dir.rglob("*")) == files
                end(one)
                del one
        assert open_files() == before


def open_files() -> list[str]:
    """What this process has open that has no name any more."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(link.readlink()))
    found = [target for target in found if target.endswith("(deleted)")]
    return sorted(found)


class TestEbikes:
    def test_never_as_a_kind_nor_without_a_reason(self, fleet: House) -> None:
        with pytest.raises(UsageError, match="E-bikes"):
            made(fleet, kind="ebike")
        for purpose in ("patrol", "subject_request", "case:C2026-000001"):
            with pytest.raises(Refused, match="owner"):
                made(fleet, devices=["taxi/1", "ebike/1"], purpose=purpose)
            assert fleet.actions()[-1] == ("read.refused", "ebike/1", purpose)

    def test_by_its_name_for_its_owner(self, fleet: House, tmp_path: Path) -> None:
        path = saved(fleet, tmp_path, devices=["ebike/1"], purpose="subject_request:R-17")
        assert {row["device"] for row in read_csv(path)} == {"ebike/1"}


def test_roles_that_see_no_content_export_nothing(fleet: House) -> None:
    caller = type(fleet.caller)("clerk", "cli", "process")
    with pytest.raises(Refused, match="auditor"):
        fleet.operations.export_tracks(caller, FROM_MS, TO_MS, kind="taxi")
    assert fleet.actions()[-1][:2] == ("read.refused", "export")


def test_a_disabled_device_has_a_past(fleet: House, tmp_path: Path) -> None:
    fleet.ask("device_disable", device="taxi/2")
    assert {row["device"] for row in read_csv(saved(fleet, tmp_path))} == {"taxi/1", "taxi/2"}


def test_s17_no_secret_is_in_any_export_nor_in_its_audit(fleet: House, tmp_path: Path) -> None:
    canary = "canary-3f9c1b"
    fleet.ask(
        "device_add", device="camera/1", rtsp=f"rtsp://u:{canary}@10.0.0.1/x", owner_ref=canary, phone="13900000000"
    )
    fleet.ask("device_add", device="taxi/9", owner_ref=canary, imei="860000000000001")
    password = fleet.ask("device_credentials", device="taxi/1")["password"]
    fleet.put("taxi/9", [FROM_MS])
    for form in FORMS:
        data = saved(fleet, tmp_path, form=form).read_bytes()
        for secret in (canary, password, "860000000000001", "13900000000"):
            assert secret.encode() not in data
    assert not any(canary in json.dumps(row.detail) or password in json.dumps(row.detail) for row in audit(fleet))


def audit(house: House) -> list[Any]:
    return house.rooms.audit.rows(limit=1000)


class TestWide:
    @pytest.fixture
    def settings(self) -> Settings:
        users = {"tester": "operator", "boss": "approver"}
        return Settings(operators=Operators(users=users), approvals=Approvals(wide_vehicles=2))

    def test_many_vehicles_wait_for_a_second_person(self, fleet: House, tmp_path: Path) -> None:
        with pytest.raises(ApprovalNeeded, match="3 vehicles"):
            made(fleet)
        assert made(fleet, devices=["taxi/1", "taxi/2"]).told["allowed_by"] == ""
        with pytest.raises(ApprovalNeeded) as waits:
            made(fleet, approval="ask:a court asks")
        boss = type(fleet.caller)("boss", "cli", "process")
        fleet.operations.approval_grant(boss, waits.value.approval)
        path = saved(fleet, tmp_path, approval=waits.value.approval)
        by = f"{waits.value.approval} granted by boss"
        assert verify(path).heading["allowed_by"] == by
        assert audit(fleet)[-1].detail["allowed_by"] == by
        saved(fleet, tmp_path, approval=waits.value.approval, form="kml", datum="gcj02")
        for other in ({"to_ms": TO_MS + 1}, {"devices": ["taxi/1", "taxi/2", "taxi/3"]}):
            with pytest.raises(Refused):
                made(fleet, approval=waits.value.approval, **other)
        fleet.ask("device_add", device="taxi/4")
        with pytest.raises(Refused):
            made(fleet, approval=waits.value.approval)


class TestBulk:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(approvals=Approvals(bulk_vehicle_days=5))

    def test_many_days_of_few_vehicles_are_a_bulk_export(self, fleet: House) -> None:
        made(fleet, devices=["taxi/1"], from_ms=TO_MS - 5 * 86_400_000)
        with pytest.raises(ApprovalNeeded, match="6 vehicle-days"):
            made(fleet, devices=["taxi/1"], from_ms=TO_MS - 5 * 86_400_000 - 1)


class TestLimits:
    @pytest.fixture
    def settings(self) -> Settings:
        limits = Export(max_points=1_000, max_device_days=60, max_file_bytes=1 << 20, max_running=1, min_free_bytes=0)
        return Settings(export=limits, approvals=Approvals(bulk_vehicle_days=100, wide_age_days=0))

    def test_s16_huge_ranges_are_refused_before_anything_is_read(self, fleet: House) -> None:
        before = len(audit(fleet))
        with pytest.raises(Refused, match="3 devices for 21 days are 63 device-days, more than 60"):
            made(fleet, from_ms=TO_MS - 21 * 86_400_000)
        with pytest.raises(Refused, match="device-days"):
            made(fleet, devices=["taxi/1"], from_ms=-62_135_596_800_000, to_ms=253_402_300_800_000)
        with pytest.raises(UsageError):
            made(fleet, to_ms=253_402_300_800_001)
        with pytest.raises(UsageError):
            made(fleet, kind="", devices=[f"taxi/{at}" for at in range(1_001)])
        assert len(audit(fleet)) == before

    def test_too_many_points_end_it_with_nothing_given_out(self, fleet: House) -> None:
        fleet.put("taxi/3", (FROM_MS + np.arange(990)).tolist())
        with pytest.raises(Refused, match="more than 1000 points"):
            made(fleet)
        assert "export.made" not in {action for action, _, _ in fleet.actions()}
        assert len(read_all(made(fleet, devices=["taxi/3"]))) > 990  # and its turn is free again

    def test_a_file_over_its_limit(self, fleet: House) -> None:
        noise = b'{"noise":"%s"}'
        extra = {at: noise % os.urandom(2_000).hex().encode() for at in range(600)}
        columns = {"time_ms": FROM_MS + np.arange(600), "lat": np.full(600, 40.0), "lon": np.full(600, 109.0)}
        put(fleet, "taxi/3", columns, extra)
        for form in FORMS:
            with pytest.raises(Refused, match="1048576 bytes"):
                made(fleet, devices=["taxi/3"], form=form)
            made(fleet, devices=["taxi/1"], form=form).close()

    def test_one_at_a_time(self, fleet: House) -> None:
        first = made(fleet)
        with pytest.raises(TryAgain, match="1 exports"):
            made(fleet)
        first.close()
        made(fleet)  # forgotten at once, and so is its turn
        made(fleet).close()

    def test_a_disk_that_is_full_for_the_stores(self, fleet: House) -> None:
        object.__setattr__(fleet.rooms.settings.export, "min_free_bytes", 1 << 60)
        with pytest.raises(Refused, match="left for the stores"):
            made(fleet)


def read_all(found: Exported) -> bytes:
    return b"".join(found.pieces())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"form": "xlsx"}, UsageError),
        ({"datum": "mars"}, UsageError),
        ({"form": "kml", "plain": True}, UsageError),
        ({"kind": "bus"}, UsageError),
        ({"kind": "unit"}, UsageError),
        ({"kind": "", "devices": []}, UsageError),
        ({"kind": "taxi", "devices": ["taxi/1"]}, UsageError),
        ({"devices": ["taxi/99"]}, NotFound),
        ({"devices": ["../x"]}, UsageError),
        ({"from_ms": TO_MS}, UsageError),
        ({"purpose": "curiosity"}, UsageError),
    ],
)
def test_what_is_not_exported(fleet: House, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        made(fleet, **arguments)


def test_a_killed_export_leaves_nothing_in_the_data_folder(fleet: House) -> None:
    """The process that makes one is killed while its file is on the disk."""
    folder = fleet.rooms.data_dir
    files = sorted(path.name for path in folder.iterdir())
    code = """
import os, sys
from pathlib import Path
from console.exports.spool import Spool
spool = Spool(Path(sys.argv[1]), max_bytes=1 << 30, min_free_bytes=0)
spool.write(bytes(4 << 20))
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert done.returncode == -9
    assert sorted(path.name for path in folder.iterdir()) == files
