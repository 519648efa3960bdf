"""`Messages`: what one read of the socket brought, as columns of Python objects.

Purpose: the one shape in which messages travel from the socket to the decoder. Invariants: all
columns have the same length and the order of arrival; topics and payloads are immutable bytes.
It decodes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

#: Bits of the first byte of a PUBLISH packet (MQTT 3.1.1, 3.3.1).
RETAIN_BIT = 0x01
QOS1_BIT = 0x02
DUP_BIT = 0x08


@dataclass(slots=True)
class Messages:
    """PUBLISH packets as columns.

    Attributes:
        topics: topic names as they came (not checked to be UTF-8).
        payloads: payloads; that of an oversized packet is cut.
        mids: packet identifiers, 1..65535; 0 for QoS 0. They mean something on their own connection only.
        heads: first byte of each packet: `RETAIN_BIT`, `QOS1_BIT`, `DUP_BIT`.
        oversized: index of each message whose packet was over the limit, and the packet's true length in bytes.
    """

    topics: list[bytes] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    mids: list[int] = field(default_factory=list)
    heads: bytearray = field(default_factory=bytearray)
    oversized: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.topics)

    @classmethod
    def of(cls, items: Iterable[tuple[str | bytes, bytes]], *, retain: bool = False) -> Messages:
        """Messages from (topic, payload) pairs, as if they had come at QoS 0."""
        made = cls()
        for topic, payload in items:
            made.topics.append(topic.encode() if isinstance(topic, str) else topic)
            made.payloads.append(payload)
            made.mids.append(0)
            made.heads.append(0x30 | (RETAIN_BIT if retain else 0))
        return made
