"""The audit searched, shown, verified and exported, over a real one."""

from __future__ import annotations

import csv
import io
import sqlite3
from typing import Any

import pytest

from console.device_operations import Caller
from console.exports.audit_csv import COLUMNS
from lucheng.rooms import AUDIT_FILE
from model.errors import AuditUnwritable, NotFound, TryAgain, UsageError
from store.audit_search import DEFAULT_MAX_FOUND_ROWS, Wanted, search, search_all
from tests.console.conftest import START_MS, House
from tests.console.test_operations import EVIL, damage_audit

ZHAO = Caller("zhao", "auditor", "web")
HOUR_MS = 3_600_000


def ask(house: House, operation: str, **arguments: Any) -> Any:
    return getattr(house.operations, operation)(ZHAO, **arguments)


def fill(house: House, rows: int = 30) -> None:
    """Rows of three people, one a minute, with targets of ten devices."""
    for number in range(rows):
        who = ("li", "wang", "chen")[number % 3]
        action = "alarm.acknowledge" if number % 2 else "series.track"
        house.rooms.audit.append(
            who, "operator", action, f"taxi/B{number % 10:04d}", f"case:K-{number % 5}", {"n": number}
        )
        house.clock.advance(60)


def numbers(found: dict[str, Any]) -> list[int]:
    return [row["detail"]["n"] for row in found["items"] if "n" in row["detail"]]


def test_a_search_finds_by_who_what_at_which_why_and_when(house: House) -> None:
    fill(house)
    assert numbers(ask(house, "audit_search", who="li")) == list(range(27, -1, -3))
    assert numbers(ask(house, "audit_search", action="alarm.acknowledge", who="wang")) == [25, 19, 13, 7, 1]
    assert numbers(ask(house, "audit_search", action="alarm.")) == list(range(29, 0, -2))
    assert numbers(ask(house, "audit_search", target="B0003")) == [23, 13, 3]
    assert numbers(ask(house, "audit_search", why="K-4", who="chen")) == [29, 14]
    window = {"from_ms": START_MS + 10 * 60_000, "to_ms": START_MS + 13 * 60_000}
    assert numbers(ask(house, "audit_search", **window)) == [12, 11, 10]
    nothing = ask(house, "audit_search", who="nobody")
    assert (nothing["items"], nothing["next"]) == ([], None)


def test_pages_go_on_where_the_last_ended_and_end(house: House) -> None:
    fill(house)
    seen: list[int] = []
    before: int | None = None
    for _ in range(10):
        page = ask(house, "audit_search", action="series.track", limit=4, before=before)
        seen += numbers(page)
        before = page["next"]
        if before is None:
            break
    assert seen == list(range(28, -1, -2))


def test_one_look_goes_through_so_many_rows_and_says_where_to_go_on(house: House) -> None:
    fill(house)
    path = house.rooms.audit.path
    first = search(path, Wanted(target="B0000"), limit=10, max_looked=12)
    assert [one.row.detail["n"] for one in first.found] == [20]
    rest = search(path, Wanted(target="B0000"), before=first.next, limit=10, max_looked=12)
    assert [one.row.detail["n"] for one in rest.found] == [10]
    assert sum(len(piece) for piece in search_all(path, Wanted(target="B000"), max_rows=25)) == 26


def test_what_is_looked_for_is_a_value_and_never_sql_nor_a_pattern(house: House) -> None:
    fill(house, 5)
    for evil in (*EVIL, "%", "_", "'; DROP TABLE audit; --", "taxi/B%"):
        for field in ("who", "action", "target", "why"):
            assert numbers(ask(house, "audit_search", **{field: evil})) == []
    assert ask(house, "audit_verify")["ok"]
    with pytest.raises(UsageError, match="longer than"):
        ask(house, "audit_search", who="x" * 201)
    with pytest.raises(UsageError, match="limit"):
        ask(house, "audit_search", limit=DEFAULT_MAX_FOUND_ROWS + 1)


def test_a_search_is_audited_with_what_was_looked_for_and_fails_closed(house: House) -> None:
    fill(house, 3)
    ask(house, "audit_search", who="li", target="taxi/B0001")
    newest = house.rooms.audit.rows(limit=1, newest_first=True)[0]
    assert (newest.who, newest.action) == ("zhao", "read.audit")
    assert (newest.detail["sought"]["who"], newest.detail["sought"]["target"]) == ("li", "taxi/B0001")
    damage_audit(house)
    for operation in ("audit_search", "audit_export"):
        with pytest.raises(AuditUnwritable):
            ask(house, operation)


def test_a_row_is_shown_with_its_hash_and_whether_it_holds(house: House) -> None:
    fill(house, 3)
    shown = ask(house, "audit_show", number=2)
    assert (shown["number"], shown["target"], shown["holds"]) == (2, "taxi/B0001", True)
    assert ask(house, "audit_show", number=3)["prev_hash"] == shown["hash"]
    with pytest.raises(NotFound):
        ask(house, "audit_show", number=10_000)
    with sqlite3.connect(house.rooms.data_dir / AUDIT_FILE) as other:
        other.execute("UPDATE audit SET target = 'taxi/B0009' WHERE n = 2")
    other.close()
    changed = ask(house, "audit_show", number=2)
    assert (changed["target"], changed["holds"]) == ("taxi/B0009", False)


def test_verification_names_the_first_bad_row_and_the_newest_checkpoint(house: House) -> None:
    fill(house, 5)
    house.rooms.audit.checkpoint()
    good = ask(house, "audit_verify")
    assert (good["ok"], good["problems"], good["checkpoint"]["number"]) == (True, [], 5)
    assert len(good["checkpoint"]["hash"]) == len(good["checkpoint"]["public_key"]) == 64
    with sqlite3.connect(house.rooms.data_dir / AUDIT_FILE) as other:
        other.execute("UPDATE audit SET who = 'somebody' WHERE n = 4")
    other.close()
    bad = ask(house, "audit_verify")
    assert not bad["ok"]
    assert "row 4 was changed" in bad["problems"][0]["what"]


def test_an_export_runs_no_formula_has_every_row_and_is_audited_first(house: House) -> None:
    fill(house, 4)
    house.rooms.audit.append("=cmd|' /C calc'!A0", "operator", "site.add", "+1+1", "@SUM(1)", {"note": "ä"})
    made = ask(house, "audit_export")
    raw = b"".join(made.pieces())
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    assert tuple(rows[0]) == COLUMNS
    assert [row["action"] for row in rows[:2]] == ["audit.export", "site.add"]  # its own row is in it: it came first
    evil = rows[1]
    assert (evil["who"][:2], evil["target"], evil["purpose"]) == ("'=", "'+1+1", "'@SUM(1)")
    assert evil["meaning_zh"] == "新增场所"
    assert rows[-1]["hash"] == ask(house, "audit_show", number=1)["hash"]
    assert (made.told["rows"], made.told["cut"], made.name) == (len(rows), False, "audit-2026-11-22.csv")


def test_exports_have_as_many_places_as_the_settings_say(house: House) -> None:
    fill(house, 2)
    held = [ask(house, "audit_export") for _ in range(house.rooms.settings.export.max_running)]
    with pytest.raises(TryAgain):
        ask(house, "audit_export")
    for one in held:
        one.close()
    ask(house, "audit_export", who="li").close()
