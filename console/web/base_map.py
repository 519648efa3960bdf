"""What lies under everything on the map, as a MapLibre style: a tile server, a PMTiles file, or roads; in this order.

Invariants: every style says by `metadata["lucheng:datum"]` in which datum its tiles are, so that places are turned to it where
they are drawn and nowhere else; no style names an address that the settings do not name; roads are WGS-84 in their file and are
turned when they are asked for otherwise; where there is none of the three the map has a ground and works. Texts from files are
data: they reach the page as JSON. Source: MapLibre Style Specification, version 8.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec
import numpy as np

from console.web.tile_file import Archive, TileFile, open_plain
from model.datum import wgs84_to_gcj02
from model.errors import BadInput, NotFound, UsageError

if TYPE_CHECKING:
    from config.map import Map

Datum = Literal["wgs84", "gcj02"]
Theme = Literal["light", "dark"]
DATUMS: tuple[Datum, ...] = ("wgs84", "gcj02")
#: Folder of the map's files within the data folder.
MAP_FOLDER = "map"
#: Lines of a file of roads.
MAX_ROADS = 500_000
_DECIMALS = 6
_CLASS_CHARS = 40

_PALETTES: dict[Theme, dict[str, str]] = {
    "light": {
        "ground": "#f4f3ef", "water": "#bcd7e6", "green": "#dfe8d4", "building": "#e3dfd8", "border": "#a79fb0",
        "road": "#ffffff", "casing": "#d2cdc4", "avenue": "#fdf3cf", "ring": "#f7d9a2",
    },
    "dark": {
        "ground": "#15191e", "water": "#0f2733", "green": "#18231c", "building": "#1e242b", "border": "#5a5366",
        "road": "#39424d", "casing": "#0d1014", "avenue": "#4b5361", "ring": "#67603f",
    },
}  # fmt: skip
#: What the layers of common vector schemas (Protomaps, OpenMapTiles) hold; others are lines without a meaning and are not drawn.
_FILLS = {
    "earth": "ground", "land": "ground", "landcover": "green", "landuse": "green", "park": "green", "natural": "green",
    "water": "water", "ocean": "water", "building": "building", "buildings": "building",
}  # fmt: skip
_LINES = {
    "waterway": "water", "physical_line": "water", "boundary": "border", "boundaries": "border", "admin": "border",
    "road": "road", "roads": "road", "transportation": "road", "highway": "road",
}  # fmt: skip


class _Line(msgspec.Struct):
    type: str
    coordinates: msgspec.Raw


class _Road(msgspec.Struct):
    geometry: _Line
    properties: dict[str, Any] | None = None


class _Roads(msgspec.Struct, tag_field="type", tag="FeatureCollection"):
    features: list[_Road]


class BaseMap:
    """The base map of the settings.

    Args:
        settings: the section `map`.
        data_dir: the data folder; the map's files are in its folder `map`.
        api: where the API is, e.g. `/api/v1`.
        roads: GeoJSON lines that stand for a file of roads where there is none; None or empty for none.
    """

    def __init__(
        self,
        settings: Map,
        data_dir: Path,
        *,
        api: str = "/api/v1",
        roads: Callable[[], bytes | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._folder = data_dir / MAP_FOLDER
        self._api = api
        self._given_roads = roads
        self._lock = threading.Lock()
        self._roads: dict[tuple[str, Datum], bytes] = {}
        self.tiles = TileFile(self._folder, settings.tiles_file) if settings.tiles_file else None

    @property
    def origins(self) -> list[str]:
        """Where else than from here the page has to be allowed to load from: scheme, host and port of a tile server."""
        if not self._settings.tiles_url:
            return []
        parts = urlsplit(self._settings.tiles_url)
        return [f"{parts.scheme}://{parts.netloc}"]

    def style(self, datum: str | None = None, theme: str = "light") -> dict[str, Any]:
        """A style of version 8. Raises UsageError (theme, datum), NotFound or BadInput (the tiles file)."""
        if theme not in _PALETTES:
            raise UsageError(f"{theme[:40]!r} is no theme.", mend="Use light or dark.")
        if datum is not None and datum not in DATUMS:
            raise UsageError(f"{datum[:40]!r} is no datum of a map.", mend="Use wgs84 or gcj02.")
        colours = _PALETTES["dark" if theme == "dark" else "light"]
        given = self._settings
        ground = {"id": "ground", "type": "background", "paint": {"background-color": colours["ground"]}}
        if given.tiles_url:
            source: dict[str, Any] = {
                "type": "raster",
                "tiles": [given.tiles_url],
                "tileSize": given.tile_size_px,
                "maxzoom": given.tiles_max_zoom,
            }
            return self._styled("server", given.tiles_datum, source, [ground, _picture(theme)])
        if self.tiles is not None:
            archive = self.tiles.archive()
            source = {
                "type": "vector" if archive.vector else "raster",
                "url": f"pmtiles://{self._api}/map/tiles",
                "bounds": list(archive.bounds),
                "minzoom": archive.min_zoom,
                "maxzoom": archive.max_zoom,
                **({"attribution": archive.attribution} if archive.attribution else {}),
            }
            layers = _vector_layers(archive, colours) if archive.vector else [_picture(theme)]
            return self._styled("pmtiles", given.tiles_datum, source, [ground, *layers])
        shown: Datum = "gcj02" if datum == "gcj02" else "wgs84"
        if self._roads_text() is None:
            return self._styled("none", shown, None, [ground])
        source = {"type": "geojson", "data": f"{self._api}/map/roads?datum={shown}"}
        return self._styled("roads", shown, source, [ground, *_road_layers(colours)])

    def roads(self, datum: str = "wgs84") -> bytes:
        """The roads as GeoJSON lines in that datum, each with its `class`. Raises UsageError, NotFound (there are none), BadInput."""
        if datum not in DATUMS:
            raise UsageError(f"{datum[:40]!r} is no datum of a map.", mend="Use wgs84 or gcj02.")
        found = self._roads_text()
        if found is None:
            raise NotFound("There are no roads.", mend="Put a file of roads into the data folder's `map`.")
        wanted: Datum = "gcj02" if datum == "gcj02" else "wgs84"
        key = found[0], wanted
        with self._lock:
            made = self._roads.get(key)
            if made is None:
                made = _read_roads(found[1](), wanted)
                self._roads = {known: text for known, text in self._roads.items() if known[0] == key[0]} | {key: made}
            return made

    def _roads_text(self) -> tuple[str, Callable[[], bytes]] | None:
        """What tells this text from another, and how it is had; None where there is none."""
        name, limit = self._settings.roads_file, self._settings.max_roads_bytes
        if name is not None:
            try:
                with open_plain(self._folder, name) as file:
                    identity = f"{file.seek(0, 2)}-{(self._folder / name).stat().st_mtime_ns}"
            except NotFound:
                pass
            else:
                return identity, lambda: _read_file(self._folder, name, limit)
        given = self._given_roads()
        return (f"given-{len(given)}", lambda: given) if given else None

    def _styled(
        self, kind: str, datum: Datum, source: dict[str, Any] | None, layers: list[dict[str, Any]]
    ) -> dict[str, Any]:
        given = self._settings
        lat, lon = given.center_lat, given.center_lon
        if datum == "gcj02":
            turned = wgs84_to_gcj02(np.array([lat]), np.array([lon]))
            lat, lon = float(turned[0][0]), float(turned[1][0])
        if source is not None and given.attribution:
            source = {**source, "attribution": given.attribution}
        return {
            "version": 8,
            "name": "lucheng",
            "metadata": {"lucheng:datum": datum, "lucheng:base": kind},
            "center": [round(lon, _DECIMALS), round(lat, _DECIMALS)],
            "zoom": given.zoom,
            "sources": {} if source is None else {"base": source},
            "layers": layers,
        }


def _picture(theme: str) -> dict[str, Any]:
    """Tiles that are pictures; dimmed in the dark."""
    paint = {"raster-brightness-max": 0.6, "raster-saturation": -0.4} if theme == "dark" else {}
    return {"id": "tiles", "type": "raster", "source": "base", "paint": paint}


def _vector_layers(archive: Archive, colours: dict[str, str]) -> list[dict[str, Any]]:
    fills = [
        {
            "id": f"fill-{name}",
            "type": "fill",
            "source": "base",
            "source-layer": name,
            "filter": ["==", ["geometry-type"], "Polygon"],
            "paint": {"fill-color": colours[_FILLS[name]]},
        }
        for name in sorted(archive.layers, key=lambda one: list(_FILLS).index(one) if one in _FILLS else 0)
        if name in _FILLS
    ]
    lines: list[dict[str, Any]] = []
    for name in archive.layers:
        if name not in _LINES:
            continue
        look = _LINES[name]
        if look == "road":
            lines.append(_line(f"casing-{name}", colours["casing"], 1.6, source_layer=name))
        made = _line(f"line-{name}", colours[look], 1.0 if look == "road" else 0.6, source_layer=name)
        if look == "border":
            made["paint"]["line-dasharray"] = [3, 2]
        lines.append(made)
    return fills + lines


def _road_layers(colours: dict[str, str]) -> list[dict[str, Any]]:
    """Casings below, so that crossings look joined; then streets, avenues and rings."""
    classes: list[tuple[str, str, float, Any]] = [
        ("street", "road", 1.0, ["!", ["in", ["get", "class"], ["literal", ["avenue", "ring"]]]]),
        ("avenue", "avenue", 1.5, ["==", ["get", "class"], "avenue"]),
        ("ring", "ring", 2.0, ["==", ["get", "class"], "ring"]),
    ]
    layers = [_line(f"casing-{name}", colours["casing"], wide * 1.5, where) for name, _, wide, where in classes]
    return layers + [_line(f"road-{name}", colours[look], wide, where) for name, look, wide, where in classes]


def _line(name: str, colour: str, wide: float, where: Any = None, *, source_layer: str = "") -> dict[str, Any]:
    width = ["interpolate", ["exponential", 1.6], ["zoom"], 9, 0.5 * wide, 12, 1.5 * wide, 18, 14 * wide]
    return {
        "id": name,
        "type": "line",
        "source": "base",
        **({"source-layer": source_layer} if source_layer else {}),
        **({"filter": where} if where is not None else {}),
        "layout": {"line-cap": "round", "line-join": "round"},
        "paint": {"line-color": colour, "line-width": width},
    }


def _read_file(folder: Path, name: str, max_bytes: int) -> bytes:
    with open_plain(folder, name) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise BadInput(f"The file of roads is larger than {max_bytes} bytes.", mend="Raise map.max_roads_bytes.")
    return data


def _read_roads(raw: bytes, datum: Datum) -> bytes:
    """The lines of a FeatureCollection with their class alone, places rounded, in `datum`; other geometries are left out."""
    mend = "Write a GeoJSON FeatureCollection of lines in WGS-84."
    try:
        given = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"), type=_Roads)
        if len(given.features) > MAX_ROADS:
            raise BadInput(f"{len(given.features)} roads.", mend=f"The limit is {MAX_ROADS}.")
        lines: list[list[list[float]]] = []
        classes: list[str] = []
        for road in given.features:
            kind = road.geometry.type
            if kind == "LineString":
                parts = [msgspec.json.decode(road.geometry.coordinates, type=list[list[float]])]
            elif kind == "MultiLineString":
                parts = msgspec.json.decode(road.geometry.coordinates, type=list[list[list[float]]])
            else:
                continue
            lines += parts
            classes += [str((road.properties or {}).get("class", ""))[:_CLASS_CHARS]] * len(parts)
        if any(len(place) < 2 for line in lines for place in line):
            raise BadInput("The file of roads has a place without two numbers.", mend=mend)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"The file of roads cannot be read: {error}.", mend=mend) from error
    ends = np.cumsum([len(line) for line in lines])
    places = np.array([place[:2] for line in lines for place in line], np.float64).reshape(-1, 2)
    lon, lat = places[:, 0], places[:, 1]
    if not bool(((np.abs(lon) <= 180.0) & (np.abs(lat) <= 90.0)).all()):
        raise BadInput("The file of roads has a place that is not on the earth.", mend=mend)
    if datum == "gcj02":
        lat, lon = wgs84_to_gcj02(lat, lon)
    rounded = np.round(np.stack((lon, lat), axis=1), _DECIMALS)
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": part.tolist()},
            "properties": {"class": name},
        }
        for part, name in zip(np.split(rounded, ends[:-1]) if len(lines) else [], classes, strict=True)
    ]
    return msgspec.json.encode({"type": "FeatureCollection", "features": features})
