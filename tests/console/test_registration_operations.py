"""Registering, the live test, swaps and retirements over real stores: what a technician may see, and what the desk sees of a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.gateway import Operators
from config.sections import Settings
from console.camera_seams import CameraRow
from console.device_operations import Caller
from console.live_test_words import WHY_WORDS, why_words
from devices.details import DeviceDetails
from lucheng.operating import operations_of
from model.alarm import Outcome
from model.codes import Flag, Reason
from model.errors import BadInput, Conflict, LuchengError, NotFound, Refused, TryAgain, UsageError
from model.evidence import NewEvidence
from model.installation import ARMED_MS, CONFIRM_MS, WINDOW_MS
from model.video import Clip
from tests.console.conftest import House
from tests.devices.test_pictures import CANARY, JPEG, PNG, segment, with_segments

IMEI, OTHER_IMEI, THIRD_IMEI = "490154203237518", "356938035643809", "352099001761481"
USERS = {"tech": "technician", "mate": "technician", "sup": "supervisor", "adm": "admin", "op": "operator"}
PLACE = {"lat": 40.65, "lon": 109.84, "accuracy_m": 8.0}


class Cameras:
    """Cameras of a service that runs: `dark` ones give no picture."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.dark: set[str] = set()

    def states(self) -> Mapping[str, CameraRow]:
        return {}

    def snapshot(self, device: str, timeout_s: float) -> tuple[bytes, int]:
        assert timeout_s > 0
        if device in self.dark:
            raise TryAgain("No key frame came.")
        return b"\xff\xd8\xff\xd9", self.house.clock.now_ms()

    def clip(self, device: str, from_ms: int, to_ms: int, timeout_s: float) -> Clip:
        raise AssertionError((device, from_ms, to_ms, timeout_s))

    def recorded_clip(self, *given: Any) -> Clip:
        raise AssertionError(given)

    def probe(self, url: str, transport: str, timeout_s: float) -> dict[str, Any]:
        return {"ok": bool(url and transport and timeout_s)}

    def changed(self) -> None: ...

    def live_url(self, device: str) -> str:
        return device


@pytest.fixture
def settings() -> Settings:
    return Settings(operators=Operators(users=USERS))


@pytest.fixture
def cameras(house: House) -> Cameras:
    made = Cameras(house)
    house.operations = operations_of(house.rooms, on_registry_change=house._tell, camera_control=made)
    return made


def ask(house: House, who: str, operation: str, **arguments: Any) -> Any:
    return getattr(house.operations, operation)(Caller(who, USERS[who], "web"), **arguments)


def register(house: House, who: str = "tech", **arguments: Any) -> dict[str, Any]:
    wanted = {"kind": "taxi", "imei": IMEI, "plate": "蒙B·T1001", "owner_ref": "Zhang San", **PLACE, **arguments}
    found: dict[str, Any] = ask(house, who, "device_register", **wanted)
    return found


def steps(found: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["state"] for step in found["steps"]}


def fix(house: House, device: str, *, valid: bool = True, lat: float = 40.6501) -> None:
    flags = int(Flag.VALID_SENT | (Flag.VALID if valid else Flag(0)))
    now = house.clock.now_ms()
    house.put(device, [now], received_ms=now, flags=np.array([flags], np.uint16), lat=lat)


def later(house: House, span_ms: int) -> None:
    house.clock.advance(span_ms / 1000)


def audited(house: House, action: str) -> int:
    return sum(row[0] == action for row in house.actions())


# -- registering ----------------------------------------------------------------------------------


def test_a_device_is_registered_where_it_is_fitted(house: House) -> None:
    found = register(house)
    assert (found["device"], found["plate"], found["owner_ref"]) == (f"taxi/{IMEI}", "蒙B·T1001", "Zhang San")
    assert (found["lat"], found["installation"]["lat"], found["installation"]["accuracy_m"]) == (None, 40.65, 8.0)
    assert (found["installation"]["open"], found["installation"]["by"]) == (True, "tech")
    assert house.told == 1
    assert [row["action"] for row in ask(house, "tech", "device_history", device=found["device"])] == ["install", "add"]
    button = register(
        house, kind="button", imei=OTHER_IMEI, plate="", device="button/school-3", number="+86 13900000001"
    )
    assert (button["lat"], button["lon"], button["phone"]) == (40.65, 109.84, "+8613900000001")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"imei": "490154203237519"}, UsageError, "check digit 8"),
        ({"imei": "4901542032375"}, UsageError, "2 too few"),
        ({"imei": "", "number": ""}, UsageError, "which device"),
        ({"number": "12ab"}, UsageError, "no number"),
        ({"kind": "boat"}, UsageError, "no kind of device"),
        ({"device": "ebike/1"}, UsageError, "no taxi"),
        ({"site": "nowhere"}, NotFound, "no site"),
        ({"cameras": ["camera/none"]}, NotFound, "no camera"),
        ({"lat": 91.0}, UsageError, "no place"),
        ({"accuracy_m": -1.0}, UsageError, "accuracy"),
        ({"rtsp": "rtsp://10.0.0.1/x"}, UsageError, "no camera"),
        ({"plate": "蒙B\n1"}, UsageError, "U\\+000A"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    house: House, given: dict[str, Any], error: type[LuchengError], words: str
) -> None:
    with pytest.raises(error, match=words):
        register(house, **given)
    assert house.rooms.registry.list() == []
    assert ask(house, "sup", "installation_list") == []


def test_a_label_that_really_reads_so_is_taken(house: House) -> None:
    assert register(house, imei="490154203237519", imei_as_labelled=True)["imei"] == "490154203237519"


def test_the_same_imei_or_plate_again_is_refused(house: House) -> None:
    register(house)
    with pytest.raises(Conflict, match=f"belongs to taxi/{IMEI}"):
        register(house, device="taxi/2", plate="蒙B2")
    with pytest.raises(Conflict, match="plate"):
        register(house, imei=OTHER_IMEI, plate="蒙bt1001")


# -- what a technician sees -----------------------------------------------------------------------


def test_a_technician_is_told_of_owners_what_he_types_and_finds_nobody_by_them(house: House) -> None:
    house.rooms.registry.add("taxi/old", DeviceDetails(owner_ref="Li Si", plate="蒙B9"))
    register(house)
    told = {row["device"]: row["owner_ref"] for row in ask(house, "tech", "device_list")}
    assert told == {"taxi/old": "", f"taxi/{IMEI}": "Zhang San"}
    assert ask(house, "tech", "device_list", text="Li Si") == []
    assert [row["owner_ref"] for row in ask(house, "sup", "device_list", text="Li Si")] == ["Li Si"]
    assert ask(house, "tech", "device_show", device="taxi/old")["owner_ref"] == ""
    later(house, WINDOW_MS)
    assert ask(house, "tech", "device_show", device=f"taxi/{IMEI}")["owner_ref"] == ""
    entries = ask(house, "tech", "device_history", device=f"taxi/{IMEI}")
    assert "Zhang" not in str(entries)
    ask(house, "sup", "site_add", site="s", lat=1.0, lon=1.0, contact="Wang", phone="1")
    assert {(row["contact"], row["phone"]) for row in ask(house, "tech", "site_list")} == {("", "")}


def test_another_technician_and_a_later_one_see_nothing(house: House) -> None:
    device = register(house)["device"]
    with pytest.raises(Refused, match="installed by tech"):
        ask(house, "mate", "device_check", device=device)
    later(house, WINDOW_MS - 1)
    assert steps(ask(house, "tech", "device_check", device=device))["report"] == "missing"
    later(house, 1)
    for operation in ("device_check", "device_test_press", "device_photos", "device_finish"):
        with pytest.raises(Refused, match="30 minutes"):
            ask(house, "tech", operation, device=device)
    assert audited(house, "read.refused") == 5
    assert ask(house, "sup", "device_check", device=device)["installation"]["open"] is False


def test_an_installation_is_opened_again_a_few_times_and_of_others_by_a_supervisor(house: House) -> None:
    device = register(house)["device"]
    for _ in range(3):
        later(house, WINDOW_MS)
        assert ask(house, "tech", "device_install", device=device)["installation"]["open"]
    later(house, WINDOW_MS)
    with pytest.raises(Refused, match="too often"):
        ask(house, "tech", "device_install", device=device)
    with pytest.raises(Refused, match="installed by tech"):
        ask(house, "mate", "device_install", device=device)
    house.put("taxi/heard", [house.clock.now_ms()])
    house.rooms.registry.ensure(["taxi/fresh"])
    with pytest.raises(Refused, match="reported before"):
        ask(house, "mate", "device_install", device="taxi/heard")
    assert ask(house, "mate", "device_install", device="taxi/fresh")["installation"]["by"] == "mate"
    opened = ask(house, "sup", "device_install", device="taxi/heard", technician="mate")
    assert opened["installation"]["by"] == "mate"
    assert steps(ask(house, "mate", "device_check", device="taxi/heard"))["report"] == "missing"
    assert [row["device"] for row in ask(house, "mate", "installation_list")] == ["taxi/heard", "taxi/fresh"]
    assert len(ask(house, "sup", "installation_list")) == 3


# -- the live test --------------------------------------------------------------------------------


def test_each_step_is_seen_with_its_time_and_what_is_missing_is_said(house: House) -> None:
    fix(house, f"taxi/{IMEI}")  # before it was registered here: does not count
    house.rooms.registry.delete(f"taxi/{IMEI}")
    later(house, 60_000)
    device = register(house)["device"]
    first = ask(house, "tech", "device_check", device=device)
    assert {step["step"]: step["why"] for step in first["steps"]} == {
        "report": "silent",
        "fix": "no_report",
        "button": "arm",
    }
    house.quarantine(device, Reason.BAD_BODY, b"x")
    assert ask(house, "tech", "device_check", device=device)["steps"][0]["why"] == "silent"  # from before
    later(house, 1_000)
    fix(house, device, valid=False)
    second = ask(house, "tech", "device_check", device=device)
    assert (steps(second)["report"], second["steps"][1]["why"]) == ("seen", "no_fix")
    later(house, 1_000)
    fix(house, device)
    third = ask(house, "tech", "device_check", device=device)
    assert steps(third) == {"report": "seen", "fix": "seen", "button": "missing"}
    assert third["off_m"] == pytest.approx(11.1, abs=0.2)
    assert third["steps"][0]["time"] < third["steps"][1]["time"]
    assert "40.65" not in str(third["steps"])
    with pytest.raises(Refused, match="misses: button"):
        ask(house, "tech", "device_finish", device=device)
    with pytest.raises(UsageError, match="why"):
        ask(house, "tech", "device_finish", device=device, skip=["button"])
    done = ask(house, "tech", "device_finish", device=device, skip=["button"], note="no button fitted")
    assert (done["done"], done["installation"]["open"], steps(done)["button"]) == (True, False, "skipped")
    assert audited(house, "device.check") == 4


@pytest.mark.parametrize("reason", list(Reason))
def test_why_something_was_quarantined_is_said(house: House, reason: Reason) -> None:
    device = register(house)["device"]
    house.quarantine(device, reason, b"x")
    (why,) = {
        step["why"] for step in ask(house, "tech", "device_check", device=device)["steps"] if step["step"] == "report"
    }
    assert why == f"quarantined:{reason.name.lower()}"
    assert "{" not in why_words(why).en + why_words(why).zh


def test_every_code_has_words() -> None:
    for code in WHY_WORDS:
        assert why_words(f"{code}:x").en
        assert why_words(f"{code}:x").zh
    assert why_words("new").en == "new"


def test_a_press_that_was_announced_is_a_test_on_the_desk_and_ends_as_one(house: House) -> None:
    device = register(house, kind="button", device="button/1", plate="")["device"]
    ask(house, "tech", "device_test_press", device=device)
    alarm = house.alarm(device)
    (row,) = ask(house, "op", "alarm_list")
    assert (row["alarm"], row["test_by"], row["severity"]) == (alarm, "tech", 1)
    shown = ask(house, "op", "alarm_show", alarm=alarm)
    assert shown["test_until"] == row["test_until"]
    fed = [house.operations.feed_row(event) for event in house.rooms.desk.events(0, limit=100)]
    assert fed[-1]["alarm"]["test_by"] == "tech"
    found = ask(house, "tech", "device_check", device=device)
    assert (steps(found)["button"], found["waiting"]["alarm"]) == ("seen", alarm)
    ended = ask(house, "tech", "device_test_confirm", device=device)
    assert (ended["waiting"], ended["installation"]["alarm"], ended["done"]) == (None, alarm, True)
    closed = ask(house, "op", "alarm_show", alarm=alarm)
    assert (closed["work"], closed["outcome"], closed["owner"]) == ("closed", Outcome.TEST, "tech")
    assert ask(house, "op", "alarm_list") == []
    later(house, 1_000)
    house.alarm(device, number=2)
    assert [row["test_by"] for row in ask(house, "op", "alarm_list")] == [""]  # the announced press has been


def test_a_press_nobody_announced_is_an_alarm_like_any_other(house: House) -> None:
    device = register(house, kind="button", device="button/1", plate="")["device"]
    house.alarm(device)
    assert [row["test_by"] for row in ask(house, "op", "alarm_list")] == [""]
    found = ask(house, "tech", "device_check", device=device)
    assert (steps(found)["button"], found["waiting"]) == ("seen", None)
    with pytest.raises(NotFound, match="No press"):
        ask(house, "tech", "device_test_confirm", device=device)


def test_a_press_that_nobody_confirms_becomes_an_alarm_like_any_other(house: House) -> None:
    device = register(house, kind="button", device="button/1", plate="")["device"]
    ask(house, "tech", "device_test_press", device=device)
    later(house, ARMED_MS - 1)
    alarm = house.alarm(device)
    later(house, CONFIRM_MS)
    (row,) = ask(house, "op", "alarm_list")
    assert (row["test_by"], row["test_until"]) == ("", None)
    with pytest.raises(Refused, match="the desk has it"):
        ask(house, "tech", "device_test_confirm", device=device)
    assert ask(house, "op", "alarm_show", alarm=alarm)["work"] == "new"


def test_the_announcement_ends(house: House) -> None:
    device = register(house, kind="button", device="button/1", plate="")["device"]
    ask(house, "tech", "device_test_press", device=device)
    later(house, ARMED_MS)
    house.alarm(device)
    assert [row["test_by"] for row in ask(house, "op", "alarm_list")] == [""]


def test_an_alarm_that_the_desk_has_taken_is_the_desks(house: House) -> None:
    device = register(house, kind="button", device="button/1", plate="")["device"]
    ask(house, "tech", "device_test_press", device=device)
    alarm = house.alarm(device)
    ask(house, "op", "alarm_ack", alarm=alarm)
    with pytest.raises(Conflict, match="op at the desk") as caught:
        ask(house, "tech", "device_test_confirm", device=device)
    assert caught.value.who == "op"
    assert ask(house, "op", "alarm_show", alarm=alarm)["work"] == "acknowledged"


def test_a_test_outlives_a_restart(house: House) -> None:
    device = register(house, kind="button", device="button/1", plate="")["device"]
    ask(house, "tech", "device_test_press", device=device)
    house.alarm(device)
    house.operations = operations_of(house.rooms)
    assert [row["test_by"] for row in ask(house, "op", "alarm_list")] == ["tech"]


def test_only_presses_are_tests(house: House) -> None:
    device = register(house)["device"]
    ask(house, "tech", "device_test_press", device=device)
    house.alarm(device, "collision")
    assert [row["test_by"] for row in ask(house, "op", "alarm_list")] == [""]


def test_a_camera_that_is_bound_has_to_give_a_picture(house: House, cameras: Cameras) -> None:
    house.rooms.registry.ensure(["camera/gate", "camera/hall"])
    found = register(house, kind="button", device="button/1", plate="", cameras=["camera/gate", "camera/hall"])
    assert found["cameras"] == ["camera/gate", "camera/hall"]
    cameras.dark = {"camera/gate"}
    seen = ask(house, "tech", "device_test_picture", device="button/1")
    assert (steps(seen)["picture"], seen["camera"]) == ("seen", "camera/hall")
    cameras.dark = {"camera/gate", "camera/hall"}
    with pytest.raises(TryAgain, match="camera/gate: No key frame"):
        ask(house, "tech", "device_test_picture", device="button/1")
    with pytest.raises(Refused):  # its picture is no technician's: he is not installing that camera
        ask(house, "tech", "camera_snapshot", camera="camera/hall", purpose="maintenance:W1")
    register(house, imei=OTHER_IMEI)
    with pytest.raises(NotFound, match="No camera"):
        ask(house, "tech", "device_test_picture", device=f"taxi/{OTHER_IMEI}")


def test_a_camera_is_registered_watched_and_seen_by_who_installs_it(house: House, cameras: Cameras) -> None:
    ask(house, "sup", "site_add", site="school", lat=40.65, lon=109.84)
    made = register(
        house,
        kind="camera",
        device="camera/9",
        imei="",
        number="",
        plate="",
        site="school",
        rtsp="rtsp://u:secret@10.0.0.1/x",
    )
    assert "secret" not in str(made)
    assert ask(house, "sup", "site_list")[0]["cameras"] == ("camera/9",)
    assert steps(ask(house, "tech", "device_check", device="camera/9")) == {"picture": "missing"}
    assert steps(ask(house, "tech", "device_test_picture", device="camera/9")) == {"picture": "seen"}
    assert ask(house, "tech", "camera_snapshot", camera="camera/9", purpose="maintenance:W1").data
    assert cameras.dark == set()


def test_a_photo_of_a_taxis_own_camera_is_its_picture(house: House, cameras: Cameras) -> None:
    assert cameras.dark == set()
    house.rooms.registry.ensure(["camera/in-car"])
    device = register(house, cameras=["camera/in-car"])["device"]
    now = house.clock.now_ms()
    house.rooms.evidence.put(
        NewEvidence(device=device, kind="image", format="jpg", data=JPEG, time_ms=now, received_ms=now, source="jt808")
    )
    assert steps(ask(house, "tech", "device_check", device=device))["picture"] == "seen"


# -- changes, swaps, retirements ------------------------------------------------------------------


def test_a_change_on_an_older_version_is_told_who_was_first_and_how_it_is_now(house: House) -> None:
    made = register(house)
    device, version = made["device"], made["version"]
    house.rooms.registry.ensure(["camera/1"])
    changed = ask(house, "sup", "device_update", device=device, plate="蒙B7", cameras=["camera/1"], version=version)
    assert (changed["plate"], changed["cameras"]) == ("蒙B7", ["camera/1"])
    assert changed["version"] > version
    for operation, arguments in (
        ("device_update", {"plate": "蒙B8"}),
        ("device_disable", {}),
        ("device_swap", {"reason": "broken", "imei": OTHER_IMEI}),
        ("device_retire", {"reason": "sold"}),
    ):
        with pytest.raises(Conflict, match="somebody else") as caught:
            ask(house, "tech", operation, device=device, version=version, **arguments)
        assert caught.value.who == "sup"
        assert isinstance(caught.value.current, dict)
        assert caught.value.current["plate"] == "蒙B7"
    last = ask(house, "sup", "device_history", device=device)[0]
    assert (last["by"], last["action"]) == ("sup", "change")
    assert last["detail"] == {"changed": {"plate": ["蒙B·T1001", "蒙B7"], "cameras": [[], ["camera/1"]]}}
    with pytest.raises(UsageError, match="Nothing"):
        ask(house, "sup", "device_update", device=device)


def test_a_new_device_takes_over_what_the_old_one_was_bound_to(house: House) -> None:
    ask(house, "sup", "site_add", site="school", lat=40.65, lon=109.84)
    house.rooms.registry.ensure(["camera/1"])
    old = register(house, kind="button", device="button/1", plate="", site="school", name="gate", cameras=["camera/1"])
    assert ask(house, "adm", "device_credentials", device="button/1")["password"]
    house.put("button/1", [house.clock.now_ms()])
    wanted = {"new": "button/2", "imei": OTHER_IMEI, "reason": "dead", "version": old["version"]}
    new = ask(house, "tech", "device_swap", device="button/1", **wanted)
    assert (new["name"], new["site"], new["cameras"], new["owner_ref"]) == ("gate", "school", ["camera/1"], "Zhang San")
    assert (new["imei"], new["lat"], new["installation"]["how"]) == (OTHER_IMEI, 40.65, "swap")
    gone = ask(house, "sup", "device_bound", device="button/1")
    assert (gone["enabled"], gone["cameras"], gone["credential"]) == (False, [], False)
    assert gone["retired"]["successor"] == "button/2"
    assert gone["retired"]["reason"] == "dead"
    assert house.rooms.registry.get("button/1").slot != house.rooms.registry.get("button/2").slot
    now = house.clock.now_ms()
    track = ask(
        house, "sup", "track", device="button/1", from_ms=now - 1_000, to_ms=now + 1_000, purpose="maintenance:W1"
    )
    assert b"40.65" in b"".join(track.json_pieces())
    assert [row["action"] for row in ask(house, "sup", "device_history", device="button/1")][:1] == ["retire"]
    with pytest.raises(Conflict, match="retired already"):
        ask(house, "sup", "device_retire", device="button/1", reason="again")


def test_hardware_is_swapped_under_the_same_id_and_the_track_goes_on(house: House) -> None:
    device = register(house)["device"]
    slot = house.rooms.registry.get(device).slot
    swapped = ask(house, "tech", "device_swap", device=device, imei=OTHER_IMEI, number="13900000009", reason="broken")
    assert (swapped["device"], swapped["imei"], swapped["plate"]) == (device, OTHER_IMEI, "蒙B·T1001")
    assert house.rooms.registry.get(device).slot == slot
    assert (swapped["enabled"], swapped["retired"]) == (True, None)
    assert steps(ask(house, "tech", "device_check", device=device))["report"] == "missing"
    assert register(house, device="taxi/new", plate="蒙B2")["imei"] == IMEI  # the old one is free again


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"reason": ""}, UsageError),
        ({"reason": "x" * 201}, UsageError),
        ({"imei": ""}, UsageError),
        ({"imei": "490154203237519"}, UsageError),
        ({"new": "ebike/1"}, UsageError),
        ({"new": "taxi/there"}, Conflict),
        ({"imei": THIRD_IMEI, "new": "taxi/new"}, Conflict),
        ({"device": "taxi/none"}, NotFound),
    ],
)
def test_a_swap_that_cannot_be_changes_nothing(house: House, given: dict[str, Any], error: type[LuchengError]) -> None:
    register(house)
    house.rooms.registry.add("taxi/there", DeviceDetails(imei=THIRD_IMEI))
    before = house.rooms.registry.list()
    entries = ask(house, "sup", "device_history", device=f"taxi/{IMEI}")
    with pytest.raises(error):
        ask(house, "tech", "device_swap", **{"device": f"taxi/{IMEI}", "imei": OTHER_IMEI, "reason": "dead", **given})
    assert house.rooms.registry.list() == before
    assert ask(house, "sup", "device_history", device=f"taxi/{IMEI}") == entries


def test_a_camera_that_is_swapped_hangs_where_the_old_one_hung(house: House, cameras: Cameras) -> None:
    assert cameras.dark == set()
    ask(house, "sup", "site_add", site="school", lat=40.65, lon=109.84)
    register(house, kind="camera", device="camera/1", imei="", plate="", site="school", rtsp="rtsp://u:p@10.0.0.1/x")
    register(house, kind="button", device="button/1", imei=OTHER_IMEI, plate="", cameras=["camera/1"])
    ask(house, "tech", "device_swap", device="camera/1", new="camera/2", reason="blind")
    assert ask(house, "sup", "site_list")[0]["cameras"] == ("camera/2",)
    assert ask(house, "sup", "device_bound", device="button/1")["cameras"] == ["camera/2"]
    assert [row["camera"] for row in ask(house, "sup", "camera_list")] == ["camera/2"]


def test_a_retired_device_says_why_until_it_is_enabled(house: House) -> None:
    device = register(house)["device"]
    gone = ask(house, "tech", "device_retire", device=device, reason="sold")
    assert (gone["enabled"], gone["retired"]["reason"], gone["retired"]["by"]) == (False, "sold", "tech")
    assert gone["installation"]["open"] is False
    back = ask(house, "sup", "device_enable", device=device)
    assert back["enabled"]
    assert ask(house, "sup", "device_bound", device=device)["retired"] is None
    actions = [row["action"] for row in ask(house, "sup", "device_history", device=device)]
    assert actions == ["enable", "retire", "install", "add"]


# -- photos ---------------------------------------------------------------------------------------


def test_a_photo_is_kept_without_where_it_was_taken_and_read_by_keepers_alone(house: House, tmp_path: Path) -> None:
    device = register(house)["device"]
    taken = with_segments(segment(0xE1, b"Exif\0\0" + CANARY))
    kept = ask(house, "tech", "device_photo", device=device, data=taken)
    again = ask(house, "tech", "device_photo", device=device, data=taken)
    assert (kept["format"], kept["width_px"], again["photo"]) == ("jpg", 64, kept["photo"])
    (row,) = ask(house, "sup", "device_photos", device=device)
    blob = ask(house, "adm", "device_photo_read", photo=row["photo"])
    assert (blob.media_type, CANARY in blob.data) == ("image/jpeg", False)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or CANARY not in path.read_bytes(), path
    assert audited(house, "read.photo") == 1
    for who, error in (("op", Refused), ("mate", Refused)):
        with pytest.raises(error):
            ask(house, who, "device_photo_read", photo=row["photo"])
        with pytest.raises(error):
            ask(house, who, "device_photos", device=device)
    later(house, WINDOW_MS)
    with pytest.raises(Refused):
        ask(house, "tech", "device_photo_read", photo=row["photo"])
    assert ask(house, "tech", "device_photo", device=device, data=PNG)["format"] == "png"  # sent late
    with pytest.raises(Refused):
        ask(house, "mate", "device_photo", device=device, data=JPEG)


def test_a_photo_that_is_missing_changed_or_of_nobody_is_found(house: House) -> None:
    device = register(house)["device"]
    ask(house, "tech", "device_photo", device=device, data=JPEG)
    assert ask(house, "adm", "store_check")["problems"] == []
    folder = house.rooms.data_dir / "photos"
    (file,) = (one for one in folder.rglob("*") if one.is_file())
    stranger = folder / "ab" / f"{'0' * 62}.jpg"
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_bytes(b"half")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])
    found = ask(house, "adm", "store_check")
    assert [(one["place"], one["what"].split(":")[0]) for one in found["problems"]] == [
        (f"photos/{file.relative_to(folder)}", "the file was changed"),
        (f"photos/{stranger.relative_to(folder)}", "no row names this file"),
    ]
    file.unlink()
    stranger.unlink()
    (missing,) = house.rooms.photos.check()
    assert missing.what == "the file is missing"


@pytest.mark.parametrize("data", [b"", b"<svg onload=alert(1)>", b"\x00" * 64])
def test_what_is_no_photo_is_refused(house: House, data: bytes) -> None:
    device = register(house)["device"]
    with pytest.raises(BadInput):
        ask(house, "tech", "device_photo", device=device, data=data)
    assert ask(house, "tech", "device_photos", device=device) == []


def test_photos_of_a_device_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    device = register(house)["device"]
    monkeypatch.setattr(house.rooms.photos, "_max_photos", 1)
    ask(house, "tech", "device_photo", device=device, data=JPEG)
    with pytest.raises(Refused, match="1 photos already"):
        ask(house, "tech", "device_photo", device=device, data=PNG)


@pytest.mark.parametrize("photo", ["", "F", "F-1", "F999999", "../../etc/passwd", "F1/../x", "F" + "9" * 30])
def test_a_photo_that_is_none_is_not_found(house: House, photo: str) -> None:
    with pytest.raises(NotFound):
        ask(house, "sup", "device_photo_read", photo=photo)


# -- import ---------------------------------------------------------------------------------------


def test_an_import_is_in_the_histories_and_doubts_imeis(house: House) -> None:
    raw = f"id,imei,name\ntaxi/1,{IMEI},=1+1\ntaxi/2,490154203237519,\ntaxi/3,x\n".encode()
    dry = ask(house, "tech", "device_import", data=raw, dry_run=True)
    assert house.rooms.registry.list() == []
    found = ask(house, "tech", "device_import", data=raw)
    assert found["rows"] == dry["rows"]
    assert [(row["result"], bool(row["note"])) for row in found["rows"]] == [
        ("added", False),
        ("added", True),
        ("refused", False),
    ]
    assert "check digit 8" in found["rows"][1]["note"]
    (entry,) = ask(house, "tech", "device_history", device="taxi/1")
    assert (entry["action"], entry["by"], entry["detail"]["changed"]["imei"]) == ("import", "tech", ["", IMEI])
