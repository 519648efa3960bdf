"""What a partition's worker remembers, in a bucket of the servers' object store: the next worker goes on from there.

It lies as every NATS tool expects an object (chunks under a subject of their own, then one description that names it), but is
written and read here: nats-py's object store compares nothing before it replaces a description, and waits for ever for
chunks that were purged meanwhile.

Invariants: the description comes last and by compare and set, so what is read is one whole snapshot or the one before; its
digest covers the bytes, its check the name, position and epoch too; a holder with a lower epoch than the description's never
replaces it; a chunk is in its stream once, however often it was sent; what a killed writer left goes with the next snapshot. A
partition has at most `max_names` of them, each within `max_snapshot_bytes`. It knows nothing of what is in them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import xxhash

from model.errors import Corrupt, Fenced, Refused, StoreError, UsageError
from store.nats.link import Link
from store.nats.messages import EXPECTED_STREAM, ID_HEADER, Stored
from store.nats.reading import Reader
from store.nats.streams import Names
from store.nats.terms import MEND, Away, Message, Refusal

Answer = TypeVar("Answer")

DEFAULT_MAX_SNAPSHOT_BYTES = 256 << 20
DEFAULT_CHUNK_BYTES = 512 << 10
#: Snapshots of one partition; each needs room for the old one and the new one.
DEFAULT_MAX_NAMES = 2
SHARES_PER_PARTITION = 2 * DEFAULT_MAX_NAMES
#: Chunks that do not add up, or change while they are read, are put or read again so often.
_TRIES = 5
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_ROLLUP = "Nats-Rollup"
_EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence"
_WRONG_LAST = frozenset({10071, 10164})
_DIGEST = "SHA-256="


@dataclass(frozen=True, slots=True)
class _Described:
    """A snapshot's description as it stands on the servers; `number` is its place in the stream.

    One that is damaged says nothing but that; whoever comes replaces it.
    """

    number: int
    nuid: str
    size: int
    chunks: int
    digest: str
    position: int
    epoch: int
    deleted: bool
    damaged: bool = False


class ObjectSnapshots:
    """The snapshots of one partition; `model.seams.Snapshots`. Any thread may call anything.

    Args:
        link: the way to the servers.
        names: what everything is called; its bucket was made by `streams.set_up`.
        stream: the partition's stream, after which its snapshots are called.
        epoch: of whoever holds the partition, asked at every change.
        max_snapshot_bytes: of one snapshot.
        max_names: snapshots that there may be.
        chunk_bytes: of one message.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        stream: str,
        *,
        epoch: Callable[[], int],
        max_snapshot_bytes: int = DEFAULT_MAX_SNAPSHOT_BYTES,
        max_names: int = DEFAULT_MAX_NAMES,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    ) -> None:
        self._link = link
        self._bucket = names.snapshots
        self._stream = stream
        self._epoch = epoch
        self._max_bytes = max_snapshot_bytes
        self._max_names = max_names
        self._chunk_bytes = min(chunk_bytes, link.max_payload_bytes)
        self._reader = Reader(link, f"OBJ_{self._bucket}")
        self._turns = threading.Lock()

    def put_snapshot(self, name: str, position: int, blob: bytes) -> None:
        """See `Snapshots.put_snapshot`. Raises Refused: it is too large, or one too many."""
        if len(blob) > self._max_bytes:
            raise Refused(
                f"The state of {self._stream} has {len(blob)} bytes, the limit is {self._max_bytes}.",
                mend="Raise nats.max_snapshot_bytes.",
            )
        subject = self._subject(name)
        with self._turns:
            self._link.call(self._put(name, subject, position, blob, self._epoch()))

    def snapshot(self, name: str) -> tuple[int, bytes] | None:
        """See `Snapshots.snapshot`. Raises StoreError when the servers are away for longer than the link is patient."""
        return self._link.call(self._read(name, self._subject(name)))

    def forget_snapshot(self, name: str) -> None:
        """See `Snapshots.forget_snapshot`. Raises Fenced."""
        subject = self._subject(name)
        with self._turns:
            self._link.call(self._forget(name, subject, self._epoch()))

    def forget_beyond(self, position: int) -> None:
        """See `Snapshots.forget_beyond`. Raises Fenced."""
        with self._turns:
            self._link.call(self._forget_beyond(position, self._epoch()))

    # -- writing --------------------------------------------------------------------------------

    async def _put(self, name: str, subject: str, position: int, blob: bytes, epoch: int) -> None:
        before = await self._described(name, subject)
        self._refuse_if_newer(before, epoch)
        if before is None or before.deleted:
            await self._refuse_one_more(name)
        await self._sweep(name, epoch, keep=before.nuid if before is not None else "")
        nuid, chunks = await self._put_chunks(name, blob, epoch)
        told = _Described(0, nuid, len(blob), chunks, _digest_of(blob), position, epoch, deleted=False)
        await self._describe(name, subject, told, before)
        with suppress(Away, StoreError):  # what is left goes with the next one
            await self._sweep(name, epoch, keep=nuid)

    async def _put_chunks(self, name: str, blob: bytes, epoch: int) -> tuple[str, int]:
        """Send the bytes under a new name, and see that each chunk is there once; that name, and how many."""
        pieces = [blob[at : at + self._chunk_bytes] for at in range(0, len(blob), self._chunk_bytes)]
        for _ in range(_TRIES):
            nuid = f"{_mark_of(self._object(name))}-{epoch}-{secrets.token_hex(8)}"
            subject = self._chunks(nuid)
            for number, piece in enumerate(pieces):
                headers = {ID_HEADER: f"{nuid}-{number}", EXPECTED_STREAM: self._reader.stream}
                message = Message(subject, piece, headers)
                await self._persist(lambda message=message: self._link.publish([message]))  # type: ignore[misc] # a default binds it
            found = await self._persist(lambda subject=subject: self._reader.counts(subject))  # type: ignore[misc] # as above
            if found.get(subject, 0) == len(pieces):
                return nuid, len(pieces)
        raise StoreError(f"The state of {self._stream} did not reach the nats-servers whole.", mend=MEND)

    async def _describe(self, name: str, subject: str, told: _Described, before: _Described | None) -> None:
        """Put the description in the place of `before`, or of a newer one that is not above ours."""
        number = before.number if before is not None else 0
        payload = self._payload(name, told)

        async def attempt() -> None:
            nonlocal number
            headers = {_ROLLUP: "sub", _EXPECTED_SUBJECT: str(number), EXPECTED_STREAM: self._reader.stream}
            try:
                await self._link.publish([Message(subject, payload, headers)])
            except Refusal as error:
                if error.number not in _WRONG_LAST:
                    raise
            else:
                return
            newest = await self._newest(name, subject)
            if newest is not None and newest.nuid == told.nuid and newest.deleted == told.deleted:
                return  # an earlier attempt's answer was lost
            self._refuse_if_newer(newest, told.epoch)
            number = newest.number if newest is not None else 0
            raise Away(f"The nats-servers are not of one mind about the state of {self._stream} yet.")

        await self._persist(attempt)

    async def _forget(self, name: str, subject: str, epoch: int) -> None:
        before = await self._described(name, subject)
        if before is None or before.deleted:
            return
        self._refuse_if_newer(before, epoch)
        nuid = f"{_mark_of(self._object(name))}-{epoch}-{secrets.token_hex(8)}"
        gone = _Described(0, nuid, 0, 0, "", 0, epoch, deleted=True)
        await self._describe(name, subject, gone, before)
        with suppress(Away, StoreError):
            await self._sweep(name, epoch, keep="")

    async def _forget_beyond(self, position: int, epoch: int) -> None:
        for name in await self._names():
            found = await self._described(name, self._subject(name))
            if found is not None and not found.deleted and found.position > position:
                await self._forget(name, self._subject(name), epoch)

    async def _sweep(self, name: str, epoch: int, *, keep: str) -> None:
        """Purge what no description names: of holders up to `epoch`, for a newer one may be in the middle of it."""
        mark = _mark_of(self._object(name))
        for subject in await self._persist(lambda: self._reader.subjects(self._chunks("*"))):
            nuid = subject.rpartition(".")[2]
            parts = nuid.split("-")
            if parts[0] == mark and nuid != keep and len(parts) == 3 and int(parts[1]) <= epoch:
                purge = {"filter": subject}
                await self._persist(
                    lambda purge=purge: self._link.api(f"STREAM.PURGE.{self._reader.stream}", purge)  # type: ignore[misc] # as above
                )

    def _refuse_if_newer(self, found: _Described | None, epoch: int) -> None:
        if found is not None and found.epoch > epoch:
            raise Fenced(
                f"The state of {self._stream} was written by holder {found.epoch}, this is holder {epoch}.",
                mend="Let the partition go; whoever has it now goes on from the log.",
            )

    async def _refuse_one_more(self, name: str) -> None:
        others = [one for one in await self._names() if one != name]
        held = 0
        for other in others:
            found = await self._described(other, self._subject(other))
            held += found is not None and not found.deleted
        if held >= self._max_names:
            raise Refused(f"{self._stream} has {held} states already.", mend="Forget one of them first.")

    # -- reading --------------------------------------------------------------------------------

    async def _read(self, name: str, subject: str) -> tuple[int, bytes] | None:
        for _ in range(_TRIES):
            found = await self._described(name, subject)
            if found is None or found.deleted:
                return None
            if found.damaged:
                blob = None
            else:
                blob = await self._persist(lambda found=found: self._bytes_of(found))  # type: ignore[misc] # a default binds it
            if blob is not None and _digest_of(blob) == found.digest:
                return found.position, blob
            again = await self._described(name, subject)
            if again == found:
                raise Corrupt(
                    f"The state {name} of {self._stream} is damaged on the nats-servers.",
                    mend="It is made anew from the log; look at the servers' disks.",
                )
        raise StoreError(f"The state {name} of {self._stream} changes faster than it is read.", mend=MEND)

    async def _bytes_of(self, found: _Described) -> bytes | None:
        """All chunks, None when they do not add up. Raises Away, Refusal."""
        pieces: list[bytes] = []
        number, subject = 0, self._chunks(found.nuid)
        for _ in range(found.chunks):
            message = await self._reader.next_from(number + 1, subject)
            if message is None:
                return None
            pieces.append(message.payload)
            number = message.position
        blob = b"".join(pieces)
        return blob if len(blob) == found.size else None

    async def _described(self, name: str, subject: str) -> _Described | None:
        return await self._persist(lambda: self._newest(name, subject))

    async def _newest(self, name: str, subject: str) -> _Described | None:
        """The description as the leader has it. Raises Away, Refusal."""
        message = await self._reader.newest_of(subject)
        return None if message is None else self._parsed(name, message)

    async def _names(self) -> list[str]:
        """Names of snapshots of this partition, forgotten ones too."""
        pattern = f"$O.{self._bucket}.M.*"
        found: list[str] = []
        for subject in await self._persist(lambda: self._reader.subjects(pattern)):
            text = base64.urlsafe_b64decode(subject.rpartition(".")[2]).decode(errors="replace")
            stream, _, name = text.rpartition(".")
            if stream == self._stream:
                found.append(name)
        return found

    async def _persist(self, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        return await self._link.persist(
            attempt,
            what=f"The state of {self._stream} cannot be kept or read",
        )

    # -- how it lies there ----------------------------------------------------------------------

    def _object(self, name: str) -> str:
        return f"{self._stream}.{name}"

    def _subject(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name[:64]!r} is no name of a state.", mend="Use letters, digits, - and _.")
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(self._object(name).encode()).decode()}"

    def _chunks(self, nuid: str) -> str:
        return f"$O.{self._bucket}.C.{nuid}"

    def _payload(self, name: str, told: _Described) -> bytes:
        described: dict[str, Any] = {
            "name": self._object(name),
            "bucket": self._bucket,
            "nuid": told.nuid,
            "size": told.size,
            "chunks": told.chunks,
            "digest": told.digest,
            "mtime": datetime.fromtimestamp(self._link.clock.now_ms() / 1000, UTC).isoformat(),
            "options": {"max_chunk_size": self._chunk_bytes},
            "metadata": {
                "position": str(told.position),
                "epoch": str(told.epoch),
                "check": _check_of(self._object(name), told),
            },
        }
        return json.dumps(described | ({"deleted": True} if told.deleted else {})).encode()

    def _parsed(self, name: str, message: Stored) -> _Described:
        try:
            found = json.loads(message.payload)
            metadata = found["metadata"]
            told = _Described(
                message.position,
                str(found["nuid"]),
                int(found["size"]),
                int(found["chunks"]),
                str(found["digest"]),
                int(metadata["position"]),
                int(metadata["epoch"]),
                bool(found.get("deleted")),
            )
            if metadata["check"] == _check_of(self._object(name), told):
                return told
        except (ValueError, KeyError, TypeError):
            pass  # said below
        return _Described(message.position, "", 0, 0, "", 0, 0, deleted=False, damaged=True)


def _digest_of(blob: bytes) -> str:
    return _DIGEST + base64.urlsafe_b64encode(hashlib.sha256(blob).digest()).decode()


def _mark_of(text: str) -> str:
    """What the names of a snapshot's chunks begin with."""
    return xxhash.xxh3_64_hexdigest(text.encode())


def _check_of(text: str, told: _Described) -> str:
    fields = f"{text} {told.nuid} {told.size} {told.chunks} {told.digest} {told.position} {told.epoch} {told.deleted}"
    return xxhash.xxh3_64_hexdigest(fields.encode())
