"""A terminal against a platform on a real socket: what it sends, what it obeys, what it sends again."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from model.clock import FakeClock
from model.errors import TryAgain, UsageError
from simulator.terminal import media
from simulator.terminal.fix import Fix, drive
from simulator.terminal.hearing import Traffic
from simulator.terminal.terminal import Terminal
from simulator.terminal.wire import Packet, Protocol
from tests.conftest import free_port, wait_until
from tests.simulator.terminal.tiny_platform import TOKEN, Platform

Start = Callable[[Protocol], Platform]
START_MS = 1_795_334_400_000


@contextmanager
def online(platform: Platform, **options: object) -> Iterator[Terminal]:
    number = "108000000316" if platform.protocol is Protocol.JT905 else "13800000001"
    if platform.protocol is Protocol.GT06:
        number = "860000000000001"
    with Terminal("127.0.0.1", platform.port, protocol=platform.protocol, number=number, **options) as terminal:  # type: ignore[arg-type]
        yield terminal.come_online()


def answered(platform: Platform, terminal: Terminal, message_id: int, body: bytes = b"", up: int = 0x0001) -> Packet:
    """Say it; the message up that answers it by its serial."""
    serial = struct.pack(">H", platform.say(message_id, body))
    terminal.wait_for(message_id)
    wait_until(lambda: [one for one in platform.of(up) if one.body[:2] == serial], what=f"{up:#06x}")
    return next(one for one in platform.of(up) if one.body[:2] == serial)


@pytest.mark.parametrize("protocol", [Protocol.JT808, Protocol.JT808_2019])
def test_registers_authenticates_and_keeps_its_token(platform: Start, protocol: Protocol) -> None:
    there = platform(protocol)
    with online(there) as terminal:
        assert terminal.token == TOKEN
        assert TOKEN.encode() in there.wait_id(0x0102)[0].body
        terminal.drop()
        terminal.reconnect()
        assert len(there.of(0x0100)) == 1
        assert len(there.wait_id(0x0102, 2)) == 2


def test_a_refused_registration_says_so(platform: Start) -> None:
    there = platform(Protocol.JT808)
    there.results[0x0100] = 4
    with (
        Terminal("127.0.0.1", there.port) as terminal,
        pytest.raises(TryAgain, match="register: result 4, no enabled device"),
    ):
        terminal.come_online()


def test_nothing_listening_is_try_again() -> None:
    with pytest.raises(TryAgain, match="Nothing takes the connection"):
        Terminal("127.0.0.1", free_port()).connect()


@pytest.mark.parametrize(
    ("protocol", "size", "batch_id"),
    [(Protocol.JT808, 28, 0x0704), (Protocol.JT808_2019, 28, 0x0704), (Protocol.JT905, 25, 0x0203)],
)
def test_places_and_batches_are_answered(platform: Start, protocol: Protocol, size: int, batch_id: int) -> None:
    there = platform(protocol)
    with online(there) as terminal:
        fixes = list(drive(START_MS, 3))
        assert terminal.wait_answers(terminal.send_positions(fixes)) == [0, 0, 0]
        assert [len(one.body) for one in there.of(0x0200)] == [size] * 3
        (serial,) = terminal.send_batch(fixes)
        assert terminal.wait_answer(serial) == 0
        body = there.of(batch_id)[0].body
        assert len(body) == (3 * size if protocol is Protocol.JT905 else 3 + 3 * (2 + size))


def test_sos_stays_until_it_is_confirmed(platform: Start) -> None:
    there = platform(Protocol.JT808)
    with online(there) as terminal:
        terminal.wait_answer(terminal.press_sos())
        terminal.wait_answers(terminal.send_positions(list(drive(START_MS, 1))))
        answered(there, terminal, 0x8203, struct.pack(">HI", 0, 1))
        terminal.wait_answers(terminal.send_positions(list(drive(START_MS + 9_000, 1))))
        assert [one.body[3] for one in there.of(0x0200)] == [1, 1, 0]


def test_a_taxi_holds_its_alarm_until_it_is_cleared(platform: Start) -> None:
    there = platform(Protocol.JT905)
    with online(there) as terminal:
        terminal.wait_answer(terminal.press_sos())
        answered(there, terminal, 0x8B0A)
        assert terminal.latched == 1
        answered(there, terminal, 0x8B0B)
        assert terminal.latched == 0


def test_a_photo_arrives_part_by_part_with_three_lost(platform: Start) -> None:
    there = platform(Protocol.JT808)
    data = media.picture(640, 480, seed=3)
    with online(there) as terminal:
        part_bytes = -(-(36 + len(data)) // 20)
        upload = terminal.send_photo(data, 7, lose=(3, 7, 11), part_bytes=part_bytes)
        assert upload.parts == 20
        came = there.wait_id(0x0801, 17)
        assert sorted({one.index for one in came}) == [at for at in range(1, 21) if at not in (3, 7, 11)]
        there.say(0x8003, struct.pack(">HB2H", upload.first_serial, 2, 3, 7))
        there.wait_id(0x0801, 19)
        assert not upload.done
        there.say(0x8800, struct.pack(">IBH", 7, 1, 11))
        came = sorted(there.wait_id(0x0801, 20), key=lambda one: one.index)
        there.say(0x8800, struct.pack(">I", 7))
        assert upload.wait(10)
        assert upload.again == [3, 7, 11]
        assert b"".join(one.body for one in came)[36:] == data
        assert [one.serial for one in came] == [(upload.first_serial + at) % 65_536 for at in range(20)]


def test_parts_of_2019_are_asked_for_with_a_wide_count(platform: Start) -> None:
    there = platform(Protocol.JT808_2019)
    with online(there) as terminal:
        upload = terminal.send_photo(media.picture(64, 64), 1, lose=(1,), part_bytes=64)
        there.say(0x8003, struct.pack(">HHH", upload.first_serial, 1, 1))
        terminal.wait_for(0x8003)
        assert upload.again == [1]


def test_a_taxi_photo_goes_by_offset(platform: Start) -> None:
    there = platform(Protocol.JT905)
    data = media.picture(64, 64)
    with online(there) as terminal:
        upload = terminal.send_photo(data, 5, lose=(2,), part_bytes=100)
        there.wait_id(0x0800, upload.parts - 1)
        assert 100 not in [int.from_bytes(one.body[11:15], "big") for one in there.of(0x0800)]
        answered(there, terminal, 0x8803, struct.pack(">BII", 0, 5, 100))
        there.wait_id(0x0800, 2 * upload.parts - 2)
        pieces = {int.from_bytes(one.body[11:15], "big"): one.body[15:] for one in there.of(0x0800)}
        assert b"".join(pieces[at] for at in sorted(pieces))[25:] == data


def test_an_order_for_photos_is_answered_and_carried_out(platform: Start) -> None:
    there = platform(Protocol.JT808)
    with online(there) as terminal:
        order = struct.pack(">BHHBBBBBBB", 1, 2, 0, 0, 1, 5, 0, 0, 0, 0)
        found = answered(there, terminal, 0x8801, order, up=0x0805)
        assert struct.unpack(">BHII", found.body[2:]) == (0, 2, 1, 2)
        assert len(terminal.uploads) == 2
        wait_until(lambda: {one.body[:4] for one in there.of(0x0801) if one.index == 1} == {b"\0\0\0\1", b"\0\0\0\2"})


def test_listen_in_is_remembered_with_its_limit(platform: Start) -> None:
    there = platform(Protocol.JT808)
    with online(there) as terminal:
        answered(there, terminal, 0x8103, b"\1" + struct.pack(">IBI", 0x0046, 4, 600))
        answered(there, terminal, 0x8400, b"\1" + b"04720000110".ljust(20, b"\0"))
        assert terminal.calls == [(True, "04720000110", 600)]
        answered(there, terminal, 0x8103, b"\1" + struct.pack(">IBI", 0x0046, 4, 0))
        assert terminal.calls_ended == 1


@pytest.mark.parametrize(
    ("protocol", "message_id", "body", "up"),
    [
        (Protocol.JT808, 0x8104, b"", 0x0104),
        (Protocol.JT808, 0x8106, struct.pack(">BI", 1, 0x0029), 0x0104),
        (Protocol.JT905, 0x8104, struct.pack(">H", 0x0029), 0x0104),
        (Protocol.JT808, 0x8201, b"", 0x0201),
        (Protocol.JT905, 0x8201, b"", 0x0201),
        (Protocol.JT808, 0x8202, struct.pack(">HI", 5, 600), 0x0001),
        (Protocol.JT905, 0x8202, struct.pack(">BHI", 0, 5, 600), 0x0001),
        (Protocol.JT808, 0x8500, b"\1", 0x0500),
        (Protocol.JT808_2019, 0x8500, struct.pack(">HHB", 1, 1, 1), 0x0500),
        (Protocol.JT905, 0x8500, b"\0\1", 0x0500),
        (Protocol.JT808, 0x8804, struct.pack(">BHBB", 1, 1, 0, 0), 0x0001),
        (Protocol.JT808, 0x8802, bytes(15), 0x0802),
        (Protocol.JT808, 0x8803, bytes(16), 0x0001),
        (Protocol.JT808, 0x8805, struct.pack(">IB", 9, 0), 0x0001),
        (Protocol.JT808, 0x8600, bytes(20), 0x0001),
        (Protocol.JT808, 0x9101, bytes(12), 0x0001),
        (Protocol.JT808, 0x9205, bytes(24), 0x1205),
    ],
)
def test_orders_are_answered_with_their_serial(
    platform: Start, protocol: Protocol, message_id: int, body: bytes, up: int
) -> None:
    there = platform(protocol)
    with online(there) as terminal:
        answered(there, terminal, message_id, body, up=up)
        assert not terminal.link.counts.bad


def test_attributes_and_inspection(platform: Start) -> None:
    there = platform(Protocol.JT905)
    with online(there):
        there.say(0x8107)
        there.say(0x8B11)
        assert b"LCSIM" in there.wait_id(0x0107)[0].body
        assert there.wait_id(0x0B11)[0].body[:2] == b"\0\x14"


def test_what_is_ordered_shows_in_its_status(platform: Start) -> None:
    there = platform(Protocol.JT905)
    with online(there) as terminal:
        found = answered(there, terminal, 0x8500, b"\0\1", up=0x0500)
        assert int.from_bytes(found.body[6:10], "big") >> 10 & 1
        assert answered(there, terminal, 0x8500, b"\0\0", up=0x0500).body[8] & 4 == 0


def test_a_text_in_parts_is_answered_once_by_the_last_serial(platform: Start) -> None:
    there = platform(Protocol.JT808)
    words = "请注意前方施工" * 30
    with online(there) as terminal:
        serial = there.say(0x8300, b"\1" + words.encode("gbk"), max_body_bytes=100)
        assert terminal.wait_for(0x8300).values["text"] == words
        replies = [one for one in there.wait_id(0x0001) if one.body[2:4] == b"\x83\0"]
        assert [one.body for one in replies] == [struct.pack(">HHB", serial, 0x8300, 0)]


def test_a_lost_part_from_the_platform_is_asked_for(platform: Start) -> None:
    there, clock = platform(Protocol.JT808), FakeClock()
    with online(there, clock=clock) as terminal:
        terminal.link.ignored_parts.add((0x8300, 2))
        there.say(0x8300, b"\1" + b"x" * 250, max_body_bytes=100)
        wait_until(lambda: not terminal.link.ignored_parts, what="the part to be lost")
        there.say(0x8107)
        terminal.wait_for(0x8107)
        clock.advance(6)
        wanted = there.wait_id(0x0005)[0].body
        assert struct.unpack(">HHH", wanted)[1:] == (1, 2)


def test_it_refuses_and_stays_silent_when_told(platform: Start) -> None:
    there = platform(Protocol.JT808)
    with online(there) as terminal:
        terminal.refusing[0x8801] = 1
        terminal.silent.add(0x8300)
        there.say(0x8300, b"\1abc")
        assert answered(there, terminal, 0x8801, bytes(12)).body[4] == 1
        assert answered(there, terminal, 0x8F77).body[4] == 3
        assert answered(there, terminal, 0x8202, b"\0").body[4] == 2
        assert not [one for one in there.of(0x0001) if one.body[2:4] == b"\x83\0"]
        assert terminal.heard[0].message_id == 0x8100


def test_what_is_not_answered_is_sent_again_with_its_serial(platform: Start) -> None:
    there, clock = platform(Protocol.JT808), FakeClock()
    with online(there, clock=clock, resends=2) as terminal:
        there.mute.add(0x0200)
        (serial,) = terminal.send_positions([Fix(START_MS, 40.65, 109.84)])
        there.wait_id(0x0200, 1)
        clock.advance(11)
        there.wait_id(0x0200, 2)
        clock.advance(21)
        came = there.wait_id(0x0200, 3)
        assert {one.serial for one in came} == {serial}
        assert {one.raw for one in came} == {came[0].raw}
        clock.advance(31)
        wait_until(lambda: terminal.link.counts.given_up == 1)
        assert terminal.link.unanswered() == []
        with pytest.raises(TryAgain, match="did not answer"):
            terminal.wait_answer(serial, 0.0)


def test_after_a_broken_connection_the_unanswered_go_again(platform: Start) -> None:
    there = platform(Protocol.JT808)
    with online(there) as terminal:
        there.mute.add(0x0200)
        serials = terminal.send_positions(list(drive(START_MS, 2)))
        there.wait_id(0x0200, 2)
        there.drop_all()
        assert terminal.link.wait_closed(10)
        with pytest.raises(TryAgain, match="not connected"):
            terminal.heartbeat()
        there.mute.clear()
        terminal.reconnect()
        assert terminal.wait_answers(serials) == [0, 0]
        assert [one.serial for one in there.of(0x0200)] == serials * 2


def test_a_shift_of_a_taxi(platform: Start) -> None:
    there = platform(Protocol.JT905)
    with online(there) as terminal:
        began, ended = drive(START_MS, 2, 600_000)
        serials = [terminal.sign_on(), terminal.trip_record(began, ended, rating=1), terminal.sign_off()]
        assert terminal.wait_answers(serials) == [0, 0, 0]
        assert [len(there.of(at)[0].body) for at in (0x0B03, 0x0B05, 0x0B04)] == [72, 65, 116]
    with online(platform(Protocol.JT808)) as other, pytest.raises(UsageError, match="no shifts"):
        other.sign_on()


def test_gt06_from_login_to_a_command(platform: Start) -> None:
    there = platform(Protocol.GT06)
    with online(there) as terminal:
        assert there.wait_id(0x01)[0].body[:8].hex() == "0860000000000001"
        assert terminal.wait_answer(terminal.heartbeat()) == 0
        terminal.send_positions(list(drive(START_MS, 2)))
        terminal.send_batch(list(drive(START_MS - 60_000, 1)))
        assert terminal.wait_answer(terminal.press_sos()) == 0
        assert [one.body[-1] for one in there.wait_id(0x22, 3)] == [0, 0, 1]
        assert there.of(0x26)[0].body[-2] == 1
        text = b"RELAY,1#"
        there.say(0x80, bytes((4 + len(text),)) + struct.pack(">I", 77) + text)
        reply = there.wait_id(0x15)[0].body
        assert reply[1:5] == struct.pack(">I", 77)
        assert b"Success" in reply
        terminal.wait_for(0x80)
        assert terminal.texts == ["RELAY,1#"]
        with pytest.raises(UsageError, match="no message for this file"):
            terminal.send_photo(b"x", 1)


def test_everything_can_be_watched(platform: Start) -> None:
    there, seen = platform(Protocol.JT808), list[Traffic]()
    with online(there, watch=seen.append) as terminal:
        terminal.wait_answers(terminal.send_positions(list(drive(START_MS, 1))))
    names = [(one.up, one.name) for one in seen]
    assert names[0] == (True, "register")
    assert {(False, "registered"), (True, "authenticate"), (False, "reply"), (True, "position")} <= set(names)
    assert [one.values["time_ms"] for one in seen if one.name == "position"] == [START_MS]


def test_waiting_for_what_never_comes_says_what_came(platform: Start) -> None:
    there = platform(Protocol.JT808)
    with online(there) as terminal, pytest.raises(TryAgain, match="0x8801 did not come") as found:
        terminal.wait_for(0x8801, 0.0)
    assert "0x8100" in found.value.mend


def test_pictures_and_sounds_are_whole_files() -> None:
    data = media.picture(320, 240, seed=1)
    assert (data[:4], data[-2:]) == (b"\xff\xd8\xff\xdb", b"\xff\xd9")
    start = data.index(b"\xff\xc0")
    assert struct.unpack(">HH", data[start + 5 : start + 9]) == (240, 320)
    assert data != media.picture(320, 240, seed=2)
    assert media.sound(0.5)[:4] == b"RIFF"
    assert len(media.sound(0.5)) == 44 + 4_000
    with pytest.raises(ValueError, match="no size"):
        media.picture(0, 8)
