"""`FenceIndex` answers as shapely's prepared loop does, everywhere, whatever the cells are."""

from __future__ import annotations

import gzip
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.fences.grid import MARGIN
from analytics.fences.index import CHUNK_ROWS, FenceIndex
from analytics.fences.shapes import shape_of
from analytics.fences.tables import ASK_AT
from model.fence import Fence, FenceSet, Shape
from tests.analytics.fences.drawn import Floats, fence, fences_of, loop, near_edges, polygon, star

DATA = Path(os.environ.get("LUCHENG_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data") / "taxi"
SEED = 20_260_401
#: Knobs that make few large cells, deep splits, many small cells, or next to none.
KNOBS: tuple[dict[str, Any], ...] = (
    {},
    {"edges_a_point": 1e9},
    {"edges_a_point": 1e9, "leaf_edges": 1},
    {"edges_a_point": 0.01, "max_cells": 100_000},
    {"max_cells": 0},
    {"max_cells": 2_000, "max_entries": 500},
)


def same_as_loop(index: FenceIndex, places: Floats) -> int:
    """Assert it; the number of hits."""
    lon, lat = np.ascontiguousarray(places[:, 0]), np.ascontiguousarray(places[:, 1])
    row, which = index.hits(lat, lon)
    expected = loop([shape_of(one) for one in index.fences], lat, lon)
    assert row.dtype == which.dtype == np.int64
    np.testing.assert_array_equal(row, expected[0])
    np.testing.assert_array_equal(which, expected[1])
    return len(row)


def cell_borders(index: FenceIndex, chance: np.random.Generator, corners: Floats) -> Floats:
    """Corners of cells of all levels, places on their borders level with vertices, and all those grown by the margin."""
    grid, made = index._grid, []
    for level in range(index._depth + 1):
        wide, high = grid.size(level)
        lon = grid.west + wide * np.rint((corners[:, 0] - grid.west) / wide)
        lat = grid.south + high * np.rint((corners[:, 1] - grid.south) / high)
        exact = np.concatenate(
            [np.stack(pair, axis=1) for pair in ((lon, lat), (lon, corners[:, 1]), (corners[:, 0], lat))]
        )
        made += [exact, exact + chance.choice((-1, 1), exact.shape) * MARGIN * (wide, high)]
    return np.concatenate(made)


def scattered(chance: np.random.Generator, index: FenceIndex, count: int) -> Floats:
    """Anywhere on the plane of the index and somewhat beyond."""
    grid = index._grid
    wide, high = grid.cell_lon * (1 << grid.bits_x), grid.cell_lat * (1 << grid.bits_y)
    return np.array([grid.west, grid.south]) + np.array([wide, high]) * chance.uniform(-0.1, 1.1, (count, 2))


def mixed(chance: np.random.Generator, count: int) -> list[Fence]:
    """Stars, stars with a hole, pairs of far stars, circles and corridors over one city, overlapping."""
    made = []
    for number in range(1, count + 1):
        lon, lat, far = 109.6 + 0.4 * chance.random(), 40.5 + 0.3 * chance.random(), 10.0 ** chance.uniform(-3.5, -0.7)
        kind = chance.integers(5)
        if kind == 3:
            made.append(fence(number, Shape.CIRCLE, center=(lon, lat), radius_m=far * 1e5))
            continue
        if kind == 4:
            line = np.array((lon, lat)) + np.cumsum(chance.normal(size=(4, 2)) * far, axis=0)
            made.append(
                fence(number, Shape.CORRIDOR, line=tuple(map(tuple, line.tolist())), radius_m=float(far * 2e4 + 5))
            )
            continue
        body = star(chance, lon, lat, far, int(chance.integers(3, 60)))
        if kind == 1:
            body = body.difference(star(chance, lon, lat, far * 0.3, 9))
        more = [star(chance, lon + 3 * far, lat, far, 20)] if kind == 2 else []
        made.append(polygon(number, body, *more))
    return made


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 25), knobs=st.sampled_from(KNOBS))
def test_equals_the_prepared_loop_everywhere(seed: int, count: int, knobs: dict[str, Any]) -> None:
    chance = np.random.default_rng(seed)
    index = FenceIndex(FenceSet(1, tuple(mixed(chance, count))), **knobs)
    shapes = [shape_of(one) for one in index.fences]
    corners = shapely.get_coordinates(shapes)
    corners = corners[chance.permutation(len(corners))[:300]]
    near = near_edges(chance, shapes)
    near = near[chance.permutation(len(near))[:4_000]]
    places = np.concatenate((near, cell_borders(index, chance, corners), scattered(chance, index, 1_000)))
    assert same_as_loop(index, places) > 0


@st.composite
def tiles(draw: st.DrawFn) -> Any:
    """Squares and triangles of a small lattice put together and cut out: holes, shared borders, corners that touch."""
    whole = shapely.Polygon()
    for _ in range(draw(st.integers(1, 6))):
        x, y = draw(st.integers(0, 8)), draw(st.integers(0, 8))
        wide, high = draw(st.integers(1, 5)), draw(st.integers(1, 5))
        piece: Any = shapely.box(x, y, x + wide, y + high)
        if draw(st.booleans()):
            piece = shapely.Polygon([(x, y), (x + wide, y), (x, y + high)])
        whole = whole.difference(piece) if draw(st.integers(0, 2)) == 0 else whole.union(piece)
    return whole if whole.area > 0 else shapely.box(0, 0, 1, 1)


@settings(max_examples=20)
@given(
    drawn=st.lists(tiles(), min_size=1, max_size=4),
    scale=st.sampled_from((1.0, 0.25, 1e-3, 1e-5)),
    knobs=st.sampled_from(KNOBS),
)
def test_equals_the_prepared_loop_on_a_lattice(drawn: list[Any], scale: float, knobs: dict[str, Any]) -> None:
    """All quarters of a small lattice, so that places fall on corners, level and upright edges and borders of neighbours."""
    shapes = [shapely.transform(one, lambda at: at * scale + (100.0, 30.0)) for one in drawn]
    shapes = [one for one in shapes if shapely.is_valid(one)] or [shapely.box(100, 30, 100.01, 30.01)]
    index = FenceIndex(fences_of(*(polygon(at + 1, one) for at, one in enumerate(shapes))), **knobs)
    steps = np.arange(-1.0, 14.0, 0.25)
    lattice = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) * scale + (100.0, 30.0)
    same_as_loop(index, lattice)


def test_deep_splits_and_shapely_where_too_many_edges_meet() -> None:
    """Hundreds of tiny fences in one corner of a plane as large as a country, and a comb whose teeth are 1 mm apart."""
    print("seed", SEED)
    chance = np.random.default_rng(SEED)
    country = star(chance, 110, 40, 12, 500)
    tiny = [star(chance, 110 + 0.01 * chance.random(), 40 + 0.01 * chance.random(), 2e-4, 12) for _ in range(300)]
    teeth = np.arange(400) * 1e-8
    comb = np.stack((120 + teeth, np.where(np.arange(400) % 2, 40.0, 40.0 + 1e-4)), axis=1)
    whole = [country, *tiny, shapely.Polygon([*comb.tolist(), (120 + 4e-6, 39.9999), (120, 39.9999)])]
    index = FenceIndex(fences_of(*(polygon(at + 1, one) for at, one in enumerate(whole))), max_cells=100_000)
    assert index._tables is not None
    assert index._depth >= 3
    assert ((index._tables.entries >> ASK_AT) & 1).any()
    near = near_edges(chance, whole)
    near = near[chance.permutation(len(near))[:20_000]]
    assert same_as_loop(index, np.concatenate((near, cell_borders(index, chance, near[:500])))) > 1_000


def test_an_edge_through_the_corner_that_a_cell_is_judged_from() -> None:
    """The frame alone decides where the cells are, so that triangles can be drawn through their grown corners."""
    print("seed", SEED)
    chance = np.random.default_rng(SEED)
    frame = shapely.box(110.0, 40.0, 110.8, 40.8)
    grid = FenceIndex(fences_of(polygon(1, frame)), max_cells=0)._grid
    corner = np.array((grid.west + (2 - MARGIN) * grid.cell_lon, grid.south + (2 - MARGIN) * grid.cell_lat))
    drawn = [frame]
    for turn in np.arange(48) * (2 * np.pi / 48):
        ends = corner + 0.1 * np.array([(np.cos(turn + more), np.sin(turn + more)) for more in (0.0, 0.3, np.pi)])
        drawn += [shapely.Polygon((corner, ends[0], ends[1])), shapely.Polygon(ends)]
    # Upright edges on the very border that the way to the corner goes along, and as near to it as numbers are.
    for lon in (corner[0], np.nextafter(corner[0], 0), np.nextafter(corner[0], 180)):
        for low in (-0.03, 0.02, 0.05):
            south, north = corner[1] + low, corner[1] + low + 0.04
            drawn += [shapely.box(lon, south, lon + 0.1, north), shapely.box(lon - 0.1, south, lon, north)]
            step = [(lon - 0.1, south), (lon, south), (lon, north), (lon + 0.1, north), (lon + 0.1, north + 0.01)]
            drawn += [shapely.Polygon([*step, (lon - 0.1, north + 0.01)])]
    index = FenceIndex(fences_of(*(polygon(at + 1, one) for at, one in enumerate(drawn))), max_cells=0)
    assert (index._grid, index._depth) == (grid, 0)
    assert same_as_loop(index, corner + chance.uniform(-0.12, 0.12, (3_000, 2))) > 10_000


def test_real_points() -> None:
    """An hour and more of San Francisco's taxis and two of Beijing's, in fences over both towns."""
    if not DATA.is_dir():
        pytest.skip(f"no data at {DATA}: set LUCHENG_TEST_DATA")
    print("seed", SEED)
    chance = np.random.default_rng(SEED)
    with gzip.open(DATA / "cabspotting-sf-2008-05-30.csv.gz", "rt") as lines:
        francisco = np.loadtxt(lines, delimiter=",", skiprows=1, usecols=(3, 2), max_rows=30_000)
    beijing = np.loadtxt(DATA / "tdrive-beijing-72-taxis.csv", delimiter=",", skiprows=1, usecols=(2, 3))
    for places in (francisco, beijing):
        at = places[chance.integers(0, len(places), 60)]
        drawn = [polygon(n + 1, star(chance, lon, lat, 0.02, 100)) for n, (lon, lat) in enumerate(at.tolist())]
        # Corners that are fixes: a taxi at a rank stands exactly on such a fence.
        drawn += [
            polygon(100 + n, shapely.MultiPoint(places[chance.integers(0, len(places), 8)]).convex_hull)
            for n in range(10)
        ]
        assert same_as_loop(FenceIndex(fences_of(*drawn)), places) > 10_000


def test_a_place_is_judged_alone() -> None:
    """Hits do not depend on the batch, nor on whether it is longer than what is looked at together."""
    print("seed", SEED)
    chance = np.random.default_rng(SEED)
    index = FenceIndex(FenceSet(1, tuple(mixed(chance, 12))))
    places = scattered(chance, index, 2 * CHUNK_ROWS + 77)
    lon, lat = places[:, 0].copy(), places[:, 1].copy()
    row, which = index.hits(lat, lon)
    assert len(row) > 1_000
    cuts = np.sort(chance.integers(0, len(lat), 20))
    edges = [0, *cuts.tolist(), len(lat)]
    parts = [(start, index.hits(lat[start:end], lon[start:end])) for start, end in pairwise(edges)]
    np.testing.assert_array_equal(row, np.concatenate([part[0] + start for start, part in parts]))
    np.testing.assert_array_equal(which, np.concatenate([part[1] for _, part in parts]))


def test_no_fence_no_row_no_place() -> None:
    square = polygon(1, shapely.box(110, 40, 111, 41))
    off = polygon(2, shapely.box(110, 40, 111, 41), enabled=False)
    at, none = np.array([40.5]), np.zeros(0)
    for empty in (FenceIndex(FenceSet(1, ())), FenceIndex(fences_of(off))):
        assert (empty.fences, len(empty.number), empty.memory_bytes) == ((), 0, 0)
        assert [len(one) for one in empty.hits(at, at + 70)] == [0, 0]
        assert empty.index_of(np.array([1, 2])).tolist() == [-1, -1]
    index = FenceIndex(fences_of(square, off))
    assert index.fences == (square,)
    assert [one.dtype for one in index.hits(none, none)] == [np.int64, np.int64]
    lat = np.array([40.5, np.nan, 40.5, np.nan, np.inf, 40.5, -90.0, 90.0])
    lon = np.array([110.5, 110.5, np.nan, np.nan, 110.5, -np.inf, -180.0, 180.0])
    with np.errstate(all="raise"):
        row, which = index.hits(lat, lon)
    assert (row.tolist(), which.tolist()) == ([0], [0])


def test_fences_stand_in_order_of_number() -> None:
    made = [polygon(number, shapely.box(110, 40, 110 + number, 41)) for number in (7, 2, 5)]
    given_set = FenceSet(4, tuple(made))
    index = FenceIndex(given_set)
    assert index.set is given_set
    assert [one.number for one in index.fences] == index.number.tolist() == [2, 5, 7]
    row, which = index.hits(np.array([40.5, 41.0]), np.array([111.0, 113.0]))
    assert (row.tolist(), which.tolist()) == ([0, 0, 0, 1, 1], [0, 1, 2, 1, 2])
    assert index.index_of(np.array([5, 8, 2, 0, 7])).tolist() == [1, -1, 0, -1, 2]


@pytest.mark.parametrize("max_cells", [0, 1_000, 50_000])
def test_cells_and_entries_stay_within_their_limits(max_cells: int) -> None:
    print("seed", SEED)
    chance = np.random.default_rng(SEED)
    drawn = fences_of(*(polygon(n + 1, star(chance, 110, 40, 0.1 + 0.01 * n, 50)) for n in range(40)))
    index = FenceIndex(drawn, max_cells=max_cells, max_entries=5_000)
    assert index._tables is not None
    smallest = 16
    assert len(index._tables.cells) <= max(max_cells, smallest)
    assert len(index._tables.entries) <= 5_000 + 40 * smallest
    assert index.memory_bytes > 0


def test_a_square_as_small_as_a_hand_and_one_as_large_as_the_world() -> None:
    hand = shapely.box(110.0, 40.0, 110.000001, 40.000001)
    world = shapely.Polygon([(-180, -90), (0, -90), (180, -90), (180, 90), (0, 90), (-180, 90)])
    lon = np.array([110.0, 110.0000005, 110.000001, 110.0000010001, -180.0, 180.0, 0.0])
    lat = np.array([40.0, 40.0000005, 40.000001, 40.0, -90.0, 90.0, 0.0])
    for drawn in ([hand], [world], [hand, world]):
        index = FenceIndex(fences_of(*(polygon(at + 1, one) for at, one in enumerate(drawn))))
        assert same_as_loop(index, np.stack((lon, lat), axis=1)) >= 3
