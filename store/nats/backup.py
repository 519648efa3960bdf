"""A stream as files, and back: the servers' own snapshot of a stream (`$JS.API.STREAM.SNAPSHOT` and `RESTORE`), in the two files
that `nats stream backup` makes: `backup.json` (configuration and state) and `stream.tar.s2` (what the servers sent, unread).

Invariants: a snapshot is one moment of one stream, taken while it is written; a folder without `backup.json` is half made, for
that comes last and names size and SHA-256 of the rest; a stream is restored whole or is not there. Consumers are left out: who works on
a stream makes them anew, and how far anybody is lies in the stores. It knows no record and no order between streams.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import BadInput, Conflict, StoreError
from store.nats.link import Link
from store.nats.streams import STREAM_NOT_FOUND
from store.nats.terms import Refusal, answer_of, status_of

DATA_NAME, ABOUT_NAME = "stream.tar.s2", "backup.json"
#: What the servers send at a time, and what is sent to them, bytes.
CHUNK_BYTES = 128 * 1024
#: How long the next chunk may take; the servers read a whole block of the stream first.
DEFAULT_CHUNK_TIMEOUT_S = 60.0
_MAX_ABOUT_BYTES = 8 * 2**20
_SHA256, _BYTES = "sha256", "bytes"
#: The words with which the servers end a snapshot.
_ENDS = frozenset({0, 204})


@dataclass(frozen=True, slots=True)
class Kept:
    """One stream in a folder.

    Attributes:
        stream: its name. first, last: positions of its first and last message; messages: how many there are.
        size_bytes: of the data file.
    """

    stream: str
    first: int
    last: int
    messages: int
    size_bytes: int


def back_up(link: Link, stream: str, folder: Path, *, chunk_timeout_s: float = DEFAULT_CHUNK_TIMEOUT_S) -> Kept:
    """Write one stream as it is now into `folder`, which is made and must be empty.

    Raises:
        Conflict: the folder has something in it. StoreError: it cannot be written, or the servers broke off.
        Away: no answer in time. Refusal: there is no such stream, or it is being restored.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Conflict(f"{folder} is not empty.", mend="Name a new folder: a back-up never writes one over.")
        return link.call(_backed_up(link, stream, folder, chunk_timeout_s))
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written: {error.strerror}.", mend="Look at its disk and rights."
        ) from error


async def _backed_up(link: Link, stream: str, folder: Path, chunk_timeout_s: float) -> Kept:
    async with link.inbox() as (subject, chunks):
        request = {"deliver_subject": subject, "no_consumers": True, "jsck": True, "chunk_size": CHUNK_BYTES}
        answer = await link.api(f"STREAM.SNAPSHOT.{stream}", request, timeout_s=chunk_timeout_s)
        digest, size_bytes = hashlib.sha256(), 0
        with (folder / DATA_NAME).open("wb") as file:
            while True:
                message = await link.next_of(chunks, chunk_timeout_s)
                status = status_of(message)
                if status not in _ENDS:
                    raise StoreError(
                        f"The nats-servers broke the snapshot of {stream} off ({status}).", mend="Back it up again."
                    )
                if not message.data:
                    break
                file.write(message.data)
                digest.update(message.data)
                size_bytes += len(message.data)
                if message.reply:  # so many may be on their way, and no more until they are acknowledged
                    await link.tell(message.reply)
            file.flush()
            os.fsync(file.fileno())
    about = {
        "config": answer["config"],
        "state": answer["state"],
        _BYTES: size_bytes,
        _SHA256: digest.hexdigest(),
    }
    with (folder / ABOUT_NAME).open("w", encoding="utf-8") as file_of_json:
        json.dump(about, file_of_json, indent=1)
        file_of_json.flush()
        os.fsync(file_of_json.fileno())
    return _kept(about)


def look(folder: Path) -> Kept:
    """What is kept in `folder`, every byte of it checked. Raises BadInput."""
    about = _about(folder)
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with (folder / DATA_NAME).open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                size_bytes += len(chunk)
    except OSError as error:
        raise BadInput(
            f"{folder / DATA_NAME} cannot be read: {error.strerror}.", mend="Use another back-up."
        ) from error
    if (size_bytes, digest.hexdigest()) != (about[_BYTES], about[_SHA256]):
        raise BadInput(f"{folder / DATA_NAME} is not as it was written.", mend="Use another back-up.")
    return _kept(about)


def restore(link: Link, folder: Path, *, chunk_timeout_s: float = DEFAULT_CHUNK_TIMEOUT_S) -> Kept:
    """Make the stream of `folder` on the servers; an empty one of that name gives way.

    Raises:
        BadInput: the folder holds no whole stream. Conflict: the servers have such a stream, with something in it.
        StoreError: the servers do not take it.
    """
    kept = look(folder)
    about = _about(folder)
    link.call(_out_of_the_way(link, kept.stream))
    return link.call(_restored(link, kept, about, folder / DATA_NAME, chunk_timeout_s))


def there(link: Link, stream: str) -> bool:
    """Whether the servers have such a stream. Raises StoreError."""
    return link.call(_state(link, stream)) is not None


async def _state(link: Link, stream: str) -> dict[str, Any] | None:
    """What the servers say of a stream, None where there is none. Raises StoreError."""

    async def attempt() -> dict[str, Any] | None:
        try:
            return dict((await link.api(f"STREAM.INFO.{stream}"))["state"])
        except Refusal as error:
            if error.number == STREAM_NOT_FOUND:
                return None
            raise

    return await link.persist(attempt, what=f"{stream} cannot be looked at")


async def _out_of_the_way(link: Link, stream: str) -> None:
    state = await _state(link, stream)
    if state is None:
        return
    if int(state["last_seq"]):
        raise Conflict(
            f"The nats-servers have a stream {stream} that was written already.",
            mend="Restore into servers that are new; or, when it is certain that it is not needed, delete that stream first.",
        )
    await link.api(f"STREAM.DELETE.{stream}")


async def _restored(link: Link, kept: Kept, about: dict[str, Any], data: Path, chunk_timeout_s: float) -> Kept:
    request = {"config": about["config"], "state": about["state"]}
    answer = await link.persist(
        lambda: link.api(f"STREAM.RESTORE.{kept.stream}", request, timeout_s=chunk_timeout_s),
        what=f"{kept.stream} cannot be restored",
    )
    subject = str(answer["deliver_subject"])
    async for chunk in _chunks(data):
        reply = await link.ask(subject, chunk, timeout_s=chunk_timeout_s)
        if reply.data:
            answer_of(reply)  # an error, said in the middle
    answer_of(await link.ask(subject, timeout_s=chunk_timeout_s))  # the end: now the stream is made
    state = (await link.api(f"STREAM.INFO.{kept.stream}", timeout_s=chunk_timeout_s))["state"]
    if (int(state["last_seq"]), int(state["messages"])) != (kept.last, kept.messages):
        raise StoreError(
            f"{kept.stream} has {state['messages']} messages up to {state['last_seq']} after it was restored, "
            f"not {kept.messages} up to {kept.last}.",
            mend="Delete that stream and restore it again; look at the log of the nats-server.",
        )
    return kept


async def _chunks(data: Path) -> AsyncIterator[bytes]:
    with data.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _about(folder: Path) -> dict[str, Any]:
    try:
        with (folder / ABOUT_NAME).open("rb") as file:
            found = json.loads(file.read(_MAX_ABOUT_BYTES))
        _kept(found)
        if not isinstance(found[_SHA256], str):
            raise TypeError
    except OSError as error:
        raise BadInput(
            f"There is no whole back-up of a stream in {folder}: {ABOUT_NAME} is missing.", mend="Use another back-up."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder / ABOUT_NAME} is damaged.", mend="Use another back-up.") from error
    return dict(found)


def _kept(about: dict[str, Any]) -> Kept:
    state = about["state"]
    return Kept(
        str(about["config"]["name"]),
        int(state["first_seq"]),
        int(state["last_seq"]),
        int(state["messages"]),
        int(about[_BYTES]),
    )
