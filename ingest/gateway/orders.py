"""Orders on their way to one terminal, and which of its messages answers which.

Purpose: an order is one message or several that go one after the other, each after the former was answered; an answer
names the serial of what it answers. Invariants: nothing is written twice; a serial belongs to one order; an order that
failed at one message sends none of the rest; every answer that counts becomes one `Reply`. It has no clock and no socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest.gateway.links import Link
from ingest.gateway.seams import Order
from ingest.wire.orders import NO_SERIAL, Answer, Out
from model.command import Reply


@dataclass(slots=True, eq=False)
class Pending:
    """An order of which something is still to come.

    Attributes:
        order: what was asked for.
        outs: its messages; `at` is the one that was sent last.
        since_s: when that was, monotonic.
        serials: ours, of all its frames: a terminal may name any of them.
    """

    order: Order
    outs: Sequence[Out]
    since_s: float
    at: int = -1
    serials: list[int] = field(default_factory=list)

    @property
    def out(self) -> Out:
        """The message that was sent last."""
        return self.outs[self.at]

    @property
    def last(self) -> bool:
        """Whether that was the last of them."""
        return self.at == len(self.outs) - 1


@dataclass(frozen=True, slots=True)
class Step:
    """What an answer leads to: a reply to tell, or the order's next message to be sent; `known` False: no order of ours."""

    known: bool = False
    reply: Reply | None = None
    send: Pending | None = None


def begin(link: Link, order: Order, outs: Sequence[Out], now_s: float, most: int) -> Pending:
    """A new order of `link`; of more than `most` the one that waits longest is forgotten."""
    while len({id(one) for one in link.orders.values()}) >= most:
        forget(link, min(link.orders.values(), key=lambda one: one.since_s))
    return Pending(order, outs, now_s)


def sent(link: Link, pending: Pending, first_serial: int, frames: int, now_s: float) -> None:
    """The next message of `pending` went out in `frames` frames."""
    _drop_serials(link, pending)
    pending.at += 1
    pending.since_s = now_s
    pending.serials = [(first_serial + count) & 0xFFFF for count in range(frames)]
    for serial in pending.serials:
        older = link.orders.get(serial)
        if older is not None:  # 65,536 messages ago
            forget(link, older)
        link.orders[serial] = pending


def answered(link: Link, up_id: int, answer: Answer) -> Step:
    """A message `up_id` of the terminal says what `answer` holds."""
    pending = link.orders.get(answer.serial) if answer.serial != NO_SERIAL else _waiting_for(link, answer.message_id)
    if pending is None:
        return Step()
    specific = up_id in pending.out.answers
    if not specific and answer.message_id not in (0, pending.out.message_id):
        return Step()
    if answer.ok and not pending.last:
        return Step(known=True, send=pending)
    if not answer.ok or specific or not pending.out.answers:
        forget(link, pending)
    reply = Reply(pending.order.command, answer.ok, answer.detail, dict(answer.data), link.device)
    return Step(known=True, reply=reply)


def forget(link: Link, pending: Pending) -> None:
    """Nothing more is expected."""
    _drop_serials(link, pending)
    pending.serials = []


def expire(link: Link, before_s: float) -> None:
    """Forget orders whose last message went before `before_s`."""
    for pending in {id(one): one for one in link.orders.values()}.values():
        if pending.since_s <= before_s:
            forget(link, pending)


def _waiting_for(link: Link, message_id: int) -> Pending | None:
    """The order that has waited longest of those whose last message is `message_id`: some answers name no serial."""
    fitting = [one for one in link.orders.values() if one.out.message_id == message_id]
    return min(fitting, key=lambda one: one.since_s, default=None)


def _drop_serials(link: Link, pending: Pending) -> None:
    for serial in pending.serials:
        if link.orders.get(serial) is pending:
            del link.orders[serial]
