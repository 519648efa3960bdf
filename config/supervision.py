"""The settings of the daily supervision of vehicles."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from config.base import Section, setting

_MAX_BANDS = 10


def _as_tuple(given: object) -> object:
    return tuple(given) if isinstance(given, list) else given  # TOML has lists alone


def _ascending(given: tuple[int, ...]) -> tuple[int, ...]:
    if list(given) != sorted(set(given)):
        raise ValueError("has to ascend, e.g. [10, 20, 50]")
    return given


Edges = Annotated[
    tuple[Annotated[int, Field(ge=1, le=500)], ...],
    Field(max_length=_MAX_BANDS),
    BeforeValidator(_as_tuple),
    AfterValidator(_ascending),
]


class Supervision(Section):
    """The daily supervision of taxis · 出租车每日监管"""

    overspeed_bands_pct: Edges = setting(
        (10, 20, 50),
        "percent above the limit at which the next band of overspeed begins",
        "超速分档界限（超过限速的百分比）",
    )
    drift_points: int = setting(
        5,
        "fixes that jump in a day that make a vehicle one that drifts",
        "一日内跳变定位达此数即为漂移车辆",
        ge=1,
        le=100_000,
    )
    max_points: int = setting(
        80_000_000,
        "points of one report; each takes 22 bytes of memory while the day is gathered",
        "单份报表的定位点上限；汇集期间每点占 22 字节内存",
        ge=10_000,
        le=1_000_000_000,
    )
    html_rows: int = setting(
        1_000,
        "rows of evidence shown in the HTML of a report (each list; CSV and JSON have all)",
        "HTML 报表中每类证据显示的行数（CSV 与 JSON 为全部）",
        ge=10,
        le=100_000,
    )
