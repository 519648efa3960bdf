"""What the service does with commands: sends what may go, once; ends listen-ins; expires; gives the desk's own.

Invariants: a command is `sent`, durably and audited, before it is handed to its carrier, and what was handed over is never
handed over again, whatever happens in between; it is asked again whether it may go at that very moment; a listen-in that
must end is ended as soon as its terminal can be reached, also when that cannot be audited; what an event of the desk asks
for is given once, over restarts too. What one device waits for never stands before another's. It decides no rule: the
gate does; it speaks no protocol: the carrier does. It runs on a thread of its own.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ingest.jt808.alarms import confirm_bits
from lucheng.logs import logger
from model.codes import Word
from model.command import Command, CommandState, Reply, end, expire, send, turn_down
from model.command_table import kind_of
from model.device import Kind
from model.errors import AuditUnwritable, Conflict, LuchengError, NotFound, Refused, StoreError, UsageError

if TYPE_CHECKING:
    from config.gateway import Commands
    from model.clock import Clock
    from model.desk import Desk, Event
    from store.commands.store import CommandStore

#: How often what is due by time, and who can be reached by now, is looked at.
CLOCK_EVERY_S = 0.25
#: How often the place in the desk's events is written down; what is read again after a crash is given once all the same.
SAVE_EVERY_S = 2.0
#: Events of the desk taken at a time, and such pieces in one turn.
MAX_EVENTS, MAX_EVENT_PIECES = 500, 20
#: Commands of one device sent in one turn.
MAX_SENT_PER_DEVICE = 20
#: Answers of devices that wait to be written down; of more the oldest are lost, counted, and their commands expire.
DEFAULT_MAX_REPLIES = 10_000
#: Under this name the place in the desk's events stands.
CONSUMER = "desk"
SOS = "sos"
#: Events that tell that a lap of an alarm began, and those that its device is told of, with the state it is told.
_RISES = frozenset({"raise", "signal"})
_CONFIRMED = {"acknowledge": "acknowledged", "close": "closed"}

#: Words of the counters, for whoever shows them.
COUNTS: dict[str, Word] = {
    "sent": Word("commands handed to a carrier", "已交付下发的指令"),
    "turned_down": Word(
        "commands that a rule or a protocol stopped at the last moment", "下发前被规则或协议拦截的指令"
    ),
    "expired": Word("commands that were not sent or not answered in time", "超时未下发或未应答的指令"),
    "answered": Word("answers of devices that counted", "有效的终端应答"),
    "answered_nothing": Word("answers that were repeated, late or not asked for", "重复、迟到或未请求的应答"),
    "replies_lost": Word("answers lost because too many waited", "积压过多而丢弃的应答"),
    "listen_ends": Word("listen-ins ended", "已结束的监听"),
}

_log = logger(__name__)


class Carrier(Protocol):
    """Hands commands to devices, by whatever protocol each speaks. Nothing in it may block."""

    def via(self, device: str, slot: int) -> str:
        """Protocol by which the device can be reached now, `mqtt` or that of a terminal's session; "" when it cannot."""
        ...

    def send(self, command: Command, slot: int) -> None:
        """Take it on: it leaves once at most.

        Raises Refused where the protocol has no such thing, TryAgain where nothing can be taken on: nothing has left then.
        """
        ...

    def end_listen(self, command: Command, slot: int) -> None:
        """End a listen-in; may come twice. Raises as `send` does."""
        ...


class Rules(Protocol):
    """What is asked of `console.operations.Operations`, which has one gate for all commands."""

    def still_allowed(self, command: Command) -> str: ...
    def listen_must_end(self, command: Command, now_ms: int) -> bool: ...
    def note_command(self, action: str, command: Command, **detail: Any) -> None: ...
    def system_command(
        self, device: str, name: str, args: dict[str, Any], alarm: str, expires_s: int | None = None, *, cause: str = ""
    ) -> Command: ...


def confirms(protocol: str, kind: str) -> bool:
    """Whether a terminal of that protocol can be told that the desk has its alarm of that kind.

    JT/T 808 confirms what 8203 has a bit for, JT/T 905 (8B0A, 8B0B) its emergency button alone, GT06 nothing.
    """
    return bool(confirm_bits(kind)) if protocol == "jt808" else protocol == "jt905" and kind == SOS


class CommandDuty:
    """The thread.

    Args:
        commands: the store. desk: whose events ask for commands. rules: the gate, and its audit.
        carrier: how devices are reached.
        slot_of: registry slot of a device, None when there is none.
        protocol_of: protocol that a device is registered with, "" none.
        settings: section `commands`.
        clock: source of time.
        on_fatal: called once when the store failed.
        max_replies: see `DEFAULT_MAX_REPLIES`.
    """

    def __init__(
        self,
        commands: CommandStore,
        desk: Desk,
        rules: Rules,
        carrier: Carrier,
        *,
        slot_of: Callable[[str], int | None],
        protocol_of: Callable[[str], str],
        settings: Commands,
        clock: Clock,
        on_fatal: Callable[[BaseException], None],
        max_replies: int = DEFAULT_MAX_REPLIES,
    ) -> None:
        self._commands = commands
        self._desk = desk
        self._rules = rules
        self._carrier = carrier
        self._slot_of = slot_of
        self._protocol_of = protocol_of
        self._settings = settings
        self._clock = clock
        self._on_fatal = on_fatal
        self._replies: deque[Reply] = deque()
        self._max_replies = max_replies
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._unaudited = False
        self._position: int | None = None
        self._saved = 0
        self._saved_at_s = clock.monotonic_s()
        self._waiting: list[str] = []
        self._waiting_of = -1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="commands", daemon=True)

    # -- from outside -------------------------------------------------------------------------

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self, *, drain_s: float) -> None:
        """Write down the answers that are there, then stop."""
        self._stop.set()
        self._commands.nudge()
        self._thread.join(timeout=drain_s)

    def reply(self, reply: Reply) -> None:
        """A device answered; from any thread, never blocks."""
        with self._lock:
            self._replies.append(reply)
            if len(self._replies) > self._max_replies:
                self._replies.popleft()
                self._counts["replies_lost"] += 1
        self._commands.nudge()

    def wake(self) -> None:
        """Somebody can be reached now; from any thread, never blocks."""
        self._commands.nudge()

    def counts(self) -> dict[str, int]:
        """What was done since the start, by the names of `COUNTS`."""
        with self._lock:
            return {name: self._counts[name] for name in COUNTS}

    # -- the thread ---------------------------------------------------------------------------

    def _loop(self) -> None:
        try:
            seen = self._commands.changes
            while not self._stop.is_set():
                self.turn()
                if not self._replies and not self._stop.is_set():
                    seen = self._commands.wait(seen, CLOCK_EVERY_S)
            self._take_replies()
            self._save_position(now=True)
        except StoreError as error:
            _log.error("commands stopped", error=str(error))
            self._on_fatal(error)
        except BaseException as error:
            _log.error("commands stopped", error=str(error), exc_info=not isinstance(error, LuchengError))
            self._on_fatal(error)

    def turn(self) -> None:
        """All that is to be done now; what the thread does again and again. Raises StoreError alone: nothing can go on."""
        unaudited = False
        for part in (self._take_replies, self._end_listening, self._follow_desk, self._expire, self._send_queued):
            try:
                part()
            except AuditUnwritable as error:
                # What cannot be audited is not done; it is tried again, and expires by itself.
                if not (unaudited or self._unaudited):
                    _log.error("commands wait for the audit", error=str(error))
                unaudited = True
            except StoreError:
                raise
            except Conflict as error:
                _log.info("somebody else was first", error=error.message)
            except LuchengError as error:
                _log.warning("commands wait", error=str(error))
        self._unaudited = unaudited

    def _take_replies(self) -> None:
        while self._replies:
            with self._lock:
                reply = self._replies.popleft()
            after = self._commands.reply(reply, self._clock.now_ms())
            self._count("answered_nothing" if after is None else "answered")

    def _expire(self) -> None:
        now_ms = self._clock.now_ms()
        for command in self._commands.due(now_ms, self._settings.reply_timeout_s * 1_000):
            self._commands.step(command, expire(command, now_ms))
            self._count("expired")

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1

    # -- sending ------------------------------------------------------------------------------

    def _send_queued(self) -> None:
        changes = self._commands.changes
        if changes != self._waiting_of:
            self._waiting, self._waiting_of = self._commands.waiting_devices(), changes
        for device in self._waiting:
            slot, via = self._reach(device)
            if not via:
                continue
            for command in self._commands.queued(MAX_SENT_PER_DEVICE, device=device):
                self._send(command, slot, via)

    def _send(self, command: Command, slot: int, via: str) -> None:
        now_ms = self._clock.now_ms()
        if now_ms >= command.expires_ms:
            return  # the next turn expires it
        why = self._rules.still_allowed(command)
        if why:
            self._rules.note_command("command.refused", command, tried="send", why=why[:200])
            self._turn_down(command, why)
            return
        self._rules.note_command("command.sent", command, via=via, alarm=command.alarm)
        sent = self._commands.step(command, send(command, via, now_ms))
        self._count("sent")
        try:
            self._carrier.send(sent, slot)
        except LuchengError as error:
            self._turn_down(sent, error.message)  # nothing has left
            self._rules.note_command("command.refused", sent, tried="send", why=error.message[:200])
        except Exception as error:
            # Nobody knows what has left: it is not sent again, and expires unless it is answered.
            _log.error("a command may not have left", command=sent.id, error=str(error), exc_info=True)

    def _turn_down(self, command: Command, why: str) -> None:
        self._commands.step(command, turn_down(command, why, self._clock.now_ms()))
        self._count("turned_down")

    def _reach(self, device: str) -> tuple[int, str]:
        slot = self._slot_of(device)
        if slot is None:
            return -1, ""
        try:
            return slot, self._carrier.via(device, slot)
        except Exception as error:  # one device must not stop the others
            _log.error("it cannot be told whether a device can be reached", device=device, error=str(error))
            return slot, ""

    # -- listen-ins ---------------------------------------------------------------------------

    def _end_listening(self) -> None:
        now_ms = self._clock.now_ms()
        for command in self._commands.listening():
            if self._rules.listen_must_end(command, now_ms):
                self._end(command, now_ms)

    def _end(self, command: Command, now_ms: int) -> None:
        """End it where the terminal can be reached; where it cannot, its own limit does, and that is what is noted then."""
        slot, via = self._reach(command.device)
        told = bool(via)
        if told:
            try:
                self._carrier.end_listen(command, slot)
            except LuchengError as error:
                told = False
                _log.warning("a listen-in cannot be ended", command=command.id, error=error.message)
            except Exception as error:
                told = False
                _log.error("a listen-in could not be ended", command=command.id, error=str(error), exc_info=True)
        if not told and now_ms < command.ends_ms:
            return  # again in the next turn
        try:
            self._rules.note_command("command.listen_end", command, alarm=command.alarm, told=told)
        except AuditUnwritable as error:
            _log.error("the end of a listen-in is not audited", command=command.id, error=str(error))
        self._commands.step(command, end(command, now_ms))
        self._count("listen_ends")

    # -- what the desk's events ask for -------------------------------------------------------

    def _follow_desk(self) -> None:
        if self._position is None:
            self._position = self._begin()
        for _ in range(MAX_EVENT_PIECES):
            events = self._desk.events(self._position, limit=MAX_EVENTS)
            for event in events:
                self._on_event(event)
                self._position = event.number
            if len(events) < MAX_EVENTS:
                break
        self._save_position()

    def _begin(self) -> int:
        """Where this reads on; the first time from now, and no further than the desk's own last event."""
        last = self._desk.last_event()
        known = self._commands.position(CONSUMER)
        self._saved = min(known, last) if known is not None else last
        if known != self._saved:
            self._commands.save_position(CONSUMER, self._saved)
        return self._saved

    def _save_position(self, *, now: bool = False) -> None:
        at_s = self._clock.monotonic_s()
        if self._position in (None, self._saved) or not (now or at_s - self._saved_at_s >= SAVE_EVERY_S):
            return
        assert self._position is not None
        self._commands.save_position(CONSUMER, self._position)
        self._saved, self._saved_at_s = self._position, at_s

    def _on_event(self, event: Event) -> None:
        alarm = event.alarm.alarm
        if (
            alarm.kind == SOS
            and event.action in _RISES
            and self._settings.snapshot_on_sos
            and alarm.device.startswith(f"{Kind.TAXI}/")
        ):
            self._give(event, "snapshot", {}, f"snapshot:{alarm.id}:{alarm.lap}")
        state = _CONFIRMED.get(event.action)
        if state is not None and confirms(self._protocol_of(alarm.device), alarm.kind):
            args = {"alarm_kind": alarm.kind, "state": state}
            self._give(event, "confirm_alarm", args, f"confirm:{alarm.id}:{event.number}")

    def _give(self, event: Event, name: str, args: dict[str, Any], cause: str) -> None:
        """Give a command for an event, unless that is too old by now."""
        alarm = event.alarm.alarm
        left_s = kind_of(name).expires_s - max(self._clock.now_ms() - event.time_ms, 0) // 1_000
        if left_s < 1:
            return
        try:
            made = self._rules.system_command(alarm.device, name, args, alarm.id, left_s, cause=cause)
        except (Refused, NotFound, UsageError) as error:
            _log.info("no command for an alarm", name=name, alarm=alarm.id, device=alarm.device, why=error.message)
        else:
            assert made.state is not CommandState.ASKED
