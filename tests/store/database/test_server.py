"""A PostgreSQL that is started again, killed, cut off and hung upon: nothing is lost in silence, and nothing written twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from model.errors import StoreError, TryAgain
from store.database import (
    Connection,
    Place,
    Server,
    ServerError,
    ServerTerms,
    Trouble,
    connect,
    migrate,
    snapshot,
    transaction,
    translated,
)
from tests.conftest import wait_until
from tests.postgres import PASSWORD, PostgresServer, told

PROJECT = Path(__file__).parents[3]
TABLE = "CREATE TABLE word (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"
COUNT = "SELECT count(*) FROM word"
INSERT = "INSERT INTO word (text) VALUES (?)"


def opened(place: Place) -> Connection:
    connection = connect(place)
    migrate(connection, [TABLE], place)
    return connection


def put(connection: Connection, *texts: str) -> None:
    with transaction(connection):
        for text in texts:
            connection.execute(INSERT, (text,))


@pytest.fixture
def server(own_postgres_server: PostgresServer) -> Iterator[Server]:
    made = own_postgres_server.server(terms=ServerTerms(wait_s=30.0, resolve_s=30.0, max_connections=3))
    yield made
    made.close()


def test_a_server_that_was_started_again_is_not_noticed(own_postgres_server: PostgresServer, server: Server) -> None:
    with closing(opened(server.place("words"))) as words:
        put(words, "before")
        for end in (own_postgres_server.stop, own_postgres_server.kill):
            end()
            starting = threading.Timer(0.3, own_postgres_server.start)
            starting.start()
            assert words.execute(COUNT).fetchone()[0] > 0  # a query waits and is asked again
            starting.join()
            end()
            own_postgres_server.start()
            put(words, "after")  # every idle connection is dead
        assert words.execute(COUNT).fetchone() == (3,)


def cut(words: Connection, end: Callable[[], None]) -> None:
    with transaction(words):
        words.execute(INSERT, ("lost",))
        end()
        words.execute(INSERT, ("lost as well",))


def test_a_transaction_that_was_cut_off_says_try_again_and_kept_nothing(
    own_postgres_server: PostgresServer, server: Server
) -> None:
    place = server.place("words")
    with closing(opened(place)) as words:
        for end in (own_postgres_server.stop, own_postgres_server.kill):
            with pytest.raises(sqlite3.Error) as raised:
                cut(words, end)
            assert isinstance(translated(raised.value, place), TryAgain)
            assert not words.in_transaction
            own_postgres_server.start()
            assert words.execute(COUNT).fetchone() == (0,)
        put(words, "kept")


def test_a_server_that_stays_away_is_try_again_after_a_while(own_postgres_server: PostgresServer) -> None:
    place = own_postgres_server.server(terms=ServerTerms(wait_s=0.5)).place("words")
    with closing(opened(place)) as words:
        own_postgres_server.stop()
        for call in (lambda: put(words, "x"), lambda: words.execute(COUNT)):
            with pytest.raises(ServerError) as raised:
                call()
            assert raised.value.trouble is Trouble.AGAIN
            assert PASSWORD not in str(translated(raised.value, place))
        own_postgres_server.start()
        put(words, "x")
    place.server.close()


class Wire:
    """Between a client and the server, byte for byte, until it cuts the line around the next COMMIT.

    `cut` is "before": the server never hears of it; "after": it does, and the client never hears the answer.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = ""
        self.cuts = 0
        self.silent = threading.Event()
        self.at_cut: Callable[[], None] = lambda: None
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                there = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            silent = threading.Event()
            for run in (self._forth, self._back):
                threading.Thread(target=run, args=(client, there, silent), daemon=True).start()

    def _forth(self, client: socket.socket, there: socket.socket, silent: threading.Event) -> None:
        while data := self._read(client):
            if self.silent.is_set():
                continue
            if self.cut and b"COMMIT" in data:
                where, self.cut = self.cut, ""
                self.cuts += 1
                silent.set()
                self.at_cut()
                if where == "after":
                    there.sendall(data)
                    time.sleep(0.3)  # the server does it
                break
            there.sendall(data)
        for one in (client, there):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _back(self, client: socket.socket, there: socket.socket, silent: threading.Event) -> None:
        while data := self._read(there):
            if silent.is_set():
                return
            with contextlib.suppress(OSError):
                client.sendall(data)

    @staticmethod
    def _read(one: socket.socket) -> bytes:
        try:
            return one.recv(65_536)
        except OSError:
            return b""

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def wire(postgres_server: PostgresServer) -> Iterator[Wire]:
    made = Wire(postgres_server.port)
    yield made
    made.close()


def through(wire: Wire, postgres_server: PostgresServer, terms: ServerTerms | None = None) -> Server:
    straight = postgres_server.server()
    url = f"{straight.url.replace(f':{postgres_server.port}/', f':{wire.port}/')}?sslmode=disable"
    return Server(url, password=PASSWORD, prefix=straight.prefix, terms=terms)


def test_a_commit_whose_answer_was_lost_is_looked_up(postgres_server: PostgresServer, wire: Wire) -> None:
    server = through(wire, postgres_server)
    place = server.place("words")
    with closing(opened(place)) as words:
        put(words, "one")
        wire.cut = "after"
        put(words, "two")  # kept, and known to be
        assert wire.cuts == 1
        wire.cut = "before"
        with pytest.raises(ServerError) as raised:
            put(words, "three")
        assert (wire.cuts, raised.value.trouble) == (2, Trouble.AGAIN)
        put(words, "three")
        assert [text for (text,) in words.execute("SELECT text FROM word ORDER BY number")] == ["one", "two", "three"]
    server.close()


def test_cut_at_any_commit_nothing_is_doubled_or_lost(postgres_server: PostgresServer, wire: Wire) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = through(wire, postgres_server)
    wanted: list[str] = []
    with closing(opened(server.place("words"))) as words:
        for number in range(30):
            wire.cut = chance.choice(("", "before", "after"))
            troubles: list[Trouble] = []
            while len(troubles) < 9:
                try:
                    put(words, f"w{number}")
                    break
                except ServerError as error:
                    troubles.append(error.trouble)
            assert set(troubles) <= {Trouble.AGAIN}  # nothing was kept, so it was done again
            wanted.append(f"w{number}")
        assert [text for (text,) in words.execute("SELECT text FROM word ORDER BY number")] == wanted
    assert wire.cuts > 0
    server.close()


def test_a_commit_of_which_nobody_knows_ends_the_process(own_postgres_server: PostgresServer) -> None:
    wire = Wire(own_postgres_server.port)
    server = through(wire, own_postgres_server, ServerTerms(wait_s=0.2, resolve_s=0.5))
    place = server.place("words")
    with closing(opened(place)) as words:

        def unsure() -> None:
            with transaction(words):
                words.execute(f"{INSERT} RETURNING number", ("perhaps",))
                wire.cut = "before"
                wire.at_cut = own_postgres_server.kill

        with pytest.raises(ServerError) as raised:
            unsure()
        assert raised.value.trouble is Trouble.UNSURE
        failure = translated(raised.value, place)
        assert isinstance(failure, StoreError)
        assert failure.mend
    wire.close()
    server.close()


@pytest.mark.soak
def test_a_line_that_is_open_and_silent_is_given_up(postgres_server: PostgresServer) -> None:
    wire = Wire(postgres_server.port)
    server = through(wire, postgres_server, ServerTerms(wait_s=0.2, statement_timeout_ms=100))
    with closing(opened(server.place("words"))) as words:
        put(words, "one")
        wire.silent.set()
        for call in (lambda: words.execute(COUNT), lambda: put(words, "two")):
            with pytest.raises(ServerError) as raised:
                call()
            assert raised.value.trouble is Trouble.AGAIN
        wire.silent.clear()
        put(words, "two")
        assert words.execute(COUNT).fetchone() == (2,)
    wire.close()
    server.close()


HANGS = """
import sys, time
from tests.postgres import where_told
from tests.store.database.test_server import INSERT
from store.database import ServerTerms, connect, transaction
words = connect(where_told(sys.argv[1], terms=ServerTerms(idle_transaction_ms=1000)))
with transaction(words):
    words.execute(INSERT, ('hangs',))
    print('in', flush=True)
    time.sleep(600)
"""


def test_a_process_that_hangs_in_a_transaction_blocks_nobody_for_long(postgres_server: PostgresServer) -> None:
    server = postgres_server.server(terms=ServerTerms(lock_timeout_ms=300))
    place = server.place("words")
    with closing(opened(place)) as words:
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        command = [sys.executable, "-c", HANGS, told(place)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "in\n"
            child.send_signal(signal.SIGSTOP)
            with pytest.raises(ServerError, match="lock timeout") as raised:
                put(words, "busy")
            assert raised.value.trouble is Trouble.AGAIN

            def goes_on() -> bool:
                try:
                    put(words, "goes on")
                except ServerError:
                    return False
                return True

            wait_until(goes_on, what="the server to end the hanging transaction")
            child.kill()
        assert words.execute("SELECT text FROM word").fetchall() == [("goes on",)]
    server.close()


def test_a_few_connections_are_enough_for_many_stores_and_threads(postgres_server: PostgresServer) -> None:
    server = postgres_server.server(terms=ServerTerms(max_connections=2), name="few")
    stores = [opened(server.place(f"s{number}")) for number in range(6)]

    def run(words: Connection) -> None:
        for number in range(10):
            put(words, f"{number}")
            with snapshot(words):
                assert words.execute(COUNT).fetchone() == (number + 1,)

    threads = [threading.Thread(target=run, args=(words,)) for words in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [words.execute(COUNT).fetchone() for words in stores] == [(10,)] * 6
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'few'"
    assert 1 <= stores[0].execute(sql).fetchone()[0] <= 2
    server.close()


def test_who_may_not_in_is_told_so(postgres_server: PostgresServer) -> None:
    wrong = Server(postgres_server.url, password="wrong")
    absent = Server(postgres_server.url.replace("/postgres", "/nowhere"), password=PASSWORD)
    for server in (wrong, absent):
        with pytest.raises(StoreError, match="cannot be opened") as raised:
            connect(server.place("words"), read_only=True)
        assert "database.url" in raised.value.mend
        assert "wrong" not in repr(server)
        server.close()


def test_a_database_of_another_encoding_is_refused(postgres_server: PostgresServer) -> None:
    import psycopg

    with psycopg.connect(postgres_server.url, password=PASSWORD, autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    server = Server(postgres_server.url.replace("/postgres", "/plain"), password=PASSWORD)
    with pytest.raises(StoreError, match="UTF8"):
        connect(server.place("words"), read_only=True)
    server.close()


def test_outside_of_a_transaction_nothing_is_written(postgres_server: PostgresServer) -> None:
    server = postgres_server.server()
    with closing(opened(server.place("words"))) as words:
        with pytest.raises(ServerError, match="outside of a transaction"):
            words.execute(INSERT, ("x",))
        with pytest.raises(ServerError, match="outside of a transaction"):
            words.executemany(INSERT, [("x",)])
    server.close()


def test_a_lax_server_is_made_to_keep_what_it_says(own_postgres_server: PostgresServer) -> None:
    with (own_postgres_server.data / "postgresql.conf").open("a") as file:
        file.write("synchronous_commit = 'off'\n")
    own_postgres_server.stop()
    own_postgres_server.start()
    server = own_postgres_server.server()
    with closing(opened(server.place("words"))) as words:
        assert words.execute("SHOW synchronous_commit").fetchone() == ("on",)
    server.close()
