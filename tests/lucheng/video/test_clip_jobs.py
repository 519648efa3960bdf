"""Clips of a ring that moves on: whole from the keyframe before to their end, each request answered once, whatever happens."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from ingest.video.ring import PacketRing
from lucheng.video.clip_jobs import ClipJobs
from lucheng.video.messages import MakeClip
from model.clock import FakeClock
from model.video import Clip
from tests.ingest.video.material import START_MS
from tests.lucheng.video.worker_side import frames_of, packets_of

CAMERA = "camera/1"
LARGE = 1 << 24


@dataclass
class House:
    """Jobs that are looked at when the test says so, a ring, and a clock that goes with its packets."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(START_MS))
    ring: PacketRing = field(default_factory=PacketRing)
    answers: dict[int, list[tuple[Clip | None, str]]] = field(default_factory=dict)
    max_held_bytes: int = 1 << 30
    put: int = 0

    def __post_init__(self) -> None:
        self.jobs = ClipJobs(self.clock, self._done, look_s=3_600, max_held_bytes=self.max_held_bytes)

    def _done(self, request: int, clip: Clip | None, note: str) -> None:
        self.answers.setdefault(request, []).append((clip, note))

    def ask(self, request: int, from_s: float, to_s: float, *, max_bytes: int = LARGE, masked: bool = False) -> None:
        """From and to, seconds of the film."""
        window = START_MS + round(from_s * 1000), START_MS + round(to_s * 1000)
        self.jobs.ask(MakeClip(request, CAMERA, *window, max_bytes), self.ring, masked=masked)

    def play(self, until_s: float) -> None:
        """The film goes on until then."""
        for packet in packets_of()[self.put : round(until_s * 10)]:
            self.ring.append(packet)
            self.put += 1
        self.clock.advance(until_s - (self.clock.now_ms() - START_MS) / 1000)
        self.jobs.look()

    def answer(self, request: int) -> tuple[Clip | None, str]:
        """The one answer."""
        (found,) = self.answers[request]
        return found

    def clip(self, request: int) -> Clip:
        """The same, which is a clip."""
        clip, _ = self.answer(request)
        assert clip is not None
        return clip


@pytest.fixture
def make() -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def one(**options: int) -> House:
        made.append(House(**options))  # type: ignore[arg-type]  # numbers alone
        return made[-1]

    yield one
    for house in made:
        house.jobs.close()


def test_a_clip_of_the_past_is_made_at_once(make: Callable[..., House]) -> None:
    house = make()
    house.play(3.5)
    house.ask(1, 1.4, 2.5)
    house.jobs.look()
    clip = house.clip(1)
    assert (clip.from_ms, clip.to_ms) == (START_MS + 1_000, START_MS + 2_600)
    assert clip.frames == len(frames_of(clip.data)) == 16
    assert not clip.transcoded
    assert not clip.note


def test_a_clip_of_the_future_waits_for_its_end_and_keeps_its_beginning(make: Callable[..., House]) -> None:
    """What it needs of the past is gone from the ring when its end comes."""
    house = make()
    house.ring = PacketRing(max_s=1.5)
    house.play(1.5)
    house.ask(1, 0.2, 2.9, masked=True)
    for until_s in (2.0, 2.5, 2.9):
        house.play(until_s)
        assert not house.answers
    house.play(3.1)
    clip = house.clip(1)
    assert clip.from_ms == START_MS
    assert clip.frames == 30
    assert clip.transcoded


def test_what_never_comes_is_not_waited_for(make: Callable[..., House]) -> None:
    house = make()
    house.play(1.0)
    house.ask(1, 0.0, 3.0)  # the camera goes
    house.ask(2, -9.0, -5.0)  # before there was any
    house.clock.advance(3.9)
    house.jobs.look()
    assert 1 not in house.answers
    house.clock.advance(0.2)
    house.jobs.look()
    assert house.clip(1).frames == 10
    assert "end" in house.clip(1).note
    clip, note = house.answer(2)
    assert (clip, note) == (None, "there is no picture of that time")


def test_a_new_connection_in_the_middle_is_one_clip_or_says_what_is_missing(make: Callable[..., House]) -> None:
    house = make()
    house.play(1.5)
    house.ask(1, 0.0, 3.0)
    for packet in packets_of(epoch=2)[20:]:
        house.ring.append(replace(packet, pts=packet.pts + 9_000_000, dts=packet.dts + 9_000_000))
    house.clock.advance(10)
    house.jobs.look()
    clip = house.clip(1)
    assert clip.from_ms == START_MS
    assert len(frames_of(clip.data)) == clip.frames


def test_bytes_are_bounded_for_one_and_for_all(make: Callable[..., House]) -> None:
    house = make()
    house.play(4.0)
    whole = sum(len(packet.data) for packet in packets_of())
    house.ask(1, 0.0, 3.9, max_bytes=whole // 2)
    house.clock.advance(10)
    house.jobs.look()
    clip, note = house.answer(1)
    assert note
    assert clip is None or len(clip.data) <= whole // 2
    small = make(max_held_bytes=whole)
    small.play(2.0)
    for request in range(1, 6):
        small.ask(request, 0.0, 3.8)
    small.play(4.0)
    small.clock.advance(10)
    small.jobs.look()
    assert sorted(small.answers) == [1, 2, 3, 4, 5]
    frames = [clip.frames for request in small.answers if (clip := small.answer(request)[0]) is not None]
    assert sum(frames) <= 40
    assert small.answer(5) == (None, "too many clips are being made")
    # What they held is free again.
    small.ask(6, 0.0, 3.8)
    small.clock.advance(10)
    small.jobs.look()
    assert small.clip(6).frames == 39


def test_the_end_of_the_worker_answers_everything(make: Callable[..., House]) -> None:
    house = make()
    house.play(2.0)
    house.ask(1, 0.0, 100.0)
    house.ask(2, 50.0, 100.0)
    house.jobs.close()
    assert house.clip(1).frames == 20
    assert house.answer(2) == (None, "there is no picture of that time")
    house.jobs.close()
    assert all(len(found) == 1 for found in house.answers.values())


def test_each_request_is_answered_once_in_any_order(make: Callable[..., House]) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    house = make()
    for request in range(60):
        house.play((request + 1) / 20)
        from_s = rng.uniform(-2, 4)
        house.ask(request, from_s, from_s + rng.uniform(0, 3), max_bytes=rng.choice([1, 10_000, LARGE]))
    house.clock.advance(20)
    house.jobs.look()
    assert sorted(house.answers) == list(range(60))
    for request in range(60):
        clip, note = house.answer(request)
        assert clip is not None or note
