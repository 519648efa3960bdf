"""MQTT 3.1.1 packets out of a byte stream, in one tight loop.

Purpose: turn what `recv` gave into `Messages` and a short list of other packets. Invariants: how the
stream is cut into chunks changes nothing of what comes out; at most `max_packet_bytes` plus one chunk is
held; nothing raises. It holds no socket, sends nothing, and judges neither topic nor payload.

Format: MQTT Version 3.1.1, OASIS Standard, sections 2.2 (fixed header) and 3.3 (PUBLISH).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ingest.mqtt.messages import Messages

#: Largest packet that is handed over whole; 256 KiB is an array of some 2,000 points.
DEFAULT_MAX_PACKET_BYTES = 256 * 1024
#: What is kept of the payload of a packet over that limit, for the quarantine.
DEFAULT_OVERSIZE_KEEP_BYTES = 1024

PUBLISH = 0x30
_TYPE = 0xF0
#: A PUBLISH of QoS 0 or 1: type bits, and the upper QoS bit clear.
_PUBLISH_MASK = 0xF4
_QOS1 = 0x02


@dataclass(slots=True)
class Parsed:
    """What one chunk completed.

    Attributes:
        messages: PUBLISH packets of QoS 0 and 1.
        others: every other packet, as (first byte, body).
        malformed: what is wrong with the stream, else "". After it the stream cannot be read on.
    """

    messages: Messages
    others: list[tuple[int, bytes]] = field(default_factory=list)
    malformed: str = ""


class PacketBuffer:
    """Holds the unfinished packet between chunks.

    Args:
        max_packet_bytes: a PUBLISH with a longer body is skipped as it comes; its topic, identifier and
            the first `oversize_keep_bytes` of its payload are handed over, marked in `Messages.oversized`.
        oversize_keep_bytes: see there.
    """

    def __init__(
        self,
        *,
        max_packet_bytes: int = DEFAULT_MAX_PACKET_BYTES,
        oversize_keep_bytes: int = DEFAULT_OVERSIZE_KEEP_BYTES,
    ) -> None:
        self._max_packet_bytes = max_packet_bytes
        self._keep_bytes = oversize_keep_bytes
        self._parts: list[bytes] = []
        self._have_bytes = 0
        self._need_bytes = 0
        self._skip_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the unfinished packet held now."""
        return self._have_bytes

    def feed(self, chunk: bytes) -> Parsed:
        """Take `chunk`, return every packet that is whole now."""
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(chunk))
            self._skip_bytes -= skipped
            chunk = chunk[skipped:]
        if self._parts:
            self._parts.append(chunk)
            self._have_bytes += len(chunk)
            if self._have_bytes < self._need_bytes:
                return Parsed(Messages())
            chunk = b"".join(self._parts)
            self._parts = []
        self._have_bytes = 0
        parsed = Parsed(Messages())
        try:
            at = self._parse(chunk, parsed)
        except IndexError:
            parsed.malformed = "a PUBLISH packet shorter than its own header"
            return parsed
        if at < len(chunk) and not parsed.malformed:
            self._parts.append(chunk[at:])
            self._have_bytes = len(chunk) - at
        return parsed

    def _parse(self, data: bytes, parsed: Parsed) -> int:  # noqa: C901, PLR0912 - runs for every message: no calls
        """Parse what is whole in `data`; return where the rest begins. IndexError: malformed."""
        messages = parsed.messages
        topics, payloads = messages.topics.append, messages.payloads.append
        mids, heads = messages.mids.append, messages.heads.append
        limit = self._max_packet_bytes
        at, end = 0, len(data)
        self._need_bytes = 2
        while at < end - 1:
            head = data[at]
            length = data[at + 1]
            body = at + 2
            if length > 127:
                if body < end and data[body] < 128:
                    length += (data[body] << 7) - 128
                    body += 1
                else:
                    length, body = _remaining_length(data, at + 1, end)
                    if body <= 0:
                        if body < 0:
                            parsed.malformed = "a remaining length of more than four bytes"
                        self._need_bytes = end - at + 1
                        break
            stop = body + length
            if length > limit:
                at = self._oversized(data, at, body, stop, parsed)
                if at < 0:
                    return ~at
                continue
            if stop > end:
                self._need_bytes = stop - at
                break
            if head & _PUBLISH_MASK == PUBLISH:
                topic_stop = body + 2 + (data[body] << 8 | data[body + 1])
                if head & _QOS1:
                    mid = data[topic_stop] << 8 | data[topic_stop + 1]
                    payload = topic_stop + 2
                else:
                    mid = 0
                    payload = topic_stop
                if payload > stop or topic_stop == body + 2 or (mid == 0 and head & _QOS1):
                    parsed.malformed = "a PUBLISH packet with a bad topic length or identifier"
                    break
                topics(data[body + 2 : topic_stop])
                payloads(data[payload:stop])
                mids(mid)
                heads(head)
            elif head & _TYPE == PUBLISH:
                parsed.malformed = "a PUBLISH packet of a QoS that was not subscribed"
                break
            else:
                parsed.others.append((head, data[body:stop]))
            at = stop
        return at

    def _oversized(self, data: bytes, at: int, body: int, stop: int, parsed: Parsed) -> int:
        """Hand over the head of a packet over the limit and skip the rest.

        Returns where the next packet begins, or `~at` (negative) when parsing must stop at `at`.
        """
        head, end = data[at], len(data)
        qos1 = head & _QOS1
        if head & _PUBLISH_MASK != PUBLISH:
            parsed.malformed = "a packet over the limit that is no PUBLISH"
            return ~at
        if body + 2 > end:
            self._need_bytes = body + 2 - at
            return ~at
        topic_stop = body + 2 + (data[body] << 8 | data[body + 1])
        payload = topic_stop + (2 if qos1 else 0)
        kept = min(stop, payload + self._keep_bytes)
        if payload <= stop and kept > end:
            self._need_bytes = kept - at
            return ~at
        mid = data[topic_stop] << 8 | data[topic_stop + 1] if qos1 else 0
        if payload > stop or topic_stop == body + 2 or (qos1 and mid == 0):
            parsed.malformed = "a PUBLISH packet with a bad topic length or identifier"
            return ~at
        messages = parsed.messages
        messages.oversized[len(messages)] = stop - at
        messages.topics.append(data[body + 2 : topic_stop])
        messages.payloads.append(data[payload:kept])
        messages.mids.append(mid)
        messages.heads.append(head)
        self._skip_bytes = max(0, stop - end)
        return min(stop, end)


def _remaining_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Remaining length at `at` and where the body begins; (0, 0) unfinished, (0, -1) malformed."""
    length = 0
    for place in range(4):
        if at + place >= end:
            return 0, 0
        byte = data[at + place]
        length |= (byte & 127) << (7 * place)
        if byte < 128:
            return length, at + place + 1
    return 0, -1


def pubacks(mids: list[int]) -> bytes:
    """PUBACK packets of all `mids` (1..65535) in order, 4 bytes each, as one bytes object."""
    return (np.array(mids, _BIG_ENDIAN) | _PUBACK_HEAD).astype(_BIG_ENDIAN).tobytes()


_BIG_ENDIAN = np.dtype(">u4")
_PUBACK_HEAD = np.uint32(0x40020000)
