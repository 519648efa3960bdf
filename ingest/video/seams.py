"""What the parts of the video intake agree on: why a stream was lost, and who takes packets.

Invariants: the calls of one connection come on one thread, `on_open` before its packets, `on_lost` last; after a
connection was given up (its thread hung) not one more call of it arrives. It opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from model.video import Packet, StreamInfo


class LossReason(StrEnum):
    """Why there is no stream (any more)."""

    #: The address is not allowed, or is none: see `ingest.video.address`. Not tried again until it changes.
    REFUSED = "refused"
    #: Nobody answers at the address, or it cannot be resolved.
    UNREACHABLE = "unreachable"
    #: The camera wants other credentials.
    UNAUTHORIZED = "unauthorized"
    #: The camera has no such stream.
    NOT_FOUND = "not_found"
    #: It accepted and then said nothing.
    TIMED_OUT = "timed_out"
    #: It sends something that is no video stream.
    NOT_VIDEO = "not_video"
    #: There is a stream without a picture in it.
    AUDIO_ONLY = "audio_only"
    #: It ended the stream.
    ENDED = "ended"
    #: A codec that is neither H.264 nor H.265.
    UNSUPPORTED = "unsupported"
    #: A thread hung in a library and was given up.
    STUCK = "stuck"
    #: Decoding one picture took too long, or failed in a way that ends the connection.
    DECODE = "decode"
    #: We ended it.
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Loss:
    """Why, in one line that holds no credentials, and when it will be tried again (0: not by itself)."""

    reason: LossReason
    detail: str
    retry_in_s: float = 0.0


class PacketSink(Protocol):
    """Who takes what a connection reads; each call on the connection's own thread. Exceptions end the connection."""

    def on_open(self, info: StreamInfo) -> None:
        """A stream is there (again), or its parameters have changed."""
        ...

    def on_packet(self, packet: Packet) -> None:
        """The next packet; decoding happens in this call, so a call that does not come back is a hung decode."""
        ...

    def on_lost(self, loss: Loss) -> None:
        """There is no stream now."""
        ...
