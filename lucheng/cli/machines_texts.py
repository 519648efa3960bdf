"""Texts of the demo on three machines, in both languages."""

from __future__ import annotations

from model.codes import Word

MACHINES_TEXTS: dict[str, Word] = {
    "demo.machines": Word(
        "Three: the city on three machines, one of which is killed before your eyes.",
        "3：三台机器上的城市，其中一台当场断电。",
    ),
    "machines.namespaces": Word(
        "Three machines, each a network namespace: {addresses}, joined by a bridge.",
        "三台机器，各为一个网络命名空间：{addresses}，经网桥互联。",
    ),
    "machines.loopback": Word(
        "Three machines as addresses of the loopback interface: {addresses}. No namespaces: {why}.",
        "三台机器以回环地址代替：{addresses}；未用网络命名空间：{why}。",
    ),
    "machines.beside": Word(
        "Beside them, one each and not doubled here: PostgreSQL and InfluxDB ({gateway}), and the balancer.",
        "三台之外各一份，本演示不做冗余：PostgreSQL、InfluxDB（{gateway}）与负载均衡。",
    ),
    "machines.servers": Word(
        "Starting PostgreSQL, InfluxDB and a nats-server on each machine (each write on the disk) …",
        "启动 PostgreSQL、InfluxDB，以及各机的 nats-server（逐条落盘）……",
    ),
    "machines.roles": Word("Starting lucheng on each: {roles} …", "启动各机的鹿城进程：{roles} ……"),
    "machines.up": Word("All of it runs after {seconds} s.", "{seconds} 秒后全部就绪。"),
    "machines.ask": Word("From another terminal: {command}", "可在另一终端查看：{command}"),
    "machines.key": Word(
        "Machine {machine} is killed {at_s} s from now, or when you press Enter; Ctrl-C ends it.",
        "{at_s} 秒后（或按回车）{machine} 断电；Ctrl-C 结束。",
    ),
    "machines.timed": Word(
        "Machine {machine} is killed {at_s} s from now; Ctrl-C ends it.", "{at_s} 秒后 {machine} 断电；Ctrl-C 结束。"
    ),
    "machines.holds": Word("{machine}: {parts}{desk}{lines}", "{machine}：{parts}{desk}{lines}"),
    "machines.parts": Word("partitions {parts}", "分区 {parts}"),
    "machines.no_parts": Word("no partition", "无分区"),
    "machines.desk": Word(", the desk on duty", "，值班指挥台"),
    "machines.lines": Word(", {lines} connections of devices", "，设备连接 {lines}"),
    "machines.gone": Word("{machine}: gone", "{machine}：已离开"),
    "machines.flow": Word(
        "received {received}, stored {stored}, in flight {in_flight}; alarms pressed {pressed}, on a console {heard}, slowest {slowest} s",
        "接收 {received}，入库 {stored}，处理中 {in_flight}；报警 {pressed} 次，控制台已收到 {heard}，最慢 {slowest} 秒",
    ),
    "machines.silent": Word("(nobody answers for the moment)", "（暂无应答）"),
    "machines.killed": Word(
        "■ {machine} is dead: {how}. It held {held}.", "■ {machine} 断电：{how}。其所负责：{held}。"
    ),
    "machines.cable": Word("cable pulled, every process killed with -9", "拔网线并 kill -9 全部进程"),
    "machines.processes": Word("every process killed with -9", "kill -9 全部进程"),
    "machines.nothing": Word("nothing", "无"),
    "machines.taken": Word("+{seconds} s: {stream} held by {holder}", "+{seconds} 秒：{stream} 由 {holder} 接管"),
    "machines.all_taken": Word(
        "Everything is held by others {seconds} s after the kill.", "断电 {seconds} 秒后，全部由其他机器接管。"
    ),
    "machines.back": Word("{machine} is switched on again, on its old disks.", "{machine} 重新上电，数据盘不变。"),
    "machines.is_back": Word("{machine} is back after {seconds} s.", "{machine} 于 {seconds} 秒后恢复运行。"),
    "machines.restarted": Word(
        "{name} ended by itself and is started again: {said}", "{name} 自行退出，已重新启动：{said}"
    ),
    "machines.ending": Word("Ending: what was sent is waited for.", "结束：等待已发送数据全部入库。"),
    "machines.presses": Word(
        "alarms pressed {when}: {count}, on a console after {median} s (median), {slowest} s (slowest)",
        "{when}报警：{count} 次，到达控制台中位 {median} 秒、最慢 {slowest} 秒",
    ),
    "machines.before": Word("before the kill", "断电前"),
    "machines.during": Word("until all was taken over", "接管期间"),
    "machines.after": Word("after that", "接管后"),
    "machines.missed": Word("missed: {missed} of {pressed} alarms", "漏报：{missed} / {pressed}"),
    "machines.points": Word(
        "points sent by {devices} devices: {sent}; not stored: {lost}",
        "{devices} 台设备发送定位 {sent} 点；未入库：{lost}",
    ),
    "machines.good": Word(
        "Everything that was acknowledged is stored, every alarm reached a console.", "已确认的全部入库，警情无一遗漏。"
    ),
    "machines.bad": Word("Something is missing.", "有数据缺失。"),
}
