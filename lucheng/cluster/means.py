"""What a partition's worker is made of in a process of the cluster: its log, store, snapshots and stages, by the settings.

Invariants: a series store is opened for one turn, under its epoch; the embedded one, of which a process has one, is lent and not closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lucheng.health_duty import HealthDuty
from lucheng.limits import clean_limits, rule_limits
from lucheng.nats_choice import stand_by
from lucheng.steps import Steps
from store.log.jetstream import JetStreamLog
from store.nats.streams import Names

if TYPE_CHECKING:
    from lucheng.cluster.held import Sure
    from lucheng.cluster.worker import Chore, Held
    from lucheng.rooms import Rooms
    from model.batch import PointBatch
    from model.seams import Log
    from store.nats.link import Link
    from store.nats.ownership import Partition, Turn
    from store.series.door import Series


class RoomMeans:
    """`lucheng.cluster.worker.Means` over open rooms.

    Args:
        rooms: the open rooms.
        link: of the workers of this process: pins, logs and snapshots.
        name: of this process.
        open_series: the store for who holds a partition by a turn; closed by the worker.
        on_fatal: called once when a store failed.
        on_stored: told the points of each commit, with their partition.
    """

    def __init__(
        self,
        rooms: Rooms,
        link: Link,
        name: str,
        *,
        open_series: Callable[[int, Turn], Series],
        on_fatal: Callable[[BaseException], None],
        on_stored: Callable[[int, PointBatch], None] = lambda _partition, _points: None,
    ) -> None:
        self._rooms = rooms
        self._link = link
        self._name = name
        self._names = Names(rooms.settings.nats.prefix)
        self._open_series = open_series
        self._on_fatal = on_fatal
        self._on_stored = on_stored

    def stand_by(self, partition: int) -> Partition:
        """See `Means.stand_by`."""
        return stand_by(self._rooms.settings, self._link, partition, self._name)

    def log(self, partition: int) -> Log:
        """See `Means.log`."""
        return JetStreamLog(
            self._link,
            self._names,
            self._names.points(partition),
            self._names.partition_subject(partition),
            exclusive=False,
            close_link=False,
            max_record_bytes=self._rooms.settings.nats.max_message_bytes,
        )

    def series(self, partition: int, turn: Turn) -> Series:
        """See `Means.series`."""
        return self._open_series(partition, turn)

    def steps(self, partition: int, series: Series, sure: Sure) -> Steps:
        """See `Means.steps`."""
        rooms, directory = self._rooms, self._rooms.directory
        return Steps(
            clean_limits(rooms.settings),
            series,
            rooms.desk,
            lambda: directory.ids,
            rooms.clock,
            rules=rule_limits(rooms.settings),
            load_fences=rooms.fences.load,
            kinds=lambda: directory.kind_of_slot,
            disabled=lambda: np.flatnonzero(~directory.enabled),
            slots_of=rooms.nearby.slots_of,
            on_stored=lambda points: self._on_stored(partition, points),
            log_name=self._names.points(partition),
            may_write=sure,
            know=self._know,
        )

    def chores(self, partition: int, held: Held) -> list[Chore]:
        """See `Means.chores`: what devices said of themselves, as series."""
        del partition
        ids = self._rooms.directory
        return [
            HealthDuty(held.series, None, held.steps.statuses, lambda: ids.ids, on_fatal=self._on_fatal),
        ]

    def _know(self, slot: int) -> None:
        """An ingestor may have registered a device since this process last read the registry."""
        if slot >= len(self._rooms.directory.ids):
            self._rooms.registry.refresh(self._rooms.directory)
