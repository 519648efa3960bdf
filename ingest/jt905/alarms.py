"""The alarm bits of JT/T 905, each mapped once to our kinds; the status bits.

Purpose: one table that says of every bit what it is, which of our kinds it raises, and what makes the terminal clear it.
Invariants: every bit of the alarm word that the standard names stands in `ALARMS` once; every kind is one of
`model.codes.ALARM_KINDS`. It decides nothing about episodes: rising edges are found where points meet.
Source: JT/T 905.2-2014, alarm and status words of 0x0200; bit 14 from its table of device faults (unchecked).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ingest.jt808.alarms import AlarmBit, Latch, area_kind, kind_bit
from model.codes import Word

__all__ = ["ALARMS", "ALARM_NAMES", "STATUS_NAMES", "AlarmBit", "area_kind", "kind_bits_lut", "to_kind_bits"]


def _bit(bit: int, name: str, kind: str, latch: Latch, en: str, zh: str) -> AlarmBit:
    return AlarmBit(bit, name, kind, latch, Word(en, zh))


#: The alarm word of 0x0200. "confirm" is 8B0A or 8B0B. 20 (in or out) is told apart by item 0x12: see `area_kind`.
ALARMS: tuple[AlarmBit, ...] = (
    _bit(0, "emergency", "sos", "confirm", "emergency button", "紧急报警"),
    _bit(1, "danger_warning", "driving_warning", "held", "danger warning", "预警"),
    _bit(2, "gnss_fault", "device_fault", "held", "GNSS module fault", "卫星定位模块故障"),
    _bit(3, "antenna_cut", "antenna_cut", "held", "GNSS antenna cut or not connected", "卫星定位天线未接或被剪断"),
    _bit(4, "antenna_short", "device_fault", "held", "GNSS antenna shorted", "卫星定位天线短路"),
    _bit(5, "power_low", "low_battery", "held", "main power under-voltage", "主电源欠压"),
    _bit(6, "power_cut", "power_cut", "held", "main power lost", "主电源掉电"),
    _bit(7, "display_fault", "device_fault", "held", "display of the terminal broken", "终端液晶显示故障"),
    _bit(8, "tts_fault", "device_fault", "held", "speech module fault", "TTS 模块故障"),
    _bit(9, "camera_fault", "camera_fault", "held", "camera fault", "摄像头故障"),
    _bit(10, "meter_fault", "device_fault", "held", "taximeter fault", "计价器故障"),
    _bit(11, "rating_fault", "device_fault", "held", "rating device fault", "服务评价器故障"),
    _bit(12, "led_ad_fault", "device_fault", "held", "LED advertising screen fault", "LED 广告屏故障"),
    _bit(13, "lcd_screen_fault", "device_fault", "held", "LCD screen fault", "液晶显示屏故障"),
    _bit(14, "security_module_fault", "device_fault", "held", "security module fault", "安全访问模块故障"),
    _bit(15, "roof_light_fault", "device_fault", "held", "LED roof light fault", "LED 顶灯故障"),
    _bit(16, "overspeed", "overspeed", "held", "overspeed", "超速报警"),
    _bit(17, "fatigue", "fatigue", "held", "driven for too long without a rest", "连续驾驶超时"),
    _bit(18, "day_driving_time", "fatigue", "held", "driven for too long today", "当天累计驾驶超时"),
    _bit(19, "parked_too_long", "driving_warning", "held", "parked for too long", "超时停车"),
    _bit(20, "area", "entered_area", "reply", "went into or out of an area or a route", "进出区域或路线"),
    _bit(21, "segment_time", "driving_warning", "reply", "too fast or too slow on a segment", "路段行驶时间不足或过长"),
    _bit(22, "forbidden_road", "forbidden_area", "reply", "on a forbidden road", "禁行路段行驶"),
    _bit(23, "speed_sensor_fault", "device_fault", "held", "speed sensor fault", "车速传感器故障"),
    _bit(24, "illegal_ignition", "illegal_move", "reply", "ignition that is not allowed", "车辆非法点火"),
    _bit(25, "illegal_move", "illegal_move", "reply", "moved without being allowed to", "车辆非法位移"),
    _bit(26, "storage_fault", "device_fault", "held", "storage fault", "存储异常"),
    _bit(27, "recorder_fault", "device_fault", "held", "audio recorder fault", "录音设备故障"),
    _bit(28, "meter_clock", "device_fault", "held", "the taximeter's clock is off", "计价器实时时钟超差"),
)

ALARM_NAMES: dict[int, str] = {one.bit: one.name for one in ALARMS}

#: The status word of 0x0200. Bit 0 is the other way round than in 808: set, there is no fix.
STATUS_NAMES: dict[int, str] = {
    0: "no_fix",
    1: "south",
    2: "west",
    3: "out_of_service",
    4: "booked",
    5: "vacant_to_hired",
    6: "hired_to_vacant",
    8: "ignition",
    9: "hired",
    10: "fuel_cut",
    11: "circuit_cut",
    12: "doors_locked",
    13: "vehicle_locked",
    14: "limit_reached",
}
NO_FIX, SOUTH, WEST, IGNITION, HIRED = 1 << 0, 1 << 1, 1 << 2, 1 << 8, 1 << 9


@cache
def kind_bits_lut() -> npt.NDArray[np.uint64]:
    """Our bits for each byte of the word: uint64 (4, 256), row 0 the lowest byte. Read-only, made once."""
    table = np.zeros((4, 256), np.uint64)
    values = np.arange(256)
    for one in ALARMS:
        table[one.bit // 8, (values >> one.bit % 8 & 1).astype(bool)] |= np.uint64(kind_bit(one.kind))
    table.setflags(write=False)
    return table


def to_kind_bits(alarm: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """Our alarm bits (uint64 (n,)) of alarm words (uint32 (n,))."""
    table = kind_bits_lut()
    made: npt.NDArray[np.uint64] = table[0][alarm & 0xFF]
    for row in (1, 2, 3):
        made |= table[row][alarm >> np.uint32(8 * row) & 0xFF]
    return made
