"""Which time-series store a data folder has, by the settings: the embedded one, InfluxDB, or the embedded one with a mirror there.

Invariants: a folder whose series lie elsewhere is not opened as if it had none: a store that is behind the other one is refused,
with what copies it. It opens what it is told to and starts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lucheng.logs import logger
from model.errors import Conflict
from store.series.embedded import EmbeddedSeries

if TYPE_CHECKING:
    from config.sections import Settings
    from model.clock import Clock
    from model.seams import Audit
    from store.series.door import Series
    from store.series.influx.connection import Server

SERIES_FILE = "series.db"
#: `store.series.influx.local.FILE`, known here without what InfluxDB needs.
INFLUX_FILE = "influx.db"
_HOUR_MS = 3_600_000

_log = logger(__name__)


def holds_series(folder: Path) -> bool:
    """Whether a data folder was ever opened for writing."""
    return (folder / SERIES_FILE).exists() or (folder / INFLUX_FILE).exists()


def may_wait(settings: Settings) -> bool:
    """Whether the store may have to wait for a server."""
    return settings.influx.mode != "off"


def open_series(
    folder: Path,
    settings: Settings,
    *,
    audit: Audit,
    clock: Clock,
    device_ids: Callable[[], Sequence[str]],
    read_only: bool,
) -> Series:
    """The store of a data folder.

    Args:
        folder: the data folder.
        settings: sections `influx`, `series` and `search`.
        audit: where reads are written.
        clock: source of time.
        device_ids: the registry's ids by slot, for what goes to InfluxDB.
        read_only: open beside a running writer.

    Raises Conflict when the series lie in the other store; Denied, SettingsError for what is wrong with the server's settings.
    """
    mode = settings.influx.mode
    if mode == "store":
        _refuse_if_behind(folder, read_only=read_only)
        return _influx(folder, settings, audit, clock, device_ids, read_only=read_only)
    embedded = _embedded(folder, settings, audit, clock, device_ids, read_only=read_only)
    if not read_only:
        try:
            _refuse_if_moved(folder, embedded)
        except BaseException:
            embedded.close()
            raise
    return embedded


def server_of(settings: Settings) -> Server:
    """The InfluxDB server of the settings, its token read. Raises SettingsError."""
    from config.settings import read_secret  # noqa: PLC0415 needed by those alone whose series are in InfluxDB
    from store.series.influx.connection import Server  # noqa: PLC0415 as above

    influx = settings.influx
    if influx.url is None or influx.token_file is None:
        from model.errors import SettingsError  # noqa: PLC0415 as above

        raise SettingsError("No InfluxDB server is set.", mend="Set influx.url and influx.token_file.")
    return Server(
        url=influx.url,
        org=influx.org,
        token=read_secret(influx.token_file),
        bucket=influx.bucket,
        gzip=influx.gzip,
        write_timeout_ms=int(influx.write_timeout_s * 1000),
        query_timeout_ms=int(influx.query_timeout_s * 1000),
        max_answer_bytes=influx.max_answer_bytes,
        ca_file=influx.ca_file,
    )


def _told(words: str | None) -> None:
    if words is None:
        _log.info("the InfluxDB server is back")
    else:
        _log.error("the InfluxDB server is away", error=words)


def _influx(
    folder: Path,
    settings: Settings,
    audit: Audit,
    clock: Clock,
    device_ids: Callable[[], Sequence[str]],
    *,
    read_only: bool,
) -> Series:
    from store.series.influx.store import InfluxSeries  # noqa: PLC0415 a second of imports, for those who use it

    options = influx_options(settings, audit=audit, clock=clock, device_ids=device_ids)
    return InfluxSeries(
        server_of(settings),
        folder,
        read_only=read_only,
        max_quarantine_rows_per_reason=settings.series.max_quarantine_rows_per_reason,
        **options,
    )


def influx_options(
    settings: Settings, *, audit: Audit, clock: Clock, device_ids: Callable[[], Sequence[str]]
) -> dict[str, Any]:
    """Of any store in InfluxDB, by the settings."""
    influx, search = settings.influx, settings.search
    return {
        "audit": audit,
        "clock": clock,
        "device_ids": device_ids,
        "late_days": influx.late_days if settings.series.retention_days else None,
        "retry_min_ms": influx.retry_min_ms,
        "retry_max_ms": influx.retry_max_ms,
        "max_body_bytes": influx.max_body_bytes,
        "max_lookup_keys": settings.series.max_lookup_keys,
        "max_pending_numbers": influx.max_pending_numbers,
        "max_search_ms": search.max_window_h * _HOUR_MS,
        "max_search_points": search.max_points,
        "on_outage": _told,
    }


def _embedded(
    folder: Path,
    settings: Settings,
    audit: Audit,
    clock: Clock,
    device_ids: Callable[[], Sequence[str]],
    *,
    read_only: bool,
) -> EmbeddedSeries:
    series, search = settings.series, settings.search
    options = {
        "audit": audit,
        "clock": clock,
        "read_only": read_only,
        "max_open_rows": series.max_open_rows,
        "max_lookup_keys": series.max_lookup_keys,
        "max_quarantine_rows_per_reason": series.max_quarantine_rows_per_reason,
        "max_search_ms": search.max_window_h * _HOUR_MS,
        "max_search_rows": search.max_read_points,
        "max_search_points": search.max_points,
    }
    path = folder / SERIES_FILE
    if settings.influx.mode == "off" or read_only:
        return EmbeddedSeries(path, **options)  # type: ignore[arg-type] # as named above
    from store.series.influx.mirror import Mirror, MirroredSeries  # noqa: PLC0415 see `_influx`

    influx = settings.influx
    mirror = Mirror(
        server_of(settings),
        clock=clock,
        device_ids=device_ids,
        wait_s=influx.mirror_wait_s,
        retry_min_ms=influx.retry_min_ms,
        retry_max_ms=influx.retry_max_ms,
        max_body_bytes=influx.max_body_bytes,
        max_pending_numbers=influx.max_pending_numbers,
        on_outage=_told,
    )
    return MirroredSeries(path, mirror=mirror, **options)


def embedded_position(folder: Path) -> int:
    """The log position of a folder's embedded store; 0 where there is none."""
    from store.database import connect  # noqa: PLC0415 needed here alone
    from store.ledger import Ledger  # noqa: PLC0415 as above

    path = folder / SERIES_FILE
    if not path.exists():
        return 0
    connection = connect(path, durable=False, read_only=True)
    try:
        return Ledger(connection).position()
    finally:
        connection.close()


def influx_position(folder: Path) -> int:
    """The log position that a folder's series in InfluxDB had when it was last known here; 0 where there are none."""
    path = folder / INFLUX_FILE
    if not path.exists():
        return 0
    from store.series.influx import state  # noqa: PLC0415 see `_influx`
    from store.series.influx.local import LocalFile  # noqa: PLC0415 see `_influx`

    local = LocalFile(path, read_only=True)
    try:
        return local.counters().get(state.POSITION, 0)
    finally:
        local.close()


def _refuse_if_behind(folder: Path, *, read_only: bool) -> None:
    """The embedded store is ahead: its points were never copied to InfluxDB."""
    behind = embedded_position(folder)
    if behind and not (read_only and (folder / INFLUX_FILE).exists()) and behind > influx_position(folder):
        raise Conflict(
            f"{SERIES_FILE} has the points of the log up to {behind}, and InfluxDB has not.",
            mend="Run `lucheng store copy --from embedded --to influx`, or set influx.mode back.",
        )


def _refuse_if_moved(folder: Path, embedded: EmbeddedSeries) -> None:
    """InfluxDB is ahead: the service has gone on there."""
    ahead = influx_position(folder)
    if ahead > embedded.totals().position:
        raise Conflict(
            f"InfluxDB has the points of the log up to {ahead}, {SERIES_FILE} up to {embedded.totals().position} alone.",
            mend="Set influx.mode back to store.",
        )
