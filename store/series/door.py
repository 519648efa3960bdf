"""`Series`: what the whole house asks of a time-series store, wherever it lies: `model.seams.SeriesStore`, and what the pipeline,
the quarantine and whoever looks after the stores need besides. `EmbeddedSeries` and `InfluxSeries` are both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from model.codes import Reason
from model.errors import LuchengError
from model.grant import Grant
from model.seams import SeriesStore
from store.ledger import DEFAULT_LIST_ROWS, QuarantineRow

#: Told of an outage: its words when it begins, None when it ends.
OnOutage = Callable[[str | None], object]


@dataclass(frozen=True, slots=True)
class SeriesState:
    """How a store is.

    Attributes:
        kind: embedded, mirrored or influx.
        away: what keeps its server away, in words; "" while it is there, and for a store that needs none.
        away_s: for how long, seconds.
        pending_numbers: samples that wait in memory for the server.
        dropped_numbers: samples that an outage was too long for, since the start.
        missed_points: points that a mirror does not have.
    """

    kind: str
    away: str = ""
    away_s: float = 0.0
    pending_numbers: int = 0
    dropped_numbers: int = 0
    missed_points: int = 0


class Moved(LuchengError):
    """The store, asked again after it was away, is at another position than it was believed to be: recover from the log."""

    code = "series_moved"


class Series(SeriesStore, Protocol):
    """See the module."""

    def newest_keys(
        self,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Of each device's newest point: slot (ascending), fix time (UTC ms), seq, alarm bits; for the pipeline only, no places."""
        ...

    def put_snapshot(self, name: str, position: int, blob: bytes) -> None:
        """Keep the state `blob` of `name` as of log position `position`, in place of the one before."""
        ...

    def snapshot(self, name: str) -> tuple[int, bytes] | None:
        """(position, blob) of `name`, None when there is none. Raises Corrupt."""
        ...

    def make_durable(self) -> int:
        """Force everything committed to the disk; return the log position up to which the log may be trimmed."""
        ...

    def flush(self) -> None:
        """Bring what waits to be merged or sent on its way now."""
        ...

    def quarantine_list(
        self,
        grant: Grant,
        *,
        reason: Reason | None = None,
        before_id: int | None = None,
        limit: int = DEFAULT_LIST_ROWS,
    ) -> list[QuarantineRow]:
        """Kept quarantined rows, the newest first, audited first; the grant must cover every device."""
        ...

    def quarantine_show(self, grant: Grant, number: int) -> QuarantineRow:
        """One kept quarantined row by its id, audited first; raises NotFound."""
        ...

    def index_places(self, *, max_rows: int | None = None, again: bool = False) -> int:
        """Index by place what an older lucheng stored without; how many points were read for it, 0 when nothing is left."""
        ...

    def state(self) -> SeriesState:
        """How the store is, from memory."""
        ...

    def stop_waiting(self) -> None:
        """Whoever waits for a server gives up now, with TryAgain; nobody waits from here on."""
        ...
