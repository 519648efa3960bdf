"""What lies near a place, and where a signal belongs: the registry as the desk asks it, for every new signal.

Purpose: the nearest cameras (those of the site first), the leaf jurisdiction, the site, and the devices whose being down
explains that one is silent. Invariants: an answer comes from memory alone; it is brought up to date when the registry's
version has grown, but where somebody is changing the registry right now, or it cannot be read, the answer is the one of a
moment ago rather than a late one; `locate` raises for no data; any thread may ask. It decides nothing about
who may see a place.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from devices.areas import LEVELS, AreaIndex, Areas
from devices.directory import KIND_CODE, Directory
from devices.registry import Registry
from devices.rings import on_earth
from model.desk import Located
from model.device import Kind
from model.errors import LuchengError
from model.geo import METRES_PER_DEGREE, bearing_deg, haversine_m
from model.signal import Signal

#: Cameras that come with an alarm.
DEFAULT_CAMERAS = 8
#: Parents named by one answer: a site has one button, or a few.
DEFAULT_MAX_PARENTS = 16
#: The first look for cameras goes so far, each next one `_WIDER` times as far.
FIRST_REACH_M = 500.0
_WIDER = 4.0

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_Key = TypeVar("_Key", str, int)


class AreaName(NamedTuple):
    """A jurisdiction without its shape."""

    id: str
    name: str
    level: str
    parent: str


@dataclass(frozen=True, slots=True)
class NearCamera:
    """A camera as seen from a place.

    Attributes:
        device: its id.
        bound: whether it is bound to the device or to the site.
        lat, lon: where it hangs, its site's place where it has none of its own; None where neither is known.
        distance_m, bearing_deg: from the place to it; None where it is not known where it hangs.
    """

    device: str
    bound: bool
    lat: float | None
    lon: float | None
    distance_m: float | None
    bearing_deg: float | None


class CameraPlaces(NamedTuple):
    """Where the enabled cameras hang, by latitude: slots and WGS-84 degrees, not to be changed."""

    slot: Ints
    lat: Floats
    lon: Floats


class _Fixed(NamedTuple):
    """What the registry says of where a device is; those of which it says nothing are not kept."""

    kind: int
    enabled: bool
    site: str
    lat: float | None
    lon: float | None


@dataclass(frozen=True, slots=True)
class _Places:
    """Areas, sites and their cameras as of one `place_version`."""

    version: int = -1
    index: AreaIndex | None = None
    areas: dict[str, AreaName] = field(default_factory=dict)
    sites: dict[str, tuple[float, float]] = field(default_factory=dict)
    bound: dict[str, tuple[int, ...]] = field(default_factory=dict)
    own: dict[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Cameras:
    """Enabled cameras whose place is known, by latitude; `row_of` finds one by its slot."""

    slot: Ints
    lat: Floats
    lon: Floats
    row_of: dict[int, int]

    @classmethod
    def of(cls, found: dict[int, tuple[float, float]]) -> _Cameras:
        slot = np.fromiter(found, np.int64, len(found))
        place = np.array(list(found.values()), np.float64).reshape(-1, 2)
        order = np.lexsort((slot, place[:, 0]))
        slot = slot[order]
        return cls(slot, place[order, 0], place[order, 1], {one: row for row, one in enumerate(slot.tolist())})

    def nearest(self, lat: float, lon: float, count: int) -> tuple[Ints, Floats]:
        """Rows and distances (m) of the `count` nearest, by distance, then slot; fewer where there are fewer."""
        reach_m = FIRST_REACH_M
        while True:
            rows = self._within(lat, lon, reach_m)
            if len(rows) < len(self.slot) and len(rows) < count:
                reach_m *= _WIDER
                continue
            far_m = haversine_m(lat, lon, self.lat[rows], self.lon[rows])
            # beyond the reach the box holds only some
            if len(rows) == len(self.slot) or np.count_nonzero(far_m <= reach_m) >= count:
                if len(rows) > count:
                    few = far_m <= np.partition(far_m, count - 1)[count - 1]
                    rows, far_m = rows[few], far_m[few]
                order = np.lexsort((self.slot[rows], far_m))[:count]
                return rows[order], far_m[order]
            reach_m *= _WIDER

    def _within(self, lat: float, lon: float, reach_m: float) -> Ints:
        """Rows in a box that holds all within `reach_m`."""
        high_deg = reach_m / METRES_PER_DEGREE * (1.0 + 1e-9)
        first, end = np.searchsorted(self.lat, [lat - high_deg, lat + high_deg + 1e-12])
        rows = np.arange(first, end)
        edge_deg = abs(lat) + high_deg
        if edge_deg < 89.0:
            wide_deg = high_deg / math.cos(math.radians(edge_deg))
            turn = np.abs((self.lon[first:end] - lon + 180.0) % 360.0 - 180.0)
            rows = rows[turn <= wide_deg + 1e-12]
        return rows


class Nearby:
    """See the module.

    Args:
        registry: what is registered.
        directory: the service's own, to be shared; None makes one.
        max_parents: parents that `locate` names.

    The first answer is made when it is made: StoreError where the registry cannot be read.
    """

    def __init__(
        self, registry: Registry, *, directory: Directory | None = None, max_parents: int = DEFAULT_MAX_PARENTS
    ) -> None:
        self._registry = registry
        self._directory = Directory() if directory is None else directory
        self._max_parents = max_parents
        self._refreshing = threading.Lock()
        self._version = -1
        self._fixed: dict[int, _Fixed] = {}
        self._camera_slots: set[int] = set()
        self._buttons: dict[str, tuple[int, ...]] = {}
        self._places = _Places()
        self._cameras = _Cameras.of({})
        self.refresh()

    def refresh(self) -> bool:
        """Bring everything up to date with the registry; True when anything had changed. Raises StoreError.

        After a change of areas this takes as long as their outlines are many; whoever makes such a change calls it, so
        that no signal has to.
        """
        with self._refreshing:
            return self._refresh()

    def locate(self, signal: Signal) -> Located:
        """Where a signal belongs; see the module. About 60 µs."""
        self._catch_up()
        slot = self._directory.slot(signal.device)
        fixed = None if slot is None else self._fixed.get(slot)
        places = self._places
        site = fixed.site if fixed is not None else ""
        at = _first_place(
            (signal.lat, signal.lon),
            (fixed.lat, fixed.lon) if fixed is not None else (None, None),
            places.sites.get(site, (None, None)),
        )
        area = places.index.leaf_of(*at) if at is not None and places.index is not None else None
        lat, lon = at if at is not None else (None, None)
        return Located(area or "", site, self._parents(slot, site), lat, lon)

    def cameras(
        self, lat: float, lon: float, *, site: str = "", device: str = "", limit: int = DEFAULT_CAMERAS
    ) -> list[NearCamera]:
        """The cameras of a place: the device's own, the site's, each in their order, then the nearest others.

        Args:
            lat: WGS-84 degrees; a place that is none has the site's cameras alone.
            lon: the same.
            site: the site to which the place belongs, "" for none.
            device: whose place it is, "" for nobody's.
            limit: cameras at most.
        """
        self._catch_up()
        cameras, places, ids = self._cameras, self._places, self._directory.ids
        known = self._camera_slots
        slot_of = self._directory.slot(device) if device else None
        own = places.own.get(slot_of, ()) if slot_of is not None else ()
        wanted = dict.fromkeys((*own, *places.bound.get(site, ())))
        bound = [slot for slot in wanted if slot in known][: max(limit, 0)]
        found = [self._seen(cameras, ids[slot], cameras.row_of.get(slot), lat, lon, bound=True) for slot in bound]
        if len(found) < limit and len(cameras.slot) and on_earth(lon, lat):
            rows, _ = cameras.nearest(lat, lon, limit + len(bound))
            others = [row for row in rows.tolist() if int(cameras.slot[row]) not in bound][: limit - len(found)]
            found += [self._seen(cameras, ids[cameras.slot[row]], row, lat, lon, bound=False) for row in others]
        return found

    def camera_places(self) -> CameraPlaces:
        """Every enabled camera whose place is known: its own, else its site's."""
        self._catch_up()
        cameras = self._cameras
        return CameraPlaces(cameras.slot, cameras.lat, cameras.lon)

    def placed_cameras(self) -> list[tuple[str, float, float]]:
        """(id, lat, lon) of every enabled camera of which it is known where it hangs, by id."""
        self._catch_up()
        ids, cameras = self._directory.ids, self._cameras
        columns = (cameras.slot.tolist(), cameras.lat.tolist(), cameras.lon.tolist())
        return sorted((ids[slot], lat, lon) for slot, lat, lon in zip(*columns, strict=True))

    def area_path(self, area: str) -> list[AreaName]:
        """The area and what it belongs to, the leaf first, up to the city; empty for one that is not there."""
        self._catch_up()
        areas = self._places.areas
        path: list[AreaName] = []
        while area in areas and len(path) < len(LEVELS):
            path.append(areas[area])
            area = areas[area].parent
        return path

    def slots_of(self, devices: Sequence[str]) -> Ints:
        """Slots of device ids, shape (n,); -1 for one that is not registered."""
        self._catch_up()
        slots = [self._directory.slot(device) for device in devices]
        return np.array([-1 if slot is None else slot for slot in slots], np.int64)

    def _parents(self, slot: int | None, site: str) -> tuple[str, ...]:
        """The gateway, then the buttons of the site when the device itself is none."""
        if slot is None:
            return ()
        ids = self._directory.ids
        gateway = int(self._directory.gateway_of_slot[slot])
        # a long refresh may not have come to the gateway's name yet
        parents = [ids[gateway]] if 0 <= gateway < len(ids) else []
        if self._directory.kind_of_slot[slot] != KIND_CODE[Kind.BUTTON]:
            parents += [ids[button] for button in self._buttons.get(site, ())]
        return tuple(parents[: self._max_parents])

    @staticmethod
    def _seen(cameras: _Cameras, device: str, row: int | None, lat: float, lon: float, *, bound: bool) -> NearCamera:
        if row is None:
            return NearCamera(device, bound, None, None, None, None)
        there = float(cameras.lat[row]), float(cameras.lon[row])
        if not on_earth(lon, lat):
            return NearCamera(device, bound, *there, None, None)
        far_m, turn_deg = float(haversine_m(lat, lon, *there)), float(bearing_deg(lat, lon, *there))
        return NearCamera(device, bound, *there, far_m, turn_deg)

    # -- keeping in step ----------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Take over what changed, unless somebody is about it or is changing the registry right now."""
        if not self._refreshing.acquire(blocking=False):
            return
        try:
            lock = self._registry.file.lock
            if not lock.acquire(blocking=False):
                return
            try:
                version = self._registry.version()
            finally:
                lock.release()
            if version != self._version or self._directory.version != version:
                self._refresh()
        except LuchengError:
            return  # what was known a moment ago is better than no alarm; the next call tries again
        finally:
            self._refreshing.release()

    def _refresh(self) -> bool:
        file = self._registry.file
        with file.reading() as connection:
            version, place_version = connection.execute("SELECT version, place_version FROM state").fetchone()
            if version == self._version and self._directory.version >= version:
                return False
            which = (
                "changed > ?"
                if self._version >= 0
                else "changed > ? AND (kind = 'camera' OR site <> '' OR lat IS NOT NULL)"
            )
            changed = connection.execute(
                f"SELECT slot, kind, enabled, deleted, site, lat, lon FROM device WHERE {which}",  # noqa: S608  # two constants
                (self._version,),
            ).fetchall()
            moved = place_version != self._places.version
            sites = connection.execute("SELECT id, lat, lon FROM site").fetchall() if moved else []
            cameras = "SELECT site, camera_slot FROM site_camera ORDER BY site, place"
            bound = connection.execute(cameras).fetchall() if moved else []
            own_cameras = "SELECT slot, camera_slot FROM device_camera ORDER BY slot, place"
            own = connection.execute(own_cameras).fetchall() if moved else []
            tree = Areas(file).tree() if moved else []
        # Not within the lock, for it takes one of its own before that; and first, so that every slot below has a name.
        self._registry.refresh(self._directory)
        if moved:
            self._places = _Places(
                place_version,
                AreaIndex(tree, version) if tree else None,
                {area.id: AreaName(area.id, area.name, area.level, area.parent) for area in tree},
                {site: (lat, lon) for site, lat, lon in sites},
                _grouped(bound),
                _grouped(own),
            )
        touched = self._take(changed)
        if moved or touched:
            self._cameras = _Cameras.of(self._camera_places())
        self._version = version
        return True

    def _take(self, changed: Iterable[tuple[Any, ...]]) -> bool:
        """Take over changed devices; True when a camera is among them."""
        touched = False
        button, camera = KIND_CODE[Kind.BUTTON], KIND_CODE[Kind.CAMERA]
        for slot, kind_name, enabled, deleted, site, lat, lon in changed:
            kind = KIND_CODE[kind_name]
            before = self._fixed.get(slot)
            now = None if deleted else _Fixed(kind, bool(enabled), site, lat, lon)
            if now is None or not (site or lat is not None or kind == camera):
                self._fixed.pop(slot, None)
            else:
                self._fixed[slot] = now
            if kind == button:
                self._stand(slot, before, now)
            elif kind == camera:
                touched = True
                (self._camera_slots.add if enabled and not deleted else self._camera_slots.discard)(slot)
        return touched

    def _stand(self, slot: int, before: _Fixed | None, now: _Fixed | None) -> None:
        """A button stands at its site, or does no longer."""
        for fixed in (before, now):
            if fixed is not None and fixed.site:
                others = set(self._buttons.get(fixed.site, ())) - {slot}
                if fixed is now and now.enabled:
                    others.add(slot)
                self._buttons[fixed.site] = tuple(sorted(others))

    def _camera_places(self) -> dict[int, tuple[float, float]]:
        """Where each enabled camera hangs: its own place, else its site's, else that of the first site that has it."""
        sites = self._places.sites
        first_site: dict[int, str] = {}
        for site, slots in self._places.bound.items():
            for slot in slots:
                first_site.setdefault(slot, site)
        found: dict[int, tuple[float, float]] = {}
        for slot in self._camera_slots:
            fixed = self._fixed[slot]
            if fixed.lat is not None and fixed.lon is not None:
                found[slot] = fixed.lat, fixed.lon
                continue
            at = sites.get(fixed.site) or sites.get(first_site.get(slot, ""))
            if at is not None:
                found[slot] = at
        return found


def _first_place(*places: tuple[float | None, float | None]) -> tuple[float, float] | None:
    """The first (lat, lon) that is a place on the earth."""
    for lat, lon in places:
        if lat is not None and lon is not None and on_earth(lon, lat):
            return lat, lon
    return None


def _grouped(rows: Iterable[tuple[_Key, int]]) -> dict[_Key, tuple[int, ...]]:
    found: dict[_Key, list[int]] = {}
    for key, slot in rows:
        found.setdefault(key, []).append(slot)
    return {key: tuple(slots) for key, slots in found.items()}
