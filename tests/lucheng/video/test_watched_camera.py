"""One camera in its worker, packet by packet: hangs, masks that cannot be burned, wakes, pre-rolls, a thousand reconnects."""

from __future__ import annotations

import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import psutil
import pytest

from analytics.gate.limits import PlanLimits
from config.cameras import Camera
from ingest.video.address import check_address
from ingest.video.opening import OpenTurns
from ingest.video.recording_disk import RecordingDisk
from ingest.video.seams import Loss, LossReason
from ingest.video.watchdog import Watchdog
from lucheng.video.crumbs import Crumbs
from lucheng.video.messages import FromWorker, ToWorker, Wire
from lucheng.video.outbox import Outbox
from lucheng.video.slab import Slab
from lucheng.video.stays import Stays
from lucheng.video.surroundings import Surroundings
from lucheng.video.watched_camera import WatchedCamera
from model.camera import CameraSettings, CameraSetup, DecodePolicy
from model.clock import FakeClock
from model.video import NewSegment, Packet
from tests.conftest import wait_until
from tests.ingest.video.material import START_MS
from tests.lucheng.video.worker_side import frames_of, packets_of

CAMERA = "camera/1"
LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
FULL = CameraSettings(policy=DecodePolicy.FULL)
STUCK = Loss(LossReason.STUCK, "reading hung for 20 s", 1.0)
ENDED = Loss(LossReason.ENDED, "the camera ended the stream", 1.0)


class HeldClock(FakeClock):
    """Whoever asks for monotonic time on a thread of that name waits until it is let go: a library that hangs."""

    def __init__(self) -> None:
        super().__init__(START_MS)
        self.hung = threading.Event()
        self.go_on = threading.Event()
        #: Seconds that pass with each question.
        self.pace_s = 0.0

    def monotonic_s(self) -> float:
        if threading.current_thread().name == "hangs":
            self.hung.set()
            self.go_on.wait()
        if self.pace_s:
            self.advance(self.pace_s)
        return super().monotonic_s()


class House:
    """What surrounds cameras in a worker; nothing connects, the test is their connection."""

    def __init__(self, folder: Path) -> None:
        self.clock = HeldClock()
        self.made: list[NewSegment] = []
        self.hung: list[str] = []
        self.folder = folder
        ours, theirs = socket.socketpair()
        self.wire: Wire[FromWorker] = Wire(ours, FromWorker)
        self._theirs: Wire[ToWorker] = Wire(theirs, ToWorker)
        self.outbox = Outbox(self._theirs, on_broken=lambda: None)
        self.crumbs = Crumbs.make(2)
        self.slab = Slab(2, self.clock)
        self.disk = RecordingDisk(
            folder,
            clock=self.clock,
            finished=self.made.append,
            segment_s=600,
            min_free_bytes=0,
            max_camera_bytes=1 << 28,
        )
        self.disk.start()
        limits = Camera()
        self.around = Surroundings(
            limits=limits,
            plan=PlanLimits(),
            clock=self.clock,
            turns=OpenTurns(8, clock=self.clock, seed=1),
            watchdog=Watchdog(clock=self.clock),
            crumbs=self.crumbs,
            slab=self.slab,
            outbox=self.outbox,
            disk=self.disk,
            address=lambda url: check_address(url, allow_networks=[], files_dir=None),
            look=None,
            hung=self.hung.append,
            seed=1,
        )

    def camera(self, settings: CameraSettings = FULL, row: int = 0) -> WatchedCamera:
        """One that has entered the slab, and is not connected."""
        made = WatchedCamera(CameraSetup(CAMERA, row, "rtsp://10.0.0.1/1", "", settings, 1), row, self.around)
        self.slab.enter(row, made, sensitivity=0.5, zones=None, ignore=None)
        return made

    def close(self) -> None:
        """End everything."""
        self.clock.go_on.set()
        self.disk.stop(drain_s=30)
        self.outbox.close(5)
        self.wire.close()
        self._theirs.close()
        self.crumbs.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def hanging(run: Callable[[], None]) -> threading.Thread:
    """Runs until the clock holds it."""
    thread = threading.Thread(target=run, name="hangs", daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("masked", [False, True])
def test_a_thread_that_hung_and_comes_back_touches_nothing(house: House, *, masked: bool) -> None:
    camera = house.camera(replace(FULL, masks=(LEFT_HALF,)) if masked else FULL)
    first, again = packets_of(), packets_of(epoch=2)

    def old() -> None:
        camera.on_open(first[0].info)
        camera.on_packet(first[0])

    thread = hanging(old)
    wait_until(house.clock.hung.is_set)
    camera.on_lost(STUCK)  # the watchdog has given it up
    assert house.hung == [CAMERA]
    camera.on_open(again[0].info)
    house.clock.go_on.set()
    thread.join()
    assert house.slab.step() == 0
    assert len(camera.ring) == (0 if masked else 1)
    for packet in again[:5]:
        camera.on_packet(packet)
    assert house.slab.step() == 1
    assert camera.report().decoded == 5 + (not masked)
    camera.on_lost(ENDED)


def test_a_camera_whose_masks_cannot_be_burned_gives_nothing(house: House) -> None:
    camera = house.camera(replace(FULL, masks=(((0.0, 0.0), (1.0, 1.0)),), record="continuous"))
    with pytest.raises(ValueError, match="masks"):
        camera.on_open(packets_of()[0].info)
    with pytest.raises(AssertionError):
        camera.on_packet(packets_of()[0])
    camera.start_live("jpeg")
    camera.start_live("mp4")
    assert len(camera.ring) == 0
    assert camera.snapshot() == (b"", 0)
    assert house.slab.step() == 0
    camera.stop(5)
    house.disk.wait_idle(10)
    assert not house.made


def test_a_masked_camera_that_comes_back_is_masked_by_a_new_encoder(house: House) -> None:
    camera = house.camera(replace(FULL, masks=(LEFT_HALF,)))
    for epoch in (1, 2, 3):
        packets = packets_of(epoch=epoch)
        camera.on_open(packets[0].info)
        for packet in packets[:12]:
            camera.on_packet(replace(packet, time_ms=packet.time_ms + 10_000 * epoch))
        camera.on_lost(ENDED)
    sent = {packet.data for packet in packets_of()}
    kept = camera.ring.since_keyframe(0)
    assert len(kept) == 36
    assert not any(packet.data in sent for packet in kept)
    assert [packet.info.epoch for packet in kept[::12]] == [1, 2, 3]
    assert all(kept[place].keyframe for place in (0, 12, 24))
    assert camera.report().bad == 0


def test_who_looks_for_a_moment_does_not_end_what_an_alarm_demands(house: House) -> None:
    camera = house.camera(CameraSettings(policy=DecodePolicy.OFF))
    packets = packets_of()
    camera.on_open(packets[0].info)
    for packet in packets[:5]:
        camera.on_packet(packet)
    assert camera.report().mode == "off"
    camera.wake(START_MS + 60_000)
    camera.start_live("jpeg")  # demands five seconds
    camera.renew_demand()
    camera.stop_live("jpeg")
    camera.wake(START_MS + 10_000)
    for packet in packets[5:]:
        camera.on_packet(replace(packet, time_ms=packet.time_ms + 50_000))
    assert camera.report().mode == "full"
    assert camera.report().decoded >= 30
    camera.on_packet(replace(packets[0], time_ms=START_MS + 61_000))
    assert camera.report().mode == "off"


def test_catching_up_takes_no_longer_than_a_picture_may(house: House) -> None:
    camera = house.camera(CameraSettings(policy=DecodePolicy.OFF))
    packets = packets_of()
    camera.on_open(packets[0].info)
    for packet in packets[:9]:
        camera.on_packet(packet)
    camera.wake(START_MS + 60_000)
    house.clock.pace_s = 1.0  # each packet takes a second, and five hang
    camera.on_packet(replace(packets[9], time_ms=packets[9].time_ms + 1_000))
    house.clock.pace_s = 0.0
    caught_up = camera.report().decoded
    assert caught_up <= 1
    for packet in packets[10:20]:
        camera.on_packet(replace(packet, time_ms=packet.time_ms + 1_000))
    report = camera.report()
    assert report.decoded == caught_up + 10
    assert report.bad == 0


def test_what_is_recorded_around_events_misses_no_packet(house: House) -> None:
    """Events come from another thread at any moment."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    camera = house.camera(
        CameraSettings(policy=DecodePolicy.OFF, record="events", pre_roll_s=1.5, post_roll_s=0.7),
    )
    packets = packets_of()
    over = threading.Event()
    newest_ms, told = [START_MS], [0]

    def events() -> None:
        while not over.is_set():
            camera.event(newest_ms[0])
            told[0] += 1
            over.wait(rng.uniform(0, 0.004))

    camera.on_open(packets[0].info)
    telling = threading.Thread(target=events)
    telling.start()
    for turn in itertools.count():
        if told[0] >= 80:
            break
        off = turn * len(packets) * 100
        for packet in packets:
            sent = replace(packet, pts=packet.pts + off * 90, dts=packet.dts + off * 90, time_ms=packet.time_ms + off)
            camera.on_packet(sent)
            newest_ms[0] = sent.time_ms
    over.set()
    telling.join()
    camera.stop(5)
    assert house.disk.wait_idle(30)
    recorded = 0
    for segment in house.made:
        with av.open(str(house.folder / segment.file)) as container:
            stream = container.streams.video[0]
            base = stream.time_base
            assert base is not None
            times = [round(float(one.pts * base), 3) for one in container.demux(stream) if one.pts is not None]
        recorded += len(times)
        assert all(later - earlier == pytest.approx(0.1, abs=0.002) for earlier, later in pairwise(times))
    assert recorded >= 40


def test_a_packet_that_comes_while_an_event_takes_its_pre_roll_is_in_it_or_follows_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = house.camera(CameraSettings(policy=DecodePolicy.OFF, record="events"))
    packets = packets_of()
    camera.on_open(packets[0].info)
    for packet in packets[:15]:
        camera.on_packet(packet)
    coming = threading.Thread(target=camera.on_packet, args=(packets[15],))
    take = camera.ring.since_keyframe

    def slowly(from_ms: int) -> list[Packet]:
        found = take(from_ms)
        coming.start()
        coming.join(0.3)  # it may not get past the event; if it did, it would be lost
        return found

    monkeypatch.setattr(camera.ring, "since_keyframe", slowly)
    camera.event(packets[14].time_ms)
    coming.join()
    camera.on_packet(packets[16])
    camera.stop(5)
    assert house.disk.wait_idle(30)
    (segment,) = house.made
    assert len(frames_of(house.folder / segment.file)) == 17


def test_together_stays_are_one_crumb(house: House) -> None:
    stays = Stays(house.crumbs, 1, house.clock)
    house.clock.advance(5)
    assert house.crumbs.suspects() == []
    with stays:
        with stays:
            assert house.crumbs.suspects() == [1]
        assert house.crumbs.suspects() == [1]  # the snapshot is made, the camera's own thread is inside still
    house.crumbs.write(0, 1, house.clock.monotonic_s())
    assert house.crumbs.suspects() == [0]


@pytest.mark.parametrize(("settings", "times"), [(FULL, 300), (replace(FULL, masks=(LEFT_HALF,)), 60)])
def test_memory_is_flat_over_reconnects(house: House, settings: CameraSettings, times: int) -> None:
    camera = house.camera(settings)
    process = psutil.Process()

    def reconnect(epoch: int) -> None:
        packets = packets_of()
        info = replace(packets[0].info, epoch=epoch)
        camera.on_open(info)
        for packet in packets[:6]:
            camera.on_packet(again(packet, info, epoch))
        house.slab.step()
        camera.on_lost(ENDED)

    def again(packet: Packet, info: Any, epoch: int) -> Packet:
        return replace(packet, info=info, time_ms=packet.time_ms + 1_000 * epoch)

    for epoch in range(1, 50):
        reconnect(epoch)
    before = process.memory_info().rss
    for epoch in range(50, 50 + times):
        reconnect(epoch)
    assert process.memory_info().rss - before < 12 << 20
    assert camera.report().decoded == 6 * (49 + times)
    assert camera.ring.span_ms <= 31_000
