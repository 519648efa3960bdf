"""An ingestor's part in the sessions: it claims the terminals that connect here, and learns which of them connected elsewhere since.

Invariants: calls never wait: what is wanted of a terminal is written by tasks on the link's loop, one at a time for each terminal, the
newest wish alone; a claim is repeated until the servers have it, and one that was late gives way to whoever claimed after its connection
came; a claim that is lost is told once (`on_taken`), and never taken back by itself. It knows no sockets and ends no connection.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from model.errors import StoreError, TryAgain
from store.nats.link import Link
from store.nats.reading import Reader
from store.nats.sessions import (
    DEFAULT_GONE_S,
    DELETED,
    LIVES,
    OPERATION,
    Session,
    SessionView,
    payload_of,
)
from store.nats.streams import Names
from store.nats.terms import Message, Refusal

#: Claims that are on their way to the servers at a time.
DEFAULT_PARALLEL = 64
#: Seconds a claim may take before somebody else's that came meanwhile is taken for the newer one.
DEFAULT_LATE_S = 2.0
#: Seconds an ingestor is silent before others delete its entries; how often they look, and how many they delete at a time.
DEFAULT_SWEEP_AFTER_S, SWEEP_EVERY_S, SWEEP_AT_ONCE = 60.0, 15.0, 500
#: An ingestor says so often within `gone_s` that it lives.
_BEATS = 4
#: How long it is remembered that a session ended, seconds: beyond how long any watch may be behind.
_ENDED_LIVES_S = 3_600
_EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence"
_WRONG_LAST = 10071
#: Others may be faster so often before a claim is tried again later.
_TRIES = 8

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is wanted of a terminal: that it is ours, or (`session` None) that it is not any more."""

    connection: int
    session: Session | None
    seen: int
    asked_s: float


@dataclass(frozen=True, slots=True)
class _Mine:
    connection: int
    session: Session


class Claims:
    """Any thread may call anything.

    Args:
        link: the way to the servers; of this process alone.
        names: what the bucket is called.
        name: of this ingestor, for people.
        mark: of the secret that terminals' tokens are made from, see `Ingestor`.
        gone_s: see `sessions.DEFAULT_GONE_S`.
        mqtt: whether devices can be written to by a broker of this ingestor now.
        sweep_after_s: see `DEFAULT_SWEEP_AFTER_S`.
        late_s: see `DEFAULT_LATE_S`.
        parallel: see `DEFAULT_PARALLEL`.

    Attributes:
        run: this start of this ingestor.
        view: all sessions.
        taken: terminals that connected elsewhere while they were ours.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        *,
        name: str,
        mark: str = "",
        gone_s: float = DEFAULT_GONE_S,
        mqtt: Callable[[], bool] = lambda: False,
        sweep_after_s: float = DEFAULT_SWEEP_AFTER_S,
        late_s: float = DEFAULT_LATE_S,
        parallel: int = DEFAULT_PARALLEL,
    ) -> None:
        self.run = secrets.token_hex(8)
        self.taken = 0
        self._link = link
        self._names = names
        self._name = name
        self._mark = mark
        self._gone_s = gone_s
        self._mqtt = mqtt
        self._sweep_after_s = sweep_after_s
        self._late_s = late_s
        self._reader = Reader(link, names.sessions)
        self._on_taken: Callable[[str, int], None] = lambda _number, _connection: None
        self._wishes: dict[str, _Wish] = {}
        self._doing: dict[str, _Wish] = {}
        self._busy: set[str] = set()
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._mine: dict[str, _Mine] = {}
        self.view = SessionView(link, names, gone_s=gone_s, on_change=self._changed)
        self._ends = [link.start(self._work()) for _ in range(parallel)]
        self._ends.append(link.start(self._beat()))

    def use(self, on_taken: Callable[[str, int], None]) -> None:
        """Set who is told that a terminal connected elsewhere: number and connection; on the link's loop, must not block."""
        self._on_taken = on_taken

    def claim(
        self, connection: int, number: str, *, slot: int, device: str, protocol: str, address: str, since_ms: int
    ) -> None:
        """The terminal has connected here, by a connection that nobody had before. Never waits."""
        session = Session(number, slot, device, protocol, address, self.run, since_ms)
        self._wish(number, connection, session)

    def release(self, number: str, connection: int) -> None:
        """That connection of the terminal has ended. Never waits; nothing where another has come since."""
        self._wish(number, connection, None)

    def host_of(self, number: str) -> str:
        """The host from which the terminal is connected to any ingestor that lives; "" when it is not."""
        found = self.view.entry(number)
        return found.address.rpartition(":")[0] if found is not None and self.view.lives(found.run) else ""

    def close(self) -> None:
        """Tell the others that everything here is nobody's, and stop."""
        for end in self._ends:
            end()
        with suppress(TryAgain, StoreError):
            headers = {OPERATION: DELETED, LIVES: f"{_ENDED_LIVES_S}s"}
            self._link.call(self._link.publish([Message(self._names.ingestor_subject(self.run), b"", headers)]))
        self.view.close()

    # -- on the link's loop -------------------------------------------------------------------

    def _wish(self, number: str, connection: int, session: Session | None) -> None:
        wish = _Wish(connection, session, self.view.last, self._link.clock.monotonic_s())
        self._link.soon(lambda: self._note(number, wish))

    def _note(self, number: str, wish: _Wish) -> None:
        newest = max((one.connection for one in (self._wishes.get(number), self._doing.get(number)) if one), default=-1)
        if newest > wish.connection:
            return
        self._wishes[number] = wish
        if number not in self._busy:
            self._busy.add(number)
            self._queue.put_nowait(number)

    async def _work(self) -> None:
        while True:
            number = await self._queue.get()
            while (wish := self._wishes.pop(number, None)) is not None:
                self._doing[number] = wish
                await self._fulfil(number, wish)
                del self._doing[number]
            self._busy.discard(number)

    async def _fulfil(self, number: str, wish: _Wish) -> None:
        """Until it is done, or something newer is wanted."""
        wait_s = self._link.patience.retry_min_ms / 1000
        while number not in self._wishes:
            try:
                if wish.session is None:
                    await self._let_go(number, wish.connection)
                else:
                    await self._take(number, wish, wish.session)
            except (TryAgain, StoreError) as error:
                _log.debug("a session is not written yet", number=number, error=str(error))
            else:
                return
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, self._link.patience.retry_max_ms / 1000)

    async def _take(self, number: str, wish: _Wish, session: Session) -> None:
        """Write that it is ours. Raises Away, Refusal, TryAgain."""
        payload = payload_of(session)
        known = self.view.entry(number)
        expected = known.epoch if known is not None else 0
        late = self._link.clock.monotonic_s() - wish.asked_s > self._late_s
        for attempt in range(_TRIES):
            if attempt or late:
                newest = await self._reader.newest_of(self._names.terminal_subject(number))
                expected = newest.position if newest is not None else 0
                if newest is not None and newest.payload == payload:
                    self._took(number, wish.connection, session, expected)  # an answer that did not come
                    return
                if newest is not None and late and expected > wish.seen and self._anothers(newest.payload):
                    self._lost(number, wish.connection)
                    return
            epoch = await self._put(number, payload, {}, expected)
            if epoch is not None:
                self._took(number, wish.connection, session, epoch)
                return
        raise TryAgain(f"Others were faster {_TRIES} times.")

    async def _let_go(self, number: str, connection: int) -> None:
        """Write that it is nobody's, unless a newer connection here has it. Raises Away, Refusal."""
        mine = self._mine.get(number)
        if mine is None:
            known = self.view.entry(number)
            if known is not None and known.run == self.run:  # it was written, and we never heard so
                await self._put_ended(number, known.epoch)
            return
        if mine.connection > connection:
            return  # another has come since; one that came before was ended by this one
        del self._mine[number]
        try:
            await self._put_ended(number, mine.session.epoch)
        except BaseException:
            if number not in self._mine:
                self._mine[number] = mine
            raise

    async def _put_ended(self, number: str, epoch: int) -> None:
        await self._put(number, b"", {OPERATION: DELETED, LIVES: f"{_ENDED_LIVES_S}s"}, epoch)

    async def _put(self, number: str, payload: bytes, headers: dict[str, str], expected: int) -> int | None:
        """Write a key whose newest message is `expected`; its number, None when it is another by now. Raises Away, Refusal."""
        message = Message(self._names.terminal_subject(number), payload, {**headers, _EXPECTED_SUBJECT: str(expected)})
        try:
            return int((await self._link.publish([message]))["seq"])
        except Refusal as error:
            if error.number != _WRONG_LAST:
                raise
            return None

    def _anothers(self, payload: bytes) -> bool:
        try:
            run = json.loads(payload)["run"]
        except (ValueError, TypeError, KeyError):
            return False  # it says that a session ended
        return bool(run != self.run)

    def _took(self, number: str, connection: int, session: Session, epoch: int) -> None:
        self._mine[number] = _Mine(connection, replace(session, epoch=epoch))
        self._changed(number, self.view.entry(number))

    def _changed(self, number: str, session: Session | None) -> None:
        """The bucket says something of a terminal."""
        mine = self._mine.get(number)
        if mine is None:
            if session is not None and session.run == self.run and number not in self._busy:
                self._note(number, _Wish(0, None, 0, 0.0))  # a claim of which we never heard that it was written
        elif session is None:
            # We were silent for so long that others deleted it; or the watch is behind our own message, and is told of it yet.
            if self.view.last > mine.session.epoch and number not in self._busy:
                self._note(number, _Wish(mine.connection, mine.session, self.view.last, self._link.clock.monotonic_s()))
        elif session.epoch > mine.session.epoch and session.run != self.run:
            del self._mine[number]
            self._lost(number, mine.connection)

    def _lost(self, number: str, connection: int) -> None:
        self.taken += 1
        self._on_taken(number, connection)

    # -- living -------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Say that we live; delete what the dead have left."""
        sweep_s = self._link.clock.monotonic_s() + self._sweep_after_s
        headers = {LIVES: f"{math.ceil(self._gone_s)}s"}
        while True:
            told = json.dumps({"name": self._name, "mqtt": self._mqtt(), "mark": self._mark}).encode()
            with suppress(TryAgain, StoreError):
                await self._link.publish([Message(self._names.ingestor_subject(self.run), told, headers)])
                if self._link.clock.monotonic_s() >= sweep_s:
                    sweep_s = self._link.clock.monotonic_s() + min(SWEEP_EVERY_S, self._sweep_after_s)
                    for one in self.view.stale(self._sweep_after_s)[:SWEEP_AT_ONCE]:
                        await self._put_ended(one.number, one.epoch)
            await asyncio.sleep(self._gone_s / _BEATS)
