"""What consumers of a log need no more, and how many rows were received up to where it was trimmed: keys of one bucket.

Invariants: a mark is a promise about the past: it may be saved late, never ahead; each has a checksum, and a damaged one counts
as none. They are read from the bucket's leader, so a trim never goes by an old one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import xxhash

from store.nats.link import Link
from store.nats.reading import Reader
from store.nats.streams import Names
from store.nats.terms import Message

#: The key of where the log was trimmed; no consumer's, whose keys are hexadecimal digits.
_TRIMMED = "trimmed"


@dataclass(slots=True)
class Marks:
    """The marks of one log, as they were read.

    Attributes:
        consumed: position by consumer.
        trimmed: `(position, rows received up to it)` of the last trim.
        damaged: consumers whose mark is damaged; "" is that of the trim.
    """

    consumed: dict[str, int] = field(default_factory=dict)
    trimmed: tuple[int, int] = (0, 0)
    damaged: list[str] = field(default_factory=list)


class MarksOf:
    """Reads and writes the marks of one log.

    Args:
        link: the way to the servers.
        names: what the streams are called.
        stream: the log's.
    """

    def __init__(self, link: Link, names: Names, stream: str) -> None:
        self._link = link
        self._names = names
        self._stream = stream
        self._reader = Reader(link, names.marks)
        self._prefix = names.marks_subject(stream).removesuffix("*")

    async def load(self) -> Marks:
        """All marks, as the leader has them. Raises StoreError when it is away for too long."""

        async def attempt() -> Marks:
            found = Marks()
            for subject in await self._reader.subjects(self._prefix + "*"):
                message = await self._reader.newest_of(subject)
                if message is not None:
                    _note(found, subject.removeprefix(self._prefix), message.payload)
            return found

        return await self._link.persist(attempt, what=f"The marks of {self._stream} cannot be read")

    async def save(self, consumer: str, position: int) -> None:
        """Save one consumer's mark. Raises StoreError when it could not be saved in time."""
        await self._put(self._names.marks_subject(self._stream, consumer), f"{position} 0")

    async def save_trimmed(self, position: int, received: int) -> None:
        """Save where the log was trimmed. Raises StoreError when it could not be saved in time."""
        await self._put(self._prefix + _TRIMMED, f"{position} {received}")

    async def _put(self, subject: str, text: str) -> None:
        key = subject.removeprefix(self._prefix)
        message = Message(subject, f"{text} {_checksum(key, text)}".encode(), {})
        await self._link.persist(
            lambda: self._link.publish([message]),
            what=f"A mark of {self._stream} could not be saved",
        )


def _note(found: Marks, key: str, payload: bytes) -> None:
    text, _, checksum = payload.decode(errors="replace").rpartition(" ")
    try:
        name = "" if key == _TRIMMED else bytes.fromhex(key).decode()
    except ValueError:
        return  # not a key of ours
    if checksum != _checksum(key, text):
        found.damaged.append(name)
        return
    position, received = (int(part) for part in text.split(" "))
    if key == _TRIMMED:
        found.trimmed = (position, received)
    else:
        found.consumed[name] = position


def _checksum(key: str, text: str) -> str:
    return xxhash.xxh3_64_hexdigest(text.encode(), xxhash.xxh3_64_intdigest(key.encode()))
