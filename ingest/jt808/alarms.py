"""The alarm bits of JT/T 808 and of JT/T 1078, each mapped once to our kinds; the status bits.

Purpose: one table that says of every bit what it is, which of our kinds it raises, and what makes the terminal clear it.
Invariants: every bit of the alarm word stands in `ALARMS` once; every kind is one of `model.codes.ALARM_KINDS`. It decides
nothing about episodes: rising edges are found where points meet.
Source: JT/T 808-2013 and -2019 (bits 15 to 17), the alarm word of 0x0200 and the word of 0x8203; JT/T 1078-2016, item 0x14.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from model.codes import ALARM_BY_NAME, Word

#: What clears a bit: its condition ends; the platform's general reply; the platform's 8203.
Latch = Literal["held", "reply", "confirm"]


@dataclass(frozen=True, slots=True)
class AlarmBit:
    """One bit of an alarm word.

    Attributes:
        bit: its place.
        name: the word in decoded values.
        kind: name of our kind.
        latch: what makes the terminal clear it.
        words: what people read.
        confirm_bit: its place in 8203's word; None where 8203 has none for it.
    """

    bit: int
    name: str
    kind: str
    latch: Latch
    words: Word
    confirm_bit: int | None = None


def _bit(
    bit: int, name: str, kind: str, latch: Latch, en: str, zh: str, *, confirm: bool = False
) -> AlarmBit:  # 8203 uses the same places as the alarm word
    return AlarmBit(bit, name, kind, latch, Word(en, zh), bit if confirm else None)


#: The alarm word of 0x0200. 20 (in or out) is told apart by item 0x12: see `area_kind`.
ALARMS: tuple[AlarmBit, ...] = (
    _bit(0, "emergency", "sos", "confirm", "emergency button", "紧急报警", confirm=True),
    _bit(1, "overspeed", "overspeed", "held", "overspeed", "超速报警"),
    _bit(2, "fatigue", "fatigue", "held", "driver fatigue", "疲劳驾驶"),
    _bit(3, "danger_warning", "driving_warning", "confirm", "danger warning", "危险预警", confirm=True),
    _bit(4, "gnss_fault", "device_fault", "held", "GNSS module fault", "GNSS 模块故障"),
    _bit(5, "antenna_cut", "antenna_cut", "held", "GNSS antenna cut or not connected", "GNSS 天线未接或被剪断"),
    _bit(6, "antenna_short", "device_fault", "held", "GNSS antenna shorted", "GNSS 天线短路"),
    _bit(7, "power_low", "low_battery", "held", "main power under-voltage", "主电源欠压"),
    _bit(8, "power_cut", "power_cut", "held", "main power lost", "主电源掉电"),
    _bit(9, "display_fault", "device_fault", "held", "display fault", "显示器故障"),
    _bit(10, "tts_fault", "device_fault", "held", "speech module fault", "TTS 模块故障"),
    _bit(11, "camera_fault", "camera_fault", "held", "camera fault", "摄像头故障"),
    _bit(12, "card_reader_fault", "device_fault", "held", "driver card reader fault", "从业资格证 IC 卡模块故障"),
    _bit(13, "overspeed_warning", "driving_warning", "held", "overspeed warning", "超速预警"),
    _bit(14, "fatigue_warning", "driving_warning", "held", "fatigue warning", "疲劳驾驶预警"),
    _bit(15, "violation", "driving_warning", "held", "driving against the rules (2019)", "违规行驶（2019）"),
    _bit(16, "tyre_warning", "driving_warning", "held", "tyre pressure warning (2019)", "胎压预警（2019）"),
    _bit(17, "blind_spot", "driving_warning", "held", "right blind spot (2019)", "右转盲区异常（2019）"),
    _bit(18, "day_driving_time", "fatigue", "held", "driven for too long today", "当天累计驾驶超时"),
    _bit(19, "parked_too_long", "driving_warning", "held", "parked for too long", "超时停车"),
    _bit(20, "area", "entered_area", "reply", "went into or out of an area", "进出区域", confirm=True),
    _bit(21, "route", "route_deviation", "reply", "went onto or off a route", "进出路线", confirm=True),
    _bit(22, "segment_time", "driving_warning", "reply", "too fast or too slow on a segment", "路段行驶时间不足或过长", confirm=True),
    _bit(23, "off_route", "route_deviation", "held", "off its route", "路线偏离"),
    _bit(24, "speed_sensor_fault", "device_fault", "held", "speed sensor fault", "车辆 VSS 故障"),
    _bit(25, "fuel", "device_fault", "held", "fuel level not normal", "车辆油量异常"),
    _bit(26, "stolen", "moved_while_armed", "held", "the vehicle's anti-theft device went off", "车辆被盗"),
    _bit(27, "illegal_ignition", "illegal_move", "reply", "ignition that is not allowed", "车辆非法点火", confirm=True),
    _bit(28, "illegal_move", "illegal_move", "reply", "moved without being allowed to", "车辆非法位移", confirm=True),
    _bit(29, "collision", "collision", "held", "collision", "碰撞"),
    _bit(30, "rollover", "rollover", "held", "rollover", "侧翻"),
    _bit(31, "illegal_door", "tamper", "reply", "a door opened that must not (2013)", "非法开门（2013）"),
)  # fmt: skip

#: The video alarm word, item 0x14 of 0x0200.
VIDEO_ALARMS: tuple[AlarmBit, ...] = (
    _bit(0, "video_lost", "camera_fault", "held", "video signal lost", "视频信号丢失"),
    _bit(1, "video_covered", "camera_covered", "held", "video signal covered", "视频信号遮挡"),
    _bit(2, "storage_fault", "device_fault", "held", "storage fault", "存储单元故障"),
    _bit(3, "video_fault", "camera_fault", "held", "other video fault", "其他视频设备故障"),
    _bit(4, "overloaded", "driving_warning", "held", "too many passengers", "客车超员"),
    _bit(5, "abnormal_driving", "driving_warning", "held", "abnormal driving", "异常驾驶行为"),
    _bit(6, "recording_full", "device_fault", "held", "recordings of alarms fill the storage", "特殊报警录像达到存储阈值"),
)  # fmt: skip

ALARM_NAMES: dict[int, str] = {one.bit: one.name for one in ALARMS}
VIDEO_ALARM_NAMES: dict[int, str] = {one.bit: one.name for one in VIDEO_ALARMS}
#: Places in 8203's word.
CONFIRM_NAMES: dict[int, str] = {one.confirm_bit: one.name for one in ALARMS if one.confirm_bit is not None}

#: The status word of 0x0200. Bits 8 and 9 are one number: 0 empty, 1 half, 3 full (bit 8 the lower).
STATUS_NAMES: dict[int, str] = {
    0: "ignition",
    1: "fix_valid",
    2: "south",
    3: "west",
    4: "out_of_service",
    5: "coordinates_encrypted",
    6: "collision_braking_warning",
    7: "lane_departure_warning",
    8: "half_loaded",
    9: "loaded",
    10: "fuel_cut",
    11: "circuit_cut",
    12: "doors_locked",
    13: "door_1_open",
    14: "door_2_open",
    15: "door_3_open",
    16: "door_4_open",
    17: "door_5_open",
    18: "gps",
    19: "beidou",
    20: "glonass",
    21: "galileo",
    22: "driving",
}


def kind_bit(name: str) -> int:
    """Our `PointBatch.alarm_bits` bit of a kind."""
    return 1 << ALARM_BY_NAME[name].bit


@cache
def kind_bits_lut(video: bool = False) -> npt.NDArray[np.uint64]:  # noqa: FBT001, FBT002 one of two tables
    """Our bits for each byte of the word: uint64 (4, 256), row 0 the lowest byte. Read-only, made once."""
    table = np.zeros((4, 256), np.uint64)
    values = np.arange(256)
    for one in VIDEO_ALARMS if video else ALARMS:
        table[one.bit // 8, (values >> one.bit % 8 & 1).astype(bool)] |= np.uint64(kind_bit(one.kind))
    table.setflags(write=False)
    return table


def _looked_up(words: npt.NDArray[np.uint32], table: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    made: npt.NDArray[np.uint64] = table[0][words & 0xFF]
    for row in (1, 2, 3):
        made |= table[row][words >> np.uint32(8 * row) & 0xFF]
    return made


def to_kind_bits(alarm: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """Our alarm bits (uint64 (n,)) of alarm words (uint32 (n,))."""
    return _looked_up(alarm, kind_bits_lut())


def video_kind_bits(video: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """Our alarm bits (uint64 (n,)) of video alarm words, item 0x14 (uint32 (n,))."""
    return _looked_up(video, kind_bits_lut(video=True))


def area_kind(direction: int) -> str:
    """Our kind of the area alarm by the direction of item 0x12: 0 in, 1 out."""
    return "left_area" if direction == 1 else "entered_area"


def confirm_bits(kind: str) -> int:
    """The word of 8203 that releases every bit of our kind; 0 where nothing has to be released."""
    kinds = {"left_area": "entered_area"}
    return sum(
        1 << one.confirm_bit for one in ALARMS if one.confirm_bit is not None and one.kind == kinds.get(kind, kind)
    )
