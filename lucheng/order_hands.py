"""The hands of one ingestor: what a desk elsewhere has for a device that is connected here.

Invariants: what is asked is done at most once: the same order again is answered as it was and not done again; an order for a terminal that
has left is said to have gone nowhere, never passed on; an answer says what was done, and without one nobody knows. A message to a
broker is answered when the broker has it. It keeps no queue, knows no rule and writes no store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ingest.gateway.seams import Order
from lucheng.logs import logger
from model.errors import LuchengError, Refused
from store.nats.calls import Answer, serve

if TYPE_CHECKING:
    from ingest.gateway.gateway import Gateway
    from store.nats.claims import Claims
    from store.nats.link import Link
    from store.nats.streams import Names

#: Orders and messages whose answer is remembered.
DEFAULT_MAX_REMEMBERED = 10_000
#: Answers: done; the device is not here (any more), or nothing can be taken on now; its protocol has no such thing.
DONE, AWAY, REFUSED = "done", "away", "refused"

_log = logger(__name__)


class Down(Protocol):
    """What writes to devices over MQTT: `ingest.mqtt.down.DownLink`, or `lucheng.order_reach.DownReach`."""

    @property
    def connected(self) -> bool: ...

    def send(self, topic: str, payload: bytes, done: Callable[[], None]) -> bool: ...


class Question(msgspec.Struct, frozen=True):
    """What a desk asks of an ingestor.

    Attributes:
        id: of the command, or of the message; the same again is the same thing.
        slot, name, args: an order for a terminal; `slot` -1: a message to the broker.
        topic, payload: that message.
    """

    id: str
    slot: int = -1
    name: str = ""
    args: dict[str, Any] = msgspec.field(default_factory=dict)
    topic: str = ""
    payload: bytes = b""


class Told(msgspec.Struct, frozen=True):
    """What the ingestor answers: `DONE`, `AWAY` or `REFUSED`, and why, and what to do next."""

    what: str
    why: str = ""
    mend: str = ""


class OrderHands:
    """Takes what desks ask for, as long as it is open.

    Args:
        link: the way to the servers.
        names: of the subjects.
        claims: whose `run` it is asked by.
        gateway: terminals; None without any.
        down: the broker of this ingestor; None without one.
        max_remembered: see `DEFAULT_MAX_REMEMBERED`.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        claims: Claims,
        *,
        gateway: Gateway | None,
        down: Down | None = None,
        max_remembered: int = DEFAULT_MAX_REMEMBERED,
    ) -> None:
        self._gateway = gateway
        self._down = down
        self._max_remembered = max_remembered
        self._answers: OrderedDict[str, Told | None] = OrderedDict()
        self._waiting: dict[str, Answer] = {}
        self._read = msgspec.msgpack.Decoder(Question)
        #: What was asked for and done, since the start.
        self.handed = 0
        self._end = link.start(serve(link, names.hand_subject(claims.run), self._take))

    def close(self) -> None:
        """Take nothing more."""
        self._end()

    def _take(self, payload: bytes, answer: Answer) -> None:
        """One question; on the link's loop."""
        try:
            question = self._read.decode(payload)
        except msgspec.MsgspecError as error:
            answer(_written(Told(REFUSED, f"The ingestor does not understand what it was asked: {error}.")))
            return
        if question.id in self._answers:
            told = self._answers[question.id]
            if told is None:
                self._waiting[question.id] = answer  # it is under way: whoever asked last is told
            else:
                answer(_written(told))
            return
        self._answers[question.id] = None
        while len(self._answers) > self._max_remembered:
            self._waiting.pop(self._answers.popitem(last=False)[0], None)
        self._waiting[question.id] = answer
        try:
            if question.slot >= 0:
                self._order(question)
            else:
                self._publish(question)
        except Refused as error:
            self._tell(question.id, Told(REFUSED, error.message, error.mend))
        except LuchengError as error:
            self._tell(question.id, Told(AWAY, error.message, error.mend))
        except Exception as error:
            # No answer: nobody knows what has left.
            _log.error("an order may not have left", order=question.id, error=str(error), exc_info=True)

    def _order(self, question: Question) -> None:
        order = Order(question.id, question.slot, question.name, question.args)
        if self._gateway is None or not self._gateway.send(order):
            self._tell(question.id, Told(AWAY, "The terminal has left this ingestor."))
            return
        self._tell(question.id, Told(DONE))

    def _publish(self, question: Question) -> None:
        def done() -> None:
            self._tell(question.id, Told(DONE))

        if self._down is None or not self._down.send(question.topic, question.payload, done):
            self._tell(question.id, Told(AWAY, "The broker takes nothing now."))

    def _tell(self, asked: str, told: Told) -> None:
        if told.what == AWAY:
            self._answers.pop(asked, None)  # nothing was done: it may be asked again
        else:
            self._answers[asked] = told
            self.handed += told.what == DONE
        answer = self._waiting.pop(asked, None)
        if answer is not None:
            answer(_written(told))


def _written(told: Told) -> bytes:
    return msgspec.msgpack.encode(told)
