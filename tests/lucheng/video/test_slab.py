"""The slab: newest picture of each camera, all at once, nobody else's row, nobody else's trouble."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np

from ingest.video.decoding import Picture, PictureDecoder
from lucheng.video.slab import Looked, Slab
from model.clock import FakeClock
from tests.conftest import wait_until
from tests.lucheng.video.worker_side import packets_of

RATES = (10.0, 500.0, 1.0, 0.0)


@cache
def pictures() -> tuple[Picture, ...]:
    """Four seconds of a square that moves, ten a second."""
    decoder = PictureDecoder(packets_of()[0].info)
    return tuple(picture for packet in packets_of() for picture in decoder.decode(packet)) + tuple(decoder.drain())


@dataclass
class Watcher:
    """A camera that writes down what it is told."""

    rates: tuple[float, float, float, float] = RATES
    seen: list[Looked] = field(default_factory=list)
    raises: bool = False

    def looked(self, seen: Looked) -> None:
        self.seen.append(seen)
        if self.raises:
            raise RuntimeError("a camera's own trouble")


def slab(capacity: int = 3) -> Slab:
    return Slab(capacity, FakeClock(), step_s=0.01)


def enter(one: Slab, row: int, watcher: Watcher) -> Watcher:
    one.enter(row, watcher, sensitivity=0.5, zones=None, ignore=None)
    return watcher


def _has(camera: Watcher, count: int) -> bool:
    return len(camera.seen) >= count


def test_the_newest_picture_is_looked_at_and_older_ones_gave_way() -> None:
    made = slab()
    camera, other = enter(made, 0, Watcher()), enter(made, 2, Watcher())
    for picture in pictures()[:3]:
        made.put(0, camera, picture, keep=False)
    made.put(2, other, pictures()[5], keep=True)
    assert made.step() == 2
    assert made.step() == 0
    assert made.replaced == 2
    assert [one.time_ms for one in camera.seen] == [pictures()[2].time_ms]
    assert camera.seen[0].picture is None
    assert other.seen[0].picture is pictures()[5]
    assert made.steps == 1


def test_motion_is_told_and_a_scene_is_learnt_anew_when_it_is_another() -> None:
    made = slab(1)
    camera = enter(made, 0, Watcher())
    for picture in pictures()[:25]:
        made.put(0, camera, picture, keep=False)
        made.step()
    assert [camera.seen[0].learning, camera.seen[-1].learning] == [True, False]
    assert any(one.started for one in camera.seen)
    assert camera.seen[-1].motion_share > 0
    made.reset(0, camera)
    made.put(0, camera, pictures()[25], keep=False)
    made.step()
    assert (camera.seen[-1].learning, camera.seen[-1].motion) == (True, False)
    again = enter(made, 0, Watcher())  # set otherwise
    made.put(0, again, pictures()[26], keep=False)
    made.step()
    assert again.seen[0].learning


def test_only_who_has_the_row_puts_anything_there() -> None:
    """A thread that hung comes back when its camera has left and another has the row."""
    made = slab(1)
    gone = enter(made, 0, Watcher())
    made.put(0, gone, pictures()[0], keep=True)
    made.leave(0)
    made.put(0, gone, pictures()[1], keep=True)
    assert made.step() == 0
    now = enter(made, 0, Watcher())
    made.put(0, gone, pictures()[2], keep=False)
    assert made.step() == 0
    for picture in pictures()[3:20]:
        made.put(0, now, picture, keep=False)
        made.step()
    made.reset(0, gone)
    made.put(0, now, pictures()[20], keep=False)
    made.step()
    assert not now.seen[-1].learning
    assert not gone.seen


def test_a_camera_that_fails_or_knows_no_rates_costs_its_neighbours_nothing() -> None:
    made = slab()
    bad, good = enter(made, 0, Watcher(raises=True)), enter(made, 1, Watcher((math.nan,) * 4))
    made.put(0, bad, pictures()[0], keep=False)
    made.put(1, good, pictures()[0], keep=False)
    assert made.step() == 2
    assert len(bad.seen) == len(good.seen) == 1


def test_settings_that_do_not_fit_are_one_camera_s_trouble() -> None:
    made = slab()
    good = enter(made, 0, Watcher())
    made.enter(1, Watcher(), sensitivity=0.5, zones=np.zeros((3, 3), np.uint8), ignore=None)
    made.start()
    made.put(0, good, pictures()[0], keep=False)
    wait_until(lambda: good.seen, what="a step after the one that failed")
    made.stop()


def test_pictures_in_between_are_not_wanted() -> None:
    made = slab()
    camera = enter(made, 0, Watcher())
    first = pictures()[0]
    assert made.wants(0, first.time_ms)
    made.put(0, camera, first, keep=False)
    assert not made.wants(0, first.time_ms + 199)
    assert made.wants(0, first.time_ms + 200)
    assert made.wants(0, first.time_ms - 1)  # the clock went back


def test_it_steps_by_itself_until_it_is_stopped() -> None:
    made = slab()
    camera = enter(made, 0, Watcher())
    made.start()
    for number, picture in enumerate(pictures()[:5], 1):
        made.put(0, camera, picture, keep=False)
        wait_until(partial(_has, camera, number), what="a step")
    made.stop()
    made.put(0, camera, pictures()[6], keep=False)
    assert len(camera.seen) == 5
