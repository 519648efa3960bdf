"""JT messages that come in pieces: sub-packets of JT/T 808, photos of 808 and 905; what is missing is asked for.

Invariants: a part of a photo or sound is answered as it comes, and the whole, by 8800 or a taxi's last answer, when it is
durable; nothing is answered of any other message in parts before the whole is durable, then each part; what will not be
completed is quarantined with what is missing. Sources: JT/T 808-2019 4.4.3, 8.5, 8.43; JT/T 905.2-2014 0x0800.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from ingest.gateway.jt_answers import BAD_MESSAGE, DONE, FAILED, Answers, Message
from ingest.gateway.masking import shown_body
from ingest.gateway.media import EVENTS_905, PLACE_905_BYTES, Photo, media808, piece905, place905
from ingest.gateway.parts import Ask, Finished, Lost, Open, Part, What
from ingest.jt808.header import VERSION_2019
from ingest.wire.reader import Malformed
from model.codes import Reason
from model.evidence import NewEvidence

if TYPE_CHECKING:
    from ingest.gateway.core import Core, Round

MEDIA, ASK_PARTS, MEDIA_REPLY = 0x0801, 0x8003, 0x8800
#: The missing parts that one request names: what fits one frame, and the one byte of their count.
MOST_ASKED = 255
#: Runs of missing parts that an explanation names: no more have room in it.
GAPS_TOLD = 100


class JtParts:
    """See the module. One thread.

    Args:
        core: what all sides share.
        answers: writes answers.
        whole: takes a message whose parts have all come.
    """

    def __init__(self, core: Core, answers: Answers, whole: Callable[[Message, Round], None]) -> None:
        self._core = core
        self._answers = answers
        self._take_whole = whole

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

    def part(self, message: Message, total: int, index: int, round_: Round) -> None:
        """One part of a message of a believed JT/T 808 terminal."""
        core = self._core
        core.stats.parts += 1
        part = Part(
            message.number,
            message.message_id,
            total,
            index,
            message.serial,
            message.body,
            message.version,
            ordered=message.link.sock is not None,
        )
        added = core.parts.add(part, round_.now_s)
        core.stats.open_bytes = core.parts.open_bytes + core.photos.open_bytes
        for lost in added.lost:
            self._lost(lost, round_)
        media = message.message_id == MEDIA
        if added.what is What.NONSENSE:
            self._answers.refuse(round_, message, Reason.BAD_FRAME, f"part {index} of {total}", BAD_MESSAGE)
        elif added.what is What.TOO_LARGE:
            why = f"over {core.limits.max_media_bytes} bytes after {index} of {total} parts"
            self._answers.refuse(round_, message, Reason.TOO_LARGE, why, FAILED)
        elif added.what is What.WHOLE:
            assert added.message is not None
            if media:
                self._answers.general(message, DONE)
            self._whole(message, added.message, added.finished, round_)
        elif added.what is What.FINISHED and added.finished is not None:
            if media:
                self._answers.general(message, DONE)
                if added.finished.durable and isinstance(added.finished.tag, int):
                    self._answers.frames(message, MEDIA_REPLY, added.finished.tag.to_bytes(4, "big"))
            elif added.finished.durable:
                self._answers.general(message, DONE)
        elif media:
            self._answers.general(message, DONE)

    def _whole(self, last: Message, opened: Open, finished: Finished | None, round_: Round) -> None:
        self._core.stats.whole += 1
        body = opened.body
        serials = finished.serials if finished is not None else ()
        message = Message(
            last.link, last.message_id, last.version, last.serial, last.number, body=body, serials=serials
        )
        message.finished = finished
        self._take_whole(message, round_)

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
            self._answers.frames(message, MEDIA_REPLY, opened.held[1][:4] + bytes((len(missing),)) + numbers)
            return
        count = len(missing).to_bytes(2 if opened.version >= VERSION_2019 else 1, "big")
        self._answers.frames(message, ASK_PARTS, opened.base.to_bytes(2, "big") + count + numbers)

    def _lost(self, lost: Lost, round_: Round) -> None:
        opened = lost.message
        self._core.stats.lost += 1
        self._core.stats.bad[Reason.INCOMPLETE] += 1
        why = f"{opened.message_id:#06x}: parts {_ranges(opened)} of {opened.total} are missing; {lost.why}"
        raw = shown_body(opened.message_id, opened.body)
        self._incomplete(round_, f"jt808/{opened.number}", opened.number, why, raw)

    def _incomplete(self, round_: Round, source: str, number: str, why: str, raw: bytes) -> None:
        terminal = self._core.terminals.find(number)
        device = terminal.device if terminal is not None else ""
        round_.quarantined.append(self._core.entry(round_, source, device, Reason.INCOMPLETE, why, raw))

    # -- media --------------------------------------------------------------------------------

    def media(self, message: Message, round_: Round) -> None:
        number, new = media808(message.link.device, message.body, round_.received_ms)
        if message.finished is None:
            self._answers.general(message, DONE)
        else:
            message.finished.tag = number
        self._keep(new, partial(self._media_kept, message, number))

    def _media_kept(self, message: Message, number: int) -> None:
        if message.finished is not None:
            message.finished.durable = True
        link = self._core.by_number.get(message.number, message.link)
        self._answers.frames(message, MEDIA_REPLY, number.to_bytes(4, "big"), None, link)

    def piece(self, message: Message, round_: Round) -> None:
        """A piece of a taxi's photo; the last one is answered when the photo is durable."""
        core = self._core
        piece = piece905(message.body)
        whole, lost = core.photos.add(message.number, piece, round_.now_s)
        core.stats.open_bytes = core.parts.open_bytes + core.photos.open_bytes
        for photo, why in lost:
            self._lost_photo(photo, why, round_)
        if whole is None:
            self._answers.general(message, DONE)
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
        self._keep(new, partial(self._answers.all, message, DONE))

    def _keep(self, new: NewEvidence, kept: Callable[[], None]) -> None:
        self._core.stats.media += 1
        self._core.events.media(new, partial(self._core.later, kept))

    def _lost_photo(self, photo: Photo, why: str, round_: Round) -> None:
        self._core.stats.lost += 1
        self._core.stats.bad[Reason.INCOMPLETE] += 1
        said = f"photo {photo.image}: {photo.got_bytes} of {photo.size} bytes came; {why}"
        raw = b"".join(photo.pieces[offset] for offset in sorted(photo.pieces))
        self._incomplete(round_, f"jt905/{photo.number}", photo.number, said, raw)


def _ranges(opened: Open) -> str:
    """`3, 5-7`: the parts that did not come."""
    gaps = islice(opened.gaps(), GAPS_TOLD)
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in gaps)
