"""`InfluxSeries`: the time-series store in InfluxDB 2.

Invariants: the position follows the points that it accounts for (`state.py`); a point has one place, slot and time in
nanoseconds, so writing it again changes nothing (`occupied.py`); what the server will not take is quarantined by name and
keeps nothing else out; nothing is read before the grant covers it and the audit row is written.

An outage makes `commit` wait, for as long as it lasts or until `stop_waiting`: what came in stays in the log, which bounds it,
and the outcome stays uncommitted. Reads do not wait: they raise `Away` (TryAgain). Samples of other numeric series wait in
memory up to `max_pending_numbers`, and the oldest are dropped and counted beyond it. A store that is opened while the server is
away goes by the counters that are known here, until the server is met; where the server then says otherwise, `Moved` is raised
once, and the position is the server's.

One writer; other processes open the store with `read_only=True`. All methods may be called from any thread. Hours are not
sealed here: the server packs its files itself. Source of what the server promises: docs.influxdata.com, "durability" (a write
is answered when its log is synced) and "duplicate points" (same series and time: fields are written over).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.batch import BoolArray, PointBatch
from model.clock import Clock
from model.codes import Reason
from model.errors import StoreError
from model.presence import DEFAULT_MAX_POINTS
from model.seams import Audit, Outcome, Problem, Totals
from store.ledger import DEFAULT_MAX_QUARANTINE_ROWS_PER_REASON
from store.series.door import Moved, OnOutage
from store.series.influx import reading, state
from store.series.influx.checking import check
from store.series.influx.connection import Away, Connection, Denied, Server
from store.series.influx.line_protocol import DEFAULT_MAX_BODY_BYTES, MIN_TIME_MS, Prefixes, Room, point_lines
from store.series.influx.local import FILE, Beside, LocalFile
from store.series.influx.newest_points import NewestPoints
from store.series.influx.occupied import DEFAULT_MAX_LOOKUP_KEYS, Occupied
from store.series.influx.pending import DEFAULT_MAX_PENDING_NUMBERS
from store.series.influx.placing import Placed, Refused, place, refusals
from store.series.influx.reading import StoredPoints
from store.series.influx.reads import DEFAULT_MAX_FLEET_BATCH_ROWS, DEFAULT_MAX_SEARCH_MS, ReadLimits
from store.series.influx.samples import InfluxSamples
from store.series.influx.sending import (
    DEFAULT_RETRY_MAX_MS,
    DEFAULT_RETRY_MIN_MS,
    Sender,
)
from store.series.schema import DAY_MS

DEFAULT_HISTORY_EVERY_MS = 10_000


class InfluxSeries(InfluxSamples):
    """`model.seams.SeriesStore` on an InfluxDB 2 server whose buckets `setting_up.set_up` has made.

    Args:
        server: where it is.
        beside: the data folder, in which `influx.db` lies; or what is in its place.
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
        partition: whose points are written here; None: all.

    Raises Denied: the server refuses us, and was never met before. StoreError, Corrupt: `influx.db`.
    """

    def __init__(
        self,
        server: Server,
        beside: Path | Beside,
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
        on_outage: OnOutage = lambda _words: None,
        partition: int | None = None,
    ) -> None:
        self._server = server
        self._partition = partition
        self._late_days = late_days
        self._lock = threading.RLock()
        self._prefixes = Prefixes(device_ids, partition=partition)
        self._room = Room(max_body_bytes)
        self._history_ms = 0
        if isinstance(beside, Path):
            beside = LocalFile(
                beside / FILE, read_only=read_only, max_quarantine_rows_per_reason=max_quarantine_rows_per_reason
            )
        connection = Connection(server)
        super().__init__(
            connection,
            beside,
            audit,
            sender=Sender(connection, clock, retry_min_ms=retry_min_ms, retry_max_ms=retry_max_ms, on_outage=on_outage),
            max_pending_numbers=max_pending_numbers,
            read_only=read_only,
            limits=ReadLimits(max_fleet_batch_rows, max_search_ms, max_search_points),
        )
        self._newest = NewestPoints(times_only=partition is not None)
        self._occupied = Occupied(self._read_identities, max_keys=max_lookup_keys)
        self._met = False
        self._counters: dict[str, int] = {}
        try:
            self._counters = self._local.counters()
            if not read_only:
                self._try_to_meet()
        except BaseException:
            self.close()
            raise

    # -- the server ----------------------------------------------------------------------------

    def _try_to_meet(self) -> None:
        """At the start, where nobody waits: a server that is away is met by the first commit."""
        try:
            self._known(self._quick)
            self._counters = self._load()
        except Denied as error:
            if not self._counters:
                raise
            self._sender.note(error)
        except Away as error:
            self._sender.note(error)

    def _meet(self, *, wait: bool = True) -> None:
        """Before anything is written or looked up: the server's own position, and the newest points; waits as `commit`."""
        if self._met:
            return
        believed = self._counters.get(state.POSITION, 0)
        self._counters = self._sender.persist(self._load, wait=wait)
        position = self._counters.get(state.POSITION, 0)
        if position != believed:
            raise Moved(
                f"InfluxDB is at position {position} of the log, not at {believed}.", mend="It is read from there."
            )

    def _known(self, connection: Connection) -> dict[str, int]:
        """The counters that the server has."""
        return state.load(connection)

    def _load(self) -> dict[str, int]:
        counters = self._known(self._connection)
        self._load_newest()
        self._take_over(counters)
        self._met = True
        return counters

    def _load_newest(self) -> None:
        self._newest.load(reading.newest(self._connection))

    def _take_over(self, counters: dict[str, int]) -> None:
        """What is kept here follows the server."""
        self._local.forget_beyond(counters.get(state.POSITION, 0))
        self._local.put_counters(counters, anew=True)

    def _kept(self, call: Callable[[], object]) -> None:
        """Do what changes what is kept here."""
        call()

    # -- writing -------------------------------------------------------------------------------

    def commit(self, outcome: Outcome, *, stored_ms: int) -> None:
        """Store one outcome; see `SeriesStore.commit`. `stored_ms` decides the stored day.

        Waits while the server is away; raises Away when `stop_waiting` ends that, and then nothing is committed.
        """
        with self._writing():
            self._meet()
            position = self._counters.get(state.POSITION, 0)
            if outcome.position <= position:
                return
            day = stored_ms // DAY_MS
            placed = place(outcome.points, day, self._newest, self._occupied, self._sender, late_days=self._late_days)
            self._newest.expect(placed.points)
            lines = point_lines(placed.points, placed.ages, placed.subs, self._prefixes, self._room)
            refused = self._sender.send(self._server.bucket, lines)
            stored = placed
            if refused:
                stored = placed.without([one.row for one in refused])
                placed.refused += [
                    Refused(Reason.STORE_REFUSED, placed.points.take(np.array([one.row])), one.words, one.line)
                    for one in refused
                ]
            told = self._with_refusals(outcome, placed)
            self._kept(lambda: self._local.keep(told, position))
            changed = state.after(self._counters, told, len(stored.points), day)
            self._set(changed)
            self._occupied.add(stored.points, stored.subs)
            self._newest.take(day, stored.points)
            self._write_history(stored_ms)

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
        body = self._line(changed)
        self._sender.persist(lambda: self._connection.write(self._server.state_bucket, body))
        self._counters = {**self._counters, **changed}
        self._kept(lambda: self._local.put_counters(changed))

    def _line(self, counters: dict[str, int]) -> bytes:
        return state.line(counters)

    def _write_history(self, stored_ms: int) -> None:
        """The counters over time, for a graph; what cannot be written now is left out."""
        step = stored_ms // DEFAULT_HISTORY_EVERY_MS
        if step == self._history_ms:
            return
        self._history_ms = step
        totals = self.totals()
        body = b"totals%b position=%di,stored=%di,duplicate=%di,quarantined=%di %d\n" % (
            b"" if self._partition is None else b",partition=%d" % self._partition,
            totals.position, totals.stored, totals.duplicate, sum(totals.quarantined.values()),
            step * DEFAULT_HISTORY_EVERY_MS * reading.NS_PER_MS,
        )  # fmt: skip
        try:
            self._connection.write(self._server.bucket, body)
        except (Away, StoreError):
            self._history_ms = 0

    def seal(self, before_ms: int, *, max_rows: int | None = None) -> int:  # noqa: ARG002 the interface's
        """Nothing to do: the server packs its files itself. Returns 0."""
        self._may_write()
        return 0

    def index_places(self, *, max_rows: int | None = None, again: bool = False) -> int:  # noqa: ARG002 the interface's
        """Nothing to do: the server has its own index. Returns 0."""
        self._may_write()
        return 0

    def retain(self, before_stored_ms: int) -> int:
        """Delete what was stored on whole UTC days before that of `before_stored_ms`; return how many points went.

        `Totals.stored` falls by as many and the gauge `expired` grows. Kept quarantined rows received and numeric samples of
        before that day go too. May be killed and called again; waits as `commit`.
        """
        day = before_stored_ms // DAY_MS
        with self._writing():
            self._meet()
            if day <= self._counters.get(state.RETAINED, -1):
                return 0
            rows, changed = state.after_retention(self._counters, day)
            if rows:
                mine = "" if self._partition is None else f' AND partition="{self._partition:d}"'
                for age in self._sender.persist(lambda: reading.ages(self._connection)):
                    self._delete((day - age) * DAY_MS, f'_measurement="fix" AND age="{age:d}"{mine}')
            for measurement in (
                ("numbers", "totals") if not self._partition else ()
            ):  # of all partitions the first does it
                self._delete(day * DAY_MS, f'_measurement="{measurement}"')
            self._kept(lambda: self._local.forget_quarantine(day * DAY_MS))
            if rows:
                self._occupied.clear()
                self._sender.persist(self._load_newest)
            self._set(changed)
            return rows

    def _delete(self, before_ms: int, predicate: str) -> None:
        self._sender.persist(lambda: self._connection.delete(self._server.bucket, MIN_TIME_MS, before_ms, predicate))

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
        """Counters and position as committed, as far as they are known here."""
        self._alive()
        return state.totals(self._local.counters() if self._read_only else self._counters)

    def contains(self, points: PointBatch) -> BoolArray:
        """For each row whether (device, time, identity) is stored already, shape (n,); returns no data, waits as `commit`."""
        with self._writing():
            self._meet()
            found = np.zeros(len(points), np.bool_)
            rows = np.flatnonzero(self._newest.no_newer(points))
            if len(rows):
                asked = points.take(rows)
                found[rows] = self._sender.persist(lambda: self._occupied.find(asked)).held >= 0
            return found

    def newest_keys(
        self,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Of each device's newest point: slot (ascending), fix time (UTC ms), seq, alarm bits; for the pipeline only, no places.

        Raises Away where the server was not met yet.
        """
        with self._writing():
            self._meet(wait=False)
        newest = self._newest.points(None)
        return newest.slot, newest.time_ms, newest.seq, newest.alarm_bits

    # -- housekeeping --------------------------------------------------------------------------

    def check(self) -> list[Problem]:
        """Count every stored day on the server and report what does not agree with the counters. Changes nothing."""
        self._alive()
        return check(self._connection, [self._partition])

    def close(self) -> None:
        """Write what waits in memory once more, and release everything; every later call raises StoreError."""
        self._sender.stop_waiting()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._pending.close(there=self._sender.outage is None)
            self._connection.close()
            self._quick.close()
            self._local.close()

    def _in_memory(self) -> NewestPoints | None:
        return self._newest if self._met else None

    def _read_identities(self, slots: list[int], from_ms: int, to_ms: int) -> StoredPoints:
        return reading.points(self._connection, slots, from_ms, to_ms, identity_only=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._may_write()
            yield
