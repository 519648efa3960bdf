"""Every text of the supervision's report, in both languages."""

from __future__ import annotations

from typing import Literal

from model.codes import Word

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

TEXTS: dict[str, Word] = {
    "title": Word("Daily supervision of taxis", "出租汽车每日动态监管报表"),
    "subtitle": Word("{city} · {date} · {from_} to {to} ({zone})", "{city} · {date} · {from_} 至 {to}（{zone}）"),
    "partial": Word("The day had not ended when this was made.", "生成时该日尚未结束。"),
    "of_vehicles": Word("{vehicles} taxis, {points} points", "出租车 {vehicles} 辆，定位点 {points} 个"),
    "data": Word(
        "Data: SHA-256 {digest}; fences: version {fences}. The same data gives this very file again.",
        "数据 SHA-256：{digest}；围栏版本：{fences}。同一数据重新生成的文件逐字节一致。",
    ),
    # rates and sums
    "vehicles": Word("Taxis", "车辆数"),
    "online": Word("On line", "上线"),
    "online_rate": Word("On-line rate", "上线率"),
    "online_time_rate": Word("On-line time rate", "在线时长率"),
    "completeness": Word("Track completeness", "轨迹完整率"),
    "valid_rate": Word("Valid-fix rate", "定位有效率"),
    "drift_rate": Word("Drift rate", "定位漂移率"),
    "drifting_rate": Word("Drifting-vehicle rate", "漂移车辆率"),
    "distance_km": Word("Distance", "行驶里程"),
    "driving_s": Word("Driving", "行驶时长"),
    "standing_s": Word("Standing", "停驶时长"),
    "trips": Word("Trips", "行程"),
    "hires": Word("Hires", "载客次数"),
    "occupied_distance_share": Word("Occupied (distance)", "里程利用率"),
    "occupied_time_share": Word("Occupied (time)", "时间利用率"),
    "overspeed": Word("Overspeed", "超速"),
    "fatigue": Word("Driven too long", "疲劳驾驶"),
    "areas": Word("Areas", "区域违规"),
    "gaps": Word("Offline gaps", "离线中断"),
    "offline_s": Word("Off line", "离线时长"),
    "max_kmh": Word("Highest", "最高速度"),
    "longest_drive_s": Word("Longest drive", "最长连续驾驶"),
    "points": Word("Points", "定位点"),
    # columns
    "device": Word("Taxi", "车辆"),
    "plate": Word("Plate", "车牌"),
    "company": Word("Company", "企业"),
    "no_company": Word("(none registered)", "（未登记）"),
    "first": Word("First", "首点"),
    "last": Word("Last", "末点"),
    "start": Word("From", "开始"),
    "end": Word("To", "结束"),
    "lasted": Word("Lasted", "时长"),
    "band": Word("Band", "分档"),
    "peak": Word("Worst", "最高点"),
    "kmh": Word("km/h", "时速"),
    "limit_kmh": Word("Limit", "限速"),
    "place": Word("Place (WGS-84)", "位置（WGS-84）"),
    "fence": Word("Fence", "围栏"),
    "kind": Word("What", "类型"),
    "driven": Word("Driven", "驾驶时长"),
    "over": Word("Too long at", "超时时刻"),
    "moved_m": Word("Moved meanwhile", "离线位移"),
    "still": Word("not over", "未结束"),
    # headings
    "h.companies": Word("Companies", "企业"),
    "h.vehicles": Word("Taxis", "车辆"),
    "h.overspeed": Word("Overspeed: the evidence", "超速证据"),
    "h.fatigue": Word("Driven too long", "疲劳驾驶"),
    "h.areas": Word("Forbidden and left areas", "禁行区域与驶出区域"),
    "h.gaps": Word("Times off line", "离线中断"),
    "h.how": Word("How this is reckoned", "统计口径"),
    "none": Word("None.", "无。"),
    "more": Word(
        "{shown} of {count} rows are shown; CSV and JSON have all of them.",
        "显示 {count} 条中的 {shown} 条；CSV 与 JSON 含全部。",
    ),
    # charts
    "c.online": Word("Taxis on line, by hour", "各时段在线车辆"),
    "c.distance": Word("Distance by hour, km", "各时段行驶里程（公里）"),
    "c.occupied": Word("Occupied time by hour, %", "各时段载客时间占比（%）"),
    "c.bands": Word("Overspeed by band", "超速分档"),
    "c.spread": Word("Taxis by distance of the day, km", "车辆日行驶里程分布（公里）"),
    "c.companies": Word("Companies: way without a track, %", "各企业轨迹缺失里程占比（%）"),
    "band.first": Word("below {to} %", "{to}% 以下"),
    "band.middle": Word("{from_}–{to} %", "{from_}%–{to}%"),
    "band.last": Word("{from_} % and more", "{from_}% 及以上"),
    "band.only": Word("above the limit", "超过限速"),
    # units
    "km": Word("km", "公里"),
    "h": Word("h", "小时"),
    "m": Word("m", "米"),
}

#: How each figure is reckoned, in the order of the report: (key of `TEXTS`, what it is).
HOW: tuple[tuple[str, Word], ...] = (
    (
        "online_rate",
        Word(
            "Taxis with one valid fix in the day / registered and enabled taxis (车辆上线率).",
            "当日至少上传一次有效定位的车辆数 ÷ 已登记启用的车辆数。",
        ),
    ),
    (
        "completeness",
        Word(
            "Way whose points are at most {gap} s apart / that way and the straight lines across longer silences, stops left out (轨迹完整率).",
            "相邻定位间隔不超过 {gap} 秒的轨迹里程 ÷（该里程＋更长中断处的直线里程），不含停留。",
        ),
    ),
    (
        "valid_rate",
        Word(
            "Fixes that have a place and that the device does not call invalid / points that came (the part of 数据合格率 that stored points tell).",
            "有坐标且终端未标记无效的定位数 ÷ 收到的定位点数（数据合格率中可由入库数据判定的部分）。",
        ),
    ),
    (
        "drift_rate",
        Word(
            "Valid fixes farther from the last than {fast} km/h allows (and than {jump} m) / valid fixes.",
            "与上一点距离超过 {fast} km/h 可达范围（且超过 {jump} 米）的有效定位数 ÷ 有效定位数。",
        ),
    ),
    (
        "drifting_rate",
        Word(
            "Taxis with {drift} or more such fixes / taxis on line (卫星定位漂移车辆率).",
            "跳变定位不少于 {drift} 个的车辆数 ÷ 上线车辆数。",
        ),
    ),
    (
        "distance_km",
        Word(
            "Sum over the trips, cleaned of jumps; standing is the time of stops ({stop} s within {diameter} m).",
            "各行程里程之和，已剔除跳变；停驶时长为停留之和（{diameter} 米内满 {stop} 秒）。",
        ),
    ),
    (
        "occupied_distance_share",
        Word(
            "Way (time) with a passenger / way (time) for which the meter told.",
            "载客里程（时间）÷ 计价器有状态的里程（时间）。",
        ),
    ),
    (
        "overspeed",
        Word(
            "Fixes in a row more than {over} km/h above the limit, over {least} s at least; the band by the fix farthest above its limit; {city} km/h where no fence sets a limit.",
            "连续定位超过限速 {over} km/h 以上且持续不少于 {least} 秒；按超出比例最高点分档；无围栏限速处为 {city} km/h。",
        ),
    ),
    (
        "fatigue",
        Word(
            "{drive} of driving without a rest of {rest}; who drives is not known.",
            "连续驾驶满 {drive} 而未休息满 {rest}；无法识别驾驶员更换。",
        ),
    ),
    (
        "gaps",
        Word(
            "No point of any kind for {silent} s or longer; the time off line counts the ends of the day.",
            "连续 {silent} 秒及以上无任何数据；离线时长含当日首尾。",
        ),
    ),
)
SOURCE = Word(
    "Names and what is divided by what: Measures for assessing the national networked control system of key commercial "
    "vehicles (全国重点营运车辆联网联控系统考核管理办法, 交运发〔2016〕160号). A group's rate is made of its sums. "
    "Thresholds are settings of this house.",
    "指标名称与计算关系依据《全国重点营运车辆联网联控系统考核管理办法》（交运发〔2016〕160号）。企业与城市指标按总和计算，"
    "阈值为本系统设置。",
)


def text(language: Language, key: str, **fields: object) -> str:
    """The text `key` with its fields filled in."""
    return said(language, TEXTS[key], **fields)


def said(language: Language, word: Word, **fields: object) -> str:
    """A word with its fields filled in."""
    chosen = word.zh if language == "zh" else word.en
    return chosen.format(**fields) if fields else chosen


def band_text(language: Language, edges: list[int], band: int) -> str:
    """The name of a band of overspeed."""
    if not edges:
        return text(language, "band.only")
    if band == 0:
        return text(language, "band.first", to=edges[0])
    if band == len(edges):
        return text(language, "band.last", from_=edges[-1])
    return text(language, "band.middle", from_=edges[band - 1], to=edges[band])
