"""The one table of the rules: what each raises, for whom, and the parameters that move it; the reference is generated from it.

Invariants: the order is that in which they run; a name is permanent, signal ids are made with it. Kinds that devices
say themselves (alarm bits and messages) are in it as well, with no rule to run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analytics.meaning.rule import Rule
from analytics.rules.battery import PointBattery
from analytics.rules.button import ButtonBattery, ButtonSilent
from analytics.rules.fatigue import Fatigue
from analytics.rules.fences import FencesRule
from analytics.rules.illegal_move import IllegalMove
from analytics.rules.motion import Motion
from analytics.rules.moved import MovedWhileArmed
from analytics.rules.overspeed import OverspeedRule
from analytics.rules.silence import Silence
from analytics.rules.stolen import StolenSeen
from model.codes import Word


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """One rule.

    Attributes:
        name: as in signal ids and `lucheng rules list`.
        make: makes it with an empty memory; None where the device itself tells and `analytics.rise` lifts the bit.
        raises: kinds of alarm.
        kinds: device kinds that it watches.
        parameters: names in `RuleLimits`; the unit is the end of the name.
        words: when it raises, and when it clears.
    """

    name: str
    make: Callable[[], Rule] | None
    raises: tuple[str, ...]
    kinds: tuple[str, ...]
    parameters: tuple[str, ...]
    words: Word


#: Parameters that every rule goes by: they say what becomes of what it found.
EVERY_RULE: tuple[str, ...] = ("late_signal_s",)
#: Limits that say which rules run at all.
WHICH_RULES: tuple[str, ...] = ("off",)
#: Parameters of trips and stops, which raise nothing.
TRIPS: tuple[str, ...] = ("moving_kmh", "trip_gap_s", "trip_min_s", "stop_min_s", "stop_diameter_m")


def _told(kind: str, device: str, en: str, zh: str) -> RuleEntry:
    """A kind of alarm that the device itself tells, by an alarm message or an alarm bit, and no rule here."""
    by = Word(
        f"{en}: the device says so by an alarm message or an alarm bit; clears with the bit",
        f"{zh}：由设备以报警消息或报警位上报；报警位复位后解除",
    )
    return RuleEntry(kind, None, (kind,), (device,), (), by)


def _seen(kind: str, en: str, zh: str) -> RuleEntry:
    """A kind that is seen in a camera's pictures, in its video worker, and by no rule here."""
    by = Word(f"{en}: seen in its pictures, by its own settings", f"{zh}：由视频分析按该摄像头设置判断")
    return RuleEntry(kind, None, (kind,), ("camera",), (), by)


#: Filled by the modules of this folder, in running order.
RULES: tuple[RuleEntry, ...] = (
    RuleEntry(
        "motion",
        Motion,
        (),
        ("taxi", "ebike", "unit"),
        ("moving_kmh", "trip_gap_s", "trip_min_s", "stop_min_s"),
        Word(
            "raises nothing: counts trips, stops and changes of a taxi's occupancy, and adds up the way driven",
            "不报警：统计行程、停留与出租车载客状态变化，并累计行驶里程",
        ),
    ),
    RuleEntry(
        "moved_while_armed",
        MovedWhileArmed,
        ("moved_while_armed",),
        ("ebike",),
        (
            "moved_min_m",
            "moved_acc_factor",
            "moved_acc_m",
            "moved_confirm_points",
            "moved_confirm_s",
            "moved_on_factor",
            "moved_stay_s",
        ),
        Word(
            "fixes in a row lie beyond the circle about the place where the e-bike was armed, and get farther or stay there; "
            "clears at a fix within, and when it is disarmed",
            "电动自行车设防后，连续多个定位超出设防位置的允许范围，并继续远离或持续停留；回到范围内或撤防后解除",
        ),
    ),
    RuleEntry(
        "stolen_seen",
        StolenSeen,
        ("stolen_seen",),
        ("ebike",),
        ("stolen_repeat_s",),
        Word(
            "an e-bike that is reported stolen reports, or a tag reader sees it; ends with its case",
            "已报失的电动自行车上报数据或被读卡器发现；随案件办结而结束",
        ),
    ),
    RuleEntry(
        "point_battery",
        PointBattery,
        ("low_battery",),
        ("taxi", "ebike"),
        ("low_battery_pct", "low_battery_clear_pct"),
        Word(
            "the charge in a point is at or below the first limit; clears at or above the second",
            "定位数据中的电量不高于告警值；回升至不低于恢复值后解除",
        ),
    ),
    RuleEntry(
        "vibration",
        None,
        ("vibration",),
        ("ebike",),
        (),
        Word(
            "the e-bike's tracker says so by an alarm bit; clears with the bit",
            "由车载终端报警位上报；报警位复位后解除",
        ),
    ),
    RuleEntry(
        "power_cut",
        None,
        ("power_cut",),
        ("taxi", "ebike"),
        (),
        Word("the device says so by an alarm bit; clears with the bit", "由设备报警位上报；报警位复位后解除"),
    ),
    RuleEntry(
        "detached",
        None,
        ("detached",),
        ("ebike",),
        (),
        Word(
            "the e-bike's tracker says so by an alarm bit; clears with the bit",
            "由车载终端报警位上报；报警位复位后解除",
        ),
    ),
    RuleEntry(
        "fences",
        FencesRule,
        ("entered_area", "left_area", "left_fence", "forbidden_area", "stayed_in_area"),
        ("taxi", "ebike", "unit"),
        ("fence_confirm_points", "fence_confirm_s", "fence_margin_m", "fence_max_inside"),
        Word(
            "fixes in a row lie on the other side of a fence in force: entered or stayed too long (clears when it leaves), "
            "left (of an e-bike left_fence; clears when it is back), in a forbidden area (clears when it leaves or the "
            "fence is no longer in force)",
            "连续多个定位位于生效围栏的另一侧：驶入或滞留超时（驶出后解除），驶出（电动自行车为驶出围栏；返回后解除），"
            "进入禁行区域（驶离或围栏失效后解除）",
        ),
    ),
    RuleEntry(
        "overspeed",
        OverspeedRule,
        ("overspeed",),
        ("taxi", "ebike", "unit"),
        ("overspeed_kmh", "overspeed_over_kmh", "overspeed_min_s", "road_limits_kmh", "trip_gap_s"),
        Word(
            "for so long above the lowest limit of the speed fences in force around it, of a taxi else above the general "
            "limit; clears at a fix at or below the limit",
            "持续超过所在限速围栏的最低限速（出租车在围栏外按通用限速）；降至限速以下后解除",
        ),
    ),
    RuleEntry(
        "fatigue",
        Fatigue,
        ("fatigue",),
        ("taxi",),
        ("fatigue_drive_s", "fatigue_rest_s", "moving_kmh", "trip_gap_s"),
        Word(
            "driving adds up to the first limit without a rest as long as the second; clears with such a rest",
            "累计驾驶达到上限且其间没有足够休息；休息足够后解除",
        ),
    ),
    RuleEntry(
        "illegal_move",
        IllegalMove,
        ("illegal_move",),
        ("taxi",),
        ("illegal_move_m", "illegal_move_points"),
        Word(
            "fixes in a row with the ignition off lie away from where it went off; clears when the ignition is on",
            "熄火后连续多个定位偏离熄火位置；点火后解除",
        ),
    ),
    RuleEntry(
        "silence",
        Silence,
        ("offline",),
        ("taxi", "ebike", "unit"),
        ("taxi_offline_s", "ebike_offline_s", "unit_offline_s", "tick_gap_s"),
        Word(
            "no live fix for too long while we listened; clears with the next one",
            "本系统接收正常时，过久没有实时定位；收到下一条即解除",
        ),
    ),
    RuleEntry(
        "button_silent",
        ButtonSilent,
        ("button_silent",),
        ("button",),
        ("button_silent_s", "tick_gap_s"),
        Word(
            "no heartbeat for too long while we listened; clears with the next one",
            "本系统接收正常时，过久没有心跳；收到下一次心跳即解除",
        ),
    ),
    RuleEntry(
        "button_battery",
        ButtonBattery,
        ("low_battery",),
        ("button",),
        ("low_battery_pct", "low_battery_clear_pct"),
        Word(
            "the charge in a heartbeat is at or below the first limit; clears at or above the second",
            "心跳中的电量不高于告警值；回升至不低于恢复值后解除",
        ),
    ),
    _told("sos", "taxi", "the emergency button in the vehicle", "车内紧急按钮"),
    _told("one_key", "button", "the one-key button is pressed", "一键报警按钮被按下"),
    _told("duress", "button", "the hidden sign of duress is given", "使用胁迫暗号"),
    _told("tamper", "button", "the housing is opened", "外壳被打开"),
    _told("collision", "taxi", "the terminal felt a collision", "终端检测到碰撞"),
    _told("rollover", "taxi", "the terminal felt a rollover", "终端检测到侧翻"),
    _told("route_deviation", "taxi", "the terminal left the route it was given", "终端判断偏离规定路线"),
    _told("antenna_cut", "taxi", "the terminal has no antenna", "终端天线断开"),
    _told("camera_fault", "taxi", "the camera in the vehicle fails", "车载摄像头故障"),
    _told("camera_covered", "taxi", "the camera in the vehicle is covered", "车载摄像头被遮挡"),
    _told("driving_warning", "taxi", "the driver assistance warns", "驾驶辅助预警"),
    _told("device_fault", "taxi", "the terminal has a fault", "终端故障"),
    _seen("camera_state", "a camera changed its state; never an alarm", "摄像头状态变化；从不报警"),
    _seen("camera_black", "the picture is black", "画面全黑"),
    _seen("camera_frozen", "the picture stands still though time goes on", "画面静止而时间继续"),
    _seen("camera_defocused", "the picture has lost its sharpness", "画面失焦"),
    _seen("camera_moved", "the camera looks elsewhere", "摄像头指向改变"),
    _seen("camera_corrupted", "pictures are damaged", "画面损坏"),
    _seen("motion_in_zone", "something moves in a zone of the camera's settings", "设置的区域内有动静"),
    _seen("line_crossed", "an object crosses a line of the camera's settings", "目标越过设置的界线"),
    _seen("object_in_zone", "an object enters, stays or is one too many in a zone", "目标进入、滞留或超出区域数量"),
)
