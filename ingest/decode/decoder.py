"""`Decoder`: a batch of messages in, columns, signals, statuses and quarantine out.

Purpose: the one way from `Messages` to `Decoded`. Invariants: every message ends in exactly one place
(points, signals, statuses, replies, quarantine; an empty array or a cleared status in none, what a tracker says of itself
is counted in `passed_over`); nothing that comes from
outside raises; a message never changes what another becomes. It acknowledges and stores nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ingest.decode.alarms import decode_alarm
from ingest.decode.lifted import lifted_signals
from ingest.decode.limits import DEFAULT_LIMITS, DecodeLimits
from ingest.decode.points import Bad, PointDecoder
from ingest.decode.records import decode_records
from ingest.decode.replies import decode_reply
from ingest.decode.sightings import PlaceOf, decode_sightings
from ingest.decode.status import Status, decode_status
from ingest.decode.topics import (
    TRACKERS,
    DirectoryView,
    Hit,
    Register,
    Rejected,
    Route,
    Stream,
    TopicTable,
    Unknown,
    shown_topic,
)
from ingest.mqtt.messages import RETAIN_BIT, Messages
from ingest.trackers.owntracks import decode_owntracks
from ingest.trackers.teltonika import decode_teltonika
from ingest.trackers.tracked import TrackerMessage
from model.batch import PointBatch
from model.codes import Reason
from model.command import Reply
from model.quarantine import Quarantined
from model.signal import Signal

#: A status, so that it is there for who asks; OwnTracks keeps its last place in the same way.
_MAY_BE_RETAINED = frozenset({Stream.STATUS, Stream.OWNTRACKS})


@dataclass(slots=True)
class Decoded:
    """What a batch of messages held.

    Attributes:
        batch: points, in order of arrival (those of records after those of JSON).
        quarantined: what could not be trusted.
        signals: alarm messages, and bits that rose in points that were quarantined; `log_position` is 0
            until they are stored.
        statuses: what devices said of themselves.
        urgent: an alarm bit rose that the last point of that device did not have: commit at once.
        unknown_alarms: names in `alarms` of points that are not in the table (kept in `extra`).
        replies: what devices answered to commands; `command` is "" where a tracker cannot name the one it answers.
        passed_over: messages of trackers that were understood and hold nothing to keep.
    """

    batch: PointBatch
    quarantined: list[Quarantined] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    urgent: bool = False
    unknown_alarms: int = 0
    replies: list[Reply] = field(default_factory=list)
    passed_over: int = 0

    @property
    def rows(self) -> int:
        """Points received: those in the batch and those quarantined."""
        return len(self.batch) + sum(entry.rows for entry in self.quarantined)


class Decoder:
    """Decodes MQTT messages. One thread at a time.

    Args:
        directory: who is registered; its `version` says when it changed.
        unknown: what becomes of a device that is not: `quarantine` or `register`.
        register: registers device ids; needed for `register`.
        limits: see `DecodeLimits`.
        place_of: fixed place (lat, lon) of a tag reader by its slot, None where it has none.
    """

    def __init__(
        self,
        directory: DirectoryView,
        *,
        unknown: Unknown = "quarantine",
        register: Register | None = None,
        limits: DecodeLimits = DEFAULT_LIMITS,
        place_of: PlaceOf = lambda _slot: None,
    ) -> None:
        self._place_of = place_of
        self._directory = directory
        self._limits = limits
        self._topics = TopicTable(directory, unknown=unknown, register=register, limits=limits)
        self._points = PointDecoder(limits)
        self._last_bits = np.zeros(0, np.uint64)
        #: How many of them are not all clear.
        self._lit = 0

    def decode(self, messages: Messages, received_ms: int) -> Decoded:
        """Decode `messages`, all received at `received_ms` (UTC ms). Never raises for what they hold."""
        decoded = Decoded(PointBatch.empty())
        if not len(messages):
            return decoded
        hits = self._topics.resolve(messages.topics)
        topics, payloads = messages.topics, messages.payloads
        if not self._plain(messages, hits):
            hits, topics, payloads = self._sort_out(messages, hits, received_ms, decoded)
        ids = self._directory.ids
        rows = self._points.decode(hits, payloads, ids)  # type: ignore[arg-type] # slots alone are left
        points = self._points.columns(rows, received_ms)
        decoded.batch = PointBatch.concat([points, decoded.batch]) if len(decoded.batch) else points
        decoded.unknown_alarms += rows.unknown_alarms
        for bad in rows.bad:
            slot = hits[bad.index]
            assert isinstance(slot, int)
            self._refuse_points(bad, topics[bad.index], slot, received_ms, decoded)
        decoded.urgent = self._rising(decoded.batch)
        return decoded

    def _plain(self, messages: Messages, hits: list[Hit]) -> bool:
        """Whether every message is a point of a known device, not retained and within the limits."""
        return (
            set(map(type, hits)) == {int}
            and not messages.oversized
            and not (np.frombuffer(messages.heads, np.uint8) & RETAIN_BIT).any()
            and max(map(len, messages.payloads)) <= self._limits.payload_bytes
        )

    def _sort_out(
        self, messages: Messages, hits: list[Hit], received_ms: int, decoded: Decoded
    ) -> tuple[list[Hit], list[bytes], list[bytes]]:
        """Handle everything but points; return the points' slots, topics and payloads."""
        slots: list[Hit] = []
        topics: list[bytes] = []
        payloads: list[bytes] = []
        records: list[tuple[Route, bytes, bytes]] = []
        sightings: list[tuple[Route, bytes, bytes]] = []
        tracked: dict[Stream, list[tuple[bytes, TrackerMessage]]] = {}
        columns = zip(messages.topics, messages.payloads, messages.heads, hits, strict=True)
        for index, (topic, payload, head, hit) in enumerate(columns):
            retained = bool(head & RETAIN_BIT)
            refused = self._refused(messages, index, hit, retained=retained)
            if refused is not None:
                bad = Bad(index, refused.reason, 1, refused.detail, payload)
                decoded.quarantined.append(self._entry(bad, topic, refused.device, received_ms))
            elif isinstance(hit, int):
                slots.append(hit)
                topics.append(topic)
                payloads.append(payload)
            elif isinstance(hit, Route) and hit.stream is Stream.RECORDS:
                records.append((hit, topic, payload))
            elif isinstance(hit, Route) and hit.stream is Stream.SIGHTING:
                sightings.append((hit, topic, payload))
            elif isinstance(hit, Route) and hit.stream in TRACKERS:
                message = TrackerMessage(hit.slot, hit.device, payload, retained)
                tracked.setdefault(hit.stream, []).append((topic, message))
            elif isinstance(hit, Route):
                self._message(hit, topic, payload, received_ms, decoded, retained=retained)
        if records:
            self._records(records, received_ms, decoded)
        if sightings:
            self._sightings(sightings, received_ms, decoded)
        for stream, sent in tracked.items():
            self._tracked(stream, sent, received_ms, decoded)
        return slots, topics, payloads

    def _refused(self, messages: Messages, index: int, hit: Hit, *, retained: bool) -> Rejected | None:
        if isinstance(hit, Rejected):
            return hit
        device = hit.device if isinstance(hit, Route) else self._directory.ids[hit]
        size_bytes = messages.oversized.get(index) or len(messages.payloads[index])
        if index in messages.oversized or size_bytes > self._limits.payload_bytes:
            return Rejected(Reason.TOO_LARGE, device, f"A message of {size_bytes} bytes")
        if retained and not (isinstance(hit, Route) and hit.stream in _MAY_BE_RETAINED):
            return Rejected(Reason.RETAINED, device, "Only a status may be retained")
        return None

    def _message(
        self, route: Route, topic: bytes, payload: bytes, received_ms: int, decoded: Decoded, *, retained: bool
    ) -> None:
        made: Signal | Status | Reply | tuple[Reason, str] | None
        if route.stream is Stream.ALARM:
            made = decode_alarm(route.device, payload, received_ms, self._limits)
        elif route.stream is Stream.REPLY:
            made = decode_reply(route.device, payload, self._limits)
        else:
            made = decode_status(route.device, route.slot, payload, received_ms, self._limits, retained=retained)
        if isinstance(made, Signal):
            decoded.signals.append(made)
        elif isinstance(made, Status):
            decoded.statuses.append(made)
        elif isinstance(made, Reply):
            decoded.replies.append(made)
        elif made is not None:
            bad = Bad(0, made[0], 1, made[1], payload)
            decoded.quarantined.append(self._entry(bad, topic, route.device, received_ms))

    def _records(self, records: list[tuple[Route, bytes, bytes]], received_ms: int, decoded: Decoded) -> None:
        decoded.batch, refused = decode_records(
            [route.slot for route, _, _ in records],
            [payload for _, _, payload in records],
            self._directory,
            received_ms,
        )
        self._refuse(refused, records, received_ms, decoded)

    def _sightings(self, sightings: list[tuple[Route, bytes, bytes]], received_ms: int, decoded: Decoded) -> None:
        seen, refused = decode_sightings(
            [(route.device, route.slot, payload) for route, _, payload in sightings],
            self._directory,
            self._place_of,
            received_ms,
        )
        decoded.batch = PointBatch.concat([decoded.batch, seen]) if len(decoded.batch) else seen
        self._refuse(refused, sightings, received_ms, decoded)

    def _tracked(
        self, stream: Stream, sent: list[tuple[bytes, TrackerMessage]], received_ms: int, decoded: Decoded
    ) -> None:
        """All messages of one tracker's protocol at once: their rows become columns together."""
        messages = [message for _, message in sent]
        if stream is Stream.OWNTRACKS:
            held = decode_owntracks(messages, received_ms, self._limits)
        else:
            held = decode_teltonika(messages, self._limits)
        made = self._points.columns(held.rows, received_ms)
        decoded.batch = PointBatch.concat([decoded.batch, made]) if len(decoded.batch) else made
        decoded.unknown_alarms += held.rows.unknown_alarms
        decoded.statuses += held.statuses
        decoded.replies += held.replies
        decoded.passed_over += held.passed_over
        for bad in held.rows.bad:
            topic, message = sent[bad.index]
            self._refuse_points(bad, topic, message.slot, received_ms, decoded)

    def _refuse_points(self, bad: Bad, topic: bytes, slot: int, received_ms: int, decoded: Decoded) -> None:
        """Quarantine what is no point, and keep the alarms that it names."""
        device = self._directory.ids[slot]
        decoded.quarantined.append(self._entry(bad, topic, device, received_ms))
        if bad.alarm_bits:
            decoded.signals += self._lifted(bad, slot, device, received_ms)

    def _refuse(
        self, refused: list[Bad], messages: list[tuple[Route, bytes, bytes]], received_ms: int, decoded: Decoded
    ) -> None:
        for bad in refused:
            route, topic, _ = messages[bad.index]
            decoded.quarantined.append(self._entry(bad, topic, route.device, received_ms))

    def _entry(self, bad: Bad, topic: bytes, device: str, received_ms: int) -> Quarantined:
        return Quarantined(
            reason=bad.reason,
            rows=bad.rows,
            received_ms=received_ms,
            source=shown_topic(topic),
            device=device,
            detail=bad.detail,
            raw=bytes(bad.raw[: self._limits.quarantine_raw_bytes]),
        )

    def _lifted(self, bad: Bad, slot: int, device: str, received_ms: int) -> list[Signal]:
        """Signals of the alarm bits in a point that was quarantined and that its device did not have before.

        Their ids derive from what was sent, so the same point again is the same signals.
        """
        self._grow(slot + 1)
        rising = bad.alarm_bits & ~int(self._last_bits[slot])
        self._lit += int(self._last_bits[slot]) == 0
        self._last_bits[slot] |= np.uint64(bad.alarm_bits)
        return lifted_signals(device, rising, bad, received_ms, self._limits)

    def _grow(self, slots: int) -> None:
        if slots > len(self._last_bits):
            grown = np.zeros(slots + slots // 4, np.uint64)
            grown[: len(self._last_bits)] = self._last_bits
            self._last_bits = grown

    def _rising(self, batch: PointBatch) -> bool:
        """Whether a bit is set that the device's last point before this batch did not have; remembers the last."""
        bits = batch.alarm_bits
        if not self._lit and not bits.any():
            return False
        slots: npt.NDArray[np.int32] = batch.slot
        self._grow(int(slots.max(initial=-1)) + 1)
        rising = bool((bits & ~self._last_bits[slots]).any())
        seen = np.unique(slots)
        self._lit -= int(np.count_nonzero(self._last_bits[seen]))
        self._last_bits[slots] = bits  # of a device's several points the last one stays
        self._lit += int(np.count_nonzero(self._last_bits[seen]))
        return rising
