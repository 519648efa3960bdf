"""The JT side of a round: bytes of many connections to positions, answers and messages, JT/T 808 and 905 on one port.

Purpose: positions of terminals that are known go through NumPy columns, a whole round at once; everything else, and the
first frames of a connection, one by one through `JtMessages`. Invariants: the frames of one connection are judged in
order; every frame ends in exactly one of points, quarantine or `JtMessages`; a position is answered after the commit.
Which protocol: the registry says it, then the "10" in front of a twelve-digit number (JT/T 905.2 10.3), else 808.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ingest.gateway.jt_answers import BAD_MESSAGE, FAILED, HANDLED, UNSUPPORTED, Message
from ingest.gateway.jt_messages import BATCH, POSITION, TAXI_POSITION, JtMessages
from ingest.gateway.links import JT808, JT905, Link
from ingest.jt.answers import answers
from ingest.jt.bcd import NO_NUMBER
from ingest.jt.columns import HEADER_BYTES, FrameColumns, cut, of_bodies
from ingest.jt.positions808 import positions704, positions808
from ingest.jt.positions905 import positions905
from model.codes import Reason

if TYPE_CHECKING:
    from ingest.gateway.core import Core, Round
    from ingest.gateway.seams import Terminal
    from ingest.jt.positions import Positions

IntArray = npt.NDArray[np.int64]
TRACKING_905, BLIND_905 = 0x0202, 0x0203
#: Protocols that the registry may name for a terminal on this port.
_MINE = ("", "jt808", "jt905")
_IDS_808 = (POSITION, BATCH)
_IDS_905 = (POSITION, TRACKING_905, BLIND_905)


class JtSide:
    """JT/T 808 and 905. One thread.

    Args:
        core: what all sides share.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._messages = JtMessages(core)

    def take(self, links: list[Link], pieces: list[bytes], round_: Round) -> None:
        """Take what was read: `pieces[i]` of `links[i]`, its rest in front."""
        core = self._core
        frames, leftovers, junk = cut(pieces)
        for link, left in zip(links, leftovers, strict=True):
            link.rest = left
        for source, raw in junk:
            core.refuse(round_, links[source], Reason.BAD_FRAME, "bytes outside any frame", raw)
        if len(frames):
            round_.frames += len(frames)
            index = np.fromiter([link.index for link in links], np.int64, len(links))[frames.source]
            plain = self._plain(frames, index)
            rows = np.flatnonzero(plain)
            if len(rows) != len(frames):
                rows = self._one_by_one(frames, links, plain, rows, round_)
            self._positions(frames, rows, links, round_)
        self._messages.end_of_round()
        self._wholes(round_)

    def tick(self, round_: Round) -> None:
        """Time-outs of parts."""
        self._messages.parts.tick(round_)

    def stop(self, round_: Round) -> None:
        """Quarantine what will not be completed any more."""
        self._messages.parts.stop(round_)

    def _plain(self, frames: FrameColumns, index: IntArray) -> npt.NDArray[np.bool_]:
        """Which frames are positions, without a fault, of terminals that are believed."""
        table = self._core.table
        code = table.code[index]
        good = frames.checksum_ok & frames.escape_ok & (table.slot[index] >= 0)
        good &= frames.number == table.number[index]
        ids = frames.message_id
        mine = (ids == POSITION) | (ids == BATCH)
        plain = (code == JT808) & mine & frames.length_ok & ~frames.parted & ~frames.encrypted
        if (code == JT905).any():
            mine = (ids == POSITION) | (ids == TRACKING_905) | (ids == BLIND_905)
            plain |= (code == JT905) & mine & frames.length_ok_905
        made: npt.NDArray[np.bool_] = good & plain
        return made

    def _one_by_one(
        self, frames: FrameColumns, links: list[Link], plain: npt.NDArray[np.bool_], rows: IntArray, round_: Round
    ) -> IntArray:
        """Judge the frames that are not plain; returns the rows of all positions that count."""
        more = [
            row for row in np.flatnonzero(~plain).tolist() if self._one(frames, row, links[frames.source[row]], round_)
        ]
        return np.sort(np.concatenate([rows, np.array(more, np.int64)])) if more else rows

    def _one(self, frames: FrameColumns, row: int, link: Link, round_: Round) -> bool:
        """Judge one frame; True where it is a position that counts."""
        wrong = _broken(frames, row)
        if wrong is not None:
            self._core.refuse(round_, link, *wrong, frames.raw(row))
            return False
        key = int(frames.number[row])
        message = Message(
            link,
            int(frames.message_id[row]),
            int(frames.version[row]),
            int(frames.serial[row]),
            str(key) if key else "",
            raw=frames.raw(row),
        )
        if not link.number and not self._named(message, key, frames, row, round_):
            return False
        unfit = self._unfit(frames, row, link, key)
        if unfit is not None:
            self._messages.answers.refuse(round_, message, *unfit)
            return False
        if link.terminal is None and not self._messages.greeting(message, round_):
            return False
        return self._fit(frames, row, message, round_)

    def _unfit(self, frames: FrameColumns, row: int, link: Link, key: int) -> tuple[Reason, str, int] | None:
        """Why a frame does not count although it is whole, and the result that its answer says; None when it does."""
        if int(self._core.table.number[link.index]) != key:
            return Reason.IDENTITY_MISMATCH, f"the number {key} on the connection of {link.number}", FAILED
        if not (frames.length_ok_905 if link.code == JT905 else frames.length_ok)[row]:
            return Reason.BAD_FRAME, "its length is not what it says", BAD_MESSAGE
        if link.code == JT808 and frames.encrypted[row]:
            return Reason.ENCRYPTED, "its body is encrypted", UNSUPPORTED
        if link.code == JT808 and frames.parted[row] and link.terminal is None:
            return Reason.NOT_AUTHENTICATED, "a part before it authenticated", FAILED
        return None

    def _fit(self, frames: FrameColumns, row: int, message: Message, round_: Round) -> bool:
        """Take a frame that counts; True where it is a position, which is not taken here."""
        link = message.link
        if link.code == JT905:
            at = int(frames.start[row])
            message.body = frames.data[at + HEADER_BYTES : at + int(frames.size[row])].tobytes()
            if message.message_id in _IDS_905:
                return True
        else:
            link.version = message.version
            message.body = frames.body(row)
            if frames.parted[row]:
                at = int(frames.body_start[row])
                total, index = (
                    int.from_bytes(frames.data[at - back : at - back + 2].tobytes(), "big") for back in (4, 2)
                )
                self._messages.parts.part(message, total, index, round_)
                return False
            if message.message_id in _IDS_808:
                return link.terminal is not None
        self._messages.take(message, round_)
        return False

    def _named(self, message: Message, key: int, frames: FrameColumns, row: int, round_: Round) -> bool:
        """Find out who a new connection is; True where the registry knows it."""
        core, link = self._core, message.link
        terminal = core.terminals.find(message.number) if message.number else None
        if terminal is not None and terminal.protocol not in _MINE:
            terminal = None
        if terminal is None or not terminal.enabled:
            self._messages.stranger(message, terminal, round_)
            return False
        code = _code(terminal, message.number, frames, row)
        core.name(link, message.number, key, code)
        link.version = message.version
        if code == JT905 or not core.require_auth or (link.sock is None and self._vouched(link, terminal)):
            core.believe(link, terminal)
        return True

    def _vouched(self, link: Link, terminal: Terminal) -> bool:
        """Whether the terminal authenticated over TCP from the host that sends datagrams now, and is still bound."""
        return self._core.vouched(link) and self._core.terminals.bound(terminal.slot)

    # -- positions ----------------------------------------------------------------------------

    def _positions(self, frames: FrameColumns, rows: IntArray, links: list[Link], round_: Round) -> None:
        """Decode the frames `rows` and prepare their answers."""
        if not len(rows):
            return
        table = self._core.table
        index = np.fromiter([link.index for link in links], np.int64, len(links))
        source = frames.source[rows].astype(np.int64)
        of = index[source]
        slots = table.slot[of]
        narrow = table.code[of] == JT905
        result = np.zeros(len(frames), np.uint8)
        batch = frames.message_id[rows] == BATCH
        for which, read in (
            (~narrow & ~batch, positions808),
            (~narrow & batch, positions704),
            (narrow, positions905),
        ):
            if which.any():
                mine = rows[which]
                found = self._read(read, frames, mine, slots[which], round_)
                self._judge(found, frames, mine, slots[which], links, result, round_)
        if narrow.any():  # JT/T 905 knows no "alarm handled"
            result[rows[narrow & (result[rows] == HANDLED)]] = 0
        first = np.flatnonzero(np.append(True, source[1:] != source[:-1]))
        counts = np.diff(np.append(first, len(rows)))
        begun = of[first]
        serial = np.arange(len(rows)) + np.repeat(table.serial[begun] - first, counts)
        table.serial[begun] += counts
        made: list[bytes]
        if narrow.any() and not narrow.all():
            made = [b""] * len(rows)
            for side in (True, False):
                places = np.flatnonzero(narrow == side)
                some = answers(frames, rows[places], result[rows[places]], serial[places], narrow=side)
                for place, answer in zip(places.tolist(), some, strict=True):
                    made[place] = answer
        else:
            made = answers(frames, rows, result[rows], serial, narrow=bool(narrow.all()))
        ends = [*first[1:].tolist(), len(rows)]
        round_.answers += [
            (links[one], made[begin:end])
            for one, begin, end in zip(source[first].tolist(), first.tolist(), ends, strict=True)
        ]

    def _read(
        self,
        read: Callable[..., Positions],
        frames: FrameColumns,
        rows: IntArray,
        slots: npt.NDArray[np.int32],
        round_: Round,
    ) -> Positions:
        return read(frames, rows, slots, round_.received_ms, extra_bytes=self._core.limits.extra_bytes)

    def _judge(
        self,
        found: Positions,
        frames: FrameColumns,
        rows: IntArray,
        slots: npt.NDArray[np.int32],
        links: list[Link],
        result: npt.NDArray[np.uint8],
        round_: Round,
    ) -> None:
        """Points to the round, what is bad to quarantine; the result of each frame into `result`."""
        if len(found.batch):
            round_.batches.append(found.batch)
        if found.bad:
            kept = set(found.frame.tolist())
            slot_of = dict(zip(rows.tolist(), slots.tolist(), strict=True))
            for (row, why), bits in zip(found.bad, found.bad_alarm_bits, strict=True):
                link = links[frames.source[row]]
                raw = frames.raw(row)
                self._core.refuse(round_, link, Reason.BAD_BODY, why, raw)
                if bits:
                    round_.signals += self._core.rising.lifted(
                        slot_of[row], link.device, bits, raw, f"bad_body: {why}", round_.received_ms
                    )
                    result[row] = HANDLED
                elif row not in kept:
                    result[row] = BAD_MESSAGE
        if found.batch.alarm_bits.any():
            result[found.frame[found.batch.alarm_bits != 0]] = HANDLED

    def _wholes(self, round_: Round) -> None:
        """Positions that came inside other messages, or in parts."""
        wholes = self._messages.take_positions()
        if not wholes:
            return
        for kind, read in ((POSITION, positions808), (BATCH, positions704), (TAXI_POSITION, positions905)):
            some = [message for asked, message in wholes if asked == kind]
            if not some:
                continue
            bodies = of_bodies([message.body for message in some], POSITION if kind == TAXI_POSITION else kind)
            slots = np.array([message.slot for message in some], np.int32)
            rows = np.arange(len(some))
            result = np.zeros(len(some), np.uint8)
            found = self._read(read, bodies, rows, slots, round_)
            self._judge(found, bodies, rows, slots, [message.link for message in some], result, round_)
            for message, code in zip(some, result.tolist(), strict=True):
                if message.owed:
                    self._messages.answers.after(message, code, round_)


def _broken(frames: FrameColumns, row: int) -> tuple[Reason, str] | None:
    """What is wrong with a frame whoever sent it: then nothing in it can be answered."""
    if not frames.escape_ok[row]:
        return Reason.BAD_FRAME, "7d is followed by neither 01 nor 02"
    if not frames.checksum_ok[row]:
        return Reason.BAD_CHECKSUM, "the xor over the frame is not 0"
    if frames.size[row] < HEADER_BYTES:
        return Reason.BAD_FRAME, f"{int(frames.size[row])} bytes are no header"
    if int(frames.number[row]) == NO_NUMBER:
        return Reason.BAD_FRAME, "the terminal number is no digits, or does not fit 64 bits"
    return None


def _code(terminal: Terminal, number: str, frames: FrameColumns, row: int) -> int:
    """The protocol of a new connection."""
    if terminal.protocol == "jt905":
        return JT905
    if terminal.protocol == "jt808" or int(frames.version[row]) == 2019:
        return JT808
    return JT905 if len(number) == 12 and number.startswith("10") else JT808
