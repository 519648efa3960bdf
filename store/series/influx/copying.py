"""`lucheng store copy --from embedded --to influx`: everything that the embedded store has, for a service that then goes on there.

Invariants: the service does not run meanwhile, and the target is new; points keep their stored day, so retention goes on as it
was; counters, position, quarantine and snapshots come last, so a copy that was broken off is not taken for a store; what was
sent before it is begun again at the group where it stopped, and what is sent twice is there once. `mirrored` fills a mirror's
gap and touches no counters.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.batch import PointBatch
from model.clock import Clock
from model.errors import Conflict, StoreError
from model.seams import Samples
from store.database import connect
from store.series import numbers as number_store
from store.series.embedded import EmbeddedSeries
from store.series.influx import reading, state
from store.series.influx.connection import Connection, Server
from store.series.influx.line_protocol import (
    MAX_TIME_MS,
    MIN_TIME_MS,
    Lines,
    Prefixes,
    Room,
    number_lines,
    point_lines,
)
from store.series.influx.local import FILE, LocalFile
from store.series.influx.mirror import Mirror
from store.series.influx.sending import Sender
from store.series.read import Window, collect, groups_in, slot_ranges
from store.series.rows import HOUR_MS, MAX_HOUR, MIN_HOUR, Rows
from store.series.schema import DAY_MS

#: What of the copy is done, among the target's snapshots until it is whole.
_BOOKMARK = "copy"
DEFAULT_MAX_COPY_ROWS = 200_000
_EVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a copy is: points done, points in all, and the hour (UTC ms) that was copied last."""

    done: int
    total: int
    hour_ms: int


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did: points, samples of numeric series, series, quarantined rows; and points that the bucket would not keep."""

    points: int
    samples: int
    series: int
    quarantined: int
    not_kept: int


def copy_to_influx(
    source: EmbeddedSeries,
    source_path: Path,
    server: Server,
    folder: Path,
    *,
    clock: Clock,
    device_ids: Callable[[], Sequence[str]] = tuple,
    progress: Callable[[Progress], object] = lambda _progress: None,
    max_rows: int = DEFAULT_MAX_COPY_ROWS,
    retention_days: int = 0,
    late_days: int | None = None,
) -> Copied:
    """Copy everything into new buckets (`setting_up.set_up`); call it again after it was broken off.

    Args:
        source: open for writing, which nobody else then has; what is open in it is merged first.
        source_path: its file.
        server: the target.
        folder: the data folder of the target's `influx.db`.
        clock: of the sender.
        device_ids: the registry's ids by slot.
        progress: told after every step.
        max_rows: points in memory at once.
        retention_days: points stored longer ago are past it and stay out, counted as expired; 0: none are.
        late_days: points stored more days after their fix are not kept by the bucket; they are counted as refused.

    Raises Conflict when the target holds a store already; Away when the server is away (call again); StoreError when it refused
    lines: then nothing is counted there.
    """
    source.flush()
    connection, local = Connection(server), LocalFile(folder / FILE)
    with closing(connection), closing(local), closing(connect(source_path, durable=False, read_only=True)) as rows_of:
        if state.load(connection):
            raise Conflict(
                f"The bucket {server.bucket} holds a store already.",
                mend="Name a new influx.bucket, or delete that one.",
            )
        keep = _Keep(clock.now_ms() // DAY_MS - retention_days if retention_days else None, late_days)
        copy = _Copy(Sender(connection, clock), server, local, Prefixes(device_ids), source.totals().position, keep)
        copy.make_room(connection)
        copy.points(rows_of, progress, max_rows)
        samples, series = copy.numbers(rows_of)
        if copy.refused:
            raise StoreError(
                f"The server refused {len(copy.refused)} lines, the first because of: {copy.refused[0]}",
                mend="Mend that and copy into a new bucket.",
            )
        quarantined = _copy_ledger(source_path, local)
        for name, position, blob in _snapshots(source, rows_of):
            local.put_snapshot(name, position, blob)
        copy.finish(connection, source)
        return Copied(sum(copy.days.values()), samples, series, quarantined, copy.expired + copy.too_late)


@dataclass(frozen=True, slots=True)
class _Keep:
    """First stored day that is not past retention, and the days by which a point may be late; None: any."""

    from_day: int | None
    late_days: int | None


class _Copy:
    def __init__(
        self, sender: Sender, server: Server, local: LocalFile, prefixes: Prefixes, position: int, keep: _Keep
    ) -> None:
        self._sender = sender
        self._server = server
        self._local = local
        self._prefixes = prefixes
        self._room = Room()
        self._position = position
        self._keep = keep
        self.days: Counter[int] = Counter()
        #: Points that are past retention, and that came too late for the bucket.
        self.expired = self.too_late = 0
        self.refused: list[str] = []
        self._next: list[int] = [MIN_HOUR - 1, 0, 0]

    def make_room(self, connection: Connection) -> None:
        """Go on where an earlier try stopped; what is there of another state of the source goes first.

        Raises Conflict where there are points that no copy of ours has left, a mirror's for example.
        """
        held = self._local.snapshot(_BOOKMARK)
        found: dict[str, Any] = {} if held is None else json.loads(held[1])
        if held is not None and held[0] == self._position and found["bucket"] == self._server.bucket:
            self._next = found["next"]
            self.days.update({int(day): rows for day, rows in found["days"].items()})
            self.expired, self.too_late = found["expired"], found["too_late"]
            return
        if reading.ages(connection):
            if held is None or found["bucket"] != self._server.bucket:
                raise Conflict(
                    f"The bucket {self._server.bucket} holds points already.", mend="Name a new influx.bucket."
                )
            connection.delete(self._server.bucket, MIN_TIME_MS, MAX_TIME_MS, '_measurement="fix"')
        self._note()

    def _note(self) -> None:
        note = {
            "next": self._next,
            "days": self.days,
            "bucket": self._server.bucket,
            "expired": self.expired,
            "too_late": self.too_late,
        }
        self._local.put_snapshot(_BOOKMARK, self._position, json.dumps(note).encode())

    def points(self, rows_of: Any, progress: Callable[[Progress], object], max_rows: int) -> None:
        """Every group behind the bookmark."""
        groups = groups_in(rows_of, [], -_EVER, _EVER)
        total = sum(rows for _, _, rows in groups)
        for hour, part, rows in groups:
            first = -_EVER if hour == MIN_HOUR else hour * HOUR_MS
            end = _EVER if hour == MAX_HOUR else (hour + 1) * HOUR_MS
            for from_slot, to_slot in slot_ranges(part, rows, max_rows):
                if [hour, part, from_slot] <= self._next:
                    continue
                found = self._kept(collect(rows_of, [], Window(first, end, from_slot, to_slot)))
                if found.count:
                    self._send(lines_of(found, self._prefixes, self._room))
                    for day, count in zip(*np.unique(found.array("day"), return_counts=True), strict=True):
                        self.days[int(day)] += int(count)
                self._next = [hour, part, from_slot]
                self._note()
                progress(Progress(self._done(), total, hour * HOUR_MS))

    def _done(self) -> int:
        return sum(self.days.values()) + self.expired + self.too_late

    def _kept(self, rows: Rows) -> Rows:
        """Without what the bucket would not keep."""
        day = rows.array("day").astype(np.int64)
        expired = np.zeros(rows.count, np.bool_)
        too_late = np.zeros(rows.count, np.bool_)
        if self._keep.from_day is not None:
            expired = day < self._keep.from_day
        if self._keep.late_days is not None:
            too_late = (day - rows.time_ms() // DAY_MS > self._keep.late_days) & ~expired
        self.expired += int(np.count_nonzero(expired))
        self.too_late += int(np.count_nonzero(too_late))
        left = ~(expired | too_late)
        return rows if left.all() else rows.take(np.flatnonzero(left))

    def numbers(self, rows_of: Any) -> tuple[int, int]:
        """Every numeric series; samples and series."""
        samples = series = 0
        for name, source in rows_of.execute("SELECT series, source FROM number_series ORDER BY id").fetchall():
            time_ms, values = number_store.get(rows_of, name, source, -_EVER, _EVER)
            self._send(number_lines([Samples(name, source, time_ms, values)]))
            samples += len(time_ms)
            series += 1
        return samples, series

    def _send(self, lines: Iterator[Lines]) -> None:
        # no wait: whoever copies sees that the server is away, and calls again
        self.refused += [one.words for one in self._sender.send(self._server.bucket, lines, wait=False)]

    def finish(self, connection: Connection, source: EmbeddedSeries) -> None:
        """Counters and position: from here on it is a store."""
        totals = source.totals()
        if self._done() != totals.stored:
            raise StoreError(
                f"{self._done()} points were copied of {totals.stored}.",
                mend="Run `lucheng store check`, then copy again.",
            )
        counters = state.of_totals(totals, self.days)
        refused = state.refused(self.expired, self.too_late)
        counters |= {name: counters.get(name, 0) + more for name, more in refused.items()}
        connection.write(self._server.state_bucket, state.line(counters))
        self._local.put_counters(counters, anew=True)
        self._local.forget_snapshot(_BOOKMARK)


def lines_of(rows: Rows, prefixes: Prefixes, room: Room) -> Iterator[Lines]:
    """Lines of stored rows, ordered by (slot, time): the first of a millisecond at its beginning, others behind it."""
    batch = rows.to_batch()
    begins = np.ones(len(batch), np.bool_)
    begins[1:] = (batch.slot[1:] != batch.slot[:-1]) | (batch.time_ms[1:] != batch.time_ms[:-1])
    subs = None
    if not begins.all():
        at = np.arange(len(batch))
        subs = at - np.maximum.accumulate(np.where(begins, at, 0))
    ages = rows.array("day").astype(np.int64) - batch.time_ms // DAY_MS
    return point_lines(batch, ages, subs, prefixes, room)


def _snapshots(source: EmbeddedSeries, rows_of: Any) -> Iterator[tuple[str, int, bytes]]:
    for (name,) in rows_of.execute("SELECT name FROM snapshots").fetchall():
        held = source.snapshot(name)
        if held is not None:
            yield name, held[0], held[1]


def _copy_ledger(source_path: Path, local: LocalFile) -> int:
    """Kept quarantined rows, in place of what an earlier try left."""
    with local.using() as connection:
        connection.execute("ATTACH DATABASE ? AS source", (f"{source_path.resolve().as_uri()}?mode=ro",))
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM quarantine")
            copied = connection.execute("INSERT INTO quarantine SELECT * FROM source.quarantine").rowcount
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute("DETACH DATABASE source")
    return int(copied)


def mirrored(
    batches: Iterable[PointBatch],
    mirror: Mirror,
    stored_ms: int,
    told: Callable[[int], object] = lambda _points: None,
) -> int:
    """Write points (as `fleet` gives them, of the window that was missed) to a mirror; how many it did not take.

    `told` is given how many were written after each batch.
    """
    left = done = 0
    for batch in batches:
        missed = mirror.write(batch, stored_ms)
        left += missed.points + missed.refused
        done += len(batch)
        told(done)
    return left
