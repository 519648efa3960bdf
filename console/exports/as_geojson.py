"""GeoJSON (RFC 7946): one Feature for each point, on a line of its own; the heading is a member of the collection.

The first line is the head. A point without a place is a Feature without a geometry. RFC 7946 knows WGS-84 alone: another
datum is what `datum` in the heading says, and only for whoever asked for it.
"""

from __future__ import annotations

import msgspec

from console.exports.heading import VERSION_KEY, Heading
from console.exports.points import value_columns
from console.exports.spool import Spool
from console.point_keys import POINT_KEYS
from model.batch import PointBatch

_PROPERTIES = (*(key for key in POINT_KEYS if key not in ("lat", "lon")), "extra")


class GeoJsonShape:
    """See the module."""

    def __init__(self, out: Spool, datum: str) -> None:
        self._out = out
        self._datum = datum
        self._separator = b""

    def add(self, device: str, points: PointBatch) -> None:
        columns = value_columns(points, self._datum)
        extra = columns["extra"]
        columns["extra"] = [None if text is None else msgspec.Raw(text.encode()) for text in extra]
        encode = msgspec.json.Encoder().encode
        lines = []
        beside = zip(*(columns[key] for key in _PROPERTIES), strict=True)
        for lat, lon, alt_m, values in zip(columns["lat"], columns["lon"], columns["alt_m"], beside, strict=True):
            geometry = None
            if lat is not None and lon is not None:
                coordinates = (lon, lat) if alt_m is None else (lon, lat, alt_m)
                geometry = {"type": "Point", "coordinates": coordinates}
            properties = {"device": device, **dict(zip(_PROPERTIES, values, strict=True))}
            lines.append(encode({"type": "Feature", "geometry": geometry, "properties": properties}))
        self._out.write(self._separator + b",\n".join(lines))
        self._separator = b",\n"

    def finish(self, heading: Heading) -> bytes:
        self._out.write(b"\n]}\n")
        fields = heading.fields()
        said = msgspec.json.encode(dict(fields))
        return b'{"type":"FeatureCollection","' + VERSION_KEY.encode() + b'":' + said + b',"features":[\n'
