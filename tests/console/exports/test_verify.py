"""The check of an exported file: a changed bit anywhere, a cut, a sidecar that says otherwise, and what sha256sum says."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.exports.as_csv import CsvShape
from console.exports.as_geojson import GeoJsonShape
from console.exports.as_parquet import ParquetShape
from console.exports.as_xml import GpxShape, KmlShape
from console.exports.heading import Heading
from console.exports.shapes import MEDIA_TYPES, Shape
from console.exports.spool import Exported, Spool
from console.exports.verify import SIDECAR_SUFFIX, sidecar, verify
from model.batch import PointBatch
from model.errors import BadInput, Corrupt

POINTS = PointBatch.of(
    3, {"slot": 0, "time_ms": [0, 1_000, 2_000], "received_ms": 5_000, "lat": [40.1, 40.2, float("nan")], "lon": 109.9}
)


def shape(form: str, out: Spool) -> Shape:
    if form in ("csv", "plain"):
        return CsvShape(out, "wgs84", plain=form == "plain")
    if form == "geojson":
        return GeoJsonShape(out, "wgs84")
    if form == "parquet":
        return ParquetShape(out, "wgs84")
    return (GpxShape if form == "gpx" else KmlShape)(out, "wgs84", 300_000)


def exported(form: str, folder: Path, purpose: str = "test", who: str = "tester") -> bytes:
    out = Spool(folder, max_bytes=1 << 20, min_free_bytes=0)
    made = shape(form, out)
    made.add("taxi/1", POINTS)
    heading = Heading(
        "包头", "GCJ-02", purpose, who, "officer", "", "a", "b", "c", "", ("taxi/1",), points=3, points_without_place=1
    )
    head = made.finish(heading)
    return b"".join(Exported("", "x", head, out, heading.fields()).pieces())


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_every_changed_byte_is_told(form: str, tmp_path: Path) -> None:
    data, path = exported(form, tmp_path), tmp_path / "file"
    path.write_bytes(data)
    assert verify(path).form == form
    for at in range(0, len(data), 1 if len(data) < 2_500 else 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises((Corrupt, BadInput), match=r"not as it was made|no heading"):
            verify(path)
    for end in (0, 1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises((Corrupt, BadInput)):
            verify(path)
    path.write_bytes(data + b"\n")
    with pytest.raises((Corrupt, BadInput)):
        verify(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.text(max_size=60).filter(lambda text: text == text.strip()), st.sampled_from(sorted(MEDIA_TYPES)))
def test_any_text_at_all_is_told_as_it_was_said_or_as_near_as_the_form_can(
    tmp_path: Path, text: str, form: str
) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return  # no text: the audit refuses it before
    path = tmp_path / "file"
    path.write_bytes(exported(form, tmp_path, purpose=text, who=text[::-1]))
    said = verify(path).heading["purpose"]
    if form in ("gpx", "kml"):  # XML has no control characters, and a heading is one line
        told = [letter if letter.isprintable() or letter > "\x9f" or letter == " " else None for letter in text]
        assert len(said) == len(text)
        assert all(want in (None, got) for got, want in zip(said, told, strict=True))
    else:
        assert said == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=300), st.sampled_from([b"", b"PAR1", b'{"', b"<gpx", b"<kml", b"# ", b"\xef\xbb\xbf# "]))
def test_no_bytes_at_all_pass_or_break_it(tmp_path: Path, data: bytes, start: bytes) -> None:
    path = tmp_path / "file"
    digits = b'"sha256_zeroed":"' + b"a" * 64 + b'" <l:sha256_zeroed>' + b"b" * 64 + b"<"
    for whole in (start + data, start + data + digits + data):
        path.write_bytes(whole)
        with pytest.raises((Corrupt, BadInput)):
            verify(path)


@pytest.mark.parametrize("name", ["plain.csv", "轨迹 1.csv", "a\\b.csv", "a\nb.csv"])
def test_a_plain_file_is_held_by_what_lies_beside_it_which_sha256sum_reads(name: str, tmp_path: Path) -> None:
    path, beside = tmp_path / name, tmp_path / (name + SIDECAR_SUFFIX)
    path.write_bytes(exported("plain", tmp_path))
    assert path.read_bytes().startswith(b"\xef\xbb\xbfdevice,time,lat")
    with pytest.raises(BadInput, match="no heading"):
        verify(path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()
    beside.write_bytes(sidecar(name, digits, {"purpose": "case:A:x\n" + "0" * 64 + "  other"}))
    assert verify(path).sha256 == digits
    program = shutil.which("sha256sum")
    if program:
        done = subprocess.run([program, "--strict", "-c", beside], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    path.write_bytes(path.read_bytes().replace(b"40.1", b"40.7"))
    with pytest.raises(Corrupt, match="not as it was made"):
        verify(path)
    beside.write_bytes(b"nothing\n")
    with pytest.raises(BadInput, match="no checksum"):
        verify(path)


def test_a_sidecar_counts_beside_a_heading(tmp_path: Path) -> None:
    path = tmp_path / "x.gpx"
    path.write_bytes(exported("gpx", tmp_path))
    found = verify(path)
    (tmp_path / "x.gpx.sha256").write_bytes(sidecar("x.gpx", found.sha256, {}))
    assert verify(path) == found
    (tmp_path / "x.gpx.sha256").write_bytes(sidecar("x.gpx", "0" * 64, {}))
    with pytest.raises(Corrupt, match=r"x\.gpx\.sha256 says 0000"):
        verify(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        verify(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="cannot be read"):
        verify(tmp_path)
