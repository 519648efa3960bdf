from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.video.ring import PACKET_OVERHEAD_BYTES, PacketRing
from model.video import Packet, StreamInfo

INFO = StreamInfo("h264", 640, 360, b"", 10, 1)


def _packet(number: int, *, keyframe: bool = False, size: int = 100, info: StreamInfo = INFO) -> Packet:
    at_ms = number * 100
    return Packet(bytes(size), at_ms * 90, at_ms * 90, at_ms, at_ms, keyframe, False, info)


def _filled(count: int, *, gop: int = 10, max_s: float = 5.0, max_bytes: int = 1 << 20) -> PacketRing:
    ring = PacketRing(max_s=max_s, max_bytes=max_bytes)
    for number in range(count):
        assert ring.append(_packet(number, keyframe=number % gop == 0))
    return ring


def _times(packets: list[Packet]) -> list[int]:
    return [packet.time_ms // 100 for packet in packets]


def test_it_is_bounded_in_seconds_and_begins_with_a_keyframe() -> None:
    ring = _filled(100, max_s=5.0)
    assert _times(ring.since_keyframe(0)) == list(range(50, 100))
    assert ring.span_ms == 4_900
    assert len(ring) == 50
    assert ring.bytes == 50 * (100 + PACKET_OVERHEAD_BYTES)


def test_it_is_bounded_in_bytes() -> None:
    ring = _filled(100, max_s=1_000, max_bytes=25 * (100 + PACKET_OVERHEAD_BYTES))
    assert _times(ring.since_keyframe(0)) == list(range(80, 100))


def test_a_group_longer_than_the_ring_stays_whole_and_one_too_large_is_cut() -> None:
    ring = _filled(100, gop=1_000, max_s=2)
    assert len(ring) == 100
    ring = PacketRing(max_s=2, max_bytes=10 * (100 + PACKET_OVERHEAD_BYTES))
    kept = [ring.append(_packet(number, keyframe=number % 30 == 0)) for number in range(35)]
    assert kept == [True] * 10 + [False] * 20 + [True] * 5
    assert ring.left_out == 20
    assert _times(ring.since_keyframe(0)) == [30, 31, 32, 33, 34]
    assert ring.append(_packet(60, keyframe=True, size=10_000)), "a keyframe is kept whatever its size"
    assert len(ring) == 1
    assert not ring.append(_packet(61))


def test_after_a_new_connection_it_waits_for_a_keyframe() -> None:
    ring = _filled(15)
    again = replace(INFO, epoch=2)
    assert not ring.append(_packet(15, info=again))
    assert not ring.append(_packet(16, info=replace(again)))
    assert ring.append(_packet(17, keyframe=True, info=again))
    assert ring.append(_packet(18, info=replace(again)))
    assert _times(ring.since_keyframe(0)) == [*range(15), 17, 18]


def test_what_is_read_begins_at_the_keyframe_before() -> None:
    ring = _filled(45)
    assert _times(ring.since_keyframe(2_500)) == list(range(20, 45))
    assert _times(ring.since_keyframe(2_000)) == list(range(20, 45))
    assert _times(ring.between(1_999, 2_499)) == list(range(10, 25))
    assert _times(ring.since_keyframe(-5)) == list(range(45))
    assert _times(ring.from_last_keyframe()) == list(range(40, 45))
    last = ring.last_keyframe()
    assert last is not None
    assert last.time_ms == 4_000
    ring.clear()
    assert ring.last_keyframe() is None
    assert (len(ring), ring.bytes, ring.span_ms, ring.since_keyframe(0)) == (0, 0, 0, [])
    assert not ring.append(_packet(45))


def test_packets_from_before_the_clock_was_set_back_do_not_stay() -> None:
    ring = PacketRing(max_s=5, max_bytes=1 << 20)
    for number in [*range(1000, 1010), *range(20)]:
        ring.append(_packet(number, keyframe=number % 10 == 0))
    assert _times(ring.since_keyframe(0)) == list(range(20))


@pytest.mark.parametrize(("newest", "goes_on"), [(True, 90), (False, 50)])
def test_a_slow_reader_goes_on_at_a_keyframe(newest: bool, goes_on: int) -> None:
    ring = _filled(12)
    cursor = ring.follow(from_ms=500, newest=newest)
    assert _times(cursor.take(8)) == list(range(8))
    assert _times(cursor.take()) == [8, 9, 10, 11]
    assert cursor.take() == []
    for number in range(12, 100):
        ring.append(_packet(number, keyframe=number % 10 == 0))
    assert _times(cursor.take()) == list(range(goes_on, 100))
    assert (cursor.overtaken, cursor.skipped) == (1, goes_on - 12)


def test_a_reader_of_an_empty_ring_begins_with_its_first_keyframe() -> None:
    ring = PacketRing(max_s=5, max_bytes=1 << 20)
    cursor = ring.follow()
    ring.append(_packet(1))
    assert cursor.take() == []
    ring.append(_packet(2, keyframe=True))
    assert _times(cursor.take()) == [2]
    assert cursor.overtaken == 0


def test_readers_beside_the_writer_see_every_packet_in_order() -> None:
    ring = PacketRing(max_s=1_000, max_bytes=1 << 30)
    seen: list[list[int]] = [[] for _ in range(4)]
    cursors = [ring.follow() for _ in seen]

    def read(index: int) -> None:
        while len(seen[index]) < 5_000:
            seen[index] += _times(cursors[index].take(37))

    readers = [threading.Thread(target=read, args=(index,)) for index in range(len(seen))]
    for reader in readers:
        reader.start()
    for number in range(5_000):
        ring.append(_packet(number, keyframe=number % 50 == 0, size=1))
    for reader in readers:
        reader.join(20)
    assert all(numbers == list(range(5_000)) for numbers in seen)


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 600), st.integers(1, 3)), max_size=120),
    max_bytes=st.integers(1_000, 8_000),
    max_s=st.integers(1, 4),
    reads=st.integers(1, 9),
)
@settings(max_examples=60)
def test_whatever_comes_the_limits_hold(
    steps: list[tuple[bool, int, int]], max_bytes: int, max_s: int, reads: int
) -> None:
    ring = PacketRing(max_s=max_s, max_bytes=max_bytes)
    cursor = ring.follow(newest=False)
    kept: list[Packet] = []
    taken: list[Packet] = []
    for number, (keyframe, size, epoch) in enumerate(steps):
        packet = _packet(number, keyframe=keyframe, size=size, info=replace(INFO, epoch=epoch))
        if ring.append(packet):
            kept.append(packet)
        if number % reads == 0:
            taken += cursor.take()
        packets = ring.since_keyframe(0)
        assert packets == kept[len(kept) - len(packets) :]
        assert len(ring) == len(packets)
        assert ring.bytes == sum(len(packet.data) + PACKET_OVERHEAD_BYTES for packet in packets)
        assert not packets or packets[0].keyframe
        one_group = sum(packet.keyframe for packet in packets) <= 1
        assert one_group or (ring.bytes <= max_bytes and ring.span_ms <= max_s * 1_000)
        assert ring.bytes <= max_bytes or len(packets) == 1
    taken += cursor.take()
    assert len(taken) + cursor.skipped == len(kept)
    assert taken == [packet for packet in kept if any(packet is other for other in taken)]
