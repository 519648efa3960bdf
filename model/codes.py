"""Tables of codes: point flags, marks, quarantine reasons, alarm kinds.

These tables are the contract; the reference documents are generated from them. Codes are
permanent: a number is never used again for something else, because it stands in stored data.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag


class Flag(IntFlag):
    """What a device said of one point. A `*_SENT` bit tells "no" from "not sent"."""

    VALID = 1 << 0
    IGNITION = 1 << 1
    IGNITION_SENT = 1 << 2
    OCCUPIED = 1 << 3
    OCCUPIED_SENT = 1 << 4
    ARMED = 1 << 5
    ARMED_SENT = 1 << 6
    BUFFERED = 1 << 7
    VALID_SENT = 1 << 8
    #: No fix of the device's own: a tag reader saw it, the place is the reader's and `acc_m` how far it may be off.
    SIGHTED = 1 << 9


#: Flags that are part of a point's identity: all but BUFFERED, since a point that is sent again
#: from a device's own store is still the same point.
IDENTITY_FLAGS = int(~Flag.BUFFERED) & 0xFFFF


class Mark(IntFlag):
    """What the analytics say of a point that is kept."""

    LATE = 1 << 0
    SAME_TIME = 1 << 1
    JUMP = 1 << 2
    FROZEN_CLOCK = 1 << 3
    CLOCK_CORRECTED = 1 << 4
    WEEK_ROLLOVER = 1 << 5
    CLOCK_BEHIND = 1 << 6
    NO_FIX = 1 << 7
    CLOCK_AHEAD = 1 << 8


class Reason(IntEnum):
    """Why something was quarantined."""

    NOT_JSON = 1
    WRONG_TYPE = 2
    MISSING_FIELD = 3
    NOT_A_NUMBER = 4
    OUT_OF_RANGE = 5
    NULL_ISLAND = 6
    FUTURE = 7
    STALE_CLOCK = 8
    UNKNOWN_DEVICE = 9
    IDENTITY_MISMATCH = 10
    BAD_TOPIC = 11
    TOO_LARGE = 12
    BAD_RECORD_LENGTH = 13
    BAD_ROW = 14
    DISABLED_DEVICE = 15
    UNKNOWN_ALARM = 16
    LOG_CORRUPT = 17
    RETAINED = 18
    BAD_DATUM = 19
    STORE_LIMIT = 20
    BAD_CHECKSUM = 21
    BAD_FRAME = 22
    UNKNOWN_MESSAGE = 23
    BAD_BODY = 24
    NOT_AUTHENTICATED = 25
    INCOMPLETE = 26
    ENCRYPTED = 27
    STORE_REFUSED = 28


@dataclass(frozen=True, slots=True)
class Word:
    """One code in both languages.

    Attributes:
        en: what it means, for an operator.
        zh: the same in Chinese.
    """

    en: str
    zh: str


MARK_WORDS: dict[Mark, Word] = {
    Mark.LATE: Word("arrived after a newer fix of that device", "晚于该设备更新的定位到达"),
    Mark.SAME_TIME: Word("another, different point has the same time", "与另一不同定位时间相同"),
    Mark.JUMP: Word("farther from the last point than a vehicle can drive", "与上一点的距离超出车辆可达范围"),
    Mark.FROZEN_CLOCK: Word("the device clock stands still while points come in", "设备时钟停走但仍在上报"),
    Mark.CLOCK_CORRECTED: Word("a constant clock offset was taken off", "已扣除恒定的时钟偏差"),
    Mark.WEEK_ROLLOVER: Word("1024 GPS weeks were added", "已补偿 GPS 周翻转（1024 周）"),
    Mark.CLOCK_BEHIND: Word("the device clock is behind by a constant offset", "设备时钟恒定偏慢"),
    Mark.NO_FIX: Word("the device itself says the fix is not valid", "设备自报定位无效"),
    Mark.CLOCK_AHEAD: Word("the device clock is ahead of the receive time", "设备时钟超前于接收时间"),
}

REASON_WORDS: dict[Reason, Word] = {
    Reason.NOT_JSON: Word("the payload is not JSON", "报文不是 JSON"),
    Reason.WRONG_TYPE: Word("a field has the wrong type", "字段类型错误"),
    Reason.MISSING_FIELD: Word("ts, lat or lon is missing", "缺少 ts、lat 或 lon"),
    Reason.NOT_A_NUMBER: Word("a place that is not a finite number", "坐标不是有限数值"),
    Reason.OUT_OF_RANGE: Word("a latitude, longitude or time outside its range", "经纬度或时间超出范围"),
    Reason.NULL_ISLAND: Word("latitude and longitude are both zero", "经纬度均为零"),
    Reason.FUTURE: Word("the time lies more than a day ahead", "时间超前一天以上"),
    Reason.STALE_CLOCK: Word("a live point whose clock is far in the past", "实时定位的时钟远早于当前"),
    Reason.UNKNOWN_DEVICE: Word("no such device is registered", "设备未登记"),
    Reason.IDENTITY_MISMATCH: Word("another device's id inside the payload", "报文内的设备号与主题不符"),
    Reason.BAD_TOPIC: Word("the topic is none of ours", "主题不合规"),
    Reason.TOO_LARGE: Word("the payload or a text in it is over its limit", "报文或其中文本超限"),
    Reason.BAD_RECORD_LENGTH: Word("not a whole number of 28-byte records", "长度不是 28 字节记录的整数倍"),
    Reason.BAD_ROW: Word("a row of a file that cannot be read", "文件中无法读取的行"),
    Reason.DISABLED_DEVICE: Word("the device is disabled", "设备已停用"),
    Reason.UNKNOWN_ALARM: Word("an alarm kind that is not in the table", "未知的警情类型"),
    Reason.LOG_CORRUPT: Word("a record of the log whose checksum does not hold", "日志记录校验失败"),
    Reason.RETAINED: Word("a retained message on a stream that keeps none", "不应保留的主题收到保留消息"),
    Reason.BAD_DATUM: Word("a datum that is not wgs84, gcj02 or bd09", "坐标系不是 wgs84、gcj02 或 bd09"),
    Reason.STORE_LIMIT: Word("the store's limit for one device-second is reached", "单设备单秒存储上限已满"),
    Reason.BAD_CHECKSUM: Word("the frame's checksum does not hold", "帧校验码错误"),
    Reason.BAD_FRAME: Word(
        "bytes that are no frame: wrong length, escape or marks", "不成帧的数据：长度、转义或标识位错误"
    ),
    Reason.UNKNOWN_MESSAGE: Word("a message number that is not in the protocol's table", "协议表中没有的消息编号"),
    Reason.BAD_BODY: Word("a message whose body does not fit its table", "消息体与协议不符"),
    Reason.NOT_AUTHENTICATED: Word("a terminal that did not prove who it is", "终端未通过鉴权"),
    Reason.INCOMPLETE: Word("a message whose parts did not all come", "分包未收齐"),
    Reason.ENCRYPTED: Word("a message that is encrypted", "加密的消息"),
    Reason.STORE_REFUSED: Word("the time-series server would not take it", "时序数据库拒绝写入"),
}


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """One kind of alarm.

    Attributes:
        name: the word on the wire and in every table.
        bit: its place in `PointBatch.alarm_bits`, 0..63, permanent.
        severity: 1 (highest) to 3.
        latches: stays until a human acknowledges, even when the cause has gone.
        words: what an operator reads.
    """

    name: str
    bit: int
    severity: int
    latches: bool
    words: Word


def _kind(name: str, bit: int, severity: int, en: str, zh: str, *, latches: bool = False) -> AlarmKind:
    return AlarmKind(name, bit, severity, latches, Word(en, zh))


ALARM_KINDS: tuple[AlarmKind, ...] = (
    _kind("sos", 0, 1, "emergency button in a vehicle", "车载紧急求助", latches=True),
    _kind("one_key", 1, 1, "one-key alarm button", "一键报警", latches=True),
    _kind("duress", 2, 1, "alarm under duress", "胁迫报警", latches=True),
    _kind("collision", 3, 1, "collision", "碰撞"),
    _kind("rollover", 4, 1, "rollover", "侧翻"),
    _kind("forbidden_area", 5, 2, "in a forbidden area", "进入禁行区域"),
    _kind("power_cut", 6, 2, "power cut", "主电源断开"),
    _kind("moved_while_armed", 7, 2, "moved while armed", "设防状态下移动"),
    _kind("vibration", 8, 2, "vibration while armed", "震动"),
    _kind("detached", 9, 2, "tracker taken off", "设备拆除"),
    _kind("stolen_seen", 10, 2, "a reported-stolen e-bike was seen", "被盗车辆出现"),
    _kind("tamper", 11, 2, "housing opened or tampered with", "防拆"),
    _kind("overspeed", 12, 3, "overspeed", "超速"),
    _kind("fatigue", 13, 3, "driver fatigue", "疲劳驾驶"),
    _kind("left_area", 14, 3, "left its area", "驶出区域"),
    _kind("route_deviation", 15, 3, "route deviation", "偏离路线"),
    _kind("antenna_cut", 16, 3, "antenna cut", "天线断开"),
    _kind("camera_fault", 17, 3, "camera fault", "摄像头故障"),
    _kind("camera_covered", 18, 3, "camera covered", "摄像头遮挡"),
    _kind("offline", 19, 3, "offline", "离线"),
    _kind("illegal_move", 20, 3, "moved with the ignition off", "非法位移"),
    _kind("driving_warning", 21, 3, "driving warning", "驾驶预警"),
    _kind("device_fault", 22, 3, "device fault", "设备故障"),
    _kind("left_fence", 23, 2, "left its fence", "驶出围栏"),
    _kind("low_battery", 24, 3, "low battery", "电量低"),
    _kind("button_silent", 25, 3, "a button missed its heartbeat", "按钮失联"),
    _kind("entered_area", 26, 3, "entered an area", "驶入区域"),
    _kind("stayed_in_area", 27, 3, "stayed in an area for too long", "区域内滞留超时"),
    _kind("camera_black", 28, 3, "camera picture is black", "摄像头黑屏"),
    _kind("camera_frozen", 29, 3, "camera picture stands still", "摄像头画面冻结"),
    _kind("camera_defocused", 30, 3, "camera out of focus", "摄像头虚焦"),
    _kind("camera_moved", 31, 3, "camera turned away", "摄像头被转动"),
    _kind("camera_corrupted", 32, 3, "camera pictures are damaged", "摄像头画面损坏"),
    _kind("motion_in_zone", 33, 3, "motion in a watched zone", "警戒区内有动静"),
    _kind("line_crossed", 34, 3, "a line was crossed", "越线"),
    _kind("object_in_zone", 35, 3, "a person or vehicle in a watched zone", "警戒区内有人或车"),
    _kind("camera_state", 36, 3, "a camera changed its state", "摄像头状态变化"),
)

ALARM_BY_NAME: dict[str, AlarmKind] = {kind.name: kind for kind in ALARM_KINDS}
ALARM_BY_BIT: dict[int, AlarmKind] = {kind.bit: kind for kind in ALARM_KINDS}


def alarm_names(bits: int) -> list[str]:
    """Names of the alarm bits set in `bits`, in bit order; bits that are not in the table are skipped."""
    return [kind.name for kind in ALARM_KINDS if bits >> kind.bit & 1]


def mark_names(bits: int) -> list[str]:
    """Lower-case names of the marks set in `bits`."""
    return [mark.name.lower() for mark in Mark if bits & mark and mark.name]
