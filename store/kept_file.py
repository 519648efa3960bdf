"""The database of a small store, a SQLite file or a schema on a server: a connection that writes, one that reads beside it,
and what a failed sync means.

Invariants: everything of one `writing` is one transaction, durable when it ends; after a failed commit nothing is written
any more, since a failed sync is never tried again; a file that is not there yet reads as empty where only reading is
asked for. It knows no table.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from model.errors import LuchengError, StoreError
from model.seams import Problem
from store.database import (
    Connection,
    Error,
    Where,
    check,
    connect,
    exists,
    migrate,
    refuse_newer,
    transaction,
    translated,
)

#: Problems that one check names at most.
DEFAULT_MAX_PROBLEMS = 100
_MEND = "Restore the file from a back-up."


class KeptFile:
    """The open file. Any thread may call anything.

    Args:
        path: the file, or the place on a server.
        migrations: of its tables.
        read_only: read beside a running writer.
        older_is_empty: what an older lucheng wrote reads as empty, instead of being refused, where only reading is asked for.

    Raises:
        StoreError: the file cannot be opened, or was last written by an older lucheng and is opened read-only;
        Corrupt: it is damaged.
    """

    def __init__(
        self, path: Where, migrations: Sequence[str], *, read_only: bool, older_is_empty: bool = False
    ) -> None:
        self.path = path
        self._migrations = migrations
        self._older_is_empty = older_is_empty
        self._read_only = read_only
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._closed = False
        self._failure: StoreError | None = None
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        try:
            if not read_only:
                self._writer = connect(path)
                migrate(self._writer, migrations, path)
            self._open_reader()
        except Error as error:
            self.close()
            raise translated(error, path) from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, all or nothing.

        Raises:
            StoreError: nothing of it was kept, and nothing will be any more: the process must stop.
            TryAgain: another process holds the file, or the server is away; nothing was kept.
        """
        with self._writing:
            if self._read_only:
                raise StoreError(f"{self.path.name} was opened for reading only.", mend="Open it as the writer.")
            if self._failure is not None:
                raise StoreError(self._failure.message, mend=self._failure.mend)
            if self._writer is None:
                raise StoreError(f"{self.path.name} is closed.", mend="Open it again.")
            try:
                with transaction(self._writer) as connection:
                    yield connection
            except Error as error:
                failure = translated(error, self.path)
                if isinstance(failure, StoreError):
                    self._failure = failure
                raise failure from error

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds, as committed; nothing where there is no file yet."""
        with self._reading:
            self._refuse_closed()
            try:
                if self._reader is None:
                    self._open_reader()
                return self._reader.execute(sql, values).fetchall() if self._reader is not None else []
            except Error as error:
                raise translated(error, self.path) from error

    def check(self, *, max_problems: int = DEFAULT_MAX_PROBLEMS) -> list[Problem]:
        """What the database itself finds wrong."""
        try:
            with self._reading:
                self._refuse_closed()
                found = check(self._reader, max_problems) if self._reader is not None else []
        except LuchengError as error:
            return [Problem(self.path.name, error.message, error.mend or _MEND)]
        except Error as error:
            failure = translated(error, self.path)
            return [Problem(self.path.name, failure.message, failure.mend or _MEND)]
        return [Problem(self.path.name, text, _MEND) for text in found]

    def close(self) -> None:
        """Release the file after who is writing; twice is once."""
        with self._writing, self._reading:
            self._closed = True
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path.name} is closed.", mend="Open it again.")

    def _open_reader(self) -> None:
        if not exists(self.path):
            return
        reader = connect(self.path, read_only=True)
        try:
            older = refuse_newer(reader, self._migrations, self.path) < len(self._migrations)
            if older and not self._older_is_empty:
                raise StoreError(
                    f"{self.path.name} was last written by an older lucheng.",
                    mend="Start `lucheng run` once, or any command that changes something: it is brought up to date.",
                )
        except BaseException:
            reader.close()
            raise
        if older:
            reader.close()  # looked at again by the next read: its writer may be at work on it
        else:
            self._reader = reader
