"""Messages sent by name: those that a protocol allows, and none by which a gate could be passed."""

from __future__ import annotations

import json

import pytest

import ingest.jt808.commands as jt808
import ingest.jt905.commands as jt905
from ingest.jt808.messages import CATALOGUE as JT808
from ingest.jt905.messages import CATALOGUE as JT905
from ingest.wire.message import Way
from model.errors import Refused


def test_areas_by_name() -> None:
    (out,) = jt808.orders(
        "message", _args("query_areas", {"shape": "circle", "ids": [7]}), version=2019, phone_number=""
    )
    assert out.message_id == 0x8608
    assert out.answers == (0x0608,)


def test_a_phone_book_of_a_taxi() -> None:
    entry = JT905.by_name["set_phone_book"]
    contacts = [{"way": "both", "number": "0472110", "name": "指挥中心"}]
    (out,) = jt905.orders("message", _args("set_phone_book", {"contacts": contacts}), phone_number="")
    assert out.message_id == 0x8401
    assert entry.read(out.body)["contacts"] == contacts


@pytest.mark.parametrize(
    "name",
    ["call_back", "record_audio", "live", "vehicle_control", "set_parameters", "through_down", "upload", "nothing"],
)
def test_what_has_a_gate_is_not_sent_by_name(name: str) -> None:
    with pytest.raises(Refused, match="no message to be sent by name"):
        jt808.orders("message", _args(name, {}), version=2019, phone_number="0472110")


@pytest.mark.parametrize("name", ["call_back", "control_vehicle", "set_parameters", "to_device"])
def test_nor_to_a_taxi(name: str) -> None:
    with pytest.raises(Refused, match="no message to be sent by name"):
        jt905.orders("message", _args(name, {}), phone_number="0472110")


@pytest.mark.parametrize("values", ["", "[1]", "{", "{}", '{"kind": 5000, "ids": []}', "[" * 4_000])
def test_values_that_do_not_fit_are_refused_in_words(values: str) -> None:
    with pytest.raises(Refused) as refused:
        jt808.orders("message", {"message": "query_areas", "values": values}, version=2019, phone_number="")
    assert refused.value.mend


@pytest.mark.parametrize("code", [0, 100, 101, 0xF0])
def test_a_makers_own_code_of_terminal_control_may_cut_the_power_and_is_not_sent(code: int) -> None:
    values = {"control": code, "parameters": ""}
    with pytest.raises(Refused, match="own code"):
        jt808.orders("message", _args("control", values), version=2013, phone_number="")
    with pytest.raises(Refused, match="own code"):
        jt905.orders("message", _args("control", {"command": code}), phone_number="")


def test_terminal_control_by_its_names() -> None:
    values = {"control": "reset", "parameters": ""}
    (out,) = jt808.orders("message", _args("control", values), version=2013, phone_number="")
    assert (out.message_id, out.body) == (0x8105, b"\x04")
    (out,) = jt905.orders("message", _args("control", {"command": "reset"}), phone_number="")
    assert (out.message_id, out.body[:1]) == (0x8105, b"\x03")


def test_every_free_message_is_in_the_table_and_goes_down() -> None:
    for names, catalogue in ((jt808.FREE_MESSAGES, JT808), (jt905.FREE_MESSAGES, JT905)):
        for name in names:
            assert catalogue.by_name[name].way is not Way.UP


@pytest.mark.parametrize("number", ["0x0045", "0x0046", "0x0049"])
def test_what_decides_who_may_listen_is_no_parameter_to_set(number: str) -> None:
    with pytest.raises(Refused, match="who may call and listen"):
        jt905.orders("set_parameter", {"id": number, "value": "1"}, phone_number="")


def _args(name: str, values: object) -> dict[str, str]:
    return {"message": name, "values": json.dumps(values, ensure_ascii=False)}
