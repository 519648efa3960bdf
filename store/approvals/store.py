"""`ApprovalStore`: who asked to read something wide, who let it be, how often it was used; and break-glasses; in one database.

Invariants: a change is durable when a call returns; an approval moves by the pure steps of `model.approval` alone, and only
from the version that the step was decided on, so that a use is counted once however many processes use it at the same time;
whether the glass may be broken is decided in the transaction that keeps it. It audits nothing and knows no settings: the
console does. Rows are never deleted: they say what the audit's rows were allowed by.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from model.approval import Approval, ApprovalState, check_break_glass
from model.clock import Clock
from model.errors import Conflict, NotFound, Refused, UsageError
from model.seams import Problem
from store.approvals.rows import INSERT, MIGRATIONS, SELECT, UPDATE, approval_of, row_of
from store.database import Connection, Where
from store.kept_file import KeptFile

#: Requests of one person that wait at a time.
DEFAULT_MAX_OPEN = 20
#: Break-glasses of one person that nobody has reviewed yet.
DEFAULT_MAX_UNREVIEWED = 3
#: Rows that one call returns at most.
DEFAULT_MAX_LIST_ROWS = 10_000
_WAITING = "state = 'asked' AND expires_ms > ?"
_NOT_OVER = "(state IN ('asked', 'granted') AND expires_ms > ?) OR state = 'broken'"
_COUNTS = """SELECT count(*) FILTER (WHERE state = 'asked' AND expires_ms > ?1), count(*) FILTER (WHERE state = 'broken'),
count(*) FILTER (WHERE state = 'broken' AND expires_ms <= ?1) FROM approvals WHERE state IN ('asked', 'granted', 'broken')"""


class ApprovalStore:
    """The approvals of one database. Any thread of any process may call anything.

    Args:
        path: the file, e.g. `approvals.db`, or the place on a server.
        clock: source of time.
        lazy: make and open it for writing when something is first written, for a reader beside a writer: as a read
            is audited, its use of an approval is counted, whoever reads.

    Raises:
        StoreError: the file cannot be opened; Corrupt: it is damaged.
    """

    def __init__(self, path: Where, *, clock: Clock, lazy: bool = False) -> None:
        self._path = path
        self._clock = clock
        self._opening = threading.Lock()
        self._reader = KeptFile(path, MIGRATIONS, read_only=lazy, older_is_empty=True)
        self._writer: KeptFile | None = None if lazy else self._reader

    # -- beginning ----------------------------------------------------------------------------

    def ask(self, draft: Approval, *, max_open: int = DEFAULT_MAX_OPEN) -> Approval:
        """Keep a new request, durably, and give it its id; the same person's same one that stands already instead, if any.

        Args:
            draft: as `model.approval.Approval` says, in the state `ASKED`; its id, version and time of asking are given here.
            max_open: requests of that person that may wait at a time.

        Raises: Refused, as many wait already. UsageError, another state.
        """
        if draft.state is not ApprovalState.ASKED:
            raise UsageError(f"No request begins {draft.state}.", mend="Begin with asked.")
        now_ms = self._clock.now_ms()
        with self._file().writing() as connection:
            same = connection.execute(
                f"{SELECT} WHERE who = ? AND digest = ? AND purpose = ? AND state IN ('asked', 'granted')"
                " AND expires_ms > ? ORDER BY number DESC LIMIT 1",
                (draft.by, draft.digest, draft.purpose, now_ms),
            ).fetchone()
            if same is not None:
                return approval_of(same)
            sql = f"SELECT count(*) FROM approvals WHERE who = ? AND {_WAITING}"  # noqa: S608 (constants)
            (waiting,) = connection.execute(sql, (draft.by, now_ms)).fetchone()
            if waiting >= max_open:
                raise Refused(
                    f"{waiting} requests of {draft.by} wait already.",
                    mend="Take some back with `lucheng approval refuse`, or raise approvals.max_open.",
                )
            return _keep(connection, draft, now_ms)

    def break_glass(self, draft: Approval, *, max_unreviewed: int = DEFAULT_MAX_UNREVIEWED) -> Approval:
        """Keep a break-glass, durably, and give it its id.

        Raises: Refused, by `model.approval.check_break_glass`. UsageError, another state than `BROKEN`.
        """
        if draft.state is not ApprovalState.BROKEN:
            raise UsageError(f"No break-glass begins {draft.state}.", mend="Begin with broken.")
        now_ms = self._clock.now_ms()
        with self._file().writing() as connection:
            rows = connection.execute(f"{SELECT} WHERE state = 'broken' ORDER BY number").fetchall()
            check_break_glass([approval_of(row) for row in rows], draft.by, now_ms, max_unreviewed)
            return _keep(connection, draft, now_ms)

    # -- moving -------------------------------------------------------------------------------

    def step(self, before: Approval, after: Approval) -> Approval:
        """Write a step of `model.approval`, durably: `after` in the place of `before`.

        Raises:
            Conflict: the stored one is not `before` any more; nothing was changed.
            UsageError: it is no step from `before`.
        """
        if after.id != before.id or after.version != before.version + 1:
            raise UsageError(f"That is no step of {before.id}.", mend="Step from the approval as it was read.")
        with self._file().writing() as connection:
            done = connection.execute(UPDATE, (*row_of(after), before.id, before.version))
            if done.rowcount != 1:
                stored = connection.execute(f"{SELECT} WHERE id = ?", (before.id,)).fetchone()
                if stored is None:
                    raise _no_such(before.id)
                raise Conflict(
                    f"{before.id} is {approval_of(stored).state} by now: somebody was first.",
                    mend="Look at it as it stands and decide again.",
                )
        return after

    # -- looking ------------------------------------------------------------------------------

    def get(self, approval_id: str) -> Approval:
        """One approval. Raises NotFound."""
        found = self._approvals(f"{SELECT} WHERE id = ?", (approval_id,))
        if not found:
            raise _no_such(approval_id)
        return found[0]

    def ids_like(self, prefix: str, *, limit: int = 3) -> builtins.list[str]:
        """Ids that begin with `prefix`, the newest first."""
        plain = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        sql = "SELECT id FROM approvals WHERE id LIKE ? ESCAPE '\\' ORDER BY number DESC LIMIT ?"
        return [row[0] for row in self._reader.rows(sql, (plain + "%", limit))]

    def list(
        self, *, by: str = "", open_only: bool = False, before: str = "", limit: int = 100
    ) -> builtins.list[Approval]:
        """Approvals, the newest first; of this person, "" all; `before` goes on before that id.

        `open_only`: those that wait, hold or are to be reviewed.
        """
        if not 1 <= limit <= DEFAULT_MAX_LIST_ROWS:
            raise UsageError(f"The limit {limit} is out of range.", mend=f"Ask for 1 to {DEFAULT_MAX_LIST_ROWS} rows.")
        where, values = ["1 = 1"], builtins.list[object]()
        if by:
            where.append("who = ?")
            values.append(by)
        if open_only:
            where.append(f"({_NOT_OVER})")
            values.append(self._clock.now_ms())
        if before:
            where.append("number < (SELECT number FROM approvals WHERE id = ?)")
            values.append(self.get(before).id)
        return self._approvals(f"{SELECT} WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT ?", (*values, limit))

    def counts(self) -> dict[str, int]:
        """How many requests wait, how many break-glasses are to be reviewed, and how many of these are overdue."""
        found = self._reader.rows(_COUNTS, (self._clock.now_ms(),))
        waiting, unreviewed, late = found[0] if found else (0, 0, 0)
        return {"waiting": waiting, "unreviewed": unreviewed, "overdue": late}

    def check(self) -> builtins.list[Problem]:
        """What does not hold of the file. Changes nothing."""
        return self._reader.check()

    # -- the file -----------------------------------------------------------------------------

    def close(self) -> None:
        """Release the file; any later call raises StoreError."""
        with self._opening:
            for file in (self._reader, self._writer):
                if file is not None:
                    file.close()

    def _file(self) -> KeptFile:
        with self._opening:
            if self._writer is None:
                self._reader.rows("SELECT 1")  # refused where it is closed
                self._writer = KeptFile(self._path, MIGRATIONS, read_only=False)
            return self._writer

    def _approvals(self, sql: str, values: Sequence[object] = ()) -> builtins.list[Approval]:
        return [approval_of(row) for row in self._reader.rows(sql, values)]


def _keep(connection: Connection, draft: Approval, now_ms: int) -> Approval:
    (number,) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM approvals").fetchone()
    year = datetime.fromtimestamp(now_ms / 1000, UTC).year
    made = replace(draft, id=f"W{year}-{number:06d}", version=1, asked_ms=now_ms)
    connection.execute(INSERT, (number, *row_of(made)))
    return made


def _no_such(approval_id: str) -> NotFound:
    return NotFound(
        f"There is no approval {approval_id[:64]!r}.", mend="`lucheng approval list --all` shows what there is."
    )
