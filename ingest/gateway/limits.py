"""Named limits of the gateway."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Every queue, buffer, retry and text of the gateway, with its unit.

    Attributes:
        max_connections: more are closed as they come.
        greeting_s: a connection that does not say who it is for so long is closed.
        idle_s: so is one that says nothing for so long.
        max_buffer_bytes: bytes of one connection that are no complete frame yet; more end it.
        max_unsent_bytes: bytes that one terminal has not taken yet; more end its connection.
        max_unanswered_frames: frames read and not yet durable before reading pauses.
        max_media_bytes: largest message put together from parts.
        max_open_bytes: all messages together of which parts are missing (and as much again of taxis' photos); beyond, the
            stalest is given up.
        part_timeout_s: how long the next part may take before the missing ones are asked for.
        part_retries: how often they are asked for without one coming.
        part_offline_s: how long a message with missing parts waits for its terminal to connect again.
        part_messages: messages of one terminal of which parts are missing; beyond, its stalest is given up.
        part_memory: messages put together that are remembered, so that a part sent again is known.
        part_memory_s: … for so long.
        read_bytes: most that one read takes from a socket.
        round_bytes: most that one round reads of all sockets.
        round_events: most sockets that one round looks at.
        nap_ms: pause after a round that read from `nap_above` connections or more, so that the next brings more.
        nap_above: see `nap_ms`.
        tick_ms: how often time-outs are looked at.
        check_s: how often sessions are compared with the registry, and orders without an answer forgotten.
        orders_per_terminal: orders that wait for an answer of one terminal; the oldest gives way.
        order_s: how long an answer to an order is waited for.
        max_orders: orders handed over by other threads and not yet taken up.
        strangers_kept: frames quarantined of one connection that has not said who it is; then it is closed.
        quarantine_raw_bytes: bytes kept of what was quarantined.
        extra_bytes: JSON kept with one point for what has no column.
        detail_chars: length of an explanation.
        backlog: connections the kernel holds until they are accepted.
        stop_s: how long `stop` waits for what is under way.
        udp_links: senders of datagrams known at a time; further ones are turned away.
        udp_numbers: numbers of authenticated terminals of which it is remembered from where they may send datagrams.
    """

    max_connections: int = 12_000
    greeting_s: float = 30.0
    idle_s: float = 600.0
    max_buffer_bytes: int = 64 * KIB
    max_unsent_bytes: int = 256 * KIB
    max_unanswered_frames: int = 200_000
    max_media_bytes: int = 16 * MIB
    max_open_bytes: int = 256 * MIB
    part_timeout_s: float = 5.0
    part_retries: int = 5
    part_offline_s: float = 300.0
    part_messages: int = 64
    part_memory: int = 10_000
    part_memory_s: float = 300.0
    read_bytes: int = 32 * KIB
    round_bytes: int = 8 * MIB
    round_events: int = 4_096
    nap_ms: float = 2.0
    nap_above: int = 16
    tick_ms: int = 200
    check_s: float = 5.0
    orders_per_terminal: int = 64
    order_s: float = 120.0
    max_orders: int = 10_000
    strangers_kept: int = 20
    quarantine_raw_bytes: int = 4_096
    extra_bytes: int = 1_024
    detail_chars: int = 200
    backlog: int = 4_096
    stop_s: float = 10.0
    udp_links: int = 4_096
    udp_numbers: int = 100_000


DEFAULT_LIMITS = GatewayLimits()
