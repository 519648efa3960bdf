"""`AnswerStore`: what was answered to a change that carried a key, so that the same change asked again is not done again.

Invariants: a change is noted before it is done and its answer after it; what was begun and has no answer may have been done or
not, and is told so; an answer is kept for `keep_ms`, within `max_rows_per_user` and `max_bytes`: beyond them
the oldest go. An answer over `max_answer_bytes`, or one that holds a secret, is kept as having been given, without its bytes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from model.clock import Clock
from store.database import Where, on_server
from store.kept_file import KeptFile

DEFAULT_KEEP_MS = 24 * 3_600_000
DEFAULT_MAX_ROWS_PER_USER = 10_000
DEFAULT_MAX_BYTES = 256 << 20
DEFAULT_MAX_ANSWER_BYTES = 64 << 10
#: Rows added between two looks at what is too old or too much.
_PRUNE_EVERY = 256
#: What another process has begun counts as under way for so long; after that nobody knows what became of it.
DEFAULT_UNDER_WAY_MS = 60_000

MIGRATIONS: tuple[str, ...] = (
    """
CREATE TABLE answer (
    number INTEGER PRIMARY KEY,
    "user" TEXT NOT NULL,
    key TEXT NOT NULL,
    print BLOB NOT NULL,
    begun_ms INTEGER NOT NULL,
    run TEXT NOT NULL,
    status INTEGER NOT NULL DEFAULT 0,
    media_type TEXT NOT NULL DEFAULT '',
    body BLOB
) STRICT;
CREATE UNIQUE INDEX answer_key ON answer ("user", key);
CREATE INDEX answer_begun ON answer (begun_ms);
""",
)
_FIND = 'SELECT print, status, media_type, body, run, begun_ms FROM answer WHERE "user" = ? AND key = ?'
_DELETE = 'DELETE FROM answer WHERE "user" = ? AND key = ?'
_ANSWER = 'UPDATE answer SET status = ?, media_type = ?, body = ? WHERE "user" = ? AND key = ? AND run = ?'


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What is known of a change that was asked before.

    Attributes:
        print: of the request, to tell another change under the same key.
        status: HTTP; 0: no answer is known.
        body: None where it was not kept.
        here: begun by this run of the service, or just now by another one that shares the database.
    """

    print: bytes
    status: int
    media_type: str
    body: bytes | None
    here: bool


class AnswerStore:
    """The answers of one database, a file or on a server. Any thread may call anything; see the module for the limits."""

    def __init__(
        self,
        path: Where,
        *,
        clock: Clock,
        read_only: bool = False,
        keep_ms: int = DEFAULT_KEEP_MS,
        max_rows_per_user: int = DEFAULT_MAX_ROWS_PER_USER,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES,
    ) -> None:
        self._clock = clock
        self._keep_ms = keep_ms
        self._max_rows_per_user = max_rows_per_user
        self._max_bytes = max_bytes
        self.max_answer_bytes = max_answer_bytes
        self._run = secrets.token_hex(8)
        self._added = 0
        self._shared = on_server(path)
        self._file = KeptFile(path, MIGRATIONS, read_only=read_only, older_is_empty=True)

    def begin(self, user: str, key: str, fingerprint: bytes) -> KeptAnswer | None:
        """Note that a change begins; what is known of it when it began before, and then nothing is noted."""
        now_ms = self._clock.now_ms()
        with self._file.writing() as connection:
            row = connection.execute(_FIND, (user, key)).fetchone()
            if row is not None and 0 <= now_ms - row[5] < self._keep_ms:
                here = row[4] == self._run or (self._shared and now_ms - row[5] < DEFAULT_UNDER_WAY_MS)
                return KeptAnswer(row[0], row[1], row[2], row[3], here)
            connection.execute(_DELETE, (user, key))
            connection.execute(
                'INSERT INTO answer ("user", key, print, begun_ms, run) VALUES (?, ?, ?, ?, ?)',
                (user, key, fingerprint, now_ms, self._run),
            )
            self._added += 1
            if self._added % _PRUNE_EVERY == 1:
                connection.execute("DELETE FROM answer WHERE begun_ms <= ?", (now_ms - self._keep_ms,))
                excess = connection.execute("SELECT coalesce(sum(length(body)), 0) FROM answer").fetchone()[0]
                if excess > self._max_bytes:
                    connection.execute(
                        "DELETE FROM answer WHERE number <= (SELECT number FROM (SELECT number, sum(length(body))"
                        " OVER (ORDER BY number DESC) AS above FROM answer) AS summed WHERE above > ?"
                        " ORDER BY number DESC LIMIT 1)",
                        (self._max_bytes,),
                    )
            connection.execute(
                'DELETE FROM answer WHERE "user" = ? AND number <= (SELECT number FROM answer WHERE "user" = ?'
                " ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (user, user, self._max_rows_per_user),
            )
        return None

    def finish(self, user: str, key: str, status: int, media_type: str, body: bytes | None) -> None:
        """Keep the answer of a change that began; `body` None: it was given, and cannot be given again."""
        with self._file.writing() as connection:
            connection.execute(_ANSWER, (status, media_type, body, user, key, self._run))

    def forget(self, user: str, key: str) -> None:
        """The change was not done: asked again, it is new."""
        with self._file.writing() as connection:
            connection.execute(f"{_DELETE} AND run = ? AND status = 0", (user, key, self._run))

    def count(self) -> int:
        """How many are kept."""
        found = self._file.rows("SELECT count(*) FROM answer")
        return int(found[0][0]) if found else 0

    def close(self) -> None:
        """Release the file; twice is once."""
        self._file.close()
