"""The parameters of a 905 terminal, by number: what 8103 sets and 0104 tells.

Invariants: every number stands here once; one that does not is kept as hex where it is read. Source: JT/T 905.2-2014, table
of parameters; sizes of 0090 and 0091 as senders use them (digits as text).
"""

from __future__ import annotations

from ingest.wire.fields import Bcd, Field, Int, Text, u8, u16, u32


def _text(name: str, meaning: str) -> Text:
    return Text(name, None, meaning)


def _masks(meaning: str) -> Int:
    return u32("mask", f"{meaning}: bits as in the alarm word")


#: Number → (name, its value).
PARAMETERS: dict[int, tuple[str, Field]] = {
    0x0001: ("heartbeat_interval", u32("value", unit="s")),
    0x0002: ("tcp_timeout", u32("value", unit="s")),
    0x0003: ("tcp_retries", u32("value")),
    0x0004: ("sms_timeout", u32("value", unit="s")),
    0x0005: ("sms_retries", u32("value")),
    0x0010: ("main_apn", _text("value", "access point of the main server")),
    0x0011: ("main_apn_user", _text("value", "")),
    0x0012: ("main_apn_password", _text("value", "")),
    0x0013: ("main_server", _text("value", "address or name")),
    0x0014: ("backup_apn", _text("value", "access point of the backup server")),
    0x0015: ("backup_apn_user", _text("value", "")),
    0x0016: ("backup_apn_password", _text("value", "")),
    0x0017: ("backup_server", _text("value", "address or name")),
    0x0018: ("main_tcp_port", u32("value")),
    0x0019: ("backup_tcp_port", u32("value")),
    0x001A: ("pay_main_server", _text("value", "address or name")),
    0x001B: ("pay_main_port", u32("value")),
    0x001C: ("pay_backup_server", _text("value", "address or name")),
    0x001D: ("pay_backup_port", u32("value")),
    0x0020: ("report_by", u32("value", values={0: "time", 1: "distance", 2: "both"})),
    0x0021: (
        "report_plan",
        u32("value", values={0: "ignition", 1: "hired", 2: "sign_on_and_ignition", 3: "sign_on_and_hired"}),
    ),
    0x0022: ("report_signed_off", u32("value", unit="s")),
    0x0023: ("report_ignition_off", u32("value", unit="s")),
    0x0024: ("report_ignition_on", u32("value", unit="s")),
    0x0025: ("report_vacant", u32("value", unit="s")),
    0x0026: ("report_hired", u32("value", unit="s")),
    0x0027: ("report_asleep", u32("value", unit="s")),
    0x0028: ("report_emergency", u32("value", unit="s")),
    0x0029: ("distance_signed_off", u32("value", unit="m")),
    0x002A: ("distance_ignition_off", u32("value", unit="m")),
    0x002B: ("distance_ignition_on", u32("value", unit="m")),
    0x002C: ("distance_vacant", u32("value", unit="m")),
    0x002D: ("distance_hired", u32("value", unit="m")),
    0x002E: ("distance_asleep", u32("value", unit="m")),
    0x002F: ("distance_emergency", u32("value", unit="m")),
    0x0030: ("turn_angle", u32("value", "a turn sharper than it is reported", unit="°")),
    0x0040: ("centre_number", _text("value", "phone number of the monitoring centre")),
    0x0041: ("reset_number", _text("value", "phone number that resets")),
    0x0042: ("factory_number", _text("value", "phone number that restores factory settings")),
    0x0043: ("centre_sms_number", _text("value", "")),
    0x0044: ("alarm_sms_number", _text("value", "")),
    0x0045: ("call_answering", u32("value", values={0: "automatic", 1: "automatic_with_ignition"})),
    0x0046: ("longest_call", u32("value", "of one call", unit="s")),
    0x0047: ("longest_month", u32("value", "of all calls in a month", unit="s")),
    0x0048: ("short_number_length", u32("value")),
    0x0049: ("listen_in_number", _text("value", "")),
    0x004A: ("maintenance_password", _text("value", "")),
    0x004B: ("volume", u8("value", "0 silent to 9")),
    0x0050: ("alarm_mask", _masks("alarms that are suppressed")),
    0x0051: ("alarm_sms", _masks("alarms that send an SMS")),
    0x0052: ("alarm_photo", _masks("alarms that take a photo")),
    0x0053: ("alarm_photo_kept", _masks("alarms whose photo is stored instead of sent")),
    0x0055: ("top_speed", u32("value", unit="km/h")),
    0x0056: ("overspeed_for", u32("value", unit="s")),
    0x0057: ("longest_drive", u32("value", unit="s")),
    0x0058: ("shortest_rest", u32("value", unit="s")),
    0x0059: ("longest_stop", u32("value", unit="s")),
    0x005A: ("longest_drive_today", u32("value", unit="s")),
    0x0070: ("picture_quality", u32("value", "1 best to 10")),
    0x0071: ("brightness", u32("value")),
    0x0072: ("contrast", u32("value")),
    0x0073: ("saturation", u32("value")),
    0x0074: ("chroma", u32("value")),
    0x0080: ("odometer", u32("value", unit="km", scale=10)),
    0x0081: ("province", u16("value")),
    0x0082: ("city", u16("value")),
    0x0090: ("meter_trip_limit", _text("value", "trips, 0 no limit")),
    0x0091: ("meter_time_limit", _text("value", "YYYYMMDDhh, zeros no limit")),
    0x0092: ("company_licence", _text("value", "")),
    0x0093: ("company_name", _text("value", "")),
    0x0094: ("plate", _text("value", "without the Chinese character")),
    0x00A0: ("recording", u8("value", values={1: "whole_trip", 2: "while_hired"})),
    0x00A1: ("recording_length", u8("value", unit="min")),
    0x00A2: ("lcd_heartbeat", u8("value", unit="s")),
    0x00A3: ("led_heartbeat", u8("value", unit="s")),
    0x00AF: ("asleep_after", u16("value", "after the ignition went off", unit="s")),
    0x00B0: ("video_protocol", u8("value", values={0: "tcp", 1: "udp"})),
    0x00B1: ("video_apn", _text("value", "")),
    0x00B2: ("video_apn_user", _text("value", "")),
    0x00B3: ("video_apn_password", _text("value", "")),
    0x00B4: ("video_server", _text("value", "address or name")),
    0x00B5: ("video_port", u32("value")),
}
NAMES: dict[int, str] = {number: name for number, (name, _) in PARAMETERS.items()}
TABLE: dict[int, tuple[Field, ...]] = {number: (field,) for number, (_, field) in PARAMETERS.items()}
LONGEST_CALL = 0x0046

_HARDWARE, _SOFTWARE = Bcd("hardware", 1, "version"), Bcd("software", 2, "version")
VERSIONS: tuple[Field, ...] = (_HARDWARE, _SOFTWARE)
