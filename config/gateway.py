"""The settings of what terminals speak to: the gateway, commands, evidence, and who may command."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from config.base import GIB, KIB, MIB, IpAddress, Section, UserName, setting
from model.role import Role

_DAY_S = 86_400
#: Addresses of balancers, as text.
MAX_NETWORKS_CHARS = 2_000
#: People with a role of their own.
MAX_USERS = 10_000


def _known_role(text: str) -> str:
    if text not in Role.__members__.values():
        raise ValueError("has to be one of " + ", ".join(Role))
    return text


RoleName = Annotated[str, AfterValidator(_known_role)]


def _networks(text: str) -> str:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        try:
            ip_network(part)
        except ValueError:
            raise ValueError(
                f"has {part[:60]!r}, which is no address or network; write 10.0.0.5 or 10.0.0.0/24"
            ) from None
    return ",".join(parts)


Networks = Annotated[str, Field(max_length=MAX_NETWORKS_CHARS), AfterValidator(_networks)]


class Gateway(Section):
    """Where terminals connect: JT/T 808 and 905, GT06, OsmAnd · 终端接入网关"""

    listen: IpAddress = setting("0.0.0.0", "address it listens on", "监听地址")  # noqa: S104 terminals come from outside
    jt_port: int = setting(
        0, "TCP port of JT/T 808 and 905; 0: off", "JT/T 808 与 905 的 TCP 端口；0 为关闭", ge=0, le=65_535
    )
    jt_udp: bool = setting(
        True,  # noqa: FBT003 the default of a setting
        "positions of JT/T 808 also by UDP, on the same port",
        "同一端口也接收 UDP 位置汇报",
    )
    gt06_port: int = setting(
        0, "TCP port of GT06 trackers; 0: off", "GT06 追踪器的 TCP 端口；0 为关闭", ge=0, le=65_535
    )
    osmand_port: int = setting(
        0,
        "HTTP port of OsmAnd and Traccar clients; 0: off",
        "OsmAnd/Traccar 客户端的 HTTP 端口；0 为关闭",
        ge=0,
        le=65_535,
    )
    proxy_protocol: bool = setting(
        False,  # noqa: FBT003 the default of a setting
        "balancers say whose connection it is by the PROXY protocol (version 1 or 2), on the ports of JT/T and GT06",
        "负载均衡器以 PROXY 协议（v1 或 v2）告知终端真实地址，用于 JT/T 与 GT06 端口",
    )
    proxy_sources: Networks = setting(
        "",
        "addresses and networks of those balancers, with commas between them; what others say of themselves is not believed",
        "上述负载均衡器的地址或网段，以逗号分隔；其他来源的声明一律不采信",
    )
    require_auth: bool = setting(
        True,  # noqa: FBT003 the default of a setting
        "a JT/T 808 terminal has to register and authenticate before its data counts",
        "JT/T 808 终端须先注册并鉴权",
    )
    osmand_require_token: bool = setting(
        True,  # noqa: FBT003 the default of a setting
        "an OsmAnd client has to send its device's password as `token`",
        "OsmAnd 客户端须以 token 携带设备口令",
    )
    max_connections: int = setting(12_000, "connections at a time", "同时连接数上限", ge=1, le=200_000)
    greeting_s: int = setting(
        30,
        "a connection that does not say who it is for so long is closed",
        "未表明身份的连接多久后关闭（秒）",
        ge=1,
        le=3_600,
    )
    idle_s: int = setting(
        600, "a terminal that says nothing for so long is disconnected", "终端静默多久后断开（秒）", ge=10, le=_DAY_S
    )
    max_buffer_bytes: int = setting(
        64 * KIB,
        "bytes of one connection that are no complete frame yet; more end the connection",
        "单连接未成帧数据上限，超出则断开",
        ge=4 * KIB,
        le=16 * MIB,
    )
    max_unsent_bytes: int = setting(
        256 * KIB,
        "bytes that one terminal has not taken yet; more end the connection",
        "单连接待发送数据上限，超出则断开",
        ge=4 * KIB,
        le=16 * MIB,
    )
    max_unanswered_frames: int = setting(
        200_000,
        "frames read and not yet durable before reading pauses",
        "已读取但未落盘的帧数上限，达到后暂停读取",
        ge=1,
        le=10_000_000,
    )
    max_media_bytes: int = setting(
        16 * MIB, "largest message put together from parts", "分包重组后的最大消息", ge=KIB, le=GIB
    )
    max_open_bytes: int = setting(
        256 * MIB, "bytes of all messages of which parts are missing", "所有未收齐分包的字节上限", ge=MIB, le=16 * GIB
    )
    part_timeout_s: float = setting(
        5.0,
        "how long the next part may take before the missing ones are asked for",
        "多久未收到后续分包则请求补传（秒）",
        ge=0.1,
        le=600,
    )
    part_retries: int = setting(5, "how often missing parts are asked for", "补传请求次数", ge=0, le=100)


class Commands(Section):
    """Commands to devices · 下行指令"""

    max_queued_per_device: int = setting(20, "commands that wait for one device", "单设备排队指令上限", ge=1, le=1_000)
    reply_timeout_s: int = setting(
        60, "how long a device may take to answer before a command has expired", "终端应答时限（秒）", ge=1, le=3_600
    )
    hand_timeout_s: float = setting(
        2.0,
        "seconds an ingestor may take to say that it has handed a command over; then nobody knows, and it is not sent again",
        "接入进程确认交付指令的时限（秒）；超时则去向不明，不再重发",
        ge=0.1,
        le=30,
    )
    snapshot_on_sos: bool = setting(
        True,  # noqa: FBT003 the default of a setting
        "a taxi that raises sos is asked for a photo",
        "出租车紧急求助时自动拍照",
    )
    standing_kmh: float = setting(
        3.0, "a vehicle up to this speed stands still", "不高于此速度视为静止（公里/小时）", ge=0, le=20
    )
    standing_fresh_s: int = setting(
        60, "… if its newest place is not older than this", "静止判断所用定位的最大时延（秒）", ge=5, le=3_600
    )


class Evidence(Section):
    """Photos, sounds and files of devices · 证据"""

    max_item_bytes: int = setting(64 * MIB, "largest piece", "单件上限", ge=KIB, le=4 * GIB)
    max_total_bytes: int = setting(
        50 * GIB,
        "of all pieces; more are refused and said so",
        "全部证据的字节上限，超出则拒收并告警",
        ge=MIB,
        le=1024 * GIB,
    )


class Operators(Section):
    """Roles on the command line; accounts have their own · 命令行用户角色（账号另设）"""

    users: Annotated[dict[UserName, RoleName], Field(max_length=MAX_USERS)] = setting(
        {},
        'operating-system user to role, e.g. { alice = "supervisor" }: ' + ", ".join(Role),
        '操作系统用户与角色，如 { alice = "supervisor" }',
    )
    default_role: RoleName = setting("operator", "role of everybody else", "其他用户的角色")


def across_gateway(gateway: Gateway) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Problems that no single value shows: (keys that disagree, what, mend)."""
    if gateway.proxy_protocol and not gateway.proxy_sources:
        yield (
            ("gateway.proxy_protocol",),
            "is true, but nobody may say whose connection it is",
            "Set gateway.proxy_sources to the balancers' addresses.",
        )
