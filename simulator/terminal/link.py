"""The connection of one terminal: it sends, collects, matches answers to what was sent, and sends again.

Purpose: what every protocol has in common. A thread reads; it hands each whole message to `obey`, in order. Invariants:
a message that awaits an answer keeps its serial when it is sent again, at most `resends` times; nothing is unbounded: heard
messages, open parts and the buffer have limits. It does not know what messages mean.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from model.clock import Clock
from model.errors import TryAgain
from simulator.terminal.wire import MAX_808_BODY_BYTES, BadFrame, Packet, Protocol, cut, pack, unpack

DEFAULT_CONNECT_TIMEOUT_S = 5.0
#: How long an answer may take before the message is sent again.
DEFAULT_ANSWER_TIMEOUT_S = 10.0
DEFAULT_RESENDS = 3
#: How long the platform may take to accept bytes before the connection is given up.
DEFAULT_SEND_TIMEOUT_S = 30.0
#: How long the next part of a message from the platform may take before the missing ones are asked for.
DEFAULT_PART_TIMEOUT_S = 5.0
#: Messages from the platform of which parts are missing; the oldest is forgotten.
DEFAULT_MAX_OPEN_MESSAGES = 16
#: How often it is looked whether something has to be sent again.
DEFAULT_POLL_MS = 20
_READ_BYTES = 65_536
_TURN = 65_536


@dataclass(slots=True)
class _Unanswered:
    message_id: int
    frames: list[bytes]
    due_s: float
    tries: int = 0


@dataclass(slots=True)
class _Open:
    """A message of which parts are missing."""

    parts: dict[int, Packet]
    due_s: float
    asked: int = 0


@dataclass(slots=True)
class Counts:
    """What a link did."""

    sent: int = 0
    received: int = 0
    resent: int = 0
    given_up: int = 0
    bad: list[str] = field(default_factory=list)


class Link:
    """One connection at a time; `connect` again after it ended keeps serials and what is unanswered.

    Args:
        protocol, number: of every frame.
        obey: called in the reading thread with every whole message that came.
        missing: called in the reading thread with (serial of the first part, parts) when parts did not come.
        clock: times the answers.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        protocol: Protocol,
        number: str,
        obey: Callable[[Packet], None],
        missing: Callable[[int, list[int]], None],
        clock: Clock,
        answer_timeout_s: float = DEFAULT_ANSWER_TIMEOUT_S,
        resends: int = DEFAULT_RESENDS,
        part_timeout_s: float = DEFAULT_PART_TIMEOUT_S,
    ) -> None:
        self.protocol, self.number = protocol, number
        self.counts = Counts()
        #: See `DEFAULT_POLL_MS`; more seldom where there are many of them.
        self.poll_ms = DEFAULT_POLL_MS
        #: Parts (message id, index) that are to be taken for lost, once each.
        self.ignored_parts: set[tuple[int, int]] = set()
        self._where = (host, port)
        self._obey, self._missing, self._clock = obey, missing, clock
        self._answer_timeout_s, self._resends, self._part_timeout_s = answer_timeout_s, resends, part_timeout_s
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._socket: socket.socket | None = None
        self._reader: threading.Thread | None = None
        self._serial = 0
        self._unanswered: dict[int, _Unanswered] = {}
        self._results: dict[int, int] = {}
        self._open: dict[tuple[int, int], _Open] = {}

    # -- the connection ------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """Whether the connection stands."""
        return self._socket is not None

    def connect(self) -> None:
        """Open it. TryAgain when nothing listens there."""
        self.close()
        try:
            made = socket.create_connection(self._where, DEFAULT_CONNECT_TIMEOUT_S)
        except OSError as error:
            raise TryAgain(
                f"Nothing takes the connection at {self._where[0]}:{self._where[1]}: {error}.",
                mend="Start the gateway, or give its --host and --port.",
            ) from error
        made.settimeout(DEFAULT_SEND_TIMEOUT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            self._open.clear()
            self._socket = made
            now_s = self._clock.monotonic_s()
            for waiting in self._unanswered.values():
                waiting.due_s, waiting.tries = now_s + self._answer_timeout_s, 0
        self._reader = threading.Thread(target=self._read, args=(made,), name=f"terminal {self.number}", daemon=True)
        self._reader.start()

    def close(self, *, abrupt: bool = False) -> None:
        """End it; `abrupt` as when power fails: with a reset, without a word."""
        with self._changed:
            made, self._socket = self._socket, None
        if made is not None:
            if abrupt:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                with contextlib.suppress(OSError):
                    made.shutdown(socket.SHUT_RDWR)
            if abrupt:
                made.close()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(DEFAULT_SEND_TIMEOUT_S)
            self._reader = None
        if made is not None:
            made.close()

    def wait_closed(self, timeout_s: float) -> bool:
        """Whether the platform ended the connection within `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._socket is None, timeout_s)

    # -- up ------------------------------------------------------------------------------------

    def prepare(
        self, message_id: int, body: bytes, *, answered: bool, max_body_bytes: int = MAX_808_BODY_BYTES
    ) -> list[Packet]:
        """Frames with the next serials, one `Packet` each, not sent yet.

        With `answered` the message awaits an answer, and is sent again when none comes.
        """
        with self._changed:
            first = self._serial
            frames = pack(
                self.protocol, message_id, body, number=self.number, serial=first, max_body_bytes=max_body_bytes
            )
            self._serial = (first + len(frames)) % _TURN
            if answered:
                waiting = _Unanswered(message_id, frames, self._clock.monotonic_s() + self._answer_timeout_s)
                for at in range(len(frames)):
                    self._results.pop((first + at) % _TURN, None)
                    self._unanswered[(first + at) % _TURN] = waiting
        return [unpack(self.protocol, raw) for raw in frames]

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are. TryAgain when the connection is gone."""
        made = self._socket
        if made is None:
            raise TryAgain("The terminal is not connected.", mend="Connect it first.")
        try:
            with self._sending:
                made.sendall(data)
        except OSError as error:
            self._ended(made)
            raise TryAgain(f"The platform ended the connection: {error}.", mend="Connect it again.") from error
        self.counts.sent += 1

    def resend_unanswered(self) -> int:
        """Send again, at once, everything that was never answered; how many messages that are."""
        with self._changed:
            waiting = {id(one): one for one in self._unanswered.values()}
        for one in waiting.values():
            self.send_raw(b"".join(one.frames))
        return len(waiting)

    def unanswered(self) -> list[int]:
        """Serials that await an answer."""
        with self._changed:
            return list(self._unanswered)

    def answer(self, serial: int, result: int, message_id: int | None = None) -> bool:
        """Note that the platform answered `serial`; False when nothing waited for it, or another message did."""
        with self._changed:
            waiting = self._unanswered.get(serial)
            if waiting is None or message_id not in (None, waiting.message_id):
                return False
            for other, one in list(self._unanswered.items()):
                if one is waiting:
                    del self._unanswered[other]
                    self._results[other] = result
            self._changed.notify_all()
            return True

    def wait_answer(self, serial: int, timeout_s: float) -> int:
        """The result that the platform gave. TryAgain when it said nothing in time or went away."""
        with self._changed:
            self._changed.wait_for(lambda: serial in self._results or self._socket is None, timeout_s)
            if serial not in self._results:
                gone = "ended the connection" if self._socket is None else f"did not answer in {timeout_s:g} s"
                raise TryAgain(f"The platform {gone} (serial {serial}).", mend="Look at the gateway's log.")
            return self._results[serial]

    # -- down ----------------------------------------------------------------------------------

    def _read(self, made: socket.socket) -> None:
        poller = select.poll()
        poller.register(made, select.POLLIN)
        buffer = bytearray()
        try:
            while self._socket is made:
                if poller.poll(self.poll_ms):
                    data = made.recv(_READ_BYTES)
                    if not data:
                        break
                    buffer += data
                    for raw in cut(self.protocol, buffer):
                        self._take(raw)
                self._send_again()
        except BadFrame as error:
            self.counts.bad.append(str(error))
        except (OSError, ValueError, TryAgain):
            pass  # The connection ended under us; `_ended` says so to everybody who waits.
        finally:
            self._ended(made)

    def _ended(self, made: socket.socket) -> None:
        with self._changed:
            mine = self._socket is made
            if mine:
                self._socket = None
            self._changed.notify_all()
        if mine:
            made.close()

    def _take(self, raw: bytes) -> None:
        self.counts.received += 1
        try:
            packet = unpack(self.protocol, raw)
            whole = self._whole(packet) if packet.total > 1 else packet
            if whole is not None:
                self._obey(whole)
        except BadFrame as error:
            self.counts.bad.append(str(error))

    def _whole(self, packet: Packet) -> Packet | None:
        """The message of which this is a part, once all are there; it has the serial of its last part."""
        if (packet.message_id, packet.index) in self.ignored_parts:
            self.ignored_parts.discard((packet.message_id, packet.index))
            return None
        key = (packet.message_id, (packet.serial - packet.index + 1) % _TURN)
        while key not in self._open and len(self._open) >= DEFAULT_MAX_OPEN_MESSAGES:
            del self._open[next(iter(self._open))]
        due_s = self._clock.monotonic_s() + self._part_timeout_s
        found = self._open.setdefault(key, _Open({}, due_s))
        found.parts[packet.index], found.due_s = packet, due_s
        if len(found.parts) < packet.total:
            return None
        del self._open[key]
        body = b"".join(found.parts[index].body for index in range(1, packet.total + 1))
        return replace(found.parts[packet.total], body=body, total=1, index=1)

    def _send_again(self) -> None:
        now_s = self._clock.monotonic_s()
        with self._changed:
            due = {id(one): one for one in self._unanswered.values() if one.due_s <= now_s}
            late = [one for one in due.values() if one.tries < self._resends]
            for one in late:
                one.tries += 1
                one.due_s = now_s + self._answer_timeout_s * (one.tries + 1)
            lost = [one for one in due.values() if one.due_s <= now_s]
            self.counts.given_up += len(lost)
            for serial in [serial for serial, one in self._unanswered.items() if any(one is lost_ for lost_ in lost)]:
                del self._unanswered[serial]
        for one in late:
            self.counts.resent += 1
            self.send_raw(b"".join(one.frames))
        for (_message_id, first), found in list(self._open.items()):
            if found.due_s <= now_s and found.asked < self._resends:
                found.due_s, found.asked = now_s + self._part_timeout_s, found.asked + 1
                total = next(iter(found.parts.values())).total
                self._missing(first, [index for index in range(1, total + 1) if index not in found.parts])
