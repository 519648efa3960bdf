"""A message of a JT terminal and its answers: general replies now or after the commit, to one frame or to each part.

Invariants: an answer has the header form of its message and our next serial on its connection; what is owed for a message
in parts goes to where its terminal is connected by then; JT/T 905 knows the results 0 to 2 alone, so that it gets "bad
message" for "not supported" and "done" for "alarm handled". It decides no results.
Sources: JT/T 808-2019 8.2, 8.3; JT/T 905.2-2014 10.3.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ingest.gateway.links import JT905, Link
from ingest.gateway.masking import shown_body
from ingest.jt808 import codec as codec808
from ingest.jt905 import codec as codec905
from model.codes import Reason

if TYPE_CHECKING:
    from ingest.gateway.core import Core, Round
    from ingest.gateway.parts import Finished

#: Results of the general reply.
DONE, FAILED, BAD_MESSAGE, UNSUPPORTED, HANDLED = 0, 1, 2, 3, 4
GENERAL_REPLY = 0x8001


@dataclass(slots=True, eq=False)
class Message:
    """A message of a terminal, whole or one frame of it.

    Attributes:
        link: where it came.
        message_id, version, serial, number: of its header.
        raw: as it came; body: unescaped, as far as it is known.
        serials: of all its frames, to be answered; () just `serial`.
        finished: where it is remembered, when it came in parts.
        slot: of its terminal, when it was taken.
        owed: whether it gets a general reply.
    """

    link: Link
    message_id: int
    version: int
    serial: int
    number: str
    raw: bytes = b""
    body: bytes = b""
    serials: Sequence[int] = ()
    finished: Finished | None = None
    slot: int = -1
    owed: bool = True


class Answers:
    """Writes answers to JT terminals. One thread.

    Args:
        core: what all sides share.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def refuse(self, round_: Round, message: Message, reason: Reason, why: str, result: int) -> None:
        """Quarantine a message and answer it, after the commit."""
        raw = message.raw or shown_body(message.message_id, message.body)
        self._core.refuse(round_, message.link, reason, why, raw)
        self.after(message, result, round_)

    def after(self, message: Message, result: int, round_: Round) -> None:
        """General replies to all frames of `message`, once the round is durable; to where its terminal is by then."""
        if message.finished is None:
            self.general(message, result, round_)
            return
        round_.then.append(partial(self.all, message, result))

    def all(self, message: Message, result: int) -> None:
        """General replies to all frames of `message`, now."""
        link = self._core.by_number.get(message.number, message.link)
        if message.finished is not None:
            message.finished.durable = True
        for serial in message.serials or (message.serial,):
            self._general(link, message, serial, result)

    def general(self, message: Message, result: int, round_: Round | None = None) -> None:
        """The general reply: after the commit of `round_`, or at once."""
        self._general(message.link, message, message.serial, result, round_)

    def _general(self, link: Link, message: Message, serial: int, result: int, round_: Round | None = None) -> None:
        if link.code == JT905:
            result = {UNSUPPORTED: BAD_MESSAGE, HANDLED: DONE}.get(result, result)
        body = serial.to_bytes(2, "big") + message.message_id.to_bytes(2, "big") + bytes((result,))
        self.frames(message, GENERAL_REPLY, body, round_, link)

    def frames(
        self, message: Message, message_id: int, body: bytes, round_: Round | None = None, link: Link | None = None
    ) -> None:
        link = link or message.link
        if not link.open:
            return
        write = codec905.write_frames if link.code == JT905 else codec808.write_frames
        serial = self._core.table.take_serial(link)
        made = write(message_id, body, number=message.number, serial=serial, version=message.version)
        if round_ is None:
            self._core.stats.answers += 1
            self._core.put(link, made)
        else:
            round_.answers.append((link, made))
