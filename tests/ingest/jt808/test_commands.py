"""Commands into messages, and what answers them."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.jt808.codec import Frame, decode_body
from ingest.jt808.commands import GUARDED_PARAMETERS, answer_of, orders
from ingest.jt808.messages import CATALOGUE
from ingest.wire.fields import Values
from ingest.wire.orders import NO_SERIAL, Answer, Out
from model.command_table import COMMANDS, checked_args
from model.errors import Refused

PHONE = "075512345678"


def given(name: str, version: int = 2013, phone_number: str = PHONE, **args: Any) -> list[Out]:
    """The messages of a command with its defaults."""
    checked = checked_args(COMMANDS[name], args) if name in COMMANDS else args
    return orders(name, checked, version=version, phone_number=phone_number)


def decoded(out: Out, version: int = 2013) -> tuple[str, Values]:
    return CATALOGUE.by_id[out.message_id].name, decode_body(Frame(out.message_id, "1", 0, out.body, version))


def longest_call(out: Out) -> int:
    name, values = decoded(out)
    assert name == "set_parameters"
    (only,) = values["parameters"]
    assert only["id"] == 0x0046
    return int(only["value"])


def test_listening_in_sets_the_longest_call_before_it_dials() -> None:
    first, second = given("listen_in", minutes=3)
    assert longest_call(first) == 180
    assert decoded(second) == ("call_back", {"mode": "listen", "phone": PHONE})
    assert longest_call(given("listen_in")[0]) == 600
    over = orders("listen_in", {"minutes": 600}, version=2013, phone_number=PHONE)
    assert longest_call(over[0]) == 600


def test_a_call_is_two_way_and_ten_minutes_at_most() -> None:
    first, second = given("call")
    assert longest_call(first) == 600
    assert decoded(second)[1]["mode"] == "talk"


def test_the_end_of_a_listen_in_forbids_calls_and_allows_them_again() -> None:
    assert [longest_call(one) for one in given("end_listen_in")] == [0, 600]


@pytest.mark.parametrize("phone", ["", "1" * 21, "一一〇"])
def test_a_number_that_cannot_be_dialled_is_refused(phone: str) -> None:
    for name in ("listen_in", "call"):
        with pytest.raises(Refused, match="is no number"):
            given(name, phone_number=phone)


def test_a_photo() -> None:
    (out,) = given("snapshot", channel=2, count=3, interval_s=5)
    name, values = decoded(out)
    assert out.answers == (0x0805,)
    assert (name, values["channel"], values["shots"], values["seconds"]) == ("shoot", 2, 3, 5)
    assert values["keep"] == "send"


@pytest.mark.parametrize(
    ("version", "urgent", "sign"),
    [(2013, True, 0b1101), (2013, False, 0b1100), (2019, True, 0b1110), (2019, False, 0b1101)],
)
def test_a_text(version: int, urgent: bool, sign: int) -> None:
    (out,) = given("text", version, text="请靠边停车", urgent=urgent)
    name, values = decoded(out, version)
    assert (name, values["text"], values["sign"]["value"]) == ("text", "请靠边停车", sign)
    assert ("kind" in values) == (version == 2019)


def test_the_longest_text_fits() -> None:
    (out,) = given("text", text="警" * 500)
    assert decoded(out)[1]["text"] == "警" * 500


def test_an_alarm_is_confirmed_by_its_bits() -> None:
    (out,) = given("confirm_alarm", alarm_kind="sos")
    assert decoded(out) == ("alarm_confirm", {"alarm_serial": 0, "confirm": {"value": 1, "set": ["emergency"]}})
    with pytest.raises(Refused, match="nothing to confirm"):
        given("confirm_alarm", alarm_kind="overspeed")


def test_tracking() -> None:
    (out,) = given("track_faster", interval_s=2, for_s=300)
    assert decoded(out) == ("track", {"interval_s": 2, "for_s": 300})


@pytest.mark.parametrize(
    ("what", "name", "answer"),
    [
        ("position", "position_query", 0x0201),
        ("attributes", "query_attributes", 0x0107),
        ("parameters", "query_parameters", 0x0104),
    ],
)
def test_queries(what: str, name: str, answer: int) -> None:
    (out,) = given("query", what=what)
    assert decoded(out) == (name, {})
    assert out.answers == (answer,)


@pytest.mark.parametrize(
    ("number", "text", "value"),
    [
        ("0x0029", "20", 20),
        ("interval_s", "0x14", 20),
        ("41", "20", 20),
        ("0x0083", "粤B12345", "粤B12345"),
        ("0x0080", "12.5", 12.5),
        ("0x0084", "1", 1),
    ],
)
def test_a_parameter_is_set(number: str, text: str, value: Any) -> None:
    (out,) = given("set_parameter", id=number, value=text)
    assert [one["value"] for one in decoded(out)[1]["parameters"]] == [value]


def test_an_unknown_parameter_takes_hex() -> None:
    (out,) = given("set_parameter", id="0xF001", value="0x00ff")
    assert decoded(out)[1]["parameters"] == [{"id": 0xF001, "raw": "00ff"}]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0x0029", "soon"),
        ("0x0029", "-1"),
        ("0x0029", "0x100000000"),
        ("0xF001", "xyz"),
        ("none", "1"),
        ("-1", "1"),
        ("0x0013", "长" * 200),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(number: str, text: str) -> None:
    with pytest.raises(Refused):
        given("set_parameter", id=number, value=text)


@pytest.mark.parametrize("number", sorted(GUARDED_PARAMETERS))
def test_nobody_opens_a_way_to_listen_by_a_parameter(number: int) -> None:
    with pytest.raises(Refused, match="who can listen in"):
        given("set_parameter", id=hex(number), value="1")


@pytest.mark.parametrize("name", ["cut_power", "siren", "arm", "disarm"])
def test_what_808_has_no_message_for_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=f"no message for {name}") as caught:
        given(name)
    assert caught.value.mend


def test_an_inspection_is_of_905() -> None:
    with pytest.raises(Refused, match="inspection"):
        given("query", what="inspection")


def test_every_command_is_made_or_refused_in_both_editions() -> None:
    needed: dict[str, dict[str, Any]] = {"text": {"text": "x"}, "set_parameter": {"id": "0x0029", "value": "1"}}
    needed["message"] = {"message": "query_areas", "values": '{"shape": "circle", "ids": []}'}
    for version in (2013, 2019):
        for name in COMMANDS:
            try:
                made = given(name, version, **needed.get(name, {}))
            except Refused:
                continue
            assert made
            for out in made:
                decoded(out, version)


def up(message_id: int, **values: Any) -> Answer | None:
    body = CATALOGUE.by_id[message_id].write(values)
    return answer_of(message_id, decode_body(Frame(message_id, "1", 0, body, 2013)))


def test_general_replies() -> None:
    assert up(0x0001, answers_serial=7, answers_id=0x8300, result="ok") == Answer(7, 0x8300, True)
    assert up(0x0001, answers_serial=7, answers_id=0x8300, result="not_supported") == Answer(
        7, 0x8300, False, "the terminal has no such thing"
    )
    assert up(0x0001, answers_serial=7, answers_id=0x8300, result=9) == Answer(7, 0x8300, False, "result 9")


def test_the_answer_to_a_photo() -> None:
    good = up(0x0805, answers_serial=7, result="ok", media_ids=[3, 4])
    assert good == Answer(7, 0x8801, True, "", {"result": "ok", "media_ids": [3, 4]})
    bad = up(0x0805, answers_serial=7, result="no_such_channel")
    assert bad is not None
    assert (bad.ok, bad.detail) == (False, "it has no such camera")


def test_an_answer_without_a_serial_says_so() -> None:
    body = bytes(2 + 5 + 20 + 7 + 10) + b"\0\0\1\1"
    answer = answer_of(0x0107, decode_body(Frame(0x0107, "1", 0, body, 2013)))
    assert answer is not None
    assert (answer.serial, answer.message_id, answer.ok) == (NO_SERIAL, 0x8107, True)
    assert answer.data["gnss"]["set"] == ["gps"]


def test_what_answers_nothing() -> None:
    assert answer_of(0x0002, {}) is None
    assert answer_of(0x0200, {"items": []}) is None
