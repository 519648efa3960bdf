"""The detector's queue: bounded, fair, counted, and not ended by a bad picture; places come back as fractions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.detect.onnx_detector import OnnxDetector
from lucheng.video.detecting import DetectQueue, Found
from model.camera import OBJECT_CODE, ObjectKind
from model.clock import FakeClock
from model.errors import BadInput
from model.video import Bgr, Detections
from tests.analytics.detect.onnx_file import COLUMNS, ROWS, drawn_network, picture_of
from tests.conftest import wait_until

CAR = OBJECT_CODE[ObjectKind.CAR]


def car_picture() -> Bgr:
    """32 by 32 pixels with a car in the cell from (8, 8) to (16, 16), give or take half a cell: (4, 4) to (12, 12)."""
    rows = np.zeros((ROWS, COLUMNS), np.uint8)
    rows[5, [4, 5 + 2]] = 1
    return picture_of(rows)


class Held:
    """The real detector behind a gate: a look begins when the test lets it, and fails when the test says so."""

    def __init__(self, best_batch: int = 1) -> None:
        self._detector = OnnxDetector(drawn_network())
        self.name = self._detector.name
        self.best_batch = best_batch
        self.gate = threading.Semaphore(0)
        self.batches: list[int] = []
        self.bad: Callable[[Bgr], bool] = lambda _picture: False

    def detect(self, images: Sequence[Bgr], *, min_score: float) -> Detections:
        assert self.gate.acquire(timeout=20)
        self.batches.append(len(images))
        if any(self.bad(image) for image in images):
            raise BadInput("this picture\nbreaks it.")
        return self._detector.detect(images, min_score=min_score)


class Bench:
    """A queue with a held detector, and what came back."""

    def __init__(self, best_batch: int = 1, **limits: Any) -> None:
        self.clock = FakeClock()
        self.detector = Held(best_batch)
        self.found: list[Found] = []
        self.tell: Callable[[Found], None] = self.found.append
        limits = {"min_score": 0.5, "min_interval_ms": 0, **limits}
        self.queue = DetectQueue(self.detector, clock=self.clock, on_result=self._take, **limits)
        self.queue.start()

    def _take(self, found: Found) -> None:
        self.tell(found)

    def let(self, looks: int = 1) -> None:
        self.detector.gate.release(looks)

    def until(self, **counts: int) -> None:
        wait_until(lambda: all(getattr(self.queue.counts(), name) >= n for name, n in counts.items()), what=str(counts))

    def busy(self, camera: str = "first") -> None:
        """Let the detector begin with a picture, so that what comes after it waits."""
        assert self.queue.offer(camera, 0, car_picture())
        wait_until(lambda: self.queue.state().waiting == 0, what="the first look to begin")


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def one(*args: Any, **limits: Any) -> Bench:
        benches.append(Bench(*args, **limits))
        return benches[-1]

    yield one
    for bench in benches:
        bench.let(1000)
        bench.queue.stop()
        assert not bench.queue._thread.is_alive()


def accounted(bench: Bench) -> bool:
    """Whether every picture that was offered is in one count, once nothing waits."""
    counts = bench.queue.counts()
    gone = counts.too_soon + counts.replaced + counts.gave_way + counts.while_off + counts.no_picture + counts.forgotten
    return counts.offered == gone + counts.looked


def test_a_box_in_a_crop_comes_back_as_fractions_of_the_whole(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.let()
    assert bench.queue.offer("a", 77, car_picture(), left_px=64, top_px=16, width_px=128, height_px=64)
    wait_until(lambda: bench.found, what="a result")
    (found,) = bench.found
    assert (found.camera, found.time_ms) == ("a", 77)
    assert found.looked == (0.5, 0.25, 0.75, 0.75)
    assert found.objects.kind.tolist() == [CAR]
    assert found.objects.box.tolist() == [pytest.approx([68 / 128, 20 / 64, 76 / 128, 28 / 64])]
    assert found.objects.box.dtype == np.float32
    assert bench.queue.counts().objects == 1


def test_a_large_crop_is_shrunk_when_it_comes_and_its_boxes_are_where_they_were(make: Callable[..., Bench]) -> None:
    bench = make(max_side_px=32)
    big = np.repeat(np.repeat(car_picture(), 8, axis=0), 8, axis=1)
    bench.let()
    bench.queue.offer("a", 0, big, left_px=256, top_px=0, width_px=512, height_px=256)
    wait_until(lambda: bench.found, what="a result")
    assert bench.found[0].objects.box.tolist() == [pytest.approx([0.5 + 4 / 64, 4 / 32, 0.5 + 12 / 64, 12 / 32])]
    assert bench.found[0].looked == (0.5, 0.0, 1.0, 1.0)


def test_nothing_found_is_a_result_too(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.let()
    bench.queue.offer("a", 5, np.zeros((32, 32, 3), np.uint8))
    wait_until(lambda: bench.found, what="a result")
    assert len(bench.found[0].objects) == 0


def test_a_newer_picture_takes_the_place_of_the_one_that_waits(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.busy()
    for time_ms in (1, 2, 3):
        assert bench.queue.offer("a", time_ms, car_picture())
    assert bench.queue.state().waiting == 1
    bench.let(2)
    bench.until(looked=2)
    wait_until(lambda: len(bench.found) == 2, what="both results")
    assert [(found.camera, found.time_ms) for found in bench.found] == [("first", 0), ("a", 3)]
    assert bench.queue.counts().replaced == 2
    assert accounted(bench)


def test_one_camera_is_not_looked_at_more_often_than_is_set(make: Callable[..., Bench]) -> None:
    bench = make(min_interval_ms=200)
    bench.let(10)
    assert bench.queue.offer("a", 0, car_picture())
    bench.until(looked=1)
    assert not bench.queue.wants("a")
    assert bench.queue.wants("b")
    assert not bench.queue.offer("a", 1, car_picture())
    bench.clock.advance(0.2)
    assert bench.queue.wants("a")
    assert bench.queue.offer("a", 2, car_picture())
    bench.until(looked=2, too_soon=1)
    assert accounted(bench)


def test_whose_last_look_is_longest_ago_comes_first_and_the_last_one_gives_way(make: Callable[..., Bench]) -> None:
    bench = make(max_queued=2)
    bench.busy("a")
    assert bench.queue.offer("a", 1, car_picture())
    assert bench.queue.offer("b", 2, car_picture())
    # Full: a was looked at already, c never was.
    assert bench.queue.offer("c", 3, car_picture())
    assert not bench.queue.offer("a", 4, car_picture())
    assert not bench.queue.offer("d", 5, car_picture())
    bench.let(3)
    bench.until(looked=3)
    wait_until(lambda: len(bench.found) == 3, what="the results")
    assert [found.camera for found in bench.found] == ["a", "b", "c"]
    assert bench.queue.counts().gave_way == 3
    assert accounted(bench)


def test_a_greedy_camera_does_not_keep_the_others_out(make: Callable[..., Bench]) -> None:
    bench = make(max_queued=3)
    bench.busy("greedy")
    for turn in range(12):
        for camera in ("greedy", "greedy", "a", "b", "c", "d"):
            bench.queue.offer(camera, turn, car_picture())
        bench.let()
        wait_until(lambda turn=turn: len(bench.found) > turn, what="a result")  # type: ignore[misc]
    cameras = [found.camera for found in bench.found[1:]]
    assert {camera: cameras.count(camera) for camera in set(cameras)}.keys() >= {"a", "b", "c", "d"}
    assert cameras.count("greedy") <= 3


def test_pictures_that_wait_go_as_batches(make: Callable[..., Bench]) -> None:
    bench = make(3)
    bench.busy()
    for camera in "abcd":
        bench.queue.offer(camera, 1, car_picture())
    bench.let(3)
    bench.until(looked=5)
    assert bench.detector.batches == [1, 3, 1]
    wait_until(lambda: len(bench.found) == 5, what="the results")
    assert all(found.objects.kind.tolist() == [CAR] for found in bench.found)


def test_a_picture_that_breaks_the_detector_ends_nothing_and_takes_no_others_along(make: Callable[..., Bench]) -> None:
    bench = make(3)
    bench.detector.bad = lambda picture: picture.shape[0] == 7
    bench.busy()
    bench.queue.offer("a", 1, car_picture())
    bench.queue.offer("bad", 1, np.zeros((7, 7, 3), np.uint8))
    bench.queue.offer("b", 1, car_picture())
    bench.let(5)
    bench.until(looked=4)
    wait_until(lambda: len(bench.found) == 3, what="the results of the others")
    assert [found.camera for found in bench.found] == ["first", "a", "b"]
    assert bench.queue.counts().failed == 1
    state = bench.queue.state()
    assert (state.on, state.reason) == (True, "BadInput: this picture")
    assert accounted(bench)


def test_after_three_failures_in_a_row_it_is_off_for_a_minute_and_says_why(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.detector.bad = lambda _picture: True
    bench.let(100)
    for at in range(3):
        assert bench.queue.offer("a", at, car_picture())
        bench.until(failed=at + 1)
    assert not bench.queue.offer("a", 3, car_picture())
    assert not bench.queue.wants("b")
    state = bench.queue.state()
    assert (state.on, state.reason, state.waiting) == (False, "BadInput: this picture", 0)
    bench.clock.advance(59)
    assert not bench.queue.wants("a")
    bench.clock.advance(1)
    bench.detector.bad = lambda _picture: False
    assert bench.queue.offer("a", 4, car_picture())
    bench.until(looked=4)
    assert bench.queue.state().on
    assert (bench.queue.counts().turned_off, bench.queue.counts().while_off) == (1, 1)
    assert accounted(bench)


def test_two_failures_and_a_look_are_no_three(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.detector.bad = lambda picture: picture.shape[0] == 7
    bench.let(100)
    for at, size in enumerate((7, 7, 32, 7, 7, 32)):
        assert bench.queue.offer("a", at, np.zeros((size, size, 3), np.uint8))
        bench.until(looked=at + 1)
    assert bench.queue.state().on


def test_who_listens_may_fail(make: Callable[..., Bench]) -> None:
    bench = make()

    def fail(found: Found) -> None:
        raise ValueError(found.camera)

    bench.tell = fail
    bench.let(10)
    bench.queue.offer("a", 0, car_picture())
    bench.until(result_errors=1)
    bench.tell = bench.found.append
    bench.queue.offer("a", 1, car_picture())
    wait_until(lambda: bench.found, what="the next result")


@pytest.mark.parametrize("picture", [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_what_is_no_picture_is_counted_and_left_out(make: Callable[..., Bench], picture: Any) -> None:
    bench = make()
    assert not bench.queue.offer("a", 0, picture)
    assert bench.queue.counts().no_picture == 1
    assert bench.queue.wants("a")


def test_a_camera_that_goes_away_waits_no_more_and_an_ended_queue_takes_nothing(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.busy()
    bench.queue.offer("a", 1, car_picture())
    bench.queue.forget("a")
    bench.queue.forget("nobody")
    assert bench.queue.state().waiting == 0
    bench.clock.advance(1.5)
    assert bench.queue.state().busy_s == 1.5
    bench.queue.offer("b", 1, car_picture())
    bench.let(10)
    bench.queue.stop()
    assert not bench.queue.offer("b", 2, car_picture())
    assert accounted(bench)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from(["offer", "let", "forget", "advance", "bad"]), st.integers(0, 5)), max_size=40),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_whatever_happens_every_picture_is_accounted_for(
    steps: list[tuple[str, int]], max_queued: int, best_batch: int
) -> None:
    bench = Bench(best_batch, max_queued=max_queued, min_interval_ms=100)
    bench.detector.bad = lambda picture: picture.shape[0] == 7
    for name, number in steps:
        camera = f"c{number}"
        if name in {"offer", "bad"}:
            bench.queue.offer(camera, number, car_picture() if name == "offer" else np.zeros((7, 7, 3), np.uint8))
        elif name == "let":
            bench.let()
        elif name == "forget":
            bench.queue.forget(camera)
        else:
            bench.clock.advance(0.05 * number)
        assert bench.queue.state().waiting <= max_queued
    bench.let(1000)
    wait_until(lambda: bench.queue.state().waiting == 0 and bench.queue.state().busy_s == 0, what="the rest")
    bench.queue.stop()
    assert not bench.queue._thread.is_alive()
    assert accounted(bench)
