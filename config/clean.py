"""The settings of cleaning: every threshold that `analytics` judges by."""

from __future__ import annotations

from config.base import DAY_MS, Section, setting

_HOUR_MS = 3_600_000


class Clean(Section):
    """Cleaning of points · 点的清洗"""

    max_speed_kmh: float = setting(
        180.0,
        "speed between two points beyond which the second is marked jump",
        "两点间速度超过此值标记为跳点",
        ge=10,
        le=2_000,
    )
    jump_min_m: float = setting(
        50.0, "a shorter leg is noise, not a jump", "两点距离小于此值视为噪声而非跳点", ge=0, le=10_000
    )
    max_ahead_ms: int = setting(
        DAY_MS,
        "how far ahead of us a point may be before it is quarantined",
        "时间超前多少毫秒即隔离",
        ge=1_000,
        le=31 * DAY_MS,
    )
    max_live_age_ms: int = setting(
        30 * DAY_MS,
        "how old a live, unbuffered point may be before it is quarantined",
        "实时点的时间早于当前多少毫秒即隔离",
        ge=60_000,
        le=3_650 * DAY_MS,
    )
    clock_tolerance_ms: int = setting(
        120_000,
        "difference between device clock and ours that counts as right",
        "设备时钟与本机相差多少毫秒以内视为正确",
        ge=1_000,
        le=440_000,
    )
    max_offset_ms: int = setting(
        14 * _HOUR_MS,
        "largest constant clock offset that is recognised",
        "可识别的最大恒定时钟偏差",
        ge=0,
        le=30 * _HOUR_MS,
    )
    clock_points: int = setting(
        3, "points in a row that prove a constant clock offset", "连续多少点可确认恒定时钟偏差", ge=2, le=100
    )
    frozen_after_points: int = setting(
        3, "points with the same time that prove a frozen clock", "同一时间的多少个点可确认时钟停走", ge=2, le=250
    )
    frozen_span_ms: int = setting(
        2_000, "time over which those points have to come in", "上述各点的接收时间跨度下限", ge=0, le=DAY_MS
    )
    null_island_deg: float = setting(
        1e-4, "a place nearer to 0/0 than this is none", "距 0/0 小于此值视为无坐标", ge=0, le=1
    )
    max_value_speed_kmh: float = setting(
        1_000.0,
        "a higher speed that a device sends counts as not sent",
        "设备上报速度高于此值视为未上报",
        ge=100,
        le=10_000,
    )
    max_acc_m: float = setting(
        100_000.0,
        "a larger accuracy that a device sends counts as not sent",
        "设备上报精度大于此值视为未上报",
        ge=100,
        le=1e6,
    )
    max_seq_gap_points: int = setting(
        100_000,
        "a larger step of a device's count is a new run, not a loss",
        "序号跳变超过此值视为重新计数",
        ge=1,
        le=10**9,
    )
    late_alarm_ms: int = setting(
        600_000,
        "an alarm older than this when it comes is flagged late",
        "警情到达时早于当前多少毫秒即标记迟到",
        ge=1_000,
        le=30 * DAY_MS,
    )
    episode_pad_ms: int = setting(
        60_000,
        "a late alarm bit this near to a known rise of it is that rise",
        "迟到报警位与已知触发相距不足此值视为同一次",
        ge=0,
        le=DAY_MS,
    )
    max_episodes: int = setting(
        50_000, "alarm-bit episodes remembered of the whole fleet", "全网记忆的报警位区间数", ge=100, le=10_000_000
    )
