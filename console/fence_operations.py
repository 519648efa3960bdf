"""The operations on fences. Part of `console.operations`.

Invariants: a change is audited before it is made; the rules are told the new version after it, so that it takes effect
at once; a fence that cannot be put in force is refused before it is kept. A fence is given and shown as a GeoJSON
Feature (see `devices.fences_geojson`), by every way in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from console.device_operations import DEFAULT_LIST_ROWS, Caller, DeviceOperations
from devices.details import check_site_id, checked_place
from model.errors import BadInput
from model.fence import EVERY_DAY, Fence, FenceSet

if TYPE_CHECKING:
    from analytics.fences.index import FenceIndex
    from config.sections import Settings
    from devices.fences import Fences
    from devices.registry import Registry
    from model.clock import Clock

_MINUTE_S = 60


def open_fences(registry: Registry, settings: Settings, clock: Clock) -> Fences:
    """The fences of a registry, with the limits and the time zone of the settings.

    A schedule's offset from UTC is the city's at the time when the fence is made.
    """
    from analytics.fences.shapes import shape_of  # noqa: PLC0415 shapely costs 0.2 s
    from devices.fence_checks import FenceLimits  # noqa: PLC0415 as above
    from devices.fences import Fences  # noqa: PLC0415 as above

    given = settings.fences
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    offset = now.astimezone(ZoneInfo(settings.city.time_zone)).utcoffset()
    return Fences(
        registry.file,
        limits=FenceLimits(
            max_fences=given.max_fences,
            max_fence_vertices=given.max_fence_vertices,
            max_vertices=given.max_vertices,
            max_import_bytes=given.max_import_bytes,
            kept_versions=given.kept_versions,
        ),
        road_classes=tuple(settings.rules.road_limits_kmh),
        utc_offset_min=round(offset.total_seconds() / _MINUTE_S) if offset is not None else 0,
        drawn=shape_of,
    )


class FenceOperations(DeviceOperations):
    """What can be asked of fences; see `console.operations.Operations` for the arguments."""

    _clock: Clock
    _on_fence_change: Callable[[int], None]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._fence_store: Fences | None = None
        self._read_fences: FenceSet | None = None
        self._every_fence: tuple[FenceIndex, frozenset[int]] | None = None
        self._fence_lock = threading.Lock()

    def fence_add(
        self,
        caller: Caller,
        feature: dict[str, Any],
        change: bool = False,  # noqa: FBT001, FBT002 called by name alone
        version: int | None = None,
    ) -> dict[str, Any]:
        """Keep a new fence, given as a GeoJSON Feature; with `change`, in the place of the one with its id.

        `version` is that of the fences which the change was decided on (`fence_show` tells it): where this fence has been
        changed since, it is refused. Raises UsageError, BadInput (with the place), Conflict (id taken, changed since),
        NotFound (nothing to change), Refused (full).
        """
        try:
            raw = msgspec.json.encode(feature)
        except (UnicodeEncodeError, RecursionError, TypeError) as error:
            raise BadInput("The feature is no JSON.", mend="Write it as GeoJSON.") from error
        fences = self._fences()
        fence = fences.read_feature(raw)
        self._note(caller, "fence.change" if change else "fence.add", fence.id, rule=fence.rule.value)
        before = fences.version()
        kept = fences.update(fence, decided_on=version) if change else fences.add(fence)
        self._tell_fences(before)
        return {**fence_row(kept), "version": fences.version()}

    def fence_list(self, caller: Caller, after: str = "", limit: int = DEFAULT_LIST_ROWS) -> list[dict[str, Any]]:
        """Fences in order of id, one page, without their shapes."""
        del caller
        return [fence_row(fence) for fence in self._fences().list(after=after, limit=limit)]

    def fence_show(self, caller: Caller, fence: str) -> dict[str, Any]:
        """One fence with its shape as a GeoJSON Feature, and the version of the fences. Raises NotFound."""
        from devices.fences_geojson import feature_of  # noqa: PLC0415 shapely costs 0.2 s

        del caller
        version = self._fences().version()  # before the fence: what changes in between is newer than it
        found = self._fences().get(fence)
        feature = feature_of(found, utc_offset_min=found.schedule.utc_offset_min)
        return {**fence_row(found), "version": version, "feature": feature}

    def fence_remove(self, caller: Caller, fence: str, version: int | None = None) -> dict[str, Any]:
        """Take a fence away; `version` as of `fence_add`. Raises NotFound, Conflict (changed since)."""
        self._note(caller, "fence.remove", check_site_id(fence))
        fences = self._fences()
        before = fences.version()
        fences.remove(fence, decided_on=version)
        self._tell_fences(before)
        return {"fence": fence, "version": fences.version()}

    def fence_import(self, caller: Caller, data: bytes, replace: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 called by name alone
        """Take over the fences of a GeoJSON file, all or nothing; `replace` removes those that it does not have.

        Raises BadInput naming the feature and the place.
        """
        self._note(caller, "fence.import", "replace" if replace else "", bytes=len(data))
        fences = self._fences()
        before = fences.version()
        count = fences.import_geojson(data, replace=replace)
        self._tell_fences(before)
        return {"fences": count, "version": fences.version()}

    def fence_export(self, caller: Caller) -> dict[str, Any]:
        """All fences as a GeoJSON FeatureCollection; importing it gives the same set."""
        del caller
        found: dict[str, Any] = msgspec.json.decode(self._fences().export_geojson())
        return found

    def fence_test(self, caller: Caller, lat: float, lon: float) -> list[dict[str, Any]]:
        """The fences that contain a place, by number, and whether each is in force now: enabled, and within its hours."""
        from analytics.meaning.context import Context  # noqa: PLC0415 used by this alone
        from analytics.rules.within import FenceTable  # noqa: PLC0415 as above

        del caller
        checked_place(lat, lon)
        index, disabled = self._all_fences()
        _, at = index.hits(np.array([lat], np.float64), np.array([lon], np.float64))
        times = np.full(len(at), self._clock.now_ms(), np.int64)
        within_hours = FenceTable.of(index, Context()).in_force(at, times).tolist()
        rows = []
        for place, scheduled in zip(at.tolist(), within_hours, strict=True):
            fence = index.fences[place]
            on = fence.number not in disabled
            rows.append({**fence_row(replace(fence, enabled=on)), "in_force": on and scheduled})
        return rows

    def _fences(self) -> Fences:
        if self._fence_store is None:
            self._fence_store = open_fences(self._registry, self._settings, self._clock)
        return self._fence_store

    def _fence_set(self) -> FenceSet:
        """The newest set, kept until the fences change."""
        fences = self._fences()
        kept = self._read_fences
        if kept is None or kept.version != fences.version():
            self._read_fences = kept = fences.load()
        return kept

    def _all_fences(self) -> tuple[FenceIndex, frozenset[int]]:
        """An index of all fences, as if each were enabled, and the numbers of those that are not; kept until they change."""
        from analytics.fences.index import FenceIndex  # noqa: PLC0415 shapely costs 0.2 s

        with self._fence_lock:
            found = self._fence_set()
            if self._every_fence is None or self._every_fence[0].set.version != found.version:
                every = tuple(replace(fence, enabled=True) for fence in found.fences)
                disabled = frozenset(fence.number for fence in found.fences if not fence.enabled)
                self._every_fence = FenceIndex(FenceSet(found.version, every)), disabled
            return self._every_fence

    def _tell_fences(self, before: int) -> None:
        """Tell the rules, when there is a new version."""
        version = self._fences().version()
        if version != before:
            self._on_fence_change(version)


def fence_row(fence: Fence) -> dict[str, Any]:
    """A fence without its shape as JSON-ready values."""
    from devices.fence_checks import vertices_of  # noqa: PLC0415 shapely costs 0.2 s
    from devices.fences_geojson import DAYS, clock_text  # noqa: PLC0415 as above

    schedule = fence.schedule
    days = [day for place, day in enumerate(DAYS) if schedule.days >> place & 1]
    return {
        "fence": fence.id,
        "number": fence.number,
        "name": fence.name,
        "rule": fence.rule.value,
        "shape": fence.shape.value,
        "vertices": vertices_of(fence),
        "radius_m": fence.radius_m or None,
        "enabled": fence.enabled,
        "limit_kmh": fence.limit_kmh or None,
        "road_class": fence.road_class,
        "stay_s": fence.stay_s or None,
        "kinds": list(fence.kinds),
        "devices": list(fence.devices),
        "days": days if schedule.days != EVERY_DAY else [],
        "hours": "" if schedule.always else f"{clock_text(schedule.from_min)}-{clock_text(schedule.to_min)}",
        "line_of_defence": fence.line_of_defence or None,
        "posts": [{"name": post.name, "lat": post.lat, "lon": post.lon} for post in fence.posts],
    }
