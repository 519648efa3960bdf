"""The settings of several processes that share one city: who this one is, and what they tell each other."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from config.base import Section, setting


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


NodeName = Annotated[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$")] | None, BeforeValidator(_empty_is_none)
]


class Cluster(Section):
    """Several processes, past one machine (nats.mode = "log") · 多进程、多机部署（nats.mode = "log"）"""

    node: NodeName = setting(
        None,
        "name of this process, unlike all others; empty: the host's name and the process id",
        "本进程名称，不可重名；留空则用主机名加进程号",
    )
    beat_s: float = setting(
        2.0, "how often a process tells the others that it is there", "进程报到间隔（秒）", ge=0.1, le=60
    )
    expire_s: float = setting(
        6.0,
        "how long it counts as there after it was last heard of",
        "多久未报到即视为离开（秒）",
        ge=0.5,
        le=600,
    )
    max_clock_skew_ms: int = setting(
        1_000,
        "how far a host's clock may be from the nats-servers' before it is named",
        "主机时钟与 nats-server 相差多少即点名提示（毫秒）",
        ge=10,
        le=600_000,
    )
    max_lag_records: int = setting(
        100_000,
        "records of one partition that nobody has done, beyond which nothing more is accepted until they are",
        "单个分区未处理记录数上限，达到后暂停接收直至追上",
        ge=100,
        le=100_000_000,
    )
    max_stream_fill_pct: int = setting(
        90,
        "how full a partition's stream may be before nothing more is accepted until it was trimmed",
        "分区流的占用率上限（%），达到后暂停接收直至清理",
        ge=10,
        le=100,
    )
    gather_ms: int = setting(
        200,
        "how long a partition's points are gathered between two steps of its worker, unless one has an alarm bit of severity 1 "
        "(0: not at all); a step costs the same for one point and for thousands",
        "分区两次处理之间合并定位点的时间（毫秒；含一级警情位的点立即处理，0 为不合并）；每次处理的固定开销与点数无关",
        ge=0,
        le=10_000,
    )
    live_ms: int = setting(
        500,
        "how long places are gathered before they go to the consoles",
        "位置发往控制台前的合并时间（毫秒）",
        ge=10,
        le=60_000,
    )
    live_max_rows: int = setting(
        20_000, "places in one message to the consoles", "单条位置消息的行数上限", ge=100, le=100_000
    )
    settle_s: float = setting(
        5.0,
        "how long a process is there before others give partitions back for it to take",
        "新进程稳定多久后，其他进程才让出分区（秒）",
        ge=0.1,
        le=600,
    )


#: Pairs of which the first may not be above the second.
CLUSTER_ORDER = (("cluster.beat_s", "cluster.expire_s"),)
