"""Texts of the exports, in both languages."""

from __future__ import annotations

from model.codes import Word

EXPORT_TEXTS: dict[str, Word] = {
    "export": Word(
        "Tracks as files, with their datum, purpose and hash.", "轨迹导出：文件内注明坐标系、目的与校验值。"
    ),
    "export.tracks": Word(
        "Export the tracks of devices, or of a kind of device, in a window.", "按时间窗导出设备或某类设备的轨迹。"
    ),
    "export.device": Word("A device; may be given several times.", "设备编号，可重复给出。"),
    "export.kind": Word(
        "Every device of a kind, e.g. taxi (e-bikes never).", "某一类的全部设备，如 taxi（电动自行车除外）。"
    ),
    "export.format": Word("csv, geojson, gpx, kml or parquet.", "csv、geojson、gpx、kml 或 parquet。"),
    "export.datum": Word("wgs84, gcj02 or bd09.", "坐标系：wgs84、gcj02 或 bd09。"),
    "export.out": Word(
        "A file that is not there yet, and FILE.sha256 beside it; -: standard output.",
        "新文件名，并在旁生成 FILE.sha256；- 为标准输出。",
    ),
    "export.plain": Word(
        "CSV without the lines of the heading; they then stand in FILE.sha256 alone.",
        "CSV 不含文件头说明行；说明仅写入 FILE.sha256。",
    ),
    "export.saved": Word(
        "{points} points of {devices} devices ({datum}) saved in {file}, {bytes} bytes, SHA-256 {sha256}.",
        "已将 {devices} 台设备的 {points} 个点（{datum}）存入 {file}，{bytes} 字节，SHA-256 {sha256}。",
    ),
    "export.verify": Word("Check that an exported file is as it was made.", "校验导出文件是否保持原样。"),
    "export.holds": Word("{file} is as it was made.", "{file} 与导出时一致。"),
}
