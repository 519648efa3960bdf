"""Cameras in the registry: settings there and back, addresses sealed, changes noticed."""

from __future__ import annotations

import json
import logging
import math
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.camera_addresses import checked_address, shown_address
from devices.camera_checks import (
    ALARM_CAUSES,
    DEFAULT_CAMERA_LIMITS,
    DIRECTIONS,
    from_stored,
    read_settings,
    settings_to_json,
    stored_text,
    unmasked_fraction,
)
from devices.cameras import Cameras
from devices.registry import Registry
from devices.schema import MIGRATIONS
from devices.secrets import SealedSecrets
from devices.sites import Sites
from model.camera import RECORD_MODES, TRANSPORTS, CameraSettings, DecodePolicy, Line, ObjectKind, Zone, ZoneRule
from model.clock import FakeClock
from model.device import Site
from model.errors import Conflict, Corrupt, LuchengError, NotFound, Refused, StoreError, UsageError

CANARY = "canary-9d21"
URL = f"rtsp://admin:{CANARY}@10.0.0.9:554/Streaming/101?token={CANARY}"
SHOWN = "rtsp://10.0.0.9:554/Streaming/101"
SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
NO_MASK = CameraSettings()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "secret.key"


@pytest.fixture
def cameras(registry: Registry, key_file: Path) -> Cameras:
    registry.ensure(["camera/1", "camera/2", "taxi/1"])
    return Cameras(registry.file, key_file)


# -- settings ---------------------------------------------------------------------------------

_unit = st.floats(0.0, 1.0, allow_nan=False)
_words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@st.composite
def rings(draw: st.DrawFn) -> tuple[tuple[float, float], ...]:
    """A polygon whose corners go once round a point, so that it never crosses itself."""
    corners = draw(st.integers(3, 12))
    radius = draw(st.floats(0.05, 0.4))
    x, y = draw(st.floats(radius, 1 - radius)), draw(st.floats(radius, 1 - radius))
    turns = [2 * math.pi * place / corners for place in range(corners)]
    return tuple(
        (min(max(x + radius * math.cos(turn), 0.0), 1.0), min(max(y + radius * math.sin(turn), 0.0), 1.0))
        for turn in turns
    )


@st.composite
def camera_settings(draw: st.DrawFn) -> CameraSettings:
    """Settings as they may be."""
    names = draw(st.lists(_words, max_size=6, unique=True))
    objects = draw(st.booleans())
    kinds = st.lists(st.sampled_from(ObjectKind), unique=True).map(tuple)
    zones, lines = [], []
    for place, name in enumerate(names):
        if objects and place % 2:
            lines.append(
                Line(name, (draw(_unit), 0.0), (draw(_unit), 1.0), draw(st.sampled_from(DIRECTIONS)), draw(kinds))
            )
            continue
        rule = draw(st.sampled_from(ZoneRule)) if objects else ZoneRule.MOTION
        zones.append(
            Zone(
                name,
                draw(rings()),
                rule,
                draw(kinds) if rule is not ZoneRule.MOTION else (),
                draw(st.floats(0.5, 86_400)) if rule is ZoneRule.STAY else 0.0,
                draw(st.integers(1, 1_000)) if rule is ZoneRule.COUNT else 0,
                draw(st.booleans()),
            )
        )
    return CameraSettings(
        policy=draw(st.sampled_from(DecodePolicy)),
        transport=draw(st.sampled_from(TRANSPORTS)),
        record=draw(st.sampled_from(RECORD_MODES)),
        sensitivity=draw(_unit),
        objects=objects,
        zones=tuple(zones),
        lines=tuple(lines),
        masks=tuple(draw(st.lists(rings(), max_size=3))),
        ignore=tuple(draw(st.lists(rings(), max_size=3))),
        health_alarms=tuple(draw(st.lists(st.sampled_from(ALARM_CAUSES), unique=True))),
        pre_roll_s=draw(st.floats(0, 30)),
        post_roll_s=draw(st.floats(0, 200)),
    )


@given(camera_settings())
@settings(max_examples=80)
def test_settings_there_and_back(made: CameraSettings) -> None:
    as_json = settings_to_json(made)
    assert read_settings(json.loads(json.dumps(as_json))) == made
    assert from_stored(stored_text(made)) == made
    assert read_settings({}, base=made) == made


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "ring", "rule", "start", "end", "kinds", "x"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*settings_to_json(NO_MASK), "other"]), _anything, max_size=4))
@settings(max_examples=150)
def test_whatever_is_given_is_settings_or_a_usage_error(given_values: dict[str, Any]) -> None:
    try:
        made = read_settings(given_values)
    except UsageError as error:
        refusal = error
    else:
        assert from_stored(stored_text(made)) == made
        return
    assert refusal.mend
    assert refusal.message.isprintable()


def _zone(**values: Any) -> dict[str, Any]:
    return {"zones": [{"name": "gate", "ring": SQUARE, **values}], "objects": True}


@pytest.mark.parametrize(
    ("values", "path", "allowed"),
    [
        ({"polici": "off"}, "polici", "Did you mean policy"),
        ({"policy": "all"}, "policy", "auto, off, keyframes"),
        ({"transport": "http"}, "transport", "tcp, udp"),
        ({"record": True}, "record", "off, events, continuous"),
        ({"sensitivity": 1.01}, "sensitivity", "0 to 1"),
        ({"sensitivity": "high"}, "sensitivity", "0 to 1"),
        ({"sensitivity": math.nan}, "sensitivity", "0 to 1"),
        ({"objects": 1}, "objects", "true or false"),
        ({"health_alarms": ["offline", "rain"]}, "health_alarms[1]", "offline, black"),
        ({"health_alarms": ["offline", "offline"]}, "health_alarms", "once"),
        ({"pre_roll_s": 31}, "pre_roll_s", "camera.ring_s"),
        ({"post_roll_s": 295}, "post_roll_s", "clips.max_length_s"),
        ({"zones": {}}, "zones", "[ ]"),
        ({"zones": [3]}, "zones[0]", "name, ring"),
        ({"zones": [{"ring": SQUARE}]}, "zones[0].name", "Needed"),
        ({"zones": [{"name": "z", "ring": SQUARE}] * 17}, "zones", "16 at most"),
        ({"lines": [{}] * 17}, "lines", "16 at most"),
        ({"masks": [SQUARE] * 17}, "masks", "16 at most"),
        ({"ignore": [SQUARE] * 17}, "ignore", "16 at most"),
        (_zone(name="x" * 65), "zones[0].name", "Shorten it to 64"),
        (_zone(name=" "), "zones[0].name", "Write a name"),
        (_zone(name="a\nb"), "zones[0].name", "Take it out"),
        (_zone(name="a\u202eb"), "zones[0].name", "Take it out"),
        (_zone(name="\ud800"), "zones[0].name", "Take it out"),
        (_zone(ring=SQUARE[:2]), "zones[0].ring", "3 to 64"),
        (_zone(ring=[[0.5, 0.5]] * 66), "zones[0].ring", "65 at most"),
        (_zone(ring=[[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]), "zones[0].ring", "once round"),
        (_zone(ring=[[0.1, 0.1], [0.1, 0.1005], [0.1005, 0.1]]), "zones[0].ring", "0.0001"),
        (_zone(ring=[*SQUARE[:3], [0.1, 1.2]]), "zones[0].ring[3][1]", "0 to 1"),
        (_zone(ring=[*SQUARE[:3], [0.1]]), "zones[0].ring[3]", "[x, y]"),
        (_zone(rule="sleep"), "zones[0].rule", "motion, enter"),
        (_zone(kinds=["car"]), "zones[0].kinds", "Leave kinds out"),
        (_zone(rule="enter", kinds=["face"]), "zones[0].kinds[0]", "person, bicycle"),
        (_zone(rule="stay"), "zones[0].stay_s", "more than 0"),
        (_zone(rule="enter", stay_s=3), "zones[0].stay_s", "Leave it out"),
        (_zone(rule="count"), "zones[0].max_count", "1 to 1000"),
        (_zone(rule="count", max_count=1.5), "zones[0].max_count", "whole number"),
        (_zone(rule="enter", max_count=2), "zones[0].max_count", "Leave it out"),
        ({**_zone(rule="enter"), "objects": False}, "zones[0].rule", "objects = true"),
        ({"lines": [{"name": "l", "start": [0, 0], "end": [1, 1]}]}, "lines[0]", "objects = true"),
        ({"lines": [{"name": "l", "start": [0, 0], "end": [0, 0]}], "objects": True}, "lines[0].end", "0.01"),
        (
            {**_zone(), "lines": [{"name": "gate ", "start": [0, 0], "end": [1, 1]}]},
            "lines[0].name",
            "name of its own",
        ),
    ],
)
def test_a_wrong_value_is_named_by_its_path_with_what_may_stand_there(
    values: dict[str, Any], path: str, allowed: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings(values)
    assert re.split(r":? ", caught.value.message)[0].rstrip(":") == path
    assert allowed in caught.value.message + " " + caught.value.mend


def test_a_ring_that_is_closed_is_the_same_ring_not_closed() -> None:
    assert read_settings(_zone(ring=[*SQUARE, SQUARE[0]])) == read_settings(_zone())
    most = DEFAULT_CAMERA_LIMITS.max_corners
    turns = [2 * math.pi * place / most for place in range(most)]
    circle = [[0.5 + 0.4 * math.cos(turn), 0.5 + 0.4 * math.sin(turn)] for turn in turns]
    assert len(read_settings(_zone(ring=[*circle, circle[0]])).zones[0].ring) == most


def test_how_much_of_the_picture_is_not_masked_any_more() -> None:
    small = read_settings({"masks": [[[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]]})
    large = read_settings({"masks": [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]})
    assert unmasked_fraction(NO_MASK, large) == unmasked_fraction(small, large) == unmasked_fraction(large, large) == 0
    assert unmasked_fraction(large, small) == pytest.approx(0.25)
    assert unmasked_fraction(large, NO_MASK) == pytest.approx(0.5)


# -- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (URL, SHOWN),
        ("rtsps://10.0.0.9/", "rtsps://10.0.0.9/"),
        ("rtsp://u:p%40ss@[fd00::1]:8554/a", "rtsp://[fd00::1]:8554/a"),
        (f"rtsp://10.0.0.9/user=admin&password={CANARY}&channel=1/s.sdp", "rtsp://10.0.0.9/…/s.sdp"),
        (f"rtsp://10.0.0.9/a;{CANARY}", "rtsp://10.0.0.9/…"),
        ("  file:street.mp4 ", "file:street.mp4"),
        ("rtsp://h/" + "a" * 200, "rtsp://h/" + "a" * 99 + "…"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(address: str, shown: str) -> None:
    assert shown_address(checked_address(address)) == shown


@pytest.mark.parametrize(
    "address",
    [
        "",
        f"http://{CANARY}@169.254.169.254/",
        f"HTTPS://{CANARY}/",
        "file:../../etc/passwd",
        "file:/etc/passwd",
        "file:.hidden",
        "file:",
        "file:a/b.mp4",
        "file:a\\b",
        "concat:a|b",
        "rtsp:///nohost",
        f"rtsp://admin:1{CANARY}/x@10.0.0.9/",
        f"rtsp://admin:12/{CANARY}@10.0.0.9/",
        f"rtsp://admin:12?{CANARY}@10.0.0.9/",
        f"rtsp://admin:12#{CANARY}@10.0.0.9/",
        "rtsp://10.0.0.9:99999/",
        "rtsp://[::1/",
        f"rtsp://{CANARY}\\@10.0.0.9/",
        f"rtsp://10.0.0.9/\n{CANARY}",
        f"rtsp://10.0.0.9/ {CANARY}",
        f"rtsp://10.0.0.9/\u2028{CANARY}",
        "rtsp://10.0.0.9/" + "a" * 2_048,
        "subfile,,start,0,end,0,,:/etc/passwd",
    ],
)
def test_s11_an_address_that_is_none_is_refused_without_being_quoted(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_address(address)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text(st.sampled_from("rtspfile:/@#?\\[]%0a1. -ü\n"), max_size=30))
@settings(max_examples=200)
def test_every_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        address = checked_address(f"rtsp://u:{CANARY}{text}@10.0.0.9/x")
    except UsageError:
        return
    assert CANARY not in shown_address(address)


# -- the table --------------------------------------------------------------------------------


def test_a_camera_is_put_read_changed_and_removed(cameras: Cameras, registry: Registry) -> None:
    made = cameras.put("camera/1", NO_MASK, url=URL)
    assert (made.device, made.shown, made.shown_sub, made.enabled, made.parked) == ("camera/1", SHOWN, "", True, "")
    setup = cameras.setup("camera/1")
    assert (setup.url, setup.sub_url, setup.settings, setup.version) == (URL, "", NO_MASK, made.version)
    assert cameras.setups() == [setup]
    same = cameras.put("camera/1", NO_MASK)
    assert same == made
    louder = CameraSettings(policy=DecodePolicy.SUBSTREAM)
    with pytest.raises(UsageError, match="no sub-stream"):
        cameras.put("camera/1", louder)
    changed = cameras.put("camera/1", louder, sub_url="file:sub.mp4")
    assert changed.version > made.version
    assert (cameras.get("camera/1"), cameras.setup("camera/1").sub_url) == (louder, "file:sub.mp4")
    assert cameras.setup("camera/1").url == URL
    with pytest.raises(UsageError, match="no sub-stream"):
        cameras.put("camera/1", louder, sub_url="")
    assert cameras.put("camera/1", NO_MASK, sub_url="").shown_sub == ""
    assert cameras.setup("camera/1").sub_url == ""
    cameras.remove("camera/1")
    assert not cameras.list()
    assert not cameras.setups()
    for call in (cameras.get, cameras.setup, cameras.remove, cameras.unpark):
        with pytest.raises(NotFound):
            call("camera/1")
    with pytest.raises(UsageError, match="no address"):
        cameras.put("camera/1", NO_MASK)
    assert registry.get("camera/1").enabled


def test_what_cannot_be_put_changes_nothing(cameras: Cameras, registry: Registry) -> None:
    before = registry.version()
    for device, error in (("taxi/1", UsageError), ("camera/9", NotFound), ("camera", UsageError), ("", UsageError)):
        with pytest.raises(error):
            cameras.put(device, NO_MASK, url=URL)
    for addresses in ({"url": "http://x/"}, {"url": URL, "sub_url": "x"}, {}):
        with pytest.raises(UsageError):
            cameras.put("camera/1", NO_MASK, **addresses)
    assert registry.version() == before
    assert cameras.list() == []


def test_pages_and_sites(cameras: Cameras, registry: Registry) -> None:
    registry.ensure([f"camera/{number}" for number in range(3, 8)])
    for number in range(1, 8):
        cameras.put(f"camera/{number}", NO_MASK, url=URL)
    Sites(registry.file).add(Site("school", "", "", "", 40.0, 109.0, ("camera/6", "camera/2")))
    assert [one.device for one in cameras.list(site="school")] == ["camera/2", "camera/6"]
    assert cameras.list(site="' OR 1=1 --") == []
    first = cameras.list(limit=4)
    rest = cameras.list(after=first[-1].slot, limit=4)
    assert [one.device for one in first + rest] == [f"camera/{number}" for number in range(1, 8)]
    for limit in (0, 10_001):
        with pytest.raises(UsageError):
            cameras.list(limit=limit)


def test_changes_are_noticed_and_only_they(cameras: Cameras, registry: Registry, key_file: Path) -> None:
    assert not cameras.changed_since(-1)
    cameras.put("camera/1", NO_MASK, url=URL)
    cameras.put("camera/2", NO_MASK, url=URL)
    found = cameras.changed_since(-1)
    assert [one.device for one in found.setups] == ["camera/1", "camera/2"]
    assert cameras.changed_since(found.version) == type(found)(found.version)
    registry.ensure(["taxi/2"])
    other = cameras.changed_since(found.version)
    assert other.version > found.version
    assert not other
    # another process sees it as well
    beside = Cameras(Registry(registry.file.path, clock=FakeClock(), read_only=True).file, key_file)
    cameras.put("camera/2", CameraSettings(record="events"))
    (changed,) = beside.changed_since(other.version).setups
    assert (changed.device, changed.settings.record, changed.url) == ("camera/2", "events", URL)
    last = beside.changed_since(other.version).version
    registry.disable("camera/1")
    cameras.remove("camera/2")
    gone = cameras.changed_since(last)
    assert (gone.setups, set(gone.gone.values())) == ((), {"camera/1", "camera/2"})
    registry.enable("camera/1")
    (back,) = cameras.changed_since(gone.version).setups
    assert (back.device, back.version) == ("camera/1", found.setups[0].version)


def test_a_camera_is_set_aside_and_let_back(cameras: Cameras, registry: Registry) -> None:
    before = cameras.put("camera/1", NO_MASK, url=URL).version
    with pytest.raises(Conflict):
        cameras.unpark("camera/1")
    cameras.park("camera/1", "died 3 times\n" + "x" * 300)
    record = cameras.record("camera/1")
    assert record.parked.startswith("died 3 times xxx")
    assert len(record.parked) == 200
    assert cameras.parked() == {"camera/1": record.parked}
    assert [one.device for one in cameras.setups()] == ["camera/1"]
    cameras.put("camera/1", CameraSettings(record="events"), url=URL)
    assert cameras.parked()
    assert cameras.unpark("camera/1").parked == ""
    assert cameras.record("camera/1").version > before
    assert cameras.parked() == {}


def test_a_deleted_device_leaves_no_address_to_its_successor(cameras: Cameras, registry: Registry) -> None:
    cameras.put("camera/1", NO_MASK, url=URL, sub_url=URL)
    cameras.put("camera/2", NO_MASK, url=URL)
    version = registry.version()
    old = registry.get("camera/1").slot
    registry.delete("camera/1")
    assert cameras.changed_since(version).gone == {old: "camera/1"}
    registry.add("camera/1")
    with pytest.raises(NotFound):
        cameras.setup("camera/1")
    with registry.file.reading() as connection:
        assert connection.execute("SELECT name FROM secret").fetchall() == [("camera/2:rtsp",)]
    cameras.put("camera/1", NO_MASK, url="file:a.mp4")
    assert cameras.setup("camera/1").slot != old
    found = cameras.changed_since(version)
    assert [one.url for one in found.setups] == ["file:a.mp4"]
    assert found.gone == {old: "camera/1"}


def test_an_address_that_does_not_open_stops_no_other_camera(cameras: Cameras, registry: Registry) -> None:
    cameras.put("camera/1", NO_MASK, url=URL)
    cameras.put("camera/2", NO_MASK, url=URL)
    with registry.file.changing() as change:
        change.connection.execute("UPDATE secret SET sealed = ? WHERE name = 'camera/1:rtsp'", (bytes(40),))
    assert [(one.device, one.url) for one in cameras.setups()] == [("camera/1", ""), ("camera/2", URL)]
    with pytest.raises(Corrupt):
        cameras.setup("camera/1")


def test_without_the_key_no_address_opens_and_lists_go_on(cameras: Cameras, key_file: Path) -> None:
    cameras.put("camera/1", NO_MASK, url=URL)
    key_file.unlink()
    assert [one.shown for one in cameras.list()] == [SHOWN]
    for call in (cameras.setups, lambda: cameras.setup("camera/1"), lambda: cameras.put("camera/2", NO_MASK, url=URL)):
        with pytest.raises(Refused):
            call()
    assert [one.device for one in cameras.list()] == ["camera/1"]


def test_s17_no_address_is_on_the_disk_in_a_log_or_in_a_repr(
    cameras: Cameras, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[object] = [cameras.put("camera/1", NO_MASK, url=URL, sub_url=URL)]
    said += [cameras, cameras.list(), cameras.setup("camera/1"), cameras.setups(), cameras.changed_since(-1)]
    for bad in (URL.replace("rtsp:", "ftp:"), URL + "#", URL + "\n"):
        with pytest.raises(LuchengError) as caught:
            cameras.put("camera/1", NO_MASK, url=bad + "\x00")
        said.append(caught.value)
    cameras.remove("camera/1")
    assert CANARY not in repr(said) + str(said) + caplog.text
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes(), path


def test_an_older_registry_is_brought_up_to_date_with_its_sealed_addresses(tmp_path: Path, key_file: Path) -> None:
    path = tmp_path / "registry.db"
    before_cameras = next(number for number, script in enumerate(MIGRATIONS) if "CREATE TABLE camera" in script)
    made = Registry(path, clock=FakeClock())
    made.ensure(["taxi/1", "camera/1", "camera/2"])
    SealedSecrets(made.file, key_file).set("camera/1:rtsp", URL)
    made.close()
    with sqlite3.connect(path) as connection:  # as the last lucheng without cameras left it
        for table in ("camera", "history", "device_camera", "retirement", "installation", "photo"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute(f"PRAGMA user_version={before_cameras:d}")
    connection.close()
    with pytest.raises(StoreError, match="older lucheng"):
        Registry(path, clock=FakeClock(), read_only=True)
    again = Registry(path, clock=FakeClock())
    (setup,) = Cameras(again.file, key_file).setups()
    assert (setup.device, setup.url, setup.settings) == ("camera/1", URL, NO_MASK)
    again.close()
