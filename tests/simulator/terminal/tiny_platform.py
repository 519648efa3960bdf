"""A tiny platform on a real socket: it takes frames, answers as a platform does, and says what a test wants said."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from simulator.terminal import gt06
from simulator.terminal.wire import MAX_808_BODY_BYTES, Packet, Protocol, cut, pack, unpack
from tests.conftest import wait_until

TOKEN = "token-7D7E"


class Platform:
    """Listens on a free port; one thread for each connection.

    Attributes:
        packets: everything that came, parts apart.
        mute: messages up that it does not answer.
        results: its answer to a message up, where it is not 0.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.packets: list[Packet] = []
        self.mute: set[int] = set()
        self.results: dict[int, int] = {}
        self.connections: list[socket.socket] = []
        self._changed = threading.Condition()
        self._serial = 100
        self._server = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.drop_all()
        for thread in self._threads:
            thread.join(10)

    def drop_all(self) -> None:
        for one in self.connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                made, _ = self._server.accept()
            except OSError:
                return
            self.connections.append(made)
            self._threads.append(threading.Thread(target=self._serve, args=(made,)))
            self._threads[-1].start()

    def _serve(self, made: socket.socket) -> None:
        buffer = bytearray()
        with made, contextlib.suppress(OSError):
            while data := made.recv(65_536):
                buffer += data
                for raw in cut(self.protocol, buffer):
                    packet = unpack(self.protocol, raw)
                    with self._changed:
                        self.packets.append(packet)
                        self._changed.notify_all()
                    answer = self._answer(packet)
                    if answer:
                        made.sendall(answer)

    def _answer(self, packet: Packet) -> bytes:
        if packet.message_id in self.mute:
            return b""
        if self.protocol is Protocol.GT06:
            if packet.message_id not in gt06.ANSWERED:
                return b""
            return pack(self.protocol, packet.message_id, b"", serial=packet.serial)[0]
        result = self.results.get(packet.message_id, 0)
        if packet.message_id == 0x0100:
            token = b"" if result else TOKEN.encode()
            return self._frames(0x8100, struct.pack(">HB", packet.serial, result) + token, packet.number)
        if packet.message_id in (0x0001, 0x0005, 0x0801):
            return b""
        return self._frames(0x8001, struct.pack(">HHB", packet.serial, packet.message_id, result), packet.number)

    def _frames(self, message_id: int, body: bytes, number: str) -> bytes:
        return b"".join(self._made(message_id, body, number, MAX_808_BODY_BYTES)[0])

    def _made(self, message_id: int, body: bytes, number: str, max_body_bytes: int) -> tuple[list[bytes], int]:
        with self._changed:
            first = self._serial
            frames = pack(self.protocol, message_id, body, number=number, serial=first, max_body_bytes=max_body_bytes)
            self._serial += len(frames)
        return frames, first + len(frames) - 1

    def say(self, message_id: int, body: bytes = b"", *, max_body_bytes: int = MAX_808_BODY_BYTES) -> int:
        """Send a message to the newest connection; the serial of its last frame."""
        wait_until(lambda: self.connections, what="a connection")
        number = next((packet.number for packet in reversed(self.packets)), "000000000000")
        frames, last = self._made(message_id, body, number, max_body_bytes)
        self.connections[-1].sendall(b"".join(frames))
        return last

    def wait_id(self, message_id: int, count: int = 1) -> list[Packet]:
        """The packets of that number, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.of(message_id)) >= count, 10.0), (
                f"{message_id:#06x} is not {count} times among {[hex(one.message_id) for one in self.packets]}"
            )
            return self.of(message_id)

    def of(self, message_id: int) -> list[Packet]:
        return [one for one in self.packets if one.message_id == message_id]
