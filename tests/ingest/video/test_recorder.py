"""The recorder: no picture lost or twice, cuts where they belong, gaps that show, crashes, slow and full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pytest

from ingest.video import nal
from ingest.video.recorder import SegmentWriter
from ingest.video.recording_disk import RecordingDisk
from ingest.video.segment_file import SegmentFile
from model.clock import FakeClock, SystemClock
from model.errors import UsageError
from model.video import NewSegment, Packet
from store.audit import AuditLog
from store.recordings.folder import Adopted
from tests.conftest import wait_until
from tests.ingest.video.material import CARPARK, PROJECT, START_MS, encoded, moving, real_packets
from tests.store.recordings.house import GRANT, opened

CAMERA = "camera/12"


class House:
    """A disk and what it told."""

    def __init__(self, folder: Path, **options: int) -> None:
        self.folder = folder
        self.clock = FakeClock(START_MS)
        self.made: list[NewSegment] = []
        self.said: list[tuple[str, str]] = []
        self.disk = RecordingDisk(
            folder,
            clock=self.clock,
            finished=self.made.append,
            said=lambda camera, why: self.said.append((camera, why)),
            **{"segment_s": 10, "min_free_bytes": 0, **options},
        )

    def close(self) -> list[NewSegment]:
        self.disk.stop(drain_s=20)
        return self.made

    def packets(self, new: NewSegment) -> list[bytes]:
        with av.open(str(self.folder / new.file), "r") as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    def all_packets(self) -> list[bytes]:
        return [packet for one in self.made for packet in self.packets(one)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    house.disk.start()
    yield house
    house.close()


def camera(seconds: int = 8, *, gop: int = 15, epoch: int = 1, at_s: float = 0.0, size: int = 96) -> list[Packet]:
    """15 pictures a second."""
    return encoded(moving(seconds * 15, 160, size), gop=gop, epoch=epoch, start_ms=START_MS + round(at_s * 1_000))


def put(writer: SegmentWriter, packets: Sequence[Packet]) -> None:
    for packet in packets:
        writer.put(packet)


def test_every_packet_of_a_real_clip_is_recorded_once(house: House) -> None:
    packets = real_packets(CARPARK)
    writer = SegmentWriter(CAMERA, house.disk)
    put(writer, packets)
    writer.close()
    made = house.close()
    assert house.all_packets() == [packet.data for packet in packets]
    assert made[0].from_ms == START_MS
    assert all(one.to_ms == following.from_ms for one, following in pairwise(made))
    assert {(one.codec, one.width_px, one.height_px, one.masked) for one in made} == {("h264", 768, 432, False)}
    inner = made[1:-1]
    assert inner
    assert all(abs(one.to_ms - one.from_ms - 10_000) <= 4_800 for one in inner)  # its keyframes are 4.8 s apart
    assert writer.left_out == 0
    with (
        closing(AuditLog(house.folder / "audit.db", clock=house.clock)) as audit,
        closing(opened(house.folder, audit)) as store,
    ):
        for one in made:
            store.enter(one)
        (span,) = store.coverage(GRANT, CAMERA, 0, 10**15)
        assert (span.from_ms, span.to_ms) == (made[0].from_ms, made[-1].to_ms)
        assert store.check() == []


def test_it_begins_with_a_keyframe_and_cuts_at_breaks_and_new_parameters(house: House) -> None:
    first, again, other = camera(2), camera(2, epoch=2, at_s=4), camera(2, epoch=2, at_s=6, size=112)
    writer = SegmentWriter(CAMERA, house.disk, masked=True)
    put(writer, first[5:])
    writer.broke()
    put(writer, again)
    put(writer, other)
    writer.close()
    made = house.close()
    assert [(one.from_ms - START_MS, one.to_ms - START_MS, one.height_px) for one in made] == [
        (1_000, 2_000, 96),
        (4_000, 6_000, 96),
        (6_000, 8_000, 112),
    ]
    assert all(one.masked and one.file.endswith(".masked.mp4") for one in made)


def test_a_new_epoch_and_a_jump_of_time_cut_without_being_told(house: House) -> None:
    writer = SegmentWriter(CAMERA, house.disk)
    put(writer, camera(1))
    put(writer, camera(1, epoch=2, at_s=3))
    put(writer, [replace(one, time_ms=one.time_ms + 3_600_000) for one in camera(2, epoch=2, at_s=4)])
    writer.close()
    spans = [(one.from_ms - START_MS, one.to_ms - one.from_ms) for one in house.close()]
    assert spans == [(0, 1_000), (3_000, 1_000), (3_604_000, 2_000)]


def test_without_keyframes_a_segment_ends_all_the_same(tmp_path: Path) -> None:
    house = House(tmp_path, segment_s=1)
    house.disk.start()
    writer = SegmentWriter(CAMERA, house.disk)
    put(writer, camera(8, gop=1_000))
    writer.close()
    (one,) = house.close()
    assert one.to_ms - one.from_ms == pytest.approx(4_000, abs=100)


def test_motion_is_counted_per_segment(house: House) -> None:
    writer = SegmentWriter(CAMERA, house.disk)
    writer.moved(500)  # nothing is being recorded
    put(writer, camera(2))
    writer.moved(700)
    writer.moved(100_000)
    writer.broke()
    put(writer, camera(1, epoch=2, at_s=4))
    writer.close()
    assert [one.motion_ms for one in house.close()] == [2_000, 0]


def test_events_are_recorded_from_their_pre_roll_to_after_the_last(house: House) -> None:
    packets = camera(20)
    writer = SegmentWriter(CAMERA, house.disk, mode="events", after_s=3.0)
    put(writer, packets[:75])
    assert not writer.recording
    writer.event(packets[74].time_ms, packets[20:75])  # 5 s; from a keyframe: 2 s
    writer.put(packets[74])  # the camera's thread comes second
    put(writer, packets[75:105])
    writer.event(packets[104].time_ms, packets[20:105])  # 7 s: on to 10 s
    put(writer, packets[105:])
    assert not writer.recording
    writer.event(packets[-1].time_ms)  # without a pre-roll it begins at the next keyframe
    put(writer, camera(1, epoch=2, at_s=20))
    writer.close()
    made = house.close()
    assert made[0].from_ms == START_MS + 2_000
    whole = house.all_packets()
    assert whole[: len(packets[30:150])] == [nal.with_lengths(packet.data, 0) for packet in packets[30:150]]
    assert made[-1].from_ms == START_MS + 20_000


def test_off_is_off(house: House) -> None:
    writer = SegmentWriter(CAMERA, house.disk, mode="off")
    put(writer, camera(1))
    writer.event(START_MS, camera(1))
    writer.close()
    assert house.close() == []
    with pytest.raises(UsageError):
        SegmentWriter(CAMERA, house.disk, mode="sometimes")


def test_a_slow_disk_leaves_out_to_the_next_keyframe_and_never_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, max_camera_bytes=12_000)
    slow, going = threading.Event(), threading.Event()
    write = SegmentFile.write

    def waits(file: SegmentFile, packet: Packet) -> None:
        going.set()
        assert slow.wait(30)
        write(file, packet)

    monkeypatch.setattr(SegmentFile, "write", waits)
    house.disk.start()
    packets = camera(8)
    writer = SegmentWriter(CAMERA, house.disk)
    writer.put(packets[0])
    assert going.wait(30)
    put(writer, packets[1:60])  # returns though nothing is written
    left = writer.left_out
    assert left > 0
    slow.set()
    assert house.disk.wait_idle(30)
    put(writer, packets[60:62])
    assert house.disk.wait_idle(30)
    for packet in packets[62:]:
        writer.put(packet)
        assert house.disk.wait_idle(30)
    writer.close()
    made = house.close()
    assert len(made) == 2
    assert made[0].to_ms < made[1].from_ms  # the gap shows
    written = house.all_packets()
    assert len(written) + writer.left_out == len(packets)
    for one in made:
        with av.open(str(tmp_path / one.file), "r") as container:
            assert sum(1 for _ in container.decode(video=0)) == len(house.packets(one))


def test_a_full_disk_stops_recording_says_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, min_free_bytes=1 << 62)
    house.disk.start()
    assert [camera for camera, _ in house.said] == [""]
    writer = SegmentWriter(CAMERA, house.disk)
    put(writer, camera(1))
    assert writer.left_out == 15
    assert not writer.recording
    house.disk._min_free_bytes = 0
    house.clock.advance(5)
    wait_until(lambda: house.disk.why_stopped == "", what="room")
    put(writer, camera(1, at_s=2))
    assert house.disk.wait_idle(30)
    house.disk._min_free_bytes = 1 << 62  # and it fills up while a segment is open
    house.clock.advance(5)
    wait_until(lambda: house.disk.why_stopped != "", what="no room")
    (made,) = house.close()
    assert made.from_ms == START_MS + 2_000
    assert [bool(why) for _, why in house.said] == [True, False, True]


def test_a_write_that_fails_costs_the_end_of_one_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, segment_s=3_600)
    house.disk.start()
    real, budget = os.write, [8_000]

    def full(descriptor: int, data: bytes) -> int:
        if not budget:
            return real(descriptor, data)
        if budget[0] <= 0:
            raise OSError(28, "No space left on device")
        taken = real(descriptor, bytes(data)[: budget[0]])
        budget[0] -= taken
        return taken

    monkeypatch.setattr("ingest.video.segment_file.os.write", full)
    bad, good = SegmentWriter(CAMERA, house.disk), SegmentWriter("camera/13", house.disk)
    put(bad, camera(4))
    assert house.disk.wait_idle(30)
    budget.clear()
    put(bad, camera(2, at_s=4))  # within the time in which it is left alone
    put(good, camera(2))
    assert house.disk.wait_idle(30)
    house.clock.advance(11)
    put(bad, camera(2, at_s=6))
    bad.close()
    good.close()
    made = house.close()
    mine = [one for one in made if one.camera == CAMERA]
    assert [one.from_ms - START_MS for one in mine] == [0, 6_000]
    for one in made:
        with av.open(str(house.folder / one.file), "r") as container:
            assert sum(1 for _ in container.decode(video=0)) > 0
    assert len(made) == 3
    assert house.said == [(CAMERA, "cannot be recorded: No space left on device"), (CAMERA, "")]
    assert not list(house.folder.rglob("*.part"))


def test_a_folder_that_is_a_file_stops_one_camera_alone(house: House) -> None:
    (house.folder / "camera.12").write_bytes(b"")
    bad, good = SegmentWriter(CAMERA, house.disk), SegmentWriter("camera/13", house.disk)
    put(bad, camera(2))
    put(good, camera(2))
    bad.close()
    good.close()
    assert [one.camera for one in house.close()] == ["camera/13"]
    assert house.said[0][0] == CAMERA


def test_garbage_stops_one_camera_alone(house: House) -> None:
    bad, good = SegmentWriter(CAMERA, house.disk), SegmentWriter("camera/13", house.disk)
    packets = camera(2)
    nothing = replace(packets[0].info, extradata=b"")
    put(bad, [replace(one, data=b"\xff" * 50, info=nothing) for one in packets])
    put(bad, [replace(one, time_ms=-1) for one in camera(1)])
    put(good, packets)
    bad.close()
    good.close()
    assert [one.camera for one in house.close()] == ["camera/13"]


_KILLED = """
import sys, time
from pathlib import Path
from ingest.video import nal
from ingest.video.recorder import SegmentWriter
from ingest.video.recording_disk import RecordingDisk
from model.clock import SystemClock
from tests.ingest.video.test_recorder import CAMERA, camera
disk = RecordingDisk(Path(sys.argv[1]), clock=SystemClock(), finished=print, segment_s=3_600, min_free_bytes=0)
disk.start()
writer = SegmentWriter(CAMERA, disk)
for packet in camera(5):
    writer.put(packet)
disk.wait_idle(30)
print("written", flush=True)
time.sleep(600)
"""


def test_killed_in_the_middle_of_a_segment(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(folder)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline().startswith("written")
        with (
            closing(AuditLog(tmp_path / "audit.db", clock=SystemClock())) as audit,
            closing(opened(folder, audit)) as store,
        ):
            assert store.adopt() == Adopted()  # it is alive: its file is locked
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            assert store.adopt() == Adopted(repaired=1)
            (one,) = store.list(GRANT, CAMERA, 0, 10**15)
            assert (one.from_ms, one.adopted) == (START_MS, True)
            assert abs(one.to_ms - one.from_ms - 4_000) <= 1  # but for the last group, which was not whole
            with store.read(GRANT, one.id)[1] as file, av.open(file, "r") as container:
                assert sum(1 for _ in container.decode(video=0)) == 60
            assert store.check() == []
