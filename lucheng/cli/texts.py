"""Every text of the command line, in both languages, chosen by the locale.

`LC_ALL`, else `LC_MESSAGES`, else `LANG`: a value that starts with `zh` gives Chinese, anything else
English. Messages of errors come from the rooms and are in English everywhere; their frame is here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from lucheng.cli.account_texts import ACCOUNT_TEXTS
from lucheng.cli.alarm_texts import ALARM_TEXTS
from lucheng.cli.approval_texts import APPROVAL_TEXTS
from lucheng.cli.camera_texts import CAMERA_TEXTS
from lucheng.cli.cluster_texts import CLUSTER_TEXTS
from lucheng.cli.command_texts import COMMAND_TEXTS
from lucheng.cli.export_texts import EXPORT_TEXTS
from lucheng.cli.fence_texts import FENCE_TEXTS
from lucheng.cli.install_texts import INSTALL_TEXTS
from lucheng.cli.machines_texts import MACHINES_TEXTS
from lucheng.cli.replay_texts import REPLAY_TEXTS
from lucheng.cli.search_texts import SEARCH_TEXTS
from lucheng.cli.simulate_texts import SIMULATE_TEXTS
from lucheng.cli.store_texts import STORE_TEXTS
from lucheng.cli.terminal_texts import TERMINAL_TEXTS
from model.codes import Word


def language(env: Mapping[str, str]) -> str:
    """`zh` or `en`, from the environment as POSIX orders it."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = env.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


_LANGUAGE = language(os.environ)

TEXTS: dict[str, Word] = {
    "app": Word(
        "lucheng: a city's safety desk. Fixes and alarms in, durable, cleaned, stored; a track back.",
        "lucheng（鹿城）：城市安全指挥台。接收定位与警情，持久保存、清洗、入库，随时回放轨迹。",
    ),
    "panel.service": Word("The service", "服务"),
    "panel.read": Word("Looking at data", "查看数据"),
    "panel.devices": Word("Devices", "设备"),
    "panel.keep": Word("Upkeep", "维护"),
    # options that many commands share
    "opt.data": Word("Folder in which state lives.", "数据目录。"),
    "opt.config": Word("Settings file (TOML).", "设置文件（TOML）。"),
    "opt.json": Word("Print JSON.", "以 JSON 输出。"),
    "opt.purpose": Word(
        "Why this is read: code[:case[:note]]; default: the setting trust.cli_purpose.",
        "查阅目的：代码[:案号[:备注]]；默认取设置 trust.cli_purpose。",
    ),
    "opt.from": Word(
        "Start (inclusive): 2026-11-22T08:00:00Z, a local time of the city, or epoch ms.",
        "起始时间（含）：2026-11-22T08:00:00Z、城市本地时间或毫秒时间戳。",
    ),
    "opt.to": Word("End (exclusive), written as --from.", "结束时间（不含），写法同 --from。"),
    "opt.limit": Word("Rows at most.", "最多行数。"),
    "opt.before": Word(
        "Go on before this number (the last one of the page before).", "从该编号之前继续（上一页最后一行）。"
    ),
    "opt.broker": Word(
        "The broker, mqtt://user:password@host:port; default: an embedded one.", "MQTT 服务器地址；默认启动内置服务器。"
    ),
    "opt.file_format": Word(
        "What the file holds: cabspotting, tdrive, shenzhen or csv.", "文件格式：cabspotting、tdrive、shenzhen 或 csv。"
    ),
    "opt.date": Word(
        "Day of the file's times (format shenzhen), e.g. 2014-10-22.", "文件所属日期（shenzhen 格式），如 2014-10-22。"
    ),
    "opt.speed": Word(
        "How much faster than the data's own time; 0: as fast as it goes.", "相对数据时间的倍速；0 为最快。"
    ),
    "opt.dry_run": Word("Check every row and change nothing.", "只检查，不写入。"),
    "opt.version": Word("Print the version.", "显示版本。"),
    "arg.device": Word("Device id, e.g. taxi/28249.", "设备编号，如 taxi/28249。"),
    "arg.devices": Word("Device ids; none: all.", "设备编号；不写则为全部。"),
    "arg.file": Word("The file.", "文件。"),
    # commands
    "run": Word(
        "Run the service: take fixes and alarms in, keep them, answer questions.",
        "启动服务：接收定位与警情，保存并应答查询。",
    ),
    "demo": Word(
        "Drive a synthetic city through a real broker and show it live; leaves nothing behind.",
        "模拟城市经真实 MQTT 实时演示，退出后不留痕迹。",
    ),
    "demo.seconds": Word("Stop after so many seconds.", "运行多少秒后停止。"),
    "demo.taxis": Word("Taxis that drive.", "出租车数量。"),
    "demo.bikes": Word("E-bikes.", "电动自行车数量。"),
    "demo.format": Word(
        "What the file holds; told by its first line when not given.", "文件格式；未指定时按首行判断。"
    ),
    "demo.speed": Word(
        "How much faster than the data's own time, 0: as fast as it goes; default 60 for a file, 1 for the city.",
        "相对数据时间的倍速，0 为最快；文件默认 60，模拟城市默认 1。",
    ),
    "demo.title": Word(
        "lucheng demo · a city through a real broker ({broker})", "lucheng 演示 · 城市数据经真实 MQTT（{broker}）"
    ),
    "demo.stop": Word("Ctrl-C stops, drains, cleans up", "Ctrl-C 停止并清理"),
    "demo.track": Word("newest track: {device}, {points} points", "最新轨迹：{device}，{points} 点"),
    "demo.line": Word(
        "{rate} points/s, {online} devices online, received {received}, stored {stored}, in flight {in_flight}",
        "{rate} 点/秒，在线设备 {online}，接收 {received}，入库 {stored}，处理中 {in_flight}",
    ),
    "demo.rate": Word("points a second", "点/秒"),
    "demo.online": Word("devices online / registered", "在线设备 / 已登记"),
    "demo.lag": Word("received ▸ stored", "接收 ▸ 入库"),
    "demo.received": Word("received", "已接收"),
    "demo.stored": Word("= stored", "= 已入库"),
    "demo.duplicate": Word("+ duplicate", "+ 重复"),
    "demo.quarantined": Word("+ quarantined", "+ 隔离"),
    "demo.in_flight": Word("+ in flight", "+ 处理中"),
    "demo.terminals": Word("terminals connected (JT/T 808, 905)", "在线终端（JT/T 808、905）"),
    "demo.commands": Word("commands sent / answered", "指令下发 / 应答"),
    "demo.kept": Word("evidence kept", "已保存证据"),
    "demo.listen": Word("demonstration: sos of this very taxi", "演示：该车紧急求助"),
    "demo.listen_ended": Word("ended with its alarm", "随警情处置结束"),
    "demo.evidence": Word("kept, {size} bytes, SHA-256 {sha256}…", "已保存，{size} 字节，SHA-256 {sha256}…"),
    "demo.signals": Word("alarms and alarm bits", "警情与报警位"),
    "demo.live_view": Word(
        "cameras, and the alarms' clips, in a browser on this machine:", "在本机浏览器查看摄像头与警情视频："
    ),
    "demo.alarms": Word("alarms through their life", "警情处置过程"),
    "demo.theft": Word("the owner found it gone", "车主发现车辆不见"),
    "demo.resolved": Word("demonstration", "演示"),
    "demo.did.raise": Word("raised", "报警"),
    "demo.did.signal": Word("again", "再次报警"),
    "demo.did.show": Word("on the screen", "已显示"),
    "demo.did.acknowledge": Word("acknowledged", "已接警"),
    "demo.did.dispatch": Word("sent:", "已派警："),
    "demo.did.arrive": Word("on scene after", "已到场，用时"),
    "demo.did.resolve": Word("resolved", "已处置"),
    "demo.did.close": Word("closed", "已结案"),
    "demo.did.clear": Word("cause gone", "原因消失"),
    "demo.did.escalate": Word("escalated", "升级上报"),
    "demo.did.breach": Word("300 s ran over", "超过300秒"),
    "demo.file": Word("Play this file in place of the synthetic city.", "用该文件代替模拟城市。"),
    "ingest": Word(
        "Take a file in: same log, same cleaning, same store as live data; twice stores nothing twice.",
        "导入数据文件：与实时数据同一流程；重复导入不会重复入库。",
    ),
    "publish": Word("Play a file through MQTT as its devices would.", "按设备方式经 MQTT 播放文件。"),
    "publish.broker": Word("The broker, mqtt://[user:password@]host:port.", "MQTT 服务器地址。"),
    "publish.time": Word(
        "original: the file's times, marked buffered; now: each point has the time at which it is sent.",
        "original：保留原时间并标记补传；now：以发送时刻为定位时间。",
    ),
    "publish.credentials": Word(
        'JSON file {"taxi/1": "password", …}: each device on a connection of its own.',
        'JSON 文件 {"taxi/1": "密码", …}：每台设备各用自己的连接。',
    ),
    "track": Word("The track of one device in a time window.", "某设备在时间窗口内的轨迹。"),
    "track.format": Word("table, csv, geojson, gpx or kml.", "table、csv、geojson、gpx 或 kml。"),
    "trips": Word("Trips and stops of one device in a time window.", "某设备在时间窗口内的行程与停留。"),
    "trips.stops": Word("The stops alone.", "仅显示停留。"),
    "trips.trip": Word("trip", "行程"),
    "trips.stop": Word("stop", "停留"),
    "trips.summary": Word(
        "{trips} trips, {stops} stops; {km} km in {driving}, standing {standing}, occupied {occupied}; times in {zone}",
        "行程 {trips} 次，停留 {stops} 次；行驶 {km} 公里，用时 {driving}，停留 {standing}，载客里程占比 {occupied}；时间为 {zone}",
    ),
    "report": Word("Reports on what is stored.", "报表。"),
    "report.supervision": Word(
        "The daily supervision of the taxis: way, time, overspeed, driving time, areas, silence, quality of data.",
        "出租车每日监管报表：里程、时长、超速、疲劳、区域、离线与数据质量。",
    ),
    "report.date": Word("Local day of the city, e.g. 2026-11-22.", "城市本地日期，如 2026-11-22。"),
    "report.device": Word("Only this taxi; may be given several times.", "仅此出租车，可多次给出。"),
    "report.format": Word("html, csv or json.", "html、csv 或 json。"),
    "report.table": Word(
        "Table of the CSV: vehicles, overspeed, fatigue, areas, gaps or hours.",
        "CSV 的表：vehicles、overspeed、fatigue、areas、gaps 或 hours。",
    ),
    "report.out": Word("File to write, a new one; - is standard output.", "写入的新文件；- 为标准输出。"),
    "report.saved": Word("Written: {file}", "已写入：{file}"),
    "where": Word("The newest place of each device.", "各设备最新位置。"),
    "quarantine": Word("What could not be trusted, and why.", "隔离数据及原因。"),
    "quarantine.list": Word("What was quarantined, newest first.", "隔离条目，最新在前。"),
    "quarantine.show": Word("One entry with the payload as it came.", "查看一条隔离条目及原始内容。"),
    "quarantine.reason": Word("Only this reason, e.g. not_json.", "仅此原因，如 not_json。"),
    "quarantine.number": Word("Number from the list.", "列表中的编号。"),
    "signal": Word("Signals: alarm messages and alarm bits as they came.", "信号：收到的报警消息与报警位。"),
    "signal.list": Word("The signals, newest first.", "信号列表，最新在前。"),
    "signal.kind": Word("Only this kind of alarm, e.g. sos.", "仅此警情类型，如 sos。"),
    "device": Word("Who may speak: register, disable, credentials, import.", "设备登记：新增、停用、凭据、导入。"),
    "device.add": Word("Register a device.", "登记设备。"),
    "device.list": Word("The devices, by slot.", "设备列表。"),
    "device.text": Word(
        "Only with this text in id, name, plate, IMEI, phone, model, owner or site.",
        "仅编号、名称、车牌、IMEI、电话、型号、车主或场所含此文字。",
    ),
    "device.kind": Word("Only this kind.", "仅此类型。"),
    "device.show": Word("One device.", "查看一台设备。"),
    "device.enable": Word("Take a disabled device back.", "恢复已停用的设备。"),
    "device.disable": Word(
        "Disable a device: its data is quarantined, its connection ended.", "停用设备：数据隔离、连接断开。"
    ),
    "device.credentials": Word(
        "Give a device a new MQTT password (shown once), or take it away.",
        "为设备生成新的 MQTT 密码（仅显示一次）或吊销。",
    ),
    "device.revoke": Word("Take the password away.", "吊销密码。"),
    "device.import": Word(
        "Register devices from a CSV file, with a result for every row.", "从 CSV 文件批量登记，逐行给出结果。"
    ),
    "device.field": Word("{field} of the device.", "设备的 {field}。"),
    "device.protocol": Word(
        "What it speaks: mqtt, jt808, jt905, gt06, osmand, owntracks or teltonika.",
        "通信协议：mqtt、jt808、jt905、gt06、osmand、owntracks 或 teltonika。",
    ),
    "device.rtsp": Word(
        "Read the camera's stream address (RTSP) from this file; - is standard input. It is kept encrypted.",
        "从该文件读取摄像机 RTSP 地址（- 为标准输入），加密保存。",
    ),
    "site": Word("Places with a button and bound cameras.", "场所及其摄像机。"),
    "site.add": Word("Register a site with its cameras.", "登记场所及其摄像机。"),
    "site.list": Word("The sites.", "场所列表。"),
    "site.camera": Word("A camera bound to it; may be given several times.", "绑定的摄像机，可多次给出。"),
    "arg.site": Word("Id of the site.", "场所编号。"),
    "jurisdiction": Word("The area tree city, branch, station, community.", "辖区树：市、分局、派出所、社区。"),
    "jurisdiction.import": Word("Areas from a GeoJSON file.", "从 GeoJSON 导入辖区。"),
    "broker": Word("Files for an MQTT broker.", "MQTT 服务器文件。"),
    "broker.files": Word("Write password and ACL files from the registry.", "由登记库生成密码与 ACL 文件。"),
    "broker.issuer": Word(
        "Print who signs for devices at nats-server's MQTT listener (issuer in config/files/nats/mqtt.conf).",
        "输出 nats-server MQTT 接入的签发者公钥（填入 mqtt.conf 的 issuer）。",
    ),
    "broker.out": Word("Folder to write to; made when missing.", "输出目录，不存在则创建。"),
    "audit": Word("Who read or changed what.", "审计：谁查阅或更改了什么。"),
    "audit.list": Word("Rows of the audit, newest first.", "审计记录，最新在前。"),
    "audit.search": Word("Rows of the audit by who, what, at which and when.", "按人员、动作、对象与时间查询审计。"),
    "audit.who": Word("This user.", "用户。"),
    "audit.action": Word("This action, or all of a group: `alarm.`", "动作，或一类动作，如 `alarm.`"),
    "audit.target": Word("What it was done to holds this.", "对象含有此文字。"),
    "audit.why": Word("The purpose holds this.", "目的含有此文字。"),
    "audit.more": Word("Go on with --before {number}.", "继续：--before {number}。"),
    "audit.verify": Word("Check the chain; names the first bad row.", "校验审计链，指出首条异常。"),
    "store": Word("The stores.", "存储。"),
    "store.check": Word("Read every file and report what does not hold.", "读取全部文件并报告问题。"),
    "status": Word("The counters of the invariant and the state of the stores.", "平衡计数与存储状态。"),
    "config": Word("Settings.", "设置。"),
    "config.check": Word("Read the settings and say what is wrong.", "检查设置。"),
    "config.show": Word("All settings in force, secrets masked.", "显示当前生效的全部设置（密钥隐藏）。"),
    "config.schema": Word("JSON Schema of the settings file.", "设置文件的 JSON Schema。"),
    "rules": Word("Alarm rules.", "报警规则。"),
    "rules.list": Word(
        "The rules: what each raises, for which devices, and the limits in force.",
        "规则列表：报警类型、适用设备与当前限值。",
    ),
    "rules.by_rule": Word("rule", "规则"),
    "rules.by_device": Word("device", "设备"),
    "doctor": Word(
        "What is missing on this machine, and the command that mends it.", "检查本机缺什么，并给出修复命令。"
    ),
    "decode": Word(
        "Explain frames of terminals field by field (JT/T 808, JT/T 905, GT06).",
        "逐字段解析终端报文（JT/T 808、JT/T 905、GT06）。",
    ),
    "decode.what": Word(
        "A frame in hex, a file with one frame a line, or - for standard input.",
        "十六进制报文、每行一帧的文件，或 - 表示标准输入。",
    ),
    "decode.protocol": Word("auto, jt808, jt905 or gt06.", "auto、jt808、jt905 或 gt06。"),
    # frames of messages
    "error": Word("error: {message}", "错误：{message}"),
    "mend": Word("  {mend}", "  {mend}"),
    "interrupted": Word("interrupted", "已中断"),
    # results
    "none": Word("Nothing.", "无。"),
    "more": Word(
        "… {count} more rows between; --format csv or --json gives all …",
        "…… 中间省略 {count} 行；--format csv 或 --json 输出全部 ……",
    ),
    "track.summary": Word("{device}: {count} points, times in {zone}", "{device}：{count} 个点，时间为 {zone}"),
    "ok": Word("All good.", "正常。"),
    "settings.ok": Word("The settings are right.", "设置无误。"),
    "audit.ok": Word("{rows} rows, the chain holds.", "共 {rows} 条，链完整。"),
    "added": Word("{device} is registered as number {number}.", "{device} 已登记，编号 {number}。"),
    "enabled": Word("{device} is enabled.", "{device} 已启用。"),
    "disabled": Word("{device} is disabled.", "{device} 已停用。"),
    "password": Word("Password of {device}, shown once: {password}", "{device} 的密码（仅显示一次）：{password}"),
    "revoked": Word("{device} has no password any more.", "{device} 的密码已吊销。"),
    "imported": Word("{counts}", "{counts}"),
    "dry": Word("Dry run: nothing was changed. {counts}", "演练：未写入任何内容。{counts}"),
    "files": Word("Written: {files}", "已写入：{files}"),
    "ingested": Word(
        "{stored} stored, {duplicate} known already, {quarantined} quarantined, {in_flight} in flight, of {received} received from {devices} devices in {seconds} s.",
        "共收到 {received}：入库 {stored}，重复 {duplicate}，隔离 {quarantined}，处理中 {in_flight}；{devices} 台设备，用时 {seconds} 秒。",
    ),
    "published": Word(
        "{points} points of {devices} devices published in {seconds} s.",
        "已发布 {devices} 台设备的 {points} 个点，用时 {seconds} 秒。",
    ),
    **ACCOUNT_TEXTS,
    **ALARM_TEXTS,
    **APPROVAL_TEXTS,
    **CAMERA_TEXTS,
    **CLUSTER_TEXTS,
    **COMMAND_TEXTS,
    **EXPORT_TEXTS,
    **FENCE_TEXTS,
    **INSTALL_TEXTS,
    **MACHINES_TEXTS,
    **REPLAY_TEXTS,
    **SEARCH_TEXTS,
    **SIMULATE_TEXTS,
    **STORE_TEXTS,
    **TERMINAL_TEXTS,
}


def in_language(word: Word) -> str:
    """The word in the language of this process."""
    return word.zh if _LANGUAGE == "zh" else word.en


def text(key: str, **fields: object) -> str:
    """The text `key` in the language of this process, with its fields filled in."""
    chosen = in_language(TEXTS[key])
    return chosen.format(**fields) if fields else chosen


def chosen_language() -> str:
    """The language of this process, `zh` or `en`."""
    return _LANGUAGE
