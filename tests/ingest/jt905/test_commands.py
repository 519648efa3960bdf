"""Commands to 905 messages, byte by byte, and answers back."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.jt905.codec import decode_body, encode, read_frame, write_frames
from ingest.jt905.commands import answer_of, orders
from ingest.jt905.messages import CATALOGUE
from ingest.jt905.parameters import PARAMETERS
from ingest.wire.orders import NO_SERIAL, Answer
from model.command_table import COMMANDS, checked_args
from model.errors import Refused

NUMBER = "108000000316"
NEEDED: dict[str, dict[str, Any]] = {
    "text": {"text": "前方有警情"},
    "set_parameter": {"id": "0x0055", "value": "60"},
    "message": {"message": "set_phone_book", "values": '{"contacts": []}'},
}
REFUSED = {"arm", "disarm", "siren"}


def ordered(name: str, phone_number: str = "01012345678", **given: Any) -> list[tuple[str, dict[str, Any]]]:
    """What the terminal reads: names and values."""
    args = given if name not in COMMANDS else checked_args(COMMANDS[name], {**NEEDED.get(name, {}), **given})
    read = []
    for serial, out in enumerate(orders(name, args, phone_number=phone_number)):
        (raw,) = write_frames(out.message_id, out.body, number=NUMBER, serial=serial)
        frame = read_frame(raw)
        assert set(out.answers) <= set(CATALOGUE.by_id)
        read.append((CATALOGUE.by_id[frame.message_id].name, decode_body(frame)))
    return read


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_messages_or_refused(name: str) -> None:
    if name in REFUSED:
        with pytest.raises(Refused) as refused:
            ordered(name)
        assert refused.value.mend
    else:
        assert ordered(name)


def longest(seconds: int) -> tuple[str, dict[str, Any]]:
    return "set_parameters", {"parameters": [{"id": 0x46, "name": "longest_call", "value": seconds}]}


def test_listening_in_sets_the_longest_call_first() -> None:
    dial = ("call_back", {"mode": "listen_in", "number": "01012345678"})
    assert ordered("listen_in", minutes=3) == [longest(180), dial]
    assert ordered("listen_in") == [longest(600), dial]
    assert ordered("end_listen_in") == [longest(0), longest(600)]


def test_a_call_is_a_talk() -> None:
    assert ordered("call") == [longest(600), ("call_back", {"mode": "talk", "number": "01012345678"})]


@pytest.mark.parametrize("number", ["", "警", "1" * 21])
def test_no_number_no_call(number: str) -> None:
    with pytest.raises(Refused, match="number"):
        ordered("listen_in", phone_number=number)


def test_a_long_text_goes_in_pieces() -> None:
    text = "警" * 300 + "a" * 101
    got = ordered("text", text=text, urgent=True, speak=False)
    assert [name for name, _ in got] == ["text", "text"]
    assert "".join(values["text"] for _, values in got) == text
    assert all(len(values["text"].encode("gbk")) <= 499 for _, values in got)
    assert all(values["flags"]["set"] == ["urgent", "display"] for _, values in got)


def test_fuel_and_circuit_are_cut_and_given_back_the_other_way_round() -> None:
    def control(item: str, command: str) -> tuple[str, dict[str, Any]]:
        return "control_vehicle", {"item": item, "command": command}

    assert ordered("cut_power") == [control("fuel", "cut"), control("circuit", "cut")]
    assert ordered("cut_power", restore=True) == [control("circuit", "restore"), control("fuel", "restore")]


def test_an_alarm_is_confirmed_then_cleared() -> None:
    assert ordered("confirm_alarm") == [("confirm_alarm", {})]
    assert ordered("confirm_alarm", state="closed") == [("clear_alarm", {})]


def test_photos_and_tracking() -> None:
    ((name, values),) = ordered("snapshot", channel=2, count=3, interval_s=5)
    assert (name, values["camera"], values["count"], values["interval_s"], values["keep"]) == (
        "take_photo",
        2,
        3,
        5,
        "send",
    )
    ((name, values),) = ordered("track_faster", interval_s=5, for_s=600)
    assert (name, values) == ("track", {"by": "time_for_time", "interval": 5, "length": 600})


def test_queries() -> None:
    assert ordered("query") == [("query_position", {})]
    assert ordered("query", what="parameters") == [("query_parameters", {"ids": list(PARAMETERS)})]
    ((name, values),) = ordered("query", what="inspection")
    assert (name, len(values["devices"])) == ("inspect", 12)
    with pytest.raises(Refused, match="attributes"):
        ordered("query", what="attributes")


@pytest.mark.parametrize(
    ("given", "value", "got"),
    [
        ("0x0055", "60", (0x55, 60)),
        ("85", "60", (0x55, 60)),
        ("top_speed", "0x3c", (0x55, 60)),
        ("odometer", "12.5", (0x80, 12.5)),
        ("report_by", "distance", (0x20, "distance")),
        ("main_server", "10.0.0.1", (0x13, "10.0.0.1")),
        ("volume", "9", (0x4B, 9)),
    ],
)
def test_parameters_by_number_or_name(given: str, value: str, got: tuple[int, Any]) -> None:
    ((_, values),) = ordered("set_parameter", id=given, value=value)
    assert (values["parameters"][0]["id"], values["parameters"][0]["value"]) == got


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("0x9999", "1"),
        ("nonsense", "1"),
        ("top_speed", "fast"),
        ("volume", "256"),
        ("top_speed", "-1"),
        ("odometer", "nan"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(given: str, value: str) -> None:
    with pytest.raises(Refused) as refused:
        ordered("set_parameter", id=given, value=value)
    assert refused.value.mend


def test_the_general_reply_answers() -> None:
    values = {"answers_serial": 7, "answers_id": 0x8400, "result": "ok"}
    assert answer_of(0x0001, values) == Answer(7, 0x8400, ok=True)
    assert answer_of(0x0001, {**values, "result": "failed"}) == Answer(7, 0x8400, ok=False, detail="it failed")
    assert answer_of(0x0001, {**values, "result": 9}) == Answer(7, 0x8400, ok=False, detail="result 9")


def test_messages_with_data_answer() -> None:
    entry = CATALOGUE.by_id[0x0500]
    body = bytes.fromhex("0001000000000000 0c0000ba2d0601750205007878211015211010".replace(" ", ""))
    answer = answer_of(0x0500, entry.read(body))
    assert answer is not None
    assert (answer.serial, answer.message_id, answer.ok, answer.detail) == (1, 0x8500, True, "fuel cut, circuit cut")
    assert answer.data["position"]["speed_kmh"] == 12.0
    inspected = answer_of(0x0B11, {"devices": []})
    assert inspected == Answer(NO_SERIAL, 0x8B11, ok=True, data={"devices": []})
    for other in (0x0002, 0x0200, 0x0800, 0x0B05):
        assert answer_of(other, {}) is None


def test_what_goes_out_is_what_the_table_writes() -> None:
    (out,) = orders("confirm_alarm", {"alarm_kind": "sos", "state": "acknowledged"})
    frames = write_frames(out.message_id, out.body, number=NUMBER, serial=0)
    assert frames == encode("confirm_alarm", {}, number=NUMBER, serial=0)
    assert frames == [bytes.fromhex("7e8b0a00001080000003160000047e")]
