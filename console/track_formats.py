"""A track as CSV, GeoJSON, GPX 1.1 or KML 2.2: pure functions from rows to text.

Input is rows as `console.track_rows` makes them, in order, as an iterable read once; output is
pieces of text. Every text is escaped for its format: a CSV cell that a spreadsheet would run as a
formula gets a leading apostrophe; XML is escaped and cleaned of characters XML cannot hold.
Points without a place are in CSV and absent from the maps' formats.
Sources: RFC 4180 (CSV), RFC 7946 (GeoJSON), GPX 1.1 schema (topografix.com/GPX/1/1), OGC KML 2.2
with the `gx:Track` of its extension namespace.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from console.point_keys import POINT_KEYS

Row = Mapping[str, Any]

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
#: First characters that spreadsheets take for a formula, full-width forms too.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
#: What XML 1.0 cannot hold at all (section 2.2).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def safe_cell(value: Any) -> str:
    """A CSV cell's text: a formula is disarmed by a leading apostrophe, numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return safe_cell(" ".join(str(item) for item in value))
    if isinstance(value, dict):
        return safe_cell(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    text = str(value)
    if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def csv_text(device: str, rows: Iterable[Row]) -> Iterator[str]:
    """RFC 4180 CSV with a header line: device, the keys of a point, extra."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")

    def taken() -> str:
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text

    writer.writerow(("device", *POINT_KEYS, "extra"))
    yield taken()
    name = safe_cell(device)
    for row in rows:
        writer.writerow((name, *(safe_cell(row.get(key)) for key in POINT_KEYS), safe_cell(row.get("extra"))))
        yield taken()


def _placed(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if row["lat"] is not None and row["lon"] is not None)


def geojson_text(device: str, rows: Iterable[Row]) -> Iterator[str]:
    """A FeatureCollection: the line of the track, with its times, speeds and courses beside it.

    One point makes a Point, none makes a feature without geometry.
    """
    coordinates: list[list[float]] = []
    beside: dict[str, list[Any]] = {"times": [], "speeds_kmh": [], "headings_deg": []}
    for row in _placed(rows):
        place = [row["lon"], row["lat"]]
        coordinates.append(place if row["alt_m"] is None else [*place, row["alt_m"]])
        beside["times"].append(row["time"])
        beside["speeds_kmh"].append(row["speed_kmh"])
        beside["headings_deg"].append(row["heading_deg"])
    geometry: dict[str, Any] | None = None
    if len(coordinates) == 1:
        geometry = {"type": "Point", "coordinates": coordinates[0]}
    elif coordinates:
        geometry = {"type": "LineString", "coordinates": coordinates}
    feature = {"type": "Feature", "geometry": geometry, "properties": {"device": device, **beside}}
    yield json.dumps({"type": "FeatureCollection", "features": [feature]}, ensure_ascii=False, separators=(",", ":"))
    yield "\n"


def xml_text(text: str) -> str:
    """Text as XML character data."""
    return escape(_NOT_XML.sub("\ufffd", text))


def gpx_text(device: str, rows: Iterable[Row]) -> Iterator[str]:
    """GPX 1.1 with one track of one segment; speed and course are in an extension, for 1.1 has no field for them."""
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gpx version="1.1" creator="lucheng" xmlns="http://www.topografix.com/GPX/1/1" xmlns:l="urn:lucheng:gpx:1">\n'
        f"<trk><name>{xml_text(device)}</name><trkseg>\n"
    )
    for row in _placed(rows):
        parts = [f'<trkpt lat="{row["lat"]}" lon="{row["lon"]}">']
        if row["alt_m"] is not None:
            parts.append(f"<ele>{row['alt_m']}</ele>")
        parts.append(f"<time>{row['time']}</time>")
        if row["sat"] is not None:
            parts.append(f"<sat>{row['sat']}</sat>")
        extension = [f"<l:{key}>{row[key]}</l:{key}>" for key in ("speed_kmh", "heading_deg") if row[key] is not None]
        if extension:
            parts.append("<extensions>" + "".join(extension) + "</extensions>")
        parts.append("</trkpt>\n")
        yield "".join(parts)
    yield "</trkseg></trk>\n</gpx>\n"


def kml_text(device: str, rows: Iterable[Row]) -> Iterator[str]:
    """KML 2.2 with one placemark holding a `gx:Track` (times, then places)."""
    name = xml_text(device)
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2">\n'
        f"<Document><name>{name}</name><Placemark><name>{name}</name><gx:Track>\n"
    )
    coordinates: list[str] = []
    for row in _placed(rows):
        altitude = 0 if row["alt_m"] is None else row["alt_m"]
        coordinates.append(f"<gx:coord>{row['lon']} {row['lat']} {altitude}</gx:coord>\n")
        yield f"<when>{row['time']}</when>\n"
    yield from coordinates
    yield "</gx:Track></Placemark></Document></kml>\n"


FORMATS: dict[str, Callable[[str, Iterable[Row]], Iterator[str]]] = {
    "csv": csv_text,
    "geojson": geojson_text,
    "gpx": gpx_text,
    "kml": kml_text,
}
