"""What devices published over the MQTT listener of nats-servers, to one reader at a time, in order, acknowledged when it is durable.

The servers store each publish of QoS 1 in a stream of their own before they acknowledge it, and keep it there for as long as a consumer
has not acknowledged it. This is such a consumer: durable, pulled, pinned to one of those who stand by for it. When another one is
pinned, the consumer is set back to what was acknowledged last, so that what its predecessor took and did not finish comes again, in its
place and not behind newer messages.

Invariants: a message is acknowledged after `done` of it and of all before it; messages that are not done are bounded (the servers hand out
no more, and the pin stays); without the consumer
nothing is kept by the servers, so `ready` says whether there is one. QoS 0 is not stored by the servers and does not come here.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nats.aio.msg import Msg

from model.errors import StoreError, TryAgain
from store.nats.link import Link
from store.nats.terms import Away, status_of

STREAM = "$MQTT_msgs"
SUBJECTS = "$MQTT.msgs."
DEFAULT_TTL_S = 3.0
#: Messages handed out and not done.
DEFAULT_MAX_UNDONE = 20_000
#: Messages of one batch, and of one pull.
DEFAULT_MAX_BATCH = 1_000
_PULLS_PER_TTL = 3
_OVERDUE_S = 1.0
_ACK_WAIT_S = 60
_NS = 1_000_000_000
_TIMED_OUT, _NO_MESSAGES, _WRONG_PIN, _HEARTBEAT = 408, 404, 423, 100
_PIN_HEADER = "Nats-Pin-Id"


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in order.

    Attributes:
        items: topic and payload of each.
        done: to be called, from any thread, once all of them are durable.
    """

    items: list[tuple[str, bytes]]
    done: Callable[[], None]


class MqttInbox:
    """One who stands by for a part of what devices publish.

    Args:
        link: the way to the servers.
        name: of the consumer; all who stand by for the same messages have the same.
        topics: subscription filters of MQTT, without `#`.
        ttl_s: seconds without a pull after which the servers pin another.
        max_undone, max_batch: see the defaults.
    """

    def __init__(
        self,
        link: Link,
        *,
        name: str,
        topics: Sequence[str],
        ttl_s: float = DEFAULT_TTL_S,
        max_undone: int = DEFAULT_MAX_UNDONE,
        max_batch: int = DEFAULT_MAX_BATCH,
    ) -> None:
        self._link = link
        self._name = name
        self._filters = [SUBJECTS + subject_of(topic) for topic in topics]
        self._ttl_s = ttl_s
        self._max_undone = max_undone
        self._max_batch = max_batch
        self._pin = ""
        self._set_back = True
        self._next = 0
        self._pulled_s = 0.0
        self._batches: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self._undone: deque[_Undone] = deque()
        self._acks: set[asyncio.Task[None]] = set()
        self._made = threading.Event()
        #: Times that this one was pinned.
        self.pinned = 0
        self._end = link.start(self._run())

    @property
    def ready(self) -> bool:
        """Whether the consumer is there: whatever devices publish from now on is kept until it was done."""
        return self._made.is_set()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until it is; False when it is not in time."""
        return self._made.wait(timeout_s)

    def next(self, timeout_s: float) -> Batch | None:
        """The next messages; None when there are none in time. One thread."""
        try:
            return self._batches.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Stand by no more; what is not done comes to another."""
        self._end()

    # -- on the link's loop -------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self._make()
                async with self._link.inbox() as (inbox, replies):
                    self._set_back = True
                    while True:
                        await self._pull(inbox, replies)
            except (TryAgain, StoreError):
                self._pin = ""
                await asyncio.sleep(self._link.patience.retry_max_ms / 1000)

    async def _make(self) -> None:
        """Make the consumer, or find it. Raises Away, Refusal: the stream is not there before the first MQTT client came."""
        config: dict[str, Any] = {
            "durable_name": self._name,
            "name": self._name,
            "deliver_policy": "all",
            "ack_policy": "all",
            "ack_wait": _ACK_WAIT_S * _NS,
            "max_ack_pending": self._max_undone,
            "filter_subjects": self._filters,
            "priority_groups": [self._name],
            "priority_policy": "pinned_client",
            "priority_timeout": round(self._ttl_s * _NS),
        }
        body = {"stream_name": STREAM, "config": config, "action": ""}
        await self._link.api(f"CONSUMER.CREATE.{STREAM}.{self._name}", body)
        self._made.set()

    async def _pull(self, inbox: str, replies: asyncio.Queue[Msg | None]) -> None:
        """One pull, until it is over. Raises Away when the pin or the consumer's leader has gone."""
        pull_s = self._ttl_s / _PULLS_PER_TTL
        request: dict[str, Any] = {"batch": self._max_batch, "expires": round(pull_s * _NS), "group": self._name}
        if self._pin:
            request["id"] = self._pin
        sent_s = self._link.clock.monotonic_s()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self._name}"
        await self._link.tell(subject, json.dumps(request).encode(), reply=inbox)
        left, over = self._max_batch, False
        while left and not over:
            got = [await self._link.next_of(replies, pull_s + _OVERDUE_S)]
            while not replies.empty() and len(got) < left and (more := replies.get_nowait()) is not None:
                got.append(more)
            messages = [one for one in got if not status_of(one)]
            left -= len(messages)
            self._take(messages)
            over = self._over([status_of(one) for one in got])
        self._pulled_s = sent_s
        if self._set_back and self._pin:
            # Nothing is on its way now. What was handed out before, to us or to whom we follow, comes again, in its place.
            await self._link.api(f"CONSUMER.RESET.{STREAM}.{self._name}")
            self._set_back, self._next = False, 0

    def _over(self, statuses: list[int]) -> bool:
        """Whether the pull has ended. Raises Away when it ended because something is wrong."""
        for status in statuses:
            if status in {_TIMED_OUT, _NO_MESSAGES}:
                return True
            if status == _WRONG_PIN:
                raise Away("The messages are pinned to another reader.")
            if status and status != _HEARTBEAT:
                raise Away(f"The consumer {self._name} has no leader (status {status}).")
        return False

    def _take(self, messages: list[Msg]) -> None:
        """Hand messages out, unless there is one missing before them, or before we were pinned."""
        for one in messages:
            pin = (one.headers or {}).get(_PIN_HEADER, "")
            if pin and pin != self._pin:
                self._pin, self._set_back = pin, True
                self.pinned += 1
            number = _delivery_of(one)
            if self._next and number != self._next:
                self._set_back = True  # one went where nobody was
            self._next = number + 1
        if self._set_back:
            self._undone.clear()
            while not self._batches.empty():
                self._batches.get()
        elif messages:
            self._hand_out(messages)

    def _hand_out(self, messages: list[Msg]) -> None:
        undone = _Undone(messages[-1].reply)
        self._undone.append(undone)
        items = [(topic_of(one.subject.removeprefix(SUBJECTS)), bytes(one.data)) for one in messages]
        self._batches.put(Batch(items, lambda: self._link.soon(lambda: self._done(undone))))

    def _done(self, undone: _Undone) -> None:
        undone.done = True
        reply = ""
        while self._undone and self._undone[0].done:
            first = self._undone.popleft()
            reply = first.reply
        if reply and self._link.clock.monotonic_s() - self._pulled_s < self._ttl_s:
            task = asyncio.get_running_loop().create_task(self._acknowledge(reply))
            self._acks.add(task)
            task.add_done_callback(self._acks.discard)

    async def _acknowledge(self, reply: str) -> None:
        try:
            await self._link.tell(reply, b"+ACK")
        except (TryAgain, StoreError):
            return  # it comes again


@dataclass(slots=True)
class _Undone:
    reply: str
    done: bool = False


def _delivery_of(message: Msg) -> int:
    """The number that the consumer gave to this delivery, one more than the one before."""
    parts = message.reply.split(".")
    return int(parts[6] if len(parts) <= 9 else parts[8])


def subject_of(topic: str) -> str:
    """A topic, or a filter without `#`, as nats-servers write it."""
    parts = ["*" if part == "+" else part.replace(".", "//") for part in topic.split("/")]
    return ".".join(parts)


def topic_of(subject: str) -> str:
    """A subject of theirs as the topic that it was published to."""
    return "/".join(part.replace("//", ".") for part in subject.split("."))
