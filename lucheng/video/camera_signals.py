"""What cameras notice, as signals and clears in the alarms' log.

Invariants: everything goes the durable way of alarm messages, before anybody is told; an id derives from the camera, the
kind, the rule, the time and the words, so that the same again is the same; what the settings ask no alarm for is a signal alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from lucheng.video.messages import Noticed
from model.codes import ALARM_BY_NAME
from model.seams import NewRecord, RecordKind
from model.signal import Clear, Signal

if TYPE_CHECKING:
    from model.clock import Clock
    from store.log.committer import Committer

#: Longest note, characters.
MAX_NOTE_CHARS = 200

_packer = msgspec.msgpack.Encoder()


def camera_signal_id(noticed: Noticed) -> str:
    """The id of what a camera noticed: the same whenever it is told, another for anything else in the same picture."""
    text = "\0".join((noticed.device, noticed.kind, noticed.rule, str(noticed.time_ms), noticed.note))
    return "c" + hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class CameraSignals:
    """Writes to the alarms' log. Any thread.

    Args:
        alarms: its committer.
        clock: for the receive time.
    """

    def __init__(self, alarms: Committer, clock: Clock) -> None:
        self._alarms = alarms
        self._clock = clock
        #: Signals and clears written.
        self.written = 0

    def put(self, noticed: Noticed) -> None:
        """Write it down; durable when this returns or soon after."""
        if noticed.cleared and not noticed.alarm:
            return
        if noticed.cleared:
            clear = Clear(noticed.kind, noticed.device, noticed.rule, noticed.time_ms, 0)
            record = NewRecord(RecordKind.CLEAR, 0, _packer.encode([clear]))
        else:
            record = NewRecord(RecordKind.ALARM, 1, _packer.encode([self._signal(noticed)]))
        self.written += 1
        self._alarms.submit([record], lambda _position: None, urgent=True)

    def _signal(self, noticed: Noticed) -> Signal:
        return Signal(
            id=camera_signal_id(noticed),
            device=noticed.device,
            kind=noticed.kind,
            source="camera" if noticed.alarm else "note",
            time_ms=noticed.time_ms,
            received_ms=self._clock.now_ms(),
            lat=None,
            lon=None,
            severity=ALARM_BY_NAME[noticed.kind].severity,
            late=False,
            note=noticed.note[:MAX_NOTE_CHARS],
            log_position=0,
            fence=noticed.rule,
        )
