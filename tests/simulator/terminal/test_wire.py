"""The terminal's own reader and writer against frames that others made."""

from __future__ import annotations

import json
import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.terminal import gt06, jt, jt_down, taxi
from simulator.terminal.fix import Fix
from simulator.terminal.wire import BadFrame, Protocol, bcd_time, checksum, crc_x25, cut, escape, pack, unescape, unpack

NUMBER = "123456789012"


def frames(name: str) -> list[Any]:
    root = Path(os.environ.get("LUCHENG_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip("the frames are not there (LUCHENG_TEST_DATA)")
    found: list[Any] = json.loads((root / "frames" / name).read_text())
    return found


def golden(message_id: int) -> tuple[bytes, dict[str, Any]]:
    """The first golden 808 frame of that number with its values."""
    for one in frames("jt808-golden.json"):
        if one["fields"]["messageId"] == message_id:
            return bytes.fromhex(one["hex"]), one["fields"]
    raise AssertionError(hex(message_id))


def made(message_id: int, body: bytes) -> bytes:
    (one,) = pack(Protocol.JT808, message_id, body, number=NUMBER, serial=1)
    return one


def time_ms(text: str) -> int:
    return int((datetime.fromisoformat(text) - timedelta(hours=8)).replace(tzinfo=UTC).timestamp() * 1000)


def test_every_golden_808_frame_is_read_and_written_back() -> None:
    for one in frames("jt808-golden.json"):
        raw, fields = bytes.fromhex(one["hex"]), one["fields"]
        packet = unpack(Protocol.JT808, raw)
        assert (packet.message_id, packet.serial) == (fields["messageId"], fields["serialNo"])
        assert packet.number.endswith(fields["clientId"])
        if packet.total == 1 and not fields["properties"] & 1 << 14:
            assert pack(Protocol.JT808, packet.message_id, packet.body, number=packet.number, serial=packet.serial) == [
                raw
            ]


def test_all_905_frames_are_read_and_written_back() -> None:
    for one in frames("jt905.json"):
        raw = bytes.fromhex(one["data"])
        packet = unpack(Protocol.JT905, raw)
        assert f"0x{packet.message_id:04X}" == one["msg_id"]
        assert pack(Protocol.JT905, packet.message_id, packet.body, number=packet.number, serial=packet.serial) == [raw]


def test_what_the_terminal_sends_is_byte_for_byte_the_golden_frame() -> None:
    raw, fields = golden(0x0100)
    plate, maker = fields["plateNo"], fields["makerId"]
    body = jt.register(
        Protocol.JT808, maker=maker, model=fields["deviceModel"], terminal_id=fields["deviceId"], plate=plate,
        colour=fields["plateColor"], province=fields["provinceId"], city=fields["cityId"],
    )  # fmt: skip
    assert made(0x0100, body) == raw
    raw, fields = golden(0x0102)
    assert made(0x0102, jt.authenticate(Protocol.JT808, fields["token"])) == raw
    assert made(0x0002, b"") == golden(0x0002)[0]
    raw, fields = golden(0x0805)
    assert made(0x0805, jt.photo_taken(fields["responseSerialNo"], fields["id"])) == raw
    raw, fields = golden(0x0800)
    head = jt.media_head(
        fields["id"], kind=fields["type"], coding=fields["format"], event=fields["event"], channel=fields["channelId"]
    )
    assert made(0x0800, head) == raw


def test_a_place_is_the_golden_place() -> None:
    raw, fields = golden(0x0201)
    fix = Fix(
        time_ms(fields["deviceTime"]), fields["latitude"] / 1e6, fields["longitude"] / 1e6, fields["speed"] / 10,
        fields["direction"], fields["warnBit"], fields["statusBit"], fields["altitude"],
    )  # fmt: skip
    body = struct.pack(">H", fields["responseSerialNo"]) + jt.position(fix, Protocol.JT808)
    assert made(0x0201, body) == raw


def test_batch_and_photo_are_the_golden_ones() -> None:
    raw, fields = golden(0x0704)
    fixes = [
        Fix(
            time_ms(one["deviceTime"]), one["latitude"] / 1e6, one["longitude"] / 1e6, one["speed"] / 10,
            one["direction"], one["warnBit"], one["statusBit"], one["altitude"],
        )
        for one in fields["items"]
    ]  # fmt: skip
    assert made(0x0704, jt.batch(fixes, Protocol.JT808, blind=fields["type"] == 1)) == raw
    raw, fields = golden(0x0801)
    one = fields["location"]
    fix = Fix(
        time_ms(one["deviceTime"]), one["latitude"] / 1e6, one["longitude"] / 1e6, one["speed"] / 10,
        one["direction"], one["warnBit"], one["statusBit"], one["altitude"],
    )  # fmt: skip
    head = jt.media_head(
        fields["id"], kind=fields["type"], coding=fields["format"], event=fields["event"], channel=fields["channelId"]
    )
    assert made(0x0801, jt.media(head, fix, bytes.fromhex(fields["packet"]), Protocol.JT808)) == raw


@pytest.mark.parametrize(
    ("message_id", "names"),
    [
        (0x8001, {"serial": "responseSerialNo", "message_id": "responseMessageId", "result": "resultCode"}),
        (0x8100, {"serial": "responseSerialNo", "result": "resultCode", "token": "token"}),
        (0x8003, {"serial": "responseSerialNo", "parts": "id"}),
        (0x8105, {"command": "command", "parameter": "parameter"}),
        (0x8106, {"ids": "id"}),
        (0x8202, {"interval_s": "interval", "for_s": "validityPeriod"}),
        (0x8203, {"serial": "responseSerialNo", "kinds": "type"}),
        (0x8300, {"flags": "sign", "text": "content"}),
        (0x8400, {"number": "phoneNumber"}),
        (0x8800, {"media_id": "mediaId", "parts": "id"}),
        (0x8801, {"channel": "channelId", "count": "command", "interval_s": "time", "quality": "quality"}),
        (0x8802, {"kind": "type", "channel": "channelId", "event": "event"}),
        (0x8804, {"on": "command", "seconds": "time", "save": "save", "rate": "audioSamplingRate"}),
        (0x8805, {"media_id": "id", "delete": "delete"}),
    ],
)
def test_what_the_platform_says_is_read_as_the_golden_fields(message_id: int, names: dict[str, str]) -> None:
    raw, fields = golden(message_id)
    values = jt_down.read(message_id, unpack(Protocol.JT808, raw).body, Protocol.JT808)
    assert {ours: values[ours] for ours in names} == {ours: fields[theirs] for ours, theirs in names.items()}


def test_parameters_of_the_golden_frame_are_found() -> None:
    raw, fields = golden(0x8103)
    found = jt_down.read(0x8103, unpack(Protocol.JT808, raw).body, Protocol.JT808)["parameters"]
    assert [str(number) for number in found] == list(fields["parameters"])


def test_the_worked_example_of_905() -> None:
    example = bytes.fromhex("7e02000019108000000316000000000e008000018100f857a403f88e4e00ac6d1001010813472d7e")
    fix = Fix(
        time_ms("2010-01-01T08:13:47"), 27.125607, 111.035010, 17.2, 218, alarm=0x0E00, status=0x80000181
    )  # fmt: skip
    body = jt.position(fix, Protocol.JT905)
    assert pack(Protocol.JT905, 0x0200, body, number="108000000316") == [example]


def fix_of_905(raw: bytes) -> Fix:
    """A place of 25 bytes as a fix, so that it can be written again."""
    alarm, status, lat, lon, speed, heading = struct.unpack(">4IHB", raw[:19])
    year, month, day, hour, minute, second = (f"{byte:02x}" for byte in raw[19:25])
    when = f"20{year}-{month}-{day}T{hour}:{minute}:{second}"
    return Fix(time_ms(when), lat / 600_000, lon / 600_000, speed / 10, heading * 2, alarm, status)


def test_a_shift_of_905_is_the_frame_of_the_data() -> None:
    by_id = {one["msg_id"]: unpack(Protocol.JT905, bytes.fromhex(one["data"])).body for one in frames("jt905.json")}
    on = by_id["0x0B03"]
    driver = taxi.Driver("123456", "123456", "E339KK")
    assert on[25:] == taxi.sign_on(Fix(0, 0, 0), driver, time_ms("2021-10-17T21:00:00"))[25:]

    off = by_id["0x0B04"]
    driver = taxi.Driver(off[25:41].rstrip(b"\0").decode(), off[41:60].rstrip(b"\0").decode(), off[60:66].decode())
    shift = taxi.Shift(
        k=1111, distance=301, hired_distance=200, trips=1111, waited=104_600, income=2_305, card_income=0,
        card_trips=0, between=1_200, total=6_252_015, total_hired=3_205_005, price=200, total_trips=1,
    )  # fmt: skip
    minute_ms = time_ms("2021-11-01T10:46:00")
    extension = b"\x01"
    assert taxi.sign_off(Fix(0, 0, 0), driver, shift, minute_ms, minute_ms)[25:] + extension == off[25:]

    record = by_id["0x0B05"]
    trip, rating_id, rating, detail, order = struct.unpack(">IIBHI", record[50:65])
    whole = taxi.trip_record(
        fix_of_905(record[:25]), fix_of_905(record[25:50]), trip=trip, rating_id=rating_id, rating=rating,
        rating_detail=detail, order=order, meter=record[65:],
    )  # fmt: skip
    assert whole == record


def test_gt06_frames_of_real_devices() -> None:
    right = 0
    for one in frames("gt06.json"):
        raw = bytes.fromhex(one["data"])
        try:
            packet = unpack(Protocol.GT06, raw)
        except BadFrame:
            continue  # some are anonymised; their CRC is wrong on purpose
        right += 1
        if raw[:2] == b"xx":
            assert pack(Protocol.GT06, packet.message_id, packet.body, serial=packet.serial) == [raw]
    assert right > 60
    # The frame of Traccar issue 325: 51.191707, 4.391276.
    fix = Fix(time_ms("2015-08-04T16:11:26"), 51.191707, 4.3912767)
    assert gt06.gps(fix)[7:15] == bytes.fromhex("057e05b100789c2a")


def test_crc_and_checksum() -> None:
    assert crc_x25(b"123456789") == 0x906E
    assert checksum(b"\x01\x02\x04") == 7


@settings(max_examples=60)
@given(st.binary(max_size=3_000), st.sampled_from([Protocol.JT808, Protocol.JT808_2019]), st.integers(0, 0xFFFF))
def test_any_body_comes_back_whatever_the_pieces(body: bytes, protocol: Protocol, serial: int) -> None:
    raws = pack(protocol, 0x0801, body, number="13800000001", serial=serial)
    buffer, found = bytearray(), []
    for byte in b"".join(raws):
        buffer.append(byte)
        found += cut(protocol, buffer)
    assert found == raws
    packets = [unpack(protocol, raw) for raw in found]
    assert b"".join(packet.body for packet in packets) == body
    assert [packet.serial for packet in packets] == [(serial + at) % 65_536 for at in range(len(packets))]
    assert unescape(escape(body)) == body


@given(st.binary(min_size=0, max_size=400), st.integers(0, 0xFFFF))
def test_any_gt06_content_comes_back(content: bytes, serial: int) -> None:
    raw = pack(Protocol.GT06, 0x21, content, serial=serial)[0]
    buffer = bytearray(raw + raw[:7])
    assert cut(Protocol.GT06, buffer) == [raw]
    assert bytes(buffer) == raw[:7]
    packet = unpack(Protocol.GT06, raw)
    assert (packet.body, packet.serial) == (content, serial)


@pytest.mark.parametrize("hurt", ["7e000200001234567890120001887e", "7e0002007d031234567890120001897e", "7e00027e"])
def test_a_wrong_frame_is_refused(hurt: str) -> None:
    with pytest.raises(BadFrame):
        unpack(Protocol.JT808, bytes.fromhex(hurt))


def test_times_are_beijing_times() -> None:
    assert bcd_time(time_ms("2020-07-07T19:23:59")).hex() == "200707192359"
