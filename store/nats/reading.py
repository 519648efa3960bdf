"""Reading one stream: where it ends, single messages from its leader, many from any of its servers, headers alone.

Invariant: what any server but the leader says may be old, so it never decides that something is not there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from nats.aio.msg import Msg

from store.nats.link import Link
from store.nats.messages import SEQUENCE, Stored, stored_of
from store.nats.streams import MESSAGE_NOT_FOUND
from store.nats.terms import Away, Refusal, status_of

#: Messages in one answer.
MAX_MESSAGES = 1_024
#: Messages of which only headers are asked for, in one answer.
_HEADERS_STEP = 2_000
_INACTIVE_S = 30
#: How long a consumer that has nothing more waits for it, seconds: only where the last records are gone.
_PULL_S = 1.0
_NS = 1_000_000_000
_END_OF_BATCH, _NOT_FOUND = 204, 404


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a stream begins and ends; `first` is `last` + 1 when it is empty."""

    first: int
    last: int


class Reader:
    """Reads one stream.

    Args:
        link: the way to the servers.
        stream: its name.
    """

    def __init__(self, link: Link, stream: str) -> None:
        self._link = link
        self.stream = stream

    async def ends(self) -> Ends:
        """Where it begins and ends, as its leader says. Raises Away, Refusal."""
        state = (await self._link.api(f"STREAM.INFO.{self.stream}"))["state"]
        last = int(state["last_seq"])
        return Ends(int(state["first_seq"]) if state["messages"] else last + 1, last)

    async def get(self, position: int) -> Stored | None:
        """One message, as the leader has it. Raises Away, Refusal."""
        return await self._get({"seq": position})

    async def next_from(self, position: int, subject: str = ">") -> Stored | None:
        """The first message of a subject at a position or after it, as the leader has it. Raises Away, Refusal."""
        return await self._get({"seq": position, "next_by_subj": subject})

    async def newest_of(self, subject: str) -> Stored | None:
        """The newest message of a subject, as the leader has it. Raises Away, Refusal."""
        return await self._get({"last_by_subj": subject})

    async def subjects(self, pattern: str) -> list[str]:
        """Subjects that the stream holds, as the leader says. Raises Away, Refusal."""
        return sorted(await self.counts(pattern))

    async def counts(self, pattern: str) -> dict[str, int]:
        """How many messages each of those subjects has, as the leader says. Raises Away, Refusal."""
        info = await self._link.api(f"STREAM.INFO.{self.stream}", {"subjects_filter": pattern})
        return dict(info["state"].get("subjects") or {})

    async def many(self, position: int, max_messages: int, max_bytes: int) -> list[Stored]:
        """Messages from a position on, in order, as any server has them; the last may be over `max_bytes`. Raises Away."""
        request = {"seq": position, "batch": min(max_messages, MAX_MESSAGES), "max_bytes": max(max_bytes, 1)}
        found: list[Stored] = []
        async with self._link.answers(f"$JS.API.DIRECT.GET.{self.stream}", json.dumps(request).encode()) as replies:
            while True:
                message = await self._link.next_of(replies)
                status = status_of(message)
                if status in {_END_OF_BATCH, _NOT_FOUND}:
                    return found
                headers = message.headers or {}
                if status or SEQUENCE not in headers:
                    raise Away(f"The nats-server did not read {self.stream} (status {status}).")
                found.append(Stored(int(headers[SEQUENCE]), headers, message.data))

    async def headers(self, first: int, upto: int) -> AsyncIterator[Stored]:
        """Headers of the messages from `first` to `upto`, in order. Raises Away, Refusal."""
        if first > upto:
            return
        config: dict[str, Any] = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": first,
            "ack_policy": "none",
            "headers_only": True,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": _INACTIVE_S * _NS,
        }
        body = {"stream_name": self.stream, "config": config}
        consumer = (await self._link.api(f"CONSUMER.CREATE.{self.stream}", body))["name"]
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{consumer}"
        at = first - 1
        async with self._link.inbox() as (inbox, replies):
            while at < upto:
                asked = min(_HEADERS_STEP, upto - at)
                pull = json.dumps({"batch": asked, "expires": round(_PULL_S * _NS)}).encode()
                await self._link.tell(subject, pull, reply=inbox)
                before = at
                for _ in range(asked):
                    message = await self._link.next_of(replies)
                    if status_of(message):
                        break
                    at = sequence_of(message)
                    if at <= upto:
                        yield Stored(at, message.headers or {}, b"")
                if at == before:
                    break  # the rest is gone
        await self._link.tell(f"$JS.API.CONSUMER.DELETE.{self.stream}.{consumer}")

    async def rows(self, first: int, upto: int) -> int:
        """Rows of the records from `first` to `upto`; one that is gone counts as 1. Raises Away, Refusal."""
        total, seen = 0, 0
        async for message in self.headers(first, upto):
            total += message.rows()
            seen += 1
        return total + max(0, upto - first + 1 - seen)

    async def _get(self, request: dict[str, Any]) -> Stored | None:
        try:
            return stored_of((await self._link.api(f"STREAM.MSG.GET.{self.stream}", request))["message"])
        except Refusal as error:
            if error.number == MESSAGE_NOT_FOUND:
                return None
            raise


def sequence_of(message: Msg) -> int:
    """The stream's sequence of a message that a consumer handed out, which stands in its reply subject."""
    parts = message.reply.split(".")
    # $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.…, or with domain and account before the stream
    return int(parts[5] if len(parts) <= 9 else parts[7])
