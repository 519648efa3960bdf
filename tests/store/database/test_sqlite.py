"""Connections and migrations: restartable when killed midway, a newer file refused in words (F16)."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from model.errors import Corrupt, SchemaTooNew, StoreError, TryAgain
from store.database import connect, migrate, schema_version, transaction, translated

PROJECT = Path(__file__).parents[3]

FIRST = """
CREATE TABLE word (text TEXT NOT NULL) STRICT;
INSERT INTO word VALUES ('one; two');
CREATE TRIGGER word_stays BEFORE DELETE ON word BEGIN
  SELECT RAISE(ABORT, 'no');
END;
"""
SECOND = "ALTER TABLE word ADD COLUMN number INTEGER NOT NULL DEFAULT 7"
#: Long enough to be killed in the middle of.
THIRD = (
    "CREATE TABLE many AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)"
    " SELECT i FROM n;\nCREATE INDEX many_by_i ON many (i);"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


def test_every_file_is_durable_wal(path: Path) -> None:
    with closing(connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    with closing(connect(path, durable=False)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_page_size_and_freed_pages_are_the_owners_choice(path: Path) -> None:
    with closing(connect(path, page_bytes=32_768, keep_freed=True)) as connection:
        connection.execute("CREATE TABLE word (text TEXT)")
        assert connection.execute("PRAGMA page_size").fetchone() == (32_768,)
        assert connection.execute("PRAGMA secure_delete").fetchone() == (0,)


def test_migrations_run_once_in_order(path: Path) -> None:
    with closing(connect(path)) as connection:
        migrate(connection, [FIRST], path)
        assert schema_version(connection) == 1
        migrate(connection, [FIRST, SECOND], path)
        migrate(connection, [FIRST, SECOND], path)
        assert schema_version(connection) == 2
        assert connection.execute("SELECT * FROM word").fetchall() == [("one; two", 7)]
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("DELETE FROM word")


def test_a_migration_that_fails_leaves_nothing(path: Path) -> None:
    with closing(connect(path)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, [FIRST, "CREATE TABLE half (x INTEGER);\nINSERT INTO nowhere VALUES (1);"], path)
        assert schema_version(connection) == 1
        assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 'half'").fetchall() == []
        migrate(connection, [FIRST, SECOND], path)
        assert schema_version(connection) == 2


def test_a_migration_killed_midway_starts_again(path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    script = (
        "import sys; from pathlib import Path; from store.database import connect, migrate\n"
        "from tests.store.database.test_sqlite import FIRST, SECOND, THIRD\n"
        "path = Path(sys.argv[1]); connection = connect(path)\n"
        "print('begun', flush=True)\n"
        "migrate(connection, [FIRST, SECOND, THIRD], path)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    for _ in range(4):
        command = [sys.executable, "-c", script, str(path)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            time.sleep(chance.uniform(0, 0.15))
            child.kill()
        with closing(connect(path)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
            version = schema_version(connection)
            assert ("word" in names) == (version >= 1)
            assert ({"many", "many_by_i"} <= names) == (version >= 3)
    with closing(connect(path)) as connection:
        migrate(connection, [FIRST, SECOND, THIRD], path)
        assert connection.execute("SELECT count(*) FROM many").fetchone() == (400_000,)
        assert connection.execute("SELECT * FROM word").fetchall() == [("one; two", 7)]


def test_two_that_migrate_at_once(path: Path) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with closing(connect(path)) as connection:
                migrate(connection, [FIRST, SECOND], path)
        except BaseException as error:  # handed to the test's own thread
            failures.append(error)

    connect(path).close()
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    with closing(connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM word").fetchone() == (1,)


def test_a_newer_file_is_refused(path: Path) -> None:
    with closing(connect(path)) as connection:
        migrate(connection, [FIRST, SECOND], path)
        with pytest.raises(SchemaTooNew, match="schema 2, this lucheng knows 1"):
            migrate(connection, [FIRST], path)


def fail_inside(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        connection.execute("INSERT INTO word VALUES ('lost')")
        assert 1 / 0


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE word (text TEXT)")
        with pytest.raises(sqlite3.OperationalError), transaction(connection):
            connection.execute("INSERT INTO word VALUES ('lost'), ((SELECT text FROM nowhere))")
        with pytest.raises(ZeroDivisionError):
            fail_inside(connection)
        with transaction(connection):
            connection.execute("INSERT INTO word VALUES ('kept')")
        assert connection.execute("SELECT text FROM word").fetchall() == [("kept",)]


def test_errors_say_what_to_do(path: Path) -> None:
    with pytest.raises(StoreError, match="There is no"):
        connect(path, read_only=True)
    with pytest.raises(StoreError, match="cannot be opened"):
        connect(path / "below" / "nothing.db")
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(Corrupt) as raised:
        connect(path)
    assert raised.value.mend
    assert isinstance(translated(sqlite3.OperationalError("database is locked"), path), TryAgain)
    assert isinstance(translated(sqlite3.OperationalError("disk I/O error"), path), StoreError)


def test_a_reader_cannot_write_and_a_second_writer_waits_its_time(path: Path) -> None:
    with closing(connect(path)) as writer, closing(connect(path, read_only=True)) as reader:
        writer.execute("CREATE TABLE word (text TEXT)")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("INSERT INTO word VALUES ('x')")
        second = connect(path, busy_timeout_ms=10)
        with closing(second), transaction(writer), pytest.raises(sqlite3.OperationalError, match="locked"):
            second.execute("BEGIN IMMEDIATE")
