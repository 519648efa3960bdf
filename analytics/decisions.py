"""What the analytics decide about a point, in one table; the reference document is generated from it.

Purpose: one place that says under which condition a point is corrected, marked, has a value set to
missing, or goes to quarantine, and which setting moves the border. Invariants: every mark and every
reason that the analytics give is in it (a test holds that). It decides nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from analytics.limits import CleanLimits
from model.codes import Mark, Reason, Word


class Verdict(StrEnum):
    """What becomes of the point."""

    QUARANTINED = "quarantined"
    CORRECTED = "corrected and marked"
    MARKED = "kept and marked"
    CLEARED = "kept, the value set to missing"
    DROPPED = "counted as duplicate"


VERDICT_ZH: dict[Verdict, str] = {
    Verdict.QUARANTINED: "隔离",
    Verdict.CORRECTED: "修正并标记",
    Verdict.MARKED: "保留并标记",
    Verdict.CLEARED: "保留，该值置空",
    Verdict.DROPPED: "计为重复",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """One rule.

    Attributes:
        stage: module that decides.
        verdict: what becomes of the point.
        code: the mark, the reason, or None.
        settings: names in `CleanLimits` that move the border; the unit is the end of the name.
        live_only: True when buffered points (files, replays, a device's own store) are taken as they are.
        words: the condition.
    """

    stage: str
    verdict: Verdict
    code: Mark | Reason | None
    settings: tuple[str, ...]
    live_only: bool
    words: Word


def _rule(
    stage: str,
    verdict: Verdict,
    code: Mark | Reason | None,
    en: str,
    zh: str,
    *settings: str,
    live_only: bool = False,
) -> Decision:
    return Decision(stage, verdict, code, settings, live_only, Word(en, zh))


DECISIONS: tuple[Decision, ...] = (
    _rule("validate", Verdict.QUARANTINED, Reason.UNKNOWN_DEVICE, "the slot is none of the registry's", "槽位不在登记范围内", "max_slots"),
    _rule("validate", Verdict.QUARANTINED, Reason.NOT_A_NUMBER, "latitude or longitude is NaN or infinite", "经纬度为非数值或无穷大"),
    _rule("validate", Verdict.QUARANTINED, Reason.OUT_OF_RANGE, "latitude beyond ±90°, longitude beyond ±180°, or a time outside the range", "纬度超出±90°、经度超出±180°或时间超出范围", "min_time_ms", "max_time_ms"),
    _rule("validate", Verdict.QUARANTINED, Reason.NULL_ISLAND, "latitude and longitude both this near to 0", "经纬度均接近零", "null_island_deg"),
    _rule("validate", Verdict.CLEARED, None, "speed negative or above the limit", "速度为负或超过上限", "max_speed_kmh"),
    _rule("validate", Verdict.CLEARED, None, "heading outside 0 to 360°", "航向超出 0 至 360°"),
    _rule("validate", Verdict.CLEARED, None, "altitude outside the range", "海拔超出范围", "min_alt_m", "max_alt_m"),
    _rule("validate", Verdict.CLEARED, None, "accuracy negative or above the limit", "精度为负或超过上限", "max_acc_m"),
    _rule("validate", Verdict.CLEARED, None, "satellites, battery or seq outside their range", "卫星数、电量或序号超出范围", "max_sat"),
    _rule("clock", Verdict.CORRECTED, Mark.WEEK_ROLLOVER, "behind the receive time by 1024 or 2048 weeks, within max_ahead_ms: the weeks are added", "落后 1024 或 2048 周（误差不超过 max_ahead_ms）：补回周数", "max_ahead_ms", live_only=True),
    _rule("clock", Verdict.CORRECTED, Mark.CLOCK_CORRECTED, "ahead by a whole multiple of the step, within the tolerance, or by up to the device's established offset: the offset is taken off", "超前整数倍步长（在容差内），或不超过已确认的偏差：扣除偏差", "offset_step_ms", "max_offset_ms", "clock_tolerance_ms", "offset_points", live_only=True),
    _rule("clock", Verdict.MARKED, Mark.CLOCK_AHEAD, "ahead by more than the tolerance and (live) by no such offset; does not count as the device's newest", "超前超过容差且不符合固定偏差；不作为设备最新时间", "clock_tolerance_ms", "max_ahead_ms"),
    _rule("clock", Verdict.MARKED, Mark.CLOCK_BEHIND, "behind by the same multiple of the step for so many points in a row; the time is kept", "连续多个定位落后相同的整数倍步长；时间保留", "offset_step_ms", "offset_points", "clock_tolerance_ms", live_only=True),
    _rule("clock", Verdict.QUARANTINED, Reason.FUTURE, "farther ahead of the receive time than this, after correction", "修正后仍超前超过限值", "max_ahead_ms"),
    _rule("clock", Verdict.QUARANTINED, Reason.STALE_CLOCK, "a live point older than this, after correction", "修正后实时定位仍早于限值", "max_live_age_ms", live_only=True),
    _rule("order", Verdict.DROPPED, None, "the same device, time and identity came before", "相同设备、时间和标识已到达"),
    _rule("order", Verdict.MARKED, Mark.LATE, "an older time than the device's newest so far", "时间早于该设备已到达的最新时间"),
    _rule("order", Verdict.MARKED, Mark.SAME_TIME, "another point with the same time came before", "相同时间的另一定位已到达"),
    _rule("clean", Verdict.MARKED, Mark.JUMP, "the leg from the point before is faster and longer than these", "与前一点之间的速度和距离均超过限值", "max_jump_speed_kmh", "jump_min_m"),
    _rule("clean", Verdict.MARKED, Mark.FROZEN_CLOCK, "so many different points with one time, received over at least this span", "多个不同定位时间相同，且接收跨度达到限值", "frozen_points", "frozen_span_ms", live_only=True),
    _rule("clean", Verdict.MARKED, Mark.NO_FIX, "the device says that the fix is not valid", "设备自报定位无效"),
)  # fmt: skip


def reference(limits: CleanLimits | None = None) -> str:
    """The table as Markdown, with the settings' values and units, in both languages."""
    limits = limits or CleanLimits()
    lines = [
        "| stage | condition / 条件 | verdict / 处置 | code | setting | live only |",
        "|---|---|---|---|---|---|",
    ]
    for rule in DECISIONS:
        code = "" if rule.code is None else str(rule.code.name).lower()
        settings = ", ".join(f"`{name}` = {getattr(limits, name):g}" for name in rule.settings)
        lines.append(
            f"| {rule.stage} | {rule.words.en} / {rule.words.zh} | {rule.verdict} / {VERDICT_ZH[rule.verdict]} "
            f"| {code} | {settings} | {'yes' if rule.live_only else ''} |"
        )
    return "\n".join(lines) + "\n"
