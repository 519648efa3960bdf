"""Lines against a reader of the tests' own: every value of every column, and texts that try to leave their place (S10)."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.batch import COLUMNS, PointBatch, fixed
from model.extras import Extras
from model.seams import Samples
from store.series.influx.line_protocol import (
    GAP_INFINITE,
    GAP_MINUS_INFINITE,
    GAP_NAN,
    MAX_TIME_MS,
    MIN_TIME_MS,
    Prefixes,
    number_lines,
    point_lines,
    tag,
)
from tests.store.series.conformance import T0, drive
from tests.store.series.influx.lines import Line, read_lines

#: What injections are made of: separators, quotes, escapes, line breaks, comments, Flux, SQL, other alphabets.
NASTY = [
    "a\nfix,slot=9 flags=1i 1", "a,slot=9", "a b=1", "a=b", 'a"b', "a\\", "\\", "\\,", "\\ ", "a\\\\", "a\\n", "a\\\nb",
    "#a", "", " ", ",", "=", "%", "%0A", "%25", "a\0b", "a\rb", "a\tb", "\x7f", "京A·12345", "👮", "\ud800", "e\u0301",
    '") |> drop() //', "'; DROP TABLE x; --", "r.slot == s0", "京 " * 3000, "\u2028", "\u0085", "a\x0bb",
]  # fmt: skip


def lines_of(points: PointBatch, subs: Any = None, ids: Sequence[str] = (), ages: Any = None) -> list[Line]:
    """The lines in the order of the rows."""
    ages = np.zeros(len(points), np.int64) if ages is None else ages
    made: dict[int, Line] = {}
    for part in point_lines(points, ages, subs, Prefixes(lambda: ids)):
        for row, line in zip(part.rows.tolist(), read_lines(part.body), strict=True):
            assert row not in made
            made[row] = line
    return [made[row] for row in range(len(points))]


def expected_fields(points: PointBatch, row: int) -> dict[str, tuple[str, Any]]:
    """What a server must see of a row, one by one."""
    made: dict[str, tuple[str, Any]] = {"flags": ("integer", int(points.flags[row]))}
    for column in COLUMNS:
        value = points.column(column.name)[row]
        if column.scale:
            scaled = np.rint(np.float64(value) * column.scale)
            if abs(scaled) < 1 << 53:
                made[column.name] = ("float", int(scaled))
        elif column.name in {"seq", "sat", "battery_pct"} and value != -1:
            made[column.name] = ("integer", int(value))
    if points.received_ms[row] != 0:
        made["lag_ms"] = ("integer", int(points.received_ms[row]) - int(points.time_ms[row]))
    if points.marks[row]:
        made["marks"] = ("integer", int(points.marks[row]))
    if points.alarm_bits[row]:
        made["alarm_bits"] = ("unsigned", int(points.alarm_bits[row]))
    if row in points.extra:
        made["extra"] = ("text", points.extra[row].decode())
    return made


def seen_fields(line: Line) -> dict[str, tuple[str, Any]]:
    scales = {column.name: column.scale for column in COLUMNS if column.scale}
    made: dict[str, tuple[str, Any]] = {}
    for name, (kind, text) in line.fields.items():
        if kind == "float":
            made[name] = (kind, int(fixed(np.array([float(text)]), scales[name])[0]))
        else:
            made[name] = (kind, text if kind == "text" else int(text))
    return made


def floats(limit: float) -> st.SearchStrategy[float]:
    return st.one_of(
        st.just(float("nan")),
        st.just(0.0),
        st.floats(-limit, limit),
        st.integers(-400, 400).map(float),
        st.floats(allow_nan=True, allow_infinity=True, width=32),
    )


integers = st.one_of(
    st.sampled_from([-1, 0, 1, 9999, 10_000, 99_999_999, 10**8, 2**32, -(2**63), 2**63 - 1]),
    st.integers(-(2**63), 2**63 - 1),
)
texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=300).map(str.encode)
row_of_points = st.fixed_dictionaries(
    {
        "slot": st.integers(0, 300),
        "time_ms": st.one_of(st.integers(MIN_TIME_MS, MAX_TIME_MS - 1), st.integers(T0, T0 + 10**9)),
        "lag": st.integers(-(10**12), 10**12),
        "seq": integers,
        "lat": floats(90),
        "lon": floats(180),
        "speed_kmh": floats(200),
        "heading_deg": floats(360),
        "alt_m": floats(9000),
        "acc_m": floats(100),
        "sat": st.integers(-(2**15), 2**15 - 1),
        "battery_pct": st.integers(-1, 100),
        "flags": st.integers(0, 2**16 - 1),
        "alarm_bits": st.one_of(st.just(0), st.integers(0, 2**64 - 1)),
        "marks": st.integers(0, 2**16 - 1),
        "sub": st.one_of(st.just(0), st.integers(0, 999_999)),
        "extra": st.one_of(st.none(), texts),
    }
)


@settings(max_examples=60)
@given(st.lists(row_of_points, min_size=1, max_size=12))
def test_every_value_is_what_the_row_says(rows: list[dict[str, Any]]) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0] if name not in {"lag", "sub", "extra"}}
    columns["received_ms"] = [row["time_ms"] + row["lag"] if abs(row["time_ms"]) > 10**12 else 0 for row in rows]
    with np.errstate(over="ignore"):
        points = PointBatch.of(
            len(rows), columns, {row: given["extra"] for row, given in enumerate(rows) if given["extra"] is not None}
        )
    subs = np.array([row["sub"] for row in rows])
    ages = np.arange(len(rows)) - 3
    lines = lines_of(points, subs, ["taxi/0", "a b"], ages)
    for row, line in enumerate(lines):
        assert line.measurement == "fix"
        slot = int(points.slot[row])
        device = {0: {"device": "taxi/0"}, 1: {"device": "a b"}}.get(slot, {})
        assert line.tags == {"age": str(row - 3), "slot": str(slot), **device}
        assert line.time_ns == int(points.time_ms[row]) * 1_000_000 + int(subs[row])
        assert seen_fields(line) == expected_fields(points, row)


def test_a_body_is_cut_into_tables_and_long_texts_are_apart() -> None:
    points = drive(150, 300)
    texts = {row: b'{"n":%d,"t":"%s"}' % (row, b"x" * (row % 7 * 60)) for row in range(0, len(points), 3)}
    texts[17] = b"y" * 29_000
    points.extra = Extras.of(texts)
    lines = lines_of(points)
    for row in (0, 1, 16, 17, 18, 2047, 2048, 2049, 4095, len(points) - 1):
        assert seen_fields(lines[row]) == expected_fields(points, row)
    assert [line.time_ns for line in lines] == (points.time_ms * 1_000_000).tolist()


@pytest.mark.parametrize("text", [b"\xff\xfe", b'{"a":"b\nc"}', b"a\0b", b"", b"z" * 150_000, bytes(range(256)) * 300])
def test_what_is_no_line_of_text_goes_as_hexadecimal_digits(text: bytes) -> None:
    points = PointBatch.of(3, {"slot": 1, "time_ms": T0 + np.arange(3)}, {0: b'{"plain":1}', 1: text})
    fields = lines_of(points)[1].fields
    parts = [fields[f"extra_hex{n}"][1] for n in range(len(fields)) if f"extra_hex{n}" in fields]
    sent = fields["extra"][1].encode() if "extra" in fields else bytes.fromhex("".join(parts))
    assert sent == text
    assert all(len(value) <= 60_000 for _, value in fields.values())
    assert lines_of(points)[0].fields["extra"] == ("text", '{"plain":1}')


@pytest.mark.parametrize("name", NASTY)
def test_no_device_id_leaves_its_tag(name: str) -> None:
    points = PointBatch.of(2, {"slot": [0, 1], "time_ms": T0, "lat": 40.0, "lon": 109.0})
    lines = lines_of(points, ids=[name, "taxi/1"])
    assert len(lines) == 2
    assert set(lines[0].tags) == {"age", "slot", "device"}
    assert lines[0].tags["slot"] == "0"
    assert lines[0].fields == lines[1].fields
    assert lines[1].tags == {"age": "0", "slot": "1", "device": "taxi/1"}


hostile = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(codec=None), max_size=12), st.text(',= \\\n"%#\0', max_size=6)
)


@settings(max_examples=200)
@given(st.lists(st.tuples(hostile, hostile), min_size=1, max_size=6, unique=True))
def test_every_series_of_numbers_stays_a_series_of_its_own(names: list[tuple[str, str]]) -> None:
    samples = [
        Samples(series, source, np.array([T0 + n], np.int64), np.array([float(n)]))
        for n, (series, source) in enumerate(names)
    ]
    lines = [line for part in number_lines(samples) for line in read_lines(part.body)]
    assert [line.time_ns for line in lines] == [(T0 + n) * 1_000_000 for n in range(len(names))]
    assert len({(line.tags["series"], line.tags["source"]) for line in lines}) == len(set(names))
    assert all(set(line.tags) == {"series", "source"} for line in lines)


def test_plain_names_stay_readable() -> None:
    assert tag("taxi/京A-12345") == "taxi/京A-12345".encode()
    assert tag("a b,c=d") == b"a\\ b\\,c\\=d"
    assert set(tag("".join(map(chr, range(32)))).decode()) <= set(string.hexdigits + "%")


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(MIN_TIME_MS, MAX_TIME_MS - 1), st.floats(allow_nan=True)), min_size=1, max_size=20)
)
def test_numbers_read_back_as_the_very_same(samples: list[tuple[int, float]]) -> None:
    time_ms = np.array([time for time, _ in samples], np.int64)
    values = np.array([value for _, value in samples])
    with np.errstate(over="ignore"):
        thousandths = np.round(values, 3)
    for rounded in (values, thousandths):
        lines = [line for part in number_lines([Samples("s", "o", time_ms, rounded)]) for line in read_lines(part.body)]
        gaps = {GAP_NAN: np.nan, GAP_INFINITE: np.inf, GAP_MINUS_INFINITE: -np.inf}
        read = [gaps.get(int(line.fields["gap"][1]), float(line.fields["value"][1])) for line in lines]
        np.testing.assert_array_equal(np.array(read), rounded)
        assert [line.time_ns for line in lines] == [time * 1_000_000 for time in time_ms.tolist()]
