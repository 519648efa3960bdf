"""The life of a taxi through a real service and real sockets, in JT/T 808 of 2013 and 2019 and in JT/T 905 side by side.

Register ▸ authenticate ▸ places (with a kill -9) ▸ an old sos from a blind zone ▸ a live sos ▸ a photo of which parts are
lost ▸ evidence ▸ acknowledged and closed, and the terminal is told.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from simulator.terminal import jt, media
from simulator.terminal.fix import SOS_BIT, Fix, drive, loop_fix
from simulator.terminal.terminal import Terminal
from simulator.terminal.wire import Protocol
from tests.conftest import wait_until
from tests.lucheng.faults.desk_side import PURPOSE, millis, wait_alarm
from tests.lucheng.in_process import lucheng
from tests.lucheng.service_process import HANG_S
from tests.lucheng.terminals.town import HOUR_MS, Town

NUMBERS = {Protocol.JT808: "13800000001", Protocol.JT808_2019: "13800000002", Protocol.JT905: "108000000316"}
#: Places of each taxi: as many as are answered for sure before the service is killed, and those under way at that moment.
ANSWERED, PLACES = 150, 400
DONE, FAILED, HANDLED = 0, 1, 4
TAKE_PHOTO, PARTS_WANTED, MEDIA_DONE = 0x8801, 0x8003, 0x8800
CONFIRM_808, CONFIRM_905, CLEAR_905 = 0x8203, 0x8B0A, 0x8B0B
PARTS, LOST = 20, [3, 7, 20]
PLACE_BYTES = {Protocol.JT905: 25}
#: Of 0801 in front of the file: head and place.
HEAD_BYTES = 36


@dataclass
class Taxi:
    """A taxi, what it sent and what came of it."""

    device: str
    terminal: Terminal
    times_ms: list[int] = field(default_factory=list)
    alarm: str = ""

    @property
    def narrow(self) -> bool:
        """Whether it speaks JT/T 905, which registers nothing and knows no "alarm handled"."""
        return self.terminal.protocol is Protocol.JT905

    @property
    def handled(self) -> int:
        """The answer to a place with an alarm."""
        return DONE if self.narrow else HANDLED

    def send(self, fixes: list[Fix]) -> list[int]:
        self.times_ms += [fix.time_ms for fix in fixes]
        return self.terminal.send_positions(fixes)

    def answers(self, serials: list[int]) -> list[int]:
        return self.terminal.wait_answers(serials, HANG_S)


def _now_ms() -> int:
    """Now, in the whole seconds of the wire."""
    return time.time_ns() // 1_000_000_000 * 1_000


@pytest.fixture
def taxis(town: Town) -> list[Taxi]:
    town.start(COMMANDS__SNAPSHOT_ON_SOS="true")
    return [
        Taxi(f"taxi/{at}", town.add(f"taxi/{at}", number, protocol))
        for at, (protocol, number) in enumerate(NUMBERS.items())
    ]


def test_from_its_registration_to_the_end_of_its_sos(town: Town, taxis: list[Taxi], tmp_path: Path) -> None:
    for taxi in taxis:
        _greets(taxi)
    town.service.wait_status(lambda now: now["quarantined"].get("not_authenticated") == 4, "what came too early")
    _drive_through_a_kill(town, taxis)
    _old_sos(town, taxis)
    for taxi in taxis:
        _live_sos(town, taxi)
        data, place = _photo(town, taxi)
        _evidence(town, taxi, data, place, tmp_path / f"{taxi.device.replace('/', '-')}.jpg")
        _told(town, taxi)
    for taxi in taxis:
        assert town.stored_ms(taxi.device) == sorted(taxi.times_ms), "each place once, sos and blind zone too"
        assert taxi.terminal.link.counts.bad == []
    assert town.call("store_check")["ok"]


# -- it comes ---------------------------------------------------------------------------------


def _greets(taxi: Taxi) -> None:
    terminal = taxi.terminal.connect()
    if not taxi.narrow:
        early = terminal.send_positions([loop_fix(_now_ms())])
        assert taxi.answers(early) == [FAILED], "a place of a terminal that has not said who it is"
        assert terminal.authenticate("a token of nobody's", timeout_s=HANG_S) == FAILED
        assert terminal.register(timeout_s=HANG_S) == DONE
        assert terminal.token
        assert terminal.authenticate(timeout_s=HANG_S) == DONE
    assert terminal.wait_answer(terminal.heartbeat(), HANG_S) == DONE


def _drive_through_a_kill(town: Town, taxis: list[Taxi]) -> None:
    """Places without a pause; the service is killed right after it answered some of them."""
    start_ms = _now_ms() - (PLACES + 10) * 1_000
    fixes = list(drive(start_ms, PLACES))
    serials = [taxi.send(fixes[:ANSWERED]) for taxi in taxis]
    for taxi, mine in zip(taxis, serials, strict=True):
        assert taxi.answers(mine) == [DONE] * ANSWERED
    for taxi, mine in zip(taxis, serials, strict=True):
        mine.extend(taxi.send(fixes[ANSWERED:]))
    assert taxis[0].answers(serials[0][ANSWERED : ANSWERED + 1]) == [DONE]
    town.service.kill9()
    answered = []
    for taxi, mine in zip(taxis, serials, strict=True):
        assert taxi.terminal.link.wait_closed(HANG_S)
        waiting = set(taxi.terminal.link.unanswered())
        answered.append({at_ms for at_ms, serial in zip(taxi.times_ms, mine, strict=True) if serial not in waiting})
    print(f"answered before the kill, of {PLACES} each: {[len(some) for some in answered]}")
    town.service.start()
    town.service.wait_quiet()
    for taxi, some in zip(taxis, answered, strict=True):
        stored = town.stored_ms(taxi.device)
        assert len(stored) == len(set(stored))
        assert some <= set(stored), "answered and lost"
    for taxi, mine in zip(taxis, serials, strict=True):
        taxi.terminal.reconnect()
        assert taxi.answers(mine) == [DONE] * PLACES
    town.service.wait_quiet()
    for taxi in taxis:
        assert town.stored_ms(taxi.device) == taxi.times_ms, "each place once, those that were sent again too"


# -- sos --------------------------------------------------------------------------------------


def _old_sos(town: Town, taxis: list[Taxi]) -> None:
    """From where there was no network, hours ago, after newer places: raised once, as late; again it raises nothing."""
    fixes = list(drive(_now_ms() - 3 * HOUR_MS, 3, 20_000))
    fixes[1] = replace(fixes[1], alarm=SOS_BIT)
    for taxi in taxis:
        taxi.times_ms += [fix.time_ms for fix in fixes]
        taxi.terminal.refusing[TAKE_PHOTO] = FAILED
        for _ in range(2):
            assert taxi.answers(taxi.terminal.send_batch(fixes, blind=True)) == [taxi.handled]
    town.service.wait_quiet()
    for taxi in taxis:
        row = wait_alarm(town.service, taxi.device, "sos")
        assert (row["late"], row["signals"], row["work"], row["lap"]) == (True, 1, "new", 1)
        assert row["remaining_s"] is None, "old news has no 300-second clock"
        taxi.alarm = row["alarm"]
        (signal,) = town.call("alarm_show", alarm=taxi.alarm, purpose=PURPOSE)["signals_kept"]
        assert (signal["late"], millis(signal["time"])) == (True, fixes[1].time_ms)
        taxi.terminal.wait_for(TAKE_PHOTO, HANG_S)
        (asked,) = town.given(taxi.device, "snapshot")
        assert town.wait_command(asked["command"], "refused")["detail"] == "it failed"
        del taxi.terminal.refusing[TAKE_PHOTO]


def _live_sos(town: Town, taxi: Taxi) -> None:
    fix = loop_fix(_now_ms())
    taxi.terminal.silent.add(TAKE_PHOTO)  # the test takes it
    taxi.times_ms.append(fix.time_ms)
    assert taxi.answers([taxi.terminal.press_sos(fix)]) == [taxi.handled]
    row = wait_alarm(town.service, taxi.device, "sos", lambda row: not row["late"], "a live sos")
    assert (row["alarm"], row["signals"], row["lap"], row["work"]) == (taxi.alarm, 2, 2, "new")
    assert row["remaining_s"] is not None
    assert (row["lat"], row["lon"]) == pytest.approx((fix.lat, fix.lon), abs=2e-6)


# -- the photo --------------------------------------------------------------------------------


def _photo(town: Town, taxi: Taxi) -> tuple[bytes, Fix]:
    """The desk asks for it by itself; it comes in parts, some of which are lost at first."""
    terminal = taxi.terminal
    order = terminal.wait_for(TAKE_PHOTO, HANG_S)
    assert order.values["count"] == 1
    asked = town.given(taxi.device, "snapshot")[-1]
    assert (asked["by"], asked["role"], asked["alarm"]) == ("system", "system", taxi.alarm)
    terminal.send(0x0001, jt.reply(order.serial, TAKE_PHOTO, DONE))
    media_id = terminal.next_media_id()
    if not taxi.narrow:
        terminal.send(0x0805, jt.photo_taken(order.serial, [media_id]))
    done = town.wait_command(asked["command"], "accepted")
    assert done["via"] == terminal.protocol.value.partition("-")[0]

    data = media.picture(400, 300, seed=int(terminal.number[-1]))
    fix = replace(loop_fix(_now_ms()), alarm=SOS_BIT)
    part_bytes = -(-(len(data) + PLACE_BYTES.get(terminal.protocol, HEAD_BYTES)) // PARTS)
    event = 3 if taxi.narrow else 0  # the platform asked for it
    upload = terminal.send_photo(data, media_id, lose=LOST, part_bytes=part_bytes, event=event, fix=fix)
    assert upload.parts == PARTS
    if taxi.narrow:  # JT/T 905 asks for nothing again: what was not answered is sent again
        wait_until(lambda: len(terminal.link.unanswered()) == len(LOST), HANG_S, "the other pieces to be answered")
        assert not upload.done
        terminal.send_packets(upload.wanted(LOST))
    assert upload.wait(HANG_S), "it was never told that all has come"
    if not taxi.narrow:
        wanted = [part for one in terminal.heard if one.message_id == PARTS_WANTED for part in one.values["parts"]]
        assert set(LOST) <= set(wanted)
        terminal.wait_for(MEDIA_DONE, HANG_S, where=lambda values: values == {"media_id": media_id, "parts": []})
    return data, fix


def _evidence(town: Town, taxi: Taxi, data: bytes, fix: Fix, saved: Path) -> None:
    (row,) = town.cli("evidence", "list", "--alarm", taxi.alarm)
    assert (row["device"], row["alarm"], row["kind"], row["format"]) == (taxi.device, taxi.alarm, "image", "jpg")
    assert (row["sha256"], row["size_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (millis(row["time"]), row["event"], row["channel"]) == (fix.time_ms, "platform_command", 1)
    assert (row["lat"], row["lon"]) == pytest.approx((fix.lat, fix.lon), abs=2e-6)
    done = lucheng(town.service.data, "evidence", "save", row["evidence"], str(saved))
    assert (done.returncode, saved.read_bytes() == data) == (0, True), done.stderr
    shown: dict[str, Any] = town.cli("alarm", "show", taxi.alarm, "--purpose", PURPOSE)
    assert [piece["evidence"] for piece in shown["evidence"]] == [row["evidence"]]
    assert town.audited(row["evidence"], "read.evidence_bytes")


# -- the desk answers -------------------------------------------------------------------------


def _told(town: Town, taxi: Taxi) -> None:
    """Acknowledged, then closed: the terminal hears of both, and its bit goes."""
    terminal = taxi.terminal
    assert terminal.latched == SOS_BIT
    town.work(taxi.alarm, "ack")
    if taxi.narrow:
        terminal.wait_for(CONFIRM_905, HANG_S)
        assert terminal.latched == SOS_BIT, "confirming stops the siren, clearing takes the bit away"
    else:
        assert terminal.wait_for(CONFIRM_808, HANG_S).values["kinds"] == SOS_BIT
        assert terminal.latched == 0
        assert taxi.answers(taxi.send([loop_fix(_now_ms() + 1_000)])) == [DONE]
        row = wait_alarm(town.service, taxi.device, "sos", lambda row: row["condition"] == "cleared", "the bit to go")
        assert row["work"] == "acknowledged", "it waits for a person all the same"
    town.work(taxi.alarm, "resolve", "close")
    if taxi.narrow:
        terminal.wait_for(CLEAR_905, HANG_S)
    else:
        assert terminal.wait_for(CONFIRM_808, HANG_S).values["kinds"] == SOS_BIT
    assert terminal.latched == 0
    told = town.given(taxi.device, "confirm_alarm")
    assert [one["args"]["state"] for one in told] == ["acknowledged", "closed"]
    for one in told:
        assert town.wait_command(one["command"], "accepted")["alarm"] == taxi.alarm
