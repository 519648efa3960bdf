"""A desk that watches no camera itself: clips, snapshots, live views and recordings of the machines that do."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import pytest

from console.live.viewer import Told
from lucheng.nats_choice import open_alarms
from lucheng.video.sharing.rows import UNWATCHED
from model.camera import CameraSettings, CameraState
from model.evidence import Evidence
from model.video import Fragment
from tests.lucheng.video.sharing.desk_side import GRANT, DeskSide
from tests.lucheng.video.sharing.house import SharingHouse


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SharingHouse]:
    made = SharingHouse(
        tmp_path, cameras=4, camera={"record": "continuous"}, more={"recording": {"segment_s": 5, "min_free_bytes": 0}}
    )
    yield made
    made.close()


@pytest.fixture
def desk(house: SharingHouse) -> Iterator[DeskSide]:
    made = DeskSide(house)
    yield made
    made.close()


def pictures_in(data: bytes) -> int:
    """Pictures of a video file; fails where a player would."""
    with av.open(io.BytesIO(data), "r") as container:
        return sum(1 for _ in container.decode(video=0))


def spread_of(jpeg: bytes) -> int:
    """From the darkest to the brightest pixel of a JPEG."""
    with av.open(io.BytesIO(jpeg), "r") as container:
        luma = next(container.decode(video=0)).to_ndarray(format="gray")
    return int(luma.max()) - int(luma.min())


def messages_in(desk: DeskSide) -> dict[str, int]:
    """What lies in the streams of wishes, answers and bytes."""
    link = desk.cameras._link
    names = desk.cameras._names
    return {
        stream: link.call(link.api(f"STREAM.INFO.{stream}"))["state"]["messages"]
        for stream in (names.asks, names.answers, f"OBJ_{names.files}")
    }


def videos(desk: DeskSide, alarm: str) -> list[Evidence]:
    return [piece for piece in desk.evidence(alarm) if piece.kind == "video"]


@pytest.mark.soak
def test_a_press_s_clips_are_made_by_the_machines_that_have_the_cameras(house: SharingHouse, desk: DeskSide) -> None:
    one, two = house.machine("one"), house.machine("two")
    house.wait_all_watched([one, two])
    time.sleep(5)  # of pre-roll
    alarm = desk.press()
    house.wait(lambda: len(desk.evidence(alarm)) == 4, "two clips and two snapshots")
    assert [piece.device for piece in videos(desk, alarm)] == ["camera/1", "camera/2"]
    assert all(pictures_in(desk.data(piece)) >= 60 for piece in videos(desk, alarm))
    house.wait(lambda: not any(messages_in(desk).values()), "nothing to be left")
    with closing(open_alarms(house.typed, desk.rooms.clock, read_only=True)) as log:  # what cameras notice is there
        records = log.read(0, max_records=1_000, max_bytes=1 << 20)
    assert all(any(name.encode() in record.payload for record in records) for name in house.names)
    told = "video_asks_told"
    house.wait(lambda: sum(machine.status()["values"][told] for machine in (one, two)) == 4, "four wishes told")


@pytest.mark.soak
def test_a_wish_outlives_machine_and_desk_and_is_stored_once(house: SharingHouse, desk: DeskSide) -> None:
    for name in house.names:
        house.cameras.put(name, CameraSettings(health_alarms=(), pre_roll_s=4.0, post_roll_s=20.0))
    desk.cameras.changed()
    one, two = house.machine("one"), house.machine("two")
    house.wait_all_watched([one, two])
    alarm = desk.press()
    house.wait(lambda: messages_in(desk)[desk.cameras._names.asks] == 2, "both clips to be wished for")
    dies = next(machine for machine in (one, two) if "camera/1" in machine.watched())
    dies.kill()
    desk.end()
    desk.open()
    house.wait(lambda: len(videos(desk, alarm)) == 2, "both clips")
    house.wait(lambda: not any(messages_in(desk).values()), "nothing to be left")
    assert [piece.device for piece in videos(desk, alarm)] == ["camera/1", "camera/2"]
    assert all(pictures_in(desk.data(piece)) >= 50 for piece in videos(desk, alarm))


@pytest.mark.soak
def test_live_view_snapshot_clip_and_recording_through_the_desk(house: SharingHouse, desk: DeskSide) -> None:
    hidden = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    house.cameras.put("camera/3", CameraSettings(health_alarms=(), masks=(hidden,)))
    desk.cameras.changed()
    states = desk.cameras.states()
    assert {row.loss for row in states.values()} == {UNWATCHED}
    one = house.machine("one")
    house.wait_all_watched([one])
    house.wait(
        lambda: {row.state for row in desk.cameras.states().values()} == {CameraState.ONLINE}, "all to be online"
    )
    assert {row.machine for row in desk.cameras.states().values()} == {"one"}
    jpeg, _ = desk.cameras.snapshot("camera/3", 30)
    assert spread_of(jpeg) < 10  # masks are burned in before anything leaves the worker
    assert spread_of(desk.cameras.snapshot("camera/2", 30)[0]) > 100
    now_ms = desk.rooms.clock.now_ms()
    clip = desk.cameras.clip("camera/3", now_ms - 2_000, now_ms + 1_000, 30)
    assert pictures_in(clip.data) >= 20

    viewer = desk.cameras.hub.open("camera/2", "mp4")
    data = b""
    seen: list[Fragment] = []

    def take() -> bool:
        nonlocal data
        while (found := viewer.take()) is not None:
            assert isinstance(found, Fragment), found
            seen.append(found)
            data += found.data
        desk.cameras.hub.tick()
        return len(seen) > 30

    house.wait(take, "live pictures")
    assert seen[0].kind == "init"
    assert seen[1].keyframe
    assert pictures_in(data) >= 20
    viewer.close()

    def ended() -> bool:
        desk.cameras.hub.tick()
        return bool(one.status()["values"]["video_views"] == 0)

    house.wait(ended, "the view to end")

    house.wait(
        lambda: desk.cameras.recorded_clip(GRANT, "camera/4", now_ms - 1_000, now_ms + 1_000) is not None, "a recording"
    )
    recorded = desk.cameras.recorded_clip(GRANT, "camera/4", now_ms - 1_000, now_ms + 1_000)
    assert recorded is not None
    assert pictures_in(recorded.data) >= 10
    house.wait(lambda: not any(messages_in(desk).values()), "nothing to be left")


@pytest.mark.soak
def test_a_live_view_ends_with_its_machine_and_goes_on_with_the_next(house: SharingHouse, desk: DeskSide) -> None:
    one = house.machine("one")
    house.wait_all_watched([one])
    desk.cameras.hub.open("camera/1", "jpeg").close()
    viewer = desk.cameras.hub.open("camera/1", "mp4")
    kinds: list[str] = []
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(0.05):
            desk.cameras.hub.tick()
            while (found := viewer.take()) is not None:
                kinds.append(found.what if isinstance(found, Told) else found.kind)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        house.wait(lambda: kinds.count("media") > 10, "live pictures")
        two = house.machine("two")
        house.wait(two.status, "the other to be there")
        one.kill()
        house.wait(lambda: "ended" in kinds, "the viewer to be told")
        house.wait(lambda: kinds[::-1].index("ended") > 10 and kinds[-1] == "media", "pictures of the other")
    finally:
        stop.set()
        thread.join()
