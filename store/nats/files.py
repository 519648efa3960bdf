"""Bytes on their way from one process to another, in a bucket of the servers' object store: put, read, taken out.

It lies as every NATS tool expects an object. Invariants: what is read is whole and has the SHA-256 it was put with, or is none; each file has a name
of its own and is never replaced; the bucket is bounded and drops what grew old, so what nobody takes costs nothing for good.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from model.errors import StoreError, TryAgain
from store.nats.link import Link
from store.nats.messages import EXPECTED_STREAM, ID_HEADER
from store.nats.terms import PASSING, Away, Message, status_of

DEFAULT_CHUNK_BYTES = 512 << 10
_END_OF_BATCH, _NOT_FOUND = 204, 404
_CHUNKS_AT_ONCE = 32
_ATTEMPT_S = 5.0
#: The stream holds as much as it may.
_FULL = 10077


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Where a file lies.

    Attributes:
        name: of the object. nuid: of its chunks. chunks: how many. size_bytes, sha256: of the whole.
    """

    name: str
    nuid: str
    chunks: int
    size_bytes: int
    sha256: str


class Files:
    """One bucket. Any thread; every call waits.

    Args:
        link: the way to the servers; not the one that anything small waits on.
        bucket: its name; made by `cameras.set_up_video`.
        chunk_bytes: of one message.
    """

    def __init__(self, link: Link, bucket: str, *, chunk_bytes: int = DEFAULT_CHUNK_BYTES) -> None:
        self._link = link
        self._bucket = bucket
        self._stream = f"OBJ_{bucket}"
        self._chunk_bytes = min(chunk_bytes, link.max_payload_bytes)

    def put(self, name: str, data: bytes) -> StoredFile:
        """Put bytes there under a name that was never used. Raises Refusal (the bucket is full), StoreError."""
        pieces = [data[at : at + self._chunk_bytes] for at in range(0, len(data), self._chunk_bytes)]
        stored = StoredFile(name, secrets.token_hex(11), len(pieces), len(data), hashlib.sha256(data).hexdigest())
        try:
            self._link.call(self._put(stored, pieces))
        except StoreError:
            with suppress(TryAgain, StoreError):  # else it goes when it is old
                self.remove(stored)
            raise
        return stored

    def read(self, stored: StoredFile) -> bytes | None:
        """Its bytes; None when it is gone, or not whole. Raises StoreError."""
        data = self._link.call(self._link.persist(lambda: self._read(stored), what=f"{self._bucket} cannot be read"))
        return data if len(data) == stored.size_bytes and hashlib.sha256(data).hexdigest() == stored.sha256 else None

    def remove(self, stored: StoredFile) -> None:
        """Take it out. Raises Away, Refusal: it goes by itself when it is old."""
        for subject in (self._chunks(stored.nuid), self._described(stored.name)):
            self._link.call(self._link.api(f"STREAM.PURGE.{self._stream}", {"filter": subject}))

    async def _put(self, stored: StoredFile, pieces: list[bytes]) -> None:
        for number, piece in enumerate(pieces):
            await self._publish(self._chunks(stored.nuid), piece, f"{stored.nuid}-{number}")
        digest = base64.urlsafe_b64encode(bytes.fromhex(stored.sha256)).decode()
        described = {
            "name": stored.name,
            "bucket": self._bucket,
            "nuid": stored.nuid,
            "size": stored.size_bytes,
            "chunks": stored.chunks,
            "digest": f"SHA-256={digest}",
            "mtime": datetime.fromtimestamp(self._link.clock.now_ms() / 1000, UTC).isoformat(),
            "options": {"max_chunk_size": self._chunk_bytes},
        }
        await self._publish(self._described(stored.name), json.dumps(described).encode(), stored.nuid)

    async def _publish(self, subject: str, payload: bytes, message_id: str) -> None:
        message = Message(subject, payload, {ID_HEADER: message_id, EXPECTED_STREAM: self._stream})
        await self._link.persist(
            lambda: self._link.publish([message], timeout_s=_ATTEMPT_S),
            what=f"{self._bucket} takes nothing",
            again=lambda error: error.number in PASSING and error.number != _FULL,
        )

    async def _read(self, stored: StoredFile) -> bytes:
        """Its chunks, in order, as far as they are there. Raises Away."""
        pieces: list[bytes] = []
        position = 1
        while len(pieces) < stored.chunks:
            request = {"seq": position, "next_by_subj": self._chunks(stored.nuid), "batch": _CHUNKS_AT_ONCE}
            before = len(pieces)
            async with self._link.answers(
                f"$JS.API.DIRECT.GET.{self._stream}", json.dumps(request).encode()
            ) as replies:
                while True:
                    message = await self._link.next_of(replies, _ATTEMPT_S)
                    status = status_of(message)
                    if status in {_END_OF_BATCH, _NOT_FOUND}:
                        break
                    if status:
                        raise Away(f"The nats-server did not read {self._stream} (status {status}).")
                    pieces.append(message.data)
                    position = int((message.headers or {})["Nats-Sequence"]) + 1
            if len(pieces) == before:
                break
        return b"".join(pieces)

    def _chunks(self, nuid: str) -> str:
        return f"$O.{self._bucket}.C.{nuid}"

    def _described(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"
