"""`Out`: a message to send as (part of) an order; `Answer`: what a message of a terminal answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: The serial of an answer that names none: it belongs to the order that waits longest for a message of that number.
NO_SERIAL = -1


@dataclass(frozen=True, slots=True)
class Out:
    """One message down.

    Attributes:
        message_id: its number.
        body: by the protocol's table.
        answers: numbers of the messages up that answer it, besides the general reply.
    """

    message_id: int
    body: bytes
    answers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a message up answers.

    Attributes:
        serial: ours, of the message that is answered; `NO_SERIAL` where the protocol names none.
        message_id: number of the message that is answered; 0 where the protocol names none.
        ok: whether the terminal did as told.
        detail: in words, "" when there is nothing to add.
        data: what came with it, JSON values.
    """

    serial: int
    message_id: int
    ok: bool
    detail: str = ""
    data: dict[str, Any] = field(default_factory=dict)
