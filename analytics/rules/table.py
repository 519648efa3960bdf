"""The one table of the rules: what each raises, for whom, and the parameters that move it; the reference is generated from it.

Invariants: the order is that in which they run; a name is permanent, signal ids are made with it. Kinds that devices
say themselves (alarm bits and messages) are in it as well, with no rule to run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analytics.meaning.rule import Rule
from analytics.rules.battery import PointBattery
from analytics.rules.moved import MovedWhileArmed
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


#: Filled by the modules of this folder, in running order.
RULES: tuple[RuleEntry, ...] = (
    RuleEntry(
        "moved_while_armed",
        MovedWhileArmed,
        ("moved_while_armed",),
        ("ebike",),
        ("moved_min_m", "moved_acc_factor", "moved_acc_m", "moved_confirm_points", "moved_confirm_s"),
        Word(
            "fixes in a row lie beyond the circle about the place where the e-bike was armed; "
            "clears at a fix within, and when it is disarmed",
            "电动自行车设防后，连续多个定位超出设防位置的允许范围；回到范围内或撤防后解除",
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
        Word("the e-bike's tracker says so by an alarm bit; clears with the bit", "由车载终端报警位上报；报警位复位后解除"),
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
        Word("the e-bike's tracker says so by an alarm bit; clears with the bit", "由车载终端报警位上报；报警位复位后解除"),
    ),
)
