"""Evidence, terminals and reports: who may see what, what is hidden of an e-bike, and that all of it is audited."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.gateway import Operators
from config.sections import Settings
from console.api import make_app
from console.blob import MEDIA_TYPES, Blob
from console.client import LocalClient, RemoteClient, _UnixConnection
from console.operations import Caller
from console.server import ApiServer
from devices.details import DeviceDetails
from devices.terminals import Registering
from lucheng.operating import operations_of
from model.errors import AuditUnwritable, Corrupt, NotFound, Refused, UsageError
from model.evidence import NewEvidence, Report
from tests.console.conftest import START_MS, House

ROLES = {
    "op": "operator", "sup": "supervisor", "off": "officer", "app": "approver", "tech": "technician", "aud": "auditor",
    "adm": "admin",
}  # fmt: skip
PHOTO = NewEvidence(
    "taxi/1", "image", "jpg", b"\xff\xd8 <script>alert(1)</script> \xff\xd9", START_MS, START_MS + 900, 40.65, 109.84, 1,
    "robbery", "jt808:123",
)  # fmt: skip
SIGN_ON = Report("taxi/1", "jt905", "sign_on", START_MS, START_MS + 700, {"driver": "150000"}, b"\x0b\x03")


@pytest.fixture
def settings() -> Settings:
    return Settings(operators=Operators(users=ROLES, default_role="supervisor"))


def as_user(house: House, who: str, operation: str, **arguments: Any) -> Any:
    return getattr(house.operations, operation)(Caller(who, "cli", "socket"), **arguments)


def bound(house: House, device: str = "taxi/1", number: str = "13900000001") -> None:
    """Register the device and bind a terminal to it."""
    house.rooms.registry.add(device, DeviceDetails(phone=number, plate=f"P{number[-1]}", protocol="jt808"))
    house.rooms.terminals.refresh()
    answer = house.rooms.terminals.register_all([Registering(number, "", "T1", "ACME", "M1", START_MS)])
    assert answer[0].token


# -- evidence -------------------------------------------------------------------------------------


def test_evidence_is_listed_shown_and_read(house: House) -> None:
    kept = house.rooms.evidence.put(PHOTO)
    (row,) = house.ask("evidence_list", device="taxi/1", purpose="case:C-1")
    assert row == {
        "evidence": kept.id, "device": "taxi/1", "kind": "image", "format": "jpg", "sha256": kept.sha256,
        "size_bytes": len(PHOTO.data), "time": "2026-11-22T08:00:00.000Z", "received": "2026-11-22T08:00:00.900Z",
        "stored": "2026-11-22T08:00:00.000Z", "lat": 40.65, "lon": 109.84, "place_hidden": False, "channel": 1,
        "event": "robbery", "source": "jt808:123", "alarm": "",
    }  # fmt: skip
    assert house.ask("evidence_show", evidence=kept.id) == row
    assert house.ask("evidence_read", evidence=kept.id) == Blob("image/jpeg", PHOTO.data, f"{kept.id}.jpg")
    assert house.ask("evidence_list", device="taxi/2") == house.ask("evidence_list", before=kept.id) == []
    assert house.actions() == [
        ("read.evidence", "taxi/1", "case:C-1"),
        ("read.evidence", kept.id, "maintenance"),
        ("read.evidence", kept.id, "maintenance"),
        ("read.evidence_bytes", kept.id, "maintenance"),
        ("read.evidence", "taxi/2", "maintenance"),
        ("read.evidence", "*", "maintenance"),
    ]  # fmt: skip
    for arguments in ({"evidence": "E2026-000099"}, {"evidence": "../../etc/passwd"}):
        for operation in ("evidence_show", "evidence_read"):
            with pytest.raises(NotFound):
                house.ask(operation, **arguments)
    for wrong in ({"limit": 0}, {"device": "nothing"}, {"before": "\0"}):
        with pytest.raises(UsageError):
            house.ask("evidence_list", **wrong)


def test_an_alarm_brings_its_evidence(house: House) -> None:
    house.rooms.registry.ensure(["taxi/1"])
    alarm = house.alarm("taxi/1", "sos")
    assert house.ask("alarm_show", alarm=alarm)["evidence"] == []
    house.rooms.evidence.put(replace(PHOTO, alarm=alarm))
    later = house.rooms.evidence.put(replace(PHOTO, time_ms=START_MS + 1))
    house.rooms.evidence.bind(later.id, alarm)
    house.rooms.evidence.put(replace(PHOTO, time_ms=START_MS + 2))
    pieces = house.ask("alarm_show", alarm=alarm)["evidence"]
    assert [piece["evidence"] for piece in pieces] == ["E2026-000002", "E2026-000001"]
    assert house.ask("evidence_list", alarm=alarm[:-1] + alarm[-1]) == pieces
    assert ("read.evidence", "*", f"alarm:{alarm}") in house.actions()
    assert as_user(house, "adm", "alarm_show", alarm=alarm)["evidence"] == []


@pytest.mark.parametrize("who", list(ROLES))
def test_s6_only_who_works_on_alarms_sees_what_devices_sent(house: House, who: str) -> None:
    kept = house.rooms.evidence.put(PHOTO)
    house.rooms.reports.add([SIGN_ON])
    asked: list[tuple[str, dict[str, Any]]] = [
        ("evidence_list", {}),
        ("evidence_show", {"evidence": kept.id}),
        ("evidence_read", {"evidence": kept.id}),
        ("terminal_reports", {}),
    ]
    for operation, arguments in asked:
        if who in ("op", "sup", "off", "app"):
            assert as_user(house, who, operation, **arguments)
            continue
        with pytest.raises(Refused, match="may not see what devices sent"):
            as_user(house, who, operation, **arguments)
    if who not in ("op", "sup", "off", "app"):
        assert {action for action, _, _ in house.actions()} == {"read.refused"}
        assert len(house.actions()) == len(asked)


def test_the_place_of_an_ebike_is_its_owners(house: House) -> None:
    house.rooms.registry.ensure(["ebike/1", "ebike/2"])
    kept = house.rooms.evidence.put(replace(PHOTO, device="ebike/1"))
    house.rooms.reports.add([replace(SIGN_ON, device="ebike/1", fields={"lat": 40.65})])
    row = house.ask("evidence_show", evidence=kept.id)
    assert (row["lat"], row["lon"], row["place_hidden"]) == (None, None, True)
    with pytest.raises(Refused, match="its owner's"):
        house.ask("evidence_read", evidence=kept.id)
    (told,) = house.ask("terminal_reports")
    assert (told["withheld"], told["fields"], told["raw_base64"]) == (True, None, None)
    case = house.ask("ebike_report", device="ebike/1", owner_ref="R-17")["case"]
    other = house.ask("ebike_report", device="ebike/2", owner_ref="R-18")["case"]
    row = house.ask("evidence_show", evidence=kept.id)
    assert (row["lat"], row["lon"], row["place_hidden"]) == (40.65, 109.84, False)
    for purpose in ("case", f"case:{other}", "patrol:x", "alarm:x"):
        with pytest.raises(Refused):
            house.ask("evidence_read", evidence=kept.id, purpose=purpose)
    assert house.ask("evidence_read", evidence=kept.id, purpose=f"case:{case}").data == PHOTO.data
    assert house.ask("terminal_reports", purpose=f"case:{case}")[0]["fields"] == {"lat": 40.65}
    house.ask("ebike_step", case=case, state="closed")
    with pytest.raises(Refused):
        house.ask("evidence_read", evidence=kept.id, purpose=f"case:{case}")
    refused = [(target, purpose) for action, target, purpose in house.actions() if action == "read.refused"]
    assert (kept.id, f"case:{other}") in refused


def test_without_an_audit_nothing_is_given_out(house: House) -> None:
    kept = house.rooms.evidence.put(PHOTO)
    house.rooms.reports.add([SIGN_ON])
    bound(house)
    house.rooms.audit.close()
    for operation, arguments in (
        ("evidence_list", {}),
        ("evidence_show", {"evidence": kept.id}),
        ("evidence_read", {"evidence": kept.id}),
        ("terminal_reports", {}),
        ("terminal_release", {"device": "taxi/1"}),
    ):
        with pytest.raises(AuditUnwritable):
            house.ask(operation, **arguments)
    assert house.rooms.terminals.bound(0)


def test_a_changed_file_is_told_by_the_read_and_by_the_check(house: House) -> None:
    kept = house.rooms.evidence.put(PHOTO)
    house.rooms.reports.add([SIGN_ON])
    assert house.ask("store_check") == {"ok": True, "problems": []}
    path = house.rooms.data_dir / "evidence" / kept.sha256[:2] / f"{kept.sha256[2:]}.jpg"
    path.chmod(0o600)
    path.write_bytes(PHOTO.data[::-1])
    with pytest.raises(Corrupt, match="SHA-256"):
        house.ask("evidence_read", evidence=kept.id)
    found = house.ask("store_check")
    assert not found["ok"]
    assert kept.id in found["problems"][0]["what"]


# -- terminals ------------------------------------------------------------------------------------


def test_terminals_are_listed_with_their_connections(house: House) -> None:
    bound(house)
    bound(house, "taxi/2", "13900000002")
    house.rooms.registry.add("ebike/1", DeviceDetails(imei="860000000000001", protocol="gt06"))
    live = [
        {"device": "taxi/2", "protocol": "jt808", "peer": "10.0.0.2:4000"},
        {"device": "ebike/1", "protocol": "gt06", "peer": "10.0.0.3:4000"},
        {"device": "taxi/gone", "protocol": "jt808", "peer": "10.0.0.4:4000"},
    ]
    operations = operations_of(house.rooms, sessions=lambda: live)
    rows = operations.terminal_list(house.caller)
    assert [(row["device"], row["terminal_id"], row["session"] and row["session"]["peer"]) for row in rows] == [
        ("taxi/1", "T1", None),
        ("taxi/2", "T1", "10.0.0.2:4000"),
        ("ebike/1", None, "10.0.0.3:4000"),
    ]
    assert len({tuple(sorted(row)) for row in rows}) == 1
    assert rows[0]["registered"] == "2026-11-22T08:00:00.000Z"
    first = operations.terminal_list(house.caller, limit=2)
    assert [*first, *operations.terminal_list(house.caller, after=first[-1]["slot"], limit=2)] == rows


def test_a_technician_releases_a_terminal_and_it_is_audited(house: House) -> None:
    bound(house)
    terminals = house.rooms.terminals
    token = terminals.register("13900000001", plate="", terminal_id="T1", maker="", model="", now_ms=START_MS).token
    for who in ("op", "off", "app", "aud"):
        with pytest.raises(Refused, match="may not release a terminal"):
            as_user(house, who, "terminal_release", device="taxi/1")
    assert terminals.check("13900000001", token)
    told = house.told
    assert as_user(house, "tech", "terminal_release", device="taxi/1") == {"device": "taxi/1", "bound": False}
    assert not terminals.check("13900000001", token)
    assert house.told == told + 1
    assert house.ask("terminal_list") == []
    for device in ("taxi/1", "taxi/9"):
        with pytest.raises(NotFound):
            as_user(house, "adm", "terminal_release", device=device)
    assert [action for action, target, _ in house.actions() if target == "taxi/1"] == [
        *["read.refused"] * 4, "terminal.release", "terminal.release",
    ]  # fmt: skip


def test_reports_are_listed_with_what_they_say(house: House) -> None:
    house.rooms.reports.add([SIGN_ON, replace(SIGN_ON, message="trip_record", time_ms=START_MS + 10)])
    rows = house.ask("terminal_reports")
    assert [row["message"] for row in rows] == ["trip_record", "sign_on"]
    assert rows[1] == {
        "number": 1, "device": "taxi/1", "protocol": "jt905", "message": "sign_on", "time": "2026-11-22T08:00:00.000Z",
        "received": "2026-11-22T08:00:00.700Z", "withheld": False, "fields": {"driver": "150000"},
        "raw_base64": base64.b64encode(SIGN_ON.raw).decode(), "raw_bytes": 2,
    }  # fmt: skip
    assert house.ask("terminal_reports", message="sign_on", to_ms=START_MS + 1) == rows[1:]
    assert house.ask("terminal_reports", device="taxi/1", before=rows[0]["number"]) == rows[1:]
    assert house.ask("terminal_reports", device="taxi/2") == []
    for wrong in (
        {"from_ms": 5, "to_ms": 5},
        {"limit": 0},
        {"device": "x"},
        {"message": "m" * 99},
        {"purpose": "curious"},
    ):
        with pytest.raises(UsageError):
            house.ask("terminal_reports", **wrong)
    assert ("read.reports", "taxi/2", "maintenance") in house.actions()


# -- over the socket ------------------------------------------------------------------------------


@pytest.fixture
def served(house: House, tmp_path: Path) -> Iterator[Path]:
    with ApiServer(make_app(house.operations), tmp_path / "api.sock") as server:
        yield server.path


def test_both_clients_give_the_same(house: House, served: Path) -> None:
    kept = house.rooms.evidence.put(replace(PHOTO, data=bytes(range(256)) * 4_000))
    bound(house)
    house.rooms.reports.add([SIGN_ON])
    remote, local = RemoteClient(served), LocalClient(house.operations, house.caller)
    for operation, arguments in (
        ("evidence_list", {"device": "taxi/1", "limit": 5}),
        ("evidence_show", {"evidence": kept.id, "purpose": "case:A 7&x=1:注"}),
        ("terminal_list", {}),
        ("terminal_reports", {"message": "sign_on", "from_ms": START_MS}),
    ):
        assert remote.call(operation, **arguments) == local.call(operation, **arguments)
    assert remote.blob("evidence_read", evidence=kept.id) == local.blob("evidence_read", evidence=kept.id)
    for client in (remote, local):
        with pytest.raises(NotFound, match="E2026-000099"):
            client.blob("evidence_read", evidence="E2026-000099")
    assert remote.call("terminal_release", device="taxi/1") == {"device": "taxi/1", "bound": False}


@pytest.mark.parametrize("suffix", [*sorted(MEDIA_TYPES), "html", "svg", "bin", "js"])
def test_s7_bytes_of_a_device_are_saved_and_never_shown(house: House, served: Path, suffix: str) -> None:
    kept = house.rooms.evidence.put(replace(PHOTO, format=suffix))
    connection = _UnixConnection(served, 5, 30)
    connection.request("GET", f"/v1/evidence/{kept.id}/bytes")
    response = connection.getresponse()
    assert response.read() == PHOTO.data
    assert response.headers["content-disposition"] == f'attachment; filename="{kept.id}.{suffix}"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == MEDIA_TYPES.get(suffix, "application/octet-stream")
    connection.close()


def test_media_types_hold_no_script() -> None:
    assert all(kind.split("/")[0] in ("image", "audio", "video") and "svg" not in kind for kind in MEDIA_TYPES.values())
