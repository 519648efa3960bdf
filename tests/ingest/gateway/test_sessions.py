"""Who may speak: registration, tokens, sessions, time-outs, limits."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import socket
import threading

import pytest

from ingest.gateway.limits import GatewayLimits
from ingest.jt808.codec import encode, write_frames
from model.codes import Reason
from tests.ingest.gateway.conftest import ANSWER_S, LIMITS, NUMBER, House, Opener, Phone, position


def register(phone: Phone, plate: str = "蒙B12345") -> bytes:
    """A registration of 2013 or 2019."""
    values = {
        "province": 15,
        "city": 200,
        "maker": "LUCHE",
        "model": "LC-1",
        "terminal_id": "T000001",
        "plate_colour": "blue",
        "plate": plate,
    }
    phone.serial += 1
    frames = encode("register", values, number=phone.number, serial=phone.serial, version=phone.version)
    return frames[0]


@pytest.mark.parametrize("version", [2013, 2019])
def test_register_authenticate_positions(house: House, version: int) -> None:
    house.registry.add(NUMBER, registered=False)
    phone = house.phone(version=version)
    phone.send(phone.frame(0x0200, position()))
    assert phone.general()[2] == 1
    phone.send(register(phone))
    answer = phone.get()
    assert answer.message_id == 0x8100
    assert answer.body[:3] == phone.serial.to_bytes(2, "big") + b"\0"
    assert answer.body[3:].decode() == f"token-{NUMBER}"
    assert house.registry.asked[0].plate == "蒙B12345"
    assert house.registry.asked[0].terminal_id == "T000001"
    assert house.gateway.connected(0) == ""
    phone.authenticate()
    assert house.gateway.connected(0) == "jt808"
    phone.send(phone.frame(0x0200, position()))
    assert phone.general()[1:] == (0x0200, 0)
    assert house.log.points == 1
    assert house.log.reasons == [Reason.NOT_AUTHENTICATED]


def test_a_wrong_token(house: House) -> None:
    phone = house.phone()
    phone.send(phone.frame(0x0102, b"guess"))
    assert phone.general()[1:] == (0x0102, 1)
    phone.send(phone.frame(0x0002), phone.frame(0x0200, position()))
    assert [phone.general()[1:] for _ in range(2)] == [(0x0002, 1), (0x0200, 1)]
    assert house.log.points == 0
    assert house.log.reasons == [Reason.NOT_AUTHENTICATED, Reason.NOT_AUTHENTICATED]
    assert house.events.told == []


def test_all_in_one_read_is_taken_in_order(house: House) -> None:
    phone = house.phone()
    token = f"token-{NUMBER}".encode()
    early, greeting, late = phone.frame(0x0200, position()), phone.frame(0x0102, token), phone.frame(0x0200, position())
    phone.send(early + greeting + late)
    assert sorted(phone.general() for _ in range(3)) == [(0, 0x0200, 1), (1, 0x0102, 0), (2, 0x0200, 0)]
    assert house.log.points == 1


def test_strangers_and_the_disabled(house: House) -> None:
    house.registry.add("13800000002", enabled=False)
    for number, reason in (("13800000009", Reason.UNKNOWN_DEVICE), ("13800000002", Reason.DISABLED_DEVICE)):
        phone = house.phone(number, known=False)
        phone.send(register(phone))
        answer = phone.get()
        assert (answer.message_id, answer.body[2:]) == (0x8100, b"\4")
        phone.send(phone.frame(0x0200, position(), serial=8))
        assert phone.general() == (8, 0x0200, 1)
        assert house.log.reasons[-2:] == [reason, reason]
    assert house.registry.asked == []
    assert house.gateway.stats.sessions == 0


def test_a_terminal_of_another_protocol_is_a_stranger_here(house: House) -> None:
    house.registry.add("108000000316", "mqtt")
    phone = house.phone("108000000316", protocol="jt905")
    phone.send(phone.frame(0x0200, bytes(25)))
    assert phone.general()[2] == 1
    assert house.log.reasons == [Reason.UNKNOWN_DEVICE]


def test_a_stranger_is_closed_after_so_many_frames(open_house: Opener) -> None:
    house = open_house(dataclasses.replace(LIMITS, strangers_kept=3))
    phone = house.phone("13800000009", known=False)
    phone.send(*[phone.frame(0x0200, position()) for _ in range(10)])
    assert phone.closed()
    assert house.log.reasons == [Reason.UNKNOWN_DEVICE] * 3
    assert house.gateway.stats.bad[Reason.UNKNOWN_DEVICE] == 10


def test_another_number_on_a_connection(house: House) -> None:
    phone = house.authenticated()
    other = house.authenticated("13800000002")
    phone.send(other.frame(0x0200, position(), serial=5))
    answer = phone.get()
    assert (answer.number, answer.body[4]) == ("13800000002", 1)
    assert house.log.reasons == [Reason.IDENTITY_MISMATCH]
    phone.send(phone.frame(0x0200, position()))
    assert phone.general()[2] == 0


def test_the_newer_session_wins(house: House) -> None:
    older = house.authenticated()
    newer = house.phone()
    newer.send(newer.frame(0x0002))
    assert newer.general()[2] == 1
    older.send(older.frame(0x0200, position()))  # who has not authenticated ends nobody
    assert older.general()[2] == 0
    newer.authenticate()
    assert older.closed()
    newer.send(newer.frame(0x0200, position()))
    assert newer.general()[2] == 0
    assert house.events.told == [("online", 0, "jt808"), ("online", 0, "jt808")]
    assert house.gateway.stats.replaced == 1
    newer.sock.close()
    house.settled(lambda: house.events.told[-1] == ("offline", 0), "offline")
    assert house.gateway.connected(0) == ""
    assert house.gateway.stats.sessions == 0


def test_without_authentication_the_number_is_enough(open_house: Opener) -> None:
    house = open_house(require_auth=False)
    phone = house.phone()
    phone.send(phone.frame(0x0200, position()))
    assert phone.general()[2] == 0
    phone.send(phone.frame(0x0102, b"whatever"))
    assert phone.general()[2] == 0
    phone.send(phone.frame(0x0003))
    assert phone.general()[1:] == (0x0003, 0)
    assert house.gateway.connected(0) == ""
    phone.send(phone.frame(0x0200, position()))
    assert phone.general()[2] == 0
    assert [what for what, *_ in house.events.told] == ["online", "offline", "online"]


def test_logging_out_ends_the_session(house: House) -> None:
    phone = house.authenticated()
    phone.send(phone.frame(0x0003))
    assert phone.general()[1:] == (0x0003, 0)
    phone.send(phone.frame(0x0200, position()))
    assert phone.general()[2] == 1
    phone.authenticate()
    assert house.gateway.connected(0) == "jt808"


def test_who_does_not_greet_is_closed(house: House) -> None:
    silent, known = house.phone(), house.authenticated("13800000002")
    house.settled(lambda: house.gateway.stats.connections == 2, "both connections")
    house.pass_s(29.0)
    assert house.gateway.stats.greeting_timeouts == 0
    house.pass_s(1.0)
    assert silent.closed()
    known.send(known.frame(0x0002))
    assert known.general()[2] == 0
    assert house.gateway.stats.greeting_timeouts == 1


def test_who_falls_silent_is_closed(house: House) -> None:
    phone = house.authenticated()
    house.pass_s(599.0)
    phone.send(phone.frame(0x0002))
    assert phone.general()[2] == 0
    house.pass_s(599.0)
    phone.send(phone.frame(0x0002))
    assert phone.general()[2] == 0
    house.pass_s(600.0)
    assert phone.closed()
    assert house.gateway.stats.idle_timeouts == 1
    assert house.events.told[-1] == ("offline", 0)


def test_a_device_that_is_disabled_loses_its_session(house: House) -> None:
    phone = house.authenticated()
    house.registry.known[NUMBER] = dataclasses.replace(house.registry.known[NUMBER], enabled=False)
    house.pass_s(LIMITS.check_s)
    assert phone.closed()


def test_a_terminal_that_was_released_loses_its_session(house: House) -> None:
    phone = house.authenticated()
    house.registry.registered.clear()
    house.pass_s(LIMITS.check_s)
    assert phone.closed()


def test_more_connections_than_allowed_are_turned_away(open_house: Opener) -> None:
    house = open_house(GatewayLimits(tick_ms=20, max_connections=2))
    first, second = house.authenticated(), house.authenticated("13800000002")
    third = house.phone("13800000003")
    assert third.closed()
    assert house.gateway.stats.turned_away == 1
    second.sock.close()
    house.settled(lambda: house.gateway.stats.connections == 1, "room")
    house.authenticated("13800000003")
    first.send(first.frame(0x0002))
    assert first.general()[2] == 0


def test_when_the_process_has_no_descriptor_left(house: House) -> None:
    phone = house.authenticated()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[socket.socket] = []
    sock = socket.socket()
    resource.setrlimit(resource.RLIMIT_NOFILE, (sock.fileno() + 1, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(socket.socket())
        sock.settimeout(ANSWER_S)
        sock.connect(("127.0.0.1", house.gateway.jt_port))
        assert sock.recv(1) == b""
        phone.send(phone.frame(0x0002))
        assert phone.general()[2] == 0
    finally:
        for one in (sock, *held):
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert house.gateway.stats.turned_away == 1
    house.authenticated("13800000002")


def test_a_frame_without_an_end(open_house: Opener) -> None:
    house = open_house(GatewayLimits(tick_ms=20, max_buffer_bytes=4096))
    phone = house.authenticated()
    phone.send(b"\x7e" + bytes(5000))
    assert phone.closed()
    assert house.log.reasons == [Reason.TOO_LARGE]
    assert house.gateway.stats.overruns == 1


def test_a_connection_that_ends_within_a_frame(house: House) -> None:
    phone = house.authenticated()
    phone.send(phone.frame(0x0200, position())[:-5])
    phone.sock.close()
    house.settled(lambda: house.log.reasons, "the piece")
    assert house.log.reasons == [Reason.BAD_FRAME]


def test_who_does_not_read_is_closed(open_house: Opener) -> None:
    house = open_house(GatewayLimits(tick_ms=20, max_unsent_bytes=4096))
    phone = house.authenticated()
    many = b"".join(write_frames(0x0002, b"", number=NUMBER, serial=serial, version=2013)[0] for serial in range(500))
    with contextlib.suppress(OSError):  # closed while it sends
        for _ in range(2_000):
            phone.sock.sendall(many)
    house.settled(lambda: house.gateway.stats.overruns == 1, "the end")
    assert house.gateway.stats.connections == 0


def test_it_tells_the_time(house: House) -> None:
    phone = house.authenticated()
    phone.send(phone.frame(0x0004))
    answer = phone.get()
    assert answer.message_id == 0x8004
    assert answer.body.hex() == "251009085320"


def test_stop_waits_for_what_is_under_way(house: House) -> None:
    phone = house.authenticated()
    house.log.at_once = False
    phone.send(phone.frame(0x0200, position(), serial=4))
    house.settled(lambda: house.log.waiting, "the position")
    house.clock.advance(1.0)
    stopping = threading.Thread(target=house.gateway.stop)
    stopping.start()
    house.log.commit()
    stopping.join()
    assert phone.general() == (4, 0x0200, 0)
    assert phone.closed()
