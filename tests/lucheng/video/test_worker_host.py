"""A real worker with simulated cameras: watched, woken, viewed, clipped, recorded, set otherwise, taken away.

All cameras of the module are in one worker and begin together: video takes its time, and so they take it at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from lucheng.video.messages import Made, Noticed, Piece, Recorded, Reports, StartLive, StopLive, Wake
from lucheng.video.video_values import WORKERS
from lucheng.video.watched_camera import STOPPED_TEXT
from model.camera import CameraSettings, DecodePolicy, Zone
from model.video import NewSegment
from simulator.camera.rtsp import Channel, RtspCameras
from tests.conftest import wait_until
from tests.lucheng.video.worker_side import (
    FPS,
    HEIGHT_PX,
    WAIT_S,
    WIDTH_PX,
    Worker,
    busy_film,
    decoded,
    frames_of,
    packets_of,
    pictures_of,
    still_film,
    write_file,
)

EVERYWHERE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
FULL = CameraSettings(policy=DecodePolicy.FULL)
#: Cameras of the module, by what is tested with them.
MOVES, CLIPPED, OWN_VIEW, MADE_VIEW, SINGLE, BY_SUB, SEEN_BY_SUB, MASKED, EVENTS, REPLACED, RETURNS, TURNED = (
    f"camera/{number}" for number in range(12)
)
SETTINGS = {
    MOVES: CameraSettings(policy=DecodePolicy.FULL, zones=(Zone("road", EVERYWHERE),)),
    SINGLE: CameraSettings(policy=DecodePolicy.OFF),
    SEEN_BY_SUB: CameraSettings(policy=DecodePolicy.SUBSTREAM),
    MASKED: CameraSettings(masks=(LEFT_HALF,), record="continuous"),
    EVENTS: CameraSettings(policy=DecodePolicy.FULL, record="events", pre_roll_s=2.0, post_roll_s=1.0),
    RETURNS: CameraSettings(policy=DecodePolicy.FULL, record="continuous"),
    TURNED: FULL,
}


class Town:
    """Cameras, and the worker that watches them; servers of their own for those that go."""

    def __init__(self, folder: Path) -> None:
        self.cameras = RtspCameras(
            {f"/{n}": Channel(busy_film()) for n in range(3)} | {"/still": Channel(still_film())}
        )
        self.subs = RtspCameras({"/sub": Channel(busy_film(), muted=True)})
        self.other_subs = RtspCameras({"/sub": Channel(busy_film())})
        self.going = RtspCameras({"/1": Channel(busy_film())})
        for one in (self.cameras, self.subs, self.other_subs, self.going):
            one.start()
        write_file(folder / "h264.mp4", packets_of())
        write_file(folder / "h265.mp4", packets_of("libx265"))
        write_two_sizes(folder / "turned.ts")
        self.worker = Worker(folder, rows=16)
        urls = {
            OWN_VIEW: "file:h264.mp4",
            MADE_VIEW: "file:h265.mp4",
            BY_SUB: "file:h265.mp4",
            TURNED: "file:turned.ts",
            EVENTS: self.cameras.url("/still"),
            SEEN_BY_SUB: self.cameras.url("/still"),
            RETURNS: self.going.url("/1"),
        }
        subs = {BY_SUB: self.subs, SEEN_BY_SUB: self.other_subs, MASKED: self.subs}
        for row, device in enumerate(
            (
                MOVES,
                CLIPPED,
                OWN_VIEW,
                MADE_VIEW,
                SINGLE,
                BY_SUB,
                SEEN_BY_SUB,
                MASKED,
                EVENTS,
                REPLACED,
                RETURNS,
                TURNED,
            )
        ):
            self.worker.watch(
                device,
                urls.get(device, self.cameras.url("/1")),
                row=row,
                sub_url=subs[device].url("/sub") if device in subs else "",
                settings=SETTINGS.get(device),
            )
        for device in (MASKED, CLIPPED, EVENTS, OWN_VIEW, MADE_VIEW, BY_SUB):
            self.worker.report(device, lambda one: one.ring_ms >= 2_500)
        self.playing_before = self.subs.playing
        self.began_ms = round(time.time() * 1000)
        for device in (OWN_VIEW, MADE_VIEW, BY_SUB, MASKED, REPLACED, RETURNS, TURNED):
            self.worker.send(StartLive(device, "mp4"))
        for device in (SINGLE, MASKED, REPLACED):
            self.worker.send(StartLive(device, "jpeg"))
        self.clip = self.worker.ask_clip(CLIPPED, self.began_ms - 2_000, self.began_ms + 1_000)
        self.masked_clip = self.worker.ask_clip(MASKED, self.began_ms - 1_500, self.began_ms)
        self.recording_before = self.worker.report(EVENTS).recording
        self.worker.send(Wake(EVENTS, self.began_ms + 2_000))

    def close(self) -> None:
        """End everything."""
        self.worker.close()
        for one in (self.cameras, self.subs, self.other_subs, self.going):
            one.stop()


def write_two_sizes(path: Path) -> None:
    """A film that goes on in another size, as a camera sends whose resolution is set."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        container.start_encoding()
        base = stream.time_base
        assert base is not None
        for place, packet in enumerate((*packets_of()[:20], *packets_of(width_px=480)[:20])):
            made: Any = av.Packet(packet.data)
            made.stream, made.time_base = stream, base
            made.pts = made.dts = round(place / FPS / base)
            made.is_keyframe = packet.keyframe
            container.mux_one(made)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("town"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def worker(town: Town) -> Worker:
    return town.worker


def _shows_main(worker: Worker) -> bool:
    last = worker.pieces(BY_SUB)[-1]
    return last.transcoded and last.kind == "media"


def _ends(device: str, mode: str, piece: Piece) -> bool:
    return (piece.fragment.camera, piece.mode, piece.fragment.kind) == (device, mode, "end")


def number_of(picture_of_film: npt.NDArray[np.uint8]) -> int:
    """Which picture of `packets_of` it is: the bright square goes five pixels further with each."""
    row = picture_of_film[HEIGHT_PX // 3 + 15].mean(axis=1)
    return round(int(np.argmax(row > 190)) / 5)


def picture(jpeg: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def test_a_camera_is_watched_and_tells_what_moves(worker: Worker) -> None:
    begins = worker.wait(Noticed, lambda one: one.device == MOVES and one.kind == "motion_in_zone")
    assert (begins.rule, begins.alarm, begins.cleared) == ("road", True, False)
    report = worker.report(MOVES, lambda one: one.decoded > 20 and one.moving)
    assert (report.codec, report.width_px, report.height_px, report.link) == ("h264", WIDTH_PX, HEIGHT_PX, "open")
    assert report.mode == "full"
    assert report.fps == pytest.approx(FPS, rel=0.2)
    assert report.keyframe_gap_s == pytest.approx(1.0, rel=0.2)
    assert (report.bad, report.loss) == (0, "")
    jpeg = worker.snapshot(MOVES)
    assert picture(jpeg.jpeg).shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert abs(jpeg.time_ms - time.time() * 1000) < WAIT_S * 1000
    worker.drop(MOVES)

    def told() -> list[bool]:
        return [one.cleared for one in worker.of(Noticed) if (one.device, one.kind) == (MOVES, "motion_in_zone")]

    wait_until(lambda: told()[-1], WAIT_S, "its end")
    assert told() == [False, True] * (len(told()) // 2)
    wait_until(
        lambda: all(one.device != MOVES for one in worker.of(Reports)[-1].cameras), WAIT_S, "a report without it"
    )


def test_a_clip_begins_with_the_keyframe_before_and_ends_after_its_end(town: Town, worker: Worker) -> None:
    clip = worker.wait(Made, lambda one: one.request == town.clip).clip
    assert clip is not None
    assert town.began_ms - 2_000 - 1_100 <= clip.from_ms <= town.began_ms - 2_000
    assert clip.to_ms >= town.began_ms + 1_000 - 150
    assert not clip.transcoded
    shown = [frame.pts or 0 for frame in frames_of(clip.data)]
    assert len(shown) == clip.frames
    assert all(later > earlier for earlier, later in pairwise(shown))
    gone = worker.ask_clip("camera/none", 0, 1)
    none = worker.wait(Made, lambda one: one.request == gone)
    assert (none.clip, none.note) == (None, "the camera has just left this worker")


@pytest.mark.parametrize("device", [OWN_VIEW, MADE_VIEW])
def test_live_view_begins_at_once_and_plays(town: Town, worker: Worker, device: str) -> None:
    wait_until(lambda: len(worker.pieces(device)) >= 25, WAIT_S, "pieces")
    worker.send(StopLive(device, "mp4"))
    found = worker.pieces(device)
    assert found[0].kind == "init"
    assert found[1].keyframe
    # from the ring: what was there already, by a clock that a late packet may have set a little ahead
    assert found[1].time_ms <= town.began_ms + 500
    assert all(one.kind == "media" for one in found[1:])
    assert all(one.transcoded == (device == MADE_VIEW) for one in found)
    # None is left out between the ring and the view, and none comes twice; the film goes round.
    numbers = [number_of(one) for one in decoded(found)]
    assert len(numbers) == len(found) - 1
    assert all((later - earlier) % len(packets_of()) == 1 for earlier, later in pairwise(numbers))


def test_single_pictures_are_sent_while_somebody_looks(worker: Worker) -> None:
    wait_until(lambda: len(worker.pieces(SINGLE, "jpeg")) >= 4, WAIT_S, "pictures")
    worker.send(StopLive(SINGLE, "jpeg"))
    found = worker.pieces(SINGLE, "jpeg")
    assert {one.kind for one in found} == {"jpeg"}
    assert picture(found[-1].data).shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert min(later.time_ms - earlier.time_ms for earlier, later in pairwise(found)) >= 250


def test_nothing_unmasked_leaves_a_masked_camera(town: Town, worker: Worker) -> None:
    made = worker.wait(Made, lambda one: one.request == town.masked_clip)
    wait_until(lambda: len(worker.pieces(MASKED)) > 10, WAIT_S, "the live view")
    wait_until(lambda: len(worker.pieces(MASKED, "jpeg")) >= 2, WAIT_S, "single pictures")
    assert made.clip is not None
    assert made.clip.transcoded
    assert worker.report(MASKED).masked
    assert all(one.transcoded for one in worker.pieces(MASKED))
    seen = [picture(worker.snapshot(MASKED).jpeg)]
    seen += [picture(one.data) for one in worker.pieces(MASKED, "jpeg")]
    seen += decoded(worker.pieces(MASKED))
    seen += pictures_of(made.clip.data)
    worker.drop(MASKED)
    segment = worker.wait(Recorded, lambda one: one.segment.camera == MASKED).segment
    assert segment.masked
    seen += pictures_of(worker.recordings / segment.file)
    assert len(seen) > 40
    for one in seen:
        assert one[:, : WIDTH_PX // 2 - 2].max() <= 16
        assert one[:, WIDTH_PX // 2 + 8 :].mean() > 40


def test_an_alarm_is_recorded_with_what_came_before(town: Town, worker: Worker) -> None:
    """Nothing has moved before this camera; it was woken."""
    assert not town.recording_before
    segment = worker.wait(Recorded, lambda one: one.segment.camera == EVENTS).segment
    assert town.began_ms - 2_000 - 1_100 <= segment.from_ms <= town.began_ms - 2_000 + 1_000
    # Until then, give or take what the camera's clock is mapped to ours by while the machine is busy.
    assert town.began_ms + 1_000 <= segment.to_ms <= town.began_ms + 2_000 + 1_500
    shown = frames_of(worker.recordings / segment.file)
    assert len(shown) == pytest.approx((segment.to_ms - segment.from_ms) / 100, abs=2)


def test_who_looks_is_told_when_the_camera_is_set_otherwise(town: Town, worker: Worker) -> None:
    for mode in ("mp4", "jpeg"):
        wait_until(partial(worker.pieces, REPLACED, mode), WAIT_S, "pieces")
    worker.watch(REPLACED, town.cameras.url("/2"), row=9, settings=CameraSettings(masks=(LEFT_HALF,)))
    for mode in ("mp4", "jpeg"):
        end = worker.wait(Piece, partial(_ends, REPLACED, mode), what=f"the end of {mode}").fragment
        assert end.data.decode() == STOPPED_TEXT
    worker.report(REPLACED, lambda one: one.masked and one.ring_ms > 500)
    assert worker.pieces(REPLACED)[-1].kind == "end"


def test_an_h265_camera_is_shown_by_its_sub_stream_and_by_itself_when_that_goes(town: Town, worker: Worker) -> None:
    assert town.playing_before == 0
    wait_until(lambda: len(worker.pieces(BY_SUB)) > 1, WAIT_S, "the main stream's pictures")
    first = worker.pieces(BY_SUB)[:2]
    assert [(one.kind, one.transcoded) for one in first] == [("init", True), ("media", True)]
    town.subs.channels["/sub"].muted = False
    wait_until(lambda: any(not one.transcoded for one in worker.pieces(BY_SUB)), WAIT_S, "the sub-stream's pictures")
    own = next(place for place, one in enumerate(worker.pieces(BY_SUB)) if not one.transcoded)
    wait_until(lambda: len(worker.pieces(BY_SUB)) > own + 8, WAIT_S, "more of them")
    assert [one.kind for one in worker.pieces(BY_SUB)[own : own + 2]] == ["init", "media"]
    assert not any(one.transcoded for one in worker.pieces(BY_SUB)[own:])
    town.subs.stop()
    wait_until(partial(_shows_main, worker), WAIT_S, "the main stream again")
    worker.send(StopLive(BY_SUB, "mp4"))
    again = max(place for place, one in enumerate(worker.pieces(BY_SUB)) if not one.transcoded) + 1
    assert worker.pieces(BY_SUB)[again].kind == "init"
    assert len(decoded(worker.pieces(BY_SUB)[again:])) >= 1


def test_a_sub_stream_is_decoded_where_it_is_set_so_and_its_end_counts_as_no_hang(town: Town, worker: Worker) -> None:
    worker.report(SEEN_BY_SUB, lambda one: one.mode == "substream" and one.moving, what="motion in the sub-stream")
    assert town.other_subs.playing == 1
    # Somebody wants everything of it: the main stream is decoded, the sub-stream is not wanted any more.
    worker.send(Wake(SEEN_BY_SUB, round(time.time() * 1000) + 60_000))
    worker.report(SEEN_BY_SUB, lambda one: one.mode == "full")
    wait_until(lambda: town.other_subs.playing == 0, WAIT_S, "the sub-stream to be closed")
    counts = worker.of(Reports)[-1].counts
    assert counts["threads_hung_total"] == 0
    assert counts.keys() <= WORKERS.keys()


def test_a_camera_that_goes_and_comes_back_is_watched_as_before(town: Town, worker: Worker) -> None:
    wait_until(lambda: len(worker.pieces(RETURNS)) > 5, WAIT_S, "pieces")
    port = town.going.port
    town.going.stop()
    lost = worker.report(RETURNS, lambda one: one.loss)
    assert lost.link in {"waiting", "opening"}
    assert not lost.moving
    count = len(worker.pieces(RETURNS))
    town.going = RtspCameras({"/1": Channel(busy_film())}, port=port)
    town.going.start()
    back = worker.report(RETURNS, lambda one: one.epoch == 2 and one.decoded > lost.decoded + 5)
    assert (back.bad, back.loss) == (0, "")
    wait_until(lambda: len(worker.pieces(RETURNS)) > count + 5, WAIT_S, "pieces of the new connection")
    assert worker.pieces(RETURNS)[count].keyframe
    worker.drop(RETURNS)

    def recorded() -> list[NewSegment]:
        return [one.segment for one in worker.of(Recorded) if one.segment.camera == RETURNS]

    wait_until(lambda: len(recorded()) == 2, WAIT_S, "both recordings")
    first, second = recorded()
    assert first.from_ms < second.from_ms


def test_other_parameters_in_the_middle_of_a_stream(worker: Worker) -> None:

    def inits() -> list[int]:
        return [place for place, one in enumerate(worker.pieces(TURNED)) if one.kind == "init"]

    wait_until(lambda: len(inits()) >= 2, WAIT_S, "a second beginning")
    report = worker.report(TURNED, lambda one: one.width_px == 480)
    assert report.epoch == 1
    wait_until(lambda: len(worker.pieces(TURNED)) > inits()[1] + 1, WAIT_S, "its first picture")
    found, (first, second) = worker.pieces(TURNED), inits()[:2]
    assert found[second + 1].keyframe
    assert {one.shape[1] for one in decoded(found[first:second])} | {
        one.shape[1] for one in decoded(found[second:])
    } == {
        WIDTH_PX,
        480,
    }
    wait_until(lambda: picture(worker.snapshot(TURNED).jpeg).shape[1] == 480, WAIT_S, "a snapshot of that size")
    worker.report(TURNED, lambda one: one.decoded > report.decoded + 10)
    assert worker.report(TURNED).bad == 0


def test_neighbours_do_not_notice_a_camera_that_is_none(town: Town, worker: Worker) -> None:
    before = worker.report(CLIPPED)
    worker.watch("camera/n", town.cameras.url("/none"), row=12)
    worker.watch("camera/s", "file:../secrets.mp4", row=13)
    worker.watch("camera/h", "http://127.0.0.1/", row=14)
    assert worker.report("camera/n", lambda one: one.loss).loss == "not_found"
    assert worker.report("camera/s", lambda one: one.loss).loss == "refused"
    assert worker.report("camera/h", lambda one: one.loss).loss == "refused"
    empty = worker.snapshot("camera/n")
    assert (empty.jpeg, empty.note) == (b"", "it has sent no picture yet")
    assert worker.snapshot("camera/x").note == "the camera has just left this worker"
    report = worker.report(CLIPPED, lambda one: one.decoded > before.decoded)
    assert (report.loss, report.epoch) == ("", before.epoch)


def test_when_the_service_goes_what_is_recorded_is_finished(tmp_path: Path, town: Town) -> None:
    worker = Worker(tmp_path)
    worker.watch("camera/1", town.cameras.url("/0"), settings=CameraSettings(record="continuous"))
    worker.report("camera/1", lambda one: one.recording and one.ring_ms >= 500)
    worker.wire.close()
    worker.wait_end()
    files = [path for path in worker.recordings.rglob("*") if path.is_file()]
    assert [path.suffix for path in files] == [".mp4"]
    assert len(frames_of(files[0])) >= 5
    assert not worker.exits
    worker.close()
