"""Every camera that is set up, by jurisdiction and site: the columns of a tree of a hundred thousand.

Invariants: a snapshot, not to be changed; cameras stand in the order in which people read them (by name, numbers as numbers);
a camera belongs to its site, else to the leaf jurisdiction of its place, else to neither; a site belongs to the leaf of its place,
so that the cameras of a site are never in two. Nothing here is asked for what a camera is doing, nor who may see it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from devices.areas import LEVELS, AreaIndex, Areas
from devices.schema import RegistryFile
from model.device import Jurisdiction, Kind

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_NUMBER = re.compile(r"\d+", re.ASCII)
#: Digits to which a number in a name is filled up, so that 2 comes before 10.
_NUMBER_DIGITS = 9
_CAMERAS = """SELECT c.slot, d.id, d.name, d.enabled, c.parked <> '', d.site, d.lat, d.lon
FROM camera c JOIN device d ON d.slot = c.slot WHERE c.present = 1 AND d.deleted = 0"""


@dataclass(frozen=True, slots=True)
class CameraIndex:
    """See the module. Columns of cameras have shape (n,); places in `area_ids` and `site_ids` are -1 for none.

    Attributes:
        slot: of each camera. device, name: its id, and what people call it. found_by: what a search looks in.
        enabled, parked: flags. area, site: place of its jurisdiction and of its site.
        area_ids, area_names, area_levels: of the jurisdictions, from the top of the tree down; area_parent: place of each one's parent.
        site_ids, site_names: of the sites that have a camera, in the order in which people read them; site_area: place of its jurisdiction.
    """

    slot: Ints
    device: list[str]
    name: list[str]
    found_by: list[str]
    enabled: Flags
    parked: Flags
    area: Ints
    site: Ints
    area_ids: list[str] = field(default_factory=list)
    area_names: list[str] = field(default_factory=list)
    area_levels: list[str] = field(default_factory=list)
    area_parent: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    site_ids: list[str] = field(default_factory=list)
    site_names: list[str] = field(default_factory=list)
    site_area: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.device)

    def step_below(self, area: int) -> Ints:
        """For each jurisdiction the place of the child of `area` (-1: of the top) under which it lies, or it itself; -1 for others."""
        at = np.arange(len(self.area_ids), dtype=np.int64)
        found = np.full(len(at), -1, np.int64)
        for _ in LEVELS:  # the tree is no deeper
            here = (at >= 0) & (found < 0)
            parent = np.where(here, self.area_parent[at], -2)
            found = np.where(parent == area, at, found)
            at = np.where(here & (parent >= 0), parent, -1)
        return found


class CameraIndexes:
    """The newest `CameraIndex` of a registry; made anew when cameras, sites or jurisdictions have changed. Any thread may ask."""

    def __init__(self, file: RegistryFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._version = -1
        self._place_version = -1
        self._index: CameraIndex | None = None

    def now(self) -> CameraIndex:
        """One small read when nothing has changed; about three seconds for a hundred thousand cameras when something has. Raises StoreError."""
        with self._lock:
            with self._file.reading() as connection:
                version, places = connection.execute("SELECT version, place_version FROM state").fetchone()
                if self._index is not None and version != self._version and places == self._place_version:
                    changed = connection.execute(
                        "SELECT EXISTS (SELECT 1 FROM camera WHERE changed > ?1)"
                        " OR EXISTS (SELECT 1 FROM device WHERE changed > ?1 AND kind = ?2)",
                        (self._version, Kind.CAMERA.value),
                    ).fetchone()[0]
                    if not changed:
                        self._version = version
            if self._index is None or (version, places) != (self._version, self._place_version):
                self._index = read_index(self._file)
                self._version, self._place_version = version, places
            return self._index


def read_index(file: RegistryFile) -> CameraIndex:
    """The cameras as they are registered now."""
    areas = Areas(file)
    with file.reading() as connection:
        rows = connection.execute(_CAMERAS).fetchall()
        sites = connection.execute("SELECT id, name, lat, lon FROM site").fetchall()
        bound = connection.execute("SELECT site, camera_slot FROM site_camera ORDER BY site, place").fetchall()
        tree = areas.tree()
    rows.sort(key=lambda row: reading_order(row[2] or row[1], row[1]))
    sites.sort(key=lambda row: reading_order(row[1] or row[0], row[0]))
    site_of = _sites_of(rows, {row[0] for row in sites}, bound)
    used = set(site_of)
    sites = [row for row in sites if row[0] in used]
    place_of_site = {row[0]: place for place, row in enumerate(sites)}
    leaves = _Leaves(tree)
    site_area = leaves.of(row[2:4] for row in sites)
    site = np.array([place_of_site.get(one, -1) for one in site_of], np.int64)
    area = leaves.of(row[6:8] for row in rows)
    if sites:
        area = np.where(site >= 0, site_area[site], area)
    place_of_area = {one.id: place for place, one in enumerate(tree)}
    return CameraIndex(
        slot=np.array([row[0] for row in rows], np.int64),
        device=[row[1] for row in rows],
        name=[row[2] for row in rows],
        found_by=[f"{row[2]}\n{row[1]}".casefold() for row in rows],
        enabled=np.array([row[3] for row in rows], np.bool_),
        parked=np.array([row[4] for row in rows], np.bool_),
        area=area,
        site=site,
        area_ids=[one.id for one in tree],
        area_names=[one.name for one in tree],
        area_levels=[one.level for one in tree],
        area_parent=np.array([place_of_area.get(one.parent, -1) for one in tree], np.int64),
        site_ids=[row[0] for row in sites],
        site_names=[row[1] for row in sites],
        site_area=site_area,
    )


def reading_order(shown: str, device: str) -> tuple[str, str]:
    """Key by which names are sorted: numbers as numbers, equal names by id."""
    return _NUMBER.sub(lambda found: found.group().zfill(_NUMBER_DIGITS), shown.casefold()), device


def _sites_of(rows: list[tuple[object, ...]], known: set[str], bound: Iterable[tuple[str, int]]) -> list[str]:
    """Site of each camera: the one that it says, else the first that has it among its cameras, else ""."""
    first: dict[int, str] = {}
    for site, slot in bound:
        first.setdefault(slot, site)
    found = []
    for row in rows:
        said = str(row[5])
        found.append(said if said in known else first.get(int(str(row[0])), ""))
    return found


class _Leaves:
    """Places of the deepest areas of a tree that contain points."""

    def __init__(self, tree: list[Jurisdiction]) -> None:
        self._index = AreaIndex(tree, 0) if tree else None
        place = {one.id: at for at, one in enumerate(tree)}
        self._place = np.array([place[one] for one in self._index.ids] if self._index else [], np.int64)

    def of(self, places: Iterable[tuple[float | None, float | None]]) -> Ints:
        rows = [(np.nan if lat is None else lat, np.nan if lon is None else lon) for lat, lon in places]
        if self._index is None or not rows:
            return np.full(len(rows), -1, np.int64)
        at = np.array(rows, np.float64)
        found = self._index.leaves_of(at[:, 0], at[:, 1])
        return np.where(found < 0, -1, self._place[found])
