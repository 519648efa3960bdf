"""Live views of rings that move on: nothing left out, nothing twice, nothing of the view before, nobody held up."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from types import TracebackType

import pytest

from ingest.video.ring import PacketRing
from lucheng.video.live_view import MAX_BEHIND_MS, LiveView
from model.video import Fragment, Packet
from tests.conftest import wait_until
from tests.lucheng.video.worker_side import FPS, decoded, packets_of

CAMERA = "camera/1"
STEP_MS = 1000 // FPS


class Gate:
    """Where a decoder is entered: closed, it holds whoever comes, as a decoder does that is slow."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.held = 0

    def __enter__(self) -> None:
        self.held += 1
        self.open.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.held -= 1


@pytest.fixture
def found() -> list[Fragment]:
    return []


@pytest.fixture
def view(found: list[Fragment]) -> Iterator[LiveView]:
    made = LiveView(CAMERA, found.append, inside=nullcontext(), masked=False)
    yield made
    made.end()


def put(ring: PacketRing, view: LiveView, packets: Sequence[Packet]) -> None:
    """As the camera's thread does."""
    for packet in packets:
        ring.append(packet)
        view.came()


def endless(packets: Sequence[Packet]) -> Iterator[Packet]:
    """The film again and again, its time going on."""
    for turn in itertools.count():
        off = turn * len(packets) * STEP_MS
        for one in packets:
            yield replace(one, pts=one.pts + off * 90, dts=one.dts + off * 90, time_ms=one.time_ms + off)


def longer(times: int, packets: Sequence[Packet] = ()) -> list[Packet]:
    """The film several times."""
    packets = packets or packets_of()
    return list(itertools.islice(endless(packets), times * len(packets)))


def has(found: Sequence[Fragment], count: int) -> Callable[[], bool]:
    return lambda: len(found) >= count


def test_it_begins_with_the_newest_keyframe_of_the_ring(view: LiveView, found: list[Fragment]) -> None:
    ring = PacketRing()
    packets = packets_of()
    put(ring, view, packets[:25])
    assert not found
    before = view.on
    view.begin(ring)
    assert (before, view.on) == (False, True)
    wait_until(has(found, 6))
    put(ring, view, packets[25:])
    wait_until(has(found, 21))
    assert [one.kind for one in found] == ["init", *["media"] * 20]
    assert [one.time_ms for one in found[1:]] == [one.time_ms for one in packets[20:]]
    assert found[1].keyframe
    assert len(decoded(found)) == 20


def test_whenever_it_begins_no_packet_is_missing_and_none_comes_twice(view: LiveView, found: list[Fragment]) -> None:
    """Beginnings and packets at the same time, on two threads, as in a worker."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    ring = PacketRing()
    over = threading.Event()

    def send() -> None:
        packets = endless(packets_of())
        while not over.is_set():
            put(ring, view, [next(packets) for _ in range(rng.randrange(1, 4))])
            over.wait(0.001)

    sending = threading.Thread(target=send)
    sending.start()
    for _ in range(20):
        view.begin(ring)
        wait_until(has(found, len(found) + random.Random(seed).randrange(2, 40)))
    over.set()
    sending.join()
    newest = ring.since_keyframe(1 << 62)[-1]
    wait_until(lambda: found[-1].time_ms == newest.time_ms)
    starts = [place for place, one in enumerate(found) if one.kind == "init"]
    assert len(starts) > 10
    for start, end in pairwise([*starts, len(found)]):
        media = found[start + 1 : end]
        assert all(one.keyframe for one in media[:1])
        # In a whole film a second passes within milliseconds here, so now and then one is too slow.
        assert all(later.time_ms - earlier.time_ms == STEP_MS or later.keyframe for earlier, later in pairwise(media))


def test_after_its_end_and_after_another_beginning_nothing_of_it_comes(found: list[Fragment]) -> None:
    gate = Gate()
    view = LiveView(CAMERA, found.append, inside=gate, masked=False)
    ring = PacketRing()
    put(ring, view, packets_of("libx265"))
    gate.open.clear()
    view.begin(ring)
    wait_until(lambda: gate.held)
    view.end("it goes")
    view.end("said once")
    gate.open.set()
    wait_until(lambda: not gate.held)
    own = PacketRing()
    put(own, view, packets_of())
    view.begin(own)
    wait_until(has(found, 12))
    assert [one.kind for one in found] == ["end", "init", *["media"] * 10]
    assert found[0].data == b"it goes"
    assert not any(one.transcoded for one in found)
    view.end()
    assert len(found) == 12


def test_one_that_is_slow_holds_up_no_camera_and_goes_on_at_the_newest_keyframe(found: list[Fragment]) -> None:
    gate = Gate()
    view = LiveView(CAMERA, found.append, inside=gate, masked=False)
    ring = PacketRing(max_s=1_000)
    packets = longer(3, packets_of("libx265"))
    put(ring, view, packets[:1])
    gate.open.clear()
    view.begin(ring)
    wait_until(lambda: gate.held)
    put(ring, view, packets[1:])  # comes back, though the view stands still
    gate.open.set()
    last_key = max(one.time_ms for one in packets if one.keyframe)
    wait_until(lambda: found and found[-1].time_ms >= last_key)
    wait_until(lambda: found[-1].time_ms == packets[-1].time_ms)
    view.end()
    times = [one.time_ms for one in found if one.kind == "media"]
    jump = max(later - earlier for earlier, later in pairwise(times))
    assert jump > MAX_BEHIND_MS
    after = times.index(last_key)
    assert found[after + 1].keyframe
    assert len(decoded(found)) == len(times)


def test_what_the_ring_dropped_is_followed_by_a_keyframe(found: list[Fragment]) -> None:
    """A ring so small that it moves on under a view that is held up while it delivers."""
    go_on = threading.Event()

    def deliver(fragment: Fragment) -> None:
        found.append(fragment)
        go_on.wait()

    view = LiveView(CAMERA, deliver, inside=nullcontext(), masked=False)
    ring = PacketRing(max_s=1.0)
    packets = longer(1)
    put(ring, view, packets[:15])
    view.begin(ring)
    wait_until(lambda: found)
    put(ring, view, packets[15:])
    go_on.set()
    wait_until(lambda: found[-1].time_ms == packets[-1].time_ms)
    media = [one for one in found if one.kind == "media"]
    for earlier, later in pairwise(media):
        assert later.time_ms - earlier.time_ms == STEP_MS or later.keyframe
    assert len(decoded(found)) == len(media)
    view.end()


def test_another_connection_begins_with_a_keyframe_and_another_codec_with_its_own_beginning(
    view: LiveView, found: list[Fragment]
) -> None:
    ring = PacketRing()
    put(ring, view, packets_of()[:15])
    view.begin(ring)
    wait_until(has(found, 6))
    put(ring, view, longer(2, packets_of(epoch=2))[43:60])  # cut off between two keyframes
    wait_until(lambda: found[-1].time_ms == longer(2)[59].time_ms)
    assert found[6].keyframe
    assert found[6].time_ms == longer(2)[50].time_ms
    put(ring, view, longer(3, packets_of("libx265", epoch=3))[80:90])
    wait_until(lambda: found[-1].time_ms == longer(3)[89].time_ms)
    inits = [place for place, one in enumerate(found) if one.kind == "init"]
    assert [found[place].transcoded for place in inits] == [False, True]
    assert len(decoded(found[inits[1] :])) == 10


def test_only_who_is_watched_is_moved(view: LiveView, found: list[Fragment]) -> None:
    ring = PacketRing()
    put(ring, view, packets_of())
    view.move(ring)
    assert not view.on
    empty = PacketRing()
    view.begin(empty)
    view.move(ring)
    wait_until(has(found, 11))
    view.end()
    view.move(ring)
    assert not view.on
    assert len(found) == 11


def test_a_stream_that_cannot_be_shown_ends_its_view_alone() -> None:
    told: list[Fragment] = []

    def deliver(fragment: Fragment) -> None:
        if fragment.kind == "init":
            raise RuntimeError("no room")
        told.append(fragment)

    view = LiveView(CAMERA, deliver, inside=nullcontext(), masked=True)
    ring = PacketRing()
    put(ring, view, packets_of())
    view.begin(ring)
    wait_until(lambda: told)
    assert (told[0].kind, view.on) == ("end", False)
    put(ring, view, packets_of()[:1])
