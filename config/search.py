"""The settings of searches: who was there, who went along, which cameras were passed."""

from __future__ import annotations

from config.base import Section, setting


class Search(Section):
    """Searches by place and time · 按时间和地点查询"""

    max_vehicles: int = setting(
        200,
        "devices that one search may tell of; where more were there it tells nobody's name",
        "单次查询最多给出的设备数；超出则一概不予显示",
        ge=1,
        le=100_000,
    )
    max_compared: int = setting(
        5_000,
        "devices at one place of a search over two places, or near a device, before they are compared",
        "两地比对或伴随查询中，单个地点参与比对的设备数上限",
        ge=1,
        le=1_000_000,
    )
    max_window_h: int = setting(744, "hours of one search's window", "单次查询的时间跨度上限（小时）", ge=1, le=8_784)
    max_company_h: int = setting(
        24, "hours of one search for who went along", "伴随查询的时间跨度上限（小时）", ge=1, le=168
    )
    max_radius_m: float = setting(5_000.0, "largest circle searched", "圆形区域最大半径（米）", ge=1, le=50_000)
    max_corners: int = setting(500, "corners of a searched polygon", "多边形区域顶点数上限", ge=3, le=500)
    max_simplified_m: float = setting(
        100.0,
        "how far the outline of a fence or jurisdiction with more corners may be moved to have so many; it is said",
        "围栏或辖区顶点过多时，轮廓简化的最大偏移（米），结果中会注明",
        ge=0,
        le=1_000,
    )
    max_read_points: int = setting(
        20_000_000, "points that one search reads", "单次查询读取的点数上限", ge=1_000, le=1_000_000_000
    )
    max_points: int = setting(
        1_000_000, "points inside that one search gathers", "单次查询汇集的区域内点数上限", ge=100, le=50_000_000
    )
    max_evidence_points: int = setting(
        20_000, "points that a search gives out as evidence", "作为依据给出的定位点数上限", ge=1, le=1_000_000
    )
    max_near_m: float = setting(
        1_000.0, "largest distance at which devices count as together", "伴随判定距离上限（米）", ge=1, le=10_000
    )
    max_passes: int = setting(
        1_000, "passes of cameras that one search tells", "单次查询给出的经过摄像头次数上限", ge=1, le=100_000
    )
