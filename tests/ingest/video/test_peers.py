"""Channels of one recorder: many connections to one address, opened at the same time, and each stream has its own."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

import pytest

from ingest.video.address import check_address
from ingest.video.lost import StreamLost
from ingest.video.peers import Peers
from ingest.video.seams import LossReason
from ingest.video.source import Source
from model.clock import SystemClock
from tests.conftest import wait_until
from tests.ingest.video.conftest import LOOPBACK
from tests.rtsp import RtspServer

CHANNELS = 6


class Channel:
    """A stream that is read on a thread of its own until it is lost."""

    def __init__(self, url: str, together: threading.Barrier) -> None:
        self.source = Source(check_address(url, allow_networks=LOOPBACK, files_dir=None), clock=SystemClock())
        self.packets = 0
        self.lost: StreamLost | None = None
        self._together = together
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._together.wait()
        try:
            self.source.open()
            for _ in self.source.packets():
                self.packets += 1
        except StreamLost as error:
            self.lost = error
        finally:
            self.source.close()

    def drop(self) -> None:
        self.source.interrupt()
        self._thread.join(30)


def test_who_drops_a_channel_interrupts_no_other_one(rtsp_server: RtspServer) -> None:
    for _ in range(3):
        together = threading.Barrier(CHANNELS)
        channels = [Channel(rtsp_server.url("/h264"), together) for _ in range(CHANNELS)]
        wait_until(lambda some=channels: all(one.packets for one in some), 60, "pictures of every channel")  # type: ignore[misc] # bound
        while channels:
            channels.pop(0).drop()
            before = [one.packets for one in channels]
            wait_until(
                lambda some=channels, then=before: all(  # type: ignore[misc] # as above
                    one.lost or one.packets > count for one, count in zip(some, then, strict=True)
                ),
                60,
                "more pictures of the others",
            )
            assert [one.lost for one in channels] == [None] * len(channels)


def test_connections_of_one_address_are_told_apart_by_when_their_opens_began() -> None:
    peers = Peers()
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=8))
        place = server.getsockname()
        first = stack.enter_context(peers.opening(*place))
        made: list[socket.socket] = []

        def late() -> None:
            time.sleep(0.1)
            made.append(socket.create_connection(place))

        thread = threading.Thread(target=late)
        thread.start()
        second = stack.enter_context(peers.opening(*place))  # waits until the first one has its connection
        thread.join()
        made.append(stack.enter_context(socket.create_connection(place)))
        stack.enter_context(made[0])
        for opening, own, other in ((second, made[1], made[0]), (first, made[0], made[1])):
            claim = opening.claim()
            claim.end()
            assert own.recv(1) == b"", "its own was ended"
            other.setblocking(False)
            if opening is second:
                with pytest.raises(BlockingIOError):
                    other.recv(1)
                other.setblocking(True)
            claim.release()


def test_an_open_that_comes_to_no_connection_holds_up_the_next_for_a_moment_alone() -> None:
    peers = Peers()
    with socket.create_server(("127.0.0.1", 0)) as server, peers.opening(*server.getsockname()) as hung:
        with peers.opening(*server.getsockname()) as second, socket.create_connection(server.getsockname()):
            second.claim().release()
        with peers.opening(*server.getsockname()), pytest.raises(StreamLost) as lost:
            hung.claim()
        assert lost.value.reason == LossReason.REFUSED
