"""What GT06 devices call an alarm, each code mapped once to our kinds; alarm messages as signals.

Purpose: the tables of codes, and `signals_of`. An alarm message is an event, not a bit that is held: it becomes one
`Signal` of its own (source `message`), and no bit of a point: no edge is looked for, a second press is a second signal,
and a message that is sent again until it is answered is the same signal, since its id derives from device, time, code,
place and serial. Nothing tells when such an alarm is over, so nothing clears it but the desk.
Invariants: every code stands in its table once; every kind is one of `model.codes.ALARM_KINDS`; a code that is not in the
table raises nothing and is told by `unknown_code`, for the quarantine. States in heartbeats raise nothing: what they
repeat came as an alarm message before.
Source: Concox GT06 1.8, 5.3, and its successors; camera codes: JC100.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest.gt06.codec import Frame
from ingest.gt06.positions import position_of
from ingest.wire.fields import Values
from model.codes import ALARM_BY_NAME, Word
from model.signal import Signal, message_signal_id

#: Older than this on arrival, an alarm is late.
DEFAULT_LATE_MS = 60_000


@dataclass(frozen=True, slots=True)
class AlarmCode:
    """One code.

    Attributes:
        code: on the wire.
        name: the word in notes.
        kind: name of our kind; "" for what is no alarm.
        words: what people read.
    """

    code: int
    name: str
    kind: str
    words: Word


def _code(code: int, name: str, kind: str, en: str, zh: str) -> AlarmCode:
    return AlarmCode(code, name, kind, Word(en, zh))


#: The byte behind battery and signal in 16, 19, 26, 27, A3, A4.
ALARMS: dict[int, AlarmCode] = {
    one.code: one
    for one in (
        _code(0x00, "normal", "", "nothing", "正常"),
        _code(0x01, "sos", "sos", "SOS button", "SOS 求救"),
        _code(0x02, "power_cut", "power_cut", "power cut", "断电"),
        _code(0x03, "vibration", "vibration", "vibration", "震动"),
        _code(0x04, "fence_in", "entered_area", "went into a fence", "进围栏"),
        _code(0x05, "fence_out", "left_area", "went out of a fence", "出围栏"),
        _code(0x06, "overspeed", "overspeed", "overspeed", "超速"),
        _code(0x09, "moved", "illegal_move", "moved", "位移"),
        _code(0x0A, "blind_zone_in", "", "went into a GPS blind zone", "进 GPS 盲区"),
        _code(0x0B, "blind_zone_out", "", "came out of a GPS blind zone", "出 GPS 盲区"),
        _code(0x0C, "power_on", "", "switched on", "开机"),
        _code(0x0D, "first_fix", "", "first fix", "GPS 首次定位"),
        _code(0x0E, "power_low", "low_battery", "power low", "外电低电"),
        _code(0x0F, "power_low_protection", "low_battery", "power low, switched off to protect it", "外电低电保护"),
        _code(0x10, "sim_changed", "tamper", "SIM changed", "换卡"),
        _code(0x11, "power_off", "power_cut", "switched off", "关机"),
        _code(0x12, "flight_mode", "", "flight mode after power low", "飞行模式"),
        _code(0x13, "taken_off", "tamper", "housing opened or taken off", "拆卸"),
        _code(0x14, "door", "tamper", "door", "门报警"),
        _code(0x15, "battery_off", "low_battery", "switched off because the battery is low", "低电关机"),
        _code(0x16, "sound", "vibration", "sound", "声控"),
        _code(0x17, "false_base_station", "tamper", "false base station", "伪基站"),
        _code(0x18, "cover_opened", "tamper", "cover opened", "开盖"),
        _code(0x19, "battery_low", "low_battery", "internal battery low", "内部电池低电"),
        _code(0x20, "deep_sleep", "", "deep sleep", "深度休眠"),
        _code(0x23, "fall", "rollover", "fell over", "跌倒"),
        _code(0x25, "taken_off_2", "tamper", "taken off (light sensor)", "光感拆除"),
        _code(0x29, "acceleration", "driving_warning", "harsh acceleration", "急加速"),
        _code(0x2A, "corner_left", "driving_warning", "sharp turn to the left", "左急转弯"),
        _code(0x2B, "corner_right", "driving_warning", "sharp turn to the right", "右急转弯"),
        _code(0x2C, "collision", "collision", "collision", "碰撞"),
        _code(0x2D, "turned_over", "rollover", "turned over", "侧翻"),
        _code(0x30, "braking", "driving_warning", "harsh braking", "急减速"),
        _code(0x32, "pulled_out", "tamper", "pulled out", "拔出"),
        _code(0xFE, "ignition_on", "", "ignition on", "ACC 开"),
        _code(0xFF, "ignition_off", "", "ignition off", "ACC 关"),
    )
}
#: Bits 3 to 5 of the states: the alarm of devices that send no code.
STATE_ALARMS: dict[int, AlarmCode] = {
    one.code: one
    for one in (
        _code(1, "vibration", "vibration", "vibration", "震动"),
        _code(2, "power_cut", "power_cut", "power cut", "断电"),
        _code(3, "battery_low", "low_battery", "battery low", "低电"),
        _code(4, "sos", "sos", "SOS button", "SOS 求救"),
    )
}
#: The byte of 95, of cameras.
CAMERA_ALARMS: dict[int, AlarmCode] = {
    one.code: one
    for one in (
        _code(0x01, "sos", "sos", "SOS button", "SOS 求救"),
        _code(0x80, "vibration", "vibration", "vibration", "震动"),
        _code(0x87, "overspeed", "overspeed", "overspeed", "超速"),
        _code(0x90, "acceleration", "driving_warning", "harsh acceleration", "急加速"),
        _code(0x91, "braking", "driving_warning", "harsh braking", "急减速"),
        _code(0x92, "corner", "driving_warning", "sharp turn", "急转弯"),
        _code(0x93, "collision", "collision", "collision", "碰撞"),
    )
}
#: State of a long 33.
AZ735_ALARMS: dict[int, AlarmCode] = {
    one.code: one
    for one in (
        _code(0xA0, "armed", "", "armed", "设防"),
        _code(0xA1, "disarmed", "", "disarmed", "撤防"),
        _code(0xA2, "battery_low", "low_battery", "battery low", "低电"),
        _code(0xA3, "battery_empty", "low_battery", "battery nearly empty", "电量耗尽"),
        _code(0xA4, "alarm", "one_key", "alarm", "报警"),
        _code(0xA5, "door", "tamper", "door", "门报警"),
    )
}
_STATUS_MESSAGES = frozenset({0x16, 0x19, 0x26, 0x27, 0xA3, 0xA4})
_CAMERA, _AZ735 = 0x95, 0x33
_ARMED = 1 << 0


def alarm_of(frame: Frame, values: Values) -> AlarmCode | None:
    """What a decoded alarm message raises; None where it raises nothing or is no alarm message.

    The code counts; where it raises nothing, bits 3 to 5 of the states do: older devices send only those. What moves while
    the states say that it is armed is `moved_while_armed`.
    """
    table, code = _code_of(frame, values)
    one = table.get(code)
    if table is not ALARMS:
        return one if one is not None and one.kind else None
    states = values["status"]["information"]["value"]
    if one is not None and one.kind == "illegal_move" and states & _ARMED:
        return replace(one, kind="moved_while_armed")
    return one if one is not None and one.kind else STATE_ALARMS.get(states >> 3 & 7)


def unknown_code(frame: Frame, values: Values) -> int | None:
    """The code of an alarm message that is not in its table; None where there is none."""
    table, code = _code_of(frame, values)
    return code if table and code not in table else None


def _code_of(frame: Frame, values: Values) -> tuple[dict[int, AlarmCode], int]:
    """The table that counts for the message, and its code; an empty table for no alarm message."""
    if frame.message_id == _CAMERA:
        return CAMERA_ALARMS, values["alarm"]
    if frame.message_id == _AZ735 and frame.long:
        return AZ735_ALARMS, values["state"]
    status = values.get("status")
    if frame.message_id not in _STATUS_MESSAGES or not isinstance(status, dict):
        return {}, 0
    return ALARMS, status["alarm"]


def signals_of(
    frame: Frame,
    values: Values,
    device: str,
    received_ms: int,
    *,
    zone_offset_ms: int = 0,
    late_ms: int = DEFAULT_LATE_MS,
) -> list[Signal]:
    """The signal of an alarm message, or none.

    Args:
        frame: the frame.
        values: what `decode_body` made of it.
        device: id of the device.
        received_ms: our clock, UTC ms.
        zone_offset_ms: of the device's clock to UTC: see `zone_offset_ms_of`.
        late_ms: older than this on arrival it is marked late.
    """
    one = alarm_of(frame, values)
    if one is None:
        return []
    row = position_of(frame, values, received_ms, zone_offset_ms=zone_offset_ms)
    time_ms = row.time_ms if row is not None and row.time_ms else received_ms
    kind = ALARM_BY_NAME[one.kind]
    same = f"gt06:{frame.message_id:02x}:{one.code:02x}:{frame.serial}:{frame.body.hex()}"
    return [
        Signal(
            id=message_signal_id(device, same),
            device=device,
            kind=kind.name,
            source="message",
            time_ms=time_ms,
            received_ms=received_ms,
            lat=row.lat if row is not None and row.valid else None,
            lon=row.lon if row is not None and row.valid else None,
            severity=kind.severity,
            late=received_ms - time_ms > late_ms,
            note=one.name,
            log_position=0,
        )
    ]
