"""What the running service says of itself, by name: the values behind `live` in `lucheng status` and in the metrics.

The table is the contract: the reference is made from it, and a test holds it against what a service that has everything
open really says. It measures nothing. A value that only grows begins anew with every start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.system_operations import SOURCES
from lucheng.commanding import COUNTS
from lucheng.video.video_values import VIDEO_VALUES
from model.codes import Word

if TYPE_CHECKING:
    from store.series.door import SeriesState


@dataclass(frozen=True, slots=True)
class LiveValue:
    """One value: its name, its unit (`1` for counts and for yes or no), and what it says."""

    name: str
    unit: str
    words: Word


_MQTT = {
    "connected": Word("whether its subscriptions stand", "订阅是否就绪"),
    "received": Word("messages that came", "收到的消息数"),
    "acknowledged": Word("messages acknowledged, after their commit", "落盘后已确认的消息数"),
    "unacked_messages": Word("messages that are not durable yet", "尚未落盘的消息数"),
    "connects": Word("connections made", "建立连接次数"),
    "failures": Word("attempts that failed", "连接失败次数"),
    "sessions_lost": Word("sessions that the broker had forgotten", "服务器丢失的会话数"),
    "malformed": Word("packets that were no MQTT", "非法 MQTT 报文数"),
    "passed_over": Word(
        "messages of trackers that were understood and hold nothing to keep", "已识别但无需保存的追踪器消息数"
    ),
}
_GATEWAY = {
    "connections": Word("connections of terminals, now", "当前终端连接数"),
    "sessions": Word("terminals that are known and connected, now", "当前在线终端数"),
    "frames": Word("frames read", "读取的帧数"),
    "positions": Word("points taken from terminals", "终端上报的定位点数"),
    "answers": Word("answers written to terminals", "已发送的应答数"),
    "unanswered": Word("frames read and not durable yet, now", "当前已读取未落盘的帧数"),
    "paused": Word("times that reading paused for those", "因积压暂停读取的次数"),
    "bad": Word("frames and bytes quarantined", "隔离的帧与数据数"),
    "turned_away": Word("connections closed for want of room", "因连接数已满而拒绝的连接数"),
    "replaced": Word("sessions that a newer connection of the same terminal ended", "被同一终端新连接取代的会话数"),
    "idle_timeouts": Word("terminals disconnected because they said nothing", "因静默断开的终端数"),
    "greeting_timeouts": Word("connections closed because they did not say who they are", "未表明身份而关闭的连接数"),
    "registrations_failed": Word(
        "registrations that the registry could not write; not answered", "登记库无法写入而未应答的注册数"
    ),
    "overruns": Word("connections ended because a buffer was full", "因缓冲区满而断开的连接数"),
    "parts_asked": Word("times that missing parts of messages were asked for", "请求补传分包的次数"),
    "lost": Word("messages of which parts never came", "分包不全而放弃的消息数"),
    "media": Word("photos, sounds and clips that came whole", "完整接收的照片、录音与视频数"),
    "reports": Word("other messages kept", "保存的其他上报数"),
    "orders": Word("messages of commands written to terminals", "已下发的指令消息数"),
    "replies": Word("answers of terminals to them", "终端对指令的应答数"),
}

LIVE_VALUES: tuple[LiveValue, ...] = (
    LiveValue("uptime_s", "s", Word("since the start", "运行时长")),
    LiveValue("log_rows_queued", "1", Word("points that wait for the log", "等待写入日志的点数")),
    LiveValue("log_commit_s", "s", Word("the last commit of the points' log took", "最近一次点日志提交用时")),
    LiveValue("pipeline_position", "1", Word("position in the points' log up to which is stored", "点日志已处理位置")),
    LiveValue("alarms_position", "1", Word("the same in the alarms' log", "警情日志已处理位置")),
    LiveValue("lag_ms", "ms", Word("from receipt to the store", "接收到入库的时延")),
    LiveValue("devices_online", "1", Word("devices heard of in the live window", "实时窗口内有数据的设备数")),
    LiveValue("devices_clock_off", "1", Word("devices whose clock is off", "时钟偏差的设备数")),
    LiveValue(
        "series_away_s", "s", Word("for how long the InfluxDB server has been away", "InfluxDB 服务器已离线时长")
    ),
    LiveValue("series_numbers_pending", "1", Word("samples that wait for it", "等待其恢复的数值样本数")),
    LiveValue(
        "series_numbers_dropped", "1", Word("samples that an outage was too long for", "因离线过久而丢弃的数值样本数")
    ),
    LiveValue("series_mirror_missed", "1", Word("points that the mirror does not have", "镜像缺失的点数")),
    LiveValue("broker_embedded", "1", Word("whether the broker is our own", "是否使用内置 MQTT 服务器")),
    LiveValue("broker_port", "1", Word("its port", "其端口")),
    *(
        LiveValue(f"mqtt_{source}_{name}", "1", Word(f"{place.en}: {words.en}", f"{place.zh}：{words.zh}"))
        for source, place in (
            ("points", Word("connection for points", "定位连接")),
            ("alarms", Word("connection for alarms", "警情连接")),
        )
        for name, words in _MQTT.items()
    ),
    LiveValue(
        "terminal_events_turned_away",
        "1",
        Word("photos and reports not taken because too many waited; they are sent again", "积压过多暂拒的照片与上报数"),
    ),
    LiveValue("terminal_events_refused", "1", Word("media that can never be kept", "无法保存的媒体数")),
    *(LiveValue(f"commands_{name}", "1", words) for name, words in COUNTS.items()),
    *(LiveValue(f"gateway_{name}", "1", words) for name, words in _GATEWAY.items()),
    LiveValue(
        "gateway_jt_port", "1", Word("where JT/T 808 and 905 are served; 0: not", "JT/T 808、905 服务端口；0 为未开启")
    ),
    LiveValue("gateway_gt06_port", "1", Word("where GT06 is served; 0: not", "GT06 服务端口；0 为未开启")),
    LiveValue("osmand_port", "1", Word("where OsmAnd is served", "OsmAnd 服务端口")),
    LiveValue("osmand_answers", "1", Word("requests of OsmAnd clients answered", "已应答的 OsmAnd 请求数")),
    LiveValue("web_port", "1", Word("where the console is served; 0: not", "控制台端口；0 为未开启")),
    LiveValue("web_tls", "1", Word("whether by TLS", "控制台是否启用 TLS")),
    LiveValue("event_streams", "1", Word("pages that follow events, now", "当前接收实时事件的页面数")),
    LiveValue("event_views", "1", Word("different viewports among them", "其中不同的视窗数")),
    *(
        value
        for name, words in (
            ("points", Word("points taken into the log", "写入日志的定位点")),
            *((name, words) for name, _, _, words in SOURCES),
        )
        for value in (
            LiveValue(f"source_{name}_per_s", "1/s", Word(f"{words.en}: a second, now", f"{words.zh}：当前每秒")),
            LiveValue(f"source_{name}_silent_s", "s", Word(f"{words.en}: nothing for", f"{words.zh}：静默时长")),
        )
    ),
    LiveValue("disk_free_bytes", "bytes", Word("free on the data folder's disk", "数据目录所在磁盘剩余")),
    LiveValue("disk_total_bytes", "bytes", Word("its size", "磁盘总量")),
    LiveValue("disk_fills_bytes_per_day", "bytes", Word("what it lost a day, lately", "近期每日减少的剩余空间")),
    LiveValue("disk_seen_s", "s", Word("over how long that was seen, a day at most", "其观测时长，至多一天")),
    LiveValue(
        "clock_synchronised",
        "1",
        Word("whether something steers this machine's clock; -1: not known", "本机时钟是否同步；-1 为未知"),
    ),
    LiveValue("metrics_port", "1", Word("where Prometheus reads; 0: not", "Prometheus 采集端口；0 为未开启")),
    LiveValue("evidence_bytes", "bytes", Word("of all evidence kept", "已保存证据的总字节数")),
    *(LiveValue(*one) for one in VIDEO_VALUES),
)
#: Counters of the gateway that are shown, by their names there; `bad` is the sum over all reasons.
GATEWAY_COUNTERS = tuple(name for name in _GATEWAY if name != "bad")


def series_values(state: SeriesState) -> dict[str, float]:
    """Values of the time-series store."""
    return {
        "series_away_s": round(state.away_s, 3),
        "series_numbers_pending": state.pending_numbers,
        "series_numbers_dropped": state.dropped_numbers,
        "series_mirror_missed": state.missed_points,
    }
