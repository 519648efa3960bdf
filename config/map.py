"""The settings of the console's map: what is under it, and how much of what moves on it is shown."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from config.base import GIB, KIB, MIB, OptionalText, Section, setting

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,120}", re.ASCII)
#: What may stand in a tile server's address: it is written into a page's security policy.
_TILES_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(?:/[A-Za-z0-9._~%{}=&?/@+\-]*)?", re.ASCII)
_MAX_URL_CHARS = 500


def _file_name(text: str | None) -> str | None:
    if text is not None and not _FILE_NAME.fullmatch(text):
        raise ValueError("has to be the name of a file in the data folder's `map`, without a folder: A-Z a-z 0-9 _ - .")
    return text


def _tiles_url(text: str | None) -> str | None:
    if text is None:
        return None
    form = "has to look like https://tiles.city.local/{z}/{x}/{y}.png, without user and password"
    if len(text) > _MAX_URL_CHARS or not _TILES_URL.fullmatch(text):
        raise ValueError(form)
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(form) from error
    if not named or parts.username is not None or any("{" + one + "}" not in text for one in "zxy"):
        raise ValueError(form)
    return text


FileName = Annotated[
    str | None, AfterValidator(_file_name), BeforeValidator(lambda value: None if value == "" else value)
]
TilesUrl = Annotated[
    str | None, AfterValidator(_tiles_url), BeforeValidator(lambda value: None if value == "" else value)
]


class Map(Section):
    """The console's map and its live stream · 控制台地图与实时推送"""

    tiles_url: TilesUrl = setting(
        None,
        "a tile server, https://host/{z}/{x}/{y}.png; goes before a tiles file",
        "瓦片服务器地址，https://主机/{z}/{x}/{y}.png；优先于瓦片文件",
    )
    tiles_file: FileName = setting(
        None,
        "a PMTiles file in the data folder's `map`; goes before the roads",
        "数据目录 map 子目录中的 PMTiles 瓦片文件；优先于道路文件",
    )
    tiles_datum: Literal["wgs84", "gcj02"] = setting(
        "wgs84", "the datum of those tiles; places are turned to it as they are drawn", "瓦片所用坐标系，绘制时自动转换"
    )
    tiles_max_zoom: int = setting(19, "the finest zoom a tile server has", "瓦片服务器最大级别", ge=1, le=24)
    tile_size_px: int = setting(256, "the size of a tile server's tiles", "瓦片服务器的瓦片像素", ge=64, le=2_048)
    attribution: OptionalText = setting(None, "whose map it is, shown in its corner", "地图角上的版权说明")
    roads_file: FileName = setting(
        "roads.geojson",
        "roads in the data folder's `map` (GeoJSON lines, WGS-84), drawn where there are no tiles",
        "数据目录 map 子目录中的道路文件（GeoJSON 线，WGS-84），无瓦片时绘制",
    )
    max_roads_bytes: int = setting(64 * MIB, "size of that file", "道路文件字节上限", ge=KIB, le=GIB)
    center_lat: float = setting(40.65, "where the map begins: latitude", "地图初始中心纬度", ge=-85, le=85)
    center_lon: float = setting(109.84, "… and longitude, both WGS-84", "地图初始中心经度（WGS-84）", ge=-180, le=180)
    zoom: float = setting(11.0, "… and zoom", "地图初始级别", ge=0, le=22)
    max_viewers: int = setting(256, "streams of events at a time", "同时实时连接数上限", ge=1, le=10_000)
    max_viewers_per_user: int = setting(16, "… of one user", "单用户实时连接数上限", ge=1, le=1_000)
    max_vehicles: int = setting(
        8_000,
        "vehicles shown one by one in a viewport; more are clusters",
        "单视窗逐个显示的车辆数，超过则聚合",
        ge=10,
        le=100_000,
    )
    max_points: int = setting(
        2_000,
        "cameras or sites shown one by one in a viewport; more are clusters",
        "单视窗逐个显示的摄像头或场所数，超过则聚合",
        ge=10,
        le=20_000,
    )
    max_shape_vertices: int = setting(
        200_000,
        "vertices of the outlines in one answer; beyond them outlines are drawn more coarsely",
        "单次应答的轮廓顶点数，超过则简化",
        ge=1_000,
        le=10_000_000,
    )
    max_follow: int = setting(16, "devices that one viewport follows", "单视窗跟随的设备数上限", ge=0, le=1_000)
    refresh_ms: int = setting(
        1_000, "time between two pictures of where devices are", "位置刷新间隔", ge=100, le=60_000
    )
    beat_s: float = setting(5.0, "how often a stream says that it lives", "实时连接心跳间隔（秒）", ge=0.5, le=60)
    stall_s: float = setting(
        15.0,
        "a stream whose reader takes nothing for so long is closed; it goes on by its number",
        "实时连接多久不接收即断开（可凭编号续传），秒",
        ge=1,
        le=600,
    )
