"""The series in InfluxDB when several machines share a city: each partition is written by its holder, everything is read by anybody.

Invariants, beside those of `store.py`: points of a partition carry its number as a tag, and so do its counters; the ledger is
written after them and refuses whoever was followed by a newer holder (`Fenced`): then nothing more of this object counts, and
its owner lets the partition go. What a holder that is late still writes to InfluxDB are points that the next one writes too, to the same places,
and counters of its own taking, which nobody reads any more. A database that is away is waited for as InfluxDB is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch
from model.errors import TryAgain
from model.seams import Problem, Samples
from store.series.influx import reading, state
from store.series.influx.checking import check
from store.series.influx.connection import Away, Connection, Server
from store.series.influx.ledgers import Held, Ledgers, PartitionLedger
from store.series.influx.newest_points import NewestPoints
from store.series.influx.store import InfluxSeries

Answer = TypeVar("Answer")


class PartitionSeries(InfluxSeries):
    """One partition's, for its holder.

    Args:
        server: where InfluxDB is.
        ledger: the partition's, taken.
        options: as for `InfluxSeries`.

    Raises as `InfluxSeries`; Fenced.
    """

    def __init__(self, server: Server, ledger: PartitionLedger, **options: Any) -> None:
        self.ledger = ledger
        super().__init__(server, ledger, partition=ledger.partition, **options)

    def retain(self, before_stored_ms: int) -> int:
        """See `InfluxSeries.retain`. Raises Fenced, and then nothing was deleted."""
        self._kept(self.ledger.check)
        return super().retain(before_stored_ms)

    def _known(self, connection: Connection) -> dict[str, int]:
        taken = state.load_partition(connection, self.ledger.partition)
        if taken.taking >= self.ledger.taking:  # the ledger was set back, or is new beside an old bucket
            _away_where_it_is(lambda: self.ledger.take(beyond=taken.taking))
        return {state.POSITION: 0, **taken.counters}

    def _load_newest(self) -> None:
        # A partition passes on when somebody dies: times are all that is needed before it goes on.
        self._newest.load_times(*reading.newest_times(self._connection, self.ledger.partition))

    def _in_memory(self) -> NewestPoints | None:
        return None

    def newest_keys(
        self,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """See `InfluxSeries.newest_keys`; asked of the server, for it is needed where a state is damaged alone."""
        self._alive()
        newest = reading.newest(self._connection, partition=self.ledger.partition).points
        return newest.slot, newest.time_ms, newest.seq, newest.alarm_bits

    def _take_over(self, counters: dict[str, int]) -> None:
        # whatever an earlier holder writes from here on is of an earlier taking
        self._connection.write(self._server.state_bucket, self._line(counters))
        _away_where_it_is(lambda: super(PartitionSeries, self)._take_over(counters))

    def _kept(self, call: Callable[[], object]) -> None:
        self._sender.persist(lambda: _away_where_it_is(call))

    def _line(self, counters: dict[str, int]) -> bytes:
        return state.line(counters, partition=self.ledger.partition, taking=self.ledger.taking)


class CitySeries(InfluxSeries):
    """Those of all partitions, to be read; samples of other numeric series may be written, points may not.

    Args:
        server: where InfluxDB is.
        ledgers: of all partitions.
        options: as for `InfluxSeries`.
    """

    def __init__(self, server: Server, ledgers: Ledgers, **options: Any) -> None:
        self._ledgers = ledgers
        super().__init__(server, ledgers, read_only=True, **options)

    def partitions(self) -> dict[int, Held]:
        """What each partition's holder committed, and who it is; of those that were ever held."""
        self._alive()
        return self._ledgers.each()

    def put_many_numbers(self, samples: Sequence[Samples]) -> None:
        """See `InfluxSeries.put_many_numbers`."""
        self._alive()
        self._put(samples)

    def _newest_of(self, slots: list[int] | None) -> PointBatch:
        """Of all: partition by partition, for a city's at once are more than one answer holds."""
        if slots is not None:
            return super()._newest_of(slots)
        parts = [
            self._ask(lambda part=part: reading.newest(self._connection, partition=part)).points  # type: ignore[misc] # a default binds it
            for part in self._ledgers.each()
        ]
        if not parts:
            return PointBatch.empty()
        found = PointBatch.concat(parts)
        return found.take(np.argsort(found.slot, kind="stable"))

    def check(self) -> list[Problem]:
        """As `InfluxSeries.check`, of each partition."""
        self._alive()
        return check(self._connection, sorted(self._ledgers.each()))


def _away_where_it_is(call: Callable[[], Answer]) -> Answer:
    """What `call` returns; a database that is away is as a server of series that is."""
    try:
        return call()
    except Away:
        raise
    except TryAgain as error:
        raise Away(error.message, mend=error.mend) from error
