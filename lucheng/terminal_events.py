"""What terminals tell besides places: photos, reports, that they came; each made durable, then answered.

Invariants: nothing here runs on the gateway's thread but the handing over; what waits is bounded, and what finds no room
is not acknowledged, so the terminal sends it again; a photo belongs to the alarm that its device has open. It decides
nothing about alarms.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from devices.details import details_of
from model.errors import LuchengError, UsageError

if TYPE_CHECKING:
    from lucheng.rooms import Rooms
    from model.command import Reply
    from model.evidence import NewEvidence, Report

#: Things that may wait to be kept, and the bytes of their media.
DEFAULT_MAX_WAITING = 10_000
DEFAULT_MAX_WAITING_BYTES = 128 << 20
#: Kinds of alarm that a photo is evidence of, in this order.
EVIDENCE_KINDS = ("sos", "collision", "rollover", "forbidden_area", "illegal_move", "driving_warning")
_SERVICE = ("service", "service")

_log = structlog.get_logger(__name__)


class TerminalEvents:
    """Takes what the gateway tells, on a thread of its own; implements `ingest.gateway.seams.GatewayEvents`.

    Args:
        rooms: the open data folder.
        on_reply: told what a terminal answered to a command; from the gateway's thread, must not block.
        on_online: told that a terminal can be reached; likewise.
        on_registry_change: called after a device's protocol was learnt.
        on_fatal: called once when this thread cannot go on.
        max_waiting, max_waiting_bytes: what may wait.
    """

    def __init__(
        self,
        rooms: Rooms,
        *,
        on_reply: Callable[[Reply], None],
        on_online: Callable[[], None],
        on_registry_change: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
        max_waiting: int = DEFAULT_MAX_WAITING,
        max_waiting_bytes: int = DEFAULT_MAX_WAITING_BYTES,
    ) -> None:
        self._rooms = rooms
        self._on_reply = on_reply
        self._on_online = on_online
        self._on_registry_change = on_registry_change
        self._on_fatal = on_fatal
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._work: deque[tuple[int, Callable[[], None]]] = deque()
        self._waiting_bytes = 0
        self._some = threading.Condition()
        self._stopping = False
        #: Things turned away because too much waited.
        self.turned_away = 0
        #: Media that can never be kept: empty, or of an impossible form.
        self.refused = 0
        self._thread = threading.Thread(target=self._loop, name="terminal-events", daemon=True)

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self, *, drain_s: float) -> None:
        """Keep what waits, then stop."""
        with self._some:
            self._stopping = True
            self._some.notify_all()
        self._thread.join(drain_s)

    # -- the gateway's thread -----------------------------------------------------------------

    def online(self, slot: int, device: str, protocol: str) -> None:
        """A terminal has a session; what it speaks is noted where the registry does not say it."""
        del slot
        self._on_online()
        self._later(0, lambda: self._learn(device, protocol))

    def offline(self, slot: int, device: str) -> None:
        """Its session ended: the rules notice silence by themselves."""

    def reply(self, reply: Reply) -> None:
        """A terminal answered a command."""
        self._on_reply(reply)

    def media(self, new: NewEvidence, done: Callable[[], None]) -> None:
        """A photo, sound or clip is complete."""

        def keep() -> None:
            try:
                self._rooms.evidence.put(replace(new, alarm=new.alarm or self._alarm_of(new.device)))
            except UsageError as error:  # it never will be kept: sending it again would not help
                self.refused += 1
                _log.warning("media that cannot be kept", device=new.device, error=str(error))
            done()

        self._later(len(new.data), keep)

    def report(self, report: Report, done: Callable[[], None]) -> None:
        """Anything else that it tells."""

        def keep() -> None:
            self._rooms.reports.add([report])
            done()

        self._later(len(report.raw), keep)

    def _later(self, size_bytes: int, work: Callable[[], None]) -> None:
        with self._some:
            full = self._waiting_bytes + size_bytes > self._max_waiting_bytes and self._work
            if full or len(self._work) >= self._max_waiting:
                self.turned_away += 1
                return
            self._work.append((size_bytes, work))
            self._waiting_bytes += size_bytes
            self._some.notify()

    # -- its own ------------------------------------------------------------------------------

    def _loop(self) -> None:
        while True:
            with self._some:
                while not self._work and not self._stopping:
                    self._some.wait()
                if not self._work:
                    return
                size_bytes, work = self._work.popleft()
            try:
                work()
            except LuchengError as error:
                # A full disk ends no alarm's way: it is said, and the terminal sends it again.
                _log.error("what a terminal sent is not kept", error=str(error))
            except BaseException as error:
                _log.error("what a terminal sent is not kept", error=str(error), exc_info=True)
                self._on_fatal(error)
                return
            finally:
                with self._some:
                    self._waiting_bytes -= size_bytes

    def _alarm_of(self, device: str) -> str:
        return self._rooms.desk.open_alarm(device, EVIDENCE_KINDS)

    def _learn(self, device: str, protocol: str) -> None:
        known = self._rooms.registry.get(device)
        if known.protocol:
            return
        who, role = _SERVICE
        self._rooms.audit.append(who, role, "device.change", device, "", {"protocol": protocol})
        self._rooms.registry.update(device, replace(details_of(known), protocol=protocol))
        self._on_registry_change()
