"""JSON trackers through a running service: OwnTracks and Teltonika past the broker's own rules, OsmAnd over HTTP with a token.

Who may speak is decided by the broker's ACL and the device's password; what was answered 200 is stored, also after kill -9.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from devices.credentials import Credential
from tests.conftest import need_program
from tests.devices.live_broker import Listener
from tests.lucheng.attacks.conftest import IN, OUT
from tests.lucheng.attacks.yard import Yard, wait
from tests.lucheng.faults.desk_side import millis
from tests.lucheng.service_process import HANG_S

DONE = ("Success", "No matching subscribers")
DENIED = "Not authorized"


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """One service with its own broker; each test uses devices of its own."""
    need_program("mosquitto")
    settings = {"OPERATORS__DEFAULT_ROLE": "supervisor", "DEVICES__PASSWORD_ITERATIONS": "1000"}
    with Yard(tmp_path_factory.mktemp("yard") / "data", **settings) as made:
        yield made


@pytest.fixture
def phones() -> Iterator[list[Listener]]:
    """Connections that are closed in the end."""
    made: list[Listener] = []
    yield made
    for one in made:
        one.close()


def credential(yard: Yard, device: str) -> Credential:
    """A new password of a device."""
    made = yard.cli("device", "credentials", device)
    return Credential(made["username"], made["password"])


def knock(yard: Yard, phones: list[Listener], who: Credential) -> tuple[Listener, tuple[str, str]]:
    """A connection, and what the broker said to it."""
    phones.append(Listener(int(yard.live("broker_port")), who, who.user.replace("/", "-")))
    return phones[-1], phones[-1].next()


def enter(yard: Yard, phones: list[Listener], who: Credential) -> Listener:
    """A connection that is let in as soon as the broker knows the password."""
    found: list[Listener] = []

    def let_in() -> bool:
        listener, said = knock(yard, phones, who)
        found.append(listener)
        return said == IN

    wait(let_in, f"{who.user} to be let in")
    return found[-1]


def last(yard: Yard, device: str) -> dict[str, Any]:
    """The newest point of a device, once everything is stored."""
    yard.quiet()
    return yard.track(device)[-1]


# -- OwnTracks --------------------------------------------------------------------------------


def location(yard: Yard, **more: Any) -> str:
    """What the app sends."""
    return json.dumps({"_type": "location", "tst": yard.now_s, "lat": 40.65, "lon": 109.84, "tid": "lu", **more})


@pytest.mark.soak
def test_owntracks_places_of_its_own_and_of_nobody_else(yard: Yard, phones: list[Listener]) -> None:
    yard.add("unit/ot", protocol="owntracks")
    yard.add("unit/ot-other", protocol="owntracks")
    app = enter(yard, phones, credential(yard, "unit/ot"))
    assert app.publish("owntracks/unit/ot", location(yard, vel=36, cog=90, batt=57, acc=5), retain=True) in DONE
    point = last(yard, "unit/ot")
    assert (point["lat"], point["lon"], point["speed_kmh"], point["heading_deg"]) == (40.65, 109.84, 36.0, 90.0)
    assert (point["battery_pct"], point["acc_m"], millis(point["time"])) == (57, 5.0, yard.now_s * 1000)

    before = yard.quiet()
    assert app.publish("owntracks/unit/ot/event", json.dumps({"_type": "card", "name": "x"})) in DONE
    assert app.publish("owntracks/unit/ot", "{") in DONE
    assert app.publish("owntracks/unit/ot", location(yard, topic="owntracks/unit/ot-other")) in DONE
    now = yard.quiet()
    reasons = {name: count - before["quarantined"].get(name, 0) for name, count in now["quarantined"].items()}
    assert {name: count for name, count in reasons.items() if count} == {"not_json": 1, "identity_mismatch": 1}
    assert now["live"]["mqtt_points_passed_over"] == before["live"]["mqtt_points_passed_over"] + 1

    for topic in ("owntracks/unit/ot-other", "owntracks/unit/ot-other/event", "lucheng/v1/unit/ot-other/up/point"):
        assert enter(yard, phones, credential(yard, "unit/ot")).publish(topic, location(yard)) == DENIED, topic
    yard.quiet()
    assert yard.track("unit/ot-other") == []


def test_owntracks_is_asked_where_it_is(yard: Yard, phones: list[Listener]) -> None:
    yard.add("taxi/ot-asked", protocol="owntracks")
    app = enter(yard, phones, credential(yard, "taxi/ot-asked"))
    app.subscribe("owntracks/taxi/ot-asked/cmd")
    sent = yard.call("command_send", device="taxi/ot-asked", name="query", args={"what": "position"})
    topic, payload = app.next()
    assert (topic, json.loads(payload)) == ("owntracks/taxi/ot-asked/cmd", {"_type": "cmd", "action": "reportLocation"})
    assert app.publish("owntracks/taxi/ot-asked", location(yard, t="r", lat=40.66)) in DONE
    assert last(yard, "taxi/ot-asked")["lat"] == 40.66
    assert yard.call("command_show", command=sent["command"])["via"] == "owntracks"


# -- Teltonika --------------------------------------------------------------------------------


def reported(yard: Yard, **more: Any) -> str:
    """Codec JSON."""
    inner = {"ts": yard.now_s * 1000, "latlng": "40.650000,109.840000", "sp": 18, "ang": 45, "alt": 1000, **more}
    return json.dumps({"state": {"reported": inner}})


def test_teltonika_places_states_and_alarms(yard: Yard, phones: list[Listener]) -> None:
    yard.add("taxi/te", protocol="teltonika")
    yard.add("taxi/te-other", protocol="teltonika")
    box = enter(yard, phones, credential(yard, "taxi/te"))
    before = sum(yard.quiet()["signals"].values())
    assert box.publish("teltonika/taxi/te/data", reported(yard, **{"239": 1, "113": 88, "246": 1})) in DONE
    point = last(yard, "taxi/te")
    assert (point["lat"], point["lon"], point["speed_kmh"], point["ignition"]) == (40.65, 109.84, 18.0, True)
    assert (point["battery_pct"], point["alarms"]) == (88, ["illegal_move"])
    yard.service.wait_status(lambda now: sum(now["signals"].values()) == before + 1, "the alarm")
    assert box.publish("teltonika/taxi/te/data", json.dumps({"RSP": "done"})) in DONE
    assert box.publish("teltonika/taxi/te/data", reported(yard, latlng="here")) in DONE
    assert yard.quiet()["quarantined"]["wrong_type"] == 1
    for topic in ("teltonika/taxi/te-other/data", "teltonika/taxi/te/commands", "teltonika/taxi/te-other/commands"):
        assert enter(yard, phones, credential(yard, "taxi/te")).publish(topic, reported(yard)) == DENIED, topic
    yard.quiet()
    assert yard.track("taxi/te-other") == []


@pytest.mark.parametrize("protocol", ["owntracks", "teltonika"])
def test_a_tracker_that_is_disabled_or_unknown_or_has_another_password_gets_in_no_more(
    yard: Yard, phones: list[Listener], protocol: str
) -> None:
    device = f"unit/{protocol}-off"
    topic, body = (
        (f"owntracks/{device}", location) if protocol == "owntracks" else (f"teltonika/{device}/data", reported)
    )
    yard.add(device, protocol=protocol)
    right = credential(yard, device)
    tracker = enter(yard, phones, right)
    assert tracker.publish(topic, body(yard)) in DONE
    assert yard.cli("device", "disable", device)["enabled"] is False
    assert tracker.next()[0] == "disconnect"
    for wrong in (
        right,
        Credential(device, ""),
        Credential(device, "guess"),
        Credential("unit/nobody", right.password),
        Credential("", ""),
    ):
        assert knock(yard, phones, wrong)[1] == OUT, wrong.user
    assert yard.cli("device", "enable", device)["enabled"] is True
    assert enter(yard, phones, right).publish(topic, body(yard)) in DONE
    yard.quiet()
    assert len(yard.track(device)) == 1  # the same place twice is one


# -- OsmAnd -----------------------------------------------------------------------------------


def ask(yard: Yard, method: str = "GET", body: bytes | None = None, /, **fields: object) -> tuple[int, str]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", yard.osmand_port, timeout=HANG_S)
    try:
        connection.request(method, f"/?{urlencode(fields)}", body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def place(yard: Yard, **fields: object) -> int:
    """A request with a place; its status. What is None is left out."""
    given = {"timestamp": yard.now_s, "lat": 40.65, "lon": 109.84, **fields}
    return ask(yard, **{key: value for key, value in given.items() if value is not None})[0]


@pytest.mark.soak
def test_osmand_is_answered_200_when_its_place_is_stored(yard: Yard) -> None:
    yard.add("unit/oa", imei="358657100000505", phone="13850000001", protocol="osmand")
    token = credential(yard, "unit/oa").password
    for second, name in enumerate(("unit/oa", "358657100000505", "13850000001")):
        assert place(yard, id=name, token=token, timestamp=yard.now_s + second, speed=10, bearing=45, batt=50) == 200
    said = {"timestamp": yard.now_s + 3, "coords": {"latitude": 40.66, "longitude": 109.85, "speed": 10}}
    body = json.dumps({"device_id": "unit/oa", "token": token, "location": said}).encode()
    assert ask(yard, "POST", body)[0] == 200
    # What was answered is in the log already: a power cut takes nothing of it.
    yard.service.kill9()
    yard.service.start()
    yard.quiet()
    points = yard.track("unit/oa")
    assert [millis(point["time"]) for point in points] == [(yard.now_s + second) * 1000 for second in range(4)]
    assert [point["speed_kmh"] for point in points] == [18.5, 18.5, 18.5, 36.0]
    assert (points[0]["battery_pct"], points[0]["heading_deg"], points[3]["lat"]) == (50, 45.0, 40.66)


@pytest.mark.soak
def test_osmand_strangers_wrong_tokens_and_the_disabled_leave_nothing(yard: Yard) -> None:
    yard.add("unit/oa-off", protocol="osmand")
    yard.add("unit/oa-other", protocol="osmand")
    yard.add("unit/oa-none", protocol="osmand")
    token, other = credential(yard, "unit/oa-off").password, credential(yard, "unit/oa-other").password
    assert place(yard, id="unit/oa-off", token=token) == 200
    before = yard.quiet()
    refused = {
        401: (
            {"id": "unit/oa-off"},
            {"id": "unit/oa-off", "token": ""},
            {"id": "unit/oa-off", "token": "guess"},
            {"id": "unit/oa-off", "token": other},
            {"id": "unit/oa-none", "token": token},
        ),
        404: (
            {"id": "unit/nobody", "token": token},
            {"id": "13899999999", "token": token},
            {"id": "../x", "token": token},
        ),
        400: ({"token": token},),
    }
    for status, requests in refused.items():
        for fields in requests:
            assert place(yard, **fields) == status, fields
    assert ask(yard, "PUT", b"x")[0] == 405
    after = yard.quiet()
    assert (after["received"], after["quarantined"]) == (before["received"], before["quarantined"])

    # A bad place of a known device is kept, without the token.
    assert place(yard, id="unit/oa-off", token=token, lat="north") == 400
    wait(lambda: yard.quiet()["quarantined"] != before["quarantined"], "the bad place")
    (row, *_) = yard.cli("quarantine", "list", "--reason", "not_a_number")
    shown = yard.cli("quarantine", "show", str(row["number"]))
    raw = base64.b64decode(shown["raw"]).decode() if shown["encoding"] == "base64" else shown["raw"]
    assert row["device"] == "unit/oa-off"
    assert "north" in raw

    yard.cli("device", "disable", "unit/oa-off")
    wait(
        lambda: place(yard, id="unit/oa-off", token=token, timestamp=yard.now_s + 1) == 404,
        "the disabled to be refused",
    )
    yard.cli("device", "credentials", "unit/oa-other", "--revoke")
    wait(
        lambda: place(yard, id="unit/oa-other", token=other, timestamp=yard.now_s - 9) == 401,
        "the revoked to be refused",
    )
    yard.quiet()
    assert {millis(point["time"]) for point in yard.track("unit/oa-other")} <= {(yard.now_s - 9) * 1000}
    said = (
        yard.service.said
        + json.dumps([yard.cli(*asked) for asked in (("audit", "list"), ("quarantine", "list"))])
        + raw
    )
    for secret in (token, other):
        assert secret not in said
        assert not [
            path for path in yard.service.data.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
        ]
