"""Messages of JT/T 808 and 905 that are no positions, one by one: greeting, parts, photos, answers to orders, reports.

Invariants: a message that holds something to keep is answered after that is durable, all others at once; a message is
answered with its own serial, one that came in parts with the serial of each part; a body that does not fit its table is
quarantined and answered "bad message", an unknown number "not supported" (JT/T 905 has no such result and gets "bad
message"). It decodes no positions: those that came inside other messages are handed back by `take_positions`.
Sources: JT/T 808-2019 chapter 8; JT/T 905.2-2014 10.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from devices.terminals import Registering
from ingest.gateway import orders
from ingest.gateway.dialects import DIALECTS
from ingest.gateway.jt_answers import BAD_MESSAGE, DONE, FAILED, UNSUPPORTED, Answers, Message
from ingest.gateway.jt_parts import MEDIA, JtParts
from ingest.gateway.links import JT905
from ingest.gateway.reports import report_of
from ingest.gateway.sending import send_step
from ingest.jt808 import codec as codec808
from ingest.jt905 import codec as codec905
from ingest.wire.fields import Values
from ingest.wire.message import Way
from ingest.wire.orders import Answer
from ingest.wire.reader import Malformed
from model.codes import Reason
from model.errors import LuchengError

if TYPE_CHECKING:
    from ingest.gateway.core import Core, Round
    from ingest.gateway.seams import Terminal

TERMINAL_REPLY, HEARTBEAT, LOG_OUT, TIME, ASKED_AGAIN = 0x0001, 0x0002, 0x0003, 0x0004, 0x0005
REGISTER, AUTHENTICATE = 0x0100, 0x0102
POSITION, POSITION_ANSWER, BATCH, PHOTO_905 = 0x0200, 0x0201, 0x0704, 0x0800
#: How positions are read that came in another message: as those of a taxi.
TAXI_POSITION = -1
TIME_REPLY, REGISTER_REPLY = 0x8004, 0x8100
NO_TERMINAL = 4


@dataclass(slots=True)
class _Registration:
    message: Message
    asked: Registering


class JtMessages:
    """See the module. One thread.

    Args:
        core: what all sides share.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.answers = Answers(core)
        self.parts = JtParts(core, self.answers, self._put_together)
        self._registrations: list[_Registration] = []
        self._positions: list[tuple[int, Message]] = []
        self._handlers: dict[int, Callable[[Message, Round], None]] = {
            HEARTBEAT: self._nothing,
            LOG_OUT: self._log_out,
            TIME: self._time,
            ASKED_AGAIN: self._asked_again,
            REGISTER: self._register,
            AUTHENTICATE: self._authenticate,
            MEDIA: self.parts.media,
        }
        self._handlers_905: dict[int, Callable[[Message, Round], None]] = {
            HEARTBEAT: self._nothing,
            PHOTO_905: self.parts.piece,
        }

    # -- what the side calls ------------------------------------------------------------------

    def take(self, message: Message, round_: Round) -> None:
        """A whole message of a link that is named; of one that is not believed only what greets."""
        handlers = self._handlers_905 if message.link.code == JT905 else self._handlers
        handler = handlers.get(message.message_id, self._by_table)
        try:
            handler(message, round_)
        except Malformed as error:
            self.answers.refuse(round_, message, Reason.BAD_BODY, str(error), BAD_MESSAGE)

    def greeting(self, message: Message, round_: Round) -> bool:
        """Whether a message of a link that is not believed may go on: it registers, authenticates or leaves."""
        if message.message_id in (REGISTER, AUTHENTICATE, LOG_OUT):
            return True
        if message.message_id == HEARTBEAT:
            self.answers.general(message, FAILED)
        else:
            why = f"{message.message_id:#06x} before it authenticated"
            self.answers.refuse(round_, message, Reason.NOT_AUTHENTICATED, why, FAILED)
        return False

    def stranger(self, message: Message, terminal: Terminal | None, round_: Round) -> None:
        """The registry does not know the number, or it is disabled."""
        why = f"no device has the number {message.number or 'nothing'}"
        reason = Reason.UNKNOWN_DEVICE
        if terminal is not None:
            reason, why = Reason.DISABLED_DEVICE, f"{terminal.device} is disabled"
        self._core.refuse(round_, message.link, reason, why, message.raw)
        if message.message_id == REGISTER:
            self.answers.frames(
                message, REGISTER_REPLY, message.serial.to_bytes(2, "big") + bytes((NO_TERMINAL,)), round_
            )
        else:
            self.answers.general(message, FAILED, round_)

    def end_of_round(self) -> None:
        """Answer the registrations of the round, all in one transaction."""
        if not self._registrations:
            return
        asked, self._registrations = self._registrations, []
        try:
            made = self._core.terminals.register_all([one.asked for one in asked])
        except LuchengError:  # the registry cannot write now: no answer, the terminal registers again
            self._core.stats.registrations_failed += len(asked)
            return
        for one, answer in zip(asked, made, strict=True):
            body = one.message.serial.to_bytes(2, "big") + bytes((int(answer.result),))
            self.answers.frames(one.message, REGISTER_REPLY, body + answer.token.encode("gbk"))

    def take_positions(self) -> list[tuple[int, Message]]:
        """Positions that came inside other messages or in parts since the last call, and how each is read."""
        taken, self._positions = self._positions, []
        return taken

    # -- the connection itself ----------------------------------------------------------------

    def _nothing(self, message: Message, round_: Round) -> None:
        del round_
        self.answers.general(message, DONE)

    def _log_out(self, message: Message, round_: Round) -> None:
        """It leaves; it may stay connected and greet again."""
        self.answers.general(message, DONE)
        self._core.forget_name(message.link)
        self._core.table.opened_s[message.link.index] = round_.now_s

    def _time(self, message: Message, round_: Round) -> None:
        now = datetime.fromtimestamp(round_.received_ms / 1000, UTC)
        self.answers.frames(message, TIME_REPLY, bytes.fromhex(now.strftime("%y%m%d%H%M%S")))

    def _asked_again(self, message: Message, round_: Round) -> None:
        """Parts of ours that the terminal did not get."""
        del round_
        values = _values808(message)
        first, wanted = int(values["first_serial"]), values["parts"]
        frames = message.link.parted.get(first, [])
        self._core.put(message.link, [frames[part - 1] for part in wanted if 1 <= part <= len(frames)])

    def _register(self, message: Message, round_: Round) -> None:
        values = _values808(message)
        plate = "" if values["plate_colour"] in (0, "none") else values["plate"]
        asked = Registering(
            message.number, plate, values["terminal_id"], values["maker"], values["model"], round_.received_ms
        )
        self._registrations.append(_Registration(message, asked))

    def _authenticate(self, message: Message, round_: Round) -> None:
        token = str(_values808(message)["token"])
        core, link = self._core, message.link
        terminal = core.terminals.find(message.number)
        if (
            terminal is None
            or not terminal.enabled
            or not (not core.require_auth or core.terminals.check(message.number, token))
        ):
            self.answers.refuse(
                round_, message, Reason.NOT_AUTHENTICATED, "its token is not the one it was given", FAILED
            )
            return
        if link.terminal is None:
            core.believe(link, terminal)
        self.answers.general(message, DONE)

    # -- everything else ----------------------------------------------------------------------

    def _put_together(self, message: Message, round_: Round) -> None:
        """A message whose parts have all come."""
        if message.message_id in (POSITION, BATCH):
            self._located(message.message_id, message)
        else:
            self.take(message, round_)

    def _located(self, kind: int, message: Message) -> None:
        terminal = message.link.terminal
        if terminal is not None:
            message.slot = terminal.slot
            self._positions.append((kind, message))

    def _by_table(self, message: Message, round_: Round) -> None:
        """Answers to orders become replies, the rest reports."""
        link = message.link
        dialect = DIALECTS[link.code]
        entry = dialect.catalogue.by_id.get(message.message_id)
        if entry is None or entry.way is Way.DOWN:
            why = f"{message.message_id:#06x} is " + ("not in the table" if entry is None else "sent down, never up")
            self.answers.refuse(round_, message, Reason.UNKNOWN_MESSAGE, why, UNSUPPORTED)
            return
        values = _values905(message) if link.code == JT905 else _values808(message)
        if message.message_id == POSITION_ANSWER:
            inner = Message(link, POSITION, message.version, message.serial, message.number, body=message.body[2:])
            inner.owed = False
            self._located(TAXI_POSITION if link.code == JT905 else POSITION, inner)
        answer = dialect.answer_of(message.message_id, values)
        if answer is not None and self._answered(message, answer, round_):
            return
        terminal = link.terminal
        assert terminal is not None
        self._core.stats.reports += 1
        report = report_of(
            terminal.device,
            dialect.name,
            entry.name,
            values,
            message.body,
            serial=message.serial,
            received_ms=round_.received_ms,
        )
        self._core.events.report(report, partial(self._core.later, partial(self.answers.all, message, DONE)))

    def _answered(self, message: Message, answer: Answer, round_: Round) -> bool:
        """Whether it needs no report: it answers an order of ours, or is nothing but an answer."""
        core, link = self._core, message.link
        step = orders.answered(link, message.message_id, answer)
        if step.reply is not None:
            core.stats.replies += 1
            core.events.reply(step.reply)
        if step.send is not None:
            send_step(core, link, step.send, round_.now_s)
        taken = step.known or message.message_id in (TERMINAL_REPLY, POSITION_ANSWER)
        if taken and message.finished is not None:
            message.finished.durable = True
        return taken


def _values808(message: Message) -> Values:
    return codec808.decode_body(
        codec808.Frame(message.message_id, message.number, message.serial, message.body, message.version)
    )


def _values905(message: Message) -> Values:
    return codec905.decode_body(codec905.Frame(message.message_id, message.number, message.serial, message.body))
