"""What a fence may be: its limits, and the one form in which it is kept.

Invariants: a fence that gets past here has a shape that can be computed with, a rule with everything that the rule needs
and nothing that it does not know, texts within their limits, and a schedule that is in force at some time. Rings wind as
RFC 7946 asks (outside counter-clockwise, holes clockwise); a line has no vertex twice in a row; kinds stand in the order
of the table. So equal fences are equal values. It stores nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from devices.details import DEFAULT_TEXT_LIMITS_CHARS, check_site_id, checked_place, checked_text
from devices.rings import Rings, check_crossings, invalid, on_earth
from model.device import KIND_CODE, check_device_id
from model.errors import BadInput, UsageError
from model.fence import DAY_MINUTES, EVERY_DAY, Fence, FenceRule, Post, Schedule, Shape

_MIB = 1 << 20
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class FenceLimits:
    """How much of everything.

    Attributes:
        max_fences: fences at a time.
        max_fence_vertices: vertices of one fence.
        max_vertices: vertices of all fences together.
        max_import_bytes: longest GeoJSON text.
        min_radius_m, max_radius_m: radius of a circle, half the width of a corridor.
        max_limit_kmh: highest speed limit.
        max_stay_s: longest stay.
        max_devices: devices named by one fence.
        max_posts: check posts on one fence.
        kept_versions: newest versions of the set that stay readable.
        max_kept_vertices: vertices of what only older versions hold; beyond it the oldest go early.
        texts_chars: longest text by field.
    """

    max_fences: int = 20_000
    max_fence_vertices: int = 20_000
    max_vertices: int = 2_000_000
    max_import_bytes: int = 64 * _MIB
    min_radius_m: float = 1.0
    max_radius_m: float = 200_000.0
    max_limit_kmh: float = 300.0
    max_stay_s: int = 30 * _DAY_S
    max_devices: int = 1_000
    max_posts: int = 100
    kept_versions: int = 100
    max_kept_vertices: int = 4_000_000
    texts_chars: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_TEXT_LIMITS_CHARS))


DEFAULT_FENCE_LIMITS = FenceLimits()


def checked_fence(fence: Fence, limits: FenceLimits, road_classes: Collection[str]) -> Fence:
    """`fence` in the form in which it is kept.

    Args:
        fence: as given; its number is not looked at.
        limits: how much of everything.
        road_classes: names that `road_class` may have.

    Raises UsageError for a value, BadInput (with the place, lon lat) for a shape.
    """
    check_site_id(fence.id)
    _check_rule(fence, limits, road_classes)
    _check_schedule(fence.schedule)
    if not 0 <= fence.line_of_defence <= 3:
        raise UsageError(f"{fence.line_of_defence} is no line of defence.", mend="Write 1 (inner) to 3 (outer).")
    if fence.line_of_defence and fence.shape is Shape.CORRIDOR:
        raise UsageError("A line of defence is no corridor.", mend="Draw the area that it encloses.")
    shaped = _shaped(fence, limits)
    if vertices_of(shaped) > limits.max_fence_vertices:
        raise BadInput(
            f"it has {vertices_of(shaped)} vertices.", mend=f"Simplify it to {limits.max_fence_vertices} at most."
        )
    return replace(
        shaped,
        name=checked_text("name", fence.name, limits.texts_chars),
        kinds=_kinds(fence.kinds),
        devices=_devices(fence, limits),
        posts=_posts(fence.posts, limits),
        limit_kmh=float(fence.limit_kmh),
    )


def vertices_of(fence: Fence) -> int:
    """How many vertices its shape has; a circle has one."""
    if fence.shape is Shape.POLYGON:
        return sum(len(ring) for polygon in fence.polygons for ring in polygon)
    return len(fence.line) if fence.shape is Shape.CORRIDOR else 1


def _check_rule(fence: Fence, limits: FenceLimits, road_classes: Collection[str]) -> None:
    speed = fence.rule is FenceRule.SPEED
    if not speed and (fence.limit_kmh or fence.road_class):
        raise UsageError(
            f"A fence of rule {fence.rule} has no speed limit.", mend="Take limit_kmh and road_class out, or use speed."
        )
    if speed and not (fence.limit_kmh or fence.road_class):
        raise UsageError("There is no speed limit.", mend="Give limit_kmh or road_class.")
    if not 0 <= fence.limit_kmh <= limits.max_limit_kmh:
        raise UsageError(
            f"{fence.limit_kmh:g} km/h is no limit.", mend=f"Write more than 0, at most {limits.max_limit_kmh:g}."
        )
    if fence.road_class and fence.road_class not in road_classes:
        raise UsageError(
            f"{fence.road_class[:40]!r} is no road class.", mend="Use one of " + ", ".join(sorted(road_classes)) + "."
        )
    if fence.rule is FenceRule.STAY:
        if not 1 <= fence.stay_s <= limits.max_stay_s:
            raise UsageError(f"A stay of {fence.stay_s} s.", mend=f"Give stay_s, 1 to {limits.max_stay_s}.")
    elif fence.stay_s:
        raise UsageError(f"A fence of rule {fence.rule} has no stay.", mend="Take stay_s out, or use rule stay.")


def _check_schedule(schedule: Schedule) -> None:
    if not 1 <= schedule.days <= EVERY_DAY:
        raise UsageError("The fence has no day.", mend="Name its days, or leave them out for every day.")
    start, end = schedule.from_min, schedule.to_min
    if not (0 <= start < DAY_MINUTES and 0 <= end <= DAY_MINUTES):
        raise UsageError("The hours are not of a day.", mend="Write 00:00 to 23:59, the end up to 24:00.")
    if start == end:
        raise UsageError("The hours end where they begin.", mend="Leave both out for the whole day.")
    if not -12 * 60 <= schedule.utc_offset_min <= 14 * 60:
        raise UsageError(f"{schedule.utc_offset_min} min is no offset from UTC.", mend="Write -720 to 840.")


def _shaped(fence: Fence, limits: FenceLimits) -> Fence:
    """The fence with its shape in order and nothing of another shape."""
    bare = replace(fence, polygons=(), line=(), center=(0.0, 0.0), radius_m=0.0)
    if fence.shape is Shape.POLYGON:
        return replace(bare, polygons=_polygons(fence))
    if not limits.min_radius_m <= fence.radius_m <= limits.max_radius_m:
        raise UsageError(
            f"A radius of {fence.radius_m:g} m.",
            mend=f"Give radius_m, {limits.min_radius_m:g} to {limits.max_radius_m:g} m.",
        )
    radius_m = float(fence.radius_m)
    if fence.shape is Shape.CIRCLE:
        return replace(bare, center=_vertex(fence.center), radius_m=radius_m)
    given = [_vertex(vertex) for vertex in fence.line]
    line = given[:1] + [here for before, here in pairwise(given) if here != before]
    if len(line) < 2:
        raise invalid("the line has no length", line[0] if line else ())
    return replace(bare, line=tuple(line), radius_m=radius_m)


def _polygons(fence: Fence) -> tuple[tuple[tuple[tuple[float, float], ...], ...], ...]:
    rings: Rings = [[[_vertex(vertex) for vertex in ring] for ring in polygon] for polygon in fence.polygons]
    if not rings or not all(rings):
        raise BadInput("it has no ring.", mend="Draw its outline.")
    for polygon in rings:
        for ring in polygon:
            if len(ring) < 4 or ring[0] != ring[-1]:
                raise invalid("the ring is not closed", ring[-1] if ring else ())
    check_crossings(rings)
    return tuple(tuple(_wound(ring, outside=place == 0) for place, ring in enumerate(polygon)) for polygon in rings)


def _wound(ring: list[tuple[float, float]], *, outside: bool) -> tuple[tuple[float, float], ...]:
    """The ring, turned round where it winds the wrong way."""
    west, south = ring[0]
    # about its first vertex, so that a small ring far from 0, 0 keeps the sign of its area
    twice_area = math.fsum((a[0] - west) * (b[1] - south) - (b[0] - west) * (a[1] - south) for a, b in pairwise(ring))
    return tuple(ring) if (twice_area > 0) == outside else tuple(reversed(ring))


def _vertex(vertex: tuple[float, float]) -> tuple[float, float]:
    lon, lat = float(vertex[0]), float(vertex[1])
    if not on_earth(lon, lat):
        raise invalid("not a lon, lat on the earth", (lon, lat))
    return lon, lat


def _kinds(kinds: tuple[str, ...]) -> tuple[str, ...]:
    for kind in kinds:
        if kind not in KIND_CODE:
            raise UsageError(f"{kind[:40]!r} is no kind of device.", mend="Use one of " + ", ".join(KIND_CODE) + ".")
    return tuple(kind for kind in KIND_CODE if kind in kinds)


def _devices(fence: Fence, limits: FenceLimits) -> tuple[str, ...]:
    if len(fence.devices) > limits.max_devices:
        raise UsageError(f"It names {len(fence.devices)} devices.", mend=f"Name {limits.max_devices} at most.")
    for device in fence.devices:
        if fence.kinds and check_device_id(device).partition("/")[0] not in fence.kinds:
            raise UsageError(f"{device} is of none of the fence's kinds.", mend="Leave kinds out, or the device.")
    return tuple(sorted({check_device_id(device) for device in fence.devices}))


def _posts(posts: tuple[Post, ...], limits: FenceLimits) -> tuple[Post, ...]:
    if len(posts) > limits.max_posts:
        raise UsageError(f"It has {len(posts)} posts.", mend=f"Write {limits.max_posts} at most.")
    for post in posts:
        checked_place(post.lat, post.lon)
    return tuple(
        Post(checked_text("name", post.name, limits.texts_chars), float(post.lat), float(post.lon)) for post in posts
    )
