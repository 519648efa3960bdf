"""Closing a connection without losing what was sent last.

Purpose: a socket that is closed with unread data resets the connection (RFC 1122, 4.2.2.13), and what the other side has
not read yet, our last acknowledgements, goes with it. Invariants: bounded in reads and in time between two of them;
never raises. It knows nothing of MQTT.
"""

from __future__ import annotations

import contextlib
import socket

#: Reads after the goodbye, and how long each waits: more than a socket buffer holds.
MAX_READS = 64
READ_BYTES = 65_536
READ_TIMEOUT_S = 0.5


def wait_for_end(held: socket.socket) -> None:
    """Send no more, and read what still comes until the other side has ended."""
    with contextlib.suppress(OSError):  # it ended already, or says nothing any more
        held.shutdown(socket.SHUT_WR)
        held.settimeout(READ_TIMEOUT_S)
        for _ in range(MAX_READS):
            if not held.recv(READ_BYTES):
                return
