"""Being asked directly: a core subject that one process answers, quickly and from memory. Nothing of it is kept or sent twice.

It stays a poor cousin of the streams on purpose: whoever asks and hears nothing asks again or does without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from model.errors import StoreError, TryAgain
from store.nats.link import Link
from store.nats.terms import Away, status_of

#: Bytes in, bytes out; None: there is no answer. On the link's loop: it may neither block nor raise.
Answerer = Callable[[str, bytes], bytes | None]


async def listen(link: Link, subject: str, answer: Answerer) -> None:
    """Answer what comes to a subject (or a pattern) for ever; to be run by `Link.start`."""
    while True:
        try:
            async with link.inbox(subject) as (_, messages):
                while (message := await messages.get()) is not None:
                    said = answer(message.subject, message.data)
                    if said is not None and message.reply:
                        await link.tell(message.reply, said)
        except (TryAgain, StoreError):
            await asyncio.sleep(link.patience.retry_max_ms / 1000)


async def ask(link: Link, subject: str, question: bytes, *, timeout_s: float) -> bytes | None:
    """One question; None where nobody is there to answer it. Raises Away: no answer in time."""
    async with link.answers(subject, question) as replies:
        try:
            reply = await asyncio.wait_for(replies.get(), timeout_s)
        except TimeoutError as error:
            raise Away("Nobody answered in time.") from error
    if reply is None:
        raise Away("The connection to the nats-servers was lost.")
    return None if status_of(reply) == 503 else reply.data
