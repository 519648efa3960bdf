"""Messages of JT/T 808 and 905 that are no positions, one by one: greeting, parts, photos, answers to orders, reports.

Invariants: a message that holds something to keep is answered after that is durable, all others at once; a message is
answered with its own serial, one that came in parts with the serial of each part; a body that does not fit its table is
quarantined and answered "bad message", an unknown number "not supported" (JT/T 905 has no such result and gets "bad
message"). It decodes no positions: those that came inside other messages are handed back by `take_positions`.
Sources: JT/T 808-2019 chapter 8; JT/T 905.2-2014 10.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from devices.terminals import Registering
from ingest.gateway import orders
from ingest.gateway.dialects import DIALECTS
from ingest.gateway.links import JT905, Link
from ingest.gateway.media import EVENTS_905, PLACE_905_BYTES, Photo, media808, piece905, place905
from ingest.gateway.parts import Ask, Finished, Lost, Open, Part, What
from ingest.gateway.sending import send_step
from ingest.jt808 import codec as codec808
from ingest.jt808.header import VERSION_2019
from ingest.jt905 import codec as codec905
from ingest.wire.fields import Values
from ingest.wire.orders import Answer
from ingest.wire.reader import Malformed
from model.codes import Reason
from model.evidence import NewEvidence, Report

if TYPE_CHECKING:
    from ingest.gateway.core import Core, Round
    from ingest.gateway.seams import Terminal

#: Results of the general reply.
DONE, FAILED, BAD_MESSAGE, UNSUPPORTED, HANDLED = 0, 1, 2, 3, 4
TERMINAL_REPLY, HEARTBEAT, LOG_OUT, TIME, ASKED_AGAIN = 0x0001, 0x0002, 0x0003, 0x0004, 0x0005
REGISTER, AUTHENTICATE = 0x0100, 0x0102
POSITION, POSITION_ANSWER, BATCH, MEDIA, PHOTO_905 = 0x0200, 0x0201, 0x0704, 0x0801, 0x0800
#: How positions are read that came in another message: as those of a taxi.
TAXI_POSITION = -1
GENERAL_REPLY, ASK_PARTS, TIME_REPLY, REGISTER_REPLY, MEDIA_REPLY = 0x8001, 0x8003, 0x8004, 0x8100, 0x8800
#: The missing parts that one request names: what fits one frame, and the one byte of their count.
MOST_ASKED = 255
NO_TERMINAL = 4


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
        self._registrations: list[_Registration] = []
        self._positions: list[tuple[int, Message]] = []
        self._handlers: dict[int, Callable[[Message, Round], None]] = {
            HEARTBEAT: self._nothing,
            LOG_OUT: self._log_out,
            TIME: self._time,
            ASKED_AGAIN: self._asked_again,
            REGISTER: self._register,
            AUTHENTICATE: self._authenticate,
            MEDIA: self._media,
        }
        self._handlers_905: dict[int, Callable[[Message, Round], None]] = {
            HEARTBEAT: self._nothing,
            PHOTO_905: self._piece,
        }

    # -- what the side calls ------------------------------------------------------------------

    def take(self, message: Message, round_: Round) -> None:
        """A whole message of a link that is named; of one that is not believed only what greets."""
        handlers = self._handlers_905 if message.link.code == JT905 else self._handlers
        handler = handlers.get(message.message_id, self._by_table)
        try:
            handler(message, round_)
        except Malformed as error:
            self.refuse(round_, message, Reason.BAD_BODY, str(error), BAD_MESSAGE)

    def greeting(self, message: Message, round_: Round) -> bool:
        """Whether a message of a link that is not believed may go on: it registers, authenticates or leaves."""
        if message.message_id in (REGISTER, AUTHENTICATE, LOG_OUT):
            return True
        if message.message_id == HEARTBEAT:
            self._answer(message, FAILED)
        else:
            why = f"{message.message_id:#06x} before it authenticated"
            self.refuse(round_, message, Reason.NOT_AUTHENTICATED, why, FAILED)
        return False

    def stranger(self, message: Message, terminal: Terminal | None, round_: Round) -> None:
        """The registry does not know the number, or it is disabled."""
        why = f"no device has the number {message.number or 'nothing'}"
        reason = Reason.UNKNOWN_DEVICE
        if terminal is not None:
            reason, why = Reason.DISABLED_DEVICE, f"{terminal.device} is disabled"
        self._core.refuse(round_, message.link, reason, why, message.raw)
        if message.message_id == REGISTER:
            self._frames(message, REGISTER_REPLY, message.serial.to_bytes(2, "big") + bytes((NO_TERMINAL,)), round_)
        else:
            self._answer(message, FAILED, round_)

    def refuse(self, round_: Round, message: Message, reason: Reason, why: str, result: int) -> None:
        """Quarantine a message and answer it, after the commit."""
        self._core.refuse(round_, message.link, reason, why, message.raw or message.body)
        self.answer_after(message, result, round_)

    def end_of_round(self, round_: Round) -> None:
        """Answer the registrations of the round, all in one transaction."""
        if not self._registrations:
            return
        asked, self._registrations = self._registrations, []
        made = self._core.terminals.register_all([one.asked for one in asked])
        for one, answer in zip(asked, made, strict=True):
            body = one.message.serial.to_bytes(2, "big") + bytes((int(answer.result),))
            self._frames(one.message, REGISTER_REPLY, body + answer.token.encode("gbk"))

    def take_positions(self) -> list[tuple[int, Message]]:
        """Positions that came inside other messages or in parts since the last call, and how each is read."""
        taken, self._positions = self._positions, []
        return taken

    def tick(self, round_: Round) -> None:
        """Ask for parts that are missing; give up what has waited too long."""
        core = self._core
        for due in core.parts.due(round_.now_s, core.by_number.__contains__):
            if isinstance(due, Lost):
                self._lost(due, round_)
            else:
                self._ask(due)
        for photo, why in core.photos.due(round_.now_s):
            self._lost_photo(photo, why, round_)

    def stop(self, round_: Round) -> None:
        """Quarantine what will not be completed any more."""
        for lost in self._core.parts.clear():
            self._lost(lost, round_)
        for photo, why in self._core.photos.clear():
            self._lost_photo(photo, why, round_)

    # -- answering ----------------------------------------------------------------------------

    def answer_after(self, message: Message, result: int, round_: Round) -> None:
        """General replies to all frames of `message`, once the round is durable; to where its terminal is by then."""
        if message.finished is None:
            self._answer(message, result, round_)
            return
        round_.then.append(partial(self.answer_all, message, result))

    def answer_all(self, message: Message, result: int) -> None:
        """General replies to all frames of `message`, now."""
        link = self._core.by_number.get(message.number, message.link)
        if message.finished is not None:
            message.finished.durable = True
        for serial in message.serials or (message.serial,):
            self._general(link, message, serial, result)

    def _answer(self, message: Message, result: int, round_: Round | None = None) -> None:
        """The general reply: after the commit of `round_`, or at once."""
        self._general(message.link, message, message.serial, result, round_)

    def _general(self, link: Link, message: Message, serial: int, result: int, round_: Round | None = None) -> None:
        if link.code == JT905:
            result = {UNSUPPORTED: BAD_MESSAGE, HANDLED: DONE}.get(result, result)
        body = serial.to_bytes(2, "big") + message.message_id.to_bytes(2, "big") + bytes((result,))
        self._frames(message, GENERAL_REPLY, body, round_, link)

    def _frames(
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

    # -- the connection itself ----------------------------------------------------------------

    def _nothing(self, message: Message, round_: Round) -> None:
        del round_
        self._answer(message, DONE)

    def _log_out(self, message: Message, round_: Round) -> None:
        """It leaves; it may stay connected and greet again."""
        self._answer(message, DONE)
        self._core.disbelieve(message.link)
        self._core.table.opened_s[message.link.index] = round_.now_s

    def _time(self, message: Message, round_: Round) -> None:
        now = datetime.fromtimestamp(round_.received_ms / 1000, UTC)
        self._frames(message, TIME_REPLY, bytes.fromhex(now.strftime("%y%m%d%H%M%S")))

    def _asked_again(self, message: Message, round_: Round) -> None:
        """Parts of ours that the terminal did not get."""
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
            self.refuse(round_, message, Reason.NOT_AUTHENTICATED, "its token is not the one it was given", FAILED)
            return
        if link.terminal is None:
            core.believe(link, terminal)
        self._answer(message, DONE)

    # -- parts --------------------------------------------------------------------------------

    def part(self, message: Message, total: int, index: int, round_: Round) -> None:
        """One part of a message of a believed JT/T 808 terminal."""
        core = self._core
        core.stats.parts += 1
        part = Part(message.number, message.message_id, total, index, message.serial, message.body, message.version)
        added = core.parts.add(part, round_.now_s)
        core.stats.open_bytes = core.parts.open_bytes + core.photos.open_bytes
        for lost in added.lost:
            self._lost(lost, round_)
        media = message.message_id == MEDIA
        if added.what is What.NONSENSE:
            self.refuse(round_, message, Reason.BAD_FRAME, f"part {index} of {total}", BAD_MESSAGE)
        elif added.what is What.TOO_LARGE:
            why = f"over {core.limits.max_media_bytes} bytes after {index} of {total} parts"
            self.refuse(round_, message, Reason.TOO_LARGE, why, FAILED)
        elif added.what is What.WHOLE:
            assert added.message is not None
            if media:
                self._answer(message, DONE)
            self._whole(message, added.message, added.finished, round_)
        elif added.what is What.FINISHED and added.finished is not None:
            if media:
                self._answer(message, DONE)
                if added.finished.durable and isinstance(added.finished.tag, int):
                    self._frames(message, MEDIA_REPLY, added.finished.tag.to_bytes(4, "big"))
            elif added.finished.durable:
                self._answer(message, DONE)
        elif media:
            self._answer(message, DONE)

    def _whole(self, last: Message, opened: Open, finished: Finished | None, round_: Round) -> None:
        self._core.stats.whole += 1
        body = opened.body
        serials = finished.serials if finished is not None else ()
        message = Message(
            last.link, last.message_id, last.version, last.serial, last.number, body=body, serials=serials
        )
        message.finished = finished
        if message.message_id in (POSITION, BATCH):
            self._located(message.message_id, message)
        else:
            self.take(message, round_)

    def _located(self, kind: int, message: Message) -> None:
        terminal = message.link.terminal
        if terminal is not None:
            message.slot = terminal.slot
            self._positions.append((kind, message))

    def _ask(self, due: Ask) -> None:
        """8003 for what is missing; for a photo, the last time, 8800 with the same list."""
        opened = due.message
        link = self._core.by_number.get(opened.number)
        if link is None:
            return
        missing = due.missing[:MOST_ASKED]
        numbers = b"".join(part.to_bytes(2, "big") for part in missing)
        message = Message(link, opened.message_id, opened.version, opened.base, opened.number)
        self._core.stats.parts_asked += len(missing)
        if opened.message_id == MEDIA and due.last and 1 in opened.held and len(opened.held[1]) >= 4:
            self._frames(message, MEDIA_REPLY, opened.held[1][:4] + bytes((len(missing),)) + numbers)
            return
        count = len(missing).to_bytes(2 if opened.version >= VERSION_2019 else 1, "big")
        self._frames(message, ASK_PARTS, opened.base.to_bytes(2, "big") + count + numbers)

    def _lost(self, lost: Lost, round_: Round) -> None:
        opened = lost.message
        self._core.stats.lost += 1
        self._core.stats.bad[Reason.INCOMPLETE] += 1
        why = f"{opened.message_id:#06x}: parts {_ranges(opened.missing)} of {opened.total} are missing; {lost.why}"
        self._incomplete(round_, f"jt808/{opened.number}", opened.number, why, opened.body)

    def _incomplete(self, round_: Round, source: str, number: str, why: str, raw: bytes) -> None:
        terminal = self._core.terminals.find(number)
        device = terminal.device if terminal is not None else ""
        round_.quarantined.append(self._core.entry(round_, source, device, Reason.INCOMPLETE, why, raw))

    # -- media --------------------------------------------------------------------------------

    def _media(self, message: Message, round_: Round) -> None:
        number, new = media808(message.link.device, message.body, round_.received_ms)
        if message.finished is None:
            self._answer(message, DONE)
        else:
            message.finished.tag = number
        self._keep(new, partial(self._media_kept, message, number))

    def _media_kept(self, message: Message, number: int) -> None:
        if message.finished is not None:
            message.finished.durable = True
        link = self._core.by_number.get(message.number, message.link)
        self._frames(message, MEDIA_REPLY, number.to_bytes(4, "big"), None, link)

    def _piece(self, message: Message, round_: Round) -> None:
        """A piece of a taxi's photo; the last one is answered when the photo is durable."""
        core = self._core
        piece = piece905(message.body)
        whole, lost = core.photos.add(message.number, piece, round_.now_s)
        core.stats.open_bytes = core.parts.open_bytes + core.photos.open_bytes
        for photo, why in lost:
            self._lost_photo(photo, why, round_)
        if whole is None:
            self._answer(message, DONE)
            return
        if len(whole) <= PLACE_905_BYTES:
            raise Malformed("data", f"{len(whole)} bytes hold no image after the position")
        place = place905(whole[:PLACE_905_BYTES])
        new = NewEvidence(
            device=message.link.device,
            kind="image",
            format="jpg",
            data=whole[PLACE_905_BYTES:],
            time_ms=place.time_ms,
            received_ms=round_.received_ms,
            lat=place.lat,
            lon=place.lon,
            channel=piece.camera,
            event=EVENTS_905.get(piece.reason, f"reason_{piece.reason}"),
            source=f"jt905:{piece.image}",
        )
        self._keep(new, partial(self.answer_all, message, DONE))

    def _keep(self, new: NewEvidence, kept: Callable[[], None]) -> None:
        self._core.stats.media += 1
        self._core.events.media(new, partial(self._core.later, kept))

    def _lost_photo(self, photo: Photo, why: str, round_: Round) -> None:
        self._core.stats.lost += 1
        self._core.stats.bad[Reason.INCOMPLETE] += 1
        said = f"photo {photo.image}: {photo.got_bytes} of {photo.size} bytes came; {why}"
        raw = b"".join(photo.pieces[offset] for offset in sorted(photo.pieces))
        self._incomplete(round_, f"jt905/{photo.number}", photo.number, said, raw)

    # -- everything else ----------------------------------------------------------------------

    def _by_table(self, message: Message, round_: Round) -> None:
        """Answers to orders become replies, the rest reports."""
        link = message.link
        dialect = DIALECTS[link.code]
        entry = dialect.catalogue.by_id.get(message.message_id)
        if entry is None:
            why = f"{message.message_id:#06x} is not in the table"
            self.refuse(round_, message, Reason.UNKNOWN_MESSAGE, why, UNSUPPORTED)
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
        report = Report(
            device=terminal.device,
            protocol=dialect.name,
            message=entry.name,
            time_ms=round_.received_ms,
            received_ms=round_.received_ms,
            fields=values,
            raw=message.body,
        )
        self._core.events.report(report, partial(self._core.later, partial(self.answer_all, message, DONE)))

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


def _ranges(numbers: Sequence[int]) -> str:
    """`3, 5-7` of a rising list."""
    made: list[str] = []
    begin = end = -1
    for number in [*numbers, -1]:
        if number == end + 1 and end >= 0:
            end = number
            continue
        if begin >= 0:
            made.append(str(begin) if begin == end else f"{begin}-{end}")
        begin = end = number
    return ", ".join(made)
