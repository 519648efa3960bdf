"""The settings of machines that share cameras."""

from __future__ import annotations

from config.base import GIB, MIB, Section, setting


class Video(Section):
    """Cameras shared by several machines (nats.mode = "log", role video) · 多机分担摄像头"""

    shares: int = setting(
        256,
        "parts that cameras are divided into by device, of which machines take some; the same on all machines, ten for each or more",
        "摄像头按设备划分的份数，由各机器领取；各机须一致，每台机器不少于十份为宜",
        ge=1,
        le=4_096,
    )
    max_cameras: int = setting(
        2_000,
        "cameras that this machine watches at most; what no machine has room for is said to be unwatched",
        "本机摄像头上限；各机均无余量的摄像头将标为无人监看",
        ge=1,
        le=20_000,
    )
    max_opens_per_s: float = setting(
        50.0,
        "cameras that this machine opens in a second at most when it takes them over",
        "接管时本机每秒最多打开的摄像头数",
        ge=0.1,
        le=2_000,
    )
    lease_s: float = setting(
        12.0,
        "seconds after which a machine that the servers do not hear loses its cameras; it closes them 2 s before. "
        "nats-servers need up to 9 s for a new leader",
        "服务器多少秒听不到某机器即收回其摄像头（该机提前 2 秒关闭）；nats-server 换主最长约 9 秒",
        ge=4,
        le=120,
    )
    settle_s: float = setting(
        30.0,
        "seconds that a machine has to be there until others give it some of theirs; what nobody has it takes at once",
        "机器稳定多少秒后他机才让出份额；无人持有的立即领取",
        ge=0,
        le=3_600,
    )
    give_every_s: float = setting(
        2.0, "seconds between two shares that a machine gives away", "让出两份之间的间隔（秒）", ge=0.1, le=600
    )
    max_file_bytes: int = setting(
        4 * GIB,
        "bytes of clips and snapshots that are on their way to the desk, set aside on the nats-servers",
        "传往指挥台途中的片段与截图容量（服务器预留）",
        ge=64 * MIB,
        le=1024 * GIB,
    )
    max_view_bytes: int = setting(
        2 * MIB,
        "bytes of one live view that are on their way to the desk; a slower one skips to the next keyframe",
        "单路实时预览在途字节上限，超出跳至下一关键帧",
        ge=256 * 1024,
        le=GIB,
    )
