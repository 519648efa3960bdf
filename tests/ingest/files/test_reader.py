"""Bad rows, bad files, and every other spelling: nothing lost, nothing wrong accepted."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.files import FileBatch, open_file
from model.batch import PointBatch
from model.clock import FakeClock
from model.codes import Flag, Reason
from model.errors import BadInput, SettingsError, UsageError
from model.quarantine import Quarantined

Write = Callable[[bytes], Path]
CAB = b"ts_utc,cab_id,lat,lon,occupied\n"
GOOD = b"1212130800,ancyclsu,37.61636,-122.38608,0"


def batches_of(path: Path, name: str = "cabspotting", **options: Any) -> list[FileBatch]:
    return list(
        open_file(path, name, time_zone=options.pop("time_zone", "Asia/Shanghai"), clock=FakeClock(), **options)
    )


def read(
    path: Path, name: str = "cabspotting", **options: Any
) -> tuple[PointBatch, list[str], list[int], list[Quarantined]]:
    batches = batches_of(path, name, **options)
    return (
        PointBatch.concat([batch.points for batch in batches]),
        [batch.devices[k] for batch in batches for k in batch.device_index.tolist()],
        [row for batch in batches for row in batch.rows.tolist()],
        [bad for batch in batches for bad in batch.quarantined],
    )


def until_bad(path: Path, **options: Any) -> tuple[list[FileBatch], BadInput]:
    batches: list[FileBatch] = []
    try:
        batches.extend(open_file(path, "cabspotting", time_zone="UTC", clock=FakeClock(), **options))
    except BadInput as error:
        return batches, error
    raise AssertionError("the file was taken for a good one")


BAD_ROWS = [
    (b"1212130801,x,37.6,-122.3", Reason.BAD_ROW, "4 fields"),
    (b"1212130801,x,37.6,-122.3,0,7", Reason.BAD_ROW, "6 fields"),
    (b"1212130801,x,thirty,-122.3,0", Reason.NOT_A_NUMBER, "'thirty'"),
    (b"1212130801,x,37.6.1,-122.3,0", Reason.NOT_A_NUMBER, "'37.6.1'"),
    (b"1212130801,x,37_6,-122.3,0", Reason.NOT_A_NUMBER, "'37_6'"),
    (b"1212130801,x,3-7.6,-122.3,0", Reason.NOT_A_NUMBER, "'3-7.6'"),
    (b"1212130801,x,.,-122.3,0", Reason.NOT_A_NUMBER, "'.'"),
    (b"1212130801,x,-,-122.3,0", Reason.NOT_A_NUMBER, "'-'"),
    (b"1212130801,x,,-122.3,0", Reason.BAD_ROW, "lat is empty"),
    (b"yesterday,x,37.6,-122.3,0", Reason.BAD_ROW, "seconds"),
    (b"99999999999999999,x,37.6,-122.3,0", Reason.BAD_ROW, "far outside"),
    (b"1212130801,x,37.6,-122.3,2", Reason.BAD_ROW, "not 0, 1"),
    (b"1212130801,,37.6,-122.3,0", Reason.BAD_ROW, "device id"),
    (b"1212130801,../../etc,37.6,-122.3,0", Reason.BAD_ROW, "device id"),
    (b"1212130801,a#b,37.6,-122.3,0", Reason.BAD_ROW, "device id"),
    (b"1212130801," + b"n" * 70 + b",37.6,-122.3,0", Reason.BAD_ROW, "device id"),
    (b"1212130801,\xff\xfe,37.6,-122.3,0", Reason.BAD_ROW, "UTF-8"),
    ("1212130801,出租,37.6,-122.3,0".encode(), Reason.BAD_ROW, "device name"),
    (b"1212130801,x,37.6\0,-122.3,0", Reason.BAD_ROW, "NUL"),
    (b"1212130801,x,37.6,-122.3," + b"0" * 9000, Reason.TOO_LARGE, "4096"),
    (b"\0" * 100, Reason.BAD_ROW, "NUL"),
]


@pytest.mark.parametrize(("row", "reason", "detail"), BAD_ROWS)
@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
def test_a_bad_row_is_quarantined_with_its_line_and_its_neighbours_stay(
    write: Write, row: bytes, reason: Reason, detail: str, block_bytes: int
) -> None:
    path = write(CAB + GOOD + b"\n" + row + b"\n" + GOOD + b"\n")
    points, devices, rows, bad = read(path, block_bytes=block_bytes)
    assert devices == ["taxi/ancyclsu"] * 2
    assert rows == [2, 4]
    assert points.lat.tolist() == [37.61636] * 2
    assert [(b.reason, b.source, b.rows) for b in bad] == [(reason, f"{path}:3", 1)]
    assert detail in bad[0].detail
    assert bad[0].raw == row[: len(bad[0].raw)]
    assert len(bad[0].raw) <= 1024


OTHER_SPELLINGS = [
    (b"37.61636", 37.61636),
    (b"+37.5", 37.5),
    (b"1e1", 10.0),
    (b"3.7e+1", 37.0),
    (b"5.", 5.0),
    (b".5", 0.5),
    (b"-0.000001", -0.000001),
    (b"007", 7.0),
    (b"12345678", 12345678.0),
    (b"123456789.25", 123456789.25),
    (b"113.80666399999998", 113.80666399999998),
    (b"0.1234567890123456789", 0.1234567890123456789),
    (b"9007199254740993", 9007199254740993.0),
    (b"1" * 40, float("1" * 40)),
    (b" 37.6 ", 37.6),
    (b"inf", float("inf")),
    (b"-Infinity", float("-inf")),
    (b"91.0", 91.0),
    (b"1e400", float("inf")),
]


@pytest.mark.parametrize(("text", "value"), OTHER_SPELLINGS)
def test_every_spelling_of_a_number_is_what_float_says(write: Write, text: bytes, value: float) -> None:
    points, _, _, bad = read(write(CAB + b"1212130800,a," + text + b",1,1\n"))
    assert bad == []
    assert points.lat.tolist() == [value]
    assert points.lat[0] == float(text)


def test_not_a_number_is_left_to_the_analytics(write: Write) -> None:
    points, _, _, bad = read(write(CAB + b"1212130800,a,NaN,nan,1\n"))
    assert bad == []
    assert bool(np.isnan(points.lat[0]))


@given(st.floats(allow_nan=False, allow_infinity=False, width=64) | st.decimals(-999, 999, places=6).map(float))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_float_reads_back_exactly(write: Write, value: float) -> None:
    points, _, _, bad = read(write(CAB + f"1212130800,a,{value!r},{value:.6f},1\n".encode()))
    assert bad == []
    assert points.lat[0] == value
    assert points.lon[0] == float(f"{value:.6f}")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("tail", [b"", b"\n", b"\n\n\n", b"\r\n \r\n", b"  "])
def test_line_ends_bom_and_blank_lines(write: Write, end: bytes, bom: bytes, tail: bytes) -> None:
    path = write(bom + CAB.replace(b"\n", end) + GOOD + end + end + GOOD.replace(b",0", b",1") + tail)
    points, _, rows, bad = read(path)
    assert bad == []
    assert rows == [2, 4]
    sent = int(Flag.BUFFERED | Flag.OCCUPIED_SENT)
    assert points.flags.tolist() == [sent, sent | Flag.OCCUPIED]


BAD_FILES = [
    (b"", "is empty"),
    (b"\n\n\n", "no rows"),
    (b"TaxiID,TimeStamp,Longitude,Latitude\n1,2,3,4\n", ":1: the columns are"),
    (b"\x7fELF\0\0\0" * 100, ":1: the columns are"),
    (bytes(range(256)) * 400, "the columns are"),
    ("ts_utc,cab_id".encode("utf-16"), ":1: the columns are"),
    (gzip.compress(b"", mtime=0), "no rows"),
    (gzip.compress(b"no such header\n", mtime=0), ":1: the columns are"),
    (b"\x1f\x8bnot gzip after all", "damaged gzip"),
]


@pytest.mark.parametrize(("text", "says"), BAD_FILES)
def test_a_file_that_is_not_what_it_says(write: Write, text: bytes, says: str) -> None:
    path = write(text)
    with pytest.raises(BadInput) as raised:
        batches_of(path)
    assert str(path) in raised.value.message
    assert says in raised.value.message
    assert raised.value.mend


def test_missing_file_folder_format_date_zone(tmp_path: Path, write: Write) -> None:
    with pytest.raises(BadInput, match="There is no file"):
        batches_of(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="is a folder"):
        batches_of(tmp_path)
    path = write(CAB)
    with pytest.raises(UsageError, match="no file format 'xls'"):
        batches_of(path, "xls")
    with pytest.raises(UsageError, match="--date"):
        batches_of(path, "shenzhen")
    with pytest.raises(UsageError, match="Leave out"):
        batches_of(path, date=date(2025, 1, 1))
    with pytest.raises(SettingsError, match="no time zone"):
        batches_of(path, time_zone="Mars/Olympus")
    assert batches_of(path) == []


@pytest.mark.parametrize("block_bytes", [256, 1 << 20])
def test_a_truncated_gzip_keeps_what_was_good(write: Write, block_bytes: int) -> None:
    rng = np.random.default_rng(7)
    lines = [f"{1212130800 + k},cab{k % 7},37.{rng.integers(10**5)},-122.{rng.integers(10**5)},1" for k in range(3000)]
    whole = gzip.compress(CAB + "\n".join(lines).encode() + b"\n")
    path = write(whole[: len(whole) // 2])
    text = zlib.decompressobj(31).decompress(whole[: len(whole) // 2])
    batches, error = until_bad(path, block_bytes=block_bytes)
    points = sum(len(batch.points) for batch in batches)
    bad = [q for batch in batches for q in batch.quarantined]
    assert "middle of its gzip" in error.message
    assert points == text.count(b"\n") - 1
    assert points > 1000
    assert [b.detail for b in bad] == ["the line is cut off where the file goes bad"]
    assert f"{path}:{points + 2}:" in error.message  # the header, the good rows, the one that is cut


def test_a_damaged_gzip_and_many_members(write: Write) -> None:
    whole = bytearray(gzip.compress(CAB + (GOOD + b"\n") * 50_000))
    joined = write(bytes(whole) + gzip.compress((GOOD + b"\n") * 3) + b"\0" * 100)
    assert len(read(joined, block_bytes=4096)[0]) == 50_003
    whole[-6] ^= 0xFF  # the stored checksum
    batches, error = until_bad(write(bytes(whole)), block_bytes=4096)
    points = sum(len(batch.points) for batch in batches)
    assert "damaged gzip" in error.message
    assert points > 49_000


def test_a_headerless_file_must_begin_with_a_readable_row(write: Write) -> None:
    good = b"28249, 00:00:00, 113.796684, 22.682667, 0, 30\n"
    day = date(2014, 10, 22)
    for block_bytes in (40, 1 << 20):
        points, _, rows, bad = read(write(b"junk\n" * 19 + good), "shenzhen", date=day, block_bytes=block_bytes)
        assert (len(points), rows, len(bad)) == (1, [20], 19)
        for text in (b"junk\n" * 20 + good, b"junk\n", CAB + GOOD):
            with pytest.raises(BadInput, match="this is no shenzhen file"):
                batches_of(write(text), "shenzhen", date=day, block_bytes=block_bytes)


def test_our_own_csv(write: Write) -> None:
    path = write(
        b'lon,lat,device,time,speed_kmh,seq,ignition,occupied,alarms,battery_pct,"alt_m"\n'
        b"109.84,40.65,taxi/1,2025-10-09T08:00:00Z,31.5,7,1,0,,88,1050\n"
        b"109.84,40.65,taxi/1,2025-10-09T16:00:00.250+08:00,,,,,sos vibration,,\n"
        b'"109.84","40.65","ebike/b.7",1760000000123,,,true,FALSE,,,\n'
        b"109.84,40.65,taxi/1,2025-10-09T16:00:01+08:00,0,0,0,1,,0,-3.5\n"
        b"109.84,40.65,taxi/1,2025-10-09 08:00:02.5Z,,,,,no_such_alarm,,\n"
        b'"109.84,40.65,taxi/1,2025-10-09T08:00:00Z,,,,,,,\n'
        b"109.84,40.65,taxi/1,2025-02-30T08:00:00Z,,,,,,,\n"
        b"109.84,40.65,taxi/1,2025-10-09T08:00:00,,,,,,,\n"
        b"109.84,40.65,taxi/1,2025-10-09T08:00:00Z,,,,,,40000,\n"
    )
    points, devices, rows, bad = read(path, "csv")
    assert rows == [2, 3, 4, 5]
    assert devices == ["taxi/1", "taxi/1", "ebike/b.7", "taxi/1"]
    start = int(datetime(2025, 10, 9, 8, tzinfo=UTC).timestamp()) * 1000
    assert points.time_ms.tolist() == [start, start + 250, 1760000000123, start + 1000]
    assert np.array_equal(points.speed_kmh, np.array([31.5, np.nan, np.nan, 0], np.float32), equal_nan=True)
    assert points.seq.tolist() == [7, -1, -1, 0]
    assert points.battery_pct.tolist() == [88, -1, -1, 0]
    assert np.array_equal(points.alt_m, np.array([1050, np.nan, np.nan, -3.5], np.float32), equal_nan=True)
    assert points.alarm_bits.tolist() == [0, (1 << 0) | (1 << 8), 0, 0]
    both = Flag.BUFFERED | Flag.IGNITION_SENT | Flag.OCCUPIED_SENT
    assert points.flags.tolist() == [
        both | Flag.IGNITION,
        Flag.BUFFERED,
        both | Flag.IGNITION,
        both | Flag.OCCUPIED,
    ]
    assert [b.source.rpartition(":")[2] for b in bad] == ["6", "7", "8", "9", "10"]
    for header in (b"device,time,lat\n", b"device,time,lat,lon,colour\n", b"device,time,lat,lon,lat\n"):
        with pytest.raises(BadInput, match=":1: the header of a csv file"):
            batches_of(write(header + b"1\n"), "csv")


def test_clock_changes_of_the_local_zone(write: Write) -> None:
    head = b"TaxiID,TimeStamp,Longitude,Latitude\n"
    rows = b"1,2024-03-10 01:59:59,1,2\n1,2024-03-10 03:00:00,1,2\n1,2024-11-03 01:30:00,1,2\n1,2024-7-4 1:02:03,1,2\n"
    points, _, _, bad = read(write(head + rows), "tdrive", time_zone="America/Los_Angeles")
    assert bad == []
    expected = [(3, 10, 9, 59, 59), (3, 10, 10, 0, 0), (11, 3, 8, 30, 0), (7, 4, 8, 2, 3)]
    assert points.time_ms.tolist() == [int(datetime(2024, *e, tzinfo=UTC).timestamp()) * 1000 for e in expected]


def test_slots_are_asked_once_per_device_and_a_limit_holds(write: Write) -> None:
    asked: list[str] = []

    def slots_of(devices: list[str]) -> npt.NDArray[np.int32]:
        first = len(asked)
        asked.extend(devices)
        return np.arange(first, len(asked), dtype=np.int32) + 100

    text = CAB + b"".join(b"1212130800,%s%d,1,2,0\n" % (b"n" * (k % 40), k % 500) for k in range(5000))
    batches = batches_of(write(text), slots_of=slots_of, block_bytes=3000)
    assert len(asked) == len(set(asked))
    slot_of = {device: k + 100 for k, device in enumerate(asked)}
    for batch in batches:
        assert len(set(batch.devices)) == len(batch.devices)
        assert batch.points.slot.tolist() == [slot_of[batch.devices[k]] for k in batch.device_index.tolist()]
    lines = [line.split(b",")[1].decode() for line in text.splitlines()[1:]]
    assert [b.devices[k] for b in batches for k in b.device_index.tolist()] == ["taxi/" + name for name in lines]
    with pytest.raises(BadInput, match="more than 499 devices"):
        batches_of(write(text), max_devices=499)


def test_rows_of_a_batch_are_bounded(write: Write) -> None:
    batches = batches_of(write(CAB + b"x\n" * 2500 + (GOOD + b"\n") * 10), max_rows=1000)
    assert [len(b.quarantined) + len(b.rows) for b in batches] == [1000, 1000, 510]
    assert batches[-1].rows.tolist() == list(range(2502, 2512))


PIECES = st.sampled_from(
    [
        *(b",", b"\n", b"\r\n", b"\r", b"0", b"1", b"7", b".", b"-", b" ", b"\0", b"\xff", b'"', b"a", b"e", b"n" * 80),
        *(GOOD, GOOD + b"\n", b"1212130800", b"37.61636", b"nan", b"\xef\xbb\xbf", b"2024-02-29 10:00:00", b"x" * 5000),
    ]
)
HEADS = {
    "cabspotting": CAB,
    "tdrive": b"TaxiID,TimeStamp,Longitude,Latitude\n",
    "csv": b"device,time,lat,lon,seq,occupied,alarms\n",
    "shenzhen": b"1, 00:00:00, 1.5, 2.5, 0, 30\n",
}


@pytest.mark.parametrize("name", sorted(HEADS))
@given(
    parts=st.lists(PIECES | st.binary(max_size=6), max_size=60), block_bytes=st.integers(1, 400), zipped=st.booleans()
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_raises_or_loses_a_row(
    write: Write, name: str, parts: list[bytes], block_bytes: int, zipped: bool
) -> None:
    body = b"".join(parts)
    text = HEADS[name] + body
    path = write(gzip.compress(text) if zipped else text)
    options: dict[str, Any] = {"date": date(2025, 1, 1)} if name == "shenzhen" else {}
    points, devices, rows, bad = read(path, name, block_bytes=block_bytes, **options)
    first = 0 if name == "shenzhen" else 1
    lines = [k + 1 for k, line in enumerate(text.split(b"\n")) if k >= first and line.strip(b" \t\r")]
    assert sorted(rows + [int(b.source.rpartition(":")[2]) for b in bad]) == lines
    assert len(points) == len(rows) == len(devices)
    again = read(path, name, block_bytes=1 << 20, **options)
    assert again[1:3] == (devices, rows)
    assert again[0].time_ms.tolist() == points.time_ms.tolist()
    assert np.array_equal(again[0].lat, points.lat, equal_nan=True)


FIELDS = st.sampled_from(
    [b"1", b"0", b"37.61636", b"-122.4", b"1212130800", b"a", b"b.c", b"", b"+1", b"1e3", b"9" * 17]
)


@given(rows=st.lists(st.lists(FIELDS, min_size=5, max_size=5), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_and_the_row_reader_agree(write: Write, rows: list[list[bytes]]) -> None:
    """A leading blank makes no field regular, so the same rows with blanks go through the row reader."""
    plain = read(write(CAB + b"\n".join(b",".join(row) for row in rows)))
    slow = read(write(CAB + b"\n".join(b",".join(b"  " + field for field in row) for row in rows)))
    assert slow[1:3] == plain[1:3]
    assert [b.reason for b in slow[3]] == [b.reason for b in plain[3]]
    for name in ("time_ms", "lat", "lon", "flags"):
        assert slow[0].column(name).tolist() == plain[0].column(name).tolist()
