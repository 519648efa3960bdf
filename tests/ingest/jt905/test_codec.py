"""Frames of 905: the foreign ones field by field, every message there and back, anything broken Malformed and nothing worse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.jt.framing import escape, wrap, xor
from ingest.jt905.codec import Frame, decode_body, encode, looks_like_905, read_frame, write_frames
from ingest.jt905.messages import CATALOGUE
from ingest.wire.message import Message
from ingest.wire.reader import Malformed
from tests.ingest.jt905.conftest import frames_of
from tests.ingest.jt905.customs import custom
from tests.ingest.wire.strategies import broken, refusal, values_of

ALL = sorted(CATALOGUE, key=lambda one: one.id)
#: The worked example of the standard's readers.
EXAMPLE = "7e02000019108000000316000000000e008000018100f857a403f88e4e00ac6d1001010813472d7e"
#: What a reader of the standard sees in the foreign frames, by index: where in the values, and the value.
SEEN: dict[int, dict[str, Any]] = {
    1: {"parameters.2.value": "42.49.15.213", "parameters.3.value": "CMIOT", "parameters.7.value": 6203},
    2: {"hardware": "10", "software": "1201", "result": 10},
    4: {"items.0.value": 120.0, "items.1.value": 11.1, "items.2.value": 111, "items.4.value.direction": "in"},
    6: {"positions.0.lat": 2.3587416666666665, "positions.0.time": "2021-09-12T14:13:01+08:00"},
    7: {"answers_serial": 1, "position.status.set": ["fuel_cut", "circuit_cut"]},
    8: {"images": [1, 2, 3, 4, 5, 3321]},
    9: {"company_licence": "123456", "plate": "E339KK", "on": "2021-10-17T21:00:00+08:00"},
    10: {"shift_mileage_km": 30.1, "shift_income_cny": 230.5, "total_mileage_km": 625201.5, "price_cny": 2.0},
    11: {"meter.plate": "AA3333", "meter.amount_cny": 8.0, "meter.distance_vacant_km": 56.7, "meter.got_out": "1941"},
    12: {"order": 1, "reason": "other"},
    14: {"answers_serial": 100, "answers_id": 0x0200, "result": "ok"},
    15: {"ids": list(range(0x11, 0x19))},
    17: {"command": "power_off"},
    18: {"lat": 27.128041666666668, "speed_kmh": 6.5, "heading_deg": 336.0},
    19: {"events.0.text": "测试测试测试测试测试测试", "events.1.text": "我是一个中国人"},
    20: {"text": "请你是谁？", "answers.3.text": "老六", "flags.set": ["speak"]},
    21: {"mode": "talk", "number": "012345678912"},
    22: {"contacts.0.number": "17363996772", "contacts.0.way": "both"},
    23: {"count": 1, "resolution": "320x240", "contrast": 100},
    24: {"type": "video", "file": 1, "offset_bytes": 1},
    25: {"fee_cny": 30.5, "passenger_number": "17363996666", "pick_up": "2021-10-15T21:10:10+08:00"},
    29: {"items.0.value": 10.0, "items.1.value": 12.5},
}
#: Frames whose sender wrote a wrong length: the rest is kept, and said.
KEPT = {4: "items.7.error", 13: "devices.4.error"}


def at(values: Any, path: str) -> Any:
    for step in path.split("."):
        values = values[int(step)] if isinstance(values, list) else values[step]
    return values


@pytest.mark.parametrize("index", range(30))
def test_every_foreign_frame_is_read_and_written_back(index: int) -> None:
    entry = frames_of("jt905.json")[index]
    raw = bytes.fromhex(entry["data"])
    frame = read_frame(raw)
    assert frame.message_id == int(entry["msg_id"], 16)
    assert frame.checksum_ok == entry["checksum_ok"]
    values = decode_body(frame)
    name = CATALOGUE.by_id[frame.message_id].name
    assert encode(name, values, number=frame.number, serial=frame.serial) == [raw]
    for path, value in SEEN.get(index, {}).items():
        assert at(values, path) == value, path
    if index in KEPT:
        assert "needs" in at(values, KEPT[index])


def test_the_worked_example() -> None:
    frame = read_frame(bytes.fromhex(EXAMPLE))
    assert (frame.message_id, frame.number, frame.serial, frame.checksum_ok) == (0x0200, "108000000316", 0, True)
    values = decode_body(frame)
    assert values["lat"] == pytest.approx(27.125607, abs=5e-7)
    assert values["lon"] == pytest.approx(111.035010, abs=5e-7)
    assert (values["speed_kmh"], values["heading_deg"]) == (17.2, 218)
    assert values["time"] == "2010-01-01T08:13:47+08:00"
    assert values["alarm"]["set"] == ["camera_fault", "meter_fault", "rating_fault"]
    assert values["status"]["set"] == ["no_fix", "ignition"]


def test_a_text_that_is_none_is_written_back() -> None:
    entry = CATALOGUE.by_name["text"]
    body = b"\x08\xff\xfeok\x80\0"
    values = entry.read(body)
    assert values["text"] == "\\xff\\xfeok\\x80"
    assert entry.write(values) == body


@pytest.mark.parametrize("message", ALL, ids=lambda one: f"{one.id:04x}")
@given(data=st.data(), serial=st.integers(0, 0xFFFF))
@settings(max_examples=8)
def test_what_was_encoded_decodes_to_the_same(message: Message, data: st.DataObject, serial: int) -> None:
    values = data.draw(values_of(message.fields, 0, custom))
    frames = encode(message.name, values, number="108000000316", serial=serial)
    frame = read_frame(frames[0])
    assert (len(frames), frame.message_id, frame.number, frame.serial) == (1, message.id, "108000000316", serial)
    again = decode_body(frame)
    assert encode(message.name, again, number=frame.number, serial=frame.serial) == frames
    # 66 bytes of a meter are known by their size alone, and one place without items is also a list of one.
    if message.name not in {"trip", "blind_zone_positions"}:
        assert again == values


@pytest.mark.parametrize("message", ALL, ids=lambda one: f"{one.id:04x}")
@given(data=st.data())
@settings(max_examples=10)
def test_broken_bodies_are_malformed_and_nothing_worse(message: Message, data: st.DataObject) -> None:
    body = data.draw(broken(message.write(data.draw(values_of(message.fields, 0, custom)))))
    frame = Frame(message.id, "1", 0, body)
    if not refusal(lambda: decode_body(frame)):  # whatever was decoded can be encoded, and means the same
        values = decode_body(frame)
        assert message.read(message.write(values)) == values


@given(data=st.data())
@settings(max_examples=150)
def test_broken_frames_are_malformed_and_nothing_worse(data: st.DataObject) -> None:
    refusal(lambda: read_frame(data.draw(broken(bytes.fromhex(EXAMPLE)))))


@pytest.mark.parametrize(
    ("plain", "what"),
    [
        (b"\x02\x00\x00\x00\x10", "header: needs 12 bytes"),
        (b"\x02\x00\x00\x05" + b"\x10" * 6 + b"\0\0", "body_size: says 5 bytes and 0 came"),
        (b"\x02\x00\x00\x00" + b"\xab" * 6 + b"\0\0", "number: abababababab holds no digit"),
    ],
)
def test_what_is_wrong_is_said(plain: bytes, what: str) -> None:
    with pytest.raises(Malformed, match=what):
        read_frame(wrap(plain))


def test_a_wrong_checksum_is_noted() -> None:
    plain = bytes.fromhex(EXAMPLE)[1:-2]
    assert not read_frame(b"\x7e" + escape(plain + bytes((xor(plain) ^ 1,))) + b"\x7e").checksum_ok


def test_an_unknown_message_is_malformed() -> None:
    with pytest.raises(Malformed, match="0x0b99 is not in the table"):
        decode_body(Frame(0x0B99, "1", 0, b""))
    with pytest.raises(Malformed, match="'nothing' is not in the table"):
        encode("nothing", {}, number="1", serial=0)


def test_what_does_not_fit_a_frame_is_malformed() -> None:
    with pytest.raises(Malformed, match="more than 10"):
        write_frames(0x8300, bytes(11), number="1", serial=0, max_body=10)
    for number in ("1234567890123", "12a", "１２"):
        with pytest.raises(Malformed, match="digits"):
            write_frames(0x8300, b"", number=number, serial=0)


def test_the_number_tells_905_by_its_first_byte() -> None:
    assert looks_like_905(bytes.fromhex("108000000316"))
    assert not looks_like_905(bytes.fromhex("013800138000"))
