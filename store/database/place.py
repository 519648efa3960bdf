"""Where a store lies: a SQLite file, or its own schema on a PostgreSQL server; and what both kinds of connection can do.

Invariants: a `Place` names its server and its schema and nothing else; a `Server` opens nothing before it is asked to, and
its password is in no text that is made of it. What a server's connection raises derives from sqlite3's errors, so that a
store has one `except` for both. It imports no driver.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from model.errors import UsageError

if TYPE_CHECKING:
    from store.database.pool import Pool

#: How long a call waits for a server that is away, e.g. while it is started again, before it says "try again", seconds.
DEFAULT_WAIT_S = 15.0
#: How long it is asked whether a commit was kept whose answer was lost, before the process has to stop, seconds.
DEFAULT_RESOLVE_S = 60.0
DEFAULT_CONNECT_TIMEOUT_S = 5.0
#: How long a transaction waits for another process' transaction on the same store, milliseconds.
DEFAULT_LOCK_TIMEOUT_MS = 5_000
#: After so long without a statement the server ends a transaction, so that a process that hangs blocks nobody, milliseconds.
DEFAULT_IDLE_TRANSACTION_MS = 10_000
#: Longest single statement, milliseconds; a line that is silent for longer is given up.
DEFAULT_STATEMENT_TIMEOUT_MS = 30_000
#: Connections of one process, over all its stores.
DEFAULT_MAX_CONNECTIONS = 8
DEFAULT_PREFIX = "lucheng"
#: Of a schema's name in PostgreSQL, characters.
MAX_SCHEMA_CHARS = 63

Values = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    """What a statement gives; as sqlite3's cursor."""

    @property
    def rowcount(self) -> int:
        """Rows that a statement changed, -1 for a query."""
        ...

    def fetchone(self) -> Any:
        """The next row, None at the end."""
        ...

    def fetchmany(self, size: int = ..., /) -> list[Any]:
        """So many of the next rows."""
        ...

    def fetchall(self) -> list[Any]:
        """Every row that is left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What stores use of a connection, of either kind. One thread at a time: its owner serialises.

    Placeholders are `?`, `?1` or `:name`. Outside of `transaction` and `snapshot` there are only queries.
    """

    @property
    def in_transaction(self) -> bool:
        """Whether one is open."""
        ...

    @property
    def total_changes(self) -> int:
        """Rows changed over this connection since it was opened."""
        ...

    def execute(self, sql: str, values: Any = ..., /) -> Cursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, rows: Any, /) -> Cursor:
        """Run one statement once for each of the rows of values."""
        ...

    def close(self) -> None:
        """Release it; twice is once."""
        ...


class Trouble(StrEnum):
    """What is the matter with a server.

    AGAIN: busy or away; nothing was kept. UNSURE: it is not known whether a commit was kept. REFUSED: it does not let us,
    or there is no such database. DAMAGED: what it keeps is damaged. FAILED: anything else; nothing was kept.
    """

    AGAIN = "again"
    UNSURE = "unsure"
    REFUSED = "refused"
    DAMAGED = "damaged"
    FAILED = "failed"


class ServerError(sqlite3.OperationalError):
    """A PostgreSQL server's error; `translated` makes lucheng's of it."""

    def __init__(self, message: str, trouble: Trouble) -> None:
        super().__init__(message)
        self.trouble = trouble


class ServerIntegrityError(sqlite3.IntegrityError):
    """A PostgreSQL server's constraint does not hold; the transaction around it is lost."""


@dataclass(frozen=True, slots=True)
class ServerTerms:
    """How long and how much; see the constants above.

    Attributes:
        wait_s: how long a call waits for a server that is away.
        resolve_s: how long it is asked whether a commit was kept whose answer was lost.
        connect_timeout_s: of one attempt.
        lock_timeout_ms: waiting for another process on the same store.
        idle_transaction_ms: the server ends a transaction in which so long nothing was said.
        statement_timeout_ms: of one statement.
        max_connections: of this process.
    """

    wait_s: float = DEFAULT_WAIT_S
    resolve_s: float = DEFAULT_RESOLVE_S
    connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S
    lock_timeout_ms: int = DEFAULT_LOCK_TIMEOUT_MS
    idle_transaction_ms: int = DEFAULT_IDLE_TRANSACTION_MS
    statement_timeout_ms: int = DEFAULT_STATEMENT_TIMEOUT_MS
    max_connections: int = DEFAULT_MAX_CONNECTIONS


class Server:
    """One PostgreSQL database, with this process' connections to it. Any thread may call anything.

    Args:
        url: `postgresql://user@host:port/database`, without a password; several hosts with commas between them.
        password: None where none is asked for.
        prefix: what the names of our schemas begin with.
        terms: limits.
        name: of this process, as the server's own lists show it.
    """

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        prefix: str = DEFAULT_PREFIX,
        terms: ServerTerms | None = None,
        name: str = "lucheng",
    ) -> None:
        self.url = url
        self.password = password
        self.prefix = prefix
        self.terms = terms or ServerTerms()
        self.name = name
        self._pool: Pool | None = None
        self._making = threading.Lock()

    def place(self, store: str) -> Place:
        """Where the store of that name lies."""
        return Place(self, f"{self.prefix}_{store}")

    @property
    def pool(self) -> Pool:
        """The connections, made with the first question."""
        with self._making:
            if self._pool is None:
                from store.database.pool import Pool  # noqa: PLC0415 brings the driver, which only needs who has a server

                self._pool = Pool(self)
            return self._pool

    @property
    def shown(self) -> str:
        """Host and database, for people; no user."""
        parts = urlsplit(self.url)
        return f"{parts.netloc.rpartition('@')[2]}{parts.path}"

    def close(self) -> None:
        """Release every connection; may be opened again by the next question."""
        with self._making:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def __repr__(self) -> str:
        return f"Server({self.shown})"


@dataclass(frozen=True, slots=True)
class Place:
    """A store on a server: tables in a schema of its own."""

    server: Server = field(compare=False)
    schema: str

    def __post_init__(self) -> None:
        if len(self.schema) > MAX_SCHEMA_CHARS or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.schema):
            raise UsageError(f"{self.schema[:80]!r} is no name of a schema.", mend="Use letters, digits and _.")

    @property
    def name(self) -> str:
        """For people, as a file's name."""
        return f"{self.schema} in PostgreSQL"

    @property
    def lock_key(self) -> int:
        """Of the advisory lock that this store's writers take; a signed 32-bit number."""
        return zlib.crc32(self.schema.encode()) - (1 << 31)

    def __str__(self) -> str:
        return f"{self.schema} at {self.server.shown}"


#: Where a store is to lie: a SQLite file, or on a PostgreSQL server.
Where = Path | Place
