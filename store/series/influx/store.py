"""`InfluxSeries`: the time-series store in InfluxDB 2.

Invariants: the position follows the points that it accounts for (`state.py`); a point has one place, slot and time in
nanoseconds, so writing it again changes nothing (`occupied.py`); what the server will not take is quarantined by name and
keeps nothing else out; nothing is read before the grant covers it and the audit row is written.

An outage makes `commit` wait, for as long as it lasts or until `stop_waiting`: what came in stays in the log, which bounds it,
and the outcome stays uncommitted. Reads do not wait: they raise `Away` (TryAgain). Samples of other numeric series wait in
memory up to `max_pending_numbers`, and the oldest are dropped and counted beyond it.

One writer; other processes open the store with `read_only=True`. All methods may be called from any thread. Hours are not
sealed here: the server packs its files itself. Source of what the server promises: docs.influxdata.com, "durability" (a write
is answered when its log is synced) and "duplicate points" (same series and time: fields are written over).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from model.area import Area, Box
from model.batch import BoolArray, PointBatch
from model.clock import Clock
from model.codes import Reason
from model.errors import StoreError, UsageError
from model.grant import Grant
from model.presence import DEFAULT_MAX_POINTS, MAX_LEG_MS, Gather, Presence
from model.seams import Audit, Outcome, Problem, Samples, Totals
from store.ledger import DEFAULT_LIST_ROWS, DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON, QuarantineRow
from store.series.influx import reading, state
from store.series.influx.connection import Away, Connection, Denied, Server
from store.series.influx.line_protocol import MIN_TIME_MS, Prefixes, point_lines
from store.series.influx.local import FILE, LocalFile
from store.series.influx.occupied import DEFAULT_MAX_LOOKUP_KEYS, HOUR_MS, Occupied
from store.series.influx.pending import DEFAULT_MAX_PENDING_NUMBERS, PendingNumbers
from store.series.influx.placing import DAY_MS, Placed, Refused, place, refusals
from store.series.influx.reading import SLOTS_PER_QUERY, StoredPoints
from store.series.influx.sending import (
    DEFAULT_MAX_BODY_BYTES,
    DEFAULT_RETRY_MAX_MS,
    DEFAULT_RETRY_MIN_MS,
    Outage,
    Sender,
)
from store.series.newest import Newest
from store.series.noting import devices_target, note_read
from store.series.rows import Rows

Answer = TypeVar("Answer")

DEFAULT_MAX_FLEET_BATCH_ROWS = 65_536
DEFAULT_HISTORY_EVERY_MS = 10_000
DEFAULT_MAX_SEARCH_MS = 31 * DAY_MS
#: How long a read waits before it asks a server once more that has just closed the connection.
_READ_AGAIN_S = 0.1
#: Rows that wait to be taken into the newest points.
_MAX_FRESH_ROWS = 131_072


class InfluxSeries:
    """`model.seams.SeriesStore` on an InfluxDB 2 server whose buckets `setting_up.set_up` has made.

    Args:
        server: where it is.
        folder: the data folder; `influx.db` lies in it.
        audit: where every read is written before anything is returned.
        clock: for outages and the history of the counters.
        device_ids: the registry's ids by slot, for the tag `device`.
        read_only: open beside a running writer; every changing method raises UsageError.
        late_days: points that come more days after their fix than this are refused; None: none are. It is how much longer
            than retention the server itself keeps points, which goes by fix time.
        retry_min_ms, retry_max_ms: waits between tries in an outage.
        max_body_bytes: of one write request.
        max_fleet_batch_rows: rows of one batch of `fleet`.
        max_lookup_keys: keys kept for `contains` and for points of one millisecond.
        max_pending_numbers: samples kept in an outage.
        max_search_ms: longest window of `inside`.
        max_search_points: points that `inside` returns at most.
        max_quarantine_rows_per_reason: quarantined rows kept of each reason.
        on_outage: told when an outage begins (its words) and ends (None).

    Raises Away (Denied): the server is not there or its buckets are not. StoreError, Corrupt: `influx.db`.
    """

    def __init__(
        self,
        server: Server,
        folder: Path,
        *,
        audit: Audit,
        clock: Clock,
        device_ids: Callable[[], Sequence[str]] = tuple,
        read_only: bool = False,
        late_days: int | None = None,
        retry_min_ms: int = DEFAULT_RETRY_MIN_MS,
        retry_max_ms: int = DEFAULT_RETRY_MAX_MS,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        max_fleet_batch_rows: int = DEFAULT_MAX_FLEET_BATCH_ROWS,
        max_lookup_keys: int = DEFAULT_MAX_LOOKUP_KEYS,
        max_pending_numbers: int = DEFAULT_MAX_PENDING_NUMBERS,
        max_search_ms: int = DEFAULT_MAX_SEARCH_MS,
        max_search_points: int = DEFAULT_MAX_POINTS,
        max_quarantine_rows_per_reason: int = DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON,
        on_outage: Callable[[str | None], object] = lambda _words: None,
    ) -> None:
        self._server = server
        self._audit = audit
        self._clock = clock
        self._read_only = read_only
        self._late_days = late_days
        self._max_fleet_batch_rows = max_fleet_batch_rows
        self._max_search_ms = max_search_ms
        self._max_search_points = max_search_points
        self._closed = False
        self._lock = threading.RLock()
        self._newest_lock = threading.Lock()
        self._prefixes = Prefixes(device_ids)
        self._history_ms = 0
        self._local = LocalFile(
            folder / FILE, read_only=read_only, max_quarantine_rows_per_reason=max_quarantine_rows_per_reason
        )
        self._connection = Connection(server)
        self._sender = Sender(
            self._connection,
            clock,
            retry_min_ms=retry_min_ms,
            retry_max_ms=retry_max_ms,
            max_body_bytes=max_body_bytes,
            on_outage=on_outage,
        )
        self._pending = PendingNumbers(self._sender, server.bucket, max_pending_numbers)
        self._occupied = Occupied(self._read_identities, max_keys=max_lookup_keys)
        try:
            self._counters = state.load(self._connection)
            self._newest, self._newest_ms = Newest(), np.zeros(0, np.int64)
            self._fresh: list[tuple[int, PointBatch]] = []
            if not read_only:
                self._local.forget_beyond(self._counters.get(state.POSITION, 0))
                self._load_newest()
        except BaseException:
            self.close()
            raise

    # -- writing -------------------------------------------------------------------------------

    def commit(self, outcome: Outcome, *, stored_ms: int) -> None:
        """Store one outcome; see `SeriesStore.commit`. `stored_ms` decides the stored day.

        Waits while the server is away; raises Away when `stop_waiting` ends that, and then nothing is committed.
        """
        with self._writing():
            position = self._counters.get(state.POSITION, 0)
            if outcome.position <= position:
                return
            day = stored_ms // DAY_MS
            placed = place(
                outcome.points, day, self._newest_ms, self._occupied, self._sender, late_days=self._late_days
            )
            self._grow_newest(placed.points)
            lines = point_lines(placed.points, placed.ages, placed.subs, self._prefixes)
            refused = self._sender.send(self._server.bucket, lines)
            stored = placed
            if refused:
                stored = placed.without([one.row for one in refused])
                placed.refused += [
                    Refused(Reason.STORE_REFUSED, placed.points.take(np.array([one.row])), one.words, one.line)
                    for one in refused
                ]
            told = self._with_refusals(outcome, placed)
            self._local.keep(told, position)
            changed = state.after(self._counters, told, len(stored.points), day)
            self._set(changed)
            self._occupied.add(stored.points, stored.subs)
            self._take_newest(day, stored.points)
            self._write_history(stored_ms)
        self._pending.flush()

    def _with_refusals(self, outcome: Outcome, placed: Placed) -> Outcome:
        if not placed.refused and not placed.twice:
            return outcome
        return replace(
            outcome,
            duplicate=outcome.duplicate + placed.twice,
            quarantined=[*outcome.quarantined, *refusals(placed.refused, self._prefixes.device)],
        )

    def _set(self, changed: dict[str, int]) -> None:
        """Write counters, then take them over."""
        body = state.line(changed)
        self._sender.persist(lambda: self._connection.write(self._server.state_bucket, body))
        self._counters = {**self._counters, **changed}

    def _write_history(self, stored_ms: int) -> None:
        """The counters over time, for a graph; what cannot be written now is left out."""
        step = stored_ms // DEFAULT_HISTORY_EVERY_MS
        if step == self._history_ms:
            return
        self._history_ms = step
        totals = self.totals()
        body = b"totals position=%di,stored=%di,duplicate=%di,quarantined=%di %d\n" % (
            totals.position, totals.stored, totals.duplicate, sum(totals.quarantined.values()),
            step * DEFAULT_HISTORY_EVERY_MS * reading.NS_PER_MS,
        )  # fmt: skip
        try:
            self._connection.write(self._server.bucket, body)
        except (Away, StoreError):
            self._history_ms = 0

    def stop_waiting(self) -> None:
        """Whoever waits for the server gives up now, with Away; nobody waits from here on."""
        self._sender.stop_waiting()

    @property
    def outage(self) -> Outage | None:
        """What keeps a commit waiting now; None while all is well."""
        return self._sender.outage

    def put_numbers(
        self, series: str, source: str, time_ms: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
    ) -> None:
        """Add samples to a named numeric series of one source; the same time again replaces."""
        self.put_many_numbers([Samples(series, source, time_ms, values)])

    def put_many_numbers(self, samples: Sequence[Samples]) -> None:
        """As `put_numbers` for many series at once, in one request; in an outage they wait in memory."""
        if any(len(one.time_ms) != len(one.values) for one in samples):
            raise UsageError("Not as many times as values.", mend="Give one value for each time.")
        self._may_write()
        self._pending.put([one for one in samples if len(one.time_ms)])

    @property
    def numbers_dropped(self) -> int:
        """Samples that an outage was too long for, since the store was opened."""
        return self._pending.dropped

    def flush(self) -> None:
        """Write what waits in memory, as far as the server takes it now."""
        self._pending.flush()

    def seal(self, before_ms: int, *, max_rows: int | None = None) -> int:  # noqa: ARG002 the interface's
        """Nothing to do: the server packs its files itself. Returns 0."""
        self._may_write()
        return 0

    def retain(self, before_stored_ms: int) -> int:
        """Delete what was stored on whole UTC days before that of `before_stored_ms`; return how many points went.

        `Totals.stored` falls by as many and the gauge `expired` grows. Kept quarantined rows received and numeric samples of
        before that day go too. May be killed and called again. Raises Away when the server is away.
        """
        day = before_stored_ms // DAY_MS
        with self._writing():
            if day <= self._counters.get(state.RETAINED, -1):
                return 0
            rows, changed = state.after_retention(self._counters, day)
            if rows:
                for age in reading.ages(self._connection):
                    predicate = f'_measurement="fix" AND age="{age:d}"'
                    self._connection.delete(self._server.bucket, MIN_TIME_MS, (day - age) * DAY_MS, predicate)
            for measurement in ("numbers", "totals"):
                predicate = f'_measurement="{measurement}"'
                self._connection.delete(self._server.bucket, MIN_TIME_MS, day * DAY_MS, predicate)
            self._local.forget_quarantine(day * DAY_MS)
            self._set(changed)
            if rows:
                self._occupied.clear()
                self._load_newest()
            return rows

    def make_durable(self) -> int:
        """The log position up to which the log may be trimmed: the server answers a write when it is on its disk."""
        self._may_write()
        return self._counters.get(state.POSITION, 0)

    def put_snapshot(self, name: str, position: int, blob: bytes) -> None:
        """Keep the state `blob` of `name` as of log position `position`, in place of the one before."""
        self._may_write()
        self._local.put_snapshot(name, position, blob)

    def snapshot(self, name: str) -> tuple[int, bytes] | None:
        """(position, blob) of `name`, None when there is none. Raises Corrupt."""
        return self._local.snapshot(name)

    # -- the pipeline's own questions ----------------------------------------------------------

    def totals(self) -> Totals:
        """Counters and position as committed."""
        self._alive()
        return state.totals(self._ask(lambda: state.load(self._connection)) if self._read_only else self._counters)

    def contains(self, points: PointBatch) -> BoolArray:
        """For each row whether (device, time, identity) is stored already, shape (n,); returns no data, waits as `commit`."""
        with self._writing():
            found = np.zeros(len(points), np.bool_)
            rows = np.flatnonzero(self._maybe_known(points))
            if len(rows):
                asked = points.take(rows)
                found[rows] = self._sender.persist(lambda: self._occupied.find(asked)).held >= 0
            return found

    def _maybe_known(self, points: PointBatch) -> BoolArray:
        """Rows that are no newer than the newest point of their slot."""
        inside = (points.slot >= 0) & (points.slot < len(self._newest_ms))
        known: BoolArray = inside
        known[inside] = points.time_ms[inside] <= self._newest_ms[points.slot[inside]]
        return known

    def newest_keys(
        self,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Of each device's newest point: slot (ascending), fix time (UTC ms), seq, alarm bits; for the pipeline only, no places."""
        newest = self._newest_rows(None).to_batch()
        return newest.slot, newest.time_ms, newest.seq, newest.alarm_bits

    # -- newest points -------------------------------------------------------------------------

    def _load_newest(self) -> None:
        """Ask the server for the newest point of every slot."""
        found = self._sender.persist(lambda: reading.newest(self._connection), wait=self._newest_ms.size > 0)
        newest = Newest()
        days = found.points.time_ms // DAY_MS + found.ages
        for day in np.unique(days).tolist():
            newest.absorb(Rows.of_batches([found.points.take(days == day)], day))
        with self._newest_lock:
            self._newest, self._fresh = newest, []
            self._newest_ms = np.zeros(0, np.int64)
        self._grow_newest(found.points)

    def _grow_newest(self, points: PointBatch) -> None:
        """Note before anything is sent how new points may be from now on: an answer that is lost may have been a yes."""
        if not len(points):
            return
        slots = int(points.slot.max()) + 1
        if slots > len(self._newest_ms):
            more = np.full(max(slots - len(self._newest_ms), len(self._newest_ms) // 2), MIN_TIME_MS, np.int64)
            self._newest_ms = np.concatenate([self._newest_ms, more])
        np.maximum.at(self._newest_ms, points.slot, points.time_ms)

    def _take_newest(self, day: int, points: PointBatch) -> None:
        with self._newest_lock:
            self._fresh.append((day, points))
            if sum(len(batch) for _, batch in self._fresh) >= _MAX_FRESH_ROWS:
                self._absorb()

    def _absorb(self) -> None:
        for day in sorted({day for day, _ in self._fresh}):
            self._newest.absorb(Rows.of_batches([batch for of_day, batch in self._fresh if of_day == day], day))
        self._fresh = []

    def _newest_rows(self, wanted: npt.NDArray[np.int64] | None) -> Rows:
        with self._newest_lock:
            self._absorb()
            return self._newest.rows(wanted)

    # -- reads under a grant -------------------------------------------------------------------

    def track(self, grant: Grant, device: str, slot: int, from_ms: int, to_ms: int) -> PointBatch:
        """Points of one device with from_ms <= time < to_ms, ordered by (time, seq), audited first."""
        grant.cover([device], from_ms, to_ms)
        self._note(grant, "series.track", device, from_ms, to_ms)
        if to_ms <= from_ms:
            return PointBatch.empty()
        return self._ask(lambda: reading.points(self._connection, [slot], from_ms, to_ms)).points

    def fleet(self, grant: Grant, from_ms: int, to_ms: int) -> Iterator[PointBatch]:
        """Points of all devices in the window, in bounded batches ordered by (slot, time) within an hour, audited first."""
        grant.cover(None, from_ms, to_ms)
        self._note(grant, "series.fleet", "every device", from_ms, to_ms)
        return self._fleet(from_ms, to_ms)

    def _fleet(self, from_ms: int, to_ms: int) -> Iterator[PointBatch]:
        if to_ms <= from_ms:
            return
        for hour_ms in self._ask(lambda: reading.hours(self._connection, from_ms, to_ms)):
            first, end = max(from_ms, hour_ms), min(to_ms, hour_ms + HOUR_MS)
            slots = self._slots_in(first, end)
            for batch in self._of_slots(slots, first, end):
                for row in range(0, len(batch), self._max_fleet_batch_rows):
                    yield batch.take(np.arange(row, min(row + self._max_fleet_batch_rows, len(batch))))

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

        The server tells, hour by hour, how far each device went; only those whose box touches the area's are read.
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
        wanted = None if slots is None else set(slots.tolist())
        if to_ms <= from_ms or (wanted is not None and not wanted):
            return []
        for hour_ms in self._ask(lambda: reading.hours(self._connection, from_ms, to_ms)):
            first, end = max(from_ms, hour_ms), min(to_ms, hour_ms + HOUR_MS)
            # a leg across the hour's edge lies in both hours' boxes
            near = self._near(area.box, max(from_ms, first - MAX_LEG_MS), min(to_ms, end + MAX_LEG_MS))
            for batch in self._of_slots(near if wanted is None else sorted(wanted & set(near)), first, end):
                gather.add(batch)
        return gather.found()

    def _slots_in(self, from_ms: int, to_ms: int) -> list[int]:
        return self._ask(lambda: reading.slots_in(self._connection, from_ms, to_ms))

    def _near(self, box: Box, from_ms: int, to_ms: int) -> list[int]:
        return self._ask(lambda: reading.near(self._connection, box, from_ms, to_ms))

    def _of_slots(self, slots: list[int], from_ms: int, to_ms: int) -> Iterator[PointBatch]:
        """Points of some slots, ordered by (slot, time), a few slots at a time."""
        for start in range(0, len(slots), SLOTS_PER_QUERY):
            yield self._points_of(slots[start : start + SLOTS_PER_QUERY], from_ms, to_ms)

    def _points_of(self, slots: list[int], from_ms: int, to_ms: int) -> PointBatch:
        return self._ask(lambda: reading.points(self._connection, slots, from_ms, to_ms)).points

    def latest(
        self, grant: Grant, slots: npt.NDArray[np.int32] | None, *, devices: Sequence[str] | None = None
    ) -> PointBatch:
        """The newest point of each device (`slots` None: of all), by slot, audited first.

        `devices` are the ids of `slots`, needed when the grant covers only some devices. A newest point outside the grant's
        window is left out.
        """
        target = devices_target(grant, slots, devices, grant.from_ms, grant.to_ms)
        detail = {"slots": slots.tolist()} if slots is not None else {}
        self._note(grant, "series.latest", target, grant.from_ms, grant.to_ms, **detail)
        wanted = None if slots is None else np.unique(slots).astype(np.int64)
        if wanted is not None and not len(wanted):
            return PointBatch.empty()
        batch = self._asked_newest(wanted) if self._read_only else self._newest_rows(wanted).to_batch()
        return batch.take((batch.time_ms >= grant.from_ms) & (batch.time_ms < grant.to_ms))

    def _asked_newest(self, wanted: npt.NDArray[np.int64] | None) -> PointBatch:
        if wanted is None:
            return self._newest_of(None)
        slots = wanted.tolist()
        parts = [slots[at : at + SLOTS_PER_QUERY] for at in range(0, len(slots), SLOTS_PER_QUERY)]
        return PointBatch.concat([self._newest_of(part) for part in parts])

    def _newest_of(self, slots: list[int] | None) -> PointBatch:
        return self._ask(lambda: reading.newest(self._connection, slots)).points

    def numbers(
        self, grant: Grant, series: str, source: str, from_ms: int, to_ms: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Times and values of a named numeric series in the window, audited first."""
        grant.cover([source], from_ms, to_ms)
        self._note(grant, "series.numbers", source, from_ms, to_ms, series=series)
        if to_ms <= from_ms:
            return np.zeros(0, np.int64), np.zeros(0, np.float64)
        return self._ask(lambda: reading.numbers(self._connection, series, source, from_ms, to_ms))

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
        return self._local.quarantine_list(reason, before_id, limit)

    def quarantine_show(self, grant: Grant, number: int) -> QuarantineRow:
        """One kept quarantined row by its id, audited first; raises NotFound."""
        grant.cover(None, grant.from_ms, grant.to_ms)
        self._note(grant, "quarantine.show", str(number), grant.from_ms, grant.to_ms)
        return self._local.quarantine_show(number)

    # -- housekeeping --------------------------------------------------------------------------

    def check(self) -> list[Problem]:
        """Count every stored day on the server and report what does not agree with the counters. Changes nothing."""
        self._alive()
        try:
            counters = self._ask(lambda: state.load(self._connection))
            found = self._ask(lambda: reading.days(self._connection))
        except (Away, StoreError) as error:
            return [Problem(f"InfluxDB bucket {self._server.bucket}", error.message, error.mend)]
        wanted = state.by_day(counters)
        problems = []
        for day in sorted(set(wanted) | set(found)):
            if wanted.get(day, 0) != found.get(day, 0):
                date = np.datetime64(day, "D")
                what = f"{found.get(day, 0)} points are there of {wanted.get(day, 0)} that were stored that day"
                mend = "Restore the server from a back-up of that time; a commit under way while it is counted shows here, too."
                problems.append(Problem(f"InfluxDB bucket {self._server.bucket}, stored day {date}", what, mend))
        if sum(wanted.values()) != counters.get(state.STORED, 0):
            what = f"the days hold {sum(wanted.values())} points, the counter says {counters.get(state.STORED, 0)}"
            problems.append(
                Problem(f"InfluxDB bucket {self._server.state_bucket}", what, "Restore the server from a back-up.")
            )
        return problems

    def close(self) -> None:
        """Write what waits in memory once more, and release everything; every later call raises StoreError."""
        self._sender.stop_waiting()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._read_only:
                self._pending.flush()
            self._connection.close()
            self._local.close()

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        """An answer of the server; asked once more when the connection broke."""
        try:
            return call()
        except Denied:
            raise
        except Away:
            time.sleep(_READ_AGAIN_S)
            return call()

    def _read_identities(self, slots: list[int], from_ms: int, to_ms: int) -> StoredPoints:
        return reading.points(self._connection, slots, from_ms, to_ms, identity_only=True)

    def _note(self, grant: Grant, action: str, target: str, from_ms: int, to_ms: int, **detail: object) -> None:
        """The audit row; an error here ends the read."""
        self._alive()
        note_read(self._audit, grant, action, target, from_ms, to_ms, **detail)

    def _alive(self) -> None:
        if self._closed:
            raise StoreError("The series store is closed.", mend="Open it again.")

    def _may_write(self) -> None:
        self._alive()
        if self._read_only:
            raise UsageError("The series are open for reading only.", mend="Ask the running service.")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._may_write()
            yield
