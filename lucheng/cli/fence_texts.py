"""Texts of `lucheng fence`, in both languages; part of `lucheng.cli.texts`."""

from __future__ import annotations

from model.codes import Word

FENCE_TEXTS: dict[str, Word] = {
    "panel.fences": Word("Fences", "电子围栏"),
    "fence": Word("Fences: areas with a rule, and the lines of defence.", "电子围栏：带规则的区域与防线。"),
    "fence.add": Word(
        "Add a fence: a circle, a corridor along a line, or a polygon. Larger ones come from a file: `fence import`.",
        "新增围栏：圆形、沿线走廊或多边形；复杂图形请用 `fence import`。",
    ),
    "fence.list": Word("The fences, by id.", "围栏列表，按编号排序。"),
    "fence.show": Word("One fence with its shape as GeoJSON.", "查看一个围栏及其 GeoJSON 图形。"),
    "fence.remove": Word("Remove a fence.", "删除围栏。"),
    "fence.import": Word(
        "Fences from a GeoJSON file, all or nothing. A known id is changed.",
        "从 GeoJSON 文件导入围栏，要么全部成功要么不变；编号相同则修改。",
    ),
    "fence.export": Word(
        "All fences as GeoJSON, on standard output or into a file.", "导出全部围栏为 GeoJSON（标准输出或文件）。"
    ),
    "fence.test": Word(
        "Which fences contain a place, and which are in force now.", "某位置落在哪些围栏内、当前哪些生效。"
    ),
    "fence.id": Word("Id of the fence.", "围栏编号。"),
    "fence.place": Word("LAT,LON in WGS-84 degrees.", "纬度,经度（WGS-84）。"),
    "fence.rule": Word("enter, exit, forbidden, stay, speed or none.", "enter、exit、forbidden、stay、speed 或 none。"),
    "fence.name": Word("What operators read.", "显示名称。"),
    "fence.circle": Word("Middle of a circle, LAT,LON; with --radius-m.", "圆心，纬度,经度；需配 --radius-m。"),
    "fence.line": Word(
        'Line of a corridor, "LAT,LON LAT,LON …"; --radius-m is half its width.',
        "走廊中线“纬度,经度 纬度,经度 …”；--radius-m 为半宽。",
    ),
    "fence.polygon": Word(
        'Outline of an area, "LAT,LON LAT,LON LAT,LON …"; it is closed by itself.',
        "区域轮廓“纬度,经度 纬度,经度 …”，自动闭合。",
    ),
    "fence.radius": Word("Radius of a circle, or half the width of a corridor, metres.", "半径或走廊半宽（米）。"),
    "fence.limit": Word("Speed limit, for rule speed.", "限速（规则 speed）。"),
    "fence.road_class": Word(
        "Road class whose limit holds (setting rules.road_limits_kmh), for rule speed.",
        "按道路等级限速（设置 rules.road_limits_kmh，规则 speed）。",
    ),
    "fence.stay": Word("Longest stay in seconds, for rule stay.", "最长停留秒数（规则 stay）。"),
    "fence.kind": Word("Only for this kind of device; may be given several times.", "仅对该类设备生效，可多次给出。"),
    "fence.device": Word("Only for this device; may be given several times.", "仅对该设备生效，可多次给出。"),
    "fence.days": Word("Days on which it holds, e.g. mon,tue,wed.", "生效日，如 mon,tue,wed。"),
    "fence.hours": Word(
        "Hours in which it holds, local time, e.g. 22:00-06:00.", "生效时段（本地时间），如 22:00-06:00。"
    ),
    "fence.line_of_defence": Word(
        "It is a line of defence: 1 (inner) to 3 (outer).", "作为防线：1（内圈）至 3（外圈）。"
    ),
    "fence.post": Word(
        "A check post on it, NAME@LAT,LON; may be given several times.", "其上的卡点，名称@纬度,经度，可多次给出。"
    ),
    "fence.datum": Word("Datum of what is given: wgs84, gcj02 or bd09.", "所给坐标的坐标系：wgs84、gcj02 或 bd09。"),
    "fence.disabled": Word("Keep it, not in force.", "保存但不生效。"),
    "fence.change": Word("Put it in the place of the fence with this id.", "替换同编号的围栏。"),
    "fence.replace": Word("Remove the fences that the file does not have.", "删除文件中没有的围栏。"),
    "fence.out": Word("File to write.", "输出文件。"),
    "fence.added": Word("{fence} is fence number {number}.", "{fence} 已保存，围栏号 {number}。"),
    "fence.removed": Word("{fence} is removed.", "{fence} 已删除。"),
    "fence.imported": Word(
        "{fences} fences taken over; the set is version {version}.", "已导入 {fences} 个围栏，当前版本 {version}。"
    ),
    "fence.exported": Word("{fences} fences written to {file}.", "已将 {fences} 个围栏写入 {file}。"),
    "fence.nowhere": Word("No fence contains this place.", "该位置不在任何围栏内。"),
}
