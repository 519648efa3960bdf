"""What stores rely on, on both databases: values there and back, transactions, migrations, errors."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from model.errors import SchemaTooNew, StoreError, TryAgain
from store.database import (
    Connection,
    Where,
    check,
    connect,
    exists,
    migrate,
    refuse_newer,
    schema_version,
    snapshot,
    transaction,
    translated,
)

Places = Callable[[str], Where]

FIRST = """
-- Words; with a comment; and a semicolon.
CREATE TABLE word (
  number INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE,
  weight REAL,
  raw BLOB,
  open INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX word_open ON word (weight) WHERE open = 1;
INSERT INTO word (text, open) VALUES ('INTEGER; ? TEXT', 0);
"""
SECOND = "ALTER TABLE word ADD COLUMN kind TEXT NOT NULL DEFAULT 'REAL'"


@pytest.fixture
def words(where: Callable[[str], Where]) -> Iterator[Connection]:
    with closing(connect(where("words"))) as connection:
        migrate(connection, [FIRST], where("words"))
        yield connection


def put(connection: Connection, *rows: tuple[object, ...]) -> None:
    with transaction(connection):
        connection.executemany("INSERT INTO word (text, weight, raw, open) VALUES (?, ?, ?, ?)", rows)


def test_values_come_back_as_they_were(words: Connection) -> None:
    put(words, ("宽", 1, b"\x00\xff", True), ("x" * 70_000, None, None, False), ("-1.5", -1.5, b"", 1 << 62))
    rows = words.execute("SELECT number, text, weight, raw, open FROM word ORDER BY number").fetchall()
    assert rows == [
        (1, "INTEGER; ? TEXT", None, None, 0),
        (2, "宽", 1.0, b"\x00\xff", 1),
        (3, "x" * 70_000, None, None, 0),
        (4, "-1.5", -1.5, b"", 1 << 62),
    ]
    assert [type(value) for value in rows[1]] == [int, str, float, bytes, int]
    assert words.execute(
        "SELECT sum(open), count(*), max(weight), sum(weight) FROM word WHERE number < ?", (3,)
    ).fetchone() == (1, 2, 1.0, 1.0)
    assert type(words.execute("SELECT sum(open) FROM word WHERE number < 3").fetchone()[0]) is int
    assert words.execute("SELECT EXISTS (SELECT 1 FROM word WHERE text = ?), 1 = 2", ("宽",)).fetchone() == (1, 0)


def test_placeholders(words: Connection) -> None:
    put(words, ("a", 1.0, None, 0), ("b", 2.0, None, 0))
    assert words.execute("SELECT text FROM word WHERE text = ? AND text <> '?'", ("a",)).fetchall() == [("a",)]
    assert words.execute("SELECT text FROM word WHERE weight = ?2 OR text = ?1 OR text = ?1", ("a", 2)).fetchall() == [
        ("a",),
        ("b",),
    ]
    named = {"wanted": "b", "other": ":wanted"}
    assert words.execute("SELECT text FROM word WHERE text IN (:wanted, :other, ':wanted')", named).fetchall() == [
        ("b",)
    ]
    assert words.execute("SELECT text FROM word WHERE text IN () OR text NOT IN ( ) AND text = 'a'").fetchall() == [
        ("a",)
    ]
    with pytest.raises(sqlite3.ProgrammingError):
        words.execute("SELECT text FROM word WHERE text = ?", ())
    with pytest.raises(sqlite3.ProgrammingError):
        words.execute("SELECT text FROM word WHERE text = :wanted", {})


def test_texts_compare_by_their_bytes_and_like_knows_no_case(words: Connection) -> None:
    put(words, *((text, None, None, 0) for text in ("b", "B", "a", "_a", "A%", "é")))
    found = words.execute("SELECT text FROM word WHERE number > 1 ORDER BY text").fetchall()
    assert [text for (text,) in found] == ["A%", "B", "_a", "a", "b", "é"]
    found = words.execute("SELECT text FROM word WHERE text LIKE ? ESCAPE '\\' ORDER BY text", ("a\\%",)).fetchall()
    assert found == [("A%",)]
    found = words.execute("SELECT text FROM word WHERE text >= ? AND text < ? ORDER BY text", ("A", "C")).fetchall()
    assert found == [("A%",), ("B",)]


def test_a_column_may_be_called_user(where: Callable[[str], Where]) -> None:
    place = where("people")
    script = "CREATE TABLE seat (user TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;\nCREATE INDEX session_user ON seat (n, user);"
    with closing(connect(place)) as connection:
        migrate(connection, [script], place)
        with transaction(connection):
            connection.execute("INSERT INTO seat (user, n) VALUES (:user, 1)", {"user": "li"})
            connection.execute("UPDATE seat SET n = n + 1 WHERE seat.user = ?", ("li",))
        assert connection.execute("SELECT s.user, n, 'user' FROM seat s WHERE user = 'li'").fetchall() == [
            ("li", 2, "user")
        ]


def test_cursors(words: Connection) -> None:
    put(words, *((f"w{n}", None, None, 0) for n in range(9)))
    cursor = words.execute("SELECT number FROM word ORDER BY number")
    assert cursor.fetchone() == (1,)
    assert cursor.fetchmany(3) == [(2,), (3,), (4,)]
    assert [number for (number,) in cursor] == [5, 6, 7, 8, 9, 10]
    assert cursor.fetchone() is None
    with transaction(words):
        assert words.execute("UPDATE word SET open = 1 WHERE number > 4").rowcount == 6
        assert (
            words.execute(
                "INSERT INTO word (text, open) VALUES ('w0', 0) ON CONFLICT (text) DO NOTHING RETURNING number"
            ).fetchone()
            is None
        )
        before = words.total_changes
        assert words.execute("DELETE FROM word WHERE number > ?", (8,)).rowcount == 2
        assert words.total_changes == before + 2


def fail_inside(connection: Connection) -> None:
    with transaction(connection):
        connection.execute("DELETE FROM word")
        assert 1 / 0


def test_a_transaction_is_all_or_nothing(words: Connection) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_inside(words)
    assert not words.in_transaction
    put(words, ("a", 1.0, None, 1))
    with pytest.raises(sqlite3.IntegrityError):
        put(words, ("b", 2.0, None, 1), ("c", 1.0, None, 1))
    with pytest.raises(sqlite3.Error) as raised:
        put(words, ("b", None, None, None))
    assert isinstance(raised.value, sqlite3.IntegrityError)
    with pytest.raises(sqlite3.OperationalError), transaction(words):
        words.execute("INSERT INTO nowhere VALUES (1)")
    assert words.execute("SELECT count(*) FROM word").fetchone() == (2,)


def test_a_snapshot_sees_one_state(words: Connection, where: Callable[[str], Where]) -> None:
    with closing(connect(where("words"), read_only=True)) as reader:
        with snapshot(reader):
            assert reader.in_transaction
            assert reader.execute("SELECT count(*) FROM word").fetchone() == (1,)
            put(words, ("a", 1.0, None, 1))
            assert reader.execute("SELECT count(*) FROM word").fetchone() == (1,)
        assert reader.execute("SELECT count(*) FROM word").fetchone() == (2,)


def test_a_reader_cannot_write(words: Connection, where: Callable[[str], Where]) -> None:
    reader = connect(where("words"), read_only=True)
    with closing(reader), pytest.raises(sqlite3.OperationalError), transaction(reader):
        reader.execute("DELETE FROM word")


def test_migrations_run_once_in_order_and_a_newer_one_is_refused(where: Callable[[str], Where]) -> None:
    place = where("words")
    assert not exists(place)
    with pytest.raises(StoreError, match="There is no"):
        connect(place, read_only=True)
    with closing(connect(place)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, [FIRST + "\nINSERT INTO nowhere VALUES (1);"], place)
        assert schema_version(connection) == 0
        migrate(connection, [FIRST], place)
        migrate(connection, [FIRST, SECOND], place)
        migrate(connection, [FIRST, SECOND], place)
        assert exists(place)
        assert refuse_newer(connection, [FIRST, SECOND], place) == schema_version(connection) == 2
        assert connection.execute("SELECT text, kind FROM word").fetchall() == [("INTEGER; ? TEXT", "REAL")]
        with pytest.raises(SchemaTooNew, match="schema 2, this lucheng knows 1"):
            migrate(connection, [FIRST], place)
        assert all("fsync" in problem for problem in check(connection, 10))  # what tests are quick by


def test_several_that_migrate_at_once(where: Callable[[str], Where]) -> None:
    place, failures = where("words"), list[BaseException]()

    def run() -> None:
        try:
            with closing(connect(place)) as connection:
                migrate(connection, [FIRST, SECOND], place)
        except BaseException as error:  # handed to the test's own thread
            failures.append(error)

    connect(place).close()
    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    with closing(connect(place)) as connection:
        assert connection.execute("SELECT count(*) FROM word").fetchone() == (1,)


def test_writers_take_turns(words: Connection, where: Callable[[str], Where]) -> None:
    """What is read in a transaction stays true until its end: no count is lost."""
    with transaction(words):
        words.execute("UPDATE word SET open = 0")
    threads = []
    for _ in range(4):

        def run() -> None:
            with closing(connect(where("words"))) as mine:
                for _ in range(20):
                    with transaction(mine):
                        (count,) = mine.execute("SELECT open FROM word").fetchone()
                        mine.execute("UPDATE word SET open = ?", (count + 1,))

        threads.append(threading.Thread(target=run))
        threads[-1].start()
    for thread in threads:
        thread.join(60)
    assert words.execute("SELECT open FROM word").fetchone() == (80,)


def test_errors_are_ours(words: Connection, where: Callable[[str], Where]) -> None:
    place = where("words")
    with pytest.raises(sqlite3.Error) as raised:
        words.execute("SELECT nothing FROM word")
    assert type(translated(raised.value, place)) is StoreError
    assert isinstance(translated(sqlite3.OperationalError("database is locked"), place), TryAgain)
