"""Counters and quarantine on a bare connection."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.batch import PointBatch
from model.codes import Reason
from model.errors import NotFound
from model.quarantine import Quarantined
from model.seams import Outcome
from store.ledger import LEDGER_SCHEMA, Ledger


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(LEDGER_SCHEMA)
        yield made


def bad(reason: Reason, number: int, rows: int = 1) -> Quarantined:
    return Quarantined(reason, rows, 1000 + number, f"file:{number}", "taxi/1", f"row {number}", bytes([number % 256]))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.lists(st.tuples(st.sampled_from(list(Reason)), st.integers(1, 9)), max_size=12),
            st.dictionaries(st.sampled_from(list(Reason)), st.integers(0, 9)),
            st.dictionaries(st.sampled_from(["mark.late", "points_missing"]), st.integers(0, 9)),
        ),
        max_size=8,
    ),
    st.integers(0, 4),
)
def test_counts_are_exact_and_rows_bounded(
    outcomes: list[tuple[int, list[tuple[Reason, int]], dict[Reason, int], dict[str, int]]], max_rows: int
) -> None:
    reasons: Counter[Reason] = Counter()
    gauges: Counter[str] = Counter()
    duplicate = 0
    entries: list[Quarantined] = []
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(LEDGER_SCHEMA)
        ledger = Ledger(connection, max_quarantine_rows_per_reason=max_rows)
        for position, (copies, held, counted, named) in enumerate(outcomes, start=1):
            quarantined = [bad(reason, number, rows) for number, (reason, rows) in enumerate(held)]
            ledger.record(Outcome(position, PointBatch.of(2, {}), copies, quarantined, dict(counted), dict(named)))
            duplicate += copies
            reasons.update(counted)
            gauges.update(named)
            entries += quarantined
            for entry in quarantined:
                reasons[entry.reason] += entry.rows
        totals = ledger.totals()
        assert totals.position == ledger.position() == len(outcomes)
        assert totals.stored == 2 * len(outcomes)
        assert totals.duplicate == duplicate
        assert Counter(totals.quarantined) == +reasons
        assert Counter(totals.gauges) == +gauges
        for reason in Reason:
            kept = [row.entry for row in ledger.quarantine_list(reason=reason, limit=1000)]
            mine = [entry for entry in entries if entry.reason is reason]
            assert kept[::-1] == (mine[-max_rows:] if max_rows else [])


def test_list_pages_and_show(connection: sqlite3.Connection) -> None:
    ledger = Ledger(connection)
    entries = [bad(Reason.FUTURE if number % 2 else Reason.BAD_ROW, number) for number in range(10)]
    ledger.record(Outcome(7, PointBatch.empty(), quarantined=entries))
    first = ledger.quarantine_list(limit=4)
    second = ledger.quarantine_list(limit=100, before_id=first[-1].id)
    assert len(first) == 4
    assert len(second) == 6
    assert {row.id for row in first + second} == {row[0] for row in connection.execute("SELECT id FROM quarantine")}
    assert all(row.position == 7 for row in first)
    assert [row.entry.reason for row in ledger.quarantine_list(reason=Reason.FUTURE)] == [Reason.FUTURE] * 5
    assert ledger.quarantine_show(first[0].id) == first[0]
    with pytest.raises(NotFound):
        ledger.quarantine_show(0)


def test_text_that_is_no_unicode_is_kept(connection: sqlite3.Connection) -> None:
    ledger = Ledger(connection)
    odd = Quarantined(Reason.NOT_JSON, 1, 0, "v1/\ud800", "\udfff", "", b"\xff\x00")
    ledger.record(Outcome(1, PointBatch.empty(), quarantined=[odd]))
    assert ledger.quarantine_list()[0].entry.source == "v1/?"
    assert ledger.quarantine_list()[0].entry.raw == b"\xff\x00"


def test_expired_rows_and_forgotten_quarantine(connection: sqlite3.Connection) -> None:
    ledger = Ledger(connection)
    outcome = Outcome(1, PointBatch.of(5, {}), quarantined=[bad(Reason.FUTURE, 1), bad(Reason.FUTURE, 2)])
    ledger.record(outcome)
    ledger.expire(3)
    assert ledger.forget_quarantine(1002) == 1
    totals = ledger.totals()
    assert totals.stored == 2
    assert totals.gauges == {"expired": 3}
    assert totals.quarantined == {Reason.FUTURE: 2}
    assert [row.entry.received_ms for row in ledger.quarantine_list()] == [1002]
