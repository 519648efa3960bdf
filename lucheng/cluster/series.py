"""The time-series store past one machine, by the settings: of all partitions for who reads, of one for who holds it.

Invariants: a partition's is opened for one turn, under its epoch, and refuses its holder once a newer one has taken it; the embedded
store, of which a process that does everything has one, is lent and not closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lucheng.series_choice import influx_options, server_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from config.sections import Settings
    from lucheng.rooms import Rooms
    from model.clock import Clock
    from model.seams import Audit
    from store.database import Server
    from store.nats.link import Link
    from store.nats.ownership import Turn
    from store.series.door import Series


def is_shared(settings: Settings) -> bool:
    """Whether each partition's series are its holder's, in InfluxDB and the database."""
    return settings.nats.mode == "log" and settings.influx.mode == "store" and settings.database.url is not None


def open_city(
    settings: Settings, database: Server, *, audit: Audit, clock: Clock, device_ids: Callable[[], Sequence[str]]
) -> Series:
    """Everything, to be read; samples may be written. Raises as `CitySeries`."""
    from store.series.influx.ledgers import NAME, Ledgers, make  # noqa: PLC0415 a second of imports, for those who use it
    from store.series.influx.partition import CitySeries  # noqa: PLC0415 as above

    where = database.place(NAME)
    make(where)
    options = influx_options(settings, audit=audit, clock=clock, device_ids=device_ids)
    return CitySeries(server_of(settings), Ledgers(where), **options)


class Lent:
    """A store that is lent for a turn: closing it gives it back. The embedded one, of which a process has one."""

    def __init__(self, series: Series) -> None:
        self._series = series

    def __getattr__(self, name: str) -> Any:
        return getattr(self._series, name)

    def close(self) -> None:
        """Give it back."""

    def stop_waiting(self) -> None:
        """It waits for nobody."""


def partition_series(rooms: Rooms, link: Link, worker: str, partition: int, turn: Turn) -> Series:
    """The store of one partition, for one turn; closed by who asked. Raises as `PartitionSeries`, Fenced."""
    settings = rooms.settings
    if not is_shared(settings):
        return cast("Series", Lent(rooms.series))
    from lucheng.nats_choice import open_snapshots  # noqa: PLC0415 as above
    from store.series.influx.ledgers import NAME, PartitionLedger  # noqa: PLC0415 as above
    from store.series.influx.partition import PartitionSeries  # noqa: PLC0415 as above

    assert rooms.database is not None
    ledger = PartitionLedger(
        rooms.database.place(NAME),
        partition,
        epoch=lambda: turn.epoch,
        worker=worker,
        now_ms=rooms.clock.now_ms,
        snapshots=open_snapshots(settings, link, partition, lambda: turn.epoch),
        max_quarantine_rows_per_reason=settings.series.max_quarantine_rows_per_reason,
    )
    try:
        options = influx_options(settings, audit=rooms.audit, clock=rooms.clock, device_ids=lambda: rooms.directory.ids)
        return PartitionSeries(server_of(settings), ledger, **options)
    except BaseException:
        ledger.close()
        raise
