"""S2, S4, S17 and S23 against the gateway of a running service: who one is, what is said twice, tokens, answers of others."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from devices.credentials import Credential
from ingest.gt06 import codec as gt06
from ingest.jt808 import codec as jt808
from simulator.terminal import gt06 as tracker
from simulator.terminal import jt, taxi
from simulator.terminal.fix import GT06_SOS, SOS_BIT, Fix
from simulator.terminal.identity import DEFAULT_IDENTITY
from simulator.terminal.wire import Protocol
from tests.conftest import need_program
from tests.devices.live_broker import Listener
from tests.ingest.gateway.conftest import Phone, batch, position
from tests.ingest.gateway.test_masking import leaked
from tests.lucheng.attacks.yard import AUTHENTICATE, HEARTBEAT, POSITION, WINDOW, Taxi, Yard, beijing, closed, wait
from tests.lucheng.in_process import lucheng
from tests.lucheng.service_process import HANG_S

REGISTER, REPLY, TEXT, MEDIA, MEDIA_DONE = 0x0100, 0x0001, 0x8300, 0x0801, 0x8800
DAY_S = 86_400
TAKEN = 3


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """One service for the attacks of this module; each uses devices of its own."""
    need_program("mosquitto")
    with Yard(tmp_path_factory.mktemp("yard") / "data", OPERATORS__DEFAULT_ROLE="supervisor") as made:
        yield made


# -- S2: another's number ---------------------------------------------------------------------


def test_s2_a_number_without_its_token_is_nobody(yard: Yard) -> None:
    yard.add("taxi/s2", phone="13810000001", protocol="jt808")
    yard.add("taxi/s2-thief", phone="13810000002", protocol="jt808")
    mine, thief = yard.taxi("13810000001").enter(), yard.taxi("13810000002", terminal_id="T999999").enter()
    mine.drive(yard.now_s)
    before = yard.quiet()

    # A second connection with a number that is not its own: nothing it says counts, and nobody's session ends.
    stranger = yard.taxi("13810000001", terminal_id="T999999")
    stranger.send(stranger.place(yard.now_s, lat=1.0))
    assert stranger.general()[2] == 1
    result, token = stranger.register()
    assert (result, token) == (1, "")
    for guess in ("", "guess", thief.token, mine.token[:-1], mine.token + "x", mine.token.swapcase()):
        assert stranger.say_token(guess) != 0, guess
    for message_id, body in ((HEARTBEAT, b""), (0x0704, batch(position())), (0x0301, b"\3"), (REPLY, b"\0\0\x83\0\0")):
        stranger.send(stranger.frame(message_id, body))
        assert stranger.general()[1:] == (message_id, 1)
    # Nor on a connection that is another's, nor by a datagram from another host.
    thief.send(mine.place(yard.now_s, lat=2.0))
    assert thief.get().body[4] == 1
    thief.send(mine.frame(AUTHENTICATE, mine.token.encode()))
    assert thief.get().body[4] == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.2", 0))
        sender.settimeout(HANG_S)
        sender.sendto(mine.place(yard.now_s, lat=3.0), ("127.0.0.1", yard.jt_port))
        assert jt808.read_frame(sender.recv(100)).body[4] == 1

    mine.drive(yard.now_s + 1)
    now = yard.quiet()
    assert now["stored"] - before["stored"] == 1
    assert now["live"]["gateway_replaced"] == before["live"]["gateway_replaced"]
    assert {point["lat"] for point in yard.track("taxi/s2")} == {40.65}
    assert now["quarantined"]["identity_mismatch"] == before["quarantined"].get("identity_mismatch", 0) + 2
    sessions = {row["device"]: row["session"]["address"] for row in yard.cli("terminal", "list") if row["session"]}
    assert sessions["taxi/s2"].endswith(f":{mine.sock.getsockname()[1]}")


def test_s2_a_terminal_that_was_released_cannot_come_back(yard: Yard) -> None:
    yard.add("taxi/s2-old", phone="13810000003", protocol="jt808")
    old = yard.taxi("13810000003").enter()
    assert yard.cli("terminal", "release", "taxi/s2-old")["bound"] is False
    assert closed(old.sock)  # its session ends without a word of its own
    new = yard.taxi("13810000003", terminal_id="T000002").enter()
    again = yard.taxi("13810000003")
    assert again.say_token(old.token) == 1
    assert again.register() == (1, "")
    new.drive(yard.now_s)
    assert new.token != old.token


@pytest.mark.parametrize("protocol", ["jt905", "gt06"])
def test_s2_where_a_number_is_all_there_is_the_newest_session_wins_and_it_shows(yard: Yard, protocol: str) -> None:
    """JT/T 905 and GT06 prove nothing (docs/design/terminals.md): two who claim one number end each other's sessions."""
    device, number = f"taxi/s2-{protocol}", "108000000316" if protocol == "jt905" else "358657100000005"
    yard.add(device, protocol=protocol, **({"phone": number} if protocol == "jt905" else {"imei": number}))
    before = yard.live("gateway_replaced")
    older, newer = (_greeted(yard, protocol, number) for _ in range(2))
    assert closed(older)
    yard.wait_live("gateway_replaced", before + 1)
    (row,) = [row for row in yard.cli("terminal", "list") if row["device"] == device]
    assert row["session"]["address"].endswith(f":{newer.getsockname()[1]}")


def _greeted(yard: Yard, protocol: str, number: str) -> socket.socket:
    """A connection that has said its number and was answered."""
    sock = yard.raw(yard.jt_port if protocol == "jt905" else yard.gt06_port)
    if protocol == "gt06":
        sock.sendall(gt06.write_frames(0x01, bytes.fromhex(number.zfill(16)), serial=1)[0])
    else:
        phone = Phone(yard.jt_port, number, protocol="jt905")
        sock.sendall(phone.frame(HEARTBEAT))
        phone.sock.close()
    assert sock.recv(100)
    return sock


# -- S4: a recorded frame again ---------------------------------------------------------------


def counts(yard: Yard) -> dict[str, Any]:
    """Everything that could have come twice."""
    now = yard.quiet()
    return {
        "stored": now["stored"],
        "signals": now["signals"],
        "alarms": [(row["alarm"], row["signals"]) for row in yard.call("alarm_list", limit=1_000)],
        "reports": len(yard.call("terminal_reports", limit=1_000)),
        "evidence": [row["sha256"] for row in yard.call("evidence_list", limit=1_000)],
    }


def recording_808(yard: Yard, terminal: Taxi) -> list[bytes]:
    """A day of a taxi in few frames, without those that open its session."""
    at_s = yard.now_s - 500
    picture = (
        (7).to_bytes(4, "big") + b"\0\0\2\1" + position(time=beijing(at_s)) + b"\xff\xd8\xff" + bytes(900) + b"\xff\xd9"
    )
    return [
        terminal.place(at_s),
        terminal.place(at_s + 1, alarm=SOS_BIT),
        terminal.place(at_s + 2),
        terminal.frame(
            0x0704, batch(*(position(time=beijing(at_s - 60 * n), alarm=n == 3) for n in range(1, 6)), blind=True)
        ),
        terminal.frame(POSITION, position(time="999999999999", alarm=SOS_BIT)),  # raised although its time is none
        terminal.frame(0x0301, b"\7"),
        *terminal.parts(MEDIA, picture, 300, 30_000),
        terminal.place(yard.now_s - 2 * DAY_S, alarm=SOS_BIT),  # stale, and late
    ]


def recording_905(yard: Yard, phone: Phone) -> list[bytes]:
    """The same of a taxi that speaks JT/T 905."""
    at_ms = (yard.now_s - 400) * 1000
    places = [Fix(at_ms + 1000 * n, 40.65, 109.84, alarm=SOS_BIT * (n == 1)) for n in range(3)]
    photo = jt.fixed_position(places[0], Protocol.JT905) + b"\xff\xd8\xff" + bytes(500) + b"\xff\xd9"
    return [
        *(phone.frame(POSITION, jt.position(fix, Protocol.JT905)) for fix in places),
        phone.frame(0x0203, jt.batch([Fix(at_ms - 60_000, 40.65, 109.84)], Protocol.JT905, blind=True)),
        phone.frame(0x0B03, taxi.sign_on(places[0], DEFAULT_IDENTITY.driver, at_ms)),
        phone.frame(0x0B05, taxi.trip_record(places[0], places[2], trip=1, rating=0)),
        *(phone.frame(0x0800, body) for body in jt.taxi_photo(9, photo, reason=2, camera=1, piece_bytes=200)),
    ]


def recording_gt06(yard: Yard) -> list[bytes]:
    """A tracker that moves, raises SOS and tells its voltage."""
    fix = Fix((yard.now_s - 300) * 1000, 40.65, 109.84, alarm=GT06_SOS)
    states = tracker.information(cut=False, armed=False)
    return [
        gt06.write_frames(tracker.POSITION, tracker.position(replace(fix, lat=40.66)), serial=3)[0],
        gt06.write_frames(tracker.ALARM, tracker.alarm(fix, GT06_SOS, states), serial=4)[0],
        gt06.write_frames(0x94, bytes.fromhex("0004d2"), serial=5, long=True)[0],
    ]


def test_s4_what_was_recorded_stores_nothing_twice_and_raises_nothing_twice(yard: Yard) -> None:
    yard.add("taxi/s4", phone="13840000001", protocol="jt808")
    yard.add("taxi/s4-905", phone="108000000404", protocol="jt905")
    yard.add("taxi/s4-gt06", imei="358657100000404", protocol="gt06")
    terminal = yard.taxi("13840000001").enter()
    phone = Phone(yard.jt_port, "108000000404", protocol="jt905")
    recorded = {
        "jt808": recording_808(yard, terminal),
        "jt905": recording_905(yard, phone),
        "gt06": recording_gt06(yard),
    }
    phone.sock.close()
    hello = {
        "jt808": [terminal.frame(AUTHENTICATE, terminal.token.encode())],
        "jt905": [],
        "gt06": [gt06.write_frames(0x01, bytes.fromhex("358657100000404".zfill(16)), serial=2)[0]],
    }
    empty = counts(yard)
    _say_all(yard, recorded, hello)
    once = counts(yard)
    assert once["stored"] - empty["stored"] == 3 + 5 + 1 + 3 + 1 + 2  # what each recording holds
    assert len(once["evidence"]) - len(empty["evidence"]) == 2
    assert once["reports"] - empty["reports"] == 1 + 2 + 1
    assert sum(once["signals"].values()) > sum(empty["signals"].values())
    for _ in range(2):
        _say_all(yard, recorded, hello)
    assert counts(yard) == once
    # Nor after a restart, when nothing is remembered but what is on disk.
    yard.service.terminate()
    yard.service.start()
    _say_all(yard, recorded, hello)
    assert counts(yard) == once


def _say_all(yard: Yard, recorded: dict[str, list[bytes]], hello: dict[str, list[bytes]]) -> None:
    """Each recording on a connection of its own, then a heartbeat that is answered behind it."""
    for protocol, frames in recorded.items():
        sock = yard.raw(yard.gt06_port if protocol == "gt06" else yard.jt_port)
        sock.sendall(b"".join([*hello[protocol], *frames]))
        _beat(sock, protocol)
        sock.close()


def _beat(sock: socket.socket, protocol: str) -> None:
    """Everything before it has been read when it is answered."""
    number = "13840000001" if protocol == "jt808" else "108000000404"
    if protocol == "gt06":
        beat, answer = gt06.write_frames(0x13, bytes.fromhex("4004040001"), serial=60_000)[0], b"\x13\xea\x60"
    else:
        beat = jt808.write_frames(HEARTBEAT, b"", number=number, serial=60_000, version=2013)[0]
        answer = b"\xea\x60\x00\x02\x00"
    sock.sendall(beat)
    told = b""
    while answer not in told:
        data = sock.recv(65_536)
        assert data, told
        told += data


# -- S23: answers of others, and answers again ---------------------------------------------------


def test_s23_an_answer_of_another_terminal_changes_nothing(yard: Yard) -> None:
    yard.add("taxi/s23", phone="13823000001", protocol="jt808")
    yard.add("taxi/s23-other", phone="13823000002", protocol="jt808")
    yard.add("taxi/s23-mqtt")
    mine, other = yard.taxi("13823000001").enter(), yard.taxi("13823000002").enter()
    yard.service.wait_status(lambda now: now["live"]["gateway_sessions"] >= 2, "both sessions")
    sent = yard.call("command_send", device="taxi/s23", name="text", args={"text": "where are you"})["command"]
    order = mine.get()
    assert order.message_id == TEXT
    answer = order.serial.to_bytes(2, "big") + TEXT.to_bytes(2, "big") + b"\0"
    wait_state(yard, sent, "sent")

    other.send(other.frame(REPLY, answer))  # the very serial, from another
    other.send(mine.frame(REPLY, answer, serial=9_000))  # in the name of the right one, on another's connection
    assert other.get().body[4] == 1
    stranger = yard.taxi("13823000001")  # with the right number, and no token
    stranger.send(stranger.frame(REPLY, answer))
    assert stranger.general()[2] == 1
    publish(yard, "taxi/s23-mqtt", "reply", {"command": sent, "ok": False, "detail": "forged"})
    mine.send(mine.frame(REPLY, (order.serial + 1).to_bytes(2, "big") + answer[2:]))  # another order's
    mine.send(mine.frame(REPLY, answer[:2] + b"\x84\0\0"))  # another message's
    mine.drive(yard.now_s)
    yard.quiet()
    row = yard.cli("command", "show", sent)
    assert (row["state"], row["detail"]) == ("sent", "")

    mine.send(mine.frame(REPLY, answer))
    done = wait_state(yard, sent, "accepted")
    for again in (answer, answer[:4] + b"\1"):  # the same, and another one
        mine.send(mine.frame(REPLY, again))
    mine.drive(yard.now_s + 1)
    yard.quiet()
    assert yard.cli("command", "show", sent) == done


def wait_state(yard: Yard, command: str, state: str) -> dict[str, Any]:
    """Wait until the command has come that far; its row."""
    wait(lambda: yard.call("command_show", command=command)["state"] == state, f"{command} to be {state}")
    row: dict[str, Any] = yard.cli("command", "show", command)
    return row


def publish(yard: Yard, device: str, stream: str, payload: dict[str, Any]) -> None:
    """Publish as that device, on a connection that the broker lets in with a password of its own."""
    made = yard.cli("device", "credentials", device)
    credential = Credential(made["username"], made["password"])
    listeners: list[Listener] = []

    def let_in() -> bool:
        listener = Listener(int(yard.live("broker_port")), credential, device.replace("/", "-"))
        listeners.append(listener)
        return listener.next() == ("connect", "Success")

    wait(let_in, f"{device} to be let in")
    assert listeners[-1].publish(f"lucheng/v1/{device}/up/{stream}", json.dumps(payload)) == "Success"
    for listener in listeners:
        listener.close()


# -- S17: the token, nowhere ---------------------------------------------------------------------


def test_s17_a_terminals_token_is_in_no_log_quarantine_report_or_answer(yard: Yard) -> None:
    yard.add("taxi/s17", phone="13817000001", protocol="jt808")
    yard.add("taxi/s17-2019", phone="13817000002", protocol="jt808")
    tokens = []
    for number, version in (("13817000001", 2013), ("13817000002", 2019)):
        terminal = yard.taxi(number, version=version).enter()
        terminal.drive(yard.now_s)
        tokens.append(terminal.token)
        _careless(yard, terminal)
    yard.cli("device", "disable", "taxi/s17")
    gone = yard.taxi("13817000001")
    assert gone.say_token(tokens[0]) == 1
    yard.quiet()

    rows = yard.call("quarantine_list", limit=10_000)
    assert len([row for row in rows if row["source"].startswith(("jt808/138170", "jt/"))]) >= 14
    shown = [yard.call("quarantine_show", number=row["number"]) for row in rows]
    told = {
        "quarantine": rows,
        "payloads": [
            base64.b64decode(one["raw"]) if one.get("encoding") == "base64" else str(one["raw"]).encode()
            for one in shown
        ],
        "said": yard.service.said,
        **{
            " ".join(asked): lucheng(yard.service.data, *asked).stdout
            for asked in (
                ("status", "--json"),
                ("terminal", "list", "--json"),
                ("terminal", "list"),
                ("terminal", "reports", "--json"),
                ("device", "show", "taxi/s17", "--json"),
                ("device", "list", "--json"),
                ("audit", "list", "--json"),
                ("command", "list", "--all", "--json"),
                ("evidence", "list", "--json"),
                ("signal", "list", "--json"),
                ("track", "taxi/s17-2019", *WINDOW, "--json"),
            )
        },
    }
    for where, text in told.items():
        for token in tokens:
            for form in (repr(text), _hex_of(text)):
                assert not leaked(form.encode(), token), where
                assert token.encode().hex() not in form, where
    yard.service.terminate()
    kept = [path for path in yard.service.data.rglob("*") if path.is_file()]
    assert len(kept) > 8
    for path in [*kept, yard.service.said_file]:
        content = path.read_bytes()
        assert not any(leaked(content, token) for token in tokens), path
    yard.service.start()


def _hex_of(text: object) -> str:
    """Payloads as hex, for a token that is written so."""
    return "".join(one.hex() for one in text if isinstance(one, bytes)) if isinstance(text, list) else ""


def _careless(yard: Yard, terminal: Taxi) -> None:
    """All the ways in which a token may come to stand where it does not belong."""
    token = terminal.token.encode()
    body = token if terminal.version == 2013 else bytes((len(token),)) + token + bytes(35)
    whole = terminal.frame(AUTHENTICATE, body)
    flipped = [bytes((*whole[:at], whole[at] ^ 4, *whole[at + 1 :])) for at in (1, 2, 3, 8, 14, 25, len(whole) - 2)]
    terminal.send(*flipped, b"\x7e", terminal.frame(0x8100, b"\0\1\0" + token), terminal.frame(0x0F77, b"x"))
    for cut in (5, 16, 20, len(whole) - 3):
        sock = yard.raw(yard.jt_port)
        sock.sendall(whole[:cut])
        sock.close()
    glued = yard.raw(yard.jt_port)
    glued.sendall(whole[1:] + whole[:-1])  # what comes first has no mark in front, what comes last none behind
    glued.close()
    other = yard.taxi("13899999999")  # nobody's number, this one's token
    assert other.say_token(terminal.token) == 1
    parts = yard.taxi(terminal.number, version=terminal.version)
    parts.send(*parts.parts(AUTHENTICATE, body, 10, 500))
    last = terminal.frame(POSITION, position(time=beijing(yard.now_s + 1)), serial=50_000)
    terminal.send(last)
    while terminal.general() != (50_000, POSITION, 0):
        continue  # what was refused before
