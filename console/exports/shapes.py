"""The forms of an export: what each is given, and what it leaves.

A shape is given the points of one device after another, each in order of time, writes data to its spool as it goes, and at the
end gives the head that stands before them. Points come in pieces: nothing of a shape's memory grows with the number
of points, but for Parquet's list of row groups.
"""

from __future__ import annotations

from typing import Protocol

from console.exports.heading import Heading
from model.batch import PointBatch

#: Points given to a shape at a time.
DEFAULT_PIECE_ROWS = 16_384

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "geojson": "application/geo+json",
    "gpx": "application/gpx+xml",
    "kml": "application/vnd.google-earth.kml+xml",
    "parquet": "application/vnd.apache.parquet",
}


class Shape(Protocol):
    """One export in the making."""

    def add(self, device: str, points: PointBatch) -> None:
        """Write points, one at least; their places are in the datum of the export."""
        ...

    def finish(self, heading: Heading) -> bytes:
        """Write what comes after the points; the head, with zeros for its digits, or nothing where it is in the data."""
        ...
