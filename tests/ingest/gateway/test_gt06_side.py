"""GT06 trackers over real sockets."""

from __future__ import annotations

import socket

import pytest

from ingest.gateway.seams import Order
from ingest.gt06 import codec
from model.codes import Reason
from tests.ingest.gateway.conftest import ANSWER_S, House

IMEI = "358657100000005"


class Tracker:
    """A GT06 tracker on a real socket."""

    def __init__(self, port: int, imei: str = IMEI) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        self.imei = imei
        self._rest = b""
        self._got: list[codec.Frame] = []

    def send(self, message_id: int, body: bytes = b"", serial: int = 1) -> None:
        (frame,) = codec.write_frames(message_id, body, serial=serial)
        self.sock.sendall(frame)

    def login(self) -> None:
        self.send(0x01, bytes.fromhex(self.imei.zfill(16)), 3)

    def get(self) -> codec.Frame:
        while not self._got:
            data = self.sock.recv(4096)
            assert data
            frames, self._rest, junk = codec.split(self._rest + data)
            assert not junk
            self._got += [codec.read_frame(raw) for raw in frames]
        return self._got.pop(0)


def fix(minute: int = 0) -> bytes:
    """Time, satellites, place, speed, course of a GPS block, then a cell."""
    return (
        bytes((25, 10, 9, 4, minute, 0, 0xCB))
        + round(40.65 * 1_800_000).to_bytes(4, "big")
        + round(109.84 * 1_800_000).to_bytes(4, "big")
        + bytes((31,))
        + (0x1400 | 90).to_bytes(2, "big")
        + bytes.fromhex("01cc0026666aab01")
    )


@pytest.fixture
def tracker(house: House) -> Tracker:
    house.registry.add(IMEI, "gt06")
    return Tracker(house.gateway.gt06_port)


def test_login_heartbeat_position_time(house: House, tracker: Tracker) -> None:
    tracker.login()
    answer = tracker.get()
    assert (answer.message_id, answer.serial, answer.checksum_ok) == (0x01, 3, True)
    assert house.events.told == [("online", 0, "gt06")]
    tracker.send(0x13, bytes.fromhex("4004040001"), 4)
    assert (tracker.get().message_id, house.log.points) == (0x13, 0)
    tracker.send(0x12, fix(), 5)
    house.settled(lambda: house.log.points == 1, "the point")
    assert house.log.column("lat") == pytest.approx([40.65])
    assert house.log.column("time_ms") == [1_759_982_400_000]
    tracker.send(0x8A, b"", 6)
    assert tracker.get().body == bytes((25, 10, 9, 8, 53, 20))


def test_an_alarm_is_answered_after_the_commit(house: House, tracker: Tracker) -> None:
    tracker.login()
    tracker.get()
    house.log.at_once = False
    alarm = fix(5)[:18] + bytes.fromhex("0901cc00266a001e17" + "4005040102")
    tracker.send(0x26, alarm, 7)
    house.settled(lambda: house.log.waiting, "the alarm")
    tracker.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        tracker.sock.recv(1)
    tracker.sock.settimeout(ANSWER_S)
    house.log.commit()
    assert tracker.get().serial == 7
    assert [signal.kind for signal in house.log.taken[-1].signals] == ["sos"]


def test_nothing_before_a_login_counts(house: House, tracker: Tracker) -> None:
    tracker.send(0x12, fix())
    stranger = Tracker(house.gateway.gt06_port, "358657100000099")
    stranger.login()
    house.settled(lambda: len(house.log.reasons) == 2, "both in quarantine")
    assert sorted(house.log.reasons) == [Reason.UNKNOWN_DEVICE, Reason.NOT_AUTHENTICATED]
    assert house.log.points == 0


def test_what_cannot_be_read(house: House, tracker: Tracker) -> None:
    tracker.login()
    tracker.get()
    (good,) = codec.write_frames(0x12, fix(), serial=5)
    broken = good[:10] + bytes((good[10] ^ 1,)) + good[11:]
    tracker.sock.sendall(b"noise" + broken + good)
    tracker.send(0x7E, b"what")
    tracker.send(0x12, b"short")
    house.settled(lambda: len(house.log.reasons) == 4, "all four")
    assert sorted(house.log.reasons) == [
        Reason.BAD_CHECKSUM,
        Reason.BAD_FRAME,
        Reason.UNKNOWN_MESSAGE,
        Reason.BAD_BODY,
    ]
    assert house.log.points == 1


def test_a_frame_cut_at_every_byte(house: House, tracker: Tracker) -> None:
    tracker.login()
    tracker.get()
    (frame,) = codec.write_frames(0x12, fix(), serial=5)
    for at in range(1, len(frame)):
        tracker.sock.sendall(frame[:at])
        tracker.sock.sendall(frame[at:])
    house.settled(lambda: house.log.points == len(frame) - 1, "all of them")
    assert house.log.reasons == []


def test_a_command_and_its_answer(house: House, tracker: Tracker) -> None:
    tracker.login()
    tracker.get()
    assert house.gateway.send(Order("K1", 0, "cut_power", {"restore": False}))
    asked = tracker.get()
    assert (asked.message_id, b"RELAY,1#" in asked.body) == (0x80, True)
    flag = asked.body[1:5]
    text = b"RELAY:OK!"
    tracker.send(0x15, bytes((4 + len(text),)) + flag + text + b"\0\2", 9)
    house.settled(lambda: house.events.replies, "the answer")
    (reply,) = house.events.replies
    assert (reply.command, reply.ok, reply.detail) == ("K1", True, "RELAY:OK!")


def test_what_is_neither_position_nor_answer_is_a_report(house: House, tracker: Tracker) -> None:
    tracker.login()
    tracker.get()
    (frame,) = codec.write_frames(0x94, bytes.fromhex("0004d2"), serial=8, long=True)
    tracker.sock.sendall(frame)
    house.settled(lambda: house.events.reports, "the report")
    (report,) = house.events.reports
    assert (report.protocol, report.message, report.fields["voltage_v"]) == ("gt06", "information", 12.34)


def test_a_report_is_answered_once_it_is_durable(house: House, tracker: Tracker) -> None:
    """An alarm message with a code that raises nothing and without a place: its answer says that it was kept."""
    tracker.login()
    tracker.get()
    house.events.at_once = False
    tracker.send(0x19, bytes.fromhex("01cc0026666aab010400000002"), 9)
    house.settled(lambda: house.events.waiting, "the report")
    assert [one.message for one in house.events.reports] == ["lbs_alarm"]
    tracker.send(0x13, bytes.fromhex("4004040001"), 10)
    assert tracker.get().serial == 10  # nothing of the report was answered before it
    house.events.commit()
    answer = tracker.get()
    assert (answer.message_id, answer.serial) == (0x19, 9)
