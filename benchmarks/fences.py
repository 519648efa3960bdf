"""How much CPU does it cost to say which places lie in which fences?

Question: places a CPU-second for 200, 2,000 and 20,000 jagged polygons of 200 vertices with the same total area (half of
the city's, many overlapping), in columns of 200,000 rows and in live batches of 5,000 and 500; against shapely on the same
shapes and places in the same process:

- the loop over prepared polygons, each asked for the whole column at once (`intersects_xy`): the baseline;
- the loop over places and prepared polygons, one call each (`PreparedGeometry.covers`), on few places;
- its tree, asked for the whole column at once (`STRtree.query(points, "intersects")`).

Whether all hits are identical, what building costs in CPU and memory, and then fences of other kinds: circles, corridors,
200 fences over one another, tiny ones within a country. Prints its report; asserts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import numpy as np
import numpy.typing as npt
import shapely
from shapely.prepared import prep

from analytics.fences.index import FenceIndex
from analytics.fences.shapes import shape_of
from benchmarks.machine import machine
from model.fence import Fence, FenceRule, FenceSet, Shape

SEED = 20_260_401
ROWS = 200_000
BATCHES = (5_000, 500)
REPEATS = 3
#: Pairs of a polygon and a place that the baseline is given, and that the loop over places is.
LOOP_PAIRS, PLACE_PAIRS = 4_000_000, 100_000
WEST, SOUTH, WIDE, HIGH = 109.6, 40.45, 0.5, 0.38
COS_LAT = 0.76
Floats = npt.NDArray[np.float64]
Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def ring(
    chance: np.random.Generator, lon: float, lat: float, far: float, vertices: int
) -> tuple[tuple[float, float], ...]:
    """A closed jagged ring, vertices at whole 1e-6 degrees."""
    turn = np.arange(vertices) / vertices * 2 * np.pi
    phase = chance.uniform(0, 2 * np.pi, 2)
    rough = 0.25 * np.sin(3 * turn + phase[0]) + 0.1 * np.sin(9 * turn + phase[1])
    out = far * np.clip(1 + rough + 0.04 * chance.normal(size=vertices), 0.3, 2)
    places = np.round(np.stack((lon + out * np.cos(turn) / COS_LAT, lat + out * np.sin(turn)), axis=1), 6)
    closed = np.concatenate((places, places[:1]))
    return tuple((x, y) for x, y in closed.tolist())


def places(chance: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    """Latitude and longitude, anywhere in the city."""
    return SOUTH + HIGH * chance.random(rows), WEST + WIDE * chance.random(rows)


def polygons(chance: np.random.Generator, fences: int, vertices: int, part: float = 0.5) -> list[Fence]:
    """So many polygons that cover `part` of the city together."""
    far = float(np.sqrt(WIDE * HIGH * COS_LAT * part / fences / np.pi))
    lat, lon = places(chance, fences)
    return [
        Fence(n + 1, f"p{n}", "", FenceRule.NONE, Shape.POLYGON, polygons=((ring(chance, x, y, far, vertices),),))
        for n, (x, y) in enumerate(zip(lon.tolist(), lat.tolist(), strict=True))
    ]


def cpu_s(work: Callable[[], object]) -> float:
    """Least CPU seconds of `REPEATS` runs after one that warms."""
    work()
    spent = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def rate(index: FenceIndex, lat: Floats, lon: Floats, rows: int) -> float:
    """Places a CPU-second in batches of so many rows."""
    starts = range(0, len(lat), rows)
    return len(lat) / cpu_s(lambda: [index.hits(lat[at : at + rows], lon[at : at + rows]) for at in starts])


def loop_over_polygons(shapes: npt.NDArray[np.object_], lat: Floats, lon: Floats) -> Pairs:
    """The baseline; hits in the order of `FenceIndex.hits`."""
    found = [np.flatnonzero(shapely.intersects_xy(shape, lon, lat)) for shape in shapes]
    row, fence = np.concatenate(found), np.repeat(np.arange(len(found)), [len(one) for one in found])
    order = np.argsort(row, kind="stable")
    return row[order], fence[order]


def agree(mine: Pairs, theirs: Pairs) -> str:
    """Yes or no, loudly."""
    return "yes" if all(np.array_equal(*both) for both in zip(mine, theirs, strict=True)) else "NO"


def report(chance: np.random.Generator, fences: int, vertices: int) -> None:
    """One size: ours, the baselines, whether they agree."""
    made = FenceSet(1, tuple(polygons(chance, fences, vertices)))
    began = time.process_time()
    index = FenceIndex(made)
    built = time.process_time() - began
    lat, lon = places(chance, ROWS)
    ours = rate(index, lat, lon, ROWS)
    small = ", ".join(f"{rate(index, lat, lon, rows) / 1e6:.1f} in batches of {rows:,}" for rows in BATCHES)
    shapes = np.array([shape_of(fence) for fence in index.fences], dtype=object)
    shapely.prepare(shapes)
    some = slice(0, min(LOOP_PAIRS // fences, ROWS))
    rows = len(lat[some])
    loop = rows / cpu_s(lambda: loop_over_polygons(shapes, lat[some], lon[some]))
    tree = shapely.STRtree(shapes)
    by_tree = ROWS / cpu_s(lambda: tree.query(shapely.points(lon, lat), "intersects"))
    few = max(PLACE_PAIRS // fences, 5)
    prepared, points = [prep(shape) for shape in shapes], shapely.points(lon[:few], lat[:few])
    each = few / cpu_s(lambda: [[shape.covers(point) for shape in prepared] for point in points])
    by_loop = agree(index.hits(lat[some], lon[some]), loop_over_polygons(shapes, lat[some], lon[some]))
    row, fence = tree.query(shapely.points(lon, lat), "intersects")
    order = np.lexsort((fence, row))
    by_all = agree(index.hits(lat, lon), (row[order], fence[order]))
    print(
        f"{fences:>6,} x {vertices} vertices: {ours / 1e6:.1f} M places a CPU-second ({small});"
        f" hits identical with the loop's on {rows:,} places: {by_loop}, with the tree's on {ROWS:,}: {by_all};"
        f" built in {built:.1f} CPU-s, {index.memory_bytes / 1e6:.0f} MB\n"
        f"        loop over prepared polygons {loop / 1e6:.4f} M, ratio {ours / loop:,.0f} x; loop over places and"
        f" prepared polygons {each / 1e6:.5f} M, ratio {ours / each:,.0f} x; STRtree {by_tree / 1e6:.3f} M,"
        f" ratio {ours / by_tree:,.0f} x",
        flush=True,
    )


def others(chance: np.random.Generator) -> Iterator[tuple[str, list[Fence]]]:
    """Fences that are not as even as those."""
    blank = Fence(0, "x", "", FenceRule.NONE, Shape.CIRCLE)
    number = count(1)
    lat, lon = (one.tolist() for one in places(chance, 2_000))
    yield (
        "2,000 circles of 30 to 300 m",
        [
            replace(blank, number=next(number), center=(x, y), radius_m=float(chance.uniform(30, 300)))
            for x, y in zip(lon, lat, strict=True)
        ],
    )
    yield (
        "200 corridors, 20 points, 30 m each way",
        [
            replace(
                blank,
                number=next(number),
                shape=Shape.CORRIDOR,
                radius_m=30.0,
                line=tuple((x + a, y + b) for a, b in np.cumsum(chance.normal(0, 0.005, (20, 2)), axis=0).tolist()),
            )
            for x, y in zip(lon[:200], lat[:200], strict=True)
        ],
    )
    middle = (WEST + WIDE / 2, SOUTH + HIGH / 2)
    yield (
        "200 polygons of 200 vertices over one another",
        [
            replace(
                blank, number=next(number), shape=Shape.POLYGON, polygons=((ring(chance, *middle, HIGH / 3, 200),),)
            )
            for _ in range(200)
        ],
    )
    country = replace(blank, number=1_000_000, shape=Shape.POLYGON, polygons=((ring(chance, *middle, 10.0, 5_000),),))
    yield "20,000 small polygons of 12 vertices within a country", [*polygons(chance, 20_000, 12, 0.02), country]


def main() -> None:
    print(__doc__)
    print(f"{machine()}, shapely {shapely.__version__}, GEOS {shapely.geos_version_string}, seed {SEED}\n")
    chance = np.random.default_rng(SEED)
    for fences in (200, 2_000, 20_000):
        report(chance, fences, 200)
    print()
    lat, lon = places(chance, ROWS)
    for name, made in others(chance):
        began = time.process_time()
        index = FenceIndex(FenceSet(1, tuple(made)))
        built = time.process_time() - began
        hits = len(index.hits(lat, lon)[0]) / ROWS
        print(
            f"{name:<54} {rate(index, lat, lon, ROWS) / 1e6:>6.2f} M places a CPU-second, {hits:.2f} hits a place,"
            f" built in {built:.1f} CPU-s, {index.memory_bytes / 1e6:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
