"""Messages between the service and its workers: whole whatever the socket cuts, broken ones end the connection and no more."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lucheng.video.messages import (
    Broken,
    Drop,
    FromWorker,
    Noticed,
    Piece,
    Report,
    Reports,
    Snapped,
    Stop,
    TakeSnapshot,
    ToWorker,
    Wake,
    Wire,
)
from model.video import Fragment
from tests.conftest import wait_until

HANG_S = 30.0
_LENGTH = struct.Struct("<I")

texts = st.text(max_size=20)
numbers = st.integers(0, 2**40)
reports = st.builds(
    Report,
    device=texts,
    epoch=numbers,
    fps=st.floats(allow_nan=False),
    loss=texts,
    moving=st.booleans(),
    health=numbers,
)
fragments = st.builds(
    Fragment,
    camera=texts,
    kind=st.sampled_from(["init", "media", "jpeg"]),
    keyframe=st.booleans(),
    data=st.binary(max_size=300),
    time_ms=numbers,
)
from_worker = st.one_of(
    st.builds(
        Reports,
        cameras=st.lists(reports, max_size=4),
        counts=st.dictionaries(texts, st.floats(allow_nan=False), max_size=3),
        load=st.just(0.5),
    ),
    st.builds(Snapped, request=numbers, jpeg=st.binary(max_size=20_000), time_ms=numbers, note=texts),
    st.builds(Piece, mode=st.sampled_from(["mp4", "jpeg"]), fragment=fragments),
    st.builds(
        Noticed,
        device=texts,
        kind=texts,
        rule=texts,
        cleared=st.booleans(),
        alarm=st.booleans(),
        time_ms=numbers,
        note=texts,
    ),
)


class Ends:
    """Both ends of one socket: `raw` is ours, `wire` reads what a worker says."""

    def __init__(self, **limits: Any) -> None:
        theirs, self.raw = socket.socketpair()
        self.wire: Wire[FromWorker] = Wire(theirs, FromWorker, **limits)

    def __enter__(self) -> Ends:  # noqa: PYI034 not meant to be derived from
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()
        self.wire.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A wire and the bare socket at its other end."""
    with Ends() as made:
        yield made


def read_all(wire: Wire[FromWorker]) -> None:
    """Read until it raises."""
    while True:
        wire.receive()


def framed(message: msgspec.Struct) -> bytes:
    """A message as it travels."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


@settings(max_examples=40)
@given(messages=st.lists(from_worker, min_size=1, max_size=5), cut=st.integers(3, 5_000))
def test_messages_come_whole_and_in_order_however_they_are_cut(messages: list[FromWorker], cut: int) -> None:
    stream = b"".join(framed(message) for message in messages)
    with Ends() as ends:

        def feed() -> None:
            for at in range(0, len(stream), cut):
                ends.raw.sendall(stream[at : at + cut])
            ends.raw.close()

        feeding = threading.Thread(target=feed)
        feeding.start()
        # as bytes: a number that is not known is not equal to itself
        assert [framed(ends.wire.receive()) for _ in messages] == [framed(message) for message in messages]
        with pytest.raises(Broken):
            ends.wire.receive()
        feeding.join()


@settings(max_examples=150)
@example(_LENGTH.pack(2**32 - 1))
@example(_LENGTH.pack(5) + b"\xc1" * 5)
@example(_LENGTH.pack(3) + b"ab")
@example(framed(Drop("camera/1")))  # a worker is told that, it does not say it
@given(st.binary(max_size=200))
def test_what_is_no_message_breaks_the_connection_and_raises_nothing_else(data: bytes) -> None:
    with Ends(max_message_bytes=1_000) as ends:
        ends.raw.sendall(data)
        ends.raw.close()
        with pytest.raises(Broken):
            read_all(ends.wire)


def test_every_message_to_a_worker_comes_as_it_was_sent() -> None:
    one, other = socket.socketpair()
    sending: Wire[FromWorker] = Wire(one, FromWorker)
    taking: Wire[ToWorker] = Wire(other, ToWorker)
    told = [Drop("camera/1"), Wake("camera/2", 5), TakeSnapshot(7, "camera/3"), Stop()]
    for message in told:
        sending.send(message)
    assert [taking.receive() for _ in told] == told
    sending.close()
    taking.close()


def test_many_threads_send_whole_messages(ends: Ends) -> None:
    def send(who: int) -> None:
        for number in range(50):
            ends.wire.send(Snapped(number, bytes([who]) * 3_000, who, ""))

    threads = [threading.Thread(target=send, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    other: Wire[FromWorker] = Wire(ends.raw.dup(), FromWorker)
    got: dict[int, list[int]] = {who: [] for who in range(4)}
    for _ in range(200):
        message = other.receive()
        assert isinstance(message, Snapped)
        assert message.jpeg == bytes([message.time_ms]) * 3_000
        got[message.time_ms].append(message.request)
    assert all(numbers == list(range(50)) for numbers in got.values())
    for thread in threads:
        thread.join()
    other.close()


def test_a_message_over_the_limit_is_not_sent_and_the_next_one_is() -> None:
    with Ends(max_message_bytes=1_000) as ends:
        with pytest.raises(Broken, match="bytes"):
            ends.wire.send(Snapped(1, bytes(2_000), 0, ""))
        ends.wire.send(Snapped(2, b"", 0, ""))
        other: Wire[FromWorker] = Wire(ends.raw.dup(), FromWorker)
        assert other.receive() == Snapped(2, b"", 0, "")
        other.close()


def test_an_end_that_takes_nothing_is_given_up_for_good() -> None:
    with Ends(send_timeout_s=0.1) as ends:
        with pytest.raises(Broken):
            ends.wire.send(Snapped(1, bytes(64 << 20), 0, ""))
        with pytest.raises(Broken):  # half a message has gone, so nothing can follow it
            ends.wire.send(Stop())


def test_close_lets_go_of_who_waits(ends: Ends) -> None:
    broken = threading.Event()

    def wait() -> None:
        try:
            ends.wire.receive()
        except Broken:
            broken.set()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    wait_until(waiting.is_alive, HANG_S)
    ends.wire.close()
    assert broken.wait(HANG_S)
    with pytest.raises(Broken):
        ends.wire.send(Stop())
