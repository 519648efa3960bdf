"""Bytes to a browser, whole or a range of them, to one that reads slowly too.

Invariants: one range at most, within the bytes; what is not shown by a browser by itself is saved, never opened; a reader that
takes nothing for `stall_s` is cut off. Source: RFC 9110, 14 (ranges).
"""

from __future__ import annotations

import asyncio
import re

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.blob import Blob
from console.live.streams import PEER_KEY

PIECE_BYTES = 64 << 10
#: Shown in the page; everything else is saved to a file.
_INLINE = frozenset({"image/jpeg", "image/png", "audio/mpeg", "audio/wav", "video/mp4"})
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


def range_of(header: str, size_bytes: int) -> tuple[int, int] | None:
    """First byte and the one after the last that `header` (a `Range`) asks for; None: everything, for it asks for none or several.

    Raises ValueError: it lies outside of the bytes.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found.group(1) == found.group(2) == "":
        return None
    first, last = found.groups()
    if first == "":
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
        if last and int(last) < start:
            return None  # no valid range: to be passed over
    if start >= size_bytes or start >= end:
        raise ValueError(header)
    return start, end


class BytesAnswer(Response):
    """A blob, or the range of it that was asked for.

    Args:
        blob: the bytes. asked: the request's `Range`, "" none. stall_s: how long a reader may take nothing.
    """

    def __init__(self, blob: Blob, asked: str, *, stall_s: float) -> None:
        size = len(blob.data)
        status, body, headers = 200, blob.data, {"accept-ranges": "bytes"}
        try:
            part = range_of(asked, size)
        except ValueError:
            status, body = 416, b""
            headers["content-range"] = f"bytes */{size}"
        else:
            if part is not None:
                status, body = 206, blob.data[part[0] : part[1]]
                headers["content-range"] = f"bytes {part[0]}-{part[1] - 1}/{size}"
        shown = "inline" if blob.media_type in _INLINE else "attachment"
        headers["content-disposition"] = f'{shown}; filename="{blob.name}"'
        super().__init__(body, status, headers, blob.media_type)
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        try:
            async with asyncio.timeout(self._stall_s):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            view = memoryview(self.body)
            for at in range(0, max(len(view), 1), PIECE_BYTES):
                more = at + PIECE_BYTES < len(view)
                piece = bytes(view[at : at + PIECE_BYTES])
                async with asyncio.timeout(self._stall_s):
                    await send({"type": "http.response.body", "body": piece, "more_body": more})
        except TimeoutError:
            peer = scope.get("state", {}).get(PEER_KEY)
            if peer is not None:
                peer.transport.abort()
