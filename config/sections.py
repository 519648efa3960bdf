"""The schema: every setting, its default, its bounds and what it is for, in both languages.

Invariants: a name carries its unit; every limit of the house that somebody may have to change is
here and has a default that carries a city; no setting runs a command; a secret is named by its
file and never stands here itself. It reads nothing: `config.settings` does.
"""

from __future__ import annotations

from typing import Literal

from config.approvals import Approvals
from config.base import (
    BROKER_SCHEMES,
    GIB,
    KIB,
    MIB,
    ClientId,
    IpAddress,
    OptionalPath,
    OptionalText,
    OptionalUrl,
    PurposeText,
    Section,
    Zone,
    setting,
    split_url,
)
from config.cameras import Camera, Clips, Detect, Live, Recording
from config.clean import Clean
from config.cluster import Cluster
from config.database import Database
from config.desk import Desk
from config.export import Export
from config.gateway import Commands, Evidence, Gateway, Operators
from config.influx import Influx
from config.map import Map
from config.metrics import Metrics
from config.nats import Nats
from config.rules import Rules
from config.search import Search
from config.supervision import Supervision
from config.video import Video
from config.web import Accounts, Web

__all__ = ["BROKER_SCHEMES", "Settings", "section_types", "split_url"]


class City(Section):
    """The city · 城市"""

    name: str = setting("包头", "name of the city, shown in titles", "城市名称，用于标题显示")
    time_zone: Zone = setting(
        "Asia/Shanghai", "time zone of local times and of days (IANA name)", "本地时间与“日”所用时区（IANA 名称）"
    )


class Mqtt(Section):
    """Our connections to the MQTT broker · 与 MQTT 服务器的连接"""

    url: OptionalUrl = setting(
        None,
        "the broker, mqtt://user:password@host:1883 or mqtts:// for TLS; empty: start the embedded one",
        "服务器地址，mqtt://用户:密码@主机:1883，TLS 用 mqtts://；留空则启动内置服务器",
    )
    client_id: ClientId = setting(
        "lucheng", "client id; the alarms' own connection adds -alarms", "客户端标识；警情专用连接加 -alarms 后缀"
    )
    username: OptionalText = setting(None, "user name, when it is not in the URL", "用户名（未写在地址中时）")
    password_file: OptionalPath = setting(None, "file whose first line is the password", "密码文件，首行为密码")
    doctor_username: OptionalText = setting(
        None,
        "account of its own under which `lucheng doctor` measures the broker; never the service's: a second connection "
        "under that may take over its session",
        "`lucheng doctor` 测量服务器所用的独立账号；不可与服务共用，否则可能抢占其会话",
    )
    doctor_password_file: OptionalPath = setting(
        None, "file whose first line is that account's password", "该账号的密码文件，首行为密码"
    )
    ca_file: OptionalPath = setting(
        None,
        "certificate authority for mqtts:// (PEM); empty: the system's",
        "mqtts:// 所用 CA 证书（PEM）；留空用系统证书",
    )
    files_dir: OptionalPath = setting(
        None,
        "folder in which a foreign broker's password and ACL files are kept in step with the registry",
        "外部 MQTT 服务器的密码与 ACL 文件目录，随设备登记自动更新",
    )
    broker_pid_file: OptionalPath = setting(
        None,
        "process id file of that broker, which is then told to reload; else a systemd path unit does it",
        "该服务器的进程号文件，用于通知其重新加载；否则由 systemd 路径单元完成",
    )
    keepalive_s: int = setting(
        30, "seconds of silence after which a ping is sent", "静默多少秒后发送心跳", ge=5, le=3600
    )
    max_packet_bytes: int = setting(
        MIB,
        "largest packet read; a longer one is passed over, acknowledged and quarantined",
        "可接收的最大报文，更长的将被跳过、确认并隔离",
        ge=KIB,
        le=256 * MIB,
    )
    max_unacked_messages: int = setting(
        20_000,
        "messages read but not yet durable before reading pauses",
        "已读取但未落盘的消息上限，达到后暂停读取",
        ge=1,
        le=65_535,
    )
    max_unacked_bytes: int = setting(
        32 * MIB,
        "bytes read but not yet durable before reading pauses",
        "已读取但未落盘的字节上限，达到后暂停读取",
        ge=64 * KIB,
        le=4 * GIB,
    )
    reconnect_min_ms: int = setting(200, "first wait before connecting again", "首次重连等待", ge=10, le=60_000)
    reconnect_max_ms: int = setting(10_000, "longest wait before connecting again", "最长重连等待", ge=100, le=600_000)
    nap_ms: int = setting(
        2,
        "pause after each read, so that the next one finds more (0: none)",
        "每次读取后的停顿，使下次读到更多（0 为不停顿）",
        ge=0,
        le=100,
    )


class Broker(Section):
    """The embedded broker, used when mqtt.url is empty · 内置服务器（mqtt.url 为空时启用）"""

    program: Literal["auto", "mosquitto", "amqtt"] = setting(
        "auto", "auto takes mosquitto when it is installed, else amqtt", "auto：已安装 mosquitto 则用之，否则用 amqtt"
    )
    listen: IpAddress = setting("127.0.0.1", "address it listens on", "监听地址")
    port: int = setting(0, "port; 0 takes a free one", "端口；0 为自动选择空闲端口", ge=0, le=65_535)
    max_inflight_messages: int = setting(
        20_000,
        "messages on their way to one client and not yet acknowledged (mosquitto's own default of 20 chokes us)",
        "发往单个客户端而未确认的消息上限（mosquitto 默认 20，会卡住消费者）",
        ge=20,
        le=65_535,
    )
    max_queued_bytes: int = setting(
        GIB,
        "bytes kept for one client that is away; beyond it the broker drops",
        "为离线客户端保留的字节上限，超出后服务器会丢弃",
        ge=MIB,
        le=64 * GIB,
    )
    max_packet_bytes: int = setting(
        MIB, "largest packet; a longer one ends the connection", "最大报文，超出则断开", ge=KIB, le=256 * MIB
    )
    autosave_s: int = setting(
        60, "seconds between saves of its sessions to disk", "会话落盘间隔（秒）", ge=1, le=86_400
    )
    start_timeout_s: float = setting(
        10.0, "seconds until it must answer after its start", "启动后必须应答的时限（秒）", ge=0.5, le=120
    )
    stop_timeout_s: float = setting(
        10.0, "seconds it gets to stop before it is killed", "停止时限，超时强制结束（秒）", ge=0.5, le=120
    )


class Log(Section):
    """The durable log · 持久日志"""

    max_rows: int = setting(10_000, "points that start a commit", "触发提交的点数", ge=1, le=1_000_000)
    max_delay_ms: int = setting(50, "longest wait of a point for its commit", "点等待提交的最长时间", ge=1, le=10_000)
    alarm_max_rows: int = setting(50, "alarms that start a commit", "触发提交的警情数", ge=1, le=10_000)
    alarm_max_delay_ms: int = setting(
        20, "longest wait of an alarm for its commit", "警情等待提交的最长时间", ge=0, le=1_000
    )
    max_queued_rows: int = setting(
        200_000,
        "points waiting for a commit before reading from the broker pauses",
        "等待提交的点数上限，达到后暂停接收",
        ge=1_000,
        le=100_000_000,
    )
    max_backlog_rows: int = setting(
        100_000_000,
        "points in the log and not stored yet beyond which nothing more is accepted until the store catches up",
        "日志中未入库点数上限，达到后暂停接收直至存储追上",
        ge=10_000,
        le=10_000_000_000,
    )
    read_max_records: int = setting(
        256, "records the pipeline reads at a time", "流水线每次读取的记录数", ge=1, le=10_000
    )
    read_max_bytes: int = setting(
        8 * MIB, "bytes the pipeline reads at a time", "流水线每次读取的字节数", ge=64 * KIB, le=GIB
    )
    step_max_rows: int = setting(
        32_768, "points the pipeline works on at a time", "流水线每次处理的点数", ge=1_000, le=1_000_000
    )


class Series(Section):
    """The time-series store · 时序存储"""

    max_open_rows: int = setting(
        131_072,
        "points kept as they came before they are sorted into segments",
        "整理为分段前的未封存点数",
        ge=1_000,
        le=16_000_000,
    )
    seal_delay_s: int = setting(
        600, "seconds after the end of an hour until it is sealed", "整点结束后多少秒封存", ge=0, le=86_400
    )
    retention_days: int = setting(
        90, "days points are kept, counted from the store time", "点的保存天数（自入库起算）", ge=1, le=3_650
    )
    snapshot_every_rows: int = setting(
        5_000_000,
        "points between two snapshots of the analytics state; a restart replays at most as many",
        "两次状态快照之间的点数；重启最多重放这么多点",
        ge=1_000,
        le=100_000_000,
    )
    max_quarantine_rows_per_reason: int = setting(
        10_000,
        "quarantine entries kept for each reason; the rest are counted",
        "每种隔离原因保留的条目上限，其余只计数",
        ge=0,
        le=10_000_000,
    )
    snapshot_every_s: float = setting(
        300.0,
        "longest time between two snapshots of the analytics state",
        "两次状态快照的最长间隔（秒）",
        ge=1,
        le=3_600,
    )
    max_lookup_keys: int = setting(
        4_000_000,
        "keys of stored points remembered to recognise late duplicates (28 bytes each)",
        "用于识别迟到重复点的键缓存数（每个 28 字节）",
        ge=10_000,
        le=100_000_000,
    )


class Devices(Section):
    """The registry · 设备登记"""

    unknown: Literal["quarantine", "register"] = setting(
        "quarantine", "what becomes of data of a device nobody registered", "未登记设备的数据如何处理：隔离或自动登记"
    )
    max_devices: int = setting(1_000_000, "devices the registry takes", "登记设备数上限", ge=1, le=16_000_000)
    max_import_rows: int = setting(500_000, "rows of one CSV import", "单次 CSV 导入行数上限", ge=1, le=10_000_000)
    max_import_bytes: int = setting(256 * MIB, "size of one CSV import", "单次 CSV 导入字节上限", ge=KIB, le=4 * GIB)
    password_iterations: int = setting(
        101,
        "PBKDF2 rounds of a device's password hash; device passwords are long and random, so few are enough",
        "设备密码散列的 PBKDF2 轮数；设备密码为长随机串，轮数可少",
        ge=1,
        le=1_000_000,
    )
    broker_files_delay_ms: int = setting(
        300,
        "how long changes are gathered before the broker's files are written",
        "合并改动后再写服务器文件的等待",
        ge=0,
        le=4_000,
    )


class Fences(Section):
    """Fences · 电子围栏"""

    max_fences: int = setting(20_000, "fences at a time", "围栏数上限", ge=1, le=1_000_000)
    max_vertices: int = setting(
        2_000_000, "vertices of all fences together", "全部围栏的顶点总数上限", ge=4, le=100_000_000
    )
    max_fence_vertices: int = setting(20_000, "vertices of one fence", "单个围栏的顶点数上限", ge=4, le=1_000_000)
    max_import_bytes: int = setting(64 * MIB, "size of one GeoJSON import", "单次导入字节上限", ge=KIB, le=GIB)
    kept_versions: int = setting(
        100,
        "newest versions of the set of fences that stay readable",
        "围栏集合保留可读的最近版本数",
        ge=2,
        le=100_000,
    )


class Trust(Section):
    """Who may see what, and why · 查阅的权限与目的"""

    cli_purpose: PurposeText = setting(
        "maintenance",
        "purpose of a read on the command line that names none (code[:case[:note]])",
        "命令行未写明时的查阅目的（代码[:案号[:备注]]）",
    )
    live_window_s: int = setting(600, "seconds back from now that count as live", "最近多少秒视为实时", ge=0, le=86_400)


class Api(Section):
    """The service's API · 服务接口"""

    max_body_bytes: int = setting(
        256 * MIB,
        "largest request body (an import of a city's devices)",
        "请求体上限（含全市设备导入）",
        ge=KIB,
        le=4 * GIB,
    )
    request_timeout_s: float = setting(120.0, "seconds a request may take", "单个请求时限（秒）", ge=1, le=3_600)
    max_connections: int = setting(64, "connections at a time", "同时连接数上限", ge=1, le=10_000)
    max_watchers: int = setting(
        32, "readers of the alarms' live feed at a time", "同时实时查看警情的连接数", ge=1, le=1_000
    )
    watch_stall_s: float = setting(
        30.0,
        "a reader of the feed that takes nothing for so long is closed; it goes on by its number",
        "实时连接多久不接收即断开（可凭编号续传），秒",
        ge=1,
        le=3_600,
    )
    watch_heartbeat_s: float = setting(
        5.0, "how often the feed says that nothing happened", "实时连接无事件时的心跳间隔（秒）", ge=0.1, le=15
    )
    max_answer_points: int = setting(2_000_000, "points in one answer", "单次应答的点数上限", ge=1, le=100_000_000)


class Limits(Section):
    """Limits of what one message or text may hold · 单条消息与文本的上限"""

    payload_bytes: int = setting(256 * KIB, "largest payload that is decoded", "可解码的最大载荷", ge=256, le=256 * MIB)
    payload_points: int = setting(10_000, "points in one payload", "单条消息的点数上限", ge=1, le=1_000_000)
    extra_bytes: int = setting(1_024, "unknown keys kept with one point", "单点保留的未知字段字节数", ge=0, le=64 * KIB)
    alarm_note_chars: int = setting(500, "length of an alarm's note", "警情备注长度", ge=0, le=10_000)
    alarm_id_chars: int = setting(64, "length of an alarm's id", "警情编号长度", ge=1, le=1_000)
    quarantine_raw_bytes: int = setting(
        4_096, "bytes kept of what was quarantined", "隔离内容保留的字节数", ge=0, le=MIB
    )
    line_bytes: int = setting(64 * KIB, "longest line of a data file", "数据文件单行上限", ge=256, le=16 * MIB)


class Demo(Section):
    """The synthetic city of `lucheng demo` · 演示用模拟城市"""

    taxis: int = setting(300, "taxis that drive", "出租车数", ge=0, le=100_000)
    terminals: int = setting(
        20,
        "of these, how many have a JT/T 808 or 905 terminal and no MQTT",
        "其中使用 JT/T 808 或 905 终端（不走 MQTT）的车辆数",
        ge=0,
        le=1_000,
    )
    bikes: int = setting(300, "e-bikes, most of them parked", "电动自行车数", ge=0, le=1_000_000)
    buttons: int = setting(20, "one-key alarm buttons", "一键报警按钮数", ge=0, le=10_000)
    units: int = setting(10, "patrol units", "巡逻单元数", ge=0, le=10_000)
    cameras: int = setting(5, "cameras around the button that is pressed", "被按下按钮周围的摄像头数", ge=0, le=5)
    seed: int = setting(1, "seed of everything random", "随机种子", ge=0, le=2**63 - 1)
    refresh_ms: int = setting(500, "time between two pictures in the terminal", "终端画面刷新间隔", ge=50, le=10_000)


class Settings(Section):
    """All settings, by section."""

    city: City = City()
    mqtt: Mqtt = Mqtt()
    broker: Broker = Broker()
    log: Log = Log()
    series: Series = Series()
    influx: Influx = Influx()
    nats: Nats = Nats()
    video: Video = Video()
    cluster: Cluster = Cluster()
    database: Database = Database()
    devices: Devices = Devices()
    fences: Fences = Fences()
    clean: Clean = Clean()
    rules: Rules = Rules()
    supervision: Supervision = Supervision()
    search: Search = Search()
    export: Export = Export()
    desk: Desk = Desk()
    gateway: Gateway = Gateway()
    commands: Commands = Commands()
    evidence: Evidence = Evidence()
    camera: Camera = Camera()
    clips: Clips = Clips()
    recording: Recording = Recording()
    detect: Detect = Detect()
    live: Live = Live()
    map: Map = Map()
    web: Web = Web()
    accounts: Accounts = Accounts()
    operators: Operators = Operators()
    trust: Trust = Trust()
    approvals: Approvals = Approvals()
    api: Api = Api()
    metrics: Metrics = Metrics()
    limits: Limits = Limits()
    demo: Demo = Demo()


def section_types() -> dict[str, type[Section]]:
    """Section name to its class, in order."""
    return {name: type(getattr(Settings(), name)) for name in Settings.model_fields}
