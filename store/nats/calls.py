"""One process asks another by a core subject, and hears whether it did what it was asked: nothing is kept, nothing is sent twice.

Invariants: whoever asks learns one of three things: it was answered; nobody was there, so nothing was done (`Nobody`); or nobody knows
(`Unanswered`), and then it is not asked again here. What was asked is handled in order, on the link's loop. It stores nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from model.errors import StoreError, TryAgain
from store.nats.link import Link
from store.nats.terms import MEND, Away, status_of

#: What a question came with to answer it; from any thread, never waits, once.
Answer = Callable[[bytes], None]


class Nobody(TryAgain):
    """Nobody listens to what was asked: it was not done."""

    code = "nats_nobody"


class Unanswered(Exception):
    """It was asked, and there was no answer: it may have been done. No error of the house's: there is nothing to say what to do next."""


async def asked(link: Link, subject: str, payload: bytes, timeout_s: float) -> bytes:
    """The answer. Raises Nobody, Unanswered."""
    try:
        async with link.answers(subject, payload) as replies:
            try:
                message = await asyncio.wait_for(replies.get(), timeout_s)
            except TimeoutError as error:
                raise Unanswered(f"no answer within {timeout_s:g} s") from error
    except Away as error:
        raise Nobody(error.message, mend=MEND) from error
    if message is None:
        raise Unanswered("the connection was lost before the answer came")
    if status_of(message):
        raise Nobody("Nobody is there to be asked.", mend="Try again when it is back.")
    return bytes(message.data)


async def serve(link: Link, subject: str, handle: Callable[[bytes, Answer], None], *, queue: str = "") -> None:
    """Have `handle` called with each question and what answers it, for ever; to be run by `Link.start`.

    It is called on the link's loop: it must neither wait nor raise. Of those who serve with the same `queue` one has each question.
    """

    def answering(reply: str) -> Answer:
        async def tell(payload: bytes) -> None:
            try:
                await link.tell(reply, payload)
            except (TryAgain, StoreError):
                return  # whoever asked has found out that nobody knows

        told: set[asyncio.Task[None]] = set()

        def begin(payload: bytes) -> None:
            task = asyncio.get_running_loop().create_task(tell(payload))
            told.add(task)
            task.add_done_callback(told.discard)

        return lambda payload: link.soon(lambda: begin(payload))

    while True:
        try:
            async with link.inbox(subject, queue) as (_, questions):
                while True:
                    message = await questions.get()
                    if message is not None and message.reply:  # None: the connection was lost; it is made again
                        handle(bytes(message.data), answering(message.reply))
        except (TryAgain, StoreError):
            await asyncio.sleep(link.patience.retry_max_ms / 1000)
