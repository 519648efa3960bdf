"""Texts of `lucheng store init` and `lucheng store copy`, in both languages; `texts.TEXTS` holds them with all others."""

from __future__ import annotations

from model.codes import Word

STORE_TEXTS: dict[str, Word] = {
    "store.init": Word(
        "Set up the InfluxDB server of the settings: buckets, retention, the hourly task. May be run again.",
        "按设置初始化 InfluxDB：存储桶、保存期与小时汇总任务，可重复执行。",
    ),
    "store.init.print": Word(
        "Change nothing: print the commands for whoever has a token that may do so.",
        "不做更改，仅输出供持有相应令牌者执行的命令。",
    ),
    "store.init.token": Word(
        "File with a token that may make buckets and tasks; the service's own needs no more than to read and write them.",
        "有权建桶与任务的令牌文件；服务自身令牌只需读写权限。",
    ),
    "store.init.comment": Word(
        "With a token that may do all (influx config create …):",
        "使用具备全部权限的令牌执行（先 influx config create …）：",
    ),
    "store.init.made": Word("made", "已创建"),
    "store.init.changed": Word("changed", "已更新"),
    "store.init.kept": Word("as it should be", "无需更改"),
    "store.copy": Word(
        "Copy the time series to InfluxDB (with influx.mode = mirror: what the mirror has missed), or people and devices to "
        "PostgreSQL or back, while no service runs; go on by calling it again.",
        "在服务停止时将时序数据复制到 InfluxDB（influx.mode = mirror 时补齐镜像缺失部分），或在 SQLite 与 PostgreSQL 之间复制人员与设备数据；"
        "中断后可再次执行续传。",
    ),
    "store.copy.from": Word("From where: embedded, sqlite or postgres.", "来源：embedded、sqlite 或 postgres。"),
    "store.copy.to": Word("To where: influx, postgres or sqlite.", "目标：influx、postgres 或 sqlite。"),
    "store.copied": Word(
        "{points} points, {samples} samples of {series} series, {quarantined} quarantined rows copied; {not_kept} points are past what the bucket keeps. Now set influx.mode to store.",
        "已复制 {points} 个定位点、{series} 个序列的 {samples} 个样本、{quarantined} 条隔离数据；{not_kept} 个定位点超出存储桶保存期。请将 influx.mode 设为 store。",
    ),
    "store.people.copied": Word(
        "{rows} rows of people and devices are in PostgreSQL, compared, and the audit holds. database.url stays set from now on.",
        "已将人员与设备数据 {rows} 行复制到 PostgreSQL，逐行比对一致，审计链校验通过。此后请保持 database.url 设置。",
    ),
    "store.people.back": Word(
        "{rows} rows of people and devices are in the data folder's files, compared, and the audit holds. Now remove database.url.",
        "已将人员与设备数据 {rows} 行复制回数据目录文件，逐行比对一致，审计链校验通过。请移除 database.url 设置。",
    ),
    "store.mirrored": Word(
        "{points} points of the window that was missed are in the mirror.", "镜像已补齐缺失时段的 {points} 个定位点。"
    ),
}
