"""The settings of exports."""

from __future__ import annotations

from config.base import GIB, MIB, Section, setting


class Export(Section):
    """Exports of tracks to files · 轨迹导出"""

    max_points: int = setting(50_000_000, "points of one export", "单次导出的定位点上限", ge=1_000, le=10_000_000_000)
    max_device_days: int = setting(
        300_000,
        "devices times days of one export, refused before anything is read",
        "单次导出的“设备数 × 天数”上限，超出时在读取前即拒绝",
        ge=1,
        le=1_000_000_000,
    )
    max_file_bytes: int = setting(
        8 * GIB,
        "size of one export; it lies on the disk of the data folder, without a name, until it has been given out",
        "单份导出文件的大小上限；给出之前以无名文件形式暂存于数据目录所在磁盘",
        ge=MIB,
        le=1_024 * GIB,
    )
    min_free_bytes: int = setting(
        2 * GIB,
        "free bytes of that disk below which an export is given up: the log and the stores need them",
        "该磁盘剩余空间低于此值即放弃导出，以保证日志与存储可用",
        ge=0,
        le=1_024 * GIB,
    )
    max_running: int = setting(
        2, "exports at a time; one more is told to try again", "同时进行的导出数；超出者须稍后再试", ge=1, le=64
    )
