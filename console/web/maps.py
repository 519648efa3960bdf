"""The map's data and the routes to it: base map, cameras, sites, fences, jurisdictions, units.

Invariants: every answer is bounded; what can be kept by the browser says so by its ETag and is asked after each time; where
units are is a read of places and noted in the audit, once a minute for each person. Who may take a route is decided before it
is reached, by its name, in the console's table of permissions; `visitor` says who asks.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from console.camera_seams import CameraRow
from console.device_operations import Caller
from console.web.base_map import BaseMap
from console.web.map_points import DEFAULT_MAX_POINTS, points_in
from console.web.map_shapes import DEFAULT_MAX_VERTICES, Outlines, area_outlines, fence_outlines
from console.web.plane import Box, checked_zoom
from console.web.positions import Positions
from console.web.watching import Visitor
from devices.map_rows import SitePlaces, names_of, place_version, site_places
from model.errors import NotFound

if TYPE_CHECKING:
    from devices.areas import Areas
    from devices.fences import Fences
    from devices.nearby import Nearby
    from devices.registry import Registry
    from model.clock import Clock
    from model.desk import Unit
    from model.seams import Audit

GEOJSON = "application/geo+json"
PMTILES = "application/vnd.pmtiles"
#: The same person's looks at the units within so long are one row of the audit.
NOTED_EVERY_MS = 60_000
#: People remembered for that.
MAX_NOTED = 10_000
_MAX_BOX_CHARS = 200

BoxText = Annotated[str, Query(max_length=_MAX_BOX_CHARS, description="west,south,east,north; WGS-84 degrees")]
OptionalBox = Annotated[
    str | None, Query(max_length=_MAX_BOX_CHARS, description="west,south,east,north; left out: all")
]
Zoom = Annotated[float, Query(description="of 512-pixel tiles, 0 to 24")]


class MapData:
    """What is drawn on the base map. Any thread.

    Args:
        registry: cameras, sites and areas.
        nearby: where cameras hang; made when it is first asked.
        fences, areas: outlines.
        positions: where units are.
        units: the desk's (`Desk.units`).
        audit: notes who looked where units are.
        clock: source of time.
        states: how cameras are now, by device; None where nobody watches them.
        max_points, max_vertices: of one answer.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        nearby: Callable[[], Nearby],
        fences: Callable[[], Fences],
        areas: Areas,
        positions: Positions,
        units: Callable[[], list[Unit]],
        audit: Audit,
        clock: Clock,
        states: Callable[[], Mapping[str, CameraRow]] | None = None,
        max_points: int = DEFAULT_MAX_POINTS,
        max_vertices: int = DEFAULT_MAX_VERTICES,
    ) -> None:
        self._file = registry.file
        self._nearby = nearby
        self._positions = positions
        self._units = units
        self._audit = audit
        self._clock = clock
        self._states = states
        self._max_points = max_points
        self.fences: Outlines = fence_outlines(fences, max_vertices=max_vertices)
        self.areas: Outlines = area_outlines(areas, self._file, max_vertices=max_vertices)
        self._lock = threading.Lock()
        self._sites: tuple[int, SitePlaces] | None = None
        self._noted: dict[str, int] = {}

    def cameras(self, box: Box, zoom: float) -> bytes:
        """Enabled cameras in the box: points with id, name, site and state, or clusters."""
        places = self._nearby().camera_places()
        states = self._states() if self._states is not None else {}

        def describe(rows: list[int]) -> list[tuple[str, dict[str, Any]]]:
            slots = places.slot[np.array(rows, np.int64)].tolist()
            names = names_of(self._file, slots)
            found = []
            for slot in slots:
                name = names.get(slot)
                device = name.device if name is not None else ""
                row = states.get(device)
                said = {"name": name.name, "site": name.site} if name is not None else {}
                found.append((device, {**said, "state": row.state.value if row is not None else None}))
            return found

        return points_in(box, zoom, places.lat, places.lon, describe, max_points=self._max_points, by_latitude=True)

    def sites(self, box: Box, zoom: float) -> bytes:
        """Sites in the box, or clusters; without anybody's name or number."""
        version = place_version(self._file)
        with self._lock:
            if self._sites is None or self._sites[0] != version:
                self._sites = version, site_places(self._file)
            sites = self._sites[1]

        def describe(rows: list[int]) -> list[tuple[str, dict[str, Any]]]:
            return [(sites.id[row], {"name": sites.name[row], "cameras": sites.cameras[row]}) for row in rows]

        return points_in(box, zoom, sites.lat, sites.lon, describe, max_points=self._max_points)

    def units(self, caller: Caller) -> bytes:
        """Patrol units that the desk knows: state and, where one has been heard of in the live window, its place."""
        self._note(caller)
        units = self._units()
        directory = self._positions.directory
        picture = self._positions.picture()
        slots = [directory.slot(unit.device) for unit in units]
        # a slot that is not in the picture is found beside another's
        rows = np.searchsorted(picture.slot, [-1 if slot is None else slot for slot in slots]).tolist()
        features = []
        for unit, slot, row in zip(units, slots, rows, strict=True):
            known = row < len(picture) and picture.slot[row] == slot
            place = [round(float(picture.lon[row]), 6), round(float(picture.lat[row]), 6)] if known else None
            features.append(
                {
                    "type": "Feature",
                    "id": unit.device,
                    "geometry": {"type": "Point", "coordinates": place} if place else None,
                    "properties": {
                        "state": unit.state.value,
                        "level": unit.level or None,
                        "alarm": unit.alarm or None,
                        "age_s": max(picture.at_ms - int(picture.time_ms[row]), 0) // 100 / 10 if known else None,
                    },
                }
            )
        return msgspec.json.encode({"type": "FeatureCollection", "features": features})

    def _note(self, caller: Caller) -> None:
        now_ms = self._clock.now_ms()
        with self._lock:
            if now_ms - self._noted.get(caller.who, -NOTED_EVERY_MS) < NOTED_EVERY_MS:
                return
        self._audit.append(caller.who, caller.role, "read.live_map", "unit/*", "", {"via": caller.via})
        with self._lock:
            if len(self._noted) >= MAX_NOTED:
                self._noted.clear()
            self._noted[caller.who] = now_ms


def map_routes(data: MapData, base: BaseMap, visitor: Callable[[Request], Visitor]) -> APIRouter:
    """The routes over both; `visitor` says who asks, and raises for nobody."""
    router = APIRouter(prefix="/map", tags=["map"])

    def map_style(
        request: Request,
        datum: Annotated[str | None, Query(description="of roads, wgs84 or gcj02; tiles have their own")] = None,
        theme: Annotated[str, Query(description="light or dark")] = "light",
    ) -> Response:
        visitor(request)
        return _kept(request, msgspec.json.encode(base.style(datum, theme)), "application/json")

    def map_roads(request: Request, datum: Annotated[str, Query(description="wgs84 or gcj02")] = "wgs84") -> Response:
        visitor(request)
        return _kept(request, base.roads(datum), GEOJSON)

    def map_tiles(request: Request) -> Response:
        visitor(request)
        if base.tiles is None:
            raise NotFound("There is no tiles file.", mend="Set map.tiles_file.")
        piece = base.tiles.piece(request.headers.get("range"))
        headers = {
            "content-range": f"bytes {piece.start}-{piece.start + len(piece.data) - 1}/{piece.size}",
            "accept-ranges": "bytes",
            "etag": piece.etag,
            "cache-control": "private, no-cache",
        }
        return Response(piece.data, 206, headers, media_type=PMTILES)

    def map_cameras(request: Request, bbox: BoxText, zoom: Zoom) -> Response:
        visitor(request)
        return _answer(data.cameras(Box.parse(bbox), checked_zoom(zoom)))

    def map_sites(request: Request, bbox: BoxText, zoom: Zoom) -> Response:
        visitor(request)
        return _answer(data.sites(Box.parse(bbox), checked_zoom(zoom)))

    def map_units(request: Request) -> Response:
        return _answer(data.units(visitor(request).caller))

    def map_fences(request: Request, bbox: OptionalBox = None, zoom: Zoom = 14.0) -> Response:
        visitor(request)
        box = None if bbox is None else Box.parse(bbox)
        return _kept(request, data.fences.geojson(box, checked_zoom(zoom))[0], GEOJSON)

    def map_jurisdictions(request: Request, bbox: OptionalBox = None, zoom: Zoom = 12.0) -> Response:
        visitor(request)
        box = None if bbox is None else Box.parse(bbox)
        return _kept(request, data.areas.geojson(box, checked_zoom(zoom))[0], GEOJSON)

    for path, endpoint in (
        ("/style", map_style),
        ("/roads", map_roads),
        ("/tiles", map_tiles),
        ("/cameras", map_cameras),
        ("/sites", map_sites),
        ("/units", map_units),
        ("/fences", map_fences),
        ("/jurisdictions", map_jurisdictions),
    ):
        router.add_api_route(path, endpoint, methods=["GET"], name=endpoint.__name__, response_class=Response)
    return router


#: Names of the routes, as the table of permissions has them.
MAP_ROUTES = (
    "map_style",
    "map_roads",
    "map_tiles",
    "map_cameras",
    "map_sites",
    "map_units",
    "map_fences",
    "map_jurisdictions",
)


def _answer(body: bytes) -> Response:
    return Response(body, media_type=GEOJSON, headers={"cache-control": "no-store"})


def _kept(request: Request, body: bytes, media_type: str) -> Response:
    """An answer that the browser may keep for itself and asks after; 304 where it has it."""
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
