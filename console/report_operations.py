"""The operation `report_supervision`: the daily supervision of taxis. Part of `console.operations`.

Invariants: only taxis are in it; the store is read under a Grant for the day, of the named taxis or of every device, and
the report itself is audited before anything is read; whether so many may be asked for is `console.wide_gate`'s to say. The
same stored points, registry, fences and settings give the same bytes again. A taxi's company is the owner's reference
(`owner_ref`) of the registry: the owner of a taxi is the company that runs it, while `site` names a place with a button.
The fences are the newest set, whatever held on that day; the report names its version.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from console.blob import Blob
from console.device_operations import Caller
from console.wide_gate import WideRead, check_wide
from model.device import Device, Kind, check_device_id
from model.errors import UsageError
from model.grant import Grant, Purpose
from store.audit import purpose_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analytics.meaning.context import Context
    from analytics.supervision.day import DayPoints
    from analytics.supervision.limits import SupervisionLimits
    from config.sections import Settings
    from devices.directory import Directory
    from devices.registry import Registry
    from model.batch import PointBatch
    from model.clock import Clock
    from model.fence import FenceSet
    from store.series.door import Series

FORMS = ("html", "csv", "json")
MEDIA_TYPES = {"html": "text/html; charset=utf-8", "csv": "text/csv; charset=utf-8", "json": "application/json"}
#: Taxis named in one report; more is asked without names.
DEFAULT_MAX_NAMED_TAXIS = 1_000
_PAGE_ROWS = 10_000
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _House(Protocol):
    """What it needs of the operations."""

    _settings: Settings
    _registry: Registry
    _series: Series
    _clock: Clock

    def _purpose(self, given: str | None) -> Purpose: ...
    def _known(self, device: str) -> Device: ...
    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None: ...
    def _current_directory(self) -> Directory: ...
    def _fence_set(self) -> FenceSet: ...


class ReportOperations:
    """See the module."""

    def report_supervision(
        self: _House,
        caller: Caller,
        date: str,
        devices: list[str] | None = None,
        form: str = "json",
        table: str = "vehicles",
        language: str = "zh",
        purpose: str | None = None,
        approval: str = "",
    ) -> Blob:
        """What the taxis of the city, or those named, did on a local day of the city; `date` is `2026-11-22`.

        `form` is html, csv or json; `table` is which table the CSV has (`console.reports.as_csv.TABLES`); `language` is zh
        or en, of the HTML. A day that has not ended is reported up to now.

        Raises UsageError (date, form, table, language, no taxi), NotFound (a name), Refused (too many vehicles or points).
        """
        from console.reports.as_csv import TABLES  # noqa: PLC0415 used by this alone
        from console.reports.texts import LANGUAGES  # noqa: PLC0415 as above

        why = self._purpose(purpose)
        for given, known, what in ((form, FORMS, "form"), (table, TABLES, "table"), (language, LANGUAGES, "language")):
            if given not in known:
                raise UsageError(
                    f"{given[:40]!r} is no {what} of a report.", mend="Use one of " + ", ".join(known) + "."
                )
        from_ms, end_ms = day_of(date, self._settings.city.time_zone)
        to_ms = min(end_ms, self._clock.now_ms())
        if to_ms <= from_ms:
            raise UsageError(f"{date} has not begun.", mend="Ask for a day that has.")
        taxis = _named(self, devices) if devices else _every_taxi(self._registry)
        names = [taxi.id for taxi in taxis]
        read = WideRead(
            "report_supervision", len(taxis), from_ms, end_ms, {"date": date, "devices": names if devices else None}
        )
        allowed_by = check_wide(self, caller, why, read, approval)
        detail = {
            "taxis": len(taxis),
            "form": form,
            "allowed_by": allowed_by,
            "named": names[:100] if devices else [],
        }
        self._note(caller, "report.supervision", date, purpose_text(why), **detail)
        limits = _limits(self._settings)
        day = _gathered(self, caller, why, taxis, (from_ms, to_ms), limits, named=bool(devices))
        report = _judged(self, day, taxis, limits, date, complete=to_ms == end_ms)
        return Blob(
            MEDIA_TYPES[form], _made(report, form, table, language, self._settings), f"supervision-{date}.{form}"
        )


def day_of(date: str, time_zone: str) -> tuple[int, int]:
    """The local day as UTC ms, half open. Raises UsageError when it is none."""
    try:
        if not _DATE.fullmatch(date):
            raise ValueError
        start = datetime.fromisoformat(date).replace(tzinfo=ZoneInfo(time_zone))
        end = (datetime.fromisoformat(date) + timedelta(days=1)).replace(tzinfo=ZoneInfo(time_zone))
        edges = [round((edge.astimezone(UTC) - _EPOCH).total_seconds()) * 1_000 for edge in (start, end)]
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{date[:40]!r} is no date.", mend="Write it like 2026-11-22.") from error
    return edges[0], edges[1]


def _named(house: _House, devices: list[str]) -> list[Device]:
    if len(devices) > DEFAULT_MAX_NAMED_TAXIS:
        raise UsageError(
            f"{len(devices)} taxis are named.", mend=f"Name {DEFAULT_MAX_NAMED_TAXIS} at most, or none for all."
        )
    for device in devices:
        if check_device_id(device).partition("/")[0] != Kind.TAXI:
            raise UsageError(f"{device} is no taxi.", mend="Only taxis are supervised.")
    return sorted((house._known(device) for device in dict.fromkeys(devices)), key=lambda taxi: taxi.slot)  # noqa: SLF001 a mixin's own


def _every_taxi(registry: Registry) -> list[Device]:
    """The enabled taxis, by slot."""
    found: list[Device] = []
    while page := registry.list(kind=Kind.TAXI, enabled=True, after=found[-1].slot if found else -1, limit=_PAGE_ROWS):
        found += page
    if not found:
        raise UsageError("There are no taxis.", mend="Register some with `lucheng device add taxi/NAME`.")
    return found


def _limits(settings: Settings) -> SupervisionLimits:
    from analytics.supervision.limits import SupervisionLimits  # noqa: PLC0415 the analytics cost start-up time

    rules, own = settings.rules, settings.supervision
    return SupervisionLimits(
        band_edges_pct=own.overspeed_bands_pct,
        drift_points=own.drift_points,
        offline_ms=(rules.taxi_offline_s or rules.trip_gap_s) * 1_000,
        max_points=own.max_points,
    )


def _gathered(
    house: _House,
    caller: Caller,
    why: Purpose,
    taxis: list[Device],
    window: tuple[int, int],
    limits: SupervisionLimits,
    *,
    named: bool,
) -> DayPoints:
    """The day's points of these taxis, read under a grant: of each that is named, else of all devices."""
    from analytics.supervision.day import DayPoints  # noqa: PLC0415 as above

    series = house._series  # noqa: SLF001 a mixin's own
    day = DayPoints(np.array([taxi.slot for taxi in taxis], np.int64), *window, max_points=limits.max_points)

    def batches() -> Iterator[PointBatch]:
        if named:
            grant = Grant(caller.who, caller.role, why, frozenset(taxi.id for taxi in taxis), *window)
            for taxi in taxis:
                yield series.track(grant, taxi.id, taxi.slot, *window)
        else:
            yield from series.fleet(Grant(caller.who, caller.role, why, None, *window), *window)

    for batch in batches():
        day.add(batch)
    return day


def _context(house: _House) -> Context:
    from analytics.fences.index import FenceIndex  # noqa: PLC0415 as above
    from analytics.meaning.context import Context  # noqa: PLC0415 as above
    from analytics.meaning.limits import RuleLimits  # noqa: PLC0415 as above

    rules, fences = house._settings.rules, house._fence_set()  # noqa: SLF001 a mixin's own
    directory = house._current_directory()  # noqa: SLF001 as above
    return Context(
        kind_of_slot=directory.kind_of_slot,
        limits=RuleLimits(**{name: getattr(rules, name) for name in type(rules).model_fields}),
        fences=FenceIndex(fences) if any(fence.enabled for fence in fences.fences) else None,
        slots_of=lambda ids: np.array([-1 if (slot := directory.slot(one)) is None else slot for one in ids], np.int64),
    )


def _judged(
    house: _House, day: DayPoints, taxis: list[Device], limits: SupervisionLimits, date: str, *, complete: bool
) -> dict[str, Any]:
    from analytics.limits import CleanLimits  # noqa: PLC0415 as above
    from analytics.supervision.supervise import supervise  # noqa: PLC0415 as above
    from console.reports.document import Asked, Vehicle, document  # noqa: PLC0415 as above

    settings, fences = house._settings, house._fence_set()  # noqa: SLF001 a mixin's own
    rules, clean = settings.rules, settings.clean
    found = supervise(
        day,
        _context(house),
        limits,
        CleanLimits(max_jump_speed_kmh=clean.max_speed_kmh, jump_min_m=clean.jump_min_m),
    )
    told = {
        name: getattr(rules, name)
        for name in (
            "trip_gap_s", "stop_min_s", "stop_diameter_m", "trip_min_s", "moving_kmh", "overspeed_kmh",
            "overspeed_over_kmh", "overspeed_min_s", "fatigue_drive_s", "fatigue_rest_s",
        )
    }  # fmt: skip
    told |= {
        "overspeed_bands_pct": list(limits.band_edges_pct),
        "drift_points": limits.drift_points,
        "offline_s": limits.offline_ms // 1_000,
        "max_speed_kmh": clean.max_speed_kmh,
        "jump_min_m": clean.jump_min_m,
    }
    asked = Asked(
        city=settings.city.name,
        time_zone=settings.city.time_zone,
        date=date,
        complete=complete,
        fences=fences.version,
        fence_ids={fence.number: fence.id for fence in fences.fences},
        limits=told,
    )
    return document(found, [Vehicle(taxi.id, taxi.plate, taxi.owner_ref) for taxi in taxis], asked)


def _made(report: dict[str, Any], form: str, table: str, language: str, settings: Settings) -> bytes:
    from console.reports.as_csv import csv_bytes  # noqa: PLC0415 used by this alone
    from console.reports.as_html import html_bytes  # noqa: PLC0415 as above

    if form == "csv":
        return csv_bytes(report, table)
    if form == "html":
        return html_bytes(report, "en" if language == "en" else "zh", evidence_rows=settings.supervision.html_rows)
    return msgspec.json.encode(report)
