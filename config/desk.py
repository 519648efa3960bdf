"""The settings of the desk: how long people may take, how alarms are escalated, what is a flood."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from config.base import PhoneNumber, Section, setting
from model.codes import ALARM_BY_NAME

_DAY_S = 86_400


def _known_kinds(given: dict[str, int]) -> dict[str, int]:
    for kind in given:
        if kind not in ALARM_BY_NAME:
            raise ValueError(f"has {kind[:40]!r}, which is no kind of alarm")
    return given


Severities = Annotated[dict[str, Annotated[int, Field(ge=1, le=3)]], AfterValidator(_known_kinds)]


class Desk(Section):
    """The alarm desk · 接警台"""

    reopen_s: int = setting(
        900,
        "a signal so soon after closing opens the alarm again instead of making one",
        "结案后多少秒内再次触发则重新打开原警情",
        ge=0,
        le=_DAY_S,
    )
    hold_off_s: int = setting(
        60,
        "how long the cause of a technical alarm has to be gone before it resolves itself",
        "技术类警情原因消失多久后自动恢复",
        ge=0,
        le=_DAY_S,
    )
    close_settled_s: int = setting(
        900,
        "how long after that the system closes it",
        "自动恢复后多久由系统结案",
        ge=0,
        le=31 * _DAY_S,
    )
    all_seats_s: int = setting(
        30, "unacknowledged for so long, it rings at all seats", "多久无人接警则通知所有席位", ge=1, le=3_600
    )
    shift_lead_s: int = setting(60, "… and at the shift lead's", "多久无人接警则通知值班长", ge=1, le=7_200)
    duty_officer_s: int = setting(180, "… and at the duty officer's", "多久无人接警则通知值班领导", ge=1, le=_DAY_S)
    dispatch_within_s: int = setting(
        60,
        "how long an acknowledged alarm may wait for a unit before the ladder goes on",
        "接警后多久未派警则继续升级",
        ge=1,
        le=_DAY_S,
    )
    escalate_severity: int = setting(
        2,
        "alarms of this severity or higher are escalated (1 is the highest)",
        "该级别及以上的警情升级（1 为最高）",
        ge=1,
        le=3,
    )
    response_severity: int = setting(
        2,
        "alarms of this severity or higher have the 300-second clock watched",
        "该级别及以上的警情监督 300 秒时限",
        ge=1,
        le=3,
    )
    severity: Severities = setting(
        {},
        "kind to a severity higher than its own, e.g. {offline = 2}; it never lowers one",
        "按警情类型提高级别，如 {offline = 2}；只升不降",
    )
    flood_alarms: int = setting(
        10,
        "more alarms than this within ten minutes are a flood, and more of one kind and area fold into one row",
        "十分钟内超过此数视为警情泛滥，同类同辖区的合并为一行",
        ge=1,
        le=10_000,
    )
    max_transaction_signals: int = setting(
        50,
        "signals kept in one transaction of a large batch; between two of them severity 1 goes first",
        "大批量时单个事务的信号数；两个事务之间一级警情优先",
        ge=1,
        le=10_000,
    )
    max_answers: int = setting(
        100_000, "answers to devices kept until they are sent", "待发给设备的应答保留上限", ge=100, le=10_000_000
    )
    feed_events: int = setting(
        4_096, "newest events of alarms served from memory", "内存中保留的最新警情事件数", ge=16, le=1_000_000
    )
    phone_number: PhoneNumber = setting(
        "",
        "number that a taxi's terminal dials for a call or a listen-in; empty: neither can be had",
        "通话与监听时终端回拨的号码；留空则不可用",
    )
