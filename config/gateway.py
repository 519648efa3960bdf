"""The settings of what terminals speak to: the gateway, commands, evidence, and who may command."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from config.base import GIB, KIB, MIB, IpAddress, Section, UserName, setting
from model.role import Role

_DAY_S = 86_400
#: People with a role of their own.
MAX_USERS = 10_000


def _known_role(text: str) -> str:
    if text not in Role.__members__.values():
        raise ValueError("has to be one of " + ", ".join(Role))
    return text


RoleName = Annotated[str, AfterValidator(_known_role)]


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
    """Who may command, until there are accounts · 操作员角色（账号启用前）"""

    users: Annotated[dict[UserName, RoleName], Field(max_length=MAX_USERS)] = setting(
        {},
        'operating-system user to role, e.g. { alice = "supervisor" }: ' + ", ".join(Role),
        '操作系统用户与角色，如 { alice = "supervisor" }',
    )
    default_role: RoleName = setting("operator", "role of everybody else", "其他用户的角色")
