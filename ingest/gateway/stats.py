"""Counters of the gateway; written by its thread, read by any."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from model.codes import Reason


@dataclass(slots=True)
class GatewayStats:
    """What came and what became of it, since the start unless said otherwise.

    Attributes:
        connections, sessions: open now; terminals known by name now.
        accepted, turned_away: connections taken; closed for want of room.
        replaced: sessions that a newer connection of the same terminal ended.
        greeting_timeouts, idle_timeouts, overruns: connections closed because of silence, or of a full buffer.
        bad_prefaces: connections of a balancer that did not begin with its line.
        registrations_failed: registrations that the registry could not write; they were not answered.
        rounds, received_bytes, frames, datagrams: what was read.
        positions: points handed over.
        unanswered: frames read and not yet durable, now; paused: how often reading paused for that.
        answers: answers that were written.
        parts, parts_asked, whole, lost: parts that came, asked for again, messages put together, given up.
        open_bytes: of messages of which parts are missing, now.
        media, reports, replies, orders: pieces of evidence, reports and answers handed on; orders sent.
        bad: things quarantined, by reason.
    """

    connections: int = 0
    sessions: int = 0
    accepted: int = 0
    turned_away: int = 0
    replaced: int = 0
    greeting_timeouts: int = 0
    idle_timeouts: int = 0
    overruns: int = 0
    bad_prefaces: int = 0
    registrations_failed: int = 0
    rounds: int = 0
    received_bytes: int = 0
    frames: int = 0
    datagrams: int = 0
    positions: int = 0
    unanswered: int = 0
    paused: int = 0
    answers: int = 0
    parts: int = 0
    parts_asked: int = 0
    whole: int = 0
    lost: int = 0
    open_bytes: int = 0
    media: int = 0
    reports: int = 0
    replies: int = 0
    orders: int = 0
    bad: Counter[Reason] = field(default_factory=Counter)
