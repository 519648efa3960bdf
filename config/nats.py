"""The settings of the log past one machine, on nats-servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from config.base import GIB, KIB, MIB, OptionalPath, OptionalText, Section, setting

_MAX_URLS_CHARS = 2_000
_MAX_REPLICAS = 5


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _each(text: str, schemes: tuple[str, ...], example: str) -> str:
    for part in _parts(text):
        scheme, mark, host = part.partition("://")
        if not mark or scheme not in schemes or not host or not part.isprintable() or any(c in part for c in " ?#"):
            raise ValueError(f"is no address of a server; write {example}, several with commas between them")
        if "@" in host:
            raise ValueError("has a user or password in it; set nats.username and nats.password_file")
    return ",".join(_parts(text))


def _server_urls(text: str) -> str:
    return _each(text, ("nats", "tls"), "nats://host:4222 or tls://host:4222")


def _monitor_urls(text: str) -> str:
    return _each(text, ("http", "https"), "http://host:8222")


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


ServerUrls = Annotated[str, Field(max_length=_MAX_URLS_CHARS), AfterValidator(_server_urls)]
OptionalServerUrls = Annotated[ServerUrls | None, BeforeValidator(_empty_is_none)]
MonitorUrls = Annotated[str, Field(max_length=_MAX_URLS_CHARS), AfterValidator(_monitor_urls)]
OptionalMonitorUrls = Annotated[MonitorUrls | None, BeforeValidator(_empty_is_none)]
Prefix = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")]


class Nats(Section):
    """The log past one machine, on NATS JetStream · 多机部署的日志（NATS JetStream）"""

    mode: Literal["off", "log"] = setting(
        "off",
        "off: the local log alone; log: points and alarms go into streams of nats-servers",
        "off：只用本机日志；log：点与警情写入 nats-server 的流",
    )
    urls: OptionalServerUrls = setting(
        None,
        "the servers, nats://host:4222 or tls://, with commas between them; any one of them is enough",
        "服务器地址，nats://主机:4222 或 tls://，以逗号分隔；任一可达即可",
    )
    username: OptionalText = setting(None, "user name", "用户名")
    password_file: OptionalPath = setting(None, "file whose first line is the password", "密码文件，首行为密码")
    ca_file: OptionalPath = setting(
        None,
        "certificate authority for tls:// (PEM); empty: the system's",
        "tls:// 所用 CA 证书（PEM）；留空用系统证书",
    )
    monitor_urls: OptionalMonitorUrls = setting(
        None,
        "the servers' monitoring, http://host:8222, with commas between them: where they are asked whether they sync",
        "各服务器的监控地址，http://主机:8222，以逗号分隔，用于核实是否逐条落盘",
    )
    require_sync: bool = setting(
        True,  # noqa: FBT003 a default
        "refuse servers that acknowledge before it is on the disk (sync_interval other than always)",
        "拒绝未落盘即确认的服务器（sync_interval 不为 always）",
    )
    prefix: Prefix = setting(
        "lucheng",
        "what the streams' names begin with; as in the servers' mapping",
        "流名称前缀，须与服务器映射一致",
    )
    partitions: int = setting(
        8,
        "streams that points are spread over by device; as in the servers' mapping, and for ever",
        "点按设备分布的流数，须与服务器映射一致，启用后不可更改",
        ge=1,
        le=256,
    )
    alarm_replicas: int = setting(
        3,
        "copies of the alarms' stream (1, 3 or 5); one lost machine costs nothing from 3 on",
        "警情流的副本数（1、3 或 5）；3 份起可损失一台机器",
        ge=1,
        le=_MAX_REPLICAS,
    )
    point_replicas: int = setting(
        3, "copies of each stream of points (1, 3 or 5)", "每条点流的副本数（1、3 或 5）", ge=1, le=_MAX_REPLICAS
    )
    max_alarm_bytes: int = setting(
        8 * GIB,
        "bytes that the alarms' stream holds, set aside for it; beyond it refuses",
        "警情流的容量（预留），满后拒绝写入",
        ge=16 * MIB,
        le=1024 * GIB,
    )
    max_point_bytes: int = setting(
        64 * GIB,
        "bytes that all streams of points hold, set aside for them; beyond it they refuse, so nothing is acknowledged",
        "全部点流的容量（预留），满后拒绝写入，因而不再确认",
        ge=16 * MIB,
        le=64 * 1024 * GIB,
    )
    max_snapshot_bytes: int = setting(
        8 * GIB,
        "bytes that the states of all partitions hold, set aside for them; each may have a quarter of its share",
        "各分区状态快照的总容量（预留），单个快照至多占其份额的四分之一",
        ge=16 * MIB,
        le=1024 * GIB,
    )
    max_message_bytes: int = setting(
        8 * MIB - 64 * KIB,
        "largest record; the servers' max_payload must be above it",
        "单条记录上限，须小于服务器的 max_payload",
        ge=64 * KIB,
        le=64 * MIB,
    )
    max_pending_messages: int = setting(
        4_096,
        "messages sent and not acknowledged before the next waits",
        "已发送未确认的消息上限，达到后等待",
        ge=1,
        le=1_000_000,
    )
    max_pending_bytes: int = setting(
        64 * MIB,
        "bytes sent and not acknowledged before the next waits",
        "已发送未确认的字节上限，达到后等待",
        ge=MIB,
        le=4 * GIB,
    )
    attempt_timeout_s: float = setting(
        1.0, "seconds a request may take before it is sent again", "单次请求时限（秒），超时重发", ge=0.1, le=60
    )
    give_up_s: float = setting(
        60.0,
        "seconds the servers may be away before the service ends itself and starts anew; nothing is acknowledged meanwhile",
        "服务器持续不可用多少秒后服务自行重启，期间不确认任何数据",
        ge=1,
        le=500,
    )
    retry_min_ms: int = setting(
        20, "first wait before the same is tried again", "首次重试等待（毫秒）", ge=1, le=10_000
    )
    retry_max_ms: int = setting(
        250, "longest wait before the same is tried again", "最长重试等待（毫秒）", ge=10, le=60_000
    )
    ping_s: int = setting(
        2,
        "seconds between pings; a server that leaves two unanswered is left for another",
        "心跳间隔（秒），连续两次无应答即换服务器",
        ge=1,
        le=120,
    )
    take_over_s: float = setting(
        3.0,
        "seconds without a word of a worker after which its partition goes to another",
        "工作进程失联多少秒后由他人接管其分区",
        ge=0.5,
        le=60,
    )
    mqtt: bool = setting(
        False,  # noqa: FBT003 a default
        "devices come by the MQTT listener of the servers (config/files/nats/mqtt.conf); mqtt.url is that listener then",
        "设备经服务器自带的 MQTT 接入（config/files/nats/mqtt.conf），此时 mqtt.url 须指向该接入",
    )
    hung_after_s: float = setting(
        60.0,
        "seconds a worker may be busy with one step before it is taken for hung and lets its partition go",
        "工作进程单步多少秒无进展即视为挂起并交出分区",
        ge=1,
        le=3_600,
    )


def across_nats(nats: Nats) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Problems that no single value shows: (keys that disagree, what, mend)."""
    if nats.mode != "off":
        if nats.urls is None:
            yield ("nats.mode",), f"is {nats.mode} without servers", "Set nats.urls too."
        if nats.require_sync and nats.monitor_urls is None:
            yield (
                ("nats.require_sync", "nats.mode"),
                "is true, but nothing says where the servers can be asked",
                "Set nats.monitor_urls too, or nats.require_sync = false and accept what docs/design/log_jetstream.md says of it.",
            )
    if nats.mqtt and nats.mode == "off":
        yield ("nats.mqtt", "nats.mode"), "is set, but nothing goes through nats-servers", 'Set nats.mode = "log" too.'
    for key, replicas in (("alarm_replicas", nats.alarm_replicas), ("point_replicas", nats.point_replicas)):
        if replicas % 2 == 0:
            yield (
                (f"nats.{key}",),
                f"is {replicas}; an even number of copies bears no more losses than one copy less",
                "Write 1, 3 or 5.",
            )
    if nats.password_file is not None and nats.username is None:
        yield ("nats.password_file",), "is set without a user name", "Set nats.username too."
    if nats.ca_file is not None and nats.urls is not None and any(not u.startswith("tls:") for u in _parts(nats.urls)):
        yield ("nats.ca_file",), "is set, but nats.urls are not tls://", "Use tls://, or remove nats.ca_file."


#: Pairs of which the first may not be above the second.
NATS_ORDER = (
    ("nats.retry_min_ms", "nats.retry_max_ms"),
    ("nats.max_message_bytes", "nats.max_pending_bytes"),
    ("nats.attempt_timeout_s", "nats.give_up_s"),
)
