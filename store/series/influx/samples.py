"""Samples of other numeric series on their way to InfluxDB, and how the way is: what a store does that waits for nothing.

Invariant: nobody who samples waits, see `pending.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.errors import UsageError
from model.grant import Grant
from model.seams import Audit, Samples
from store.series.door import SeriesState
from store.series.influx.connection import Connection
from store.series.influx.local import Beside
from store.series.influx.pending import PendingNumbers
from store.series.influx.reads import InfluxReads, ReadLimits
from store.series.influx.sending import Outage, Sender


class InfluxSamples(InfluxReads):
    """Reads, and samples; arguments are what `InfluxSeries` has opened.

    Args:
        connection, beside, audit, limits: see `InfluxReads`.
        sender: the way to the server.
        max_pending_numbers: samples kept in an outage.
        read_only: every changing method raises UsageError.
    """

    def __init__(
        self,
        connection: Connection,
        beside: Beside,
        audit: Audit,
        *,
        sender: Sender,
        max_pending_numbers: int,
        read_only: bool,
        limits: ReadLimits,
    ) -> None:
        super().__init__(connection, beside, audit, limits=limits)
        self._sender = sender
        self._read_only = read_only
        self._pending = PendingNumbers(sender, connection.server.bucket, max_pending_numbers)

    def stop_waiting(self) -> None:
        """Whoever waits for the server gives up now, with Away; nobody waits from here on."""
        self._sender.stop_waiting()

    @property
    def outage(self) -> Outage | None:
        """What keeps a commit waiting now; None while all is well."""
        return self._sender.outage

    def state(self) -> SeriesState:
        """How the store is, from memory."""
        outage = self._sender.outage
        return SeriesState(
            "influx",
            away="" if outage is None else outage.words,
            away_s=0.0 if outage is None else self._sender.away_s(),
            pending_numbers=self._pending.waiting,
            dropped_numbers=self._pending.dropped,
        )

    def put_numbers(
        self, series: str, source: str, time_ms: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
    ) -> None:
        """Add samples to a named numeric series of one source; the same time again replaces."""
        self.put_many_numbers([Samples(series, source, time_ms, values)])

    def put_many_numbers(self, samples: Sequence[Samples]) -> None:
        """As `put_numbers` for many series at once; written soon by a thread of their own, in an outage they wait in memory."""
        self._may_write()
        self._put(samples)

    def _put(self, samples: Sequence[Samples]) -> None:
        if any(len(one.time_ms) != len(one.values) for one in samples):
            raise UsageError("Not as many times as values.", mend="Give one value for each time.")
        self._pending.put([one for one in samples if len(one.time_ms)])

    def flush(self) -> None:
        """Write what waits in memory, as far as the server takes it now."""
        self._pending.flush()

    def numbers(
        self, grant: Grant, series: str, source: str, from_ms: int, to_ms: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """As `InfluxReads.numbers`; what waits here is written first, where the server is there."""
        if self._sender.outage is None:
            self._pending.flush()
        return super().numbers(grant, series, source, from_ms, to_ms)

    def _away(self) -> Outage | None:
        return self._sender.outage

    def _may_write(self) -> None:
        self._alive()
        if self._read_only:
            raise UsageError("The series are open for reading only.", mend="Ask the running service.")
