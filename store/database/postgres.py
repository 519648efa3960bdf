"""A store on a PostgreSQL server, with the surface of a SQLite connection.

Invariants:
- One writer a store at a time, over all processes, as SQLite has it: a transaction first takes the store's advisory lock and
  gives it back with its commit. So what is read inside it stays true until its end, and numbers that are given inside it
  become visible in their order, without a gap.
- A query whose answer was lost is asked again, until `wait_s`. A transaction that was cut off before its commit was kept not
  at all and says "try again"; the server may be away for `wait_s` before it begins.
- Nothing is ever written twice in silence: each transaction writes its number into `lucheng_writer`; when the answer to a
  commit is lost, that row is asked, under the same lock, whether it was kept. Only when nobody can say so within `resolve_s`
  the trouble is UNSURE, and the process has to stop.
It knows nothing of what the tables mean.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg

from store.database.dialect import bound, gives_rows, is_query, statement
from store.database.place import Place, ServerError, ServerIntegrityError, Trouble, Values
from store.database.pool import Held, Pool, is_lost, mapped, search_path

#: Between two attempts to reach a server that is away, seconds.
_PAUSE_S = 0.1
#: First half of the advisory locks' keys, so that they are nobody else's: "lu".
LOCK_CLASS = 0x6C75
#: Rows of processes that have not written for so long are forgotten when somebody migrates, milliseconds.
FORGET_WRITERS_MS = 7 * 24 * 3_600_000
_NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


class Rows:
    """What a statement gave, fetched already. As sqlite3's cursor."""

    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int) -> None:
        self._rows = rows
        self._at = 0
        self._rowcount = rowcount

    @property
    def rowcount(self) -> int:
        """Rows that a statement changed, -1 for a query."""
        return self._rowcount

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, None at the end."""
        if self._at >= len(self._rows):
            return None
        self._at += 1
        return self._rows[self._at - 1]

    def fetchmany(self, size: int = 1, /) -> list[tuple[Any, ...]]:
        """So many of the next rows."""
        found = self._rows[self._at : self._at + size]
        self._at += len(found)
        return found

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Every row that is left."""
        found = self._rows[self._at :] if self._at else self._rows
        self._at = len(self._rows)
        return found

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())


class Sent(Rows):
    """Of a statement that is sent with the next one: it gives no rows, and nobody may ever ask how many it changed."""

    def __init__(self, send: Callable[[], None]) -> None:
        super().__init__([], -1)
        self._send = send
        self.known = False

    @property
    def rowcount(self) -> int:
        """Rows that it changed; sends it now."""
        if not self.known:
            self._send()
        return self._rowcount

    def take(self, rowcount: int) -> None:
        """It is done."""
        self._rowcount, self.known = rowcount, True


class ServerConnection:
    """A store's way to its schema; implements `store.database.place.Connection`. It holds a connection of the server while
    it is in a transaction or a query, and none else, so that many stores do with few. Statements of a transaction whose answer
    nobody needs are sent together with the next one whose answer is needed, or before the commit: each costs no way to the
    server of its own, and what is wrong with one is raised there.

    Args:
        place: where the store lies.
        read_only: never write.
    """

    def __init__(self, place: Place, *, read_only: bool = False) -> None:
        self.place = place
        self.read_only = read_only
        self._changes = 0
        self._waiting: list[tuple[bytes, list[Sequence[Any]], Sent]] = []
        self._writer = uuid.uuid4().hex
        self._written = 0
        self._held: Held | None = None
        self._closed = False

    @property
    def in_transaction(self) -> bool:
        """Whether one is open."""
        return self._held is not None

    @property
    def total_changes(self) -> int:
        """Rows changed over this connection since it was opened."""
        self._send()
        return self._changes

    def execute(self, sql: str, values: Values = (), /) -> Rows:
        """Run one statement; outside of a transaction only a query. Raises ServerError, ServerIntegrityError."""
        if self._held is not None:
            if gives_rows(sql):
                return self._run(self._held, sql, values)
            text, order = statement(sql)
            return self._wait(text, [bound(order, values)])
        if not is_query(sql):
            raise ServerError(f"written outside of a transaction: {sql[:60]}", Trouble.FAILED)
        until_s = time.monotonic() + self.place.server.terms.wait_s
        while True:
            held = self._lent(until_s)
            try:
                if held.schema != self.place.schema:
                    self._command(held, search_path(self.place.schema))
                    held.schema = self.place.schema
                found = self._run(held, sql, values)
            except BaseException as error:
                lost = self._give(held)
                if not (lost and isinstance(error, ServerError) and error.trouble is Trouble.AGAIN):
                    raise
                _pause(until_s, error)
            else:
                self._pool.give(held)
                return found

    def executemany(self, sql: str, rows: Iterable[Values], /) -> Rows:
        """Run one statement once for each of the rows of values, in a transaction. Raises as `execute`."""
        if self._held is None:
            raise ServerError(f"written outside of a transaction: {sql[:60]}", Trouble.FAILED)
        text, order = statement(sql)
        several = [bound(order, values) for values in rows]
        return self._wait(text, several) if several else Rows([], 0)

    @contextmanager
    def transaction(self, *, marked: bool = True, schema: bool = True) -> Iterator[ServerConnection]:
        """One writing transaction; see the module. `marked` False: for what may be done twice; `schema` False: it may be missing."""
        if self.read_only:
            raise ServerError("opened for reading only", Trouble.FAILED)
        lock = f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, {self.place.lock_key})"
        begin = [search_path(self.place.schema)] if schema else []
        begin += ["BEGIN", lock]
        if marked:
            self._written += 1
            begin.append(
                f"INSERT INTO lucheng_writer VALUES ('{self._writer}', {self._written}, {_NOW_MS}) ON CONFLICT (writer)"  # noqa: S608 (made here)
                " DO UPDATE SET number = excluded.number, at_ms = excluded.at_ms"
            )
        self._begin("; ".join(begin))
        try:
            yield self
        except BaseException:
            self._roll_back()
            raise
        self._commit(self._written if marked else None)

    @contextmanager
    def snapshot(self) -> Iterator[ServerConnection]:
        """Queries that all see the same state."""
        self._begin(f"{search_path(self.place.schema)}; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield self
        finally:
            self._roll_back()

    def take_time(self) -> None:
        """In a transaction: its statements may take as long as they will."""
        assert self._held is not None
        self._command(self._held, "SET LOCAL statement_timeout = 0")
        self._held.connection.answer_s = math.inf

    def close(self) -> None:
        """Nothing is asked any more; twice is once."""
        self._closed = True
        self._roll_back()

    # -- how it is done -----------------------------------------------------------------------

    @property
    def _pool(self) -> Pool:
        return self.place.server.pool

    def _lent(self, until_s: float) -> Held:
        """A connection, waiting for a server that is away."""
        if self._closed:
            raise ServerError("it is closed", Trouble.FAILED)
        while True:
            try:
                return self._pool.lend(self.place.schema, until_s)
            except ServerError as error:
                if error.trouble is not Trouble.AGAIN:
                    raise
                _pause(until_s, error)

    def _give(self, held: Held) -> bool:
        """Give a connection back after an error; whether it was lost."""
        lost = is_lost(held)
        self._pool.give(held, lost=lost)
        return lost

    def _begin(self, commands: str) -> None:
        """Begin; a connection that turns out to be dead costs nothing, since nothing was done on it."""
        if self._held is not None:
            raise ServerError("a transaction within a transaction", Trouble.FAILED)
        until_s = time.monotonic() + self.place.server.terms.wait_s
        while True:
            held = self._lent(until_s)
            try:
                self._command(held, commands)
            except BaseException as error:
                if not is_lost(held):
                    held.schema = ""
                    self._quietly(held, "ROLLBACK")
                lost = self._give(held)
                if not (lost and isinstance(error, ServerError) and error.trouble is Trouble.AGAIN):
                    raise
                _pause(until_s, error)
            else:
                held.schema = self.place.schema
                self._held = held
                return

    def _roll_back(self) -> None:
        held, self._held = self._held, None
        self._waiting.clear()
        if held is not None:
            held.schema = ""  # a roll-back takes the search path back, too
            if not is_lost(held):
                self._quietly(held, "ROLLBACK")
            self._give(held)

    def _commit(self, number: int | None) -> None:
        try:
            self._send()
        except BaseException:
            self._roll_back()
            raise
        held, self._held = self._held, None
        assert held is not None
        try:
            said = self._command(held, "COMMIT")
        except BaseException as error:
            held.schema = ""
            lost = self._give(held)
            if not lost or number is None or not isinstance(error, ServerError):
                raise
            self._resolve(number, error)
            return
        if said != "COMMIT":
            held.schema = ""
            self._give(held)
            raise ServerError("a statement of it had failed, so nothing was kept", Trouble.FAILED)
        self._pool.give(held)

    def _resolve(self, number: int, error: ServerError) -> None:
        """The answer to a commit was lost: ask what became of it. Raises AGAIN where it was not kept, UNSURE where nobody knows."""
        until_s = time.monotonic() + self.place.server.terms.resolve_s
        sql = f"SELECT number FROM lucheng_writer WHERE writer = '{self._writer}'"  # noqa: S608 (made here)
        while True:
            try:
                with self.transaction(marked=False):
                    row = self.execute(sql).fetchone()
                    break
            except ServerError as later:
                if later.trouble is not Trouble.AGAIN or time.monotonic() > until_s:
                    raise ServerError(f"it is not known whether a commit was kept: {later}", Trouble.UNSURE) from error
                time.sleep(_PAUSE_S)
        if row is None or row[0] < number:
            raise ServerError(f"the server went away before the commit, nothing was kept: {error}", Trouble.AGAIN)

    def _run(self, held: Held, sql: str, values: Values) -> Rows:
        text, order = statement(sql)
        found, _ = self._flush(held, text, bound(order, values))
        if is_query(sql):
            return Rows(found.fetchall(), -1)
        self._changes += max(found.rowcount, 0)
        return found

    def _wait(self, text: str, several: list[Sequence[Any]]) -> Sent:
        sent = Sent(self._send)
        self._waiting.append((self._marked(text), several, sent))
        return sent

    def _send(self) -> None:
        """What waits to be sent, without another statement."""
        if self._waiting and self._held is not None:
            self._flush(self._held, "", ())

    def _flush(self, held: Held, text: str, values: Sequence[Any]) -> tuple[Rows, str]:
        """What waits, then one more statement, in one go; its rows, and what the server said to it."""
        waiting, self._waiting = self._waiting, []
        connection = held.connection
        try:
            with ExitStack() as stack:
                last = stack.enter_context(connection.cursor())
                if not waiting:
                    last.execute(self._marked(text), values or None)
                else:
                    self._pipelined(stack, connection, waiting, (last, text, values))
                rows = last.fetchall() if last.pgresult is not None and last.pgresult.nfields else []
                return Rows(rows, last.rowcount), last.statusmessage or ""
        except psycopg.Error as error:
            raise mapped(error) from error

    def _pipelined(
        self,
        stack: ExitStack,
        connection: psycopg.Connection[Any],
        waiting: list[tuple[bytes, list[Sequence[Any]], Sent]],
        final: tuple[psycopg.Cursor[Any], str, Sequence[Any]],
    ) -> None:
        last, text, values = final
        cursors = []
        with connection.pipeline():
            for command, several, sent in waiting:
                for one in several:
                    cursor = stack.enter_context(connection.cursor())
                    cursor.execute(command, one or None)
                    cursors.append((cursor, sent))
            if text:
                last.execute(self._marked(text), values or None)
        changed: dict[Sent, int] = {}
        for cursor, sent in cursors:
            changed[sent] = changed.get(sent, 0) + max(cursor.rowcount, 0)
        for sent, count in changed.items():
            sent.take(count)
            self._changes += count

    def _marked(self, text: str) -> bytes:
        """With the schema in front, so that what is prepared for one store is never another's."""
        return f"/* {self.place.schema} */ {text}".encode()

    @staticmethod
    def _command(held: Held, commands: str) -> str:
        """Run commands without values; what the server said to the last."""
        try:
            with held.connection.cursor() as cursor:
                cursor.execute(commands.encode())
                while cursor.nextset():
                    pass
                return cursor.statusmessage or ""
        except psycopg.Error as error:
            raise mapped(error) from error

    def _quietly(self, held: Held, command: str) -> None:
        try:
            self._command(held, command)
        except (ServerError, ServerIntegrityError):
            held.connection.close()  # whatever is the matter with it, it is not lent again


def _pause(until_s: float, error: BaseException) -> None:
    """Sleep before the next attempt; the error itself when the time is over."""
    if time.monotonic() + _PAUSE_S > until_s:
        raise error
    time.sleep(_PAUSE_S)
