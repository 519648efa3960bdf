"""How cameras are, from the machines that have them to a desk; what nobody watches."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from console.camera_seams import CameraRow
from devices.cameras import Cameras
from devices.registry import Registry
from lucheng.video.sharing.known import KnownCameras
from lucheng.video.sharing.rows import ALL_EVERY_S, MAX_ROWS, STALE_S, UNWATCHED, FarRows, RowTeller, UnwatchedCameras
from model.camera import CameraSettings, CameraState
from model.clock import FakeClock


@pytest.fixture
def known(tmp_path: Path) -> KnownCameras:
    registry = Registry(tmp_path / "registry.db", clock=FakeClock())
    cameras = Cameras(registry.file, tmp_path / "secret.key")
    registry.ensure(["camera/1", "camera/2"])
    for device in ("camera/1", "camera/2"):
        cameras.put(device, CameraSettings(), url="rtsp://10.0.0.1/1")
    found = KnownCameras(cameras)
    found.refresh()
    return found


def online(device: str) -> CameraRow:
    return CameraRow(device, CameraState.ONLINE, 5, fps=10.0, media_age_s=0.1, codec="h264")


def tell(rows: FarRows, teller: RowTeller, *told: CameraRow) -> None:
    for said in teller.next({row.device: row for row in told}):
        assert rows.take("", said) is None


def test_rows_reach_the_desk_and_what_is_told_no_more_is_nobody_s(known: KnownCameras) -> None:
    clock = FakeClock()
    rows, teller = FarRows(known, clock), RowTeller("one")
    assert {row.loss for row in rows.states().values()} == {UNWATCHED}
    tell(rows, teller, online("camera/1"), online("camera/9"))
    found = rows.states()
    assert found.keys() == {"camera/1", "camera/2"}  # of the registry's
    one = found["camera/1"]
    assert (one.state, one.since_ms, one.fps, one.machine) == (CameraState.ONLINE, 5, 10.0, "one")
    assert one.media_age_s == pytest.approx(0.1)
    assert math.isnan(one.lag_ms)
    assert rows.codec_of("camera/1") == "h264"
    clock.advance(STALE_S - 1)
    assert rows.states()["camera/1"].media_age_s == pytest.approx(STALE_S - 0.9)
    clock.advance(2)
    assert rows.states()["camera/1"].loss == UNWATCHED
    rows.take("", b"nonsense")


def test_changes_are_told_at_once_and_all_rows_in_their_turn() -> None:
    teller = RowTeller("one")
    rows = {f"camera/{number}": online(f"camera/{number}") for number in range(30)}
    assert len(teller.next(rows)) == 1
    later = [teller.next(rows) for _ in range(ALL_EVERY_S)]
    assert all(len(said) == 1 for said in later)
    assert sum(len(said[0]) for said in later) > len(rows) * 40
    many = {f"camera/{number}": online(f"camera/{number}") for number in range(MAX_ROWS + 1)}
    assert len(RowTeller("two").next(many)) == 2
    assert RowTeller("three").next({}) == []


def test_a_camera_that_nobody_watches_raises_one_alarm_until_somebody_does(known: KnownCameras) -> None:
    clock = FakeClock()
    rows, teller, raised = FarRows(known, clock), RowTeller("one"), list[str]()
    unwatched = UnwatchedCameras(rows, 30.0, raised.append)
    unwatched.look()
    clock.advance(31)
    tell(rows, teller, online("camera/2"))
    unwatched.look()
    unwatched.look()
    assert raised == ["camera/1"]
    tell(rows, teller, online("camera/1"), online("camera/2"))
    unwatched.look()
    clock.advance(STALE_S + 1)
    unwatched.look()
    assert raised == ["camera/1"]
    clock.advance(31)
    unwatched.look()
    assert sorted(raised) == ["camera/1", "camera/1", "camera/2"]
