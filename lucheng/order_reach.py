"""How a desk reaches devices that are connected to ingestors elsewhere: `Reach` for commands, `DownReach` for messages over MQTT.

Invariants: a command is handed to the one ingestor that holds its terminal, once, and the ingestor says so; where nobody took it, that is
told as an error (nothing has left); where nobody knows, as `Unanswered`, and it is not handed over again: its life goes on as `sent`
until it is answered or expires. A message over MQTT goes to every ingestor that has a broker, for the device is at one of them, to each
once. It decides no rule and speaks no protocol.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from ingest.mqtt.commands import PROTOCOLS as MQTT_PROTOCOLS
from ingest.mqtt.commands import command_message, end_message
from lucheng.order_hands import DONE, REFUSED, Question, Told
from lucheng.terminal_link import END_WITHIN_MS
from model.errors import Refused, TryAgain
from store.nats.calls import Nobody, Unanswered, asked

if TYPE_CHECKING:
    from lucheng.device_protocols import DeviceProtocols
    from lucheng.order_hands import Down
    from model.clock import Clock
    from model.command import Command
    from store.nats.link import Link
    from store.nats.sessions import SessionView
    from store.nats.streams import Names

DEFAULT_TIMEOUT_S = 2.0
#: Messages over MQTT that no broker has taken yet; more are turned away.
DEFAULT_MAX_UNDER_WAY = 1_000
#: How long brokers are tried with one message, and how long between two rounds.
DEFAULT_GIVE_UP_S, AGAIN_S = 20.0, 0.5
#: After a message was given up it is said for so long that there is no connection: whoever keeps messages sends them again then.
LOST_S = 2.0
_AGAIN = "Give the command again when it is back."

_read = msgspec.msgpack.Decoder(Told)


class Reach:
    """The carrier of commands (`lucheng.commanding.Carrier`) of a desk past one machine.

    Args:
        link: the way to the servers.
        names: of the subjects.
        view: who is connected where.
        protocols: what the registry says that devices speak.
        down: the way to devices by MQTT; None without one.
        clock: source of time.
        timeout_s: how long an ingestor may take to say that it has handed a command over.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        view: SessionView,
        protocols: DeviceProtocols,
        down: Down | None,
        *,
        clock: Clock,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._link = link
        self._names = names
        self._view = view
        self._protocols = protocols
        self._down = down
        self._clock = clock
        self._timeout_s = timeout_s

    def via(self, device: str, slot: int) -> str:
        """The protocol by which the device can be reached now; "" when it cannot."""
        session = self._view.of_slot(slot)
        if session is not None and session.device == device:
            return session.protocol
        by_mqtt = self._protocols.by_mqtt(device)
        return by_mqtt if by_mqtt and self._down is not None and self._down.connected else ""

    def send(self, command: Command, slot: int) -> None:
        """Hand a command over. Raises Refused, TryAgain (nothing has left), Unanswered (nobody knows)."""
        if command.via in MQTT_PROTOCOLS:
            self._publish(*command_message(command, command.via))
        else:
            self._order(Question(command.id, slot, command.name, command.args), command.device)

    def end_listen(self, command: Command, slot: int) -> None:
        """End a listen-in; may be asked again. Raises as `send`."""
        if command.via in MQTT_PROTOCOLS:
            self._publish(*end_message(command, self._clock.now_ms() + END_WITHIN_MS))
        else:
            self._order(Question(f"{command.id}-end", slot, "end_listen_in"), command.device)

    def _order(self, question: Question, device: str) -> None:
        session = self._view.of_slot(question.slot)
        if session is None:
            raise TryAgain(f"{device} has left.", mend=_AGAIN)
        subject = self._names.hand_subject(session.run)
        try:
            answer = self._link.call(asked(self._link, subject, msgspec.msgpack.encode(question), self._timeout_s))
        except Nobody as error:
            self._view.doubt(session.run)
            raise TryAgain(f"The ingestor that held {device} is gone.", mend=_AGAIN) from error
        except Unanswered:
            self._view.doubt(session.run)
            raise
        told = _read.decode(answer)
        if told.what == REFUSED:
            raise Refused(told.why, mend=told.mend)
        if told.what != DONE:
            raise TryAgain(f"{device} has left.", mend=_AGAIN)

    def _publish(self, topic: str, payload: bytes) -> None:
        if self._down is None or not self._down.send(topic, payload, lambda: None):
            raise TryAgain("The broker takes nothing now.", mend="Give the command again.")


class DownReach:
    """Messages to devices by the brokers of all ingestors, in the place of a `DownLink`.

    Args:
        link: the way to the servers.
        names: of the subjects.
        view: which ingestors there are.
        timeout_s: how long one may take to say that its broker has it, before it is asked again under the same id.
        give_up_s: see `DEFAULT_GIVE_UP_S`.
        max_under_way: see `DEFAULT_MAX_UNDER_WAY`.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        view: SessionView,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        give_up_s: float = DEFAULT_GIVE_UP_S,
        max_under_way: int = DEFAULT_MAX_UNDER_WAY,
    ) -> None:
        self._link = link
        self._names = names
        self._view = view
        self._timeout_s = timeout_s
        self._give_up_s = give_up_s
        self._max_under_way = max_under_way
        self._under_way = 0
        self._lost_until_s = 0.0
        self._lock = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        #: Messages that every broker has.
        self.sent = 0

    @property
    def connected(self) -> bool:
        """Whether any ingestor has a broker; False for a while after a message was lost, as after a lost connection to a broker."""
        if self._link.clock.monotonic_s() < self._lost_until_s:
            return False
        return any(one.mqtt for one in self._view.ingestors())

    def send(self, topic: str, payload: bytes, done: Callable[[], None]) -> bool:
        """Publish; `done` is called from another thread once every broker there is has it. False: not now, try again later."""
        with self._lock:
            if self._under_way >= self._max_under_way or not self.connected:
                return False
            self._under_way += 1
        question = Question(secrets.token_hex(8), topic=topic, payload=payload)
        self._link.soon(lambda: self._begin(question, done))
        return True

    # -- on the link's loop -------------------------------------------------------------------

    def _begin(self, question: Question, done: Callable[[], None]) -> None:
        task = asyncio.get_running_loop().create_task(self._everywhere(question, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _everywhere(self, question: Question, done: Callable[[], None]) -> None:
        written = msgspec.msgpack.encode(question)
        have: set[str] = set()
        until_s = self._link.clock.monotonic_s() + self._give_up_s
        try:
            while self._link.clock.monotonic_s() < until_s:
                wanted = [one.run for one in self._view.ingestors() if one.mqtt and one.run not in have]
                took = await asyncio.gather(*(self._one(run, written) for run in wanted))
                have.update(run for run, ok in zip(wanted, took, strict=True) if ok)
                if have and all(took):
                    self.sent += 1
                    done()
                    return
                await asyncio.sleep(AGAIN_S)
            self._lost_until_s = self._link.clock.monotonic_s() + LOST_S
        finally:
            with self._lock:
                self._under_way -= 1

    async def _one(self, run: str, written: bytes) -> bool:
        """Whether that ingestor's broker has it. It does the same id once, however often it is asked."""
        try:
            told = _read.decode(await asked(self._link, self._names.hand_subject(run), written, self._timeout_s))
        except (Nobody, Unanswered):
            return False
        return told.what == DONE
