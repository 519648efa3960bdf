"""Appending to one stream: a commit is one message, or one atomic batch, and is tried again until it is known to be there or not.

Invariants: a commit is in the stream once or not at all, whatever was lost on the way. One writer alone says with each
commit what the stream's last sequence must be, so a second attempt and a second writer find out; of many writers each goes by
message ids, which the servers remember for longer than anybody tries. A batch has an id of its own at every attempt.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from model.errors import StoreError
from model.seams import NewRecord
from store.nats.link import Link
from store.nats.messages import (
    BATCH_COMMIT,
    BATCH_ID,
    BATCH_SEQUENCE,
    EXPECTED_LAST,
    headers_of,
    headers_of_gone,
)
from store.nats.reading import Reader
from store.nats.terms import MEND, Away, Message, Refusal

#: Records of one commit: what servers take as one atomic batch.
MAX_COMMIT_RECORDS = 1_000
_WRONG_LAST = frozenset({10071, 10164})
_DUPLICATE = 10201


class Writer:
    """Appends to one stream; one commit at a time.

    Args:
        link: the way to the servers.
        reader: of the same stream.
        subject: what is published to.
        last: the last position, as far as is known.
        exclusive: nobody else appends; anybody who does is found out.
    """

    def __init__(self, link: Link, reader: Reader, subject: str, *, last: int, exclusive: bool) -> None:
        self._link = link
        self._reader = reader
        self._subject = subject
        self._exclusive = exclusive
        self._session = secrets.token_hex(8)
        self._numbered = 0
        #: The newest position that is known; of an exclusive writer the stream's last.
        self.last = last

    async def commit(self, records: Sequence[NewRecord]) -> int:
        """Append records, at most `MAX_COMMIT_RECORDS`, all or none; return the position of the last.

        Raises:
            StoreError: not within the link's patience, or somebody else writes to an exclusive stream.
        """
        stream = self._reader.stream
        return await self._put(
            [Message(self._subject, record.payload, headers_of(record, self._next_id(), stream)) for record in records]
        )

    async def stand_in(self, count: int) -> int:
        """Append so many place holders for records that are gone; return the position of the last."""
        done = 0
        while done < count:
            step = min(count - done, MAX_COMMIT_RECORDS)
            stream = self._reader.stream
            await self._put(
                [Message(self._subject, b"", headers_of_gone(self._next_id(), stream)) for _ in range(step)]
            )
            done += step
        return self.last

    def _next_id(self) -> str:
        self._numbered += 1
        return f"{self._session}-{self._numbered:x}"

    async def _put(self, messages: list[Message]) -> int:
        before = self.last
        tries = 0

        async def attempt() -> int:
            nonlocal tries
            tries += 1
            if tries > 1 and (found := await self._landed(messages, before)) is not None:
                return found
            try:
                answer = await self._link.publish(self._addressed(messages, before, tries))
            except Refusal as error:
                if error.number not in _WRONG_LAST and error.number != _DUPLICATE:
                    raise
                if (found := await self._landed(messages, before)) is not None:
                    return found
                # An earlier attempt may still be on its way through the servers.
                raise Away(
                    f"The nats-servers are not of one mind about {self._reader.stream} yet: {error.words}."
                ) from error
            return int(answer["seq"])

        self.last = last = max(
            self.last,
            await self._link.persist(
                attempt,
                what=f"{self._reader.stream} could not take a record",
            ),
        )
        if self._exclusive and last != before + len(messages):
            raise StoreError(f"{self._reader.stream} ends at {last}, not at {before + len(messages)}.", mend=MEND)
        return last

    def _addressed(self, messages: list[Message], before: int, tries: int) -> list[Message]:
        """The messages with what says where they go and that they belong together."""
        found: list[Message] = []
        for number, message in enumerate(messages, 1):
            headers = dict(message.headers)
            if self._exclusive and number == 1:
                headers[EXPECTED_LAST] = str(before)
            if len(messages) > 1:
                headers[BATCH_ID] = f"{messages[0].headers['Nats-Msg-Id']}.{tries}"
                headers[BATCH_SEQUENCE] = str(number)
                if number == len(messages):
                    headers[BATCH_COMMIT] = "1"
            found.append(Message(message.subject, message.payload, headers))
        return found

    async def _landed(self, messages: list[Message], before: int) -> int | None:
        """Where the messages' last lies if an earlier attempt is in the stream; None when it is not.

        Raises:
            StoreError: the place is somebody else's.
        """
        wanted = messages[-1].headers["Nats-Msg-Id"]
        if not self._exclusive:
            ends = await self._reader.ends()
            async for message in self._reader.headers(before + 1, ends.last):
                if message.message_id == wanted:
                    return message.position
            return None
        first = await self._reader.get(before + 1)
        if first is None:
            ends = await self._reader.ends()
            if ends.last < before:
                raise Away(f"{self._reader.stream} ends at {ends.last} on the nats-servers; it ended at {before}.")
            return None
        if first.message_id != messages[0].headers["Nats-Msg-Id"]:
            raise StoreError(
                f"Somebody else writes to {self._reader.stream}: record {before + 1} is not ours.",
                mend="Two services share the servers: stop one, or give it a nats.prefix of its own.",
            )
        last = await self._reader.get(before + len(messages))
        if last is None or last.message_id != wanted:
            raise Away(f"{self._reader.stream} does not have the whole commit yet.")
        return last.position
