"""`replay` and its frames on real stores: what they tell, who may ask, what is audited, and that the fleet is told page by page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from config.approvals import Approvals
from config.gateway import Operators
from config.sections import Api, Settings
from console import replay_operations
from console.operations import Caller
from console.replay_sessions import Sessions
from model.clock import FakeClock
from model.codes import Flag, Mark
from model.errors import ApprovalNeeded, AuditUnwritable, NotFound, Refused, UsageError
from model.evidence import NewEvidence
from model.grant import Purpose
from tests.console.conftest import START_MS, House

HOUR_MS = 3_600_000
FROM_MS = START_MS - 4 * HOUR_MS
STEP = 100 / 111_195.08
FREE, TAKEN = int(Flag.OCCUPIED_SENT), int(Flag.OCCUPIED | Flag.OCCUPIED_SENT)


@pytest.fixture
def settings() -> Settings:
    return Settings(operators=Operators(users={"tester": "supervisor", "tech": "technician"}))


@pytest.fixture
def ride(house: House) -> House:
    """Standing 5 min, 10 min northwards at 36 km/h with a passenger half of the way, standing 5 min, silent; every 10 s."""
    moves = np.concatenate(([0.0], np.zeros(30), np.ones(60), np.zeros(30)))
    flags = np.where((np.arange(121) >= 40) & (np.arange(121) < 70), TAKEN, FREE)
    times = (FROM_MS + np.arange(121) * 10_000).tolist()
    house.put("taxi/1", times, lat=40.65 + np.cumsum(moves) * STEP, flags=flags)
    return house


def begun(house: House, **arguments: Any) -> dict[str, Any]:
    window = {"from_ms": FROM_MS, "to_ms": START_MS, "devices": ["taxi/1"]}
    found: dict[str, Any] = house.ask("replay", **{**window, **arguments})
    return found


def at(minutes: float) -> str:
    return f"2026-11-22T04:{int(minutes):02d}:{round(minutes % 1 * 60):02d}.000Z"


def test_all_that_happened_is_told_on_one_clock(ride: House) -> None:
    found = begun(ride, purpose="case:A-7:why")
    (track,) = found["tracks"]
    points = ride.ask("track", device="taxi/1", from_ms=FROM_MS, to_ms=START_MS).points
    assert (track["count"], len(track["points"])) == (121, 121)
    assert [row["lat"] for row in track["points"]] == np.round(points.lat, 6).tolist()
    told = ride.ask("trips", device="taxi/1", from_ms=FROM_MS, to_ms=START_MS)
    assert {name: track[name] for name in ("trips", "stops", "occupancy", "totals")} == {
        name: told[name] for name in ("trips", "stops", "occupancy", "totals")
    }
    (piece,) = track["line"]
    assert piece["time"] == [at(0), at(5), at(15), at(20)]
    (gap,) = track["gaps"]
    assert (gap["from"], gap["to"], gap["begins_before"], gap["goes_on"]) == (at(20), found["to"], False, True)
    assert [(row["time"], row["what"], row["index"]) for row in found["events"]] == [
        (at(0), "stop_start", 0),
        (at(5), "stop_end", 0),
        (at(5), "trip_start", 0),
        (at(6 + 40 / 60), "occupied", 0),
        (at(11 + 40 / 60), "free", 1),
        (at(15), "trip_end", 0),
        (at(15), "stop_start", 1),
        (at(20), "stop_end", 1),
        (at(20), "gap_start", 0),
    ]
    assert ride.actions()[0] == ("replay.read", "taxi/1", "case:A-7:why")
    assert ("series.track", "taxi/1", "case:A-7:why") in ride.actions()


def test_frames_are_interpolated_and_say_so(ride: House) -> None:
    replay = begun(ride, points=False, cameras=False)
    assert replay["tracks"][0]["points"] is None
    assert replay["tracks"][0]["cameras"] is None
    page = ride.ask("replay_frames", replay=replay["replay"], at_ms=FROM_MS + 405_000, step_ms=5_000, frames=2)
    between, exact = page["frames"]
    assert page["devices"] == ["taxi/1"]
    assert (between["interpolated"], exact["interpolated"], between["age_s"]) == ([1], [0], [5])
    assert between["lat"] == [pytest.approx(40.65 + 10.5 * STEP, abs=1e-6)]
    assert (between["occupied"], exact["occupied"]) == ([1], [1])
    assert page["next"] == FROM_MS + 415_000
    silent = ride.ask("replay_frames", replay=replay["replay"], at_ms=FROM_MS + 21 * 60_000, frames=1)
    assert (silent["devices"], silent["frames"][0]["device"]) == ([], [])


def test_pages_follow_each_other_and_make_the_whole(ride: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ride.put("taxi/2", (FROM_MS + np.arange(60) * 60_000).tolist(), lon=109.9)
    ride.put("ebike/1", [FROM_MS])
    replay = begun(ride, devices=None)
    assert (replay["vehicles"], replay["tracks"], replay["events"]) == (2, None, None)
    whole = ride.ask("replay_frames", replay=replay["replay"], step_ms=60_000, frames=240)
    assert (len(whole["frames"]), whole["next"]) == (240, None)
    assert whole["devices"] == ["taxi/1", "taxi/2"]
    monkeypatch.setattr(replay_operations, "DEFAULT_MAX_PAGE_PLACES", 7)
    frames: list[dict[str, Any]] = []
    next_ms: int | None = FROM_MS
    while next_ms is not None:
        page = ride.ask("replay_frames", replay=replay["replay"], at_ms=next_ms, step_ms=60_000, frames=50)
        assert sum(len(frame["device"]) for frame in page["frames"]) <= 8
        frames += [{**frame, "device": [page["devices"][one] for one in frame["device"]]} for frame in page["frames"]]
        next_ms = page["next"]
    assert frames == [
        {**frame, "device": [whole["devices"][one] for one in frame["device"]]} for frame in whole["frames"]
    ]
    named = begun(ride, devices=["taxi/2", "taxi/1"])
    again = ride.ask("replay_frames", replay=named["replay"], step_ms=60_000, frames=1)
    assert again["frames"] == whole["frames"][:1]


def test_one_kind_may_be_replayed(ride: House) -> None:
    ride.put("unit/7", [FROM_MS])
    replay = begun(ride, devices=None, kind="unit")
    assert replay["vehicles"] == 1
    assert ride.ask("replay_frames", replay=replay["replay"], frames=1)["devices"] == ["unit/7"]


def test_signals_alarms_and_evidence_are_on_the_clock(ride: House) -> None:
    ride.put("taxi/1", [START_MS - 1_000])
    ride.clock.advance(-5)
    alarm = ride.alarm("taxi/1")
    camera = NewEvidence("camera/3", "video", "mp4", b"clip", START_MS - 6_000, START_MS, alarm=alarm)
    photo = NewEvidence("taxi/1", "image", "jpg", b"photo", FROM_MS + 60_000, START_MS)
    other = NewEvidence("taxi/2", "image", "jpg", b"other", FROM_MS + 60_000, START_MS)
    ride.ask("device_add", device="camera/3")
    kept = [ride.rooms.evidence.put(one).id for one in (camera, photo, other)]
    found = begun(ride)
    (track,) = found["tracks"]
    assert [row["kind"] for row in track["signals"]] == ["one_key"]
    assert [row["alarm"] for row in track["alarms"]] == [alarm]
    assert [row["evidence"] for row in track["evidence"]] == [kept[1], kept[0]]
    moments = [(row["what"], row["index"]) for row in found["events"]]
    assert [one for one in moments if one[0] in ("signal", "alarm", "evidence")] == [
        ("evidence", 0),
        ("evidence", 1),
        ("signal", 0),
        ("alarm", 0),
    ]


def test_cameras_passed_come_with_what_is_recorded(ride: House) -> None:
    ride.ask("device_add", device="camera/1", lat=40.65 + 30 * STEP, lon=109.84)
    ride.ask("device_add", device="camera/2", lat=41.0, lon=109.84)
    found = begun(ride)
    (seen,) = found["tracks"][0]["cameras"]
    assert (seen["camera"], seen["by_range"], seen["range_m"]) == ("camera/1", True, 0.0)
    assert seen["from"] < at(10) < seen["to"]
    assert {row["what"] for row in found["events"]} >= {"camera_in", "camera_out"}
    technician = Caller("tech", "cli", "process")
    hidden = ride.operations.replay(technician, FROM_MS, START_MS, ["taxi/1"])["tracks"][0]
    assert (hidden["cameras"], hidden["evidence"]) == (None, None)


def test_late_points_marks_and_untrusted_places(ride: House) -> None:
    ride.put("taxi/1", [FROM_MS + 455_000], lat=41.9, marks=int(Mark.JUMP))
    ride.put("taxi/1", [FROM_MS + 445_000], lat=40.65 + 14.5 * STEP, marks=int(Mark.LATE))
    replay = begun(ride)
    points = replay["tracks"][0]["points"]
    assert [row["marks"] for row in points if row["marks"]] == [["late"], ["jump"]]
    assert [row["time"] for row in points] == sorted(row["time"] for row in points)
    page = ride.ask("replay_frames", replay=replay["replay"], at_ms=FROM_MS + 455_000, frames=1)
    assert page["frames"][0]["interpolated"] == [1]
    assert page["frames"][0]["lat"] == [pytest.approx(40.65 + 15.5 * STEP, abs=1e-6)]


class TestWide:
    @pytest.fixture
    def settings(self) -> Settings:
        users = {"tester": "operator", "boss": "supervisor", "tech": "technician"}
        return Settings(operators=Operators(users=users), approvals=Approvals(wide_vehicles=1, max_uses=1))

    def test_one_approval_is_for_one_replay_and_all_its_pages(self, ride: House) -> None:
        ride.put("taxi/2", [FROM_MS])
        with pytest.raises(ApprovalNeeded, match="2 vehicles"):
            begun(ride, devices=None)
        assert ride.actions()[-1][0] == "read.refused"
        with pytest.raises(ApprovalNeeded) as asked:
            begun(ride, devices=None, approval="ask:a look at the night")
        approval = asked.value.approval
        boss = Caller("boss", "cli", "process")
        ride.operations.approval_grant(boss, approval)
        replay = begun(ride, devices=None, approval=approval)
        assert replay["allowed_by"] == f"{approval} granted by boss"
        for minutes in (0, 30, 1):
            page = ride.ask("replay_frames", replay=replay["replay"], at_ms=FROM_MS + minutes * 60_000, frames=1)
            assert len(page["frames"]) == 1
        row = [one for one in ride.rooms.audit.rows(limit=1000) if one.action == "replay.frames"][-1]
        assert row.detail["allowed_by"] == replay["allowed_by"]
        with pytest.raises(Refused, match="used"):
            begun(ride, devices=None, approval=approval)
        with pytest.raises(Refused):
            begun(ride, devices=None, approval=approval, to_ms=START_MS - 1)
        with pytest.raises(NotFound):
            ride.operations.replay_frames(boss, replay["replay"])


def test_an_ebike_is_as_protected_as_its_track(house: House) -> None:
    house.ask("device_add", device="ebike/1")
    house.put("ebike/1", [FROM_MS, FROM_MS + 60_000])
    with pytest.raises(Refused, match="ebike/1"):
        begun(house, devices=["ebike/1"])
    assert house.actions()[-1][:2] == ("read.refused", "ebike/1")
    with pytest.raises(UsageError, match="E-bikes"):
        begun(house, devices=None, kind="ebike")
    assert begun(house, devices=["ebike/1"], purpose="subject_request:R-17")["tracks"][0]["count"] == 2
    case = house.ask("ebike_report", device="ebike/1", owner_ref="R-1")["case"]
    replay = begun(house, devices=["ebike/1"], purpose=f"case:{case}")["replay"]
    assert house.ask("replay_frames", replay=replay, frames=1)["devices"] == ["ebike/1"]
    for state in ("stolen", "tracked", "recovered", "closed"):
        house.ask("ebike_step", case=case, state=state)
    with pytest.raises(Refused, match="ebike/1"):
        house.ask("replay_frames", replay=replay, frames=1)


def test_without_an_audit_nothing_is_told(ride: House) -> None:
    replay = begun(ride)["replay"]
    ride.rooms.audit.close()
    with pytest.raises(AuditUnwritable):
        begun(ride)
    with pytest.raises(AuditUnwritable):
        ride.ask("replay_frames", replay=replay)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"devices": ["taxi/9"]}, NotFound),
        ({"devices": ["../x"]}, UsageError),
        ({"devices": [f"taxi/{number}" for number in range(101)]}, UsageError),
        ({"kind": "taxi"}, UsageError),
        ({"devices": None, "kind": "lorry"}, UsageError),
        ({"to_ms": FROM_MS}, UsageError),
        ({"from_ms": -(1 << 62)}, UsageError),
        ({"tolerance_m": -1.0}, UsageError),
        ({"tolerance_m": float("nan")}, UsageError),
        ({"purpose": "curiosity"}, UsageError),
    ],
)
def test_what_cannot_be_replayed(ride: House, arguments: dict[str, Any], error: type[Exception]) -> None:
    before = len(ride.actions())
    with pytest.raises(error):
        begun(ride, **arguments)
    assert not [row for row in ride.actions()[before:] if row[0] != "read.refused"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"replay": "x"}, NotFound),
        ({"at_ms": FROM_MS - 1}, UsageError),
        ({"at_ms": START_MS}, UsageError),
        ({"step_ms": 99}, UsageError),
        ({"frames": 0}, UsageError),
        ({"frames": 10_001}, UsageError),
    ],
)
def test_what_is_no_page(ride: House, arguments: dict[str, Any], error: type[Exception]) -> None:
    replay = begun(ride)["replay"]
    with pytest.raises(error):
        ride.ask("replay_frames", **{"replay": replay, **arguments})


class TestTooMuch:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(api=Api(max_answer_points=100))

    def test_a_replay_with_too_many_points_is_refused(self, ride: House) -> None:
        with pytest.raises(Refused, match="100 points"):
            begun(ride)


def test_sessions_end_and_are_bounded() -> None:
    clock = FakeClock()
    sessions = Sessions(clock, max_of_one=2, max_open=3, idle_s=60.0)

    def opened(who: str) -> str:
        return sessions.open(who, Purpose("test"), (0, 1), None, "", "").id

    first, second = opened("a"), opened("a")
    sessions.get(first, "a")
    third = opened("a")
    with pytest.raises(NotFound):
        sessions.get(second, "a")
    with pytest.raises(NotFound):
        sessions.get(first, "b")
    opened("b")
    fourth = opened("c")
    with pytest.raises(NotFound):
        sessions.get(first, "a")
    assert sessions.get(third, "a").who == "a"
    clock.advance(61)
    with pytest.raises(NotFound):
        sessions.get(fourth, "c")
