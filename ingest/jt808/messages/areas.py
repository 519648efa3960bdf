"""Areas and routes that a terminal watches by itself: circles, rectangles, polygons, routes.

What an area holds depends on its attribute: bit 0 its times, bit 1 its speeds. Latitude and longitude are magnitudes:
bits 6 and 7 of an area's attribute (2 and 3 of a segment's) say south and west.
Source: JT/T 808-2011, -2013, -2019, chapter 8.
"""

from __future__ import annotations

from collections.abc import Callable

from ingest.wire.fields import BcdTime, Field, Text, Values, u8, u16, u32
from ingest.wire.groups import List, When, since
from ingest.wire.message import Message, Way
from model.codes import Word

_SOURCE = "JT/T 808-2019 8"
_ATTRIBUTE = {
    0: "by_time",
    1: "speed_limit",
    2: "enter_tells_driver",
    3: "enter_tells_platform",
    4: "leave_tells_driver",
    5: "leave_tells_platform",
    6: "south",
    7: "west",
    8: "doors_closed",
    14: "enter_closes_link",
    15: "enter_collects_gnss",
}
_ROUTE = {number: _ATTRIBUTE[number] for number in (0, 2, 3, 4, 5)}
_SEGMENT = {0: "by_duration", 1: "speed_limit", 2: "south", 3: "west"}
_ACTIONS = {0: "update", 1: "append", 2: "change"}
_SHAPES = {1: "circle", 2: "rectangle", 3: "polygon", 4: "route"}


def _bit_of_attribute(bit: int, since_version: int = 0) -> Callable[[Values, int, int], bool]:
    def there(got: Values, version: int, _left: int) -> bool:
        return version >= since_version and bool(got["attribute"]["value"] >> bit & 1)

    return there


def _with(bit: int, field: Field) -> When:
    return When(field, _bit_of_attribute(bit), f"attribute bit {bit}")


def _times() -> tuple[Field, ...]:
    return _with(0, BcdTime("begin")), _with(0, BcdTime("end"))


def _speeds() -> tuple[Field, ...]:
    return _with(1, u16("max_kmh", unit="km/h")), _with(1, u8("overspeed_s", unit="s"))


def _night() -> Field:
    return When(u16("night_max_kmh", unit="km/h"), _bit_of_attribute(1, 2019), "attribute bit 1, since 2019")


def _named() -> Field:
    return since(2019, Text("name", length_size=2))


def _corner(name: str = "") -> tuple[Field, ...]:
    return (
        u32(f"{name}lat", unit="°", scale=1_000_000),
        u32(f"{name}lon", unit="°", scale=1_000_000),
    )


def _circle() -> tuple[Field, ...]:
    return (
        u32("id"),
        u16("attribute", bits=_ATTRIBUTE),
        *_corner(),
        u32("radius_m", unit="m"),
        *_times(),
        *_speeds(),
        _night(),
        _named(),
    )


def _rectangle() -> tuple[Field, ...]:
    return (
        u32("id"),
        u16("attribute", bits=_ATTRIBUTE),
        *_corner("top_left_"),
        *_corner("bottom_right_"),
        *_times(),
        *_speeds(),
        _night(),
        _named(),
    )


def _polygon() -> tuple[Field, ...]:
    return (
        u32("id"),
        u16("attribute", bits=_ATTRIBUTE),
        *_times(),
        *_speeds(),
        List("corners", _corner(), count_size=2),
        _night(),
        _named(),
    )


def _route() -> tuple[Field, ...]:
    return (
        u32("id"),
        u16("attribute", bits=_ROUTE),
        *_times(),
        List(
            "corners",
            (
                u32("id"),
                u32("segment_id", "the segment that begins here"),
                *_corner(),
                u8("width_m", unit="m"),
                u8("attribute", bits=_SEGMENT),
                _with(0, u16("longest_s", unit="s")),
                _with(0, u16("shortest_s", unit="s")),
                *_speeds(),
                _night(),
            ),
            count_size=2,
        ),
        _named(),
    )


def _found(shape: str, name: str, fields: tuple[Field, ...]) -> When:
    return When(
        List(name, fields, count=lambda got: int(got["count"])),
        lambda got, _version, _left: got["shape"] == shape,
        shape,
    )


def _delete(number: int, name: str, en: str, zh: str) -> Message:
    fields = (List("ids", (u32("id"),), "none: all", count_size=1),)
    return Message(number, name, Way.DOWN, Word(en, zh), fields, _SOURCE)


def _set(number: int, name: str, en: str, zh: str, fields: tuple[Field, ...]) -> Message:
    whole = (u8("action", values=_ACTIONS), List("areas", fields, count_size=1))
    return Message(number, name, Way.DOWN, Word(en, zh), whole, _SOURCE)


MESSAGES = (
    _set(0x8600, "set_circles", "sets circles", "设置圆形区域", _circle()),
    _delete(0x8601, "delete_circles", "deletes circles", "删除圆形区域"),
    _set(0x8602, "set_rectangles", "sets rectangles", "设置矩形区域", _rectangle()),
    _delete(0x8603, "delete_rectangles", "deletes rectangles", "删除矩形区域"),
    Message(0x8604, "set_polygon", Way.DOWN, Word("sets a polygon", "设置多边形区域"), _polygon(), _SOURCE),
    _delete(0x8605, "delete_polygons", "deletes polygons", "删除多边形区域"),
    Message(0x8606, "set_route", Way.DOWN, Word("sets a route", "设置路线"), _route(), _SOURCE),
    _delete(0x8607, "delete_routes", "deletes routes", "删除路线"),
    Message(
        0x8608,
        "query_areas",
        Way.DOWN,
        Word("asks for areas or routes", "查询区域或线路数据"),
        (u8("shape", values=_SHAPES), List("ids", (u32("id"),), "none: all", count_size=4)),
        _SOURCE,
    ),
    Message(
        0x0608,
        "areas_answer",
        Way.UP,
        Word("the areas or routes that were asked for", "查询区域或线路数据应答"),
        (
            u8("shape", values=_SHAPES),
            u32("count"),
            _found("circle", "circles", _circle()),
            _found("rectangle", "rectangles", _rectangle()),
            _found("polygon", "polygons", _polygon()),
            _found("route", "routes", _route()),
        ),
        _SOURCE,
    ),
)
