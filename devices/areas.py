"""The jurisdiction tree city ▸ branch ▸ station ▸ community as polygons, imported from GeoJSON.

Invariants: a parent's level is above its child's, so the tree has no cycle; every ring stored is closed,
finite and does not cross itself; an import is taken whole or not at all. A point on a boundary is inside;
where two areas touch, the one with the smaller id has it. Who may see an area is not decided here.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import shapely

from devices.details import DEFAULT_TEXT_LIMITS_CHARS, check_site_id, checked_text
from devices.rings import Geometry, Rings, multipolygon, rings_of
from devices.schema import RegistryFile
from model.device import Jurisdiction
from model.errors import BadInput, LuchengError, NotFound
from store.database import Connection

#: From the top of the tree to its leaves.
LEVELS = ("city", "branch", "station", "community")
DEFAULT_MAX_GEOJSON_BYTES = 64 << 20
DEFAULT_MAX_AREAS = 20_000
DEFAULT_MAX_VERTICES = 2_000_000


class AreaIndex:
    """A snapshot of the tree, made to find the area of many points at once.

    Attributes:
        ids: ids of all areas, by the index that `leaves_of` returns.
        version: the registry's version that it shows.
    """

    def __init__(self, areas: list[Jurisdiction], version: int) -> None:
        deepest_first = sorted(areas, key=lambda area: (-LEVELS.index(area.level), area.id))
        self.ids: list[str] = [area.id for area in deepest_first]
        self.version = version
        self._shapes: npt.NDArray[Any] = np.array([multipolygon(area.rings) for area in deepest_first], dtype=object)
        shapely.prepare(self._shapes)
        self._tree = shapely.STRtree(self._shapes)

    def leaves_of(self, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """Index into `ids` of the deepest area that contains each point, shape (n,), -1 where none does.

        Args:
            lat: WGS-84 degrees, shape (n,).
            lon: the same; a place that is not finite lies nowhere.
        """
        found = np.full(len(lat), len(self.ids), np.int32)
        finite = np.flatnonzero(np.isfinite(lat) & np.isfinite(lon))
        if len(finite) and self.ids:
            point, area = self._tree.query(shapely.points(lon[finite], lat[finite]))
            point = finite[point]
            inside = shapely.intersects_xy(self._shapes[area], lon[point], lat[point])
            # areas stand deepest first, so the smallest index is the deepest, then the smallest id
            np.minimum.at(found, point[inside], area[inside].astype(np.int32))
        found[found == len(self.ids)] = -1
        return found

    def leaf_of(self, lat: float, lon: float) -> str | None:
        """Id of the deepest area that contains the point, None where none does."""
        index = int(self.leaves_of(np.array([lat], np.float64), np.array([lon], np.float64))[0])
        return None if index < 0 else self.ids[index]


class Areas:
    """The jurisdiction tree in the registry's file.

    Args:
        file: the registry's file (`Registry.file`).
        max_bytes: longest GeoJSON text.
        max_areas: areas in one file.
        max_vertices: vertices in one file.
    """

    def __init__(
        self,
        file: RegistryFile,
        *,
        max_bytes: int = DEFAULT_MAX_GEOJSON_BYTES,
        max_areas: int = DEFAULT_MAX_AREAS,
        max_vertices: int = DEFAULT_MAX_VERTICES,
    ) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._max_areas = max_areas
        self._max_vertices = max_vertices

    def import_geojson(self, raw: bytes, *, replace: bool = False) -> int:
        """Take over a FeatureCollection, all or nothing; return how many areas it had.

        A feature is a Polygon or MultiPolygon in WGS-84 with the properties `id`, `name`, `level` (of `LEVELS`)
        and `parent` ("" or absent for the top). An area with a known id is replaced; `replace` drops those
        that the file does not have.

        Raises:
            BadInput: not GeoJSON, over a limit, or a feature is wrong: its number from 1, and the place.
        """
        areas = self._parsed(raw)
        with self._file.changing() as change:
            if replace:
                change.connection.execute("DELETE FROM area")
            change.connection.executemany("DELETE FROM area WHERE id = ?", [(area.id,) for area in areas])
            change.connection.executemany(
                "INSERT INTO area VALUES (?, ?, ?, ?, ?)",
                [(a.id, a.name, a.level, a.parent, msgspec.json.encode(a.rings).decode()) for a in areas],
            )
            _check_tree(change.connection, areas)
            change.mark_places()
        return len(areas)

    def get(self, area_id: str) -> Jurisdiction:
        """The area of that id. Raises NotFound."""
        check_site_id(area_id)
        for area in self._read("WHERE id = ?", (area_id,)):
            return area
        raise NotFound(f"There is no area {area_id}.", mend="Import the jurisdictions first.")

    def tree(self) -> list[Jurisdiction]:
        """All areas, from the top of the tree down, by id within a level."""
        return sorted(self._read("", ()), key=lambda area: (LEVELS.index(area.level), area.id))

    def index(self) -> AreaIndex:
        """A snapshot to look points up in; make a new one when `Registry.version` has grown."""
        with self._file.reading():
            return AreaIndex(self._read("", ()), self._file.version())

    def _read(self, where: str, values: tuple[str, ...]) -> list[Jurisdiction]:
        with self._file.reading() as connection:
            rows = connection.execute(f"SELECT id, name, level, parent, rings FROM area {where}", values).fetchall()  # noqa: S608  # two constants
        return [
            Jurisdiction(area, name, level, parent, msgspec.json.decode(rings, type=Rings))
            for area, name, level, parent, rings in rows
        ]

    def _parsed(self, raw: bytes) -> list[Jurisdiction]:
        if len(raw) > self._max_bytes:
            raise BadInput(
                f"The file has {len(raw)} bytes.", mend=f"The limit is {self._max_bytes}: split it by branch."
            )
        try:
            collection = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"), type=_Collection)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadInput(
                f"Not a GeoJSON FeatureCollection of polygons: {error}.", mend="Export it as GeoJSON again."
            ) from error
        if len(collection.features) > self._max_areas:
            raise BadInput(f"{len(collection.features)} features.", mend=f"The limit is {self._max_areas}.")
        areas: list[Jurisdiction] = []
        number_of: dict[str, int] = {}
        vertices = 0
        for number, feature in enumerate(collection.features, start=1):
            try:
                area = _area(feature)
                vertices += sum(len(ring) for polygon in area.rings for ring in polygon)
                if vertices > self._max_vertices:
                    raise BadInput(f"more than {self._max_vertices} vertices so far.", mend="Simplify the outlines.")
            except LuchengError as error:
                raise BadInput(f"Feature {number}: {error.message}", mend=error.mend) from error
            if area.id in number_of:
                raise BadInput(
                    f"Feature {number}: {area.id} is feature {number_of[area.id]} already.",
                    mend="Give each its own id.",
                )
            number_of[area.id] = number
            areas.append(area)
        return areas


class _Properties(msgspec.Struct):
    id: str
    name: str
    level: str
    parent: str | None = None


class _Feature(msgspec.Struct):
    properties: _Properties
    geometry: Geometry


class _Collection(msgspec.Struct, tag_field="type", tag="FeatureCollection"):
    features: list[_Feature]


def _area(feature: _Feature) -> Jurisdiction:
    given = feature.properties
    if given.level not in LEVELS:
        raise BadInput(f"{given.level[:40]!r} is no level.", mend="Use one of " + ", ".join(LEVELS) + ".")
    parent = check_site_id(given.parent) if given.parent else ""
    name = checked_text("name", given.name, DEFAULT_TEXT_LIMITS_CHARS)
    return Jurisdiction(check_site_id(given.id), name, given.level, parent, rings_of(feature.geometry))


def _check_tree(connection: Connection, areas: list[Jurisdiction]) -> None:
    """Every area's parent is there and of a higher level; numbers are those of the file where it is in it."""
    number_of = {area.id: number for number, area in enumerate(areas, start=1)}
    level_of = dict(connection.execute("SELECT id, level FROM area"))
    for area, parent in connection.execute("SELECT id, parent FROM area"):
        where = f"Feature {number_of[area]}" if area in number_of else f"Area {area}, which is not in the file"
        if parent and parent not in level_of:
            raise BadInput(f"{where}: there is no parent {parent}.", mend="Import it too, or correct the id.")
        if parent and LEVELS.index(level_of[parent]) >= LEVELS.index(level_of[area]):
            raise BadInput(
                f"{where}: a {level_of[area]} cannot be under the {level_of[parent]} {parent}.",
                mend="The levels go " + " > ".join(LEVELS) + ".",
            )
        if not parent and level_of[area] != LEVELS[0]:
            raise BadInput(f"{where}: a {level_of[area]} needs a parent.", mend="Name it in the property parent.")
