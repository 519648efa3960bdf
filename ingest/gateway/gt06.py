"""The GT06 side of a round: frames of trackers, one by one.

Purpose: login, heartbeat, positions, alarms, answers to commands, time. Invariants: a tracker is believed by the IMEI of
its login alone, since the protocol has no authentication: nothing before a login counts; what holds a position or an alarm
is answered after the commit; a frame that is not whole, or whose checksum does not hold, is quarantined and not answered.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ingest.gateway import orders
from ingest.gateway.dialects import DIALECTS
from ingest.gateway.links import GT06, Link
from ingest.gateway.reports import report_of
from ingest.gateway.sending import send_step
from ingest.gt06 import codec
from ingest.gt06.alarms import signals_of, unknown_code
from ingest.gt06.codec import Frame
from ingest.gt06.positions import PointRow, batch_of, position_of, zone_offset_ms_of
from ingest.wire.fields import Values
from ingest.wire.message import Way
from ingest.wire.reader import Malformed
from model.codes import Reason

if TYPE_CHECKING:
    from ingest.gateway.core import Core, Round

LOGIN, HEARTBEATS, TIME = 0x01, (0x13, 0x23), 0x8A
#: Protocols that the registry may name for a tracker on this port.
_MINE = ("", "gt06")


class Gt06Side:
    """See the module. One thread.

    Args:
        core: what all sides share.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rows: list[tuple[int, PointRow]] = []

    def take(self, pieces: list[tuple[Link, bytes]], round_: Round) -> None:
        """Take what was read of each link, its rest in front."""
        core = self._core
        for link, piece in pieces:
            frames, link.rest, junk = codec.split(piece)
            for raw in junk:
                core.refuse(round_, link, Reason.BAD_FRAME, "bytes outside any frame", raw)
            round_.frames += len(frames)
            for raw in frames:
                self._one(link, raw, round_)
        if self._rows:
            round_.batches.append(batch_of(self._rows, round_.received_ms))
            self._rows = []

    def _one(self, link: Link, raw: bytes, round_: Round) -> None:
        """One frame."""
        refuse = self._core.refuse
        try:
            frame = codec.read_frame(raw)
        except Malformed as error:
            refuse(round_, link, Reason.BAD_FRAME, str(error), raw)
            return
        if not frame.checksum_ok:
            refuse(round_, link, Reason.BAD_CHECKSUM, "the CRC over the frame is another", raw)
            return
        if frame.message_id == LOGIN and not self._login(link, frame, raw, round_):
            return
        if link.terminal is None:
            refuse(round_, link, Reason.NOT_AUTHENTICATED, f"{frame.message_id:#04x} before its login", raw)
            return
        read = self._read(link, frame, raw, round_)
        if read is not None:
            self._take(link, frame, *read, raw, round_)

    def _read(self, link: Link, frame: Frame, raw: bytes, round_: Round) -> tuple[str, Values] | None:
        """Name and values of a message by the table; None where it was refused."""
        refuse = self._core.refuse
        try:
            entry = codec.entry_of(frame.message_id, long=frame.long)
        except Malformed as error:
            refuse(round_, link, Reason.UNKNOWN_MESSAGE, str(error), raw)
            return None
        if entry.way is Way.DOWN:
            refuse(round_, link, Reason.UNKNOWN_MESSAGE, f"{frame.message_id:#04x} is sent down, never up", raw)
            return None
        try:
            return entry.name, codec.decode_body(frame)
        except Malformed as error:
            refuse(round_, link, Reason.BAD_BODY, str(error), raw)
            return None

    def _login(self, link: Link, frame: Frame, raw: bytes, round_: Round) -> bool:
        """Whether the login is that of a tracker that may speak here."""
        core = self._core
        number = frame.number.lstrip("0")
        if link.number and number != link.number:
            why = f"{number or 'no IMEI'} on the connection of {link.number}"
            core.refuse(round_, link, Reason.IDENTITY_MISMATCH, why, raw)
            return False
        terminal = core.terminals.find(number) if number else None
        if terminal is None or terminal.protocol not in _MINE:
            core.refuse(round_, link, Reason.UNKNOWN_DEVICE, f"no tracker has the IMEI {number or 'nothing'}", raw)
            return False
        if not terminal.enabled:
            core.refuse(round_, link, Reason.DISABLED_DEVICE, f"{terminal.device} is disabled", raw)
            return False
        core.name(link, number, int(number), GT06)
        core.believe(link, terminal)
        return True

    def _take(self, link: Link, frame: Frame, name: str, values: Values, raw: bytes, round_: Round) -> None:
        """A decoded frame of a tracker that is believed."""
        core, terminal = self._core, link.terminal
        assert terminal is not None
        reply = codec.reply_to(frame, round_.received_ms)
        if frame.message_id == LOGIN:
            link.zone_offset_ms = zone_offset_ms_of(values)
        if frame.message_id == LOGIN or frame.message_id in HEARTBEATS or frame.message_id == TIME:
            if reply is not None:
                core.stats.answers += 1
                core.put(link, [reply])
            return
        zone = link.zone_offset_ms
        signals = signals_of(frame, values, terminal.device, round_.received_ms, zone_offset_ms=zone)
        round_.signals += signals
        code = unknown_code(frame, values)
        if code is not None:
            core.refuse(round_, link, Reason.UNKNOWN_ALARM, f"{code:#04x} is in no table of alarms", raw)
        row = position_of(frame, values, round_.received_ms, zone_offset_ms=zone)
        if row is not None:
            self._rows.append((terminal.slot, row))
        answered = self._answered(link, frame, values, round_)
        if row is not None or signals or answered:
            if reply is not None:
                round_.answers.append((link, [reply]))
        else:
            core.stats.reports += 1
            report = report_of(
                terminal.device,
                "gt06",
                name,
                values,
                frame.body,
                serial=frame.serial,
                received_ms=round_.received_ms,
                zone_offset_ms=zone,
            )
            core.events.report(report, partial(core.later, partial(self._reported, link, reply)))

    def _reported(self, link: Link, reply: bytes | None) -> None:
        """A report is durable: what is owed for it, if anything."""
        if reply is not None:
            self._core.stats.answers += 1
            self._core.put(link, [reply])

    def _answered(self, link: Link, frame: Frame, values: Values, round_: Round) -> bool:
        """Whether it answers an order of ours."""
        core = self._core
        answer = DIALECTS[GT06].answer_of(frame.message_id, values)
        if answer is None:
            return False
        step = orders.answered(link, frame.message_id, answer)
        if step.reply is not None:
            core.stats.replies += 1
            core.events.reply(step.reply)
        if step.send is not None:
            send_step(core, link, step.send, round_.now_s)
        return step.known
