"""What lies beside InfluxDB when several machines share a city: a ledger of each partition on the database server.

A ledger holds a copy of its partition's counters and position, its quarantined rows, and who holds it. It is written after the
points and their line of counters are in InfluxDB (`state.py`): what a kill leaves between the two is ahead there, and whoever
comes next takes that over.

Invariants: a holder takes its ledger with its epoch, and everything that is written later is refused (`Fenced`) once somebody
has taken it anew; a lower epoch than the ledger has seen never takes it. Each taking has a number that grows, whatever becomes
of the epochs. Partitions do not wait for each other. Nothing of points is here, and snapshots lie where they are said to.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from model.codes import Reason
from model.errors import Fenced, NotFound, UsageError
from model.quarantine import Quarantined
from model.seams import Outcome, Snapshots, Totals
from store.database import Connection, Place, Where, transaction
from store.ledger import DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON, QuarantineRow
from store.series.influx import state
from store.series.influx.local import Opened

#: The store's name on the server.
NAME = "series"

MIGRATIONS = (
    """
CREATE TABLE holder (
    part INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    taking INTEGER NOT NULL,
    worker TEXT NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE counter (
    part INTEGER NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (part, name)
) STRICT;
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    part INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    number INTEGER NOT NULL,
    position INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    source TEXT NOT NULL,
    device TEXT NOT NULL,
    detail TEXT NOT NULL,
    raw BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX quarantine_of ON quarantine (part, reason, number);
""",
)
_COLUMNS = "id, position, reason, rows, received_ms, source, device, detail, raw"
_PUT_COUNTER = "INSERT INTO counter (part, name, value) VALUES (?, ?, ?) ON CONFLICT (part, name) DO UPDATE SET value = excluded.value"
_PUT_HOLDER = (
    "INSERT INTO holder (part, epoch, taking, worker, since_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT (part) DO UPDATE SET"
    " epoch = excluded.epoch, taking = excluded.taking, worker = excluded.worker, since_ms = excluded.since_ms"
)
_PUT_ROW = (
    "INSERT INTO quarantine (part, reason, number, position, rows, received_ms, source, device, detail, raw)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class PartitionPlace(Place):
    """A place where the writers of each partition take turns by themselves."""

    partition: int = 0

    @property
    def lock_key(self) -> int:
        """See `Place.lock_key`."""
        return zlib.crc32(f"{self.schema} {self.partition}".encode()) - (1 << 31)


@dataclass(frozen=True, slots=True)
class Held:
    """A partition's ledger, as it was read.

    Attributes:
        epoch, worker, since_ms: of who took it last; by that worker's clock.
        totals: as committed.
    """

    epoch: int
    worker: str
    since_ms: int
    totals: Totals


class _Reading(Opened):
    """What may be read of any ledger."""

    def quarantine_list(self, reason: Reason | None, before_id: int | None, limit: int) -> list[QuarantineRow]:
        """Kept quarantined rows of every partition, the newest first."""
        where, values = "1 = 1", list[object]()
        if reason is not None:
            where += " AND reason = ?"
            values.append(int(reason))
        if before_id is not None:
            where += " AND id < ?"
            values.append(before_id)
        sql = f"SELECT {_COLUMNS} FROM quarantine WHERE {where} ORDER BY id DESC LIMIT ?"  # noqa: S608 (constants)
        with self.using() as connection:
            return [_row(*found) for found in connection.execute(sql, (*values, limit)).fetchall()]

    def quarantine_show(self, number: int) -> QuarantineRow:
        """One kept quarantined row of any partition; raises NotFound."""
        with self.using() as connection:
            found = connection.execute(f"SELECT {_COLUMNS} FROM quarantine WHERE id = ?", (number,)).fetchone()  # noqa: S608 (constants)
        if found is None:
            raise NotFound(
                f"There is no quarantined row {number}, or it is no longer kept.",
                mend="`lucheng quarantine list` shows what is kept.",
            )
        return _row(*found)


class PartitionLedger(_Reading):
    """The ledger of one partition, for its holder. Any thread may call anything.

    Args:
        where: of all ledgers.
        partition: its number.
        epoch: of the holder's turn, asked at every change: it may grow while the turn lasts.
        worker: the holder's name, for whoever looks.
        now_ms: the wall clock.
        snapshots: where the partition's states lie.
        max_quarantine_rows_per_reason: quarantined rows kept of each reason.

    Raises as `Opened`; Fenced: a newer holder has it.
    """

    def __init__(
        self,
        where: Where,
        partition: int,
        *,
        epoch: Callable[[], int],
        worker: str,
        now_ms: Callable[[], int],
        snapshots: Snapshots,
        max_quarantine_rows_per_reason: int = DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON,
    ) -> None:
        self.partition = partition
        self._epoch = epoch
        self._worker = worker
        self._now_ms = now_ms
        self._snapshots = snapshots
        self._max_rows = max_quarantine_rows_per_reason
        if isinstance(where, Place):
            Opened(where, MIGRATIONS, read_only=False).close()  # one lock for all while the tables are made
            where = PartitionPlace(where.server, where.schema, partition)
        super().__init__(where, MIGRATIONS, read_only=False)
        #: The number of this holder's taking.
        self.taking = 0
        try:
            self.take()
        except BaseException:
            self.close()
            raise

    def take(self, *, beyond: int = 0) -> None:
        """Take the ledger, with a number of its own above `beyond` and every earlier one. Raises Fenced."""
        epoch = self._epoch()
        with self.using() as connection, transaction(connection, marked=False):
            found = self._holder(connection)
            if found is not None and found[0] > epoch:
                raise self._fenced(found[0], epoch)
            taking = max(beyond, found[1] if found is not None else 0) + 1
            connection.execute(_PUT_HOLDER, (self.partition, epoch, taking, self._worker, self._now_ms()))
        self.taking = taking

    def check(self) -> None:
        """Raise Fenced when somebody has taken it anew."""
        with self._writing():
            return

    def counters(self) -> dict[str, int]:
        """See `Beside.counters`."""
        with self.using() as connection:
            return dict(
                connection.execute("SELECT name, value FROM counter WHERE part = ?", (self.partition,)).fetchall()
            )

    def put_counters(self, changed: Mapping[str, int], *, anew: bool = False) -> None:
        """See `Beside.put_counters`. Raises Fenced."""
        rows = [(self.partition, name, value) for name, value in changed.items()]
        with self._writing() as connection:
            if anew:
                connection.execute("DELETE FROM counter WHERE part = ?", (self.partition,))
            connection.executemany(_PUT_COUNTER, rows)

    def keep(self, outcome: Outcome, committed: int) -> None:
        """See `Beside.keep`. Raises Fenced."""
        if not outcome.quarantined:
            return
        by_reason: defaultdict[int, list[Quarantined]] = defaultdict(list)
        for entry in outcome.quarantined:
            by_reason[int(entry.reason)].append(entry)
        with self._writing() as connection:
            self._forget_rows(connection, committed)
            for reason, entries in by_reason.items():
                self._keep(connection, reason, entries, outcome.position)

    def forget_beyond(self, position: int) -> None:
        """See `Beside.forget_beyond`. Raises Fenced."""
        with self._writing() as connection:
            self._forget_rows(connection, position)
        self._snapshots.forget_beyond(position)

    def forget_quarantine(self, before_received_ms: int) -> None:
        """See `Beside.forget_quarantine`. Raises Fenced."""
        with self._writing() as connection:
            connection.execute(
                "DELETE FROM quarantine WHERE part = ? AND received_ms < ?", (self.partition, before_received_ms)
            )

    def put_snapshot(self, name: str, position: int, blob: bytes) -> None:
        """See `Snapshots.put_snapshot`. Raises Fenced."""
        self.check()
        self._snapshots.put_snapshot(name, position, blob)

    def snapshot(self, name: str) -> tuple[int, bytes] | None:
        """See `Snapshots.snapshot`."""
        return self._snapshots.snapshot(name)

    def forget_snapshot(self, name: str) -> None:
        """See `Snapshots.forget_snapshot`. Raises Fenced."""
        self.check()
        self._snapshots.forget_snapshot(name)

    # -- how it is done -----------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction of the holder, and of nobody else; each may be done twice."""
        epoch = self._epoch()
        with self.using() as connection, transaction(connection, marked=False):
            found = self._holder(connection)
            if found is None or found[0] > epoch or found[1] != self.taking:
                raise self._fenced(found[0] if found is not None else 0, epoch)
            if found[0] < epoch:  # the servers pinned it anew, and nobody had it in between
                connection.execute("UPDATE holder SET epoch = ? WHERE part = ?", (epoch, self.partition))
            yield connection

    def _holder(self, connection: Connection) -> tuple[int, int] | None:
        """Epoch and number of the last taking."""
        found = connection.execute("SELECT epoch, taking FROM holder WHERE part = ?", (self.partition,)).fetchone()
        return None if found is None else (int(found[0]), int(found[1]))

    def _fenced(self, held: int, epoch: int) -> Fenced:
        return Fenced(
            f"Partition {self.partition} was taken by holder {held}, this is holder {epoch}.",
            mend="Let it go; whoever has it now goes on from the log. After nats-servers that were set up anew: `forget_epochs`.",
        )

    def _keep(self, connection: Connection, reason: int, entries: Sequence[Quarantined], position: int) -> None:
        sql = "SELECT coalesce(max(number), 0) FROM quarantine WHERE part = ? AND reason = ?"
        newest = int(connection.execute(sql, (self.partition, reason)).fetchone()[0])
        kept = entries[-self._max_rows :] if self._max_rows else []
        connection.executemany(
            _PUT_ROW,
            [
                (
                    *(self.partition, reason, number, position, entry.rows, entry.received_ms),
                    *(_text(entry.source), _text(entry.device), _text(entry.detail), bytes(entry.raw)),
                )
                for number, entry in enumerate(kept, start=newest + 1)
            ],
        )
        connection.execute(
            "DELETE FROM quarantine WHERE part = ? AND reason = ? AND number <= ?",
            (self.partition, reason, newest + len(kept) - self._max_rows),
        )

    def _forget_rows(self, connection: Connection, position: int) -> None:
        connection.execute("DELETE FROM quarantine WHERE part = ? AND position > ?", (self.partition, position))


class Ledgers(_Reading):
    """The ledgers of all partitions, for whoever reads. Any thread may call anything.

    Args:
        where: of all ledgers.

    Raises as `Opened`.
    """

    def __init__(self, where: Where) -> None:
        super().__init__(where, MIGRATIONS, read_only=True)

    def each(self) -> dict[int, Held]:
        """What each partition's holder committed, by partition, as of one moment."""
        sql = (
            "SELECT h.part, h.epoch, h.worker, h.since_ms, c.name, c.value FROM holder AS h"
            " LEFT JOIN counter AS c ON c.part = h.part ORDER BY h.part"
        )
        holders: dict[int, tuple[int, str, int]] = {}
        counters: defaultdict[int, dict[str, int]] = defaultdict(dict)
        with self.using() as connection:
            rows = connection.execute(sql).fetchall()
        for part, epoch, worker, since_ms, name, value in rows:
            holders[part] = (epoch, worker, since_ms)
            if name is not None:
                counters[part][name] = value
        return {part: Held(*holder, state.totals(counters[part])) for part, holder in holders.items()}

    def counters(self) -> dict[str, int]:
        """Counters added up over all partitions; so is the position: how many records were stored."""
        with self.using() as connection:
            return dict(connection.execute("SELECT name, sum(value) FROM counter GROUP BY name").fetchall())

    def snapshot(self, name: str) -> tuple[int, bytes] | None:  # noqa: ARG002 the interface's
        """None: states are their holders'."""
        return None

    def refuse(self, *_given: object, **_more: object) -> NoReturn:
        """A reader changes nothing; raises UsageError."""
        raise UsageError("The series are open for reading only.", mend="A partition's holder writes it.")

    put_counters = keep = forget_beyond = forget_quarantine = put_snapshot = refuse


class _Resetting(Opened):
    def forget_epochs(self) -> int:
        with self.using() as connection, transaction(connection):
            return connection.execute("UPDATE holder SET epoch = 0").rowcount


def make(where: Where) -> None:
    """Make the tables, so that readers find them before the first partition is held. Raises as `Opened`."""
    Opened(where, MIGRATIONS, read_only=False).close()


def forget_epochs(where: Where) -> int:
    """After nats-servers that were set up anew, whose epochs begin again: any holder may take; of how many partitions.

    To be called while nobody holds one.
    """
    opened = _Resetting(where, MIGRATIONS, read_only=False)
    try:
        return opened.forget_epochs()
    finally:
        opened.close()


def _text(value: str) -> str:
    """`value` with lone surrogates replaced: databases keep UTF-8."""
    return value.encode("utf-8", "replace").decode()


def _row(number: int, position: int, reason: int, rows: int, received_ms: int, *rest: Any) -> QuarantineRow:
    return QuarantineRow(number, position, Quarantined(Reason(reason), rows, received_ms, *rest))
