"""The CSV import: a result for every row, and the same again changes nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.csv_rows import CsvFile
from devices.details import DeviceDetails, details_of
from devices.importing import ImportReport, import_csv
from devices.registry import Registry
from devices.sites import Sites
from model.clock import FakeClock
from model.device import Site
from model.errors import BadInput, LuchengError

HEADER = "id,name,plate,imei,phone,model,lat,lon,owner_ref"


def file(*lines: str, header: str = HEADER) -> bytes:
    return ("\n".join((header, *lines)) + "\n").encode()


def outcomes(report: ImportReport) -> list[tuple[int, str, str]]:
    return [(row.line, row.device, row.outcome.value) for row in report.rows]


def reasons(report: ImportReport) -> dict[int, str]:
    return {row.line: row.reason for row in report.rows if row.reason}


def test_added_then_unchanged_then_updated(registry: Registry) -> None:
    raw = file("taxi/1,first,蒙B1,1,13900000001,T,40.65,109.84,own", "ebike/2,,,,,,,,")
    assert outcomes(import_csv(registry, raw)) == [(2, "taxi/1", "added"), (3, "ebike/2", "added")]
    expected = DeviceDetails("first", "蒙B1", "1", "13900000001", "T", "own", lat=40.65, lon=109.84)
    assert details_of(registry.get("taxi/1")) == expected
    version = registry.version()
    assert import_csv(registry, raw).counts() == {"added": 0, "unchanged": 2, "updated": 0, "refused": 0}
    assert registry.version() == version, "an import that changes nothing is no change"
    report = import_csv(registry, file("taxi/1,second", header="id,name"))
    assert report.counts() == {"added": 0, "unchanged": 0, "updated": 1, "refused": 0}
    assert registry.get("taxi/1").name == "second"
    assert registry.get("taxi/1").plate == "蒙B1", "a column that is not there leaves the field alone"
    import_csv(registry, file("taxi/1,", header="id,plate"))
    assert registry.get("taxi/1").plate == "", "an empty cell empties it"


def test_a_dry_run_says_the_same_and_writes_nothing(registry: Registry) -> None:
    import_csv(registry, file("taxi/1,,蒙B1,,,,,,", "taxi/2,,蒙B2,,,,,,"))
    raw = file(
        "taxi/1,,蒙B2,,,,,,",  # still held by taxi/2, whose row comes later
        "taxi/2,,蒙B3,,,,,,",
        "taxi/3,,蒙B2,,,,,,",  # given up on the line before
        "taxi/4,,蒙B3,,,,,,",
        "taxi/5,,,,,,91,0,",
        "taxi/6,,,,,,,,",
    )
    version = registry.version()
    for chunk_rows in (1, 2, 100):
        dry = import_csv(registry, raw, dry_run=True, chunk_rows=chunk_rows)
        assert registry.version() == version
        assert [row.outcome.value for row in dry.rows] == ["refused", "updated", "added", "refused", "refused", "added"]
    real = import_csv(registry, raw, chunk_rows=2)
    assert real.rows == dry.rows
    assert registry.get("taxi/3").plate == "蒙B2"


@pytest.mark.parametrize("field", ["plate", "imei", "phone"])
def test_duplicates_are_named_with_both_lines(registry: Registry, field: str) -> None:
    import_csv(registry, file("taxi/9,12345678901", header=f"id,{field}"))
    raw = file(
        "taxi/1,55555555555", "taxi/2,55555 555555", "taxi/3,12345678901", "taxi/9,12345678901", header=f"id,{field}"
    )
    for chunk_rows in (1, 100):
        report = import_csv(registry, raw, dry_run=True, chunk_rows=chunk_rows)
        assert reasons(report) == {
            3: f"The {field} '55555 555555' is on line 2 (taxi/1) and again on line 3.",
            4: f"The {field} '12345678901' on line 4 belongs to taxi/9 in the registry.",
        }
        assert [row.outcome.value for row in report.rows] == ["added", "refused", "refused", "unchanged"]


def test_an_id_counts_once(registry: Registry) -> None:
    report = import_csv(registry, file("taxi/1,a", "taxi/1,b", header="id,name"))
    assert reasons(report) == {3: "taxi/1 is on line 2 and again on line 3."}
    assert registry.get("taxi/1").name == "a"


def test_a_disabled_device_holds_no_plate(registry: Registry) -> None:
    import_csv(registry, file("taxi/1,蒙B1", header="id,plate"))
    registry.disable("taxi/1")
    report = import_csv(registry, file("taxi/2,蒙B1", "taxi/1,蒙B1", header="id,plate"))
    assert [row.outcome.value for row in report.rows] == ["added", "unchanged"]


def test_kinds_sites_and_gateways(registry: Registry) -> None:
    Sites(registry.file).add(Site("school-3", "", "", "", 40.0, 109.0))
    raw = file(
        "1,taxi,,gateway/g",  # the gateway stands further down
        "button/2,button,school-3,",
        "3,taxi,nowhere,",
        "4,taxi,,gateway/none",
        "taxi/5,ebike,,",
        "6,,,",
        "7,bus,,",
        "g,gateway,,",
        "h,gateway,,gateway/g",
        "8,taxi,,taxi/1",
        header="id,kind,site,gateway",
    )
    dry, real = import_csv(registry, raw, dry_run=True), import_csv(registry, raw, chunk_rows=2)
    assert dry.rows == real.rows
    assert [row.device for row in real.rows if row.outcome == "added"] == ["taxi/1", "button/2", "gateway/g"]
    assert [row.line for row in real.rows] == list(range(2, 12))
    why = reasons(real)
    assert why[4] == "There is no site 'nowhere'."
    assert why[5] == "There is no gateway gateway/none."
    assert "id says" in why[6]
    assert "not a device id" in why[7]
    assert "not a device id" in why[8]
    assert "a gateway itself" in why[10]
    assert "taxi/1 is no gateway" in why[11]
    assert registry.get("taxi/1").gateway == "gateway/g"
    assert registry.get("button/2").site == "school-3"
    assert import_csv(registry, raw).counts()["unchanged"] == 3


def test_a_bad_row_loses_no_neighbour(registry: Registry) -> None:
    bad = [
        'taxi/b1,"never closed,,,,,,,',
        "taxi/b2,too,few",
        "taxi/b3,,,,,,north,109,",
        "taxi/b4,,,,,,40,,",
        "taxi/b5,,,,,,nan,nan,",
        "../../etc/passwd,,,,,,,,",
        f"taxi/b7,{'x' * 101},,,,,,,",
        "taxi/b8,a\x00b,,,,,,,",
        f"taxi/b9,{'y' * 20_000},,,,,,,",
        ",,,,,,,,own",
        'taxi/b11,"a" b,,,,,,,',
        "taxi/b12,\ttab\tinside,,,,,,,",
    ]
    lines = [line for number, wrong in enumerate(bad) for line in (f"taxi/{number},,,,,,,,", wrong)]
    report = import_csv(registry, file(*lines, "taxi/last,,,,,,,,"))
    assert report.counts() == {"added": len(bad) + 1, "unchanged": 0, "updated": 0, "refused": len(bad)}
    assert sorted(reasons(report)) == [3 + 2 * number for number in range(len(bad))]
    assert registry.count() == len(bad) + 1


def test_quotes_empty_lines_and_line_ends(registry: Registry) -> None:
    raw = b'\xef\xbb\xbfID , Name\r\n"taxi/1","a ""b"", c"\r\n\r\n,,\r\n , \r\ntaxi/2,plain'
    report = import_csv(registry, raw)
    assert reasons(report) == {}
    assert outcomes(report) == [(2, "taxi/1", "added"), (6, "taxi/2", "added")]
    assert registry.get("taxi/1").name == 'a "b", c'


def test_a_formula_stays_a_text(registry: Registry) -> None:
    """S18 is the exporter's: here nothing may be changed or run."""
    cells = ["=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)"]
    import_csv(registry, file(*(f"taxi/{number},{cell}" for number, cell in enumerate(cells)), header="id,name"))
    assert [registry.get(f"taxi/{number}").name for number in range(4)] == cells


def test_gbk_utf8_and_what_is_neither(registry: Registry) -> None:
    text = "编号,名称,车牌号\ntaxi/1,东门,蒙B1\ntaxi/2,西门,蒙B2\n"
    for encoding in ("gbk", "gb18030", "utf-8", "utf-8-sig"):
        import_csv(registry, text.encode(encoding))
        assert registry.get("taxi/1").name == "东门"
        assert registry.get("taxi/2").plate == "蒙B2"
    broken = file("taxi/3,东门", "taxi/4,西门", "taxi/5,南门", header="id,name").replace(
        "西门".encode(), b"\xce\xf7\xff"
    )
    report = import_csv(registry, broken)
    assert [row.outcome.value for row in report.rows] == ["added", "refused", "added"]
    assert reasons(report) == {3: "not UTF-8 at byte 8 of the line"}
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        with pytest.raises(BadInput, match="CSV UTF-8"):
            import_csv(registry, text.encode(encoding))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no column"),
        (b"\n\n", "no column"),
        (b"name,plate\n", "no column id"),
        (b"id,colour\n", "no column 'colour'"),
        (b"id;name\n", "no column 'id;name'"),
        (b"id,id\n", "there twice"),
        (b"id,lat\n", "only one of"),
        (b"\xff\xfe\x00", "CSV UTF-8"),
        (b"id,\xff\n", "Line 1: not"),
        (b'id,"name\n', "Line 1: not CSV"),
        (b"%PDF-1.7\x00\x01", "CSV UTF-8"),
        (b"id" + b"x" * 20_000, "Line 1: 20002 bytes"),
    ],
)
def test_a_file_that_is_none_is_refused_whole(registry: Registry, raw: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        import_csv(registry, raw + b"taxi/1\n" if raw.startswith(b"name") else raw)
    assert registry.count() == 0


def test_limits(registry: Registry, tmp_path: Path) -> None:
    raw = file(*(f"taxi/{number}" for number in range(4)), header="id")
    with pytest.raises(BadInput, match="has 4 rows"):
        import_csv(registry, raw, max_rows=3)
    with pytest.raises(BadInput, match="bytes"):
        import_csv(registry, raw, max_bytes=10)
    assert len(import_csv(registry, raw, max_rows=4).rows) == 4
    small = Registry(tmp_path / "small.db", clock=FakeClock(), max_devices=3)
    for dry_run in (True, False):
        for chunk_rows in (1, 100) if dry_run else (1,):
            report = import_csv(small, raw, dry_run=dry_run, chunk_rows=chunk_rows)
            assert report.counts() == {"added": 3, "unchanged": 0, "updated": 0, "refused": 1}
            assert reasons(report) == {5: "The registry is full: it takes 3 devices."}
    small.close()


def test_chunks_make_no_difference(tmp_path: Path) -> None:
    lines = [f"taxi/{number % 40},{number},p{number % 30}" for number in range(100)]
    raw, results = file(*lines, header="id,name,plate"), list[Sequence[object]]()
    for chunk_rows in (1, 7, 1_000):
        registry = Registry(tmp_path / f"{chunk_rows}.db", clock=FakeClock())
        report = import_csv(registry, raw, chunk_rows=chunk_rows)
        results.append([report.rows, [replace(device, version=0) for device in registry.list()]])  # a chunk is a change
        registry.close()
    assert results[0] == results[1] == results[2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry that the examples of a property share."""
    return Registry(tmp_path_factory.mktemp("import") / "registry.db", clock=FakeClock())


CELL = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "taxi/1", "taxi/2", "ebike/7", "gateway/g", "1", "taxi", "40.5", "1e400", "nan", "=1+1", "'; --"]
    ),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.lists(CELL, min_size=6, max_size=6), max_size=8), quoted=st.booleans())
def test_no_rows_raise_anything_or_go_missing(shared: Registry, rows: list[list[str]], quoted: bool) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL, lineterminator="\n")
    writer.writerow(["id", "name", "plate", "gateway", "lat", "lon"])
    writer.writerows(rows)
    raw = out.getvalue().encode("utf-8", "surrogatepass")
    dry = import_csv(shared, raw, dry_run=True)
    real = import_csv(shared, raw, chunk_rows=3)
    assert dry.rows == real.rows
    assert len(real.rows) == sum(1 for _ in CsvFile(raw))
    again = import_csv(shared, raw)
    assert again.counts()["added"] == 0
    assert [row.line for row in real.rows if row.outcome != "refused"] == [
        row.line for row in again.rows if row.outcome != "refused"
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"id\n", b"id,name\n", b"id,lat,lon,gateway\n", "编号,名称\n".encode("gbk")]),
)
def test_no_bytes_raise_anything_but_a_lucheng_error(shared: Registry, tail: bytes, head: bytes) -> None:
    try:
        report = import_csv(shared, head + tail)
    except LuchengError:
        return
    assert all(row.line > 1 for row in report.rows)
