"""Texts of `lucheng search` and `lucheng store index`, in both languages; part of `lucheng.cli.texts`."""

from __future__ import annotations

from model.codes import Word

SEARCH_TEXTS: dict[str, Word] = {
    "search": Word(
        "Who was there then: by area and time, two places, company, cameras passed.",
        "时空查询：区域与时间、两地比对、伴随、途经摄像头。",
    ),
    "search.inside": Word(
        "Who was inside an area in a time window. A time with ~ is interpolated between two points.",
        "某时间窗口内区域中的设备。带 ~ 的时间为两点间推算。",
    ),
    "search.both": Word(
        "Who was in both of two places, in any order, each in its time window.",
        "在各自时间窗口内到过两个地点的设备（不分先后）。",
    ),
    "search.then": Word("Who was in one place and soon after in another.", "先到某地、随后到另一地的设备。"),
    "search.with": Word("Who went along with a device.", "与某设备同行的设备。"),
    "search.met": Word("Which pairs were at a place at the same time, or nearly.", "同时或几乎同时到过某地的设备对。"),
    "search.cameras": Word(
        "Which cameras a device passed, and how to pull what they saw.", "某设备途经的摄像头及调取命令。"
    ),
    "search.area": Word(
        'LAT,LON,METRES; "LAT,LON LAT,LON LAT,LON …"; fence:ID; jurisdiction:ID; or @FILE with GeoJSON.',
        "纬度,经度,半径米；“纬度,经度 纬度,经度 纬度,经度 …”；fence:编号；jurisdiction:编号；或 @GeoJSON 文件。",
    ),
    "search.device": Word("Only this device; may be given several times.", "仅此设备，可多次给出。"),
    "search.kind": Word(
        "Only this kind of device; may be given several times. Left out: all but e-bikes.",
        "仅此类设备，可多次给出；不写则为电动自行车以外的全部。",
    ),
    "search.evidence": Word("Give the points themselves, too.", "同时给出定位点。"),
    "search.second_from": Word(
        "Start of the second place's window; left out: --from.", "第二地点的起始时间；不写同 --from。"
    ),
    "search.second_to": Word("End of the second place's window; left out: --to.", "第二地点的结束时间；不写同 --to。"),
    "search.within_both": Word("At the other place at most so many seconds apart.", "到达另一地点的最大间隔秒数。"),
    "search.within_then": Word("At the second place within so many seconds.", "多少秒内到达第二地点。"),
    "search.within_met": Word("At most so many seconds apart.", "最大时间间隔（秒）。"),
    "search.near": Word("Within so many metres of it.", "距离不超过多少米。"),
    "search.together": Word("For at least so many seconds on end.", "连续同行至少多少秒。"),
    "search.summary": Word(
        "{found} of {searched} devices; times in {zone}{more}",
        "共 {searched} 台设备，查到 {found}；时间为 {zone}{more}",
    ),
    "search.simplified": Word("; the outline may be off by {metres:g} m", "；区域轮廓已简化，偏差不超过 {metres:g} 米"),
    "search.passes": Word(
        "{passes} passes of {cameras} cameras; times in {zone}", "经过 {cameras} 个摄像头共 {passes} 次；时间为 {zone}"
    ),
    "search.around": Word("all around", "全向"),
    "search.aimed": Word("in its field", "视场内"),
    "store.index": Word(
        "Index by place what an older lucheng stored, so that searches are quick. The running service does it by itself in time.",
        "为旧数据建立时空索引以加快查询；运行中的服务也会自行逐步完成。",
    ),
    "store.again": Word("Look at every index, and make damaged ones anew.", "检查全部索引并重建损坏者。"),
    "store.indexed": Word("{points} points read and indexed.", "已读取并索引 {points} 个点。"),
}
