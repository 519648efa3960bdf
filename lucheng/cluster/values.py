"""What a process of the cluster says of itself besides `lucheng.live_values`, by name: for `status`, the metrics and the reference."""

from __future__ import annotations

from lucheng.live_values import LiveValue
from lucheng.video.sharing.values import SHARING_VALUES
from model.codes import Word

CLUSTER_VALUES: tuple[LiveValue, ...] = (
    LiveValue("cluster_nodes", "1", Word("processes of the cluster that are there", "集群中在线的进程数")),
    LiveValue(
        "cluster_clock_ahead_ms",
        "ms",
        Word("how far this host's clock is ahead of the nats-servers'", "本机时钟比 nats-server 快多少"),
    ),
    LiveValue("cluster_partitions_held", "1", Word("partitions that this process works on", "本进程负责的分区数")),
    LiveValue("cluster_partitions_taken", "1", Word("times that it took one", "接管分区的次数")),
    LiveValue("cluster_partitions_lost", "1", Word("times that it let one go", "交出分区的次数")),
    LiveValue(
        "cluster_take_over_s",
        "s",
        Word("snapshot and replay of the slowest partition it holds took", "所持分区恢复状态的最长用时"),
    ),
    LiveValue("cluster_facts_written", "1", Word("facts told to the rules", "写入日志的规则事实数")),
    LiveValue("cluster_on_duty", "1", Word("whether this desk is on duty", "本指挥台进程是否当值")),
    LiveValue("cluster_duties_taken", "1", Word("times that it took the duty", "接过当值的次数")),
    LiveValue("cluster_live_messages", "1", Word("messages of places sent", "已发送的位置消息数")),
    LiveValue("cluster_live_received", "1", Word("messages of places received", "已收到的位置消息数")),
    LiveValue(
        "cluster_live_lost",
        "1",
        Word("of these, passed over because the console was slow", "因处理不及而略过的位置消息数"),
    ),
    LiveValue(
        "cluster_lag_records",
        "1",
        Word("records of the partition that is farthest behind, not done", "最落后分区的未处理记录数"),
    ),
    LiveValue("cluster_stream_fill_pct", "%", Word("the fullest stream of points", "最满的点流占用率")),
    LiveValue("cluster_gate_open", "1", Word("whether points are taken in", "是否接收定位点")),
    LiveValue(
        "mqtt_door_let_in",
        "1",
        Word("devices let in at the nats-servers' MQTT listener", "经 nats-server MQTT 接入放行的设备次数"),
    ),
    LiveValue(
        "mqtt_door_turned_away",
        "1",
        Word("devices turned away there", "经 nats-server MQTT 接入拒绝的次数"),
    ),
    *(LiveValue(*one) for one in SHARING_VALUES),
)
