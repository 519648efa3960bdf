"""The roads of the demo's city as GeoJSON, in the data folder, where the console's map finds them.

Invariants: WGS-84, each road once and with its class (street, avenue, ring); a file that is there already is somebody's own and
stays.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from console.web.base_map import MAP_FOLDER
from simulator.city.roads import CENTRE_LAT, CENTRE_LON, M_PER_LAT, M_PER_LON, build

ROADS_FILE = "roads.geojson"
#: From so fast on a road is an avenue, and a ring road, km/h.
_AVENUE_KMH, _RING_KMH = 50.0, 70.0
_DECIMALS = 6


def roads_geojson(seed: int) -> bytes:
    """The network of this seed as a FeatureCollection of lines."""
    roads = build(seed)
    start, place = np.nonzero(roads.neighbour >= 0)
    end = roads.neighbour[start, place]
    once = start < end
    start, end, kmh = start[once], end[once], roads.speed_kmh[start, place][once]
    lon = np.round(CENTRE_LON + roads.x_m / M_PER_LON, _DECIMALS)
    lat = np.round(CENTRE_LAT + roads.y_m / M_PER_LAT, _DECIMALS)
    lines = np.stack((lon[start], lat[start], lon[end], lat[end]), axis=1).reshape(-1, 2, 2)
    classes = np.where(kmh >= _RING_KMH, "ring", np.where(kmh >= _AVENUE_KMH, "avenue", "street"))
    features = [
        {"type": "Feature", "geometry": {"type": "LineString", "coordinates": line}, "properties": {"class": name}}
        for line, name in zip(lines.tolist(), classes.tolist(), strict=True)
    ]
    return msgspec.json.encode({"type": "FeatureCollection", "features": features})


def put_roads(data_dir: Path, seed: int) -> Path:
    """Write the roads into the data folder's `map`, unless a file is there; where they are."""
    folder = data_dir / MAP_FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / ROADS_FILE
    if not path.exists():
        path.write_bytes(roads_geojson(seed))
    return path
