"""Packets come out of a byte stream the same however it is cut, and no stream raises."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.mqtt.packets import PacketBuffer, Parsed, pubacks

Packet = tuple[int, bytes, int, bytes]


def length_bytes(length: int) -> bytes:
    out = bytearray()
    while True:
        length, low = divmod(length, 128)
        out.append(low | (128 if length else 0))
        if not length:
            return bytes(out)


def publish(head: int, topic: bytes, mid: int, payload: bytes) -> bytes:
    body = struct.pack(">H", len(topic)) + topic + (struct.pack(">H", mid) if head & 2 else b"") + payload
    return bytes((head,)) + length_bytes(len(body)) + body


def packed(packet: Packet | tuple[int, bytes]) -> bytes:
    if len(packet) == 4:
        return publish(*packet)
    return bytes((packet[0],)) + length_bytes(len(packet[1])) + packet[1]


def columns(parsed: list[Parsed]) -> list[Packet]:
    out = []
    for part in parsed:
        made = part.messages
        out += list(zip(made.heads, made.topics, made.mids, made.payloads, strict=True))
    return out


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


PUBLISHES = st.tuples(
    st.sampled_from([0x30, 0x31, 0x32, 0x3A, 0x33]),
    st.binary(min_size=1, max_size=40),
    st.integers(1, 65535),
    st.binary(max_size=30) | st.integers(0, 400).map(lambda size: b"x" * size),
).map(lambda packet: packet if packet[0] & 2 else (packet[0], packet[1], 0, packet[3]))
OTHERS = st.sampled_from(
    [(0x20, b"\0\0"), (0xD0, b""), (0x90, b"\0\1\1"), (0x40, b"\0\1"), (0x90, b"\0\1" + b"\1" * 200)]
)


@given(st.lists(PUBLISHES | OTHERS, max_size=12), st.lists(st.integers(0, 5000), max_size=12))
@settings(max_examples=300, deadline=None)
def test_cutting_the_stream_changes_nothing(packets: list[Packet | tuple[int, bytes]], places: list[int]) -> None:
    stream = b"".join(packed(packet) for packet in packets)
    buffer = PacketBuffer()
    parsed = [buffer.feed(chunk) for chunk in cut(stream, places) if chunk]
    assert columns(parsed) == [packet for packet in packets if len(packet) == 4]
    assert [other for part in parsed for other in part.others] == [packet for packet in packets if len(packet) == 2]
    assert not any(part.malformed for part in parsed)
    assert buffer.held_bytes == 0


@given(st.lists(PUBLISHES, min_size=1, max_size=8), st.lists(st.integers(0, 5000), max_size=12))
@settings(max_examples=300, deadline=None)
def test_oversized_packets_cost_no_neighbour(packets: list[Packet], places: list[int]) -> None:
    limit, keep = 120, 10
    buffer = PacketBuffer(max_packet_bytes=limit, oversize_keep_bytes=keep)
    stream = b"".join(publish(*packet) for packet in packets)
    parsed = [buffer.feed(chunk) for chunk in cut(stream, places) if chunk]
    wanted, sizes = [], []
    for head, topic, mid, payload in packets:
        raw = publish(head, topic, mid, payload)
        over = len(raw) - (2 if raw[1] < 128 else 3) > limit
        wanted.append((head, topic, mid, payload[:keep] if over else payload))
        sizes += [len(raw)] if over else []
    assert columns(parsed) == wanted
    assert [size for part in parsed for size in part.messages.oversized.values()] == sizes
    assert not any(part.malformed for part in parsed)


@given(st.lists(st.binary(max_size=60), max_size=10))
@settings(max_examples=500, deadline=None)
def test_no_stream_raises_or_is_hoarded(chunks: list[bytes]) -> None:
    buffer = PacketBuffer(max_packet_bytes=64, oversize_keep_bytes=8)
    for chunk in chunks:
        if buffer.feed(chunk).malformed:
            break
        assert buffer.held_bytes < 64 + 60 + 5


@pytest.mark.parametrize(
    "stream",
    [
        b"\x32\xff\xff\xff\xff\x01",  # remaining length of five bytes
        b"\x32\x00",  # no room for a topic
        b"\x32\x03\x00\x01a",  # no room for an identifier
        b"\x30\x02\x00\x05",  # topic longer than the packet
        b"\x30\x02\x00\x00",  # empty topic
        b"\x32\x05\x00\x01a\x00\x00",  # identifier 0
        b"\x34\x05\x00\x01a\x00\x01",  # QoS 2
        b"\x36\x05\x00\x01a\x00\x01",  # QoS 3
        b"\x20\xff\x7f" + b"x" * 20,  # no PUBLISH and over the limit
        b"\x30\xff\x7f\x00\x00" + b"x" * 20,  # over the limit with an empty topic
    ],
)
def test_malformed(stream: bytes) -> None:
    good = publish(0x32, b"t", 7, b"p")
    parsed = PacketBuffer(max_packet_bytes=1000, oversize_keep_bytes=4).feed(good + stream + b"\0" * 8)
    assert parsed.malformed
    assert columns([parsed]) == [(0x32, b"t", 7, b"p")]


def test_a_long_packet_in_small_pieces() -> None:
    packet = publish(0x32, b"t", 7, b"p" * 200_000)
    buffer = PacketBuffer()
    parsed = [buffer.feed(packet[start : start + 1000]) for start in range(0, len(packet), 1000)]
    assert columns(parsed) == [(0x32, b"t", 7, b"p" * 200_000)]


def test_pubacks() -> None:
    assert pubacks([1, 256, 65535]) == b"\x40\x02\x00\x01\x40\x02\x01\x00\x40\x02\xff\xff"
