"""Who works on a partition: one worker at a time, passed on when it dies, by a pinned client of the servers' own consumer.

Every worker that may do so pulls from one durable consumer of the partition's stream. The servers pin one of them and give
the others nothing; when it has not pulled for `ttl_s`, they pin another. The consumer hands out headers alone: what is in the
log is read from the log, in order, from where the worker's state stands, so nothing depends on what was handed to a worker that died.

Invariants: a worker that is not certain to be pinned does not hold the partition (`held` goes by the monotonic clock from before a pull was
sent, so a process that was stopped finds out before it does anything); each taking writes a record whose number grows (`epoch`), by
compare and set, so of two that believe they hold it one is found out, and stores can refuse the lower number; a worker that
does not call for `max_silence_s` is taken for hung and lets go. The servers pin by handing something out, so a partition without
records has no holder, and a holder whose pin was forgotten has it back only when a record comes: whoever waits for that writes one.

A change of the consumer's leader (a server killed) forgets the pin: the holder asks again at once, the others wait first, so
it stays where its state is. It restores no state and reads no log.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from contextlib import suppress
from enum import Enum
from typing import Any

from nats.aio.msg import Msg

from model.errors import StoreError, TryAgain
from store.nats.link import Link
from store.nats.messages import Stored
from store.nats.reading import Reader, sequence_of
from store.nats.streams import STREAM_NOT_FOUND, Names
from store.nats.terms import PASSING, Away, Message, Refusal, Replies, status_of

#: Seconds without a pull after which the servers pin another worker.
DEFAULT_TTL_S = 3.0
#: Seconds without a call of the worker after which it is taken for hung.
DEFAULT_MAX_SILENCE_S = 60.0
DEFAULT_GROUP = "workers"
#: Pulls within the time after which the pin is lost.
_PULLS_PER_TTL = 3
#: Headers asked for in one pull, and handed out without being acknowledged.
_PULL_MESSAGES = 500
_MAX_ACK_PENDING = 20_000
_ACK_WAIT_S = 30
_NS = 1_000_000_000
#: How long an answer may come after the end of its pull.
_OVERDUE_S = 1.0
#: The same, and a pull's own length, of a worker that wants its partition back and that nobody answers.
_UNSURE_PULL_S = 0.25
_TIMED_OUT, _NO_MESSAGES, _CONFLICT, _WRONG_PIN, _HEARTBEAT = 408, 404, 409, 423, 100
_PIN_HEADER = "Nats-Pin-Id"
_EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence"


class NotHeld(TryAgain):
    """The partition is not certainly this worker's; nothing of it may be written."""

    code = "partition_not_held"


class _State(Enum):
    HELD = 1
    #: The servers have forgotten the pin; it may come back to us.
    UNSURE = 2
    LOST = 3


class Turn:
    """A partition that this worker holds, until it is lost. Any thread may call anything.

    Attributes:
        since_ms: when it was taken, by the wall clock.
    """

    def __init__(self, partition: Partition, epoch: int, since_ms: int) -> None:
        self._partition = partition
        self._epoch = epoch
        self._state = _State.HELD
        self.since_ms = since_ms

    @property
    def epoch(self) -> int:
        """The number of the taking, for stores to refuse what comes with a lower one."""
        return self._epoch

    @property
    def lost(self) -> bool:
        """Whether it is somebody else's, or nobody's: for good. What was made of it in memory is worth nothing any more."""
        return self._state is _State.LOST

    @property
    def certain(self) -> bool:
        """Whether it is certainly ours at this moment; for others than its worker, since this is no sign of the worker's life."""
        return self._partition.stands(self)

    def held(self) -> bool:
        """The same, asked by its worker."""
        return self._partition.still(self)

    def check(self) -> None:
        """Raise NotHeld unless it is certainly ours; to be asked right before anything is written."""
        if not self.held():
            raise NotHeld(
                f"{self._partition.stream} is not held by {self._partition.worker} any more.",
                mend="Wait until it is held again; if it is lost, whoever has it now goes on from the log.",
            )

    def wait_held(self, timeout_s: float) -> bool:
        """Wait until it is certainly ours, or lost; whether it is ours."""
        return self._partition.wait_for(lambda: self.held() or self.lost, timeout_s) and self.held()

    def wait_beyond(self, position: int, timeout_s: float) -> int:
        """Wait until the servers tell of a record beyond `position`; return the newest they told of."""
        self._partition.wait_for(lambda: self._partition.newest > position or self.lost, timeout_s)
        return self._partition.newest

    def done(self, position: int) -> None:
        """Tell the servers that everything up to `position` is done; lag is counted by it. May be lost on the way."""
        self._partition.done(self, position)

    def give_back(self) -> None:
        """Let go now, in good order: the servers pin another at once."""
        self._partition.give_back(self)


class Partition:
    """One worker's part in one partition: it stands by until the partition is its own.

    Args:
        link: the way to the servers.
        names: what the streams are called.
        stream: the partition's.
        worker: name of this worker, among all of them.
        group: workers of one kind; each kind has the partition once.
        ttl_s: seconds without a pull after which the servers pin another.
        max_silence_s: seconds without a call of this worker after which it lets go.

    Raises:
        StoreError: the consumer cannot be made.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        stream: str,
        *,
        worker: str,
        group: str = DEFAULT_GROUP,
        ttl_s: float = DEFAULT_TTL_S,
        max_silence_s: float = DEFAULT_MAX_SILENCE_S,
    ) -> None:
        self.stream = stream
        self.worker = worker
        #: The newest position that the servers told of.
        self.newest = 0
        self._link = link
        self._group = group
        self._ttl_s = ttl_s
        self._max_silence_s = max_silence_s
        self._subject = names.owners_subject(stream, group)
        self._owners = Reader(link, names.owners)
        self._changed = threading.Condition()
        self._turn: Turn | None = None
        self._pin = ""
        #: Whether somebody answers pulls: then nothing is won by many of them, and each is written down on the servers.
        self._answered = False
        self._recorded = False
        #: What our last record was to follow while nobody has told whether it was taken; None when that is known.
        self._tried: int | None = None
        self._renewed_s = self._called_s = link.clock.monotonic_s()
        self._undone: deque[tuple[int, str]] = deque()
        link.call(self._make_consumer())
        self._end = link.start(self._run())

    def wait(self, timeout_s: float) -> Turn | None:
        """Wait until the partition is ours; None when it is not in time."""
        self.wait_for(lambda: self._turn is not None, timeout_s)
        return self._turn

    def close(self) -> None:
        """Let go if it is held, and stand by no more."""
        turn = self._turn
        if turn is not None:
            self.give_back(turn)
        self._end()

    def stands(self, turn: Turn) -> bool:
        """Whether `turn` certainly stands."""
        since_s = self._link.clock.monotonic_s() - self._renewed_s
        return turn is self._turn and turn._state is _State.HELD and since_s < self._ttl_s  # noqa: SLF001 its own

    def still(self, turn: Turn) -> bool:
        """The same, as the worker asks it: a sign of its life."""
        self._called_s = self._link.clock.monotonic_s()
        return self.stands(turn)

    def wait_for(self, condition: Any, timeout_s: float) -> bool:
        """Wait on whatever changes here."""
        with self._changed:
            self._called_s = self._link.clock.monotonic_s()
            met = bool(self._changed.wait_for(condition, timeout_s))
            self._called_s = self._link.clock.monotonic_s()
            return met

    def done(self, turn: Turn, position: int) -> None:
        """See `Turn.done`."""
        if turn is not self._turn:
            return
        reply = ""
        with self._changed:
            while self._undone and self._undone[0][0] <= position:
                reply = self._undone.popleft()[1]
        if reply:
            try:
                self._link.call(self._link.tell(reply, b"+ACK"))
            except Away:
                return  # the servers tell of it again

    def give_back(self, turn: Turn) -> None:
        """See `Turn.give_back`."""
        was_held = self.stands(turn)
        self._lose(turn)
        if was_held:
            try:
                self._link.call(self._link.api(f"CONSUMER.UNPIN.{self.stream}.{self._group}", {"group": self._group}))
            except (TryAgain, StoreError):
                return  # it passes on by itself

    async def _make_consumer(self) -> None:
        config = {
            "durable_name": self._group,
            "name": self._group,
            "deliver_policy": "all",
            "ack_policy": "all",
            "ack_wait": _ACK_WAIT_S * _NS,
            "max_ack_pending": _MAX_ACK_PENDING,
            "headers_only": True,
            "priority_groups": [self._group],
            "priority_policy": "pinned_client",
            "priority_timeout": round(self._ttl_s * _NS),
        }
        body = {"stream_name": self.stream, "config": config, "action": ""}
        await self._link.persist(
            lambda: self._link.api(f"CONSUMER.CREATE.{self.stream}.{self._group}", body),
            what=f"The consumer of {self.stream} cannot be made",
            # A server that has just begun to answer for all may not know of the stream yet.
            again=lambda error: error.number in PASSING or error.number == STREAM_NOT_FOUND,
        )

    async def _run(self) -> None:
        """Pull for ever; whatever goes wrong with the servers, ask again."""
        while True:
            try:
                async with self._link.inbox() as (inbox, replies):
                    while True:
                        await self._pull(inbox, replies)
            except (TryAgain, StoreError):
                self._pin, self._answered = "", False
                await self._after_trouble()

    async def _after_trouble(self) -> None:
        """The holder asks again at once, the others when it had time to."""
        turn = self._turn
        if turn is None:
            await asyncio.sleep(self._ttl_s / 2)
            return
        self._set(turn, _State.UNSURE)
        await asyncio.sleep(self._link.patience.retry_min_ms / 1000)
        with suppress(Away, Refusal):
            await self._lose_if_taken(turn)

    async def _lose_if_taken(self, turn: Turn) -> None:
        """Without a pin for long enough: has somebody else written that it is his? Raises Away, Refusal."""
        if self._link.clock.monotonic_s() - self._renewed_s <= self._ttl_s:
            return
        if self._taking(await self._owners.newest_of(self._subject)) != turn.epoch:
            self._lose(turn)

    def _taking(self, newest: Stored | None) -> int:
        """The taking that the newest record stands for: one of ours whose answer was lost is none, but the one that it followed."""
        if newest is None:
            return 0
        ours = self._tried is not None and json.loads(newest.payload)["worker"] == self.worker
        return self._tried if ours and self._tried is not None else newest.position

    async def _pull(self, inbox: str, replies: Replies) -> None:
        """One pull, until it is over. Raises Away when the pin or the consumer's leader has gone."""
        now_s = self._link.clock.monotonic_s()
        turn = self._turn
        if turn is not None and now_s - self._called_s > self._max_silence_s:
            self._lose(turn)
        if self._turn is None and self._pin and self._recorded:
            # Given back, or hung: the others first.
            self._pin = ""
            await asyncio.sleep(self._ttl_s)
        unsure = self._turn is not None and not self._pin and not self._answered
        pull_s = _UNSURE_PULL_S if unsure else self._ttl_s / _PULLS_PER_TTL
        request: dict[str, Any] = {"batch": _PULL_MESSAGES, "expires": round(pull_s * _NS), "group": self._group}
        if self._pin:
            request["id"] = self._pin
        sent_s = self._link.clock.monotonic_s()
        await self._link.tell(
            f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self._group}", json.dumps(request).encode(), reply=inbox
        )
        for _ in range(_PULL_MESSAGES):
            message = await self._link.next_of(replies, pull_s + (_UNSURE_PULL_S if unsure else _OVERDUE_S))
            status = status_of(message)
            if not status:
                await self._took(message, sent_s)
            elif status in {_TIMED_OUT, _NO_MESSAGES}:
                self._answered = True
                break
            elif status == _WRONG_PIN:
                raise Away(f"{self.stream} is pinned to another worker.")
            elif status != _HEARTBEAT:
                raise Away(f"The consumer of {self.stream} has no leader (status {status}).")
        if self._pin:
            await self._record(sent_s)
        elif self._turn is not None:
            with suppress(Away, Refusal):
                await self._lose_if_taken(self._turn)

    async def _took(self, message: Msg, sent_s: float) -> None:
        """A record was told of: so we are pinned."""
        pin = (message.headers or {}).get(_PIN_HEADER, "")
        if pin and pin != self._pin:
            self._pin, self._recorded = pin, False
            await self._record(sent_s)
        if self._turn is None:
            return
        position = sequence_of(message)
        with self._changed:
            if not self._undone or position > self._undone[-1][0]:
                self._undone.append((position, message.reply))
            if len(self._undone) > _MAX_ACK_PENDING:
                self._undone.popleft()
            if position > self.newest:
                self.newest = position
                self._changed.notify_all()

    async def _record(self, sent_s: float) -> None:
        """Write that it is ours, if that is not written yet; the pin stands for `ttl_s` from when the pull was sent.

        Where the bucket has no leader just now the pin is kept, and it is tried again with the next pull.
        """
        if not self._recorded:
            try:
                before, epoch, since_ms = await self._write()
            except (Away, Refusal):
                return
            if self._link.clock.monotonic_s() - sent_s > self._ttl_s:
                return
            self._recorded = True
            self._begin(before, epoch, since_ms)
        self._renewed_s = sent_s

    async def _write(self) -> tuple[int, int, int]:
        """Number of the taking before, our own, and when. Raises Away, Refusal."""
        since_ms = self._link.clock.now_ms()
        newest = await self._owners.newest_of(self._subject)
        last = newest.position if newest is not None else 0
        self._tried = before = self._taking(newest)
        record = json.dumps({"worker": self.worker, "pin": self._pin, "since_ms": since_ms}).encode()
        answer = await self._link.publish([Message(self._subject, record, {_EXPECTED_SUBJECT: str(last)})])
        self._tried = None
        return before, int(answer["seq"]), since_ms

    def _begin(self, before: int, epoch: int, since_ms: int) -> None:
        turn = self._turn
        if turn is not None and turn.epoch == before:
            turn._epoch = epoch  # noqa: SLF001 nobody had it in between: the state in memory is good
            self._set(turn, _State.HELD)
            return
        if turn is not None:
            self._lose(turn)
        with self._changed:
            self._undone.clear()
            self._called_s = self._link.clock.monotonic_s()
            self._turn = Turn(self, epoch, since_ms)
            self._changed.notify_all()

    def _set(self, turn: Turn, state: _State) -> None:
        with self._changed:
            if turn._state is not _State.LOST:  # noqa: SLF001 its own
                turn._state = state  # noqa: SLF001 its own
            self._changed.notify_all()

    def _lose(self, turn: Turn) -> None:
        with self._changed:
            turn._state = _State.LOST  # noqa: SLF001 its own
            if self._turn is turn:
                self._turn = None
            self._changed.notify_all()
