"""The hub against every order in which cameras, viewers and time can act."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from console.live.hub import LiveHub
from console.live.viewer import Told, Viewer
from model.clock import FakeClock
from model.errors import LuchengError, NotFound, Refused, TryAgain
from model.video import Fragment

CAMERA = "camera/gate"
MAX_VIEWER_BYTES = 400


@dataclass
class Run:
    """One start of a feed."""

    camera: str
    mode: str
    deliver: Callable[[Fragment], None]
    ended: bool = False

    def init(self, data: bytes = b"I" * 10) -> None:
        self.deliver(Fragment(self.camera, "init", False, data, 0, "avc1.64001f"))

    def media(self, data: bytes, *, key: bool) -> None:
        self.deliver(Fragment(self.camera, "media", key, data, 1_000))

    def jpeg(self, data: bytes) -> None:
        self.deliver(Fragment(self.camera, "jpeg", False, data, 1_000))

    def end(self, why: str) -> None:
        self.deliver(Fragment(self.camera, "end", False, why.encode(), 0))


@dataclass
class Feeds:
    """Feeds that a test drives; a hub holds no lock while it calls them, which `start` would find out."""

    runs: list[Run] = field(default_factory=list)
    error: Exception | None = None
    known: tuple[str, ...] = (CAMERA, "camera/other")
    on_start: Callable[[Run], None] = lambda _run: None

    def start(self, camera: str, *, mode: str, deliver: Callable[[Fragment], None]) -> Callable[[], None]:
        if camera not in self.known:
            raise NotFound(f"There is no {camera}.")
        if self.error is not None:
            raise self.error
        run = Run(camera, mode, deliver)
        self.runs.append(run)
        self.on_start(run)

        def end() -> None:
            run.ended = True
            deliver(Fragment(camera, "end", False, b"stopped", 0))  # one that answers at once

        return end

    @property
    def open(self) -> list[Run]:
        return [run for run in self.runs if not run.ended]


def made_hub(feeds: Feeds, clock: FakeClock, **limits: float) -> LiveHub:
    return LiveHub(feeds, clock=clock, **{"max_viewer_bytes": MAX_VIEWER_BYTES, **limits})  # type: ignore[arg-type]


def drained(viewer: Viewer) -> list[Fragment | Told]:
    found: list[Fragment | Told] = []
    while (piece := viewer.take()) is not None:
        found.append(piece)
    return found


def seen(viewer: Viewer) -> list[str]:
    return [
        piece.what if isinstance(piece, Told) else piece.kind if piece.kind != "media" else piece.data.decode()
        for piece in drained(viewer)
    ]


def test_one_feed_serves_all_and_the_second_viewer_has_a_picture_at_once() -> None:
    feeds = Feeds()
    hub = made_hub(feeds, FakeClock())
    first = hub.open(CAMERA, "mp4")
    (run,) = feeds.runs
    run.media(b"early", key=True)  # no player could begin with it
    run.init()
    run.media(b"p0", key=False)
    run.media(b"k1", key=True)
    run.media(b"p1", key=False)
    second = hub.open(CAMERA, "mp4")
    run.media(b"p2", key=False)
    assert seen(first) == ["init", "k1", "p1", "p2"]
    assert seen(second) == ["init", "k1", "p1", "p2"]
    assert len(feeds.runs) == 1
    assert hub.live_values()["live_viewers"] == 2


def test_a_slow_viewer_goes_on_with_a_keyframe_and_the_others_lose_nothing() -> None:
    feeds = Feeds()
    hub = made_hub(feeds, FakeClock())
    slow, quick = hub.open(CAMERA, "mp4"), hub.open(CAMERA, "mp4")
    (run,) = feeds.runs
    run.init()
    got: list[str] = []
    for group in range(4):
        for number in range(5):
            run.media(f"{group}.{number}".encode().ljust(30, b"."), key=number == 0)
            got += seen(quick)
    assert got == ["init", *(f"{group}.{number}".ljust(30, ".") for group in range(4) for number in range(5))]
    left = seen(slow)
    # `init` was dropped with what followed it, so it comes again; what comes after the skip begins with a keyframe.
    assert left[:3] == ["skipped", "init", "3.0".ljust(30, ".")]
    assert slow.waiting.skips == 1
    assert hub.live_values()["live_skips"] == 1
    assert hub.live_values()["live_dropped"] >= 12


def test_other_parameters_come_after_the_old_pieces_and_begin_with_a_keyframe() -> None:
    feeds = Feeds()
    hub = made_hub(feeds, FakeClock())
    viewer = hub.open(CAMERA, "mp4")
    (run,) = feeds.runs
    run.init()
    run.media(b"k1", key=True)
    run.init(b"J" * 12)
    run.media(b"p", key=False)
    run.media(b"k2", key=True)
    assert seen(viewer) == ["init", "k1", "init", "k2"]


def test_a_feed_that_ends_is_told_forgotten_and_asked_for_again_with_back_off() -> None:
    clock, feeds = FakeClock(), Feeds()
    hub = made_hub(feeds, clock, back_off_min_s=1, back_off_max_s=4)
    viewer = hub.open(CAMERA, "mp4")
    feeds.runs[0].init()
    feeds.runs[0].media(b"k1", key=True)
    feeds.runs[0].end("offline")
    assert drained(viewer)[-1] == Told("ended", "offline")
    late = hub.open(CAMERA, "mp4")
    assert drained(late) == [Told("ended", "offline")]  # not an old picture
    waits = []
    for _ in range(4):
        started = len(feeds.runs)
        waited = 0
        while len(feeds.runs) == started:
            clock.advance(1)
            waited += 1
            hub.tick()
        feeds.runs[-1].end("still offline")
        waits.append(waited)
    assert waits == [1, 2, 4, 4]
    clock.advance(4)
    hub.tick()
    feeds.runs[-1].init()
    feeds.runs[-1].media(b"k2", key=True)
    assert seen(viewer) == ["ended", "init", "k2"]
    feeds.runs[0].media(b"ghost", key=True)  # an old start that goes on is not ours any more
    assert seen(viewer) == []
    feeds.runs[-1].end("again")
    clock.advance(1)
    hub.tick()
    assert len(feeds.runs) == 7  # it had delivered, so the wait was the first one again
    assert len(feeds.open) == 1


@pytest.mark.parametrize("error", [Refused("parked"), TryAgain("its worker is starting"), RuntimeError("broken")])
def test_a_feed_that_does_not_start_is_told_and_tried_again(error: Exception) -> None:
    clock, feeds = FakeClock(), Feeds(error=error)
    hub = made_hub(feeds, clock)
    viewer = hub.open(CAMERA, "mp4")
    (told,) = drained(viewer)
    assert isinstance(told, Told)
    assert told.what == "ended"
    assert (str(error) in told.detail) == isinstance(error, LuchengError)
    feeds.error = None
    clock.advance(1)
    hub.tick()
    assert len(feeds.runs) == 1


def test_what_there_is_not_and_one_too_many_are_refused() -> None:
    feeds = Feeds()
    hub = made_hub(feeds, FakeClock(), max_viewers=3, max_viewers_per_camera=2)
    with pytest.raises(NotFound):
        hub.open("camera/none", "mp4")
    first = hub.open(CAMERA, "mp4")
    hub.open(CAMERA, "jpeg")
    with pytest.raises(TryAgain, match="look at camera/gate already"):
        hub.open(CAMERA, "mp4")
    hub.open("camera/other", "mp4")
    with pytest.raises(TryAgain, match="look at cameras already"):
        hub.open("camera/other", "mp4")
    first.close()
    first.close()
    hub.open("camera/other", "mp4")
    assert hub.live_values()["live_viewers"] == 3
    assert hub.live_values()["live_turned_away"] == 2


def test_reloading_a_page_costs_nothing_and_nobody_looking_ends_the_feed() -> None:
    clock, feeds = FakeClock(), Feeds()
    hub = made_hub(feeds, clock, linger_s=5)
    hub.open(CAMERA, "mp4").close()
    clock.advance(4)
    hub.tick()
    again = hub.open(CAMERA, "mp4")
    clock.advance(10)
    hub.tick()
    assert len(feeds.runs) == 1
    assert feeds.open
    again.close()
    clock.advance(5)
    hub.tick()
    assert not feeds.open
    assert hub.kept_bytes() == 0
    assert hub.live_values()["live_feeds"] == 0


def test_of_single_pictures_the_newest_alone_waits() -> None:
    feeds = Feeds()
    hub = made_hub(feeds, FakeClock())
    viewer = hub.open(CAMERA, "jpeg")
    (run,) = feeds.runs
    for number in range(50):
        run.jpeg(f"picture {number}".encode())
    run.jpeg(b"x" * (MAX_VIEWER_BYTES + 1))
    assert [piece.data for piece in drained(viewer) if isinstance(piece, Fragment)] == [b"picture 49"]
    for _ in range(50):  # what is told between pictures that nobody takes does not pile up
        run.jpeg(b"picture")
        viewer.waiting.tell(Told("ended", "why"))
    assert len(viewer.waiting) <= 3


def test_a_group_too_large_to_keep_still_gives_its_first_picture() -> None:
    feeds = Feeds()
    hub = made_hub(feeds, FakeClock())
    hub.open(CAMERA, "mp4")
    (run,) = feeds.runs
    run.init()
    run.media(b"k" * 150, key=True)
    for _ in range(20):
        run.media(b"p" * 60, key=False)
    late = hub.open(CAMERA, "mp4")
    run.media(b"q", key=False)
    run.media(b"k2", key=True)
    assert seen(late) == ["init", "k" * 150, "k2"]  # nothing between that has no beginning


def test_a_feed_that_ends_while_it_is_started_is_ended_once() -> None:
    clock, feeds = FakeClock(), Feeds(on_start=lambda run: run.end("gone"))
    hub = made_hub(feeds, clock)
    viewer = hub.open(CAMERA, "mp4")
    assert drained(viewer) == [Told("ended", "gone")]
    assert not feeds.open
    hub.close()
    assert drained(viewer)[-1:] in ([], [Told("closed")])
    with pytest.raises(TryAgain):
        hub.open(CAMERA, "mp4")


def test_a_viewer_on_a_loop_is_woken_from_other_threads_and_at_the_end() -> None:
    feeds = Feeds()
    hub = made_hub(feeds, FakeClock(), max_viewer_bytes=1 << 20)

    async def look() -> list[str]:
        viewer = hub.open(CAMERA, "mp4", asyncio.get_running_loop())
        (run,) = feeds.runs

        def deliver() -> None:
            run.init()
            for number in range(500):
                run.media(str(number).encode(), key=number % 10 == 0)
            hub.close()

        thread = threading.Thread(target=deliver)
        thread.start()
        got: list[str] = []
        while (piece := await viewer.next()) is not None:
            got.append(piece.what if isinstance(piece, Told) else piece.kind[:1] + piece.data.decode()[:3])
        thread.join()
        return got

    got = asyncio.run(look())
    assert got == ["iIII", *(f"m{number}" for number in range(500)), "closed"]


class Looking(RuleBasedStateMachine):
    """Pieces are numbered; a viewer may skip, but what it has from one keyframe on is whole and in order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.feeds = Feeds()
        self.hub = made_hub(self.feeds, self.clock, max_viewers=4, linger_s=3, back_off_max_s=4)
        self.viewers: list[tuple[Viewer, list[Fragment | Told]]] = []
        self.number = 0
        self.inits = 0

    @property
    def run_now(self) -> Run | None:
        return self.feeds.open[-1] if self.feeds.open else None

    @rule()
    def open(self) -> None:
        try:
            self.viewers.append((self.hub.open(CAMERA, "mp4"), []))
        except TryAgain:
            assert len(self.viewers) == 4

    @precondition(lambda self: self.viewers)
    @rule(which=st.integers(0, 3), pieces=st.integers(1, 12))
    def take(self, which: int, pieces: int) -> None:
        viewer, got = self.viewers[which % len(self.viewers)]
        for _ in range(pieces):
            piece = viewer.take()
            if piece is None:
                return
            got.append(piece)

    @precondition(lambda self: self.viewers)
    @rule(which=st.integers(0, 3))
    def close(self, which: int) -> None:
        viewer, got = self.viewers.pop(which % len(self.viewers))
        viewer.close()
        whole(got)

    @precondition(lambda self: self.run_now)
    @rule()
    def init(self) -> None:
        assert self.run_now
        self.inits += 1
        self.run_now.init(f"I{self.inits}".encode().ljust(20, b"."))

    @precondition(lambda self: self.run_now)
    @rule(key=st.booleans(), size=st.sampled_from([10, 10, 60, 150, 380, 500]), many=st.integers(1, 4))
    def media(self, key: bool, size: int, many: int) -> None:
        assert self.run_now
        for piece in range(many):
            self.number += 1
            # Which `init` and which number it is stands in it.
            data = f"{self.inits}:{self.number}:".encode().ljust(size, b".")
            self.run_now.media(data, key=key and piece == 0)

    @precondition(lambda self: self.run_now)
    @rule()
    def end(self) -> None:
        assert self.run_now
        run = self.run_now
        run.end("gone")
        assert run.ended

    @rule(seconds=st.sampled_from([0.5, 2, 10]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.hub.tick()

    @invariant()
    def bounded(self) -> None:
        assert len(self.feeds.open) <= 1
        assert self.hub.kept_bytes() <= MAX_VIEWER_BYTES * (len(self.viewers) + 1)
        assert self.hub.live_values()["live_viewers"] == len(self.viewers)
        for viewer, _ in self.viewers:
            queued = viewer.waiting._queue
            assert viewer.waiting.size_bytes == sum(len(p.data) for p in queued if isinstance(p, Fragment))
            assert viewer.waiting.size_bytes <= MAX_VIEWER_BYTES

    def teardown(self) -> None:
        for viewer, got in self.viewers:
            whole([*got, *drained(viewer)])
        self.hub.close()
        assert not self.feeds.open


def whole(got: list[Fragment | Told]) -> None:
    """A player can play it: `init` first, a keyframe after it and after each gap, numbers grow, none of another `init`."""
    init = ""
    last = 0
    fresh = True  # the next piece has to be a keyframe
    for piece in got:
        if isinstance(piece, Told):
            fresh = True
        elif piece.kind == "init":
            init = piece.data.decode().strip(".")[1:]
            fresh = True
        else:
            of, number, _ = piece.data.decode().split(":")
            assert init == of
            assert int(number) > last
            assert piece.keyframe or (not fresh and int(number) == last + 1)
            last, fresh = int(number), False


def test_whatever_happens_a_viewer_can_play_what_it_gets() -> None:
    run_state_machine_as_test(Looking, settings=settings(max_examples=60, stateful_step_count=50, deadline=None))
