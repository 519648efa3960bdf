"""How the service itself does: sources, the counters of the invariant, disk, stores, cameras, clock, versions. Part of `console.operations`.

It is made of what `status` and the running service say, so the page, the command line and the metrics cannot disagree; it holds
nothing of any device and of no person. `findings` names what is not as it should be. Codes come with their words in both languages.
"""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, Protocol

from console.alarm_rows import moment
from console.device_operations import Caller
from model.camera import STATE_WORDS, CameraState
from model.codes import REASON_WORDS, Reason, Word

if TYPE_CHECKING:
    from config.sections import Settings
    from model.clock import Clock

DAY_S = 86_400
#: Behind this, something is said.
MAX_LAG_MS = 60_000
MIN_FREE_SHARE = 0.1
MIN_DAYS_LEFT = 7.0
#: How fast a disk fills is told once it was seen for so long.
MIN_SEEN_S = 3_600
#: Libraries whose version is told.
LIBRARIES = ("fastapi", "uvicorn", "numpy", "pyarrow", "av", "shapely")
#: Sources by the begin of the names of their values: counter, whether it is connected, words.
SOURCES: tuple[tuple[str, str, str, Word], ...] = (
    (
        "mqtt_points",
        "mqtt_points_received",
        "mqtt_points_connected",
        Word("MQTT, points (messages)", "MQTT 定位（消息）"),
    ),
    (
        "mqtt_alarms",
        "mqtt_alarms_received",
        "mqtt_alarms_connected",
        Word("MQTT, alarms (messages)", "MQTT 警情（消息）"),
    ),
    ("gateway", "gateway_frames", "", Word("terminals, JT/T and GT06 (frames)", "终端 JT/T 与 GT06（帧）")),
    ("osmand", "osmand_answers", "", Word("OsmAnd over HTTP (requests)", "OsmAnd HTTP（请求）")),
    ("cameras", "camera_signals", "", Word("cameras (signals and clears)", "摄像头（信号与解除）")),
)
FINDINGS: dict[str, Word] = {
    "invariant_broken": Word("received is not stored + duplicate + quarantined + in flight", "接收数与入库、重复、隔离、在途之和不符"),
    "mqtt_points_away": Word("the broker's connection for points is down", "定位 MQTT 连接中断"),
    "mqtt_alarms_away": Word("the broker's connection for alarms is down", "警情 MQTT 连接中断"),
    "points_lag": Word("points are stored more than a minute after they came", "定位入库时延超过一分钟"),
    "alarms_behind": Word("alarms in the log are not on the desk yet", "警情日志有未处理的警情"),
    "series_away": Word("the InfluxDB server is away", "InfluxDB 服务器离线"),
    "mirror_missed": Word("the InfluxDB mirror lacks points; `lucheng store copy` fills it", "InfluxDB 镜像缺失定位点，可用 lucheng store copy 补齐"),
    "disk_low": Word("little room is left on the disk", "磁盘剩余空间不足"),
    "disk_fills": Word("at this rate the disk is full within a week", "按当前速度一周内磁盘将满"),
    "clock_free": Word("nothing steers this machine's clock (NTP)", "本机时钟未同步（NTP）"),
    "workers_died": Word("video processes ended unasked", "视频进程异常退出"),
    "recording_stopped": Word("a video process cannot record", "有视频进程无法录像"),
    "reviews_overdue": Word("a break-glass was not reviewed within its time", "紧急越权查询逾期未复核"),
}  # fmt: skip


class _House(Protocol):
    """What it needs of the operations."""

    _settings: Settings
    _clock: Clock

    def status(self, caller: Caller) -> dict[str, Any]: ...


class SystemOperations:
    """See the module."""

    def system(self: _House, caller: Caller) -> dict[str, Any]:
        """The service as it is now."""
        now = self.status(caller)
        live: dict[str, float] = now["live"]
        made = {
            "time": moment(self._clock.now_ms()),
            "service": _service(live),
            "city": self._settings.city.name,
            "sources": [_source(live, *one) for one in SOURCES if one[1] in live],
            "points": _points(now),
            "alarms": _alarms(now),
            "rejected": [
                {"reason": name, "words": _both(REASON_WORDS[Reason[name.upper()]]), "rows": rows}
                for name, rows in sorted(now["quarantined"].items(), key=lambda one: -one[1])
            ],
            "disk": _disk(live),
            "series": {
                **now["series"],
                **_named(live, "series_", ("numbers_pending", "numbers_dropped", "mirror_missed")),
            },
            "broker": _named(live, "broker_", ("embedded", "port")),
            "cameras": [
                {
                    "state": state.value,
                    "words": _both(STATE_WORDS[state]),
                    "count": int(live.get(f"cameras_{state.value}", 0)),
                }
                for state in CameraState
            ],
            "video": _named(live, "video_", ("workers", "worker_deaths", "recording_stopped")),
            "viewers": {"events": live.get("event_streams"), "live": live.get("live_viewers")},
            "devices": {"registered": now["devices"], "online": live.get("devices_online")},
            "clock": {
                "synchronised": _yes(live.get("clock_synchronised", -1)),
                "devices_off": live.get("devices_clock_off"),
            },
            "approvals": now["approvals"],
        }
        return {**made, "findings": [{"finding": one, "words": _both(FINDINGS[one])} for one in findings(made)]}


def findings(now: Mapping[str, Any]) -> list[str]:
    """What is not as it should be, keys of `FINDINGS`; what is not known is not said."""
    sources = {one["source"]: one for one in now["sources"]}
    disk = now["disk"]
    found = {
        "invariant_broken": not now["points"]["holds"],
        "mqtt_points_away": sources.get("mqtt_points", {}).get("connected") is False,
        "mqtt_alarms_away": sources.get("mqtt_alarms", {}).get("connected") is False,
        "points_lag": (now["points"]["lag_ms"] or 0) > MAX_LAG_MS,
        "alarms_behind": (now["alarms"]["behind"] or 0) > 0,
        "series_away": now["series"]["away"],
        "mirror_missed": (now["series"]["mirror_missed"] or 0) > 0,
        "disk_low": disk["free_share"] is not None and disk["free_share"] < MIN_FREE_SHARE,
        "disk_fills": disk["days_left"] is not None and disk["days_left"] < MIN_DAYS_LEFT,
        "clock_free": now["clock"]["synchronised"] is False,
        "workers_died": (now["video"]["worker_deaths"] or 0) > 0,
        "recording_stopped": (now["video"]["recording_stopped"] or 0) > 0,
        "reviews_overdue": now["approvals"]["overdue"] > 0,
    }
    return [name for name in FINDINGS if found[name]]


def _service(live: Mapping[str, float]) -> dict[str, Any]:
    versions = {name: version for name in LIBRARIES if (version := _version(name))}
    return {
        "version": _version("lucheng"),
        "uptime_s": live.get("uptime_s"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libraries": versions,
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _source(live: Mapping[str, float], name: str, counter: str, connected: str, words: Word) -> dict[str, Any]:
    return {
        "source": name,
        "words": _both(words),
        "count": live.get(counter),
        "per_s": live.get(f"source_{name}_per_s"),
        "silent_s": live.get(f"source_{name}_silent_s"),
        "connected": _yes(live.get(connected, -1)) if connected else None,
        "rejected": live.get("gateway_bad") if name == "gateway" else live.get(f"{name}_malformed"),
    }


def _points(now: Mapping[str, Any]) -> dict[str, Any]:
    live, behind = now["live"], now["log_position"]["points"] - now["stored_position"]
    quarantined = sum(now["quarantined"].values())
    return {
        "received": now["received"],
        "stored": now["stored"],
        "duplicate": now["duplicate"],
        "quarantined": quarantined,
        "expired": now["counters"].get("expired", 0),
        "in_flight": now["in_flight"],
        "behind": behind,
        "holds": now["in_flight"] >= 0 and not (behind == 0 and now["in_flight"]),
        "lag_ms": live.get("lag_ms"),
        "waiting": live.get("log_rows_queued"),
        "per_s": live.get("source_points_per_s"),
        "silent_s": live.get("source_points_silent_s"),
    }


def _alarms(now: Mapping[str, Any]) -> dict[str, Any]:
    at, last = now["live"].get("alarms_position"), now["log_position"]["alarms"]
    return {
        "position": last,
        "behind": None if at is None else max(0, last - int(at)),
        "signals": sum(now["signals"].values()),
    }


def _disk(live: Mapping[str, float]) -> dict[str, Any]:
    free, total = live.get("disk_free_bytes"), live.get("disk_total_bytes")
    fills, seen_s = live.get("disk_fills_bytes_per_day", 0), live.get("disk_seen_s", 0)
    known = free is not None and seen_s >= MIN_SEEN_S
    return {
        "free_bytes": free,
        "total_bytes": total,
        "free_share": round(free / total, 4) if free is not None and total else None,
        "fills_bytes_per_day": fills if known else None,
        "days_left": round(free / fills, 1) if known and free is not None and fills > 0 else None,
        "seen_s": seen_s,
        **_named(live, "", ("evidence_bytes", "recording_bytes")),
    }


def _named(live: Mapping[str, float], prefix: str, names: tuple[str, ...]) -> dict[str, float | None]:
    return {name: live.get(prefix + name) for name in names}


def _yes(value: float) -> bool | None:
    return None if value < 0 else bool(value)


def _both(words: Word) -> dict[str, str]:
    return {"zh": words.zh, "en": words.en}
