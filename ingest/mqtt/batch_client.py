"""A paho client that reads the socket in large pieces and hands over messages in batches.

Purpose: stock paho does one select and four recv calls for every message; this one does one poll and one
recv for all that has come. Everything that is not a PUBLISH goes through paho's own handling.
Invariants: only the thread that calls `step` touches the socket; a message is acknowledged only by
`acknowledge`; malformed input ends the connection and never raises. When paho's private names are not
what is expected here (`missing_private_name`), the client says so once and delivers stock `on_message`
in batches of one. It keeps no session state and does not reconnect: that is `connection.py`.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import select
import socket
import ssl
import threading
import warnings
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt import client as paho_client
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from ingest.mqtt.goodbye import wait_for_end
from ingest.mqtt.messages import DUP_BIT, QOS1_BIT, RETAIN_BIT, Messages
from ingest.mqtt.packets import (
    DEFAULT_MAX_PACKET_BYTES,
    DEFAULT_OVERSIZE_KEEP_BYTES,
    PUBLISH,
    PacketBuffer,
    pubacks,
)

#: Most that one read takes from the socket.
DEFAULT_READ_BYTES = 256 * 1024
#: Kernel receive buffer asked for; 0 leaves the system's own.
DEFAULT_SOCKET_BUFFER_BYTES = 1024 * 1024

_IN_PACKET_KEYS = {
    "command",
    "have_remaining",
    "remaining_count",
    "remaining_mult",
    "remaining_length",
    "packet",
    "to_process",
    "pos",
}
_METHODS: Final[dict[str, list[str]]] = {
    "_packet_handle": [],
    "_sock_recv": ["bufsize"],
    "_loop_rc_handle": ["rc"],
    "_packet_queue": ["command", "packet", "mid", "qos", "info"],
    "_send_pingreq": [],
}
_ATTRIBUTES = ("_msgtime_mutex", "_ping_t", "_last_msg_out")
#: The time of the last bytes received: 2.2 and later, 2.1.
_RECEIVED_NAMES = ("_last_bytes_received", "_last_msg_in")


class FallbackWarning(UserWarning):
    """paho's private names moved: messages come one by one and cost about ten times as much."""


def missing_private_name(client: Client) -> str:
    """Name the first private part of paho that is not what this module needs, "" when all are."""
    for name, expected in _METHODS.items():
        method = getattr(client, name, None)
        if not callable(method) or list(inspect.signature(method).parameters) != expected:
            return name
    for name in _ATTRIBUTES:
        if not hasattr(client, name):
            return name
    if not any(hasattr(client, name) for name in _RECEIVED_NAMES):
        return _RECEIVED_NAMES[0]
    if not callable(getattr(paho_client, "time_func", None)):
        return "time_func"
    packet = getattr(client, "_in_packet", None)
    if not isinstance(packet, dict) or set(packet) != _IN_PACKET_KEYS:
        return "_in_packet"
    return ""


class BatchClient(Client):
    """An MQTT 3.1.1 client that delivers `Messages`.

    Args:
        client_id: MQTT client id; with `clean_session` False it names the session on the broker.
        deliver: called in the thread of `step` with the messages of one read; must not raise.
        clean_session: whether the broker forgets us when we leave.
        read_bytes: most that one read takes.
        max_packet_bytes, oversize_keep_bytes: see `packets.PacketBuffer`.
        socket_buffer_bytes: kernel receive buffer asked for, 0 for the system's own.

    Attributes:
        buffered: False when it fell back to stock `on_message`.
        malformed: what was wrong with the stream that ended the connection, else "".
        last_read_bytes: size of the last read.
        generation: number of the connection; packet identifiers mean something within one only.
        acknowledged: messages acknowledged so far.
        stale_acks: acknowledgements dropped because their connection is gone (the broker sends those again).
    """

    def __init__(
        self,
        client_id: str,
        deliver: Callable[[Messages], None],
        *,
        clean_session: bool = False,
        read_bytes: int = DEFAULT_READ_BYTES,
        max_packet_bytes: int = DEFAULT_MAX_PACKET_BYTES,
        oversize_keep_bytes: int = DEFAULT_OVERSIZE_KEEP_BYTES,
        socket_buffer_bytes: int = DEFAULT_SOCKET_BUFFER_BYTES,
    ) -> None:
        # paho's own reconnecting has no jitter and no end; connection.py does it.
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean_session,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._deliver = deliver
        self._read_bytes = read_bytes
        self._limits = (max_packet_bytes, oversize_keep_bytes)
        self._socket_buffer_bytes = socket_buffer_bytes
        self._buffer = self._new_buffer()
        self._acks: list[tuple[int, list[int]]] = []
        self._acks_mutex = threading.Lock()
        self._wake_pending = False
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)  # noqa: FBT003 - the socket API takes it so
        self._wake_write.setblocking(False)  # noqa: FBT003 - the socket API takes it so
        self.malformed = ""
        self.last_read_bytes = 0
        self.generation = 0
        self.acknowledged = 0
        self.stale_acks = 0
        self.on_socket_open = self._tune_socket
        missing = missing_private_name(self)
        self.buffered = not missing
        if missing:
            self.on_message = self._one_message
            warnings.warn(
                f"paho-mqtt's private name {missing} is not what lucheng expects: messages come one by one. "
                "Install a version of paho-mqtt within the range in pyproject.toml.",
                FallbackWarning,
                stacklevel=2,
            )
        self._received_name = next((name for name in _RECEIVED_NAMES if hasattr(self, name)), "")

    def _new_buffer(self) -> PacketBuffer:
        return PacketBuffer(max_packet_bytes=self._limits[0], oversize_keep_bytes=self._limits[1])

    def _tune_socket(self, _client: Client, _userdata: Any, sock: Any) -> None:
        """A fresh socket: nothing of the last connection may be left in the buffers."""
        self._buffer = self._new_buffer()
        self.malformed = ""
        self.last_read_bytes = 0
        self.generation += 1
        with contextlib.suppress(OSError):  # options make it faster, not correct
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._socket_buffer_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._socket_buffer_bytes)

    # -- other threads ---------------------------------------------------------------------

    def acknowledge(self, generation: int, mids: list[int], *, wake: bool = True) -> None:
        """Have `mids` of connection `generation` acknowledged by the next `step`, in one send; any thread.

        With `wake` False the caller calls `wake` itself, once all it has to say is said.
        """
        if mids:
            with self._acks_mutex:
                self._acks.append((generation, mids))
        if wake:
            self.wake()

    def wake(self) -> None:
        """Make `step` return soon; any thread."""
        if not self._wake_pending:
            self._wake_pending = True
            with contextlib.suppress(OSError):  # full: it will wake; closed: nobody waits
                self._wake_write.send(b"\0")

    # -- the thread of `step` --------------------------------------------------------------

    def step(self, timeout_s: float, *, read: bool = True) -> MQTTErrorCode:
        """Wait up to `timeout_s` for something to do and do it; anything but success means disconnected.

        With `read` False the socket is left unread (the broker then waits); acknowledgements still go out.
        """
        self._flush_acks()
        sock: Any = self.socket()
        if sock is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        if read and isinstance(sock, ssl.SSLSocket) and sock.pending():
            timeout_s = 0.0
            ready = select.POLLIN
        else:
            ready = 0
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        events = (select.POLLIN if read else 0) | (select.POLLOUT if self.want_write() else 0)
        if events:
            poll.register(sock, events)
        for fd, event in poll.poll(timeout_s * 1000):
            if fd == self._wake_read.fileno():
                self._drain_wake()
                self._flush_acks()
            else:
                ready |= event
        rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        if read and ready & (select.POLLIN | select.POLLHUP | select.POLLERR):
            rc = self.loop_read()
        if rc == MQTTErrorCode.MQTT_ERR_SUCCESS and ready & ~select.POLLIN and self.want_write():
            rc = self.loop_write()  # at an error too: it is the write that tells
        if rc == MQTTErrorCode.MQTT_ERR_SUCCESS and read:
            rc = self.loop_misc()
        return rc if self.socket() is not None else rc or MQTTErrorCode.MQTT_ERR_CONN_LOST

    def wait(self, timeout_s: float) -> None:
        """Without a connection: return after `timeout_s` or at a `wake`."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if poll.poll(timeout_s * 1000):
            self._drain_wake()

    def ping_unread(self) -> None:
        """Send a PINGREQ while the socket is left unread, so that the broker keeps us.

        Its answer waits among the unread bytes, so paho must not count the time until it comes.
        """
        if self.buffered:
            self._send_pingreq()
            self.forget_silence()

    def forget_silence(self) -> None:
        """Start paho's keep-alive anew: what was unread until now was our own doing."""
        if self.buffered:
            with self._msgtime_mutex:
                self._ping_t = 0.0
                setattr(self, self._received_name, paho_client.time_func())

    @property
    def acks_waiting(self) -> bool:
        """Whether acknowledgements or other packets still wait to be sent."""
        return bool(self._acks) or self.want_write()

    def close_connection(self) -> None:
        """Say goodbye if connected, and close the connection; it can be opened again."""
        sock: Any = self.socket()
        if sock is None:
            return
        # Closing a socket with unread data resets the connection, and the acknowledgements sent last with it:
        # so it is held open until the broker has closed its side.
        with socket.socket(fileno=os.dup(sock.fileno())) as held:
            self.disconnect()
            self.loop_write()
            sock = self.socket()
            if sock is not None:  # the goodbye could not be written at once
                sock.close()
            wait_for_end(held)

    def close(self) -> None:
        """Say goodbye if connected, and release the sockets."""
        self.close_connection()
        self._wake_read.close()
        self._wake_write.close()

    def _drain_wake(self) -> None:
        # Bytes first, then the flag: the other way a byte sent in between is taken and its flag stays up, and
        # nobody wakes us any more. Who finds the flag still up has queued its work before, and we look after.
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)
        self._wake_pending = False

    def _flush_acks(self) -> None:
        if not self._acks:
            return
        with self._acks_mutex:
            waiting, self._acks = self._acks, []
        lists = [mids for generation, mids in waiting if generation == self.generation and self.is_connected()]
        mids = lists[0] if len(lists) == 1 else [mid for part in lists for mid in part]
        self.stale_acks += sum(len(mids) for _, mids in waiting) - len(mids)
        self.acknowledged += len(mids)
        if not mids:
            return
        if self.buffered:
            self._packet_queue(0x40, pubacks(mids), mids[-1], 1, None)
        else:
            for mid in mids:
                self.ack(mid, 1)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read once, hand over every whole message, let paho handle the other packets."""
        if not self.buffered:
            return super().loop_read(max_packets)
        chunk = self._read_socket()
        if chunk is None:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        if not chunk:
            return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
        self.last_read_bytes = len(chunk)
        with self._msgtime_mutex:
            setattr(self, self._received_name, paho_client.time_func())
        parsed = self._buffer.feed(chunk)
        rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        for head, body in parsed.others:
            rc = self._hand_to_paho(head, body)
            if rc != MQTTErrorCode.MQTT_ERR_SUCCESS or self.socket() is None:
                break
        if parsed.messages.topics:
            # Whatever else the stream held, these are whole; only a stranger's are not taken.
            if self.is_connected():
                self._deliver(parsed.messages)
            elif rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                parsed.malformed = parsed.malformed or "a PUBLISH packet before the connection was accepted"
        if rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return self._loop_rc_handle(rc)
        if parsed.malformed:
            self.malformed = parsed.malformed
            return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_PROTOCOL)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _read_socket(self) -> bytes | None:
        """What there is, up to `read_bytes`; None: nothing now; b"": the connection is gone."""
        try:
            chunk = self._sock_recv(self._read_bytes)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        if not isinstance(self.socket(), ssl.SSLSocket):
            return chunk
        # One TLS record is at most 16 KiB: take what else has come, for the same batch.
        parts, total = [chunk], len(chunk)
        while chunk and total < self._read_bytes:
            try:
                chunk = self._sock_recv(self._read_bytes - total)
            except OSError:  # nothing more now (BlockingIOError), or gone: the next read will tell
                break
            parts.append(chunk)
            total += len(chunk)
        return b"".join(parts)

    def _hand_to_paho(self, head: int, body: bytes) -> MQTTErrorCode:
        self._in_packet = {
            "command": head,
            "have_remaining": 1,
            "remaining_count": [],
            "remaining_mult": 1,
            "remaining_length": len(body),
            "packet": bytearray(body),
            "to_process": 0,
            "pos": 0,
        }
        try:
            return self._packet_handle()
        except Exception as error:  # whatever paho thinks of a packet the broker made up, the connection is at fault
            self.malformed = f"a packet of type {head >> 4} that cannot be read ({type(error).__name__})"
            return MQTTErrorCode.MQTT_ERR_PROTOCOL

    def _one_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        """Fallback: one stock message as a batch of one."""
        head = PUBLISH | (RETAIN_BIT if message.retain else 0) | (DUP_BIT if message.dup else 0)
        try:
            topic = message.topic.encode()
        except UnicodeDecodeError:
            topic = b""  # the decoder quarantines it as a bad topic
        messages = Messages(
            topics=[topic],
            payloads=[bytes(message.payload)],
            mids=[message.mid],
            heads=bytearray((head | (QOS1_BIT if message.qos else 0),)),
        )
        limit, keep = self._limits
        if len(message.payload) > limit:
            messages.oversized[0] = len(message.payload)
            messages.payloads[0] = bytes(message.payload[:keep])
        self.last_read_bytes = len(message.payload)
        self._deliver(messages)
