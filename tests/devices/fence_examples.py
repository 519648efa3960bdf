"""Fences for tests: a few plain ones, and any that can be kept (hypothesis)."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import strategies as st

from model.device import KINDS, Kind
from model.fence import DAY_MINUTES, Fence, FenceRule, Post, Schedule, Shape

ROAD_CLASSES = ("arterial", "lane")


def square(west: float, south: float, east: float, north: float) -> tuple[tuple[float, float], ...]:
    """A ring, counter-clockwise."""
    return (west, south), (east, south), (east, north), (west, north), (west, south)


def area(fence: str, ring: tuple[tuple[float, float], ...], **fields: Any) -> Fence:
    """A polygon with one ring."""
    return Fence(0, fence, "", fields.pop("rule", FenceRule.ENTER), Shape.POLYGON, polygons=((ring,),), **fields)


def feature(fence: str, kind: str = "Polygon", coordinates: Any = None, **properties: Any) -> dict[str, Any]:
    """A GeoJSON Feature."""
    if coordinates is None:
        coordinates = [square(109.8, 40.6, 109.9, 40.7)]
    return {
        "type": "Feature",
        "properties": {"id": fence, "rule": "enter", "fid": 7, **properties},
        "geometry": {"type": kind, "coordinates": coordinates},
    }


def collection(*features: Any) -> bytes:
    """A FeatureCollection."""
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


_lon, _lat = st.floats(-179, 179), st.floats(-85, 85)
_places = st.tuples(_lon, _lat)
_texts = st.text(st.characters(codec="utf-8", categories=("L", "N")), max_size=20)


@st.composite
def _stars(draw: st.DrawFn) -> tuple[tuple[tuple[tuple[float, float], ...], ...], ...]:
    """One or two polygons side by side, each a star about its middle, with a hole or without."""
    west, south, size = draw(st.floats(-170, 160)), draw(st.floats(-80, 70)), draw(st.floats(1e-3, 4))
    made = []
    for part in range(draw(st.integers(1, 2))):
        corners = draw(st.integers(4, 9))
        lon, lat = west + part * 3 * size, south
        radii = draw(st.lists(st.floats(0.5, 1), min_size=corners, max_size=corners))
        ring = [
            (lon + r * size * math.cos(math.tau * i / corners), lat + r * size * math.sin(math.tau * i / corners))
            for i, r in enumerate(radii)
        ]
        rings = [(*ring, ring[0])]
        if draw(st.booleans()):
            inner = size / 8
            rings.append(tuple(reversed(square(lon - inner, lat - inner, lon + inner, lat + inner))))
        made.append(tuple(rings))
    return tuple(made)


@st.composite
def _schedules(draw: st.DrawFn) -> Schedule:
    start = draw(st.integers(0, DAY_MINUTES - 1))
    end = draw(st.integers(0, DAY_MINUTES).filter(lambda minute: minute != start))
    return Schedule(draw(st.integers(1, 127)), start, end, draw(st.sampled_from((480, 480, 0, -210, 840))))


@st.composite
def fences(draw: st.DrawFn, fence_id: str = "f") -> Fence:
    """Any fence, in the form in which it is kept but for the winding of its rings."""
    rule, shape = draw(st.sampled_from(list(FenceRule))), draw(st.sampled_from(list(Shape)))
    fields: dict[str, Any] = {}
    if shape is Shape.POLYGON:
        fields["polygons"] = draw(_stars())
    else:
        fields["radius_m"] = draw(st.floats(1, 100_000))
    if shape is Shape.CIRCLE:
        fields["center"] = draw(_places)
    if shape is Shape.CORRIDOR:
        fields["line"] = tuple(draw(st.lists(_places, min_size=2, max_size=6, unique=True)))
    else:
        fields["line_of_defence"] = draw(st.integers(0, 3))
    if rule is FenceRule.SPEED:
        fields["limit_kmh"] = draw(st.sampled_from((0.0, 30.0, 79.5)))
        fields["road_class"] = draw(st.sampled_from(ROAD_CLASSES)) if not fields["limit_kmh"] else ""
    if rule is FenceRule.STAY:
        fields["stay_s"] = draw(st.integers(1, 86_400))
    kinds = draw(st.sets(st.sampled_from(KINDS)))
    names = draw(st.sets(st.integers(0, 99), max_size=3))
    return Fence(
        0,
        fence_id,
        draw(_texts),
        rule,
        shape,
        kinds=tuple(kind.value for kind in KINDS if kind in kinds),
        devices=tuple(sorted(f"{min(kinds or {Kind.TAXI})}/{name}" for name in names)),
        schedule=draw(_schedules() | st.just(Schedule())),
        posts=tuple(
            Post(name, lat, lon) for name, (lon, lat) in draw(st.lists(st.tuples(_texts, _places), max_size=2))
        ),
        enabled=draw(st.booleans()),
        **fields,
    )
