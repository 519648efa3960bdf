"""The metrics of the service as one table, and their exposition in Prometheus' text format.

The table is the contract: the reference is generated from it, and a value whose name is not in the
table is an error. It counts nothing itself: values come from the stores' own counters, so a metric
cannot disagree with `lucheng status`.
Source: Prometheus exposition formats, text format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from model.codes import Word

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric.

    Attributes:
        name: without the prefix `lucheng_` and without a counter's `_total`.
        kind: `counter` only grows (over restarts too, for it is kept in the store); `gauge` may fall.
        unit: of the value; `1` for counts.
        label: name of its one label, or "".
        help: what it says.
    """

    name: str
    kind: Literal["counter", "gauge"]
    unit: str
    label: str
    help: Word


METRICS: tuple[MetricRow, ...] = (
    MetricRow(
        "points_received", "counter", "1", "", Word("points taken into the log, durable", "已持久写入日志的定位点数")
    ),
    MetricRow("points_stored", "counter", "1", "", Word("points stored in the series", "已入库的定位点数")),
    MetricRow("points_duplicate", "counter", "1", "", Word("points that were known already", "重复的定位点数")),
    MetricRow(
        "points_quarantined", "counter", "1", "reason", Word("points quarantined, by reason", "按原因隔离的定位点数")
    ),
    MetricRow(
        "points_in_flight",
        "gauge",
        "1",
        "",
        Word("points in the log that are not accounted yet", "日志中尚未处理的定位点数"),
    ),
    MetricRow("counted", "counter", "1", "name", Word("other counters of the pipeline, by name", "流水线其他计数")),
    MetricRow("log_position", "gauge", "1", "log", Word("position of the newest record", "日志最新记录位置")),
    MetricRow("log_consumed", "gauge", "1", "", Word("position up to which points are stored", "已入库到的日志位置")),
    MetricRow("devices", "gauge", "1", "kind", Word("registered devices, by kind", "各类已登记设备数")),
    MetricRow("signals", "counter", "1", "kind", Word("signals kept", "已保存的信号数")),
    MetricRow(
        "approvals",
        "gauge",
        "1",
        "state",
        Word(
            "wide reads that wait for a second person, and break-glasses to be reviewed and overdue",
            "待审批的大范围查询数，以及待复核与逾期未复核的紧急越权查询数",
        ),
    ),
    MetricRow(
        "trips", "counter", "1", "", Word("trips that ended, live and from files", "已结束的行程数（实时与文件）")
    ),
    MetricRow("stops", "counter", "1", "", Word("stops of vehicles, live and from files", "车辆停留数（实时与文件）")),
    MetricRow("live", "gauge", "1", "name", Word("state of the running service, by name", "运行中服务的状态值")),
)
#: Past one machine: of the whole cluster, told by each desk.
CLUSTER_METRICS: tuple[MetricRow, ...] = (
    MetricRow("cluster_nodes", "gauge", "1", "role", Word("processes that are there, by role", "各角色在线进程数")),
    MetricRow(
        "cluster_lag",
        "gauge",
        "1",
        "partition",
        Word("records that nobody has done, by partition", "各分区未处理记录数"),
    ),
    MetricRow(
        "cluster_held", "gauge", "1", "partition", Word("whether somebody who is there holds it", "各分区是否有人负责")
    ),
    MetricRow(
        "cluster_epoch",
        "gauge",
        "1",
        "partition",
        Word("number of its last taking; grows with each", "各分区接管序号，逐次递增"),
    ),
    MetricRow(
        "cluster_copies_behind",
        "gauge",
        "1",
        "partition",
        Word(
            "copies of its stream that are behind or away: no other nats-server may be lost",
            "各分区落后或离线的副本数；此时不可再失去其他 nats-server",
        ),
    ),
    MetricRow(
        "cluster_fill", "gauge", "1", "partition", Word("how full its stream is, 0 to 1", "各分区流的占用率（0–1）")
    ),
    MetricRow(
        "cluster_clock_ahead",
        "gauge",
        "s",
        "node",
        Word("how far a process's clock is ahead of the nats-servers'", "各进程时钟比 nats-server 快多少"),
    ),
)
METRIC_BY_NAME = {row.name: row for row in (*METRICS, *CLUSTER_METRICS)}


class _Values:
    """A collector over values that were taken a moment ago."""

    def __init__(self, values: Mapping[str, float | Mapping[str, float]]) -> None:
        self._values = values

    def collect(self) -> Iterable[Metric]:
        for name, value in self._values.items():
            row = METRIC_BY_NAME[name]
            family: CounterMetricFamily | GaugeMetricFamily
            text = f"{row.help.en} / {row.help.zh}"
            labels = [row.label] if row.label else []
            if row.kind == "counter":
                family = CounterMetricFamily(f"lucheng_{name}", text, labels=labels)
            else:
                family = GaugeMetricFamily(f"lucheng_{name}", text, labels=labels)
            if isinstance(value, Mapping):
                for label, number in sorted(value.items()):
                    family.add_metric([label], float(number))
            else:
                family.add_metric([], float(value))
            yield family


def exposition(values: Mapping[str, float | Mapping[str, float]]) -> bytes:
    """Prometheus text of `values` (name of a `METRICS` row to a number, or to numbers by label).

    Raises KeyError for a name that is not in the table.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Values(values))
    return generate_latest(registry)
