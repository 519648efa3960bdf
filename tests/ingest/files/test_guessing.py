"""A file's format is told by its first line, or the file is refused in words."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ingest.files import guess_format
from model.errors import BadInput


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"ts_utc,cab_id,lat,lon,occupied\n", "cabspotting"),
        (b"TaxiID,TimeStamp,Longitude,Latitude\r\n", "tdrive"),
        (b"28249, 00:00:00, 113.796684, 22.682667, 0, 30\n", "shenzhen"),
        (b"device,time,lat,lon,speed_kmh\n", "csv"),
        (b'\xef\xbb\xbf"lat","lon","device","time"\n', "csv"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_first_line_tells(tmp_path: Path, line: bytes, name: str, zipped: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(line) if zipped else line)
    assert guess_format(path) == name


@pytest.mark.parametrize("content", [b"", b"\0\1\2\3", b"hello\n", b"a,b,c,d\n", b"\x1f\x8bxx"])
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(BadInput):
        guess_format(path)


def test_so_is_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        guess_format(tmp_path)
    with pytest.raises(BadInput):
        guess_format(tmp_path / "absent")
