"""Commands down to e-bikes through a real service: our own devices by MQTT, and a GT06 tracker, which also warns."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from simulator.terminal import gt06
from simulator.terminal.fix import GT06_SOS, loop_fix
from simulator.terminal.wire import Protocol
from tests.lucheng.faults.desk_side import millis, wait_alarm
from tests.lucheng.service_process import HANG_S
from tests.lucheng.terminals.town import MqttDevice, Town

BIKE, OTHER_BIKE, TRACKED = "ebike/1", "ebike/2", "ebike/3"
IMEI = "860000000000001"
WHY = "a stolen e-bike"
GT06_VIBRATION = 0x03


# -- MQTT -------------------------------------------------------------------------------------


def test_s23_devices_of_ours_are_told_by_mqtt_and_answer_for_themselves_alone(town: Town) -> None:
    town.start()
    for device in (BIKE, OTHER_BIKE):
        town.call("device_add", device=device)
    with MqttDevice(town.broker, BIKE) as bike, MqttDevice(town.broker, OTHER_BIKE) as other:
        command = town.give(BIKE, "disarm")
        told = bike.wait_command("disarm")
        sent = town.wait_command(command, "sent")
        assert told == {"id": command, "name": "disarm", "args": {}, "expires_at": millis(sent["expires"])}
        assert sent["via"] == "mqtt"
        other.say("reply", id=command, ok=False, detail="I never was told")
        other.say("reply", id=command, ok=False, device=BIKE)
        bike.say("reply", id=command, ok=True, detail="disarmed", battery_pct=71)
        done = town.wait_command(command, "accepted")
        assert (done["detail"], done["reply"]) == ("disarmed", {"battery_pct": 71})
        town.service.wait_status(lambda now: now["quarantined"] == {"identity_mismatch": 1}, "the lie to be kept")
        bike.say("reply", id=command, ok=False, detail="after all not")
        bike.say("reply", id="K1999-000001", ok=True)
        _alarm_confirmed(town, bike)
        assert town.command(command) == done, "an answer that came again changed something"
        _once_over_a_kill(town, bike, command)
        assert other.commands == []


def _alarm_confirmed(town: Town, bike: MqttDevice) -> None:
    bike.say("alarm", id="moved-1", ts=time.time_ns() // 1_000_000, kind="moved_while_armed")
    alarm = wait_alarm(town.service, BIKE, "moved_while_armed")["alarm"]
    command = town.give(BIKE, "confirm_alarm", alarm=alarm, alarm_kind="moved_while_armed")
    told = bike.wait_command("confirm_alarm")
    assert told["args"] == {"alarm_kind": "moved_while_armed", "state": "acknowledged"}
    bike.say("reply", id=told["id"], ok=True)
    assert town.wait_command(command, "accepted")["alarm"] == alarm


def _once_over_a_kill(town: Town, bike: MqttDevice, command: str) -> None:
    """Nothing that was sent is sent again, by us or by the broker, to whoever comes later either."""
    waits = town.give(BIKE, "arm")
    bike.wait_command("arm")
    town.service.kill9()
    town.start()
    assert town.command(waits)["state"] == "sent"
    with MqttDevice(town.broker, BIKE, client_id="later") as later:
        town.give(BIKE, "siren", seconds=3)
        assert bike.wait_command("siren")["args"] == {"seconds": 3}
        later.wait_command("siren")
        assert [one["name"] for one in later.commands] == ["siren"]
    bike.say("reply", id=waits, ok=True, detail="armed")
    assert town.wait_command(waits, "accepted")["detail"] == "armed", "it was asked before the kill"
    ids = [one["id"] for one in bike.commands]
    assert len(ids) == len(set(ids)) == 4
    assert (bike.commands[0]["id"], bike.kept) == (command, 0)


# -- GT06 -------------------------------------------------------------------------------------


@pytest.mark.soak
def test_a_tracker_of_an_ebike_reports_warns_and_obeys(town: Town) -> None:
    town.start()
    terminal = town.add(TRACKED, IMEI, Protocol.GT06)
    disarm = town.give(TRACKED, "disarm")
    terminal.come_online()
    waited = town.wait_command(disarm, "accepted")
    assert (waited["via"], waited["detail"], terminal.texts) == ("gt06", "000 OK!", ["000#"])

    start_ms = time.time_ns() // 1_000_000_000 * 1_000 - 10_000
    terminal.send_positions([loop_fix(start_ms - 2_000), loop_fix(start_ms - 1_000)])
    for code, kind in ((GT06_VIBRATION, "vibration"), (GT06_SOS, "sos")):
        fix = replace(loop_fix(start_ms + code * 1_000), alarm=code)
        assert terminal.wait_answers(terminal.send_positions([fix]), HANG_S) == [0]
        row = wait_alarm(town.service, TRACKED, kind)
        assert (row["work"], row["late"], row["signals"], row["place_hidden"]) == ("new", False, 1, True)
    town.service.wait_status(lambda now: now["stored"] == 4, "its places")

    asked = town.wait_command(town.give(TRACKED, "query"), "accepted")
    assert (asked["detail"], asked["reply"], asked["place_hidden"]) == ("", {}, True), "its place is its owner's"
    assert terminal.texts[-1] == "WHERE#"
    terminal.refusing[gt06.COMMAND] = 1
    assert town.wait_command(town.give(TRACKED, "arm"), "refused")["detail"] == "111 FAIL!"
    heard = len(terminal.texts)
    for name, args in (("siren", {}), ("set_parameter", {"id": "RELAY", "value": "1"})):
        row = town.wait_command(town.give(TRACKED, name, reason=WHY, **args), "refused")
        assert row["detail"], "it is said why"
    assert len(terminal.texts) == heard, "what the protocol has no word for is not sent"
