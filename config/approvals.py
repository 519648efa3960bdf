"""The settings of what needs a second person: which reads are wide, and how long and how often an approval holds."""

from __future__ import annotations

from config.base import Section, setting

_DAY_S = 86_400


class Approvals(Section):
    """What needs a second person · 双人审批"""

    wide_vehicles: int = setting(
        50,
        "a read of the past of more vehicles at once needs a second person's approval",
        "一次查询的车辆数超过此值须经他人审批",
        ge=0,
        le=2_000_000,
    )
    wide_age_days: int = setting(
        30,
        "a replay, search, report or export that goes further back than so many days needs one, too; 0: age alone asks for none",
        "回放、搜索、报表或导出的时间早于此天数也须审批；0 为不因时间久远而审批",
        ge=0,
        le=3_650,
    )
    bulk_vehicle_days: int = setting(
        50,
        "an export of more vehicle-days (vehicles times begun days) is a bulk export and needs one, too",
        "导出的“车·日”数（车辆数 × 天数，不足一天按一天）超过此值为批量导出，也须审批",
        ge=0,
        le=100_000_000,
    )
    answer_within_s: int = setting(
        _DAY_S, "seconds in which somebody has to answer a request", "申请须在多少秒内答复", ge=60, le=30 * _DAY_S
    )
    valid_s: int = setting(
        8 * 3_600, "seconds for which an approval holds", "批准后的有效时间（秒）", ge=60, le=7 * _DAY_S
    )
    max_uses: int = setting(5, "reads for which an approval holds", "一次批准可使用的次数", ge=1, le=1_000)
    max_open: int = setting(
        20, "requests of one person that wait at a time", "每人同时待审批的申请数上限", ge=1, le=1_000
    )
    review_within_s: int = setting(
        _DAY_S,
        "seconds in which another person has to review a break-glass, else the next one is refused",
        "紧急越权查询须在多少秒内由他人复核，逾期则拒绝下一次",
        ge=60,
        le=_DAY_S,
    )
    max_unreviewed: int = setting(
        3,
        "break-glasses of one person that nobody has reviewed yet",
        "每人未复核的紧急越权查询次数上限",
        ge=1,
        le=100,
    )
