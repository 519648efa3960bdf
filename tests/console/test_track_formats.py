"""The formats of a track, checked by parsing them with other programs' parsers."""

import csv
import io
import json
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.point_keys import POINT_KEYS
from console.track_formats import FORMATS, csv_text, geojson_text, gpx_text, kml_text, safe_cell
from console.track_rows import point_rows, rfc3339, track_json
from model.batch import PointBatch
from model.codes import ALARM_BY_NAME, Flag, Mark

GPX = "{http://www.topografix.com/GPX/1/1}"
OURS = "{urn:lucheng:gpx:1}"
KML = "{http://www.opengis.net/kml/2.2}"
GX = "{http://www.google.com/kml/ext/2.2}"
START_MS = 1_795_334_400_000  # 2026-11-22T08:00:00Z


def batch() -> PointBatch:
    """Three points: everything sent, nothing sent, no place."""
    nan = float("nan")
    return PointBatch.of(
        3,
        {
            "slot": 0,
            "time_ms": [START_MS, START_MS + 1_500, START_MS + 3_000],
            "received_ms": START_MS + 5_000,
            "seq": [7, -1, -1],
            "lat": [40.1234567, 40.2, nan],
            "lon": [109.9876543, 109.8, nan],
            "speed_kmh": [31.54, nan, nan],
            "heading_deg": [182.04, nan, nan],
            "alt_m": [1066.0, nan, nan],
            "sat": [11, -1, -1],
            "battery_pct": [0, -1, -1],
            "flags": [
                Flag.VALID | Flag.VALID_SENT | Flag.OCCUPIED_SENT | Flag.IGNITION | Flag.IGNITION_SENT,
                0,
                Flag.BUFFERED,
            ],
            "alarm_bits": [1 << ALARM_BY_NAME["sos"].bit | 1 << ALARM_BY_NAME["overspeed"].bit, 0, 0],
            "marks": [Mark.JUMP | Mark.LATE, 0, 0],
        },
        {0: b'{"rssi":-70}', 2: b"no json"},
    )


def rows() -> list[dict[str, Any]]:
    return [row for chunk in point_rows(batch()) for row in chunk]


def test_a_row_says_what_was_sent_and_null_for_the_rest() -> None:
    first, second, third = rows()
    assert first == {
        "time": "2026-11-22T08:00:00.000Z",
        "lat": 40.123457,
        "lon": 109.987654,
        "speed_kmh": 31.5,
        "heading_deg": 182.0,
        "alt_m": 1066.0,
        "acc_m": None,
        "sat": 11,
        "battery_pct": 0,
        "seq": 7,
        "valid": True,
        "ignition": True,
        "occupied": False,
        "armed": None,
        "buffered": False,
        "alarms": ["sos", "overspeed"],
        "marks": ["late", "jump"],
        "received": "2026-11-22T08:00:05.000Z",
        "extra": {"rssi": -70},
    }
    assert second["time"] == "2026-11-22T08:00:01.500Z"
    unsent = ("speed_kmh", "heading_deg", "alt_m", "sat", "battery_pct", "seq", "valid", "ignition", "occupied")
    assert [second[key] for key in unsent] == [None] * len(unsent)
    assert "extra" not in second
    assert (third["lat"], third["lon"], third["buffered"], third["extra"]) == (None, None, True, "no json")


@pytest.mark.parametrize("chunk_rows", [1, 2, 3, 100])
def test_the_json_is_the_same_in_pieces_of_any_size(chunk_rows: int) -> None:
    made = json.loads(b"".join(track_json('taxi/"1', batch(), chunk_rows=chunk_rows)))
    assert made == {"device": 'taxi/"1', "points": rows()}


def test_an_empty_track_is_an_empty_list() -> None:
    assert json.loads(b"".join(track_json("taxi/1", PointBatch.empty()))) == {"device": "taxi/1", "points": []}


def test_times_before_1970_and_far_ahead_are_written() -> None:
    assert rfc3339(np.array([-1, 253_402_300_799_999], np.int64)) == [
        "1969-12-31T23:59:59.999Z",
        "9999-12-31T23:59:59.999Z",
    ]


def test_csv_reads_back() -> None:
    read = list(csv.DictReader(io.StringIO("".join(csv_text("taxi/1", rows())), newline="")))
    assert list(read[0]) == ["device", *POINT_KEYS, "extra"]
    assert [row["device"] for row in read] == ["taxi/1"] * 3
    assert (read[0]["lat"], read[0]["occupied"], read[0]["alarms"]) == ("40.123457", "false", "sos overspeed")
    assert json.loads(read[0]["extra"]) == {"rssi": -70}
    assert (read[1]["speed_kmh"], read[2]["lat"]) == ("", "")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+86 139", "'+86 139"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1+1", "'＝1+1"),
        ("-12.5", "-12.5"),
        ("+1e-5", "+1e-5"),
        (-12.5, "-12.5"),
        (["=1", "x"], "'=1 x"),
        ("蒙B·12345", "蒙B·12345"),
        (None, ""),
        (True, "true"),
    ],
)
def test_s18_a_formula_is_disarmed_and_a_number_is_not(value: object, cell: str) -> None:
    assert safe_cell(value) == cell


@given(st.text(max_size=40))
def test_s18_no_text_at_all_comes_out_as_a_formula(text: str) -> None:
    cell = safe_cell(text)
    assert cell[:1] not in tuple("=@\t\r\n＝＋－＠")
    if cell[:1] in ("+", "-"):
        float(cell)


def test_geojson_has_the_line_and_the_values_beside_it() -> None:
    made = json.loads("".join(geojson_text("taxi/1", rows())))
    (feature,) = made["features"]
    assert made["type"] == "FeatureCollection"
    assert feature["geometry"] == {
        "type": "LineString",
        "coordinates": [[109.987654, 40.123457, 1066.0], [109.8, 40.2]],
    }
    assert feature["properties"] == {
        "device": "taxi/1",
        "times": ["2026-11-22T08:00:00.000Z", "2026-11-22T08:00:01.500Z"],
        "speeds_kmh": [31.5, None],
        "headings_deg": [182.0, None],
    }


def test_geojson_of_one_point_and_of_none() -> None:
    one = json.loads("".join(geojson_text("taxi/1", rows()[:1])))
    none = json.loads("".join(geojson_text("taxi/1", rows()[2:])))
    assert one["features"][0]["geometry"] == {"type": "Point", "coordinates": [109.987654, 40.123457, 1066.0]}
    assert none["features"][0]["geometry"] is None


def test_gpx_parses_and_keeps_the_order_of_its_schema() -> None:
    root = ElementTree.fromstring("".join(gpx_text("taxi/1", rows())))
    assert (root.tag, root.get("version")) == (f"{GPX}gpx", "1.1")
    first, second = root.findall(f"{GPX}trk/{GPX}trkseg/{GPX}trkpt")
    assert (first.get("lat"), first.get("lon")) == ("40.123457", "109.987654")
    assert [child.tag for child in first] == [f"{GPX}ele", f"{GPX}time", f"{GPX}sat", f"{GPX}extensions"]
    assert first.findtext(f"{GPX}extensions/{OURS}speed_kmh") == "31.5"
    assert [child.tag for child in second] == [f"{GPX}time"]


def test_kml_parses_and_pairs_times_with_places() -> None:
    root = ElementTree.fromstring("".join(kml_text("taxi/1", rows())))
    track = root.find(f"{KML}Document/{KML}Placemark/{GX}Track")
    assert track is not None
    assert [when.text for when in track.findall(f"{KML}when")] == [
        "2026-11-22T08:00:00.000Z",
        "2026-11-22T08:00:01.500Z",
    ]
    assert [place.text for place in track.findall(f"{GX}coord")] == ["109.987654 40.123457 1066.0", "109.8 40.2 0"]


@given(st.text(max_size=30))
def test_s7_no_name_breaks_out_of_xml_or_json(name: str) -> None:
    for shape in ("gpx", "kml"):
        root = ElementTree.fromstring("".join(FORMATS[shape](name, rows())).encode("utf-8", "surrogatepass"))
        assert len(list(root.iter())) == {"gpx": 13, "kml": 10}[shape]
    made = json.loads("".join(geojson_text(name, rows())))
    assert made["features"][0]["properties"]["device"] == name


def test_a_script_in_a_name_stays_text() -> None:
    name = '</name><script>alert(1)</script>&"\x00'
    root = ElementTree.fromstring("".join(gpx_text(name, rows())))
    assert root.findtext(f"{GPX}trk/{GPX}name") == name.replace("\x00", "\ufffd")
