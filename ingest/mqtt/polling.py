"""A stock paho client that waits with poll(2): select(2), which paho uses, knows no file descriptor above 1,023.

Purpose: a service with thousands of terminals has such descriptors, and a connection to the broker that is made anew then
gets one; paho would take it for lost, again and again. Invariants: paho's own reading, writing and keeping alive, in its
own thread. Where paho has moved the one private name that it needs, it waits as paho does.
"""

from __future__ import annotations

import contextlib
import select
import ssl
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

_WAKE_BYTES = 10_000


class PollingClient(Client):
    """`paho.mqtt.client.Client` for processes with many files; use `loop_start`."""

    def _loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        """One turn of the thread that `loop_start` starts; overrides paho's."""
        sock: Any = self.socket()
        if sock is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        woken: Any = getattr(self, "_sockpairR", None)
        buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        poll = select.poll()
        try:
            own = sock.fileno()
            poll.register(own, select.POLLIN | (select.POLLOUT if self.want_write() else 0))
        except (ValueError, OSError):  # closed by another thread in this moment
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        if woken is not None:
            poll.register(woken, select.POLLIN)
        ready = dict(poll.poll(0 if buffered else timeout * 1000))
        events = ready.pop(own, 0)
        if events & ~select.POLLOUT or buffered:
            rc = self.loop_read()
            if rc or self.socket() is None:
                return rc
        if ready:  # somebody published: there is something to write, though there was not
            with contextlib.suppress(BlockingIOError):
                woken.recv(_WAKE_BYTES)
        if events & select.POLLOUT or ready:
            rc = self.loop_write()
            if rc or self.socket() is None:
                return rc
        return self.loop_misc()
