"""The outbox of a worker: in order and nothing lost, live view left out up to a keyframe, a service that has gone told once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lucheng.video.messages import FromWorker, Noticed, Piece, Reports, Snapped, ToWorker, Wire
from lucheng.video.outbox import Outbox
from model.video import Fragment
from tests.conftest import wait_until

HANG_S = 30.0
#: More than a socket holds: who sends it waits until somebody reads.
PLUG = Snapped(0, bytes(8 << 20), 0, "plug")


class Line:
    """An outbox, and the service's end of its socket, which reads when the test says so."""

    def __init__(self, **limits: Any) -> None:
        ours, theirs = socket.socketpair()
        self.broken: list[int] = []
        self.service: Wire[FromWorker] = Wire(ours, FromWorker)
        wire: Wire[ToWorker] = Wire(theirs, ToWorker)
        self.outbox = Outbox(wire, on_broken=lambda: self.broken.append(1), **limits)
        self._wire = wire

    def plug(self) -> None:
        """Keep the outbox's thread busy until something is read."""
        self.outbox.put(PLUG)
        wait_until(lambda: not self.outbox._waiting and self.outbox._sending, HANG_S, "the plug to be sent")

    def read(self, count: int) -> list[FromWorker]:
        """What comes next."""
        return [self.service.receive() for _ in range(count)]

    def close(self) -> None:
        """End both."""
        self.service.close()
        self.outbox.close(HANG_S)
        self._wire.close()


@pytest.fixture
def line() -> Iterator[Line]:
    """With the usual limits."""
    made = Line()
    yield made
    made.close()


def noticed(number: int) -> Noticed:
    """Something to say."""
    return Noticed("camera/1", "camera_state", "", cleared=False, alarm=False, time_ms=number)


def media(
    number: int, *, keyframe: bool = False, camera: str = "camera/1", size: int = 100, kind: str = "media"
) -> Piece:
    """A piece of a live view."""
    return Piece("mp4", Fragment(camera, kind, keyframe=keyframe, data=bytes(size), time_ms=number))


def times(pieces: list[FromWorker]) -> list[tuple[str, int]]:
    """Camera and time of each."""
    assert all(isinstance(piece, Piece) for piece in pieces)
    return [(piece.fragment.camera, piece.fragment.time_ms) for piece in pieces if isinstance(piece, Piece)]


def test_everything_in_order(line: Line) -> None:
    for number in range(100):
        line.outbox.put(noticed(number))
    assert line.read(100) == [noticed(number) for number in range(100)]


def test_of_reports_only_the_newest_waits(line: Line) -> None:
    line.plug()
    for number in range(3):
        line.outbox.put(Reports([], {}, float(number)))
        line.outbox.put(noticed(number))
    assert line.read(5) == [PLUG, noticed(0), noticed(1), Reports([], {}, 2.0), noticed(2)]


def test_what_matters_goes_before_live_view(line: Line) -> None:
    line.plug()
    line.outbox.put_live(media(1, keyframe=True))
    line.outbox.put(noticed(1))
    assert line.read(3) == [PLUG, noticed(1), media(1, keyframe=True)]


def test_live_view_that_is_not_taken_goes_on_at_a_keyframe() -> None:
    line = Line(max_live_bytes=250)
    line.plug()
    line.outbox.put_live(media(1, keyframe=True))
    line.outbox.put_live(media(2))
    line.outbox.put_live(media(3))  # too much: left out from here on
    line.outbox.put_live(media(4, size=1))  # it would fit, and could not be played
    line.outbox.put_live(media(5, keyframe=True, size=1, camera="camera/2"))  # another camera
    assert line.outbox.live_dropped == 2
    assert times(line.read(4)[1:]) == [("camera/1", 1), ("camera/1", 2), ("camera/2", 5)]
    line.outbox.put_live(media(6))
    line.outbox.put_live(media(7, keyframe=True))
    line.outbox.put_live(media(8))
    assert times(line.read(2)) == [("camera/1", 7), ("camera/1", 8)]
    assert line.outbox.live_dropped == 3
    line.close()


def test_what_begins_or_ends_a_view_is_never_left_out() -> None:
    line = Line(max_live_bytes=150)
    line.plug()
    line.outbox.put_live(media(1, keyframe=True))
    line.outbox.put_live(media(2))
    line.outbox.put_live(media(3, kind="init"))
    line.outbox.put_live(media(4, kind="end"))
    assert times(line.read(4)[1:]) == [("camera/1", 1), ("camera/1", 3), ("camera/1", 4)]
    line.close()


def test_who_brings_too_much_waits_and_nothing_is_lost() -> None:
    line = Line(max_waiting=2)
    line.plug()

    def bring() -> None:
        for number in range(20):
            line.outbox.put(noticed(number))

    brought = threading.Thread(target=bring, daemon=True)
    brought.start()
    wait_until(lambda: len(line.outbox._waiting) == 2, HANG_S, "the limit to be reached")
    assert brought.is_alive()
    assert line.read(21)[1:] == [noticed(number) for number in range(20)]
    brought.join(HANG_S)
    assert not brought.is_alive()
    line.close()


def test_a_service_that_has_gone_is_told_once_and_nobody_waits_any_more() -> None:
    line = Line(max_waiting=2)
    line.plug()
    line.outbox.put(noticed(1))
    line.outbox.put(noticed(2))
    waiting = threading.Thread(target=line.outbox.put, args=(noticed(3),), daemon=True)
    waiting.start()
    line.service.close()
    wait_until(lambda: line.broken, HANG_S, "the end to be found")
    waiting.join(HANG_S)
    assert not waiting.is_alive()
    line.outbox.put(noticed(4))
    line.outbox.put_live(media(1))
    line.outbox.close(HANG_S)
    assert line.broken == [1]


def test_close_sends_what_waits_and_no_live_view(line: Line) -> None:
    line.plug()
    line.outbox.put_live(media(1, keyframe=True))
    for number in range(3):
        line.outbox.put(noticed(number))
    closing = threading.Thread(target=line.outbox.close, args=(HANG_S,), daemon=True)
    closing.start()
    wait_until(lambda: not line.outbox._live, HANG_S, "live view to be let go")
    assert line.read(4) == [PLUG, noticed(0), noticed(1), noticed(2)]
    closing.join(HANG_S)
    assert not closing.is_alive()
    assert line.broken == []
