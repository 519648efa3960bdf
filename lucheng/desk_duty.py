"""What the desk does by itself: escalation and other clocks, answers to devices, the audit of the system's own doings.

Invariants: all of it is rows of the desk that are due, so a restart loses nothing; an answer is kept until the broker
has it; an event is audited in order and not skipped. It runs on a thread of its own and wakes with the desk's events, so
that an answer is on its way within milliseconds. It decides nothing: the desk does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from lucheng.logs import logger
from model.errors import AuditUnwritable, LuchengError, StoreError, TryAgain

if TYPE_CHECKING:
    from lucheng.order_hands import Down
    from model.clock import Clock
    from store.audit import AuditLog
    from store.desk.desk import DeskFile

#: How often what is due by time is asked for.
CLOCK_EVERY_S = 0.25
AUDIT_EVERY_S = 1.0
#: How often answers that were given are crossed out. Seldom: a commit of its own after each alarm would stand in the way
#: of the next one, and an answer that is given again after a crash does no harm.
CROSS_OUT_EVERY_S = 1.0
#: An event goes to those who watch first; devices are answered so much later.
GIVE_WAY_S = 0.003
#: Answers taken from the desk at a time.
MAX_ANSWERS = 200
ALARM_STATE_TOPIC = "lucheng/v1/{device}/down/alarm_state"

_log = logger(__name__)


class DeskDuty:
    """The thread.

    Args:
        desk: the open desk.
        audit: where the system's transitions go.
        down: the connection to devices; None where there is none.
        clock: source of time.
        on_fatal: called once when a store failed.
        answers_to: whether a device is answered by MQTT; a terminal has its answer in its own protocol.
    """

    def __init__(
        self,
        desk: DeskFile,
        audit: AuditLog,
        down: Down | None,
        clock: Clock,
        *,
        on_fatal: Callable[[BaseException], None],
        answers_to: Callable[[str], bool] = lambda _device: True,
    ) -> None:
        self._answers_to = answers_to
        self._desk = desk
        self._audit = audit
        self._down = down
        self._clock = clock
        self._on_fatal = on_fatal
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._under_way: set[int] = set()
        self._done: list[int] = []
        self._audited_at_s = self._crossed_out_at_s = clock.monotonic_s()
        self._thread = threading.Thread(target=self._loop, name="desk", daemon=True)

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self, *, drain_s: float) -> None:
        """Send and audit what is there, then stop."""
        self._stop.set()
        self._thread.join(timeout=drain_s)

    def _loop(self) -> None:
        try:
            seen = self._desk.last_event()
            clock_at_s = self._clock.monotonic_s()
            while not self._stop.is_set():
                try:
                    if self._desk.wait_events(seen, CLOCK_EVERY_S):
                        self._stop.wait(GIVE_WAY_S)
                    seen = self._desk.last_event()
                    if self._clock.monotonic_s() - clock_at_s >= CLOCK_EVERY_S:
                        clock_at_s = self._clock.monotonic_s()
                        self._desk.clock()
                    self._answer()
                    self._write_audit()
                except TryAgain as error:  # nothing was kept of it, and the next turn does it
                    _log.warning("the desk's database is away", error=str(error))
                    self._stop.wait(CLOCK_EVERY_S)
            self._cross_out(now=True)
            self._write_audit(now=True)
        except StoreError as error:
            _log.error("the desk stopped", error=str(error))
            self._on_fatal(error)
        except BaseException as error:
            _log.error("the desk stopped", error=str(error), exc_info=not isinstance(error, LuchengError))
            self._on_fatal(error)

    def _cross_out(self, *, now: bool = False) -> None:
        at_s = self._clock.monotonic_s()
        with self._lock:
            many = len(self._done) >= MAX_ANSWERS // 2  # or they would fill the next page
            if not self._done or not (now or many or at_s - self._crossed_out_at_s >= CROSS_OUT_EVERY_S):
                return
            done, self._done = self._done, []
        self._crossed_out_at_s = at_s
        try:
            self._desk.answered(done)
        except TryAgain:
            with self._lock:
                self._done = done + self._done
            raise
        with self._lock:
            self._under_way.difference_update(done)

    def _answer(self) -> None:
        self._cross_out()
        if self._down is None or not self._down.connected:
            with self._lock:
                self._under_way.intersection_update(self._done)  # what was on its way is sent again
            return
        for answer in self._desk.answers(limit=MAX_ANSWERS):
            if answer.number in self._under_way:
                continue
            if not self._answers_to(answer.device):
                with self._lock:
                    self._under_way.add(answer.number)
                self._sent(answer.number)
                continue
            payload = msgspec.json.encode({"id": answer.alarm_id, "state": answer.state})
            with self._lock:
                self._under_way.add(answer.number)
            topic = ALARM_STATE_TOPIC.format(device=answer.device)
            if not self._down.send(topic, payload, lambda number=answer.number: self._sent(number)):  # type: ignore[misc]
                with self._lock:
                    self._under_way.discard(answer.number)
                return

    def _sent(self, number: int) -> None:
        with self._lock:
            self._done.append(number)

    def _write_audit(self, *, now: bool = False) -> None:
        if not now and self._clock.monotonic_s() - self._audited_at_s < AUDIT_EVERY_S:
            return
        self._audited_at_s = self._clock.monotonic_s()
        try:
            self._desk.audit_system_events(self._audit)
        except AuditUnwritable as error:
            # People's actions fail closed; the system's alarms must go on. They stay in the desk until they are audited.
            _log.error("the system's transitions are not audited yet", error=str(error))
