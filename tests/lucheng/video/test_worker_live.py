"""Live fragments from workers: to who takes them now and nobody else, in the order of who asked."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from lucheng.video.messages import Piece, StartLive, StopLive
from lucheng.video.worker_live import WorkerLive
from model.errors import NotFound, Refused, TryAgain
from model.video import Fragment
from tests.lucheng.video.reach import Reach

CAMERA = "camera/1"


@pytest.fixture
def reach() -> Reach:
    return Reach(aside={"camera/2"})


@pytest.fixture
def live(reach: Reach) -> WorkerLive:
    return WorkerLive(reach.supervisor)


def media(mode: str = "mp4", kind: str = "media") -> Piece:
    return Piece(mode, Fragment(CAMERA, kind, keyframe=True, data=b"why", time_ms=1))


def test_it_begins_takes_and_ends(live: WorkerLive, reach: Reach) -> None:
    video: list[Fragment] = []
    single: list[Fragment] = []
    stop = live.start(CAMERA, mode="mp4", deliver=video.append)
    live.start(CAMERA, mode="jpeg", deliver=single.append)
    live.take(media())
    live.take(media("jpeg", "jpeg"))
    live.take(Piece("mp4", Fragment("camera/3", "media", keyframe=True, data=b"", time_ms=1)))
    stop()
    stop()
    live.take(media())
    assert [one.kind for one in video] == ["media"]
    assert [one.kind for one in single] == ["jpeg"]
    assert reach.sent == [StartLive(CAMERA, "mp4"), StartLive(CAMERA, "jpeg"), StopLive(CAMERA, "mp4")]


def test_the_last_who_asks_takes_over_and_the_one_before_ends_nothing(live: WorkerLive, reach: Reach) -> None:
    first: list[Fragment] = []
    second: list[Fragment] = []
    stop_first = live.start(CAMERA, mode="mp4", deliver=first.append)
    live.start(CAMERA, mode="mp4", deliver=second.append)
    stop_first()
    live.take(media())
    assert [one.kind for one in first] == ["end"]
    assert [one.kind for one in second] == ["media"]
    assert StopLive(CAMERA, "mp4") not in reach.sent


def test_who_takes_is_told_the_end_by_the_worker_and_by_its_death(live: WorkerLive, reach: Reach) -> None:
    told: list[Fragment] = []
    for dies in (False, True):
        stop = live.start(CAMERA, mode="mp4", deliver=told.append)
        if dies:
            live.left([CAMERA])
        else:
            live.take(media(kind="end"))
        live.take(media())
        stop()
    live.left([CAMERA, "camera/9"])
    assert [(one.kind, one.data) for one in told] == [("end", b"why"), ("end", b"its video worker ended")]
    assert StopLive(CAMERA, "mp4") not in reach.sent


def test_what_cannot_be_viewed(live: WorkerLive, reach: Reach) -> None:
    taken: list[Fragment] = []
    for camera, mode, error in (
        (CAMERA, "flash", Refused),
        ("camera/9", "mp4", NotFound),
        ("camera/2", "mp4", Refused),
    ):
        with pytest.raises(error):
            live.start(camera, mode=mode, deliver=taken.append)
    reach.reached = False
    with pytest.raises(TryAgain):
        live.start(CAMERA, mode="mp4", deliver=taken.append)
    live.take(media())
    assert not taken


def test_the_worker_hears_ends_and_beginnings_in_the_order_of_who_takes(live: WorkerLive, reach: Reach) -> None:
    """Whoever takes last has a worker that was told to begin last."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")

    def come_and_go(rng: random.Random) -> None:
        for _ in range(200):
            taken: list[Fragment] = []
            stop: Callable[[], None] = live.start(CAMERA, mode="mp4", deliver=taken.append)
            if rng.random() < 0.7:
                stop()

    threads = [threading.Thread(target=come_and_go, args=(random.Random(seed + number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last: list[Fragment] = []
    live.start(CAMERA, mode="mp4", deliver=last.append)
    live.take(media())
    assert [one.kind for one in last] == ["media"]
    assert isinstance(reach.sent[-1], StartLive)
    # Two ends never follow each other: between them somebody began.
    ends = [isinstance(one, StopLive) for one in reach.sent]
    assert not any(one and other for one, other in pairwise(ends))
