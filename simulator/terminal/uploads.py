"""A file on its way up in parts, some of them lost at first.

Purpose: keeps the frames of one media message of JT/T 808 until the platform has it all, and knows which to send again.
Invariants: a part that is sent again is the same bytes, serial included.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from simulator.terminal.wire import Packet


class Upload:
    """One file.

    Attributes:
        media_id: the terminal's number of it.
        first_serial: serial of its first part.
        by_replies: JT/T 905, where each piece is answered by itself; done when all are.
        again: parts that the platform asked for again, in order, repeats included.
    """

    def __init__(self, media_id: int, packets: Sequence[Packet], *, by_replies: bool = False) -> None:
        self.media_id, self.first_serial = media_id, packets[0].serial
        self.again: list[int] = []
        self._packets = {packet.index: packet for packet in packets}
        self._unanswered = {packet.serial for packet in packets} if by_replies else set[int]()
        self._done = threading.Event()

    @property
    def parts(self) -> int:
        """How many there are."""
        return len(self._packets)

    @property
    def done(self) -> bool:
        """Whether the platform said that it has all."""
        return self._done.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Whether it was done within `timeout_s`."""
        return self._done.wait(timeout_s)

    def wanted(self, parts: Sequence[int]) -> list[Packet]:
        """The parts that are to be sent again; numbers that it does not have are left out. None asked for: done."""
        if not parts:
            self._done.set()
        self.again += parts
        return [self._packets[index] for index in parts if index in self._packets]

    def rest(self, index: int) -> list[Packet]:
        """The parts from `index` on."""
        return [packet for at, packet in self._packets.items() if at >= index]

    def replied(self, serial: int) -> None:
        """The platform has the piece with that serial (JT/T 905)."""
        if serial in self._unanswered:
            self._unanswered.discard(serial)
            if not self._unanswered:
                self._done.set()
