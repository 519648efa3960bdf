"""When an ingestor stops reading: the workers are too far behind, or a stream is nearly full.

Invariants: it asks the servers, who know of every worker; while they do not answer the gate stays as it was, for then nothing is
committed anyway. Alarms have no gate.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lucheng.logs import logger
from model.errors import LuchengError
from store.nats.ownership import DEFAULT_GROUP
from store.nats.terms import Refusal

if TYPE_CHECKING:
    from store.nats.link import Link
    from store.nats.streams import Names

EVERY_S = 2.0
#: Entries of the servers' own logs that a copy may lack while all goes well: what is under way.
MAX_COPY_LAG_ENTRIES = 50

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class StreamState:
    """How a stream is.

    Attributes:
        lag_records: records that no worker has done; all of them where none ever came.
        fill_pct: how full it is, %.
        last: position of its newest record.
        copies_behind: servers whose copy of it, or of who has read what, lacks more than `MAX_COPY_LAG_ENTRIES` or is away.
            Until they have caught up no other server may be lost.
    """

    lag_records: int
    fill_pct: float
    last: int
    copies_behind: tuple[str, ...] = ()


async def stream_state(link: Link, stream: str, group: str = DEFAULT_GROUP) -> StreamState:
    """As the servers say now. Raises Away, Refusal."""
    info = await link.api(f"STREAM.INFO.{stream}")
    state, most = info["state"], int(info["config"]["max_bytes"])
    behind = _behind(info)
    try:
        consumer = await link.api(f"CONSUMER.INFO.{stream}.{group}")
        lag = int(consumer["num_pending"]) + int(consumer["num_ack_pending"])
        behind |= _behind(consumer)
    except Refusal:
        lag = int(state["messages"])
    fill_pct = 100 * int(state["bytes"]) / most if most > 0 else 0.0
    return StreamState(lag, fill_pct, int(state["last_seq"]), tuple(sorted(behind)))


def _behind(info: dict[str, Any]) -> set[str]:
    """Names of servers; `info` is the leader's answer, and a server without others names none."""
    copies = (info.get("cluster") or {}).get("replicas") or []
    return {copy["name"] for copy in copies if copy.get("offline") or int(copy.get("lag") or 0) > MAX_COPY_LAG_ENTRIES}


class LagGate:
    """The gate; `open` is asked before each commit.

    Args:
        link: the way to the servers.
        names: what the streams are called.
        partitions: how many there are.
        max_lag_records: of one partition.
        max_fill_pct: of one stream.
        every_s: how often the servers are asked.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        partitions: int,
        *,
        max_lag_records: int,
        max_fill_pct: float,
        every_s: float = EVERY_S,
    ) -> None:
        self._link = link
        self._streams = [names.points(partition) for partition in range(partitions)]
        self._max_lag = max_lag_records
        self._max_fill_pct = max_fill_pct
        self._every_s = every_s
        self._why = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="gate", daemon=True)
        #: The longest lag of a partition, records; the fullest stream, %.
        self.lag_records, self.fill_pct = 0, 0.0
        #: How often it was closed.
        self.closed = 0

    def start(self) -> None:
        """Look until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join(5)

    def open(self) -> bool:
        """Whether anything may be committed."""
        return not self._why

    def look(self) -> None:
        """Ask the servers now. Raises LuchengError."""
        states = [self._link.call(stream_state(self._link, stream)) for stream in self._streams]
        self.lag_records = max(state.lag_records for state in states)
        self.fill_pct = max(state.fill_pct for state in states)
        why = ""
        if self.lag_records > self._max_lag:
            why = f"a partition lags by {self.lag_records} records"
        elif self.fill_pct > self._max_fill_pct:
            why = f"a stream is {self.fill_pct:.0f}% full"
        if why and not self._why:
            self.closed += 1
            _log.error("nothing more is taken in", reason=why)
        elif self._why and not why:
            _log.info("points are taken in again")
        self._why = why

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except LuchengError as error:
                _log.warning("lag not known", reason=error.message)
            self._stop.wait(self._every_s)
