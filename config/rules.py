"""The settings of the rules: every threshold by which points, statuses and silence become alarms."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from config.base import Section, setting

_DAY_S = 86_400
#: km/h by road class (Road Traffic Safety Law of the PRC, implementing regulations, art. 45 and 78, the upper ends).
ROAD_LIMITS_KMH: dict[str, float] = {
    "expressway": 120.0,
    "urban_expressway": 80.0,
    "arterial": 60.0,
    "street": 50.0,
    "lane": 30.0,
}
#: Road classes at most, and characters of a name.
_MAX_CLASSES = 100
_MAX_NAME_CHARS = 40


def _with_defaults(given: dict[str, float]) -> dict[str, float]:
    for name in given:
        if not name.isprintable() or name != name.strip():
            raise ValueError(f"has a road class {name!r}, which is no plain text")
    return ROAD_LIMITS_KMH | given


RoadLimits = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=_MAX_NAME_CHARS)],
        Annotated[float, Field(ge=5, le=200, allow_inf_nan=False)],
    ],
    Field(max_length=_MAX_CLASSES),
    AfterValidator(_with_defaults),
]


def _as_tuple(given: object) -> object:
    return tuple(given) if isinstance(given, list) else given  # TOML has lists alone


RuleNames = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=_MAX_NAME_CHARS)], ...],
    Field(max_length=50),
    BeforeValidator(_as_tuple),
]


class Rules(Section):
    """Alarm rules · 报警规则"""

    moving_kmh: float = setting(5.0, "at or above this speed a device moves", "速度不低于此值视为移动", ge=0.5, le=30)
    trip_gap_s: int = setting(300, "so long without a fix ends a trip", "多久没有定位即结束行程", ge=10, le=_DAY_S)
    stop_min_s: int = setting(120, "so long without movement is a stop", "多久不移动记为停留", ge=10, le=_DAY_S)
    stop_diameter_m: float = setting(
        50.0,
        "within so many metres, for as long as a stop, a track has a stop",
        "在此直径（米）范围内停留足够久，即记为轨迹中的停留",
        ge=5,
        le=10_000,
    )
    trip_min_s: int = setting(
        60,
        "so long movement, pauses shorter than a stop included, is a trip",
        "移动多久（含短于停留的间歇）记为行程",
        ge=1,
        le=_DAY_S,
    )
    overspeed_kmh: float = setting(
        80.0,
        "speed limit of a taxi where no fence has one",
        "无围栏限速处出租车的限速",
        ge=10,
        le=200,
    )
    overspeed_over_kmh: float = setting(5.0, "tolerance above any speed limit", "超过限速多少以内不报警", ge=0, le=50)
    overspeed_min_s: int = setting(10, "so long above it at a stretch", "连续超速多久才报警", ge=0, le=3_600)
    road_limits_kmh: RoadLimits = setting(
        ROAD_LIMITS_KMH,
        "speed limits by road class, for fences that name a class; classes not named here keep theirs (5 … 200)",
        "各道路等级限速，供只注明等级的围栏使用；未写明的等级取默认值（5 … 200）",
    )
    fatigue_drive_s: int = setting(
        14_400, "driving time of a taxi that is too long", "出租车累计驾驶多久视为疲劳", ge=600, le=_DAY_S
    )
    fatigue_rest_s: int = setting(
        1_200, "a rest so long begins the driving time anew", "休息多久后重新计算驾驶时间", ge=60, le=_DAY_S
    )
    illegal_move_m: float = setting(
        100.0,
        "a taxi farther than this from where its ignition went off is moved",
        "熄火出租车偏离熄火位置超过此距离视为非法位移",
        ge=20,
        le=10_000,
    )
    illegal_move_points: int = setting(2, "so many fixes in a row out there", "连续多少个定位超出才确认", ge=1, le=100)
    taxi_offline_s: int = setting(
        600,
        "silence after which a taxi is offline (0: never)",
        "出租车静默多久视为离线（0 为不报）",
        ge=0,
        le=30 * _DAY_S,
    )
    ebike_offline_s: int = setting(
        _DAY_S,
        "silence after which an e-bike is offline (0: never)",
        "电动自行车静默多久视为离线（0 为不报）",
        ge=0,
        le=90 * _DAY_S,
    )
    unit_offline_s: int = setting(
        600,
        "silence after which a patrol unit is offline (0: never)",
        "巡逻单元静默多久视为离线（0 为不报）",
        ge=0,
        le=30 * _DAY_S,
    )
    button_silent_s: int = setting(
        180,
        "so long without a heartbeat a button is silent (0: never)",
        "按钮多久没有心跳视为失联（0 为不报）",
        ge=0,
        le=30 * _DAY_S,
    )
    tick_gap_s: int = setting(
        5,
        "seconds not watched after which silence counts anew, since an outage of ours says nothing about devices",
        "本系统中断超过多久后静默重新计时（自身中断不代表设备离线）",
        ge=2,
        le=600,
    )
    moved_min_m: float = setting(
        30.0,
        "an armed e-bike at least this far from where it was armed has moved",
        "设防车辆偏离设防位置的最小距离",
        ge=5,
        le=10_000,
    )
    moved_acc_factor: float = setting(
        3.0, "and at least so many times the accuracy of its fix", "且不小于定位精度的倍数", ge=0, le=20
    )
    moved_acc_m: float = setting(
        10.0, "accuracy of a tracker that sends none", "终端不上报精度时取的精度", ge=0, le=1_000
    )
    moved_confirm_points: int = setting(2, "so many fixes in a row out there", "连续多少个定位超出才确认", ge=1, le=100)
    moved_confirm_s: int = setting(10, "over so long at least", "且超出持续的最短时间", ge=0, le=3_600)
    moved_on_factor: float = setting(
        1.0,
        "the last of them farther than the first by so many times that distance (0: need not go on)",
        "其间又远离了该距离的多少倍（0 为不要求继续远离）",
        ge=0,
        le=20,
    )
    moved_stay_s: int = setting(
        1_200,
        "or out there for so long without going on (at that distance; half as long twice as far)",
        "或未继续远离但持续超出的时间（距离加倍则时间减半）",
        ge=0,
        le=86_400,
    )
    low_battery_pct: int = setting(20, "low at or below this charge", "电量不高于此值即告警", ge=0, le=100)
    low_battery_clear_pct: int = setting(
        30, "well again at or above this charge", "电量回升至不低于此值即解除", ge=0, le=100
    )
    stolen_repeat_s: int = setting(
        600,
        "a reported-stolen e-bike that is seen again is told again after so long",
        "被盗车辆再次出现时重复提示的间隔",
        ge=10,
        le=_DAY_S,
    )
    fence_confirm_points: int = setting(
        2,
        "so many fixes in a row on the other side until a device has crossed a fence",
        "连续多少个定位在另一侧才确认越过围栏",
        ge=1,
        le=100,
    )
    fence_confirm_s: int = setting(5, "over so long at least", "且持续的最短时间", ge=0, le=3_600)
    fence_margin_m: float = setting(
        20.0,
        "who was inside a fence has left it when he is farther than this outside; 0: at its line",
        "已在围栏内的设备须超出边界此距离才算驶出；0 表示以边界为准",
        ge=0,
        le=1_000,
    )
    fence_max_inside: int = setting(
        8, "fences in which one device is remembered to be at a time", "单台设备同时记忆所在围栏数", ge=1, le=64
    )
    late_signal_s: int = setting(
        600,
        "what happened longer ago than this when it came is flagged late",
        "发生时间早于到达时间多久即标记迟到",
        ge=1,
        le=30 * _DAY_S,
    )
    off: RuleNames = setting(
        (), "names of rules that do not run (`lucheng rules list`)", "不运行的规则名称（见 `lucheng rules list`）"
    )
