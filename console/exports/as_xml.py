"""GPX 1.1 and KML 2.2: for each device a track, cut where there was a gap; every value of a point is kept.

The first line is the head. Points without a place are left out; the heading tells how many. Both formats know WGS-84 alone: another
datum is said in the heading and in the file's name as a map shows it. Google Earth shows texts of KML as HTML, so
texts that people or devices wrote are escaped for HTML there, and then for XML.
Sources: GPX 1.1 schema (topografix.com/GPX/1/1); OGC KML 2.2 with `gx:` of its extension namespace.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from console.exports.heading import Heading
from console.exports.points import Runs, text_columns, with_place
from console.exports.spool import Spool
from console.point_keys import POINT_KEYS
from console.track_formats import xml_text
from model.batch import PointBatch

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_BESIDE = (*(key for key in POINT_KEYS if key not in ("time", "lat", "lon")), "extra")


def _title(heading: Heading) -> str:
    """What a map shows as the name of the file: nothing that anybody wrote."""
    wrong = "" if heading.datum == "WGS-84" else ", not WGS-84"
    return f"lucheng {heading.start} – {heading.end} ({heading.datum}{wrong})"


class GpxShape:
    """A `trk` for each device, a `trkseg` for each run; what GPX has no element for is in extensions."""

    def __init__(self, out: Spool, datum: str, gap_ms: int) -> None:
        self._out = out
        self._datum = datum
        self._runs = Runs(gap_ms)
        self._open = False

    def add(self, device: str, points: PointBatch) -> None:
        points = with_place(points)
        if not len(points):
            return
        new, starts = self._runs.cut(device, points.time_ms)
        columns = text_columns(points, self._datum)
        lines = _gpx_points(columns)
        for start in starts.tolist():
            if start or not new:
                lines[start] = "</trkseg><trkseg>\n" + lines[start]
        if new:
            lines.insert(0, f"{'</trkseg></trk>' * self._open}<trk><name>{xml_text(device)}</name><trkseg>\n")
        self._open = True
        self._out.write("".join(lines).encode())

    def finish(self, heading: Heading) -> bytes:
        self._out.write(f"{'</trkseg></trk>' * self._open}\n</gpx>\n".encode())
        said = "".join(f"<l:{key}>{xml_text(_line(value))}</l:{key}>" for key, value in heading.fields().items())
        return (
            f'{_DECLARATION}<gpx version="1.1" creator="lucheng" xmlns="http://www.topografix.com/GPX/1/1" '
            f'xmlns:l="urn:lucheng:gpx:1"><metadata><name>{xml_text(_title(heading))}</name>'
            f"<time>{heading.asked}</time><extensions>{said}</extensions></metadata>\n"
        ).encode("utf-8", "replace")


def _line(value: Any) -> str:
    """A heading's value on one line."""
    return str(value).replace("\r", " ").replace("\n", " ")


def _gpx_points(columns: dict[str, list[Any]]) -> list[str]:
    columns["extra"] = [None if text is None else xml_text(text) for text in columns["extra"]]
    beside = zip(*(columns[key] for key in _BESIDE), strict=True)
    lines = []
    for time, lat, lon, values in zip(columns["time"], columns["lat"], columns["lon"], beside, strict=True):
        said = dict(zip(_BESIDE, values, strict=True))
        height = "" if said["alt_m"] is None else f"<ele>{said['alt_m']}</ele>"
        satellites = "" if said["sat"] is None else f"<sat>{said['sat']}</sat>"
        more = "".join([f"<l:{key}>{value}</l:{key}>" for key, value in said.items() if value is not None])
        lines.append(
            f'<trkpt lat="{lat}" lon="{lon}">{height}<time>{time}</time>{satellites}'
            f"<extensions>{more}</extensions></trkpt>\n"
        )
    return lines


class KmlShape:
    """A placemark for each device with one `gx:Track` for each run (and each piece of points, so that memory is bounded)."""

    def __init__(self, out: Spool, datum: str, gap_ms: int) -> None:
        self._out = out
        self._datum = datum
        self._runs = Runs(gap_ms)
        self._open = False
        kinds = "".join(f'<gx:SimpleArrayField name="{key}" type="string"/>' for key in _BESIDE)
        out.write(f'<Schema id="point">{kinds}</Schema>\n'.encode())

    def add(self, device: str, points: PointBatch) -> None:
        points = with_place(points)
        if not len(points):
            return
        new, starts = self._runs.cut(device, points.time_ms)
        columns = text_columns(points, self._datum)
        columns["extra"] = [None if text is None else xml_text(escape(text)) for text in columns["extra"]]
        parts = []
        if new:
            close = "</gx:MultiTrack></Placemark>\n" * self._open
            parts.append(f"{close}<Placemark><name>{xml_text(device)}</name><gx:MultiTrack>\n")
        edges = np.unique(np.concatenate(([0], starts, [len(points)]))).tolist()
        parts += [_kml_track(columns, slice(*edge)) for edge in pairwise(edges)]
        self._open = True
        self._out.write("".join(parts).encode())

    def finish(self, heading: Heading) -> bytes:
        self._out.write(f"{'</gx:MultiTrack></Placemark>' * self._open}\n</Document></kml>\n".encode())
        said = "".join(
            f'<Data name="{key}"><value>{xml_text(escape(_line(value)))}</value></Data>'
            for key, value in heading.fields().items()
        )
        return (
            f'{_DECLARATION}<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2">'
            f"<Document><name>{xml_text(_title(heading))}</name><ExtendedData>{said}</ExtendedData>\n"
        ).encode("utf-8", "replace")


def _kml_track(columns: dict[str, list[Any]], rows: slice) -> str:
    places = zip(columns["lon"][rows], columns["lat"][rows], columns["alt_m"][rows], strict=True)
    when = "".join([f"<when>{time}</when>\n" for time in columns["time"][rows]])
    where = "".join(
        [f"<gx:coord>{lon} {lat} {0 if alt_m is None else alt_m}</gx:coord>\n" for lon, lat, alt_m in places]
    )
    said = "".join(
        f'<gx:SimpleArrayData name="{key}">'
        + "".join(["<gx:value/>" if value is None else f"<gx:value>{value}</gx:value>" for value in columns[key][rows]])
        + "</gx:SimpleArrayData>\n"
        for key in _BESIDE
    )
    data = f'<ExtendedData><SchemaData schemaUrl="#point">\n{said}</SchemaData></ExtendedData>'
    return f"<gx:Track>\n{when}{where}{data}</gx:Track>\n"
