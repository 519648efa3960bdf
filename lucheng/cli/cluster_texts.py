"""Texts of the cluster, in both languages."""

from __future__ import annotations

from model.codes import Word

CLUSTER_TEXTS: dict[str, Word] = {
    "opt.role": Word(
        "What this process does: all, or some of ingest, analyze, desk, video (several processes want nats.mode = log).",
        "本进程的角色：all，或 ingest、analyze、desk、video 中的若干项（多进程须设 nats.mode = log）。",
    ),
    "cluster": Word("Several processes that share the city.", "共同承担全市业务的多个进程。"),
    "cluster.status": Word(
        "Who is there, who holds which stream and since when, how far behind, whose clock is off.",
        "在线进程与角色、各分区由谁负责及起始时间、积压与时钟偏差。",
    ),
    "cluster.backup": Word(
        "Write the streams of the nats-servers into a new folder, while the city runs. The first part of a back-up: docs/operations/backup.md.",
        "将 nats-server 的各条流写入新目录，可在运行中进行。备份的第一步，见 docs/operations/backup.md。",
    ),
    "cluster.restore": Word(
        "Make the streams of a back-up on new nats-servers, while nothing runs; then `cluster settle`.",
        "在全新的 nats-server 上恢复备份中的各条流（须停止全部进程），之后执行 cluster settle。",
    ),
    "cluster.settle": Word(
        "After a restore, or servers that were set back, and before anything runs: make streams, series and desk agree.",
        "恢复备份或服务器回退之后、启动任何进程之前：使各条流、时序与警情的进度一致。",
    ),
    "cluster.arg.backup": Word("a folder that is new or empty", "新目录或空目录"),
    "cluster.arg.restore": Word("what `cluster backup` wrote", "cluster backup 写出的目录"),
    "cluster.settled": Word("They agree.", "进度一致。"),
    "cluster.settled.lost": Word(
        "They agree now. {lost} records were only in the streams and are lost.",
        "进度已一致。{lost} 条记录只存在于流中，已丢失。",
    ),
    "cluster.gone": Word("gone", "已离开"),
    "cluster.clock": Word(
        "The clock of {host} ({name}) is {ahead_ms} ms ahead of the nats-servers'.",
        "{host}（{name}）的时钟比 nats-server 快 {ahead_ms} 毫秒。",
    ),
    "cluster.key": Word(
        "keys/secret.key of {host} ({name}) is not the one of the others: what it seals or signs they cannot open.",
        "{host}（{name}）的 keys/secret.key 与其他机器不同：其封存与签发的内容其他机器无法打开。",
    ),
    "cluster.unheld": Word(
        "{stream} is held by nobody who is there: its records wait ({lag}).",
        "{stream} 无在线进程负责，{lag} 条记录等待处理。",
    ),
    "cluster.copies": Word(
        "{stream}: the copy on {servers} is behind or away. Stop no other nats-server until this line has gone.",
        "{stream}：{servers} 上的副本落后或离线。本行消失前不要停止其他 nats-server。",
    ),
    "cluster.column.name": Word("name", "名称"),
    "cluster.column.host": Word("host", "主机"),
    "cluster.column.roles": Word("roles", "角色"),
    "cluster.column.since": Word("since", "起始"),
    "cluster.column.holds": Word("holds", "负责"),
    "cluster.column.listening": Word("listening", "接入"),
    "cluster.column.clock": Word("clock ms", "时钟 ms"),
    "cluster.column.stream": Word("stream", "流"),
    "cluster.column.holder": Word("held by", "负责进程"),
    "cluster.column.lag": Word("behind", "积压"),
    "cluster.column.full": Word("full", "占用"),
    "cluster.column.epoch": Word("taking", "接管序号"),
    "cluster.column.last": Word("newest", "最新"),
}
