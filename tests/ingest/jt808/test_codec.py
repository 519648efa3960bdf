"""Frames of 808: headers of both forms, parts, bodies by the table; anything broken is Malformed and nothing worse."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.jt.framing import wrap, xor
from ingest.jt808.codec import Frame, decode_body, encode, read_frame, write_frames
from ingest.jt808.header import read_header, write_header
from ingest.jt808.messages import CATALOGUE
from ingest.jt808.messages.editions import body_version
from ingest.wire.message import Message
from ingest.wire.reader import Malformed
from tests.ingest.wire.strategies import broken, refusal, values_of

ALL = sorted(CATALOGUE, key=lambda one: one.id)
NUMBERS = {2013: "13800138000", 2019: "1" * 20}


def joined(frames: list[bytes]) -> Frame:
    """One whole frame of the parts of a message."""
    parts = [read_frame(raw) for raw in frames]
    first = parts[0]
    body = b"".join(part.body for part in parts)
    return Frame(first.message_id, first.number, first.serial, body, first.version)


@pytest.mark.parametrize("version", [2013, 2019])
@pytest.mark.parametrize("message", ALL, ids=lambda one: f"{one.id:04x}")
@given(data=st.data(), serial=st.integers(0, 0xFFFF))
@settings(max_examples=6)
def test_what_was_encoded_decodes_to_the_same(message: Message, version: int, data: st.DataObject, serial: int) -> None:
    values = data.draw(values_of(message.fields, version))
    frames = encode(message.name, values, number=NUMBERS[version], serial=serial, version=version)
    frame = joined(frames)
    assert (frame.message_id, frame.number, frame.serial) == (message.id, NUMBERS[version], serial)
    assert frame.version == version
    again = decode_body(frame)
    assert again == values
    assert encode(message.name, again, number=frame.number, serial=frame.serial, version=frame.version) == frames


@pytest.mark.parametrize("message", ALL, ids=lambda one: f"{one.id:04x}")
@given(data=st.data())
@settings(max_examples=7)
def test_broken_bodies_are_malformed_and_nothing_worse(message: Message, data: st.DataObject) -> None:
    version = data.draw(st.sampled_from([2011, 2013, 2019]))
    whole = message.write(data.draw(values_of(message.fields, version)), version)
    body = data.draw(broken(whole))
    frame = Frame(message.id, "1", 0, body, data.draw(st.sampled_from([2013, 2019])))
    if not refusal(lambda: decode_body(frame)):  # whatever was decoded can be encoded
        message.write(decode_body(frame), body_version(frame.message_id, body, frame.version))


@given(data=st.data())
@settings(max_examples=100)
def test_broken_frames_are_malformed_and_nothing_worse(data: st.DataObject) -> None:
    raw = write_frames(
        0x0102, b"token", number="13800138000", serial=7, version=data.draw(st.sampled_from([2013, 2019]))
    )
    spoiled = data.draw(broken(raw[0]))
    why = refusal(lambda: decode_body(read_frame(spoiled)))
    if not why and len(spoiled) == len(raw[0]):
        # A few flipped bits are seen by the checksum unless they cancel each other out column by column.
        flipped = bytes(one ^ other for one, other in zip(spoiled[1:-1], raw[0][1:-1], strict=True))
        assert read_frame(spoiled).checksum_ok == (xor(flipped) == 0)


def test_the_worked_example() -> None:
    """The frame that the facts of the protocol are explained by."""
    raw = bytes.fromhex(
        "7e0200002612345678901200 7d02 0000000100000002 00ba7f0e 07e4f11c 0028 003c 0000 181015101010"
        "0104000000640202 00 7d01 13 7e".replace(" ", "")
    )
    frame = read_frame(raw)
    assert frame.checksum_ok
    values = decode_body(frame)
    assert (values["lat"], values["lon"]) == (12.222222, 132.444444)
    assert (values["speed_kmh"], values["altitude_m"], values["heading_deg"]) == (6.0, 40, 0)
    assert values["time"] == "2018-10-15T10:10:10+08:00"
    assert values["alarm"] == {"value": 1, "set": ["emergency"]}
    assert values["items"] == [
        {"id": 1, "name": "mileage", "value": 10.0},
        {"id": 2, "name": "fuel", "value": 12.5},
    ]


@pytest.mark.parametrize(
    ("version", "hexed"), [(2013, "000200000138001380000007"), (2019, "0002400001000000000138001380000007")]
)
def test_headers_of_both_forms(version: int, hexed: str) -> None:
    plain = bytes.fromhex(hexed)
    header = read_header(plain)
    assert (header.version, header.number, header.serial) == (version, "13800138000", 7)
    assert header.header_size == len(plain)
    assert write_header(2, 0, number="13800138000", serial=7, version=version) == plain


def test_a_long_body_goes_in_parts() -> None:
    body = bytes(range(256)) * 10
    frames = [read_frame(raw) for raw in write_frames(0x0801, body, number="1", serial=0xFFFF, version=2013)]
    assert [(one.total, one.index, one.serial) for one in frames] == [(3, 1, 0xFFFF), (3, 2, 0), (3, 3, 1)]
    assert b"".join(one.body for one in frames) == body
    with pytest.raises(Malformed, match="part 1 of 3"):
        decode_body(frames[0])


def test_a_wrong_checksum_is_said_and_not_raised() -> None:
    raw = bytearray(write_frames(0x0002, b"", number="1", serial=1, version=2013)[0])
    raw[-2] ^= 1
    frame = read_frame(bytes(raw))
    assert not frame.checksum_ok
    assert decode_body(frame) == {}


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        ("0002", "header: needs 12 bytes and has 2"),
        ("00020000013800138000", "header: needs 12 bytes"),
        ("000240000100000000013800138000", "header: needs 17 bytes"),
        ("000220000138001380000007", "header: needs 16 bytes"),
        ("00022000013800138000000700020003", "part: is 3 of 2"),
        ("00022000013800138000000700020000", "part: is 0 of 2"),
        ("000200000a38001380000007", "number: 0a3800138000 holds no digit"),
        ("000200010138001380000007", "body_size: says 1 bytes and 0 came"),
        ("000200000138001380000007aa", "body_size: says 0 bytes and 1 came"),
    ],
)
def test_a_header_that_is_none_says_why(plain: str, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        read_frame(wrap(bytes.fromhex(plain)))


def test_encrypted_and_unknown_bodies_say_so() -> None:
    frame = read_frame(wrap(bytes.fromhex("000204000138001380000007")))
    assert frame.encrypted
    with pytest.raises(Malformed, match="is encrypted"):
        decode_body(frame)
    with pytest.raises(Malformed, match="0x7777 is not in the table"):
        decode_body(Frame(0x7777, "1", 0, b"", 2013))
    with pytest.raises(Malformed, match="is not in the table"):
        encode("nothing", {}, number="1", serial=0, version=2013)


@pytest.mark.parametrize("number", ["1234567890123", "12a", "一二"])
def test_a_number_without_a_place_in_the_header_is_malformed(number: str) -> None:
    with pytest.raises(Malformed, match="number"):
        write_frames(0x0002, b"", number=number, serial=0, version=2013)


REGISTRATION = {
    "province": 44,
    "city": 300,
    "maker": "70111",
    "model": "HX-1",
    "terminal_id": "1234567",
    "plate_colour": "blue",
}


@pytest.mark.parametrize("version", [2011, 2013, 2019])
@pytest.mark.parametrize(
    ("colour", "plate"), [("blue", "粤B12345"), ("gradient_green", "粤BD12345"), ("none", "LSVAA4187E2184847")]
)
def test_a_registration_of_every_edition_gives_the_plate(version: int, colour: str, plate: str) -> None:
    """2011 and 2013 have one header; the size tells which body it is."""
    values = {**REGISTRATION, "plate_colour": colour, "plate": plate}
    frame = read_frame(encode("register", values, number="13800138000", serial=1, version=version)[0])
    assert frame.version == (2019 if version == 2019 else 2013)
    assert decode_body(frame) == values


def test_a_registration_without_a_plate() -> None:
    values = {**REGISTRATION, "plate": ""}
    for version in (2011, 2013):
        assert decode_body(joined(encode("register", values, number="1", serial=1, version=version))) == values


def test_a_driver_of_2011() -> None:
    values = {"driver": "张三丰", "identity": "440300200001010011", "licence": "4403001", "issuer": "深圳市交通局"}
    frame = read_frame(encode("driver", values, number="1", serial=1, version=2011)[0])
    assert decode_body(frame) == values


def test_a_driver_who_took_the_card_out() -> None:
    body = bytes.fromhex("02261122080000")
    values = decode_body(Frame(0x0702, "1", 0, body, 2013))
    assert values == {"card": "out", "time": "2026-11-22T08:00:00+08:00"}


def test_media_that_is_complete_is_answered_without_a_list() -> None:
    for values, body in (({"media_id": 7}, "00000007"), ({"media_id": 7, "parts": [2, 5]}, "000000070200020005")):
        assert CATALOGUE.by_name["media_reply"].write(values) == bytes.fromhex(body)
        assert CATALOGUE.by_name["media_reply"].read(bytes.fromhex(body)) == values


def test_an_authentication_of_2019() -> None:
    body = b"\x05token" + b"866496077582164" + b"V1.2".ljust(20, b"\0")
    values = decode_body(Frame(0x0102, "1", 0, body, 2019))
    assert values == {"token": "token", "imei": "866496077582164", "software": "V1.2"}


def test_every_message_is_in_the_reference() -> None:
    for message in ALL:
        assert message.source.startswith(("JT/T", "T/JSATL"))
        assert message.words.en
        assert message.words.zh
        for one in message.fields:
            assert all(name for name, *_ in one.describe())
