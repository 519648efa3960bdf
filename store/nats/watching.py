"""The newest message of every key of a bucket, told in order: what there is first, then each change, for as long as the link is open.

Invariants: of one key nothing older is told after something newer; after trouble with the servers everything is told again from the
beginning, between `begin` and `whole`, so that whoever keeps it can drop what is there no more. It keeps nothing itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Protocol

from nats.aio.msg import Msg

from model.errors import StoreError, TryAgain
from store.nats.link import Link
from store.nats.reading import sequence_of
from store.nats.terms import Away, status_of

#: Messages asked for in one pull, and how long it stands.
_PULL_MESSAGES = 1_000
_PULL_S = 1.0
#: How long an answer may come after the end of its pull.
_OVERDUE_S = 1.0
#: Seconds without a pull after which the servers forget the consumer.
_INACTIVE_S = 10
_NS = 1_000_000_000
_TIMED_OUT, _NO_MESSAGES = 408, 404


class Watcher(Protocol):
    """Is told what a bucket holds. On the link's loop: nothing in it may block or raise."""

    def begin(self) -> None:
        """Everything is told from the beginning now."""
        ...

    def put(self, subject: str, position: int, headers: Mapping[str, str], payload: bytes) -> None:
        """The newest message of a key."""
        ...

    def whole(self) -> None:
        """Everything has been told that there was; from here on changes as they come."""
        ...


async def watch(link: Link, stream: str, pattern: str, watcher: Watcher) -> None:
    """Tell `watcher` for ever; to be run by `Link.start`."""
    while True:
        try:
            await _follow(link, stream, pattern, watcher)
        except (TryAgain, StoreError):
            await asyncio.sleep(link.patience.retry_max_ms / 1000)


async def _follow(link: Link, stream: str, pattern: str, watcher: Watcher) -> None:
    """From the beginning on, until the servers lose us. Raises Away, Refusal."""
    config: dict[str, Any] = {
        "deliver_policy": "last_per_subject",
        "filter_subject": pattern,
        "ack_policy": "none",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _INACTIVE_S * _NS,
    }
    made = await link.api(f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config})
    subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{made['name']}"
    pull = json.dumps({"batch": _PULL_MESSAGES, "expires": round(_PULL_S * _NS)}).encode()
    async with link.inbox() as (inbox, replies):
        watcher.begin()
        whole = int(made.get("num_pending", 0)) == 0
        if whole:
            watcher.whole()
        while True:
            await link.tell(subject, pull, reply=inbox)
            for _ in range(_PULL_MESSAGES):
                message = await link.next_of(replies, _PULL_S + _OVERDUE_S)
                status = status_of(message)
                if status in {_TIMED_OUT, _NO_MESSAGES}:
                    break
                if status:
                    raise Away(f"The watch of {stream} has ended (status {status}).")
                watcher.put(message.subject, sequence_of(message), message.headers or {}, message.data)
                if not whole and _left(message) == 0:
                    whole = True
                    watcher.whole()


def _left(message: Msg) -> int:
    """How many more the consumer had to hand out after this one, which stands in its reply subject."""
    parts = message.reply.split(".")
    return int(parts[8] if len(parts) <= 9 else parts[10])
