"""`EmbeddedSeries`: the time-series store in one SQLite file, `series.db`.

Invariants: one `commit` is one transaction of points, counters, quarantine and log position; every
row is at exactly one level at any time; nothing is read before the grant covers it and the audit
row is written. The file runs with `synchronous=NORMAL`: the log in front is durable and replays
what a power cut takes, so the log may only be trimmed up to what `make_durable` returned.

One writer; other processes open the file with `read_only=True` beside it. All methods may be
called from any thread; they take turns. It decides nothing about points: that is `analytics/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.area import Area
from model.batch import BoolArray, PointBatch
from model.clock import Clock
from model.codes import Reason
from model.errors import Corrupt, UsageError
from model.grant import Grant
from model.presence import DEFAULT_MAX_POINTS, Gather, Presence
from model.seams import Audit, Outcome, Samples, Totals
from store.database import transaction
from store.ledger import DEFAULT_LIST_ROWS, DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON, Ledger, QuarantineRow
from store.series import numbers as number_store
from store.series import open_rows as level0
from store.series import places
from store.series.chunk import DEFAULT_LEVEL
from store.series.file import DEFAULT_CHECKPOINT_PAGES, SeriesFile
from store.series.lookup import DEFAULT_MAX_LOOKUP_KEYS, Lookup
from store.series.newest import Newest, newest_of
from store.series.noting import devices_target, note_read
from store.series.open_rows import OpenBatch, OpenRows
from store.series.read import (
    Window,
    collect,
    groups_in,
    slot_ranges,
)
from store.series.retain import delete_before, renew_newest
from store.series.rows import HOUR_MS, MAX_HOUR, MIN_HOUR, PART_BITS, Rows
from store.series.schema import DAY_MS
from store.series.seal import DEFAULT_MAX_PATCHES, DEFAULT_MAX_SEAL_ROWS, SealRules, flush, seal_group, segment_groups
from store.series.search import DEFAULT_MAX_SEARCH_ROWS, Search, SearchLimits

DEFAULT_MAX_OPEN_ROWS = 131_072
DEFAULT_MAX_OPEN_BATCHES = 4_096
DEFAULT_MAX_FLEET_BATCH_ROWS = 65_536
#: Longest window of one search, ms.
DEFAULT_MAX_SEARCH_MS = 31 * DAY_MS


class EmbeddedSeries(SeriesFile):
    """`model.seams.SeriesStore` on one SQLite file.

    Args:
        path: series.db; made when missing, unless `read_only`.
        audit: where every read is written before anything is returned.
        clock: stored day of numeric samples.
        read_only: open beside a running writer; every changing method raises UsageError.
        max_open_rows, max_open_batches: rows and batches at level 0 before they are merged into segments.
        max_seal_rows: rows in memory at once while sealing or reading the fleet.
        max_patches: chunks of one device-hour and stored day before they are merged.
        max_fleet_batch_rows: rows of one batch of `fleet`.
        max_lookup_keys: keys kept for `contains`.
        max_quarantine_rows_per_reason: quarantined rows kept of each reason.
        max_open_numbers: samples of one numeric series before they are packed.
        checkpoint_pages: length of the write-ahead log that starts a checkpoint, pages.
        level: zstd level.
        max_search_ms: longest window of `inside`.
        max_search_rows: points that one `inside` reads.
        max_search_points: points that one `inside` returns.

    Raises:
        StoreError: the file cannot be opened. Corrupt: it, its open batches or newest points are damaged.
        SchemaTooNew: a newer lucheng wrote it.
    """

    def __init__(
        self,
        path: Path,
        *,
        audit: Audit,
        clock: Clock,
        read_only: bool = False,
        max_open_rows: int = DEFAULT_MAX_OPEN_ROWS,
        max_open_batches: int = DEFAULT_MAX_OPEN_BATCHES,
        max_seal_rows: int = DEFAULT_MAX_SEAL_ROWS,
        max_patches: int = DEFAULT_MAX_PATCHES,
        max_fleet_batch_rows: int = DEFAULT_MAX_FLEET_BATCH_ROWS,
        max_lookup_keys: int = DEFAULT_MAX_LOOKUP_KEYS,
        max_quarantine_rows_per_reason: int = DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON,
        max_open_numbers: int = number_store.DEFAULT_MAX_OPEN_NUMBERS,
        checkpoint_pages: int = DEFAULT_CHECKPOINT_PAGES,
        level: int = DEFAULT_LEVEL,
        max_search_ms: int = DEFAULT_MAX_SEARCH_MS,
        max_search_rows: int = DEFAULT_MAX_SEARCH_ROWS,
        max_search_points: int = DEFAULT_MAX_POINTS,
    ) -> None:
        super().__init__(path, read_only=read_only, checkpoint_pages=checkpoint_pages)
        self._audit = audit
        self._clock = clock
        self._max_open_rows = max_open_rows
        self._max_open_batches = max_open_batches
        self._max_fleet_batch_rows = max_fleet_batch_rows
        self._max_open_numbers = max_open_numbers
        self._rules = SealRules(max_seal_rows, max_patches, level)
        self._search_limits = SearchLimits(max_search_rows, max_fleet_batch_rows)
        self._max_search_ms = max_search_ms
        self._max_search_points = max_search_points
        self._unindexed: list[places.Group] | None = None
        self._indexing: places.Indexing | None = None
        self._open = OpenRows()
        self._newest = Newest()
        self._lookup = Lookup(self._connection, max_lookup_keys)
        self._ledger = Ledger(self._connection, max_quarantine_rows_per_reason=max_quarantine_rows_per_reason)
        self._position = 0
        if not read_only:
            with self._closing_on_error():
                self._load()

    def _load(self) -> None:
        """Bring what the writer keeps in memory in line with the file."""
        self._position = self._ledger.position()
        self._newest = Newest.load(self._connection)
        self._open.clear()
        for held in level0.load(self._connection):
            self._open.add(held)
        self._lookup.clear()

    # -- writing -------------------------------------------------------------------------------

    def commit(self, outcome: Outcome, *, stored_ms: int) -> None:
        """Store one outcome; see `SeriesStore.commit`. `stored_ms` decides the stored day."""
        with self._writing():
            if outcome.position <= self._position:
                return
            rows = len(outcome.points)
            if rows and self._open.day not in {None, stored_ms // DAY_MS}:
                self._flush(MIN_HOUR)
            held: OpenBatch | None = None
            with transaction(self._connection):
                if rows:
                    held = level0.insert(self._connection, outcome.position, stored_ms, outcome.points)
                self._ledger.record(outcome)
            self._position = outcome.position
            if held is not None:
                self._open.add(held)
                if self._open.rows >= self._max_open_rows or len(self._open.batches) >= self._max_open_batches:
                    self._flush(MIN_HOUR)

    def flush(self) -> None:
        """Merge what is open into segments now."""
        with self._writing():
            self._flush(MIN_HOUR)

    def _flush(self, seal_before_hour: int) -> int:
        if not self._open.batches:
            return 0
        try:
            with transaction(self._connection):
                done = flush(self._connection, self._open, self._newest, seal_before_hour, self._rules)
        except BaseException:
            self._newest = Newest.load(self._connection)
            raise
        self._open.clear()
        self._changed(done.groups)
        for hour, part in done.groups:
            self._lookup.drop(hour, part)
        return done.sealed_rows

    def seal(self, before_ms: int, *, max_rows: int | None = None) -> int:
        """Seal what belongs to hours that ended before `before_ms`; return how many rows were sealed.

        Each (hour, part) is one transaction, and other threads come in between. With `max_rows` it
        stops after the group in which so many are reached; call it again until it returns 0. When nothing is left to
        seal it indexes what an older lucheng sealed, and returns the rows of that.
        """
        before_hour = min(max(before_ms // HOUR_MS, MIN_HOUR), MAX_HOUR)
        with self._writing():
            ended = any(held.min_ms < before_hour * HOUR_MS for held in self._open.batches)
            sealed = self._flush(before_hour) if ended else 0
            groups = segment_groups(self._connection, before_hour)
        for part, hour, day in groups:
            if max_rows is not None and sealed >= max_rows:
                break
            with self._writing():
                self._changed([(hour, part)])
                with transaction(self._connection):
                    sealed += seal_group(self._connection, part, hour, day, self._rules)
        if not sealed:
            return self.index_places(max_rows=max_rows)
        return sealed

    def index_places(self, *, max_rows: int | None = None, again: bool = False) -> int:
        """Index what an older lucheng sealed without, the newest hours first; return how many points were read for it.

        With `max_rows` it stops after about as many and goes on there at the next call: call it until it returns 0.
        Others come in between; it may be killed, and a group of which half was read is begun anew. `again` looks at
        every index and makes damaged ones anew. Groups whose chunks are damaged are passed over.
        """
        if again:
            with self._writing(), transaction(self._connection):
                places.drop_orphans(self._connection)
        if self._unindexed is None or again:
            with self._snapshot() as connection:  # to look at every index takes seconds: nobody waits for that
                missing = places.missing(connection, verify=again)
            with self._writing():
                self._unindexed, self._indexing = missing, None
        # the last step may go beyond: of two halves it does so least
        step_rows = self._rules.max_seal_rows if max_rows is None else max(max_rows // 2, 1)
        done = 0
        while max_rows is None or done < max_rows:
            with self._writing():
                if self._indexing is None:
                    if not self._unindexed:
                        break
                    self._indexing = places.Indexing.begin(self._connection, self._unindexed.pop(), step_rows)
                    continue
                try:
                    done += self._indexing.step(self._connection)
                except Corrupt:
                    self._indexing = None  # a search of that hour says so, and `check`
                    continue
                if self._indexing.whole:
                    with transaction(self._connection):
                        self._indexing.keep(self._connection)
                    self._indexing = None
        return done

    def _changed(self, groups: Iterable[tuple[int, int]]) -> None:
        """Begin the index anew that is being made of one of these (hour, part)."""
        held = self._indexing
        if held is not None and (held.group[1], held.group[0]) in groups:
            self._indexing = None
            if self._unindexed is not None:
                self._unindexed.append(held.group)

    def retain(self, before_stored_ms: int) -> int:
        """Delete what was stored on whole UTC days before that of `before_stored_ms`; return how many points went.

        `Totals.stored` falls by as many and the gauge `expired` grows. Kept quarantined rows
        received and numeric samples stored before that day go too. May be killed and called again.
        """
        day = before_stored_ms // DAY_MS
        with self._writing():
            if self._open.day is not None and self._open.day < day:
                self._flush(MIN_HOUR)
            if self._indexing is not None:
                self._changed([(self._indexing.group[1], self._indexing.group[0])])
            # moving rows between levels may leave old bytes in free pages; retention overwrites what it deletes
            self._connection.execute("PRAGMA secure_delete=ON")
            try:
                renew_newest(self._connection, self._newest, day)
                with transaction(self._connection):
                    number_store.retain(self._connection, day)
                    self._ledger.forget_quarantine(day * DAY_MS)
                self._lookup.clear()
                return sum(delete_before(self._connection, self._ledger, day))
            finally:
                self._connection.execute("PRAGMA secure_delete=OFF")

    def make_durable(self) -> int:
        """Force everything committed to the disk; return the log position up to which the log may be trimmed."""
        with self._writing():
            self._sync()
            return self._position

    # -- the pipeline's own questions ----------------------------------------------------------

    def totals(self) -> Totals:
        """Counters and position as committed."""
        with self._reading():
            return self._ledger.totals()

    def contains(self, points: PointBatch) -> BoolArray:
        """For each row whether (device, time, identity) is stored already, shape (n,); returns no data."""
        with self._writing():
            return self._lookup.contains(points, self._open)

    def newest_keys(
        self,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Of each device's newest point: slot (ascending), fix time (UTC ms), seq, alarm bits; for the pipeline only, no places."""
        with self._writing():
            open_rows = newest_of(Rows.of_batches([held.batch for held in self._open.batches], 0))
            newest = newest_of(Rows.concat([self._newest.rows(), open_rows])).to_batch()
        return newest.slot, newest.time_ms, newest.seq, newest.alarm_bits

    # -- reads under a grant -------------------------------------------------------------------

    def track(self, grant: Grant, device: str, slot: int, from_ms: int, to_ms: int) -> PointBatch:
        """Points of one device with from_ms <= time < to_ms, ordered by (time, seq), audited first."""
        grant.cover([device], from_ms, to_ms)
        self._note(grant, "series.track", device, from_ms, to_ms)
        if to_ms <= from_ms:
            return PointBatch.empty()
        window = Window(from_ms, to_ms, slot, slot + 1)
        with self._reading():
            return collect(self._connection, self._open_batches(window), window).to_batch()

    def fleet(self, grant: Grant, from_ms: int, to_ms: int) -> Iterator[PointBatch]:
        """Points of all devices in the window, in batches of at most `max_fleet_batch_rows`, hour after hour, audited first.

        Within an hour rows are ordered by (slot, time, seq). What is committed while it is read
        may or may not be in it; nothing comes twice.
        """
        grant.cover(None, from_ms, to_ms)
        self._note(grant, "series.fleet", "every device", from_ms, to_ms)
        if to_ms <= from_ms:
            return iter(())
        return self._fleet(from_ms, to_ms)

    def _fleet(self, from_ms: int, to_ms: int) -> Iterator[PointBatch]:
        with self._reading():
            groups = groups_in(self._connection, self._open_batches(Window(from_ms, to_ms, 0, 1 << 31)), from_ms, to_ms)
        for hour, part, rows in groups:
            # the first and last hour also hold what lies beyond the hours that a key can name
            first = from_ms if hour == MIN_HOUR else max(from_ms, hour * HOUR_MS)
            end = to_ms if hour == MAX_HOUR else min(to_ms, (hour + 1) * HOUR_MS)
            for from_slot, to_slot in slot_ranges(part, rows, self._rules.max_seal_rows):
                window = Window(first, end, from_slot, to_slot)
                with self._reading():
                    batch = collect(self._connection, self._open_batches(window), window).to_batch()
                for start in range(0, len(batch), self._max_fleet_batch_rows):
                    yield batch.take(np.arange(start, min(start + self._max_fleet_batch_rows, len(batch))))

    def inside(
        self,
        grant: Grant,
        area: Area,
        from_ms: int,
        to_ms: int,
        *,
        max_vehicles: int,
        slots: npt.NDArray[np.int32] | None = None,
        devices: Sequence[str] | None = None,
    ) -> list[Presence]:
        """Who was inside an area with from_ms <= time < to_ms, by slot, audited first; see `SeriesStore.inside`.

        One snapshot on a connection of its own, so that writing goes on.
        """
        if to_ms - from_ms > self._max_search_ms:
            raise UsageError(
                f"The window is longer than {self._max_search_ms // DAY_MS} days.", mend="Search a shorter time."
            )
        target = devices_target(grant, slots, devices, from_ms, to_ms)
        detail = {"slots": slots.tolist()} if slots is not None and devices is not None else {}
        self._note(
            grant, "series.inside", target, from_ms, to_ms, area=area.to_json(), max_vehicles=max_vehicles, **detail
        )
        gather = Gather(area, max_vehicles=max_vehicles, max_points=self._max_search_points)
        wanted = None if slots is None else np.unique(slots).astype(np.int64)
        if to_ms <= from_ms or (wanted is not None and not len(wanted)):
            return []
        with self._snapshot() as connection:
            held = level0.load(connection, from_ms, to_ms)
            Search(connection, held, gather, from_ms, to_ms, wanted, self._search_limits).run()
        return gather.found()

    def latest(
        self, grant: Grant, slots: npt.NDArray[np.int32] | None, *, devices: Sequence[str] | None = None
    ) -> PointBatch:
        """The newest point of each device (`slots` None: of all), by slot, audited first.

        `devices` are the ids of `slots`, needed when the grant covers only some devices. A newest
        point outside the grant's window is left out.
        """
        target = devices_target(grant, slots, devices, grant.from_ms, grant.to_ms)
        detail = {"slots": slots.tolist()} if slots is not None else {}
        self._note(grant, "series.latest", target, grant.from_ms, grant.to_ms, **detail)
        wanted = None if slots is None else np.unique(slots).astype(np.int64)
        if wanted is not None and not len(wanted):
            return PointBatch.empty()
        first, end = (0, 1 << 31) if wanted is None else (int(wanted[0]), int(wanted[-1]) + 1)
        everything = Window(-(1 << 63), (1 << 63) - 1, first, end)
        with self._reading():
            held = self._newest
            if self._read_only:
                parts = None if wanted is None else np.unique(wanted >> PART_BITS).tolist()
                held = Newest.load(self._connection, parts)
            chosen = level0.select(self._open_batches(everything), everything.from_ms, everything.to_ms, first, end)
            flushed = held.rows(wanted)
        if wanted is not None:
            chosen = [batch.take(np.isin(batch.slot, wanted)) for batch in chosen]
        rows = newest_of(Rows.concat([flushed, newest_of(Rows.of_batches(chosen, 0))]))
        time_ms = rows.time_ms()
        return rows.take((time_ms >= grant.from_ms) & (time_ms < grant.to_ms)).to_batch()

    def numbers(
        self, grant: Grant, series: str, source: str, from_ms: int, to_ms: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Times and values of a named numeric series in the window, audited first."""
        grant.cover([source], from_ms, to_ms)
        self._note(grant, "series.numbers", source, from_ms, to_ms, series=series)
        with self._reading():
            return number_store.get(self._connection, series, source, from_ms, to_ms)

    def put_numbers(
        self, series: str, source: str, time_ms: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
    ) -> None:
        """Add samples to a named numeric series of one source; the same time again replaces."""
        self.put_many_numbers([Samples(series, source, time_ms, values)])

    def put_many_numbers(self, samples: Sequence[Samples]) -> None:
        """As `put_numbers` for many series at once, all or none."""
        if any(len(one.time_ms) != len(one.values) for one in samples):
            raise UsageError("Not as many times as values.", mend="Give one value for each time.")
        given = [one for one in samples if len(one.time_ms)]
        if not given:
            return
        day = self._clock.now_ms() // DAY_MS
        with self._writing(), transaction(self._connection):
            for one in given:
                number_store.put(
                    self._connection, one.series, one.source, one.time_ms, one.values, day, self._max_open_numbers
                )

    def quarantine_list(
        self,
        grant: Grant,
        *,
        reason: Reason | None = None,
        before_id: int | None = None,
        limit: int = DEFAULT_LIST_ROWS,
    ) -> list[QuarantineRow]:
        """Kept quarantined rows, the newest first, audited first; the grant must cover every device."""
        grant.cover(None, grant.from_ms, grant.to_ms)
        detail = {} if reason is None else {"reason": reason.name}
        self._note(grant, "quarantine.list", "every device", grant.from_ms, grant.to_ms, **detail)
        with self._reading():
            return self._ledger.quarantine_list(reason=reason, before_id=before_id, limit=limit)

    def quarantine_show(self, grant: Grant, number: int) -> QuarantineRow:
        """One kept quarantined row by its id, audited first; raises NotFound."""
        grant.cover(None, grant.from_ms, grant.to_ms)
        self._note(grant, "quarantine.show", str(number), grant.from_ms, grant.to_ms)
        with self._reading():
            return self._ledger.quarantine_show(number)

    def _open_batches(self, window: Window) -> list[OpenBatch]:
        if self._read_only:
            return level0.load(self._connection, window.from_ms, window.to_ms, window.from_slot, window.to_slot)
        return list(self._open.batches)

    def _note(self, grant: Grant, action: str, target: str, from_ms: int, to_ms: int, **detail: object) -> None:
        """The audit row; an error here ends the read."""
        self._alive()
        note_read(self._audit, grant, action, target, from_ms, to_ms, **detail)
