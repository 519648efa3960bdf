"""`lucheng store init` and `lucheng store copy` of series: from the settings to the server, beside a service that does not run.

Invariants: both are audited before they begin, where there is a data folder; a copy holds the writer lock, so nothing changes
under it; it may be broken off at any moment and called again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.registry import Registry
from lucheng.rooms import AUDIT_FILE, REGISTRY_FILE, operating_system_user
from lucheng.series_choice import SERIES_FILE, open_series, server_of
from model.clock import Clock, SystemClock
from model.errors import NotFound, StoreError, UsageError
from model.grant import Grant, Purpose
from store.audit import AuditLog
from store.lock import WriterLock

if TYPE_CHECKING:
    from config.sections import Settings
    from store.series.influx.connection import Server
    from store.series.influx.setting_up import Plan

#: (points done, points in all).
Progress = Callable[[int, int], object]


def wanted(settings: Settings) -> tuple[Server, Plan]:
    """The server, and what has to be there."""
    from store.series.influx.setting_up import plan  # noqa: PLC0415 needed by those alone whose series go to InfluxDB

    server = server_of(settings)
    return server, plan(server, **_days(settings))


def init_store(data_dir: Path, settings: Settings, *, token_file: Path | None = None) -> list[dict[str, str]]:
    """Make buckets and task on the server, or bring them in line; `name` and `what` (made, changed, kept) of each.

    Args:
        data_dir: its audit is told, where there is one.
        settings: sections `influx` and `series`.
        token_file: a token that may do so, in place of the service's own.
    """
    from config.settings import read_secret  # noqa: PLC0415 as above
    from store.series.influx.setting_up import set_up  # noqa: PLC0415 as above

    server = server_of(settings)
    if token_file is not None:
        server = replace(server, token=read_secret(token_file))
    if (data_dir / AUDIT_FILE).exists():
        with ExitStack() as stack:
            _note(stack, data_dir, SystemClock(), "store.init", settings)
    return [asdict(one) for one in set_up(server, **_days(settings))]


def copy_store(data_dir: Path, settings: Settings, *, progress: Progress | None = None) -> dict[str, Any]:
    """Copy the embedded store to InfluxDB, or what a mirror has missed where `influx.mode` is mirror; what was copied.

    Raises WriterLocked while a service runs; NotFound where there is no embedded store; Conflict, Away: see `copy_to_influx`.
    """
    clock = SystemClock()
    if not (data_dir / SERIES_FILE).exists():
        raise NotFound(f"There is no {SERIES_FILE} in {data_dir}.", mend="Name the right folder with --data.")
    told: Progress = progress or (lambda _done, _total: None)
    with ExitStack() as stack:
        stack.enter_context(WriterLock(data_dir))
        audit = _note(stack, data_dir, clock, "store.copy", settings)
        registry = Registry(
            data_dir / REGISTRY_FILE, clock=clock, read_only=False, max_devices=settings.devices.max_devices
        )
        stack.callback(registry.close)
        ids = registry.directory().ids
        if settings.influx.mode == "mirror":
            return _fill_mirror(stack, data_dir, settings, audit, clock, ids, told)
        return _copy_all(stack, data_dir, settings, audit, clock, ids, told)


def _copy_all(
    stack: ExitStack, data_dir: Path, settings: Settings, audit: AuditLog, clock: Clock, ids: list[str], told: Progress
) -> dict[str, Any]:
    from store.series.embedded import EmbeddedSeries  # noqa: PLC0415 as above
    from store.series.influx.copying import copy_to_influx  # noqa: PLC0415 as above

    path = data_dir / SERIES_FILE
    source = EmbeddedSeries(path, audit=audit, clock=clock)
    stack.callback(source.close)
    done = copy_to_influx(
        source,
        path,
        server_of(settings),
        data_dir,
        clock=clock,
        device_ids=lambda: ids,
        progress=lambda now: told(now.done, now.total),
        retention_days=settings.series.retention_days,
        late_days=settings.influx.late_days if settings.series.retention_days else None,
    )
    return {
        "points": done.points,
        "samples": done.samples,
        "series": done.series,
        "quarantined": done.quarantined,
        "not_kept": done.not_kept,
        "missed": 0,
    }


def _fill_mirror(
    stack: ExitStack, data_dir: Path, settings: Settings, audit: AuditLog, clock: Clock, ids: list[str], told: Progress
) -> dict[str, Any]:
    from store.series.influx.copying import mirrored  # noqa: PLC0415 as above
    from store.series.influx.mirror import MirroredSeries  # noqa: PLC0415 as above

    store = open_series(data_dir, settings, audit=audit, clock=clock, device_ids=lambda: ids, read_only=False)
    assert isinstance(store, MirroredSeries)
    stack.callback(store.close)
    held = store.missed()
    points = 0
    if held.points:
        window = (held.from_ms, held.to_ms)
        grant = Grant(operating_system_user(), "cli", Purpose("maintenance", "", "lucheng store copy"), None, *window)

        def count(done: int) -> None:
            nonlocal points
            points = done
            told(done, max(done, held.points))

        left = mirrored(store.fleet(grant, *window), store.mirror, clock.now_ms(), count)
        if left:
            raise StoreError(
                f"The mirror did not take {left} of {points} points.", mend="Look at its log, and copy again."
            )
        store.forget_missed()
    return {"points": points, "samples": 0, "series": 0, "quarantined": 0, "not_kept": 0, "missed": held.points}


#: What can be copied: series from the first to the second, people and devices both ways.
WAYS = (("embedded", "influx"), ("sqlite", "postgres"), ("postgres", "sqlite"))


def check_ways(source: str, target: str) -> None:
    """Raise UsageError for anything but `WAYS`."""
    if (source, target) not in WAYS:
        ways = ", or ".join(f"--from {one} --to {other}" for one, other in WAYS)
        raise UsageError(f"There is no copy from {source[:20]!r} to {target[:20]!r}.", mend=f"Use {ways}.")


def _days(settings: Settings) -> dict[str, int]:
    return {
        "retention_days": settings.series.retention_days,
        "late_days": settings.influx.late_days,
        "hourly_days": settings.influx.hourly_days,
    }


def _note(stack: ExitStack, data_dir: Path, clock: Clock, action: str, settings: Settings) -> AuditLog:
    audit = AuditLog(data_dir / AUDIT_FILE, clock=clock)
    stack.callback(audit.close)
    influx = settings.influx
    audit.append(
        operating_system_user(),
        "cli",
        action,
        f"{influx.url} {influx.org} {influx.bucket}"[:200],
        "",
        {"via": "process"},
    )
    return audit
