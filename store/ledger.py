"""Counters and quarantine, kept in the same file and transaction as what they count.

Invariants: a counter is never lost or reset; of the quarantined rows themselves at most
`max_quarantine_rows_per_reason` are kept for each reason, the newest. It opens no file and starts
no transaction: it works inside its caller's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from model.codes import Reason
from model.errors import NotFound
from model.quarantine import Quarantined
from model.seams import Outcome, Totals
from store.database import Connection

DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON = 10_000
DEFAULT_LIST_ROWS = 100

#: Gauge that counts rows which retention deleted; `stored` counts what can be read.
EXPIRED = "expired"

LEDGER_SCHEMA = """
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE quarantine (
        id INTEGER PRIMARY KEY AUTOINCREMENT, reason INTEGER NOT NULL, number INTEGER NOT NULL,
        position INTEGER NOT NULL, rows INTEGER NOT NULL, received_ms INTEGER NOT NULL, source TEXT NOT NULL,
        device TEXT NOT NULL, detail TEXT NOT NULL, raw BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX quarantine_of ON quarantine (reason, number);
"""

_REASON, _GAUGE = "reason:", "gauge:"


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """One quarantined thing as kept: its number for `quarantine show`, and where in the log it stood."""

    id: int
    position: int
    entry: Quarantined


class Ledger:
    """Counters and quarantine on a connection whose file has `LEDGER_SCHEMA`.

    Args:
        connection: the file; transactions are the caller's.
        max_quarantine_rows_per_reason: quarantined rows kept of each reason; the oldest go, counts never.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        max_quarantine_rows_per_reason: int = DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON,
    ) -> None:
        self._connection = connection
        self._max_rows = max_quarantine_rows_per_reason

    def record(self, outcome: Outcome) -> None:
        """Add an outcome's counts, keep its quarantined rows and set the position."""
        counts: Counter[str] = Counter({"stored": len(outcome.points), "duplicate": outcome.duplicate})
        for entry in outcome.quarantined:
            counts[f"{_REASON}{int(entry.reason)}"] += entry.rows
        for reason, rows in outcome.counted.items():
            counts[f"{_REASON}{int(reason)}"] += rows
        for name, value in outcome.gauges.items():
            counts[f"{_GAUGE}{name}"] += value
        self.add(counts)
        self._connection.execute(
            "INSERT INTO counters VALUES ('position', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (outcome.position,),
        )
        if outcome.quarantined:
            self.keep(outcome)

    def expire(self, rows: int) -> None:
        """Note that `rows` stored rows were deleted by retention."""
        self.add({"stored": -rows, f"{_GAUGE}{EXPIRED}": rows})

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to counters by their full name."""
        self._connection.executemany(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            [(name, value) for name, value in counts.items() if value],
        )

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome's quarantined rows, without counting them."""
        by_reason: defaultdict[int, list[Quarantined]] = defaultdict(list)
        for entry in outcome.quarantined:
            by_reason[int(entry.reason)].append(entry)
        for reason, entries in by_reason.items():
            (newest,) = self._connection.execute(
                "SELECT coalesce(max(number), 0) FROM quarantine WHERE reason = ?", (reason,)
            ).fetchone()
            kept = entries[-self._max_rows :] if self._max_rows else []
            self._connection.executemany(
                "INSERT INTO quarantine (reason, number, position, rows, received_ms, source, device, detail, raw)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        reason, number, outcome.position, entry.rows, entry.received_ms, _text(entry.source),
                        _text(entry.device), _text(entry.detail), entry.raw,
                    )
                    for number, entry in enumerate(kept, start=newest + 1)
                ],
            )  # fmt: skip
            self._connection.execute(
                "DELETE FROM quarantine WHERE reason = ? AND number <= ?", (reason, newest + len(kept) - self._max_rows)
            )

    def forget_quarantine(self, before_received_ms: int) -> int:
        """Delete kept quarantined rows received before that time; counts stay. Return how many went."""
        return self._connection.execute("DELETE FROM quarantine WHERE received_ms < ?", (before_received_ms,)).rowcount

    def forget_beyond(self, position: int) -> None:
        """Delete kept quarantined rows that came from beyond a log position."""
        self._connection.execute("DELETE FROM quarantine WHERE position > ?", (position,))

    def position(self) -> int:
        """The committed log position, 0 at first."""
        row = self._connection.execute("SELECT value FROM counters WHERE name = 'position'").fetchone()
        return 0 if row is None else int(row[0])

    def totals(self) -> Totals:
        """Every counter, as committed."""
        found: dict[str, int] = dict(self._connection.execute("SELECT name, value FROM counters"))
        return Totals(
            position=found.get("position", 0),
            stored=found.get("stored", 0),
            duplicate=found.get("duplicate", 0),
            quarantined={
                Reason(int(name.removeprefix(_REASON))): value
                for name, value in found.items()
                if name.startswith(_REASON)
            },
            gauges={name.removeprefix(_GAUGE): value for name, value in found.items() if name.startswith(_GAUGE)},
        )

    def quarantine_list(
        self, *, reason: Reason | None = None, before_id: int | None = None, limit: int = DEFAULT_LIST_ROWS
    ) -> list[QuarantineRow]:
        """Kept quarantined rows, the newest first, at most `limit`; `before_id` continues a list."""
        found = self._connection.execute(
            f"SELECT {_COLUMNS} FROM quarantine WHERE (?1 IS NULL OR reason = ?1) AND (?2 IS NULL OR id < ?2)"  # noqa: S608 - a constant
            " ORDER BY id DESC LIMIT ?3",
            (None if reason is None else int(reason), before_id, limit),
        )
        return [_row(*values) for values in found]

    def quarantine_show(self, number: int) -> QuarantineRow:
        """One kept quarantined row by its id; raises NotFound."""
        values = self._connection.execute(
            f"SELECT {_COLUMNS} FROM quarantine WHERE id = ?",  # noqa: S608 - a constant
            (number,),
        ).fetchone()
        if values is None:
            raise NotFound(
                f"There is no quarantined row {number}, or it is no longer kept.",
                mend="`lucheng quarantine list` shows what is kept.",
            )
        return _row(*values)


_COLUMNS = "id, position, reason, rows, received_ms, source, device, detail, raw"


def _text(value: str) -> str:
    """`value` with lone surrogates replaced: SQLite keeps UTF-8."""
    return value.encode("utf-8", "replace").decode()


def _row(
    number: int,
    position: int,
    reason: int,
    rows: int,
    received_ms: int,
    source: str,
    device: str,
    detail: str,
    raw: bytes,
) -> QuarantineRow:
    return QuarantineRow(number, position, Quarantined(Reason(reason), rows, received_ms, source, device, detail, raw))
