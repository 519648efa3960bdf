"""S20: the audit store unwritable, its last rows deleted, a row edited: no audit, no data, and `audit verify` names the row."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lucheng.in_process import Done, answer, lucheng
from tests.lucheng.service_process import ServiceProcess

T0_S = 1_212_130_800
WINDOW = ("--from", "2000-01-01", "--to", "2040-01-01")
#: What gives data of devices out, and what changes something.
READS = (
    ("track", "taxi/abc", *WINDOW),
    ("track", "taxi/abc", *WINDOW, "--json"),
    ("track", "taxi/abc", *WINDOW, "--format", "gpx"),
    ("where", "--json"),
    ("where", "taxi/abc"),
    ("quarantine", "list", "--json"),
    ("quarantine", "show", "1"),
    ("signal", "list", "--json"),
    ("audit", "list", "--json"),
)
CHANGES = (("device", "add", "taxi/new"), ("device", "disable", "taxi/abc"), ("device", "credentials", "taxi/abc"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a track, a quarantined row and an audit of some rows."""
    folder, path = tmp_path / "data", tmp_path / "rows.csv"
    rows = [f"{T0_S + 60 * k},abc,{37.7 + k * 1e-4:.5f},-122.4,1" for k in range(10)]
    path.write_text("\n".join(["ts_utc,cab_id,lat,lon,occupied", *rows, f"{T0_S},abc,x,y,0"]) + "\n")
    assert answer(folder, "ingest", str(path), "--format", "cabspotting")["stored"] == 10
    for _ in range(4):
        assert len(answer(folder, "where")) == 1
    return folder


def rows_of(data: Path) -> int:
    with closing(sqlite3.connect(data / "audit.db")) as connection:
        found: int = connection.execute("SELECT count(*) FROM audit").fetchone()[0]
        return found


def change(data: Path, sql: str, *arguments: Any) -> None:
    with closing(sqlite3.connect(data / "audit.db")) as connection, connection:
        assert connection.execute(sql, arguments).rowcount > 0


def verified(data: Path) -> dict[str, Any]:
    """The first problem that `audit verify` names, which has to end with 1 in words and in JSON."""
    done = lucheng(data, "audit", "verify", "--json")
    assert done.returncode == 1, done.stdout
    words = lucheng(data, "audit", "verify")
    assert words.returncode == 1
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["ok"] is False
    problem: dict[str, Any] = found["problems"][0]
    assert problem["what"] in words.stdout
    assert lucheng(data, "store", "check").returncode == 1
    return problem


def refused(done: Done) -> None:
    """It gave nothing out and said why."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert "audit" in done.stderr.lower()
    assert "Traceback" not in done.stderr


def nothing_is_read_or_changed(data: Path) -> None:
    for command in (*READS, *CHANGES):
        refused(lucheng(data, *command))


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """The audit's file held by somebody who does not let go: a write waits, then fails."""
    with closing(sqlite3.connect(data / "audit.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def test_a_row_that_was_edited_is_named(data: Path) -> None:
    assert answer(data, "audit", "verify")["ok"] is True
    change(data, "UPDATE audit SET target = 'taxi/other' WHERE n = 3")
    assert verified(data)["place"] == "audit.db row 3"


def test_a_row_that_was_taken_out_is_named(data: Path) -> None:
    change(data, "DELETE FROM audit WHERE n = 2")
    assert verified(data)["place"] == "audit.db row 2"


def test_the_last_rows_deleted_are_missed_and_nothing_is_given_out(data: Path) -> None:
    before = rows_of(data)
    change(data, "DELETE FROM audit WHERE n > ?", before - 2)
    problem = verified(data)
    assert problem["place"] == f"audit.db row {before - 1}"
    assert "is gone" in problem["what"]
    nothing_is_read_or_changed(data)
    assert rows_of(data) == before - 2  # and nothing is written over the gap


def test_the_whole_chain_made_anew_is_found(data: Path) -> None:
    """Somebody deletes everything and lets lucheng write new, well chained rows: the checkpoints know."""
    with closing(sqlite3.connect(data / "audit.db")) as connection, connection:
        connection.execute("DELETE FROM audit")
    assert "row 1" in verified(data)["what"]
    nothing_is_read_or_changed(data)
    for name in ("audit.db", "audit.db-wal", "audit.db-shm"):
        (data / name).unlink(missing_ok=True)
    refused(lucheng(data, *READS[1]))
    assert lucheng(data, "audit", "verify").returncode == 1


def test_a_damaged_audit_gives_no_data(data: Path) -> None:
    with (data / "audit.db").open("r+b") as file:
        file.write(b"\0" * 6000)
    assert "damaged" in verified(data)["what"]
    nothing_is_read_or_changed(data)
    refused(lucheng(data, "run"))


def test_an_audit_that_is_a_folder_gives_no_data(data: Path) -> None:
    for path in data.glob("audit.db*"):
        path.unlink()
    (data / "audit.db").mkdir()
    verified(data)
    nothing_is_read_or_changed(data)


def test_an_unwritable_audit_gives_no_data_until_it_can_be_written_again(data: Path) -> None:
    with locked(data):
        refused(lucheng(data, *READS[1]))
    assert len(answer(data, "where")) == 1
    assert answer(data, "audit", "verify")["ok"] is True


@pytest.mark.soak
def test_the_same_through_a_running_service(data: Path) -> None:
    with ServiceProcess(data).spawn() as service:
        service.wait_api()
        assert len(answer(data, "where")) == 1
        with locked(data):
            refused(lucheng(data, *READS[1]))
        assert len(answer(data, "where")) == 1
        last = rows_of(data)
        change(data, "DELETE FROM audit WHERE n = ?", last)
        assert verified(data)["place"] == f"audit.db row {last}"
        nothing_is_read_or_changed(data)
        assert answer(data, "status")["stored"] == 10  # what concerns nobody goes on


def test_a_copy_of_an_older_audit_put_back_is_found(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / "audit.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(data / "audit.db", tmp_path / "older.db")
    answer(data, "track", "taxi/abc", *WINDOW)
    for name in ("audit.db-wal", "audit.db-shm"):
        (data / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "older.db", data / "audit.db")
    assert "is gone" in verified(data)["what"]
    nothing_is_read_or_changed(data)
