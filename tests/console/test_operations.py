"""The operations on real stores: what they answer, what they audit, what they refuse."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from config.sections import Api, Settings
from model.codes import Flag, Reason
from model.errors import AuditUnwritable, BadInput, Conflict, LuchengError, NotFound, Refused, TryAgain, UsageError
from tests.console.conftest import START_MS, House

DAY_MS = 86_400_000
WINDOW = {"from_ms": START_MS, "to_ms": START_MS + DAY_MS}
EVIL = [
    "'; DROP TABLE device; --",
    '" OR 1=1',
    "%",
    "_",
    "\\",
    "taxi/1' OR '1'='1",
    "\x00",
    "\ud800",
    "../../etc/passwd",
]


def track_of(house: House, device: str, **arguments: object) -> list[dict[str, object]]:
    found = json.loads(b"".join(house.ask("track", device=device, **{**WINDOW, **arguments}).json_pieces()))
    assert found["device"] == device
    points: list[dict[str, object]] = found["points"]
    return points


# -- points -----------------------------------------------------------------------------------


def test_a_track_is_half_open_and_audited_with_its_purpose(house: House) -> None:
    house.put("taxi/1", [START_MS, START_MS + 1000, START_MS + 2000], speed_kmh=[1.0, 2.0, 3.0])
    points = track_of(house, "taxi/1", to_ms=START_MS + 2000, purpose="case:A-7:why")
    assert [point["speed_kmh"] for point in points] == [1.0, 2.0]
    assert points[0]["time"] == "2026-11-22T08:00:00.000Z"
    assert house.actions()[-1] == ("series.track", "taxi/1", "case:A-7:why")


def test_the_purpose_defaults_to_the_setting(house: House) -> None:
    house.put("taxi/1", [START_MS])
    track_of(house, "taxi/1")
    assert house.actions()[-1][2] == "maintenance"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"device": "taxi/9"}, NotFound),
        ({"device": "taxi"}, UsageError),
        ({"device": "../etc"}, UsageError),
        ({"from_ms": START_MS, "to_ms": START_MS}, UsageError),
        ({"from_ms": -(1 << 62), "to_ms": 1 << 62}, UsageError),
        ({"purpose": "curiosity"}, UsageError),
        ({"purpose": "case:" + "x" * 501}, UsageError),
    ],
)
def test_a_track_that_cannot_be_given(house: House, arguments: dict[str, object], error: type[LuchengError]) -> None:
    house.put("taxi/1", [START_MS])
    with pytest.raises(error) as caught:
        house.ask("track", **{"device": "taxi/1", **WINDOW, **arguments})
    assert caught.value.mend


def test_an_unknown_device_says_how_to_list_them(house: House) -> None:
    with pytest.raises(NotFound) as caught:
        house.ask("track", device="taxi/9", **WINDOW)
    assert "lucheng device list" in caught.value.mend


class TestFewPoints:
    """With a limit of three points in one answer."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(api=Api(max_answer_points=3))

    def test_a_track_beyond_the_limit_is_refused_in_words(self, house: House) -> None:
        house.put("taxi/1", [START_MS + at for at in range(4)])
        assert len(track_of(house, "taxi/1", to_ms=START_MS + 3)) == 3
        with pytest.raises(Refused, match=r"api\.max_answer_points"):
            track_of(house, "taxi/1")


def test_where_gives_the_newest_place_of_each(house: House) -> None:
    house.put("taxi/1", [START_MS, START_MS + 5000], lat=[40.1, 40.2])
    house.put("unit/7", [START_MS + 1000], flags=int(Flag.OCCUPIED_SENT))
    house.ask("device_add", device="taxi/2")
    rows = {row["device"]: row for row in house.ask("where")}
    assert set(rows) == {"taxi/1", "unit/7"}
    assert (rows["taxi/1"]["lat"], rows["taxi/1"]["time"]) == (40.2, "2026-11-22T08:00:05.000Z")
    assert (rows["unit/7"]["occupied"], rows["taxi/1"]["occupied"]) == (False, None)


def test_where_of_named_devices(house: House) -> None:
    house.put("taxi/1", [START_MS])
    house.put("taxi/2", [START_MS])
    assert [row["device"] for row in house.ask("where", devices=["taxi/2", "taxi/2"])] == ["taxi/2"]
    assert house.actions()[-1][1] == "taxi/2"
    with pytest.raises(NotFound):
        house.ask("where", devices=["taxi/2", "taxi/9"])
    with pytest.raises(UsageError):
        house.ask("where", devices=[f"taxi/{n}" for n in range(1001)])


def test_where_forgets_a_deleted_device_and_keeps_a_disabled_one(house: House) -> None:
    house.put("taxi/1", [START_MS])
    house.put("taxi/2", [START_MS])
    house.ask("device_disable", device="taxi/1")
    house.rooms.registry.delete("taxi/2")
    assert [row["device"] for row in house.ask("where")] == ["taxi/1"]


# -- e-bikes (trust.md 8) ---------------------------------------------------------------------


@pytest.mark.parametrize("purpose", [None, "maintenance", "case:A-7", "patrol:7", "subject_request", "supervision:1"])
def test_an_ebikes_place_is_not_given_for_any_other_reason(house: House, purpose: str | None) -> None:
    house.put("ebike/1", [START_MS])
    house.put("taxi/1", [START_MS])
    attempts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("track", {"device": "ebike/1", **WINDOW}),
        ("where", {"devices": ["taxi/1", "ebike/1"]}),
    )
    for operation, arguments in attempts:
        with pytest.raises(Refused) as caught:
            house.ask(operation, **arguments, purpose=purpose)
        assert "subject_request:REF" in caught.value.mend
        assert house.actions()[-1][:2] == ("read.refused", "ebike/1")
    assert [row["device"] for row in house.ask("where", purpose=purpose)] == ["taxi/1"]


@pytest.mark.parametrize("purpose", ["subject_request:R-17", "maintenance:WO-4", "test:T1"])
def test_an_ebike_is_shown_to_its_owner_and_the_technician_by_its_id(house: House, purpose: str) -> None:
    house.put("ebike/1", [START_MS])
    assert len(track_of(house, "ebike/1", purpose=purpose)) == 1
    assert [row["device"] for row in house.ask("where", devices=["ebike/1"], purpose=purpose)] == ["ebike/1"]
    assert house.ask("where", purpose=purpose) == []


def test_an_ebikes_signal_says_its_area_and_not_its_point(house: House) -> None:
    ring = [[109.0, 40.0], [110.0, 40.0], [110.0, 41.0], [109.0, 41.0], [109.0, 40.0]]
    area = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"id": "kundulun", "name": "昆都仑", "level": "city", "parent": ""},
            }
        ],
    }
    assert house.ask("jurisdiction_import", data=json.dumps(area).encode()) == {"areas": 1}
    house.signal(1, "ebike/1", "vibration")
    house.signal(2, "taxi/1")
    house.signal(3, "ebike/2", "low_battery", lat=None)
    silent, taxi, bike = house.ask("signal_list")
    assert (bike["lat"], bike["lon"], bike["jurisdiction"]) == (None, None, "kundulun")
    assert (taxi["lat"], taxi["lon"]) == (40.65, 109.84)
    assert (silent["lat"], silent["jurisdiction"]) == (None, None)


def test_an_ebikes_quarantined_payload_is_withheld(house: House) -> None:
    house.quarantine("ebike/1", Reason.FUTURE, b'{"lat":40.65}')
    (row,) = house.ask("quarantine_list")
    shown = house.ask("quarantine_show", number=row["number"])
    assert (shown["raw"], shown["withheld"]) == (None, True)
    shown = house.ask("quarantine_show", number=row["number"], purpose="subject_request:R-1")
    assert (shown["raw"], shown["withheld"]) == ('{"lat":40.65}', False)


# -- quarantine, signals, status --------------------------------------------------------------


def test_quarantine_is_listed_newest_first_filtered_and_paged(house: House) -> None:
    for reason in (Reason.NOT_JSON, Reason.FUTURE, Reason.NOT_JSON):
        house.quarantine("taxi/1", reason, b"\xff\x00", rows=3)
    rows = house.ask("quarantine_list", reason="not_json")
    assert [row["reason"] for row in rows] == ["not_json"] * 2
    assert rows[0]["number"] > rows[1]["number"]
    assert house.ask("quarantine_list", before=rows[0]["number"], reason="not_json") == rows[1:]
    shown = house.ask("quarantine_show", number=rows[0]["number"])
    assert (shown["encoding"], shown["raw"], shown["rows"]) == ("base64", "/wA=", 3)
    with pytest.raises(NotFound):
        house.ask("quarantine_show", number=10_000)
    with pytest.raises(UsageError, match="not_json"):
        house.ask("quarantine_list", reason="nix")


def test_signals_are_filtered_and_paged(house: House) -> None:
    for number in range(1, 5):
        house.signal(number, "taxi/1" if number % 2 else "taxi/2", "sos" if number < 4 else "overspeed")
    assert [row["id"] for row in house.ask("signal_list")] == ["s4", "s3", "s2", "s1"]
    assert [row["id"] for row in house.ask("signal_list", device="taxi/1")] == ["s3", "s1"]
    assert [row["id"] for row in house.ask("signal_list", kind="overspeed")] == ["s4"]
    third = house.ask("signal_list", limit=2)[-1]
    assert [row["id"] for row in house.ask("signal_list", before=third["number"])] == ["s2", "s1"]
    assert [row["id"] for row in house.ask("signal_list", to_ms=START_MS + 2)] == ["s1"]
    assert ("read.signals", "taxi/1", "maintenance") in house.actions()


@pytest.mark.parametrize("limit", [0, -1, 10_001])
@pytest.mark.parametrize("operation", ["quarantine_list", "signal_list", "audit_list", "device_list"])
def test_a_page_has_a_limit(house: House, operation: str, limit: int) -> None:
    with pytest.raises(UsageError):
        house.ask(operation, limit=limit)


def test_the_status_balances(house: House) -> None:
    house.put("taxi/1", [START_MS, START_MS + 1000])
    house.quarantine("taxi/1", Reason.NOT_JSON, b"x", rows=3)
    house.signal(1, "taxi/1")
    found = house.ask("status")
    assert {key: found[key] for key in ("received", "stored", "duplicate", "quarantined", "in_flight")} == {
        "received": 5,
        "stored": 2,
        "duplicate": 0,
        "quarantined": {"not_json": 3},
        "in_flight": 0,
    }
    assert (found["devices"], found["signals"], found["live"]) == ({"taxi": 1}, {"sos": 1}, {"up": 1.0})


def test_store_check_is_clean_and_then_names_the_damage(house: House) -> None:
    house.put("taxi/1", [START_MS])
    assert house.ask("store_check") == {"ok": True, "problems": []}
    registry = house.rooms.registry.file.path
    assert isinstance(registry, Path)
    raw = bytearray(registry.read_bytes())
    raw[:16] = b"no database here"
    registry.with_name("copy.db").write_bytes(raw)
    from console.store_checks import check_file

    assert "damaged" in check_file(registry.with_name("copy.db"))[0].what
    assert check_file(registry.with_name("nix.db"))[0].mend


def test_ingest_without_a_service_says_so(house: House) -> None:
    with pytest.raises(TryAgain):
        house.ask("ingest", path="/x", file_format="csv")


# -- registry ---------------------------------------------------------------------------------


def test_a_device_lives(house: House) -> None:
    added = house.ask("device_add", device="taxi/1", plate="蒙B·12345", lat=None)
    assert (added["device"], added["kind"], added["number"], added["enabled"]) == ("taxi/1", "taxi", 1, True)
    assert house.ask("device_disable", device="taxi/1")["enabled"] is False
    assert house.ask("device_enable", device="taxi/1")["enabled"] is True
    assert house.ask("device_show", device="taxi/1")["credential"] is False
    assert house.told == 3
    assert [row[:2] for row in house.actions()] == [
        ("device.add", "taxi/1"),
        ("device.disable", "taxi/1"),
        ("device.enable", "taxi/1"),
    ]
    with pytest.raises(Conflict):
        house.ask("device_add", device="taxi/1")


def test_a_password_is_given_once_and_is_nowhere_else(house: House, tmp_path: Path) -> None:
    house.ask("device_add", device="taxi/1")
    first = house.ask("device_credentials", device="taxi/1")
    second = house.ask("device_credentials", device="taxi/1")
    assert first["username"] == "taxi/1"
    assert first["password"] != second["password"]
    assert "password" not in house.ask("device_show", device="taxi/1")
    assert house.ask("device_credentials", device="taxi/1", action="revoke") == {
        "device": "taxi/1",
        "credential": False,
    }
    for file in tmp_path.rglob("*"):
        if file.is_file():
            raw = file.read_bytes()
            assert first["password"].encode() not in raw
            assert second["password"].encode() not in raw
    with pytest.raises(UsageError):
        house.ask("device_credentials", device="taxi/1", action="steal")


def test_devices_are_listed_by_page_kind_and_text(house: House) -> None:
    for name in ("taxi/1", "taxi/2", "button/1"):
        house.ask("device_add", device=name, name=f"名 {name}")
    assert [row["device"] for row in house.ask("device_list", kind="taxi")] == ["taxi/1", "taxi/2"]
    assert [row["device"] for row in house.ask("device_list", text="名 button")] == ["button/1"]
    page = house.ask("device_list", limit=2)
    assert [row["device"] for row in house.ask("device_list", after=page[-1]["slot"])] == ["button/1"]
    with pytest.raises(UsageError, match="taxi"):
        house.ask("device_list", kind="ship")


def test_an_import_says_what_became_of_every_row(house: House) -> None:
    data = b"id,plate\ntaxi/1,A1\nnix,\ntaxi/2,A1\n"
    dry = house.ask("device_import", data=data, dry_run=True)
    assert house.ask("device_list") == []
    wet = house.ask("device_import", data=data)
    assert (dry["rows"], dry["counts"]) == (wet["rows"], wet["counts"])
    assert [row["result"] for row in wet["rows"]] == ["added", "refused", "refused"]
    assert house.ask("device_import", data=data)["counts"]["unchanged"] == 1
    with pytest.raises(BadInput):
        house.ask("device_import", data=b"\x00\xff")


def test_sites_are_added_and_listed(house: House) -> None:
    house.ask("device_add", device="camera/1")
    added = house.ask("site_add", site="school-1", lat=40.6, lon=109.8, cameras=["camera/1"])
    assert house.ask("site_list") == [added]
    with pytest.raises(UsageError):
        house.ask("site_add", site="../x", lat=0, lon=0)


def test_broker_files_are_written_private(house: House, tmp_path: Path) -> None:
    house.ask("device_add", device="taxi/1")
    password = house.ask("device_credentials", device="taxi/1")["password"]
    made = house.operations.broker_files(house.caller, tmp_path / "out")
    for name in made["files"]:
        assert Path(name).stat().st_mode & 0o077 == 0
    passwords = (tmp_path / "out" / "passwords").read_text()
    assert passwords.startswith("taxi/1:$7$")
    assert password not in passwords


# -- attacks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", EVIL)
def test_s9_no_text_in_a_filter_is_sql(house: House, text: str) -> None:
    house.put("taxi/1", [START_MS])
    house.signal(1, "taxi/1")
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("device_list", {"text": text}),
        ("device_list", {"kind": text}),
        ("device_show", {"device": text}),
        ("signal_list", {"device": text}),
        ("signal_list", {"kind": text}),
        ("quarantine_list", {"reason": text}),
        ("where", {"devices": [text]}),
        ("track", {"device": text, **WINDOW}),
        ("track", {"device": "taxi/1", **WINDOW, "purpose": f"case:{text}"}),
        ("site_list", {"after": text}),
    ]
    for operation, arguments in attempts:
        try:
            found = house.ask(operation, **arguments)
        except LuchengError:
            continue
        if operation == "device_list":
            assert found == []
    assert [row["device"] for row in house.ask("device_list")] == ["taxi/1"]
    assert house.ask("audit_verify")["ok"]


@pytest.mark.parametrize(
    "name", ["taxi/../../x", "taxi/.", "taxi/..", "taxi/a/b", "/etc/passwd", "taxi/", "taxi/a\x00b", "taxi/-/"]
)
def test_s5_no_name_is_a_path(house: House, name: str) -> None:
    with pytest.raises(UsageError):
        house.ask("device_add", device=name)
    with pytest.raises(UsageError):
        house.ask("device_credentials", device=name)


def test_s17_a_cameras_secret_is_in_no_answer_audit_or_file(house: House, tmp_path: Path) -> None:
    canary = "rtsp://admin:canary-8c1f@10.0.0.9/stream"
    house.ask("device_add", device="camera/1", rtsp=canary)
    answers = [house.ask("device_show", device="camera/1"), house.ask("device_list"), house.ask("audit_list")]
    answers += [house.ask("store_check"), house.ask("status")]
    assert "canary" not in repr(answers)
    assert ("device.secret", "camera/1", "") in house.actions()
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"canary" not in file.read_bytes(), file
    with pytest.raises(UsageError) as caught:
        house.ask("device_add", device="taxi/1", rtsp=canary)
    assert "canary" not in str(caught.value)


def damage_audit(house: House) -> None:
    """Edit the newest row behind the audit's back."""
    path = house.rooms.data_dir / "audit.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE audit SET who = 'nobody' WHERE n = (SELECT max(n) FROM audit)")
    connection.close()


def test_s20_a_damaged_audit_gives_no_data_and_changes_nothing(house: House) -> None:
    house.put("taxi/1", [START_MS])
    house.quarantine("taxi/1", Reason.NOT_JSON, b"x")
    house.signal(1, "taxi/1")
    house.ask("device_add", device="taxi/2")
    damage_audit(house)
    told = house.told
    attempts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("track", {"device": "taxi/1", **WINDOW}),
        ("where", {}),
        ("quarantine_list", {}),
        ("quarantine_show", {"number": 1}),
        ("signal_list", {}),
        ("audit_list", {}),
        ("device_add", {"device": "taxi/3"}),
        ("device_disable", {"device": "taxi/1"}),
        ("device_credentials", {"device": "taxi/1"}),
        ("device_import", {"data": b"id\ntaxi/4\n"}),
        ("site_add", {"site": "s", "lat": 0.0, "lon": 0.0}),
    )
    for operation, arguments in attempts:
        with pytest.raises(AuditUnwritable):
            house.ask(operation, **arguments)
    assert [row["device"] for row in house.ask("device_list")] == ["taxi/1", "taxi/2"]
    assert house.told == told
    for look in ("audit_verify", "store_check"):
        found = house.ask(look)
        assert found["ok"] is False
        assert "row" in found["problems"][0]["place"]
