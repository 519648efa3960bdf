"""From messages to the log: what runs on the threads of the MQTT connections.

Invariants: a message is acknowledged only after everything it held is in a log, its quarantined
parts too; points and alarms have a log and a committer each, so that alarms never wait behind
points. It judges no values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from model.batch_codec import encode
from model.seams import NewRecord, RecordKind
from model.status_batch import StatusBatch

if TYPE_CHECKING:
    from ingest.decode.decoder import Decoded, Decoder
    from ingest.mqtt.messages import Messages
    from model.clock import Clock
    from model.command import Reply
    from store.log.committer import Committer

_packer = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class Arrival:
    """One list of messages on its way into the log.

    Attributes:
        messages: as the connection handed them over; None where it decoded them itself (terminals).
        done: to be called once all of it is durable; acknowledges the messages.
        decoded: what `decode` made of them.
        points, alarms: records for either log.
    """

    messages: Messages | None
    done: Callable[[], None]
    decoded: Decoded | None = None
    points: list[NewRecord] = field(default_factory=list)
    alarms: list[NewRecord] = field(default_factory=list)


class Inbound:
    """The stages of `app.inbound` for one connection.

    Args:
        decoder: of this connection alone; it keeps caches and is not shared between threads. None where decoded columns come.
        points: committer of the points' log.
        alarms: committer of the alarms' log.
        clock: for the receive time.
        keep_replies: keeps what devices answered to commands, durably, before their messages are acknowledged.
    """

    def __init__(
        self,
        decoder: Decoder | None,
        points: Committer,
        alarms: Committer,
        clock: Clock,
        keep_replies: Callable[[Sequence[Reply]], None] = lambda _replies: None,
    ) -> None:
        self._keep_replies = keep_replies
        self._decoder = decoder
        self._points = points
        self._alarms = alarms
        self._clock = clock
        self._stages: list[tuple[str, Callable[[Arrival], None]]] = []
        #: Messages that were understood and hold nothing to keep.
        self.passed_over = 0

    def use(self, stages: list[tuple[str, Callable[[Arrival], None]]]) -> None:
        """Set the list that `on_batch` runs."""
        self._stages = stages

    def on_batch(self, messages: Messages, done: Callable[[], None]) -> None:
        """Handler of a connection's messages; runs on its thread."""
        arrival = Arrival(messages, done)
        for _, stage in self._stages:
            stage(arrival)

    def on_decoded(self, decoded: Decoded, done: Callable[[], None]) -> None:
        """Handler of what the gateway decoded itself; runs on its thread."""
        arrival = Arrival(None, done, decoded)
        for _, stage in self._stages:
            stage(arrival)

    def decode(self, arrival: Arrival) -> None:
        """Messages to columns, quarantine and signals."""
        if arrival.messages is None:
            return
        assert self._decoder is not None
        arrival.decoded = self._decoder.decode(arrival.messages, self._clock.now_ms())
        self.passed_over += arrival.decoded.passed_over

    def pack(self, arrival: Arrival) -> None:
        """Columns, quarantine and signals to records."""
        decoded = arrival.decoded
        assert decoded is not None
        if len(decoded.batch):
            arrival.points.append(NewRecord(RecordKind.POINTS, len(decoded.batch), encode(decoded.batch)))
        if decoded.quarantined:
            rows = sum(item.rows for item in decoded.quarantined)
            arrival.points.append(NewRecord(RecordKind.QUARANTINE, rows, _packer.encode(decoded.quarantined)))
        # What the broker had kept is old: a heartbeat is one that comes while we listen.
        statuses = [
            (
                one.slot,
                one.time_ms,
                one.received_ms,
                int(one.online),
                -1 if one.battery_pct is None else one.battery_pct,
            )
            for one in decoded.statuses
            if not one.retained
        ]
        if statuses:
            arrival.points.append(NewRecord(RecordKind.STATUS, 0, StatusBatch.of(statuses).to_bytes()))
        if decoded.signals:
            arrival.alarms.append(NewRecord(RecordKind.ALARM, len(decoded.signals), _packer.encode(decoded.signals)))

    def commit(self, arrival: Arrival) -> None:
        """Hand the records to their committers; acknowledge when the last of them is durable."""
        if arrival.decoded is not None and arrival.decoded.replies:
            self._keep_replies(arrival.decoded.replies)
        if not arrival.points and not arrival.alarms:
            arrival.done()
            return
        urgent = bool(arrival.decoded and arrival.decoded.urgent)
        parts = [(self._alarms, arrival.alarms, True), (self._points, arrival.points, urgent)]
        waiting = _AllDone(sum(1 for _, records, _ in parts if records), arrival.done)
        for committer, records, at_once in parts:
            if records:
                committer.submit(records, waiting.one, urgent=at_once)


class _AllDone:
    """Calls `done` when `one` has been called `count` times, from whichever threads."""

    def __init__(self, count: int, done: Callable[[], None]) -> None:
        self._left = count
        self._done = done
        self._lock = threading.Lock()

    def one(self, _position: int) -> None:
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._done()
