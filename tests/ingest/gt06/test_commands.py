"""Commands to texts of the makers, and answers back."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.gt06.codec import decode_body, encode, read_frame, write_frames
from ingest.gt06.commands import answer_of, command, orders
from ingest.wire.orders import NO_SERIAL
from model.command_table import COMMANDS, checked_args
from model.errors import Refused
from tests.ingest.gt06.conftest import frames_of

NEEDED: dict[str, dict[str, Any]] = {
    "text": {"text": "hello"},
    "set_parameter": {"id": "TIMER", "value": "10,60"},
    "message": {"message": "x"},
}
TEXTS = {
    ("arm", ()): "111#",
    ("disarm", ()): "000#",
    ("cut_power", ()): "RELAY,1#",
    ("cut_power", (("restore", True),)): "RELAY,0#",
    ("query", ()): "WHERE#",
    ("query", (("what", "inspection"),)): "STATUS#",
    ("query", (("what", "attributes"),)): "VERSION#",
    ("query", (("what", "parameters"),)): "PARAM#",
    ("set_parameter", ()): "TIMER,10,60#",
}
REFUSED = {"snapshot", "listen_in", "call", "text", "confirm_alarm", "track_faster", "siren", "message"}


def test_every_command_has_a_text_or_is_refused() -> None:
    assert {name for name, _ in TEXTS} | REFUSED == set(COMMANDS)


@pytest.mark.parametrize(("name", "given"), TEXTS)
def test_a_command_is_a_text_with_our_serial_as_its_flag(name: str, given: tuple[tuple[str, Any], ...]) -> None:
    args = checked_args(COMMANDS[name], {**NEEDED.get(name, {}), **dict(given)})
    (out,) = orders(name, args, version=0, phone_number="110")
    assert (out.message_id, out.answers) == (0x80, (0x15, 0x21))
    (raw,) = write_frames(out.message_id, out.body, serial=77)
    text = TEXTS[name, given]
    assert decode_body(read_frame(raw)) == {"size": 4 + len(text), "server_flag": 77, "text": text, "language": "en"}


def test_the_bytes_of_a_command() -> None:
    """78 78, 17 bytes, 80, length 0b, flag 1, `STATUS#`, English, serial 1."""
    out = command("STATUS#")
    (raw,) = write_frames(out.message_id, out.body, serial=1)
    assert raw[:-4].hex() == "787813800b000000015354415455532300020001"
    assert read_frame(raw).checksum_ok


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_no_text_is_known_for_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        orders(name, checked_args(COMMANDS[name], NEEDED.get(name, {})))
    assert refused.value.mend


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("timer", "1"),
        ("0x29", "1"),
        ("TIMER#", "1"),
        ("TIMER", "1#RELAY,1#"),
        ("TIMER", "1\r\n"),
        ("TIMER", "警"),
        ("RELAY", "1"),
        ("RELAY,1#TIMER", "1"),
        ("DYD", ""),
        ("MONITOR", "ON"),
        ("SOS", "A,13800000001"),
        ("111", ""),
    ],
)
def test_a_parameter_smuggles_no_other_command(given: str, value: str) -> None:
    with pytest.raises(Refused) as refused:
        orders("set_parameter", {"id": given, "value": value})
    assert refused.value.mend


@pytest.mark.parametrize("text", ["", "x" * 241, "警"])
def test_a_text_that_fits_no_message_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        command(text)


def replied(text: str, flag: int = 7) -> dict[str, Any]:
    (raw,) = encode("command_reply_long", {"server_flag": flag, "encoding": "ascii", "text": text}, serial=1)
    return decode_body(read_frame(raw))


@pytest.mark.parametrize(
    ("text", "ok"),
    [
        ("Cut off the fuel supply: Success!", True),
        ("OK", True),
        ("Battery:4.1V,NORMAL; GPRS:Link Up;", True),
        ("Already in the state of fuel supply to resume,the command is not running!", True),
        ("Command error!", False),
        ("Speed too fast, cut fuel failed", False),
        ("指令失败", False),
    ],
)
def test_what_a_device_says(text: str, ok: bool) -> None:
    answer = answer_of(0x21, {"server_flag": 7, "text": text})
    assert answer is not None
    assert (answer.serial, answer.message_id, answer.ok, answer.detail, answer.data) == (
        7,
        0x80,
        ok,
        text,
        {"text": text},
    )


def test_an_answer_names_the_command_by_its_flag() -> None:
    answer = answer_of(0x21, replied("OK", 65_535))
    assert answer is not None
    assert answer.serial == 65_535
    nameless = answer_of(0x21, replied("OK", 0))
    assert nameless is not None
    assert nameless.serial == NO_SERIAL


@pytest.mark.parametrize(
    ("index", "said", "ok"),
    [
        (49, "Command error!", False),
        (68, "Already in the state of fuel supply to resume,the command is not running!", True),
        (69, "Restore fuel supply: Success!", True),
    ],
)
def test_foreign_answers(index: int, said: str, ok: bool) -> None:
    frame = read_frame(bytes.fromhex(frames_of("gt06.json")[index]["data"]))
    answer = answer_of(frame.message_id, decode_body(frame))
    assert answer is not None
    assert (answer.detail, answer.ok) == (said, ok)


def test_what_answers_nothing() -> None:
    sim = read_frame(bytes.fromhex(frames_of("gt06.json")[28]["data"]))
    assert answer_of(sim.message_id, decode_body(sim)) is None  # told at the start, unasked
    assert answer_of(0x13, {}) is None
    raw = answer_of(0x21, {"server_flag": 1, "text": {"raw": "ff00"}})
    assert raw is not None
    assert raw.detail == "ff00"
