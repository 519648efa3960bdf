"""Clips and snapshots asked of workers: each answered once, by a worker or by why not, on a thread that holds up nobody."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from lucheng.video.messages import Made, MakeClip, Snapped, TakeSnapshot, Wake
from lucheng.video.requests import Requests
from model.clock import FakeClock
from model.errors import TryAgain
from model.video import Clip
from tests.conftest import wait_until
from tests.lucheng.video.reach import Reach

NOW_MS = 1_760_000_000_000
CLIP = Clip(b"mp4", "00", NOW_MS, NOW_MS + 1_000, "h264", 320, 180, 10)


@pytest.fixture
def reach() -> Reach:
    return Reach()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW_MS)


@pytest.fixture
def requests(reach: Reach, clock: FakeClock) -> Iterator[Requests]:
    made = Requests(reach.supervisor, clock, max_clip_bytes=1_000, patience_s=20, max_open=50)
    yield made
    made.close()


class Answers:
    """What was handed over."""

    def __init__(self) -> None:
        self.clips: list[tuple[Clip | None, str]] = []
        self.snapshots: list[tuple[bytes | None, int, str]] = []

    def clip(self, clip: Clip | None, note: str) -> None:
        self.clips.append((clip, note))

    def snapshot(self, jpeg: bytes | None, time_ms: int, note: str) -> None:
        self.snapshots.append((jpeg, time_ms, note))


def test_what_is_asked_goes_to_the_worker_and_its_answer_to_who_asked(requests: Requests, reach: Reach) -> None:
    answers = Answers()
    requests.wake("camera/1", NOW_MS + 5)
    requests.clip("camera/1", NOW_MS, NOW_MS + 1_000, answers.clip)
    requests.snapshot("camera/2", answers.snapshot)
    wake, clip, snapshot = reach.sent
    assert wake == Wake("camera/1", NOW_MS + 5)
    assert isinstance(clip, MakeClip)
    assert isinstance(snapshot, TakeSnapshot)
    assert (clip.device, clip.from_ms, clip.to_ms, clip.max_bytes) == ("camera/1", NOW_MS, NOW_MS + 1_000, 1_000)
    requests.answer(Snapped(snapshot.request, b"jpeg", 7, ""))
    requests.answer(Made(clip.request, CLIP, "starts 4.0 s late"))
    requests.answer(Made(clip.request, CLIP, "twice"))
    requests.answer(Made(99, CLIP, "never asked"))
    wait_until(lambda: answers.clips and answers.snapshots)
    requests.close()
    assert answers.clips == [(CLIP, "starts 4.0 s late")]
    assert answers.snapshots == [(b"jpeg", 7, "")]


def test_who_has_no_worker_is_told_so(requests: Requests, reach: Reach) -> None:
    answers = Answers()
    reach.reached = False
    requests.clip("camera/1", 0, 1, answers.clip)
    requests.snapshot("camera/1", answers.snapshot)
    wait_until(lambda: answers.clips and answers.snapshots)
    assert answers.clips == [(None, "no video worker watches it now")]
    assert answers.snapshots == [(None, 0, "no video worker watches it now")]


def test_a_worker_that_ends_and_one_that_is_silent(requests: Requests, clock: FakeClock) -> None:
    ended, silent, later = Answers(), Answers(), Answers()
    requests.clip("camera/1", NOW_MS, NOW_MS + 1_000, ended.clip)
    requests.snapshot("camera/2", silent.snapshot)
    requests.clip("camera/2", NOW_MS, NOW_MS + 60_000, later.clip)
    requests.left(["camera/1"])
    wait_until(lambda: ended.clips)
    assert ended.clips == [(None, "its video worker ended")]
    clock.advance(19)
    requests.expire()
    clock.advance(2)
    requests.expire()
    wait_until(lambda: silent.snapshots)
    assert silent.snapshots == [(None, 0, "the video worker did not answer in time")]
    assert not later.clips  # its end has not come
    clock.advance(58)
    requests.expire()
    assert not later.clips
    clock.advance(2)
    requests.expire()
    wait_until(lambda: later.clips)


def test_so_many_wait_and_no_more_and_the_end_answers_all(requests: Requests, reach: Reach) -> None:
    answers = Answers()
    for _ in range(60):
        requests.clip("camera/1", 0, 1, answers.clip)
    wait_until(lambda: len(answers.clips) == 10)
    assert set(answers.clips) == {(None, "50 requests are waiting")}
    assert len(reach.sent) == 50
    requests.close()
    assert Counter(note for _, note in answers.clips) == {"50 requests are waiting": 10, "the service ends": 50}


def test_one_that_cannot_take_its_answer_keeps_no_other_waiting(requests: Requests, reach: Reach) -> None:
    answers = Answers()

    def fail(_clip: Clip | None, _note: str) -> None:
        raise RuntimeError("the disk is full")

    for _ in range(9):
        requests.clip("camera/1", 0, 1, fail)
    requests.clip("camera/1", 0, 1, answers.clip)
    for sent in list(reach.sent):
        assert isinstance(sent, MakeClip)
        requests.answer(Made(sent.request, CLIP, ""))
    wait_until(lambda: answers.clips)


def test_waiting_for_it(requests: Requests, reach: Reach) -> None:
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(requests.wait_snapshot("camera/1", 60)))
    waiting.start()
    wait_until(lambda: reach.sent)
    (sent,) = reach.sent
    assert isinstance(sent, TakeSnapshot)
    requests.answer(Snapped(sent.request, b"jpeg", 7, ""))
    waiting.join()
    assert found == [(b"jpeg", 7)]
    with pytest.raises(TryAgain, match="did not answer in time"):
        requests.wait_clip("camera/1", 0, 1, 0.01)
    reach.reached = False
    with pytest.raises(TryAgain, match="no video worker watches it now"):
        requests.wait_clip("camera/1", 0, 1, 60)


def test_answers_ends_and_expiries_from_many_threads_are_one_answer_each(reach: Reach, clock: FakeClock) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    requests = Requests(reach.supervisor, clock, max_clip_bytes=1, max_open=10_000)
    told: Counter[int] = Counter()
    lock = threading.Lock()

    def ask(number: int) -> None:
        def tell(_clip: Clip | None, _note: str) -> None:
            with lock:
                told[number] += 1

        requests.clip(f"camera/{number % 2 + 1}", 0, 1, tell)

    def answer(worker_seed: int) -> None:
        rng = random.Random(worker_seed)
        for _ in range(400):
            sent = rng.choice(reach.sent or [None])
            if isinstance(sent, MakeClip):
                requests.answer(Made(sent.request, CLIP, ""))
            if rng.random() < 0.05:
                requests.left(["camera/1"])
                clock.advance(3)
                requests.expire()

    threads = [threading.Thread(target=answer, args=(seed + number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for number in range(500):
        ask(number)
    for thread in threads:
        thread.join()
    requests.close()
    assert told == Counter(range(500))
