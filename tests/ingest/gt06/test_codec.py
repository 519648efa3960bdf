"""Messages of GT06: the foreign frames value by value, every message there and back, what the server owes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.gt06.codec import Frame, decode_body, encode, entry_of, read_frame, reply_to, write_frames
from ingest.gt06.frame import close_frame
from ingest.gt06.messages import CATALOGUE, LONG, REPLIES
from ingest.wire.message import Message
from ingest.wire.reader import Malformed
from tests.ingest.gt06.conftest import frames_of
from tests.ingest.gt06.customs import custom
from tests.ingest.gt06.test_frame import NO_FRAMES
from tests.ingest.wire.strategies import broken, refusal, values_of

ALL = sorted(CATALOGUE, key=lambda one: one.id)
NOW_MS = 1_798_000_000_000  # 2026-12-23T04:26:40Z
#: Bodies that are refused, by index in gt06.json, and what a reader of the spec says.
NO_BODIES = {0: "fix.time: needs 6 bytes and has 0", 78: "message_id: 0x1f is not in the table"}
#: What the data says of a frame (`expect`), by index: where it is in our values, and the value.
EXPECTED: dict[int, tuple[str, Any]] = {
    1: ("items.4.value", 4.05),
    2: ("driver", 20534657),
    3: ("voltage_v", 7.39),
    5: ("air.humidity_pct", 75.0),
    8: ("state.temperature_c", 28.4),
    11: ("card", "bf0000012ca7e001"),
    12: ("status.battery", 93),
    13: ("seeworld.temperature_c", 0.32),
    14: ("upload.ignition", "off"),
    15: ("text", "D7520A62\r\n"),
    # The data says "no power": its reader takes these two bytes for one only if it knows the model.
    16: ("battery.volts", 12.58),
    17: ("wetrust.driving_time", 0),
    18: ("status.alarm", 0x19),
    20: ("state.voltage_v", 3.67),
    21: ("door.inputs.set", ["door", "trigger_high"]),
    23: ("vxt01.information.set", ["positioning"]),  # no ignition
    27: ("s5.temperature_c", 0x1C),
    28: ("text", "<ICCID:89882390000097302650>"),
    33: ("card.card", "4277efef"),
    82: ("alarm", 0x90),
    83: ("alarm", 0x91),
    84: ("alarm", 0x93),
    85: ("status.alarm", 0x19),  # harsh acceleration with one model, battery low with all others (18)
    86: ("battery.volts", 28.34),
    87: ("voltage_v", 12.51),
    88: ("card.number", "0235313030363538303642444603"),
    92: ("battery_v", 4.0),
    93: ("status.alarm", 0xEA),
}
#: Frames of which the data expects what is not in them.
NOT_IN_IT = {
    10: "an altitude of -31703 m is 0x8429, the frame's checksum",
    35: "no frame: its last byte is cut off",
}


def at(values: Any, path: str) -> Any:
    for step in path.split("."):
        values = values[int(step)] if isinstance(values, list) else values[step]
    return values


@pytest.mark.parametrize("index", [one for one in range(94) if one not in NO_FRAMES])
def test_every_foreign_frame_is_decoded_and_written_back_or_refused(index: int) -> None:
    frame = read_frame(bytes.fromhex(frames_of("gt06.json")[index]["data"]))
    if index in NO_BODIES:
        with pytest.raises(Malformed) as refused:
            decode_body(frame)
        assert str(refused.value) == NO_BODIES[index]
        return
    values = decode_body(frame)
    assert entry_of(frame.message_id, long=frame.long).write(values) == frame.body
    if index in EXPECTED:
        path, value = EXPECTED[index]
        assert at(values, path) == value


def test_every_expectation_of_the_data_is_looked_at() -> None:
    said = {index for index, one in enumerate(frames_of("gt06.json")) if one["expect"]}
    assert said == set(EXPECTED) | set(NOT_IN_IT)


def test_the_altitude_that_is_a_checksum() -> None:
    raw = bytes.fromhex(frames_of("gt06.json")[10]["data"])
    assert int.from_bytes(raw[-4:-2], "big", signed=True) == -31703
    assert read_frame(raw).checksum_ok
    assert "altitude" not in str(decode_body(read_frame(raw)))


def test_a_login_names_the_device() -> None:
    frame = read_frame(bytes.fromhex("787811010864717003664467100f190a0002c6d20d0a"))
    assert (frame.number, frame.serial, frame.message_id, frame.long) == ("864717003664467", 2, 0x01, False)
    assert decode_body(frame) == {"imei": "0864717003664467", "type": 0x100F, "zone": 0x190A}
    assert read_frame(encode("login", {"imei": "0"}, serial=1)[0]).number == ""
    assert read_frame(close_frame(0x01, b"\xab" * 8, 1)).number == ""
    assert read_frame(close_frame(0x13, bytes.fromhex("0864717003664467"), 1)).number == ""


@pytest.mark.parametrize("message", ALL, ids=lambda one: f"{one.id:04x}")
@given(data=st.data(), serial=st.integers(0, 0xFFFF))
@settings(max_examples=8)
def test_what_was_encoded_decodes_and_encodes_to_the_same(message: Message, data: st.DataObject, serial: int) -> None:
    values = data.draw(values_of(message.fields, 0, custom))
    frames = encode(message.name, values, serial=serial)
    frame = read_frame(frames[0])
    assert (len(frames), frame.message_id, frame.serial, frame.checksum_ok) == (1, message.id & 0xFF, serial, True)
    assert frame.long == (message.id >= LONG or len(frame.body) > 250)
    again = decode_body(frame)
    assert encode(message.name, again, serial=serial) == frames
    if message.id == 0x80 and values["server_flag"] == 0:
        assert again == {**values, "server_flag": serial}


@pytest.mark.parametrize("message", ALL, ids=lambda one: f"{one.id:04x}")
@given(data=st.data())
@settings(max_examples=10)
def test_broken_bodies_are_malformed_and_nothing_worse(message: Message, data: st.DataObject) -> None:
    body = data.draw(broken(message.write(data.draw(values_of(message.fields, 0, custom)))))
    frame = Frame(message.id & 0xFF, "", 0, body, long=message.id >= LONG)
    if not refusal(lambda: decode_body(frame)):  # whatever was decoded can be encoded
        message.write(decode_body(frame))


@given(data=st.data())
@settings(max_examples=100)
def test_broken_foreign_bodies_are_malformed_and_nothing_worse(data: st.DataObject) -> None:
    frames = frames_of("gt06.json")
    index = data.draw(st.sampled_from([one for one in range(len(frames)) if one not in NO_FRAMES]))
    frame = read_frame(bytes.fromhex(frames[index]["data"]))
    other = Frame(frame.message_id, "", 0, data.draw(broken(frame.body)), long=frame.long)
    if not refusal(lambda: decode_body(other)):
        entry_of(other.message_id, long=other.long).write(decode_body(other))


def test_a_number_means_something_else_in_a_long_frame() -> None:
    assert (entry_of(0x32).name, entry_of(0x32, long=True).name) == ("gps_lbs_status_4", "gps_az735")
    assert entry_of(0x21, long=True) is entry_of(0x21)
    with pytest.raises(Malformed, match="'nothing' is not in the table"):
        encode("nothing", {}, serial=0)


def frame_of(message_id: int, body: bytes = b"", *, serial: int = 5, long: bool = False) -> Frame:
    return read_frame(close_frame(message_id, body, serial, long=long))


def test_the_login_is_answered_as_in_the_specification() -> None:
    login = read_frame(bytes.fromhex("78780d01012345678901234500018cdd0d0a"))
    assert login.checksum_ok
    assert reply_to(login, NOW_MS) == bytes.fromhex("787805010001d9dc0d0a")


@pytest.mark.parametrize("message_id", sorted(REPLIES - {0x8A}))
def test_logins_heartbeats_and_alarms_are_answered_by_number_and_serial(message_id: int) -> None:
    answer = reply_to(frame_of(message_id), NOW_MS)
    assert answer == close_frame(message_id, b"", 5)
    assert message_id in CATALOGUE.by_id


def test_the_time_is_told() -> None:
    answer = reply_to(frame_of(0x8A), NOW_MS)
    assert answer is not None
    assert read_frame(answer).body == bytes((26, 12, 23, 4, 26, 40))


def test_positions_and_damage_are_owed_nothing() -> None:
    assert all(reply_to(frame_of(number), NOW_MS) is None for number in (0x10, 0x12, 0x22, 0xA0, 0x15, 0x94))
    wrong = close_frame(0x01, bytes(8), 5)
    wrong = wrong[:-4] + bytes((wrong[-4] ^ 1,)) + wrong[-3:]
    assert reply_to(read_frame(wrong), NOW_MS) is None


def test_a_long_alarm_is_answered_by_a_long_frame() -> None:
    assert reply_to(frame_of(0x95, long=True), NOW_MS) == close_frame(0x95, b"", 5, long=True)


def test_the_flag_of_a_command_is_its_serial_unless_it_has_one() -> None:
    entry = CATALOGUE.by_name["command"]
    body = entry.write({"size": 11, "server_flag": 0, "text": "STATUS#", "language": "en"})
    (raw,) = write_frames(0x80, body, serial=300)
    assert decode_body(read_frame(raw))["server_flag"] == 300
    body = entry.write({"size": 11, "server_flag": 9, "text": "STATUS#", "language": "en"})
    (raw,) = write_frames(0x80, body, serial=300)
    assert decode_body(read_frame(raw))["server_flag"] == 9
