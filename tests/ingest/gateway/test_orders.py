"""Orders down and their answers: which answers which, one message after the other, reports, parts of ours asked again."""

from __future__ import annotations

import dataclasses

import pytest

from ingest.gateway.seams import Order
from ingest.jt808.codec import Frame, decode_body, encode
from ingest.jt905 import codec as codec905
from model.codes import Reason
from model.errors import Refused
from tests.ingest.gateway.conftest import LIMITS, NUMBER, House, Opener, Phone, position

SNAPSHOT = {"channel": 1, "count": 1, "interval_s": 0}


def accept(phone: Phone, serial: int, message_id: int, result: int = 0) -> bytes:
    """The general reply of a terminal."""
    body = serial.to_bytes(2, "big") + message_id.to_bytes(2, "big") + bytes((result,))
    return phone.frame(0x0001, body)


def test_the_general_and_the_specific_answer_both_count(house: House) -> None:
    phone = house.authenticated()
    assert house.gateway.send(Order("K1", 0, "snapshot", SNAPSHOT))
    asked = phone.get()
    assert asked.message_id == 0x8801
    phone.send(accept(phone, asked.serial, 0x8801))
    house.settled(lambda: len(house.events.replies) == 1, "the first answer")
    phone.send(phone.frame(0x0805, asked.serial.to_bytes(2, "big") + b"\0\0\1\0\0\0\x4d"))
    house.settled(lambda: len(house.events.replies) == 2, "the second answer")
    first, second = house.events.replies
    assert (first.command, first.ok, first.device) == ("K1", True, "taxi/0")
    assert (second.ok, second.data["media_ids"]) == (True, [77])
    # Answered once more: nobody waits for it any more.
    phone.send(accept(phone, asked.serial, 0x8801), phone.frame(0x0002))
    assert phone.general()[1] == 0x0002
    assert len(house.events.replies) == 2


def test_a_refusal_says_why(house: House) -> None:
    phone = house.authenticated()
    house.gateway.send(Order("K1", 0, "track_faster", {"interval_s": 5, "for_s": 60}))
    asked = phone.get()
    phone.send(accept(phone, asked.serial, asked.message_id, 3))
    house.settled(lambda: house.events.replies, "the answer")
    (reply,) = house.events.replies
    assert (reply.ok, reply.detail) == (False, "the terminal has no such thing")


def test_an_answer_to_another_message_is_not_taken(house: House) -> None:
    phone = house.authenticated()
    house.gateway.send(Order("K1", 0, "track_faster", {"interval_s": 5, "for_s": 60}))
    asked = phone.get()
    phone.send(accept(phone, asked.serial, 0x8300), accept(phone, asked.serial + 1, asked.message_id))
    phone.send(accept(phone, asked.serial, asked.message_id))
    house.settled(lambda: house.events.replies, "the answer")
    assert len(house.events.replies) == 1


def test_messages_of_one_order_go_one_after_the_other(house: House) -> None:
    phone = house.authenticated()
    assert house.gateway.send(Order("K1", 0, "listen_in", {"minutes": 3}))
    first = phone.get()
    assert first.message_id == 0x8103
    phone.send(phone.frame(0x0002))
    assert phone.general()[1] == 0x0002  # nothing else came
    phone.send(accept(phone, first.serial, 0x8103))
    second = phone.get()
    assert second.message_id == 0x8400
    assert second.body[:1] == b"\1"
    assert b"04721234567" in second.body
    assert house.events.replies == []
    phone.send(accept(phone, second.serial, 0x8400))
    house.settled(lambda: house.events.replies, "the answer")
    assert [reply.ok for reply in house.events.replies] == [True]


def test_what_failed_at_its_first_message_sends_no_second(house: House) -> None:
    phone = house.authenticated()
    house.gateway.send(Order("K1", 0, "call"))
    first = phone.get()
    phone.send(accept(phone, first.serial, first.message_id, 1), phone.frame(0x0002))
    assert phone.general()[1] == 0x0002
    assert [reply.ok for reply in house.events.replies] == [False]


@pytest.mark.parametrize("which", [0, -1])
def test_a_text_in_parts_is_answered_by_any_of_its_serials(house: House, which: int) -> None:
    phone = house.authenticated()
    house.gateway.send(Order("K1", 0, "text", {"text": "慢行" * 400, "urgent": False, "speak": True}))
    frames = [phone.get(), phone.get()]
    assert [(frame.message_id, frame.total, frame.index) for frame in frames] == [(0x8300, 2, 1), (0x8300, 2, 2)]
    assert frames[1].serial == frames[0].serial + 1
    # The second part did not get there: the terminal asks for it, and gets the same frame.
    phone.send(phone.frame(0x0005, frames[0].serial.to_bytes(2, "big") + b"\0\1\0\2"))
    assert phone.get() == frames[1]
    phone.send(accept(phone, frames[which].serial, 0x8300))
    house.settled(lambda: house.events.replies, "the answer")
    assert house.events.replies[0].ok


def test_a_position_that_was_asked_for(house: House) -> None:
    phone = house.authenticated()
    house.gateway.send(Order("K1", 0, "query", {"what": "position"}))
    asked = phone.get()
    assert asked.message_id == 0x8201
    phone.send(phone.frame(0x0201, asked.serial.to_bytes(2, "big") + position(lat=40.7)))
    house.settled(lambda: house.events.replies, "the answer")
    assert house.events.replies[0].data["lat"] == 40.7
    house.settled(lambda: house.log.points == 1, "the point")
    assert house.log.column("lat") == [40.7]
    assert house.events.reports == []


def test_the_parameters_of_a_terminal_in_parts(house: House) -> None:
    phone = house.authenticated()
    house.gateway.send(Order("K1", 0, "query", {"what": "parameters"}))
    asked = phone.get()
    assert asked.message_id == 0x8104
    values = {
        "answers_serial": asked.serial,
        "parameters": [{"id": 0x0013, "value": "192.0.2.1"}, {"id": 0x0029, "value": 30}],
    }
    (whole,) = encode("parameters_answer", values, number=NUMBER, serial=0, version=2013)
    body = whole[13:-2]
    phone.send(*phone.parts(0x0104, body, 9, 70))
    house.settled(lambda: house.events.replies, "the answer")
    named = {one["id"]: one["value"] for one in house.events.replies[0].data["parameters"]}
    assert named == {0x0013: "192.0.2.1", 0x0029: 30}


def test_nobody_there_and_no_such_thing(house: House) -> None:
    assert not house.gateway.send(Order("K1", 0, "snapshot", SNAPSHOT))
    phone = house.authenticated()
    with pytest.raises(Refused):
        house.gateway.send(Order("K2", 0, "siren", {"seconds": 10}))
    phone.sock.close()
    house.settled(lambda: house.gateway.connected(0) == "", "the end")
    assert not house.gateway.send(Order("K3", 0, "snapshot", SNAPSHOT))
    assert house.events.replies == []


def test_orders_are_forgotten(open_house: Opener) -> None:
    house = open_house(dataclasses.replace(LIMITS, orders_per_terminal=2))
    phone = house.authenticated()
    for count in range(3):
        house.gateway.send(Order(f"K{count}", 0, "track_faster", {"interval_s": 5, "for_s": 60}))
    asked = [phone.get() for _ in range(3)]
    phone.send(*[accept(phone, frame.serial, frame.message_id) for frame in asked[:2]])
    house.settled(lambda: house.events.replies, "the answer")
    assert [reply.command for reply in house.events.replies] == ["K1"]
    house.pass_s(LIMITS.order_s)
    phone.send(accept(phone, asked[2].serial, asked[2].message_id), phone.frame(0x0002))
    assert phone.general()[1] == 0x0002
    assert len(house.events.replies) == 1


def test_a_report_is_answered_once_it_is_durable(house: House) -> None:
    house.events.at_once = False
    phone = house.authenticated()
    phone.send(phone.frame(0x0800, (7).to_bytes(4, "big") + b"\0\0\2\1", serial=30))
    house.settled(lambda: house.events.waiting, "the report")
    assert phone.quiet()
    house.events.commit()
    assert phone.general() == (30, 0x0800, 0)
    (report,) = house.events.reports
    assert (report.device, report.protocol, report.message) == ("taxi/0", "jt808", "media_event")
    assert report.fields["media_id"] == 7


def test_a_taxi_is_inspected_and_signs_on(house: House) -> None:
    phone = house.phone("108000000316", protocol="jt905")
    inspected = bytes.fromhex("7e0b1100131080000003160000000000000000000012100100000000000000008f7e")
    phone.send(inspected)  # nobody asked: a report
    assert phone.general()[1:] == (0x0B11, 0)
    assert [report.message for report in house.events.reports] == ["inspected"]
    house.gateway.send(Order("K1", 0, "query", {"what": "inspection"}))
    asked = phone.get()
    assert asked.message_id == 0x8B11
    phone.send(inspected)
    house.settled(lambda: house.events.replies, "the answer")
    assert house.events.replies[0].command == "K1"
    phone.send(phone.frame(0x0777, serial=5))
    assert phone.general() == (5, 0x0777, 2)  # JT/T 905 has no "not supported"
    assert house.log.reasons == [Reason.UNKNOWN_MESSAGE]


def test_confirming_an_alarm_of_a_taxi(house: House) -> None:
    phone = house.phone("108000000316", protocol="jt905")
    phone.send(phone.frame(0x0002))
    assert phone.general()[1:] == (0x0002, 0)
    for state, message_id in (("acknowledged", 0x8B0A), ("closed", 0x8B0B)):
        house.gateway.send(Order(state, 0, "confirm_alarm", {"alarm_kind": "sos", "state": state}))
        frame = phone.get()
        assert isinstance(frame, codec905.Frame)
        assert frame.message_id == message_id


def test_a_2019_terminal_gets_2019_frames(house: House) -> None:
    phone = house.authenticated(version=2019)
    house.gateway.send(Order("K1", 0, "text", {"text": "早", "urgent": True, "speak": True}))
    frame = phone.get()
    assert isinstance(frame, Frame)
    assert (frame.version, frame.number) == (2019, NUMBER)
    assert decode_body(frame)["text"] == "早"
