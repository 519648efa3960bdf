"""S1 to S4 against a running service and the broker it keeps: who gets in, who one is, and what is said twice."""

from __future__ import annotations

import json
import queue
import time
from typing import Any

import numpy as np
import pytest

from devices.credentials import Credential
from simulator.payloads import RECORD
from tests.devices.live_broker import Listener
from tests.lucheng.attacks.conftest import EFFECT_S, IN, OUT, City, now_ms, point, topic

DONE = ("Success", "No matching subscribers")
DENIED = "Not authorized"


def ended(listener: Listener) -> bool:
    """Whether the broker ended this connection; waits for it."""
    try:
        what, _ = listener.events.get(timeout=EFFECT_S)
    except queue.Empty:
        return False
    return what == "disconnect"


def still_in(listener: Listener, device: str) -> bool:
    """Whether this connection is let publish (a status, which is no point)."""
    return listener.publish(topic(device, "status"), json.dumps({"ts": now_ms(), "online": True})) in DONE


# -- S1: no credentials, or revoked ones ------------------------------------------------------


def test_s1_without_a_valid_credential_nobody_gets_in(city: City) -> None:
    device = city.add("taxi/s1")
    inside = city.enter(device)
    guesses: tuple[Credential | None, ...] = (
        None,
        Credential("taxi/s1", ""),
        Credential("taxi/s1", "guess"),
        Credential("taxi/s1", device.password[:-1]),
        Credential("taxi/unknown", device.password),
        Credential("taxi/s1 ", device.password),
        Credential("lucheng", ""),
        Credential("lucheng", device.password),
        Credential("lucheng-alarms", device.password),
        Credential("lucheng-player", ""),
        Credential("root", "root"),
    )
    for guess in guesses:
        _, said = city.knock(guess, "taxi/s1")
        assert said == OUT, guess
    assert still_in(inside, "taxi/s1")


def test_s1_a_device_gets_in_soon_after_it_is_registered(city: City) -> None:
    credential = city.add("ebike/s1-new")
    listener = city.enter(credential)
    assert listener.publish(topic("ebike/s1-new"), point(now_ms())) in DONE


@pytest.mark.parametrize("way", ["revoke", "disable", "rotate"])
def test_s1_a_revoked_credential_ends_its_connection_and_lets_nobody_in(city: City, way: str) -> None:
    name = f"taxi/s1-{way}"
    credential = city.add(name)
    listener = city.enter(credential)
    assert listener.publish(topic(name), point(now_ms(), seq=1)) in DONE
    city.status()
    assert len(city.track(name)) == 1

    began_s = time.monotonic()
    fresh: Credential | None = None
    if way == "revoke":
        assert city.ask("device", "credentials", name, "--revoke") == {"device": name, "credential": False}
    elif way == "disable":
        assert city.ask("device", "disable", name)["enabled"] is False
    else:
        fresh = city.password(name)
    assert ended(listener)
    print(f"{way}: the live connection ended {time.monotonic() - began_s:.2f} s after the command began")
    assert city.shut_out(credential)

    if fresh is not None:
        assert city.enter(fresh).publish(topic(name), point(now_ms(), seq=2)) in DONE
        city.status()
        assert len(city.track(name)) == 2
    elif way == "disable":
        assert city.ask("device", "enable", name)["enabled"] is True
        assert city.enter(credential).publish(topic(name), point(now_ms(), seq=2)) in DONE
        city.status()
        assert len(city.track(name)) == 2
    else:
        assert len(city.track(name)) == 1


def test_s1_neighbours_are_not_cut_off_when_one_is_revoked(city: City) -> None:
    stays, goes = city.add("taxi/s1-stays"), city.add("taxi/s1-goes")
    neighbour, listener = city.enter(stays), city.enter(goes)
    city.ask("device", "credentials", "taxi/s1-goes", "--revoke")
    assert ended(listener)
    assert still_in(neighbour, "taxi/s1-stays")
    live = city.service.status()["live"]
    assert live["mqtt_points_connected"]
    assert live["mqtt_alarms_connected"]


# -- S2: another's topic, everybody's topics, another's session -----------------------------------


def test_s2_a_device_cannot_speak_for_another(city: City) -> None:
    thief = city.add("taxi/s2-a")
    city.enter(thief)
    city.ask("device", "add", "taxi/s2-b")
    city.ask("device", "add", "gateway/s2-g")
    before = city.status()
    payload = point(now_ms())
    for foreign in (
        topic("taxi/s2-b"),
        topic("taxi/s2-b", "alarm"),
        topic("gateway/s2-g", "records"),
        "lucheng/v1/taxi/s2-a/../s2-b/up/point",
        "lucheng/v1/taxi//s2-b/up/point",
        "lucheng/v1/taxi/s2-b/down/command",
        topic("taxi/s2-b", "reply"),
        "owntracks/taxi/s2-b",
        "owntracks/taxi/s2-b/cmd",
        "teltonika/taxi/s2-b/data",
        "teltonika/taxi/s2-a/commands",
    ):
        for retain in (False, True):
            # mosquitto with max_queued_messages 0 also ends a connection after such a message: each has its own.
            assert city.enter(thief).publish(foreign, payload, retain=retain) == DENIED, foreign
    now = city.status()
    assert (now["received"], now["signals"]) == (before["received"], before["signals"])
    assert city.track("taxi/s2-b") == []
    assert city.enter(thief).publish(topic("taxi/s2-a"), payload) in DONE
    city.status()
    assert len(city.track("taxi/s2-a")) == 1


def test_s2_a_device_hears_nobody_else(city: City) -> None:
    ear, voice = city.enter(city.add("taxi/s2-ear")), city.enter(city.add("taxi/s2-voice"))
    everywhere = ("#", "lucheng/#", "lucheng/v1/+/+/up/point", "owntracks/#", "teltonika/+/+/data")
    for everything in (*everywhere, "$SYS/#", "$share/g/lucheng/v1/+/+/up/#"):
        ear.subscribe(everything)
    assert voice.publish(topic("taxi/s2-voice"), point(now_ms())) in DONE
    assert voice.publish(topic("taxi/s2-voice", "alarm"), _alarm("s2", now_ms())) in DONE
    assert voice.publish(topic("taxi/s2-voice", "status"), '{"online":true}', retain=True) in DONE
    city.status()
    assert len(city.track("taxi/s2-voice")) == 1  # it went through, and past the ear
    ear.subscribe("lucheng/v1/+/+/up/#")  # the retained one is not given out either
    ear.client.publish(topic("taxi/s2-ear", "status"), "{}", 1)
    assert ear.next()[0] == "published"  # the first thing it hears since


def test_s2_a_client_id_takes_over_nobodys_session(city: City) -> None:
    victim = city.enter(city.add("taxi/s2-victim"), "taxi/s2-victim")
    thief = city.add("taxi/s2-thief")
    for stolen in ("taxi/s2-victim", "lucheng", "lucheng-alarms"):
        listener = city.enter(thief, stolen)
        listener.subscribe("lucheng/v1/taxi/s2-victim/down/#")
        assert still_in(victim, "taxi/s2-victim")
        live = city.service.status()["live"]
        assert live["mqtt_points_connected"]
        assert live["mqtt_alarms_connected"]
        assert live["mqtt_points_connects"] == 1
        assert live["mqtt_alarms_connects"] == 1
        listener.close()


# -- S3: another id inside --------------------------------------------------------------------


def test_s3_another_id_inside_the_payload_is_a_mismatch(city: City) -> None:
    liar = city.enter(city.add("taxi/s3-liar"))
    city.ask("device", "add", "taxi/s3-framed")
    at = now_ms()
    before = city.status()
    inside: list[Any] = [
        {"device": "taxi/s3-framed"},
        {"device_id": "taxi/s3-framed"},
        {"device_id": "s3-framed"},
    ]
    for number, words in enumerate(inside):
        assert liar.publish(topic("taxi/s3-liar"), point(at + number, **words)) in DONE
    array = f"[{point(at + 10)},{point(at + 11, device='taxi/s3-framed')},{point(at + 12)}]"
    assert liar.publish(topic("taxi/s3-liar"), array) in DONE
    assert liar.publish(topic("taxi/s3-liar", "alarm"), _alarm("s3", at, device="taxi/s3-framed")) in DONE
    now = city.status()
    assert now["quarantined"].get("identity_mismatch", 0) - before["quarantined"].get("identity_mismatch", 0) == 5
    assert now["signals"] == before["signals"]
    assert city.track("taxi/s3-framed") == []
    assert len(city.track("taxi/s3-liar")) == 2  # what stood beside it in the array
    listed = city.ask("quarantine", "list", "--reason", "identity_mismatch")
    assert {row["device"] for row in listed[:5]} == {"taxi/s3-liar"}
    assert all("s3-framed" in row["detail"] for row in listed[:5])


def test_s3_a_gateway_speaks_for_its_own_devices_alone(city: City) -> None:
    gateway = city.enter(city.add("gateway/s3"))
    city.ask("device", "add", "taxi/s3-mine", "--gateway", "gateway/s3")
    city.ask("device", "add", "taxi/s3-other")
    mine, other = (city.ask("device", "show", name)["number"] for name in ("taxi/s3-mine", "taxi/s3-other"))
    records = np.zeros(3, RECORD)
    records["id"] = [mine, other, 4_000_000_000]
    records["ts"] = now_ms()
    records["lat"], records["lon"] = 40_650_000, 109_840_000
    records["status"] = 1
    before = city.status()
    gateway.client.publish(topic("gateway/s3", "records"), records.tobytes(), 1)
    assert gateway.next()[0] == "published"
    now = city.status()
    assert now["stored"] - before["stored"] == 1
    assert now["quarantined"]["identity_mismatch"] - before["quarantined"].get("identity_mismatch", 0) == 2
    assert len(city.track("taxi/s3-mine")) == 1
    assert city.track("taxi/s3-other") == []


# -- S4: a recorded message again ---------------------------------------------------------------


def _alarm(alarm_id: str, time_ms: int, **more: Any) -> str:
    return json.dumps({"id": alarm_id, "ts": time_ms, "kind": "sos", "lat": 40.65, "lon": 109.84, **more})


def test_s4_a_recorded_message_changes_nothing_and_a_stale_alarm_is_late(city: City) -> None:
    name = "taxi/s4"
    credential = city.add(name)
    device = city.enter(credential)
    at = now_ms()
    recorded = [
        (topic(name), point(at, seq=1)),
        (topic(name), point(at + 1000)),
        (topic(name), f"[{point(at + 2000)},{point(at + 3000, alarms=['sos'])}]"),
        (topic(name, "alarm"), _alarm("press-1", at)),
    ]
    before = city.status()
    for where, payload in recorded:
        assert device.publish(where, payload) in DONE
    now = city.status()
    assert now["stored"] - before["stored"] == 4
    assert sum(now["signals"].values()) - sum(before["signals"].values()) == 2  # the message and the bit

    for where, payload in recorded * 3:
        assert device.publish(where, payload) in DONE
    again = city.status()
    assert again["stored"] == now["stored"]
    assert again["duplicate"] - now["duplicate"] == 12
    assert again["signals"] == now["signals"]

    stale = at - 2 * 86_400_000
    assert device.publish(topic(name, "alarm"), _alarm("press-0", stale)) in DONE
    late = city.status()
    assert sum(late["signals"].values()) == sum(now["signals"].values()) + 1
    found = city.ask("signal", "list", "--device", name)
    assert [(row["source"], row["late"]) for row in found if row["source"] == "message"] == [
        ("message", True),
        ("message", False),
    ]
    assert found[0]["received"] > found[0]["time"]

    # Also when nothing but what is on disk can know it.
    city.service.terminate()
    city.service.start()
    device = city.enter(credential)
    for where, payload in recorded:
        assert device.publish(where, payload) in DONE
    assert device.publish(topic(name, "alarm"), _alarm("press-0", stale)) in DONE
    after = city.status()
    assert (after["stored"], after["signals"]) == (late["stored"], late["signals"])
    assert after["duplicate"] - late["duplicate"] == 4
    assert len(city.track(name)) == 4


def test_s4_a_message_that_the_broker_kept_is_not_news_after_a_restart(city: City) -> None:
    name = "taxi/s4-kept"
    device = city.enter(city.add(name))
    at = now_ms()
    assert device.publish(topic(name), point(at), retain=True) in DONE
    assert device.publish(topic(name, "alarm"), _alarm("kept", at), retain=True) in DONE
    now = city.status()
    city.service.terminate()
    city.service.start()
    after = city.status()
    assert (after["stored"], after["signals"]) == (now["stored"], now["signals"])
    assert len(city.track(name)) == 1


def test_at_the_end_every_row_is_accounted_for(city: City) -> None:
    now = city.status()
    assert now["received"] == now["stored"] + now["duplicate"] + sum(now["quarantined"].values())
    assert city.ask("audit", "verify")["ok"] is True
    assert city.ask("store", "check")["ok"] is True
    assert city.knock(None)[1] != IN
