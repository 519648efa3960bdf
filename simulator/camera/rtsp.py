"""An RTSP server that sends films as cameras send pictures: one path a camera, RTP inside the RTSP connection.

Invariants: time goes on when a film begins again; a client that takes too little is disconnected, and holds up nobody; a
request that is none ends its connection alone. What it does not do: UDP, audio, RTCP from clients, more than one track.
Sources: RFC 2326 (RTSP 1.0), RFC 3550 (RTP, sender reports), RFC 6184 (H.264 payload: single units and FU-A),
RFC 2617 (basic authentication).
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import random
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from simulator.camera.film import Film, nal_units

TICKS_PER_S = 90_000
PAYLOAD_TYPE = 96
#: Bytes of one RTP packet's payload.
MAX_PAYLOAD_BYTES = 1_400
MAX_REQUEST_BYTES = 16 << 10
#: Bytes that a client has not taken yet.
MAX_UNSENT_BYTES = 4 << 20
REPORT_EVERY_S = 5.0
_NTP_EPOCH_S = 2_208_988_800
_FU_A = 28


@dataclass(slots=True)
class Channel:
    """One simulated camera.

    Attributes:
        film: what it sends, over and over.
        offset_s: where in the film it begins.
        muted: it stays connected and sends nothing, as a camera that hangs does.
        refused: it answers 404, as one that was taken away does.
    """

    film: Film
    offset_s: float = 0.0
    muted: bool = False
    refused: bool = False


@dataclass(slots=True)
class _Session:
    """A client that plays: its sequence number, its random starts."""

    sequence: int = field(default_factory=lambda: random.getrandbits(16))
    source: int = field(default_factory=lambda: random.getrandbits(32))
    ticks: int = field(default_factory=lambda: random.getrandbits(31))
    packets: int = 0
    octets: int = 0


class RtspCameras:
    """The server, on a thread of its own; a context manager.

    Args:
        channels: path (e.g. `/camera/1`) to what is sent there.
        host, port: where it listens; port 0 takes a free one.
        user, password: asked of every client when given.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        user: str = "",
        password: str = "",
    ) -> None:
        self.channels = dict(channels)
        self.host, self.port = host, port
        self._wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._clients: set[asyncio.Task[None]] = set()
        #: Clients that play now.
        self.playing = 0
        self._thread = threading.Thread(target=self._run, name="rtsp-cameras", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; raises OSError when the port cannot be had."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Disconnect everybody and end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def url(self, path: str) -> str:
        """Where a camera is."""
        return f"rtsp://{self.host}:{self.port}{path}"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._loop.run_until_complete(asyncio.start_server(self._serve, self.host, self.port))
        except OSError as error:
            self._failure = error
            self._started.set()
            return
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(self._loop), return_exceptions=True))
        self._loop.close()

    # -- one client ---------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session, sending = _Session(), None
        writer.transport.set_write_buffer_limits(MAX_UNSENT_BYTES)
        try:
            while True:
                request = await _read_request(reader)
                if request is None:
                    continue
                verb, url, headers = request
                status, extra, body = self._answer(verb, url, headers)
                writer.write(_response(status, headers.get("cseq", "0"), extra, body))
                await writer.drain()
                if status == 200 and verb == "PLAY" and sending is None:
                    channel = self._channel(url)
                    assert channel is not None
                    sending = asyncio.create_task(self._send(writer, channel, session))
                if verb == "TEARDOWN":
                    break
        except (ValueError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass  # the server ends; asyncio would print it
        finally:
            if sending is not None:
                sending.cancel()
            writer.close()

    def _channel(self, url: str) -> Channel | None:
        path = urlsplit(url).path.removesuffix("/").removesuffix("/track1").removesuffix("/")
        return self.channels.get(path)

    def _answer(self, verb: str, url: str, headers: Mapping[str, str]) -> tuple[int, list[str], bytes]:
        if verb == "OPTIONS":
            return 200, ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"], b""
        if self._wanted and not hmac.compare_digest(headers.get("authorization", ""), self._wanted):
            return 401, ['WWW-Authenticate: Basic realm="camera"'], b""
        channel = self._channel(url)
        if channel is None or channel.refused:
            return 404, [], b""
        return self._answer_of(channel, verb, url, headers)

    @staticmethod
    def _answer_of(channel: Channel, verb: str, url: str, headers: Mapping[str, str]) -> tuple[int, list[str], bytes]:
        if verb == "DESCRIBE":
            body = _description(channel.film)
            return 200, ["Content-Type: application/sdp", f"Content-Base: {url.removesuffix('/')}/"], body
        if verb == "SETUP":
            transport = headers.get("transport", "")
            if "TCP" not in transport:
                return 461, [], b""
            return 200, ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1;timeout=60"], b""
        if verb in {"PLAY", "GET_PARAMETER", "TEARDOWN"}:
            return 200, ["Session: 1"], b""
        return 405, [], b""

    async def _send(self, writer: asyncio.StreamWriter, channel: Channel, session: _Session) -> None:
        """Send the film in its own time until the client has gone."""
        self.playing += 1
        try:
            film = channel.film
            first = _keyframe_at(film, (time.monotonic() + channel.offset_s) % film.length_s)
            begun_s, number, reported_s = time.monotonic(), 0, float("-inf")
            while True:
                due_s = begun_s + number / film.fps
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                if not channel.muted:
                    if due_s - reported_s > REPORT_EVERY_S:
                        writer.write(_sender_report(session, number / film.fps))
                        reported_s = due_s
                    unit = film.units[(first + number) % len(film.units)]
                    for packet in _rtp(unit, session, round(number * TICKS_PER_S / film.fps)):
                        writer.write(packet)
                    await asyncio.wait_for(writer.drain(), 10)
                number += 1
        except (ConnectionError, TimeoutError):
            writer.close()
        finally:
            self.playing -= 1


def _keyframe_at(film: Film, at_s: float) -> int:
    """The picture to begin with: the last keyframe up to a moment of the film."""
    number = min(int(at_s * film.fps), len(film.units) - 1)
    while not film.keyframe[number]:
        number -= 1
    return number


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    """One request; None for an interleaved packet of the client, which is passed over."""
    first = await reader.readexactly(1)
    if first == b"$":
        _, size = struct.unpack(">BH", await reader.readexactly(3))
        await reader.readexactly(size)
        return None
    text = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    if len(text) > MAX_REQUEST_BYTES:
        raise ValueError("a request that is too long")
    line, *rest = text.split("\r\n")
    verb, url, _ = line.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in rest if one)}
    size = int(headers.get("content-length", "0"))
    if not 0 <= size <= MAX_REQUEST_BYTES:
        raise ValueError("a body that is too long")
    await reader.readexactly(size)
    return verb, url, headers


_REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 461: "Unsupported Transport"}


def _response(status: int, cseq: str, extra: list[str], body: bytes) -> bytes:
    lines = [f"RTSP/1.0 {status} {_REASONS[status]}", f"CSeq: {cseq}", *extra]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def _description(film: Film) -> bytes:
    sets = ",".join(base64.b64encode(one).decode() for one in (film.sps, film.pps))
    lines = (
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=camera",
        "t=0 0",
        "a=control:*",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} H264/{TICKS_PER_S}",
        f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={film.sps[1:4].hex()};sprop-parameter-sets={sets}",
        f"a=framerate:{film.fps:g}",
        "a=control:track1",
    )
    return ("\r\n".join(lines) + "\r\n").encode()


def _rtp(unit: bytes, session: _Session, ticks: int) -> Iterator[bytes]:
    """The RTP packets of one picture, each with the four bytes that RTSP puts before it."""
    payloads: list[bytes] = []
    for nal in nal_units(unit):
        if len(nal) <= MAX_PAYLOAD_BYTES:
            payloads.append(nal)
            continue
        indicator, kind = nal[0] & 0xE0 | _FU_A, nal[0] & 0x1F
        for at in range(1, len(nal), MAX_PAYLOAD_BYTES):
            piece = nal[at : at + MAX_PAYLOAD_BYTES]
            begins, ends = at == 1, at + MAX_PAYLOAD_BYTES >= len(nal)
            payloads.append(bytes((indicator, begins << 7 | ends << 6 | kind)) + piece)
    stamp = session.ticks + ticks & 0xFFFFFFFF
    for number, payload in enumerate(payloads):
        marker = number == len(payloads) - 1
        head = struct.pack(">BBHII", 0x80, marker << 7 | PAYLOAD_TYPE, session.sequence, stamp, session.source)
        session.sequence = session.sequence + 1 & 0xFFFF
        session.packets += 1
        session.octets += len(payload)
        yield struct.pack(">cBH", b"$", 0, len(head) + len(payload)) + head + payload


def _sender_report(session: _Session, at_s: float) -> bytes:
    now_s = time.time() + _NTP_EPOCH_S
    body = struct.pack(
        ">BBHIIIIII",
        0x80,
        200,
        6,
        session.source,
        int(now_s),
        int(now_s % 1 * 2**32),
        session.ticks + round(at_s * TICKS_PER_S) & 0xFFFFFFFF,
        session.packets & 0xFFFFFFFF,
        session.octets & 0xFFFFFFFF,
    )
    return struct.pack(">cBH", b"$", 1, len(body)) + body
