"""Positions over real sockets: answered after the commit, whatever comes around them."""

from __future__ import annotations

import socket

import pytest

from ingest.gateway.limits import GatewayLimits
from ingest.jt808.codec import read_frame
from model.codes import ALARM_BY_NAME, Flag, Reason
from tests.conftest import wait_until
from tests.ingest.gateway.conftest import ANSWER_S, House, Opener, batch, position


def test_a_position_is_answered_only_after_the_commit(house: House) -> None:
    phone = house.authenticated()
    house.log.at_once = False
    phone.send(phone.frame(0x0200, position(), serial=7))
    house.settled(lambda: house.log.waiting, "the position")
    assert phone.quiet()
    house.log.commit()
    assert phone.general() == (7, 0x0200, 0)
    assert house.log.column("lat") == [40.65]
    assert house.log.column("slot") == [0]
    assert house.gateway.stats.positions == 1


@pytest.mark.parametrize("version", [2013, 2019])
def test_a_position_cut_at_every_byte(house: House, version: int) -> None:
    phone = house.authenticated(version=version)
    frames = [phone.frame(0x0200, position(time=f"2510091200{second:02d}")) for second in range(60)]
    whole = frames[0]
    for at in range(1, len(whole)):
        frame = frames[at % 60]
        phone.send(frame[:at])
        phone.send(frame[at:])
        assert phone.general()[1:] == (0x0200, 0)
    assert house.log.points == len(whole) - 1
    assert house.log.reasons == []


def test_one_byte_at_a_time(house: House) -> None:
    phone = house.authenticated()
    for byte in phone.frame(0x0200, position(), serial=0x7E7D):
        phone.send(bytes((byte,)))
    assert phone.general() == (0x7E7D, 0x0200, 0)


def test_glued_frames_with_noise_between_them(house: House) -> None:
    phone = house.authenticated()
    good = [phone.frame(0x0200, position(), serial=serial) for serial in range(4)]
    broken = bytearray(good[0])
    broken[20] ^= 1
    # Two share one mark; noise; a frame whose checksum does not hold; a good one.
    phone.send(good[0][:-1] + good[1], b"noise", good[2], bytes(broken), good[3])
    assert [phone.general()[0] for _ in range(4)] == [0, 1, 2, 3]
    assert house.log.points == 4
    assert sorted(house.log.reasons) == [Reason.BAD_CHECKSUM, Reason.BAD_CHECKSUM]


def test_bytes_before_the_first_mark_are_kept(house: House) -> None:
    phone = house.phone()
    phone.send(b"GET / HTTP/1.1\r\n\r\n" + phone.frame(0x0102, f"token-{phone.number}".encode()))
    assert phone.general()[1:] == (0x0102, 0)
    assert house.log.reasons == [Reason.BAD_FRAME]
    assert house.log.taken[0].quarantined[0].raw == b"GET / HTTP/1.1\r\n\r\n"


def test_an_alarm_is_urgent_once_and_said_to_be_handled(house: House) -> None:
    phone = house.authenticated()
    for alarm, result, urgent in ((0, 0, False), (1, 4, True), (1, 4, False), (0, 0, False), (1, 4, True)):
        phone.send(phone.frame(0x0200, position(alarm=alarm)))
        assert phone.general()[2] == result
        assert house.log.taken[-1].urgent is urgent
    assert house.log.column("alarm_bits")[1] == 1 << ALARM_BY_NAME["sos"].bit


def test_a_batch_is_answered_once_and_is_buffered(house: House) -> None:
    phone = house.authenticated()
    items = [position(time=f"2510091200{second:02d}") for second in range(20)]
    phone.send(phone.frame(0x0704, batch(*items, blind=True), serial=3))
    assert phone.general() == (3, 0x0704, 0)
    assert house.log.points == 20
    assert all(flags & Flag.BUFFERED for flags in house.log.column("flags"))
    # One item is too short: it goes to quarantine, its neighbours stay.
    phone.send(phone.frame(0x0704, batch(items[0], b"\1\2", items[1]), serial=4))
    assert phone.general() == (4, 0x0704, 0)
    assert house.log.points == 22
    assert house.log.reasons == [Reason.BAD_BODY]


def test_an_sos_whose_time_is_nonsense_is_a_signal(house: House) -> None:
    phone = house.authenticated()
    phone.send(phone.frame(0x0200, position(alarm=1, time="999999999999")))
    assert phone.general()[2] == 4
    taken = house.log.taken[-1]
    assert [signal.kind for signal in taken.signals] == ["sos"]
    assert [one.reason for one in taken.quarantined] == [Reason.BAD_BODY]


@pytest.mark.parametrize(
    ("message_id", "body", "reason", "result"),
    [
        (0x0200, b"short", Reason.BAD_BODY, 2),
        (0x0100, b"", Reason.BAD_BODY, 2),
        (0x0F77, b"what", Reason.UNKNOWN_MESSAGE, 3),
        (0x0801, b"\0\0", Reason.BAD_BODY, 2),
    ],
)
def test_what_cannot_be_read_is_answered_so(
    house: House, message_id: int, body: bytes, reason: Reason, result: int
) -> None:
    phone = house.authenticated()
    phone.send(phone.frame(message_id, body, serial=9))
    answers = [phone.general()]
    if answers[0][2] == 0:  # media is received before it is read
        answers.append(phone.general())
    assert answers[-1] == (9, message_id, result)
    assert house.log.reasons == [reason]
    phone.send(phone.frame(0x0200, position()))
    assert phone.general()[2] == 0


def test_encrypted_and_wrong_lengths(house: House) -> None:
    phone = house.authenticated()
    frame = read_frame(phone.frame(0x0200, position()))
    for props, reason, result in ((28 | 1 << 10, Reason.ENCRYPTED, 3), (29, Reason.BAD_FRAME, 2)):
        plain = b"\x02\x00" + props.to_bytes(2, "big") + bytes.fromhex(phone.number.zfill(12)) + b"\0\5" + frame.body
        checksum = 0
        for byte in plain:
            checksum ^= byte
        body = (plain + bytes((checksum,))).replace(b"\x7d", b"\x7d\1").replace(b"\x7e", b"\x7d\2")
        phone.send(b"\x7e" + body + b"\x7e")
        assert phone.general() == (5, 0x0200, result)
        assert house.log.reasons[-1] is reason
    assert house.log.points == 0


def test_taxis_speak_905_on_the_same_port(house: House) -> None:
    body = bytes.fromhex("000000000e008000018100f857a403f88e4e00ac6d100101081347"[2:])
    phone = house.phone("108000000316", protocol="jt905")
    phone.send(phone.frame(0x0200, body[:25].rjust(25, b"\0"), serial=1))
    assert phone.general() == (1, 0x0200, 0)
    assert house.gateway.connected(0) == "jt905"
    assert house.events.told == [("online", 0, "jt905")]


def test_the_ten_in_front_means_905_where_the_registry_says_nothing(house: House) -> None:
    house.registry.add("108000000316", "")
    house.registry.add("208000000316", "")
    frame = bytes.fromhex("7e02000019108000000316000000000e008000018100f857a403f88e4e00ac6d1001010813472d7e")
    phone = house.phone("108000000316", protocol="jt905")
    phone.send(frame)
    assert phone.general() == (0, 0x0200, 0)
    assert house.log.column("speed_kmh") == pytest.approx([17.2])
    other = house.phone("208000000316")
    other.send(other.frame(0x0200, position()))
    assert other.general()[2] == 1  # 808 has to authenticate


def test_positions_by_datagram(house: House) -> None:
    phone = house.authenticated()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(ANSWER_S)
        udp.connect(("127.0.0.1", house.gateway.jt_port))
        for serial in (20, 21):
            udp.send(phone.frame(0x0200, position(), serial=serial))
            answer = read_frame(udp.recv(2048))
            assert (answer.message_id, answer.body) == (0x8001, serial.to_bytes(2, "big") + b"\2\0\0")
    assert house.log.points == 2
    assert house.events.told == [("online", 0, "jt808")]


def test_datagrams_of_those_who_never_authenticated(house: House) -> None:
    house.registry.add("13800000001")
    phone = house.phone("13800000001")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(ANSWER_S)
        udp.connect(("127.0.0.1", house.gateway.jt_port))
        udp.send(phone.frame(0x0200, position(), serial=1))
        assert read_frame(udp.recv(2048)).body[4] == 1
    assert house.log.reasons == [Reason.NOT_AUTHENTICATED]
    assert house.log.points == 0


def test_reading_pauses_while_too_much_is_under_way(open_house: Opener) -> None:
    house = open_house(GatewayLimits(tick_ms=20, max_unanswered_frames=5))
    phone = house.authenticated()
    house.log.at_once = False
    phone.send(*[phone.frame(0x0200, position(), serial=serial) for serial in range(10)])
    house.settled(lambda: house.gateway.stats.paused, "the pause")
    phone.send(phone.frame(0x0002, serial=50))
    assert house.gateway.stats.unanswered >= 5
    house.log.at_once = True
    house.log.commit()
    # A read may have cut the ten in two; all are answered, then the heartbeat.
    seen = [phone.general()[0] for _ in range(11)]
    assert sorted(seen) == [*range(10), 50]
    wait_until(lambda: house.gateway.stats.unanswered == 0, what="nothing under way")
