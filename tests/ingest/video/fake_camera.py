"""A camera of plain sockets that does what no server does on purpose: redirects, silence, garbage, other times, other sources.

It speaks just enough RTSP (OPTIONS, DESCRIBE, SETUP over TCP or UDP, PLAY) and sends H.264 as RTP.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from ingest.video.parameter_sets import parameter_sets
from model.video import TICKS_PER_S

_PAYLOAD_BYTES = 1_200
_START = b"\0\0\1"
#: FFmpeg takes 0 for no time.
_FIRST_STAMP = 123_456


@dataclass(slots=True)
class Script:
    """What a fake camera does.

    Attributes:
        pictures: Annex B, each sent `gap_s` after the one before, over and over; `stamps` are their RTP times in ticks
            (default: at the pace of `gap_s`), the last gap going on.
        redirect_to: Location of a 302 answer to `redirect_on`, from connection `redirect_from` (0, 1, …) on.
        status: answers to methods other than 200.
        silent: accept and say nothing.
        then: what comes after `then_after` pictures: `garbage`, `close`, `silence`, `trickle`.
        udp_source: `source=` of a UDP transport.
        media: kind of the described media; encoding: its name in `rtpmap`.
    """

    pictures: Sequence[bytes] = ()
    gap_s: float = 0.05
    stamps: Sequence[int] | None = None
    redirect_to: str = ""
    redirect_on: str = "DESCRIBE"
    redirect_from: int = 0
    status: dict[str, int] = field(default_factory=dict)
    silent: bool = False
    then: str = ""
    then_after: int = 0
    udp_source: str = ""
    media: str = "video"
    encoding: str = "H264"


class FakeCamera:
    """Serves `script` on a free loopback port until `close`; `requests` has every request line."""

    def __init__(self, script: Script, host: str = "127.0.0.1") -> None:
        self.script = script
        self.requests: list[str] = []
        self.connections = 0
        self._over = threading.Event()
        self._listener = socket.create_server((host, 0))
        self.host, self.port = self._listener.getsockname()[:2]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, path: str = "/ch1", login: str = "") -> str:
        """Where it is."""
        return f"rtsp://{login}{'@' if login else ''}{self.host}:{self.port}{path}"

    def close(self) -> None:
        """End it and all its connections."""
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number, self.connections = self.connections, self.connections + 1
            self._open = [one for one in self._open if one.fileno() >= 0]
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            if self.script.silent:
                self._over.wait()
                return
            self._talk(connection, number)

    def _talk(self, connection: socket.socket, number: int) -> None:
        buffer = b""
        udp: tuple[str, int] | None = None
        while True:
            while b"\r\n\r\n" not in buffer:
                data = connection.recv(4096)
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            self.requests.append(lines[0])
            method, uri, _ = lines[0].split(" ", 2)
            headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
            if method == "SETUP" and "client_port" in headers["transport"]:
                udp = ("127.0.0.1", int(headers["transport"].split("client_port=")[1].split("-")[0]))
            connection.sendall(self._answer(method, uri, headers, number, udp=udp is not None))
            if method == "PLAY":
                self._play(connection, udp)
                return

    def _answer(self, method: str, uri: str, headers: dict[str, str], number: int, *, udp: bool) -> bytes:
        script = self.script
        more, body, status = [f"CSeq: {headers['cseq']}"], "", script.status.get(method, 200)
        if script.redirect_to and method == script.redirect_on and number >= script.redirect_from:
            status, more = 302, [*more, f"Location: {script.redirect_to}"]
        elif status == 401:
            more.append('WWW-Authenticate: Basic realm="fake"')
        elif method == "DESCRIBE":
            body = self._sdp()
            more += [f"Content-Base: {uri}/", "Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            source = f";source={script.udp_source}" if script.udp_source else ""
            port = headers["transport"].split("client_port=")[-1] if udp else ""
            way = (
                f"RTP/AVP;unicast;client_port={port}{source};server_port=40000-40001"
                if udp
                else "RTP/AVP/TCP;unicast;interleaved=0-1"
            )
            more += [f"Transport: {way}", "Session: 1234"]
        return ("\r\n".join([f"RTSP/1.0 {status} Word", *more]) + "\r\n\r\n" + body).encode()

    def _sdp(self) -> str:
        sets = parameter_sets("h264", self.script.pictures[0]) if self.script.pictures else ()
        sprop = ",".join(base64.b64encode(one).decode() for one in sets)
        fmtp = f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}\r\n" if sets else ""
        return (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
            f"m={self.script.media} 0 RTP/AVP 96\r\na=rtpmap:96 {self.script.encoding}/90000\r\n{fmtp}a=control:track1\r\n"
        )

    def _play(self, connection: socket.socket, udp: tuple[str, int] | None) -> None:
        script = self.script
        sequence = number = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", 0))
            while script.pictures and not self._over.is_set():
                if script.then and number >= script.then_after:
                    self._after(connection)
                    return
                picture = script.pictures[number % len(script.pictures)]
                for packet in rtp_packets(picture, sequence, self._stamp(number)):
                    if udp is not None:
                        datagrams.sendto(packet, udp)
                    else:
                        connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
                    sequence += 1
                number += 1
                self._over.wait(script.gap_s)
        self._over.wait()

    def _stamp(self, number: int) -> int:
        stamps = self.script.stamps
        step = round(self.script.gap_s * TICKS_PER_S)
        if stamps is None:
            return _FIRST_STAMP + number * step
        return stamps[number] if number < len(stamps) else stamps[-1] + (number - len(stamps) + 1) * step

    def _after(self, connection: socket.socket) -> None:
        if self.script.then == "garbage":
            seed = 1
            while not self._over.is_set():
                seed = (seed * 1103515245 + 12345) % 2**31
                connection.sendall(seed.to_bytes(4, "big") * 64)
                time.sleep(0.001)
        elif self.script.then == "silence":
            self._over.wait()
        elif self.script.then == "trickle":
            connection.sendall(b"$\0\xff\xff")
            while not self._over.wait(0.05):
                connection.sendall(b"\0")


def rtp_packets(picture: bytes, sequence: int, stamp: int) -> list[bytes]:
    """An H.264 access unit (Annex B) as RTP packets (RFC 6184: single units and FU-A)."""
    payloads: list[bytes] = []
    units = [unit.rstrip(b"\0") for unit in picture.split(_START)[1:]]
    for unit in units:
        if len(unit) <= _PAYLOAD_BYTES:
            payloads.append(unit)
            continue
        pieces = [unit[at : at + _PAYLOAD_BYTES] for at in range(1, len(unit), _PAYLOAD_BYTES)]
        for number, piece in enumerate(pieces):
            flags = (number == 0) << 7 | (number == len(pieces) - 1) << 6
            payloads.append(bytes([unit[0] & 0xE0 | 28, flags | unit[0] & 0x1F]) + piece)
    return [
        struct.pack(
            ">BBHII", 0x80, (number == len(payloads) - 1) << 7 | 96, (sequence + number) % 2**16, stamp % 2**32, 7
        )
        + payload
        for number, payload in enumerate(payloads)
    ]
