"""A look at an RTSP server before FFmpeg is let at it: OPTIONS and DESCRIBE on a connection of our own.

Why: FFmpeg follows a redirect (3xx) to whatever address the server names and takes our credentials there, unless `rtsp`
itself is missing in its protocol whitelist (seen in FFmpeg 8), and then all it says is "invalid argument"; in the answers to
these two requests alone does it look for one. So they are asked first, at the pinned address, and a redirect is refused in
words. It also tells 401, 404, silence and a stream without a picture apart in seconds, which
FFmpeg does not, and asks with a wrong password once. Invariants: one connection, to the pinned address; every wait ends at
one deadline; no answer is read beyond its limit. What FFmpeg does in spite of all that is found by `peers`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from ingest.video.address import PinnedAddress
from ingest.video.lost import StreamLost, lost_from
from ingest.video.peers import PEERS
from ingest.video.seams import LossReason

#: Longest head and body of an answer; FFmpeg takes no longer description either.
MAX_HEAD_BYTES = 16_384
MAX_BODY_BYTES = 16_384
_RECEIVE_BYTES = 4_096
_AGENT = "lucheng"
_CODECS = {"H264": "h264", "H265": "hevc"}
_RTPMAP = re.compile(r"a=rtpmap:\s*(\d+)\s+([\w.+-]+)/", re.IGNORECASE)
_CHALLENGE = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Described:
    """What the server says it has.

    Attributes:
        codec: `h264` or `hevc`.
        audio: whether there is sound too.
    """

    codec: str
    audio: bool


@dataclass(slots=True)
class _Answer:
    status: int
    phrase: str
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: str = ""

    def header(self, name: str) -> str:
        return self.headers.get(name, [""])[0]


class _Talk:
    """One connection; raises StreamLost."""

    def __init__(self, address: PinnedAddress, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._deadline_s = time.monotonic() + timeout_s
        self._buffer = b""
        self._number = 0
        self._challenges: list[str] = []
        self._socket = socket.socket(socket.AF_INET6 if ":" in address.ip else socket.AF_INET, socket.SOCK_STREAM)
        self._inode = PEERS.own(self._socket)
        try:
            self._socket.settimeout(timeout_s)
            self._socket.connect((address.ip, address.port))
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=address.host)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._socket.close()
        PEERS.release(self._inode)

    def ask(self, method: str) -> _Answer:
        answer = self._ask(method)
        if answer.status == 401 and not self._challenges and (self._address.user or self._address.password):
            self._challenges = answer.headers.get("www-authenticate", [])
            answer = self._ask(method)
        return answer

    def _ask(self, method: str) -> _Answer:
        self._number += 1
        lines = [f"{method} {self._address.request_uri} RTSP/1.0", f"CSeq: {self._number}", f"User-Agent: {_AGENT}"]
        if method == "DESCRIBE":
            lines.append("Accept: application/sdp")
        if self._challenges:
            lines.append(f"Authorization: {_proof(self._challenges, self._address, method)}")
        self._wait()
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return self._read()

    def _wait(self) -> None:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)

    def _more(self) -> None:
        self._wait()
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise StreamLost(LossReason.NOT_VIDEO, "the server closed the connection instead of answering")
        self._buffer += data

    def _read(self) -> _Answer:
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD_BYTES or not b"RTSP/1.0 "[: len(self._buffer)] == self._buffer[:9]:
                raise StreamLost(LossReason.NOT_VIDEO, "what answers there does not speak RTSP")
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode("utf-8", "replace").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        code, _, phrase = rest.partition(" ")
        if version != "RTSP/1.0" or not (code.isascii() and code.isdigit() and len(code) == 3):
            raise StreamLost(LossReason.NOT_VIDEO, "what answers there does not speak RTSP")
        answer = _Answer(int(code), phrase)
        for line in lines[1:]:
            name, _, value = line.partition(":")
            answer.headers.setdefault(name.strip().lower(), []).append(value.strip())
        size = answer.header("content-length") or "0"
        if not (size.isascii() and size.isdigit()) or len(size) > 9 or int(size) > MAX_BODY_BYTES:
            raise StreamLost(LossReason.NOT_VIDEO, "the server's description is too long")
        while len(self._buffer) < int(size):
            self._more()
        answer.body = self._buffer[: int(size)].decode("utf-8", "replace")
        self._buffer = self._buffer[int(size) :]
        return answer


def _proof(challenges: list[str], address: PinnedAddress, method: str) -> str:
    for challenge in challenges:
        kind, _, rest = challenge.partition(" ")
        values = {name.lower(): quoted or plain for name, quoted, plain in _CHALLENGE.findall(rest)}
        algorithm = values.get("algorithm", "MD5").upper()
        if kind.lower() == "digest" and algorithm in _HASHES and values.get("nonce"):
            return _digest(values, algorithm, address, method)
    login = base64.b64encode(f"{address.user}:{address.password}".encode()).decode()
    if any(challenge.lower().startswith("basic") for challenge in challenges):
        return f"Basic {login}"
    raise StreamLost(LossReason.UNAUTHORIZED, "the camera asks for a proof that is not spoken here")


def _digest(values: dict[str, str], algorithm: str, address: PinnedAddress, method: str) -> str:
    def digest(text: str) -> str:
        return _HASHES[algorithm](text.encode()).hexdigest()

    realm, nonce, uri = values.get("realm", ""), values["nonce"], address.request_uri
    secret, request = digest(f"{address.user}:{realm}:{address.password}"), digest(f"{method}:{uri}")
    name = address.user.replace("\\", "\\\\").replace('"', '\\"')
    parts = [f'username="{name}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{uri}"']
    if "auth" in values.get("qop", "").replace(" ", "").split(","):
        own = secrets.token_hex(8)
        parts += ["qop=auth", "nc=00000001", f'cnonce="{own}"']
        response = digest(f"{secret}:{nonce}:00000001:{own}:auth:{request}")
    else:
        response = digest(f"{secret}:{nonce}:{request}")
    parts += [f'response="{response}"', f"algorithm={algorithm}"]
    if "opaque" in values:
        parts.append(f'opaque="{values["opaque"]}"')
    return "Digest " + ", ".join(parts)


@contextlib.contextmanager
def looked_at(address: PinnedAddress, *, timeout_s: float, tls: ssl.SSLContext | None = None) -> Iterator[Described]:
    """Ask an RTSP server what it has; the connection stays until the block ends.

    It stays because a server that makes a stream up for the first who asks takes it down again when nobody is left, and
    answers 503 to whoever asks in between.

    Args:
        address: where; `rtsp` or `rtsps`.
        timeout_s: for all of it.
        tls: for `rtsps`; its certificate is checked against the host as it was written.

    Raises StreamLost.
    """
    talk = None
    try:
        try:
            talk = _Talk(address, timeout_s, tls)
            _judge(talk.ask("OPTIONS"))
            answer = talk.ask("DESCRIBE")
            _judge(answer)
            described = _describe(answer.body)
        except (OSError, ValueError) as error:
            raise lost_from(error) from None
        yield described
    finally:
        if talk is not None:
            talk.close()


def _judge(answer: _Answer) -> None:
    status = answer.status
    if 300 <= status < 400:
        raise StreamLost(
            LossReason.REFUSED, f"the server sends us to another address ({status}), which is not followed"
        )
    if status in (401, 403):
        raise StreamLost(LossReason.UNAUTHORIZED, f"the camera does not let us in ({status})")
    if status in (404, 410, 454, 455):
        raise StreamLost(LossReason.NOT_FOUND, f"the camera has no such stream ({status})")
    if 500 <= status < 600:
        raise StreamLost(LossReason.UNREACHABLE, f"the camera cannot serve the stream now ({status})")
    if status != 200:
        raise StreamLost(LossReason.NOT_VIDEO, f"the server answers {status}")
    if answer.header("realchallenge1") or answer.header("server").lower().startswith("wmserver/"):
        raise StreamLost(LossReason.UNSUPPORTED, "the server speaks a dialect of its own")


def _describe(sdp: str) -> Described:
    audio = False
    others: list[str] = []
    for part in re.split(r"(?m)^m=", sdp)[1:]:
        media = part.split(" ", 1)[0].strip().lower()
        if media == "audio":
            audio = True
        elif media == "video":
            for _, name in _RTPMAP.findall(part):
                if name.upper() in _CODECS:
                    return Described(_CODECS[name.upper()], audio or "\nm=audio" in sdp)
                others.append(name)
    if others:
        raise StreamLost(LossReason.UNSUPPORTED, f"the camera sends {others[0][:20]}, not H.264 or H.265")
    if audio:
        raise StreamLost(LossReason.AUDIO_ONLY, "there is sound and no picture")
    raise StreamLost(LossReason.NOT_VIDEO, "there is no picture in the server's description")
