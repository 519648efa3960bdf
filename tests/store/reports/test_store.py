"""Reports of terminals: each once, bounded, read under a grant and never without an audit."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.clock import FakeClock
from model.errors import AuditUnwritable, Refused, SchemaTooNew, StoreError, UsageError
from model.evidence import Report
from model.grant import Grant, Purpose
from store.audit import AuditLog
from store.database import Where, connect, exists, migrate, on_server
from store.reports.store import MIGRATIONS, ReportStore

T0 = 1_795_334_400_000
GRANT = Grant("li", "cli", Purpose("case", "C-1"), None, 0, 10**15)
SIGN_ON = Report(
    "taxi/1", "jt905", "sign_on", T0, T0 + 700, {"driver": "150000", "on": True, "fare": 12.5}, b"\x0b\x03 body"
)


@pytest.fixture
def path(where: Callable[[str], Where]) -> Where:
    return where("reports")


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(AuditLog(tmp_path / "audit.db", clock=FakeClock(T0))) as audit:
        yield audit


@pytest.fixture
def store(path: Where, audit: AuditLog) -> Iterator[ReportStore]:
    with closing(ReportStore(path, clock=FakeClock(T0), audit=audit)) as store:
        yield store


def kept(store: ReportStore, **filters: Any) -> list[Report]:
    return [one.report for one in store.list(GRANT, **filters)]


def test_what_is_added_is_there_also_later(store: ReportStore, path: Where, audit: AuditLog) -> None:
    assert store.add([SIGN_ON]) == 1
    assert store.add([]) == 0
    (found,) = store.list(GRANT)
    assert (found.report, found.number, found.stored_ms, found.raw_bytes) == (SIGN_ON, 1, T0, len(SIGN_ON.raw))
    with closing(ReportStore(path, clock=FakeClock(T0), audit=audit, read_only=True)) as beside:
        assert kept(beside) == [SIGN_ON]
        with pytest.raises(StoreError, match="reading only"):
            beside.add([SIGN_ON])
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.list(GRANT)
    with closing(ReportStore(path, clock=FakeClock(T0), audit=audit)) as again:
        assert kept(again) == [SIGN_ON]
        assert again.add([SIGN_ON]) == 0
        assert all("fsync" in problem.what for problem in again.check())  # the tests' server has none


def test_the_same_again_is_the_same(store: ReportStore) -> None:
    assert store.add([SIGN_ON, replace(SIGN_ON, received_ms=T0 + 9_000, fields={"read": "anew"})]) == 1
    others = [
        replace(SIGN_ON, device="taxi/2"),
        replace(SIGN_ON, message="sign_off"),
        replace(SIGN_ON, time_ms=T0 + 1),
        replace(SIGN_ON, raw=b"other"),
    ]
    assert store.add([SIGN_ON, *others]) == 4
    assert len(store.list(GRANT)) == 5


def test_what_was_sent_again_is_told_by_its_serial_where_it_names_no_time(store: ReportStore) -> None:
    event = Report("taxi/1", "jt808", "event", T0, T0, {"event": 3}, b"\x03", serial=7)
    day_ms = 86_400_000

    def later(delay_ms: int, **more: Any) -> Report:
        return replace(event, time_ms=T0 + delay_ms, received_ms=T0 + delay_ms, **more)

    assert store.add([event, later(5_000), later(day_ms)]) == 1
    assert store.add([later(6_000, serial=8), later(7_000, raw=b"\x04"), later(8_000, device="taxi/2")]) == 3
    # Who counts anew each day, or not at all, says something again.
    assert store.add([later(2 * day_ms + 1)]) == 1
    assert store.add([later(9_000, serial=-1), later(10_000, serial=-1)]) == 2
    assert {one.serial for one in kept(store)} == {7, 8, -1}


def test_a_file_of_the_first_form_is_brought_up_to_date(tmp_path: Path, audit: AuditLog) -> None:
    path = tmp_path / "reports.db"
    with closing(connect(path)) as connection:
        migrate(connection, MIGRATIONS[:1], path)
        connection.execute(
            "INSERT INTO report (device, protocol, message, time_ms, received_ms, stored_ms, fields, raw, raw_bytes,"
            " body_sha256) VALUES ('taxi/1', 'jt905', 'sign_on', 1, 2, 3, '{}', x'00', 1, x'00')"
        )
    with closing(ReportStore(path, clock=FakeClock(T0), audit=audit)) as store:
        assert [one.serial for one in kept(store)] == [-1]
        assert store.add([SIGN_ON]) == 1


def test_bodies_that_begin_alike_are_two_though_both_are_cut(path: Where, audit: AuditLog) -> None:
    with closing(ReportStore(path, clock=FakeClock(T0), audit=audit, max_raw_bytes=4)) as store:
        assert store.add([replace(SIGN_ON, raw=b"abcdX"), replace(SIGN_ON, raw=b"abcdY")]) == 2
        assert [(one.report.raw, one.raw_bytes) for one in store.list(GRANT)] == [(b"abcd", 5)] * 2


def test_everything_is_bounded(path: Where, audit: AuditLog) -> None:
    with closing(ReportStore(path, clock=FakeClock(T0), audit=audit, max_name_chars=5, max_fields_bytes=100)) as store:
        long = replace(SIGN_ON, protocol="p" * 99, message="m" * 99, fields={"text": "字" * 99})
        deep: dict[str, Any] = {}
        for _ in range(5_000):
            deep = {"d": deep}
        assert store.add([long, replace(SIGN_ON, fields=deep)]) == 2
        second, first = kept(store)
        assert (first.protocol, first.message) == ("p" * 5, "m" * 5)
        assert list(first.fields) == ["left_out"]
        assert "…" in str(second.fields)


_FIELDS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(
    fields=st.dictionaries(st.text(max_size=6), _FIELDS, max_size=4),
    raw=st.binary(max_size=64),
    message=st.text(max_size=9),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_fields_are_kept_as_json(store: ReportStore, fields: dict[str, Any], raw: bytes, message: str) -> None:
    report = replace(SIGN_ON, fields=fields, raw=raw, message=message)
    store.add([report])
    written = message.replace("\0", "\\x00") if on_server(store._file.path) else message
    (found,) = [one for one in kept(store) if one.raw == raw and one.message == written][:1]
    assert found.device == report.device


def test_what_json_cannot_hold_is_told_another_way(store: ReportStore) -> None:
    fields: dict[Any, Any] = {
        "nan": math.nan,
        "bytes": b"\x01\xff",
        "half": "\ud800",
        "tuple": (1, None),
        "float": 1.5,
        7: "key",
    }
    store.add([replace(SIGN_ON, fields=fields)])
    (found,) = kept(store)
    assert found.fields == {
        "nan": None, "bytes": "01ff", "half": "\\ud800", "tuple": [1, None], "float": 1.5, "7": "key",
    }  # fmt: skip


def test_a_list_has_filters_and_pages(store: ReportStore) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    made = [
        replace(SIGN_ON, device=f"taxi/{rng.randrange(3)}", message=rng.choice(["a", "b"]), time_ms=T0 + rng.randrange(50), raw=b"%d" % n)
        for n in range(60)
    ]  # fmt: skip
    assert store.add(made) == 60
    made.reverse()
    assert kept(store) == made
    assert kept(store, device="taxi/1") == [one for one in made if one.device == "taxi/1"]
    assert kept(store, message="b", from_ms=T0 + 10, to_ms=T0 + 30) == [
        one for one in made if one.message == "b" and T0 + 10 <= one.time_ms < T0 + 30
    ]
    page = store.list(GRANT, limit=25)
    rest = store.list(GRANT, before=page[-1].number)
    assert [one.report for one in (*page, *rest)] == made
    for text in ("' OR 1=1 --", "%", "x'; DROP TABLE report; --"):
        assert kept(store, device=text) == kept(store, message=text) == []
    for limit in (0, 10_001):
        with pytest.raises(UsageError):
            store.list(GRANT, limit=limit)


def test_a_read_needs_a_grant_and_an_audit(store: ReportStore, audit: AuditLog) -> None:
    store.add([SIGN_ON])
    mine = replace(GRANT, devices=frozenset(["taxi/2"]), to_ms=T0 + 10)
    for ask in ({}, {"device": "taxi/1"}, {"device": "taxi/2", "to_ms": T0 + 11}):
        with pytest.raises(Refused):
            store.list(mine, **ask)
    assert not audit.rows()
    assert store.list(replace(mine, devices=None), message="sign_on")
    (row,) = audit.rows()
    assert (row.action, row.target, row.purpose) == ("read.reports", "*", "case:C-1")
    assert row.detail == {"message": "sign_on", "from_ms": 0, "to_ms": T0 + 10, "rows": 1}
    audit.close()
    with pytest.raises(AuditUnwritable):
        store.list(GRANT)
    assert store.add([replace(SIGN_ON, raw=b"2")]) == 1


def test_a_reader_of_a_folder_without_reports(path: Where, audit: AuditLog) -> None:
    with closing(ReportStore(path, clock=FakeClock(T0), audit=audit, read_only=True)) as reader:
        assert kept(reader) == []
        assert reader.check() == []
        assert not exists(path)
        with closing(ReportStore(path, clock=FakeClock(T0), audit=audit)) as writer:
            writer.add([SIGN_ON])
        assert kept(reader) == [SIGN_ON]


def test_files_of_other_versions(tmp_path: Path, audit: AuditLog) -> None:
    path = tmp_path / "reports.db"
    connection = connect(path)
    connection.close()
    with pytest.raises(StoreError, match="older lucheng"):
        ReportStore(path, clock=FakeClock(T0), audit=audit, read_only=True)
    ReportStore(path, clock=FakeClock(T0), audit=audit).close()
    connection = connect(path)
    connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    connection.close()
    for read_only in (True, False):
        with pytest.raises(SchemaTooNew):
            ReportStore(path, clock=FakeClock(T0), audit=audit, read_only=read_only)


def test_the_same_report_through_two_processes_is_one(path: Where, audit: AuditLog) -> None:
    """A terminal that sends again reaches another machine, at the same moment."""
    one, other = (ReportStore(path, clock=FakeClock(T0), audit=audit) for _ in range(2))
    with closing(one), closing(other):
        sent = [replace(SIGN_ON, time_ms=T0 + n, raw=b"%d" % n, serial=n) for n in range(30)]
        added: list[int] = []
        threads = [
            threading.Thread(target=lambda store=store: added.extend(store.add([report]) for report in sent))
            for store in (one, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(added) == len(sent) == len(kept(one))
        assert [row.number for row in other.list(GRANT)] == list(range(30, 0, -1))
