"""Who holds a partition, for whoever looks: read from the record of the last taking (`ownership`). It holds nothing itself."""

from __future__ import annotations

import json
from dataclasses import dataclass

from store.nats.link import Link
from store.nats.ownership import DEFAULT_GROUP
from store.nats.reading import Reader
from store.nats.streams import Names


@dataclass(frozen=True, slots=True)
class Holding:
    """Who holds a partition, as the record says.

    Attributes:
        worker: its name.
        epoch: number of the taking; grows with each.
        since_ms: by the worker's wall clock.
        lag_records: records that no worker has done yet.
    """

    worker: str
    epoch: int
    since_ms: int
    lag_records: int


def holding(link: Link, names: Names, stream: str, group: str = DEFAULT_GROUP) -> Holding | None:
    """Who holds a partition, as the record says; None when nobody ever took it.

    Raises:
        StoreError: the servers were away for longer than the link is patient.
    """

    async def attempt() -> Holding | None:
        newest = await Reader(link, names.owners).newest_of(names.owners_subject(stream, group))
        if newest is None:
            return None
        info = await link.api(f"CONSUMER.INFO.{stream}.{group}")
        found = json.loads(newest.payload)
        lag = int(info["num_pending"]) + int(info["num_ack_pending"])
        return Holding(str(found["worker"]), newest.position, int(found["since_ms"]), lag)

    return link.call(link.persist(attempt, what=f"Nobody tells who holds {stream}"))
